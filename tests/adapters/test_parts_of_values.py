"""Storing into parts of columns, jsonb subscripts, JSON documents as rows: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture
def db() -> Iterator[LocalDatabase]:
    database = LocalDatabase()
    database.run("CREATE TABLE pa (id int PRIMARY KEY, a int[], m int[], d jsonb)")
    database.run("""INSERT INTO pa VALUES (1, '{1,2,3}', '{{1,2},{3,4}}', '{"a":{"b":1},"l":[1,2]}')""")
    database.run("INSERT INTO pa (id) VALUES (2)")
    database.run("CREATE TYPE pc AS (s text, z int)")
    database.run("CREATE TYPE pn AS (c pc, k int)")
    database.run("CREATE TABLE pt (id int, c pc, n pn, cs pc[])")
    database.run("INSERT INTO pt VALUES (1, ROW('a', 1), ROW(ROW('b', 2), 3), ARRAY[ROW('q', 1)::pc])")
    yield database


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("UPDATE pa SET a[2] = 20 WHERE id = 1 RETURNING a", "{1,20,3}"),
        ("UPDATE pa SET a[5] = 50, a[1] = 10 WHERE id = 1 RETURNING a", "{10,2,3,NULL,50}"),
        ("UPDATE pa SET a[-1] = 0 WHERE id = 1 RETURNING a", "[-1:3]={0,NULL,1,2,3}"),
        ("UPDATE pa SET a[3] = 1 WHERE id = 2 RETURNING a", "[3:3]={1}"),
        ("UPDATE pa SET a[2:3] = '{7,8}' WHERE id = 1 RETURNING a", "{1,7,8}"),
        ("UPDATE pa SET m[2][1] = 9 WHERE id = 1 RETURNING m", "{{1,2},{9,4}}"),
        ("INSERT INTO pa (id, a[1], a[2]) VALUES (3, 5, 6) RETURNING a", "{5,6}"),
        ("INSERT INTO pa (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET a[1] = 9 RETURNING a", "{9,2,3}"),
        ("SELECT d['a'] FROM pa WHERE id = 1", '{"b": 1}'),
        ("SELECT d['a']['b'] FROM pa WHERE d['l'][0] = '1'", "1"),
        ("UPDATE pa SET d['a']['b'] = '2', d['z'] = '\"q\"' WHERE id = 1 RETURNING d",
         '{"a": {"b": 2}, "l": [1, 2], "z": "q"}'),
        ("UPDATE pa SET d['l'][4] = '5' WHERE id = 1 RETURNING d", '{"a": {"b": 1}, "l": [1, 2, null, null, 5]}'),
        ("UPDATE pa SET d['x']['y'][1] = '1' WHERE id = 2 RETURNING d", '{"x": {"y": [null, 1]}}'),
        ("UPDATE pt SET c.z = (c).z + 1 RETURNING c", "(a,2)"),
        ("UPDATE pt SET c.s = 'x', c.z = 9 RETURNING c", "(x,9)"),
        ("UPDATE pt SET n.c.s = 'deep' RETURNING n", '("(deep,2)",3)'),
        ("UPDATE pt SET cs[1].z = 77 RETURNING cs", '{"(q,77)"}'),
        ("UPDATE pt SET cs[2] = ROW('new', 5) RETURNING cs", '{"(q,1)","(new,5)"}'),
        ("INSERT INTO pt (id, n.c.z, n.k) VALUES (3, 4, 5) RETURNING n", '("(,4)",5)'),
    ],
)  # fmt: skip
def test_a_part_is_replaced(db: LocalDatabase, sql: str, wanted: str) -> None:
    assert db.value(sql) == wanted


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("UPDATE pa SET a[1:2] = ARRAY[7]", "2202E", "source array too small"),
        ("UPDATE pa SET m[3][1] = 9 WHERE id = 1", "2202E", "array subscript out of range"),
        ("UPDATE pa SET a[NULL] = 1", "22004", "array subscript in assignment must not be null"),
        ("UPDATE pa SET id[1] = 1", "42804", "cannot subscript type integer because it does not support subscripting"),
        ("UPDATE pa SET a[1] = 'x'", "22P02", 'invalid input syntax for type integer: "x"'),
        ("UPDATE pa SET a = NULL, a[1] = 1", "42601", 'multiple assignments to same column "a"'),
        ("UPDATE pa SET d['a']['b']['c'] = '1' WHERE id = 1", "22023", "cannot replace existing key"),
        ("UPDATE pt SET c.nope = 1", "42703",
         'cannot assign to field "nope" of column "c" because there is no such column in data type pc'),
        ("SELECT * FROM json_to_record('[1]') AS x (a int)", "22023", "cannot call populate_composite on an array"),
        ("SELECT * FROM json_to_recordset('[1]') AS x (a int)", "22023",
         "argument of json_to_recordset must be an array of objects"),
        ("SELECT * FROM json_to_record('{\"a\":\"q\"}') AS x (a int)", "22P02",
         'invalid input syntax for type integer: "q"'),
        ("SELECT * FROM json_to_record('{}')", "42601",
         'a column definition list is required for functions returning "record"'),
    ],
)  # fmt: skip
def test_errors_are_postgresqls(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError) as caught:
        db.run(sql)
    assert (caught.value.sqlstate, str(caught.value)) == (sqlstate, message)


def test_documents_become_rows(db: LocalDatabase) -> None:
    rows = """SELECT * FROM jsonb_to_recordset('[{"a":1,"b":"foo"},{"a":"2","c":"bar"}]') AS x (a int, b text)"""
    assert db.run(rows) == [("1", "foo"), ("2", None)]
    one = """SELECT * FROM json_to_record('{"a":[[1,2],[3,4]],"r":{"s":"a b","z":3}}') AS x (a int[], r pc, n int)"""
    assert db.run(one) == [("{{1,2},{3,4}}", '("a b",3)', None)]
    lateral = "SELECT x.z FROM pa, jsonb_to_record(jsonb_build_object('z', pa.id)) AS x (z int) ORDER BY 1"
    assert db.run(lateral) == [("1",), ("2",)]


def test_documents_fill_row_types(db: LocalDatabase) -> None:
    db.run("""INSERT INTO pa SELECT * FROM json_populate_recordset(NULL::pa, '[{"id":7,"a":[1]},{"id":8}]')""")
    assert db.run("SELECT id, a FROM pa WHERE id > 6 ORDER BY 1") == [("7", "{1}"), ("8", None)]
    assert db.value("""SELECT json_populate_record(ROW('keep', 1)::pc, '{"z":9}')""") == "(keep,9)"
    assert db.value("""SELECT (jsonb_populate_record(NULL::pa, '{"id":5}')).id""") == "5"
    db.run("CREATE TYPE choice AS ENUM ('a', 'b')")
    db.run("CREATE TYPE chosen AS (m choice)")
    assert db.run("""SELECT * FROM json_populate_record(NULL::chosen, '{"m":"b"}')""") == [("b",)]
    with pytest.raises(HeliosError, match='invalid input value for enum choice: "z"'):
        db.run("""SELECT * FROM json_populate_record(NULL::chosen, '{"m":"z"}')""")
