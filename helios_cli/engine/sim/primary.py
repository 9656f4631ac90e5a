"""What a simulated node does while it leads: the cores that the real one uses, over simulated records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from helios_cli.engine.consensus import steps
from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.round_trips import RoundTrips
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.consensus.tenure import Tenure
from helios_cli.engine.sim.records import CONFIG, DATA, TERM_START
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode
    from helios_cli.engine.sim.serving import Stream


class Waiting(NamedTuple):
    """A commit whose client waits."""

    number: int
    end: Lsn
    level: SyncMode | None
    """None: the cluster's mode."""


class Primary:
    """One term of one node."""

    def __init__(self, node: SimNode, term: Term, configs: tuple[ClusterConfig, ...]) -> None:
        self.node = node
        self.term = term
        log = node.log
        self.lsns = LsnManager(node.name, configs[0], term, log.flushed, begins=log.end, inherited=configs[1:])
        self.tenure = Tenure((node.name, node.incarnation), self.lsns, began=node.now)
        self._trips = RoundTrips(node.now)
        self._begins = log.end
        for stream in node.serving.streams.values():
            # Those who have followed this node before it led.
            self.lsns.came(stream.member.node_id, stream.member.incarnation)
        self._began = node.now
        self.wanted: dict[str, Any] = {}
        """What the operator has asked for."""
        self.unwanted: set[str] = set()
        """Members that the operator has removed."""
        self.waiting: list[Waiting] = []
        self._readers: list[tuple[float, Callable[[], None]]] = []
        self.holding = False
        """Writes are held: a switchover is on its way."""

    def begin(self, lost: set[str], *, by_force: bool = False) -> bool:
        """Write the term's first records; False: there is no room for them."""
        node = self.node
        version = node.log.config.version + 1
        if node.make(TERM_START, b"%d" % version if by_force else b"") is None:
            return False
        now_us = node.world.clock.now_us
        config = steps.config_of_term(
            node.log.config, node.member(), lost, node.exposed, now_us, by_force=by_force
        )  # fmt: skip
        self._propose(config)
        return True

    # Clients ---------------------------------------------------------------------------------------------------------

    def write(self, number: int, level: SyncMode | None) -> bool:
        """A client's commit; False: there is no room for it, and it is refused."""
        record = self.node.make(DATA, b"%d" % number)
        if record is None:
            return False
        self.waiting.append(Waiting(number, record.end, level))
        return True

    def read(self, done: Callable[[], None]) -> None:
        """A linearizable read: call back once this node is known to have led after it came.

        What the node found in its log is shown first.
        """
        self._readers.append((self.node.now, done))
        self.node.serving.heartbeat(asks=False)

    def _answer_readers(self) -> None:
        if self.node.exposed <= self._begins:
            return
        sent_at = self.node.serving.asked.sent_at
        left: list[tuple[float, Callable[[], None]]] = []
        for since, done in self._readers:
            heard = {self.node.name}
            for name, stream in self.node.serving.streams.items():
                asked_at = sent_at(stream.confirmed_us)
                if asked_at is not None and asked_at >= since and stream.progress.term == self.term == self.node.term:
                    heard.add(name)
            if self.lsns.is_led_by(heard):
                done()
            else:
                left.append((since, done))
        self._readers = left

    # What it hears ---------------------------------------------------------------------------------------------------

    def flushed(self, lsn: Lsn) -> None:
        """The node's own log is on disk up to there."""
        self._moved(self.lsns.own_flushed(lsn))

    def joined(self, member: Member, end: Lsn) -> None:
        """A node follows from where its log ends."""
        self.lsns.came(member.node_id, member.incarnation)
        self.lsns.follows_from(member.node_id, end)

    def confirmed(self, member: Member, term: Term, echo_us: int) -> None:
        """A voter has heard what bore this time, in this term."""
        asked = self.node.serving.asked.asked(echo_us)
        if asked is not None:
            self._trips.took(member.node_id, asked[0], self.node.now)
            self.tenure.granted((member.node_id, member.incarnation), term, *asked)

    def observed(self, member: Member, term: Term, version: int) -> None:
        """An observer has a configuration on its disk."""
        self._moved(self.lsns.observes(member.node_id, member.incarnation, term, version))

    def acknowledged(self, stream: Stream) -> None:
        """A follower has come further."""
        name = stream.member.node_id
        committed = self.lsns.acknowledged(name, stream.progress)
        self.node.world.checkers.counted(self.node, name, stream.progress)
        self._moved(committed)
        if self._readers:
            self._answer_readers()
        if name not in self.lsns.config.in_sync:
            self.reconcile()

    def _moved(self, committed: Lsn) -> None:
        node = self.node
        node.world.checkers.moved(node, committed)
        if not self.tenure.holds(node.now):
            return
        node.expose(committed)
        if not self.waiting:
            return
        left: list[Waiting] = []
        reached: dict[SyncMode | None, Lsn] = {None: node.exposed}
        for one in self.waiting:
            level = one.level
            if level not in reached:
                assert level is not None
                reached[level] = self.lsns.reached_by(level)
            if one.end <= reached[level]:
                node.meet("before a commit is acknowledged")
                node.world.checkers.acknowledged(node, one)
            else:
                left.append(one)
        self.waiting = left

    # The configuration -----------------------------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Propose the next step towards the configuration that is wanted."""
        if self.holding or self.node.disk.is_full:
            return
        step = self._step()
        if step is not None:
            self.node.tell(step.text)
            self._propose(step.config)

    def _step(self) -> steps.Step | None:
        lsns, now_us = self.lsns, self.node.world.clock.now_us
        if lsns.pending is not None:
            return steps.next_step(lsns, {}, self._followers(), self._is_alive, now_us)
        for name in sorted(self.unwanted):
            if lsns.config.incarnation(name) is not None:
                return steps.removal(lsns.config, name)
            self.unwanted.discard(name)
        if self.wanted and steps.with_fields(lsns.config, self.wanted, lsns.node_id) == lsns.config:
            self.wanted = {}
        observers = [watcher.member for watcher in self.node.serving.watchers.values()]
        trip_ms = self._trips.rounded_ms(self.node.now, lsns.config.round_trip_ms)
        return steps.next_step(lsns, self.wanted, self._followers(), self._is_alive, now_us, observers, trip_ms)

    def _propose(self, config: ClusterConfig) -> None:
        node = self.node
        record = node.make(CONFIG, config.to_bytes())
        if record is None:
            return
        node.world.checkers.proposed(node, config, record.end)
        node.serving.show_config()
        self._moved(self.lsns.propose(config, record.lsn, record.end))

    def _followers(self) -> Iterator[steps.Follower]:
        node = self.node
        if self.lsns.config.member(node.name) is not None:
            yield steps.Follower(node.member(), Progress(self.term), True)
        for stream in node.serving.streams.values():
            yield steps.Follower(stream.member, stream.progress, stream.sent == node.log.end)

    def _is_alive(self, name: str) -> bool:
        node = self.node
        if name == node.name:
            return True
        stream = node.serving.streams.get(name)
        heard_at = stream.heard_at if stream is not None else node.heard_at.get(name, self._began)
        silence = node.attention.silence(heard_at, node.now)
        blocked_s = stream.blocked_s if stream is not None else 0.0
        return max(silence, blocked_s) < self.lsns.config.eject_after_ms / 1000
