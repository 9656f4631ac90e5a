"""The control file: term, vote, checkpoint, on disk before the node acts on them.

Both slots are written when the file is made, so a full disk can still vote and step down. An update goes to the
slot that does not hold the present record, so a torn write leaves that one.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.errors import HeliosError, IoFailed, LogDamaged
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.controlrecord import SLOT_BYTES, ControlRecord, decode_control, encode_control
from helios_cli.engine.ports import File, Files
from helios_cli.engine.storage.files import as_helios_error
from helios_cli.engine.types import Lsn

NAME: Final = "control"
CHECKSUM_NAMES: Final = ("checksums.0", "checksums.1")
_RESTORE_HINT: Final = "Restore the data directory from a backup."


class ControlFile:
    """The newest control record of a node, and the file that keeps it. Safe to use from several threads."""

    def __init__(self, files: Files, directory: str, file: File, record: ControlRecord, sequence: int) -> None:
        """Use :meth:`open` or :meth:`create`."""
        self._files = files
        self._directory = directory
        self._file = file
        self._sequence = sequence
        self._failed: str | None = None
        self._is_on_disk = False
        """Whether that is known of the record: a process that read it may have read what another failed to sync."""
        self._lock = threading.Lock()
        self.record = record
        """What is on disk, or was read; replaced as a whole by each update."""

    @classmethod
    def create(cls, files: Files, directory: str, record: ControlRecord) -> ControlFile:
        """Make the control file of a new data directory; it appears under its name when it is whole and synced.

        Raises:
            DiskFull, IoFailed: the file system refused.
        """
        path, unfinished = f"{directory}/{NAME}", f"{directory}/{NAME}.new"
        try:
            files.makedirs(directory)
            file = files.open(unfinished, create=True)
            file.pwrite(bytes(SLOT_BYTES) + encode_control(record, 1), 0)
            file.sync()
            files.rename(unfinished, path)
            files.sync_dir(directory)
        except OSError as error:
            raise as_helios_error(error, f"create {path}") from error
        control = cls(files, directory, file, record, 1)
        control._is_on_disk = True
        return control

    @classmethod
    def exists(cls, files: Files, directory: str) -> bool:
        """Whether a data directory has a control file, so that :meth:`open` is the way to go on."""
        return files.exists(f"{directory}/{NAME}")

    @classmethod
    def open(cls, files: Files, directory: str) -> ControlFile:
        """Read the newer of the intact slots.

        Raises:
            LogDamaged: neither slot is intact, or another release wrote them.
            IoFailed: the file cannot be read.
        """
        path = f"{directory}/{NAME}"
        try:
            file = files.open(path)
            data = file.pread(2 * SLOT_BYTES, 0)
            # A process that died between the rename and its sync left a name that a power cut can still take away.
            files.sync_dir(directory)
        except OSError as error:
            raise as_helios_error(error, f"read {path}") from error
        record, sequence = read_control(data, path)
        return cls(files, directory, file, record, sequence)

    def update(self, **changes: Any) -> ControlRecord:
        """Replace fields of the record; on disk when this returns. Needs no new space.

        Raises:
            DiskFull, IoFailed: the file system refused; :attr:`record` is unchanged, what is on disk is unknown, and
                the file takes no more updates.
        """
        with self._lock:
            if self._failed is not None:
                raise IoFailed(f"the control file takes no more updates: {self._failed}", hint="Restart the node.")
            record = replace(self.record, **changes)
            sequence = self._sequence + 1
            slot = encode_control(record, sequence)
            try:
                if not self._is_on_disk:
                    # Before the other slot goes, which may hold the newest record on the disk.
                    self._put(encode_control(self.record, self._sequence), self._sequence)
                self._put(slot, sequence)
            except OSError as error:
                raise self._fail(error) from error
            self._is_on_disk = True
            self._sequence, self.record = sequence, record
            return record

    def _put(self, slot: bytes, sequence: int) -> None:
        self._file.pwrite(slot, (sequence % 2) * SLOT_BYTES)
        self._file.sync()

    def _fail(self, error: OSError) -> HeliosError:
        failure = as_helios_error(error, "write the control file")
        self._failed = failure.message
        return failure

    def checkpoint(self, lsn: Lsn, table: ChecksumTable, **changes: Any) -> ControlRecord:
        """Record that the database file holds everything up to ``lsn``, with its checksums; both synced.

        ``table`` is the database's checksums at ``lsn``. They go to the file that the present record does not
        name, so a crash in between leaves the older checkpoint whole.

        Raises:
            DiskFull: no room for the table; the older checkpoint stands.
            IoFailed: the file system refused.
        """
        which = 1 - max(self.record.checksum_file, 0)
        path = f"{self._directory}/{CHECKSUM_NAMES[which]}"
        data = table.to_bytes(lsn)
        try:
            is_new = not self._files.exists(path)
            file = self._files.open(path, create=True)
            try:
                file.pwrite(data, 0)
                file.sync()
            finally:
                file.close()
            if is_new:
                self._files.sync_dir(self._directory)
        except OSError as error:
            raise as_helios_error(error, f"write {path}") from error
        return self.update(
            checkpoint_lsn=lsn, db_pages=table.pages, db_checksum=table.total, checksum_file=which, **changes
        )

    def load_checksums(self) -> ChecksumTable | None:
        """The checksums at the recorded checkpoint; None when they are missing, damaged or of another LSN.

        Without them redo reads the whole database file instead, so their loss costs time and nothing else.
        """
        record = self.record
        if record.checksum_file < 0:
            # A node that has no checkpoint yet begins with an empty database.
            return ChecksumTable() if record.checkpoint_lsn == 0 and record.db_pages == 0 else None
        try:
            file = self._files.open(f"{self._directory}/{CHECKSUM_NAMES[record.checksum_file]}")
            try:
                table, lsn = ChecksumTable.from_bytes(file.pread(file.size(), 0))
            finally:
                file.close()
        except (OSError, LogDamaged):
            return None
        agrees = lsn == record.checkpoint_lsn and table.total == record.db_checksum and table.pages == record.db_pages
        return table if agrees else None

    def close(self) -> None:
        """Release the file; never syncs."""
        with self._lock:
            self._failed = self._failed or "it is closed"
            self._file.close()


def read_control(data: bytes, path: str) -> tuple[ControlRecord, int]:
    """The newer intact slot of a control file's bytes, with its sequence number.

    Raises:
        LogDamaged: neither slot is intact, or another release wrote them.
    """
    found: list[tuple[int, ControlRecord]] = []
    problem: LogDamaged | None = None
    for at in (0, SLOT_BYTES):
        try:
            record, sequence = decode_control(data[at : at + SLOT_BYTES])
            found.append((sequence, record))
        except LogDamaged as error:
            problem = error
    if not found:
        raise LogDamaged(
            f"control file {path} is damaged: no slot of it is readable",
            hint=(problem and problem.hint) or _RESTORE_HINT,
        )
    sequence, record = max(found, key=lambda pair: pair[0])
    return record, sequence
