"""The shell without its prompt: statements and backslash commands in, text out."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, TextIO

from helios_cli.commands.shell import meta, render
from helios_cli.commands.shell.split import split, split_script
from helios_cli.engine.errors import HeliosError

if TYPE_CHECKING:
    from helios_cli.engine.net.pgclient import PgClient, Result

_COPY_IN: Final = re.compile(r"\s*copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_COPY_OUT: Final = re.compile(r"\s*copy\b.*\bto\s+stdout\b", re.IGNORECASE | re.DOTALL)
INCLUDE_DEPTH_MAX: Final = 16
"""Files that include files; more is a file that includes itself."""


@dataclass(slots=True)
class Look:
    """How results are printed."""

    form: str = "aligned"
    """``aligned``, ``csv`` or ``json``."""
    expanded: bool = False
    timing: bool = False
    null: str = ""
    rich: bool = False
    """Draw tables for a terminal."""


class Quit(Exception):
    r"""``\q``."""


class Shell:
    """Runs what it is given on one connection.

    Args:
        connect: makes a new connection; used again when the old one is lost in an interactive session.
        edit: opens an editor on a text and returns the new one.
    """

    def __init__(
        self,
        connect: Callable[[], PgClient],
        look: Look,
        out: TextIO,
        *,
        interactive: bool = False,
        edit: Callable[[str], str] | None = None,
    ) -> None:
        self._connect = connect
        self.client = connect()
        self.look = look
        self.out = out
        self.interactive = interactive
        self.last = ""
        """The statement that ran last."""
        self._edit = edit
        self._terminal = out
        self._depth = 0

    def close(self) -> None:
        r"""Close the connection and the file of ``\o``."""
        self._redirect("")
        self.client.close()

    # Statements

    def run(self, sql: str) -> None:
        """Send a text as one query and print what it gives.

        Raises:
            HeliosError: the server's error, or the connection is lost.
        """
        self.last = sql
        begin = time.perf_counter()
        with self._cancel_on_interrupt():
            if _COPY_IN.match(sql):
                self._print_tag(self.client.copy_in(sql, sys.stdin.buffer))
            elif _COPY_OUT.match(sql):
                self.out.flush()
                self.client.copy_out(sql, self.out.buffer if hasattr(self.out, "buffer") else sys.stdout.buffer)
            elif self.look.form == "aligned":
                for result in self.client.execute(sql):
                    self._print(table_of(result))
            else:
                self._print_stream(sql)
        if self.look.timing:
            print(f"Time: {(time.perf_counter() - begin) * 1000:.3f} ms", file=self.out)

    def run_script(self, text: str) -> None:
        """Run statement by statement, with backslash commands at the beginnings of lines; the first error ends it."""
        pending = ""
        for line in text.splitlines(keepends=True):
            if line.startswith("\\") and not pending.strip():
                self.command(line.strip())
                continue
            pending += line
            if ";" in line:
                cut = split(pending)
                for statement in cut.statements:
                    self.run(statement)
                pending = cut.rest
        for statement in split_script(pending):
            self.run(statement)

    def reconnect(self) -> bool:
        """Replace a lost connection; whether it worked."""
        with suppress(HeliosError):
            self.client = self._connect()
            return True
        return False

    @contextmanager
    def _cancel_on_interrupt(self) -> Iterator[None]:
        """Make Ctrl-C cancel the statement and keep the connection."""

        def cancel(_number: int, _frame: FrameType | None) -> None:
            with suppress(HeliosError):
                self.client.cancel()

        if not self.interactive:
            yield
            return
        old = signal.signal(signal.SIGINT, cancel)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, old)

    # Printing

    def _print(self, table: render.Table) -> None:
        if not table.has_rows:
            self._print_tag(table.tag)
        elif self.look.expanded:
            print(render.expanded(table, null=self.look.null), file=self.out)
        elif self.look.rich and self.out is self._terminal:
            from rich.console import Console

            Console(file=self.out, highlight=False).print(render.rich_table(table, self.look.null))
            print(render.count_line(len(table.rows)), file=self.out)
        else:
            print(render.aligned(table, null=self.look.null), file=self.out)
            print(file=self.out)

    def _print_tag(self, tag: str) -> None:
        if not tag or self.look.form == "csv":
            return
        if self.look.form == "json":
            print(render.as_json_lines(render.Table((), (), (), tag)), file=self.out)
        else:
            print(tag, file=self.out)

    def _print_stream(self, sql: str) -> None:
        """CSV and JSON leave batch by batch, however large the result is."""
        first = True
        for result in self.client.stream(sql):
            table = table_of(result)
            if not table.has_rows:
                self._print_tag(table.tag)
                continue
            text = render.as_csv(table) if self.look.form == "csv" else render.as_json_lines(table)
            if self.look.form == "csv" and not first:
                text = text.partition("\n")[2]  # the header stands once
            if text:
                print(text, file=self.out)
            first = bool(result.tag)

    # Backslash commands

    def command(self, line: str) -> None:
        r"""Run a backslash command.

        Raises:
            Quit: it was ``\q``.
            HeliosError: unknown command, or what it did failed.
        """
        name, _, argument = line.rstrip(";").strip().partition(" ")
        argument = argument.strip()
        query = meta.catalog_query(name, argument)
        if query is not None:
            self._run_apart(query)
        elif name.rstrip("+") == "\\d":
            self._describe(argument)
        elif name in self._ACTIONS:
            self._ACTIONS[name](self, argument)
        else:
            raise HeliosError(f"invalid command {name}", sqlstate="42601", hint="Try \\? for help.")

    def _run_apart(self, query: str) -> None:
        r"""Run a query of our own, which ``\e`` does not bring back."""
        last = self.last
        try:
            self.run(query)
        finally:
            self.last = last

    def _describe(self, name: str) -> None:
        for index, (heading, query) in enumerate(meta.describe_queries(name)):
            for result in self.client.execute(query):
                if index == 0 or result.rows:
                    if self.look.form == "aligned":
                        print(f'{heading} of "{name}"', file=self.out)
                    self._show(table_of(result))

    def _show(self, table: render.Table) -> None:
        if self.look.form == "csv":
            print(render.as_csv(table), file=self.out)
        elif self.look.form == "json":
            print(render.as_json_lines(table), file=self.out)
        else:
            self._print(table)

    def _set_expanded(self, argument: str) -> None:
        self.look.expanded = _switched(self.look.expanded, argument)
        print(f"Expanded display is {'on' if self.look.expanded else 'off'}.", file=self.out)

    def _set_timing(self, argument: str) -> None:
        self.look.timing = _switched(self.look.timing, argument)
        print(f"Timing is {'on' if self.look.timing else 'off'}.", file=self.out)

    def _include(self, argument: str) -> None:
        if self._depth >= INCLUDE_DEPTH_MAX:
            raise HeliosError(f"{argument}: more than {INCLUDE_DEPTH_MAX} files include each other", sqlstate="54001")
        self._depth += 1
        try:
            self.run_script(Path(argument).expanduser().read_text())
        finally:
            self._depth -= 1

    def _redirect(self, argument: str) -> None:
        if self.out is not self._terminal:
            self.out.close()
            self.out = self._terminal
        if argument:
            self.out = Path(argument).expanduser().open("w")

    def _edit_and_run(self, argument: str) -> None:
        if self._edit is None:
            raise HeliosError("\\e needs a terminal", sqlstate="0A000")
        text = self._edit(Path(argument).expanduser().read_text() if argument else self.last)
        print(text.rstrip(), file=self.out)
        self.run_script(text)

    def _help(self, _argument: str) -> None:
        size = max(len(one.usage) for one in meta.HELP)
        for one in meta.HELP:
            print(f"  {one.usage.ljust(size)}  {one.help}", file=self.out)

    def _connection_info(self, _argument: str) -> None:
        target = self.client.target
        secured = "with TLS" if self.client.tls else "without TLS"
        print(
            f'Connected to "{target.database}" as "{target.user}" at {target.host}:{target.port}, {secured}; '
            f"server {self.client.parameters.get('server_version', 'unknown')}.",
            file=self.out,
        )

    def _quit(self, _argument: str) -> None:
        raise Quit

    def _echo(self, argument: str) -> None:
        print(argument, file=self.out)

    _ACTIONS: Final[dict[str, Callable[[Shell, str], None]]] = {
        "\\q": _quit,
        "\\x": _set_expanded,
        "\\timing": _set_timing,
        "\\i": _include,
        "\\o": _redirect,
        "\\e": _edit_and_run,
        "\\echo": _echo,
        "\\conninfo": _connection_info,
        "\\?": _help,
    }


def table_of(result: Result) -> render.Table:
    """A result of the client as the printers take it."""
    columns = result.columns or ()
    return render.Table(
        tuple(one.name for one in columns), tuple(one.type_oid for one in columns), result.rows, result.tag
    )


def error_lines(error: HeliosError, sql: str = "") -> list[str]:
    """An error as lines, the place in the statement marked when the server tells it."""
    lines = [f"{error.severity}: {error.message}"]
    if error.position and sql:
        before = sql[: error.position - 1]
        number, column = before.count("\n"), len(before) - (before.rfind("\n") + 1)
        head = f"LINE {number + 1}: "
        lines += [head + ([*sql.split("\n"), ""])[number], " " * (len(head) + column) + "^"]
    lines += [f"DETAIL: {error.detail}"] if error.detail else []
    return [*lines, f"HINT: {error.hint}"] if error.hint else lines


def _switched(current: bool, argument: str) -> bool:
    try:
        return meta.switch(current, argument)
    except ValueError as error:
        raise HeliosError(str(error), sqlstate="22023") from None
