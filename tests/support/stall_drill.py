"""Disks that stand still under load: a short stall changes nothing, a long one of the primary's is one failover."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from support.node_process import NodeProcess, wait_until

from helios_cli.commands.proving.loop_disk import LoopDisk

SETTLED_S = 60.0
LONG_S = 10.0
"""More than ``progress_timeout`` (3 s) and a lease."""
SHORT_S = 1.5
"""Twice a lease, and half of ``progress_timeout``."""
NODES = ("n1", "n2", "o1")


@dataclass
class Outcome:
    """What a drill came to."""

    stalls: int = 0
    failovers: int = 0
    acknowledged: int = 0
    gaps_ms: list[float] = field(default_factory=list)
    """Of each stall, the longest time without an acknowledged row, for clients that wait for their answers."""


class Writers:
    """Clients that write to whoever takes it, each with one row at a time."""

    def __init__(self, nodes: Sequence[NodeProcess], count: int = 4) -> None:
        self.acknowledged: set[int] = set()
        self.longest_s = 0.0
        self._nodes = nodes
        self._at = time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number, count)) for number in range(count)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def rest(self) -> float:
        """The longest pause since this was asked last, seconds."""
        with self._lock:
            longest, self.longest_s = max(self.longest_s, time.monotonic() - self._at), 0.0
            return longest

    def _write(self, first: int, step: int) -> None:
        key, place = first, 0
        while not self._ended.is_set():
            try:
                node = self._nodes[place % len(self._nodes)]
                with node.connect(connect_timeout=2, options="-c statement_timeout=20s") as session:
                    while not self._ended.is_set():
                        key += step
                        session.execute("INSERT INTO drill VALUES (%s)", (key,))
                        self._done(key)
            except psycopg.Error:
                place += 1
                self._ended.wait(0.05)

    def _done(self, key: int) -> None:
        with self._lock:
            now = time.monotonic()
            self.acknowledged.add(key)
            self.longest_s = max(self.longest_s, now - self._at)
            self._at = now


def run_stalls(directory: Path, stalls: Sequence[tuple[str, float]], seed: int = 0) -> Outcome:
    """Let the disk of ``primary``, ``standby`` or ``observer`` stand still for so many seconds, one after the other.

    Raises AssertionError when a row is lost, or somebody else leads who should not. NoLoopDisks: not on this machine.
    """
    rng, outcome = random.Random(seed), Outcome()
    with contextlib.ExitStack() as stack:
        disks = {name: stack.enter_context(LoopDisk(directory / name)) for name in NODES}
        nodes = _cluster(directory, disks)
        # Before the disks go; what waits for a disk that stands still cannot be killed, and none does by then.
        for node in nodes.values():
            stack.callback(node.kill)
        data = [nodes["n1"], nodes["n2"]]
        with Writers(data) as writers:
            for whose, seconds in stalls:
                _one(nodes, disks, writers, whose, seconds, rng, outcome)
        leading = next(node for node in data if _leads(node))
        with leading.connect() as session:
            there = {row[0] for row in session.execute("SELECT id FROM drill").fetchall()}
        lost = writers.acknowledged - there
        assert not lost, f"{len(lost)} acknowledged rows are lost, the first is {min(lost)}"
        outcome.acknowledged = len(writers.acknowledged)
    return outcome


def _one(
    nodes: dict[str, NodeProcess],
    disks: dict[str, LoopDisk],
    writers: Writers,
    whose: str,
    seconds: float,
    rng: random.Random,
    outcome: Outcome,
) -> None:
    _settle(nodes, writers)
    primary = next(name for name in ("n1", "n2") if _leads(nodes[name]))
    standby = "n2" if primary == "n1" else "n1"
    name = {"primary": primary, "standby": standby, "observer": "o1"}[whose]
    time.sleep(rng.uniform(0.0, 0.5))
    before = _changes(nodes[standby]) | _changes(nodes[primary])
    writers.rest()
    with disks[name].stalled():
        time.sleep(seconds)
        if whose == "primary" and seconds >= LONG_S:
            assert _leads(nodes[standby]), f"the primary's disk stands still for {seconds} s, and nobody is elected"
            # Clients of the old primary wait for an answer that it cannot give; those of the new one do not.
            with nodes[standby].connect(options="-c statement_timeout=5s") as session:
                session.execute("INSERT INTO drill VALUES (%s)", (-1 - outcome.stalls,))
    _settle(nodes, writers)
    outcome.gaps_ms.append(round(writers.rest() * 1000))
    changes = (_changes(nodes[standby]) | _changes(nodes[primary])) - before
    expected = 1 if whose == "primary" and seconds >= LONG_S else 0
    assert len(changes) == expected, f"{whose} stalled for {seconds} s: changes of the lead {sorted(changes)}"
    outcome.stalls += 1
    outcome.failovers += len(changes)


def _cluster(directory: Path, disks: dict[str, LoopDisk]) -> dict[str, NodeProcess]:
    nodes: dict[str, NodeProcess] = {}
    for name in NODES:
        role = {"n1": "primary", "n2": "standby", "o1": "observer"}[name]
        flags = ["--node-id", name, "--replication-role", role, "--log-segment-mb", "1", "--log-retention-mb", "8"]
        flags += [] if name == "o1" else ["--replication-mode", "semi-sync", "--wal-checkpoint-mb", "1"]
        if name != "n1":
            flags += ["--primary-host", "127.0.0.1", "--primary-port", str(nodes["n1"].native_port)]
        place = directory / f"{name}-outside"
        place.mkdir()
        nodes[name] = NodeProcess(place, flags)
        nodes[name].data_dir = disks[name].path / "data"
        nodes[name].start()
    with nodes["n1"].connect() as session:
        session.execute("CREATE TABLE drill (id int PRIMARY KEY)")
    return nodes


def _settle(nodes: dict[str, NodeProcess], writers: Writers) -> None:
    """Wait until one leads, both copies count, all vote, and writes are acknowledged."""
    wait_until(lambda: _is_whole(nodes), "one leads, and every copy counts", SETTLED_S)
    count = len(writers.acknowledged)
    wait_until(lambda: len(writers.acknowledged) > count + 20, "writes go on", SETTLED_S)


def _is_whole(nodes: dict[str, NodeProcess]) -> bool:
    leading = [nodes[name] for name in ("n1", "n2") if _leads(nodes[name])]
    if len(leading) != 1:
        return False
    view = leading[0].http("/status")[1]["cluster"]
    return sum(one["in_sync"] for one in view["nodes"]) == 2 and len(view["voters"]) == 3


def _leads(node: NodeProcess) -> bool:
    try:
        return node.http("/primary", timeout=1)[0] == 200
    except OSError:
        return False


def _changes(node: NodeProcess) -> set[int]:
    """Terms in which a node came to lead, as one node knows."""
    with node.connect() as session:
        rows = session.execute("SELECT term FROM replicate.failover_history WHERE decision = 'promoted'").fetchall()
    return {row[0] for row in rows}
