"""Redo: bring the closed SQLite file from a checkpoint to the end of the log.

Records hold absolute page images, so redoing what the file already has does no harm, and only the newest image of
each page needs writing. The database checksum of every record is compared on the way: the state that each one leads
to must be the state that its writer had.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.chain import ChainTracker
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.record import VERIFY_HINT, Record, RecordDamaged, RecordHeader
from helios_cli.engine.ports import File
from helios_cli.engine.storage.files import as_helios_error
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.types import LOCK_BYTE_PAGE, PAGE_SIZE, Lsn

_log = logging.getLogger(__name__)

MAX_PENDING_PAGES: Final = 16384
"""Newest images held before they are written: 64 MiB."""

_SCAN_BYTES: Final = 1 << 20


class RedoResult(NamedTuple):
    """Where a redo arrived."""

    last: RecordHeader | None
    """Header of the last record that took effect; None when there was none to apply."""
    end: Lsn
    """LSN up to which records took effect: behind ``last``, or where the redo began."""
    open_chain: Lsn | None
    """Where a transaction starts whose end is not in the log; its parts had no effect. None when there is none."""
    table: ChecksumTable
    """The checksums of the database at :attr:`end`."""
    records: int
    pages_written: int


class PageWriter:
    """Collects page images, the newest per page, and writes them to the database file in page order."""

    def __init__(self, file: File, max_pages: int = MAX_PENDING_PAGES) -> None:
        self._file = file
        self._max_pages = max_pages
        self._pending: dict[int, bytes] = {}
        self._cut_to: int | None = None
        self._db_pages = file.size() // PAGE_SIZE
        self.pages_written = 0

    def put(self, pages: dict[int, bytes], db_pages: int) -> None:
        """Take the images of a record and the size of the database after it."""
        if db_pages < self._db_pages:
            # A page cut away and grown again without an image reads as zeros, so the cut itself must reach the file.
            self._cut_to = db_pages if self._cut_to is None else min(self._cut_to, db_pages)
            self._pending = {number: data for number, data in self._pending.items() if number <= db_pages}
        self._db_pages = db_pages
        if pages and max(pages) > db_pages:
            pages = {number: data for number, data in pages.items() if number <= db_pages}
        self._pending.update(pages)
        if len(self._pending) >= self._max_pages:
            self._write()

    def _write(self) -> None:
        if self._cut_to is not None and self._cut_to * PAGE_SIZE < self._file.size():
            self._file.truncate(self._cut_to * PAGE_SIZE)
        self._cut_to = None
        for number in sorted(self._pending):
            if number != LOCK_BYTE_PAGE:
                self._file.pwrite(self._pending[number], (number - 1) * PAGE_SIZE)
                self.pages_written += 1
        self._pending = {}

    def finish(self, db_pages: int) -> None:
        """Write what is left, make the file exactly ``db_pages`` long, and sync it."""
        self._write()
        if self._file.size() != db_pages * PAGE_SIZE:
            self._file.truncate(db_pages * PAGE_SIZE)
        self._file.sync()


def redo(
    log: PageLog,
    database: File,
    checkpoint: Lsn,
    table: ChecksumTable | None,
    *,
    end: Lsn | None = None,
    progress: Callable[[Lsn], None] | None = None,
    max_pending_pages: int = MAX_PENDING_PAGES,
) -> RedoResult:
    """Apply the records from ``checkpoint`` to ``end`` (None: all) to the file of a closed database, and sync it.

    ``table`` is the database's checksums at ``checkpoint``; it is changed in place and handed back. None when they
    are lost: then nothing is compared on the way, and the whole file is read at the end and compared once. So it is
    when they turn out not to be those of the file. ``progress`` is told the LSN after each record that took effect.

    Raises:
        LogDamaged: a record is unreadable, or leads to another state than its writer had; the message names its
            LSN. The file may then hold some of the pages.
        LogRemoved: the log does not reach back to ``checkpoint``.
        DiskFull, IoFailed: the file system refused.
    """
    try:
        return _redo(log, database, checkpoint, table, end, progress, max_pending_pages)
    except RecordDamaged as error:
        if table is None:
            raise
        _log.warning("%s: the whole database is read", error.message)
    return _redo(log, database, checkpoint, None, end, progress, max_pending_pages)


def _redo(
    log: PageLog,
    database: File,
    checkpoint: Lsn,
    table: ChecksumTable | None,
    end: Lsn | None,
    progress: Callable[[Lsn], None] | None,
    max_pending_pages: int,
) -> RedoResult:
    writer = PageWriter(database, max_pending_pages)
    tracker = ChainTracker()
    last: RecordHeader | None = None
    prev: RecordHeader | None = None
    count = 0
    try:
        for record in log.records(checkpoint, end):
            header = record.header
            if prev is not None and not header.follows(prev):
                raise LogDamaged(f"page log record at {header.lsn} does not continue the one before", hint=VERIFY_HINT)
            prev = header
            start = tracker.feed(header)
            if start is None:
                continue
            _apply(log, record, start, writer, table)
            last = header
            count += 1
            if progress is not None:
                progress(header.end)
        if last is None:
            final = scan_database(database, database.size() // PAGE_SIZE) if table is None else table
        else:
            writer.finish(last.db_pages)
            final = _verified_scan(database, last) if table is None else table
    except OSError as error:
        raise as_helios_error(error, "redo the page log into the database file") from error
    return RedoResult(
        last, checkpoint if last is None else last.end, tracker.open_start, final, count, writer.pages_written
    )


def _apply(log: PageLog, record: Record, start: Lsn, writer: PageWriter, table: ChecksumTable | None) -> None:
    """Apply one record, or the chain that it closes, reading the chain's parts again so that none wait in memory."""
    header = record.header
    for part in chain(log.records(start, header.lsn), (record,)):
        pages = part.pages()
        if table is not None:
            table.apply(pages, header.db_pages)
        writer.put(pages, header.db_pages)
    if table is not None and table.total != header.db_checksum:
        raise _mismatch(header, table.total)


def newest_in(log: PageLog, found: ChecksumTable, table: ChecksumTable, start: Lsn) -> Lsn | None:
    """Where a redo has to end for a file that holds some pages of records behind ``start``; None when they are not it.

    ``found`` are the checksums of the file, redone up to ``start``, and ``table`` those that the database had there.
    Both are changed. It is the first end at which no page is left that only a later record can explain.

    Raises:
        LogDamaged: a record is unreadable.
    """
    tracker = ChainTracker()
    for record in log.records(start):
        header = record.header
        begin = tracker.feed(header)
        if begin is None:
            continue
        for part in chain(log.records(begin, header.lsn), (record,)):
            pages = part.pages()
            found.apply(pages, header.db_pages)
            table.apply(pages, header.db_pages)
        if found.total == table.total:
            return header.end
    return None


def _mismatch(header: RecordHeader, found: int) -> RecordDamaged:
    return RecordDamaged(
        header.lsn,
        f"the database has checksum {found:016x} after it instead of {header.db_checksum:016x}",
        hint="Restore the data directory from a backup.",
    )


def _verified_scan(database: File, last: RecordHeader) -> ChecksumTable:
    table = scan_database(database, last.db_pages)
    if table.total != last.db_checksum:
        raise _mismatch(last, table.total)
    return table


def scan_database(database: File, db_pages: int) -> ChecksumTable:
    """The checksums of a database file, read from the file; SQLite's WAL is not looked at."""

    def chunks() -> Iterator[bytes]:
        at, size = 0, db_pages * PAGE_SIZE
        while at < size and (chunk := database.pread(min(_SCAN_BYTES, size - at), at)):
            yield chunk
            at += len(chunk)

    return ChecksumTable.scan(chunks(), db_pages)
