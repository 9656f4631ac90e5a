"""Simulated time: what happens is a heap of events, and the clock jumps from one to the next."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

Action = Callable[..., None]


class SimClock:
    """Microseconds since the run began, and what is still to happen. Events of one moment keep their order."""

    def __init__(self) -> None:
        self.now_us = 0
        self.events = 0
        """Events that have happened."""
        self._heap: list[tuple[int, int, Action, tuple[Any, ...]]] = []
        self._tickets = itertools.count()

    def after(self, delay_us: int, action: Action, *arguments: Any) -> None:
        """Let something happen in a while."""
        heapq.heappush(self._heap, (self.now_us + delay_us, next(self._tickets), action, arguments))

    def run_until(self, until_us: int) -> None:
        """Let everything happen that is due until then, and what follows from it."""
        heap = self._heap
        while heap and heap[0][0] <= until_us:
            self.now_us, _, action, arguments = heapq.heappop(heap)
            self.events += 1
            action(*arguments)
        self.now_us = until_us
