"""Checkpoints: move committed pages into the database file, sync it, restart SQLite's WAL, trim the page log.

PASSIVE checkpoints stop at the oldest pinned reader, which stands at the committed boundary; so nothing enters the
file that a step-down would have to take out again. With ring readers always holding marks the WAL would never
restart; so at a size threshold there is a barrier: hold the writer, drain, bring the ring to the newest commit,
checkpoint the rest, and pin the ring again on the checkpointed file (sqlite.org/wal.html, 2.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import apsw

from helios_cli.engine.errors import DiskFull, HeliosError, IoFailed
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.wal import frame_offset
from helios_cli.engine.node.pipeline import CommitPipeline
from helios_cli.engine.node.readers import ReadPool, Workers
from helios_cli.engine.node.writer import WriterQueue
from helios_cli.engine.storage.database import Database
from helios_cli.engine.storage.slots import removable_below
from helios_cli.engine.storage.store import Store
from helios_cli.engine.types import PAGE_SIZE, Lsn

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.1
IDLE_SECONDS: Final = 60.0
"""A database with anything to checkpoint is checkpointed at least this often."""

RETRY_SECONDS: Final = 1.0
"""Pause after a checkpoint that failed, for want of room or because of a snapshot that would not go."""

CLEAR_SECONDS: Final = 2.0
"""How long the writer is held at most while old snapshots are cleared out of the way."""

FOLLOWER_SECONDS: Final = 1.0
"""How long a standby's checkpoint waits to hear that what it has applied is committed."""

CLEAR_PAUSE_S: Final = 0.01

BUSY_TRIES: Final = 200
BUSY_PAUSE_S: Final = 0.001
"""How often, and how soon, a checkpoint is tried again that met a commit in the middle of its last step."""

WAL_KEPT_FACTOR: Final = 2
"""A WAL file of more than so many times the checkpoint threshold is cut when all of it is in the database."""


class Checkpointer:
    """One per node; its coroutine runs until cancelled."""

    def __init__(
        self,
        store: Store,
        database: Database,
        pipeline: CommitPipeline,
        queue: WriterQueue,
        readers: ReadPool,
        *,
        threshold_mb: int,
        wal_max_mb: int,
        log_retention_mb: int,
        max_slot_lag_mb: int,
        on_old_reader: Callable[[], None],
        on_event: Callable[[str, str], None],
        on_fatal: Callable[[BaseException], None] = lambda error: None,
        on_unexpected: Callable[[BaseException], HeliosError] = lambda error: HeliosError(str(error)),
        sync_file: Callable[[int], None] = os.fsync,
    ) -> None:
        self._store = store
        self._database = database
        self._pipeline = pipeline
        self._queue = queue
        self._readers = readers
        self.configure(
            threshold_mb=threshold_mb,
            wal_max_mb=wal_max_mb,
            log_retention_mb=log_retention_mb,
            max_slot_lag_mb=max_slot_lag_mb,
        )
        self._on_old_reader = on_old_reader
        self._on_event = on_event
        self._on_fatal = on_fatal
        self._on_unexpected = on_unexpected
        self._sync_file = sync_file
        self.hold: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext
        """Keeps everybody else from adding to SQLite's WAL who does so without the writer's token."""
        self.base_copies: dict[str, Lsn] = {}
        """From where the log is held for the nodes that copy the database now, by their names."""
        self.others_write = False
        """Somebody does, to whom SQLite must hand the WAL empty."""
        self.file_held = asyncio.Lock()
        """Held by whoever writes the database file, which is a checkpoint, or needs it as it is. Before the token."""
        self._workers = Workers(pipeline.loop, 1, "checkpoint")
        self._connection = database.connect()
        # A TRUNCATE checkpoint that finds a reader in its way must give up, not hold the writer until it is gone.
        self._connection.set_busy_timeout(0)
        self._file = os.open(database.path, os.O_RDWR)
        self._wanted: list[asyncio.Future[None]] = []
        self._woken = asyncio.Event()
        self._base_frames = 0
        self._again = False
        self._told = ""
        """Why the last attempt failed: told once."""
        self._shrink = False
        self._retry_at = 0.0
        self.complete = True
        """Whether the last checkpoint took in everything; a long reader can prevent it."""
        self._last_at = time.monotonic()
        self.count = 0
        self.last_seconds = 0.0
        self.checkpoint_lsn: Lsn = store.control.record.checkpoint_lsn

    def configure(self, *, threshold_mb: int, wal_max_mb: int, log_retention_mb: int, max_slot_lag_mb: int) -> None:
        """Take over settings, at the start or when they are reloaded."""
        self._threshold_frames = max(64, (threshold_mb << 20) // PAGE_SIZE)
        self._wal_max_frames = (wal_max_mb << 20) // PAGE_SIZE
        self._log_retention = log_retention_mb << 20
        self._max_slot_lag = max_slot_lag_mb << 20

    def request(self) -> asyncio.Future[None]:
        """Ask for a checkpoint now; the future is done when it is on disk."""
        future: asyncio.Future[None] = self._pipeline.loop.create_future()
        self._wanted.append(future)
        self._woken.set()
        return future

    def make_room(self) -> None:
        """The disk is full: checkpoint now and give the WAL's space back, whatever its size."""
        self._shrink = self._again = True
        self._woken.set()

    async def run(self) -> None:
        """Checkpoint whenever there is reason to. An error that nobody foresaw is told of, and the next one tried."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self._step()
            except Exception as error:
                self._failed(self._wanted, self._on_unexpected(error))
                self._wanted = []

    async def _step(self) -> None:
        if self._wanted or self._due():
            await self._once()
        if not self.complete and self._database.capture.frames > self._wal_max_frames:
            self._again = True

    def _due(self) -> bool:
        frames = self._database.capture.frames
        if frames < self._base_frames:
            self._base_frames = 0
        new = frames - self._base_frames
        now = time.monotonic()
        if now < self._retry_at:
            return False
        idle_for = now - self._last_at
        return (
            self._again
            or new >= self._threshold_frames
            or (idle_for > IDLE_SECONDS and self._pipeline.committed_lsn > self.checkpoint_lsn)
        )

    async def _once(self) -> None:
        wanted, self._wanted = self._wanted, []
        self._again = False
        try:
            await self.checkpoint()
        except (HeliosError, apsw.Error, OSError) as error:
            if str(error) != self._told:
                self._told = str(error)
                log.warning("checkpoint failed: %s", error)
            self._failed(wanted, error)
        except Exception as error:
            # What is in the database file is not relied on before its LSN is recorded: the next one may try again.
            self._failed(wanted, self._on_unexpected(error))
        else:
            self._told = ""
            for future in wanted:
                if not future.done():
                    future.set_result(None)

    def _failed(self, wanted: list[asyncio.Future[None]], error: BaseException) -> None:
        """Pause before the next attempt, and tell those who asked for this one."""
        self._retry_at = time.monotonic() + RETRY_SECONDS
        for future in wanted:
            if not future.done():
                future.set_exception(error)

    async def checkpoint(self, *, clean: bool = False) -> None:
        """Bring the database file up to the committed LSN and record it. Raises HeliosError, apsw.Error."""
        async with self.file_held:
            await self._checkpoint(clean)

    async def _checkpoint(self, clean: bool) -> None:
        started = time.monotonic()
        self._last_at = started
        if self._shrink:
            await self._drop_rolled_back()
        await self._bring_ring_forward()
        await self._workers.call(self._passive)
        complete, lsn, table = await self._barrier()
        if table is not None:
            try:
                await self._workers.call(lambda: self._settle(lsn, table, clean))
            except IoFailed as error:
                # The system may have dropped what it could not write, and a second sync would not say so
                # (Rebello et al., USENIX ATC 2020): only redo from the last checkpoint is sure to bring it back.
                self._on_fatal(error)
                raise
        self._base_frames = self._database.capture.frames
        self.complete = complete
        self.count += 1
        self.last_seconds = time.monotonic() - started

    async def _bring_ring_forward(self) -> None:
        """A current reader that fell behind while nobody read would hold the checkpoint back."""
        if self._pipeline.reader() is None:
            landed = asyncio.Event()
            self._pipeline.when_readable(landed.set)
            await self._patiently(landed.wait())
            self._pipeline.reader()

    async def _patiently(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Wait for commits to be committed; whether they are. A standby that hears of nobody has to go on without."""
        if not self.others_write:
            await work
            return True
        try:
            async with asyncio.timeout(FOLLOWER_SECONDS):
                await work
        except TimeoutError:
            return False
        return True

    async def _drop_rolled_back(self) -> None:
        """Cut off what a transaction wrote that did not fit: it may have the room that the checkpoint needs."""
        await self._queue.acquire_async(first=True)
        try:
            # Nobody writes now, and nobody reads behind the last committed frame.
            end = frame_offset(self._database.capture.frames + 1)
            path = self._database.path + "-wal"
            if os.stat(path).st_size > end:
                os.truncate(path, end)
        finally:
            self._queue.release()

    async def _barrier(self) -> tuple[bool, Lsn, ChecksumTable | None]:
        """Hold the writer while the rest is checkpointed; (WAL may restart, LSN, checksums there or None).

        The writer first: a node gives the lead away with the token in hand, and who else adds to the WAL is known
        only when nobody can do that any more.
        """
        await self._queue.acquire_async(first=True)
        try:
            async with self.hold():
                return await self._barrier_held()
        finally:
            self._queue.release()

    async def _barrier_held(self) -> tuple[bool, Lsn, ChecksumTable | None]:
        if not await self._patiently(self._pipeline.quiesce()):
            return False, self._pipeline.committed_lsn, None
        database = self._database
        database.refresh_rings(self._pipeline.committed_seq)
        lsn, table = self._pipeline.committed_lsn, database.checksums.copy()
        if self._pipeline.database_lsn() > lsn:
            # The checksums are those of a state that is not known to be committed: nothing would fit them there.
            return False, lsn, None
        complete = await self._checkpoint_all()
        return complete, lsn, table if complete else None

    async def _checkpoint_all(self) -> bool:
        """While nobody writes: the rest of the WAL into the database file; whether all of it is there now.

        Past wal_max_mb the snapshots that stand in the way are taken from their sessions, all of them: readers that
        take turns would otherwise keep the WAL from ever restarting.
        """
        database = self._database
        too_long = database.capture.frames > self._wal_max_frames
        give_up_at = time.monotonic() + CLEAR_SECONDS
        while True:
            in_wal, done = await self._workers.call(self._passive)
            complete = done == in_wal
            if complete:
                # Pinned on a file that holds everything, the ring keeps no mark: the next write restarts the WAL.
                database.refresh_rings(self._pipeline.committed_seq)
                free = await self._workers.call(lambda: self._cut_wal(always=too_long or self.others_write))
                if free:
                    return True
            if not too_long:
                return complete
            if time.monotonic() > give_up_at:
                self._retry_at = time.monotonic() + RETRY_SECONDS
                return complete
            self._on_old_reader()
            await asyncio.sleep(CLEAR_PAUSE_S)

    def _passive(self) -> tuple[int, int]:
        """Frames in the WAL, and how many of them are in the database file now.

        SQLite says that it is busy when it meets the WAL's index between the two stores with which a commit changes its
        header. That is over in microseconds; to come back in a second would let the WAL grow by all that is written
        until then.
        """
        patience = BUSY_TRIES
        while True:
            try:
                return self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.BusyError:
                patience -= 1
                if not patience:
                    raise
                time.sleep(BUSY_PAUSE_S)

    def _cut_wal(self, *, always: bool) -> bool:
        """SQLite never shortens its WAL by itself: what one large transaction took would stay taken.

        False when it should have been cut and a snapshot stood in the way.
        """
        limit = 0 if always or self._shrink else WAL_KEPT_FACTOR * self._threshold_frames * PAGE_SIZE
        if os.stat(self._database.path + "-wal").st_size > limit:
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.BusyError:
                return False
        self._shrink = False
        return True

    def _settle(self, lsn: Lsn, table: ChecksumTable, clean: bool) -> None:
        try:
            self._sync_file(self._file)
        except OSError as error:
            raise IoFailed(f"could not sync the database file: {error.strerror}", hint="Check the disk.") from error
        self._store.checkpointed(lsn, table, clean=clean)
        self.checkpoint_lsn = lsn
        self.trim_log()

    def trim_log(self) -> None:
        """Remove log segments that nobody needs any more: not recovery, no slot, not the retention setting."""
        store = self._store
        base_copies = dict(self.base_copies)
        for dropped in store.slots.drop_lagging(store.log.end, self._max_slot_lag, spared=base_copies):
            self._on_event("slot_dropped", f"slot {dropped.slot.name} lagged {dropped.lag_bytes} bytes and was dropped")
        keep = removable_below(
            checkpoint=self.checkpoint_lsn,
            committed=self._pipeline.committed_lsn,
            base_copies=base_copies.values(),
            slots=[slot.restart_lsn for slot in store.slots.all()],
            end=store.log.end,
            keep_bytes=self._log_retention,
        )
        try:
            store.log.retain_from(keep)
        except DiskFull as error:
            log.warning("page log could not be trimmed: %s", error)

    def read_file(self, size: int, offset: int) -> bytes:
        """Bytes of the database file, on any thread; SQLite's WAL is not looked at. Fewer at the end of the file."""
        return os.pread(self._file, size, offset)

    def close(self) -> None:
        """End the thread and close the descriptors; after SQLite's connections but the writer's are closed."""
        self._workers.stop()
        self._connection.close(True)

    def close_file(self) -> None:
        """Close the database file's descriptor: only when SQLite has closed it, or its locks would go."""
        os.close(self._file)
