"""What psycopg and asyncpg do every day, and the awkward corners of it: pipelines, cursors, COPY, big results."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import psutil
import pytest
from psycopg import errors, sql
from support.node_process import NodeProcess, wait_until
from support.raw_wire import RawClient, bind, execute, parse, query

VALUES: list[tuple[str, Any]] = [
    ("int2", -7), ("int4", 2**31 - 1), ("int8", -(2**63)), ("float8", 1.5),
    ("numeric", Decimal("12345678901234567890.125")),
    ("bool", True), ("text", "h\u00e9llo \U0001f600"), ("bytea", b"\0\xff"), ("date", date(1969, 7, 20)),
    ("timestamptz", datetime(2024, 2, 29, 12, 30, 45, 123456, UTC)), ("timestamp", datetime(1, 1, 1)),
    ("uuid", UUID(int=5)), ("interval", timedelta(days=3, seconds=4)), ("int4[]", [1, None, 3]),
    ("text[]", ["a", 'q"\\']),
]  # fmt: skip


@pytest.fixture(autouse=True)
def table(server: NodeProcess) -> Iterator[None]:
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS t")
        connection.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
        connection.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')")
    yield


# psycopg -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("type_name", "value"), VALUES)
def test_values_go_round(server: NodeProcess, type_name: str, value: Any, binary: bool) -> None:
    with server.connect() as connection:
        cursor = connection.cursor(binary=binary)
        mark = "%b" if binary else "%s"
        cursor.execute(f"SELECT {mark}::{type_name}, {mark}::{type_name} IS NULL", (value, None))
        assert cursor.fetchone() == (value, True)


def test_prepared_statement_lives_through_errors_and_ddl(server: NodeProcess) -> None:
    with server.connect(prepare_threshold=1) as connection:
        ask = "SELECT b FROM t WHERE a = %s"
        for _ in range(4):
            assert connection.execute(ask, (1,)).fetchone() == ("one",)
        with pytest.raises(errors.UniqueViolation):
            connection.execute("INSERT INTO t VALUES (%s, 'x')", (1,))
        assert connection.execute(ask, (2,)).fetchone() == ("two",)
        with server.connect() as other:
            other.execute("ALTER TABLE t ADD COLUMN c int DEFAULT 5")
        assert connection.execute(ask, (3,)).fetchone() == ("three",)
        connection.execute("DROP TABLE t; CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'new')")
        assert connection.execute(ask, (1,)).fetchone() == ("new",)


def test_pipeline_mode(server: NodeProcess) -> None:
    with server.connect() as connection:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("INSERT INTO t VALUES (%s, %s)", (n, str(n))) for n in range(10, 60)]
            pipeline.sync()
            assert all(cursor.rowcount == 1 for cursor in cursors)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (53,)
        with pytest.raises(errors.UniqueViolation), connection.pipeline():
            connection.execute("INSERT INTO t VALUES (100, 'gone with the error')")
            connection.execute("INSERT INTO t VALUES (1, 'duplicate')")
            connection.execute("INSERT INTO t VALUES (101, 'skipped')")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (53,)
        connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", [(n, "m") for n in range(200, 300)])
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (153,)


@pytest.mark.parametrize("binary", [False, True])
def test_server_side_cursor(server: NodeProcess, binary: bool) -> None:
    with server.connect(autocommit=False) as connection:
        with connection.cursor("named", binary=binary) as cursor:
            cursor.itersize = 100
            cursor.execute("SELECT g, g::text FROM generate_series(1, 1050) AS g WHERE g > %s", (50,))
            assert cursor.description is not None
            assert [column.name for column in cursor.description] == ["g", "g"]
            assert [row[0] for row in cursor] == list(range(51, 1051))
        connection.commit()


def test_copy(server: NodeProcess) -> None:
    rows = [(n, None if n % 7 == 0 else f"tab\t\\ newline\n {n}") for n in range(1000, 3000)]
    with server.connect() as connection, connection.cursor() as cursor:
        with cursor.copy("COPY t FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        assert cursor.rowcount == 2000
        with cursor.copy("COPY (SELECT * FROM t WHERE a >= 1000 ORDER BY a) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            assert list(copy.rows()) == rows
        cursor.execute("DELETE FROM t WHERE a >= 1000")
        with cursor.copy("COPY t FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            for row in rows:
                copy.write_row(row)
        assert cursor.execute("SELECT count(*) FROM t").fetchone() == (2003,)
        with pytest.raises(ZeroDivisionError), cursor.copy("COPY t FROM STDIN") as copy:
            copy.write_row((5000, "x"))
            raise ZeroDivisionError
        with pytest.raises(errors.UniqueViolation), cursor.copy("COPY t FROM STDIN") as copy:
            copy.write_row((5001, "x"))
            copy.write_row((1, "x"))
        assert cursor.execute("SELECT count(*) FROM t").fetchone() == (2003,)


def test_disconnect_in_the_middle_of_copy_leaves_nothing(server: NodeProcess) -> None:
    with RawClient(server.pg_port) as client:
        client.send(query("COPY t FROM STDIN"))
        client.until("G")
        client.send(b"d\0\0\0\x0b9001\tx\n", b"d\0\0\0\x0b90")
    with server.connect() as connection:
        connection.execute("INSERT INTO t VALUES (4, 'four')")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (4,)


def test_notifications(server: NodeProcess) -> None:
    with server.connect() as listener, server.connect(autocommit=False) as speaker:
        listener.execute("LISTEN news")
        speaker.execute("NOTIFY news, 'never'")
        speaker.rollback()
        speaker.execute("NOTIFY news, 'read-only'")
        speaker.commit()
        speaker.execute("INSERT INTO t VALUES (9, 'nine')")
        speaker.execute("NOTIFY news, 'written'")
        assert [notify.payload for notify in listener.notifies(timeout=1, stop_after=1)] == ["read-only"]
        speaker.commit()
        heard = list(listener.notifies(timeout=5, stop_after=1))
        assert [notify.payload for notify in heard] == ["written"]
        assert heard[0].pid == speaker.info.backend_pid


def test_constraint_errors_carry_their_names(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute(
            "CREATE TABLE child (id int PRIMARY KEY, t_a int CONSTRAINT child_parent REFERENCES t (a), "
            "n int NOT NULL, c int CONSTRAINT positive CHECK (c > 0), u text CONSTRAINT one_of_a_kind UNIQUE)"
        )
        connection.execute("INSERT INTO child VALUES (1, 1, 1, 1, 'u')")
        cases = [
            ("INSERT INTO child VALUES (1, 1, 1, 1, 'v')", "23505", "child", "child_pkey"),
            ("INSERT INTO child VALUES (2, 1, 1, 1, 'u')", "23505", "child", "one_of_a_kind"),
            ("INSERT INTO child VALUES (2, 77, 1, 1, 'v')", "23503", "child", "child_parent"),
            ("UPDATE child SET t_a = 78", "23503", "child", "child_parent"),
            ("DELETE FROM t WHERE a = 1", "23503", "child", "child_parent"),
            ("INSERT INTO child VALUES (2, 1, 1, 0, 'v')", "23514", "child", "positive"),
            ("INSERT INTO child VALUES (2, 1, NULL, 1, 'v')", "23502", "child", None),
        ]
        for statement, state, table, constraint in cases:
            for prefix in ("", "BEGIN; "):
                with pytest.raises(errors.IntegrityError) as caught:
                    connection.execute(prefix + statement)
                told = caught.value.diag
                assert (told.sqlstate, told.schema_name, told.table_name) == (state, "public", table), statement
                assert told.constraint_name == constraint
                assert told.column_name == ("n" if state == "23502" else None)
                connection.execute("ROLLBACK")


def test_positions_count_characters(server: NodeProcess) -> None:
    with server.connect() as connection, pytest.raises(errors.UndefinedColumn) as caught:
        connection.execute("SELECT 'h\u00e9\U0001f600', nope FROM t")
    assert caught.value.diag.statement_position == "15"


def test_savepoints_of_nested_transactions(server: NodeProcess) -> None:
    with server.connect() as connection:
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES (10, 'kept')")
            with pytest.raises(errors.UniqueViolation), connection.transaction():
                connection.execute("INSERT INTO t VALUES (11, 'undone')")
                connection.execute("INSERT INTO t VALUES (1, 'duplicate')")
            with pytest.raises(ZeroDivisionError), connection.transaction():
                connection.execute("CREATE TABLE child (a int)")
                raise ZeroDivisionError
            with connection.transaction():
                connection.execute("INSERT INTO t VALUES (12, 'kept')")
        assert connection.execute("SELECT a FROM t WHERE a > 3 ORDER BY a").fetchall() == [(10,), (12,)]
        with pytest.raises(errors.UndefinedTable):
            connection.execute("TABLE child")


# asyncpg -----------------------------------------------------------------------------------------------------------


def test_asyncpg(server: NodeProcess) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=server.pg_port, user="postgres", database="heliosdb", ssl=False
        )
        try:
            await _asyncpg_day(connection)
        finally:
            await connection.close()

    asyncio.run(run())


async def _asyncpg_day(connection: Any) -> None:
    assert await connection.fetchval("SELECT b FROM t WHERE a = $1", 2) == "two"
    assert await connection.fetchval("SHOW server_encoding") == "UTF8"
    await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(n, str(n)) for n in range(10, 20)])
    with pytest.raises(asyncpg.UniqueViolationError) as caught:
        await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(20, "a"), (1, "b"), (21, "c")])
    assert caught.value.constraint_name == "t_pkey"
    assert await connection.fetchval("SELECT count(*) FROM t") == 13
    async with connection.transaction():
        rows = [row["a"] async for row in connection.cursor("SELECT a FROM t ORDER BY a", prefetch=4)]
        assert rows == [1, 2, 3, *range(10, 20)]
    with pytest.raises(ZeroDivisionError):
        async with connection.transaction(isolation="serializable"):
            await connection.execute("DELETE FROM t")
            raise ZeroDivisionError
    assert await connection.copy_records_to_table("t", records=[(n, "r") for n in range(30, 40)]) == "COPY 10"
    statement = await connection.prepare("SELECT a FROM t WHERE a = ANY($1::int[]) ORDER BY a")
    assert [row[0] for row in await statement.fetch([39, 1, 99])] == [1, 39]
    await connection.execute("PREPARE mine AS SELECT b FROM t WHERE a = $1")
    assert await connection.fetchval("EXECUTE mine (3)") == "three"
    with pytest.raises(asyncio.TimeoutError):
        await connection.fetch("SELECT count(*) FROM generate_series(1, 1000000000)", timeout=0.2)
    assert await connection.fetchval("SELECT 1") == 1
    for type_name, value in VALUES:
        if type_name != "interval":
            assert await connection.fetchval(f"SELECT $1::{type_name}", value) == value


# Much data ---------------------------------------------------------------------------------------------------------


def test_a_slow_reader_does_not_fill_the_memory(server: NodeProcess) -> None:
    memory = psutil.Process(server.pid)
    with server.connect() as connection, RawClient(server.pg_port, timeout=60) as slow:
        connection.execute("SELECT 1")
        before = memory.memory_info().rss
        slow.send(query("SELECT g, repeat('x', 200) FROM generate_series(1, 1000000) AS g"))
        slow.until("D")
        peak = before
        for _ in range(50):
            # While the reader holds 200 MB off, others are served.
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (3,)
            peak = max(peak, memory.memory_info().rss)
        assert peak - before < 64 << 20
        slow.cancel()
        assert [fields["C"] for code, fields in slow.until("Z") if code == "E"] == ["57014"]


def test_a_large_result_arrives_whole(server: NodeProcess) -> None:
    with server.connect() as connection:
        total, number = 0, 0
        with connection.cursor() as cursor:
            for row in cursor.stream("SELECT g FROM generate_series(1, 200000) AS g"):
                total += row[0]
                number += 1
        assert (number, total) == (200_000, 200_000 * 200_001 // 2)


def test_large_messages(server: NodeProcess) -> None:
    big = "x" * (20 << 20)
    with server.connect() as connection:
        assert connection.execute("SELECT length(%s::text)", (big,)).fetchone() == (len(big),)
        connection.execute("INSERT INTO t VALUES (50, %s)", (big,))
        assert connection.execute("SELECT b FROM t WHERE a = 50").fetchone() == (big,)
        listed = sql.SQL(", ").join(sql.SQL("({}, 'v')").format(sql.Literal(n)) for n in range(100, 3100))
        connection.execute(sql.SQL("INSERT INTO t VALUES ") + listed)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (3004,)


def test_a_long_pipeline_is_read_no_further_than_it_is_answered(server: NodeProcess) -> None:
    count = 20_000
    one = parse("SELECT repeat('x', 1000)") + bind() + execute() + b"S\0\0\0\4"
    memory = psutil.Process(server.pid)
    with RawClient(server.pg_port, timeout=30) as client:
        before = memory.memory_info().rss
        client.socket.setblocking(False)
        data, sent = one * count, 0

        def stuck() -> bool:
            nonlocal sent
            try:
                sent += client.socket.send(data[sent : sent + 65536])
            except BlockingIOError:
                return True
            return sent == len(data)

        wait_until(stuck, "the server stops reading or has read all")
        assert memory.memory_info().rss - before < 64 << 20
        client.socket.setblocking(True)
        client.socket.settimeout(30)
        assert client.until("Z")[-1] == ("Z", "I")
