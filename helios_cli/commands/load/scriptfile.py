r"""The text of a pgbench script, cut into commands: SQL statements, and lines that begin with a backslash.

A statement ends at a semicolon that is in no quotes, comment or parentheses, or at a backslash; ``\;`` joins two of
them into one query. A backslash command ends with its line, or goes on behind a backslash at the end of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from helios_cli.commands.load.expressions import Reckon, compiled
from helios_cli.engine.errors import ConfigError

VARIABLE: Final = re.compile(r":(?::+|([^\W\d]\w*))")
"""A variable in a statement; several colons are none."""
NAME: Final = re.compile(r"[^\W\d]\w*")
UNITS_S: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

PARAMETERS_MAX: Final = 255
"""Of one statement."""

_SQL: Final = re.compile(
    r"""
      (?P<comment>--[^\n]*) | (?P<block>/\*)
    | \b[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) | '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z)
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<joint>\\[;:]) | (?P<backslash>\\) | (?P<end>;) | (?P<open>\() | (?P<close>\)) | [\w$]+ | .
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK: Final = re.compile(r"/\*|\*/")
_LEADING: Final = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z))*")


@dataclass(frozen=True, slots=True)
class Command:
    """One statement, or one line."""

    line: int
    kind: str
    """``sql``, or the word behind the backslash."""
    text: str
    """The SQL; the time of ``sleep``."""
    name: str = ""
    """The variable of ``set``; the unit of ``sleep``; what stands before the columns of ``gset`` and ``aset``."""
    reckon: Reckon | None = None
    """Of ``set``, ``if`` and ``elif``."""
    gather: str = ""
    """``gset`` or ``aset``: the columns of its last row become variables."""


def read(path: Path) -> list[Command]:
    """The commands of a file.

    Raises:
        ConfigError: it cannot be read, or a line of it is not understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    commands = _commands(text, str(path))
    if not any(command.kind == "sql" for command in commands):
        raise ConfigError(f"{path} has no statement")
    _check_conditions(commands, str(path))
    return commands


def _commands(text: str, path: str) -> list[Command]:
    commands: list[Command] = []
    place = 0
    while place < len(text):
        began = _LEADING.match(text, place)
        assert began is not None, "it may be empty"
        place = began.end()
        sql, place, at_backslash = _statement(text, place)
        if sql:
            commands.append(Command(text.count("\n", 0, began.end()) + 1, "sql", sql))
        if at_backslash:
            line = text.count("\n", 0, place) + 1
            words, place = _rest_of_line(text, place)
            _add_backslash(commands, words, line, f"{path}:{line}")
    return commands


def _statement(text: str, place: int) -> tuple[str, int, bool]:
    """The SQL from a place on, where what follows it begins, and whether that is a backslash command."""
    parts: list[str] = []
    depth = 0
    while place < len(text):
        match = _SQL.match(text, place)
        assert match is not None, "the last alternative takes any character"
        end = match.end()
        kind = match.lastgroup
        if kind == "block":
            end = _comment_end(text, place)
        elif kind == "dollar":
            close = text.find(match[0], end)
            end = close + len(match[0]) if close >= 0 else len(text)
        elif kind == "backslash":
            return "".join(parts).strip(), end, True
        elif kind == "end" and depth == 0:
            return "".join(parts).strip(), end, False
        depth = max(0, depth + (kind == "open") - (kind == "close"))
        parts.append(match[0][1] if kind == "joint" else text[place:end])
        place = end
    return "".join(parts).strip(), place, False


def _comment_end(text: str, place: int) -> int:
    """Behind a comment, which may hold others."""
    depth = 0
    for match in _BLOCK.finditer(text, place):
        depth += 1 if match[0] == "/*" else -1
        if not depth:
            return match.end()
    return len(text)


def _rest_of_line(text: str, place: int) -> tuple[str, int]:
    match = re.compile(r"(?:\\\r?\n|[^\n])*").match(text, place)
    assert match is not None, "it may be empty"
    return re.sub(r"\\\r?\n", " ", match[0]).strip(), min(match.end() + 1, len(text))


# Backslash commands ---------------------------------------------------------------------------------------------------


def _add_backslash(commands: list[Command], text: str, line: int, where: str) -> None:
    word, _, rest = text.partition(" ") if text else ("", "", "")
    word, rest = (word.split() or [""])[0].lower(), rest.strip()
    if word in ("gset", "aset"):
        _gather(commands, word, rest, where)
    elif word in _MADE:
        commands.append(replace(_MADE[word](rest, where), line=line, kind=word))
    elif word in ("shell", "setshell"):
        raise ConfigError(
            f"{where}: \\{word} is refused: it would run a program here for each transaction",
            hint="Give the value with -D NAME=VALUE, or ask the server for it: SELECT ... \\gset.",
        )
    else:
        known = ", ".join(f"\\{one}" for one in (*_MADE, "gset", "aset"))
        raise ConfigError(f"{where}: \\{word} is not understood", hint=f"There are {known}.")


def _gather(commands: list[Command], word: str, rest: str, where: str) -> None:
    if not commands or commands[-1].kind != "sql" or commands[-1].gather:
        raise ConfigError(f"{where}: \\{word} must follow a SQL command")
    if len(rest.split()) > 1:
        raise ConfigError(f"{where}: \\{word} takes one word, which goes before the names of the columns")
    commands[-1] = replace(commands[-1], gather=word, name=rest)


def _set(rest: str, where: str) -> Command:
    name, *expression = rest.split(None, 1)
    if not rest or not NAME.fullmatch(name) or not expression:
        raise ConfigError(f"{where}: \\set takes a name and an expression")
    return Command(0, "", rest, name, compiled(expression[0], where))


def _condition(rest: str, where: str) -> Command:
    if not rest:
        raise ConfigError(f"{where}: a condition is missing")
    return Command(0, "", rest, reckon=compiled(rest, where))


def _sleep(rest: str, where: str) -> Command:
    match = re.fullmatch(r"([-+]?\d+|:[^\W\d]\w*)\s*(us|ms|s)?", rest, re.IGNORECASE)
    if match is None:
        raise ConfigError(f"{where}: \\sleep takes a whole number and us, ms or s")
    return Command(0, "", match[1], (match[2] or "s").lower())


def _bare(rest: str, where: str) -> Command:
    if rest:
        raise ConfigError(f"{where}: unexpected argument {rest!r}")
    return Command(0, "", "")


_MADE: Final[dict[str, Callable[[str, str], Command]]] = {
    "set": _set, "if": _condition, "elif": _condition, "else": _bare, "endif": _bare, "sleep": _sleep,
    "startpipeline": _bare, "endpipeline": _bare,
}  # fmt: skip


def _check_conditions(commands: Sequence[Command], path: str) -> None:
    r"""Raise ConfigError when \if, \elif, \else and \endif do not match."""
    opened: list[tuple[int, bool]] = []
    for command in commands:
        where, is_last = f"{path}:{command.line}", bool(opened) and opened[-1][1]
        if command.kind == "if":
            opened.append((command.line, False))
        elif command.kind in ("elif", "else", "endif") and not opened:
            raise ConfigError(f"{where}: \\{command.kind} without matching \\if")
        elif command.kind in ("elif", "else") and is_last:
            raise ConfigError(f"{where}: \\{command.kind} after \\else")
        elif command.kind == "else":
            opened[-1] = (opened[-1][0], True)
        elif command.kind == "endif":
            opened.pop()
    if opened:
        raise ConfigError(f"{path}:{opened[-1][0]}: \\if without matching \\endif")


def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement with ``$1``, ``$2``, ... in place of its variables, and their names."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        names.append(match[1])
        return f"${len(names)}"

    return VARIABLE.sub(number, sql), tuple(names)
