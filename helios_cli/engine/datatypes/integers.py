"""boolean, the integers and oid: text and binary forms."""

from __future__ import annotations

import re
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes.faults import bad_binary, invalid_text, out_of_range

WHITESPACE: Final = " \t\n\v\f\r"
"""What C's isspace accepts; narrower than Python's str.strip."""

_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*", re.ASCII)
_MAX_DIGITS = 4000
"""Beyond any integer type's range and below the length at which Python refuses to convert."""


def integer_parser(name: str, bits: int) -> Callable[[str], int]:
    """A text parser for a signed integer type of ``bits`` bits, ``name`` as in messages ('integer')."""
    high = 1 << (bits - 1)

    def parse(text: str) -> int:
        match = _INTEGER.fullmatch(text)
        if match is None:
            raise invalid_text(name, text)
        if len(text) > _MAX_DIGITS:
            raise out_of_range(name, text)
        value = int(match[1])
        if not -high <= value < high:
            raise out_of_range(name, text)
        return value

    return parse


def binary_reader(layout: Struct) -> Callable[[bytes], Any]:
    """A parser of a fixed-size binary value."""
    size = layout.size
    unpack = layout.unpack

    def parse(data: bytes) -> Any:
        error = bad_binary(data, size)
        if error is not None:
            raise error
        return unpack(data)[0]

    return parse


def binary_writer(layout: Struct, bits: int, name: str) -> Callable[[Any], bytes]:
    """A formatter to a fixed-size two's complement integer; any storage class is converted first."""
    pack = layout.pack
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if bits > 0 else (0, 1 << -bits)

    def build(value: Any) -> bytes:
        number = to_int(value, name)
        if not low <= number < high:
            raise out_of_range(name, str(number))
        return pack(number)

    return build


def to_int(value: Any, name: str) -> int:
    """The integer a SQLite value of any storage class stands for; 22P02 when it is none."""
    try:
        return round(value) if isinstance(value, float) else int(value)
    except (TypeError, ValueError, OverflowError):
        raise invalid_text(name, show(value)) from None


def show(value: Any) -> str:
    """A SQLite value as text, whatever its storage class."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def format_number(value: Any) -> bytes:
    """The text form of an integer column's value; other storage classes are shown as they are."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def parse_oid(text: str) -> int:
    """An oid; negative numbers wrap around as C's strtoul makes them."""
    match = _INTEGER.fullmatch(text)
    if match is None:
        raise invalid_text("oid", text)
    value = int(match[1]) if len(text) <= _MAX_DIGITS else 1 << 64
    if not -(1 << 31) <= value < 1 << 32:
        raise out_of_range("oid", text)
    return value & 0xFFFFFFFF


_BOOLS: Final = {
    **dict.fromkeys(("t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"), 1),
    **dict.fromkeys(("f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"), 0),
}


def parse_bool(text: str) -> int:
    """1 or 0 from PostgreSQL's spellings and their unique prefixes."""
    value = _BOOLS.get(text.strip(WHITESPACE).lower())
    if value is None:
        raise invalid_text("boolean", text)
    return value


def format_bool(value: Any) -> bytes:
    """``t`` or ``f``; a text value is read as a boolean first."""
    if isinstance(value, str):
        value = _BOOLS.get(value.lower(), 1)
    return b"t" if value else b"f"


def parse_bool_binary(data: bytes) -> int:
    """One byte; anything but zero is true."""
    error = bad_binary(data, 1)
    if error is not None:
        raise error
    return int(data != b"\0")


def format_bool_binary(value: Any) -> bytes:
    """One byte, 1 or 0."""
    return b"\1" if format_bool(value) == b"t" else b"\0"


def parse_xid8(text: str) -> int:
    """An unsigned 64-bit number, kept as SQLite's signed integer.

    It is read as strtoull() does it: hexadecimal behind 0x, octal behind 0, up to what is no digit, 0 without any.
    """
    match = _UNSIGNED.match(text)
    if match is None:
        return 0
    base = 16 if match[2] else 8 if match[3] else 10
    digits = (match[2] or match[3] or match[4]).lstrip("0")[:_LONGEST]
    value = min(int(digits or "0", base), _UNSIGNED_MAX)
    value = (-value if match[1] == "-" and value < _UNSIGNED_MAX else value) & _UNSIGNED_MAX
    return value - (1 << 64) if value >> 63 else value


_UNSIGNED: Final = re.compile(r"\s*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([0-9]+))", re.ASCII)
_UNSIGNED_MAX: Final = 0xFFFF_FFFF_FFFF_FFFF
_LONGEST: Final = 23
"""Digits, in any base, of which more say too large a number."""
