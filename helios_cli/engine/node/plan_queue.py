"""Texts so long that a thread plans them: the shortest first, and not at the cost of those who wait for an answer."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from helios_cli.engine.net.turns import Turns
from helios_cli.engine.node.readers import Workers

LONG_MIN: Final = 64 * 1024
"""Characters of a text that keeps its thread for so long that shorter ones have another: a tenth of a second."""
REST_FROM_S: Final = 0.02
"""A text that took longer is followed by a rest: the thread shares the interpreter, and the machine, with the loop."""
REST_PART: Final = 4
"""The rest after a text is none for texts that are shorter than this part of it."""
LET_IN_S: Final = 0.003
"""So long the thread sleeps between two pieces of work for the others, when there are any."""

Job = tuple[int, Callable[[], Any], Callable[[Any], None], Callable[[BaseException], None]]
"""The number of the session, the work, and what to call with its result or error."""


class PlanQueue:
    """Those whose texts wait to be planned: a thread for short ones and one for long ones."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        self._lanes = [Lane(loop, Workers(loop, 1, f"planner-{kind}"), turns) for kind in ("short", "long")]

    def run(
        self,
        session: int,
        size: int,
        work: Callable[[Callable[[], None]], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Run ``work`` for a text of so many characters in its turn, then ``done`` or ``failed`` on the loop.

        What it is called with, it calls about every millisecond: to let others in.
        """
        lane = self._lanes[size >= LONG_MIN]
        lane.add(size, (session, lambda: work(lane.let_in), done, failed))

    def stop(self) -> None:
        """End the threads after the work in hand."""
        for lane in self._lanes:
            lane.stop()


class Lane:
    """One thread and those who wait for it. One at a time: a tree takes a hundred times the room of its text."""

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: Workers, turns: Turns) -> None:
        self._loop = loop
        self._worker = worker
        self._turns = turns
        self._waiting: list[tuple[int, int, Job]] = []
        self._numbers = count()
        self._busy = False
        self._rest_until = 0.0
        self._rest_size = 0
        """Of the text after which the rest is."""
        self._timer: asyncio.TimerHandle | None = None
        """Of the end of the rest."""
        self._session = 0
        """Whose text is being planned."""
        self._slept_s = 0.0

    def add(self, size: int, job: Job) -> None:
        """Have a text of so many characters planned."""
        heapq.heappush(self._waiting, (size, next(self._numbers), job))
        if not self._busy:
            self._next()

    def let_in(self) -> None:
        """On the thread: sleep when somebody else waits for answers."""
        if self._turns.newest not in (0, self._session):
            time.sleep(LET_IN_S)
            self._slept_s += LET_IN_S

    def stop(self) -> None:
        """End the thread after the work in hand."""
        self._waiting.clear()
        self._worker.stop()

    def _next(self) -> None:
        self._busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        left_s = self._rest_until - self._loop.time()
        if left_s > 0 and self._waiting[0][0] * REST_PART > self._rest_size:
            self._timer = self._loop.call_later(left_s, self._next)
            return
        self._begin(*heapq.heappop(self._waiting))

    def _begin(self, size: int, _number: int, job: Job) -> None:
        session, work, done, failed = job
        self._busy = True
        self._session, self._slept_s = session, 0.0
        self._turns.others(session)
        began = self._loop.time()

        def over(then: Callable[[Any], None], result: Any) -> None:
            took_s = self._loop.time() - began - self._slept_s
            if took_s > REST_FROM_S and self._turns.others(session):
                self._rest_until = self._loop.time() + self._turns.rest_s(len(self._waiting), took_s)
                self._rest_size = size
            self._loop.call_soon(self._next)
            then(result)

        self._worker.run(work, lambda result: over(done, result), lambda error: over(failed, error))
