"""The rows that a failed write proposed: SQLite names the constraint, PostgreSQL shows the row too.

The planner's own text of the INSERT, UPDATE or DELETE is turned into a query that gives the rows it would write. It
runs after the failure only, and changes nothing. A text of another form gives None: then the error has no DETAIL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.sqltext import quote_identifier

_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[A-Za-z_]\w*|[(),]|[^\s\w'\"(),]+|\d[\w.]*")
_NAME: Final = r'"(?:[^"]|"")*"'
_TARGET: Final = rf"(?:(?:main|temp)\.)?({_NAME})(?: AS ({_NAME}))?"
_INSERT: Final = re.compile(rf"INSERT INTO {_TARGET} \(({_NAME}(?:, {_NAME})*)\) ")
_UPDATE: Final = re.compile(rf"UPDATE {_TARGET} SET ")
_DELETE: Final = re.compile(rf"DELETE FROM {_TARGET}")
_ASSIGNMENT: Final = re.compile(rf"({_NAME}) = ")
_ACTS: Final = re.compile(r"\b(?:node_\w+|pg_setval)\(")
"""Functions that do something, or wait: they are not called a second time."""
_COLUMN_NAME: Final = re.compile(_NAME)


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a write would have put into its table."""

    table: TableDef
    sql: str
    """A query whose columns are those of ``names``, first as they become, then as they were."""
    names: tuple[str, ...]
    was: bool
    """Whether the old values follow: an UPDATE. The rows of a DELETE are the old ones alone."""


def proposed(text: str, find_table: Callable[[str], TableDef | None]) -> Proposed | None:
    """The query for the rows of a write; ``find_table`` knows tables by SQLite's name. None: it cannot be told."""
    if _ACTS.search(text):
        return None
    start = next((at for at, word in _top_level(text) if word in ("INSERT", "UPDATE", "DELETE")), None)
    if start is None:
        return None
    for pattern, build in ((_INSERT, _inserted), (_UPDATE, _updated), (_DELETE, _deleted)):
        match = pattern.match(text, start)
        if match is not None:
            table = find_table(_unquoted(match[1]))
            # The number that the failed statement took is the one that currval() gives.
            found = build(text, match, table) if table is not None else None
            return (
                None
                if found is None or table is None
                else Proposed(table, _prefixed(text[:start], found[0]), *found[1:])
            )
    return None


Built = tuple[str, tuple[str, ...], bool]


def _prefixed(with_clause: str, select: str) -> str:
    return (with_clause + select).replace("pg_nextval", "pg_currval")


def _inserted(text: str, match: re.Match[str], table: TableDef) -> Built | None:
    given = [_unquoted(name) for name in _COLUMN_NAME.findall(match[3])]
    source = text[match.end() : _first(text, match.end(), ("ON", "RETURNING"))]
    names = tuple(column.name for column in table.columns)
    values = ", ".join(f"column{given.index(name) + 1}" if name in given else "NULL" for name in names)
    columns = ", ".join(f"column{number}" for number in range(1, len(given) + 1))
    return f"SELECT {values} FROM (WITH given({columns}) AS ({source.rstrip()}) SELECT * FROM given)", names, False


def _updated(text: str, match: re.Match[str], table: TableDef) -> Built | None:
    end = _first(text, match.end(), ("RETURNING",))
    where = min(_first(text, match.end(), ("WHERE",)), end)
    source = min(_first(text, match.end(), ("FROM",)), where)
    assigned: dict[str, str] = {}
    for piece in _split(text[match.end() : source]):
        assignment = _ASSIGNMENT.match(piece)
        if assignment is None:
            return None
        assigned[_unquoted(assignment[1])] = piece[assignment.end() :]
    alias = match[2] or match[1]
    names = tuple(column.name for column in table.columns)
    old = [f"{alias}.{quote_identifier(name)}" for name in names]
    new = [assigned.get(name, was) for name, was in zip(names, old, strict=True)]
    others = text[source:where].strip().removeprefix("FROM")
    joined = f",{others}" if others else ""
    target = text[match.start() + len("UPDATE ") : match.end() - len(" SET ")]
    return f"SELECT {', '.join(new + old)} FROM {target}{joined} {text[where:end]}", names, True


def _deleted(text: str, match: re.Match[str], table: TableDef) -> Built | None:
    alias = match[2] or match[1]
    names = tuple(column.name for column in table.columns)
    old = ", ".join(f"{alias}.{quote_identifier(name)}" for name in names)
    end = _first(text, match.end(), ("RETURNING",))
    return f"SELECT {old} FROM{text[match.start() + len('DELETE FROM') : end]}", names, False


def _top_level(text: str, start: int = 0) -> Iterator[tuple[int, str]]:
    """Words and commas outside of parentheses, strings and quoted names, with their positions."""
    depth = 0
    for match in _TOKEN.finditer(text, start):
        token = match[0]
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
        elif not depth:
            yield match.start(), token


def _first(text: str, start: int, words: tuple[str, ...]) -> int:
    return next((at for at, word in _top_level(text, start) if word in words), len(text))


def _split(text: str) -> list[str]:
    commas = [at for at, word in _top_level(text) if word == ","]
    starts = [0, *(at + 1 for at in commas)]
    return [text[begin:end].strip() for begin, end in zip(starts, [*commas, len(text)], strict=True)]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"')
