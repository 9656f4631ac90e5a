"""Cases from a seed: the same seed gives the same cases, on the same PostgreSQL version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Final

from bench.comparesql import (
    advanced,
    definitions,
    faults,
    matrices,
    objects,
    partitions,
    programs,
    queries,
    sessions,
    texts,
    writes,
)
from bench.comparesql.faults import Faults
from bench.comparesql.grammar import Grammar, chosen
from bench.comparesql.matrices import Matrices
from bench.comparesql.partitions import Partitions
from bench.comparesql.queries import Queries
from bench.comparesql.surface import Surface
from bench.comparesql.tree import Case
from bench.comparesql.writes import Writes

_ROOMS: Final = {
    "construct": advanced, "definition": definitions, "program": programs, "session": sessions, "form": matrices,
    "text": texts, "object": objects,
}  # fmt: skip
SCRIPTED: Final = {"construct": 12, "definition": 12, "program": 8, "session": 6, "form": 18, "text": 20, "object": 14}
"""How often a case is made of each room's scripts."""


def _scripted(made: Queries, room: str) -> Case:
    return chosen(Grammar(made.expressions, _ROOMS[room].RULES), room, _ROOMS[room].SCRIPTS)


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
        *((weight, partial(make, Matrices(made))) for weight, make in matrices.FAMILIES),
        *((weight, partial(make, Partitions(made))) for weight, make in partitions.FAMILIES),
        *((weight, partial(_scripted, made, room)) for room, weight in SCRIPTED.items()),
    ]
    return rng.choices([make for _, make in rooms], [weight for weight, _ in rooms])[0]()
