"""What a simulated node does while it leads: the cores that the real one uses, over simulated records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from helios_cli.engine.consensus import steps
from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.sim.records import CONFIG, DATA, TERM_START
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode


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
        self.lsns = node.world.cores.lsns(
            node.name, configs[0], term, log.flushed, begins=log.end, inherited=configs[1:]
        )
        self.began_us = node.world.clock.now_us
        self.wanted: dict[str, Any] = {}
        """What the operator has asked for."""
        self.lease = node.world.cores.lease((node.name, node.member().incarnation))
        self.waiting: list[Waiting] = []
        self.holding = False
        """Writes are held: a switchover is on its way."""

    def begin(self, lost: set[str], *, by_force: bool = False) -> None:
        """Write the term's first records."""
        node = self.node
        version = node.log.config.version + 1
        node.make(TERM_START, b"%d" % version if by_force else b"")
        own = node.member()
        now_us = node.world.clock.now_us
        config = steps.config_of_term(node.log.config, own, lost, node.exposed, now_us, by_force=by_force)
        self._propose(config)

    def write(self, number: int, level: SyncMode | None) -> None:
        """A client's commit."""
        record = self.node.make(DATA, b"%d" % number)
        self.waiting.append(Waiting(number, record.end, level))

    def flushed(self, lsn: Lsn) -> None:
        """The node's own log is on disk up to there."""
        self._moved(self.lsns.own_flushed(lsn))

    @property
    def lease_ms(self) -> int:
        """What it asks of whoever hears it."""
        return min(config.lease_ms for config in self.lsns.counting)

    def holds(self) -> bool:
        """Whether nobody else can have been elected."""
        now = self.node.now
        return all(self.lease.until(config.electorate(self.node.name)) > now for config in self.lsns.counting)

    def confirmed(self, name: str, term: Term, echo_us: int) -> None:
        """A voter has heard what was sent then, in this term."""
        if term == self.term and echo_us:
            self.lease.confirmed(
                (name, self.node.world.host(name).member().incarnation), echo_us / 1e6, self.lease_ms / 1000
            )

    def observed(self, name: str, term: Term, version: int) -> None:
        """An observer has a configuration on its disk."""
        disk = self.node.world.observers[name].member().incarnation
        self._moved(self.lsns.observes(name, disk, term, version))

    def acknowledged(self, name: str, progress: Progress) -> None:
        """A follower has come further."""
        committed = self.lsns.acknowledged(name, progress)
        self.node.world.checkers.counted(self.node, name, progress)
        self._moved(committed)
        if name not in self.lsns.config.in_sync:
            self.reconcile()

    def _moved(self, committed: Lsn) -> None:
        node = self.node
        node.world.checkers.moved(node, committed)
        if not self.holds():
            return
        shown = node.log.flushed if node.world.cores.shows_flushed else committed
        node.expose(shown)
        left: list[Waiting] = []
        for one in self.waiting:
            if one.end <= (node.exposed if one.level is None else self.lsns.reached_by(one.level)):
                node.world.checkers.acknowledged(node, one)
            else:
                left.append(one)
        self.waiting = left

    def reconcile(self) -> None:
        """Propose the next step towards the configuration that is wanted."""
        wanted = self.wanted
        if self.lsns.pending is None:
            self.wanted = {}
        observers = [self.node.world.observers[name].member() for name in self.node.watchers]
        now_us = self.node.world.clock.now_us
        step = steps.next_step(self.lsns, wanted, self._followers(), self._is_alive, now_us, observers)
        if step is not None:
            self.node.tell(step.text)
            self._propose(step.config)

    def _propose(self, config: ClusterConfig) -> None:
        node = self.node
        record = node.make(CONFIG, config.to_bytes())
        node.world.checkers.proposed(node, config, record.end)
        node.show_config()
        self._moved(self.lsns.propose(config, record.end))

    def _followers(self) -> Iterator[steps.Follower]:
        node = self.node
        for name, stream in node.streams.items():
            yield steps.Follower(node.world.nodes[name].member(), stream.progress, stream.sent == node.log.end)

    def _is_alive(self, name: str) -> bool:
        node = self.node
        stream = node.streams.get(name)
        heard = stream.heard_us if stream is not None else node.heard_us.get(name, self.began_us)
        return node.world.clock.now_us - heard < self.lsns.config.eject_after_ms * 1000
