"""Fields of a result, as the protocol's text format has them, written as JSON (RFC 8259).

A number is a JSON number only where a reader that knows nothing but IEEE doubles gets it exactly; else it is a string
of the same digits. So int8 beyond 2**53 and numeric 0.1 are strings, int4 and numeric 1.50 are numbers. double
precision and real are numbers, but for NaN and the infinities, which JSON has none of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from json import encoder as json_encoder
from typing import Any, Final

from helios_cli.engine.datatypes.arrays import BOX, BOX_DELIMITER, quote_element, read_array
from helios_cli.engine.datatypes.registry import TYPES

Encoder = Callable[[str], str]
"""From the text of a value that is not NULL to JSON."""

EXACT_MAX: Final = 2**53
"""Every integer up to it is a double."""

_quoted: Callable[[str], str] = json_encoder.encode_basestring
_BOOL, _BYTEA, _INT8, _INT2, _INT4, _OID, _FLOAT4, _FLOAT8, _NUMERIC = 16, 17, 20, 21, 23, 26, 700, 701, 1700
_JSON, _JSONB, _TIMESTAMP, _TIMESTAMPTZ = 114, 3802, 1114, 1184
_SPECIAL: Final = frozenset(("NaN", "Infinity", "-Infinity"))
_WHEN: Final = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d)?((?::\d\d)+)?")
_LINES: Final = str.maketrans("\n\r", "  ")


def _boolean(text: str) -> str:
    return "true" if text == "t" else "false"


def _as_is(text: str) -> str:
    return text


def _bigint(text: str) -> str:
    return text if len(text) < 16 or abs(int(text)) <= EXACT_MAX else f'"{text}"'


def _numeric(text: str) -> str:
    if text in _SPECIAL:
        return f'"{text}"'
    return text if Decimal(float(text)) == Decimal(text) else f'"{text}"'


def _double(text: str) -> str:
    return f'"{text}"' if text in _SPECIAL else text


def _nested(text: str) -> str:
    """A json value keeps its text; a line break can only stand between its tokens."""
    return text.translate(_LINES)


def _timestamp(text: str) -> str:
    """ISO 8601: a T between date and time, an offset of hours and minutes. Infinity and BC stay as they are."""
    match = _WHEN.fullmatch(text)
    if match is None:
        return _quoted(text)
    date, time, hours, minutes = match.groups()
    offset = "" if hours is None else hours + (minutes or ":00")
    return f'"{date}T{time}{offset}"'


_SCALARS: Final[dict[int, Encoder]] = {
    _BOOL: _boolean,
    _INT2: _as_is,
    _INT4: _as_is,
    _OID: _as_is,
    _INT8: _bigint,
    _NUMERIC: _numeric,
    _FLOAT4: _double,
    _FLOAT8: _double,
    _JSON: _nested,
    _JSONB: _nested,
    _TIMESTAMP: _timestamp,
    _TIMESTAMPTZ: _timestamp,
}


@lru_cache(1024)
def encoder_of(type_oid: int) -> Encoder:
    """How values of a type are written; a type that nobody knows is a string."""
    scalar = _SCALARS.get(type_oid)
    if scalar is not None:
        return scalar
    known = TYPES.get(type_oid)
    return _array_of(known.elem_oid) if known is not None and known.elem_oid else _quoted


def _array_of(element: int) -> Encoder:
    encode = encoder_of(element)
    delimiter = BOX_DELIMITER if element == BOX else ","

    def array(text: str) -> str:
        return _joined(read_array(text, encode, delimiter).items)

    return array


def _joined(items: Sequence[Any]) -> str:
    parts = ("null" if item is None else _joined(item) if isinstance(item, list) else item for item in items)
    return f"[{','.join(parts)}]"


def json_row(encoders: Sequence[Encoder], fields: Sequence[bytes | None]) -> str:
    """One row as a JSON array."""
    parts = [
        "null" if data is None else encode(data.decode("utf-8", "replace"))
        for encode, data in zip(encoders, fields, strict=True)
    ]
    return f"[{','.join(parts)}]"


def quoted(text: str) -> str:
    """A JSON string."""
    return _quoted(text)


_PLAIN: Final = re.compile(r'[^",\r\n]+')


def csv_row(fields: Sequence[bytes | None]) -> str:
    """One line of CSV (RFC 4180): NULL is an empty field, an empty string is ``""``."""
    return ",".join(_csv(None if data is None else data.decode("utf-8", "replace")) for data in fields) + "\r\n"


def _csv(text: str | None) -> str:
    if text is None:
        return ""
    return text if _PLAIN.fullmatch(text) else '"' + text.replace('"', '""') + '"'


# Parameters ----------------------------------------------------------------------------------------------------------


class Number(str):
    """The digits of a JSON number with a point or an exponent, which a float would not keep."""

    __slots__ = ()


def parameter(value: Any, type_oid: int) -> bytes | None:
    """A JSON value as the text of a parameter; None is NULL.

    A string is the type's own text, also for json. Objects are json; arrays are arrays, or json where that is wanted.
    """
    if value is None:
        return None
    if type_oid in (_JSON, _JSONB) and (isinstance(value, Number) or not isinstance(value, str)):
        return json_text(value).encode()
    return _text_of(value).encode()


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, list):
        return "{" + ",".join(_element(item) for item in value) + "}"
    return json_text(value) if isinstance(value, dict) else str(value)


def _element(item: Any) -> str:
    if item is None:
        return "NULL"
    return _text_of(item) if isinstance(item, list) else quote_element(_text_of(item))


def json_text(value: Any) -> str:
    """The JSON text of a decoded value, numbers with the digits that they came with."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number | int):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(json_text, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(name)}:{json_text(item)}" for name, item in value.items()) + "}"
    return _quoted(str(value))
