"""Quoting for SQLite and PostgreSQL text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.errors import SqlError

_NAME_PART = re.compile(r'(?:("(?:[^"]|"")+")|([^".]+))(?:\.|$)')
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED: Final = frozenset(
    (
        "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "between",
        "bigint", "binary", "bit", "boolean", "both", "case", "cast", "char", "character", "check", "coalesce",
        "collate", "collation", "column", "concurrently", "constraint", "create", "cross", "current_catalog",
        "current_date", "current_role", "current_schema", "current_time", "current_timestamp", "current_user",
        "dec", "decimal", "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "exists",
        "extract", "false", "fetch", "float", "for", "foreign", "freeze", "from", "full", "grant", "greatest",
        "group", "grouping", "having", "ilike", "in", "initially", "inner", "inout", "int", "integer", "intersect",
        "interval", "into", "is", "isnull", "join", "lateral", "leading", "least", "left", "like", "limit",
        "localtime", "localtimestamp", "national", "natural", "nchar", "none", "normalize", "not", "notnull",
        "null", "nullif", "numeric", "offset", "on", "only", "or", "order", "out", "outer", "overlaps", "overlay",
        "placing", "position", "precision", "primary", "real", "references", "returning", "right", "row", "select",
        "session_user", "setof", "similar", "smallint", "some", "substring", "symmetric", "table", "tablesample",
        "then", "time", "timestamp", "to", "trailing", "treat", "trim", "true", "union", "unique", "user", "using",
        "values", "varchar", "variadic", "verbose", "when", "where", "window", "with", "xmlattributes", "xmlconcat",
        "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot", "xmlserialize",
        "xmltable", "system_user",
    )
)  # fmt: skip
"""Keywords that are not free as column names (kwlist.h), which are quoted; of version 17 the last one."""


@lru_cache(4096)
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
    return name if _PLAIN.fullmatch(name) and name not in _RESERVED else quote_identifier(name)


_FALSE: Final = re.compile(r"(?<![\w.'\"])0(?![\w.'\"])")


def may_fold(text: str) -> bool:
    """Whether SQLite may make a bare 0 of an expression while it reads it, which would be the place of a column.

    It does so with AND of which one side is that.
    """
    return " AND " in text and _FALSE.search(text) is not None
