"""What is to happen to a simulated cluster, drawn from one number before it begins: a list that can be shortened."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from helios_cli.engine.consensus.rule import SyncMode

PAUSES_US: Final = (500, 3_000, 20_000, 100_000, 300_000)
"""Between two actions, at most: whatever the times of a node are, some actions fall between two of its steps."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What one run is made from: equal ones give equal runs."""

    seed: int
    nodes: int = 3
    mode: SyncMode = SyncMode.SEMI_SYNC
    steps: int = 120
    """Actions of clients, operators and bad luck."""
    observers: int = 0
    survivable: bool = False
    """Only what a cluster gets over by itself happens, and afterwards it has to be whole again."""
    only: tuple[int, ...] | None = None
    """The numbers of the actions that happen; None: all of them."""


SIZES: Final = ((3, 0), (3, 1), (2, 1), (3, 0), (5, 0), (2, 0), (4, 1), (3, 2), (5, 2), (1, 0))
"""Data nodes and observers, in turn."""

STEPS: Final = 120


def drawn(
    seed: int,
    *,
    nodes: int | None = None,
    observers: int | None = None,
    mode: SyncMode | None = None,
    steps: int | None = None,
    survivable: bool | None = None,
) -> Spec:
    """What the run with a number is made from, where it is not told: sizes, modes and kinds of runs take turns."""
    size = SIZES[seed % len(SIZES)]
    return Spec(
        seed,
        size[0] if nodes is None else nodes,
        tuple(SyncMode)[seed // len(SIZES) % 4] if mode is None else mode,
        STEPS if steps is None else steps,
        size[1] if observers is None and nodes is None else observers or 0,
        seed // 3 % 2 == 1 if survivable is None else survivable,
    )


class Action(NamedTuple):
    """One thing that happens."""

    number: int
    kind: str
    seed: int
    """For the particulars, which depend on what is there then."""
    pause_us: int
    """How long it lasts until the next."""


WEIGHTS: Final = {
    "write": 30.0, "read": 5.0, "crash": 3.0, "doom": 3.0, "freeze": 2.0, "cut": 3.0, "ring": 0.4, "reset": 1.5,
    "network": 1.0, "heal": 3.0, "disk": 2.0, "lose_disk": 0.5, "clock": 1.0, "promote": 4.0, "outage": 0.6,
    "disaster": 0.4, "switchover": 1.0, "configure": 0.9, "remove": 0.3,
}  # fmt: skip
BAD_LUCK: Final = (
    "crash", "doom", "freeze", "cut", "ring", "reset", "network", "heal", "disk", "lose_disk", "clock", "promote",
    "outage", "disaster",
)  # fmt: skip


def draw(spec: Spec) -> list[Action]:
    """The actions of a run, those that are left of it."""
    rng = Random(f"plan {spec.seed}")
    trouble = rng.choice((0.3, 1.0, 2.0))
    weights = dict(WEIGHTS)
    if rng.random() < 0.5:
        # No operator promotes: what is cut off stays so for longer, and the cluster helps itself.
        weights["promote"] = 0.0
        weights["heal"] /= 2
    if rng.random() < 0.6:
        # Few kinds of trouble at a time, each often: what needs several of one kind is met too.
        chosen = rng.sample(BAD_LUCK, 4)
        for kind in BAD_LUCK:
            weights[kind] *= 2.5 if kind in chosen else 0.0 if kind != "heal" else 1.0
    for kind in BAD_LUCK:
        weights[kind] *= trouble
    kinds, chances = list(weights), list(weights.values())
    actions = [
        Action(number, rng.choices(kinds, chances)[0], rng.getrandbits(32), rng.randrange(rng.choice(PAUSES_US)))
        for number in range(spec.steps)
    ]
    if spec.only is None:
        return actions
    left = set(spec.only)
    return [action for action in actions if action.number in left]
