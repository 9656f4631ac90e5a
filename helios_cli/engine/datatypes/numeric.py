"""numeric: decimal text with its scale kept ('1.50'), 'NaN', 'Infinity', '-Infinity'."""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_UP, Context, Decimal
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes.faults import incorrect_binary, insufficient_data, invalid_text
from helios_cli.engine.datatypes.integers import WHITESPACE, show
from helios_cli.engine.errors import SqlError

EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_UP)
"""A decimal context that never loses a digit; PostgreSQL rounds halves away from zero."""

_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
_CANONICAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_MAX_WHOLE_DIGITS = 131072
_MAX_SCALE = 16383
_SPECIAL: Final = {"nan": "NaN"} | {
    sign + word: ("-" if sign == "-" else "") + "Infinity" for sign in ("", "+", "-") for word in ("inf", "infinity")
}
_HEAD = Struct("!HhHH")
_INFINITE_SCALE: Final = 0x20
"""What PostgreSQL writes as the scale of an infinity."""
_SIGNS: Final = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_SPECIAL_SIGNS: Final = {text: sign for sign, text in _SIGNS.items()}


def parse_numeric(text: str) -> str:
    """The canonical decimal text. Raises 22P02, and 22003 beyond 131072 digits before the point."""
    if len(text) < 1000 and _CANONICAL.fullmatch(text) and not text.startswith("-"):
        return text
    word = text.strip(WHITESPACE)
    special = _SPECIAL.get(word.lower())
    if special is not None:
        return special
    match = _NUMBER.fullmatch(word)
    if match is None or not (match[2] or match[3]):
        raise invalid_text("numeric", text)
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", match[4]
    shift = 0
    if exponent:
        shift = _exponent(exponent, text)
    return _canonical(sign == "-", whole + fraction, len(fraction) - shift)


def _exponent(digits: str, text: str) -> int:
    """The exponent's value; PostgreSQL refuses what does not fit an int."""
    if len(digits.lstrip("+-0")) > 9:
        raise invalid_text("numeric", text)
    return int(digits)


def _canonical(negative: bool, digits: str, scale: int) -> str:
    """Text of ``digits`` * 10**-scale, without superfluous zeros before the point."""
    digits = digits.lstrip("0")
    if digits and len(digits) - scale > _MAX_WHOLE_DIGITS:
        raise SqlError("value overflows numeric format", sqlstate="22003")
    if scale > _MAX_SCALE:
        raise SqlError("value overflows numeric format", sqlstate="22003")
    if scale <= 0:
        whole = digits + "0" * -scale if digits else "0"
        return "-" + whole if negative and digits else whole
    digits = digits.rjust(scale + 1, "0")
    text = f"{digits[:-scale]}.{digits[-scale:]}"
    return "-" + text if negative and digits.strip("0") else text


def from_decimal(value: Decimal) -> str:
    """The canonical text of a Decimal; a negative scale is written out in zeros."""
    if value.is_nan():
        return "NaN"
    if value.is_infinite():
        return "Infinity" if value > 0 else "-Infinity"
    text = format(value, "f")
    return text[1:] if text.startswith("-") and not value else text


def round_numeric(text: str, scale: int) -> str:
    """Round half away from zero to ``scale`` digits after the point; specials stay."""
    value = EXACT.create_decimal(text)
    if not value.is_finite():
        return text
    rounded = value.quantize(Decimal(1).scaleb(-scale, EXACT), ROUND_HALF_UP, EXACT)
    if scale < 0:
        rounded = rounded.quantize(Decimal(1), ROUND_HALF_UP, EXACT)
    return from_decimal(rounded)


def apply_numeric(text: str, precision: int, scale: int) -> str:
    """Fit a numeric into ``numeric(precision, scale)``. Raises 22003 when too large."""
    if text == "NaN":
        return text
    bound = precision - scale
    if text in _SPECIAL_SIGNS:
        raise _overflow(f"A field with precision {precision}, scale {scale} cannot hold an infinite value.")
    rounded = round_numeric(text, scale)
    whole = rounded.lstrip("-").partition(".")[0].lstrip("0")
    fits = len(whole) <= bound if bound > 0 else not whole and _leading_zeros(rounded) >= -bound
    if not fits:
        limit = f"10^{bound}" if bound else "1"
        raise _overflow(
            f"A field with precision {precision}, scale {scale} must round to an absolute value less than {limit}."
        )
    return rounded


def _leading_zeros(text: str) -> int:
    """Zeros right after the point; all of them when the value is zero."""
    fraction = text.partition(".")[2]
    return len(fraction) - len(fraction.lstrip("0")) if fraction.strip("0") else _MAX_SCALE


def _overflow(detail: str) -> SqlError:
    return SqlError("numeric field overflow", sqlstate="22003", detail=detail)


def format_numeric(value: Any) -> bytes:
    """The stored text; an integer or real that SQLite computed is written in decimals."""
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return b"NaN" if value != value else (b"Infinity" if value > 0 else b"-Infinity")
        return from_decimal(Decimal(repr(value)).normalize(EXACT)).encode() if value else b"0"
    return show(value).encode("utf-8", "replace")


def format_numeric_binary(value: Any) -> bytes:
    """PostgreSQL's base-10000 form. Raises 22P02 when the value is no number."""
    text = parse_numeric(format_numeric(value).decode())
    if text in _SPECIAL_SIGNS:
        return _HEAD.pack(0, 0, _SPECIAL_SIGNS[text], 0 if text == "NaN" else _INFINITE_SCALE)
    sign = 0x4000 if text.startswith("-") else 0
    whole, _, fraction = text.lstrip("-").partition(".")
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    padded = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    groups = [int((whole + padded)[i : i + 4]) for i in range(0, len(whole) + len(padded), 4)]
    weight = len(whole) // 4 - 1
    first = next((i for i, group in enumerate(groups) if group), len(groups))
    groups = groups[first:]
    while groups and groups[-1] == 0:
        groups.pop()
    weight = weight - first if groups else 0
    return _HEAD.pack(len(groups), weight, sign, len(fraction)) + Struct(f"!{len(groups)}H").pack(*groups)


def parse_numeric_binary(data: bytes) -> str:
    """Read the base-10000 form. Raises 22P03 for an impossible sign, scale or digit."""
    if len(data) < _HEAD.size:
        raise insufficient_data()
    count, weight, sign, scale = _HEAD.unpack_from(data)
    if sign not in (0, 0x4000, *_SIGNS):
        raise SqlError('invalid sign in external "numeric" value', sqlstate="22P03")
    if scale > _MAX_SCALE:
        raise SqlError('invalid scale in external "numeric" value', sqlstate="22P03")
    present = min(count, (len(data) - _HEAD.size) // 2)
    groups = Struct(f"!{present}H").unpack_from(data, _HEAD.size)
    if any(group > 9999 for group in groups):
        raise SqlError('invalid digit in external "numeric" value', sqlstate="22P03")
    if len(data) != _HEAD.size + 2 * count:
        raise insufficient_data() if present < count else incorrect_binary()
    if sign in _SIGNS:
        return _SIGNS[sign]
    digits = "".join(f"{group:04d}" for group in groups)
    return _rescaled(sign != 0, digits, 4 * (count - 1 - weight), scale)


def _rescaled(negative: bool, digits: str, fraction_digits: int, scale: int) -> str:
    """Cut or extend to ``scale`` digits after the point (cutting truncates, as PostgreSQL does)."""
    if not digits.strip("0"):
        return _canonical(False, "", scale)
    if fraction_digits > scale:
        digits = digits[: max(0, len(digits) - (fraction_digits - scale))]
    else:
        digits += "0" * (scale - fraction_digits)
    return _canonical(negative, digits, scale)
