"""The history of terms on disk: which term wrote which part of this node's log.

It is put down before the record that begins a term goes into the log, so that it never lacks one; what a crash left
beyond the log's end is dropped when it is read. Both slots are written when the file is made, so that a new term needs
no room on a full disk; an update goes to the slot that does not hold the present history.
"""

from __future__ import annotations

import struct
from typing import Final

from google_crc32c import value as crc32c

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.log.record import Kind
from helios_cli.engine.ports import File, Files
from helios_cli.engine.storage.files import as_helios_error
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.types import Lsn, Term

NAME: Final = "history"
SLOT_BYTES: Final = 16 << 10
"""A slot of a new file: about 680 terms; doubled when they are more."""

_HEAD: Final = struct.Struct("<IIQ")
"""CRC of what follows, length of the history, sequence number."""


class Timeline:
    """The history of a node's log and the file that keeps it."""

    def __init__(self, files: Files, path: str, history: History, file: File | None, sequence: int) -> None:
        """Use :meth:`open`."""
        self._files = files
        self._path = path
        self._file = file
        self._slot_bytes = file.size() // 2 if file is not None else 0
        self._sequence = sequence
        self.history = history

    @classmethod
    def open(cls, files: Files, directory: str, log: PageLog) -> Timeline:
        """Read the history of ``log``; where there is no file it is read off the log itself.

        Raises:
            LogDamaged: neither slot of the file is intact.
            IoFailed: it cannot be read.
        """
        path = f"{directory}/{NAME}"
        if not files.exists(path):
            return cls(files, path, _scanned(log), None, 0)
        try:
            file = files.open(path)
            data = file.pread(file.size(), 0)
        except OSError as error:
            raise as_helios_error(error, f"read {path}") from error
        half = len(data) // 2
        slots = [_read(data[:half]), _read(data[half:])]
        found = max((slot for slot in slots if slot is not None), key=lambda slot: slot[0], default=None)
        if found is None:
            file.close()
            raise LogDamaged(
                f"the history of terms in {path} fails its checksum", hint="Remove it to have it read off the log."
            )
        return cls(files, path, found[1].cut_at(log.end), file, found[0])

    def begins(self, term: Term, start: Lsn) -> None:
        """A term's part of the log is about to begin at ``start``.

        Raises:
            DiskFull, IoFailed: the file system refused; nothing changed.
        """
        self.replace(self.history.cut_at(start).followed_by(term, start))

    def replace(self, history: History) -> None:
        """Put another history on disk, as a rewind or a copy from another node brings.

        Raises:
            DiskFull, IoFailed: the file system refused; the one before stands.
        """
        body = history.to_bytes()
        sequence = self._sequence + 1
        rest = struct.pack("<IQ", len(body), sequence) + body
        slot = crc32c(rest).to_bytes(4, "little") + rest
        try:
            if self._file is None or len(slot) > self._slot_bytes:
                self._make(slot)
            else:
                self._file.pwrite(slot, (sequence % 2) * self._slot_bytes)
                self._file.sync()
        except OSError as error:
            raise as_helios_error(error, f"write {self._path}") from error
        self._sequence = sequence
        self.history = history

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _make(self, slot: bytes) -> None:
        """A new file with the history in both slots, under its name when it is whole."""
        size = SLOT_BYTES
        while size < len(slot):
            size *= 2
        unfinished = f"{self._path}.new"
        file = self._files.open(unfinished, create=True)
        file.pwrite(slot.ljust(size, b"\0") * 2, 0)
        file.sync()
        self._files.rename(unfinished, self._path)
        self._files.sync_dir(self._path.rpartition("/")[0])
        self.close()
        self._file, self._slot_bytes = file, size


def _read(slot: bytes) -> tuple[int, History] | None:
    """Sequence number and history of a slot; None when it is not intact."""
    if len(slot) < _HEAD.size:
        return None
    crc, length, sequence = _HEAD.unpack_from(slot)
    end = _HEAD.size + length
    if end > len(slot) or crc32c(slot[4:end]) != crc:
        return None
    try:
        return sequence, History.from_bytes(slot[_HEAD.size : end])
    except LogDamaged:
        return None


def _scanned(log: PageLog) -> History:
    """From the records that are kept; what is older counts as the oldest term's."""
    starts: list[TermStart] = []
    for record in log.records(log.start):
        header = record.header
        if header.kind is Kind.TERM_START or not starts:
            starts.append(TermStart(header.term, header.lsn))
    return History(starts)
