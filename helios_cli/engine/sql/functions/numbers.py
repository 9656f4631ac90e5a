"""Mathematical functions (PostgreSQL manual, 9.3). numeric is decimal text, float NaN the text 'NaN'."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import read_array
from helios_cli.engine.datatypes.numeric import EXACT, from_decimal
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.runtime_numbers import in_range

_SPECIAL: Final = ("NaN", "Infinity", "-Infinity")
MIN_SIGNIFICANT_DIGITS: Final = 16
"""NUMERIC_MIN_SIG_DIGITS (numeric.h): digits a division keeps at least."""


def to_decimal(text: str | int | float) -> Decimal:
    """A stored numeric as a Decimal."""
    return Decimal(text if isinstance(text, str) else str(text))


def scale_of(value: Decimal) -> int:
    """Digits after the point."""
    exponent = value.as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def division_scale(left: Decimal, right: Decimal) -> int:
    """The scale numeric division gives (select_div_scale, numeric.c): at least 16 significant digits."""
    weight_left, first_left = _weight(left)
    weight_right, first_right = _weight(right)
    weight = weight_left - weight_right - (1 if first_left <= first_right else 0)
    scale = MIN_SIGNIFICANT_DIGITS - weight * 4
    return min(max(scale, scale_of(left), scale_of(right), 0), 1000)


def _weight(value: Decimal) -> tuple[int, int]:
    """Weight in base 10000 of the first digit group, and that group (NumericVar)."""
    if not value:
        return 0, 0
    adjusted = value.adjusted()
    weight = adjusted // 4
    shifted = abs(value).scaleb(-4 * weight, EXACT)
    return weight, int(shifted.to_integral_value(ROUND_DOWN))


def divide(left: Decimal, right: Decimal, scale: int) -> Decimal:
    """left / right rounded half away from zero to ``scale`` digits."""
    digits = max(left.adjusted() - right.adjusted() + scale + 4, 4)
    quotient = Context(prec=digits + 30, Emax=999_999, Emin=-999_999, rounding=ROUND_DOWN).divide(left, right)
    return quotient.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=EXACT)


def show_decimal(value: Decimal) -> str:
    """A Decimal as stored numeric text, its scale kept."""
    return from_decimal(value)


def _numeric(rounding: str) -> Callable[[str], str]:
    def apply(text: str) -> str:
        if text in _SPECIAL:
            return text
        return show_decimal(to_decimal(text).to_integral_value(rounding, EXACT))

    return apply


def round_numeric(text: str, places: int = 0) -> str:
    """Round half away from zero."""
    return _quantize(text, places, ROUND_HALF_UP)


_PLACES_MAX: Final = 131_072 + 16_383
_DIGITS_MAX: Final = 131_071
"""The exponent of the largest numbers."""


def _quantize(text: str, places: int, rounding: str) -> str:
    if text in _SPECIAL:
        return text
    value = to_decimal(text)
    places = min(max(places, -_PLACES_MAX), _PLACES_MAX)
    if places < min(0, -(value.adjusted() + (1 if rounding == ROUND_HALF_UP else 0))):
        return "0"
    rounded = value.quantize(Decimal(1).scaleb(-places), rounding=rounding, context=EXACT)
    if places < 0 and rounded.adjusted() > _DIGITS_MAX:
        raise SqlError("value overflows numeric format", sqlstate="22003")
    if places < 0:
        rounded = rounded.quantize(Decimal(1), context=EXACT)
    return show_decimal(rounded)


def _as_float(value: Any) -> float:
    return float(value)


def show_float(value: float) -> float | str:
    """A float result as SQLite stores it: NaN is text."""
    return "NaN" if value != value else value


def _float(name: str) -> Callable[[Any], Any]:
    functions: dict[str, Callable[[float], float]] = {
        "ceil": math.ceil, "floor": math.floor, "trunc": math.trunc, "round": round,
    }  # fmt: skip
    call = functions[name]

    def apply(value: Any) -> Any:
        number = _as_float(value)
        if not math.isfinite(number):
            return show_float(number)
        result = float(call(number))
        return math.copysign(result, number) if result == 0 else result

    return apply


def _domain(message: str, state: str) -> SqlError:
    return SqlError(message, sqlstate=state)


def sqrt_float(value: Any) -> Any:
    """Square root."""
    number = _as_float(value)
    if number < 0:
        raise _domain("cannot take square root of a negative number", "2201F")
    return show_float(math.sqrt(number))


def sqrt_numeric(text: str, scale: int | None = None) -> str:
    """Square root with numeric's scale: at least 16 significant digits, unless ``scale`` is given (numeric_sqrt)."""
    if text in _SPECIAL:
        if text == "-Infinity":
            raise _domain("cannot take square root of a negative number", "2201F")
        return text
    value = to_decimal(text)
    if value < 0:
        raise _domain("cannot take square root of a negative number", "2201F")
    if scale is None:
        root_weight = (_weight(value)[0] + 1) * 2 - 1
        scale = _display_scale(root_weight, value)
    digits = int(value.scaleb(scale_of(value), EXACT))
    above, below = (10 ** max(power, 0) for power in (2 * scale - scale_of(value), scale_of(value) - 2 * scale))
    root = math.isqrt(digits * above // below)
    root += 4 * digits * above >= (2 * root + 1) ** 2 * below
    return show_decimal(Decimal(root).scaleb(-scale, EXACT))


def _display_scale(weight: int, *values: Decimal) -> int:
    """Digits after the point that leave 16 significant ones in a result whose first digit has ``weight``."""
    return min(max(MIN_SIGNIFICANT_DIGITS - weight, *(scale_of(value) for value in values), 0), 1000)


def exp_float(value: Any) -> Any:
    """e ** value. Raises 22003 when it overflows or underflows."""
    number = _as_float(value)
    if not math.isfinite(number):
        return 0.0 if number < 0 else show_float(number)
    try:
        result = math.exp(number)
    except OverflowError:
        raise _domain("value out of range: overflow", "22003") from None
    if result == 0.0:
        raise _domain("value out of range: underflow", "22003")
    return result


def exp_numeric(text: str) -> str:
    """e ** value with numeric's scale (numeric_exp, exp_var). Raises 22003."""
    if text in _SPECIAL:
        return "0" if text == "-Infinity" else text
    value = to_decimal(text)
    size = float(value)
    weight = int(min(max(size * 0.434294481903252, -2000.0), 2000.0))
    scale = min(max(MIN_SIGNIFICANT_DIGITS - weight, scale_of(value), 0), 1000)
    if abs(size) >= 6000:
        if size > 0:
            raise _domain("value overflows numeric format", "22003")
        return show_decimal(Decimal(0).scaleb(-scale, EXACT))
    result = Context(prec=max(scale + max(weight, 0) + 30, 40), Emax=999_999, Emin=-999_999).exp(value)
    return show_decimal(result.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT))


def _check_log(number: float | Decimal) -> None:
    if number == 0:
        raise _domain("cannot take logarithm of zero", "2201E")
    if number < 0:
        raise _domain("cannot take logarithm of a negative number", "2201E")


def ln_float(value: Any) -> Any:
    """Natural logarithm."""
    number = _as_float(value)
    _check_log(number)
    return show_float(math.log(number))


def log10_float(value: Any) -> Any:
    """Logarithm to base 10."""
    number = _as_float(value)
    _check_log(number)
    return show_float(math.log10(number))


def _ln_weight(value: Decimal) -> int:
    """The weight of the first digit of ln(value), as estimate_ln_dweight guesses it."""
    if Decimal("0.9") <= value <= Decimal("1.1"):
        return (value - 1).adjusted() if value != 1 else 0
    return int(math.log10(abs(float(Context(prec=17).ln(value)))))


def _log_numeric(text: str, ten: bool) -> str:
    if text in ("NaN", "Infinity"):
        return text
    value = to_decimal(text)
    _check_log(value)
    context = Context(prec=60 + scale_of(value) + abs(value.adjusted()))
    result = context.log10(value) if ten else context.ln(value)
    scale = _display_scale(_ln_weight(value), value)
    return show_decimal(result.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT))


def log_base(base: str, text: str) -> str:
    """Logarithm to any base, of numerics."""
    left, right = to_decimal(base), to_decimal(text)
    if left.is_nan() or right.is_nan():
        return "NaN"
    _check_log(left)
    _check_log(right)
    if left.is_infinite():
        return "NaN" if right.is_infinite() else "0"
    if right.is_infinite():
        return text
    context = Context(prec=80 + scale_of(left) + scale_of(right))
    divisor = context.ln(left)
    if divisor == 0:
        raise _domain("division by zero", "22012")
    scale = _display_scale(_ln_weight(right) - _ln_weight(left), left, right)
    return show_decimal(
        context.divide(context.ln(right), divisor).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT)
    )


def width_bucket(operand: Any, low: Any, high: Any, count: int) -> int:
    """The bucket of a histogram with equal widths that a value falls into."""
    if count <= 0:
        raise _domain("count must be greater than zero", "2201G")
    if low == high:
        raise _domain("lower bound cannot equal upper bound", "2201G")
    if low < high:
        if operand < low:
            return 0
        return count + 1 if operand >= high else int(count * (operand - low) / (high - low)) + 1
    if operand > low:
        return 0
    return count + 1 if operand <= high else int(count * (low - operand) / (low - high)) + 1


def width_bucket_of(element: int, operand: Any, thresholds: str) -> int:
    """width_bucket() over an array: how many of its ascending thresholds are not above a value."""
    found = read_array(thresholds, registry.by_oid(element).parse_text)
    if len(found.dims) > 1:
        raise _domain("thresholds must be one-dimensional array", "2202E")
    if any(item is None for item in found.items):
        raise _domain("thresholds array must not contain NULLs", "22004")

    def key(value: Any) -> tuple[int, Any]:
        # NaN sorts behind every number; numerics are kept as text.
        if value == "NaN":
            return 1, 0
        return 0, Decimal(value) if element == 1700 else value

    low, high, wanted = 0, len(found.items), key(operand)
    while low < high:
        middle = (low + high) // 2
        if wanted < key(found.items[middle]):
            high = middle
        else:
            low = middle + 1
    return low


def modulo(left: int, right: int) -> int:
    """Remainder with the dividend's sign."""
    if right == 0:
        raise _domain("division by zero", "22012")
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _div_numeric(left: str, right: str) -> str:
    """The quotient cut to a whole number (numeric_div_trunc). Raises 22012."""
    value, divisor = to_decimal(left), to_decimal(right)
    if value.is_nan() or divisor.is_nan() or (value.is_infinite() and divisor.is_infinite()):
        return "NaN"
    if divisor == 0:
        raise _domain("division by zero", "22012")
    if value.is_infinite():
        return "Infinity" if (value > 0) == (divisor > 0) else "-Infinity"
    return "0" if divisor.is_infinite() else show_decimal(EXACT.divide_int(value, divisor))


def _sign_numeric(text: str) -> str:
    number = to_decimal(text)
    return "NaN" if number.is_nan() else str((number > 0) - (number < 0))


def _common(left: str, right: str, call: Callable[[int, int], int]) -> str:
    """gcd or lcm of numerics, by way of whole numbers of their finer scale; NaN for NaN and infinities."""
    one, other = to_decimal(left), to_decimal(right)
    if not (one.is_finite() and other.is_finite()):
        return "NaN"
    scale = max(scale_of(one), scale_of(other))
    found = call(int(one.scaleb(scale, EXACT)), int(other.scaleb(scale, EXACT)))
    return show_decimal(Decimal(found).scaleb(-scale, EXACT))


def _factorial(number: int) -> str:
    if number < 0:
        raise _domain("factorial of a negative number is undefined", "22003")
    if number > 32177:
        raise _domain("value overflows numeric format", "22003")
    return show_decimal(Decimal(math.factorial(number)))


def sample_share(percent: float) -> float:
    """What TABLESAMPLE is given, checked."""
    if not 0 <= percent <= 100:
        raise SqlError("sample percentage must be between 0 and 100", sqlstate="2202H")
    return percent


def install(lib: Library) -> None:
    """Declare the mathematical functions."""
    lib.helper("pg_sample_share", sample_share, 1)
    d = lib.define
    d("cash_words", "money -> text", sql="pg_money_words({0})", null_for_null=True)
    for name, bits in (("int2", 16), ("int4", 32), ("int8", 64)):
        d("abs", f"{name} -> {name}", lambda number, bits=bits: in_range(abs(number), bits))
    d("abs", "float4 -> float4", lambda value: show_float(abs(float(value))))
    d("abs", "float8 -> float8", lambda value: show_float(abs(float(value))))
    d("abs", "numeric -> numeric", lambda text: text.removeprefix("-"))
    d("sign", "float8 -> float8", lambda value: 0.0 if value == "NaN" else float((value > 0) - (value < 0)))
    d("sign", "numeric -> numeric", _sign_numeric)
    for name, rounding in (("ceil", ROUND_CEILING), ("floor", ROUND_FLOOR)):
        call = _numeric(rounding)
        for alias in (name, "ceiling") if name == "ceil" else (name,):
            d(alias, "numeric -> numeric", call)
            d(alias, "float8 -> float8", _float(name))
    d("round", "numeric -> numeric", round_numeric)
    d("round", "numeric int4 -> numeric", _round2)
    d("round", "float8 -> float8", _float("round"))
    d("trunc", "numeric -> numeric", _numeric(ROUND_DOWN))
    d("trunc", "numeric int4 -> numeric", lambda text, places: _quantize(text, places, ROUND_DOWN))
    d("trunc", "float8 -> float8", _float("trunc"))
    for name in ("int2", "int4", "int8"):
        d("mod", f"{name} {name} -> {name}", modulo)
    d("mod", "numeric numeric -> numeric", sql="pg_numeric_modulo({0}, {1})")
    d("div", "numeric numeric -> numeric", _div_numeric)
    d("sqrt", "float8 -> float8", sqrt_float)
    d("sqrt", "numeric -> numeric", lambda text: sqrt_numeric(text))
    d("cbrt", "float8 -> float8", lambda value: show_float(math.cbrt(_as_float(value))))
    for name in ("power", "pow"):
        d(name, "float8 float8 -> float8", sql="pg_float_power({0}, {1})")
        d(name, "numeric numeric -> numeric", sql="pg_numeric_power({0}, {1})")
    d("exp", "float8 -> float8", exp_float)
    d("exp", "numeric -> numeric", exp_numeric)
    d("ln", "float8 -> float8", ln_float)
    d("ln", "numeric -> numeric", lambda text: _log_numeric(text, False))
    for name in ("log", "log10"):
        d(name, "float8 -> float8", log10_float)
        d(name, "numeric -> numeric", lambda text: _log_numeric(text, True))
    d("log", "numeric numeric -> numeric", log_base)
    d("random", "-> float8", sql="((random() & 9007199254740991) / 9007199254740992.0)", volatile=True)
    d("setseed", "float8 -> void", sql="iif({0} IS NULL, NULL, '')", volatile=True)
    d("pi", "-> float8", sql="3.141592653589793")
    for name, bits in (("int4", 32), ("int8", 64)):
        d("gcd", f"{name} {name} -> {name}", lambda left, right, bits=bits: in_range(math.gcd(left, right), bits))
        d("lcm", f"{name} {name} -> {name}", lambda left, right, bits=bits: in_range(math.lcm(left, right), bits))
    d("gcd", "numeric numeric -> numeric", lambda left, right: _common(left, right, math.gcd))
    d("lcm", "numeric numeric -> numeric", lambda left, right: _common(left, right, math.lcm))
    d("factorial", "int8 -> numeric", _factorial)
    d("width_bucket", "float8 float8 float8 int4 -> int4", _width_bucket_float)
    d("width_bucket", "anycompatible anycompatiblearray -> int4", width_bucket_of, sql="{udf}({elem}, {args})")
    d("width_bucket", "numeric numeric numeric int4 -> int4", _width_bucket_numeric)
    d("scale", "numeric -> int4", lambda text: None if text in _SPECIAL else scale_of(to_decimal(text)))
    d("min_scale", "numeric -> int4", lambda text: None if text in _SPECIAL else scale_of(Decimal(_trimmed(text))))
    d("trim_scale", "numeric -> numeric", lambda text: text if text in _SPECIAL else _trimmed(text))


def _round2(text: str, places: int) -> str:
    return round_numeric(text, places)


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _width_bucket_numeric(operand: str, low: str, high: str, count: int) -> int:
    if count > 0 and "NaN" in (operand, low, high):
        raise _domain("operand, lower bound, and upper bound cannot be NaN", "2201G")
    if count > 0 and (low in _SPECIAL or high in _SPECIAL):
        raise _domain("lower and upper bounds must be finite", "2201G")
    return width_bucket(Decimal(operand), Decimal(low), Decimal(high), count)


def _width_bucket_float(operand: Any, low: Any, high: Any, count: int) -> int:
    if count > 0 and "NaN" in (operand, low, high):
        raise _domain("operand, lower bound, and upper bound cannot be NaN", "2201G")
    if count > 0 and (math.isinf(low) or math.isinf(high)):
        raise _domain("lower and upper bounds must be finite", "2201G")
    return width_bucket(operand, low, high, count)
