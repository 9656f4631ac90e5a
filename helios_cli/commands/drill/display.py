"""What a drill shows while it runs: a live picture on a terminal, a line an event elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.live import Live
    from rich.panel import Panel

BARS: Final = "▁▂▃▄▅▆▇█"
_HISTORY: Final = 48
_EVENTS: Final = 8
_TICK_S: Final = 0.25


@dataclass(slots=True)
class Picture:
    """Everything that is shown."""

    program: str = "demo"
    title: str = "a node alone"
    began: float | None = None
    """When its clock started, for one that runs by itself."""
    seconds: float = 0.0
    seconds_total: float = 0.0
    """0: not known beforehand."""
    state: str = "starting"
    acknowledged: int = 0
    kills: int = 0
    kills_total: int = 0
    """0: not known beforehand."""
    faults: str = "kills"
    """What they are called."""
    waiting: str = ""
    """What is being waited for."""
    pid: int = 0
    lsn: str = "0/0"
    log_bytes: int = 0
    rate: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    """Acknowledged rows a second, oldest first."""
    p99_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    events: deque[str] = field(default_factory=lambda: deque(maxlen=_EVENTS))


def sparkline(values: deque[float] | list[float]) -> str:
    """Heights of a series against its largest value; empty for no values."""
    top = max(values, default=0.0)
    if top <= 0:
        return BARS[0] * len(values)
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] for value in values)


class Display:
    """Shows a picture again and again; ``quiet`` shows nothing."""

    def __init__(self, picture: Picture, *, quiet: bool) -> None:
        self.picture = picture
        self._quiet = quiet
        self._live: Live | None = None

    def __enter__(self) -> Display:
        if not self._quiet and sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(panel(self.picture), refresh_per_second=8, transient=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.update(panel(self.picture))
            self._live.stop()

    def begin(self, title: str) -> None:
        """Another part begins: its picture is empty, its clock starts at 0 and runs by itself."""
        picture = self.picture = Picture(title=title, kills_total=1, events=self.picture.events)
        picture.began = time.monotonic()

    def event(self, text: str) -> None:
        """Something happened."""
        self._turn_clock()
        line = f"{self.picture.seconds:5.1f} s  {text}"
        self.picture.events.append(line)
        if self._live is not None:
            self.refresh()
        elif not self._quiet:
            print(line, file=sys.stderr, flush=True)

    def wait(self, text: str) -> None:
        """What is being waited for now; shown on a terminal alone. The same text again costs nothing."""
        if text != self.picture.waiting:
            self.picture.waiting = text
            self.refresh()

    @contextmanager
    def sampling(self, ask: Callable[[], tuple[int, int]]) -> Iterator[None]:
        """Meanwhile ask a few times a second how much is acknowledged and how many faults there were, and show it."""
        over = threading.Event()
        thread = threading.Thread(target=self._sample, args=(ask, over), name="display", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _sample(self, ask: Callable[[], tuple[int, int]], over: threading.Event) -> None:
        before, at = ask()[0], time.monotonic()
        while not over.wait(_TICK_S):
            picture, now = self.picture, time.monotonic()
            picture.acknowledged, picture.kills = ask()
            picture.rate.append((picture.acknowledged - before) / (now - at))
            before, at = picture.acknowledged, now
            self.refresh()

    def _turn_clock(self) -> None:
        if self.picture.began is not None:
            self.picture.seconds = time.monotonic() - self.picture.began

    def refresh(self) -> None:
        """Show the newest numbers."""
        self._turn_clock()
        if self._live is not None:
            self._live.update(panel(self.picture))


def panel(picture: Picture) -> Panel:
    """The picture as rich draws it."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    colour = {"serving": "green", "killed": "red", "verified": "green", "failed": "red"}.get(picture.state, "yellow")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column()
    rows: list[tuple[str, Any]] = [
        *(
            [("node", Text.assemble((picture.state, f"bold {colour}"), f"  process {picture.pid}"))]
            if picture.pid
            else []
        ),
        ("acknowledged", f"{picture.acknowledged:,} rows"),
        ("rows/s", _series(picture.rate, "{:,.0f}", "cyan")),
        *([("p99 ms", _series(picture.p99_ms, "{:.2f}", "magenta"))] if picture.p99_ms else []),
        *([("log", f"LSN {picture.lsn}, {picture.log_bytes / 1e6:,.1f} MB kept")] if picture.log_bytes else []),
        (picture.faults, f"{picture.kills} of {picture.kills_total}" if picture.kills_total else f"{picture.kills}"),
        *([("", Text(picture.waiting, style="dim"))] if picture.waiting else []),
    ]
    for name, value in rows:
        grid.add_row(name, value)
    events = Text("\n".join(picture.events), style="dim")
    total = f" of {picture.seconds_total:g}" if picture.seconds_total else ""
    title = f"heliosdb-nano {picture.program}: {picture.title}  {picture.seconds:4.1f}{total} s"
    return Panel(Group(grid, Text(""), events), title=title, title_align="left", border_style=colour)


def _series(values: deque[float], form: str, style: str) -> Any:
    from rich.text import Text

    last = form.format(values[-1]) if values else "-"
    return Text.assemble((f"{last:>10}  ", "bold"), (sparkline(values), style))
