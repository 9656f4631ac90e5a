"""Replication slots: how far back the page log must reach for each standby, and what may be removed."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.ports import Files
from helios_cli.engine.storage.files import as_helios_error
from helios_cli.engine.types import Lsn, Term

NAME: Final = "slots.json"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Slot:
    """One standby's claim on the log."""

    name: str
    restart_lsn: Lsn
    """The oldest LSN the standby may still ask for."""
    term: Term
    """The term of the log in which ``restart_lsn`` was acknowledged."""
    created_us: int
    """Microseconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class SlotDropped:
    """A slot that was given up, for the event history."""

    slot: Slot
    lag_bytes: int
    limit_bytes: int


def removable_below(
    *,
    checkpoint: Lsn,
    committed: Lsn,
    base_copies: Iterable[Lsn] = (),
    slots: Iterable[Lsn] = (),
    archived: Lsn | None = None,
    end: Lsn | None = None,
    keep_bytes: int = 0,
) -> Lsn:
    """The LSN below which no record is needed any more: the least of everything that may still read the log.

    Recovery is the first of its readers: the log stays from the recorded ``checkpoint``, from ``committed`` (a
    step-down redoes to there) and from the start of every running base copy. Then the standbys' slots, what is not
    yet archived (None: no archive), and the last ``keep_bytes`` before ``end``.
    """
    bounds = [checkpoint, committed, *base_copies, *slots]
    if archived is not None:
        bounds.append(archived)
    if end is not None:
        bounds.append(Lsn(max(0, end - keep_bytes)))
    return min(bounds)


class SlotStore:
    """The slots of a node and the file that keeps them. Safe to use from several threads.

    All changes are made in memory and hold the log from then on; :meth:`save` puts them on disk. A restart finds older
    slots at worst, which keeps more of the log than needed; without that of a follower which has just come it may keep
    too little, and the follower takes a copy.
    """

    def __init__(self, files: Files, directory: str, slots: Iterable[Slot] = ()) -> None:
        """Use :meth:`open` for what is on disk."""
        self._files = files
        self._directory = directory
        self._slots = {slot.name: slot for slot in slots}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self.unsaved = False
        """Something has changed since :meth:`save`."""

    @classmethod
    def open(cls, files: Files, directory: str) -> SlotStore:
        """Read the slots of a data directory; none when the file does not exist.

        Raises:
            LogDamaged: the file cannot be understood.
            IoFailed: it cannot be read.
        """
        path = f"{directory}/{NAME}"
        if not files.exists(path):
            return cls(files, directory)
        try:
            file = files.open(path)
            try:
                data = file.pread(file.size(), 0)
            finally:
                file.close()
        except OSError as error:
            raise as_helios_error(error, f"read {path}") from error
        return cls(files, directory, _parse(data, path))

    def all(self) -> list[Slot]:
        """The slots, by name."""
        with self._lock:
            return sorted(self._slots.values(), key=lambda slot: slot.name)

    def oldest(self) -> Lsn | None:
        """The oldest LSN that any slot holds; None when there are no slots."""
        with self._lock:
            return min((slot.restart_lsn for slot in self._slots.values()), default=None)

    def add(self, name: str, restart_lsn: Lsn, term: Term, created_us: int) -> bool:
        """Add a slot; False, and nothing has changed, when there is one of that name."""
        with self._lock:
            if name in self._slots:
                return False
            self._slots[name] = Slot(name, restart_lsn, term, created_us)
            self.unsaved = True
            return True

    def advance(self, name: str, restart_lsn: Lsn, term: Term) -> None:
        """Move a slot forward in memory; an older LSN of the same term, or an unknown name, changes nothing."""
        with self._lock:
            slot = self._slots.get(name)
            if slot is not None and (restart_lsn > slot.restart_lsn or term != slot.term):
                self._slots[name] = replace(slot, restart_lsn=restart_lsn, term=term)
                self.unsaved = True

    def remove(self, name: str) -> Slot | None:
        """Remove a slot; None when there is none of that name."""
        with self._lock:
            slot = self._slots.pop(name, None)
            self.unsaved |= slot is not None
            return slot

    def drop_lagging(self, end: Lsn, max_slot_lag_bytes: int, *, spared: Collection[str] = ()) -> list[SlotDropped]:
        """Give up the slots that hold more than ``max_slot_lag_bytes`` before ``end``; what was dropped, by name.

        Slots whose names are ``spared`` stay. Nothing is written: it may be a full disk that asks for room.
        """
        return [
            SlotDropped(slot, end - slot.restart_lsn, max_slot_lag_bytes)
            for slot in self.all()
            if end - slot.restart_lsn > max_slot_lag_bytes and slot.name not in spared and self.remove(slot.name)
        ]

    def save(self) -> None:
        """Put the slots on disk, as a whole.

        Raises:
            DiskFull, IoFailed: the file system refused; the file holds what it held before.
        """
        path = f"{self._directory}/{NAME}"
        with self._writing:
            self.unsaved = False
            data = _format(self.all())
            try:
                self._files.makedirs(self._directory)
                file = self._files.open(f"{path}.new", create=True)
                try:
                    file.truncate(0)
                    file.pwrite(data, 0)
                    file.sync()
                finally:
                    file.close()
                self._files.rename(f"{path}.new", path)
                self._files.sync_dir(self._directory)
            except OSError as error:
                self.unsaved = True
                raise as_helios_error(error, f"write {path}") from error


def _format(slots: list[Slot]) -> bytes:
    entries = [
        {
            "name": slot.name,
            "restart_lsn": str(slot.restart_lsn),
            "term": slot.term.number,
            "term_id": slot.term.term_id,
            "created_us": slot.created_us,
        }
        for slot in slots
    ]
    return (json.dumps({"version": VERSION, "slots": entries}, indent=1) + "\n").encode()


def _parse(data: bytes, path: str) -> list[Slot]:
    try:
        content = json.loads(data)
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}")
        return [
            Slot(
                str(entry["name"]),
                Lsn.parse(entry["restart_lsn"]),
                Term(int(entry["term"]), int(entry["term_id"])),
                int(entry["created_us"]),
            )
            for entry in content["slots"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise LogDamaged(
            f"replication slots in {path} cannot be read: {error}",
            hint="Move the file away: a node without standbys needs no slots.",
        ) from error
