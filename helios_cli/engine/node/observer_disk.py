"""What an observer has on its disk: its promise, the configuration that it was told of, and whom it follows."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import Final

from helios_cli.engine.config.roles import Role
from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.controlrecord import ControlRecord
from helios_cli.engine.ports import Files
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.membership import load_role, save_role
from helios_cli.engine.storage.twoslots import TwoSlots
from helios_cli.engine.types import Term

NAME: Final = "observed"
SLOT_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Observed:
    """What an observer goes by when it is asked."""

    config: str = ""
    """The newest configuration that it was told of, as text; empty: none yet."""
    config_term: int = 0
    """In which term it was told."""
    lease_ms: int = 0
    """The longest lease that it has granted: so long it votes for nobody after a start."""

    @property
    def version(self) -> int:
        """Of the configuration; 0 before the first."""
        return self.parsed.version if self.parsed is not None else 0

    @property
    def parsed(self) -> ClusterConfig | None:
        """The configuration; None before the first. Raises LogDamaged."""
        return ClusterConfig.from_bytes(self.config.encode()) if self.config else None


class ObserverDisk:
    """The directory ``control`` of an observer. What its methods say is on disk when they return.

    A full disk does not keep it from voting: the files have their size from the start, but for a configuration that
    grows beyond its slot.
    """

    def __init__(self, files: Files, directory: str, control: ControlFile, role: Role) -> None:
        """Use :meth:`open` or :meth:`create`."""
        self._files = files
        self._directory = directory
        self.control = control
        self.role = role
        self._slots = TwoSlots(files, f"{directory}/{NAME}", SLOT_BYTES)
        self.observed = _parsed(self._slots.content, f"{directory}/{NAME}")

    @classmethod
    def create(cls, files: Files, directory: str, cluster_id: bytes, role: Role) -> ObserverDisk:
        """A new one, which has promised nothing and has no vote anywhere.

        Raises:
            DiskFull, IoFailed: the file system refused.
        """
        files.makedirs(directory)
        save_role(files, directory, role)
        control = ControlFile.create(files, directory, ControlRecord(cluster_id, os.urandom(16)))
        disk = cls(files, directory, control, role)
        disk.keep(disk.observed)
        return disk

    @classmethod
    def open(cls, files: Files, directory: str) -> ObserverDisk:
        """What an earlier life has left.

        Raises:
            LogDamaged: a file cannot be understood.
            IoFailed: a file cannot be read, or not be put on disk once more.
        """
        role = load_role(files, directory)
        if role is None or role.name != "observer":
            raise LogDamaged(
                f"{directory} is not that of an observer", hint="Start the observer with a data directory of its own."
            )
        disk = cls(files, directory, ControlFile.open(files, directory), role)
        # A sync that failed in the life before may have left in the cache alone what is read here.
        disk.control.update()
        disk.keep(disk.observed)
        return disk

    @property
    def term(self) -> Term:
        """The newest term that it has promised to."""
        return self.control.record.term

    def promise(self, term: Term) -> None:
        """Promise a term, if it is newer. Raises DiskFull, IoFailed: nothing is promised then."""
        if term > self.term:
            self.control.update(term=term)

    def told(self, config: bytes, term: Term) -> None:
        """The primary of a term has a configuration in its log. Raises LogDamaged, DiskFull, IoFailed."""
        ClusterConfig.from_bytes(config)
        self.keep(replace(self.observed, config=config.decode(), config_term=term.number))

    def granted(self, lease_ms: int) -> None:
        """Remember the longest lease before it is granted. Raises DiskFull, IoFailed."""
        if lease_ms > self.observed.lease_ms:
            self.keep(replace(self.observed, lease_ms=lease_ms))

    def follow(self, host: str, port: int) -> None:
        """Another node leads. Raises DiskFull, IoFailed."""
        role = Role("observer", host, port)
        if role != self.role:
            save_role(self._files, self._directory, role)
            self.role = role

    def keep(self, observed: Observed) -> None:
        """Replace what it goes by. Raises DiskFull, IoFailed."""
        content = {"config": observed.config, "config_term": observed.config_term, "lease_ms": observed.lease_ms}
        self._slots.replace(json.dumps(content).encode())
        self.observed = observed

    def close(self) -> None:
        """Release the files."""
        self.control.close()
        self._slots.close()


def _parsed(content: bytes | None, path: str) -> Observed:
    if content is None:
        return Observed()
    try:
        known = json.loads(content)
        return Observed(str(known["config"]), int(known["config_term"]), int(known["lease_ms"]))
    except (ValueError, KeyError, TypeError) as error:
        raise LogDamaged(f"{path} cannot be read: {error}") from error
