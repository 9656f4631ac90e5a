"""What a workload shows while it runs: a picture on a terminal, a line a second elsewhere; and its outcome in lines."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from helios_cli.commands.drill.display import BARS
from helios_cli.commands.load.driver import Sample
from helios_cli.commands.load.histogram import Histogram
from helios_cli.commands.load.statistics import gap_text, success_rate

if TYPE_CHECKING:
    from rich.live import Live
    from rich.panel import Panel

HISTORY: Final = 300
BESIDE: Final = 32
"""Columns of the screen that the curve of throughput leaves to others."""
OUTAGE: Final = "✗"
"""In place of a bar: no operation succeeded then."""
SHOWN: Final = ("p50", "p95", "p99", "max")


def series(values: Sequence[float]) -> str:
    """Heights against the largest value; an outage mark where there is nothing at all."""
    top = max(values, default=0.0)
    if top <= 0:
        return OUTAGE * len(values)
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] if value > 0 else OUTAGE for value in values)


class Screen:
    """A context. ``quiet`` shows nothing."""

    def __init__(self, title: str, seconds: float, *, quiet: bool) -> None:
        self._title, self._seconds, self._quiet = title, seconds, quiet
        self._rates: deque[float] = deque(maxlen=HISTORY)
        self._live: Live | None = None
        self._printed = 0.0

    def __enter__(self) -> Screen:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=sys.stderr, highlight=False), refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def every_s(self) -> float:
        """How often a sample is wanted."""
        return 0.25 if self._live is not None else 1.0

    def show(self, sample: Sample) -> None:
        """The newest numbers."""
        if self._quiet:
            return
        self._rates.append(sample.per_s)
        if self._live is not None:
            self._live.update(self._panel(sample))
        elif time.monotonic() - self._printed >= 0.5:
            self._printed = time.monotonic()
            print(line(sample), file=sys.stderr, flush=True)

    def _panel(self, sample: Sample) -> Panel:
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", justify="right")
        grid.add_column()
        out = sample.outage_s > 0
        room = max(20, self._live.console.width - BESIDE) if self._live is not None else 48
        rate = Text.assemble(
            (f"{sample.per_s:>9,.0f}  ", "bold"), (series(list(self._rates)[-room:]), "red" if out else "cyan")
        )
        grid.add_row("ops/s", rate)
        grid.add_row("latency now", latencies(sample.latest, SHOWN[:-1]))
        grid.add_row("latency all", latencies(sample.total, SHOWN))
        grid.add_row("operations", f"{sample.operations:,}")
        grid.add_row("failed", Text(f"{sample.failed:,}", style="bold red" if sample.failed else ""))
        if sample.outages:
            grid.add_row("outages", Text(outages(sample.outages), style="red"))
        if sample.late_s > 1:
            grid.add_row("behind", Text(f"{sample.late_s:.1f} s: the rate is not kept", style="yellow"))
        state = Text(f"OUTAGE for {sample.outage_s:.1f} s", style="bold red") if out else Text("serving", style="green")
        length = f" of {self._seconds:g}" if self._seconds else ""
        title = f"{self._title}  {sample.at_s:4.1f}{length} s"
        return Panel(Group(state, grid), title=title, title_align="left", border_style="red" if out else "green")


def outages(found: Sequence[tuple[float, float]]) -> str:
    """How many there were, and the longest of them; each is when it began, and how long it was."""
    at, longest = max(found, key=lambda one: one[1])
    more = f"{len(found)}, the longest " if len(found) > 1 else ""
    return f"{more}{gap_text(longest)}, from {at:.1f} s on"


def latencies(histogram: Histogram, names: Sequence[str]) -> str:
    """Percentiles in milliseconds."""
    found = histogram.record_ms()
    return "  ".join(f"{name} {_short(found[name])}" for name in names) + " ms" if histogram.total else "-"


def line(sample: Sample) -> str:
    """A second of the run."""
    text = f"{sample.at_s:6.1f} s  {sample.per_s:9,.0f} ops/s  {latencies(sample.latest, SHOWN[:-1])}"
    text += f"  failed {sample.failed}" if sample.failed else ""
    text += f"  {sample.late_s:.1f} s behind" if sample.late_s > 1 else ""
    return text + (f"  OUTAGE for {sample.outage_s:.1f} s" if sample.outage_s else "")


def lines(record: Mapping[str, Any], histogram: Histogram) -> list[str]:
    """What came of it, for people."""
    pace = f"{record['rate']:g} a second" if record["rate"] else "as fast as they go"
    found = [
        f"=== {record['workload']}: {record['clients']} clients, {pace}, {record['seconds']:.1f} s ===",
        f"Operations: {record['operations']:,}",
        f"Successful: {record['successful']:,}, {record['per_second']:,.1f} a second",
        f"Failed: {record['failed']}",
        f"Tried again: {record['tried_again']}",
        f"Success rate: {success_rate(record['successful'], record['operations'])}",
        *([f"Due, and never begun: {record['never_begun']}"] if record["never_begun"] else []),
    ]
    for kind, one in record["kinds"].items():
        if len(record["kinds"]) > 1:
            found.append(f"  {kind}: {one['operations']:,}, {_of(one['latency_ms'], SHOWN)}")
    since = " from when each was due" if record["rate"] else ""
    found += ["", f"=== Latency{since} ===", *histogram.picture(), _of(record["latency_ms"])]
    found += ["", "=== Throughput ===", f"{series(fitted(record['series']))}  operations a second, {OUTAGE} none"]
    found += [f"Outage: {gap_text(one['seconds'])}, from {one['at_s']:.1f} s on" for one in record["outages"]]
    return found + [f"Error: {text} ({count} times)" for text, count in list(record["errors"].items())[:5]]


def _of(latency: Mapping[str, float], names: Sequence[str] = ()) -> str:
    return ", ".join(f"{name} {_short(latency[name])}" for name in names or latency) + " ms"


def _short(value: float) -> str:
    """Three digits, or all that are before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def fitted(values: Sequence[float], width: int = 60) -> list[float]:
    """A series of at most ``width`` values: of several that fall together their mean, or 0 where one of them is."""
    whole = list(values[:-1]) or list(values)
    if len(whole) <= width:
        return whole
    groups = [whole[at * len(whole) // width : (at + 1) * len(whole) // width] for at in range(width)]
    return [0.0 if min(group) == 0 else sum(group) / len(group) for group in groups]
