"""Going back to where the own log parts from the cluster's, with everything behind it kept as a salvage.

All of it happens on the closed files of a node, in steps that the control file names, so that a crash at any point
leads to the same end: ``parted at F`` until the salvage is whole, then ``rewinding to F`` if the database at F could be
made from what this node has, else ``copying``.

The database at F is made as a file of its own and proved by the checksum in the record that ends there. If the
last checkpoint lies before F it is that one's file and the log behind it. Else the checkpoint's file has pages of the
lost records, and what they were before is taken from the log, as far back as it reaches.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from helios_cli.engine.errors import IoFailed, LogDamaged
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.record import Kind, RecordHeader
from helios_cli.engine.storage import rowdiff, salvage, write_ids
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.copytarget import STATE as COPYING
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.pagelog import LogRemoved, PageLog
from helios_cli.engine.storage.redo import RedoResult, redo, scan_database
from helios_cli.engine.storage.salvage import Manifest, SalvageWriter
from helios_cli.engine.types import PAGE_SIZE, Lsn

log = logging.getLogger(__name__)

PARTED: Final = "parted at "
REWINDING: Final = "rewinding to "
CHUNK_BYTES: Final = 1 << 20
BASE_SUFFIX: Final = ".rewound"
"""The database at the fork, beside the one that it replaces."""


class Rewinder:
    """The closed data directory of a node whose log has parted from the cluster's. Its methods block."""

    def __init__(self, directory: str, database: str, segment_bytes: int) -> None:
        """Raises HeliosError when the directory cannot be used."""
        self._directory = directory
        self._database = database
        self._segment_bytes = segment_bytes
        self._files = OsFiles()
        self.control = ControlFile.open(self._files, f"{directory}/control")
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(database + suffix)

    def close(self) -> None:
        """Release the files."""
        self.control.close()

    # Salvage ---------------------------------------------------------------------------------------------------------

    def save(self) -> tuple[str, Manifest] | None:
        """Keep what lies behind the fork that the control file names; the salvage's name and manifest.

        None when no transaction lies there, but terms and configurations alone: then nothing is lost, and nothing kept.
        The control file says what comes next when this returns. Raises HeliosError, OSError.
        """
        record = self.control.record
        fork = Lsn.parse(record.state.removeprefix(PARTED))
        page_log = PageLog.open(
            self._files, f"{self._directory}/log", cluster_id=record.cluster_id, segment_bytes=self._segment_bytes,
            flushed_floor=record.flushed_lsn, own_term=record.own_term,
        )  # fmt: skip
        try:
            if fork > page_log.start and not _commits(page_log, fork):
                self._drop_base()
                self.control.update(state=f"{REWINDING}{fork}", clean=False)
                return None
            name, manifest = self._saved(fork, page_log.end) or self._save(page_log, fork)
        finally:
            page_log.close()
        if manifest.pending:
            # What lies before the fork the node may have acknowledged, and has to have again.
            self.control.update(state=COPYING, flushed_lsn=fork, clean=False)
        else:
            self.control.update(state=f"{REWINDING}{fork}", clean=False)
        return name, manifest

    def _saved(self, fork: Lsn, end: Lsn) -> tuple[str, Manifest] | None:
        """The salvage of these very records, which was whole when the node died; None when there is none."""
        for name, manifest in salvage.salvages(self._directory):
            same = (manifest.fork, manifest.end) == (str(fork), str(end))
            if same and (manifest.pending or os.path.exists(self._database + BASE_SUFFIX)):
                return name, manifest
        return None

    def _save(self, page_log: PageLog, fork: Lsn) -> tuple[str, Manifest]:
        self._drop_base()
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{int(fork):016x}"
        writer = SalvageWriter(self._directory, name)
        begin = max(fork, page_log.start)
        size = writer.put_records(_chunks(page_log, begin))
        last = page_log.last
        manifest = Manifest(
            self.control.record.cluster_id.hex(), time.time_ns() // 1000, str(fork), str(page_log.end),
            last.term.number if last is not None else 0, _commits(page_log, begin), size,
        )  # fmt: skip
        manifest = self._find_rows(writer.path, manifest, page_log, fork)
        writer.finish(manifest)
        return name, manifest

    def _find_rows(self, path: str, manifest: Manifest, page_log: PageLog, fork: Lsn) -> Manifest:
        """The database at both ends of the lost records, and what differs."""
        tip, base = f"{path}/{salvage.TIP}", self._database + BASE_SUFFIX
        shutil.copyfile(self._database, tip)
        checkpoint = self.control.record.checkpoint_lsn
        self._redo(page_log, tip, checkpoint, page_log.end, self.control.load_checksums())
        if not self._make_base(page_log, tip, base, fork):
            self._drop_base()
            return replace(manifest, exact=False, pending=True)
        before, after = rowdiff.open_still(base), rowdiff.open_still(tip)
        try:
            writes = write_ids.lost(before, after)
            manifest = salvage.put_writes(path, manifest, writes)
            changes = rowdiff.differences(before, after, write_ids.by_row(writes))
            manifest = salvage.put_rows(path, manifest, changes)
            manifest = replace(manifest, schema_changes=rowdiff.schema_changes(before, after))
        finally:
            before.close()
            after.close()
        os.unlink(tip)
        return manifest

    def _drop_base(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._database + BASE_SUFFIX)

    def _make_base(self, page_log: PageLog, tip: str, base: str, fork: Lsn) -> bool:
        """Make the file that the database was at the fork; False when this node has not what it takes."""
        record = self.control.record
        if fork <= page_log.start:
            return False
        if record.checkpoint_lsn <= fork:
            shutil.copyfile(self._database, base)
            result = self._redo(page_log, base, record.checkpoint_lsn, fork, self.control.load_checksums())
            if self._checksums(base).total == result.table.total:
                return True
            # A checkpoint that was under way had brought pages of the lost records into it already.
        shutil.copyfile(tip, base)
        try:
            # Every page that was ever written within the kept log gets its newest image from before the fork; whether
            # that was all of them, the checksum tells.
            result = self._redo(page_log, base, _first_whole(page_log), fork, None)
        except (LogDamaged, LogRemoved) as error:
            log.info("the database at %s cannot be made from this node's log: %s", fork, error)
            return False
        return result.last is not None and result.end == fork

    def _redo(self, page_log: PageLog, path: str, start: Lsn, end: Lsn, table: ChecksumTable | None) -> RedoResult:
        file = self._files.open(path)
        try:
            return redo(page_log, file, start, table, end=end)
        finally:
            file.close()

    # Rewind ----------------------------------------------------------------------------------------------------------

    def rewind(self) -> Lsn:
        """Cut the log, put the database of the fork in place, and say that all is done; where the node is then.

        Raises:
            LogDamaged: the database is not what the log says of the fork; the node has to be copied.
            IoFailed: it could not be synced; the same.
        """
        control = self.control
        fork = Lsn.parse(control.record.state.removeprefix(REWINDING))
        control.update(flushed_lsn=fork, committed_lsn=min(fork, control.record.committed_lsn))
        page_log = PageLog.open(
            self._files, f"{self._directory}/log", cluster_id=control.record.cluster_id,
            segment_bytes=self._segment_bytes, rewind_to=fork,
        )  # fmt: skip
        try:
            last = page_log.last
        finally:
            page_log.close()
        base = self._database + BASE_SUFFIX
        if os.path.exists(base):
            # Where there was nothing to redo it is a plain copy, which nobody has put on disk yet.
            self._sync_base()
            os.replace(base, self._database)
            self._files.sync_dir(os.path.dirname(self._database))
        elif control.record.checkpoint_lsn <= fork:
            # Nothing was lost: the node opens the database as after a crash.
            control.update(state="")
            return fork
        table = self._scan(last)
        control.checkpoint(fork, table, clean=False, state="")
        return fork

    def _sync_base(self) -> None:
        file = self._files.open(self._database + BASE_SUFFIX)
        try:
            file.sync()
        except OSError as error:
            # Asked again the system would say that all is well, of what is in its cache alone.
            self.control.update(state=COPYING)
            self._drop_base()
            raise IoFailed(
                f"the database of the fork could not be synced: {error.strerror}",
                hint="Check the disk, then start the node again: it is copied.",
            ) from error
        finally:
            file.close()

    def _checksums(self, path: str) -> ChecksumTable:
        file = self._files.open(path)
        try:
            return scan_database(file, file.size() // PAGE_SIZE)
        finally:
            file.close()

    def _scan(self, last: RecordHeader | None) -> ChecksumTable:
        table = self._checksums(self._database)
        if last is not None and table.total != last.db_checksum:
            self.control.update(state=COPYING)
            raise LogDamaged("the database is not what the log says of the fork", hint="It is copied anew.")
        return table


def finish_salvages(directory: str, database: str) -> list[tuple[str, Manifest]]:
    """Compare what could not be compared before with the database that the node has now; what was done, by name.

    The database is closed. Deletes are left out: a row that only the cluster has may be newer than the fork.
    """
    done = []
    for name, manifest in salvage.salvages(directory):
        path = f"{directory}/{salvage.FOLDER}/{name}"
        if not manifest.pending:
            continue
        now, tip = rowdiff.open_still(database), rowdiff.open_still(f"{path}/{salvage.TIP}")
        try:
            writes = write_ids.lost(now, tip)
            manifest = salvage.put_writes(path, manifest, writes)
            differences = rowdiff.differences(now, tip, write_ids.by_row(writes))
            changes = (one for one in differences if one.op != rowdiff.DELETE)
            manifest = salvage.put_rows(path, manifest, changes)
            changed = rowdiff.schema_changes(now, tip)
        finally:
            now.close()
            tip.close()
        manifest = replace(manifest, pending=False, schema_changes=changed)
        salvage.put_manifest(path, manifest)
        os.unlink(f"{path}/{salvage.TIP}")
        done.append((name, manifest))
    return done


def _chunks(page_log: PageLog, start: Lsn) -> Iterator[bytes]:
    at = start
    while data := page_log.chunk(at, CHUNK_BYTES):
        yield data
        at = Lsn(at + len(data))


def _commits(page_log: PageLog, start: Lsn) -> int:
    headers = (record.header for record in page_log.records(start))
    return sum(1 for header in headers if header.kind is Kind.DATA and not header.is_part)


def _first_whole(page_log: PageLog) -> Lsn:
    """Where the first record of the log begins that does not continue a chain whose beginning has been removed."""
    for record in page_log.records(page_log.start):
        header = record.header
        if header.opens_chain or not (header.is_part or header.ends_chain):
            return header.lsn
    return page_log.end
