"""``python -m bench.proxy``: the proxy beside PgBouncer in transaction mode and a direct connection.

All three before the same backend in the same run, round by round in turn; the backends are a PostgreSQL 15 that waits
for no disk, and a node.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

import psycopg
from rich.console import Console
from rich.table import Table

from bench import cells, pgbench, report, resources
from bench.fronts import FastPostgres, PgBouncer, Proxy, pgbouncer_program
from bench.idle_clients import idle_clients
from bench.pgbench import RunFailed
from bench.report import number
from bench.results import Better, median, ratio
from bench.servers import Endpoint, NodeServer, Server, ServerFailed, postgres_binaries

RESULTS: Final = Path(__file__).resolve().parent.parent / "docs" / "results"
MUST: Final = 0.5
GOAL: Final = 1.0
IDLE_CLIENTS: Final = 5000
IDLE_MAX_MB: Final = 500.0
FRONTS: Final = ("proxy", "pgbouncer", "direct")
BACKENDS: Final = ("postgresql", "node")


@dataclass(frozen=True, slots=True)
class Load:
    """One pgbench run through each front."""

    workload: str
    """``select``, ``update`` or ``simple-update``."""
    protocol: str
    clients: int
    against: str = "pgbouncer"
    must: float | None = None

    @property
    def name(self) -> str:
        """``select-8-simple``."""
        return f"{self.workload}-{self.clients}-{self.protocol}"

    def options(self, script: Path, scale: int) -> list[str]:
        """pgbench's arguments."""
        own = ["-f", str(script), "-D", f"scale={scale}"]
        workload = {"select": ["-S"], "simple-update": ["-N"], "update": own}
        return ["-M", self.protocol, *workload[self.workload]]


@dataclass(slots=True)
class Figure:
    """What the fronts of one backend showed, round by round."""

    name: str
    unit: str
    better: Better = "higher"
    against: str = "pgbouncer"
    must: float | None = None
    """The least ratio to ``against``."""
    limit: float | None = None
    """What the proxy's own figure must not exceed."""
    rounds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """How many times as good as the one it is held against; None without both."""
        return ratio(self.median("proxy"), self.median(self.against), self.better)

    @property
    def verdict(self) -> str:
        """``met``, ``missed``, ``failed`` (the proxy did not do it) or ``skipped``; empty when nothing is demanded."""
        if any(error.startswith("proxy") for error in self.errors):
            return "failed"
        if self.limit is not None:
            value = self.median("proxy")
            return "skipped" if value is None else "met" if value <= self.limit else "missed"
        if self.must is None:
            return ""
        return "skipped" if self.ratio is None else "met" if self.ratio >= self.must else "missed"

    def median(self, front: str) -> float | None:
        """Of one front; None where it did not run."""
        return median(self.rounds.get(front, []))

    def record(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        fronts = {front: {"rounds": self.rounds[front], "median": self.median(front)} for front in self.rounds}
        return {
            "name": self.name, "unit": self.unit, "better": self.better, **fronts, "against": self.against,
            "ratio": self.ratio, "must": self.must, "limit": self.limit, "verdict": self.verdict,
            "errors": self.errors,
        }  # fmt: skip


def loads() -> list[Load]:
    """Every pgbench run, for each backend. PgBouncer before 1.21 knows no prepared statements in transaction mode."""
    reads = [Load("select", protocol, clients, must=MUST) for protocol in ("simple", "extended") for clients in (8, 64)]
    prepared = [Load("select", "prepared", clients, "direct") for clients in (8, 64)]
    writes = [Load("update", "simple", 8), Load("update", "extended", 8), Load("simple-update", "simple", 8)]
    return [*reads, *prepared, *writes]


def alone() -> list[Load]:
    """The runs of one client, of which the latency is told."""
    return [Load("select", protocol, 1, "direct") for protocol in ("simple", "extended", "prepared")]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    scale: int
    idle_clients: int
    only: str | None = None

    def wants(self, name: str) -> bool:
        """Whether a figure is asked for by a part of its name."""
        return self.only is None or self.only in name


class Bench:
    """One backend with what stands before it."""

    def __init__(self, kind: str, plan: Plan, base: Path, say: Callable[[str], None], stack: ExitStack) -> None:
        self._kind, self._plan, self._base, self._say, self._stack = kind, plan, base, say, stack
        self._script = base / "update.sql"
        self._script.write_text(cells.UPDATE_SCRIPT)
        self._fronts: dict[str, Server] = {}

    def run(self) -> Iterator[Figure]:
        """Every figure asked for, as it is done. Raises ServerFailed and RunFailed when there is nothing to measure."""
        wanted = [load for load in loads() if self._plan.wants(self._full(load.name))]
        latencies = [load for load in alone() if self._plan.wants(self._full(f"latency-{load.name}"))]
        memory = self._full(f"memory-{self._plan.idle_clients}-idle")
        if not wanted and not latencies and not self._plan.wants(memory):
            return
        self._start()
        for load in wanted:
            figure = Figure(self._full(load.name), "tps", against=load.against, must=load.must)
            yield self._alternate(figure, load, lambda run: run.tps)
        for load in latencies:
            figure = Figure(self._full(f"latency-{load.name}"), "ms", "lower", load.against)
            yield self._alternate(figure, load, lambda run: run.latency_ms)
        if self._plan.wants(memory):
            yield self._memory(Figure(memory, "MB", "lower", limit=IDLE_MAX_MB))

    def _full(self, name: str) -> str:
        return f"proxy-{name}-{self._kind}"

    def _start(self) -> None:
        """The backend with its tables, and the fronts."""
        binaries = postgres_binaries()
        backend: Server = NodeServer(self._base)
        if self._kind == "postgresql":
            assert binaries is not None
            backend = FastPostgres(binaries, self._base)
        makers: dict[str, Callable[[list[Endpoint]], Server]] = {
            "proxy": lambda places: Proxy(places, self._base),
            "pgbouncer": lambda places: PgBouncer(places, self._base),
        }
        if pgbouncer_program() is None:
            self._say("comparison skipped: PgBouncer is not installed (make deps)")
            del makers["pgbouncer"]
        servers = {"direct": backend}
        self._launch(backend)
        pgbench.initialize(backend.endpoint, self._plan.scale)
        for name, make in makers.items():
            servers[name] = make([backend.endpoint])
            self._launch(servers[name])
        self._fronts = {name: servers[name] for name in FRONTS if name in servers}

    def _launch(self, server: Server) -> None:
        self._say(f"starting {server.name}")
        self._stack.callback(server.remove)
        server.prepare()
        server.start()

    def _alternate(self, figure: Figure, load: Load, read: Callable[[pgbench.Run], float]) -> Figure:
        """The fronts in turn, another one first in each round; one that fails is not tried again."""
        options = load.options(self._script, self._plan.scale)
        names = [name for name in self._fronts if (name, load.protocol) != ("pgbouncer", "prepared")]
        for round_ in range(self._plan.rounds):
            turned = round_ % len(names)
            for name in names[turned:] + names[:turned]:
                if any(error.startswith(name) for error in figure.errors):
                    continue
                self._say(f"{figure.name}, round {round_ + 1}, {name}")
                endpoint = self._fronts[name].endpoint
                try:
                    run = pgbench.run(endpoint, options, clients=load.clients, seconds=self._plan.seconds)
                except RunFailed as error:
                    figure.errors.append(f"{name}: {error}")
                    continue
                figure.rounds.setdefault(name, []).append(read(run))
        return figure

    def _memory(self, figure: Figure) -> Figure:
        """Resident memory of each pooler while so many clients are there."""
        for name in ("proxy", "pgbouncer"):
            if name not in self._fronts:
                continue
            front = self._fronts[name]
            self._say(f"{figure.name}, {name}")
            try:
                with idle_clients(front.endpoint, self._plan.idle_clients):
                    figure.rounds[name] = [resources.memory_bytes(front) / 1e6]
            except (ServerFailed, OSError, psycopg.Error) as error:
                figure.errors.append(f"{name}: {error}")
        return figure


def table(figures: Sequence[Figure]) -> Table:
    """Medians and ratios."""
    view = Table(title="The proxy beside PgBouncer and a direct connection, medians")
    view.add_column("figure", no_wrap=True)
    view.add_column("unit", no_wrap=True)
    for title in (*FRONTS, "ratio", "to", "must"):
        view.add_column(title, justify="right", no_wrap=True)
    view.add_column("verdict")
    styles: Mapping[str, str] = {"met": "green", "missed": "bold red", "failed": "bold red", "skipped": "yellow"}
    for one in figures:
        must = f"≤ {number(one.limit)}" if one.limit is not None else number(one.must)
        said = "; ".join([one.verdict, *one.errors] if one.verdict else one.errors)
        values = [number(one.median(front)) for front in FRONTS]
        row = [one.name, one.unit, *values, number(one.ratio), one.against, must, said]
        view.add_row(*row, style=styles.get(one.verdict, ""))
    return view


def draw(figures: Sequence[Figure], path: Path, subtitle: str) -> None:
    """A bar for every ratio, as a PNG."""
    shown = [one for one in figures if one.ratio is not None]
    if not shown:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colors = {"met": "#2a9d5c", "missed": "#c8372d", "failed": "#c8372d"}
    figure, axes = pyplot.subplots(figsize=(11, 1.6 + 0.34 * len(shown)))
    axes.barh(
        range(len(shown)), [one.ratio or 0.0 for one in shown], 0.66,
        color=[colors.get(one.verdict, "#4a6fa5") for one in shown],
    )  # fmt: skip
    for row, one in enumerate(shown):
        told = f"{number(one.ratio)}   ({number(one.median('proxy'))} / {number(one.median(one.against))} {one.unit})"
        axes.text(max(one.ratio or 0.0, GOAL) + 0.03, row, told, va="center", fontsize=8)
        if one.must is not None:
            axes.plot([one.must, one.must], [row - 0.45, row + 0.45], color="#111111", linewidth=2, linestyle=":")
    axes.axvline(GOAL, color="#222222", linewidth=1.2)
    axes.set_yticks(range(len(shown)), [f"{one.name} to {one.against}" for one in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.6, *(one.ratio or 0.0 for one in shown)) + 0.6)
    axes.set_xlabel("times as good (1 = equal, right is better); dotted: must")
    axes.set_title(f"HeliosProxy beside PgBouncer and a direct connection\n{subtitle}", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.proxy", description=__doc__)
    made.add_argument("--quick", action="store_true", help="one round of 3 s and fewer idle clients; proves no speed")
    made.add_argument("--only", metavar="NAME", help="only figures whose name holds NAME, e.g. select-8 or postgresql")
    made.add_argument("--rounds", type=int, metavar="N", help="rounds for each figure [5; quick: 1]")
    made.add_argument("--seconds", type=float, metavar="S", help="length of a pgbench run [10; quick: 3]")
    made.add_argument("--scale", type=int, default=10, metavar="N", help="pgbench's scale factor [10]")
    made.add_argument("--idle", type=int, metavar="N", help="idle clients [5000; quick: 200]")
    made.add_argument("--json", type=Path, metavar="FILE", help="[full run: docs/results/proxy.json]")
    made.add_argument("--png", type=Path, metavar="FILE", help="[full run: docs/results/proxy.png]")
    made.add_argument("--directory", type=Path, metavar="DIR", help="where the servers' files lie")
    return made


def make_plan(options: argparse.Namespace) -> Plan:
    """The plan that the options ask for, defaults filled in."""
    quick = bool(options.quick)
    return Plan(
        rounds=options.rounds or (1 if quick else 5),
        seconds=options.seconds or (3.0 if quick else 10.0),
        scale=options.scale,
        idle_clients=options.idle or (200 if quick else IDLE_CLIENTS),
        only=options.only,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    resources.allow_many_files()
    console = Console(stderr=True)
    if pgbench.find("pgbench") is None:
        console.print("skipped: pgbench is not installed (make deps)")
        return 0
    plan = make_plan(options)
    figures: list[Figure] = []
    for kind in BACKENDS:
        if kind == "postgresql" and postgres_binaries() is None:
            console.print("PostgreSQL 15 is not installed (make deps); measuring before a node alone")
            continue
        with ExitStack() as stack:
            base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory)))
            base.chmod(0o755)
            try:
                figures += Bench(kind, plan, base, console.print, stack).run()
            except (ServerFailed, RunFailed) as error:
                console.print(f"bench: {error}", markup=False)
                return 1
    Console(width=None if sys.stdout.isatty() else 160).print(table(figures))
    _save(options, plan, figures)
    demanded = [one for one in figures if one.must is not None or one.limit is not None]
    full = not options.quick and options.only is None
    return int(any(one.verdict == "failed" or (full and one.verdict == "missed") for one in demanded))


def _save(options: argparse.Namespace, plan: Plan, figures: Sequence[Figure]) -> None:
    """What was asked for; a full run leaves its results in the documents."""
    full = not options.quick and options.only is None
    json_path = options.json or (RESULTS / "proxy.json" if full else None)
    png_path = options.png or (RESULTS / "proxy.png" if full else None)
    if json_path is not None:
        how = {"rounds": plan.rounds, "seconds": plan.seconds, "scale": plan.scale}
        records = [one.record() for one in figures]
        report.write_json(json_path, report.document([], _versions(), how) | {"measurements": records})
    if png_path is not None:
        about = report.machine()
        told = f"{about['processors']} x {about['processor']}, {plan.rounds} rounds of {plan.seconds:.0f} s"
        draw(figures, png_path, told)


def _versions() -> dict[str, str]:
    """Of the other side."""
    import subprocess

    program = pgbouncer_program()
    if program is None:
        return {}
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    return {"pgbouncer": done.stdout.split("\n")[0].removeprefix("PgBouncer ").strip()}


def _terminated(number: int, frame: FrameType | None) -> None:
    """End as if by SystemExit, so that the servers are stopped and their files removed."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
