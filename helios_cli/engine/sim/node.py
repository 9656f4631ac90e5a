"""A simulated node: the real cores between a simulated disk, network and clock.

It does what ``engine/node`` does with them, in the same order: where that awaits, this lets time pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helios_cli.engine.consensus.candidacy import Candidacy
from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.rule import Progress
from helios_cli.engine.replication.messages import Acknowledge, Answer, Follow, Fork, Heartbeat
from helios_cli.engine.sim.campaign import Campaign
from helios_cli.engine.sim.disk import SimDisk
from helios_cli.engine.sim.host import SimHost
from helios_cli.engine.sim.log import Diverged, SimLog
from helios_cli.engine.sim.network import Link
from helios_cli.engine.sim.primary import Primary
from helios_cli.engine.sim.records import SimRecord, make_record
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.world import World


class Stream:
    """What a node sends to one that follows it."""

    def __init__(self, link: Link, sent: Lsn, now_us: int) -> None:
        self.link = link
        self.sent = sent
        self.progress = Progress(Term(0))
        self.heard_us = now_us


class SimNode(SimHost):
    """One node through all its lives."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.disk = SimDisk()
        self.log = SimLog()
        self.term = Term(0)
        """The newest that it has promised to, as far as it remembers."""
        self._reset()

    def _reset(self) -> None:
        self.primary: Primary | None = None
        self.campaign = Campaign(self)
        self.loyalty = self.world.cores.loyalty(self.now, 0.0)
        self.candidacy = Candidacy(self.world.rng.random)
        self.role = "standby"
        self.follows = ""
        self.upstream: Link | None = None
        self.upstream_id = ""
        """Whom it follows, once that has let it in."""
        self.upstream_committed = Lsn(0)
        self.upstream_heard_us = -(1 << 60)
        self.streams: dict[str, Stream] = {}
        self.watchers: dict[str, Link] = {}
        """Observers that are connected."""
        self.heard_us: dict[str, int] = {}
        self.applied = Lsn(0)
        self.exposed = Lsn(0)
        """Up to where its readers see."""
        self._flushing = False
        self._streamed = Lsn(0)
        self._announced_us = 0
        self._echo_us = 0

    # Lives -----------------------------------------------------------------------------------------------------------

    def found(self, config: ClusterConfig, records: list[SimRecord], role: str, follows: str, term: Term) -> None:
        """Give it a data directory, as the birth of the cluster, or a copy, does."""
        for record in records:
            self.disk.append(record)
        self.disk.sync()
        self.disk.save(term=(term.number, term.term_id), role=role, follows=follows, rewind=None, lease=0)

    def start(self) -> None:
        """Begin a life with what the disk holds."""
        if self.up:
            return
        self.begin_life()
        self._reset()
        records = self.disk.recover()
        if self.disk.control["rewind"] is not None:
            fork = Lsn(self.disk.control["rewind"])
            self.disk.cut(fork)
            self.disk.save(rewind=None)
            records = [record for record in records if record.end <= fork]
        self.log = SimLog(records)
        self.term = self.disk.term
        self.role, self.follows = self.disk.control["role"], self.disk.control["follows"]
        self.applied = self._streamed = self.log.end
        self.loyalty = self.world.cores.loyalty(self.now, self.disk.control["lease"] / 1000)
        self.world.checkers.started(self)
        if records:
            self.expose(records[-1].committed)
        self.tell(f"starts as {self.role}, log ends at {self.log.end}, term {self.term}")
        self.after(self.world.rng.randrange(self.world.timing.heartbeat_us), self._beat)

    def stop(self, *, power_cut: int | None = None) -> None:
        """End a life: of a process, whose connections end with it, or of the machine, with a seed for what is lost."""
        if not self.up:
            return
        self.up = False
        self.primary = None
        if power_cut is not None:
            self.disk.power_cut(power_cut)
            return
        if self.upstream is not None:
            self.upstream.close(0)
        for link in (*(stream.link for stream in self.streams.values()), *self.watchers.values()):
            link.close(1)

    def begin_again(self) -> None:
        """End this life and begin the next in a moment."""
        self.stop()
        life = self.life
        delay = self.world.rng.randrange(20_000, 150_000)
        self.world.clock.after(delay, lambda: self.start() if self.life == life else None)

    @property
    def open_configs(self) -> tuple[ClusterConfig, ...]:
        """Those that may be in force, the oldest first."""
        return self.log.open_configs(self.exposed, self.log.end)

    def member(self) -> Member:
        """This node in a configuration."""
        return Member(self.name, f"disk of {self.name}", self.name, 1, 1, 1, "")

    # Time ------------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        world = self.world
        timing, now = world.timing, world.clock.now_us
        self.after(timing.heartbeat_us, self._beat)
        self._heartbeat()
        if self.primary is not None:
            self.primary.reconcile()
            if now - self._announced_us > timing.announce_us:
                self._announced_us = now
                self.campaign.announce(but={*self.streams, *self.watchers})
        elif self.role == "primary":
            self.campaign.lead_again()
        if self.primary is not None or self.campaign.takes_lead:
            return
        if self.upstream is not None and now - self.upstream_heard_us > timing.silence_us:
            self._drop_upstream()
        if self.upstream is None and self.follows:
            self._connect()
        self.campaign.watch()

    @property
    def is_loyal(self) -> bool:
        """Whether it may vote for nobody but the primary that it has heard of."""
        return self.loyalty.holds(self.now)

    def _lease_ms(self) -> int | None:
        if self.primary is not None:
            return self.primary.lease_ms
        return int(self.loyalty.remaining(self.now) * 1000) if self.is_loyal else None

    def _heartbeat(self) -> None:
        body = Heartbeat(self.exposed, self._streamed, self.now_us, self._lease_ms()).to_body()
        for link in (*(stream.link for stream in self.streams.values()), *self.watchers.values()):
            link.send(1, self.term, "heartbeat", body)

    # Its log ---------------------------------------------------------------------------------------------------------

    def make(self, kind: int, body: bytes) -> SimRecord:
        """Make a record of its own term, and send it to the disk and to the followers."""
        assert self.primary is not None
        log = self.log
        record = make_record(log.end, log.checksums[log.end], self.primary.term, kind, self.exposed, body)
        self._take(record)
        self.world.checkers.made(self, record)
        self._stream(log.end)
        return record

    def _take(self, record: SimRecord) -> None:
        self.log.append(record)
        self.disk.append(record)
        if not self._flushing:
            self._flushing = True
            self.after(self.world.sync_time(), self._flushed, record.end)

    def _flushed(self, end: Lsn) -> None:
        self.disk.sync()
        log = self.log
        log.flushed = max(log.flushed, end)
        self._flushing = log.end > end
        if self._flushing:
            self.after(self.world.sync_time(), self._flushed, log.end)
        if self.primary is not None:
            self.applied = log.flushed
            self.primary.flushed(log.flushed)
            return
        self._stream(log.flushed)
        self._acknowledge()
        self.after(self.world.rng.randrange(50, 2000), self._applied, log.flushed)

    def _applied(self, end: Lsn) -> None:
        self.applied = max(self.applied, end)
        if self.primary is None:
            self._show()
            self._acknowledge()

    def _show(self) -> None:
        committed = self.applied if self.world.cores.shows_applied else self.upstream_committed
        self.expose(min(committed, self.applied))

    def expose(self, lsn: Lsn) -> None:
        """Let readers see everything up to there, as far as it is in the log."""
        lsn = self.log.boundary(lsn)
        if lsn > self.exposed:
            self.exposed = lsn
            self.world.checkers.exposed(self)
            self._heartbeat()

    def finish(self) -> None:
        """Flush and apply all that was received."""
        self.disk.sync()
        self.applied = self.log.flushed = self._streamed = self.log.end
        self._show()

    def promise(self, term: Term) -> None:
        """Never again act in an older term."""
        self.term = term
        if self.world.cores.saves_promise:
            self.disk.save(term=(term.number, term.term_id))

    # Those who follow it ---------------------------------------------------------------------------------------------

    def visited(self, link: Link, term: Term, kind: str, body: Any) -> None:
        """A message of a node that calls."""
        name = link.ends[0].name
        if kind == "hello":
            link.send(1, self.term, "welcome", (self.name, self.role))
        elif kind == "follow":
            if term > self.term and self.primary is not None:
                link.close(1)
                self.campaign.renew(term)
            else:
                self._follow(link, name, Follow.from_body(body))
        elif kind == "observe":
            self._observe(link, name)
        elif kind == "observed" and self.primary is not None and self.watchers.get(name) is link:
            version, echo_us = body
            self.primary.confirmed(name, term, echo_us)
            self.primary.observed(name, term, version)
        elif kind == "ack":
            stream = self.streams.get(name)
            if stream is not None and stream.link is link:
                self._heard(name, stream, term, Acknowledge.from_body(body))

    def _follow(self, link: Link, name: str, follow: Follow) -> None:
        end, own_end = Lsn(follow.end_lsn), self._streamed
        fork = self.log.history.fork(own_end, follow.terms(), end) if end else Lsn(0)
        if fork < end and self.world.cores.checks_fork:
            if not self.world.cores.may_send_back(self.log.history, follow.terms()):
                link.close(1)
                return
            link.send(1, self.term, "fork", Fork(fork, self.log.history.to_bytes().hex()).to_body())
            return
        before = self.streams.pop(name, None)
        if before is not None:
            before.link.close(1)
        stream = self.streams[name] = Stream(link, min(end, own_end), self.world.clock.now_us)
        link.on_closed[1] = lambda: self._left(name, stream)
        self._heartbeat()
        self._stream(own_end)
        if self.primary is not None:
            self.primary.reconcile()

    def _observe(self, link: Link, name: str) -> None:
        before = self.watchers.pop(name, None)
        if before is not None:
            before.close(1)
        if self.primary is None:
            link.close(1)
            return
        self.watchers[name] = link
        link.on_closed[1] = lambda: self._unobserved(name, link)
        self.show_config()
        self._heartbeat()
        self.primary.reconcile()

    def _unobserved(self, name: str, link: Link) -> None:
        if self.watchers.get(name) is link:
            del self.watchers[name]

    def show_config(self) -> None:
        """Tell the observers of the newest configuration."""
        for link in self.watchers.values():
            link.send(1, self.term, "config", self.log.config.to_bytes())

    def _left(self, name: str, stream: Stream) -> None:
        if self.streams.get(name) is stream:
            del self.streams[name]
            self.heard_us[name] = stream.heard_us
            if self.primary is not None:
                self.primary.reconcile()

    def _stream(self, end: Lsn) -> None:
        self._streamed = max(self._streamed, end)
        for stream in self.streams.values():
            records = self.log.since(stream.sent, end)
            if records:
                stream.sent = records[-1].end
                stream.link.send(1, self.term, "records", (self.exposed, records))

    def _heard(self, name: str, stream: Stream, term: Term, said: Acknowledge) -> None:
        stream.heard_us = self.world.clock.now_us
        stream.progress = Progress(term, said.written, said.flushed, said.applied)
        if self.primary is not None:
            self.primary.confirmed(name, term, said.echo_us)
            self.primary.acknowledged(name, stream.progress)

    def campaign_answer(self, term: Term, promise: bool, giver: str) -> Answer:
        """A candidate asks."""
        return self.campaign.answer(term, promise, giver)

    def announced(self, term: Term, name: str) -> None:
        """Somebody says that it leads."""
        if not self.campaign.takes_lead and self.world.cores.may_follow(self.term, term):
            if term > self.term:
                self.promise(term)
            self.retarget(name)

    # Whom it follows -------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._echo_us = 0
        target = self.world.nodes[self.follows]
        link = self.world.network.connect(self, target)
        if link is None:
            return
        self.upstream, self.upstream_id = link, ""
        self.upstream_heard_us = self.world.clock.now_us
        link.on_message[1] = lambda *message: target.visited(link, *message)
        link.on_message[0] = lambda *message: self._from_upstream(link, *message)
        link.on_closed[0] = lambda: self._drop_upstream() if self.upstream is link else None
        link.send(0, self.term, "hello")

    def _drop_upstream(self) -> None:
        link, self.upstream, self.upstream_id = self.upstream, None, ""
        if link is not None:
            link.close(0)

    def leave(self) -> None:
        """Follow nobody any more."""
        self._drop_upstream()

    def _from_upstream(self, link: Link, term: Term, kind: str, body: Any) -> None:
        if link is not self.upstream:
            return
        if not self.world.cores.may_follow(self.term, term):
            if kind == "welcome" and body[1] == "primary":
                # Asked for records in the newer term it hears of that, and takes one that is newer yet.
                link.send(0, self.term, "follow", self._follow_body())
            else:
                self._drop_upstream()
            return
        if term > self.term:
            self.promise(term)
        self.upstream_heard_us = self.world.clock.now_us
        if kind == "welcome":
            self.upstream_id = body[0]
            self.tell(f"follows {self.upstream_id} in term {term}")
            link.send(0, self.term, "follow", self._follow_body())
        elif kind == "records":
            self.world.checkers.taken(self, term)
            self._records(*body)
        elif kind == "heartbeat":
            heartbeat = Heartbeat.from_body(body)
            self.upstream_committed = heartbeat.committed
            self._echo_us = heartbeat.sent_us
            self.heard_lease(heartbeat.lease_ms)
            self._show()
            self._acknowledge()
        elif kind == "fork":
            self._rewind(Lsn(Fork.from_body(body).lsn))
        elif kind == "take_over":
            self.campaign.take_over(Lsn(body))

    def heard_lease(self, lease_ms: int | None) -> None:
        """Whoever is followed asks for this node's vote for so long."""
        if lease_ms is None:
            return
        if lease_ms > self.disk.control["lease"]:
            self.disk.save(lease=lease_ms)
        self.loyalty.heard(self.now, lease_ms / 1000)

    def _follow_body(self) -> bytes:
        return Follow(self.log.history.to_bytes().hex(), self.log.end).to_body()

    def _records(self, committed: Lsn, records: list[SimRecord]) -> None:
        if records[0].lsn != self.log.end:
            self._drop_upstream()
            return
        try:
            for record in records:
                self._take(record)
        except Diverged as error:
            self.world.checkers.fail("diverged", f"{self.name}: {error}")
            return
        self.upstream_committed = committed
        self._show()

    def _acknowledge(self) -> None:
        link = self.upstream
        if link is None or not self.upstream_id:
            return
        flushed = self.log.end if self.world.cores.acknowledges_written else self.log.flushed
        said = Acknowledge(self.log.end, flushed, min(self.applied, self.log.flushed), self._echo_us, 0)
        link.send(0, self.term, "ack", said.to_body())

    def _rewind(self, fork: Lsn) -> None:
        self.tell(f"goes back from {self.log.end} to {fork}")
        self.world.checkers.rewound(self, fork)
        self.disk.save(rewind=int(fork))
        self.begin_again()

    def retarget(self, name: str) -> None:
        """Another node leads: follow it."""
        if self.primary is not None:
            self.disk.save(role="standby", follows=name)
            self.tell(f"is deposed by {name}")
            self.begin_again()
        elif self.follows != name:
            self.become("standby", name)
            self._drop_upstream()

    def become(self, role: str, follows: str) -> None:
        """Take up a role for good."""
        self.role, self.follows = role, follows
        self.disk.save(role=role, follows=follows)
