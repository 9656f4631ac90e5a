"""TLS between nodes: what a node shows of itself, and what it wants to see of others."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.net.tls_files import leaf_der, load_authorities, load_pair
from helios_cli.engine.wire.peer import PeerProtocolError

VERIFYING: Final = ("verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class PeerTls:
    """How a node speaks TLS with other nodes."""

    server: ssl.SSLContext | None = None
    """For those who call; None: there is no certificate to show, so the native port speaks in the clear."""
    client: ssl.SSLContext | None = None
    """For calling others; None: in the clear."""
    nameless: ssl.SSLContext | None = None
    """The same for finding out by which name a node wants to be called; None: names are not looked at."""
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
        load_pair(server, settings.tls_cert, settings.tls_key)
        binding = certificate_digest(leaf_der(settings.tls_cert))
        if certificates:
            load_authorities(server, "tls_ca", settings.tls_ca)
            server.verify_mode = ssl.CERT_REQUIRED
    client = _client(settings, mode)
    nameless = _client(settings, "verify-ca") if mode == "verify-full" else None
    return PeerTls(server, client, nameless, binding, certificates)


def _client(settings: Settings, mode: str) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    if mode in VERIFYING:
        load_authorities(context, "tls_ca", settings.tls_ca)
    else:
        context.verify_mode = ssl.CERT_NONE
    if settings.tls_cert:
        load_pair(context, settings.tls_cert, settings.tls_key)
    return context


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


class OtherName(PeerProtocolError):
    """A node was called by a name that its certificate, good otherwise, is not for."""


def tls_failure(error: OSError, host: str) -> PeerProtocolError:
    """What is told of a handshake that failed, on the side of a node that does not take a certificate or the other.

    ``host`` is the other side's.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"the certificate that the node at {host} shows"
        if error.verify_code in _OTHER_NAMES:
            return OtherName(f'TLS failed: {what} is not for "{host}"', hint="peer_tls = verify-ca checks no name.")
        if error.verify_code == _EXPIRED:
            return PeerProtocolError(f"TLS failed: {what} has expired", hint=f"Give that node a new one: {TAKE_OVER}")
        if error.verify_code in _STRANGERS:
            return PeerProtocolError(
                f"TLS failed: {what} is not signed by what is in tls_ca: {error.verify_message}",
                hint=f"tls_ca of this node must hold the signer of its certificate. {TAKE_OVER}",
            )
        return PeerProtocolError(f"TLS failed: {what} is refused: {error.verify_message}")
    why = str(error) or "the other node ended the handshake"
    return PeerProtocolError(
        f"TLS failed: {why}", hint="It may not take this node's certificate, expired perhaps; its log says why."
    )


TAKE_OVER: Final = "SELECT pg_reload_conf() or SIGHUP takes a new file over."
_EXPIRED: Final = 10
"""X509_V_ERR_CERT_HAS_EXPIRED (openssl/x509_vfy.h)."""
_OTHER_NAMES: Final = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH."""
_STRANGERS: Final = (2, 18, 19, 20, 21)
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, ..._DEPTH_ZERO_SELF_SIGNED_CERT, ..._SELF_SIGNED_CERT_IN_CHAIN,
..._UNABLE_TO_GET_ISSUER_CERT_LOCALLY, ..._UNABLE_TO_VERIFY_LEAF_SIGNATURE."""
