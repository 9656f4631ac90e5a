"""The interactive session: prompt, history, several lines, completion."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import PostgresLexer

from helios_cli.commands.shell.complete import NAMES_QUERY, SqlCompleter
from helios_cli.commands.shell.runner import Quit, Shell, error_lines
from helios_cli.commands.shell.split import split
from helios_cli.engine.errors import HeliosError

if TYPE_CHECKING:
    from helios_cli.engine.net.pgclient import PgClient

_SECRET: Final = re.compile(r"\bpassword\b", re.IGNORECASE)
_SCHEMA_CHANGE: Final = re.compile(r"^\s*(create|alter|drop|\\i|\\e)\b", re.IGNORECASE)


class QuietHistory(FileHistory):
    """A history on disk that never holds a password."""

    def store_string(self, string: str) -> None:
        """Keep a line, unless it speaks of a password."""
        if not _SECRET.search(string):
            super().store_string(string)


def history_file(environ: dict[str, str]) -> Path:
    """Where the history is kept: HELIOSDB_HISTORY, else the user's state directory."""
    if environ.get("HELIOSDB_HISTORY"):
        return Path(environ["HELIOSDB_HISTORY"])
    state = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "heliosdb" / "history"


def make_history() -> History:
    """The history on disk, or one in memory where the disk refuses."""
    path = history_file(dict(os.environ))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return QuietHistory(str(path))


class Names:
    """The relations and columns of the database, asked once and again after a change of the schema."""

    def __init__(self, client: Callable[[], PgClient]) -> None:
        self._client = client
        self._known: dict[str, list[str]] | None = None

    def forget(self) -> None:
        """Ask again next time."""
        self._known = None

    def __call__(self) -> dict[str, list[str]]:
        """Columns by relation; empty while a failed transaction answers nothing."""
        client = self._client()
        if self._known is None and client.transaction_status != "E":
            self._known = {}
            try:
                for result in client.execute(NAMES_QUERY):
                    for relation, column in result.rows:
                        self._known.setdefault(str(relation), []).append(str(column))
            except HeliosError:
                return {}
        return self._known or {}


def interact(shell: Shell) -> int:
    r"""Read, run and print until ``\q`` or Ctrl-D; errors are printed and the session goes on."""
    names = Names(lambda: shell.client)
    session = _session(names)
    version = shell.client.parameters.get("server_version", "unknown")
    print(f"heliosdb-cli, server {version}\nType \\? for help, \\q to leave.\n")
    while True:
        try:
            text = session.prompt(_prompt(shell), prompt_continuation=lambda *_: "... ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return 0
        if not text.strip():
            continue
        if _SCHEMA_CHANGE.match(text):
            names.forget()
        try:
            run_input(shell, text)
        except Quit:
            return 0


def run_input(shell: Shell, text: str) -> None:
    """Run what was entered; every error is printed, a lost connection is made again.

    Raises:
        Quit: the user leaves.
    """
    try:
        if text.lstrip().startswith("\\"):
            shell.command(text.strip())
        else:
            cut = split(text)
            for statement in (*cut.statements, *([cut.rest.strip()] if cut.rest.strip() else [])):
                shell.run(statement)
    except HeliosError as error:
        print("\n".join(error_lines(error, shell.last)), file=sys.stderr)
        if error.sqlstate.startswith(("08", "57P")):
            said = "succeeded" if shell.reconnect() else "failed"
            print(f"The connection was lost; reconnecting {said}.", file=sys.stderr)
    except OSError as error:
        print(f"ERROR: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)


def edit_text(text: str) -> str:
    """Open the user's editor on a text and return what was saved.

    Raises:
        HeliosError: the editor failed.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w+", suffix=".sql") as file:
        file.write(text)
        file.flush()
        code = subprocess.call([*editor.split(), file.name])
        if code != 0:
            raise HeliosError(f"the editor {editor} ended with {code}", hint="Set EDITOR to one that is installed.")
        return Path(file.name).read_text()


def is_complete(text: str) -> bool:
    """Whether Enter ends the input: a backslash command, or nothing open after the last semicolon."""
    return text.lstrip().startswith("\\") or not text.strip() or split(text).state == "="


def _session(names: Names) -> PromptSession[str]:
    session: PromptSession[str] = PromptSession(
        history=make_history(),
        completer=SqlCompleter(names),
        complete_while_typing=False,
        lexer=PygmentsLexer(PostgresLexer),
        multiline=Condition(lambda: not is_complete(session.default_buffer.document.text)),
        key_bindings=_keys(),
    )
    return session


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _run_anyway(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return keys


def _prompt(shell: Shell) -> str:
    mark = {"T": "*", "E": "!"}.get(shell.client.transaction_status, "")
    return f"{shell.client.target.database}={mark}> "
