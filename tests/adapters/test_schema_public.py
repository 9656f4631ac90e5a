"""The schema public can be dropped, made again and renamed like any other; expected answers are PostgreSQL 15's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.inner_node import InnerNode


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[psycopg.Connection[Any]]:
    with InnerNode(tmp_path) as node, node.connect() as connected:
        connected.autocommit = True
        yield connected


def refused(connection: psycopg.Connection[Any], sql: str) -> tuple[str | None, str | None, str | None]:
    with pytest.raises(psycopg.Error) as caught, connection.transaction():
        connection.execute(sql)
    return caught.value.sqlstate, caught.value.diag.message_primary, caught.value.diag.message_detail


def made(connection: psycopg.Connection[Any]) -> None:
    for sql in (
        "CREATE EXTENSION hstore",
        "CREATE TABLE t (a serial PRIMARY KEY, h hstore)",
        "CREATE SCHEMA other",
        "CREATE TABLE other.o (b int REFERENCES t, h hstore)",
        "CREATE VIEW other.v AS SELECT * FROM t",
        "CREATE FUNCTION f(hstore) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ):
        connection.execute(sql)


def test_a_drop_is_refused_while_something_is_in_it_or_uses_its_extensions(connection: Any) -> None:
    made(connection)
    state, message, detail = refused(connection, "DROP SCHEMA public")
    assert (state, message) == ("2BP01", "cannot drop schema public because other objects depend on it")
    assert detail is not None
    assert set(detail.splitlines()) >= {
        "extension hstore depends on schema public",
        "table t depends on schema public",
        "column h of table other.o depends on type hstore",
        "function f(hstore) depends on schema public",
    }
    connection.execute("DROP TABLE t CASCADE")
    assert refused(connection, "DROP EXTENSION hstore") == (
        "2BP01", "cannot drop extension hstore because other objects depend on it",
        "column h of table other.o depends on type hstore\nfunction f(hstore) depends on type hstore",
    )  # fmt: skip
    connection.execute("DROP EXTENSION hstore CASCADE")
    assert connection.execute("SELECT attname FROM pg_attribute WHERE attrelid = 'other.o'::regclass").fetchall() == [
        ("b",)
    ]
    assert connection.execute("SELECT count(*) FROM pg_proc WHERE proname = 'f'").fetchone() == (0,)


def test_nothing_is_made_or_found_while_it_is_missing(connection: Any) -> None:
    made(connection)
    connection.execute("DROP SCHEMA public CASCADE")
    shown = connection.execute("SELECT current_schema(), current_schemas(false), current_schemas(true)").fetchone()
    assert shown == (None, [], ["pg_catalog"])
    assert connection.execute("SELECT extname FROM pg_extension").fetchall() == [("plpgsql",)]
    for sql in (
        "CREATE TABLE t (a int)",
        "CREATE SEQUENCE s",
        "CREATE TYPE m AS ENUM ('y')",
        "CREATE EXTENSION hstore",
    ):
        assert refused(connection, sql)[:2] == ("3F000", "no schema has been selected to create in")
    assert refused(connection, "CREATE TABLE public.t (a int)")[:2] == ("3F000", 'schema "public" does not exist')
    assert refused(connection, "SELECT 'public.t'::regclass")[:2] == ("3F000", 'schema "public" does not exist')
    assert refused(connection, "SELECT * FROM t")[0] == "42P01"
    assert refused(connection, "DROP SCHEMA public")[:2] == ("3F000", 'schema "public" does not exist')
    connection.execute("CREATE TEMP TABLE t (a int)")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_the_next_one_is_its_makers_and_nobody_elses(connection: Any) -> None:
    made(connection)
    connection.execute("CREATE ROLE someone")
    with connection.transaction(force_rollback=True):
        connection.execute("DROP SCHEMA public CASCADE")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    connection.execute("DROP SCHEMA public CASCADE")
    connection.execute("CREATE SCHEMA public")
    connection.execute("CREATE TABLE t (a serial PRIMARY KEY, b int)")
    assert connection.execute("INSERT INTO t (b) VALUES (7) RETURNING *").fetchone() == (1, 7)
    assert connection.execute(
        "SELECT oid >= 16384, nspacl, obj_description(oid, 'pg_namespace'), "
        "has_schema_privilege('someone', oid, 'usage') FROM pg_namespace WHERE nspname = 'public'"
    ).fetchone() == (True, None, None, False)
    connection.execute("GRANT USAGE ON SCHEMA public TO public")
    assert connection.execute("SELECT has_schema_privilege('someone', 'public', 'usage')").fetchone() == (True,)


def test_it_may_have_another_name(connection: Any) -> None:
    connection.execute("CREATE TABLE t (a int)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("ALTER SCHEMA public RENAME TO before")
    connection.execute("CREATE SCHEMA public")
    connection.execute("CREATE TABLE t (b int)")
    assert connection.execute("SELECT a, (SELECT count(*) FROM t) FROM before.t").fetchall() == [(1, 0)]
    connection.execute("DROP SCHEMA before CASCADE")
    assert connection.execute("SELECT count(b) FROM t").fetchone() == (0,)
