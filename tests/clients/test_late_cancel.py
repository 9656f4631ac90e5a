"""A statement told to end in its last step fails, as in PostgreSQL; txid_current(); where RAISE comes from."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, pq
from support.node_process import NodeProcess

SHORT = "SET LOCAL statement_timeout = '100ms'"


@pytest.fixture
def connection(server: NodeProcess) -> Iterator[psycopg.Connection]:
    with server.connect() as found:
        found.autocommit = True
        found.execute("DROP TABLE IF EXISTS late; CREATE TABLE late (a text)")
        yield found


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_sleep(20)",
        "FETCH c",
        "FETCH ALL IN c",
        "INSERT INTO late VALUES (pg_sleep(20)::text)",
        "FETCH LAST IN d",
    ],
)
def test_whoever_sleeps_when_the_time_is_up_has_not_succeeded(connection: psycopg.Connection, statement: str) -> None:
    connection.execute("BEGIN")
    connection.execute("DECLARE c CURSOR FOR SELECT pg_sleep(20); DECLARE d SCROLL CURSOR FOR SELECT pg_sleep(20)")
    connection.execute(SHORT)
    with pytest.raises(errors.QueryCanceled):
        connection.execute(statement)
    assert connection.info.transaction_status is pq.TransactionStatus.INERROR
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM late").fetchone() == (0,)


def test_a_portal_of_a_cancelled_statement_runs_no_more(connection: psycopg.Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("DECLARE c CURSOR FOR SELECT pg_sleep(20)")
    connection.execute(SHORT)
    with pytest.raises(errors.QueryCanceled):
        connection.execute("FETCH c")
    with pytest.raises(errors.InFailedSqlTransaction):
        connection.execute("FETCH c")


def test_every_transaction_has_a_number_of_its_own(connection: psycopg.Connection) -> None:
    def number() -> int:
        row = connection.execute("SELECT txid_current(), pg_current_xact_id()::text").fetchone()
        assert row is not None and str(row[0]) == row[1]
        return int(row[0])

    alone = number()
    with connection.transaction():
        within = number()
        connection.execute("INSERT INTO late VALUES ('a')")
        assert number() == within
    assert alone < within < number() < number()


def test_raise_names_its_source(connection: psycopg.Connection) -> None:
    told: list[tuple[str | None, ...]] = []

    def hear(diagnostic: errors.Diagnostic) -> None:
        told.append((diagnostic.source_file, diagnostic.source_line, diagnostic.source_function))

    connection.add_notice_handler(hear)
    connection.execute("DO $$ BEGIN RAISE NOTICE 'heard'; END $$")
    with pytest.raises(errors.RaiseException) as failed:
        connection.execute("DO $$ BEGIN RAISE EXCEPTION 'heard'; END $$")
    hear(failed.value.diag)
    assert told == [("pl_exec.c", "3907", "exec_stmt_raise")] * 2
