"""The second guard on the event loop: SQLite asks every so many steps whether its time is up."""

from __future__ import annotations

import threading
import time
from typing import Final

import apsw

STEPS: Final = 20_000
"""VM steps between two looks at the clock: about a millisecond of SQLite's time."""


class InlineGuard:
    """A deadline shared by the connections that the loop uses. Armed before each inline statement or group.

    It stops only what runs on the thread that armed it: worker threads use the same connections, the writer's above
    all, while the loop runs a statement on another, and their time is not short.
    """

    def __init__(self) -> None:
        self._deadline = float("inf")
        self._clock = time.perf_counter
        self._thread = threading.get_ident()

    def watch(self, connection: apsw.Connection) -> None:
        """Install the check on a connection."""
        connection.set_progress_handler(self._expired, STEPS)

    def arm(self, seconds: float) -> None:
        """Statements of this thread must from now on end within ``seconds``."""
        self._thread = threading.get_ident()
        self._deadline = self._clock() + seconds

    def disarm(self) -> None:
        """No limit: the connection goes to a thread."""
        self._deadline = float("inf")

    def _expired(self) -> bool:
        return self._clock() > self._deadline and threading.get_ident() == self._thread
