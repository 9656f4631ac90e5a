"""For how long a primary may be sure that nobody else was elected, by every configuration that counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from helios_cli.engine.consensus.config import ETCD, ClusterConfig, Voter
from helios_cli.engine.consensus.lease import Lease
from helios_cli.engine.types import Term


class Counting(Protocol):
    """Of :class:`~helios_cli.engine.consensus.lsns.LsnManager`, what a tenure goes by."""

    term: Term

    @property
    def counting(self) -> Sequence[ClusterConfig]:
        """Every configuration that somebody may act by."""


class Tenure:
    """Of one primary in one term. Times are seconds of its steady clock; without a lease nothing is committed."""

    def __init__(self, own: Voter, lsns: Counting, *, began: float = -math.inf) -> None:
        self._own = own
        self._began = began
        self._lsns = lsns
        self._lease = Lease(own)
        self._configs: Sequence[ClusterConfig] = ()
        self._boards: tuple[tuple[Voter, ...], ...] = ()
        """The voters of every configuration that counts."""
        self._until = -math.inf
        self._since = -math.inf
        """What was asked before counts no more."""
        self._is_over = False
        self.is_sick = False
        """The disk takes nothing: the voters are released, so that one whose disk does can lead."""

    @property
    def lease_ms(self) -> int:
        """What this primary asks of whoever hears it; 0: nothing more."""
        return 0 if self.is_sick or self._is_over else min(config.term_lease_ms for config in self._lsns.counting)

    def end(self) -> None:
        """The term is over for this node, which may have given its own vote away: whatever comes, none is held."""
        self._is_over = True

    def holds(self, now: float) -> bool:
        """Whether nobody else can have been elected."""
        configs = self._lsns.counting
        if configs != self._configs:
            self._configs = configs
            self._boards = tuple(config.electorate(self._own[0]) for config in configs)
            self._extend()
        return not self._is_over and now < self._until

    def has_lapsed(self, now: float) -> bool:
        """Whether somebody else may have been elected; a new primary gets the time to be granted its first lease."""
        return not self.holds(now) and now - self._began > self.lease_ms / 1000

    def granted(self, voter: Voter, term: Term, asked_at: float, lease_ms: int) -> None:
        """A voter was asked then, for so long: if it was in this term, its vote is this node's for that time."""
        counts = term == self._lsns.term and asked_at >= self._since and not self.is_sick
        if counts and self._lease.confirmed(voter, asked_at, lease_ms / 1000):
            self._extend()

    def progress(self, stalled_s: float, now: float) -> bool:
        """For so long the disk has taken nothing of what it should: whether that makes it sick, or well, from now on.

        Too long: somebody else had better lead, if there is anybody.
        """
        timeout_ms = min(config.progress_timeout_ms for config in self._lsns.counting)
        sick = 0 < timeout_ms < stalled_s * 1000 and all(board != (self._own,) for board in self._boards)
        if sick == self.is_sick:
            return False
        self.is_sick, self._since = sick, now
        if sick:
            self._lease = Lease(self._own)
            self._extend()
        return True

    def missing(self, now: float) -> list[str]:
        """The names of the voters whose word has run out."""
        return sorted({voter for board in self._boards for voter in self._lease.missing(board, now)})

    @property
    def has_etcd(self) -> bool:
        """Whether the voter that counts is etcd."""
        return any(config.authority == ETCD for config in self._configs)

    def silent(self, now: float) -> list[str]:
        """The names of those whose copies count, and who may promise something to another node."""
        return sorted({name for config in self._configs for name in self._lease.missing(config.everybody, now)})

    def hears_everybody(self, now: float) -> bool:
        """Whether nobody whose copy counts, by any configuration, promises anything to another node now.

        Then nobody else can be elected, whatever etcd says: each candidate is one of them, and promises itself too.
        """
        return not self._is_over and now < self._until_all(self._lsns.counting)

    def _until_all(self, configs: Sequence[ClusterConfig]) -> float:
        return min((self._lease.until_all(config.everybody) for config in configs), default=-math.inf)

    def _extend(self) -> None:
        self._until = min([self._lease.until(board) for board in self._boards], default=-math.inf)
        if self.has_etcd:
            self._until = max(self._until, self._until_all(self._configs))
