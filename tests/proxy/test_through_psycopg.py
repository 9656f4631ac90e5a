"""psycopg 3 through the proxy in transaction pooling: before nodes of ours and before plain PostgreSQL servers."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from psycopg import errors, pq, sql
from support.node_process import wait_until
from support.proxied import Proxied, heard_from

TABLE = "CREATE TABLE {0} (a int PRIMARY KEY, b text)"
FILLED = "INSERT INTO {0} VALUES (1, 'one'), (2, 'two'), (3, 'three')"


def fill(proxied: Proxied, table: str) -> None:
    proxied.prepare(f"DROP TABLE IF EXISTS {table}", TABLE.format(table), FILLED.format(table))


def test_reads_are_spread_and_writes_find_the_primary(proxied: Proxied) -> None:
    fill(proxied, "spread")
    with proxied.proxy.connect() as connection:
        primary = proxied.behind.primary.pg_port

        def ask() -> int:
            row = connection.execute("SELECT inet_server_port(), pg_is_in_recovery()").fetchone()
            assert row is not None and row[1] is (row[0] != primary)
            return int(row[0])

        assert heard_from(ask, proxied.ports) == proxied.ports
        writer = "INSERT INTO spread SELECT 10 + max(a), 'w' FROM spread RETURNING inet_server_port()"
        assert {connection.execute(writer).fetchone() for _ in range(10)} == {(primary,)}
        with connection.transaction():
            assert {connection.execute("SELECT inet_server_port()").fetchone() for _ in range(10)} == {(primary,)}
    assert proxied.truth("SELECT count(*) FROM spread") == [(13,)]


def test_a_read_only_block_stays_on_one_node_and_writes_nothing(proxied: Proxied) -> None:
    fill(proxied, "looked")
    standbys = proxied.ports - {proxied.behind.primary.pg_port}
    with proxied.proxy.connect() as connection:

        def ask() -> int:
            connection.execute("BEGIN READ ONLY")
            ports = {connection.execute("SELECT inet_server_port()").fetchone() for _ in range(4)}
            connection.execute("COMMIT")
            ((port,),) = (row for row in ports if row is not None)
            return int(port)

        # One that may be read anywhere is best where no failover of the primary cuts it.
        seen = heard_from(ask, standbys)
        assert seen >= standbys
        connection.execute("BEGIN READ ONLY")
        with pytest.raises(errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO looked VALUES (4, 'four')")
        connection.execute("ROLLBACK")
    assert proxied.truth("SELECT count(*) FROM looked") == [(3,)]


def test_a_session_reads_what_it_wrote(proxied: Proxied) -> None:
    fill(proxied, "counted")
    with proxied.proxy.connect() as connection:
        for number in range(200):
            connection.execute("UPDATE counted SET b = %s WHERE a = 1", (str(number),))
            assert connection.execute("SELECT b FROM counted WHERE a = 1").fetchone() == (str(number),)


def test_blocks_with_errors_savepoints_and_rollbacks(proxied: Proxied) -> None:
    fill(proxied, "blocks")
    with proxied.proxy.connect() as connection:
        with connection.transaction():
            connection.execute("INSERT INTO blocks VALUES (10, 'kept')")
            with pytest.raises(errors.UniqueViolation), connection.transaction():
                connection.execute("INSERT INTO blocks VALUES (11, 'undone')")
                connection.execute("INSERT INTO blocks VALUES (1, 'twice')")
            connection.execute("INSERT INTO blocks VALUES (12, 'kept')")
        with pytest.raises(ZeroDivisionError), connection.transaction():
            connection.execute("DELETE FROM blocks")
            raise ZeroDivisionError
        connection.execute("BEGIN")
        with pytest.raises(errors.UndefinedColumn) as caught:
            connection.execute("SELECT nope FROM blocks")
        assert caught.value.diag.statement_position == "8"
        with pytest.raises(errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        assert connection.info.transaction_status == pq.TransactionStatus.INERROR
        connection.execute("ROLLBACK")
        assert connection.execute("SELECT a FROM blocks WHERE a > 3 ORDER BY a").fetchall() == [(10,), (12,)]
        with pytest.raises(errors.UniqueViolation) as taken:
            connection.execute("INSERT INTO blocks VALUES (1, 'twice')")
        assert (taken.value.diag.table_name, taken.value.diag.constraint_name) == ("blocks", "blocks_pkey")


def test_several_statements_in_one_string(proxied: Proxied) -> None:
    fill(proxied, "several")
    with proxied.proxy.connect() as connection:
        done = connection.execute("SELECT 1; INSERT INTO several VALUES (4, 'four'); SELECT count(*) FROM several")
        results = [done.fetchall() if done.description else done.rowcount]
        while done.nextset():
            results.append(done.fetchall() if done.description else done.rowcount)
        assert results == [[(1,)], 1, [(4,)]]
        with pytest.raises(errors.DivisionByZero):
            connection.execute("INSERT INTO several VALUES (5, 'five'); SELECT 1/0")
        connection.execute("BEGIN; INSERT INTO several VALUES (6, 'six'); COMMIT; BEGIN")
        assert connection.pgconn.transaction_status == pq.TransactionStatus.INTRANS
        connection.execute("INSERT INTO several VALUES (7, 'seven'); ROLLBACK")
        assert connection.info.transaction_status == pq.TransactionStatus.IDLE
        assert connection.execute("SELECT a FROM several WHERE a > 3 ORDER BY a").fetchall() == [(4,), (6,)]


@pytest.mark.parametrize("binary", [False, True])
def test_a_server_side_cursor(proxied: Proxied, binary: bool) -> None:
    with proxied.proxy.connect(autocommit=False) as connection:
        with connection.cursor("named", binary=binary) as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT g, g::text FROM generate_series(1, 1050) AS g WHERE g > %s", (50,))
            assert [row[0] for row in cursor] == list(range(51, 1051))
        connection.commit()


def test_a_cursor_with_hold_outlives_its_block(proxied: Proxied) -> None:
    fill(proxied, "held")
    with proxied.proxy.connect() as connection, proxied.proxy.connect() as other:
        with connection.cursor("kept", withhold=True, scrollable=True) as cursor:
            cursor.execute("SELECT a FROM held ORDER BY a")
            for _ in range(20):
                other.execute("SELECT count(*) FROM held")
            assert cursor.fetchone() == (1,)
            connection.execute("UPDATE held SET b = 'x'")
            assert cursor.fetchall() == [(2,), (3,)]
        assert connection.execute("SELECT count(*) FROM pg_cursors").fetchone() == (0,)


def test_pipelines(proxied: Proxied) -> None:
    fill(proxied, "piped")
    with proxied.proxy.connect() as connection:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("INSERT INTO piped VALUES (%s, %s)", (n, str(n))) for n in range(10, 60)]
            pipeline.sync()
            assert all(cursor.rowcount == 1 for cursor in cursors)
        assert connection.execute("SELECT count(*) FROM piped").fetchone() == (53,)
        with pytest.raises(errors.UniqueViolation), connection.pipeline():
            connection.execute("INSERT INTO piped VALUES (100, 'gone with the error')")
            connection.execute("INSERT INTO piped VALUES (1, 'duplicate')")
            connection.execute("INSERT INTO piped VALUES (101, 'skipped')")
        assert connection.execute("SELECT count(*) FROM piped").fetchone() == (53,)
        with connection.pipeline():
            read = connection.execute("SELECT count(*) FROM piped")
            connection.execute("DELETE FROM piped WHERE a = 10")
            again = connection.execute("SELECT count(*) FROM piped")
            assert (read.fetchone(), again.fetchone()) == ((53,), (52,))
        with connection.pipeline(), connection.transaction():
            connection.execute("INSERT INTO piped VALUES (200, 'in a block')")
            inside = connection.execute("SELECT b FROM piped WHERE a = 200")
            assert inside.fetchone() == ("in a block",)
        connection.cursor().executemany("INSERT INTO piped VALUES (%s, %s)", [(n, "m") for n in range(300, 400)])
        ask = connection.cursor()
        ask.executemany("SELECT b FROM piped WHERE a = %s", [(1,), (2,), (3,)], returning=True)
        found = [ask.fetchone()]
        while ask.nextset():
            found.append(ask.fetchone())
        assert found == [("one",), ("two",), ("three",)]
    assert proxied.truth("SELECT count(*) FROM piped") == [(153,)]


def test_copy_both_ways(proxied: Proxied) -> None:
    fill(proxied, "copied")
    rows = [(n, None if n % 7 == 0 else f"tab\t\\ newline\n {n}") for n in range(1000, 3000)]
    with proxied.proxy.connect() as connection, connection.cursor() as cursor:
        with cursor.copy("COPY copied FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        assert cursor.rowcount == 2000
        with cursor.copy("COPY (SELECT * FROM copied WHERE a >= 1000 ORDER BY a) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            assert list(copy.rows()) == rows
        cursor.execute("DELETE FROM copied WHERE a >= 1000")
        with cursor.copy("COPY copied FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            for row in rows:
                copy.write_row(row)
        assert cursor.execute("SELECT count(*) FROM copied").fetchone() == (2003,)
        with pytest.raises(ZeroDivisionError), cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write_row((5000, "x"))
            raise ZeroDivisionError
        with pytest.raises(errors.UniqueViolation), cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write_row((5001, "x"))
            copy.write_row((1, "x"))
        with connection.transaction(), cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write_row((6000, "in a block"))
        assert cursor.execute("SELECT count(*) FROM copied").fetchone() == (2004,)
    assert proxied.truth("SELECT count(*) FROM copied") == [(2004,)]


def test_statements_are_prepared_on_whatever_backend_comes(proxied: Proxied) -> None:
    fill(proxied, "asked")
    sessions = [proxied.proxy.connect(prepare_threshold=0) for _ in range(10)]
    try:
        for turn in range(20):
            for number, connection in enumerate(sessions):
                # Each session gives the same name, _pg3_0, to another text.
                found = connection.execute(f"SELECT b, {number} FROM asked WHERE a = %s", (turn % 3 + 1,)).fetchone()
                assert found == (("one", "two", "three")[turn % 3], number)
        sessions[0].execute("DEALLOCATE ALL")
        sessions[0].execute("DISCARD ALL")
        sessions[0].prepare_threshold = None
        assert sessions[0].execute("SELECT b FROM asked WHERE a = %s", (2,)).fetchone() == ("two",)
        assert sessions[1].execute("SELECT b, 1 FROM asked WHERE a = %s", (2,)).fetchone() == ("two", 1)
    finally:
        for connection in sessions:
            connection.close()


def test_a_prepared_statement_outlives_its_table(proxied: Proxied) -> None:
    with proxied.proxy.connect(prepare_threshold=0) as connection:
        ask = "SELECT b FROM remade WHERE a = %s"
        for number in range(8):
            connection.execute("DROP TABLE IF EXISTS remade")
            connection.execute("CREATE TABLE remade (a int, b text)")
            connection.execute("INSERT INTO remade VALUES (1, %s)", (str(number),))
            assert connection.execute(ask, (1,)).fetchone() == (str(number),)


def test_binary_values_go_both_ways(proxied: Proxied) -> None:
    with proxied.proxy.connect() as connection, connection.cursor(binary=True) as cursor:
        for value in (7, 1 << 40, 2.5, "h\u00e9\U0001f600", b"\0\xff", True, None, [1, None, 3]):
            cast = {int: "int8", list: "int4[]"}.get(type(value), "")
            query = sql.SQL("SELECT %b" + (f"::{cast}" if cast else ""))
            if value is not None:
                assert cursor.execute(query, (value,)).fetchone() == (value,)
        assert cursor.execute("SELECT NULL::int").fetchone() == (None,)


def test_notifications_reach_a_session_that_waits(proxied: Proxied) -> None:
    with proxied.proxy.connect() as listener, proxied.proxy.connect(autocommit=False) as speaker:
        listener.execute("LISTEN proxied_news")
        speaker.execute("NOTIFY proxied_news, 'never'")
        speaker.rollback()
        speaker.execute("SELECT pg_notify('proxied_news', 'first')")
        speaker.commit()
        assert [notify.payload for notify in listener.notifies(timeout=10, stop_after=1)] == ["first"]
        for _ in range(5):
            assert listener.execute("SELECT 1").fetchone() == (1,)
        speaker.execute("NOTIFY proxied_news, 'second'")
        speaker.commit()
        assert [notify.payload for notify in listener.notifies(timeout=10, stop_after=1)] == ["second"]
        listener.execute("UNLISTEN *")


def test_a_statement_is_cancelled_and_no_other(proxied: Proxied) -> None:
    caught: list[BaseException] = []

    def sleep(connection: psycopg.Connection[Any]) -> None:
        try:
            connection.execute("SELECT pg_sleep(60)")
        except psycopg.Error as error:
            caught.append(error)

    with proxied.proxy.connect() as victim, proxied.proxy.connect() as other:
        thread = threading.Thread(target=sleep, args=(victim,))
        thread.start()
        deadline = time.monotonic() + 20
        while thread.is_alive() and time.monotonic() < deadline:
            # One that comes before the statement cancels nothing.
            victim.cancel_safe(timeout=5)
            assert other.execute("SELECT 1").fetchone() == (1,)
            thread.join(0.1)
        assert not thread.is_alive()
        assert [type(error) for error in caught] == [errors.QueryCanceled]
        assert victim.execute("SELECT 2").fetchone() == (2,)
        other.cancel_safe(timeout=5)
        assert other.execute("SELECT 3").fetchone() == (3,)


def test_a_read_ends_when_its_client_is_gone(proxied: Proxied) -> None:
    """Else it holds its snapshot at the node, and with it what a PostgreSQL standby shows."""
    query = "SELECT state FROM pg_stat_activity WHERE application_name = 'gone' AND query LIKE '%pg_sleep(71)%'"

    def running() -> int:
        return sum(connection.execute(query).fetchall().count(("active",)) for connection in nodes)

    with ExitStack() as stack:
        nodes = [stack.enter_context(node.connect()) for node in proxied.behind.nodes]
        with proxied.proxy.connect(application_name="gone") as quitter:
            quitter.pgconn.send_query(b"SELECT pg_sleep(71)")
            wait_until(lambda: running() == 1, "it runs", 20)
            quitter.pgconn.finish()
        wait_until(lambda: running() == 0, "it has ended", 20)


def test_large_results_and_large_parameters(proxied: Proxied) -> None:
    big = "x" * (8 << 20)
    with proxied.proxy.connect() as connection:
        assert connection.execute("SELECT length(%s::text)", (big,)).fetchone() == (len(big),)
        assert connection.execute("SELECT repeat('y', 8000000)").fetchone() == ("y" * 8_000_000,)
        total = 0
        with connection.cursor() as cursor:
            for row in cursor.stream("SELECT g FROM generate_series(1, 100000) AS g"):
                total += row[0]
        assert total == 100_000 * 100_001 // 2


def test_what_a_session_says_at_its_start(proxied: Proxied) -> None:
    with (
        proxied.proxy.connect(
            options="-c TimeZone=Asia/Tokyo -c statement_timeout=54321", application_name="one"
        ) as first,
        proxied.proxy.connect(options="-c TimeZone=UTC", application_name="two", client_encoding="LATIN1") as second,
    ):
        for _ in range(12):
            assert first.execute("SHOW TimeZone").fetchone() == ("Asia/Tokyo",)
            assert first.execute("SELECT current_setting('statement_timeout')").fetchone() == ("54321ms",)
            assert first.execute("SELECT current_setting('application_name')").fetchone() == ("one",)
            assert second.execute("SHOW TimeZone").fetchone() == ("UTC",)
            asked = second.execute("SELECT current_setting('application_name'), 'h\u00e9'")
            assert asked.fetchone() == (
                "two",
                "h\u00e9",
            )
        assert first.info.parameter_status("TimeZone") == "Asia/Tokyo"
        assert second.info.parameter_status("client_encoding") == "LATIN1"
        first.execute("SET TimeZone = 'Europe/Paris'")
        assert first.info.parameter_status("TimeZone") == "Europe/Paris"
        assert first.info.encoding == "utf-8"


def test_a_database_that_is_not_there(proxied: Proxied) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        proxied.proxy.connect(dbname="nowhere").execute("SELECT 1")
    assert 'database "nowhere" does not exist' in str(caught.value)
    with proxied.proxy.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
