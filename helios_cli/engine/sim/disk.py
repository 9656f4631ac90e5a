"""What a simulated node has on its disk: a log that loses its unsynced tail, and a control file that loses nothing."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any, Final, Protocol

from helios_cli.engine.sim.files import SimFiles
from helios_cli.engine.sim.records import SimRecord, decode_all, encode
from helios_cli.engine.types import Lsn, Term

SLOT_BYTES: Final = 16 << 10
"""Of the control file: room for a configuration with its gaps."""

_SLOT: Final = struct.Struct("<II")
"""What a slot begins with: length and CRC-32 of its text."""


class DiskFailed(Exception):
    """A sync has failed: what reached the disk is unknown, and the process ends."""


class NoRoom(Exception):
    """The disk is full. Nothing was written."""


class Owner(Protocol):
    """Whose disk it is."""

    def meet(self, point: str) -> None:
        """May raise where the process is to end."""


class SimDisk:
    """The disk of one node, over :class:`SimFiles`."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._files = SimFiles()
        self._files.makedirs("d")
        self._open(create=True)
        self._files.sync_dir("d")
        self._version = 0
        self.control: dict[str, Any] = {}
        self.is_full = False
        """No more records fit; the control file has its room."""

    def _open(self, *, create: bool = False) -> None:
        self._log = self._files.open("d/log", create=create)
        self._control = self._files.open("d/control", create=create)

    def fail_next_sync(self) -> None:
        """The next sync fails, and what it should have saved is in the cache alone from then on."""
        self._files.fail_sync_at = self._files.syncs + 1

    def recovers(self) -> None:
        """It has room, and its next sync does not fail."""
        self.is_full = False
        self._files.fail_sync_at = None

    def append(self, record: SimRecord) -> None:
        """Write a record; it survives once the log is synced. Raises NoRoom."""
        if self.is_full:
            raise NoRoom
        self._owner.meet("before a record is written")
        self._log.pwrite(encode(record), record.lsn)
        self._owner.meet("after a record is written")

    def sync(self) -> None:
        """Make the log survive as it is. Raises DiskFailed."""
        self._owner.meet("before the log is synced")
        try:
            self._log.sync()
        except OSError as error:
            raise DiskFailed("a sync of the log fails") from error
        self._owner.meet("after the log is synced")

    def cut(self, lsn: Lsn) -> None:
        """Remove everything from ``lsn`` on, for good."""
        self._owner.meet("before the log is cut")
        self._log.truncate(lsn)
        self.sync()

    def save(self, **fields: Any) -> None:
        """Change the control file; on disk when this returns. Two slots take turns, so that one is always whole."""
        self._owner.meet("before the control file is written")
        self.control = {**self.control, **fields}
        self._version += 1
        text = json.dumps([self._version, self.control]).encode()
        slot = _SLOT.pack(len(text), zlib.crc32(text)) + text
        assert len(slot) <= SLOT_BYTES
        try:
            self._control.pwrite_through(slot, SLOT_BYTES * (self._version % 2))
        except OSError as error:
            raise DiskFailed("a sync of the control file fails") from error
        self._owner.meet("after the control file is written")

    @property
    def term(self) -> Term:
        """The newest term that was promised."""
        number, term_id = self.control.get("term", (0, 0))
        return Term(number, term_id)

    def kept_term(self) -> Term:
        """The newest term that a power cut now would leave, looked up by those who check."""
        slots = self._control.stable(2 * SLOT_BYTES)
        found = [found for at in (0, SLOT_BYTES) if (found := _slot(slots[at : at + SLOT_BYTES])) is not None]
        number, term_id = max(found, key=lambda one: one[0], default=(0, {}))[1].get("term", (0, 0))
        return Term(number, term_id)

    def power_cut(self, seed: int) -> None:
        """Lose what was not synced, and some of the rest of it."""
        self._files = self._files.power_cut(seed)
        self._open()

    def recover(self) -> list[SimRecord]:
        """Read what is there: the control file, and the log without its torn tail, which is removed.

        What is found may be in the cache alone, and clean there: it is written once more before it counts.
        """
        slots = self._control.pread(2 * SLOT_BYTES, 0)
        found = [found for at in (0, SLOT_BYTES) if (found := _slot(slots[at : at + SLOT_BYTES])) is not None]
        self._version, self.control = max(found, key=lambda one: one[0], default=(0, {}))
        self.save()
        data = self._log.pread(self._log.size(), 0)
        records = decode_all(data)
        end = records[-1].end if records else Lsn(0)
        self._log.pwrite(data[:end], 0)
        self.cut(end)
        return records


def _slot(data: bytes) -> tuple[int, dict[str, Any]] | None:
    if len(data) < _SLOT.size:
        return None
    length, checksum = _SLOT.unpack_from(data)
    text = data[_SLOT.size : _SLOT.size + length]
    if not length or len(text) < length or zlib.crc32(text) != checksum:
        return None
    version, control = json.loads(text)
    return version, control
