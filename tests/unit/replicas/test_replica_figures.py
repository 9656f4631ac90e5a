"""The arithmetic of the figures, and those of them that need no nodes."""

from __future__ import annotations

import io
import json

from rich.console import Console

from bench.replica_figures import Figure, Promise, exit_code, table
from bench.replica_streams import batch_size, log_buffer, sessions, throughput
from bench.replicas import parser, promises


def refuse() -> tuple[float, str]:
    raise RuntimeError("no cluster")


def test_verdicts() -> None:
    assert Figure("a", "ops/s", 100, values=[99, 150, 160]).verdict == "met"
    assert Figure("a", "ops/s", 100, values=[99]).verdict == "missed"
    assert Figure("a", "ms", 10, "lower", [10.0]).verdict == "met"
    assert Figure("a", "ms", 10, "lower", [10.1]).verdict == "missed"
    assert Figure("a", "ms", 10, "lower").verdict == "skipped"
    assert Figure("a", "ms", 10, "lower", [1.0], error="it broke").verdict == "failed"


def test_rounds_and_errors() -> None:
    values = iter([3.0, 1.0, 2.0])
    figure = Promise("a", "ms", 5, "lower", lambda: (next(values), "how")).run(3)
    assert (figure.values, figure.value, figure.note) == ([3.0, 1.0, 2.0], 2.0, "how")
    assert json.loads(json.dumps(figure.record()))["verdict"] == "met"
    failed = Promise("a", "ms", 5, "lower", refuse).run(3)
    assert failed.error == "RuntimeError: no cluster" and failed.verdict == "failed"
    assert Promise("a", "ms", 5, "lower", None, "elsewhere").run(3).verdict == "skipped"


def test_exit_codes() -> None:
    met, missed = Figure("a", "x", 1, values=[2.0]), Figure("a", "x", 1, values=[0.5])
    failed, skipped = Figure("a", "x", 1, error="e"), Figure("a", "x", 1)
    assert exit_code([met, skipped], full=True) == 0
    assert exit_code([missed], full=False) == 0
    assert exit_code([missed], full=True) == exit_code([failed], full=False) == 1


def test_every_promised_figure_has_its_row() -> None:
    options = parser().parse_args(["--quick"])
    found = {one.name: one.promise for one in promises(options, lambda: refuse())}  # type: ignore[arg-type, return-value]
    assert [found[name] for name in ("async replication", "compressed", "batched")] == [50_000, 100_000, 150_000]
    assert [found[name] for name in ("health check", "lag monitoring", "replica selection")] == [10, 1, 1]
    assert [found[name] for name in ("replicas per primary", "sessions tracked", "log buffer")] == [100, 100_000, 1024]
    assert found["operations a batch"] == 1000 and found["replication latency"] == 20
    shown = io.StringIO()
    Console(width=160, file=shown).print(table([Figure(name, "x", promise) for name, promise in found.items()]))
    assert all(name in shown.getvalue() for name in found)


def test_streams_without_nodes() -> None:
    assert sessions(1000)[0] == 1000
    assert 4 <= log_buffer(4)[0] < 6
    assert batch_size(2000)[0] == 2000


def test_a_stream_to_another_process() -> None:
    rate, note = throughput(2000, batch=100, compress=True)
    assert rate > 100 and "smaller" in note
