"""A simulated node: the real cores between a simulated disk, network and clock.

It does what ``engine/node`` does with them, in the same order: where that awaits, this lets time pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from helios_cli.engine.consensus.candidacy import Candidacy
from helios_cli.engine.consensus.config import LEASE_MS, ClusterConfig, Member
from helios_cli.engine.consensus.lease import Loyalty
from helios_cli.engine.consensus.silence import Attention, Stall
from helios_cli.engine.consensus.vote import Vote
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.sim.campaign import Campaign
from helios_cli.engine.sim.following import Following
from helios_cli.engine.sim.host import SimHost
from helios_cli.engine.sim.log import SimLog
from helios_cli.engine.sim.primary import Primary
from helios_cli.engine.sim.records import SimRecord, make_record
from helios_cli.engine.sim.serving import Serving
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.world import World


class SimNode(SimHost):
    """One node through all its lives."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.log = SimLog()
        self.term = Term(0)
        """The newest that it has promised to, as far as it remembers."""
        self._reset()

    def _reset(self) -> None:
        self.primary: Primary | None = None
        self.campaign = Campaign(self)
        self.serving = Serving(self)
        self.following = Following(self)
        self.vote = Vote(Loyalty(self.now, 0.0))
        self.candidacy = Candidacy(self.rng.random)
        self.attention = Attention(self.now)
        self.stall = Stall(self.attention, self.now)
        self.role = "standby"
        self.follows = ""
        self.heard_at: dict[str, float] = {}
        """When those were heard of last who follow no longer."""
        self.applied = Lsn(0)
        self.exposed = Lsn(0)
        """Up to where its readers see."""
        self._flushing = False
        self._announced_at = 0.0
        self.is_ending = False
        """It leads no longer, and begins again."""

    # Lives -----------------------------------------------------------------------------------------------------------

    def found(self, records: list[SimRecord], role: str, follows: str, term: Term) -> None:
        """Give it a data directory, as the birth of the cluster, or a copy, does."""
        for record in records:
            self.disk.append(record)
        self.disk.sync()
        self.disk.save(term=(term.number, term.term_id), role=role, follows=follows, rewind=None, copying=False)

    def begin(self) -> None:
        """Begin a life with what the disk holds."""
        self._reset()
        records = self.disk.recover()
        control = self.disk.control
        if control["rewind"] is not None:
            fork = Lsn(control["rewind"])
            self.disk.cut(fork)
            self.disk.save(rewind=None)
            records = [record for record in records if record.end <= fork]
        elif control["copying"]:
            self.disk.cut(Lsn(0))
            records = []
        self.log = SimLog(records)
        self.term = self.disk.term
        self.role, self.follows = control["role"], control["follows"]
        self.applied = self.serving.streamed = self.log.end
        longest_ms = max((config.term_lease_ms for _, config in self.log.configs), default=LEASE_MS)
        self.vote = Vote(Loyalty(self.now, longest_ms / 1000))
        self.world.checkers.started(self)
        if records:
            self.expose(records[-1].committed)
        self.tell(f"starts as {self.role}, log ends at {self.log.end}, term {self.term}")
        self.after(self.rng.randrange(self.world.timing.heartbeat_us), self._beat)

    def hang_up(self) -> None:
        """End the connections."""
        self.following.drop()
        self.serving.close()
        self.primary = None

    def stop(self, *, power_cut: int | None = None) -> None:
        """End a life."""
        super().stop(power_cut=power_cut)
        self.primary = None

    def begin_again(self) -> None:
        """End this life and begin the next in a moment."""
        self.stop()
        self.restart(self.rng.randrange(20_000, 150_000))

    def lose_disk(self) -> None:
        """The disk is another one, and empty: this node begins with a copy, from whomever it followed or knew last."""
        known = self.log.configs[-1][1].primary if self.log.configs else self.follows
        others = [name for name in self.world.nodes if name != self.name]
        source = known if known in others else self.follows if self.follows in others else others[0]
        self.world.checkers.disk_lost(self)
        self.stop(power_cut=0)
        self.replace_disk()
        self.log = SimLog()
        self.disk.save(term=(0, 0), role="standby", follows=source, rewind=None, copying=True)

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> ClusterConfig | None:
        """The newest in its log; None before the first."""
        return self.log.configs[-1][1] if self.log.configs else None

    @property
    def open_configs(self) -> tuple[ClusterConfig, ...]:
        """Those that may be in force, the oldest first."""
        return self.log.open_configs(self.exposed, self.log.end)

    def member(self) -> Member:
        """This node in a configuration."""
        return Member(self.name, self.incarnation, self.name, 1, 1, 1, "")

    @property
    def is_leading(self) -> bool:
        """Whether it takes writes of its own."""
        return self.primary is not None and not self.is_ending

    @property
    def is_one_of_many(self) -> bool:
        """Whether more than one node decides who leads."""
        config = self.config
        return config is not None and len(config.voters(config.primary)) > 1

    @property
    def is_loyal(self) -> bool:
        """Whether a primary has been heard of whose lease is not over."""
        return self.is_one_of_many and self.vote.holds(self.now)

    @property
    def reaches_primary(self) -> bool:
        """Whether a primary is connected, and has asked for this node's vote just now."""
        if not self.following.upstream_id:
            return False
        if self.is_one_of_many:
            return self.is_loyal
        recent = self.now - self.vote.heard_at < self.world.timing.heard_us / 1e6
        return self.following.upstream_role == "primary" and recent

    # Time ------------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        timing = self.world.timing
        self.after(timing.heartbeat_us, self._beat)
        self.attention.beat(self.now)
        if self.is_ending:
            return
        self.serving.heartbeat(asks=True)
        if self.primary is not None:
            stalled_s = self.stall.seconds(self.now, self.log.flushed, self.log.end)
            if self.primary.tenure.progress(stalled_s, self.now):
                self.tell("gives its lease up: its disk takes nothing" if self.primary.tenure.is_sick else "is well")
                self.serving.heartbeat(asks=not self.primary.tenure.is_sick)
            self.primary.reconcile()
            if self.now - self._announced_at > timing.announce_us / 1e6:
                self._announced_at = self.now
                self.campaign.announce(but=set(self.serving.heard()))
        elif self.role == "primary":
            self.campaign.lead_again()
        if self.primary is None and not self.campaign.takes_lead:
            self.following.beat()
            self.campaign.watch()

    # Its log ---------------------------------------------------------------------------------------------------------

    def make(self, kind: int, body: bytes) -> SimRecord | None:
        """Make a record of its own term, and send it to the disk and to the followers; None: there is no room."""
        assert self.primary is not None
        if self.disk.is_full:
            return None
        log = self.log
        record = make_record(log.end, log.checksums[log.end], self.primary.term, kind, self.exposed, body)
        self.take(record)
        self.world.checkers.made(self, record)
        self.serving.stream(log.end)
        return record

    def take(self, record: SimRecord) -> None:
        """Take a record that continues the log. Raises Diverged, NoRoom."""
        self.disk.append(record)
        self.log.append(record)
        if not self._flushing:
            self._flushing = True
            self.after(self.sync_time(), self._flushed, record.end)

    def _flushed(self, end: Lsn) -> None:
        self.disk.sync()
        log = self.log
        log.flushed = max(log.flushed, end)
        self._flushing = log.end > end
        if self._flushing:
            self.after(self.sync_time(), self._flushed, log.end)
        self.world.checkers.flushed(self)
        if self.primary is not None:
            self.applied = log.flushed
            self.primary.flushed(log.flushed)
            return
        self.serving.stream(log.flushed)
        self.following.acknowledge()
        self.after(self.rng.randrange(50, 2000), self._applied, log.flushed)

    def _applied(self, end: Lsn) -> None:
        self.meet("before records are applied")
        self.applied = max(self.applied, end)
        self.meet("after records are applied")
        if self.primary is None:
            self.show()
            self.following.acknowledge()

    def show(self) -> None:
        """Show what is known to be committed, as far as it is applied."""
        self.expose(min(self.following.committed, self.applied))

    def expose(self, lsn: Lsn) -> None:
        """Let readers see everything up to there, as far as it is in the log."""
        if lsn <= self.exposed:
            return
        lsn = self.log.boundary(lsn)
        if lsn > self.exposed:
            self.meet("before commits are shown")
            self.exposed = lsn
            self.world.checkers.exposed(self)
            self.meet("after commits are shown")
            self.serving.heartbeat(asks=False)

    def finish(self) -> None:
        """Flush and apply all that was received."""
        self.disk.sync()
        self.applied = self.log.flushed = self.serving.streamed = self.log.end
        self.world.checkers.flushed(self)
        self.show()

    @property
    def voted_for(self) -> str:
        """Who was promised that it may lead, in a term of which the log holds nothing; empty: nobody."""
        return self.disk.control.get("voted_for", "") if self.disk.term > self.log.last_term else ""

    def promise(self, term: Term, voted_for: str = "") -> None:
        """Never again act in an older term; ``voted_for`` may lead in it."""
        self.disk.save(term=(term.number, term.term_id), voted_for=voted_for or self.voted_for)
        self.term = term
        self.world.checkers.promises.promised(self, term)

    # The others ------------------------------------------------------------------------------------------------------

    def campaign_answer(self, term: Term, promise: bool, asker: str, giver: str) -> Answer:
        """A candidate asks."""
        return self.campaign.answer(term, promise, asker, giver)

    def announced(self, term: Term, name: str) -> None:
        """Somebody says that it leads."""
        self.following.announced(term, name)

    def retarget(self, name: str) -> None:
        """Another node leads: follow it."""
        if self.role == "standby" and self.follows == name:
            return
        if self.primary is not None or self.is_ending:
            self.become("standby", name)
            self.tell(f"is deposed by {name}")
            self.begin_again()
        else:
            self.become("standby", name)
            self.following.drop()

    def give_way(self, term: Term) -> None:
        """A primary whose lease is over knows of a newer term: it leads no longer, and begins again."""
        primary = self.primary
        if primary is None or self.campaign.is_changing or term <= self.term or not primary.tenure.has_lapsed(self.now):
            return
        self.tell(f"gives way: its lease is over, and somebody knows of term {term}")
        primary.tenure.end()
        self.primary = None
        self.is_ending = True
        self.serving.close()
        self.after(self.rng.randrange(1_000, 20_000), self.begin_again)

    def become(self, role: str, follows: str) -> None:
        """Take up a role for good."""
        self.disk.save(role=role, follows=follows)
        self.role, self.follows = role, follows
