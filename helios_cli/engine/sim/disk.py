"""What a simulated node has on its disk: a log that loses its unsynced tail, and a control file that loses nothing."""

from __future__ import annotations

import json
import zlib
from typing import Any, Final

from helios_cli.engine.sim.files import SimFiles
from helios_cli.engine.sim.records import SimRecord, decode_all, encode
from helios_cli.engine.types import Lsn, Term

SLOT_BYTES: Final = 16 << 10
"""Of the control file: room for a configuration with its gaps."""


class SimDisk:
    """The disk of one node, over :class:`SimFiles`."""

    def __init__(self) -> None:
        self._files = SimFiles()
        self._files.makedirs("d")
        self._open(create=True)
        self._files.sync_dir("d")
        self._version = 0
        self.control: dict[str, Any] = {}

    def _open(self, *, create: bool = False) -> None:
        self._log = self._files.open("d/log", create=create)
        self._control = self._files.open("d/control", create=create)

    def append(self, record: SimRecord) -> None:
        """Write a record; it survives once the log is synced."""
        self._log.pwrite(encode(record), record.lsn)

    def sync(self) -> None:
        """Make the log survive as it is."""
        self._log.sync()

    def cut(self, lsn: Lsn) -> None:
        """Remove everything from ``lsn`` on, for good."""
        self._log.truncate(lsn)
        self._log.sync()

    def save(self, **fields: Any) -> None:
        """Change the control file; on disk when this returns. Two slots take turns, so that one is always whole."""
        self.control = {**self.control, **fields}
        self._version += 1
        text = json.dumps([self._version, self.control]).encode().ljust(SLOT_BYTES - 4)
        data = text + zlib.crc32(text).to_bytes(4, "little")
        self._control.pwrite_through(data, SLOT_BYTES * (self._version % 2))

    @property
    def term(self) -> Term:
        """The newest term that was promised."""
        number, term_id = self.control.get("term", (0, 0))
        return Term(number, term_id)

    def power_cut(self, seed: int) -> None:
        """Lose what was not synced, and some of the rest of it."""
        self._files = self._files.power_cut(seed)
        self._open()

    def recover(self) -> list[SimRecord]:
        """Read what is there: the control file, and the log without its torn tail, which is removed."""
        slots = self._control.pread(2 * SLOT_BYTES, 0)
        found = [found for at in (0, SLOT_BYTES) if (found := _slot(slots[at : at + SLOT_BYTES])) is not None]
        self._version, self.control = max(found, key=lambda one: one[0], default=(0, {}))
        records = decode_all(self._log.pread(self._log.size(), 0))
        self.cut(records[-1].end if records else Lsn(0))
        return records


def _slot(data: bytes) -> tuple[int, dict[str, Any]] | None:
    if len(data) < SLOT_BYTES or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        return None
    version, control = json.loads(data[:-4])
    return version, control
