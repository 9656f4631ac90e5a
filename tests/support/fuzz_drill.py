"""Mutated conversations beside a workload that checks every byte of its own: what the soak does by the million."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import psutil
import psycopg
from support.node_process import NodeProcess
from support.proxy_process import ProxyProcess
from support.wire_mutations import TABLE, Outcome, converse

ROWS = 100
PAUSE_S = 0.005
QUIET_S = 10.0
CALMER_MAX = 3.0
"""The workload's p99 under fuzzing, as a multiple of the quiet one, at most."""
GROWTH_MAX = 256 << 20


@dataclass
class Beside:
    """Chained checksums in a table: each update names the row's whole past."""

    node: NodeProcess | ProxyProcess
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._state = dict.fromkeys(range(ROWS), (0, ""))
        with self.node.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS chained; CREATE TABLE chained (id int PRIMARY KEY, n int, h text)")
            connection.execute(f"INSERT INTO chained SELECT g, 0, '' FROM generate_series(0, {ROWS - 1}) g")

    def run(self, stop: threading.Event, seed: int) -> None:
        """Until ``stop``."""
        rng = random.Random(seed)
        with self.node.connect() as connection:
            while not stop.is_set():
                number = rng.randrange(ROWS)
                began = time.perf_counter()
                try:
                    self._turn(connection, number)
                except (psycopg.Error, AssertionError) as error:
                    self.errors.append(repr(error))
                self.seconds.append(time.perf_counter() - began)
                stop.wait(PAUSE_S)

    def _turn(self, connection: psycopg.Connection[tuple[object, ...]], number: int) -> None:
        n, past = self._state[number]
        new = (n + 1, hashlib.sha256(f"{past}{n}".encode()).hexdigest())
        update = "UPDATE chained SET n = %s, h = %s WHERE id = %s AND n = %s AND h = %s"
        assert connection.execute(update, (*new, number, n, past)).rowcount == 1
        self._state[number] = new
        assert connection.execute("SELECT n, h FROM chained WHERE id = %s", (number,)).fetchone() == new

    def check(self) -> None:
        """The table is what the workload knows."""
        assert self.errors == [], self.errors[:3]
        with self.node.connect() as connection:
            # A proxy would let a standby answer a session that has written nothing.
            rows = connection.execute("/* helios: primary */ SELECT id, n, h FROM chained").fetchall()
        assert {row[0]: (row[1], row[2]) for row in rows} == self._state


def p99_ms(seconds: list[float]) -> float:
    """The 99th percentile in milliseconds."""
    return 1000 * statistics.quantiles(seconds, n=100)[98]


@dataclass
class Fuzzed:
    """What a drill came to."""

    messages: int
    connections: int
    finished: int
    beside: int
    quiet_p99_ms: float
    p99_ms: float
    growth_mb: int


def run_fuzz(node: NodeProcess | ProxyProcess, messages: int, *, seed: int) -> Fuzzed:
    """Send so many messages. Raises AssertionError when the node or its other client is disturbed."""
    with node.connect() as connection:
        connection.execute(TABLE)
    beside = Beside(node)
    stop = threading.Event()
    worker = threading.Thread(target=beside.run, args=(stop, seed))
    worker.start()
    try:
        stop.wait(QUIET_S)
        quiet = p99_ms(list(beside.seconds))
        began, before = len(beside.seconds), psutil.Process(node.pid).memory_info().rss
        outcome = _converse(node, messages, seed)
    finally:
        stop.set()
        worker.join()
    beside.check()
    growth = psutil.Process(node.pid).memory_info().rss - before
    fuzzed = beside.seconds[began:]
    result = Fuzzed(
        outcome.messages, outcome.connections, outcome.finished, len(fuzzed), round(quiet, 2),
        round(p99_ms(fuzzed), 2), growth >> 20,
    )  # fmt: skip
    assert growth < GROWTH_MAX, result
    assert result.p99_ms <= CALMER_MAX * result.quiet_p99_ms, result
    assert "Traceback" not in node.log_tail(10_000)
    return result


def _converse(node: NodeProcess | ProxyProcess, messages: int, seed: int) -> Outcome:
    """The conversations, in a process of their own: a thread would hold up the workload that is measured."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        outcome = pool.submit(conversations, node.pg_port, messages, seed).result()
    assert not outcome.internal, (outcome.connections - 1 + (seed << 32), outcome.internal)
    assert not outcome.hung, outcome.hung
    assert node.running
    return outcome


def conversations(port: int, messages: int, seed: int) -> Outcome:
    """Mutated conversations until so many messages are sent, or the first that was answered wrongly or not at all."""
    outcome, number = Outcome(), seed << 32
    while outcome.messages < messages and not outcome.internal and not outcome.hung:
        converse(port, number, outcome)
        number += 1
    return outcome
