"""How long others have been silent, by what this node could have heard.

A process that stood still, stopped or without a processor, asked nobody anything meanwhile, and has read nothing. What
it missed then is its own silence, not theirs.
"""

from __future__ import annotations

from collections import deque
from typing import Final

STALL_S: Final = 0.5
"""A beat that comes so much later than the one before was held up."""

STALLS_MAX: Final = 64
"""The newest are kept."""


class Attention:
    """Times are seconds of one clock, whichever it is."""

    def __init__(self, now: float) -> None:
        self._beat_at = now
        self._stalls: deque[tuple[float, float]] = deque(maxlen=STALLS_MAX)
        """When each ended, and how long it was."""

    def beat(self, now: float) -> None:
        """The process runs; to be called several times in :data:`STALL_S`."""
        length = now - self._beat_at
        if length > STALL_S:
            self._stalls.append((now, length))
        self._beat_at = now

    def silence(self, heard: float, now: float) -> float:
        """For how long somebody has been silent who was heard at ``heard``, without what this node stood still."""
        if not self._stalls:
            return now - heard
        stood = sum(min(length, end - heard) for end, length in self._stalls if end > heard)
        return now - heard - stood


class Stall:
    """For how long something has not moved although it was wanted to."""

    def __init__(self, attention: Attention, now: float) -> None:
        self._attention = attention
        self._since = now
        self._done = 0

    def seconds(self, now: float, done: int, wanted: int) -> float:
        """To be called often: ``done`` rises to ``wanted``, which rises too; 0.0 while it does or need not."""
        if done != self._done or done >= wanted:
            self._done, self._since = done, now
        return self._attention.silence(self._since, now)
