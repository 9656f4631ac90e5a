"""LISTEN and NOTIFY within one node."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session

CLUSTER_CHANNEL: Final = "helios_cluster"
"""On which the node itself tells of its cluster, and nobody else does."""


class Channels:
    """Who listens to what."""

    def __init__(self) -> None:
        self._listeners: dict[tuple[int, str], dict[Session, None]] = {}
        """By the database's OID and the name of the channel."""

    def listen(self, channel: str, session: Session) -> None:
        """Start listening; twice is once."""
        self._listeners.setdefault((session.database_oid, channel), {})[session] = None

    def unlisten(self, channel: str | None, session: Session) -> None:
        """Stop listening to a channel; None: to all."""
        for key in [(session.database_oid, channel)] if channel is not None else list(self._listeners):
            listeners = self._listeners.get(key)
            if listeners is not None:
                listeners.pop(session, None)
                if not listeners:
                    del self._listeners[key]

    def of(self, session: Session) -> list[str]:
        """The channels that a session listens to, in the order in which they began to be."""
        return [channel for (_database, channel), listeners in self._listeners.items() if session in listeners]

    def publish(self, database: int, pid: int, channel: str, payload: str) -> None:
        """Deliver a notification whose transaction is committed to those who listen in its database."""
        message = backend.notification(pid, channel, payload)
        for session in tuple(self._listeners.get((database, channel), ())):
            session.notify(message)

    def publish_everywhere(self, channel: str, payload: str) -> None:
        """Deliver what the node itself has to tell to those who listen in any database."""
        message = backend.notification(os.getpid(), channel, payload)
        for (_database, name), listeners in tuple(self._listeners.items()):
            if name == channel:
                for session in tuple(listeners):
                    session.notify(message)


@dataclass(frozen=True, slots=True)
class Notification:
    """A NOTIFY that waits for its transaction; called when that is committed."""

    channels: Channels
    database: int
    pid: int
    channel: str
    payload: str

    def __call__(self) -> None:
        """Deliver it to everybody who listens."""
        self.channels.publish(self.database, self.pid, self.channel, self.payload)


def notification_of(session: Session, channel: str, payload: str) -> Notification:
    """What a session notifies.

    Raises:
        SqlError: 42501 the channel is the node's own: whoever listens there believes what it says of the cluster.
    """
    if channel == CLUSTER_CHANNEL:
        raise SqlError(
            f'permission denied for channel "{channel}"', sqlstate="42501", hint="The node tells of its cluster there."
        )
    return Notification(session.engine.channels, session.database_oid, session.pid, channel, payload)
