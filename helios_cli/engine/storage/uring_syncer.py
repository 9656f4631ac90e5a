"""Making log records durable without a thread: many commits, one write of the kernel's.

What the kernel cannot do in one write, the roll to another segment above all, is left to the thread of
:mod:`helios_cli.engine.storage.syncer`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from helios_cli.engine.errors import HeliosError, OutcomeUnknown
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.syncer import Syncer
from helios_cli.engine.storage.uring import NOT_SERVED, Uring

log = logging.getLogger(__name__)

Token = TypeVar("Token")


class _Batch(Generic[Token]):
    """What is written as one, and who hears of it."""

    def __init__(self, items: list[tuple[bytes, Token] | threading.Event]) -> None:
        records: list[bytes] = []
        self.tokens: list[Token] = []
        self.waiting: list[threading.Event] = []
        for item in items:
            if isinstance(item, tuple):
                records.append(item[0])
                self.tokens.append(item[1])
            else:
                self.waiting.append(item)
        self.data = records[0] if len(records) == 1 else b"".join(records)


class UringSyncer(Generic[Token]):
    """Owned by the event loop, where ``on_flushed(tokens)`` is called; ``on_failure(error)`` is called on any thread.

    As with the thread, nothing more is written after a failure.
    """

    def __init__(
        self,
        page_log: PageLog,
        loop: asyncio.AbstractEventLoop,
        uring: Uring,
        on_flushed: Callable[[list[Token]], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._log = page_log
        self._loop = loop
        self._uring: Uring | None = uring
        self._on_flushed = on_flushed
        self._on_failure = on_failure
        self._pending: deque[tuple[bytes, Token] | threading.Event] = deque()
        self._batch: _Batch[Token] | None = None
        """What is being written."""
        self._failed = False
        self.sync_count = 0
        self._loop_thread = threading.get_ident()
        self._thread: Syncer[_Batch[Token]] = Syncer(page_log, self._flushed_on_thread, self._failed_on_thread)
        loop.add_reader(uring.fileno, self._on_ready)

    def submit(self, data: bytes, token: Token) -> None:
        """Queue encoded records. The groups in flight are few, which bounds the queue."""
        self._pending.append((data, token))
        if self._batch is None:
            self._begin()

    def drain(self) -> None:
        """Wait until everything submitted so far is durable; for a caller that then appends to the log itself."""
        if threading.get_ident() == self._loop_thread:
            self._drain_on_loop()
            return
        reached = threading.Event()
        self._pending.append(reached)
        self._loop.call_soon_threadsafe(self._begin)
        while not reached.wait(1.0):
            if self._failed:
                raise OutcomeUnknown("the page log can no longer be written")

    def _drain_on_loop(self) -> None:
        """Wait, and be told of it by the loop later: the caller is in the middle of something."""
        self._wait_for_kernel(lambda tokens: self._loop.call_soon(self._on_flushed, tokens))
        self._thread.drain()

    def leave_loop(self) -> None:
        """On the loop, before :meth:`stop`: wait for the kernel's write; the thread does the rest."""
        self._wait_for_kernel(self._on_flushed)
        self._leave_uring()

    def stop(self) -> None:
        """On any thread: flush what is queued and end the thread; nothing is submitted after that."""
        self._thread.stop()

    def _wait_for_kernel(self, flushed: Callable[[list[Token]], object]) -> None:
        """Until the kernel has written its part; the thread may still be at work on the rest."""
        while self._uring is not None:
            result = self._uring.wait()
            if result is None:
                break
            self._ended(result, flushed)
        if self._pending and not self._failed:
            # The batch before is with the thread, which takes this one after it.
            rest = self._take()
            self._thread.submit(rest.data, rest)

    def _begin(self) -> None:
        """Write what is pending, unless something is being written."""
        if self._batch is not None or not self._pending or self._failed:
            return
        batch = self._take()
        if not batch.tokens:
            _reached(batch)
            return
        self._batch = batch
        try:
            place = self._log.place_through(batch.data) if self._uring is not None else None
        except HeliosError as error:
            self._fail(error)
            return
        if place is None or self._uring is None:
            self._thread.submit(batch.data, batch)
            return
        try:
            self._uring.start(place[0], batch.data, place[1])
        except OSError as error:
            self._give_up(error)
            self._thread.submit(batch.data, batch)

    def _take(self) -> _Batch[Token]:
        pending = self._pending
        return _Batch([pending.popleft() for _ in range(len(pending))])

    def _give_up(self, error: OSError) -> None:
        log.warning("io_uring does not serve, a thread writes the page log from now on: %s", error)
        self._leave_uring()

    def _leave_uring(self) -> None:
        """Leave everything to the thread from now on."""
        if self._uring is not None:
            self._loop.remove_reader(self._uring.fileno)
            self._uring = None

    def _on_ready(self) -> None:
        if self._uring is not None:
            result = self._uring.result()
            if result is not None:
                self._ended(result, self._on_flushed)

    def _ended(self, result: int, flushed: Callable[[list[Token]], object]) -> None:
        """The kernel has written so many bytes of the batch, or has met an error, whose number is negative."""
        batch = self._batch
        assert batch is not None
        if result == len(batch.data):
            self._log.written_through(batch.data)
            self._flushed(batch, flushed)
        elif result >= 0 or -result in NOT_SERVED:
            # The same bytes once more in the same place.
            if result < 0:
                self._give_up(OSError(-result, os.strerror(-result)))
            self._thread.submit(batch.data, batch)
        else:
            self._fail(self._log.failed(OSError(-result, os.strerror(-result)), "write the page log"))

    def _flushed(self, batch: _Batch[Token], flushed: Callable[[list[Token]], object]) -> None:
        self._batch = None
        self.sync_count += 1
        _reached(batch)
        # The disk first: it works while the loop answers.
        self._begin()
        flushed(batch.tokens)

    def _flushed_on_thread(self, batches: list[_Batch[Token]]) -> None:
        for batch in batches:
            self._loop.call_soon_threadsafe(self._flushed, batch, self._on_flushed)

    def _failed_on_thread(self, error: BaseException) -> None:
        self._failed = True
        self._on_failure(error)

    def _fail(self, error: BaseException) -> None:
        self._failed = True
        self._on_failure(error)


def _reached(batch: _Batch[Token]) -> None:
    for event in batch.waiting:
        event.set()
