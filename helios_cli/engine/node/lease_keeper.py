"""A primary's lease, as the heartbeats and their echoes make it."""

from __future__ import annotations

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
        self._lease = Lease((replication.node_id, replication.identity().incarnation))
        self._configs: tuple[ClusterConfig, ...] = ()
        self._boards: tuple[tuple[Voter, ...], ...] = ()
        """The voters of every configuration that counts."""
        self._until = 0.0
        self._told_over = False

    @property
    def lease_ms(self) -> int:
        """What this primary asks of whoever hears it."""
        return min(config.lease_ms for config in self._leading.lsns.counting)

    def holds(self) -> bool:
        """Whether nobody else can have been elected."""
        configs = self._leading.lsns.counting
        if configs != self._configs:
            self._configs = configs
            self._boards = tuple(config.electorate(self._replication.node_id) for config in configs)
            self._extend()
        return self._replication.now() < self._until

    def confirmed(self, voter: Voter, term: Term, echo_us: int) -> None:
        """A voter has echoed a heartbeat: if it is of this term, its vote is this node's for a while."""
        if term != self._leading.lsns.term:
            return
        asked_at = self._replication.replicator.asked_at(echo_us)
        if asked_at is not None:
            self._lease.confirmed(voter, asked_at, self.lease_ms / 1000)
            self._extend()

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
