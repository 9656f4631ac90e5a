"""What clients other than Python's send: several statements at once, settings with units, parameters of type void."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from conftest import find_program
from support.node_process import NodeProcess
from support.raw_wire import SYNC, RawClient, bind, describe, execute, parse


@pytest.fixture
def connection(server: NodeProcess) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with server.connect() as opened:
        yield opened


def one(connection: psycopg.Connection[tuple[object, ...]], sql: str) -> object:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def test_results_before_a_wrong_statement_are_sent(server: NodeProcess) -> None:
    psql = find_program("psql")
    if psql is None:
        pytest.skip("psql is not installed")
    done = subprocess.run(
        [psql, "-XAt", "-c", "SELECT 1; SELECT nonexistent; SELECT 2"],
        env=server.environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "1\n"
    assert 'column "nonexistent" does not exist' in done.stderr
    assert "LINE 1: SELECT 1; SELECT nonexistent; SELECT 2" in done.stderr


def test_rows_before_an_error_are_sent(server: NodeProcess) -> None:
    with RawClient(server.pg_port) as client:
        query = "select 10 / (4 - n) from generate_series(1, 100) n"
        kinds = [answer[0] for answer in client.ask(parse(query), bind(), describe("P"), execute(), SYNC)]
    assert (kinds.count("D"), kinds.count("E")) == (3, 1)


def test_a_sequence_starts_anew_when_its_creation_was_rolled_back(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    for _ in range(2):
        with connection.transaction(force_rollback=True):
            connection.execute("CREATE TABLE undone (id serial, a int)")
            assert one(connection, "INSERT INTO undone (a) VALUES (1) RETURNING id") == 1


def test_parameters_are_shown_with_their_units(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("SET work_mem = 65536")
    assert one(connection, "SHOW work_mem") == "64MB"
    assert one(connection, "SHOW shared_buffers") == "128MB"
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"1 kB is outside the valid range"):
        connection.execute("SET work_mem = 1")
    with pytest.raises(psycopg.errors.CantChangeRuntimeParam, match="without restarting the server"):
        connection.execute("SET shared_buffers = 1000")


def test_the_search_path_knows_quoted_names_and_the_user(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    connection.execute("CREATE SCHEMA postgres; SET search_path TO '$user', 'schema ,6'")
    try:
        assert one(connection, "SHOW search_path") == '"$user", "schema ,6"'
        assert one(connection, "SELECT current_schema()") == "postgres"
    finally:
        connection.execute("DROP SCHEMA postgres")


def test_a_sequence_is_read_like_a_table(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("DROP SEQUENCE IF EXISTS read_me; CREATE SEQUENCE read_me; SELECT nextval('read_me')")
    row = connection.execute("SELECT last_value, log_cnt, is_called FROM read_me").fetchone()
    assert row is not None
    assert (row[0], row[2]) == (1, True)


def test_types_tell_how_they_are_read_and_laid_out(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    query = """SELECT typname, typinput, typreceive::text, typalign, typstorage, typbyval FROM pg_type
        WHERE typname IN ('int4', '_int4', 'float8') ORDER BY typname"""
    assert connection.execute(query).fetchall() == [
        ("_int4", "array_in", "array_recv", "i", "x", False),
        ("float8", "float8in", "float8recv", "d", "p", True),
        ("int4", "int4in", "int4recv", "i", "p", True),
    ]
    assert one(connection, "SELECT typinput = 'pg_catalog.array_in'::regproc FROM pg_type WHERE oid = 1007") is True


def test_a_parameter_of_type_void_is_no_argument(server: NodeProcess) -> None:
    with RawClient(server.pg_port) as client:
        kinds = [
            answer[0] for answer in client.ask(parse("select lower($1, $2)", oids=(2278, 25)), describe("S"), SYNC)
        ]
    assert "E" not in kinds


def test_functions_of_several_columns_stand_in_the_select_list(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    """What PostgreSQL 15 answers, recorded; the JDBC driver finds the columns of keys so."""
    query = """SELECT x, (json_each(x)).key, json_each(x) FROM (VALUES ('{"a":1,"b":2}'::json)) t(x)"""
    cursor = connection.execute(query.replace("SELECT x,", "SELECT"))
    assert [column.name for column in cursor.description or ()] == ["key", "json_each"]
    assert cursor.fetchall() == [("a", ("a", "1")), ("b", ("b", "2"))]
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        connection.execute("SELECT generate_series(1, 2), (json_each('{}')).key")
    query = "SELECT (q.keys).n FROM (SELECT information_schema._pg_expandarray('3 1'::int2vector) AS keys) q"
    assert connection.execute(query).fetchall() == [(1,), (2,)]
