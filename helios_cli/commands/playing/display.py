"""How a run is shown while it goes on: a table of its steps on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final, TextIO

from helios_cli.engine.playbook import values
from helios_cli.engine.playbook.conditions import measured
from helios_cli.engine.playbook.facts import Facts
from helios_cli.engine.playbook.journal import Entry
from helios_cli.engine.playbook.machine import Machine, Phase
from helios_cli.engine.playbook.report import told

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

MARKS: Final = {
    Phase.WAITING: ("·", "dim"), Phase.NEEDING: ("?", "yellow"), Phase.DELAYED: ("…", "cyan"),
    Phase.ACTING: ("▶", "bold cyan"), Phase.EXPECTING: ("…", "cyan"), Phase.DONE: ("✓", "green"),
    Phase.LEFT_OUT: ("-", "dim"), Phase.FAILED: ("✗", "bold red"),
}  # fmt: skip
"""A sign and its style: what the colour says, the sign says too."""


class Lines:
    """For pipes and logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began_s: float | None = None
        self._cluster = ""
        """What was said of the cluster last."""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def entry(self, entry: Entry, machine: Machine) -> None:
        """Print what people want to know of it."""
        if self._began_s is None:
            self._began_s = entry.at_s
        text = told(entry)
        if text and not (entry.kind == "seen" and text == self._cluster):
            self._cluster = text if entry.kind == "seen" else self._cluster
            print(f"[{entry.at_s - self._began_s:6.1f} s] {text}", file=self._stream, flush=True)

    def now(self, now_s: float, machine: Machine, facts: Facts) -> None:
        """Nothing: what has changed was told."""


class Table:
    """For terminals."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._live: Live | None = None
        self._began_s: float | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Table:
        from rich.live import Live

        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="visible")
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def entry(self, entry: Entry, machine: Machine) -> None:
        """Nothing: the table shows it."""
        self._began_s = entry.at_s if self._began_s is None else self._began_s

    def now(self, now_s: float, machine: Machine, facts: Facts) -> None:
        """Draw it."""
        if self._live is not None:
            with self._lock:
                self._live.update(self._picture(now_s, machine, facts), refresh=True)

    def _picture(self, now_s: float, machine: Machine, facts: Facts) -> RenderableType:
        from rich import box
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table as Drawn
        from rich.text import Text

        drawn = Drawn(box=box.SIMPLE_HEAD, header_style="bold", title=escape(self._title), title_justify="left")
        drawn.add_column("", width=1)
        drawn.add_column("step", overflow="fold", ratio=2)
        drawn.add_column("does", overflow="fold", ratio=3)
        drawn.add_column("time", justify="right", no_wrap=True)
        for planned, step in zip(machine.plan.steps, machine.steps, strict=True):
            sign, style = MARKS[step.phase]
            waits = step.detail or "; ".join(step.unmet)
            does = planned.sentence + (f"\n{waits}" if waits and step.phase is not Phase.DONE else "")
            drawn.add_row(Text(sign, style=style), Text(planned.name), Text(does, style="" if step.ended_s else style),
                          _took(now_s, machine, planned.name, step.acted_s, step.ended_s))  # fmt: skip
        return Group(drawn, *(Text(f"  {line}", style="dim") for line in below(now_s, machine, facts)))


def _took(now_s: float, machine: Machine, name: str, acted_s: float | None, ended_s: float | None) -> str:
    if acted_s is None:
        return ""
    return values.seconds_text(max(0.0, (ended_s or now_s) - acted_s))


def below(now_s: float, machine: Machine, facts: Facts) -> list[str]:
    """What stands below the table: the cluster, the workloads, and why the run goes back."""
    primary = facts.primary
    who = f"{primary.name} leads, term {primary.term}" if primary else f"nobody leads for {facts.unled_s:.1f} s"
    others = [f"{one.name} {one.state}" for one in facts.nodes if one is not primary]
    lines = [" · ".join([who, *others])]
    for name, load in facts.loads.items():
        gap = measured(facts, "longest_gap", name)
        more = f", longest gap {values.seconds_text(gap)}" if gap is not None else ""
        state = "runs" if load.running else "ended"
        lines.append(f"workload {name} {state}: {load.total} operations, {load.failed} failed{more}")
    if machine.failing is not None:
        lines.append(f"goes back: {machine.failing[1]}")
    return lines


class Quiet:
    """Shows nothing."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def entry(self, entry: Entry, machine: Machine) -> None:
        """Nothing."""

    def now(self, now_s: float, machine: Machine, facts: Facts) -> None:
        """Nothing."""


def display(title: str, *, quiet: bool) -> Lines | Table | Quiet:
    """What fits standard error."""
    if quiet:
        return Quiet()
    if not sys.stderr.isatty():
        return Lines(sys.stderr)
    from rich.console import Console

    return Table(Console(file=sys.stderr, highlight=False), title)
