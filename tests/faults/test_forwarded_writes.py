"""Clients of standbys write on while the primary is killed and another elected: no error, each write exactly once."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Sequence

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

SETTLED_S = 60.0
CLIENTS = 6


class Client:
    """One connection with one node for the whole test, which sends no statement twice."""

    def __init__(self, number: int, node: NodeProcess) -> None:
        self.number = number
        self.node = node
        self.done = 0
        self.names: list[str] = []
        """Of every third write; the others the standby names itself."""
        self.longest_s = 0.0
        self.failure: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self.node.connect() as session:
                while not self._ended.is_set():
                    begin = time.monotonic()
                    self._write(session)
                    self.longest_s = max(self.longest_s, time.monotonic() - begin)
                    self.done += 1
        except BaseException as error:
            self.failure = error

    def _write(self, session: psycopg.Connection[tuple[object, ...]]) -> None:
        """A row without a key, and a counter that is read and raised: whatever is done twice shows."""
        kind = self.done % 3
        if kind == 0:
            self.names.append(f"{uuid.UUID(int=self.number + 1)}:{self.done + 1}")
            session.execute(f"SET helios.write_id = '{self.names[-1]}'")
        if self.done % 2:
            cursor = session.execute(f"INSERT INTO log VALUES ({self.number}, {self.done})")
            assert cursor.statusmessage == "INSERT 0 1"
        else:
            cursor = session.execute(
                "UPDATE counters SET n = n + 1 WHERE client = %s RETURNING n", (self.number,), prepare=bool(kind)
            )
            assert cursor.fetchall() == [(self.done // 2 + 1,)]


def start(make_node: MakeNode) -> list[NodeProcess]:
    """Three nodes that vote and count, the first leads."""
    mode = ("--replication-mode", "quorum")
    first = make_node("--node-id", "n1", "--replication-role", "primary", *mode)
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(first.native_port))
    nodes = [first]
    for name in ("n2", "n3"):
        nodes.append(make_node("--node-id", name, "--replication-role", "standby", *mode, *upstream))
    with first.connect() as session:
        session.execute("CREATE TABLE log (client int, number int)")
        session.execute("CREATE TABLE counters (client int PRIMARY KEY, n int NOT NULL)")
        session.execute("INSERT INTO counters SELECT g, 0 FROM generate_series(0, 99) g")
    all_count(nodes, first)
    return nodes


def all_count(nodes: Sequence[NodeProcess], leader: NodeProcess) -> None:
    wait_until(lambda: is_whole(nodes, leader), "all copies count", SETTLED_S)


def elected(nodes: Sequence[NodeProcess]) -> NodeProcess:
    """Who leads, once somebody does."""
    wait_until(lambda: any(map(leads, nodes)), "another one is elected", SETTLED_S)
    return next(node for node in nodes if leads(node))


def is_whole(nodes: Sequence[NodeProcess], leader: NodeProcess) -> bool:
    view = leader.http("/status")[1]["cluster"]
    return [sum(one["in_sync"] for one in view["nodes"]), len(view["voters"])] == [len(nodes)] * 2


def leads(node: NodeProcess) -> bool:
    try:
        return node.http("/primary", timeout=1)[0] == 200
    except OSError:
        return False


def all_write(clients: Sequence[Client], more: int = 20) -> None:
    """Wait until every client has so many more answers."""
    before = [client.done for client in clients]

    def written() -> bool:
        failed = [client.failure for client in clients if client.failure is not None]
        assert not failed, failed
        return all(client.done >= was + more for client, was in zip(clients, before, strict=True))

    wait_until(written, "every client writes", SETTLED_S)


@pytest.mark.timeout(240)
def test_an_election_is_a_pause_and_no_error(make_node: MakeNode) -> None:
    nodes = start(make_node)
    clients: list[Client] = []
    leader = nodes[0]
    try:
        for round_number in range(2):
            standbys = [node for node in nodes if node is not leader]
            # Those of the last round stay: one of the nodes leads meanwhile, where it followed before.
            for number in range(CLIENTS):
                clients.append(Client(round_number * CLIENTS + number, standbys[number % 2]))
                clients[-1].start()
            # Clients of the node that goes have nobody to talk to.
            for client in [client for client in clients if client.node is leader]:
                client.stop()
            there = [client for client in clients if client.node is not leader]
            all_write(there)
            killed = leader
            killed.kill()
            leader = elected(standbys)
            all_write(there)
            killed.start()
            all_count(nodes, leader)
    finally:
        for client in clients:
            client.stop()
    assert [client.failure for client in clients] == [None] * len(clients)
    with leader.connect() as session:
        rows = session.execute("SELECT client, number FROM log ORDER BY client, number").fetchall()
        expected = [(client.number, number) for client in clients for number in range(1, client.done, 2)]
        assert rows == expected, "a row is missing, or there twice"
        counters = dict(session.execute("SELECT client, n FROM counters").fetchall())
        assert {client.number: counters[client.number] for client in clients} == {
            client.number: (client.done + 1) // 2 for client in clients
        }
        for client in clients:
            for name in client.names[-50:]:
                row = session.execute("SELECT helios_write_outcome(%s)", (name,)).fetchone()
                assert row is not None and row[0] in ("INSERT 0 1", "UPDATE 1"), name
    assert max(client.longest_s for client in clients) > 0.5, "nobody noticed the elections"


@pytest.mark.timeout(240)
def test_a_transaction_by_a_standby_that_is_frozen_does_not_keep_the_writer(make_node: MakeNode) -> None:
    first, second, _ = start(make_node)
    with second.connect() as held, first.connect() as other:
        held.execute("BEGIN")
        held.execute("INSERT INTO log VALUES (1, 1)")
        second.send(signal.SIGSTOP)
        begin = time.monotonic()
        try:
            other.execute("INSERT INTO log VALUES (2, 2)")
        finally:
            second.send(signal.SIGCONT)
        assert time.monotonic() - begin < 20, "idle_writer_timeout is 30 s"
        with pytest.raises(psycopg.Error):
            held.execute("COMMIT")
        assert other.execute("SELECT client FROM log").fetchall() == [(2,)]
