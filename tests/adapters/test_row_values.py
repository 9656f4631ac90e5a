"""Composite types and rows: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture
def db() -> Iterator[LocalDatabase]:
    database = LocalDatabase()
    database.run("CREATE TABLE t (id int PRIMARY KEY, name text, at timestamptz, n numeric)")
    database.run("INSERT INTO t VALUES (1, 'a b', '2020-01-01 00:00:00+00', 1.50), (2, NULL, NULL, NULL)")
    database.run("CREATE TYPE addr AS (street text, zip int)")
    database.run("CREATE TABLE person (id int, home addr, others addr[])")
    database.run("INSERT INTO person VALUES (1, ROW('Main St', 123), ARRAY[ROW('x', 1)::addr, ROW('y', 2)::addr])")
    database.run("""INSERT INTO person VALUES (2, '("Elm, 5",99)', '{"(a,1)","(b,2)"}')""")
    yield database


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT t FROM t ORDER BY id", ['(1,"a b","2020-01-01 00:00:00+00",1.50)', "(2,,,)"]),
        ("SELECT ROW(1, 'a', NULL)", ["(1,a,)"]),
        ("SELECT ROW('q\"\\', '', ' ')::text", ['("q""\\\\",""," ")']),
        ("SELECT row_to_json(t) FROM t WHERE id = 2", ['{"id":2,"name":null,"at":null,"n":null}']),
        ("SELECT to_jsonb(t) FROM t WHERE id = 2", ['{"n": null, "at": null, "id": 2, "name": null}']),
        ("SELECT row_to_json(x) FROM (SELECT 1 AS a, 'q' AS b) x", ['{"a":1,"b":"q"}']),
        ("SELECT row_to_json(x, true) FROM (SELECT 1 AS a, 'q' AS b) x", ['{"a":1,\n "b":"q"}']),
        ("SELECT row_to_json(ROW(1, 'foo'))", ['{"f1":1,"f2":"foo"}']),
        ("SELECT json_agg(x) FROM (VALUES (1), (2)) x (a)", ['[{"a":1}, \n {"a":2}]']),
        ("SELECT array_to_json(array_agg(x)) FROM (VALUES (1), (2)) x (a)", ['[{"a":1},{"a":2}]']),
        ("SELECT array_agg(x) FROM (VALUES (1, 'a b')) x (a, b)", ['{"(1,\\"a b\\")"}']),
        ("SELECT json_build_object('k', x) FROM (SELECT 1 AS a) x", ['{"k" : {"a":1}}']),
        ("SELECT row_to_json((SELECT r FROM (SELECT 1 AS x, 2 AS y) r))", ['{"x":1,"y":2}']),
        ("SELECT (t).name FROM t WHERE id = 1", ["a b"]),
        ("SELECT (x.r).f2 FROM (SELECT ROW(1, 'z'::text) AS r) x", ["z"]),
        ("WITH c AS (SELECT t FROM t) SELECT (t).id FROM c ORDER BY 1", ["1", "2"]),
        ("SELECT (home).zip + 1 FROM person ORDER BY id", ["124", "100"]),
        ("SELECT (others[2]).street FROM person ORDER BY id", ["y", "b"]),
        ("SELECT p.id FROM person p WHERE (p.home).street = 'Main St'", ["1"]),
        ("SELECT row_to_json(p) FROM person p WHERE id = 1", [
            '{"id":1,"home":{"street":"Main St","zip":123},"others":[{"street":"x","zip":1},{"street":"y","zip":2}]}'
        ]),
        ("SELECT home::text FROM person ORDER BY home", ['("Elm, 5",99)', '("Main St",123)']),
        ("SELECT id FROM person WHERE home = ROW('Main St', 123)::addr", ["1"]),
        ("SELECT ROW(1, 2) < ROW(1, 3)", ["t"]),
        ("SELECT t = t FROM t", ["t", "t"]),
        ("SELECT t IS NULL FROM t", ["f", "f"]),
        ("SELECT t IS NOT NULL FROM t ORDER BY id", ["t", "f"]),
        ("SELECT count(b) FROM t a LEFT JOIN t b ON b.id = a.id + 1", ["1"]),
        ("SELECT t FROM t GROUP BY t ORDER BY id LIMIT 1", ['(1,"a b","2020-01-01 00:00:00+00",1.50)']),
        ("SELECT a.id FROM t a WHERE a IN (SELECT b FROM t b WHERE id = 2)", ["2"]),
        ("SELECT pg_typeof(home) FROM person LIMIT 1", ["addr"]),
        ("SELECT pg_typeof(t) FROM t LIMIT 1", ["t"]),
    ],
)  # fmt: skip
def test_first_columns(db: LocalDatabase, sql: str, wanted: list[str]) -> None:
    assert [row[0] for row in db.run(sql)] == wanted


def test_a_star_after_a_row_gives_its_fields(db: LocalDatabase) -> None:
    assert db.run("SELECT (home).* FROM person ORDER BY id") == [("Main St", "123"), ("Elm, 5", "99")]
    assert db.run("SELECT * FROM unnest(ARRAY[ROW('x', 1)::addr])") == [("x", "1")]
    plan = db.plan("SELECT id, (home).*, others FROM person")[0]
    assert [column.name for column in plan.columns or ()] == ["id", "street", "zip", "others"]


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("INSERT INTO person VALUES (3, '(a,b)')", "22P02", 'invalid input syntax for type integer: "b"'),
        ("INSERT INTO person VALUES (3, '(a')", "22P02", 'malformed record literal: "(a"'),
        ("INSERT INTO person VALUES (3, ROW('a'))", "42846", "cannot cast type record to addr"),
        ("SELECT (home).city FROM person", "42703", 'column "city" not found in data type addr'),
        ("SELECT (id).x FROM person", "42809",
         "column notation .x applied to type integer, which is not a composite type"),
        ("CREATE TYPE addr AS (a int)", "42710", 'type "addr" already exists'),
        ("CREATE TYPE two AS (a int, a int)", "42701", 'column "a" specified more than once'),
        ("DROP TYPE addr", "2BP01", "cannot drop type addr because other objects depend on it"),
        ("DROP TYPE t", "2BP01", "cannot drop type t because table t requires it"),
    ],
)  # fmt: skip
def test_errors_are_postgresqls(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError) as caught:
        db.run(sql)
    assert (caught.value.sqlstate, str(caught.value)) == (sqlstate, message)


def test_attributes_come_and_go(db: LocalDatabase) -> None:
    db.run("ALTER TYPE addr ADD ATTRIBUTE city text, DROP ATTRIBUTE street")
    assert db.run("SELECT home, others, (home).city FROM person WHERE id = 1") == [("(123,)", '{"(1,)","(2,)"}', None)]
    db.run("UPDATE person SET home.city = 'Bonn' WHERE id = 1")
    db.run("ALTER TYPE addr RENAME ATTRIBUTE city TO town")
    assert db.value("SELECT (home).town FROM person WHERE id = 1") == "Bonn"
    db.run("ALTER TYPE addr DROP ATTRIBUTE IF EXISTS city")
    assert db.notices == ['column "city" of relation "addr" does not exist, skipping']
    for sql, sqlstate, message in (
        ("ADD ATTRIBUTE zip int", "42701", 'column "zip" of relation "addr" already exists'),
        ("DROP ATTRIBUTE city", "42703", 'column "city" of relation "addr" does not exist'),
        ("ALTER ATTRIBUTE zip TYPE text", "0A000", 'cannot alter type "addr" because column "person.home" uses it'),
    ):
        with pytest.raises(HeliosError) as caught:
            db.run(f"ALTER TYPE addr {sql}")
        assert (caught.value.sqlstate, str(caught.value)) == (sqlstate, message)


def test_catalogs_describe_row_types(db: LocalDatabase) -> None:
    fields = (
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
        "JOIN pg_type t ON a.attrelid = t.typrelid WHERE t.typname = '{}' ORDER BY a.attnum LIMIT 2"
    )
    assert db.run(fields.format("addr")) == [("street", "text"), ("zip", "integer")]
    assert db.run(fields.format("t")) == [("id", "integer"), ("name", "text")]
    assert db.run("SELECT relkind, reltype::regtype FROM pg_class WHERE relname = 'addr'") == [("c", "addr")]
