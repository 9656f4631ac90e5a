"""Whose turn it is: choosing one of the nodes that can all answer a read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import reduce
from math import gcd
from typing import Final, Protocol, TypeVar

ROUND_ROBIN: Final = "round-robin"
"""One after the other."""
LEAST_CONNECTIONS: Final = "least-connections"
"""The one with the fewest units in hand."""
LATENCY_BASED: Final = "latency-based"
"""The one that answers fastest."""
RANDOM: Final = "random"

BALANCERS: Final = (ROUND_ROBIN, LEAST_CONNECTIONS, LATENCY_BASED, RANDOM)

CYCLE_MAX: Final = 1000
"""Longest sequence of turns; weights that would need a longer one are rounded."""

NEAR_S: Final = 0.000_2
"""Latencies that differ by less are the same; so nodes on one machine take turns."""


class Candidate(Protocol):
    """A node, as the choice needs it."""

    weight: int
    """How many turns it has for one of a node with weight 1; 0: none, unless all have none."""
    active: int
    """Units in hand there."""
    latency_s: float
    """How long it takes to answer, smoothed; 0.0: not known."""


C = TypeVar("C", bound=Candidate)


def turns(candidates: Sequence[C]) -> list[C]:
    """The order in which weighted nodes have their turns: each as often as its weight says, evenly spread.

    The order of nginx's smooth weighted round-robin. Equal weights give the candidates as they are.
    """
    weights = [max(0, one.weight) for one in candidates]
    if not any(weights):
        weights = [1] * len(weights)
    weights = _shortened(weights)
    total = sum(weights)
    credit = [0] * len(weights)
    found: list[C] = []
    for _ in range(total):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        best = max(range(len(credit)), key=credit.__getitem__)
        credit[best] -= total
        found.append(candidates[best])
    return found


def _shortened(weights: list[int]) -> list[int]:
    """The same proportions in the smallest numbers; where they are too large still, nearly the same."""
    divisor = reduce(gcd, weights, 0) or 1
    weights = [weight // divisor for weight in weights]
    total = sum(weights)
    if total <= CYCLE_MAX:
        return weights
    return [weight and max(1, weight * CYCLE_MAX // total) for weight in weights]


def chooser(balancer: str, candidates: Sequence[C], uniform: Callable[[], float]) -> Callable[[], C | None]:
    """What gives a node whenever it is called, and None when there are none. A call takes about a microsecond.

    It is made once for each set of candidates. ``uniform`` gives numbers from 0.0 to below 1.0, for ``random``.
    """
    if not candidates:
        return lambda: None
    order = turns(candidates)
    if len(set(map(id, order))) == 1:
        return itertools.repeat(order[0]).__next__
    if balancer == RANDOM:
        count = len(order)
        return lambda: order[int(uniform() * count)]
    if balancer == ROUND_ROBIN:
        return itertools.cycle(order).__next__
    cost = _load if balancer == LEAST_CONNECTIONS else _latency
    rotations = itertools.cycle([order[at:] + order[:at] for at in range(len(order))])
    return lambda: min(next(rotations), key=cost)


def _load(one: Candidate) -> float:
    return one.active / (one.weight or 1)


def _latency(one: Candidate) -> int:
    return int(one.latency_s / (one.weight or 1) / NEAR_S)
