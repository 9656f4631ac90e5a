"""TLS of the PostgreSQL port: whose certificate is shown, whose are asked for, and one made here when there is none."""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
import socket
import ssl
from pathlib import Path
from typing import Final

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.net.tls_files import ServerTls, load_authorities, server_side

log = logging.getLogger(__name__)

CERTIFICATE_FILE: Final = "tls.crt"
KEY_FILE: Final = "tls.key"
VALID_DAYS: Final = 3650
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_tls(settings: Settings) -> ServerTls | None:
    """What the settings say of TLS for clients; None when there is none.

    Raises:
        ConfigError: the files cannot be used.
    """
    certificate, key = settings.tls_cert, settings.tls_key
    if not certificate and settings.tls == "self-signed":
        certificate, key = self_signed(Path(settings.data_dir))
    if not certificate or settings.tls == "off":
        return None
    found = server_side(certificate, key, _VERSIONS[settings.tls_min_version])
    if settings.tls_client_ca:
        load_authorities(found.context, "tls_client_ca", settings.tls_client_ca)
        # A client may come without a certificate; one that it shows has to be good (as PostgreSQL with ssl_ca_file).
        found.context.verify_mode = ssl.CERT_OPTIONAL
    return found


def self_signed(directory: Path) -> tuple[str, str]:
    """The files of a certificate that nobody has signed, made at the first start with mode 0600.

    Raises:
        ConfigError: they cannot be written.
    """
    certificate, key = directory / CERTIFICATE_FILE, directory / KEY_FILE
    try:
        if not (certificate.exists() and key.exists()):
            key_text, certificate_text = _make()
            _write(key, key_text)
            _write(certificate, certificate_text)
        text = certificate.read_text()
    except OSError as error:
        raise ConfigError(f"cannot make a self-signed certificate in {directory}: {error}") from error
    digest = _fingerprint(ssl.PEM_cert_to_DER_cert(text))
    log.info("TLS with the self-signed certificate %s, SHA-256 fingerprint %s", certificate, digest)
    return str(certificate), str(key)


def _fingerprint(der: bytes) -> str:
    return ":".join(f"{byte:02X}" for byte in hashlib.sha256(der).digest())


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)


def _make() -> tuple[bytes, bytes]:
    """A key and a certificate over it, as PEM."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    host = socket.gethostname()[:64] or "localhost"
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    loopback = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.DNSName("localhost"), *loopback])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    key_text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return key_text, certificate.public_bytes(serialization.Encoding.PEM)
