"""A standby's thread: puts the primary's records into its own log, syncs, applies them, and says how far it is.

What is applied is not shown before it is committed: each run of records becomes a boundary with a reader pinned at it,
like a commit of this node's own. While as many boundaries wait as the ring has readers for, applying waits a little,
and then goes on without pinning.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain
from typing import Any, Final

from helios_cli.engine.errors import DiskFull, HeliosError, LogDamaged
from helios_cli.engine.log.batch import Batch, Change
from helios_cli.engine.log.chain import ChainTracker
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.log.record import (
    Buffer,
    Kind,
    Record,
    RecordHeader,
    decode_header,
    peek_lsn,
)
from helios_cli.engine.node.divergence import Diverged, check, diverged_at
from helios_cli.engine.replication.config import ClusterConfig
from helios_cli.engine.storage.applier import WalApplier
from helios_cli.engine.storage.configlog import ConfigLog
from helios_cli.engine.storage.database import Commit, Database
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.timeline import Timeline
from helios_cli.engine.types import Lsn

log = logging.getLogger(__name__)

UNPINNED_AFTER_S: Final = 0.05
"""How long there may be no reader free for a boundary before it is applied without one."""

RUN_PAGES: Final = 2048
"""Page images merged into one boundary: 8 MiB."""

REPAIRS_MAX: Final = 3
"""In one life of the node; after that the database is copied."""

NO_ROOM_S: Final = 1.0
"""How often a full disk is tried again."""

BATCH_BYTES: Final = 4 << 20
"""Records that are synced at once."""

_SCHEMA_COOKIE_BYTES: Final = 4
_SCHEMA_COOKIE_AT: Final = 40
"""In page 1: changed with every change of the schema (sqlite.org/fileformat2.html, 1.3)."""


class WalApplicator:
    """Flushes and applies what :meth:`feed` brings, in order. Its callbacks run on the loop."""

    def __init__(
        self,
        page_log: PageLog,
        timeline: Timeline,
        configs: ConfigLog,
        database: Database,
        loop: asyncio.AbstractEventLoop,
        *,
        applied: Lsn,
        boundaries_max: int,
        on_flushed: Callable[[bytes], None],
        on_applied: Callable[[Commit], None],
        on_failed: Callable[[BaseException], None],
    ) -> None:
        """``applied`` is the LSN that the database is at; what the log holds behind it is applied first."""
        self.written = page_log.end
        """Behind the last record that was fed."""
        self.position = (applied, database.checksums.total)
        """Where the database is, and its checksum there."""
        self.records_applied = 0
        self.pages_applied = 0
        self.syncs = 0
        self.applied_us = 0
        """When the newest transaction that was applied was committed, by the primary's clock; 0 before the first."""
        self._log = page_log
        self._timeline = timeline
        self._configs = configs
        self._database = database
        self._loop = loop
        self._on_flushed = on_flushed
        self._on_applied = on_applied
        self._on_failed = on_failed
        self._applier = WalApplier(database.path, database.connect)
        self._cookie = b""
        self._version_page = 0
        """Where the version of the catalogs is kept, which changes with every DDL; 0: not looked for yet."""
        self._tracker = ChainTracker()
        self._last: RecordHeader | None = None
        self._room = boundaries_max
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._in_hand = b""
        """Taken from the queue, and not on disk yet."""
        self._changed = threading.Condition()
        self.on_diverged: Callable[[tuple[Diverged, RecordHeader, ChecksumTable]], None] = lambda found: self.repaired(
            {}, Lsn(0)
        )
        """A record led to another state than on the primary: told on the loop, and :meth:`repaired` waited for."""
        self.on_refused: Callable[[LogDamaged], None] = lambda error: None
        """Records that were received are damaged, or do not continue the log: told on the loop."""
        self.on_no_room: Callable[[DiskFull], None] = lambda error: None
        """The disk is full, which is told on the loop every second until it is not."""
        self.failure: BaseException | None = None
        """Why the thread has ended though nobody told it to."""
        self.repairs = 0
        self._answer: tuple[dict[int, bytes], Lsn] | None = None
        self._trusted_from = Lsn(0)
        """After a repair: where the checksum must be right again. Some pages are right only there."""
        self._logged_only = False
        self._pausing = False
        self._paused = False
        self._finishing = False
        self._giving_up = False
        self._thread = threading.Thread(target=self._run, name="applicator", daemon=True)

    # On the loop -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def applied(self) -> Lsn:
        """Where the database is."""
        return self.position[0]

    @property
    def queued_bytes(self) -> int:
        """Bytes that were fed and are not on disk yet."""
        return self._queued_bytes

    def history(self) -> History:
        """The terms of all that was fed: those on disk, and those whose first record still waits for it."""
        with self._changed:
            waiting = (self._in_hand, *self._queue)
            history = self._timeline.history
        for data in waiting:
            for start in _term_starts(data):
                if start not in history.starts:
                    history = history.cut_at(start.start).followed_by(*start)
        return history

    def feed(self, data: bytes) -> None:
        """Take whole records that continue what was fed before."""
        with self._changed:
            if peek_lsn(data) != self.written:
                # Behind records that were refused: whoever sent them is asked again from the log's end.
                return
            self.written = Lsn(self.written + len(data))
            self._queue.append(data)
            self._queued_bytes += len(data)
            self._changed.notify_all()

    def repaired(self, pages: dict[int, bytes], trusted_from: Lsn) -> None:
        """The answer to :attr:`on_diverged`; without pages it was not to be had."""
        with self._changed:
            self._answer = (pages, trusted_from)
            self._changed.notify_all()

    def release(self, boundaries: int) -> None:
        """So many boundaries with a reader are committed: the readers are free for others."""
        with self._changed:
            self._room += boundaries
            self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """While nothing is applied, as a checkpoint needs it."""
        with self._changed:
            self._pausing = True
            self._changed.notify_all()
        try:
            while not self._paused and self._thread.is_alive():
                await asyncio.sleep(0.0005)
            yield
        finally:
            with self._changed:
                self._pausing = False
                self._changed.notify_all()

    def finish(self) -> None:
        """Flush and apply all that was fed, then end the thread. Blocks; boundaries must be released meanwhile."""
        self._end(giving_up=False)

    def stop(self) -> None:
        """End the thread after the batch in hand. Blocks."""
        self._end(giving_up=True)

    def close(self) -> None:
        """Let go of SQLite's WAL, after the thread has ended."""
        self._applier.close()

    def _end(self, *, giving_up: bool) -> None:
        with self._changed:
            self._finishing = True
            self._giving_up = self._giving_up or giving_up
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    # On the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._last = self._log.last
            self._logged_only = True
            self._apply_logged()
            while batch := self._take():
                self._reserve(len(batch))
                try:
                    checked = self._checked(batch)
                except LogDamaged as error:
                    self._refuse(error)
                    continue
                self._log.write_through(batch)
                self._in_hand = b""
                self.syncs += 1
                self._post(self._on_flushed, batch)
                self._apply(checked)
                self._apply_logged()
        except _GivenUp:
            pass
        except BaseException as error:
            self.failure = error
            self._post(self._on_failed, error)

    def _reserve(self, size: int) -> None:
        """Wait until the log has room for so much. Nothing is read meanwhile, and checkpoints may make some."""
        while True:
            try:
                return self._log.reserve(size)
            except DiskFull as error:
                self._post(self.on_no_room, error)
            with self._changed:
                while True:
                    self._paused = self._pausing
                    if not (self._changed.wait(NO_ROOM_S) or self._pausing) or self._finishing:
                        break
                self._paused = False
                if self._finishing:
                    # What is not on disk was not acknowledged: whoever leads next may have it.
                    raise _GivenUp

    def _refuse(self, error: LogDamaged) -> None:
        """What came is not what the node that is followed has written: nothing of it is taken."""
        with self._changed:
            self._queue.clear()
            self._queued_bytes = 0
            self._in_hand = b""
            self.written = self._log.end
        self._last = self._log.last
        self._post(self.on_refused, error)

    def _apply_logged(self) -> None:
        """Apply what went into the log alone, while a repair was waited for."""
        while self._logged_only:
            self._logged_only = False
            at = self.applied
            while data := self._log.chunk(at, BATCH_BYTES):
                self._apply(Batch(data, at, None))
                at = Lsn(at + len(data))

    def _post(self, callback: Callable[[Any], None], argument: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, argument)

    def _take(self) -> bytes:
        """What waits, up to a batch; empty at the end."""
        with self._changed:
            while self._pausing or not self._queue:
                if self._giving_up or (self._finishing and not self._queue and not self._pausing):
                    return b""
                self._paused = self._pausing
                self._changed.wait()
            self._paused = False
            taken, size = [], 0
            while self._queue and size < BATCH_BYTES:
                taken.append(self._queue.popleft())
                size += len(taken[-1])
            self._queued_bytes -= size
            self._in_hand = taken[0] if len(taken) == 1 else b"".join(taken)
            return self._in_hand

    def _checked(self, data: bytes) -> Batch:
        """The records, each verified and found to continue the one before."""
        batch = Batch(data, self._log.end, self._last)
        for change in batch.changes:
            header = change.header
            if header is None:
                continue
            if header.kind is Kind.TERM_START:
                self._timeline.begins(header.term, header.lsn)
            elif header.kind is Kind.CONFIG:
                text = batch.record(change).text()
                self._configs.append(header.end, ClusterConfig.from_bytes(text), header.committed_lsn)
        self._last = batch.header(batch.changes[-1])
        return batch

    def _apply(self, batch: Batch) -> None:
        run: dict[int, Buffer] = {}
        newest: Change | None = None
        pins = False
        table = self._database.checksums
        for change in batch.changes:
            if change.header is None:
                self._tracker.plain()
            else:
                start = self._tracker.feed(change.header)
                if start is None:
                    continue
                if start != change.header.lsn:
                    if newest is not None:
                        self._publish((run,), batch.header(newest), pins)
                        run, newest = {}, None
                    self._apply_chain(start, batch.record(change))
                    continue
            if newest is None:
                pins = self._take_room()
            pages = batch.pages(change)
            run.update(pages)
            if table.apply(pages, change.db_pages) != change.db_checksum and change.end >= self._trusted_from:
                run.update(self._repair(batch.header(change)))
            newest = change
            self.records_applied += 1
            if len(run) >= RUN_PAGES:
                self._publish((run,), batch.header(newest), pins)
                run, newest = {}, None
        if newest is not None:
            self._publish((run,), batch.header(newest), pins)

    def _repair(self, header: RecordHeader) -> dict[int, bytes]:
        """The record led to another state than on the primary: the pages that make it right.

        Nothing is applied until they are there; what comes meanwhile goes into the log, and is applied from there.

        Raises:
            Diverged: they could not be had.
        """
        table = self._database.checksums
        diverged = diverged_at(header, table.total)
        self.repairs += 1
        if self.repairs > REPAIRS_MAX:
            raise diverged
        self._answer = None
        self._post(self.on_diverged, (diverged, header, table.copy()))
        while (answer := self._answer) is None:
            batch = self._take_or_answer(diverged)
            if batch:
                self._checked(batch)
                self._log.write_through(batch)
                self._in_hand = b""
                self._logged_only = True
                self._post(self._on_flushed, batch)
        pages, trusted_from = answer
        if not pages:
            raise diverged
        self._trusted_from = trusted_from
        table.apply(pages, header.db_pages)
        if header.end >= trusted_from:
            check(header, table.total)
        return pages

    def _take_or_answer(self, diverged: Diverged) -> bytes:
        with self._changed:
            while not self._queue and self._answer is None:
                if self._giving_up:
                    raise _GivenUp
                if self._finishing:
                    raise diverged
                self._changed.wait()
            if not self._queue:
                return b""
            batch = self._queue.popleft()
            self._queued_bytes -= len(batch)
            self._in_hand = batch
            return batch

    def _apply_chain(self, start: Lsn, end: Record) -> None:
        """Apply a large transaction, reading its parts from the log again, so that none of them waits in memory."""
        header = end.header
        table = self._database.checksums

        def parts() -> Iterator[dict[int, bytes]]:
            for part in chain(self._log.records(start, header.lsn), (end,)):
                pages = part.pages()
                table.apply(pages, header.db_pages)
                yield pages
            if header.end >= self._trusted_from:
                check(header, table.total)

        self.records_applied += 1
        self._publish(parts(), header, self._take_room())

    def _take_room(self) -> bool:
        """Wait until there is room for one more boundary; whether a reader may be pinned at it.

        Taken before anything of the run is applied to the table of checksums, so that a checkpoint may come meanwhile.
        """
        waits_until = time.monotonic() + UNPINNED_AFTER_S
        with self._changed:
            while (self._room <= 0 or self._pausing) and not (self._finishing and not self._giving_up):
                if self._giving_up:
                    raise _GivenUp
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

    def _publish(self, parts: Any, header: RecordHeader, pins: bool) -> None:
        """Make the state after ``header`` the newest in SQLite, with a reader pinned at it."""
        database = self._database
        applier = self._applier
        schema_changed = False
        counted = 0

        def watched() -> Iterator[dict[int, Buffer]]:
            nonlocal schema_changed, counted
            for pages in parts:
                counted += len(pages)
                if 1 in pages:
                    schema_changed = self._new_cookie(pages[1]) or schema_changed
                if self._version_page in pages:
                    schema_changed = True
                yield pages

        try:
            with database.commit_lock:
                before = applier.frames()
                frames = applier.apply_parts(watched(), header.db_pages)
                database.commit_seq += 1
                if frames != before:
                    database.changed_seq = database.commit_seq
                    database.capture.note(frames, applier.salts())
                if schema_changed:
                    database.ring.wanted += 1
                reader = database.ring.pin_boundary() if pins else None
                if pins and reader is None:
                    # Nobody reads.
                    self.release(1)
                commit = Commit(database.commit_seq, reader, header.end, schema_changed=schema_changed)
        finally:
            database.after_lock()
        if schema_changed:
            self._version_page = self._find_version_page()
        self.position = (header.end, header.db_checksum)
        self.applied_us = header.wall_us
        self.pages_applied += counted
        self._post(self._on_applied, commit)

    def _find_version_page(self) -> int:
        connection = self._database.borrow()
        try:
            row = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'helios_meta'").fetchone()
        finally:
            self._database.give_back(connection)
        return int(row[0]) if row is not None else 0

    def _new_cookie(self, page: Buffer) -> bool:
        cookie = bytes(page[_SCHEMA_COOKIE_AT : _SCHEMA_COOKIE_AT + _SCHEMA_COOKIE_BYTES])
        changed, self._cookie = cookie != self._cookie, cookie
        return changed


def _term_starts(data: bytes) -> Iterator[TermStart]:
    """The terms that begin in records which nobody has checked yet; nothing from where they make no sense."""
    at = 0
    with contextlib.suppress(HeliosError):
        while at < len(data):
            header = decode_header(data, at)
            if header.kind is Kind.TERM_START:
                yield TermStart(header.term, header.lsn)
            at += header.length


class _GivenUp(Exception):
    """The thread is told to end while it waits for room."""
