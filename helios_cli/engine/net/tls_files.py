"""The PEM files of certificates, keys and authorities, and what is told when one cannot be used."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helios_cli.engine.errors import ConfigError
from helios_cli.engine.net.pgclient import certificate_hash

OTHER_KEY: Final = "KEY_VALUES_MISMATCH"
PAIR: Final = ("tls_cert", "tls_key")


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a PostgreSQL port speaks TLS with."""

    context: ssl.SSLContext
    binding: bytes | None
    """Hash of the certificate, for SCRAM-SHA-256-PLUS; None when it has no single one."""


def server_side(certificate: str, key: str, version: ssl.TLSVersion, settings: tuple[str, str] = PAIR) -> ServerTls:
    """What a server with this certificate speaks TLS with, of ``version`` at least.

    Raises:
        ConfigError: the files, named by ``settings``, cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = version
    load_pair(context, certificate, key, settings)
    return ServerTls(context, certificate_hash(leaf_der(certificate)))


def load_pair(context: ssl.SSLContext, certificate: str, key: str, settings: tuple[str, str] = PAIR) -> None:
    """Have a context show a certificate chain, with its key; ``settings`` are what errors name the two files by.

    Raises:
        ConfigError: a file cannot be read or holds something else, or the key belongs to another certificate.
    """
    of_certificate, of_key = settings
    for setting, file in ((of_certificate, certificate), (of_key, key)):
        _readable(setting, file)

    def passphrase() -> str:
        raise ConfigError(
            f"cannot load {of_key} {key}: it is protected by a passphrase",
            hint="Give a key without one: openssl pkey -in FILE -out NEW_FILE",
        )

    try:
        context.load_cert_chain(certificate, key, passphrase)
    except ssl.SSLError as error:
        if error.reason == OTHER_KEY:
            raise ConfigError(
                f"{of_key} {key} is not the key of the certificate in {of_certificate} {certificate}"
            ) from error
        raise ConfigError(
            f"cannot load {of_certificate} {certificate} with {of_key} {key}: {error.reason or error}",
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
