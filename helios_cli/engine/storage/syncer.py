"""The thread that makes log records durable: many commits, one sync.

Whatever has queued up while the last sync ran is written and synced as one. Callers give each record a token
and hear of it, in order, once it is on stable storage.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from helios_cli.engine.errors import OutcomeUnknown

Token = TypeVar("Token")


class LogTail(Protocol):
    """The part of the page log the syncer needs."""

    def write_through(self, data: bytes) -> None:
        """Append encoded records and force everything appended so far to stable storage."""


class Syncer(Generic[Token]):
    """Writes and syncs in submission order on its own thread.

    ``on_flushed(tokens)`` and ``on_failure(error)`` are called on the syncer's thread; the caller hands them to
    its loop. After a failure nothing more is written: what a failed fsync left behind is unknown, and asking
    again would get a false answer (Rebello et al., USENIX ATC 2020).
    """

    def __init__(
        self,
        log: LogTail,
        on_flushed: Callable[[list[Token]], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._log = log
        self._on_flushed = on_flushed
        self._on_failure = on_failure
        self._pending: deque[tuple[bytes, Token] | threading.Event | None] = deque()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._asleep = False
        self.sync_count = 0
        self._thread = threading.Thread(target=self._run, name="log-syncer", daemon=True)
        self._thread.start()

    def submit(self, data: bytes, token: Token) -> None:
        """Queue encoded records. The groups in flight are few, which bounds the queue."""
        self._put((data, token))

    def drain(self) -> None:
        """Wait until everything submitted so far is durable; for a caller that then appends to the log itself."""
        reached = threading.Event()
        self._put(reached)
        while not reached.wait(1.0):
            if not self._thread.is_alive():
                raise OutcomeUnknown("the page log can no longer be written")

    def leave_loop(self) -> None:
        """Nothing: the loop has no part in it."""

    def stop(self) -> None:
        """Flush what is queued and end the thread."""
        self._put(None)
        self._thread.join()

    def _put(self, item: tuple[bytes, Token] | threading.Event | None) -> None:
        # Waking a thread costs tens of microseconds; one that is at work looks at the queue by itself.
        self._pending.append(item)
        if self._asleep:
            self._asleep = False
            with contextlib.suppress(RuntimeError):
                # Open already: the thread had seen an item and did not go to sleep after all.
                self._gate.release()

    def _take(self) -> list[tuple[bytes, Token] | threading.Event | None]:
        pending = self._pending
        while not pending:
            self._asleep = True
            # Looked at again after the flag is up: an item put in between is not slept on.
            if pending:
                self._asleep = False
                break
            self._gate.acquire()
        return [pending.popleft() for _ in range(len(pending))]

    def _run(self) -> None:
        try:
            while self._flush_once():
                pass
        except BaseException as error:
            self._on_failure(error)

    def _flush_once(self) -> bool:
        items = self._take()
        records: list[bytes] = []
        tokens: list[Token] = []
        waiting: list[threading.Event] = []
        for item in items:
            if isinstance(item, tuple):
                records.append(item[0])
                tokens.append(item[1])
            elif item is not None:
                waiting.append(item)
        if tokens:
            # One call: each return from the kernel has to wait for the GIL, which the loop holds most of the time.
            self._log.write_through(b"".join(records))
            self.sync_count += 1
            self._on_flushed(tokens)
        for event in waiting:
            event.set()
        return None not in items
