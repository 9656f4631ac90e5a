"""The judgement of numbered rows: what a cluster may do, and each thing that it must not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from helios_cli.engine.histories.sessions import Finding, Outcome, Read, Row, Told, Write, judge
from helios_cli.engine.types import Term

ONE, OTHER, NEXT = Term(1, 7), Term(1, 8), Term(2, 9)


def done(number: int, *, sent: float = 0.0, answered: float = 1.0, term: Term | None = None) -> Write:
    return Write(1, (number,), sent, answered, Outcome.ACKNOWLEDGED, term)


def found(told: Told, rows: Sequence[Row], *, durable: bool = True) -> list[Finding]:
    return judge(told, {"n1": rows}, durable=durable)


RIGHT: dict[str, tuple[Told, list[Row]]] = {
    "nothing": (Told(), []),
    "acknowledged and there": (Told([done(1), done(2)]), [(1, 2), (1, 1)]),
    "unknown and there": (Told([Write(1, (1,), 0, math.inf, Outcome.UNKNOWN)]), [(1, 1)]),
    "unknown and not there": (Told([Write(1, (1,), 0, math.inf, Outcome.UNKNOWN)]), []),
    "refused and not there": (Told([Write(1, (1,), 0, 1, Outcome.REFUSED)]), []),
    "a transaction that is not there": (Told([Write(1, (1, 2), 0, math.inf, Outcome.UNKNOWN)]), []),
    "the own row was seen": (Told([done(1)], [Read(1, 1, (1,), 1, 2.0)]), [(1, 1)]),
    "a newer row of unknown outcome was seen": (
        Told([done(1), Write(1, (2,), 1, math.inf, Outcome.UNKNOWN)], [Read(1, 1, (2, 1), 1, 2.0)]), [(1, 1), (1, 2)],
    ),
    "another session's rows are behind": (Told([done(1)], [Read(2, 1, (), 0, 2.0)]), [(1, 1)]),
    "a term after another": (
        Told([done(1, term=ONE), done(2, sent=2, answered=3, term=NEXT)]), [(1, 1), (1, 2)],
    ),
    "an old term's answer that was on its way": (
        Told([done(1, sent=0, answered=5, term=ONE), done(2, sent=1, answered=2, term=NEXT)]), [(1, 1), (1, 2)],
    ),
}  # fmt: skip

WRONG: dict[str, tuple[str, Told, list[Row]]] = {
    "lost": ("lost", Told([done(1), done(2)]), [(1, 1)]),
    "twice": ("twice", Told([done(1)]), [(1, 1), (1, 1)]),
    "twice, of unknown outcome": ("twice", Told([Write(1, (1,), 0, math.inf, Outcome.UNKNOWN)]), [(1, 1), (1, 1)]),
    "refused and there": ("refused", Told([Write(1, (1,), 0, 1, Outcome.REFUSED)]), [(1, 1)]),
    "written by nobody": ("foreign", Told([done(1)]), [(1, 1), (4, 4)]),
    "half a transaction": ("half", Told([Write(1, (1, 2), 0, math.inf, Outcome.UNKNOWN)]), [(1, 2)]),
    "the own row was not seen": ("stale", Told([done(1), done(2)], [Read(1, 1, (1,), 2, 2.0)]), [(1, 1), (1, 2)]),
    "seen and taken back": (
        "taken-back", Told([Write(1, (1,), 0, math.inf, Outcome.UNKNOWN)], [Read(2, 1, (1,), 0, 2.0)]), [],
    ),
    "two primaries in one term": ("two-primaries", Told([done(1, term=ONE), done(2, term=OTHER)]), [(1, 1), (1, 2)]),
    "a primary whose term was over": (
        "two-primaries", Told([done(1, term=NEXT), done(2, sent=2, answered=3, term=ONE)]), [(1, 1), (1, 2)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_what_a_cluster_may_do(name: str) -> None:
    assert found(*RIGHT[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_it_must_not(name: str) -> None:
    kind, told, rows = WRONG[name]
    assert [one.kind for one in found(told, rows)] == [kind]


@pytest.mark.parametrize("name", ["lost", "seen and taken back", "the own row was not seen"])
def test_what_an_asynchronous_cluster_has_not_promised(name: str) -> None:
    _, told, rows = WRONG[name]
    assert found(told, rows, durable=False) == []


def test_a_finding_names_the_node_and_the_rows() -> None:
    told = Told([Write(3, (number,), 0.0, float(number), Outcome.ACKNOWLEDGED) for number in range(1, 41)])
    (lost,) = judge(told, {"n1": [(3, number) for number in range(1, 41)], "n2": [(3, 1)]}, durable=True)
    assert lost.text.startswith("n2: 39 rows acknowledged, and not there: 3:2, 3:3")
    assert lost.rows == tuple((3, number) for number in range(2, 22))
    assert lost.moments[0] == 2.0
