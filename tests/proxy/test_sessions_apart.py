"""Sessions that share backends do not see each other's settings, temporary tables, names, locks and cursors."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support.proxied import Proxied

Connection = psycopg.Connection[tuple[Any, ...]]
COUNT = 12
"""Sessions; three times as many as there are backends of a node."""


@pytest.fixture
def sessions(proxied: Proxied) -> Iterator[list[Connection]]:
    with ExitStack() as stack:
        yield [stack.enter_context(proxied.proxy.connect()) for _ in range(COUNT)]


def mixed(sessions: list[Connection], turns: int, work: Callable[[int, Connection], None]) -> None:
    """``work`` by each session, again and again, in an order of chance."""
    rng = random.Random(1)
    for _ in range(turns):
        for number in rng.sample(range(len(sessions)), len(sessions)):
            work(number, sessions[number])


def one(connection: Connection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row and row[0]


def test_settings(sessions: list[Connection]) -> None:
    for number, connection in enumerate(sessions):
        if number % 3:
            connection.execute(f"SET statement_timeout = {1000 + number}; SET search_path = public, pg_catalog")
            connection.execute(f"SELECT set_config('app.tenant', '{number}', false)")
            connection.execute(f"SET DateStyle = '{'German' if number % 2 else 'SQL, DMY'}'")

    def look(number: int, connection: Connection) -> None:
        expected = f"{1000 + number}ms" if number % 3 else "0"
        assert one(connection, "SHOW statement_timeout") == expected
        tenant = one(connection, "SELECT current_setting('app.tenant', true)")
        assert (tenant or "") == (str(number) if number % 3 else "")
        style = ("German, DMY" if number % 2 else "SQL, DMY") if number % 3 else "ISO, MDY"
        assert one(connection, "SELECT current_setting('DateStyle')") == style

    mixed(sessions, 8, look)
    for connection in sessions[:6]:
        connection.execute("RESET ALL")
        assert one(connection, "SHOW statement_timeout") == "0"
    mixed(sessions[6:], 3, lambda number, connection: look(number + 6, connection))


def test_a_setting_of_a_block_ends_with_it(sessions: list[Connection]) -> None:
    first, second = sessions[:2]
    with first.transaction():
        first.execute("SET LOCAL statement_timeout = 4321")
        assert one(first, "SHOW statement_timeout") == "4321ms"
        assert one(second, "SHOW statement_timeout") == "0"
    mixed(sessions, 3, lambda number, connection: _same(one(connection, "SHOW statement_timeout"), "0"))
    with pytest.raises(ZeroDivisionError), first.transaction():
        first.execute("SET statement_timeout = 5432")
        raise ZeroDivisionError
    assert one(first, "SHOW statement_timeout") == "0"
    first.execute("BEGIN; SET statement_timeout = 6543; COMMIT")
    mixed(
        sessions, 4,
        lambda number, connection: _same(one(connection, "SHOW statement_timeout"), "0" if number else "6543ms"),
    )  # fmt: skip


def test_temporary_tables(sessions: list[Connection]) -> None:
    for number, connection in enumerate(sessions[:3]):
        connection.execute("CREATE TEMPORARY TABLE own_things (n int)")
        connection.execute("INSERT INTO own_things VALUES (%s)", (number,))

    def look(number: int, connection: Connection) -> None:
        if number < 3:
            assert one(connection, "SELECT n FROM own_things") == number
        else:
            with pytest.raises(errors.UndefinedTable):
                connection.execute("SELECT n FROM own_things")

    mixed(sessions, 5, look)
    for connection in sessions[:3]:
        connection.close()
    mixed(sessions[3:], 2, lambda number, connection: look(number + 3, connection))


def test_names_of_statements(sessions: list[Connection]) -> None:
    for number, connection in enumerate(sessions[:3]):
        connection.execute(f"PREPARE same_name AS SELECT $1::int * {number}")

    def look(number: int, connection: Connection) -> None:
        if number < 3:
            assert one(connection, "EXECUTE same_name (7)") == 7 * number
        else:
            with pytest.raises(errors.InvalidSqlStatementName):
                connection.execute("EXECUTE same_name (7)")

    mixed(sessions, 4, look)
    sessions[0].execute("DEALLOCATE same_name")
    with pytest.raises(errors.InvalidSqlStatementName):
        sessions[0].execute("EXECUTE same_name (7)")
    assert one(sessions[1], "EXECUTE same_name (7)") == 7


def test_advisory_locks(proxied: Proxied, sessions: list[Connection]) -> None:
    first, second, third = sessions[:3]
    assert one(first, "SELECT pg_try_advisory_lock(4711)") is True
    for connection in (second, third, second, third):
        assert one(connection, "SELECT pg_try_advisory_lock(4711)") is False
    assert one(first, "SELECT pg_advisory_unlock(4711)") is True
    assert one(second, "SELECT pg_try_advisory_lock(4711)") is True
    assert one(first, "SELECT pg_try_advisory_lock(4711)") is False
    second.close()
    for _ in range(200):
        if one(third, "SELECT pg_try_advisory_lock(4711)"):
            break
    else:
        pytest.fail("the lock of a session that is gone is held")


def test_what_a_session_leaves_in_the_middle_is_nobodys(proxied: Proxied, sessions: list[Connection]) -> None:
    proxied.prepare("DROP TABLE IF EXISTS left_alone", "CREATE TABLE left_alone (a int PRIMARY KEY)")
    for number in range(20):
        quitter = proxied.proxy.connect()
        quitter.execute("BEGIN")
        quitter.execute("INSERT INTO left_alone VALUES (%s)", (number,))
        quitter.execute("SET LOCAL statement_timeout = 1")
        # No rollback, no Terminate: the connection is simply gone.
        quitter.pgconn.finish()
    mixed(sessions, 2, lambda number, connection: _same(one(connection, "SHOW statement_timeout"), "0"))
    sessions[0].execute("INSERT INTO left_alone VALUES (1)")
    assert proxied.truth("SELECT a FROM left_alone") == [(1,)]


def test_roles_and_read_only_sessions(proxied: Proxied, sessions: list[Connection]) -> None:
    proxied.prepare(
        "DROP ROLE IF EXISTS proxied_other", "CREATE ROLE proxied_other", "DROP TABLE IF EXISTS roles_read",
        "CREATE TABLE roles_read (a int)",
    )  # fmt: skip
    first, second = sessions[:2]
    first.execute("SET ROLE proxied_other")
    second.execute("SET default_transaction_read_only = on")
    for _ in range(10):
        assert one(first, "SELECT current_user") == "proxied_other"
        assert one(second, "SELECT current_user") == "postgres"
        assert one(sessions[2], "SELECT current_user") == "postgres"
    with pytest.raises(errors.ReadOnlySqlTransaction):
        second.execute("INSERT INTO roles_read VALUES (1)")
    sessions[2].execute("INSERT INTO roles_read VALUES (2)")
    first.execute("RESET ROLE")
    assert {one(first, "SELECT current_user") for _ in range(10)} == {"postgres"}
    second.execute("SET default_transaction_read_only = off")
    second.execute("INSERT INTO roles_read VALUES (3)")
    assert proxied.truth("SELECT a FROM roles_read ORDER BY a") == [(2,), (3,)]


def test_discard_all_takes_back_everything(sessions: list[Connection]) -> None:
    first = sessions[0]
    first.execute("SET statement_timeout = 777")
    first.execute("CREATE TEMPORARY TABLE thrown (a int)")
    first.execute("PREPARE thrown_too AS SELECT 1")
    first.execute("SELECT pg_advisory_lock(815)")
    first.execute("DISCARD ALL")
    assert one(first, "SHOW statement_timeout") == "0"
    with pytest.raises(errors.UndefinedTable):
        first.execute("SELECT * FROM thrown")
    with pytest.raises(errors.InvalidSqlStatementName):
        first.execute("EXECUTE thrown_too")
    assert one(sessions[1], "SELECT pg_try_advisory_lock(815)") is True
    assert one(sessions[1], "SELECT pg_advisory_unlock(815)") is True


def _same(found: object, expected: object) -> None:
    assert found == expected
