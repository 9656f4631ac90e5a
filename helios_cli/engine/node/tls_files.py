"""The PEM files of certificates, keys and authorities, and what is told when one cannot be used."""

from __future__ import annotations

import ssl
from pathlib import Path

from helios_cli.engine.errors import ConfigError

OTHER_KEY = "KEY_VALUES_MISMATCH"


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have a context show a certificate chain, with its key.

    Raises:
        ConfigError: a file cannot be read or holds something else, or the key belongs to another certificate.
    """
    for setting, file in (("tls_cert", certificate), ("tls_key", key)):
        _readable(setting, file)

    def passphrase() -> str:
        raise ConfigError(
            f"cannot load tls_key {key}: it is protected by a passphrase",
            hint="Give a key without one: openssl pkey -in FILE -out NEW_FILE",
        )

    try:
        context.load_cert_chain(certificate, key, passphrase)
    except ssl.SSLError as error:
        if error.reason == OTHER_KEY:
            raise ConfigError(f"tls_key {key} is not the key of the certificate in tls_cert {certificate}") from error
        raise ConfigError(
            f"cannot load tls_cert {certificate} with tls_key {key}: {error.reason or error}",
            hint="Both are PEM files: the node's certificate and those between it and its authority, its key.",
        ) from error


def load_authorities(context: ssl.SSLContext, setting: str, file: str) -> None:
    """Have a context trust what the certificates in a file have signed. Raises ConfigError."""
    _readable(setting, file)
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        raise ConfigError(
            f"cannot load {setting} {file}: {error.reason or error}",
            hint="Give the PEM file with the certificates that sign the others'.",
        ) from error


def leaf_der(file: str) -> bytes:
    """The first certificate of a PEM file, which is the node's own, as DER. Raises ConfigError."""
    try:
        text = Path(file).read_text()
        start, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
        return ssl.PEM_cert_to_DER_cert(text[start:end])
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the certificate in tls_cert {file}: {error}") from error


def _readable(setting: str, file: str) -> None:
    try:
        with open(file, "rb"):
            pass
    except OSError as error:
        raise ConfigError(f"cannot read {setting} {file}: {error.strerror or error}") from error
