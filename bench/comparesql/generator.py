"""Cases from a seed: the same seed gives the same cases, on the same PostgreSQL version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from bench.comparesql import faults, queries, writes
from bench.comparesql.faults import Faults
from bench.comparesql.queries import Queries
from bench.comparesql.surface import Surface
from bench.comparesql.tree import Case
from bench.comparesql.writes import Writes


def cases(surface: Surface, seed: int, count: int) -> Iterator[Case]:
    """``count`` cases, each from a random state of its own, so that one can be made again alone.

    To add constructs, add a method that gives a Case and its weight in the FAMILIES of its room.
    """
    for number in range(count):
        yield case(surface, seed, number)


def case(surface: Surface, seed: int, number: int) -> Case:
    """One case of a run."""
    rng = Random(f"{seed}/{number}")
    made = Queries(rng, surface)
    rooms: list[tuple[float, Callable[[], Case]]] = [
        *((weight, partial(make, made)) for weight, make in queries.FAMILIES),
        *((weight, partial(make, Writes(made))) for weight, make in writes.FAMILIES),
        *((weight, partial(make, Faults(made))) for weight, make in faults.FAMILIES),
    ]
    return rng.choices([make for _, make in rooms], [weight for weight, _ in rooms])[0]()
