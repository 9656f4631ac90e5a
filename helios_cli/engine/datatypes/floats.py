"""real and double precision. NaN is kept as the text 'NaN', since SQLite turns a NaN into NULL."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from struct import Struct
from typing import Any

from helios_cli.engine.datatypes.faults import bad_binary, invalid_text
from helios_cli.engine.datatypes.integers import WHITESPACE, show
from helios_cli.engine.errors import SqlError

_DOUBLE = Struct("!d")
_SINGLE = Struct("!f")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEX = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?")
_SPECIAL = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf}
_SPECIAL |= {word.replace("inf", "infinity"): value for word, value in _SPECIAL.items()}
_MIN_NORMAL_SINGLE = 2.0**-126

NAN = "NaN"
"""How a NaN is stored: TEXT sorts after every number in SQLite, as NaN does in PostgreSQL."""


def parse_float8(text: str) -> float | str:
    """A double, or the text ``NaN``. Raises 22P02 and, for overflow and underflow, 22003."""
    return _parse(text, "double precision")


def parse_float4(text: str) -> float | str:
    """A double that holds a single exactly, or the text ``NaN``."""
    value = _parse(text, "real")
    if isinstance(value, str) or math.isinf(value):
        return value
    single = _nearest_single(text.strip(WHITESPACE), value)
    if math.isinf(single) or (single == 0.0 and value != 0.0):
        raise _out_of_range(text.strip(WHITESPACE), "real")
    return single


def _parse(text: str, name: str) -> float | str:
    word = text.strip(WHITESPACE)
    if _NUMBER.fullmatch(word):
        value = float(word)
        if math.isinf(value) or (value == 0.0 and re.search("[1-9]", re.split("[eE]", word)[0])):
            raise _out_of_range(word, name)
        return value
    lower = word.lower()
    if lower in _SPECIAL:
        return _SPECIAL[lower]
    if lower in ("nan", "+nan", "-nan"):
        return NAN
    if _HEX.fullmatch(word):
        return _parse_hex(word, name)
    raise invalid_text(name, text)


def _parse_hex(word: str, name: str) -> float:
    try:
        return float.fromhex(word)
    except OverflowError:
        raise _out_of_range(word, name) from None


def _out_of_range(word: str, name: str) -> SqlError:
    return SqlError(f'"{word}" is out of range for type {name}', sqlstate="22003")


def _to_single(value: float) -> float:
    """Round to a single; infinite when too large."""
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _nearest_single(word: str, value: float) -> float:
    """The single nearest to a number's text, whose nearest double ``value`` may lie halfway between two."""
    single = _to_single(value)
    if math.isinf(single) or not _NUMBER.fullmatch(word):
        return single
    exact = Decimal(word)
    beside = _next_single(single, up=exact > Decimal(single))
    if math.isinf(beside):
        return single
    return beside if abs(Decimal(beside) - exact) < abs(Decimal(single) - exact) else single


def _next_single(single: float, *, up: bool) -> float:
    """The single above or below one."""
    bits = int.from_bytes(_SINGLE.pack(single), "big")
    if single == 0.0:
        return math.copysign(2.0**-149, 1 if up else -1)
    bits += 1 if (single > 0) == up else -1
    return float(_SINGLE.unpack(bits.to_bytes(4, "big"))[0])


def format_float8(value: Any) -> bytes:
    """The shortest text that reads back as the same double; exponents below -4 and from 15 up."""
    if not isinstance(value, float):
        if not isinstance(value, int) or isinstance(value, bool):
            return show(value).encode("utf-8", "replace")
        value = _from_int(value)
    size = abs(value)
    if 1e-4 <= size < 1e15:
        text = repr(value)
        return (text[:-2] if text.endswith(".0") else text).encode()
    return _format(_inside(repr(value), value, 53), value, 15)


def _inside(text: str, value: float, bits: int) -> str:
    """A text that reads back as ``value``, and is nearer to it than to the next number of so many bits.

    PostgreSQL takes no text that lies midway (f2s.c, d2s.c), which can happen to whole numbers that fill their bits.
    """
    if math.isinf(value) or not math.isfinite(value) or abs(value) < float(1 << (bits - 4)):
        return text
    exponent = math.frexp(value)[1] - bits
    for digits in range(len(_decompose(text)[1]), 18):
        if abs(Decimal(text) - Decimal(value)) * 2 < Decimal(2) ** exponent:
            return text
        text = f"{value:.{digits}e}"
    return text


def format_float4(value: Any) -> bytes:
    """The shortest text that reads back as the same single; exponents below -4 and from 6 up."""
    if isinstance(value, int):
        value = _from_int(value)
    if not isinstance(value, float):
        return show(value).encode("utf-8", "replace")
    value = _to_single(value)
    return _format(_inside(_shortest_single(value), value, 24), value, 6)


def _from_int(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _shortest_single(value: float) -> str:
    """Fewest digits that round to ``value`` as a single: six always do, denormals need fewer."""
    for digits in range(1 if abs(value) < _MIN_NORMAL_SINGLE else 6, 9):
        text = f"{value:.{digits}g}"
        if _to_single(float(text)) == value:
            return text
    return f"{value:.9g}"


def _format(shortest: str, value: float, exponent_from: int) -> bytes:
    """Lay out the digits of ``shortest`` as PostgreSQL's float output does."""
    if math.isinf(value):
        return b"Infinity" if value > 0 else b"-Infinity"
    if math.isnan(value):
        return b"NaN"
    if value == 0.0:
        return b"-0" if math.copysign(1.0, value) < 0 else b"0"
    sign, digits, exponent = _decompose(shortest)
    if exponent < -4 or exponent >= exponent_from:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}".encode()
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}".encode()
    if len(digits) <= exponent + 1:
        return f"{sign}{digits.ljust(exponent + 1, '0')}".encode()
    return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}".encode()


def _decompose(text: str) -> tuple[str, str, int]:
    """Sign, significant digits and decimal exponent of a finite, nonzero number's text."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exp = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    stripped = digits.lstrip("0")
    exponent = int(exp or 0) + len(whole) - 1 - (len(digits) - len(stripped))
    return sign, stripped.rstrip("0"), exponent


def _read(layout: Struct, data: bytes) -> float | str:
    error = bad_binary(data, layout.size)
    if error is not None:
        raise error
    value: float = layout.unpack(data)[0]
    return NAN if value != value else value


def parse_float8_binary(data: bytes) -> float | str:
    """Eight bytes, big endian IEEE 754."""
    return _read(_DOUBLE, data)


def parse_float4_binary(data: bytes) -> float | str:
    """Four bytes, big endian IEEE 754."""
    return _read(_SINGLE, data)


def _to_float(value: Any, name: str) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise invalid_text(name, show(value)) from None


def format_float8_binary(value: Any) -> bytes:
    """Eight bytes, big endian IEEE 754."""
    return _DOUBLE.pack(_to_float(value, "double precision"))


def format_float4_binary(value: Any) -> bytes:
    """Four bytes, big endian IEEE 754; infinite when a double does not fit."""
    return _SINGLE.pack(_to_single(_to_float(value, "real")))
