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
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any, Final, TypeVar

from helios_cli.engine.consensus.config import ClusterConfig
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
)
from helios_cli.engine.node.apply_queue import BATCH_BYTES, ApplyQueue, GivenUp
from helios_cli.engine.node.divergence import Diverged, check, diverged_at
from helios_cli.engine.storage.applier import WalApplier
from helios_cli.engine.storage.configlog import ConfigLog
from helios_cli.engine.storage.database import Commit, Database
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.timeline import Timeline
from helios_cli.engine.types import Lsn

log = logging.getLogger(__name__)

T = TypeVar("T")

RUN_PAGES: Final = 2048
"""Page images merged into one boundary: 8 MiB."""

REPAIRS_MAX: Final = 3
"""In one life of the node; after that the database is copied."""

NO_ROOM_S: Final = 1.0
"""How often a full disk is tried again."""

_SCHEMA_VERSION: Final = slice(40, 44)
_CATALOG_VERSION: Final = slice(60, 64)
"""In page 1: change with every change of SQLite's schema, and of the catalogs (sqlite.org/fileformat2.html, 1.3: the
schema cookie, and the "user version")."""


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
        """``applied`` is the LSN that the database is at.

        What the log holds behind it is applied first, once somebody is heard (:meth:`ApplyQueue.let_go`) or this node
        leads. SQLite shows its newest state alone to queries on threads, and nobody may see this one before.
        """
        self.queue = ApplyQueue(page_log.end, boundaries_max, held=applied < page_log.end)
        self._began_at = page_log.end
        self.position = (applied, database.checksums.total)
        """Where the database is, and its checksum there."""
        self.records_applied = 0
        self.pages_applied = 0
        self.syncs = 0
        self.writing_since = 0.0
        """By the loop's clock, while a batch is on its way to the disk; else 0."""
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
        self._version = b""
        """What page 1 said of the schema and of the catalogs when it was last applied."""
        self._tracker = ChainTracker()
        self._last: RecordHeader | None = None
        self.on_diverged: Callable[[tuple[Diverged, RecordHeader, ChecksumTable]], None] = lambda found: self.repaired(
            {}, Lsn(0)
        )
        """A record led to another state than on the primary: told on the loop, and :meth:`repaired` waited for."""
        self.on_refused: Callable[[LogDamaged], None] = lambda error: None
        """Records that were received are damaged, or do not continue the log: told on the loop."""
        self.on_no_room: Callable[[DiskFull], None] = lambda error: None
        """The disk is full, which is told on the loop every second until it is not."""
        self.failure: BaseException | None = None
        """Why the thread has ended though nobody told it to, or though what is in the log is not applied."""
        self.repairs = 0
        self._answer: tuple[dict[int, bytes], Lsn] | None = None
        self._trusted_from = Lsn(0)
        """After a repair: where the checksum must be right again. Some pages are right only there."""
        self._logged_only = False
        self._has_unapplied = False
        """Records on disk wait for room in SQLite's WAL."""
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
    def said(self) -> Lsn:
        """What this node may have said to have applied, in this life of it or the one before."""
        return max(self.applied, self._began_at)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def history(self) -> History:
        """The terms of all that was fed: those on disk, and those whose first record still waits for it."""
        unwritten = self.queue.unwritten()
        history = self._timeline.history
        for data in unwritten:
            for start in _term_starts(data):
                if start not in history.starts:
                    history = history.cut_at(start.start).followed_by(*start)
        return history

    def repaired(self, pages: dict[int, bytes], trusted_from: Lsn) -> None:
        """The answer to :attr:`on_diverged`; without pages it was not to be had."""
        self._answer = (pages, trusted_from)
        self.queue.wake()

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
        self.queue.end(giving_up=giving_up)
        if self._thread.is_alive():
            self._thread.join()

    # On the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._last = self._log.last
            self._logged_only = True
            self.queue.wait_until_let_go()
            self._apply_logged()
            while batch := self.queue.take():
                try:
                    checked = self._with_room(partial(self._reserved_and_checked, batch))
                except LogDamaged as error:
                    self._refuse(error)
                    continue
                # Without room for its record a transaction is not acknowledged: whoever leads next may have it.
                self._write(batch)
                self._apply(checked)
                self._apply_logged()
        except GivenUp as end:
            if self._has_unapplied:
                self.failure = end.__cause__
        except BaseException as error:
            self.failure = error
            self._post(self._on_failed, error)

    def _reserved_and_checked(self, data: bytes) -> Batch:
        self._log.reserve(len(data))
        return self._checked(data)

    def _write(self, batch: bytes) -> None:
        self.writing_since = self._loop.time()
        self._log.write_through(batch)
        self.writing_since = 0.0
        self.queue.is_written()
        self.syncs += 1
        self._post(self._on_flushed, batch)

    def _with_room(self, attempt: Callable[[], T], *, pausable: bool = True) -> T:
        """Try again while the disk is full. Nothing is taken meanwhile, and checkpoints may make room.

        Raises:
            GivenUp: there was none before the end; its cause is the error.
        """
        while True:
            try:
                return attempt()
            except DiskFull as error:
                self._post(self.on_no_room, error)
                self.queue.wait(NO_ROOM_S, pausable=pausable)
                if self.queue.finishing:
                    raise GivenUp from error

    def _refuse(self, error: LogDamaged) -> None:
        """What came is not what the node that is followed has written: nothing of it is taken."""
        self.queue.refuse(self._log.end)
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
        for index, change in enumerate(batch.changes):
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
                pins = self._begin_boundary(_frames_of_run(batch.changes, index))
            if change.pages == 1:
                page_no, image = batch.page(change)
                run[page_no] = image
                total = table.apply_page(page_no, image, change.db_pages)
            else:
                pages = batch.pages(change)
                run.update(pages)
                total = table.apply(pages, change.db_pages)
            if total != change.db_checksum and change.end >= self._trusted_from:
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
            batch = self.queue.take_unless(lambda: self._answer is not None)
            if batch is None:
                raise diverged
            if batch:
                # A checkpoint would find the table of checksums ahead of the database.
                self._with_room(partial(self._reserved_and_checked, batch), pausable=False)
                self._write(batch)
                self._logged_only = True
        pages, trusted_from = answer
        if not pages:
            raise diverged
        self._trusted_from = trusted_from
        table.apply(pages, header.db_pages)
        if header.end >= trusted_from:
            check(header, table.total)
        return pages

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
        self._publish(parts(), header, self._begin_boundary(self._tracker.pages))

    def _begin_boundary(self, frames: int) -> bool:
        """Wait until SQLite's WAL and the ring have room for one more; whether a reader may be pinned at it.

        Before anything of it is applied to the table of checksums, so that a checkpoint may come meanwhile.
        """
        self._has_unapplied = True
        self._with_room(partial(self._applier.reserve, frames))
        self._has_unapplied = False
        return self.queue.take_reader()

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
                    schema_changed = self._new_version(pages[1]) or schema_changed
                yield pages

        try:
            with database.commit_lock:
                before = applier.frames()
                frames = applier.apply_parts(watched(), header.db_pages)
                database.commit_seq += 1
                if frames != before:
                    database.changed_seq = database.commit_seq
                    database.capture.note(frames, applier.salts())
                reader = database.ring.pin_boundary(schema_changed=schema_changed) if pins else None
                if pins and reader is None:
                    # Nobody reads.
                    self.queue.release(1)
                others = database.pin_others(schema_changed=schema_changed) if pins and database.others else ()
                commit = Commit(
                    database.commit_seq, reader, others, header.end, schema_changed=schema_changed,
                    db_checksum=header.db_checksum,
                )  # fmt: skip
        finally:
            database.after_lock()
        self.position = (header.end, header.db_checksum)
        self.applied_us = header.wall_us
        self.pages_applied += counted
        self._post(self._on_applied, commit)

    def _new_version(self, page: Buffer) -> bool:
        version = bytes(page[_SCHEMA_VERSION]) + bytes(page[_CATALOG_VERSION])
        changed, self._version = version != self._version, version
        return changed


def _frames_of_run(changes: Sequence[Change], first: int) -> int:
    """The most that the run which begins with that change can put into SQLite's WAL."""
    counts = [change.pages for change in islice(changes, first, None)]
    return min(sum(counts), RUN_PAGES + max(counts))


def _term_starts(data: bytes) -> Iterator[TermStart]:
    """The terms that begin in records which nobody has checked yet; nothing from where they make no sense."""
    at = 0
    with contextlib.suppress(HeliosError):
        while at < len(data):
            header = decode_header(data, at)
            if header.kind is Kind.TERM_START:
                yield TermStart(header.term, header.lsn)
            at += header.length
