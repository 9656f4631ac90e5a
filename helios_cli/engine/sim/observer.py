"""A simulated observer: it votes, keeps the configuration that it was told of, and holds no data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.replication.messages import Answer, Heartbeat
from helios_cli.engine.sim.disk import SimDisk
from helios_cli.engine.sim.host import SimHost
from helios_cli.engine.sim.network import Link
from helios_cli.engine.types import Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.world import World


class SimObserver(SimHost):
    """One observer through all its lives."""

    def __init__(self, world: World, name: str, follows: str, term: Term) -> None:
        super().__init__(world, name)
        self.disk = SimDisk()
        self.disk.save(term=(term.number, term.term_id), follows=follows, config="", config_term=0, lease=0)
        self._reset()

    def _reset(self) -> None:
        self.term = self.disk.term
        self.follows: str = self.disk.control["follows"]
        self.upstream: Link | None = None
        self._heard_us = -(1 << 60)
        longest_ms = self.disk.control["lease"]
        self.loyalty = self.world.cores.loyalty(self.now, longest_ms / 1000)

    @property
    def config(self) -> ClusterConfig | None:
        """The configuration that it was told of last."""
        text = self.disk.control["config"]
        return ClusterConfig.from_bytes(text.encode()) if text else None

    def has(self, config: ClusterConfig, term: Term) -> bool:
        """Whether a configuration of that term, or a later one, is on its disk."""
        own = self.config
        return own is not None and self.disk.control["config_term"] == term.number and own.version >= config.version

    def start(self) -> None:
        """Begin a life with what the disk holds."""
        if self.up:
            return
        self.begin_life()
        self.disk.recover()
        self._reset()
        self.tell(f"starts as observer, term {self.term}")
        self.after(self.world.rng.randrange(self.world.timing.heartbeat_us), self._beat)

    def stop(self, *, power_cut: int | None = None) -> None:
        """End a life."""
        if not self.up:
            return
        self.up = False
        if power_cut is not None:
            self.disk.power_cut(power_cut)
        elif self.upstream is not None:
            self.upstream.close(0)

    def member(self) -> Member:
        """This node in a configuration."""
        return Member(self.name, f"disk of {self.name}", self.name, 1, 1, 1, "observer")

    def _beat(self) -> None:
        timing = self.world.timing
        self.after(timing.heartbeat_us, self._beat)
        if self.upstream is not None and self.now_us - self._heard_us > timing.silence_us:
            self._drop()
        if self.upstream is None:
            target = self.world.nodes[self.follows]
            link = self.world.network.connect(self, target)
            if link is not None:
                self.upstream, self._heard_us = link, self.now_us
                link.on_message[1] = lambda *message: target.visited(link, *message)
                link.on_message[0] = lambda *message: self._from_upstream(link, *message)
                link.on_closed[0] = lambda: self._drop() if self.upstream is link else None
                link.send(0, self.term, "observe")

    def _drop(self) -> None:
        link, self.upstream = self.upstream, None
        if link is not None:
            link.close(0)

    def _from_upstream(self, link: Link, term: Term, kind: str, body: Any) -> None:
        if link is not self.upstream:
            return
        if not self.world.cores.may_follow(self.term, term):
            self._drop()
            return
        self._promise(term)
        self._heard_us = self.now_us
        echo_us = 0
        if kind == "config":
            self.disk.save(config=body.decode(), config_term=term.number)
        elif kind == "heartbeat":
            heartbeat = Heartbeat.from_body(body)
            echo_us = heartbeat.sent_us
            if heartbeat.lease_ms is not None:
                if heartbeat.lease_ms > self.disk.control["lease"]:
                    self.disk.save(lease=heartbeat.lease_ms)
                self.loyalty.heard(self.now, heartbeat.lease_ms / 1000)
        config = self.config
        told = config is not None and self.disk.control["config_term"] == term.number
        link.send(0, self.term, "observed", (config.version if told and config is not None else 0, echo_us))

    def _promise(self, term: Term) -> None:
        if term > self.term:
            self.term = term
            if self.world.cores.saves_promise:
                self.disk.save(term=(term.number, term.term_id))

    def campaign_answer(self, term: Term, promise: bool, giver: str) -> Answer:
        """A candidate asks."""
        is_loyal = self.loyalty.holds(self.now) and giver != self.follows
        promised = promise and self.world.cores.may_promise(self.term, term, leads=False, is_loyal=is_loyal)
        if promised:
            self._promise(term)
        config = self.config
        return Answer(
            node_id=self.name,
            role="observer",
            incarnation=self.member().incarnation,
            promised=promised,
            term=self.term.number,
            last_term=0,
            last_term_id=0,
            flushed=0,
            config_version=config.version if config is not None else 0,
            reaches_primary=not promised and is_loyal,
            primary_id=self.follows,
            primary_host=self.follows,
            primary_native_port=1,
            config=self.disk.control["config"],
            config_term=self.disk.control["config_term"],
        )

    def announced(self, term: Term, name: str) -> None:
        """Somebody says that it leads."""
        if self.world.cores.may_follow(self.term, term):
            self._promise(term)
            if self.follows != name:
                self.follows = name
                self.disk.save(follows=name)
                self._drop()
