"""``python -m bench``: measure a node against PostgreSQL 15 with equal durability."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from bench import chart, proxy, report, resources
from bench.pairs import NodePair, PostgresPair
from bench.pgbench import find
from bench.results import Measurement, exit_code
from bench.runner import Plan, Runner
from bench.servers import NodeServer, PostgresServer, Server, ServerFailed, postgres_binaries

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    made.add_argument("--quick", action="store_true", help="one round of 5 s and fewer cells; proves no speed")
    made.add_argument("--only", metavar="NAME", help="only the cells whose name holds NAME, e.g. select-8")
    made.add_argument("--rounds", type=int, metavar="N", help="rounds for each cell [5; quick: 1]")
    made.add_argument("--seconds", type=float, metavar="S", help="length of a pgbench run [20; quick: 5]")
    made.add_argument("--scale", type=int, default=10, metavar="N", help="pgbench's scale factor [10]")
    made.add_argument("--frozen", type=float, metavar="S", help="how long a standby stands still [60; quick: 3]")
    made.add_argument("--switchovers", type=int, metavar="N", help="how many are timed [50; quick: 3]")
    made.add_argument("--standbys", type=int, metavar="N", help="of one primary [20; quick: 3]")
    made.add_argument(
        "--json", type=Path, metavar="FILE", help="where the figures go [full run: docs/results/bench.json]"
    )
    made.add_argument(
        "--png", type=Path, metavar="FILE", help="where the chart goes [full run: docs/results/bench.png]"
    )
    made.add_argument(
        "--directory", type=Path, metavar="DIR", help="where the servers' files lie [the temporary directory]"
    )
    made.add_argument("--ours", choices=("node", "postgresql"), default="node", help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.only is not None and options.only.startswith("proxy"):
        return proxy.main(_of_proxy(options))
    signal.signal(signal.SIGTERM, _terminated)
    resources.allow_many_files()
    console = Console(stderr=True)
    binaries = postgres_binaries()
    if find("pgbench") is None:
        console.print("skipped: pgbench is not installed (make deps)")
        return 0
    if binaries is None:
        console.print("comparison skipped: PostgreSQL 15 is not installed (make deps); measuring the node alone")
    full = not options.quick and options.only is None
    plan = make_plan(options)
    measurements: list[Measurement] = []
    runner = Runner(
        plan,
        _maker(options.ours, options.directory),
        _theirs(binaries, options.directory),
        console.print,
        _pairs(binaries, options.directory) if options.ours == "node" else None,
    )
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as workspace:
        Path(workspace).chmod(0o755)
        try:
            measurements.extend(runner.run(Path(workspace)))
        except ServerFailed as error:
            console.print(f"bench: {error}", markup=False)
            return 1
        finally:
            runner.close()
    Console(width=None if sys.stdout.isatty() else 120).print(report.table(measurements))
    _save(options, plan, measurements, runner.versions, full=full)
    code = exit_code(measurements, full=full)
    return max(code, proxy.main(_of_proxy(options))) if full and options.ours == "node" else code


def _of_proxy(options: argparse.Namespace) -> list[str]:
    """What the benchmark of the proxy is told of these options; a file asked for is this benchmark's in a full run."""
    told = ["--quick"] if options.quick else []
    names = ["rounds", "seconds", "scale", "directory", *(["only", "json", "png"] if options.only else [])]
    for name in names:
        if getattr(options, name) is not None:
            told += [f"--{name}", str(getattr(options, name))]
    return told


def make_plan(options: argparse.Namespace) -> Plan:
    """The plan that the options ask for, defaults filled in."""
    quick = bool(options.quick)
    return Plan(
        rounds=options.rounds or (1 if quick else 5),
        seconds=options.seconds or (5.0 if quick else 20.0),
        scale=options.scale,
        copy_rows=100_000 if quick else 1_000_000,
        idle_connections=resources.IDLE_CONNECTIONS,
        quick=quick,
        frozen_s=options.frozen or (3.0 if quick else 60.0),
        switchovers=options.switchovers or (3 if quick else 50),
        standbys=options.standbys or (3 if quick else 20),
        only=options.only,
    )


def _save(
    options: argparse.Namespace,
    plan: Plan,
    measurements: Sequence[Measurement],
    versions: dict[str, str],
    *,
    full: bool,
) -> None:
    """Write what was asked for; a full run against PostgreSQL also leaves its results in the documents."""
    keep = full and options.ours == "node"
    json_path = options.json or (RESULTS / "bench.json" if keep else None)
    png_path = options.png or (RESULTS / "bench.png" if keep else None)
    named = {f"server_{'ours' if side == 'ours' else 'postgresql'}": text for side, text in versions.items()}
    if json_path is not None:
        report.write_json(json_path, report.document(measurements, named, dataclasses.asdict(plan)))
    if png_path is not None:
        about = report.machine()
        chart.draw(
            measurements,
            png_path,
            f"{about['processors']} x {about['processor']}, {plan.rounds} rounds of {plan.seconds:.0f} s",
        )


def _maker(kind: str, base: Path | None) -> Callable[[], Server]:
    if kind == "node":
        return lambda: NodeServer(base)
    made = _theirs(postgres_binaries(), base)
    if made is None:
        raise SystemExit("bench: PostgreSQL 15 is not installed")
    return made


def _theirs(binaries: Path | None, base: Path | None) -> Callable[[], Server] | None:
    return None if binaries is None else lambda: PostgresServer(binaries, base)


def _pairs(binaries: Path | None, base: Path | None) -> Mapping[str, Callable[[], Server]]:
    ours: dict[str, Callable[[], Server]] = {"ours": lambda: NodePair(base)}
    return ours if binaries is None else ours | {"theirs": lambda: PostgresPair(binaries, base)}


def _terminated(number: int, frame: FrameType | None) -> None:
    """End as if by SystemExit, so that the servers are stopped and their files removed."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
