"""Where everybody looks types up: by oid, by name, by SQLite's declared type."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from helios_cli.engine.datatypes.arrays import read_array, write_array
from helios_cli.engine.datatypes.catalog import build_types
from helios_cli.engine.datatypes.composite import RowCodec
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.pgtype import PgType, SqliteValue
from helios_cli.engine.datatypes.typmods import INTERVAL_FIELDS, apply_scalar, typmod_args, typmod_of, with_typmod
from helios_cli.engine.datatypes.usertypes import RECORD, RECORD_ARRAY, is_row_array, user_type
from helios_cli.engine.errors import SqlError


def _all_types() -> dict[int, PgType]:
    """The table, with the conversions of rows for record and record[], which need all other types."""
    types = build_types()
    for oid in (RECORD, RECORD_ARRAY):
        codec = RowCodec(lambda field: by_oid(field), array=oid == RECORD_ARRAY)
        types[oid] = replace(
            types[oid], parse_text=codec.parse_text, format_text=codec.format_text, parse_binary=codec.parse_binary,
            format_binary=codec.format_binary,
        )  # fmt: skip
    return types


TYPES: Final[dict[int, PgType]] = _all_types()
"""Every type of PostgreSQL that is known, by oid; users' types are found by :func:`by_oid` and :func:`find_oid`."""


def row_codec(oid: int) -> RowCodec:
    """The conversions of a row type, or of an array of rows, with what they offer beyond other types'."""
    return RowCodec(by_oid, array=is_row_array(oid))


_BY_INTERNAL: Final[dict[str, PgType]] = {pg_type.name: pg_type for pg_type in TYPES.values()}
_BY_DECL: Final[dict[str, PgType]] = {pg_type.decl: pg_type for pg_type in TYPES.values()}

_ALIASES: Final = {
    "int": "int4", "dec": "numeric", "decimal": "numeric", "float": "float8", "char": "bpchar",
    "character": "bpchar", "national character": "bpchar", "national char": "bpchar", "nchar": "bpchar",
    "char varying": "varchar", "national character varying": "varchar", "national char varying": "varchar",
    "nchar varying": "varchar", "time": "time", "timestamp": "timestamp", "bit varying": "varbit",
    "time with time zone": "timetz", "timestamp with time zone": "timestamptz",
}  # fmt: skip
_BY_SQL: Final[dict[str, PgType]] = (
    {name: pg_type for name, pg_type in _BY_INTERNAL.items() if name not in ("char", "any")}
    | {pg_type.sql_name: pg_type for pg_type in TYPES.values()}
    | {alias: _BY_INTERNAL[name] for alias, name in _ALIASES.items()}
)

_NAME: Final = re.compile(
    r"""\s*(?:pg_catalog\s*\.\s*)?("[^"]+"|[^()\[\]"]+?)\s*(?:(\(.*?\))\s*([a-z ]*?))?\s*"""
    r"""((?:\[\s*\d*\s*\]|\barray)*)\s*"""
)
_DECL: Final = re.compile(r"\s*([^()]*?)\s*(?:\(\s*([+-]?\d+)\s*(?:,\s*([+-]?\d+)\s*)?\))?\s*")
_QUOTED: Final = re.compile(r'\s*(?:(?:"([^"]+)"|(\w+))\s*\.\s*)?"([^"]+)"((?:\s*\[\s*\d*\s*\])*)\s*')
_FOREIGN: Final = {
    "datetime": "timestamp",
    "interval_text": "interval",
    "blob": "bytea",
    "clob": "text",
    "tinyint": "int2",
    "mediumint": "int4",
}
"""Declared types that SQLite programs write and PostgreSQL does not have."""
_SINGLE_MAX: Final = 24
"""float(1) to float(24) is real, float(25) to float(53) double precision."""


def by_oid(oid: int) -> PgType:
    """The type of an oid.

    Raises:
        KeyError: there is no such type.
    """
    try:
        return TYPES[oid]
    except KeyError:
        found = user_type(oid, by_oid)
        if found is None:
            raise
        return found


def find_oid(oid: int) -> PgType | None:
    """The type of an oid; None when there is no such type."""
    return TYPES.get(oid) or user_type(oid, by_oid)


def by_internal_name(name: str) -> PgType | None:
    """A type by pg_type.typname ('int4', '_text', 'char' for "char"); None when there is none."""
    return _BY_INTERNAL.get(name)


def by_name(name: str) -> PgType | None:
    """A type by any SQL spelling without a modifier, in any case; None when there is none.

    'int', 'Character  Varying', 'int4[]', '"char"', 'pg_catalog.text'. Serial types are the planner's business.
    """
    words = " ".join(name.lower().split()).removeprefix("pg_catalog.")
    depth_free = re.sub(r"\s*(?:\[\s*\d*\s*\]|\barray)+$", "", words)
    found = _BY_SQL.get(depth_free)
    if found is None and len(depth_free) > 2 and depth_free[0] == depth_free[-1] == '"':
        found = _BY_INTERNAL.get(depth_free[1:-1])
    if found is None or depth_free == words:
        return found
    return find_oid(found.array_oid)


def parse_type_name(text: str) -> tuple[int, int]:
    """(oid, typmod) of a type as SQL writes it: 'numeric(10,2)', 'timestamp(3) with time zone', 'text[]'.

    Raises:
        SqlError: 42704 when there is no such type, 22023 or 42601 for a bad modifier.
    """
    quoted = _QUOTED.fullmatch(text) if '"' in text else None
    if quoted is not None:
        return _by_quoted_name(text, quoted)
    match = _NAME.fullmatch(text.lower())
    if match is None:
        raise unknown_type(text)
    head, numbers, rest, brackets = match.groups()
    args = tuple(int(part) for part in re.findall(r"[+-]?\d+", numbers or ""))
    words = " ".join(f"{head} {rest or ''}".split())
    if words.startswith("interval"):
        return _array_if(1186, typmod_of(1186, _interval_args(words, args)), brackets)
    found = _float_of(args) if words == "float" and args else by_name(words)
    if found is None:
        raise unknown_type(text)
    if words in ("char", "character", "bit", "nchar") and not args:
        args = (1,)
    typmod = -1 if words == "float" else typmod_of(found.elem_oid or found.oid, args, found.name)
    return _array_if(found.oid, typmod, brackets)


def _by_quoted_name(text: str, quoted: re.Match[str]) -> tuple[int, int]:
    """(oid, -1) of ``"pg_catalog"."int4"``: quotes stand around the name that pg_type has, in its case."""
    schema = quoted[1] or (quoted[2] or "pg_catalog").lower()
    found = by_internal_name(quoted[3]) if schema == "pg_catalog" else None
    if found is None:
        raise unknown_type(text.replace('"', "").strip())
    return _array_if(found.oid, -1, quoted[4])


def _float_of(args: tuple[int, ...]) -> PgType:
    """float(p): single up to 24 bits, double up to 53."""
    if args[0] < 1:
        raise SqlError("precision for type float must be at least 1 bit", sqlstate="22023")
    if args[0] > 53:
        raise SqlError("precision for type float must be less than 54 bits", sqlstate="22023")
    return _BY_INTERNAL["float4" if args[0] <= _SINGLE_MAX else "float8"]


def _interval_args(words: str, args: tuple[int, ...]) -> tuple[int, ...]:
    fields = words.removeprefix("interval").strip()
    if not fields:
        return (0x7FFF, *args) if args else ()
    if fields not in INTERVAL_FIELDS:
        raise unknown_type(words)
    return (INTERVAL_FIELDS[fields], *args)


def _array_if(oid: int, typmod: int, brackets: str) -> tuple[int, int]:
    found = by_oid(oid)
    return (found.array_oid if brackets and not found.elem_oid else oid), typmod


def unknown_type(name: str) -> SqlError:
    """42704 for a name that no type has."""
    return SqlError(f'type "{name}" does not exist', sqlstate="42704")


def format_type(oid: int, typmod: int = -1) -> str:
    """A type as SQL writes it, like PostgreSQL's function of that name ('character varying(10)[]')."""
    found = find_oid(oid)
    if found is None:
        return "-" if oid == 0 else "???"
    if found.elem_oid:
        return with_typmod(found.elem_oid, by_oid(found.elem_oid).sql_name, typmod) + "[]"
    return with_typmod(oid, found.sql_name, typmod)


def sql_type_name(oid: int) -> str:
    """The name that error messages use; never with a modifier ('character', not 'bpchar')."""
    found = find_oid(oid)
    return found.sql_name if found is not None else "???"


def decl_of(oid: int, typmod: int = -1) -> str:
    """SQLite's declared type for a column: the internal name, with a suffix that sets the right affinity.

    Raises:
        KeyError: there is no such type.
    """
    found = by_oid(oid)
    args = typmod_args(found.elem_oid or oid, typmod)
    return f"{found.decl}({','.join(map(str, args))})" if args else found.decl


def from_decl(decl: str) -> tuple[int, int]:
    """(oid, typmod) of a declared type.

    Names that :func:`decl_of` did not write (a table made by another SQLite program) are read as SQL, then by
    SQLite's affinity rules; an empty declaration is text.
    """
    match = _DECL.fullmatch(decl.lower())
    if match is None:
        return _by_affinity(decl), -1
    name, first, second = match.groups()
    args = tuple(int(part) for part in (first, second) if part is not None)
    found = _BY_DECL.get(name)
    if found is None:
        found = by_name(_FOREIGN.get(name, name))
        if found is None:
            return _by_affinity(decl), -1
    try:
        return found.oid, typmod_of(found.elem_oid or found.oid, args)
    except SqlError:
        return found.oid, -1


def _by_affinity(decl: str) -> int:
    """The closest type for a declaration nobody knows (sqlite.org/datatype3.html, 3.1)."""
    upper = decl.upper()
    if "INT" in upper:
        return 20
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return 25
    if "BLOB" in upper:
        return 17
    if any(word in upper for word in ("REAL", "FLOA", "DOUB")):
        return 701
    return 25 if not upper.strip() else 1700


def apply_typmod(oid: int, typmod: int, value: SqliteValue, *, explicit: bool = False) -> SqliteValue:
    """Fit a value to its column's modifier: cut, pad, round. None and typmod -1 change nothing.

    ``explicit`` is a cast in the query, which cuts strings silently; an assignment raises 22001.

    Raises:
        SqlError: 22001 string too long, 22003 numeric field overflow, 22026 wrong bit length.
    """
    if typmod < 0 or value is None:
        return value
    element = by_oid(oid).elem_oid
    if not element:
        return apply_scalar(oid, typmod, value, explicit=explicit)
    item = by_oid(element)

    def fit(text: str) -> SqliteValue:
        return apply_scalar(element, typmod, item.parse_text(text), explicit=explicit)

    return write_array(read_array(show(value), fit), lambda leaf: item.format_text(leaf).decode("utf-8", "replace"))
