"""A primary's lease, as the heartbeats and their echoes make it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from helios_cli.engine.consensus.config import ClusterConfig, Voter
from helios_cli.engine.consensus.lease import Lease
from helios_cli.engine.types import Term

if TYPE_CHECKING:
    from helios_cli.engine.node.leading import Leading
    from helios_cli.engine.node.replication import Replication


class LeaseKeeper:
    """Of one term. Without a lease that holds nothing is committed, and so nobody is answered."""

    def __init__(self, replication: Replication, leading: Leading) -> None:
        self._replication = replication
        self._leading = leading
        self._own: Voter = (replication.node_id, replication.identity().incarnation)
        self._lease = Lease(self._own)
        self._configs: tuple[ClusterConfig, ...] = ()
        self._boards: tuple[tuple[Voter, ...], ...] = ()
        """The voters of every configuration that counts."""
        self._until = 0.0
        self._since = -math.inf
        """What was asked before counts no more."""
        self._told_over = False
        self.is_sick = False
        """The disk takes nothing: the voters are released, so that one whose disk does can lead."""

    @property
    def lease_ms(self) -> int:
        """What this primary asks of whoever hears it; 0: nothing more."""
        return 0 if self.is_sick else min(config.lease_ms for config in self._leading.lsns.counting)

    def holds(self) -> bool:
        """Whether nobody else can have been elected."""
        configs = self._leading.lsns.counting
        if configs != self._configs:
            self._configs = configs
            self._boards = tuple(config.electorate(self._replication.node_id) for config in configs)
            self._extend()
        return self._replication.now() < self._until

    def confirmed(self, voter: Voter, term: Term, echo_us: int) -> None:
        """A voter has echoed a heartbeat that was sent at ``echo_us`` by the wall clock."""
        asked = self._replication.replicator.asked(echo_us)
        if asked is not None:
            self.granted(voter, term, *asked)

    def granted(self, voter: Voter, term: Term, asked_at: float, lease_ms: int) -> None:
        """A voter was asked then, for so long: if it was in this term, its vote is this node's for that time."""
        if term == self._leading.lsns.term and asked_at >= self._since and not self.is_sick:
            self._lease.confirmed(voter, asked_at, lease_ms / 1000)
            self._extend()

    def progress(self, stalled_s: float) -> None:
        """For so long the disk has taken nothing of what it should. Too long: somebody else had better lead."""
        now = self._replication.now()
        timeout_ms = min(config.progress_timeout_ms for config in self._leading.lsns.counting)
        sick = 0 < timeout_ms < stalled_s * 1000 and self._has_others
        if sick == self.is_sick:
            return
        self.is_sick, self._since = sick, now
        event = self._replication.node.event
        if sick:
            self._lease = Lease(self._own)
            self._extend()
            text = f"the disk has taken nothing for {stalled_s:.1f} s: this primary gives its lease up"
            event("primary_sick", text, severity="error", stalled_ms=round(stalled_s * 1000))
        else:
            event("primary_well", "the disk takes writes again: this primary asks for its lease")
        self._replication.replicator.heartbeat(asks=not sick)

    @property
    def _has_others(self) -> bool:
        return all(board != (self._own,) for board in self._boards)

    def _extend(self) -> None:
        self._until = min((self._lease.until(board) for board in self._boards), default=0.0)

    def tell(self) -> None:
        """Put down when the lease is over, and when it is there again."""
        over = not self.holds()
        if over == self._told_over:
            return
        self._told_over = over
        now = self._replication.now()
        missing = sorted({voter for board in self._boards for voter in self._lease.missing(board, now)})
        if over:
            text = f"commits wait: no majority of the voters is heard of, without {', '.join(missing)}"
            self._replication.node.event("lease_over", text, severity="error", missing=missing)
        else:
            self._replication.node.event("lease_held", "a majority of the voters is heard of: commits go on")
