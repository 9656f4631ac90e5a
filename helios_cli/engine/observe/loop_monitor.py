"""How late the event loop runs: the one number that says whether anything blocked it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from helios_cli.engine.observe.metrics import Registry

_WINDOW_S: Final = 60.0


class LoopMonitor:
    """Asks to be called every ``interval_s`` and measures how much later it was called.

    A stall shorter than the interval may fall between two calls, so what is seen is a lower bound; a stall of
    length L is seen as at least L minus the interval.
    """

    def __init__(
        self, registry: Registry, interval_s: float = 0.02, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._handle: asyncio.TimerHandle | None = None
        self._expected = 0.0
        self._window_ends = 0.0
        self._windows = (0.0, 0.0)
        self.worst_s = 0.0
        """The longest stall since the start."""
        self.lag = registry.histogram("heliosdb_loop_lag_seconds", "How late the event loop ran its timers.")
        registry.observe(
            "gauge",
            "heliosdb_loop_stall_max_seconds",
            "Longest event-loop stall since the start.",
            lambda: self.worst_s,
        )
        registry.observe(
            "gauge",
            "heliosdb_loop_stall_recent_seconds",
            "Longest event-loop stall of the last one to two minutes.",
            lambda: self.recent_s,
        )

    @property
    def recent_s(self) -> float:
        """The longest stall of the current window of 60 s and the one before."""
        return max(self._windows)

    def start(self) -> None:
        """Begin; to be called on the loop to be watched."""
        self._window_ends = self._clock() + _WINDOW_S
        self._arm()

    def stop(self) -> None:
        """End. Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        self._expected = self._clock() + self._interval_s
        self._handle = asyncio.get_running_loop().call_later(self._interval_s, self._tick)

    def _tick(self) -> None:
        now = self._clock()
        self.note(max(0.0, now - self._expected), now)
        self._arm()

    def note(self, lag_s: float, now: float) -> None:
        """Count one measured lag at clock time ``now``."""
        self.lag.observe(lag_s)
        self.worst_s = max(self.worst_s, lag_s)
        if now >= self._window_ends:
            self._windows = (0.0, self._windows[0] if now < self._window_ends + _WINDOW_S else 0.0)
            self._window_ends = now + _WINDOW_S
        self._windows = (max(self._windows[0], lag_s), self._windows[1])
