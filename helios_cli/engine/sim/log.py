"""The page log of a simulated node as the running node has it, with what is derived from it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.log.history import History
from helios_cli.engine.sim.records import CONFIG, TERM_START, SimRecord, chained
from helios_cli.engine.types import Lsn, Term


class Diverged(Exception):
    """A record leads to another database here than on the node that made it."""


class SimLog:
    """Records in order, and the checksum at the end of each."""

    def __init__(self, records: Iterable[SimRecord] = ()) -> None:
        self.records: list[SimRecord] = []
        self.checksums: dict[Lsn, int] = {Lsn(0): 0}
        """Of the database at each record's end."""
        self.history = History()
        self.configs: list[tuple[Lsn, ClusterConfig]] = []
        """With the LSN behind their records."""
        self.end = Lsn(0)
        """Behind the last record."""
        self._config_ends: list[Lsn] = []
        self._versions: list[int] = []
        """The newest configuration's that records up to an LSN go by; and that LSN, where it may have changed."""
        self._version_ends: list[Lsn] = []
        self._ends: list[Lsn] = []
        for record in records:
            self.append(record)
        self.flushed = self.end

    @property
    def last_term(self) -> Term:
        """Of the last record."""
        return self.records[-1].term if self.records else Term(0)

    @property
    def config(self) -> ClusterConfig:
        """The newest configuration in the log, committed or not."""
        return self.configs[-1][1]

    def append(self, record: SimRecord) -> None:
        """Take a record that continues the log.

        Raises:
            Diverged: what it leads to here is not what it says.
        """
        end = record.end
        checksum = chained(self.checksums[self.end], record.term, record.lsn, record.body)
        if record.lsn != self.end or checksum != record.checksum:
            raise Diverged(f"the record of term {record.term} at {record.lsn} leads to another database here")
        if record.kind == TERM_START:
            self.history = self.history.followed_by(record.term, record.lsn)
            if record.body:
                self._goes_by(int(record.body), end)
        elif record.kind == CONFIG:
            self.configs.append((end, ClusterConfig.from_bytes(record.body)))
            self._config_ends.append(end)
            self._goes_by(self.config.version, end)
        self.records.append(record)
        self._ends.append(end)
        self.checksums[end] = checksum
        self.end = end

    def _goes_by(self, version: int, end: Lsn) -> None:
        self._versions.append(max(version, self._versions[-1]) if self._versions else version)
        self._version_ends.append(end)

    def since(self, lsn: Lsn, end: Lsn) -> Sequence[SimRecord]:
        """The records from ``lsn``, where one begins, up to ``end``."""
        return self.records[bisect_right(self._ends, lsn) : bisect_right(self._ends, end)]

    def boundary(self, lsn: Lsn) -> Lsn:
        """The end of the last record that lies before ``lsn`` as a whole."""
        at = bisect_right(self._ends, lsn)
        return self._ends[at - 1] if at else Lsn(0)

    def has(self, end: Lsn, checksum: int) -> bool:
        """Whether all of a log up to there is on the disk."""
        return end <= self.flushed and self.checksums.get(end) == checksum

    def open_configs(self, committed: Lsn, end: Lsn) -> tuple[ClusterConfig, ...]:
        """The newest configuration up to ``committed``, and all behind it up to ``end``."""
        first = max(0, bisect_right(self._config_ends, committed) - 1)
        return tuple(config for _, config in self.configs[first : bisect_right(self._config_ends, end)])

    def durable_configs(self) -> tuple[ClusterConfig, ...]:
        """Those that may be in force, by what is on the disk; empty before the first."""
        at = bisect_right(self._ends, self.flushed)
        return self.open_configs(self.records[at - 1].committed, self.flushed) if at else ()

    def version(self, end: Lsn) -> int:
        """Of the configuration that the records up to ``end`` go by; 0 before the first."""
        at = bisect_right(self._version_ends, end)
        return self._versions[at - 1] if at else 0

    def durable_term(self) -> Term:
        """Of the last record that is on the disk."""
        at = bisect_right(self._ends, self.flushed)
        return self.records[at - 1].term if at else Term(0)
