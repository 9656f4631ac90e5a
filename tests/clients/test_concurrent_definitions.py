"""Statements that wait for the writer while somebody changes the schema run under the schema that they then find."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from support.node_process import NodeProcess, wait_until

Connection = psycopg.Connection[Any]
FUNCTION = """
CREATE FUNCTION marked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.mark = 'by trigger'; RETURN new; END $$
"""


@pytest.fixture
def connection(server: NodeProcess) -> Iterator[Connection]:
    with server.connect() as connection:
        connection.execute(FUNCTION)
        connection.execute("CREATE TABLE slow (id int PRIMARY KEY, mark text)")
        yield connection
        connection.execute("DROP TABLE IF EXISTS slow CASCADE")
        connection.execute("DROP FUNCTION marked")


def plain(waiting: Connection) -> None:
    waiting.execute("INSERT INTO slow VALUES (1)")


def prepared(waiting: Connection) -> None:
    waiting.execute("INSERT INTO slow VALUES (%s)", (1,), prepare=True)


def returning(waiting: Connection) -> None:
    assert waiting.execute("INSERT INTO slow SELECT 1 RETURNING mark").fetchone() == ("by trigger",)


def in_transaction(waiting: Connection) -> None:
    with waiting.transaction():
        waiting.execute("INSERT INTO slow VALUES (%s)", (1,))


def of_several(waiting: Connection) -> None:
    waiting.execute("SELECT 1; INSERT INTO slow VALUES (1); SELECT 2")


@pytest.mark.parametrize("insert", [plain, prepared, returning, in_transaction, of_several])
def test_a_write_meets_the_trigger_that_was_made_while_it_waited(
    server: NodeProcess, connection: Connection, insert: Callable[[Connection], None]
) -> None:
    if insert is prepared:
        connection.execute("INSERT INTO slow VALUES (%s)", (0,), prepare=True)
    with server.connect() as waiting, ThreadPoolExecutor(1) as thread:
        with connection.transaction():
            connection.execute("CREATE TRIGGER mark BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION marked()")
            connection.execute("ALTER TABLE slow ADD COLUMN other int DEFAULT 7")
            outcome = thread.submit(insert, waiting)
            _wait_for(server, waiting)
        outcome.result(20)
    assert connection.execute("SELECT * FROM slow WHERE id = 1").fetchall() == [(1, "by trigger", 7)]


def _wait_for(server: NodeProcess, waiting: Connection) -> None:
    pid = waiting.info.backend_pid
    with server.connect() as looking:
        text = f"SELECT query FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'"
        wait_until(lambda: "INSERT" in (looking.execute(text).fetchone() or ("",))[0].upper(), "the INSERT is there")


def test_a_write_into_a_table_that_is_gone(server: NodeProcess, connection: Connection) -> None:
    with server.connect() as waiting, ThreadPoolExecutor(1) as thread:
        with connection.transaction():
            connection.execute("DROP TABLE slow")
            outcome = thread.submit(plain, waiting)
            _wait_for(server, waiting)
        with pytest.raises(psycopg.errors.UndefinedTable):
            outcome.result(20)
        assert waiting.execute("SELECT 1").fetchone() == (1,)


def test_many_sessions_define_at_once(server: NodeProcess) -> None:
    begin = threading.Barrier(4)

    def define(number: int) -> None:
        with server.connect() as connection:
            begin.wait(20)
            for turn in range(8):
                name = f"made_{number}_{turn}"
                with connection.transaction():
                    connection.execute(f"CREATE TABLE {name} (id serial PRIMARY KEY, a int UNIQUE)")
                connection.execute(f"CREATE INDEX ON {name} (a, id)")
                connection.execute(f"DROP TABLE {name}")

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(define, range(4))) == [None] * 4


def test_only_one_of_those_that_make_the_same_table_makes_it(server: NodeProcess) -> None:
    begin = threading.Barrier(4)

    def define(_number: int) -> str:
        with server.connect() as connection:
            begin.wait(20)
            try:
                connection.execute("CREATE TABLE wanted (id int)")
            except psycopg.Error as error:
                return error.sqlstate or ""
            return "made"

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(define, range(4))) == ["42P07", "42P07", "42P07", "made"]
