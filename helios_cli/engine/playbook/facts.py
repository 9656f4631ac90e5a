"""What is known of a cluster at one moment: what conditions are about, and predictions change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

FOLLOWING: Final = ("streaming", "catchup", "observing")
"""States of a node that is where it should be and does not lead."""
CLAIMING: Final = ("serving", "lapsed")
"""States of a primary that answers."""


@dataclass(frozen=True, slots=True)
class NodeFact:
    """One node."""

    name: str
    role: str
    """``primary``, ``standby`` or ``observer``; ``standalone`` of one alone."""
    state: str
    """``serving``, ``streaming``, ``catchup``, ``observing``, ``starting``, ``frozen``, ``down`` and the like;
    ``lapsed`` of a primary whose lease is over: it acknowledges nothing."""
    mode: str = ""
    counts: bool = False
    """Whether acknowledgements wait for its copy."""
    process: str = ""
    """Which process it is: another text after each start; empty when there is none."""
    term: int = 0
    flushed: int = 0
    committed: int = 0
    lag_ms: float | None = None
    checksum: str = ""
    lag: int | None = None
    """Bytes of log that it lacks, as the primary has it; None when the primary does not tell."""

    @property
    def leads(self) -> bool:
        """Whether it is the primary and its lease holds, by its own word."""
        return self.role in ("primary", "standalone") and self.state == "serving"

    @property
    def follows(self) -> bool:
        """Whether it streams, or observes."""
        return self.role not in ("primary", "standalone") and self.state in FOLLOWING

    @property
    def runs(self) -> bool:
        """Whether it has a process that is not frozen."""
        return self.state not in ("down", "frozen")


@dataclass(frozen=True, slots=True)
class LoadFact:
    """A workload of the run."""

    running: bool
    total: int = 0
    failed: int = 0
    reads: int | None = None
    writes: int | None = None
    missing: int | None = None
    """Acknowledged rows that are not there; None while nobody has looked."""
    longest_gap_s: float | None = None
    """Longest time without an acknowledged write, or longest operation; None while it runs."""
    complete: bool = False
    """Whether it has summed up."""

    @property
    def error_rate(self) -> float | None:
        """Percent of failed operations; None before the first."""
        return 100.0 * self.failed / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Facts:
    """A cluster, and the workloads of the run."""

    nodes: tuple[NodeFact, ...] = ()
    """In the order of the cluster's file; the proxy is none of them."""
    voters: tuple[str, ...] = ()
    paused: bool = False
    loads: Mapping[str, LoadFact] = field(default_factory=dict)
    unled_s: float = 0.0
    """For how long nobody leads."""

    @property
    def primary(self) -> NodeFact | None:
        """Who leads; of several that say so, the one of the newest term."""
        return max((one for one in self.nodes if one.leads), key=lambda one: one.term, default=None)

    @property
    def claimant(self) -> NodeFact | None:
        """Who leads, or did until its lease was over: whose loss would cost something."""
        claiming = [one for one in self.nodes if one.role in ("primary", "standalone") and one.state in CLAIMING]
        return self.primary or max(claiming, key=lambda one: one.term, default=None)

    @property
    def data_nodes(self) -> tuple[NodeFact, ...]:
        """All but the observers."""
        return tuple(one for one in self.nodes if one.role != "observer")

    @property
    def standbys(self) -> tuple[NodeFact, ...]:
        """Those that follow, the ones first whose copies count."""
        found = [one for one in self.data_nodes if one.follows]
        return tuple(sorted(found, key=lambda one: not one.counts))

    @property
    def healthy(self) -> bool:
        """Whether one leads and all others follow."""
        primary = self.primary
        return primary is not None and all(one is primary or one.follows for one in self.nodes)

    @property
    def leaders(self) -> int:
        """How many say that they lead."""
        return sum(one.leads for one in self.nodes)

    @property
    def lag_bytes(self) -> int | None:
        """Log that the primary has flushed and a following standby does not show, the most; None without a primary."""
        primary = self.claimant
        if primary is None:
            return None
        lags = [max(0, primary.flushed - one.committed) if one.lag is None else one.lag for one in self.standbys]
        return max(lags, default=0)

    @property
    def lag_s(self) -> float | None:
        """The same as time; None when no standby knows."""
        known = [one.lag_ms for one in self.standbys if one.lag_ms is not None]
        return max(known) / 1000 if known else None

    @property
    def rpo_bytes(self) -> int | None:
        """Committed log that the primary alone has on its disk: what its loss would cost now; None without a primary.

        All of it when no standby follows.
        """
        primary = self.claimant
        if primary is None:
            return None
        return max(0, primary.committed - max((one.flushed for one in self.standbys), default=0))

    @property
    def error_rate(self) -> float | None:
        """Percent of all operations of all workloads that failed; None before the first."""
        total = sum(one.total for one in self.loads.values())
        return 100.0 * sum(one.failed for one in self.loads.values()) / total if total else None

    @property
    def checksums_equal(self) -> bool | None:
        """Whether the data nodes that are equally far have equal pages; None while two are not equally far."""
        answering = [one for one in self.data_nodes if one.checksum]
        if len({one.committed for one in answering}) > 1:
            return None
        return len({one.checksum for one in answering}) <= 1

    def node(self, name: str) -> NodeFact | None:
        """The node of a name; None when there is none."""
        return next((one for one in self.nodes if one.name == name), None)

    def with_nodes(self, nodes: Sequence[NodeFact]) -> Facts:
        """The same with other nodes."""
        return replace(self, nodes=tuple(nodes))
