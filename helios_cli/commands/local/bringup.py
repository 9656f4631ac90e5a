"""What ``cluster up`` shows while processes come up: a row for each on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from helios_cli.commands._progress import Progress
from helios_cli.commands.local.clusterfile import LocalCluster, LocalProxy, Member
from helios_cli.commands.local.observation import STREAMING, Observation, ProxyObservation

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.table import Table

READY: Final = ("serving", *STREAMING)


@dataclass(slots=True)
class _Row:
    state: str
    role: str
    ready_s: float | None = None
    """Since when it is ready, from the begin of the display; None: it is not."""


class BringUp:
    """A context; narration goes to standard error. ``quiet`` says nothing."""

    def __init__(self, cluster: LocalCluster, *, quiet: bool = False) -> None:
        self._lines = Progress(quiet=quiet)
        self._cluster = cluster
        self._live: Live | None = None
        self._spinner: Spinner | None = None
        self._begin = time.monotonic()
        self._rows = {one.name: _Row("down", _role(one)) for one in cluster.members}
        self._draws = not quiet and sys.stderr.isatty()

    def __enter__(self) -> BringUp:
        if self._draws:
            from rich.console import Console
            from rich.live import Live
            from rich.spinner import Spinner

            self._spinner = Spinner("dots")
            screen = Console(file=sys.stderr, highlight=False)
            self._live = Live(console=screen, get_renderable=self._drawn, refresh_per_second=12, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Something that is done, and stays on the screen."""
        if self._live is not None:
            self._live.console.print(text, markup=False)
        else:
            self._lines.say(text)

    def __call__(self, text: str) -> None:
        """What is being waited for now; the rows of a terminal show that already."""
        if self._live is None:
            self._lines(text)

    def saw(self, seen: Sequence[Observation], proxy: ProxyObservation | None) -> None:
        """How far everything is."""
        found = [(one.node.name, one.state, one.role) for one in seen]
        if proxy is not None:
            found.append((proxy.proxy.name, proxy.state, "proxy"))
        for name, state, role in found:
            row = self._rows[name]
            row.state, row.role = state, role
            if state not in READY:
                row.ready_s = None
            elif row.ready_s is None:
                row.ready_s = time.monotonic() - self._begin

    def _drawn(self) -> Table:
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        assert self._spinner is not None
        for one in self._cluster.members:
            row = self._rows[one.name]
            ready = row.ready_s is not None
            took = f"{row.ready_s if row.ready_s is not None else time.monotonic() - self._begin:.1f} s"
            state = f"[{'green' if ready else 'yellow'}]{row.state}[/]"
            ports = "/".join(map(str, one.ports.values()))
            grid.add_row("[green]✓[/]" if ready else self._spinner, one.name, row.role, ports, state, f"[dim]{took}[/]")
        return grid


def _role(one: Member) -> str:
    return "proxy" if isinstance(one, LocalProxy) else one.role
