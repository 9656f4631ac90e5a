"""A node under load whose snapshots are never given up: what must stay bounded, and what it came to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg
from support.node_process import NodeProcess
from support.raw_wire import query, startup

MB = 1 << 20
SAMPLE_S = 0.1
FLAGS = (
    "--wal-max-mb", "16", "--wal-checkpoint-mb", "2", "--log-retention-mb", "8", "--log-segment-mb", "4",
)  # fmt: skip
ROWS = 4000
PAD = "x" * 1000


@dataclass
class Peaks:
    """The highest of each figure; sizes in bytes."""

    wal: int = 0
    log: int = 0
    rss: int = 0
    descriptors: int = 0
    samples: int = 0
    rss_by_quarter: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    """Peak of the resident set in each quarter of the run: a leak makes them grow."""

    def take(self, node: NodeProcess, process: psutil.Process, share: float) -> None:
        """Look once; ``share`` is how much of the run is over, 0 to 1."""
        rss = process.memory_info().rss
        quarter = min(3, int(share * 4))
        self.wal = max(self.wal, (node.data_dir / "db" / "helios.db-wal").stat().st_size)
        self.log = max(self.log, _directory_bytes(node))
        self.rss = max(self.rss, rss)
        self.rss_by_quarter[quarter] = max(self.rss_by_quarter[quarter], rss)
        self.descriptors = max(self.descriptors, process.num_fds())
        self.samples += 1


def _directory_bytes(node: NodeProcess) -> int:
    total = 0
    for path in (node.data_dir / "log").iterdir():
        with contextlib.suppress(FileNotFoundError):  # retention works meanwhile
            total += path.stat().st_size
    return total


class Load:
    """Writers, endless readers and a client that never takes its result, until stopped."""

    def __init__(self, node: NodeProcess, writers: int = 4) -> None:
        self._node = node
        self._stop = threading.Event()
        self.writes = 0
        self.conflicts = 0
        """How often a reader was told 40001."""
        self.failures: list[str] = []
        """Errors of writers, and of readers other than 40001."""
        self._threads = [threading.Thread(target=self._write, args=(number,), daemon=True) for number in range(writers)]
        self._threads += [threading.Thread(target=self._read, daemon=True) for _ in range(2)]
        self._threads += [threading.Thread(target=self._never_take, daemon=True)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a client hangs"

    def wait(self, seconds: float) -> bool:
        """Let it run; True when it was stopped."""
        return self._stop.wait(seconds)

    def _write(self, number: int) -> None:
        try:
            with self._node.connect() as connection:
                key = number * 1000
                while not self._stop.is_set():
                    key = number * 1000 + (key + 1) % 1000
                    connection.execute("UPDATE t SET pad = %s WHERE id = %s", (f"{self.writes:1000}", key))
                    self.writes += 1
        except psycopg.Error as error:
            self.failures.append(f"writer: {error.sqlstate} {error}")

    def _read(self) -> None:
        """A transaction that is never ended by its client, only by the node."""
        while not self._stop.is_set():
            try:
                with self._node.connect() as connection:
                    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    while not self._stop.is_set():
                        connection.execute("SELECT sum(length(pad)), count(*) FROM t")
                        self._stop.wait(0.05)
            except psycopg.errors.SerializationFailure:
                self.conflicts += 1
            except psycopg.Error as error:
                self.failures.append(f"reader: {error.sqlstate} {error}")

    def _never_take(self) -> None:
        """Asks for a large result and reads nothing of it."""
        while not self._stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._node.pg_port)) as client:
                client.sendall(startup({"user": "postgres", "database": "heliosdb"}))
                client.recv(4096)
                client.sendall(query("SELECT a.id, b.pad FROM t a, t b"))
                self._stop.wait(5.0)


def fill(node: NodeProcess) -> None:
    """The table that is written and read."""
    with node.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        with cursor.copy("COPY t FROM STDIN") as copy:
            for number in range(ROWS):
                copy.write_row((number, PAD))


def run_bounded(node: NodeProcess, seconds: float) -> tuple[Peaks, Load]:
    """Load a started node for so long, looking ten times a second; and until a reader was told 40001, up to thrice as
    long, where the machine is slow.
    """
    fill(node)
    process = psutil.Process(node.pid)
    peaks = Peaks()
    load = Load(node)
    begin = time.monotonic()
    with load:
        while (elapsed := time.monotonic() - begin) < seconds * (1 if load.conflicts else 3):
            load.wait(SAMPLE_S)
            peaks.take(node, process, elapsed / seconds)
    return peaks, load


def check(peaks: Peaks, load: Load) -> None:
    """Raises AssertionError naming what was not bounded."""
    assert not load.failures, load.failures[:3]
    assert load.conflicts > 0, "no reader was told 40001"
    assert peaks.wal < 24 * MB, f"SQLite's WAL grew to {peaks.wal / MB:.1f} MB with wal_max_mb 16"
    assert peaks.log < 40 * MB, f"the page log grew to {peaks.log / MB:.1f} MB with log_retention_mb 8"
    first, last = peaks.rss_by_quarter[0], peaks.rss_by_quarter[3]
    assert last < first * 1.3 + 16 * MB, f"the resident set grew from {first / MB:.0f} to {last / MB:.0f} MB"
    assert peaks.descriptors < 160, f"{peaks.descriptors} descriptors for a handful of clients"


def figures(peaks: Peaks, load: Load) -> dict[str, Any]:
    """What it came to, JSON-able."""
    return {
        "writes": load.writes,
        "conflicts": load.conflicts,
        "wal_mb_max": round(peaks.wal / MB, 1),
        "log_mb_max": round(peaks.log / MB, 1),
        "rss_mb_by_quarter": [round(rss / MB, 1) for rss in peaks.rss_by_quarter],
        "descriptors_max": peaks.descriptors,
        "samples": peaks.samples,
    }
