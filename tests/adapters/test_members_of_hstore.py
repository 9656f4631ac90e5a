"""Subscripts of hstore, and the options of ts_headline: PostgreSQL 15's answers."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture
def database() -> LocalDatabase:
    made = LocalDatabase()
    made.run("CREATE EXTENSION hstore; CREATE TABLE t (id int, h hstore); INSERT INTO t VALUES (1, NULL), (2, 'a=>1')")
    return made


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT h['a'], (h || 'w=>2')['w'], h['b'] FROM t ORDER BY id", [(None, None, None), ("1", "2", None)]),
        (
            "UPDATE t SET h['q'] = 'x', h['z'] = NULL RETURNING h",
            [('"q"=>"x", "z"=>NULL',), ('"a"=>"1", "q"=>"x", "z"=>NULL',)],
        ),
        ("UPDATE t SET h['a'] = 5 WHERE h['a'] = '1' RETURNING h", [('"a"=>"5"',)]),
        ("INSERT INTO t (h['k']) VALUES ('v') RETURNING id, h", [(None, '"k"=>"v"')]),
    ],
)
def test_values_are_read_and_stored_by_key(
    database: LocalDatabase, sql: str, rows: list[tuple[str | None, ...]]
) -> None:
    assert database.run(sql) == rows


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("UPDATE t SET h[NULL] = 'x'", "22004", "hstore subscript in assignment must not be null"),
        ("UPDATE t SET h['a']['b'] = 'x'", "0A000", "hstore allows only one subscript"),
        ("SELECT h['a':'b'] FROM t", "0A000", "hstore allows only one subscript"),
    ],
)
def test_what_hstore_subscripts_cannot_do(database: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError) as caught:
        database.run(sql)
    assert (caught.value.sqlstate, str(caught.value)) == (sqlstate, message)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("StartSel='<i>', StopSel='</i>'", "the <i>Robin</i> knights"),
        ("StartSel = \"<a \"\"b>\" ,StopSel='it''s \\ x'", "the <a \"b>Robinit's \\ x knights"),
        ("StartSel=,StopSel=>", "the ,StopSel=>Robin</b> knights"),
    ],
)
def test_options_of_headlines_may_be_quoted(database: LocalDatabase, options: str, shown: str) -> None:
    quoted = options.replace("'", "''")
    sql = f"SELECT ts_headline('english', 'the Robin knights', 'robin'::tsquery, '{quoted}')"
    assert database.run(sql) == [(shown,)]


@pytest.mark.parametrize("options", ["StartSel", "StartSel=<a b>, StopSel=<"])
def test_options_of_headlines_that_are_none(database: LocalDatabase, options: str) -> None:
    with pytest.raises(HeliosError, match="invalid parameter list format") as caught:
        database.run(f"SELECT ts_headline('the Robin', 'robin'::tsquery, '{options}')")
    assert caught.value.sqlstate == "42601"
