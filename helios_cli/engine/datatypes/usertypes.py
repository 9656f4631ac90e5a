"""Types that users make: what their OID alone tells.

Encoders, coercion rules and caches are shared by every database of a process and see only OIDs. So the OID of a
user's type says what kind it is, and the same record serves every type of that kind: an enum's labels, a row's fields
and all names stay in the catalog of their database, which the planner asks.

=====================  ==========================================
OIDs                   of
=====================  ==========================================
0x1800_0000            row types of temporary tables
0x2000_0000            enums
0x2800_0000            composite types
0x3000_0000            row types of tables and views
0x3800_0000            domains
0x4000_0000            ranges
=====================  ==========================================

Each range holds pairs: the type, and the array over it with the next higher OID. Half the distance from the start of
the range is the number that the catalog gave out (for a row type: the relation's OID). Of the enums, composite types
and domains the second half are temporary.

The OID of a range also holds what its bounds are, since their conversions and their order are all that a range needs:
0x4000_0000, 14 bits of the subtype's OID, 14 bits of a number, then 0 for the range, 1 for the array over it, 2 for its
multirange, 3 for the array over that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from helios_cli.engine.datatypes import strings
from helios_cli.engine.datatypes.arrays import ArrayCodec
from helios_cli.engine.datatypes.composite import Lookup, RowCodec
from helios_cli.engine.datatypes.orders import comparison
from helios_cli.engine.datatypes.pgtype import PgType
from helios_cli.engine.datatypes.ranges import RangeCodec
from helios_cli.engine.datatypes.utf8 import decode_utf8

_TEMP_ROW_BASE: Final = 0x1800_0000
_ENUM_BASE: Final = 0x2000_0000
_COMPOSITE_BASE: Final = 0x2800_0000
_ROW_BASE: Final = 0x3000_0000
_DOMAIN_BASE: Final = 0x3800_0000
_RANGE_BASE: Final = 0x4000_0000
_END: Final = 0x8000_0000
_SIZE: Final = 0x0800_0000
_FIRST_TEMP_OID: Final = 0x8000_0000
_RELATION_MAX: Final = _SIZE // 2
_TEMP_NUMBER: Final = _SIZE // 4

KINDS: Final = {
    _TEMP_ROW_BASE: "c", _ENUM_BASE: "e", _COMPOSITE_BASE: "c", _ROW_BASE: "c", _DOMAIN_BASE: "d",
}  # fmt: skip
"""Start of a range -> pg_type.typtype."""

RANGE_NUMBERS: Final = 1 << 14
"""How many ranges over one type there may be."""
SUBTYPE_MAX: Final = (1 << 14) - 1
"""The highest OID of a subtype."""
RECORD: Final = 2249
RECORD_ARRAY: Final = 2287
_NAME: Final = re.compile(r'"pg_type#(\d+)"')
_FUNCTION: Final = re.compile(r'"pg_proc#(\d+)"')


def kind_of(oid: int) -> str:
    """'e', 'c', 'd', 'r' or 'm' of a user's type, arrays included; '' for every other OID."""
    if oid < _RANGE_BASE:
        return KINDS.get(oid // _SIZE * _SIZE, "") if oid >= _TEMP_ROW_BASE else ""
    return "" if oid >= _END else "m" if oid & 2 else "r"


def needs_catalog(oid: int) -> bool:
    """Whether reading values of the type takes what only the catalog knows: of an enum, a row type or a domain."""
    return kind_of(oid) in ("e", "c", "d")


def is_enum(oid: int) -> bool:
    """Whether the OID is an enum's."""
    return _ENUM_BASE <= oid < _COMPOSITE_BASE and not oid & 1


def is_row(oid: int) -> bool:
    """Whether values of the type are rows: record, a composite type, a table's row type."""
    return oid == RECORD or (kind_of(oid) == "c" and not oid & 1)


def is_row_array(oid: int) -> bool:
    """Whether values of the type are arrays of rows."""
    return oid == RECORD_ARRAY or (kind_of(oid) == "c" and bool(oid & 1))


def enum_oid(number: int) -> int:
    """The OID of the enum to which the catalog gave this number."""
    return _numbered(_ENUM_BASE, number)


def composite_oid(number: int) -> int:
    """The same of a composite type."""
    return _numbered(_COMPOSITE_BASE, number)


def domain_oid(number: int) -> int:
    """The same of a domain."""
    return _numbered(_DOMAIN_BASE, number)


def _numbered(base: int, number: int) -> int:
    return base + 2 * (number if number < _FIRST_TEMP_OID else number - _FIRST_TEMP_OID + _TEMP_NUMBER)


def is_temporary(oid: int) -> bool:
    """Whether an enum, a composite type, a domain or an array of them lives as long as its session."""
    base = oid // _SIZE * _SIZE
    return base in (_ENUM_BASE, _COMPOSITE_BASE, _DOMAIN_BASE) and (oid - base) >> 1 >= _TEMP_NUMBER


def range_oid(number: int, subtype: int) -> int:
    """The same of a range over a built-in type; its multirange has the OID behind the next. Numbers repeat."""
    return _RANGE_BASE | subtype << 16 | number % RANGE_NUMBERS << 2


def row_oid(relation: int) -> int:
    """The OID of a relation's row type; 0 for a relation that has none (of another program)."""
    if relation >= _FIRST_TEMP_OID and relation - _FIRST_TEMP_OID < _RELATION_MAX:
        return _TEMP_ROW_BASE + 2 * (relation - _FIRST_TEMP_OID)
    return _ROW_BASE + 2 * relation if relation < _RELATION_MAX else 0


def relation_of(oid: int) -> int:
    """The relation whose row type, or whose array type, the OID is; 0 for other types."""
    base = oid // _SIZE * _SIZE
    if base == _ROW_BASE:
        return (oid - base) >> 1
    return _FIRST_TEMP_OID + ((oid - base) >> 1) if base == _TEMP_ROW_BASE else 0


def number_of(oid: int) -> int:
    """The number that the catalog gave a type."""
    return (oid % _SIZE) >> 1


def pinned_name(oid: int) -> str:
    """What stands for a type's name where only its OID is known, and in stored expressions, which outlive a name."""
    return f'"pg_type#{oid}"'


def pinned_oid(name: str) -> int:
    """The OID of such a name without its quotes; 0 for any other name."""
    return int(name[8:]) if name.startswith("pg_type#") and name[8:].isdigit() else 0


def pinned_function(oid: int) -> str:
    """What stands for the name of a user's function in stored expressions, without its quotes."""
    return f"pg_proc#{oid}"


def pinned_function_oid(name: str) -> int:
    """The OID of such a name; 0 for any other name."""
    return int(name[8:]) if name.startswith("pg_proc#") and name[8:].isdigit() else 0


def functions_named(text: str, name_of: Callable[[int], str]) -> str:
    """A text with the names of users' functions, where it has what stands for them."""
    return _FUNCTION.sub(lambda match: name_of(int(match[1])), text) if "pg_proc#" in text else text


def named(text: str, name_of: Callable[[int], str]) -> str:
    """A text with the names of users' types, where it has their placeholders (:func:`user_type`'s ``sql_name``)."""
    return _NAME.sub(lambda match: name_of(int(match[1])), text) if "pg_type#" in text else text


@lru_cache(maxsize=4096)
def user_type(oid: int, lookup: Lookup) -> PgType | None:
    """The record for the OID of a user's type; None for any other. Its names are placeholders for :func:`named`."""
    kind = kind_of(oid)
    if not kind:
        return None
    if not oid & 1:
        return _scalar(oid, kind, lookup)
    element = _scalar(oid - 1, kind, lookup)
    if element is None:
        return None
    if kind == "c":
        row = RowCodec(lookup, array=True)
        codec: ArrayCodec | RowCodec = row
    else:
        codec = ArrayCodec(element)
    out = codec.format_text if isinstance(codec, RowCodec) else strings.format_string
    return PgType(
        oid, f"_{element.name}", f"{element.sql_name}[]", -1, 0, "A", _DECLS[kind].replace("_text", "_array_text"),
        codec.parse_text, out, codec.parse_binary, codec.format_binary, elem_oid=oid - 1,
    )  # fmt: skip


_DECLS: Final = {
    "e": "enum_text", "c": "row_text", "d": "domain_text", "r": "range_text", "m": "multirange_text",
}  # fmt: skip
"""SQLite's declared types."""


@lru_cache(maxsize=1024)
def user_range_codec(oid: int, lookup: Lookup) -> RangeCodec | None:
    """The conversions of a user's range or multirange; None for an OID that no range can have."""
    try:
        subtype = lookup(oid >> 16 & SUBTYPE_MAX)
    except KeyError:
        return None
    order = comparison(subtype.oid, subtype.elem_oid)
    return None if order is None else RangeCodec(subtype, order)


def _scalar(oid: int, kind: str, lookup: Lookup) -> PgType | None:
    name = pinned_name(oid)
    if kind == "c":
        row = RowCodec(lookup)
        return PgType(
            oid, name, name, -1, oid + 1, "C", _DECLS[kind],
            row.parse_text, row.format_text, row.parse_binary, row.format_binary, kind=kind,
        )  # fmt: skip
    if kind in "rm":
        codec = user_range_codec(oid, lookup)
        if codec is None:
            return None
        parse, parse_binary, format_binary = (
            (codec.parse_text, codec.parse_binary, codec.format_binary)
            if kind == "r"
            else (codec.parse_many, codec.parse_many_binary, codec.format_many_binary)
        )
        return PgType(
            oid, name, name, -1, oid + 1, "R", _DECLS[kind],
            parse, strings.format_string, parse_binary, format_binary, kind=kind,
        )  # fmt: skip
    category, typlen = ("E", 4) if kind == "e" else ("U", -1)
    return PgType(
        oid, name, name, typlen, oid + 1, category, _DECLS[kind],
        str, strings.format_string, decode_utf8, strings.format_binary_string, kind=kind,
    )  # fmt: skip
