"""asyncpg, pg8000, psycopg2 and node-postgres through the proxy in transaction pooling, with their own defaults."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from conftest import find_program
from support.proxied import Proxied, heard_from

HOST = "127.0.0.1"
CLIENTS = Path(__file__).parents[1] / "clients"
OWN_MODULES = CLIENTS / "node" / "node_modules"
MODULES = os.environ.get("NODE_PATH") or str(OWN_MODULES if OWN_MODULES.exists() else "/usr/share/nodejs")


def prepare(proxied: Proxied, table: str) -> None:
    proxied.prepare(
        f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {table} (a int PRIMARY KEY, b text)",
        f"INSERT INTO {table} VALUES (1, 'one'), (2, 'two'), (3, 'three')",
    )  # fmt: skip


# asyncpg -----------------------------------------------------------------------------------------------------------


def place(proxied: Proxied) -> dict[str, Any]:
    proxy = proxied.proxy
    return {"host": HOST, "port": proxy.pg_port, "user": proxy.user, "database": proxy.database, "ssl": False}


def test_asyncpg(proxied: Proxied) -> None:
    prepare(proxied, "apg")

    async def run() -> None:
        connection = await asyncpg.connect(**place(proxied))
        try:
            await asyncpg_day(connection)
        finally:
            await connection.close()

    asyncio.run(run())
    assert proxied.truth("SELECT count(*) FROM apg") == [(23,)]


async def asyncpg_day(connection: Any) -> None:
    assert await connection.fetchval("SELECT b FROM apg WHERE a = $1", 2) == "two"
    await connection.executemany("INSERT INTO apg VALUES ($1, $2)", [(n, str(n)) for n in range(10, 20)])
    with pytest.raises(asyncpg.UniqueViolationError) as caught:
        await connection.executemany("INSERT INTO apg VALUES ($1, $2)", [(20, "a"), (1, "b"), (21, "c")])
    assert caught.value.constraint_name == "apg_pkey"
    assert await connection.fetchval("SELECT count(*) FROM apg") == 13
    async with connection.transaction():
        rows = [row["a"] async for row in connection.cursor("SELECT a FROM apg ORDER BY a", prefetch=4)]
        assert rows == [1, 2, 3, *range(10, 20)]
    async with connection.transaction(readonly=True, isolation="repeatable_read"):
        ports = {await connection.fetchval("SELECT inet_server_port()") for _ in range(5)}
        assert len(ports) == 1
    with pytest.raises(ZeroDivisionError):
        async with connection.transaction(isolation="serializable"):
            await connection.execute("DELETE FROM apg")
            raise ZeroDivisionError
    assert await connection.copy_records_to_table("apg", records=[(n, "r") for n in range(30, 40)]) == "COPY 10"
    out = io.BytesIO()
    assert await connection.copy_from_query("SELECT a FROM apg WHERE a > $1 ORDER BY a", 37, output=out) == "COPY 2"
    assert out.getvalue() == b"38\n39\n"
    statement = await connection.prepare("SELECT a FROM apg WHERE a = ANY($1::int[]) ORDER BY a")
    for _ in range(20):
        assert [row[0] for row in await statement.fetch([39, 1, 99])] == [1, 39]
    with pytest.raises(asyncio.TimeoutError):
        await connection.fetch("SELECT pg_sleep(60)", timeout=0.3)
    assert await connection.fetchval("SELECT 1") == 1


def test_asyncpg_sessions_share_backends_and_no_statements(proxied: Proxied) -> None:
    prepare(proxied, "apg_shared")

    async def one(number: int, ports: set[int]) -> None:
        connection = await asyncpg.connect(**place(proxied))
        try:
            for turn in range(30):
                wanted = ("one", "two", "three")[turn % 3]
                query = f"SELECT b, {number}, inet_server_port() FROM apg_shared WHERE a = $1"
                row = await connection.fetchrow(query, turn % 3 + 1)
                assert tuple(row)[:2] == (wanted, number)
                ports.add(row[2])
                update = "UPDATE apg_shared SET b = b WHERE a = $1 RETURNING inet_server_port()"
                assert await connection.fetchval(update, turn % 3 + 1) == proxied.behind.primary.pg_port
                if turn % 10 == number % 10:
                    await connection.execute("DEALLOCATE ALL") if number % 2 else await connection.reset()
                    await connection.reload_schema_state()
        finally:
            await connection.close()

    async def run() -> set[int]:
        ports: set[int] = set()
        await asyncio.gather(*(one(number, ports) for number in range(12)))
        return ports

    assert asyncio.run(run()) == proxied.ports


def test_asyncpg_pool_and_listeners(proxied: Proxied) -> None:
    prepare(proxied, "apg_pool")

    async def run() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()

        def hear(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
            heard.put_nowait(payload)

        async with asyncpg.create_pool(**place(proxied), min_size=2, max_size=10) as pool:

            async def add(number: int) -> None:
                async with pool.acquire() as connection, connection.transaction():
                    await connection.execute("SET LOCAL statement_timeout = '20s'")
                    await connection.execute("INSERT INTO apg_pool VALUES ($1, $2)", 100 + number, "x")
                    await connection.execute("SELECT pg_notify('apg_news', $1)", str(number))

            async with pool.acquire() as listener:
                await listener.add_listener("apg_news", hear)
                await asyncio.gather(*(add(number) for number in range(40)))
                told = {await asyncio.wait_for(heard.get(), 20) for _ in range(40)}
                assert told == {str(number) for number in range(40)}
                assert await listener.fetchval("SELECT 1") == 1
                await listener.remove_listener("apg_news", hear)
            assert await pool.fetchval("SHOW statement_timeout") == "0"

    asyncio.run(run())
    assert proxied.truth("SELECT count(*) FROM apg_pool") == [(43,)]


# pg8000 ------------------------------------------------------------------------------------------------------------


def test_pg8000(proxied: Proxied) -> None:
    dbapi = pytest.importorskip("pg8000.dbapi")
    prepare(proxied, "pg8")
    connection = dbapi.connect(
        user=proxied.proxy.user, host=HOST, port=proxied.proxy.pg_port, database=proxied.proxy.database
    )
    cursor = connection.cursor()
    cursor.executemany("INSERT INTO pg8 VALUES (%s, %s)", [(10, "ten"), (11, None)])
    cursor.execute("SELECT b FROM pg8 WHERE a = ANY(%s) ORDER BY a", ([10, 11],))
    assert list(cursor.fetchall()) == [["ten"], [None]]
    connection.commit()
    with pytest.raises(dbapi.DatabaseError) as caught:
        cursor.execute("INSERT INTO pg8 VALUES (%s, 'again')", (1,))
    assert caught.value.args[0]["C"] == "23505"
    connection.rollback()
    connection.autocommit = True

    rng = random.Random(1)

    def ask() -> int:
        if rng.random() < 0.5:
            # A statement with parameters is several dialogues here, and nodes take turns by the dialogue.
            cursor.execute("SELECT 1")
        cursor.execute("SELECT inet_server_port(), b FROM pg8 WHERE a = %s", (2,))
        port, text = cursor.fetchone()
        assert text == "two"
        return int(port)

    assert heard_from(ask, proxied.ports) == proxied.ports
    cursor.execute("COPY pg8 FROM STDIN", stream=io.BytesIO(b"50\tfifty\n51\tmore\n"))
    out = io.BytesIO()
    cursor.execute("COPY (SELECT a FROM pg8 WHERE a >= 50 ORDER BY a) TO STDOUT", stream=out)
    assert out.getvalue() == b"50\n51\n"
    connection.close()
    assert proxied.truth("SELECT count(*) FROM pg8") == [(7,)]


# psycopg2 ----------------------------------------------------------------------------------------------------------


def test_psycopg2(proxied: Proxied) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    prepare(proxied, "pg2")
    connection = psycopg2.connect(
        user=proxied.proxy.user, host=HOST, port=proxied.proxy.pg_port, dbname=proxied.proxy.database
    )
    cursor = connection.cursor()
    cursor.execute("INSERT INTO pg2 VALUES (%s, %s) RETURNING a", (10, "ten"))
    assert cursor.fetchone() == (10,)
    with connection.cursor("named") as named:
        named.itersize = 2
        named.execute("SELECT a FROM pg2 ORDER BY a")
        assert [row[0] for row in named] == [1, 2, 3, 10]
    connection.commit()
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    cursor.execute("SHOW transaction_read_only")
    assert cursor.fetchone() == ("on",)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        cursor.execute("DELETE FROM pg2")
    connection.rollback()
    connection.set_session(isolation_level="DEFAULT", readonly="DEFAULT", autocommit=True)
    cursor.copy_expert("COPY pg2 FROM STDIN", io.StringIO("20\ttwenty\n21\tmore\n"))
    out = io.StringIO()
    cursor.copy_expert("COPY (SELECT a FROM pg2 WHERE a >= 20 ORDER BY a) TO STDOUT", out)
    assert out.getvalue() == "20\n21\n"

    def ask() -> int:
        cursor.execute("SELECT inet_server_port()")
        return int(cursor.fetchone()[0])

    assert heard_from(ask, proxied.ports) == proxied.ports
    cursor.execute("DROP TABLE IF EXISTS nothing_there")
    assert connection.notices == ['NOTICE:  table "nothing_there" does not exist, skipping\n']
    cursor.execute("LISTEN pg2_news; NOTIFY pg2_news, 'hello'")
    connection.poll()
    assert [(one.channel, one.payload) for one in connection.notifies] == [("pg2_news", "hello")]
    connection.close()
    assert proxied.truth("SELECT count(*) FROM pg2") == [(6,)]


# node-postgres -----------------------------------------------------------------------------------------------------


def test_node_postgres(proxied: Proxied) -> None:
    node = find_program("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    if not (Path(MODULES) / "pg").exists():
        pytest.skip(f"node-postgres is not in {MODULES}")
    environment = proxied.proxy.environment() | {"NODE_PATH": MODULES, "TZ": "UTC"}
    for _ in range(3):
        done = subprocess.run(
            [node, str(CLIENTS / "programs" / "node_postgres.js")], env=environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "row": {"id": 1, "n": "1.50", "j": {"k": [1, None]}, "t": "2024-02-29T00:00:00.000Z", "b": "00ff",
                    "a": [1, None, 3]},
            "named": [1, 0], "array": [[1, 2]], "several": [{"one": 1}, {"two": 2}],
            "error": ["23505", "js_pkey", "js", "Key (id)=(1) already exists."], "heard": "word", "left": "1",
        }  # fmt: skip
