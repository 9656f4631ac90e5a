"""The planner against answers recorded from PostgreSQL 15: columns, types, text of rows, tags, SQLSTATEs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.planner_bench import Answer, Bench

CORPUS = Path(__file__).parent / "planner_corpus"
ENTRIES: list[dict[str, Any]] = json.loads((CORPUS / "expected.json").read_text())
UNSUPPORTED = [line for line in (CORPUS / "unsupported.sql").read_text().splitlines() if line.strip()]


def _schema(bench: Bench) -> None:
    for sql in (CORPUS / "schema.sql").read_text().splitlines():
        answer = bench.run(sql)
        assert not answer.sqlstate, (sql, answer)


@pytest.fixture(scope="module")
def answers() -> Iterator[list[tuple[Answer, Answer | None]]]:
    """What each statement gave, in order, and what a query gives with its constants written in place."""
    bench = Bench()
    _schema(bench)
    found: list[tuple[Answer, Answer | None]] = []
    for entry in ENTRIES:
        answer = bench.run(entry["sql"])
        is_query = answer.tag.startswith("SELECT") and "nextval" not in entry["sql"]
        again = bench.run(entry["sql"], lifted=False) if is_query else None
        found.append((answer, again))
    yield found
    bench.close()


@pytest.mark.parametrize("number", range(len(ENTRIES)), ids=lambda number: str(ENTRIES[number]["sql"])[:60])
def test_same_answer_as_postgresql(number: int, answers: list[tuple[Answer, Answer | None]]) -> None:
    expected = ENTRIES[number]
    answer, again = answers[number]
    if "sqlstate" in expected:
        assert answer.sqlstate == expected["sqlstate"], (expected["sql"], answer)
        return
    assert answer.sqlstate == "", (expected["sql"], answer)
    assert [list(column) for column in answer.columns] == expected["columns"], expected["sql"]
    assert [list(row) for row in answer.rows] == expected["rows"], expected["sql"]
    assert answer.tag == expected["tag"], expected["sql"]
    if again is not None:
        assert again == answer, expected["sql"]


@pytest.mark.parametrize("sql", UNSUPPORTED)
def test_what_cannot_be_done_is_refused(sql: str) -> None:
    bench = Bench()
    _schema(bench)
    assert bench.run(sql).sqlstate == "0A000"
    bench.close()


def test_the_corpus_is_large() -> None:
    assert len(ENTRIES) >= 400
