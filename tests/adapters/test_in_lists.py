"""IN over a list of another number type than its subject's is one comparison of SQLite, as over the same type."""

from __future__ import annotations

import pytest
from support.planner_bench import Bench

SETUP = (
    "CREATE TABLE numbers (o oid, n numeric, f float8, r real, s smallint, t text)",
    "INSERT INTO numbers VALUES (1, 1.0, 1, 1.5, 3, 'a'), (4294967295, 2.50, 2.5, 0.1, 4, 'b')",
)
CASES = (
    ("SELECT o FROM numbers WHERE o IN (1, 2, 3)", ["1"]),
    ("SELECT o FROM numbers WHERE o NOT IN (1, 2, 3)", ["4294967295"]),
    ("SELECT o FROM numbers WHERE o IN (-1, 5)", ["4294967295"]),
    ("SELECT n FROM numbers WHERE n IN (1, 2)", ["1.0"]),
    ("SELECT f FROM numbers WHERE f IN (2.5, 1.0)", ["1", "2.5"]),
    ("SELECT s FROM numbers WHERE s IN (3::numeric, 4.5)", ["3"]),
)


@pytest.mark.parametrize(("sql", "rows"), CASES)
def test_a_list_of_another_number_type_is_one_comparison(sql: str, rows: list[str]) -> None:
    bench = Bench()
    for statement in SETUP:
        bench.run(statement)
    plan, _literals = bench.cache.get(sql, bench.catalog)[-1]
    assert " OR " not in plan.steps[-1]
    assert " AND " not in plan.steps[-1]
    assert [row[0] for row in bench.run(sql).rows] == rows
    bench.close()
