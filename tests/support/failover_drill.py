"""Primaries killed under load, again and again: what was acknowledged or read is there after each promotion.

Three nodes, writers on whoever leads, readers on every node. At a random moment the primary gets SIGKILL, the standby
that may be promoted is, and the dead node is started again and must follow. In async mode acknowledged commits can be
missing then: they are the rows of the returned node's salvage, no more and no fewer.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from support.node_process import ROOT, NodeProcess, wait_until

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
    salvaged: int = 0
    """In async mode: acknowledged rows that a promotion lost, each found in the salvage of the node that had them."""
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
    """Promote whichever standby says that it may be; the one that leads by then, where they have elected it before they
    were asked, as on a slow machine. Fails the test when there is none in time.
    """
    deadline = time.monotonic() + SETTLED_S
    refusals: list[Any] = []
    while time.monotonic() < deadline:
        for node in nodes:
            code, answer = node.http("/admin/promote", body={}, timeout=30)
            if code == 200 or node.http("/primary")[0] == 200:
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
        for number in range(kills):
            # Standbys on the same machine lack next to nothing: every second time they die a moment earlier.
            behind = mode == "async" and number % 2 == 0
            primary, first_key = _one(nodes, primary, first_key, rng, outcome, writers, mode == "async", behind)
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
    may_lose: bool,
    behind: bool,
) -> tuple[NodeProcess, int]:
    load = Load(primary, nodes, first_key, writers)
    standbys = [node for node in nodes if node is not primary]
    rng.shuffle(standbys)
    load.start()
    time.sleep(rng.uniform(0.3, 1.2))
    if behind:
        for node in standbys:
            node.kill()
        time.sleep(rng.uniform(0.02, 0.2))
    primary.kill()
    if behind:
        for node in standbys:
            node.start()
    leader = promote_one(standbys)
    load.stop()
    with leader.connect() as connection:
        connection.execute("INSERT INTO drill VALUES (%s, 'after')", (max(load.attempted, default=first_key) + 1,))
    outcome.write_gaps_ms.append(round((time.monotonic() - load.last_us) * 1000, 1))
    there = keys(leader)
    lost, unseen = load.acknowledged - there, load.seen - there
    if not may_lose:
        assert not lost, f"{len(lost)} acknowledged commits are lost, the first is {min(lost)}"
        assert not unseen, f"{len(unseen)} rows that were read are lost, the first is {min(unseen)}"
    unknown = load.attempted - load.acknowledged
    outcome.kills += 1
    outcome.acknowledged += len(load.acknowledged)
    outcome.read += len(load.seen)
    outcome.unknown_there += len(unknown & there)
    outcome.unknown_gone += len(unknown - there)
    before = salvages(primary) if may_lose else set()
    primary.start()
    wait_until(lambda: len(in_sync(leader)) == len(nodes), "every copy counts again", SETTLED_S)
    for node in nodes:
        wait_until(lambda node=node: position(node) == position(leader), "all nodes are equal", SETTLED_S)  # type: ignore[misc]
    if may_lose:
        outcome.salvaged += check_salvage(load, there, salvaged_rows(primary, salvages(primary) - before))
    return leader, max(load.attempted, default=first_key) + 2


# Salvages ------------------------------------------------------------------------------------------------------------


def check_salvage(load: Load, there: set[int], salvaged: set[int]) -> int:
    """The acknowledged rows that are missing must be those of the salvage; how many.

    A salvage may also hold rows whose client never heard of them. None of its rows is one that the cluster has.
    """
    lost = load.acknowledged - there
    kept = salvaged & load.acknowledged
    assert kept == lost, f"missing and not in the salvage: {sorted(lost - kept)}; in it and there: {kept - lost}"
    assert not salvaged & there, f"in the salvage, and in the cluster: {sorted(salvaged & there)}"
    assert salvaged <= load.attempted, f"in the salvage, and never written: {sorted(salvaged - load.attempted)}"
    unseen = load.seen - there - salvaged
    assert not unseen, f"rows that were read are nowhere: {sorted(unseen)}"
    return len(lost)


def salvages(node: NodeProcess) -> set[str]:
    """The names of a node's salvages."""
    listed = json.loads(_salvage("list", "--data-dir", str(node.data_dir), "--json"))
    return {one["name"] for one in listed["salvages"]}


def salvaged_rows(node: NodeProcess, names: set[str]) -> set[int]:
    """The keys of the drill's rows that salvages hold; each is an insertion, exactly known."""
    found: set[int] = set()
    for name in names:
        for row in exported(node, name):
            assert (row["table"], row["op"]) == ("drill", "insert"), row
            key = int(row["key"]["id"])
            assert key not in found, f"row {key} is salvaged twice"
            found.add(key)
    return found


def exported(node: NodeProcess, name: str) -> list[dict[str, Any]]:
    """The changes that a salvage holds."""
    lines = _salvage("export", name, "--data-dir", str(node.data_dir), "--format", "jsonl").splitlines()
    return [json.loads(line) for line in lines]


def _salvage(*arguments: str) -> str:
    command = [sys.executable, "-m", "helios_cli", "salvage", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
