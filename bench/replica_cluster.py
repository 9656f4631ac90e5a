"""Figures over running nodes: a primary and a standby, and readers of the log by the hundred."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from bench.servers import ClusterNode
from helios_cli.engine.node.receiver import WalReceiver
from helios_cli.replication import Endpoint, LoadBalancer, LoadBalancingStrategy, ReplicaConfig, ReplicaManager
from helios_cli.replication.feed import LogFollower
from helios_cli.replication.replica import Replica

WAIT_S: Final = 30.0
ASK_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and its standby, and a manager that watches them."""

    primary: ClusterNode
    standby: ClusterNode
    manager: ReplicaManager

    @property
    def replica(self) -> Replica:
        """The standby, as the manager knows it."""
        return self.manager._fleet.replicas()[0]


@contextmanager
def running_pair(base: Path | None) -> Iterator[Pair]:
    """Two nodes that stream, with a manager whose rounds the benchmark makes itself; nothing is left behind."""
    primary = ClusterNode(base, "bench-1")
    standby = ClusterNode(base, "bench-2", primary.native_port)
    try:
        primary.start()
        standby.start()
        config = ReplicaConfig(
            primary_address=f"127.0.0.1:{primary.endpoint.port}",
            replica_addresses=[f"127.0.0.1:{standby.endpoint.port}"],
            health_check_interval=3600,  # type: ignore[arg-type]
            lag_monitor_interval=3600,  # type: ignore[arg-type]
            user="postgres",
        )
        with ReplicaManager(config) as manager:
            yield Pair(primary, standby, manager)
    finally:
        standby.remove()
        primary.remove()


def health_check(pair: Pair, count: int) -> tuple[float, str]:
    """One node asked over SQL and over HTTP, milliseconds."""
    times = [_timed_ms(lambda: pair.manager._watch.check_node(pair.replica)) for _ in range(count)]
    return statistics.median(times), f"SQL and HTTP of a running standby, median of {count}; p99 {_p99(times):.1f} ms"


def lag_monitoring(pair: Pair, count: int) -> tuple[float, str]:
    """One replica's lag measured, milliseconds."""
    times = [_timed_ms(lambda: pair.manager._watch.measure(pair.replica)) for _ in range(count)]
    return statistics.median(times), f"position of a running standby, median of {count}; p99 {_p99(times):.1f} ms"


@dataclass(slots=True)
class _Candidate:
    address: str
    load: int
    latency_ms: float


def selection(pair: Pair, count: int) -> tuple[float, str]:
    """A replica chosen, milliseconds: the slowest strategy among 120 replicas, or the manager's whole call."""
    balancer = LoadBalancer()
    candidates = [_Candidate(f"replica-{n}", n * 7 % 120, n * 11 % 120 / 10) for n in range(120)]
    slowest, name = 0.0, ""
    for strategy in LoadBalancingStrategy:
        took = statistics.median(_timed_ms(lambda s=strategy: balancer.select(candidates, s)) for _ in range(count))
        if took > slowest:
            slowest, name = took, strategy.value
    whole = statistics.median(_timed_ms(pair.manager.get_replica_for_read) for _ in range(count))
    return max(
        slowest, whole
    ), f"slowest strategy ({name}) of 120 replicas, median of {count}; a whole call {whole:.4f} ms"


def replication_latency(pair: Pair, count: int) -> tuple[float, str]:
    """From the answer to a commit on the primary until a query on the standby shows it, milliseconds."""
    client = pair.replica.client
    times = []
    with pair.primary.endpoint.connect() as writer:
        writer.execute("CREATE TABLE IF NOT EXISTS latency (a int)")
        for number in range(count):
            writer.execute(f"INSERT INTO latency VALUES ({number})")
            begun = time.perf_counter()
            wanted = pair.manager.record_write("bench")
            while client.position().lsn < wanted:
                if time.perf_counter() - begun > WAIT_S:
                    raise RuntimeError("the standby does not follow")
            times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times), f"commit to a read on a standby, median of {count}; p99 {_p99(times):.1f} ms"


# Receivers by the hundred


class Receivers:
    """Readers of one primary's log, each over a connection of its own, on one thread."""

    def __init__(self, where: Endpoint, count: int) -> None:
        self.followers = [LogFollower(f"receiver-{number}", lambda data: None) for number in range(count)]
        self._where = where
        self._loop = asyncio.new_event_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._thread = threading.Thread(target=self._run, name="receivers", daemon=True)

    def __enter__(self) -> Receivers:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        for follower in self.followers:
            follower.receiver = WalReceiver(follower, self._loop, lambda: [self._where])
            self._tasks.append(self._loop.create_task(follower.receiver.run()))
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))

    def behind(self, lsn: int) -> int:
        """How many have not received up to ``lsn``."""
        return sum((follower.end or 0) < lsn for follower in self.followers)

    def wait(self, lsn: int) -> float:
        """Seconds until all have received up to ``lsn``; raises RuntimeError when they have not in time."""
        begun = time.perf_counter()
        while behind := self.behind(lsn):
            if time.perf_counter() - begun > WAIT_S:
                raise RuntimeError(f"{behind} receivers are behind")
            time.sleep(0.005)
        return time.perf_counter() - begun


def _follow_many(pipe: Connection, port: int, count: int) -> None:
    """The other process: follows, and answers each LSN with the seconds until all have it, or with what went wrong."""
    with Receivers(Endpoint("127.0.0.1", port), count) as receivers:
        while (lsn := pipe.recv()) is not None:
            try:
                pipe.send(receivers.wait(lsn))
            except RuntimeError as error:
                pipe.send(str(error))


@contextmanager
def receivers_process(port: int, count: int) -> Iterator[Callable[[int], float]]:
    """Receivers in a process of their own; gives a function that waits until all have an LSN, and says how long."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_follow_many, args=(far, port, count), daemon=True)
    process.start()

    def wait(lsn: int) -> float:
        near.send(lsn)
        answer = near.recv() if near.poll(2 * WAIT_S) else "the receivers do not answer"
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return float(answer)

    try:
        yield wait
    finally:
        near.send(None)
        process.join(WAIT_S)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()


def many_receivers(pair: Pair, count: int, seconds: float, per_second: int = 50) -> tuple[float, str]:
    """How many receivers follow one primary and have everything within a second, under paced commits."""
    (process, *_) = pair.primary.processes()
    before = process.memory_info().rss
    with receivers_process(pair.primary.native_port, count) as wait, pair.primary.endpoint.connect() as writer:
        writer.execute("CREATE TABLE IF NOT EXISTS paced (a int)")
        wait(pair.manager.record_write("bench"))
        commits, lags, asked = 0, [0.0], 0.0
        begun = time.perf_counter()
        while (now := time.perf_counter() - begun) < seconds:
            writer.execute(f"INSERT INTO paced VALUES ({commits})")
            commits += 1
            if now - asked > ASK_EVERY_S:
                asked = now
                lags.append(wait(pair.manager.record_write("bench")))
            time.sleep(max(0.0, commits / per_second - now))
        lags.append(wait(pair.manager.record_write("bench")))
        up_to_date = count if max(lags) <= 1.0 else 0
        each_kb = (process.memory_info().rss - before) / count / 1024
    pace = f"{commits / seconds:.0f} commits/s"
    return float(
        up_to_date
    ), f"{pace}, all complete {max(lags) * 1000:.0f} ms after a commit at most; {each_kb:.0f} kB each"


def _timed_ms(work: object) -> float:
    begun = time.perf_counter()
    work()  # type: ignore[operator]
    return (time.perf_counter() - begun) * 1000


def _p99(times: list[float]) -> float:
    return sorted(times)[max(0, -(-len(times) * 99 // 100) - 1)]
