"""``python -m bench.failover``: how long nobody can write when a primary dies, stands still or gives its place away.

Three nodes in quorum mode with the settings of the product, on loopback, and sixteen writers; ``--authority etcd``
has an etcd decide who leads. Every 20 ms a probe opens a connection to the three addresses as libpq does
(``target_session_attrs=read-write``) and writes a row; the outage is the longest time without an answer from the fault
until a probe is answered that began when the fault was done. No acknowledged row may be missing in the end. Where
Patroni, etcd and PostgreSQL are installed the same is done to three servers of theirs, a few times.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import report
from bench.patroni_cluster import PatroniCluster, is_installed

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
sys.path.insert(0, str(ROOT / "tests"))

PROBE_S: Final = 0.02
PROBES_MAX: Final = 100
"""At once: those that wait for a node that stands still give up after libpq's shortest ``connect_timeout``, 2 s."""
SETTLED_S: Final = 60.0
WRITERS: Final = 16
OURS: Final = "HeliosDB Nano"
THEIRS: Final = "Patroni"
USUAL: Final = ("quorum", "embedded")
PROMISES: Final = {"kill": (1.0, 2.0), "freeze": (None, 2.5), "switchover": (0.25, None)}
"""Seconds of the median and of the 95th percentile, at most; None: nothing is promised."""


@dataclass
class Figure:
    """The outages of one kind."""

    name: str
    seconds: list[float] = field(default_factory=list)
    stack: str = OURS

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """Seconds; of a few runs it is nearly the longest."""
        return (
            statistics.quantiles(self.seconds, n=20, method="inclusive")[18] if len(self.seconds) > 1 else self.median
        )

    @property
    def is_met(self) -> bool:
        """Whether what is promised holds."""
        found = zip((self.median, self.p95), self.promised, strict=True)
        return all(limit is None or value <= limit for value, limit in found)

    @property
    def promised(self) -> tuple[float | None, float | None]:
        """Of median and 95th percentile; of the other stack nothing is."""
        return PROMISES[self.name] if self.stack == OURS else (None, None)

    def record(self) -> dict[str, Any]:
        """JSON-able."""
        median_max, p95_max = self.promised
        return {
            "name": self.name, "stack": self.stack, "seconds": self.seconds, "median": self.median, "p95": self.p95,
            "promised_median": median_max, "promised_p95": p95_max, "met": self.is_met,
        }  # fmt: skip


class Prober:
    """Begins a probe every 20 ms, and remembers when each that was answered began and ended."""

    def __init__(self, ports: Sequence[int], database: str) -> None:
        self._where: dict[str, Any] = {
            "host": ",".join(["127.0.0.1"] * len(ports)), "port": ",".join(map(str, ports)), "user": "postgres",
            "dbname": database, "target_session_attrs": "read-write", "load_balance_hosts": "random",
            "connect_timeout": 2,
        }  # fmt: skip
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(PROBES_MAX)
        self._ended = threading.Event()
        self._answered: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def has_answer(self, since: float) -> bool:
        """Whether a probe was answered that began after a moment."""
        with self._lock:
            return any(began >= since for began, _ in self._answered)

    def longest_gap(self, since: float) -> float:
        """Seconds, at most, from a moment to the first answer, and from each to the next, until the latest."""
        with self._lock:
            ends = sorted(end for _, end in self._answered if end >= since)
        return max((after - before for before, after in itertools.pairwise([since, *ends])), default=0.0)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += PROBE_S
            if self._slots.acquire(blocking=False):
                threading.Thread(target=self._probe, daemon=True).start()

    def _probe(self) -> None:
        began = time.monotonic()
        try:
            with contextlib.suppress(psycopg.Error), psycopg.connect(**self._where, autocommit=True) as connection:
                connection.execute("INSERT INTO probes VALUES (clock_timestamp())")
                with self._lock:
                    self._answered.append((began, time.monotonic()))
        finally:
            self._slots.release()


class Cluster:
    """Three nodes under load, and an etcd if that has the authority."""

    database = "heliosdb"

    def __init__(self, directory: Path, mode: str, authority: str) -> None:
        from support.etcd_server import EtcdProcess
        from support.node_process import NodeProcess, wait_until

        self._wait_until = wait_until
        self._etcd = EtcdProcess(directory / "etcd") if authority == "etcd" else None
        etcd = ["--authority", "etcd", "--etcd-endpoints", self._etcd.endpoint] if self._etcd is not None else []
        self.nodes: list[NodeProcess] = []
        for number in (1, 2, 3):
            place = directory / f"n{number}"
            place.mkdir()
            flags = ["--node-id", f"n{number}", "--replication-mode", mode, *etcd]
            role = ["--replication-role", "primary"]
            if self.nodes:
                upstream = ["--primary-host", "127.0.0.1", "--primary-port", str(self.nodes[0].native_port)]
                role = ["--replication-role", "standby", *upstream]
            self.nodes.append(NodeProcess(place, [*flags, *role]))

    def start(self) -> None:
        """Start them, the primary first."""
        if self._etcd is not None:
            self._etcd.start()
        for node in self.nodes:
            node.start()
        self.settle()

    def settle(self) -> None:
        """Wait until one leads, and every copy counts."""
        from support.failover_drill import in_sync

        self._wait_until(
            lambda: any(len(in_sync(node)) == len(self.nodes) for node in self.nodes if self.leads(node)),
            "one leads, and every copy counts", SETTLED_S,
        )  # fmt: skip

    def leads(self, node: Any) -> bool:
        """Whether a node says that it leads."""
        try:
            return bool(node.http("/primary", timeout=1)[0] == 200)
        except OSError:
            return False

    def primary(self) -> Any:
        """The one that leads."""
        return next(node for node in self.nodes if self.leads(node))

    def close(self) -> None:
        """Kill them."""
        for node in self.nodes:
            node.kill()
        if self._etcd is not None:
            self._etcd.kill()

    # Faults: each gives the moment at which it began, and what ends it -----------------------------------------------

    def kill(self) -> tuple[float, Callable[[], object]]:
        """SIGKILL of the primary."""
        primary = self.primary()
        moment = time.monotonic()
        primary.kill()
        return moment, lambda: primary.start(wait=False)

    def freeze(self) -> tuple[float, Callable[[], object]]:
        """SIGSTOP of the primary."""
        primary = self.primary()
        moment = time.monotonic()
        primary.send(signal.SIGSTOP)
        return moment, lambda: primary.send(signal.SIGCONT)

    def switchover(self) -> tuple[float, Callable[[], object]]:
        """Its place given to another node."""
        primary = self.primary()
        moment = time.monotonic()
        code, answer = primary.http("/admin/switchover", body={}, timeout=30)
        if code != 200:
            raise AssertionError(f"no switchover: {answer}")
        return moment, lambda: None


@contextmanager
def running(cluster: Cluster | PatroniCluster, *, may_lose: bool = False) -> Iterator[Prober]:
    """A cluster with writers and probes; in the end every acknowledged row is looked for, unless it may lose."""
    from support.fault_clients import SCHEMA, Address, Clients

    try:
        cluster.start()
        with cluster.primary().connect() as connection:
            connection.execute(SCHEMA)
            connection.execute("CREATE TABLE probes (at timestamptz)")
        ports = [node.pg_port for node in cluster.nodes]
        login = {"user": "postgres", "dbname": cluster.database}
        addresses = [Address("127.0.0.1", port) for port in ports]
        clients = Clients(addresses, contextlib.nullcontext, 1, login, writers=WRITERS, others=0)
        with Prober(ports, cluster.database) as prober, clients:
            yield prober
        cluster.settle()
        with cluster.primary().connect() as connection:
            there = {row[0] for row in connection.execute("SELECT id FROM rows").fetchall()}
        lost = clients.seen.rows.keys() - there
        assert not lost or may_lose, f"{len(lost)} acknowledged rows are lost"
    finally:
        cluster.close()


def measure(
    cluster: Cluster | PatroniCluster, figure: Figure, runs: int, told: Callable[[], object], *, may_lose: bool = False
) -> Figure:
    """So many outages of one kind. Raises AssertionError when a row is lost or nobody leads for long."""
    from support.node_process import wait_until

    with running(cluster, may_lose=may_lose) as prober:
        for _ in range(runs):
            cluster.settle()
            moment, undo = getattr(cluster, figure.name)()
            wait_until(partial(prober.has_answer, time.monotonic()), "a probe is answered", SETTLED_S)
            figure.seconds.append(round(prober.longest_gap(moment), 4))
            undo()
            told()
    return figure


def table(figures: Sequence[Figure], what: str) -> Table:
    """Each beside its promise."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    view = Table(title=f"No write for so many seconds: three nodes, {what}, {WRITERS} writers; load {load}")
    view.add_column("fault", no_wrap=True)
    view.add_column("stack", no_wrap=True)
    for title in ("runs", "median", "must", "p95", "must ", "longest"):
        view.add_column(title, justify="right", no_wrap=True)
    view.add_column("verdict", no_wrap=True)
    for figure in figures:
        limits = [f"≤ {limit:g}" if limit is not None else "" for limit in figure.promised]
        is_ours = figure.stack == OURS
        view.add_row(
            figure.name, figure.stack, str(len(figure.seconds)), f"{figure.median:.3f}", limits[0],
            f"{figure.p95:.3f}", limits[1], f"{max(figure.seconds):.3f}",
            ("met" if figure.is_met else "missed") if is_ours else "",
            style=("green" if figure.is_met else "bold red") if is_ours else "",
        )  # fmt: skip
    return view


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    made.add_argument("--runs", type=int, default=100, metavar="N", help="outages of each kind [100]")
    made.add_argument("--only", choices=tuple(PROMISES), help="only one kind")
    made.add_argument("--patroni", type=int, default=3, metavar="N", help="outages of Patroni, if it is installed [3]")
    made.add_argument("--authority", choices=("embedded", "etcd"), default="embedded", help="who decides who leads")
    made.add_argument("--mode", choices=("quorum", "sync", "semi-sync", "async"), default="quorum", help="[quorum]")
    made.add_argument("--json", type=Path, metavar="FILE", help="where the figures go [docs/results/failover.json]")
    made.add_argument("--directory", type=Path, metavar="DIR", help="where the nodes' files lie")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    kinds = [options.only] if options.only else [*PROMISES]
    figures: list[Figure] = []
    columns = (*Progress.get_default_columns(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for name in kinds:
            done = partial(progress.advance, progress.add_task(name, total=options.runs))
            with tempfile.TemporaryDirectory(prefix="failover-", dir=options.directory) as directory:
                cluster = Cluster(Path(directory), options.mode, options.authority)
                figures.append(measure(cluster, Figure(name), options.runs, done, may_lose=options.mode == "async"))
        for name in kinds if options.patroni and is_installed() else ():
            done = partial(progress.advance, progress.add_task(f"{name}, {THEIRS}", total=options.patroni))
            with tempfile.TemporaryDirectory(prefix="patroni-", dir=options.directory) as directory:
                theirs = _measure_theirs(Path(directory), name, options.patroni, done)
            figures += [theirs] if theirs.seconds else []
    Console(width=None if sys.stdout.isatty() else 160).print(table(figures, f"{options.mode}, {options.authority}"))
    is_whole = options.only is None and options.runs >= 100 and (options.mode, options.authority) == USUAL
    path = options.json or (RESULTS / "failover.json" if is_whole else None)
    if path is not None:
        how = {
            "runs": options.runs,
            "nodes": 3,
            "mode": options.mode,
            "authority": options.authority,
            "writers": WRITERS,
            "probe_ms": PROBE_S * 1000,
        }
        report.write_json(path, report.document([], {}, how) | {"measurements": [one.record() for one in figures]})
    return int(not all(figure.is_met for figure in figures))


def _measure_theirs(directory: Path, name: str, runs: int, told: Callable[[], object]) -> Figure:
    """What came of the other stack: where nobody led for long the runs until then count, and ours are not lost."""
    import pytest

    figure = Figure(name, stack=THEIRS)
    try:
        measure(PatroniCluster(directory), figure, runs, told)
    except (AssertionError, pytest.fail.Exception) as error:
        print(f"{THEIRS}, {name}, after {len(figure.seconds)} runs: {error}", file=sys.stderr)
    return figure


if __name__ == "__main__":
    sys.exit(main())
