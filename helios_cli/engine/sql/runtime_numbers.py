"""Integer, float and numeric arithmetic that SQLite does otherwise than PostgreSQL."""

from __future__ import annotations

import math
import struct
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from helios_cli.engine.datatypes.numeric import from_decimal, parse_numeric
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import ScalarTable

EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_UP, traps=[])
"""Never loses a digit; Infinity - Infinity is NaN, as in PostgreSQL."""

_NAMES: Final = {16: "smallint", 32: "integer", 64: "bigint"}
_MIN_SIGNIFICANT: Final = 16
_MAX_DISPLAY_SCALE: Final = 1000
_SINGLE: Final = struct.Struct("f")


def division_by_zero() -> SqlError:
    """22012."""
    return SqlError("division by zero", sqlstate="22012")


def pg_raise(
    sqlstate: str,
    message: str,
    detail: str | None = None,
    schema: str | None = None,
    table: str | None = None,
    constraint: str | None = None,
    hint: str | None = None,
) -> None:
    """Raise an error from within SQL."""
    raise SqlError(
        message, sqlstate=sqlstate, detail=detail, hint=hint, schema=schema, table=table, constraint=constraint
    )


# -- integers -------------------------------------------------------------------------------------


def in_range(value: int, bits: int) -> int:
    """The value itself when it fits a signed integer. Raises 22003."""
    if -(1 << bits - 1) <= value < 1 << bits - 1:
        return value
    raise SqlError(f"{_NAMES[bits]} out of range", sqlstate="22003")


def _checked(value: Any, bits: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, float):
        raise SqlError(f"{_NAMES[bits]} out of range", sqlstate="22003")
    return in_range(value, bits)


def pg_int16(value: Any) -> int | None:
    """A smallint. Raises 22003."""
    return _checked(value, 16)


def pg_int32(value: Any) -> int | None:
    """An integer. Raises 22003."""
    return _checked(value, 32)


def pg_int64(value: Any) -> int | None:
    """A bigint; a REAL is what SQLite makes of an overflow. Raises 22003."""
    return _checked(value, 64)


def pg_int_divide(left: int | None, right: int | None, bits: int) -> int | None:
    """Quotient towards zero. Raises 22012, 22003."""
    if left is None or right is None:
        return None
    if right == 0:
        raise division_by_zero()
    quotient = abs(left) // abs(right)
    return in_range(quotient if (left < 0) == (right < 0) else -quotient, bits)


def pg_int_modulo(left: int | None, right: int | None, _bits: int) -> int | None:
    """Remainder with the sign of the dividend. Raises 22012."""
    if left is None or right is None:
        return None
    if right == 0:
        raise division_by_zero()
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def pg_int_xor(left: int | None, right: int | None) -> int | None:
    """Bitwise exclusive or."""
    return None if left is None or right is None else left ^ right


def pg_int_shift(value: int | None, count: int | None, bits: int) -> int | None:
    """Shift left by the count modulo the width, as the C operator does."""
    if value is None or count is None:
        return None
    shifted = (value << count % max(bits, 32)) & ((1 << bits) - 1)
    return shifted - (1 << bits) if shifted >> bits - 1 else shifted


def pg_int_shift_right(value: int | None, count: int | None, bits: int) -> int | None:
    """Shift right by the count modulo the width, as the C operator does."""
    return None if value is None or count is None else value >> count % max(bits, 32)


# -- floats ---------------------------------------------------------------------------------------


def stored_float(value: float) -> float | str:
    """A float as it is stored: NaN is text, since SQLite has none."""
    return "NaN" if value != value else value


def _overflow() -> SqlError:
    return SqlError("value out of range: overflow", sqlstate="22003")


def _underflow() -> SqlError:
    return SqlError("value out of range: underflow", sqlstate="22003")


def _result(value: float, single: int, *, infinite: bool, zero: bool) -> float | str:
    """Check a result: ``infinite`` and ``zero`` say that the operands allow such a result."""
    if single and math.isfinite(value):
        value = to_single(value)
    if math.isinf(value) and not infinite:
        raise _overflow()
    if value == 0.0 and not zero:
        raise _underflow()
    return stored_float(value)


def to_single(value: float) -> float:
    """The nearest single precision value; infinite when out of its range."""
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def pg_float_add(left: Any, right: Any, single: int = 0) -> float | str | None:
    """Sum. Raises 22003."""
    if left is None or right is None:
        return None
    a, b = float(left), float(right)
    return _result(a + b, single, infinite=math.isinf(a) or math.isinf(b), zero=True)


def pg_float_subtract(left: Any, right: Any, single: int = 0) -> float | str | None:
    """Difference. Raises 22003."""
    if left is None or right is None:
        return None
    a, b = float(left), float(right)
    return _result(a - b, single, infinite=math.isinf(a) or math.isinf(b), zero=True)


def pg_float_multiply(left: Any, right: Any, single: int = 0) -> float | str | None:
    """Product. Raises 22003."""
    if left is None or right is None:
        return None
    a, b = float(left), float(right)
    return _result(a * b, single, infinite=math.isinf(a) or math.isinf(b), zero=a == 0.0 or b == 0.0)


def pg_float_divide(left: Any, right: Any, single: int = 0) -> float | str | None:
    """Quotient. Raises 22012, 22003."""
    if left is None or right is None:
        return None
    a, b = float(left), float(right)
    if b == 0.0:
        if a != a:
            return "NaN"
        raise division_by_zero()
    return _result(a / b, single, infinite=math.isinf(a), zero=a == 0.0 or math.isinf(b))


def pg_float_negate(value: Any) -> float | str | None:
    """Minus."""
    return None if value is None else stored_float(-float(value))


def pg_float_abs(value: Any) -> float | str | None:
    """Absolute value."""
    return None if value is None else stored_float(abs(float(value)))


def _power_fault(message: str) -> SqlError:
    return SqlError(message, sqlstate="2201F")


def pg_float_power(base: Any, exponent: Any) -> float | str | None:
    """Power (dpow, float.c). Raises 2201F, 22003."""
    if base is None or exponent is None:
        return None
    a, b = float(base), float(exponent)
    if a == 0.0 and b < 0:
        raise _power_fault("zero raised to a negative power is undefined")
    if a < 0 and math.isfinite(b) and b != math.floor(b):
        raise _power_fault("a negative number raised to a non-integer power yields a complex result")
    try:
        value = math.pow(a, b)
    except OverflowError:
        raise _overflow() from None
    return _result(value, 0, infinite=math.isinf(a) or math.isinf(b), zero=a == 0.0 or math.isinf(a) or math.isinf(b))


def pg_float_sqrt(value: Any) -> float | str | None:
    """Square root. Raises 2201F."""
    if value is None:
        return None
    a = float(value)
    if a < 0:
        raise _power_fault("cannot take square root of a negative number")
    return stored_float(math.sqrt(a))


def pg_float_cbrt(value: Any) -> float | str | None:
    """Cube root."""
    return None if value is None else stored_float(math.cbrt(float(value)))


def pg_float4(value: Any) -> float | str | None:
    """A double precision value as real. Raises 22003."""
    if value is None:
        return None
    a = float(value)
    return _result(a, 1, infinite=math.isinf(a), zero=a == 0.0)


_REAL_BITS: Final = 24
"""Digits of a real, in bits."""


def pg_int_float4(value: Any) -> float | None:
    """An integer as the nearest real, in one step: by way of a double it would be rounded twice."""
    if value is None:
        return None
    shift = max(abs(value).bit_length() - _REAL_BITS, 0)
    whole, rest = divmod(abs(value), 1 << shift)
    half = (1 << shift) >> 1
    if half and (rest > half or (rest == half and whole & 1)):
        whole += 1
    return math.copysign(float(whole << shift), value)


def pg_float_int(value: Any, bits: int) -> int | None:
    """A float rounded to the nearest integer, ties to even. Raises 22003."""
    if value is None:
        return None
    a = float(value)
    if not math.isfinite(a):
        raise SqlError(f"{_NAMES[bits]} out of range", sqlstate="22003")
    return in_range(round(a), bits)


def pg_float_numeric(value: Any, digits: int) -> str | None:
    """A float as numeric with its guaranteed decimal digits (float8_numeric, numeric.c)."""
    if value is None:
        return None
    a = float(value)
    if not math.isfinite(a):
        return "NaN" if a != a else "Infinity" if a > 0 else "-Infinity"
    return parse_numeric(format(a, f".{digits}g"))


# -- numeric --------------------------------------------------------------------------------------


def scale_of(value: Decimal) -> int:
    """Digits after the point."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def pg_numeric_add(left: Any, right: Any) -> str | None:
    """Sum."""
    if left is None or right is None:
        return None
    return from_decimal(EXACT.add(Decimal(left), Decimal(right)))


def pg_numeric_subtract(left: Any, right: Any) -> str | None:
    """Difference."""
    if left is None or right is None:
        return None
    return from_decimal(EXACT.subtract(Decimal(left), Decimal(right)))


def pg_numeric_multiply(left: Any, right: Any) -> str | None:
    """Product."""
    if left is None or right is None:
        return None
    return from_decimal(EXACT.multiply(Decimal(left), Decimal(right)))


def _weight(value: Decimal) -> tuple[int, int]:
    """Weight and value of the first base-10000 digit."""
    if not value:
        return 0, 0
    weight, shift = divmod(value.adjusted(), 4)
    leading = "".join(map(str, value.as_tuple().digits[: shift + 1])).ljust(shift + 1, "0")
    return weight, int(leading)


def division_scale(left: Decimal, right: Decimal) -> int:
    """Digits after the point of a quotient (select_div_scale, numeric.c)."""
    weight1, first1 = _weight(left)
    weight2, first2 = _weight(right)
    quotient_weight = weight1 - weight2 - (first1 <= first2)
    scale = max(_MIN_SIGNIFICANT - quotient_weight * 4, scale_of(left), scale_of(right), 0)
    return min(scale, _MAX_DISPLAY_SCALE)


def divide_rounded(left: Decimal, right: Decimal, scale: int) -> Decimal:
    """An exact quotient rounded half away from zero to a scale. Both finite, the divisor not zero."""
    numerator, denominator = left.as_integer_ratio()
    top, bottom = right.as_integer_ratio()
    numerator, denominator = numerator * bottom * 10**scale, denominator * top
    negative = (numerator < 0) != (denominator < 0)
    quotient, rest = divmod(abs(numerator), abs(denominator))
    quotient += 2 * rest >= abs(denominator)
    return Decimal(-quotient if negative else quotient).scaleb(-scale, EXACT)


def pg_numeric_divide(left: Any, right: Any) -> str | None:
    """Quotient. Raises 22012."""
    if left is None or right is None:
        return None
    a, b = Decimal(left), Decimal(right)
    if a.is_nan() or b.is_nan():
        return "NaN"
    if not b:
        raise division_by_zero()
    if a.is_infinite() or b.is_infinite():
        return from_decimal(EXACT.divide(a, b)) if a.is_infinite() else "0"
    return from_decimal(divide_rounded(a, b, division_scale(a, b)))


def pg_numeric_modulo(left: Any, right: Any) -> str | None:
    """Remainder with the sign of the dividend. Raises 22012."""
    if left is None or right is None:
        return None
    a, b = Decimal(left), Decimal(right)
    if a.is_nan() or b.is_nan():
        return "NaN"
    if not b:
        raise division_by_zero()
    if b.is_infinite():
        return "NaN" if a.is_infinite() else from_decimal(a)
    rest = EXACT.remainder(a, b)
    if rest.is_nan():
        return "NaN"
    scale = max(scale_of(a), scale_of(b))
    return from_decimal(rest.quantize(Decimal(1).scaleb(-scale, EXACT), ROUND_HALF_UP, EXACT))


def pg_numeric_negate(value: Any) -> str | None:
    """Minus."""
    return None if value is None else from_decimal(EXACT.copy_negate(Decimal(value)))


def pg_numeric_abs(value: Any) -> str | None:
    """Absolute value."""
    return None if value is None else from_decimal(EXACT.copy_abs(Decimal(value)))


def pg_numeric_power(base: Any, exponent: Any) -> str | None:
    """Power (numeric_power, numeric.c). Raises 2201F, 22003, 22012."""
    if base is None or exponent is None:
        return None
    a, b = Decimal(base), Decimal(exponent)
    if a.is_nan() or b.is_nan():
        return "1" if b == 0 or a == 1 else "NaN"
    if not a and b < 0:
        raise _power_fault("zero raised to a negative power is undefined")
    whole = b.is_infinite() or b == b.to_integral_value()
    if a < 0 and not whole:
        raise _power_fault("a negative number raised to a non-integer power yields a complex result")
    if a.is_infinite() or b.is_infinite():
        return _infinite_power(a, b)
    if whole and -(2**31) <= b < 2**31:
        return _whole_power(a, int(b))
    return _finite_power(a, b) if a else _fixed(Decimal(0), _MIN_SIGNIFICANT)


def _infinite_power(base: Decimal, exponent: Decimal) -> str:
    """A power where the base, the exponent or both are infinite."""
    if base == 1 or exponent == 0 or (exponent.is_infinite() and base == -1):
        return "1"
    if exponent.is_infinite():
        grows = (abs(base) > 1) == (exponent > 0)
        return "Infinity" if grows and base != 0 else "0"
    if exponent < 0:
        return "0"
    odd = exponent % 2 == 1
    return "-Infinity" if base < 0 and odd else "Infinity"


def _whole_power(base: Decimal, exponent: int) -> str:
    """power_var_int: sixteen digits after the point, or the base's scale when that is more."""
    scale = min(max(_MIN_SIGNIFICANT, scale_of(base)), _MAX_DISPLAY_SCALE)
    if not base or exponent == 0:
        return _fixed(Decimal(int(exponent == 0)), scale)
    magnitude = exponent * float(abs(base).log10(Context(prec=30)))
    if magnitude > 131072:
        raise SqlError("value overflows numeric format", sqlstate="22003")
    if magnitude + 1 < -scale:
        return _fixed(Decimal(0), scale)
    return _fixed(_power_context(magnitude, scale).power(base, exponent), scale)


def _power_context(magnitude: float, scale: int) -> Context:
    precision = max(int(magnitude) + scale + 30, 40)
    return Context(prec=precision, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_EVEN, traps=[])


def _finite_power(base: Decimal, exponent: Decimal) -> str:
    """power_var by logarithm: sixteen significant digits, or the scale of either operand when that is more."""
    value = float(exponent * abs(base).ln(Context(prec=30)))
    if abs(value) > 6020:
        if value > 0:
            raise SqlError("value overflows numeric format", sqlstate="22003")
        return _fixed(Decimal(0), _MAX_DISPLAY_SCALE)
    magnitude = value * 0.434294481903252
    scale = max(_MIN_SIGNIFICANT - int(magnitude), scale_of(base), scale_of(exponent), 0)
    scale = min(scale, _MAX_DISPLAY_SCALE)
    return _fixed(_power_context(magnitude, scale).power(base, exponent), scale)


def _fixed(value: Decimal, scale: int) -> str:
    return from_decimal(value.quantize(Decimal(1).scaleb(-scale, EXACT), ROUND_HALF_UP, EXACT))


def pg_numeric_int(value: Any, bits: int) -> int | None:
    """A numeric rounded half away from zero to an integer. Raises 22003, 0A000 for NaN and infinity."""
    if value is None:
        return None
    number = Decimal(value)
    if not number.is_finite():
        word = "NaN" if number.is_nan() else "infinity"
        raise SqlError(f"cannot convert {word} to {_NAMES[bits]}", sqlstate="0A000")
    return in_range(int(number.quantize(Decimal(1), ROUND_HALF_UP, EXACT)), bits)


SCALARS: Final[ScalarTable] = {
    "pg_raise": (pg_raise, -1, False),
    "pg_int16": (pg_int16, 1, True),
    "pg_int32": (pg_int32, 1, True),
    "pg_int64": (pg_int64, 1, True),
    "pg_int_divide": (pg_int_divide, 3, True),
    "pg_int_modulo": (pg_int_modulo, 3, True),
    "pg_int_xor": (pg_int_xor, 2, True),
    "pg_int_shift_right": (pg_int_shift_right, 3, True),
    "pg_int_shift": (pg_int_shift, 3, True),
    "pg_float_add": (pg_float_add, -1, True),
    "pg_float_subtract": (pg_float_subtract, -1, True),
    "pg_float_multiply": (pg_float_multiply, -1, True),
    "pg_float_divide": (pg_float_divide, -1, True),
    "pg_float_negate": (pg_float_negate, 1, True),
    "pg_float_abs": (pg_float_abs, 1, True),
    "pg_float_power": (pg_float_power, 2, True),
    "pg_float_sqrt": (pg_float_sqrt, 1, True),
    "pg_float_cbrt": (pg_float_cbrt, 1, True),
    "pg_float4": (pg_float4, 1, True),
    "pg_int_float4": (pg_int_float4, 1, True),
    "pg_float_int": (pg_float_int, 2, True),
    "pg_float_numeric": (pg_float_numeric, 2, True),
    "pg_numeric_add": (pg_numeric_add, 2, True),
    "pg_numeric_subtract": (pg_numeric_subtract, 2, True),
    "pg_numeric_multiply": (pg_numeric_multiply, 2, True),
    "pg_numeric_divide": (pg_numeric_divide, 2, True),
    "pg_numeric_modulo": (pg_numeric_modulo, 2, True),
    "pg_numeric_negate": (pg_numeric_negate, 1, True),
    "pg_numeric_abs": (pg_numeric_abs, 1, True),
    "pg_numeric_power": (pg_numeric_power, 2, True),
    "pg_numeric_int": (pg_numeric_int, 2, True),
}
