"""A simulated observer: it votes, keeps the configuration that it was told of, and holds no data."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from helios_cli.engine.consensus.acceptance import gives_way, may_follow, may_promise
from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.lease import Loyalty
from helios_cli.engine.consensus.vote import Vote
from helios_cli.engine.replication.messages import Answer, Heartbeat, Observed
from helios_cli.engine.sim.host import SimHost
from helios_cli.engine.sim.network import Link
from helios_cli.engine.types import Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.world import World


class SimObserver(SimHost):
    """One observer through all its lives."""

    def __init__(self, world: World, name: str, follows: str, term: Term) -> None:
        super().__init__(world, name)
        self._follows_at_first = follows
        self._empty(term)
        self._reset()

    def _empty(self, term: Term) -> None:
        follows = self._follows_at_first
        self.disk.save(term=(term.number, term.term_id), follows=follows, config="", config_term=0, lease=0)

    def _reset(self) -> None:
        self.term = self.disk.term
        self.follows: str = self.disk.control["follows"]
        self.upstream: Link | None = None
        self.upstream_id = ""
        self._heard_at = float("-inf")
        self.vote = Vote(Loyalty(self.now, self.disk.control["lease"] / 1000))

    @property
    def config(self) -> ClusterConfig | None:
        """The configuration that it was told of last."""
        text = self.disk.control["config"]
        return ClusterConfig.from_bytes(text.encode()) if text else None

    @property
    def told(self) -> tuple[int, int]:
        """The version of that, and the number of the term in which it was told; 0: never."""
        config = self.config
        return (config.version, self.disk.control["config_term"]) if config is not None else (0, 0)

    # Lives -----------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a life with what the disk holds."""
        self.disk.recover()
        self._reset()
        self.world.checkers.started(self)
        self.tell(f"starts as observer, term {self.term}")
        self.after(self.rng.randrange(self.world.timing.heartbeat_us), self._beat)

    def hang_up(self) -> None:
        """End the connection."""
        self._drop()

    def lose_disk(self) -> None:
        """The disk is another one, and empty: it knows of no promise."""
        self.world.checkers.disk_lost(self)
        self.stop(power_cut=0)
        self.replace_disk()
        self._empty(Term(0))
        self.term = Term(0)

    def member(self) -> Member:
        """This node in a configuration."""
        return Member(self.name, self.incarnation, self.name, 0, 1, 1, "")

    # The primary -----------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        timing = self.world.timing
        self.after(timing.heartbeat_us, self._beat)
        if self.upstream is not None and self.now - self._heard_at > timing.silence_us / 1e6:
            self._drop()
        if self.upstream is None:
            # Where the primary was, then where else it may be.
            config = self.config
            members = [member.node_id for member in config.members] if config is not None else list(self.world.nodes)
            self._observe(self.follows if self.rng.random() < 0.7 else self.rng.choice(members))

    def _observe(self, name: str) -> None:
        target = self.world.nodes[name]
        link = self.world.network.connect(self, target)
        if link is None:
            return
        link.member = self.member()
        self.upstream, self._heard_at = link, self.now
        link.on_message[1] = partial(target.serving.visited, link)
        link.on_message[0] = partial(self._received, link)
        link.on_closed[0] = lambda: self._drop() if self.upstream is link else None
        link.send(0, self.term, "observe")

    def _drop(self) -> None:
        link, self.upstream = self.upstream, None
        if link is not None:
            link.close(0)

    def _received(self, link: Link, term: Term, kind: str, body: Any) -> None:
        if link is not self.upstream:
            return
        if not may_follow(self.term, term):
            self._drop()
            return
        self._promise(term)
        self._heard_at = self.now
        # Not before: one that was restarted, and does not lead, says nothing.
        self.upstream_id = link.ends[1].name
        echo_us = 0
        if kind == "config":
            self.disk.save(config=body.decode(), config_term=term.number, follows=self.upstream_id)
            self.follows = self.upstream_id
        elif kind == "heartbeat":
            heartbeat = Heartbeat.from_body(body)
            echo_us = heartbeat.sent_us
            if heartbeat.lease_ms is not None:
                if heartbeat.lease_ms > self.disk.control["lease"]:
                    self.disk.save(lease=heartbeat.lease_ms)
                if not self.vote.heard(self.now, heartbeat.lease_ms / 1000, term):
                    echo_us = 0
        config = self.config
        told = config is not None and self.disk.control["config_term"] == term.number
        version = config.version if told and config is not None else 0
        link.send(0, self.term, "observed", Observed(version, echo_us).to_body())

    def _promise(self, term: Term) -> None:
        if term > self.term:
            self.disk.save(term=(term.number, term.term_id))
            self.term = term
            self.world.checkers.promises.promised(self, term)

    def campaign_answer(self, term: Term, promise: bool, asker: str, giver: str) -> Answer:
        """A candidate asks."""
        is_primary = gives_way(self.upstream_id, asker, giver)
        is_loyal = self.vote.holds(self.now) and not is_primary
        promised = (
            promise
            and may_promise(self.term, term, leads=False, is_loyal=is_loyal)
            and self.vote.pledge(self.now, term.number, excused=is_primary)
        )
        if promised:
            self._promise(term)
            self.world.checkers.promises.voted(self, term, asker)
            self.tell(f"promises term {term} to {asker}")
        config = self.config
        return Answer(
            node_id=self.name,
            role="observer",
            incarnation=self.incarnation,
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
        if may_follow(self.term, term):
            self._promise(term)
            if self.follows != name or self.upstream is None or self.upstream.ends[1].name != name:
                self.follows = name
                self.disk.save(follows=name)
                self._drop()
