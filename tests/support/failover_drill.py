"""Primaries killed under load, again and again: what was acknowledged or read is there after each promotion.

Three nodes, writers on whoever leads, readers on every node. At a random moment the primary gets SIGKILL, the standby
that may be promoted is, and the dead node is started again and must follow.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from support.node_process import NodeProcess, wait_until

SETTLED_S = 60.0
FLAGS = ("--wal-checkpoint-mb", "1", "--log-segment-mb", "1", "--log-retention-mb", "4")


@dataclass
class Outcome:
    """What a drill came to."""

    kills: int = 0
    acknowledged: int = 0
    unknown_there: int = 0
    """Writes whose outcome their client never heard, and that are there."""
    unknown_gone: int = 0
    read: int = 0
    """Rows that a reader saw before a kill, all of them checked after it."""
    write_gaps_ms: list[float] = field(default_factory=list)
    """From the last commit acknowledged before a kill to the first after it; two promotions by hand in between."""


class Load:
    """Writers on the primary and readers on every node, between two kills."""

    def __init__(self, primary: NodeProcess, nodes: Sequence[NodeProcess], first_key: int, writers: int) -> None:
        self.acknowledged: set[int] = set()
        self.attempted: set[int] = set()
        self.seen: set[int] = set()
        self.last_us = 0.0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._keys = iter(range(first_key, first_key + 10_000_000))
        self._threads = [threading.Thread(target=self._write, args=(primary,)) for _ in range(writers)]
        self._threads += [threading.Thread(target=self._read, args=(node,)) for node in nodes]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and wait for the end."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _write(self, node: NodeProcess) -> None:
        try:
            with node.connect() as connection:
                while not self._ended.is_set():
                    with self._lock:
                        key = next(self._keys)
                        self.attempted.add(key)
                    connection.execute("INSERT INTO drill VALUES (%s, 'row')", (key,))
                    with self._lock:
                        self.acknowledged.add(key)
                        self.last_us = time.monotonic()
        except psycopg.Error:
            return

    def _read(self, node: NodeProcess) -> None:
        try:
            with node.connect() as connection:
                while not self._ended.wait(0.005):
                    rows = connection.execute("SELECT id FROM drill ORDER BY id DESC LIMIT 20").fetchall()
                    with self._lock:
                        self.seen.update(row[0] for row in rows)
        except psycopg.Error:
            return


def make_cluster(directory: Path, mode: str, count: int = 3) -> list[NodeProcess]:
    """A primary and its standbys, started, every copy counting, with the drill's table."""
    nodes: list[NodeProcess] = []
    for number in range(1, count + 1):
        place = directory / f"n{number}"
        place.mkdir(parents=True)
        flags = [*FLAGS, "--node-id", f"n{number}", "--replication-mode", mode]
        if number == 1:
            flags += ["--replication-role", "primary"]
        else:
            flags += ["--replication-role", "standby", "--primary-host", "127.0.0.1"]
            flags += ["--primary-port", str(nodes[0].native_port)]
        nodes.append(NodeProcess(place, flags).start())
    with nodes[0].connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS drill (id int PRIMARY KEY, pad text)")
    wait_until(lambda: len(in_sync(nodes[0])) == count, "every copy counts", SETTLED_S)
    return nodes


def in_sync(node: NodeProcess) -> list[str]:
    """The nodes whose copies count, as one of them says; empty when it does not answer."""
    try:
        _, content = node.http("/status")
    except OSError:
        return []
    return [each["node_id"] for each in content["cluster"]["nodes"] if each["in_sync"]]


def promote_one(nodes: Sequence[NodeProcess]) -> NodeProcess:
    """Promote whichever standby says that it may be. Fails the test when none does in time."""
    deadline = time.monotonic() + SETTLED_S
    refusals: list[Any] = []
    while time.monotonic() < deadline:
        for node in nodes:
            code, answer = node.http("/admin/promote", body={}, timeout=30)
            if code == 200:
                return node
            refusals.append(answer)
    raise AssertionError(f"no standby may be promoted: {refusals[-3:]}")


def keys(node: NodeProcess) -> set[int]:
    """The rows that a node shows."""
    with node.connect() as connection:
        return {row[0] for row in connection.execute("SELECT id FROM drill").fetchall()}


def position(node: NodeProcess) -> tuple[str, str]:
    """Committed LSN and database checksum."""
    _, content = node.http("/status")
    return content["committed_lsn"], content["database_checksum"]


def run_failovers(directory: Path, mode: str, kills: int, seed: int, *, writers: int = 8) -> Outcome:
    """The drill; raises AssertionError when anything acknowledged or read is lost."""
    rng = random.Random(seed)
    outcome = Outcome()
    nodes = make_cluster(directory, mode)
    try:
        primary, first_key = nodes[0], 1
        for _ in range(kills):
            primary, first_key = _one(nodes, primary, first_key, rng, outcome, writers)
    finally:
        for node in nodes:
            node.kill()
    return outcome


def _one(
    nodes: Sequence[NodeProcess],
    primary: NodeProcess,
    first_key: int,
    rng: random.Random,
    outcome: Outcome,
    writers: int,
) -> tuple[NodeProcess, int]:
    load = Load(primary, nodes, first_key, writers)
    load.start()
    time.sleep(rng.uniform(0.3, 1.2))
    primary.kill()
    standbys = [node for node in nodes if node is not primary]
    rng.shuffle(standbys)
    leader = promote_one(standbys)
    load.stop()
    with leader.connect() as connection:
        connection.execute("INSERT INTO drill VALUES (%s, 'after')", (max(load.attempted, default=first_key) + 1,))
    outcome.write_gaps_ms.append(round((time.monotonic() - load.last_us) * 1000, 1))
    there = keys(leader)
    lost, unseen = load.acknowledged - there, load.seen - there
    assert not lost, f"{len(lost)} acknowledged commits are lost, the first is {min(lost)}"
    assert not unseen, f"{len(unseen)} rows that were read are lost, the first is {min(unseen)}"
    unknown = load.attempted - load.acknowledged
    outcome.kills += 1
    outcome.acknowledged += len(load.acknowledged)
    outcome.read += len(load.seen)
    outcome.unknown_there += len(unknown & there)
    outcome.unknown_gone += len(unknown - there)
    primary.start()
    wait_until(lambda: len(in_sync(leader)) == len(nodes), "every copy counts again", SETTLED_S)
    for node in nodes:
        wait_until(lambda node=node: position(node) == position(leader), "all nodes are equal", SETTLED_S)  # type: ignore[misc]
    return leader, max(load.attempted, default=first_key) + 2
