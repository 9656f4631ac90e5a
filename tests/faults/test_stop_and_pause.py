"""SIGTERM while busy, SIGSTOP, many idle clients, and clients that come and go."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import ExitStack
from typing import Any

import psutil
import psycopg
import pytest
from support.bounds import MB
from support.kill_drill import verify_log, verify_stopped
from support.node_process import MakeNode, NodeProcess, wait_until
from support.raw_wire import query, startup

IDLE_CLIENTS = 1000
KB_PER_CLIENT_MAX = 100


def create(node: NodeProcess, rows: int = 0) -> None:
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
            for number in range(rows):
                copy.write_row((-1 - number, "x" * 500))


class Client:
    """A thread that runs statements until the node ends the connection, and keeps how it ended."""

    def __init__(self, node: NodeProcess, *statements: str, writer: int | None = None) -> None:
        self.ended: psycopg.Error | None = None
        self.acked = 0
        self.busy = threading.Event()
        self._node, self._statements, self._writer = node, statements, writer
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with self._node.connect() as connection:
                for statement in self._statements:
                    self.busy.set()
                    connection.execute(statement)
                while True:
                    if self._writer is None:
                        self.busy.set()
                        connection.execute("SELECT count(*) FROM t a, t b WHERE a.id + b.id = 1")
                    else:
                        connection.execute("INSERT INTO t VALUES (%s, 'x')", (self._writer + self.acked,))
                        self.acked += 1
                        self.busy.set()
        except psycopg.Error as error:
            self.ended = error


def test_sigterm_while_busy(make_node: MakeNode) -> None:
    node = make_node()
    create(node, rows=3000)
    writers = [Client(node, writer=1_000_000 * number) for number in range(1, 5)]
    for client in writers:
        assert client.busy.wait(10)
    # From here on it holds the writer, and the others wait for it.
    open_writer = Client(node, "BEGIN", "INSERT INTO t VALUES (-5000000, 'never')", writer=5_000_000)
    reader = Client(node)
    snapshot = Client(node, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1 FROM t LIMIT 1")
    clients = [*writers, open_writer, reader, snapshot]
    for client in (open_writer, reader, snapshot):
        assert client.busy.wait(10)
    assert node.stop() == 0
    for client in clients:
        client.thread.join(10)
        assert not client.thread.is_alive()
        assert client.ended is not None
        # 57P01, in the middle of a commit 08007, or a client that was sending at this moment saw the connection closed.
        assert client.ended.sqlstate in ("57P01", "08007" if client in writers else None, None), client.ended
    assert reader.ended is not None
    assert reader.ended.sqlstate == "57P01"
    verify_stopped(node.data_dir)
    node.start()
    recovery = node.http("/status")[1]["recovery"]
    assert recovery["clean"] is True
    assert recovery["records"] == 0
    with node.connect() as connection:
        for number, writer in enumerate(writers, 1):
            found = connection.execute(
                "SELECT count(*) FROM t WHERE id >= %s AND id < %s", (number * 1_000_000, (number + 1) * 1_000_000)
            ).fetchone()
            assert found is not None
            assert found[0] - writer.acked in (0, 1)
        assert connection.execute("SELECT count(*) FROM t WHERE id = -5000000").fetchone() == (0,)
    assert node.stop() == 0
    verify_log(node.data_dir)


def test_a_pause_is_harmless(make_node: MakeNode) -> None:
    node = make_node()
    create(node)
    client = Client(node, writer=0)
    assert client.busy.wait(10)
    node.send(signal.SIGSTOP)
    process = psutil.Process(node.pid)
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "the node is stopped")
    stuck = client.acked
    with pytest.raises(OSError):
        node.http("/health", timeout=1.5)
    assert client.acked <= stuck + 1
    node.send(signal.SIGCONT)
    wait_until(lambda: client.acked > stuck + 20, "writes go on")
    assert client.ended is None
    assert node.http("/health")[0] == 200
    assert node.stop() == 0


def test_a_thousand_idle_clients(make_node: MakeNode) -> None:
    node = make_node("--max-connections", str(IDLE_CLIENTS + 10))
    create(node)
    process = psutil.Process(node.pid)
    before = process.memory_info().rss
    with ExitStack() as stack:
        for _ in range(IDLE_CLIENTS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", node.pg_port)))
            client.sendall(startup({"user": "postgres", "database": "heliosdb"}) + query("SELECT count(*) FROM t"))
        wait_until(lambda: node.http("/status")[1]["sessions"] == IDLE_CLIENTS, "all are connected", 30)
        each = (process.memory_info().rss - before) / IDLE_CLIENTS / 1024
        print(f"{IDLE_CLIENTS} idle clients: {each:.1f} KB each, {process.memory_info().rss / MB:.0f} MB in all")
        assert each < KB_PER_CLIENT_MAX
        with node.connect() as connection:
            connection.execute("INSERT INTO t VALUES (1, 'x')")
    wait_until(lambda: node.http("/status")[1]["sessions"] == 0, "all are gone", 30)


def test_coming_and_going_leaks_nothing(make_node: MakeNode) -> None:
    node = make_node()
    create(node, rows=200)
    process = psutil.Process(node.pid)

    def churn(rounds: int) -> None:
        for number in range(rounds):
            connection: Any = node.connect()
            if number % 3 == 0:
                connection.execute("CREATE TEMPORARY TABLE mine (a int)")
            elif number % 3 == 1:
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                connection.execute("SELECT count(*) FROM t a, t b").fetchone()
            else:
                connection.execute("BEGIN")
                connection.execute("INSERT INTO t VALUES (1, 'x')")
            if number % 2:
                # Without a word, as when the process of the client has been killed.
                with socket.socket(fileno=os.dup(connection.fileno())) as stolen:
                    stolen.shutdown(socket.SHUT_RDWR)
            connection.close()
        wait_until(lambda: node.http("/status")[1]["sessions"] == 0, "all are gone")

    churn(60)
    before, memory = process.num_fds(), process.memory_info().rss
    churn(240)
    # Idle connections to the database are kept for the next who asks, up to a limit.
    assert process.num_fds() <= before + 6
    assert process.memory_info().rss < memory + 12 * MB


def test_a_client_that_asks_and_never_listens(make_node: MakeNode) -> None:
    """Short queries without end, no answer taken: the node stops reading instead of keeping the answers."""
    node = make_node()
    create(node, rows=20)
    process = psutil.Process(node.pid)
    before = process.memory_info().rss
    with socket.create_connection(("127.0.0.1", node.pg_port)) as client:
        client.sendall(startup({"user": "postgres", "database": "heliosdb"}))
        client.settimeout(2.0)
        batch = query("SELECT id, pad FROM t WHERE id = -1") * 1000
        with pytest.raises(TimeoutError):
            for _ in range(2000):
                client.sendall(batch)
        assert process.memory_info().rss < before + 48 * MB
    assert node.http("/health")[0] == 200
