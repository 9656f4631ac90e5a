"""A primary's lease, as the heartbeats and their echoes make it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helios_cli.engine.consensus.config import REFEREE, Voter
from helios_cli.engine.consensus.round_trips import RoundTrips
from helios_cli.engine.consensus.tenure import Tenure
from helios_cli.engine.types import Term

if TYPE_CHECKING:
    from helios_cli.engine.node.leading import Leading
    from helios_cli.engine.node.replication import Replication


class LeaseKeeper:
    """Of one term. Without a lease that holds nothing is committed, and so nobody is answered."""

    def __init__(self, replication: Replication, leading: Leading) -> None:
        self._replication = replication
        own = (replication.node_id, replication.identity().incarnation)
        self._tenure = Tenure(own, leading.lsns, began=replication.now())
        self._trips = RoundTrips(replication.now())
        self._told_over = False

    def round_trip_ms(self, current_ms: int) -> int:
        """What the configuration should say of how far apart the nodes are, where it says ``current_ms``."""
        return self._trips.rounded_ms(self._replication.now(), current_ms)

    @property
    def is_sick(self) -> bool:
        """Whether the disk takes nothing, and the lease is given up for that."""
        return self._tenure.is_sick

    @property
    def lease_ms(self) -> int:
        """What this primary asks of whoever hears it; 0: nothing more."""
        return self._tenure.lease_ms

    def end(self) -> None:
        """The term is over for this node, which may give its own vote away: whatever comes, no lease holds."""
        self._tenure.end()

    def holds(self) -> bool:
        """Whether nobody else can have been elected."""
        return self._tenure.holds(self._replication.now())

    def hears_everybody(self) -> bool:
        """Whether nobody whose copy counts promises anything to another node now. From any thread."""
        return self._tenure.hears_everybody(self._replication.now())

    @property
    def has_lapsed(self) -> bool:
        """Whether somebody else may have been elected; a new primary gets the time to be granted its first lease."""
        return self._tenure.has_lapsed(self._replication.now())

    def confirmed(self, voter: Voter, term: Term, echo_us: int) -> None:
        """A voter has echoed a heartbeat that was sent at ``echo_us`` by the wall clock."""
        asked = self._replication.replicator.asked.asked(echo_us)
        if asked is not None:
            self.granted(voter, term, *asked)

    def granted(self, voter: Voter, term: Term, asked_at: float, lease_ms: int) -> None:
        """A voter was asked then, for so long: if it was in this term, its vote is this node's for that time."""
        # How long etcd takes says nothing of how far apart the nodes are.
        if voter[0] != REFEREE:
            self._trips.took(voter[0], asked_at, self._replication.now())
        self._tenure.granted(voter, term, asked_at, lease_ms)

    def progress(self, stalled_s: float) -> None:
        """For so long the disk has taken nothing of what it should. Too long: somebody else had better lead."""
        tenure = self._tenure
        if not tenure.progress(stalled_s, self._replication.now()):
            return
        event = self._replication.node.event
        if tenure.is_sick:
            text = f"the disk has taken nothing for {stalled_s:.1f} s: this primary gives its lease up"
            event("primary_sick", text, severity="error", stalled_ms=round(stalled_s * 1000))
        else:
            event("primary_well", "the disk takes writes again: this primary asks for its lease")
        self._replication.replicator.heartbeat(asks=not tenure.is_sick)

    def tell(self) -> None:
        """Put down when the lease is over, and when it is there again; not that the first one is still to come."""
        over = not self.holds() if self._told_over else self.has_lapsed
        if over == self._told_over:
            return
        self._told_over = over
        has_etcd = self._tenure.has_etcd
        if over and has_etcd:
            missing = self._tenure.silent(self._replication.now())
            whom = ", ".join(missing)
            text = f"commits wait: etcd does not keep the lead for this primary, and nothing is heard of {whom}"
            self._replication.node.event("lease_over", text, severity="error", missing=missing)
        elif over:
            missing = self._tenure.missing(self._replication.now())
            text = f"commits wait: no majority of the voters is heard of, without {', '.join(missing)}"
            self._replication.node.event("lease_over", text, severity="error", missing=missing)
        else:
            who = "etcd, or everybody whose copy counts," if has_etcd else "a majority of the voters"
            self._replication.node.event("lease_held", f"{who} is heard of: commits go on")
