"""A simulated cluster: nodes, clock, network, and a seeded schedule of all that can happen to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from random import Random
from typing import Final

from helios_cli.engine.consensus.config import EJECT
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.consensus.steps import first_config
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sim.checkers import Checkers
from helios_cli.engine.sim.clock import SimClock
from helios_cli.engine.sim.director import Director
from helios_cli.engine.sim.liveness import Healing
from helios_cli.engine.sim.network import SimNetwork
from helios_cli.engine.sim.node import SimNode
from helios_cli.engine.sim.observer import SimObserver
from helios_cli.engine.sim.plan import Spec, draw
from helios_cli.engine.sim.records import CONFIG, TERM_START, SimRecord, make_record
from helios_cli.engine.sim.violation import Violation
from helios_cli.engine.types import Lsn, Term

SETTLE_US: Final = 1_500_000
"""Time after the last action of the schedule, in which nothing is in the way."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of the nodes, microseconds: those of a real node, or shorter, so that more happens."""

    heartbeat_us: int = 100_000
    heard_us: int = 500_000
    release_us: int = 450_000
    blocked_us: int = 250_000
    ask_us: int = 300_000
    grace_us: int = 20_000
    silence_us: int = 800_000
    again_us: int = 300_000
    announce_us: int = 400_000
    switch_us: int = 600_000
    take_over_us: int = 450_000
    take_back_us: int = 900_000


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to."""

    spec: Spec
    rule: str
    """The rule that was broken; empty: none."""
    text: str
    story: tuple[str, ...]
    digest: str
    """Of the whole story: equal for equal seeds and settings."""
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.rule


class World:
    """Everything of one run."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.rng = Random(spec.seed)
        self.timing = Timing()
        self.clock = SimClock()
        self.network = SimNetwork(self.clock, Random(f"network {spec.seed}"))
        self.checkers = Checkers(self)
        self.elections = 0
        """Promotions that nobody asked for, begun."""
        self.points: Counter[str] = Counter()
        """At which points a process has ended, and how often."""
        self._story: list[tuple[int, str, str]] = []
        self.nodes: dict[str, SimNode] = {}
        for number in range(spec.nodes):
            name = f"n{number + 1}"
            self.nodes[name] = SimNode(self, name)
        self.observers: dict[str, SimObserver] = {}
        self._found(spec.mode, spec.observers)

    @property
    def hosts(self) -> Iterator[SimNode | SimObserver]:
        """Every process."""
        yield from self.nodes.values()
        yield from self.observers.values()

    def host(self, name: str) -> SimNode | SimObserver:
        """A process by name."""
        return self.nodes[name] if name in self.nodes else self.observers[name]

    def _found(self, mode: SyncMode, observers: int) -> None:
        """The birth of the cluster: the first node leads, the others have a copy of it."""
        first = next(iter(self.nodes.values()))
        term = Term(1, self.rng.getrandbits(64))
        loss = EJECT if self.rng.random() < 0.7 else "wait"
        config = first_config(
            first.member(), mode=mode, on_sync_loss=loss, eject_after_ms=self.rng.randrange(300, 1200)
        )
        config = replace(
            config,
            lease_ms=self.rng.randrange(250, self.rng.choice((900, 900, 2500))),
            progress_timeout_ms=self.rng.choice((0, 700, 1500)),
            max_failover_lag_bytes=self.rng.choice((0, 500, 16 << 20)),
        )
        begun = make_record(Lsn(0), 0, term, TERM_START, Lsn(0), b"")
        records: list[SimRecord] = [
            begun, make_record(begun.end, begun.checksum, term, CONFIG, Lsn(0), config.to_bytes())
        ]  # fmt: skip
        for node in self.nodes.values():
            leads = node is first
            node.found(records, "primary" if leads else "standby", "" if leads else first.name, term)
            self.checkers.founded(node, term, config, leads=leads)
            node.start()
        for number in range(observers):
            observer = self.observers[f"o{number + 1}"] = SimObserver(self, f"o{number + 1}", first.name, term)
            observer.start()

    def tell(self, who: str, text: str) -> None:
        """Put a line into the story."""
        self._story.append((self.clock.now_us, who, text))

    def tell_state(self) -> None:
        """Put down how every node is."""
        for node in self.nodes.values():
            state = "leads" if node.is_leading else f"follows {node.follows or 'nobody'}" if node.up else "is down"
            log = node.log
            known = f"configuration {log.config.version}" if log.configs else "no configuration"
            told = f"= {state}, term {node.term}, log of {log.last_term} to {log.end}, flushed {log.flushed}"
            node.tell(f"{told}, shows {node.exposed}, {known}")

    def result(self, spec: Spec, violation: Violation | None, counts: dict[str, int]) -> Result:
        """What it came to."""
        story = tuple(f"{at / 1e6:10.6f} {who:4} {text}" for at, who, text in self._story)
        digest = blake2b("\n".join(story).encode(), digest_size=16).hexdigest()
        rule, text = (violation.rule, violation.text) if violation is not None else ("", "")
        return Result(spec, rule, text, story, digest, counts)


def run(spec: Spec) -> Result:
    """One run, the same for the same specification."""
    world = World(spec)
    kind = "what can be survived" if spec.survivable else "anything"
    size = f"{spec.nodes} data nodes, {spec.observers} observers, mode {spec.mode.value}"
    world.tell("", f"seed {spec.seed}: {size}, {spec.steps} actions, {kind} may happen")
    director, healing = Director(world), Healing(world)
    violation = None
    clock = world.clock
    try:
        clock.run_until(600_000)
        for action in draw(spec):
            world.tell("", f"-- {action.number}: {action.kind}")
            director.act(action)
            clock.run_until(clock.now_us + action.pause_us)
        world.checkers.converged()
        director.is_over = True
        world.tell("", "-- nothing is in the way any more")
        healing.heal()
        if spec.survivable:
            healing.check()
        else:
            clock.run_until(clock.now_us + SETTLE_US)
        world.checkers.converged()
    except Violation as found:
        violation = found
    except (HeliosError, ValueError, KeyError, AssertionError) as error:
        violation = Violation("the cores raise nothing", f"{type(error).__name__}: {error}")
    if violation is not None:
        world.tell_state()
        world.tell("", str(violation))
    checkers = world.checkers
    counts = {
        "events": clock.events,
        "simulated_ms": clock.now_us // 1000,
        "acknowledged": checkers.acknowledged_count,
        "kept": checkers.kept_count,
        "lost": checkers.lost_count,
        "terms": len(checkers.leaders),
        "elections": world.elections,
        "questions_lost": world.network.lost_count,
        "questions_twice": world.network.twice_count,
        "points": world.points.total(),
        **director.counts,
    }
    return world.result(spec, violation, counts)
