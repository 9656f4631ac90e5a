"""``python -m bench.profile_node CELL``: where a node spends its time under one pgbench cell.

The tables are filled by an ordinary node first; only the run itself is watched.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import cells, pgbench
from bench.pgbench import RunFailed
from bench.servers import NodeServer, ServerFailed


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.profile_node", description=__doc__)
    made.add_argument("cell", nargs="?", default="select-8-simple", help="name of a pgbench cell [select-8-simple]")
    made.add_argument("--mode", choices=("sample", "trace"), default="sample", help="stack samples, or cProfile")
    made.add_argument("--seconds", type=float, default=10.0, help="length of the run [10]")
    made.add_argument("--scale", type=int, default=1, help="pgbench's scale factor [1]")
    made.add_argument("--top", type=int, default=25, help="functions shown [25]")
    made.add_argument("--json", type=Path, help="where all samples go")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    known = {cell.name: cell for cell in cells.pgbench_cells()}
    if options.cell not in known:
        sys.stderr.write(f"no cell {options.cell}; cells are {', '.join(known)}\n")
        return 2
    try:
        text, run = profile(known[options.cell], options.mode, options.seconds, options.scale)
    except (ServerFailed, RunFailed) as error:
        sys.stderr.write(f"profile_node: {error}\n")
        return 1
    console = Console(width=140)
    console.print(f"{options.cell}: {run.tps:.0f} tps, {run.latency_ms:.3f} ms, while watched")
    if options.mode == "trace":
        console.print(text, markup=False)
        return 0
    if options.json is not None:
        options.json.write_text(text)
    for view in tables(json.loads(text), options.top):
        console.print(view)
    return 0


def profile(cell: cells.Cell, mode: str, seconds: float, scale: int) -> tuple[str, pgbench.Run]:
    """Fill, restart under the profiler, run the cell; gives what the profiler wrote and the run."""
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as workspace:
        out, script = Path(workspace) / "profile", Path(workspace) / "update.sql"
        script.write_text(cells.UPDATE_SCRIPT)
        server = ProfiledServer()
        try:
            server.start()
            pgbench.initialize(server.endpoint, scale)
            server.stop()
            server.watch(mode, out)
            server.start()
            options = cell.options({"update": str(script)}, scale)
            run = pgbench.run(server.endpoint, options, clients=cell.clients, seconds=seconds)
            server.stop()
            return out.read_text(), run
        finally:
            server.remove()


class ProfiledServer(NodeServer):
    """A node that can be started under a profiler."""

    _watch: tuple[str, Path] | None = None

    def watch(self, mode: str, out: Path) -> None:
        """Profile from the next start on."""
        self._watch = (mode, out)

    def command(self) -> list[str]:
        """The node's command, or the same through :mod:`bench.profiled_node`."""
        command = super().command()
        if self._watch is None:
            return command
        mode, out = self._watch
        at = command.index("helios_cli")
        return [*command[:at], "bench.profiled_node", mode, str(out), *command[at + 1 :]]


def tables(record: Mapping[str, Any], top: int) -> list[Table]:
    """For each thread with at least a tenth of the busiest one's samples: own time, time with callees, lines."""
    titles = {"own": "on top of the stack", "total": "anywhere on the stack", "lines": "lines on top"}
    views = []
    most = max((thread["samples"] for thread in record.values()), default=0)
    for name, thread in record.items():
        if thread["samples"] * 10 < most:
            continue
        for kind, title in titles.items():
            view = Table("share", "function", title=f"thread {name}: {title}", title_justify="left")
            for function, count in list(thread[kind].items())[:top]:
                view.add_row(f"{100 * count / thread['samples']:.1f} %", function)
            views.append(view)
    return views


if __name__ == "__main__":
    sys.exit(main())
