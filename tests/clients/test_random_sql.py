"""Random statements with the answers that PostgreSQL 15 gave, asked of a node.

The file is made by ``python -m bench.comparesql --seed 15 --count 1300 --record tests/clients/random_sql.json``, which
needs a PostgreSQL. Where one is, ``make compare-sql`` compares as many statements as wanted.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from support.node_process import NodeProcess

from bench.comparesql.answers import Asker, difference
from bench.comparesql.classes import CLASSES
from bench.comparesql.recording import Recorded, read

CORPUS = Path(__file__).with_name("random_sql.json")
DEVIATIONS = {"evaluation": 3, "other": 1, "zero": 1}
"""How many of the recorded cases differ in each of the classes that docs/SQL.md names."""


def _differing(node: NodeProcess) -> tuple[list[Recorded], dict[str, str]]:
    """The cases that differ, and what is told of those that should not."""
    schema, cases = read(CORPUS)
    differing, news = [], {}
    with node.connect() as connection:
        asker = Asker(connection)
        for statement in schema:
            assert not asker.run(statement).sqlstate, statement
        for each in cases:
            found = difference(each.case, asker.ask(each.case), each.answers)
            if found is None:
                continue
            differing.append(each)
            if not each.deviation:
                news[each.case.text] = f"{found.kind} {found.detail}: {found.ours} for {found.theirs}"
    return differing, news


def test_a_node_answers_as_postgresql_did(node: NodeProcess) -> None:
    differing, news = _differing(node)
    assert news == {}
    assert Counter(each.deviation for each in differing) == DEVIATIONS


def test_the_deviations_have_names_and_are_few() -> None:
    _, cases = read(CORPUS)
    deviations = Counter(each.deviation for each in cases if each.deviation)
    assert deviations == DEVIATIONS
    assert set(deviations) <= set(CLASSES)
    assert len(cases) >= 1200
    assert sum(deviations.values()) <= len(cases) // 100
