"""Named writes over killed primaries: each is sent until it is answered, by any node, and is there exactly once."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

import psycopg
from support.failover_drill import SETTLED_S, in_sync, make_cluster, promote_one
from support.node_process import NodeProcess, wait_until

ATTEMPTS_MAX = 200
LOST_EVERY = 4
"""One in so many first attempts is sent by a client that goes away before it has its answer."""


class Clients:
    """Threads that write under names of their own, and send again whatever is not answered."""

    def __init__(self, nodes: Sequence[NodeProcess], count: int, seed: int) -> None:
        self.answered: list[str] = []
        self.sent_again = 0
        self.failures: list[BaseException] = []
        self._nodes = nodes
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(seed + number,)) for number in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        rng = random.Random(seed)
        try:
            for number in itertools.count(1):
                if self._ended.is_set():
                    return
                self._write(f"{uuid.UUID(int=seed)}:{number}", rng)
        except BaseException as error:
            self.failures.append(error)

    def _write(self, name: str, rng: random.Random) -> None:
        text = f"SET helios.write_id = '{name}'; INSERT INTO named VALUES ('{name}') RETURNING id"
        if rng.randrange(LOST_EVERY) == 0:
            self._send_and_go(text, rng)
        for _ in range(ATTEMPTS_MAX):
            try:
                with rng.choice(self._nodes).connect(connect_timeout=2) as connection:
                    cursor = connection.execute(text)
                    assert cursor.nextset()
                    assert (cursor.statusmessage, cursor.fetchall()) == ("INSERT 0 1", [(name,)])
            except psycopg.Error as error:
                # What was refused for its name alone would be refused for ever.
                assert not (error.sqlstate or "").startswith("NH"), error
                with self._lock:
                    self.sent_again += 1
            else:
                with self._lock:
                    self.answered.append(name)
                return
        raise AssertionError(f"{name} was not answered in {ATTEMPTS_MAX} attempts")

    def _send_and_go(self, text: str, rng: random.Random) -> None:
        try:
            connection = rng.choice(self._nodes).connect(connect_timeout=2)
        except psycopg.Error:
            return
        connection.pgconn.send_query(text.encode())
        connection.pgconn.flush()
        connection.close()


def lead_changed(nodes: Sequence[NodeProcess], primary: NodeProcess, clients: Clients) -> NodeProcess:
    """Under load the primary is killed and another one promoted; the dead one comes back. Who leads then."""
    before = len(clients.answered)
    wait_until(lambda: len(clients.answered) > before + 40, "there is load", SETTLED_S)
    primary.kill()
    leader = promote_one([node for node in nodes if node is not primary])
    primary.start()
    wait_until(lambda: len(in_sync(leader)) == len(nodes), "every copy counts again", SETTLED_S)
    return leader


def test_named_writes_are_done_once_over_killed_primaries(tmp_path: Path) -> None:
    nodes = make_cluster(tmp_path, "sync")
    try:
        with nodes[0].connect() as connection:
            # Without a key: what is done twice is there twice.
            connection.execute("CREATE TABLE named (id text)")
        primary = nodes[0]
        with Clients(nodes, 4, seed=7) as clients:
            for _ in range(2):
                primary = lead_changed(nodes, primary, clients)
        assert not clients.failures
        assert clients.sent_again > 0
        with primary.connect() as connection:
            there = [row[0] for row in connection.execute("SELECT id FROM named").fetchall()]
            outcome = connection.execute("SELECT helios_write_outcome(%s)", (clients.answered[-1],)).fetchone()
        assert sorted(there) == sorted(clients.answered)
        assert outcome == ("INSERT 0 1",)
    finally:
        for node in nodes:
            node.kill()
