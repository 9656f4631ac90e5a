"""A simulated cluster: nodes, clock, network, and a seeded schedule of all that can happen to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from random import Random
from typing import Final

from helios_cli.engine.consensus.config import EJECT
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.consensus.steps import first_config
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sim.checkers import Checkers, Violation
from helios_cli.engine.sim.clock import SimClock
from helios_cli.engine.sim.cores import BUGS, Cores
from helios_cli.engine.sim.network import SimNetwork
from helios_cli.engine.sim.node import SimNode
from helios_cli.engine.sim.observer import SimObserver
from helios_cli.engine.sim.records import CONFIG, TERM_START, SimRecord, make_record
from helios_cli.engine.sim.schedule import Schedule
from helios_cli.engine.types import Lsn, Term

SETTLE_US: Final = 1_500_000
"""Time after the last action of the schedule, in which nothing is in the way."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of the nodes, microseconds: those of a real node, or shorter, so that more happens."""

    heartbeat_us: int = 100_000
    ask_us: int = 300_000
    silence_us: int = 800_000
    again_us: int = 300_000
    announce_us: int = 400_000
    switch_us: int = 600_000
    take_back_us: int = 900_000


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to."""

    seed: int
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

    def __init__(self, seed: int, *, nodes: int, mode: SyncMode, cores: Cores, observers: int = 0) -> None:
        self.rng = Random(seed)
        self.cores = cores
        self.timing = Timing()
        self.clock = SimClock()
        self.network = SimNetwork(self.clock, self.rng)
        self.checkers = Checkers(self)
        self.elections = 0
        """Promotions that nobody asked for, begun."""
        self._story: list[tuple[int, str, str]] = []
        self.nodes: dict[str, SimNode] = {}
        for number in range(nodes):
            name = f"n{number + 1}"
            self.nodes[name] = SimNode(self, name)
        self.observers: dict[str, SimObserver] = {}
        self._found(mode, observers)

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
        config = replace(config, lease_ms=self.rng.randrange(250, 900))
        begun = make_record(Lsn(0), 0, term, TERM_START, Lsn(0), b"")
        records: list[SimRecord] = [
            begun, make_record(begun.end, begun.checksum, term, CONFIG, Lsn(0), config.to_bytes())
        ]  # fmt: skip
        for node in self.nodes.values():
            leads = node is first
            node.found(config, records, "primary" if leads else "standby", "" if leads else first.name, term)
            node.start()
        for number in range(observers):
            observer = self.observers[f"o{number + 1}"] = SimObserver(self, f"o{number + 1}", first.name, term)
            observer.start()

    def sync_time(self) -> int:
        """How long the next sync takes, microseconds; a few take much longer."""
        drawn = self.rng.random()
        return int(300 + 2000 * drawn) * (30 if drawn > 0.98 else 1)

    def tell(self, who: str, text: str) -> None:
        """Put a line into the story."""
        self._story.append((self.clock.now_us, who, text))

    def result(self, seed: int, violation: Violation | None, counts: dict[str, int]) -> Result:
        """What it came to."""
        story = tuple(f"{at / 1e6:10.6f} {who:4} {text}" for at, who, text in self._story)
        digest = blake2b("\n".join(story).encode(), digest_size=16).hexdigest()
        rule, text = (violation.rule, violation.text) if violation is not None else ("", "")
        return Result(seed, rule, text, story, digest, counts)


def run_seed(
    seed: int,
    *,
    nodes: int = 3,
    mode: SyncMode = SyncMode.SEMI_SYNC,
    steps: int = 120,
    bug: str = "",
    observers: int = 0,
) -> Result:
    """One run, the same for the same arguments.

    Args:
        steps: actions of the schedule; the simulated time grows with them.
        bug: a name in :data:`~helios_cli.engine.sim.cores.BUGS`; empty: the cores as they are.

    Raises:
        KeyError: there is no such bug.
    """
    world = World(seed, nodes=nodes, mode=mode, cores=BUGS[bug].cores if bug else Cores(), observers=observers)
    schedule = Schedule(world)
    violation = None
    try:
        schedule.run(steps)
        schedule.settle(SETTLE_US)
    except Violation as found:
        world.tell("", str(found))
        violation = found
    except (HeliosError, ValueError) as error:
        violation = Violation("the cores raise nothing", f"{type(error).__name__}: {error}")
        world.tell("", str(violation))
    checkers = world.checkers
    counts = {
        "events": world.clock.events,
        "simulated_ms": world.clock.now_us // 1000,
        "acknowledged": checkers.acknowledged_count,
        "kept": checkers.kept_count,
        "lost": checkers.lost_count,
        "terms": len(checkers.leaders),
        "elections": world.elections,
        **schedule.counts,
    }
    return world.result(seed, violation, counts)
