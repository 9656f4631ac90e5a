"""Long work of many, in pieces: one piece in a round of the event loop, so that what is short waits for one alone.

Clients that send ahead, thousands of messages or megabytes, take turns with each other; those that wait for each answer
come first. Without any of those the turns follow each other at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

TURN_S: Final = 0.001
"""So long a piece of such work takes beside others."""
ALONE: Final = 5
"""So many times as long it is without any: larger pieces are larger packets, and fewer."""
SHORT_BYTES: Final = 1024
"""What comes of a client that waits for each answer is no longer, as a rule."""
CROWD: Final = 8
"""So many times as long as a piece takes the others have, at most, when that many wait for a turn."""
PAUSES: Final = 25
"""After so many pieces without them it is taken that there are no others."""


class Turns:
    """Those who wait for a turn, in the order they came."""

    def __init__(self, loop: asyncio.AbstractEventLoop, others_share: int) -> None:
        """Others, when there are any, have ``others_share`` times as long as a piece takes before the next one.

        When more than that wait for turns they have longer, up to :data:`CROWD` times: two who load data go on at half
        the pace, a hundred must not keep the machine busy, and with it the nodes behind and the disks.
        """
        self._loop = loop
        self._others_share = others_share
        self._waiting: deque[tuple[Callable[[], None], int]] = deque()
        self.newest = 0
        """Number of the session that has sent something of no more than :data:`SHORT_BYTES` last."""
        self._pauses = 0

    @property
    def length(self) -> int:
        """How long a turn is now, in those of :data:`TURN_S`."""
        return 1 if self._pauses else ALONE

    @property
    def crowded(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def others(self, session: int) -> bool:
        """Whether another session has sent something short since this was last asked."""
        newest, self.newest = self.newest, 0
        found = newest not in (0, session)
        if found:
            self._pauses = PAUSES
        return found

    def rest_s(self, waiting: int, took_s: float) -> float:
        """Seconds for the others after work that took so long, while so many wait to do such work."""
        return max(self._others_share, min(waiting, CROWD)) * took_s

    def take(self, work: Callable[[], None], session: int) -> None:
        """Do a piece of work of about :data:`TURN_S` in its turn; what is left of it then takes another."""
        self._waiting.append((work, session))
        if len(self._waiting) == 1:
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        work, session = self._waiting[0]
        began = monotonic()
        try:
            work()
        finally:
            self._waiting.popleft()
            self.others(session)
            if self._waiting:
                if not self._pauses:
                    self._loop.call_soon(self._next)
                else:
                    self._pauses -= 1
                    took_s = max(TURN_S, monotonic() - began)
                    self._loop.call_later(self.rest_s(len(self._waiting), took_s), self._next)
