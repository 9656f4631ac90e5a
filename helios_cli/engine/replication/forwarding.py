"""What a standby says to open a session at the primary for one of its own clients: bodies of the native protocol.

``docs/FORMAT.md`` has the table of the messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from helios_cli.engine.replication.messages import _Json

EVENT: Final = "helios.session"
"""ParameterStatus by which a session tells the standby of its client what has changed, as a JSON object."""

HOPS_MAX: Final = 8
"""Standbys between a client and the primary, at most: more means that they follow each other in a circle."""


@dataclass(frozen=True, slots=True)
class OpenSession(_Json):
    """SESSION: open a session for a user whom I have let in. After the answer the link carries its bytes alone."""

    user: str
    database: str
    client: str
    """Address of the client; empty for one that has none."""
    client_port: int
    hops: int
    """Standbys that have passed this on."""


@dataclass(frozen=True, slots=True)
class SessionOpen(_Json):
    """SESSION_OPEN: it is open; what comes next both ways is the PostgreSQL protocol after ReadyForQuery."""

    pid: int
    key: str
    """Hexadecimal; with ``pid`` it cancels the session's statement."""


@dataclass(frozen=True, slots=True)
class CancelSession(_Json):
    """CANCEL: end the statement in hand of a session that was opened so. Not answered."""

    pid: int
    key: str
    hops: int
