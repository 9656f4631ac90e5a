"""The TLS of a node's ports: read from its files when the process starts, and again while it runs."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.net.tls_files import ServerTls, load_pair
from helios_cli.engine.node.certificates import Certificate, Certificates, certificates_of
from helios_cli.engine.node.peer_tls import PeerTls, peer_tls
from helios_cli.engine.node.server_tls import server_tls

TLS_SETTINGS: Final = (
    "tls", "tls_min_version", "tls_client_ca", "tls_cert", "tls_key", "tls_ca", "peer_tls",
)  # fmt: skip
"""Those that are taken over together or not at all."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Everything that was made of the files at one moment."""

    peer: PeerTls
    clients: ServerTls | None
    http: ssl.SSLContext | None
    certificates: tuple[Certificate, ...]

    def begins_or_ends(self, before: _Loaded) -> bool:
        """Whether another port than the PostgreSQL one would speak TLS that did not, or the other way round."""
        return _spoken(self) != _spoken(before)


class NodeTls:
    """What connections that are made from now on speak TLS with; those that are there keep what they began with."""

    def __init__(self, settings: Settings, event: Callable[..., None]) -> None:
        """Raises ConfigError when a file cannot be used."""
        self._event = event
        self._now = now = _load(settings)
        self.certificates = Certificates(now.certificates, event)
        self.http: ssl.SSLContext | None = None
        """For the HTTP port, which keeps it: each handshake goes on with the newest certificate."""
        if now.http is not None:
            self.http = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.http.sni_callback = self._to_the_newest

    @property
    def peer(self) -> PeerTls:
        """With other nodes."""
        return self._now.peer

    @property
    def clients(self) -> ServerTls | None:
        """On the PostgreSQL port; None when it offers none."""
        return self._now.clients

    def reload(self, settings: Settings, before: Settings) -> tuple[Settings, str | None]:
        """Read the files again.

        Returns:
            The settings to go on with, and why the files were not taken over. When they were not, what ``before`` says
            of TLS holds on, and an event tells of it.
        """
        try:
            fresh = _load(settings)
            if fresh.begins_or_ends(self._now):
                raise ConfigError("the native port and the HTTP port begin or end to speak TLS at a restart only")
        except ConfigError as error:
            hint = f" ({error.hint})" if error.hint else ""
            why = f"TLS goes on with the certificates that it has: {error.message}{hint}"
            self._event("tls_not_reloaded", why, severity="error")
            return replace(settings, **{name: getattr(before, name) for name in TLS_SETTINGS}), why
        self._now = fresh
        self.certificates.replaced_by(fresh.certificates)
        return settings, None

    def _to_the_newest(self, handshake: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        handshake.context = self._now.http


def _spoken(loaded: _Loaded) -> tuple[bool, bool, bool]:
    return loaded.peer.server is not None, loaded.peer.client is not None, loaded.http is not None


def _load(settings: Settings) -> _Loaded:
    http = None
    if settings.tls_cert:
        http = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        http.minimum_version = ssl.TLSVersion.TLSv1_2
        load_pair(http, settings.tls_cert, settings.tls_key)
    return _Loaded(peer_tls(settings), server_tls(settings), http, certificates_of(settings))
