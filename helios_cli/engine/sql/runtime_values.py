"""Conversions between types at run time, modifiers, rows, LIMIT."""

from __future__ import annotations

import re
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import runtime_numbers as numbers
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.sql.functions.network import full_text
from helios_cli.engine.sql.oids import (
    BOOL,
    BPCHAR,
    FLOAT4,
    FLOAT8,
    INET,
    INT2,
    INT4,
    INT8,
    INTEGERS,
    MONEY,
    NUMERIC,
    TEXT,
    VARCHAR,
)
from helios_cli.engine.sql.runtime_money import pg_money_numeric

_BITS: Final = {INT2: 16, INT4: 32, INT8: 64}


def pg_in(type_oid: int, text: Any) -> Any:
    """A type's input routine. Raises 22P02 and its kin."""
    return None if text is None else registry.by_oid(type_oid).parse_text(str(text))


_SHOWN_MAX: Final = 64
"""Characters of a value that an error shows."""


def pg_check_option(holds: Any, view: str, *row: str | None) -> int:
    """1 for a new row that a view shows. Raises SqlError 44000 with the row's texts."""
    if holds:
        return 1
    shown = ", ".join("null" if text is None else _shortened(text) for text in row)
    detail = f"Failing row contains ({shown})." if row else None
    raise SqlError(f'new row violates check option for view "{view}"', sqlstate="44000", detail=detail)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."


def pg_out(type_oid: int, value: Any) -> str | None:
    """A type's output form."""
    if value is None:
        return None
    try:
        return registry.by_oid(type_oid).format_text(value).decode("utf-8", "replace")
    except KeyError:
        # A parameter may be declared of any type that PostgreSQL has: those without a form of their own are text.
        return str(value)


def pg_typmod(type_oid: int, typmod: int, value: Any, explicit: int) -> Any:
    """Fit a value to a type modifier. Raises 22001, 22003."""
    return registry.apply_typmod(type_oid, typmod, value, explicit=bool(explicit))


def convert(source: int, target: int, value: Any) -> Any:
    """A stored value of one type as one of another, numbers by value and everything else by its text."""
    if value is None or source == target:
        return value
    if source in (FLOAT4, FLOAT8):
        if target in _BITS:
            return numbers.pg_float_int(value, _BITS[target])
        if target == NUMERIC:
            return numbers.pg_float_numeric(value, 15 if source == FLOAT8 else 6)
        if target == FLOAT4:
            return numbers.pg_float4(value)
        if target == FLOAT8:
            return value
    if source == NUMERIC and target in _BITS:
        return numbers.pg_numeric_int(value, _BITS[target])
    if source in INTEGERS and target in _BITS:
        return numbers.in_range(value, _BITS[target])
    if source == MONEY and target == NUMERIC:
        return pg_money_numeric(value)
    if source == BOOL and target == INT4:
        return value
    text = registry.by_oid(source).format_text(value).decode("utf-8", "replace")
    if source == BOOL:
        text = "true" if value else "false"
    elif source == BPCHAR:
        text = text.rstrip(" ")
    elif source == INET and target in (TEXT, VARCHAR, BPCHAR):
        text = full_text(text)
    return registry.by_oid(target).parse_text(text)


_QUOTED: Final = re.compile(r'[(),"\\\s\x1c-\x1f\x85]')


def pg_row(_count: int, *fields: Any) -> str:
    """The text of a row value; ``fields`` are pairs of type and value (record_out, rowtypes.c)."""
    parts = []
    for type_oid, value in zip(fields[::2], fields[1::2], strict=True):
        if value is None:
            parts.append("")
            continue
        text = registry.by_oid(type_oid).format_text(value).decode("utf-8", "replace")
        quoted = not text or _QUOTED.search(text) is not None
        parts.append('"' + text.replace("\\", "\\\\").replace('"', '""') + '"' if quoted else text)
    return f"({','.join(parts)})"


def pg_domain_raise(sqlstate: str, message: str, schema: str, domain: str, constraint: str) -> None:
    """A value that its domain refuses."""
    raise SqlError(message, sqlstate=sqlstate, schema=schema, datatype=domain, constraint=constraint or None)


def pg_limit(count: Any) -> int:
    """LIMIT: NULL is no limit. Raises 2201W."""
    if count is None:
        return -1
    if count < 0:
        raise SqlError("LIMIT must not be negative", sqlstate="2201W")
    return int(count)


def pg_offset(count: Any) -> int:
    """OFFSET: NULL is none. Raises 2201X."""
    if count is None:
        return 0
    if count < 0:
        raise SqlError("OFFSET must not be negative", sqlstate="2201X")
    return int(count)


def pg_series_step(step: Any) -> Any:
    """The step of generate_series. Raises 22023 for zero."""
    if step == 0:
        raise SqlError("step size cannot equal zero", sqlstate="22023")
    return step


def pg_char_int(character: Any) -> int | None:
    """A "char" as its signed code."""
    if character is None:
        return None
    code = ord(character[0]) if character else 0
    return code - 256 if code > 127 else code


def pg_int_char(code: Any) -> str | None:
    """A code as "char". Raises 22003."""
    if code is None:
        return None
    if not -128 <= code <= 127:
        raise SqlError('"char" out of range', sqlstate="22003")
    return chr(code % 256) if code else ""


def pg_oid(value: Any) -> int | None:
    """An OID from an integer. Raises 22003."""
    if value is None:
        return None
    if not 0 <= value < 2**32:
        raise SqlError("OID out of range", sqlstate="22003")
    return int(value)


def pg_oid_int(value: Any) -> int | None:
    """An OID's bits as an integer."""
    if value is None:
        return None
    return int(value) - 2**32 if value >= 2**31 else int(value)


def pg_send(oid: int, value: Any) -> bytes | None:
    """The binary format of a stored value; NULL for NULL."""
    return None if value is None else registry.by_oid(oid).format_binary(value)


SCALARS: Final[ScalarTable] = {
    "pg_send": (pg_send, 2, True),
    "pg_in": (pg_in, 2, True),
    "pg_out": (pg_out, 2, True),
    "pg_check_option": (pg_check_option, -1, True),
    "pg_typmod": (pg_typmod, 4, True),
    "pg_row": (pg_row, -1, True),
    "pg_domain_raise": (pg_domain_raise, 5, True),
    "pg_limit": (pg_limit, 1, True),
    "pg_offset": (pg_offset, 1, True),
    "pg_series_step": (pg_series_step, 1, True),
    "pg_char_int": (pg_char_int, 1, True),
    "pg_int_char": (pg_int_char, 1, True),
    "pg_oid_int": (pg_oid_int, 1, True),
    "pg_oid": (pg_oid, 1, True),
}
