"""Row values at run time: fields, JSON, NULL tests, the way out. What needs labels is ``storage/user_functions.py``."""

from __future__ import annotations

import json
from datetime import UTC
from functools import cmp_to_key
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import read_array, write_array
from helios_cli.engine.datatypes.composite import (
    RowCodec,
    Shape,
    join_record,
    literal_of,
    read_shape,
    sealed,
    split_record,
)
from helios_cli.engine.datatypes.datetimes import format_timestamptz
from helios_cli.engine.datatypes.jsons import quote_json
from helios_cli.engine.datatypes.orders import array_comparison
from helios_cli.engine.datatypes.styled import DATE, STYLED_IN_JSON, TIMESTAMP, TIMESTAMPTZ
from helios_cli.engine.datatypes.usertypes import RECORD
from helios_cli.engine.datatypes.zoned import find_zone, zoned_writer
from helios_cli.engine.sql.function_spec import CollationTable, ScalarTable
from helios_cli.engine.sql.functions.jsonb import to_json

_CODEC: Final = RowCodec(registry.by_oid)


def pg_row_get(row: Any, position: int, count: int, type_oid: int) -> Any:
    """A field of a row as a stored value."""
    if row is None:
        return None
    fields = split_record(literal_of(row))
    # A row stored before its type grew has fewer fields.
    text = fields[position] if position < len(fields) else None
    return None if text is None else registry.by_oid(type_oid).parse_text(text)


def pg_row_zoned(shape: str, row: Any, zone: str) -> str | None:
    """A row's text, or that of an array of rows, as a session shows it."""
    if row is None:
        return None
    return _CODEC.format_zoned(sealed(read_shape(shape), literal_of(row)), find_zone(zone) or UTC).decode()


def pg_row_seal(shape: str, row: Any) -> str | None:
    """A row on its way to the client."""
    return None if row is None else sealed(read_shape(shape), literal_of(row))


def pg_row_json(shape: str, row: Any) -> str | None:
    """A row as a JSON object, an array of rows as a JSON array."""
    return None if row is None else json_of(read_shape(shape), literal_of(row))


def pg_row_json_zoned(shape: str, row: Any, zone: str, pretty: int) -> str | None:
    """A row as a JSON object in the session's zone, with ``pretty`` a line for each member."""
    if row is None:
        return None
    return json_of(read_shape(shape), literal_of(row), ",\n " if pretty else ",", zone)


def pg_json_text(type_oid: int, value: Any, zone: str) -> str | None:
    """A value, or an array of values, as the texts that JSON has for them in the session's zone."""
    if value is None:
        return None
    element = registry.by_oid(type_oid).elem_oid
    if not element:
        return _json_text(type_oid, value, zone)
    array = read_array(str(value), registry.by_oid(element).parse_text)
    return write_array(array, lambda item: _json_text(element, item, zone))


def _json_text(type_oid: int, value: Any, zone: str) -> str:
    """Moments are ISO 8601's, ``2020-06-01T14:00:00+02:00``; other types have the style that the zone brings along."""
    place = find_zone(zone) or UTC
    if type_oid != TIMESTAMPTZ:
        if type_oid in (DATE, TIMESTAMP):
            return str(json.loads(to_json(type_oid, value)))
        return zoned_writer(type_oid, place)(value).decode()
    text = format_timestamptz(value, place).decode()
    if " " not in text:
        return text
    text = text.replace(" ", "T", 1)
    clock = text.removesuffix(" BC")
    return clock + ":00" + text[len(clock) :] if clock[-3] in "+-" else text


def json_of(shape: Shape, text: str, between: str = ",", zone: str = "") -> str:
    """The same of a literal; ``between`` stands between the members of the outermost object. '' is no zone: UTC."""
    if shape.element is not None:
        return _array_items(read_array(text, str).items, shape.element, zone)
    pairs = []
    fields = split_record(text)
    for position, field in enumerate(shape.fields):
        part = fields[position] if position < len(fields) else None
        if part is None:
            shown = "null"
        elif field.shape is not None:
            shown = json_of(field.shape, part, zone=zone)
        elif zone and field.type_oid in STYLED_IN_JSON:
            stored = registry.by_oid(field.type_oid).parse_text(part)
            array = registry.by_oid(field.type_oid).elem_oid
            shown = to_json(1009 if array else 25, pg_json_text(field.type_oid, stored, zone))
        else:
            shown = to_json(field.type_oid, registry.by_oid(field.type_oid).parse_text(part))
        pairs.append(f"{quote_json(field.name)}:{shown}")
    return "{" + between.join(pairs) + "}"


def _array_items(items: list[Any], element: Shape, zone: str) -> str:
    parts = [
        _array_items(item, element, zone)
        if isinstance(item, list)
        else "null"
        if item is None
        else json_of(element, item, zone=zone)
        for item in items
    ]
    return "[" + ",".join(parts) + "]"


def pg_row_json_pretty(shape: str, row: Any) -> str | None:
    """row_to_json(row, true): a line for each member."""
    return None if row is None else json_of(read_shape(shape), literal_of(row), ",\n ")


def pg_row_is_null(row: Any, wanted: int) -> int:
    """``row IS NULL`` (wanted 1) or IS NOT NULL (0): every field is, or none is."""
    if row is None:
        return wanted
    fields = split_record(literal_of(row))
    return int(all((field is None) == bool(wanted) for field in fields))


def pg_row_reshape(row: Any, kept: str, is_array: int) -> str | None:
    """A row, or an array of rows, with its fields in new places; ``kept`` lists the old ones, null for a new field."""
    if row is None:
        return None
    places = json.loads(kept)

    def reshaped(text: str) -> str:
        fields = split_record(text)
        return join_record(None if place is None or place >= len(fields) else fields[place] for place in places)

    text = literal_of(row)
    return write_array(read_array(text, reshaped), str) if is_array else reshaped(text)


def _compare_records(one: str, other: str) -> int:
    """Rows whose types are not known here: numbers by value, everything else as text, NULL last."""
    try:
        left, right = split_record(literal_of(one)), split_record(literal_of(other))
    except Exception:
        return (one > other) - (one < other)
    for mine, theirs in zip(left, right, strict=False):
        order = _compare_fields(mine, theirs)
        if order:
            return order
    return len(left) - len(right)


def _compare_fields(mine: str | None, theirs: str | None) -> int:
    if mine == theirs:
        return 0
    if mine is None or theirs is None:
        return 1 if mine is None else -1
    try:
        one, other = float(mine), float(theirs)
    except ValueError:
        return 1 if mine > theirs else -1
    return (one > other) - (one < other)


SCALARS: Final[ScalarTable] = {
    "pg_row_get": (pg_row_get, 4, True),
    "pg_row_zoned": (pg_row_zoned, 3, True),
    "pg_row_reshape": (pg_row_reshape, 3, True),
    "pg_row_seal": (pg_row_seal, 2, True),
    "pg_row_json": (pg_row_json, 2, True),
    "pg_row_json_zoned": (pg_row_json_zoned, 4, True),
    "pg_json_text": (pg_json_text, 3, True),
    "pg_row_json_pretty": (pg_row_json_pretty, 2, True),
    "pg_row_is_null": (pg_row_is_null, 2, True),
}
_compare_lists = array_comparison(cmp_to_key(_compare_records))


def _compare_arrays(one: str, other: str) -> int:
    """Arrays of rows whose types are not known here, as :func:`_compare_records` does."""
    return _compare_lists(literal_of(one), literal_of(other))


COLLATIONS: Final[CollationTable] = {"pg_record": _compare_records, f"pg_array_{RECORD}": _compare_arrays}
