"""The functions by which PostgreSQL's information_schema tells lengths and precisions (information_schema.sql)."""

from __future__ import annotations

import re
from typing import Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.functions.define import Library

_INT2, _INT4, _INT8, _FLOAT4, _FLOAT8, _NUMERIC = 21, 23, 20, 700, 701, 1700
_TEXT, _BPCHAR, _VARCHAR, _BIT, _VARBIT = 25, 1042, 1043, 1560, 1562
_DATE, _INTERVAL = 1082, 1186
_CLOCKS: Final = (1083, 1114, 1184, 1266)
_BINARY_DIGITS: Final = {_INT2: 16, _INT4: 32, _INT8: 64, _FLOAT4: 24, _FLOAT8: 53}
_FIELDS: Final = re.compile(r"interval[()0-9]* (.*)")
_ANY_PRECISION: Final = 0xFFFF
_NAME_BYTES: Final = 63
_CHAR: Final = 18
_ATTRIBUTE: Final = {"typid": (2, 26), "typmod": (8, 26)}
_TYPE: Final = {"typtype": (6, 32), "typid": (25, 32), "typmod": (26, 32)}
"""Where the columns are in rows of pg_attribute and of pg_type, and how many these have."""


def char_max_length(type_oid: int, typmod: int) -> int | None:
    """_pg_char_max_length: characters or bits that a modifier allows."""
    if typmod == -1:
        return None
    return typmod - 4 if type_oid in (_BPCHAR, _VARCHAR) else typmod if type_oid in (_BIT, _VARBIT) else None


def char_octet_length(type_oid: int, typmod: int) -> int | None:
    """_pg_char_octet_length: a character takes four bytes at most."""
    if type_oid not in (_TEXT, _BPCHAR, _VARCHAR):
        return None
    if typmod == -1:
        return 1 << 30
    length = char_max_length(type_oid, typmod)
    return None if length is None else 4 * length


def numeric_precision(type_oid: int, typmod: int) -> int | None:
    """_pg_numeric_precision: in the digits of :func:`numeric_radix`."""
    if type_oid == _NUMERIC:
        return None if typmod == -1 else (typmod - 4) >> 16 & 0xFFFF
    return _BINARY_DIGITS.get(type_oid)


def numeric_radix(type_oid: int, _typmod: int) -> int | None:
    """_pg_numeric_precision_radix."""
    return 10 if type_oid == _NUMERIC else 2 if type_oid in _BINARY_DIGITS else None


def numeric_scale(type_oid: int, typmod: int) -> int | None:
    """_pg_numeric_scale."""
    if type_oid == _NUMERIC:
        return None if typmod == -1 else typmod - 4 & 0xFFFF
    return 0 if type_oid in (_INT2, _INT4, _INT8) else None


def datetime_precision(type_oid: int, typmod: int) -> int | None:
    """_pg_datetime_precision: digits of a second."""
    if type_oid in _CLOCKS:
        return 6 if typmod < 0 else typmod
    if type_oid == _INTERVAL:
        digits = typmod & _ANY_PRECISION
        return 6 if typmod < 0 or digits == _ANY_PRECISION else digits
    return 0 if type_oid == _DATE else None


def interval_fields(type_oid: int, typmod: int) -> str | None:
    """_pg_interval_type: ``DAY TO SECOND(3)``; None where a modifier names no fields."""
    found = _FIELDS.fullmatch(registry.format_type(type_oid, typmod)) if type_oid == _INTERVAL else None
    return found[1].upper() if found else None


def name_with_oid(name: str, oid: int) -> str:
    """nameconcatoid: what tells objects of one name apart in information_schema; the name is cut where it must be."""
    tail = f"_{oid}"
    return name.encode()[: _NAME_BYTES - len(tail)].decode(errors="ignore") + tail


def install(lib: Library) -> None:
    """Declare the functions."""
    for name, call, result in (
        ("_pg_char_max_length", char_max_length, "int4"), ("_pg_char_octet_length", char_octet_length, "int4"),
        ("_pg_numeric_precision", numeric_precision, "int4"), ("_pg_numeric_precision_radix", numeric_radix, "int4"),
        ("_pg_numeric_scale", numeric_scale, "int4"), ("_pg_datetime_precision", datetime_precision, "int4"),
        ("_pg_interval_type", interval_fields, "text"),
    ):  # fmt: skip
        lib.define(name, f"oid int4 -> {result}", call, schema="information_schema")
    lib.define("nameconcatoid", "name oid -> name", name_with_oid)
    lib.define(
        "_pg_index_position", "oid int2 -> int4", schema="information_schema", stable=True, null_for_null=True,
        sql="(SELECT key + 1 FROM json_each('[' || replace((SELECT indkey FROM \"pg_catalog.pg_index\" "
        "WHERE indexrelid = {0}), ' ', ',') || ']') WHERE value = {1})",
    )  # fmt: skip
    for name, result, oid in (("typid", "oid", 26), ("typmod", "int4", 23)):
        of_type, of_column = _field("{1}", _TYPE[name], oid), _field("{0}", _ATTRIBUTE[name], oid)
        lib.define(
            f"_pg_true{name}", f"record record -> {result}", schema="information_schema", null_for_null=True,
            sql=f"CASE {_field('{1}', _TYPE['typtype'], _CHAR)} WHEN 'd' THEN {of_type} ELSE {of_column} END",
        )  # fmt: skip


def _field(row: str, place: tuple[int, int], type_oid: int) -> str:
    return f"pg_row_get({row}, {place[0]}, {place[1]}, {type_oid})"
