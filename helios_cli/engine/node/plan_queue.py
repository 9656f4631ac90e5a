"""Texts so long that a thread plans them: one after the other, and not at the cost of those who wait for an answer."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.net.turns import Turns
from helios_cli.engine.node.readers import Workers

REST_FROM_S: Final = 0.02
"""A text that took longer is followed by a rest: the thread shares the interpreter, and the machine, with the loop."""
LET_IN_S: Final = 0.003
"""So long the thread sleeps between two pieces of work for the others, when there are any."""


class PlanQueue:
    """Those whose texts wait to be planned. One at a time: a tree takes a hundred times the room of its text."""

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: Workers, turns: Turns) -> None:
        self._loop = loop
        self._worker = worker
        self._turns = turns
        self._waiting: deque[tuple[int, Callable[[], Any], Callable[[Any], None], Callable[[BaseException], None]]]
        self._waiting = deque()
        self._busy = False
        """A text is being planned, or its rest is not over."""
        self._session = 0
        """Whose text that is."""
        self._slept_s = 0.0

    def run(
        self,
        session: int,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Run ``work`` on the thread when its turn has come, then ``done`` or ``failed`` on the loop."""
        self._waiting.append((session, work, done, failed))
        if not self._busy:
            self._next()

    def let_in(self) -> None:
        """On the thread, about every millisecond of its work: sleep when somebody else waits for answers."""
        if self._turns.newest not in (0, self._session):
            time.sleep(LET_IN_S)
            self._slept_s += LET_IN_S

    def stop(self) -> None:
        """End the thread after the work in hand."""
        self._waiting.clear()
        self._worker.stop()

    def _next(self) -> None:
        self._busy = bool(self._waiting)
        if not self._busy:
            return
        session, work, done, failed = self._waiting.popleft()
        self._session, self._slept_s = session, 0.0
        self._turns.others(session)
        began = self._loop.time()

        def over(then: Callable[[Any], None], result: Any) -> None:
            took_s = self._loop.time() - began - self._slept_s
            if took_s > REST_FROM_S and self._turns.others(session):
                self._loop.call_later(self._turns.rest_s(len(self._waiting), took_s), self._next)
            else:
                self._loop.call_soon(self._next)
            then(result)

        self._worker.run(work, lambda result: over(done, result), lambda error: over(failed, error))
