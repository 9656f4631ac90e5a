"""TLS between nodes: what a node shows of itself, and what it wants to see of others."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.wire.peer import PeerProtocolError

VERIFYING: Final = ("verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class PeerTls:
    """How a node speaks TLS with other nodes."""

    server: ssl.SSLContext | None = None
    """For those who call; None: there is no certificate to show, so the native port speaks in the clear."""
    client: ssl.SSLContext | None = None
    """For calling others; None: in the clear."""
    binding: bytes = b""
    """SHA-256 of this node's certificate: proofs are bound to it. Empty without one."""
    certificates: bool = False
    """A certificate signed by ``tls_ca`` stands in for the proof of the secret, on both sides."""


NO_TLS: Final = PeerTls()


def peer_tls(settings: Settings) -> PeerTls:
    """What the settings make of it.

    Raises:
        ConfigError: a file cannot be loaded.
    """
    mode = _mode(settings)
    if mode == "off":
        return NO_TLS
    certificates = settings.peer_auth == "certificate"
    server, binding = None, b""
    if settings.tls_cert:
        server = _context(ssl.PROTOCOL_TLS_SERVER)
        _show(server, settings)
        binding = _leaf_digest(settings.tls_cert)
        if certificates:
            _trust(server, settings.tls_ca)
            server.verify_mode = ssl.CERT_REQUIRED
    client = _context(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = mode == "verify-full"
    if mode in VERIFYING:
        _trust(client, settings.tls_ca)
    else:
        client.verify_mode = ssl.CERT_NONE
    if settings.tls_cert:
        _show(client, settings)
    return PeerTls(server, client, binding, certificates)


def certificate_digest(der: bytes | None) -> bytes:
    """What a proof is bound to: SHA-256 of the answering node's certificate; empty for none."""
    return hashlib.sha256(der).digest() if der else b""


def _mode(settings: Settings) -> str:
    if settings.peer_tls != "auto":
        return settings.peer_tls
    if settings.tls_ca:
        return "verify-full"
    return "require" if settings.tls_cert else "off"


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _show(context: ssl.SSLContext, settings: Settings) -> None:
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot load tls_cert {settings.tls_cert}: {error}") from error


def _trust(context: ssl.SSLContext, file: str) -> None:
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot load tls_ca {file}: {error}", hint="Give the PEM file with the certificate that signed the nodes'."
        ) from error


def _leaf_digest(file: str) -> bytes:
    """Of the first certificate in a PEM file, which is the node's own."""
    try:
        text = Path(file).read_text()
        start, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
        return certificate_digest(ssl.PEM_cert_to_DER_cert(text[start:end]))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the certificate in tls_cert {file}: {error}") from error


def tls_failure(error: OSError) -> PeerProtocolError:
    """What is told of a handshake that failed, on the side of a node that does not take a certificate or the other."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _EXPIRED:
            hint = "The node that is called needs a new certificate, and a restart with it."
        else:
            hint = "tls_ca must hold the signer of its certificate; peer_tls = verify-ca does not check the name."
        return PeerProtocolError(f"TLS failed: {error}", hint=hint)
    why = str(error) or "the other node ended the handshake"
    return PeerProtocolError(
        f"TLS failed: {why}", hint="It may not take this node's certificate, expired perhaps; its log says why."
    )


_EXPIRED: Final = 10
"""X509_V_ERR_CERT_HAS_EXPIRED (openssl/x509_vfy.h)."""
