"""A session at the primary, as the standby holds it: bytes of the PostgreSQL protocol over a link between nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.peer_link import PeerLink
from helios_cli.engine.wire.peer import PeerProtocolError

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session


class PrimaryLost(HeliosError):
    """The primary cannot be reached, or is no longer; what was to be done there was not done."""

    sqlstate = "08006"
    retryable = True


class ForwardLink(asyncio.Protocol):
    """One session at the primary. It serves one client of this node at a time."""

    def __init__(self, transport: asyncio.Transport, user: str, database: str, pid: int, key: str) -> None:
        self.transport = transport
        self.user = user
        self.database = database
        self.pid = pid
        self.key = key
        self.owner: Session | None = None
        """Whose parameters and statements it has."""
        self.statements: dict[str, tuple[str, tuple[int, ...]]] = {}
        """Text and declared parameter types of what is prepared there, by name."""
        self.variables: dict[str, str] = {}
        """Parameters of the owner that are set there."""
        self.used_at = 0.0
        self.closed = False
        self.writable = True
        self.reason: HeliosError | None = None
        """Why this side ended it; None when the other did."""
        self.mute = self.deaf = False
        """What is sent, and what comes, is lost on purpose (``net/gate.py``)."""
        self.on_data: Callable[[bytes], None] = lambda data: None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """The session answers."""
        if not self.deaf:
            self.on_data(data)

    def pause_writing(self) -> None:
        """The primary takes slower than the client sends."""
        self.writable = False

    def resume_writing(self) -> None:
        """There is room again."""
        self.writable = True
        self.on_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """The link is gone."""
        self._ended()

    def write(self, data: bytes) -> None:
        """Send to the session."""
        if not (self.closed or self.mute):
            self.transport.write(data)

    def cut_off(self) -> None:
        """End it: bytes of it are lost on purpose."""
        self.close()

    def close(self, reason: HeliosError | None = None) -> None:
        """End it, and with it the session: what it has not committed is undone. Idempotent."""
        if not self.closed:
            self.reason = reason
            self.transport.abort()
            self._ended()

    def _ended(self) -> None:
        if not self.closed:
            self.closed = True
            self.on_lost()


def detach(link: PeerLink) -> asyncio.Transport:
    """Take the connection out of a link whose frames have ended. Raises PeerProtocolError when there are more."""
    if link.closed or link.unread:
        raise PeerProtocolError("the other node sent frames where the bytes of a session begin")
    link.closed = True
    return link.transport
