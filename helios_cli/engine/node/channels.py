"""LISTEN and NOTIFY within one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session


class Channels:
    """Who listens to what."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Session, None]] = {}

    def listen(self, channel: str, session: Session) -> None:
        """Start listening; twice is once."""
        self._listeners.setdefault(channel, {})[session] = None

    def unlisten(self, channel: str | None, session: Session) -> None:
        """Stop listening to a channel; None: to all."""
        for name in [channel] if channel is not None else list(self._listeners):
            listeners = self._listeners.get(name)
            if listeners is not None:
                listeners.pop(session, None)
                if not listeners:
                    del self._listeners[name]

    def of(self, session: Session) -> list[str]:
        """The channels that a session listens to, in the order in which they began to be."""
        return [channel for channel, listeners in self._listeners.items() if session in listeners]

    def publish(self, pid: int, channel: str, payload: str) -> None:
        """Deliver a notification whose transaction is committed."""
        message = backend.notification(pid, channel, payload)
        for session in tuple(self._listeners.get(channel, ())):
            session.notify(message)


@dataclass(frozen=True, slots=True)
class Notification:
    """A NOTIFY that waits for its transaction; called when that is committed."""

    channels: Channels
    pid: int
    channel: str
    payload: str

    def __call__(self) -> None:
        """Deliver it to everybody who listens."""
        self.channels.publish(self.pid, self.channel, self.payload)
