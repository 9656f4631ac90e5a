"""The SQLite text of key statements: indexes must stay usable, hot statements free of function calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.planner_bench import Bench

SCHEMA = (
    "CREATE TABLE pgbench_accounts (aid int NOT NULL PRIMARY KEY, bid int, abalance int, filler char(84))",
    "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
    "CREATE TABLE m (id bigint PRIMARY KEY, price numeric, name text, flag bool)",
    "CREATE INDEX m_price ON m (price)",
    "CREATE INDEX m_name ON m (name)",
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    found = Bench()
    for sql in SCHEMA:
        assert not found.run(sql).sqlstate
    yield found
    found.close()


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (
            "SELECT abalance FROM pgbench_accounts WHERE aid = 5;",
            'SELECT "pgbench_accounts"."abalance" FROM "pgbench_accounts" WHERE ("pgbench_accounts"."aid" = ?1)',
        ),
        (
            "UPDATE pgbench_accounts SET abalance = abalance + -5 WHERE aid = 3;",
            'UPDATE "pgbench_accounts" SET "abalance" = ("pgbench_accounts"."abalance" + (-?1)) '
            'WHERE ("pgbench_accounts"."aid" = ?2)',
        ),
        (
            "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, -4, CURRENT_TIMESTAMP);",
            'INSERT INTO "pgbench_history" ("tid", "bid", "aid", "delta", "mtime") '
            "VALUES (?1, ?2, ?3, (-?4), pg_timestamptz_local(?5, ?6))",
        ),
        ("select count(*) from pgbench_history", 'SELECT count(*) FROM "pgbench_history"'),
        (
            "SELECT aid FROM pgbench_accounts ORDER BY aid LIMIT 3",
            'SELECT "pgbench_accounts"."aid" FROM "pgbench_accounts" ORDER BY 1 LIMIT ?1',
        ),
    ],
)
def test_text(bench: Bench, sql: str, text: str) -> None:
    assert bench.cache.get(sql, bench.catalog)[0][0].steps == (text,)


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT * FROM pgbench_accounts WHERE aid = 5", "INTEGER PRIMARY KEY"),
        ("SELECT * FROM pgbench_accounts WHERE aid = 2 + 3", "INTEGER PRIMARY KEY"),
        ("SELECT * FROM pgbench_accounts WHERE aid = ANY('{1,2}')", "INTEGER PRIMARY KEY"),
        ("SELECT * FROM m WHERE price = 1.5", "m_price"),
        ("SELECT * FROM m WHERE price > 1 AND price < 2", "m_price"),
        ("SELECT * FROM m WHERE name = 'x'", "m_name"),
        ("SELECT * FROM m WHERE name IN ('x', 'y')", "m_name"),
    ],
)
def test_indexes_are_used(bench: Bench, sql: str, index: str) -> None:
    plan, literals = bench.cache.get(sql, bench.catalog)[0]
    steps = [row[3] for row in bench.connection.execute("EXPLAIN QUERY PLAN " + plan.steps[0], literals)]
    if index == "INTEGER PRIMARY KEY":
        assert any(step.startswith("SEARCH") for step in steps), steps
    else:
        assert any(index in step and step.startswith("SEARCH") for step in steps), steps


def test_integer_overflow_is_raised_not_wrapped(bench: Bench) -> None:
    for sql in ("SELECT 2147483647 + 1", "SELECT 9223372036854775807 + 1", "SELECT 2147483647 * 2 - 1"):
        assert bench.run(sql).sqlstate == "22003", sql


def test_a_collation_does_not_leak_into_results(bench: Bench) -> None:
    bench.run("INSERT INTO m VALUES (1, 0.5, 'a', true), (2, 5, 'b', false)")
    answer = bench.run(
        "SELECT CASE WHEN price > 1 THEN 'dear' ELSE 'cheap' END AS c, count(*) FROM m GROUP BY c ORDER BY c"
    )
    assert answer.rows == (("cheap", "1"), ("dear", "1"))
