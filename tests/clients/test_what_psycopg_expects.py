"""What the tests of psycopg ask of a server; expected is what PostgreSQL 15 answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import pq
from support.node_process import NodeProcess


@pytest.fixture
def connection(server: NodeProcess) -> Iterator[psycopg.Connection[Any]]:
    with server.connect() as connection:
        yield connection


def rows(connection: psycopg.Connection[Any], statement: str) -> list[Any]:
    return connection.execute(statement.encode()).fetchall()


def failure(connection: psycopg.Connection[Any], statement: str) -> psycopg.errors.Diagnostic:
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(statement.encode())
    return failed.value.diag


@pytest.mark.parametrize(
    "text, shown",
    [
        ("abs(int)", "abs(integer)"),
        ("abs(bigint)", "abs(bigint)"),
        ("pg_catalog.abs( double precision )", "abs(double precision)"),
        ("length(bytea)", "length(bytea)"),
        ("round(numeric(10,2), int4)", "round(numeric,integer)"),
        ("int4pl(int,int)", "int4pl(integer,integer)"),
        ("1397", "abs(integer)"),
    ],
)
def test_a_function_is_found_by_the_types_of_its_arguments(
    connection: psycopg.Connection[Any], text: str, shown: str
) -> None:
    assert rows(connection, f"SELECT '{text}'::regprocedure::text") == [(shown,)]


@pytest.mark.parametrize(
    "statement, sqlstate, message",
    [
        ("SELECT 'abs(text)'::regprocedure", "42883", 'function "abs(text)" does not exist'),
        ("SELECT 'int4pl(text,int)'::regprocedure", "42883", 'function "int4pl(text,int)" does not exist'),
        ("SELECT 'abs'::regprocedure", "22P02", "expected a left parenthesis"),
        ("SELECT 'abs(int'::regprocedure", "22P02", "expected a right parenthesis"),
        ("SELECT 'abs'::regproc", "42725", 'more than one function named "abs"'),
    ],
)
def test_no_other_function_stands_for_one_that_is_missing(
    connection: psycopg.Connection[Any], statement: str, sqlstate: str, message: str
) -> None:
    found = failure(connection, statement)
    assert (found.sqlstate, found.message_primary) == (sqlstate, message)


def test_to_regprocedure_is_null_for_a_missing_function(connection: psycopg.Connection[Any]) -> None:
    found = rows(
        connection, "SELECT to_regprocedure('abs(text)'), to_regprocedure('abs(real)')::oid, to_regproc('abs')"
    )
    assert found == [(None, 1394, None)]


def test_functions_of_users_go_by_their_arguments_too(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE SCHEMA funs; CREATE FUNCTION funs.abs(text) RETURNS text LANGUAGE sql AS 'SELECT $1'")
    connection.execute("SET search_path = funs, public")
    found = rows(connection, "SELECT 'abs(text)'::regprocedure::text, 'abs(int)'::regprocedure::text")
    assert found == [("abs(text)", "abs(integer)")]
    assert rows(connection, "SELECT 'funs.abs'::regproc::text = 'abs'") == [(True,)]
    connection.execute("DROP SCHEMA funs CASCADE")


def test_temporary_tables_have_comments(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TEMP TABLE noted (id int)")
    connection.execute("COMMENT ON TABLE noted IS 'passing'")
    connection.execute("COMMENT ON COLUMN noted.id IS 'number'")
    found = rows(connection, "SELECT obj_description('noted'::regclass), col_description('noted'::regclass, 1)")
    assert found == [("passing", "number")]


def test_errors_of_domains_name_the_schema_that_is_not_searched(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE SCHEMA doms; CREATE DOMAIN doms.positive AS int NOT NULL CHECK (VALUE > 0)")
    try:
        refused, missing = (
            failure(connection, "SELECT 0::doms.positive"),
            failure(connection, "SELECT NULL::doms.positive"),
        )
        assert refused.message_primary == 'value for domain doms.positive violates check constraint "positive_check"'
        assert (refused.schema_name, refused.datatype_name) == ("doms", "positive")
        assert missing.message_primary == "domain doms.positive does not allow null values"
        connection.execute("SET search_path = doms")
        refused = failure(connection, "SELECT 0::positive")
        assert refused.message_primary == 'value for domain positive violates check constraint "positive_check"'
    finally:
        connection.execute("DROP SCHEMA doms CASCADE")


def test_prepared_statements_are_listed_in_the_order_of_their_making(connection: psycopg.Connection[Any]) -> None:
    texts = [f"SELECT {number}" for number in (3, 1, 2)]
    for number, text in enumerate(texts):
        assert connection.pgconn.prepare(f"s{9 - number}".encode(), text.encode()).status == pq.ExecStatus.COMMAND_OK
    connection.execute("PREPARE other (int) AS SELECT $1")
    found = rows(connection, "SELECT statement, from_sql FROM pg_prepared_statements ORDER BY prepare_time")
    assert found == [*((text, False) for text in texts), ("PREPARE other (int) AS SELECT $1", True)]


def test_errors_in_prepare_point_into_its_query(connection: psycopg.Connection[Any]) -> None:
    text = "PREPARE  broken (text) AS SELECT * FROM nowhere"
    assert failure(connection, text).statement_position == str(text.index("nowhere") + 1)


def test_several_statements_in_a_parse_are_refused_before_they_are_understood(
    connection: psycopg.Connection[Any],
) -> None:
    result = connection.pgconn.exec_params(b"SELECT $1; SELECT 2", [b"1"])
    assert result.error_field(pq.DiagnosticField.SQLSTATE) == b"42601"
    result = connection.pgconn.prepare(b"", b"SELECT * FROM nowhere; SELECT 2")
    assert result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) == (
        b"cannot insert multiple commands into a prepared statement"
    )


def test_a_parameter_without_a_type_has_no_place_in_the_text(connection: psycopg.Connection[Any]) -> None:
    found = failure(connection, "PREPARE typeless AS SELECT pg_typeof($1)")
    assert (found.sqlstate, found.statement_position) == ("42P18", None)
