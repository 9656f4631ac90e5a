"""A small file that is replaced as a whole, needs no room to be, and survives a torn write.

It holds two slots of equal size, each whole when the file is made; an update goes to the slot that does not hold the
present content. The intact slot with the higher sequence number counts.
"""

from __future__ import annotations

import struct
from typing import Final

from google_crc32c import value as crc32c

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.ports import File, Files
from helios_cli.engine.storage.files import as_helios_error

_HEAD: Final = struct.Struct("<IIQ")
"""CRC of what follows, length of the content, sequence number."""


class TwoSlots:
    """The file and its present content."""

    def __init__(self, files: Files, path: str, slot_bytes: int) -> None:
        """Read what is there; :attr:`content` is None where there is no file. ``slot_bytes`` is a new file's.

        Raises:
            LogDamaged: neither slot is intact.
            IoFailed: it cannot be read.
        """
        self._files = files
        self._path = path
        self._first_bytes = slot_bytes
        self._slot_bytes = 0
        self._sequence = 0
        self._file: File | None = None
        self._found: bytes | None = None
        """The slot that was read, until it is known to be on disk."""
        self.content: bytes | None = None
        if not files.exists(path):
            return
        try:
            self._file = file = files.open(path)
            data = file.pread(file.size(), 0)
        except OSError as error:
            raise as_helios_error(error, f"read {path}") from error
        self._slot_bytes = half = len(data) // 2
        slots = [slot for slot in (_read(data[:half]), _read(data[half:])) if slot is not None]
        if not slots:
            self.close()
            raise LogDamaged(f"neither slot of {path} is intact", hint="Restore the data directory from a backup.")
        self._sequence, self.content = max(slots)
        self._found = _slot(self._sequence, self.content)

    def replace(self, content: bytes) -> None:
        """Put another content on disk.

        Raises:
            DiskFull, IoFailed: the file system refused; the one before stands.
        """
        sequence = self._sequence + 1
        slot = _slot(sequence, content)
        try:
            if self._file is None or len(slot) > self._slot_bytes:
                self._make(slot)
            else:
                if self._found is not None:
                    # Whoever wrote it may have failed to sync it: then it is in the cache alone, and the slot that
                    # comes next has the newest content on the disk.
                    self._put(self._file, self._found, self._sequence)
                self._put(self._file, slot, sequence)
            self._found = None
        except OSError as error:
            raise as_helios_error(error, f"write {self._path}") from error
        self._sequence, self.content = sequence, content

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _put(self, file: File, slot: bytes, sequence: int) -> None:
        file.pwrite(slot, (sequence % 2) * self._slot_bytes)
        file.sync()

    def _make(self, slot: bytes) -> None:
        """A new file with the content in both slots, under its name when it is whole."""
        size = self._first_bytes
        while size < len(slot):
            size *= 2
        unfinished = f"{self._path}.new"
        file = self._files.open(unfinished, create=True)
        file.pwrite(slot.ljust(size, b"\0") * 2, 0)
        file.sync()
        self._files.rename(unfinished, self._path)
        self.close()
        self._file, self._slot_bytes = file, size
        self._files.sync_dir(self._path.rpartition("/")[0])


def _slot(sequence: int, content: bytes) -> bytes:
    rest = struct.pack("<IQ", len(content), sequence) + content
    return struct.pack("<I", crc32c(rest)) + rest


def _read(slot: bytes) -> tuple[int, bytes] | None:
    """Sequence number and content of a slot; None when it is not intact."""
    if len(slot) < _HEAD.size:
        return None
    crc, length, sequence = _HEAD.unpack_from(slot)
    end = _HEAD.size + length
    if end > len(slot) or crc32c(slot[4:end]) != crc:
        return None
    return sequence, slot[_HEAD.size : end]
