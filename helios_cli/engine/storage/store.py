"""Opening a data directory: birth, recovery, and the database that comes out of it.

SQLite's WAL is a cache. After a crash it is discarded, the database file is taken as of the last checkpoint, and the
log is redone from there. The database checksum proves the end state, the same way for every kind of node.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.controlrecord import ControlRecord
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.ports import File, Files
from helios_cli.engine.storage.configlog import ConfigLog
from helios_cli.engine.storage.connection import create_database
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.redo import RedoResult, newest_in, redo, scan_database
from helios_cli.engine.storage.slots import SlotStore
from helios_cli.engine.storage.timeline import Timeline
from helios_cli.engine.types import Lsn, Term

log = logging.getLogger(__name__)

DATABASE_NAME: Final = "helios.db"


@dataclass(slots=True)
class Recovery:
    """What opening a data directory found and did."""

    born: bool
    """The directory was empty; a database has been made."""
    clean: bool
    """The node had been stopped in order."""
    records: int
    """Records redone."""
    pages: int
    """Pages written by the redo."""
    dropped_bytes: int
    """Bytes of a torn tail cut off the log."""
    end: Lsn
    """Where the log ends."""
    applied: Lsn
    """Where the database is; what the log holds behind it is not known to be committed."""
    committed: Lsn
    """Up to where that is known to be: less than ``applied`` on a node that went back to where two logs parted."""


def refuse_remains(files: Files, control_dir: str, log_dir: str, db_path: str) -> None:
    """Raises LogDamaged where there is no control file, but a page log or a database."""
    if files.listdir(log_dir):
        raise LogDamaged(
            f"{control_dir} has no control file, but {log_dir} holds a page log",
            hint="Restore the control file from a backup, or start with an empty data directory.",
        )
    if os.path.exists(db_path):
        raise LogDamaged(
            f"{control_dir} has no control file, but there is a database at {db_path}",
            hint="Restore the control file and the page log from a backup, or start with an empty data directory.",
        )


class Store:
    """The durable parts of a node: control file, page log, database file, slots. No SQLite connection is open."""

    def __init__(
        self,
        directory: str,
        *,
        files: Files | None = None,
        database_dir: str | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
        segment_bytes: int = 16 << 20,
        cluster_id: bytes | None = None,
        committed_only: bool = False,
    ) -> None:
        """Open and recover. ``database_dir`` is where SQLite's files are, None: ``db`` in the directory.

        ``cluster_id`` is the cluster that an empty directory joins; None founds one. ``committed_only`` leaves out what
        is in the log and not known to be committed, for a node that may have to take it back.

        Raises HeliosError for whatever stands in the way.
        """
        self.directory = directory
        self.files = files if files is not None else OsFiles()
        self._random_bytes = random_bytes
        self._committed_only = committed_only
        self._segment_bytes = segment_bytes
        self.log_dir = f"{directory}/log"
        self.control_dir = f"{directory}/control"
        database_dir = database_dir or f"{directory}/db"
        self.db_path = f"{database_dir}/{DATABASE_NAME}"
        os.makedirs(database_dir, mode=0o700, exist_ok=True)
        born = not ControlFile.exists(self.files, self.control_dir)
        self.control = self._create_control(cluster_id) if born else ControlFile.open(self.files, self.control_dir)
        record = self.control.record
        self.log = PageLog.open(
            self.files,
            self.log_dir,
            cluster_id=record.cluster_id,
            segment_bytes=segment_bytes,
            flushed_floor=record.flushed_lsn,
            own_term=record.own_term,
        )
        self.slots = SlotStore.open(self.files, self.control_dir)
        self.timeline = Timeline.open(self.files, self.control_dir, self.log)
        self.configs = ConfigLog(self.files, self.control_dir, self.log.end)
        # A log without a record says nothing; what a checkpoint has recorded is a database all the same.
        is_empty = self.log.last is None and self.control.record.checkpoint_lsn == 0
        self.checksums, self.recovery = self._recover(born or is_empty)

    def _create_control(self, cluster_id: bytes | None) -> ControlFile:
        refuse_remains(self.files, self.control_dir, self.log_dir, self.db_path)
        record = ControlRecord(cluster_id=cluster_id or self._random_bytes(16), incarnation=self._random_bytes(16))
        return ControlFile.create(self.files, self.control_dir, record)

    def _recover(self, born: bool) -> tuple[ChecksumTable, Recovery]:
        record = self.control.record
        if born:
            self._empty_database()
            end = self.log.end
            return ChecksumTable(), Recovery(True, True, 0, 0, self.log.dropped_bytes, end, end, end)
        self._discard_cache()
        # Without a page at the checkpoint it may have been on its way to being made anew.
        database = OsFiles().open(self.db_path, create=record.db_pages == 0)
        try:
            table = self.control.load_checksums()
            result = redo(self.log, database, record.checkpoint_lsn, table, end=self._redo_end(record))
            committed = min(self._known_committed(record), result.end)
            more = None if record.clean else self._verify_file(database, result)
            if more is not None:
                result, committed = more, more.end
        finally:
            database.close()
        if not result.table.pages:
            # Nothing is known to be committed; a checkpoint may have brought pages of what is not into the file.
            self._empty_database()
        known = max(record.committed_lsn, committed) if more is not None else record.committed_lsn
        self.control.checkpoint(result.end, result.table, flushed_lsn=self.log.end, committed_lsn=known)
        recovery = Recovery(
            False, record.clean, result.records, result.pages_written, self.log.dropped_bytes, self.log.end,
            result.end, committed,
        )  # fmt: skip
        return result.table, recovery

    def _redo_end(self, record: ControlRecord) -> Lsn | None:
        if not self._committed_only or self.log.last is None:
            return None
        return max(record.checkpoint_lsn, self._known_committed(record))

    def _known_committed(self, record: ControlRecord) -> Lsn:
        if not self._committed_only or self.log.last is None:
            return self.log.end
        return max(record.committed_lsn, self.log.last.committed_lsn)

    def _verify_file(self, database: File, result: RedoResult) -> RedoResult | None:
        """After an unclean stop: the pages in the file must be the pages the records led to.

        A checkpoint writes what is committed, of which the log may say so only in a record that was never made. Then
        the file proves it, and what comes back is a redo that goes on as far as the file has come.
        """
        table = result.table
        found = scan_database(database, table.pages)
        if found.total == table.total:
            return None
        pages = found.differing(table)
        end = newest_in(self.log, found, table.copy(), result.end)
        if end is None:
            raise LogDamaged(
                f"the database file differs from its log on {len(pages)} pages, the first is page {pages[0]}",
                hint="Restore the data directory from a backup.",
            )
        more = redo(self.log, database, result.end, table, end=end)
        return more._replace(
            records=result.records + more.records, pages_written=result.pages_written + more.pages_written
        )

    def _empty_database(self) -> None:
        self._discard_cache(and_database=True)
        create_database(self.db_path)

    def _discard_cache(self, *, and_database: bool = False) -> None:
        # SQLite makes a new database with a journal. If a power cut brings that back, it is rolled back to no page.
        cache = ("-wal", "-shm", "-journal")
        for suffix in (*cache, "") if and_database else cache:
            if os.path.exists(self.db_path + suffix):
                os.unlink(self.db_path + suffix)

    def new_term(self, floor: int = 0) -> Term:
        """Take the next term, above ``floor`` too, on disk before it is used.

        A node never writes on in the term of before its start: what it had sent to others and not synced could then
        exist twice under one LSN.
        """
        term = Term(max(self.control.record.term.number, floor) + 1, int.from_bytes(self._random_bytes(8), "little"))
        self._take(term, "", is_own=True)
        return term

    def promise(self, term: Term, voted_for: str = "") -> None:
        """Never again act in an older term than this one; on disk when this returns.

        ``voted_for`` may lead in it; empty: whoever was promised that before, while this node knows nothing newer.
        """
        self._take(term, voted_for, is_own=False)

    def _take(self, term: Term, voted_for: str, *, is_own: bool) -> None:
        self.control.update(term=term, clean=False, voted_for=voted_for or self.voted_for, is_own_term=is_own)

    @property
    def voted_for(self) -> str:
        """The node that was promised that it may lead, and of whose term the log holds nothing; empty: none."""
        record, last = self.control.record, self.log.last
        return record.voted_for if last is None or record.term > last.term else ""

    def encoder(self, term: Term) -> RecordEncoder:
        """Makes the records that follow the log's end."""
        table = self.checksums
        encoder = RecordEncoder(
            term, last=self.log.last, db_pages=table.pages, db_checksum=table.total, first_lsn=self.log.end
        )
        encoder.flushed_lsn = self.log.flushed
        return encoder

    def checkpointed(self, lsn: Lsn, table: ChecksumTable, *, clean: bool = False) -> None:
        """Record a checkpoint whose pages are in the database file and synced."""
        self.control.checkpoint(
            lsn, table, clean=clean, flushed_lsn=max(lsn, self.control.record.flushed_lsn), committed_lsn=lsn
        )

    def close(self) -> None:
        """Release the files."""
        self.log.close()
        self.timeline.close()
        self.configs.close()
        self.control.close()
