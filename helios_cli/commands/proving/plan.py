"""What a proof is going to do, as data."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from helios_cli.commands.proving.faults import FAULTS, Fault
from helios_cli.commands.proving.stage import Scene
from helios_cli.engine.errors import ConfigError, HeliosError


class NotPossible(HeliosError):
    """The machine, or the cluster, cannot do a fault that was asked for."""

    sqlstate = "0A000"


@dataclass(frozen=True, slots=True)
class Plan:
    """As numbers."""

    faults: tuple[str, ...]
    rounds: int
    """Each round has every fault once."""
    seconds: float
    """0: the rounds say when it is over; else rounds follow until so much time is over."""
    seed: int
    clients: int
    """Through the proxy; every node that takes writes has two more of its own."""
    settle_s: float
    """How long the cluster may take to be whole again after a fault."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One fault of a round."""

    round_number: int
    fault: Fault
    variant: int


def chosen(text: str) -> tuple[str, ...]:
    """The faults of ``kill,freeze``, in the order of the table.

    Raises:
        ConfigError: there is no such fault.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FAULTS:
            raise ConfigError(f'there is no fault "{name}"', hint=f"They are {', '.join(FAULTS)}.")
    if not names:
        raise ConfigError("no fault is named", hint=f"They are {', '.join(FAULTS)}.")
    return tuple(name for name in FAULTS if name in names)


def refuse_impossible(names: Sequence[str], scene: Scene) -> None:
    """Say what cannot be done, before anything is.

    Raises:
        NotPossible: one of the faults cannot be injected here.
    """
    problems = [f"{name}: {why}" for name in names if (why := FAULTS[name].cannot(scene))]
    if problems:
        left = [name for name in FAULTS if name in names and not FAULTS[name].cannot(scene)]
        hint = f"Without it: --faults {','.join(left)}." if left else None
        raise NotPossible(f"not possible here: {'; '.join(problems)}", hint=hint)


def turns(plan: Plan) -> Iterator[Turn]:
    """All faults in their order, drawn from the seed; endless where the time says when it is over."""
    rng = random.Random(plan.seed)
    number = 0
    while plan.seconds or number < plan.rounds:
        faults = [FAULTS[name] for name in plan.faults]
        rng.shuffle(faults)
        for fault in faults:
            yield Turn(number + 1, fault, number % len(fault.variants))
        number += 1
