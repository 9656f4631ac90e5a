"""``cluster logs``: what the nodes and the proxy say, in one order of time."""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from helios_cli.commands import _options
from helios_cli.commands._cluster import Directory
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import console, print_json

if TYPE_CHECKING:
    from rich.text import Text

    from helios_cli.commands.local.loglines import Entry, Wanted
    from helios_cli.commands.local.logtail import FarTail, Tail
    from helios_cli.engine.remote.errors import HostError

FOLLOWED_FROM: Final = 20
POLL_S: Final = 0.25
"""Also how long an entry waits for older ones of other nodes."""

NODE_COLOURS: Final = ("cyan", "magenta", "green", "blue", "yellow", "bright_cyan", "bright_magenta", "bright_green")
LEVEL_COLOURS: Final = {"debug": "dim", "warning": "yellow", "error": "bold red", "critical": "bold white on red"}

Names: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="[NODE]...", help="Nodes, @primary or proxy. \\[all]")
]
Follow: TypeAlias = Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes, until Ctrl-C.")]
Lines: TypeAlias = Annotated[
    int | None, typer.Option("-n", "--lines", min=0, help="Only the last so many. \\[all; 20 with -f without --since]")
]
Level: TypeAlias = Annotated[
    str, typer.Option("--level", metavar="debug|info|warning|error|critical", help="The least grave.")
]
Grep: TypeAlias = Annotated[
    str | None, typer.Option("--grep", metavar="REGEX", help="Only entries with this in them, in any case.")
]
Since: TypeAlias = Annotated[
    str | None, typer.Option("--since", metavar="AGO|TIME", help="90s, 10min, 2h, 1d, or 2026-01-31 12:00 in UTC.")
]


def logs(
    nodes: Names = None,
    follow: Follow = False,
    lines: Lines = None,
    level: Level = "debug",
    grep: Grep = None,
    since: Since = None,
    directory: Directory = None,
    as_json: _options.Json = False,
) -> int:
    """Print the logs of all nodes and of the proxy, or of some, merged by time.

    A log that is rotated, a node that is restarted and one that has not said anything yet are followed all the same.
    Exit code 6 when a host could not be asked for its logs.

    Examples:

        heliosdb-nano cluster logs -f

        heliosdb-nano cluster logs --level warning --since 10min

        heliosdb-nano cluster logs @primary proxy --grep "failover|lease" --json
    """
    from helios_cli.commands.local import acts, clusterfile, logtail

    wanted = _wanted(level, grep, since)
    doing = acts.Acts(clusterfile.load(directory))
    members = [doing.member(name) for name in dict.fromkeys(nodes or doing.names)]
    tails = [logtail.of(doing.cluster, one) for one in members]
    most = lines if lines is not None else FOLLOWED_FROM if follow and not since else None
    printer = _Printer([one.name for one in members], wanted, as_json)
    lost: dict[HostError, None] = {}
    try:
        found: Iterable[Entry] = (one for one in logtail.histories(tails) if wanted.has(one))
        printer.print(found if most is None else deque(found, maxlen=most))
        lost = dict.fromkeys(tail.problem for tail in tails if tail.problem is not None)
        for problem in lost:
            typer.echo(f"warning: {problem.message}", err=True)
        if follow:
            _follow(tails, printer)
    except KeyboardInterrupt:
        pass
    finally:
        for tail in tails:
            tail.close()
    return ExitCode.DEGRADED if lost else ExitCode.OK


def _wanted(level: str, grep: str | None, since: str | None) -> Wanted:
    from helios_cli.commands.local import loglines

    if level not in loglines.LEVELS:
        raise typer.BadParameter(f"--level is one of {', '.join(loglines.LEVELS)}, not {level!r}")
    try:
        pattern = re.compile(grep, re.IGNORECASE) if grep is not None else None
    except re.error as error:
        raise typer.BadParameter(f"--grep {grep!r} is no regular expression: {error}") from None
    try:
        first = loglines.since(since, time.time()) if since is not None else ""
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"--since takes 90s, 10min, 2h, 1d or 2026-01-31 12:00, not {since!r}") from None
    return loglines.Wanted(level, pattern, first)


def _follow(tails: Sequence[Tail | FarTail], printer: _Printer) -> None:
    from helios_cli.commands.local import logtail

    while True:
        sys.stdout.flush()
        time.sleep(POLL_S)
        printer.print(one for one in logtail.all_news(tails) if printer.wanted.has(one))


class _Printer:
    """Entries as lines: a colour for each node and level on a terminal, JSON for programs, else plain."""

    def __init__(self, names: Sequence[str], wanted: Wanted, as_json: bool) -> None:
        self.wanted = wanted
        self._as_json = as_json
        self._width = max(map(len, names))
        self._colours = {name: NODE_COLOURS[number % len(NODE_COLOURS)] for number, name in enumerate(names)}
        self._screen = console() if sys.stdout.isatty() and not as_json else None

    def print(self, entries: Iterable[Entry]) -> None:
        """Print them as they come."""
        for one in entries:
            if self._as_json:
                print_json(one.record())
            elif self._screen is not None:
                self._screen.print(self._drawn(one), soft_wrap=True)
            else:
                first, *more = one.message.split("\n")
                text = "\n".join([self._said(one) + first, *more])
                print(f"{one.time:23} {one.node:{self._width}} {one.level.upper():8} {text}{_fields(one)}")

    def _said(self, one: Entry) -> str:
        from helios_cli.commands.local.loglines import PACKAGE

        return f"{one.logger.removeprefix(PACKAGE)}: " if one.logger else ""

    def _drawn(self, one: Entry) -> Text:
        from rich.text import Text

        text = Text()
        text.append(one.time[11:] or " " * 12, "dim")
        text.append(f" {one.node:{self._width}} ", self._colours[one.node])
        text.append(f"{one.level.upper():8} ", LEVEL_COLOURS.get(one.level, ""))
        text.append(self._said(one), "dim")
        message = Text(one.message + _fields(one), LEVEL_COLOURS.get(one.level, "") if one.level == "debug" else "")
        if self.wanted.pattern is not None:
            message.highlight_regex(self.wanted.pattern, "bold underline")
        return text.append_text(message)


def _fields(one: Entry) -> str:
    return "".join(f" {name}={value}" for name, value in one.fields.items())
