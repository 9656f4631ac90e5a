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
from support.planner_bench import SESSION

from helios_cli.engine.node.readers import ReadJob
from helios_cli.engine.node.setup import ConnectionSetup
from helios_cli.engine.sql.ddl import SYSTEM_SCHEMA
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.plan_cache import PlanCache
from helios_cli.engine.sql.planner import Planner, bind
from helios_cli.engine.storage import catalog_tables
from helios_cli.engine.storage.catalog import SqliteCatalog

QUERIES = sorted((Path(__file__).parent / "catalog_queries").glob("*.sql"))
FEW, MANY = 30, 120
"""Tables of the two schemas. Work may grow with their number, but not with its square."""
LINEAR_MAX = 5.5
"""Four times the tables, and a B-tree that has a level more; sixteen would be the square."""


class Schema:
    """A database of so many tables, each with keys, indexes, a check, a comment and a sequence."""

    def __init__(self, tables: int = 0) -> None:
        self.connection = apsw.Connection(":memory:")
        ConnectionSetup()(self.connection)
        self.connection.execute("PRAGMA foreign_keys = ON")
        for statement in SYSTEM_SCHEMA:
            self.connection.execute(statement)
        self.catalog = SqliteCatalog(self.connection)
        self.plans = PlanCache(Planner(REGISTRY))
        self.oids = ""
        """What stands for {tables} in a query: an array of the OIDs of all tables, as pg_dump sends it."""
        for number in range(tables):
            self.run(
                f"CREATE TABLE t{number} (id serial PRIMARY KEY, parent int REFERENCES t{max(number - 1, 0)}(id), "
                "name varchar(40) NOT NULL DEFAULT 'x', amount numeric(10,2) DEFAULT 0 CHECK (amount >= 0))"
            )
            self.run(f"CREATE INDEX t{number}_name ON t{number} (name, lower(name)) WHERE amount > 10")
            self.run(f"COMMENT ON TABLE t{number} IS 'table {number}'")
        oids = self.connection.execute("SELECT oid FROM helios_relation WHERE relkind = 'r'").fetchall()
        self.oids = "{" + ",".join(str(oid) for (oid,) in oids) + "}"

    def plan(self, sql: str) -> tuple[str, list[Any]]:
        """The SQLite text of a statement's last step, and its values."""
        plan, literals = self.plans.get(sql.replace("{tables}", self.oids), self.catalog)[-1]
        session = ['["public"]' if name == "search_path" else SESSION.get(name, -1) for name in plan.session_values]
        return plan.steps[-1], list(bind(plan, (), literals, session))

    def run(self, sql: str) -> None:
        """Run a statement that changes the schema."""
        plan, _literals = self.plans.get(sql, self.catalog)[-1]
        for step in plan.steps:
            self.connection.execute(step)
        self.catalog.refresh()

    def rows(self, sql: str) -> list[Any]:
        """The rows of a query over the catalog, as a session reads them."""
        text, values = self.plan(sql)
        return read(self.connection, text, values)


def read(connection: apsw.Connection, text: str, values: list[Any]) -> list[Any]:
    with catalog_tables.held(connection):
        return connection.execute(catalog_tables.ready(connection, text), values).fetchall()


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

    def borrow(self) -> apsw.Connection:
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
