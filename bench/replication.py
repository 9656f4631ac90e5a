"""What a standby keeps up with: replay, lag, catching up, the write gap of a switchover, many standbys.

Every figure is absolute, held against a limit, and of our nodes alone: `make bench` compares the rest with PostgreSQL.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from bench import pgbench, resources
from bench.cells import UPDATE_SCRIPT
from bench.results import Measurement
from bench.servers import ClusterNode, ServerFailed, admin

WAIT_S: Final = 300.0
BATCH_ROWS: Final = 1000
POLL_S: Final = 0.002
LOAD_CLIENTS: Final = 16
PACED_PER_S: Final = 200
REST_S: Final = 1.0
"""Between two switchovers, so that each meets a settled cluster."""

_UPDATE: Final = "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done for each figure."""

    seconds: float
    scale: int
    frozen_s: float
    """How long a standby stands still before it catches up."""
    switchovers: int
    standbys: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that can be measured, and what is promised of it."""

    name: str
    unit: str
    better: str
    limit: float | None
    measure: Callable[[Path, Sizes, Say], tuple[list[float], str]]
    """Gives the values, whose median counts, and a note."""

    def run(self, base: Path, sizes: Sizes, say: Say) -> Measurement:
        """Measure it; what goes wrong is in the measurement."""
        done = Measurement(self.name, self.unit, "higher" if self.better == "higher" else "lower", limit=self.limit)
        say(self.name)
        try:
            done.ours, done.note = self.measure(base, sizes, say)
        except (pgbench.RunFailed, ServerFailed, psycopg.Error, OSError, RuntimeError) as error:
            done.errors.append(f"ours: {str(error).splitlines()[0]}")
        return done


def figures() -> list[Figure]:
    """All of them, in the order of measuring."""
    return [
        Figure("replication-replay-one-row", "tx/s", "higher", 50_000, replay_one_row),
        Figure("replication-replay-batches", "rows/s", "higher", 150_000, replay_ranges),
        Figure("replication-replay-scattered", "rows/s", "higher", None, replay_scattered),
        Figure("replication-lag", "ms, p99", "lower", 50, lag),
        Figure("replication-catch-up", "s", "lower", 60, catch_up),
        Figure("replication-switchover", "ms of no write", "lower", 250, switchover_gap),
        Figure("replication-many-standbys", "ms of lag, most", "lower", 1000, many_standbys),
    ]


# Clusters ------------------------------------------------------------------------------------------------------------


@contextmanager
def cluster(base: Path, standbys: int, mode: str = "async") -> Iterator[list[ClusterNode]]:
    """A primary and its standbys, all of them streaming; nothing is left behind."""
    nodes = [ClusterNode(base, "bench-0", mode=mode)]
    try:
        nodes[0].start()
        for number in range(1, standbys + 1):
            nodes.append(ClusterNode(base, f"bench-{number}", nodes[0].native_port, mode=mode))
            nodes[-1].start()
        with nodes[0].endpoint.connect() as connection:
            _until(lambda: _followers(connection)[0] == standbys, "the standbys do not follow")
        yield nodes
    finally:
        for node in reversed(nodes):
            node.remove()


def _followers(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """How many stream from this node, and what the last of them has applied."""
    rows = connection.execute("SELECT replay_lsn::text FROM pg_stat_replication").fetchall()
    return len(rows), min((_number(lsn) for (lsn,) in rows), default=0)


def _position(connection: psycopg.Connection[Any]) -> int:
    """The end of the primary's log."""
    row = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    return _number(row[0] if row else None)


def _number(lsn: str | None) -> int:
    high, _, low = (lsn or "0/0").partition("/")
    return int(high, 16) << 32 | int(low, 16)


def _until(condition: Callable[[], object], failure: str, timeout_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(failure)
        time.sleep(POLL_S)


def _caught_up(connection: psycopg.Connection[Any], count: int) -> float:
    """Seconds until ``count`` standbys have applied what the primary's log holds now."""
    begun, target = time.perf_counter(), _position(connection)
    _until(lambda: _followers(connection) >= (count, target), "the standby does not catch up")
    return time.perf_counter() - begun


@contextmanager
def frozen(node: ClusterNode) -> Iterator[Callable[[], None]]:
    """A node that stands still, as by SIGSTOP; gives what lets it go on."""
    (process,) = node.processes()
    process.suspend()
    try:
        yield process.resume
    finally:
        process.resume()


@contextmanager
def background_load(
    node: ClusterNode, base: Path, sizes: Sizes, *, clients: int, per_second: float = 0
) -> Iterator[None]:
    """One-row updates by pgbench until the block ends; as fast as they go, or paced."""
    script = base / "update.sql"
    script.write_text(UPDATE_SCRIPT)
    pace = ["-R", str(max(1, round(per_second)))] if per_second else []
    options = ["-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", "100000", *pace]
    command = [pgbench.find("pgbench") or "pgbench", *options, "-D", f"scale={sizes.scale}", "-f", str(script)]
    environment = pgbench.environment(node.endpoint)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"pgbench ended with {process.returncode} before its time")
    finally:
        process.kill()
        process.wait()


# Replay --------------------------------------------------------------------------------------------------------------


def _replay(
    base: Path, sizes: Sizes, say: Say, write: Callable[[ClusterNode], int], what: str
) -> tuple[list[float], str]:
    """The rate at which a standby takes in what was written while it stood still.

    From the moment that it goes on until the primary hears that all is applied: receiving, verifying, syncing and
    applying are part of it.
    """
    with cluster(base, 1) as (primary, standby), primary.endpoint.connect() as connection:
        pgbench.initialize(primary.endpoint, sizes.scale)
        _caught_up(connection, 1)
        with frozen(standby) as go_on:
            say(f"writing {what} while the standby stands still")
            before = _position(connection)
            count = write(primary)
            end = _position(connection)
            used = _processor_s(standby)
            begun = time.perf_counter()
            go_on()
            # Where the primary has missed it, after a long run, there is none at first.
            _until(lambda: _followers(connection)[0] == 1, "the standby does not connect again")
            _until(lambda: _followers(connection)[1] >= end, "the standby does not catch up")
            took = time.perf_counter() - begun
            used = _processor_s(standby) - used
    note = f"{count:,} {what}, {(end - before) / 1e6:.0f} MB of log, received, synced and applied in {took:.2f} s"
    return [count / took], f"{note}; {count / used:,.0f} for a second of processor time of the standby"


def _processor_s(node: ClusterNode) -> float:
    (process,) = node.processes()
    times = process.cpu_times()
    return float(times.user + times.system)


def replay_one_row(base: Path, sizes: Sizes, say: Say) -> tuple[list[float], str]:
    """Updates of one random row each, by one client that waits for no disk: every transaction is a record."""
    script = base / "replay.sql"
    script.write_text(UPDATE_SCRIPT)
    options = ["-M", "prepared", "-f", str(script), "-D", f"scale={sizes.scale}"]

    def write(primary: ClusterNode) -> int:
        endpoint = dataclasses.replace(primary.endpoint, options="-c synchronous_commit=off")
        return pgbench.run(endpoint, options, clients=1, seconds=2 * sizes.seconds).transactions

    return _replay(base, sizes, say, write, "one-row transactions, a record each")


def replay_ranges(base: Path, sizes: Sizes, say: Say) -> tuple[list[float], str]:
    """Transactions that update a thousand neighboring rows each."""
    rng = random.Random(1)

    def transaction() -> tuple[str, int]:
        first = rng.randrange(1, 100_000 * sizes.scale - BATCH_ROWS)
        return f"{_UPDATE} aid BETWEEN {first} AND {first + BATCH_ROWS - 1}", BATCH_ROWS

    return _replay(
        base, sizes, say, _writes(sizes.seconds, transaction), f"row changes, {BATCH_ROWS:,} neighbors a transaction"
    )


def replay_scattered(base: Path, sizes: Sizes, say: Say) -> tuple[list[float], str]:
    """Transactions that update a thousand rows anywhere: nearly as many pages as rows, the worst there is."""
    rng = random.Random(1)

    def transaction() -> tuple[str, int]:
        keys = [rng.randrange(1, 100_000 * sizes.scale + 1) for _ in range(BATCH_ROWS)]
        return f"{_UPDATE} aid IN ({', '.join(map(str, keys))})", BATCH_ROWS

    return _replay(
        base, sizes, say, _writes(sizes.seconds, transaction), f"row changes, {BATCH_ROWS:,} scattered a transaction"
    )


def _writes(seconds: float, statement: Callable[[], tuple[str, int]]) -> Callable[[ClusterNode], int]:
    """Runs statements for so long, by one client that waits for no disk, and gives how many rows they changed."""

    def write(primary: ClusterNode) -> int:
        count, end = 0, time.perf_counter() + seconds
        with primary.endpoint.connect() as connection:
            connection.execute("SET synchronous_commit = off")
            while time.perf_counter() < end:
                text, changes = statement()
                connection.execute(text)
                count += changes
        return count

    return write


# Lag -----------------------------------------------------------------------------------------------------------------


def lag(base: Path, sizes: Sizes, say: Say) -> tuple[list[float], str]:
    """From a paced commit's answer on the primary until a query on the standby shows it, under full load."""
    times: list[float] = []
    with cluster(base, 1) as (primary, standby):
        pgbench.initialize(primary.endpoint, sizes.scale)
        with primary.endpoint.connect() as writer, standby.endpoint.connect() as reader:
            writer.execute("CREATE TABLE paced (a int PRIMARY KEY, n int)")
            writer.execute("INSERT INTO paced VALUES (1, 0)")
            _caught_up(writer, 1)
            with background_load(primary, base, sizes, clients=LOAD_CLIENTS):
                begun = time.perf_counter()
                before = _position(writer)
                while (now := time.perf_counter()) - begun < sizes.seconds:
                    writer.execute("UPDATE paced SET n = %s WHERE a = 1", (len(times) + 1,), prepare=True)
                    times.append(_seen_after_ms(reader, len(times) + 1))
                    time.sleep(max(0.0, 0.02 - (time.perf_counter() - now)))
                logged = (_position(writer) - before) / (time.perf_counter() - begun)
    p99 = sorted(times)[-(-len(times) * 99 // 100) - 1]
    note = f"{len(times)} paced commits beside {LOAD_CLIENTS} clients at full speed ({logged / 1e6:.1f} MB of log/s)"
    return [p99], f"{note}; median {statistics.median(times):.1f} ms, most {max(times):.0f} ms"


def _seen_after_ms(reader: psycopg.Connection[Any], wanted: int) -> float:
    begun = time.perf_counter()
    while True:
        row = reader.execute("SELECT n FROM paced WHERE a = 1", prepare=True).fetchone()
        took = time.perf_counter() - begun
        if row and row[0] >= wanted:
            return took * 1000
        if took > WAIT_S:
            raise RuntimeError("the standby does not follow")


def catch_up(base: Path, sizes: Sizes, say: Say) -> tuple[list[float], str]:
    """A standby that stood still, under a paced load of half the maximum: from SIGCONT until it has everything."""
    with cluster(base, 1) as (primary, standby):
        pgbench.initialize(primary.endpoint, sizes.scale)
        script = base / "most.sql"
        script.write_text(UPDATE_SCRIPT)
        options = ["-M", "prepared", "-f", str(script), "-D", f"scale={sizes.scale}"]
        most = pgbench.run(primary.endpoint, options, clients=LOAD_CLIENTS, seconds=min(10, sizes.seconds)).tps
        with primary.endpoint.connect() as connection:
            _caught_up(connection, 1)
            pace = background_load(primary, base, sizes, clients=LOAD_CLIENTS, per_second=most / 2)
            with pace, frozen(standby) as go_on:
                say(f"the standby stands still for {sizes.frozen_s:.0f} s under {most / 2:.0f} transactions/s")
                before = _position(connection)
                time.sleep(sizes.frozen_s)
                missed = _position(connection) - before
                go_on()
                begun = time.perf_counter()
                while _caught_up(connection, 1) > 0.5:
                    # While it was coming, more was written.
                    continue
                took = time.perf_counter() - begun
    return [took], f"stopped for {sizes.frozen_s:.0f} s, {missed / 1e6:.0f} MB of log, {most / 2:.0f} of {most:.0f} tps"


# Switchover ----------------------------------------------------------------------------------------------------------


class Writers:
    """Clients that update one row each, through the primary and through the standby, and note each answer."""

    def __init__(self, nodes: Sequence[ClusterNode], each: int) -> None:
        self.answers: list[float] = []
        self.failures: list[tuple[ClusterNode, float, str]] = []
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(node, number), daemon=True)
            for number, node in enumerate([*nodes] * each)
        ]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _write(self, node: ClusterNode, number: int) -> None:
        with node.endpoint.connect() as connection:
            while not self._ended.is_set():
                try:
                    connection.execute("UPDATE gap SET n = n + 1 WHERE a = %s", (number,))
                except psycopg.Error as error:
                    self.failures.append((node, time.perf_counter(), str(error).splitlines()[0]))
                    if connection.closed:
                        return
                    time.sleep(POLL_S)
                    continue
                self.answers.append(time.perf_counter())

    def longest_ms(self, begun: float, ended: float) -> float:
        """The longest time without an answer between two moments."""
        times = sorted(one for one in self.answers if begun <= one <= ended)
        return 1000 * max((later - earlier for earlier, later in zip([begun, *times], [*times, ended], strict=True)))


def switchover_gap(base: Path, sizes: Sizes, say: Say) -> tuple[list[float], str]:
    """The longest time without an acknowledged write in each of many switchovers, there and back, in mode sync."""
    gaps: list[float] = []
    through_the_standby = 0
    with cluster(base, 1, "sync") as nodes:
        with nodes[0].endpoint.connect() as connection:
            connection.execute("CREATE TABLE gap (a int PRIMARY KEY, n int)")
            connection.execute("INSERT INTO gap SELECT i, 0 FROM generate_series(0, 7) i")
            _caught_up(connection, 1)
        with Writers(nodes, each=4) as writers:
            for number in range(sizes.switchovers):
                leads, follows = nodes[number % 2], nodes[1 - number % 2]
                _until(lambda node=leads: _in_sync(node), "the standby does not come in sync")  # type: ignore[misc]
                time.sleep(REST_S)
                begun = time.perf_counter()
                admin(leads, "switchover", {"to": follows.node_id})
                time.sleep(REST_S)
                gaps.append(writers.longest_ms(begun, time.perf_counter()))
                through_the_standby += sum(node is follows and at > begun for node, at, _ in writers.failures)
            written, failed = len(writers.answers), len(writers.failures)
    note = f"{len(gaps)} switchovers under 8 writers, half of them through the standby; longest {max(gaps):.0f} ms"
    return gaps, f"{note}; {failed} of {written:,} writes were to be sent again, {through_the_standby} of the standby's"


def _in_sync(node: ClusterNode) -> bool:
    with contextlib.suppress(psycopg.Error), node.endpoint.connect() as connection:
        rows = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
        return [state for (state,) in rows] == ["sync"]
    return False


# Many standbys -------------------------------------------------------------------------------------------------------


def many_standbys(base: Path, sizes: Sizes, say: Say) -> tuple[list[float], str]:
    """How long a commit takes at most until all of many standbys have applied it, at a slow pace."""
    lags: list[float] = []
    different = compared = 0
    with cluster(base, sizes.standbys) as (primary, *standbys), primary.endpoint.connect() as connection:
        small = dataclasses.replace(sizes, scale=1)
        pgbench.initialize(primary.endpoint, small.scale)
        _caught_up(connection, len(standbys))
        with background_load(primary, base, small, clients=4, per_second=PACED_PER_S):
            end = time.perf_counter() + sizes.seconds
            while time.perf_counter() < end:
                lags.append(_caught_up(connection, len(standbys)) * 1000)
                equal = connection.execute("SELECT identical FROM helios_replication_status WHERE NOT is_local")
                found = [row[0] for row in equal.fetchall() if row[0] is not None]
                compared += len(found)
                different += sum(not one for one in found)
                time.sleep(0.2)
        _caught_up(connection, len(standbys))
        checksums = {_checksum(node) for node in (primary, *standbys)}
        memory = [resources.memory_bytes(node) / 1e6 for node in standbys]
    if different or len(checksums) != 1:
        raise RuntimeError(f"{different} of {compared} checksums differed, {len(checksums)} at the end")
    note = f"{len(standbys)} standbys, {PACED_PER_S} transactions/s; median {statistics.median(lags):.0f} ms"
    note += f"; {compared:,} checksums compared, all equal; {statistics.mean(memory):.0f} MB a standby"
    return [max(lags)], note


def _checksum(node: ClusterNode) -> str:
    query = "SELECT applied_lsn::text, checksum FROM helios_replication_status WHERE is_local"
    with node.endpoint.connect() as connection:
        return str(connection.execute(query).fetchone())
