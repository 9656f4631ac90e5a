"""``python -m bench.replicas``: each figure of replication beside what is promised."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import psutil
from rich.console import Console

from bench import replica_cluster as cluster
from bench import replica_streams as streams
from bench import report, resources
from bench.replica_figures import Figure, Promise, exit_code, table

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
BUFFER_NEEDS_MB = 2500
"""Free memory without which a buffer of a gigabyte is not tried."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.replicas", description=__doc__)
    made.add_argument("--quick", action="store_true", help="one short round; proves no speed")
    made.add_argument("--only", metavar="NAME", help="only the figures whose name holds NAME")
    made.add_argument("--rounds", type=int, metavar="N", help="rounds for each figure [5; quick: 1]")
    made.add_argument("--receivers", type=int, metavar="N", help="readers of the log at once [120; quick: 20]")
    made.add_argument("--json", type=Path, metavar="FILE", help="where the figures go [full run: docs/results/]")
    made.add_argument("--directory", type=Path, metavar="DIR", help="where the nodes' files lie")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    resources.allow_many_files()
    rounds = options.rounds or (1 if options.quick else 5)
    console = Console(stderr=True)
    figures: list[Figure] = []
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory)))
        base.chmod(0o755)
        for promise in promises(options, _pair(stack, base)):
            if options.only is None or options.only in promise.name:
                console.print(f"{promise.name} ...", markup=False)
                figures.append(promise.run(rounds))
    Console(width=None if sys.stdout.isatty() else 160).print(table(figures))
    full = not options.quick and options.only is None
    path = options.json or (RESULTS / "replicas.json" if full else None)
    if path is not None:
        how = {"rounds": rounds, "quick": options.quick, "only": options.only}
        report.write_json(path, report.document([], {}, how) | {"measurements": [one.record() for one in figures]})
    return exit_code(figures, full=full)


def _pair(stack: ExitStack, base: Path) -> Callable[[], cluster.Pair]:
    """The two nodes, started when the first figure asks for them."""
    started: list[cluster.Pair] = []

    def pair() -> cluster.Pair:
        if not started:
            started.append(stack.enter_context(cluster.running_pair(base)))
        return started[0]

    return pair


def promises(options: argparse.Namespace, pair: Callable[[], cluster.Pair]) -> list[Promise]:
    """Every figure that is promised, with its size in a full run and in a short one."""
    quick = bool(options.quick)
    count = 20_000 if quick else 300_000
    asked = 30 if quick else 500
    receivers = options.receivers or (20 if quick else 120)
    elsewhere = "of automatic failover, which this benchmark does not measure"
    return [
        _stream("async replication", 50_000, count // 4, batch=1, compress=False),
        _stream("compressed", 100_000, count, batch=100, compress=True),
        _stream("batched", 150_000, count, batch=1000, compress=True),
        Promise("health check", "ms", 10, "lower", lambda: cluster.health_check(pair(), asked)),
        Promise("lag monitoring", "ms", 1, "lower", lambda: cluster.lag_monitoring(pair(), asked)),
        Promise("replica selection", "ms", 1, "lower", lambda: cluster.selection(pair(), asked * 10)),
        Promise("replication latency", "ms", 20, "lower", lambda: cluster.replication_latency(pair(), asked)),
        Promise(
            "replicas per primary", "receivers", 100, "higher",
            lambda: cluster.many_receivers(pair(), receivers, 2.0 if quick else 20.0),
        ),
        Promise("sessions tracked", "sessions", 100_000, "higher", lambda: streams.sessions(120_000)),
        _log_buffer(quick=quick),
        Promise("operations a batch", "ops", 1000, "higher", lambda: streams.batch_size(4000)),
        Promise("failure suspected", "ms", 500, "lower", None, elsewhere),
        Promise("failure confirmed", "s", 2, "lower", None, elsewhere),
        Promise("recovery time", "s", 5, "lower", None, elsewhere),
        Promise("commits lost in quorum mode", "commits", 0, "lower", None, elsewhere),
        Promise("workload across an outage", "% successful", 100, "higher", None, elsewhere),
    ]  # fmt: skip


def _stream(name: str, promise: float, count: int, *, batch: int, compress: bool) -> Promise:
    return Promise(name, "ops/s", promise, "higher", lambda: streams.throughput(count, batch=batch, compress=compress))


def _log_buffer(*, quick: bool) -> Promise:
    free_mb = psutil.virtual_memory().available >> 20
    if not quick and free_mb < BUFFER_NEEDS_MB:
        return Promise("log buffer", "MB", 1024, "higher", None, f"{free_mb:,} MB of memory are free, too few to try")
    return Promise("log buffer", "MB", 1024, "higher", lambda: streams.log_buffer(16 if quick else 1024))


def _terminated(number: int, frame: FrameType | None) -> None:
    """End as if by SystemExit, so that the nodes are stopped and their files removed."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
