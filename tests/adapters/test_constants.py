"""Constants that are computed while a statement is planned: their errors come without a row, as in PostgreSQL 15."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.planner import Planner
from helios_cli.engine.storage.constants import ConstantEvaluator
from helios_cli.engine.storage.library import register_library


@pytest.fixture
def database() -> LocalDatabase:
    made = LocalDatabase()
    made.planner = Planner(evaluate=ConstantEvaluator(register_library))
    made.run("CREATE TABLE t (id int PRIMARY KEY, x float8)")
    made.run("INSERT INTO t VALUES (1, -1), (2, 4)")
    return made


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("SELECT make_date(0, 1, 1) FROM t WHERE false", "22008"),
        ("SELECT 1 / 0 FROM t LIMIT 0", "22012"),
        ("SELECT CASE WHEN id > 0 THEN 1 ELSE 1 / 0 END FROM t", "22012"),
        ("SELECT id FROM t WHERE id < 0 AND 1 / 0 = 1", "22012"),
        ("UPDATE t SET x = sqrt(-1) WHERE false", "2201F"),
        ("SELECT ('abc'::text)::int FROM t WHERE false", "22P02"),
        ("SELECT make_date(0, 1, 1), nope FROM t", "42703"),
    ],
)
def test_an_error_in_a_constant_stops_the_statement(database: LocalDatabase, sql: str, sqlstate: str) -> None:
    with pytest.raises(SqlError) as refused:
        database.run(sql)
    assert refused.value.sqlstate == sqlstate


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT CASE WHEN true THEN 1 ELSE 1 / 0 END", "1"),
        ("SELECT coalesce(1, 1 / 0)", "1"),
        ("SELECT count(*) FROM t WHERE false AND 1 / 0 = 1", "0"),
        ("SELECT count(*) FROM (SELECT make_date(0, 1, 1) AS unasked FROM t) s", "2"),
        ("SELECT max(id) FROM t WHERE power((NULL || 'x')::float8, |/ x) IS NULL", "2"),
        ("SELECT sum(NULL::int) FROM t", None),
        ("SELECT lower('ABC')", "abc"),
    ],
)
def test_what_postgresql_does_not_compute_is_not_computed(
    database: LocalDatabase, sql: str, wanted: str | None
) -> None:
    assert database.value(sql) == wanted
