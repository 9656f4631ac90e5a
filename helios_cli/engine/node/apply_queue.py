"""What a standby has received and not applied yet, between the loop, which feeds it, and the thread that applies.

Here the thread waits: for records, for a reader that is free for the next boundary, for room on a full disk, and for a
checkpoint that wants SQLite's WAL for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from helios_cli.engine.log.record import peek_lsn
from helios_cli.engine.types import Lsn

UNPINNED_AFTER_S: Final = 0.05
"""How long there may be no reader free for a boundary before it is applied without one."""

BATCH_BYTES: Final = 4 << 20
"""Records that are taken, and synced, at once."""

_PAUSE_POLL_S: Final = 0.0005


class GivenUp(Exception):
    """The thread is told to end while it waits."""


class ApplyQueue:
    """Fed, paused and ended on the loop; taken from on one thread."""

    def __init__(self, end: Lsn, boundaries_max: int, *, held: bool = False) -> None:
        """``end`` is where the first record belongs; so many boundaries may have a reader pinned.

        ``held``: nothing is to be applied before :meth:`let_go`.
        """
        self._held = held
        self.written = end
        """Behind the last record that was fed."""
        self.finishing = False
        """The thread is to end, by :meth:`end`."""
        self._giving_up = False
        self._room = boundaries_max
        self._waiting: deque[bytes] = deque()
        self._in_hand = b""
        """Taken, and not on disk yet."""
        self._pausing = False
        self._paused = False
        self._changed = threading.Condition()
        self.bytes = 0
        """That wait."""

    # On the loop -----------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Add whole records; those that do not continue what was fed before are left out."""
        with self._changed:
            if peek_lsn(data) != self.written:
                # Behind records that were refused: whoever sent them is asked again from the log's end.
                return
            self.written = Lsn(self.written + len(data))
            self._waiting.append(data)
            self.bytes += len(data)
            self._changed.notify_all()

    def unwritten(self) -> tuple[bytes, ...]:
        """What was fed and is not known to be on disk."""
        with self._changed:
            return (self._in_hand, *self._waiting)

    def release(self, boundaries: int) -> None:
        """So many readers are free again."""
        with self._changed:
            self._room += boundaries
            self._changed.notify_all()

    def let_go(self) -> None:
        """What the log holds is to be applied. Idempotent."""
        if self._held:
            with self._changed:
                self._held = False
                self._changed.notify_all()

    def wake(self) -> None:
        """What the thread waits for in :meth:`take_unless` may be there."""
        with self._changed:
            self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def paused(self, is_alive: Callable[[], bool]) -> AsyncIterator[None]:
        """While the thread applies nothing; at once when it is not ``is_alive``.

        The loop has heard of all that is applied then.
        """
        with self._changed:
            self._pausing = True
            self._changed.notify_all()
        try:
            while not self._paused and is_alive():
                await asyncio.sleep(_PAUSE_POLL_S)
            # What the thread has told last may still wait for its turn.
            await asyncio.sleep(0)
            yield
        finally:
            with self._changed:
                self._pausing = False
                self._changed.notify_all()

    def end(self, *, giving_up: bool) -> None:
        """The thread is to end: when all is taken, or after what it has in hand."""
        with self._changed:
            self.finishing = True
            self._giving_up = self._giving_up or giving_up
            self._changed.notify_all()

    # On the thread ---------------------------------------------------------------------------------------------------

    def wait_until_let_go(self) -> None:
        """Wait for :meth:`let_go` or the end: what is in the log is applied then. A checkpoint may come meanwhile.

        Raises:
            GivenUp: the thread is to end at once.
        """
        with self._changed:
            while self._pausing or (self._held and not self.finishing):
                if self._giving_up:
                    raise GivenUp
                self._paused = self._pausing
                self._changed.wait()
            self._paused = False
            if self._giving_up:
                raise GivenUp

    def take(self) -> bytes:
        """What waits, up to a batch; empty at the end."""
        with self._changed:
            while self._pausing or not self._waiting:
                if self._giving_up or (self.finishing and not self._waiting and not self._pausing):
                    return b""
                self._paused = self._pausing
                self._changed.wait()
            self._paused = False
            taken, size = [], 0
            while self._waiting and size < BATCH_BYTES:
                taken.append(self._waiting.popleft())
                size += len(taken[-1])
            self.bytes -= size
            self._in_hand = taken[0] if len(taken) == 1 else b"".join(taken)
            return self._in_hand

    def take_unless(self, condition: Callable[[], bool]) -> bytes | None:
        """One piece of what waits; empty when ``condition`` holds first, None when the end comes before either.

        Raises:
            GivenUp: the thread is to end at once.
        """
        with self._changed:
            while not self._waiting and not condition():
                if self._giving_up:
                    raise GivenUp
                if self.finishing:
                    return None
                self._changed.wait()
            if not self._waiting:
                return b""
            self._in_hand = self._waiting.popleft()
            self.bytes -= len(self._in_hand)
            return self._in_hand

    def is_written(self) -> None:
        """What was taken is on disk."""
        self._in_hand = b""

    def refuse(self, end: Lsn) -> None:
        """Nothing of what was fed is taken; the next record belongs at ``end``."""
        with self._changed:
            self._waiting.clear()
            self.bytes = 0
            self._in_hand = b""
            self.written = end

    def take_reader(self) -> bool:
        """Wait for a reader for one more boundary, and for no checkpoint to be there; whether there is a reader.

        Raises:
            GivenUp: the thread is to end at once.
        """
        waits_until = time.monotonic() + UNPINNED_AFTER_S
        with self._changed:
            # At the end nothing makes room any more; a checkpoint that is there is waited for all the same.
            while self._pausing or (self._room <= 0 and not (self.finishing and not self._giving_up)):
                if self._giving_up:
                    raise GivenUp
                patience = waits_until - time.monotonic()
                if not self._pausing and patience <= 0:
                    # What would make room may wait for this node: a new primary's first record commits all before it.
                    break
                self._paused = self._pausing
                self._changed.wait(None if self._pausing else patience)
            self._paused = False
            if self._room <= 0:
                return False
            self._room -= 1
            return True

    def wait(self, seconds: float, *, pausable: bool) -> None:
        """Wait as long as a full disk is given to have room again; a checkpoint may come meanwhile if ``pausable``."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self.finishing and ((left := until - time.monotonic()) > 0 or self._paused):
                self._paused = self._pausing and pausable
                self._changed.wait(None if self._paused else left)
            self._paused = False
