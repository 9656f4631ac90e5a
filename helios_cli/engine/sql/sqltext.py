"""Quoting for SQLite and PostgreSQL text."""

from __future__ import annotations

import re
from typing import Any

from helios_cli.engine.errors import SqlError

_NAME_PART = re.compile(r'(?:("(?:[^"]|"")+")|([^".]+))(?:\.|$)')
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def quote_identifier(name: str) -> str:
    """A SQLite identifier; always in double quotes, since SQLite's keywords are many and change."""
    return '"' + name.replace('"', '""') + '"'


def quote_string(text: str) -> str:
    """A SQLite string constant. SQLite ends its text at a NUL, which PostgreSQL's text cannot hold."""
    return "'" + text.replace("'", "''") + "'"


def constant(value: Any) -> str:
    """A SQLite constant for a stored value."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value) if value >= 0 else f"({value})"
    if isinstance(value, float):
        return _float_constant(value)
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return quote_string(value)


def _float_constant(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "9e999" if value > 0 else "(-9e999)"
    text = repr(value)
    return text if value >= 0 and text[0] != "-" else f"({text})"


def like_to_glob(pattern: str, escape: str = "\\") -> str:
    """The GLOB pattern that matches what PostgreSQL's LIKE pattern matches; GLOB is case sensitive.

    Raises:
        SqlError: 22025, the pattern ends with the escape character.
    """
    out: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == escape and escape:
            literal = next(characters, None)
            if literal is None:
                raise SqlError("LIKE pattern must not end with escape character", sqlstate="22025")
            out.append(f"[{literal}]" if literal in "*?[" else literal)
        elif character == "%":
            out.append("*")
        elif character == "_":
            out.append("?")
        else:
            out.append(f"[{character}]" if character in "*?[" else character)
    return "".join(out)


def split_name(text: str) -> list[str]:
    """The parts of a possibly qualified, possibly quoted name as PostgreSQL folds it; empty when it is none."""
    parts = []
    at = 0
    for match in _NAME_PART.finditer(text):
        if match.start() != at:
            return []
        quoted, plain = match[1], match[2]
        parts.append(quoted[1:-1].replace('""', '"') if quoted else plain.lower())
        at = match.end()
    return parts if at == len(text) and not text.endswith(".") else []


def pg_identifier(name: str) -> str:
    """An identifier as PostgreSQL prints it: quoted only where it must be."""
    return name if _PLAIN.fullmatch(name) else quote_identifier(name)
