"""The files of a node that is being copied from another: closed to everybody, and good for nothing until it is whole.

The control file says so before the first page is written (``copying``), and says no longer when the log has been redone
and the checksum of the whole file is what the log says. A crash in between leaves pages of different times; the next
attempt keeps those that are right.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Final

from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.errors import IoFailed
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.history import History
from helios_cli.engine.log.record import Kind, peek_lsn
from helios_cli.engine.log.segment import parse_segment_name
from helios_cli.engine.ports import File
from helios_cli.engine.replication.copying import Snapshot
from helios_cli.engine.storage.configlog import ConfigLog
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.files import OsFiles, as_helios_error
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.redo import RedoResult, redo, scan_database
from helios_cli.engine.storage.timeline import Timeline, history_on_disk
from helios_cli.engine.types import LOCK_BYTE_PAGE, LSN_MAX, PAGE_SIZE, Lsn, Term

STATE: Final = "copying"
"""In the control file, while the database file is none."""


class CopyTarget:
    """A data directory, for as long as it is copied. Nothing else has it open. Its methods block."""

    def __init__(self, directory: str, database: str, segment_bytes: int) -> None:
        """Raises HeliosError when the directory cannot be used."""
        self._files = OsFiles()
        self._log_dir = f"{directory}/log"
        self._control_dir = f"{directory}/control"
        self._segment_bytes = segment_bytes
        self.control = ControlFile.open(self._files, self._control_dir)
        if self.control.record.state != STATE:
            self.control.update(state=STATE, clean=False)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(database + suffix)
        self._database: File = self._files.open(database, create=True)
        self._log: PageLog | None = None
        self.table = scan_database(self._database, self._database.size() // PAGE_SIZE)
        """The checksums of the file as it is now."""

    def had(self, other: History) -> Lsn:
        """How far the node had the log that ``other`` is the history of, before it gave its own up.

        It may have acknowledged all of that: a copy that ends before would have it forgotten.

        Raises:
            LogDamaged: the node's own history cannot be read.
            IoFailed: the file system refused.
        """
        flushed = self.control.record.flushed_lsn
        own = history_on_disk(self._files, self._control_dir)
        return min(flushed, other.fork(LSN_MAX, own, flushed))

    def differing(self, source: ChecksumTable) -> list[int]:
        """The pages on which the file and the other node's differ, those it lacks among them; it is cut to size."""
        if self.table.pages != source.pages:
            self._database.truncate(source.pages * PAGE_SIZE)
            self.table.apply({}, source.pages)
        return [number for number in source.differing(self.table) if number != LOCK_BYTE_PAGE]

    def write(self, pages: Mapping[int, bytes]) -> None:
        """Put pages into the file. Raises DiskFull, IoFailed."""
        try:
            for number, image in pages.items():
                self._database.pwrite(image, (number - 1) * PAGE_SIZE)
        except OSError as error:
            raise as_helios_error(error, "write the copy of the database") from error
        self.table.apply(pages, max(self.table.pages, *pages) if pages else self.table.pages)

    def begin_log(self, start: Lsn) -> None:
        """Drop the log that is there, and begin one at ``start``. Raises HeliosError.

        What was flushed of the one before stays in the control file, for :meth:`had`.
        """
        self.control.update(committed_lsn=Lsn(0), checkpoint_lsn=start)
        try:
            names = [name for name in self._files.listdir(self._log_dir) if parse_segment_name(name) is not None]
            # The newest first, so that a crash leaves a log without a gap.
            for name in reversed(names):
                self._files.unlink(f"{self._log_dir}/{name}")
                self._files.sync_dir(self._log_dir)
        except OSError as error:
            raise as_helios_error(error, "remove the page log") from error
        if self._log is not None:
            self._log.close()
        self._log = PageLog.open(
            self._files, self._log_dir, cluster_id=self.control.record.cluster_id, segment_bytes=self._segment_bytes,
            first_lsn=start,
        )  # fmt: skip

    @property
    def log_end(self) -> Lsn:
        """Where the copied log ends."""
        assert self._log is not None
        return self._log.end

    def append(self, records: bytes) -> None:
        """Put records behind the log, and on disk. Raises HeliosError."""
        assert self._log is not None
        if peek_lsn(records) == self._log.end:
            self._log.write_through(records)

    def finish(self, snapshot: Snapshot, redo_to: Lsn, term: Term) -> int:
        """Redo the log over the pages, compare the checksum of the whole, and make the directory a node's again.

        Returns the records redone.

        Raises:
            LogDamaged: the file is not what the log says; the directory stays a copy in the making.
            DiskFull, IoFailed: the file system refused.
        """
        assert self._log is not None
        result = self._redone(self._log, snapshot.start, redo_to)
        self.table = result.table
        self._take_over_history(self._log, snapshot)
        if term > self.control.record.term:
            self.control.update(term=term, voted_for="", is_own_term=False)
        self.control.checkpoint(result.end, result.table, flushed_lsn=self._log.end, clean=False, state="")
        return result.records

    def _redone(self, page_log: PageLog, start: Lsn, redo_to: Lsn) -> RedoResult:
        try:
            result = redo(page_log, self._database, start, None, end=redo_to)
            try:
                # Where there was nothing to redo nobody has yet.
                self._database.sync()
            except OSError as error:
                raise as_helios_error(error, "sync the copy of the database") from error
        except IoFailed:
            # What was not synced is in the cache alone, where the next attempt would take it for what the disk has.
            self._database.truncate(0)
            raise
        return result

    def _take_over_history(self, page_log: PageLog, snapshot: Snapshot) -> None:
        """The terms and the configurations: those before the log from the other node, the rest from the log."""
        timeline = Timeline.open(self._files, self._control_dir, page_log)
        configs = ConfigLog(self._files, self._control_dir, snapshot.start)
        try:
            timeline.replace(snapshot.history.cut_at(snapshot.start))
            if snapshot.config and snapshot.config_end <= snapshot.start:
                configs.replace(snapshot.config_end, ClusterConfig.from_bytes(snapshot.config.encode()))
            for record in page_log.records(snapshot.start):
                header = record.header
                if header.kind is Kind.TERM_START:
                    timeline.begins(header.term, header.lsn)
                elif header.kind is Kind.CONFIG:
                    configs.append(header.end, ClusterConfig.from_bytes(record.text()), header.committed_lsn)
        finally:
            timeline.close()
            configs.close()

    def close(self) -> None:
        """Release the files."""
        if self._log is not None:
            self._log.close()
        self._database.close()
        self.control.close()
