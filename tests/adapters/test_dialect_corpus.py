"""Constructs of PostgreSQL's dialect, topic by topic, against answers recorded from PostgreSQL 15.

Columns, types, rows as text, command tags and SQLSTATEs are the same. See ``dialect_corpus/record.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.planner_bench import Answer, Bench

HERE = Path(__file__).parent
SCHEMA = (HERE / "planner_corpus" / "schema.sql").read_text().splitlines()
TOPICS = sorted(path.stem for path in (HERE / "dialect_corpus").glob("*.json"))


def _shown(answer: Answer) -> dict[str, Any]:
    if answer.sqlstate:
        return {"sqlstate": answer.sqlstate}
    columns, rows = [list(column) for column in answer.columns], [list(row) for row in answer.rows]
    return {"columns": columns, "rows": rows, "tag": answer.tag}


@pytest.mark.parametrize("topic", TOPICS)
def test_same_answers_as_postgresql(topic: str) -> None:
    bench = Bench()
    for sql in SCHEMA:
        assert not bench.run(sql).sqlstate
    different = {}
    for entry in json.loads((HERE / "dialect_corpus" / f"{topic}.json").read_text()):
        answer = bench.run(entry["sql"])
        expected = {key: value for key, value in entry.items() if key not in ("sql", "message")}
        if _shown(answer) != expected:
            different[entry["sql"]] = (_shown(answer), answer.message, expected)
    bench.close()
    assert different == {}


def test_every_topic_is_recorded() -> None:
    topics = [path.stem for path in sorted((HERE / "dialect_corpus").glob("*.sql"))]
    assert topics == TOPICS
    assert len(topics) >= 1
