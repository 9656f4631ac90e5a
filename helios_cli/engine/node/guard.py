"""The second guard on the event loop: SQLite asks every so many steps whether its time is up."""

from __future__ import annotations

import threading
import time
from typing import Final

import apsw

STEPS: Final = 20_000
"""VM steps between two looks at the clock: about a millisecond of SQLite's time."""

_NEVER: Final = float("inf")


class InlineGuard:
    """A time limit shared by the connections that the loop uses. Armed before each inline statement or group.

    It stops only what runs on the loop's thread, the one it was made on: worker threads use the same connections, the
    writer's above all, while the loop runs a statement on another, and their time is not short.
    """

    def __init__(self) -> None:
        self._limit = _NEVER
        self._deadline = 0.0
        """On the clock; 0 before it has been looked at. Most statements end before that."""
        self._clock = time.perf_counter
        self._thread = threading.get_ident()

    def watch(self, connection: apsw.Connection) -> None:
        """Install the check on a connection."""
        connection.set_progress_handler(self._expired, STEPS)

    def arm(self, seconds: float) -> None:
        """Statements of the loop must from now on end within ``seconds`` of the first look at the clock."""
        self._limit = seconds
        self._deadline = 0.0

    def disarm(self) -> None:
        """No limit."""
        self._limit = _NEVER

    def _expired(self) -> bool:
        if self._limit is _NEVER or threading.get_ident() != self._thread:
            return False
        now = self._clock()
        if not self._deadline:
            self._deadline = now + self._limit
        return now > self._deadline
