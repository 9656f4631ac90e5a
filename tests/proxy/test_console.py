"""The database heliosproxy: what SHOW shows, what the other commands do, and who may."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from support.node_cluster import NodeCluster
from support.node_process import wait_until
from support.proxied import MakeProxy
from support.proxy_process import ProxyProcess

from helios_cli.engine.proxy.console import COMMANDS
from helios_cli.engine.proxyserver import admin_fields

SHOWS = [command.split()[1] for command in COMMANDS if command.startswith("SHOW")]


@pytest.fixture(scope="module")
def proxy(node_cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """A proxy that every test leaves as it was."""
    found = ProxyProcess(tmp_path_factory.mktemp("console"), node_cluster.nodes)
    try:
        yield found.start()
    finally:
        found.kill()


@pytest.fixture
def console(proxy: ProxyProcess) -> Iterator[psycopg.Connection[Any]]:
    """A session of the console."""
    with proxy.connect(dbname="heliosproxy") as connection:
        yield connection


def table(connection: psycopg.Connection[Any], sql: str) -> list[dict[str, Any]]:
    """The rows of a SHOW by the names of their columns."""
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(sql).fetchall()


@pytest.mark.parametrize("what", SHOWS)
@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_show(proxy: ProxyProcess, console: psycopg.Connection[Any], what: str, binary: bool) -> None:
    with proxy.connect(autocommit=False) as other:
        other.execute("SELECT 1")
        with console.cursor(binary=binary) as cursor:
            rows = cursor.execute(f"SHOW {what}").fetchall()
            assert rows and cursor.statusmessage == "SHOW"


def test_what_is_shown(proxy: ProxyProcess, console: psycopg.Connection[Any]) -> None:
    with proxy.connect(autocommit=False, application_name="shown") as other:
        other.execute("SELECT 1")
        nodes = table(console, "SHOW NODES")
        assert tuple(nodes[0]) == admin_fields.NODES and [row["name"] for row in nodes] == ["n1", "n2", "n3"]
        (client,) = [row for row in table(console, "SHOW CLIENTS") if row["application_name"] == "shown"]
        assert (client["type"], client["state"], client["addr"]) == ("C", "transaction", "127.0.0.1")
        assert client["id"] == other.info.backend_pid and client["connect_time"] <= client["request_time"]
        (server,) = [row for row in table(console, "SHOW SERVERS") if row["link"] == client["id"]]
        assert (server["type"], server["node"], server["port"]) == ("S", client["node"], proxy.ports[0])
        pools = [row for row in table(console, "SHOW POOLS") if row["node"] == client["node"]]
        assert {"cl_active", "cl_waiting", "sv_active", "sv_idle", "maxwait", "pool_mode"} <= set(pools[0])
        assert sum(row["sv_active"] for row in pools) == 1
        stats = {row["name"]: row["value"] for row in table(console, "SHOW STATS")}
        assert stats["clients"] >= 1 and stats["sessions_total"] >= 1
    settings = {row["key"]: row["value"] for row in table(console, "SHOW CONFIG")}
    assert settings["listen_port"] == str(proxy.pg_port) and settings["admin_token"] == "(hidden)"
    assert proxy.token not in str(settings)
    assert [row["command"] for row in table(console, "SHOW HELP")] == list(COMMANDS)
    assert table(console, "SHOW VERSION")[0]["version"].startswith("HeliosProxy ")


@pytest.mark.parametrize("sql", ["DROP TABLE t", "SHOW TABLES", "KILL everybody", "DRAIN"])
@pytest.mark.parametrize("prepare", [False, True])
def test_what_it_does_not_know(console: psycopg.Connection[Any], sql: str, prepare: bool) -> None:
    with pytest.raises(psycopg.errors.SyntaxError) as caught:
        console.execute(sql, prepare=prepare)
    assert "SHOW POOLS" in (caught.value.diag.message_hint or "")
    assert console.execute("SHOW VERSION").fetchone() is not None


def test_what_drivers_send_by_themselves(proxy: ProxyProcess) -> None:
    with proxy.connect(dbname="heliosproxy", autocommit=False) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.pgconn.transaction_status == 2
        connection.execute("SET extra_float_digits = 3")
        connection.commit()
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with connection.pipeline():
            first, second = connection.execute("SHOW NODES"), connection.execute("SHOW VERSION")
            assert len(first.fetchall()) == 3 and len(second.fetchall()) == 1


def test_psql(proxy: ProxyProcess, program: Callable[[str], str]) -> None:
    def psql(sql: str) -> subprocess.CompletedProcess[str]:
        command = [program("psql"), "-X", "-A", "-t", "-d", "heliosproxy", "-c", sql]
        return subprocess.run(command, env=proxy.environment(), capture_output=True, text=True, timeout=60)

    found = psql("SHOW NODES;")
    assert found.returncode == 0 and [line.split("|")[0] for line in found.stdout.splitlines()] == ["n1", "n2", "n3"]
    assert psql("show version; show help").stdout.count("\n") == 1 + len(COMMANDS)
    found = psql("BACKUP")
    assert found.returncode == 1 and "has no command" in found.stderr and "HINT:" in found.stderr


def test_asyncpg(proxy: ProxyProcess) -> None:
    async def ask() -> list[Any]:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=proxy.pg_port, user="postgres", database="heliosproxy"
        )
        try:
            found = [await connection.fetch(f"SHOW {what}") for what in SHOWS]
            await connection.execute("RESUME")
            with pytest.raises(asyncpg.PostgresSyntaxError):
                await connection.execute("NOTHING")
            return found
        finally:
            await connection.close()

    found = asyncio.run(ask())
    assert [row["name"] for row in found[SHOWS.index("NODES")]] == ["n1", "n2", "n3"]
    assert found[SHOWS.index("NODES")][0]["is_heliosdb"] is True


def test_pause_and_resume(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes)
    with proxy.connect(dbname="heliosproxy") as console, proxy.connect() as other:
        console.execute("PAUSE")
        waits = threading.Thread(target=lambda: other.execute("SELECT 1"), daemon=True)
        waits.start()
        wait_until(
            lambda: "waiting" in [row["state"] for row in table(console, "SHOW CLIENTS")], "the statement waits", 20
        )
        console.execute("RESUME")
        waits.join(20)
        assert not waits.is_alive()


def test_drain_kill_and_reload(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes)
    with proxy.connect(dbname="heliosproxy") as console, proxy.connect() as other:

        def state() -> dict[str, str]:
            return {row["name"]: row["state"] for row in table(console, "SHOW NODES")}

        wait_until(lambda: set(state().values()) == {"healthy"}, "every node is healthy", 20)
        console.execute("DRAIN n3")
        assert state() == {"n1": "healthy", "n2": "healthy", "n3": "draining"}
        console.execute("UNDRAIN n3")
        assert set(state().values()) == {"healthy"}
        with pytest.raises(psycopg.Error) as caught:
            console.execute("DRAIN n1")
        assert caught.value.sqlstate == "55000"
        console.execute("DRAIN n1 FORCE")
        assert state()["n1"] == "draining"
        console.execute("UNDRAIN n1")
        with pytest.raises(psycopg.Error) as caught:
            console.execute("DRAIN nobody")
        assert caught.value.sqlstate == "42704" and "n1, n2, n3" in str(caught.value)
        console.execute(f"KILL {other.info.backend_pid}".encode())
        with pytest.raises(psycopg.OperationalError) as lost:
            other.execute("SELECT 1")
        assert lost.value.sqlstate == "57P01"
        with pytest.raises(psycopg.Error) as caught:
            console.execute("KILL 123456789")
        assert caught.value.sqlstate == "42704"
        notices: list[str] = []
        console.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        console.execute("RELOAD")
        assert notices == ["nothing has changed"]


def test_who_may(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    more = "".join(f'[[users]]\nname = "{name}"\npassword = "of {name}"\n' for name in ("postgres", "ada", "eve"))
    proxy = make_proxy(node_cluster.nodes, start=False, more=more, settings={"admin_users": ["ada"]})
    proxy.start(wait=False)
    wait_until(lambda: proxy.http("/ready")[0] == 200, "the proxy is ready", 30)
    for name in ("postgres", "ada"):
        with proxy.connect(dbname="heliosproxy", user=name, password=f"of {name}") as console:
            assert len(table(console, "SHOW NODES")) == 3
            assert "of eve" not in str(table(console, "SHOW CONFIG"))
    with pytest.raises(psycopg.OperationalError, match="permission denied") as caught:
        proxy.connect(dbname="heliosproxy", user="eve", password="of eve")
    assert "admin_users" in str(caught.value)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        proxy.connect(dbname="heliosproxy", user="ada", password="of eve")
    # Everybody else's database is open to her.
    with proxy.connect(user="eve", password="of eve") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


BROKEN = {
    "no message": b"GET / HTTP/1.1\r\n\r\n",
    "a length that is none": b"Q\0\0\0\3",
    "a giant": b"Q\x3f\xff\xff\xff",
    "a flood": b"P" + (2**20 - 6).to_bytes(4, "big") + b"x" * 2**21,
    "a query without an end": b"Q\0\0\0\x08SHOW",
    "a bind that is too short": b"B\0\0\0\6\0\0",
    "a portal that is none": b"E\0\0\0\x0bnope\0\0\0\0\0"[:12],
    "copy data": b"d\0\0\0\5x",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_message_ends_the_session_and_nothing_else(proxy: ProxyProcess, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", proxy.pg_port), timeout=30) as wire:
        body = b"\0\3\0\0user\0postgres\0database\0heliosproxy\0\0"
        wire.sendall((len(body) + 4).to_bytes(4, "big") + body)
        answer = b""
        while not answer.endswith(b"Z\0\0\0\x05I"):
            answer += wire.recv(65536)
        with contextlib.suppress(OSError):
            wire.sendall(data)
            wire.shutdown(socket.SHUT_WR)
            while wire.recv(65536):
                pass
    with proxy.connect(dbname="heliosproxy") as console:
        assert len(table(console, "SHOW NODES")) == 3
    assert "Traceback" not in proxy.log_path.read_text()
