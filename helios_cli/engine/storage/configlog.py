"""The configurations of the cluster on disk: the newest committed one, and those behind it that may be taken back."""

from __future__ import annotations

import json
from typing import Final

from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.ports import Files
from helios_cli.engine.storage.twoslots import TwoSlots
from helios_cli.engine.types import Lsn

NAME: Final = "config"
SLOT_BYTES: Final = 64 << 10


class ConfigLog:
    """The configurations in a node's log, by the LSN behind their records, and the file that keeps them."""

    def __init__(self, files: Files, directory: str, log_end: Lsn) -> None:
        """Read what is there; what lies beyond the log's end is left over from a crash, and dropped.

        Raises:
            LogDamaged: the file cannot be understood.
            IoFailed: it cannot be read.
        """
        self._file = TwoSlots(files, f"{directory}/{NAME}", SLOT_BYTES)
        entries = _parse(self._file.content) if self._file.content is not None else []
        self._entries = [entry for entry in entries if entry[0] <= log_end]

    @property
    def newest(self) -> ClusterConfig | None:
        """The one that the node acts by; None before the first."""
        return self._entries[-1][1] if self._entries else None

    def all(self) -> tuple[ClusterConfig, ...]:
        """Those that it still knows, the oldest first."""
        return tuple(config for _, config in self._entries)

    def before(self, lsn: Lsn) -> tuple[Lsn, ClusterConfig] | None:
        """The newest whose record ends at ``lsn`` or before, and where it ends; None when there is none, or no more."""
        return next((entry for entry in reversed(self._entries) if entry[0] <= lsn), None)

    def open(self, committed: Lsn) -> tuple[ClusterConfig, ...]:
        """The newest with its record up to ``committed``, and all that come behind; empty before the first."""
        entries = self._entries
        known = sum(1 for end, _ in entries if end <= committed)
        return tuple(config for _, config in entries[max(0, known - 1) :])

    def append(self, end: Lsn, config: ClusterConfig, committed: Lsn) -> None:
        """A record of the configuration that ends at ``end`` goes into the log; on disk when this returns.

        Raises:
            DiskFull, IoFailed: the file system refused; nothing changed.
        """
        kept = [entry for entry in self._entries if entry[0] < end]
        while len(kept) > 1 and kept[1][0] <= committed:
            kept.pop(0)
        self._write([*kept, (end, config)])

    def replace(self, end: Lsn, config: ClusterConfig) -> None:
        """Begin anew with one configuration, as a copy from another node brings it.

        Raises:
            DiskFull, IoFailed: the file system refused; nothing changed.
        """
        self._write([(end, config)])

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _write(self, entries: list[tuple[Lsn, ClusterConfig]]) -> None:
        content = [[int(end), config.to_bytes().decode()] for end, config in entries]
        self._file.replace(json.dumps(content).encode())
        self._entries = entries


def _parse(data: bytes) -> list[tuple[Lsn, ClusterConfig]]:
    try:
        return [(Lsn(end), ClusterConfig.from_bytes(text.encode())) for end, text in json.loads(data)]
    except (ValueError, TypeError, AttributeError) as error:
        raise LogDamaged(
            f"the configurations of the cluster cannot be read: {error}",
            hint="Restore the data directory from a backup.",
        ) from error
