"""The record that describes one PostgreSQL type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SqliteValue = None | int | float | str | bytes
"""What SQLite stores and returns; the same union as ``engine.sql.plan.SqliteValue``."""


@dataclass(frozen=True, slots=True, eq=False)
class PgType:
    """A PostgreSQL type and how SQLite values stand for it.

    The four conversions never see NULL. ``parse_*`` raise ``SqlError`` with PostgreSQL's text and SQLSTATE.
    ``format_text`` accepts any storage class and never raises; ``format_binary`` raises when a value of another
    storage class cannot be converted.
    """

    oid: int
    name: str
    """PostgreSQL's internal name: 'int4', '_int4', 'timestamptz'."""
    sql_name: str
    """As ``format_type`` prints it without a modifier: 'integer', 'integer[]'."""
    typlen: int
    """Bytes in PostgreSQL, -1 variable, -2 a C string; for RowDescription."""
    array_oid: int
    """0 when there is no array type of it."""
    category: str
    """pg_type.typcategory: 'N' number, 'S' string, 'D' date/time, 'T' timespan, 'B' boolean, 'A' array, 'U' user..."""
    decl: str
    """SQLite's declared type without a modifier; see ``declared``."""
    parse_text: Callable[[str], Any]
    format_text: Callable[[Any], bytes]
    parse_binary: Callable[[bytes], Any]
    format_binary: Callable[[Any], bytes]
    preferred: bool = False
    """pg_type.typispreferred: the type its category converts to."""
    kind: str = "b"
    """pg_type.typtype: 'b' base, 'p' pseudo."""
    elem_oid: int = 0
    """Of an array: its elements' type; else 0."""
