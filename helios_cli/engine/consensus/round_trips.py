"""How long the others take to answer their primary, as their echoes tell: the timers of a cluster follow that.

The number becomes part of the replicated configuration, so all nodes reckon with the same one, and a node that was
restarted still knows it. It moves in steps, up after seconds and down after half a minute, so that a stall or a busy
moment changes nothing.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

STEPS_MS: Final = (50, 100, 200, 400, 800, 1600)
"""What is told: a round trip of up to the first counts as none, and one of more than the last as that."""
WINDOW_S: Final = 2.0
"""The shortest of so long counts: longer ones had to wait for something else."""
KEPT_S: Final = 30.0
"""The longest of so long decides whether the number goes down."""


class RoundTrips:
    """To those that answer one primary. Times are seconds of its steady clock."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._others: dict[str, _Other] = {}

    def took(self, name: str, asked_at: float, now: float) -> None:
        """A node has echoed for the first time, or once more, what was sent then."""
        other = self._others.get(name)
        if other is None:
            other = self._others[name] = _Other(now)
        other.took(asked_at, now)

    def rounded_ms(self, now: float, current_ms: int) -> int:
        """What the configuration should say, where it says ``current_ms`` now."""
        newest = [shortest for other in self._others.values() if (shortest := other.newest(now)) is not None]
        needed = _rounded_ms(max(newest, default=0.0))
        if needed > current_ms or now - self._began < KEPT_S:
            return max(needed, current_ms)
        kept = (shortest for other in self._others.values() for shortest in other.kept(now))
        return min(current_ms, _rounded_ms(max(kept, default=0.0)))


class _Other:
    """One that answers."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._shortest = math.inf
        self._echoed_at = -math.inf
        self._windows: deque[tuple[float, float]] = deque()
        """Ends of windows, and the shortest of each."""

    def took(self, asked_at: float, now: float) -> None:
        # The same echo comes again with every acknowledgement until there is a newer one.
        if asked_at <= self._echoed_at:
            return
        self._echoed_at = asked_at
        self._shortest = min(self._shortest, now - asked_at)
        if now - self._since >= WINDOW_S:
            self._windows.append((now, self._shortest))
            self._since, self._shortest = now, math.inf
            self._forget(now)

    def newest(self, now: float) -> float | None:
        """Of the last window, if it is not long ago."""
        if not self._windows or now - self._windows[-1][0] > 2 * WINDOW_S:
            return None
        return self._windows[-1][1]

    def kept(self, now: float) -> list[float]:
        self._forget(now)
        return [shortest for _, shortest in self._windows]

    def _forget(self, now: float) -> None:
        while self._windows and now - self._windows[0][0] > KEPT_S:
            self._windows.popleft()


def _rounded_ms(seconds: float) -> int:
    ms = seconds * 1000
    if ms <= STEPS_MS[0]:
        return 0
    return next((step for step in STEPS_MS if step >= ms), STEPS_MS[-1])
