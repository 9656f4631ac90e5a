"""What queries over the catalog read: copies that follow the schema, in a time that grows as the schema does.

The queries are those of psql's commands, pg_dump, SQLAlchemy's inspector, pgjdbc's DatabaseMetaData and pgcli.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from support.catalog_schema import Schema, read

from helios_cli.engine.node.readers import ReadJob
from helios_cli.engine.storage import catalog_tables

QUERIES = sorted((Path(__file__).parent / "catalog_queries").glob("*.sql"))
FEW, MANY = 30, 120
"""Tables of the two schemas. Work may grow with their number, but not with its square."""
LINEAR_MAX = 5.5
"""Four times the tables, and a B-tree that has a level more; sixteen would be the square."""


@pytest.fixture(scope="module")
def schemas() -> Iterator[tuple[Schema, Schema]]:
    made = Schema(FEW), Schema(MANY)
    yield made
    for schema in made:
        schema.connection.close()


def work(schema: Schema, sql: str) -> tuple[int, int]:
    """Steps of SQLite's virtual machine, and calls of Python, of a query whose relations have been copied."""
    text, values = schema.plan(sql)
    read(schema.connection, text, values)
    steps = 0

    def count(event: dict[str, Any]) -> None:
        nonlocal steps
        steps += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    schema.connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, count)
    profile = cProfile.Profile()
    profile.enable()
    read(schema.connection, text, values)
    profile.disable()
    schema.connection.trace_v2(0, None)
    return steps, pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


@pytest.mark.parametrize("query", QUERIES, ids=lambda path: path.stem)
def test_work_grows_as_the_schema_does(schemas: tuple[Schema, Schema], query: Path) -> None:
    sql = query.read_text()
    few, many = work(schemas[0], sql), work(schemas[1], sql)
    assert few[0] > 0
    assert many[0] <= few[0] * LINEAR_MAX, "steps of SQLite"
    assert many[1] <= few[1] * LINEAR_MAX, "calls of Python"


@pytest.mark.parametrize("query", QUERIES, ids=lambda path: path.stem)
def test_no_relation_is_read_through_python(schemas: tuple[Schema, Schema], query: Path) -> None:
    text, values = schemas[0].plan(query.read_text())
    connection = schemas[0].connection
    ready = catalog_tables.ready(connection, text)
    assert ready.count('catalog_rows."') == text.count('"pg_catalog.') + text.count('"information_schema.') > 0
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {ready}", values)]
    assert not [step for step in plan if "VIRTUAL TABLE INDEX 0" in step]


@pytest.mark.parametrize("query", QUERIES, ids=lambda path: path.stem)
def test_copies_show_what_the_relations_show(schemas: tuple[Schema, Schema], query: Path) -> None:
    text, values = schemas[0].plan(query.read_text())
    connection = schemas[0].connection
    relations = connection.execute(text, values).fetchall()
    assert sorted(map(str, read(connection, text, values))) == sorted(map(str, relations))


@pytest.mark.parametrize("query", QUERIES, ids=lambda path: path.stem)
def test_no_query_makes_sqlite_look_at_the_schema_of_users(schemas: tuple[Schema, Schema], query: Path) -> None:
    text, values = schemas[0].plan(query.read_text())
    connection = schemas[0].connection
    program = connection.execute(f"EXPLAIN {catalog_tables.ready(connection, text)}", values).fetchall()
    databases = {operand for _at, operation, operand, *_others in program if operation == "Transaction"}
    # What only the attached databases have is not read anew behind a change of the schema.
    assert databases and 0 not in databases


def test_relations_without_copies_are_found_beside_them() -> None:
    schema = Schema(1)
    query = "SELECT a.x, c.relname FROM pg_class c, unnest(ARRAY[1, 2]) AS a(x) WHERE c.relname = 't0' ORDER BY 1"
    assert schema.rows(query) == [(1, "t0"), (2, "t0")]
    assert schema.rows("SELECT count(*) FROM pg_settings") == [(0,)]
    schema.connection.execute("BEGIN")
    schema.run("CREATE TABLE t1 (a int)")
    assert schema.rows(query.replace("'t0'", "'t1'")) == [(1, "t1"), (2, "t1")]
    schema.connection.execute("ROLLBACK")
    assert schema.rows(query) == [(1, "t0"), (2, "t0")]


NAMES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND oid >= 16384 ORDER BY 1"


def test_copies_follow_the_schema_and_its_rollback() -> None:
    schema = Schema(1)
    connection = schema.connection
    assert schema.rows(NAMES) == [("t0",)]
    connection.execute("BEGIN")
    schema.run("CREATE TABLE undone (a int)")
    assert schema.rows(NAMES) == [("t0",), ("undone",)]
    connection.execute("ROLLBACK")
    assert schema.rows(NAMES) == [("t0",)]
    connection.execute("SAVEPOINT before")
    schema.run("CREATE TABLE other (a int)")
    assert schema.rows(NAMES) == [("other",), ("t0",)]
    connection.execute("ROLLBACK TO before")
    schema.run("DROP TABLE t0")
    assert schema.rows(NAMES) == []


def test_the_first_copies_may_be_rolled_back() -> None:
    schema = Schema(1)
    schema.connection.execute("BEGIN")
    assert schema.rows(NAMES) == [("t0",)]
    schema.connection.execute("ROLLBACK")
    assert schema.rows(NAMES) == [("t0",)]


def test_a_name_in_a_text_is_no_relation() -> None:
    schema = Schema(0)
    text = """SELECT '"pg_catalog.pg_class"' FROM "pg_catalog.pg_namespace" WHERE "nspname" = 'public'"""
    assert read(schema.connection, text, []) == [('"pg_catalog.pg_class"',)]


class OneReader:
    """A database that lends its only connection, and takes it back as the node's does."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection

    def borrow(self, _database: int) -> apsw.Connection:
        return self.connection

    def pin(self, connection: apsw.Connection) -> int:
        connection.execute("BEGIN")
        return 1

    def give_back(self, connection: apsw.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def test_copies_outlive_the_query_that_made_them() -> None:
    schema = Schema(1)
    text, values = schema.plan(NAMES)
    lender: Any = OneReader(schema.connection)
    job = ReadJob(text, values, lambda rows: repr(list(rows)).encode(), None)
    assert job.fetch(lender, 0) == b"[('t0',)]"
    job.close(lender)
    assert not schema.connection.in_transaction
    filled = schema.connection.execute("SELECT relation FROM catalog_rows.filled").fetchall()
    assert filled == [("pg_catalog.pg_class",)]
