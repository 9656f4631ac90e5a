"""Trigonometric and hyperbolic functions of double precision (float.c): NaN passes, infinities mostly are an error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library


def _out_of_range() -> SqlError:
    return SqlError("input is out of range", sqlstate="22003")


def _stored(value: float) -> float | str:
    return "NaN" if value != value else value


def bounded(call: Callable[[float], float], low: float = -math.inf, high: float = math.inf) -> Callable[[Any], Any]:
    """A function of a number from low to high, infinities excluded. Raises 22003."""

    def apply(value: Any) -> Any:
        number = float(value)
        if number != number:
            return "NaN"
        if math.isinf(number) or not low <= number <= high:
            raise _out_of_range()
        return _stored(call(number))

    return apply


def everywhere(call: Callable[[float], float]) -> Callable[[Any], Any]:
    """A function of any number; one that overflows is infinite."""

    def apply(value: Any) -> Any:
        number = float(value)
        if number != number:
            return "NaN"
        try:
            return _stored(call(number))
        except OverflowError:
            return math.inf if number > 0 or call is math.cosh else -math.inf

    return apply


def _cot(value: float) -> float:
    tangent = math.tan(value)
    return math.copysign(math.inf, tangent) if tangent == 0 else 1.0 / tangent


def _reduced(degrees: float) -> tuple[float, float]:
    """An angle brought into 0 to 90 degrees, and the sign of its sine there (dsind)."""
    angle, sign = math.fmod(degrees, 360.0), 1.0
    if angle < 0:
        angle, sign = -angle, -1.0
    if angle > 180:
        angle, sign = 360.0 - angle, -sign
    return (180.0 - angle if angle > 90 else angle), sign


def _first_sine(degrees: float) -> float:
    if degrees <= 30:
        return math.sin(math.radians(degrees)) / math.sin(math.radians(30.0)) / 2.0
    return _first_cosine(90.0 - degrees) if degrees > 60 else _middle_sine(degrees)


def _middle_sine(degrees: float) -> float:
    return _upper_cosine(90.0 - degrees)


def _upper_cosine(degrees: float) -> float:
    return 1.0 - (1.0 - math.cos(math.radians(degrees))) / (1.0 - math.cos(math.radians(60.0))) / 2.0


def _first_cosine(degrees: float) -> float:
    if degrees <= 60:
        return _upper_cosine(degrees)
    return math.sin(math.radians(90.0 - degrees)) / math.sin(math.radians(30.0)) / 2.0


def sine_degrees(degrees: float) -> float:
    """Exact at multiples of 30 degrees."""
    angle, sign = _reduced(degrees)
    return sign * _first_sine(angle)


def cosine_degrees(degrees: float) -> float:
    """Exact at multiples of 30 degrees."""
    angle, sign = math.fmod(abs(degrees), 360.0), 1.0
    if angle > 180:
        angle = 360.0 - angle
    if angle > 90:
        angle, sign = 180.0 - angle, -1.0
    return sign * _first_cosine(angle)


def tangent_degrees(degrees: float) -> float:
    """Exact at multiples of 45 degrees; infinite at 90."""
    sine, cosine = sine_degrees(degrees), cosine_degrees(degrees)
    if cosine == 0:
        return math.copysign(math.inf, sine)
    return (sine / cosine) / (_first_sine(45.0) / _first_cosine(45.0)) + 0.0


def cotangent_degrees(degrees: float) -> float:
    """Exact at multiples of 45 degrees; infinite at 0."""
    sine, cosine = sine_degrees(degrees), cosine_degrees(degrees)
    if sine == 0:
        return math.copysign(math.inf, degrees if degrees == 0 else cosine)
    return (cosine / sine) / (_first_cosine(45.0) / _first_sine(45.0)) + 0.0


def _arcsine_first(value: float) -> float:
    if value <= 0.5:
        return math.asin(value) / math.asin(0.5) * 30.0
    return 90.0 - math.acos(value) / math.acos(0.5) * 60.0


def _arccosine_first(value: float) -> float:
    if value <= 0.5:
        return 90.0 - math.asin(value) / math.asin(0.5) * 30.0
    return math.acos(value) / math.acos(0.5) * 60.0


def arcsine_degrees(value: float) -> float:
    """Exact at the halves."""
    return _arcsine_first(value) if value >= 0 else -_arcsine_first(-value)


def arccosine_degrees(value: float) -> float:
    """Exact at the halves."""
    return _arccosine_first(value) if value >= 0 else 90.0 + _arcsine_first(-value)


def arctangent_degrees(value: float) -> float:
    """Exact at 1."""
    return math.atan(value) / math.atan(1.0) * 45.0


def _atan2(one: Any, other: Any) -> Any:
    return _stored(math.atan2(float(one), float(other)))


def _atan2_degrees(one: Any, other: Any) -> Any:
    return _stored(math.atan2(float(one), float(other)) / math.atan(1.0) * 45.0)


def _degrees(value: float) -> float:
    result = value / (math.pi / 180.0)
    if math.isinf(result) and not math.isinf(value):
        raise SqlError("value out of range: overflow", sqlstate="22003")
    return result


BOUNDED: Final[dict[str, Callable[[float], float]]] = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "cot": _cot, "sind": sine_degrees, "cosd": cosine_degrees,
    "tand": tangent_degrees, "cotd": cotangent_degrees,
}  # fmt: skip
EVERYWHERE: Final[dict[str, Callable[[float], float]]] = {
    "atan": math.atan, "atand": arctangent_degrees, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh,
    "asinh": math.asinh, "degrees": _degrees, "radians": lambda value: value * (math.pi / 180.0),
}  # fmt: skip


def install(lib: Library) -> None:
    """Declare them."""
    for name, call in BOUNDED.items():
        lib.define(name, "float8 -> float8", bounded(call))
    for name, call in EVERYWHERE.items():
        lib.define(name, "float8 -> float8", everywhere(call))
    for name, call in {
        "asin": math.asin,
        "acos": math.acos,
        "asind": arcsine_degrees,
        "acosd": arccosine_degrees,
    }.items():
        lib.define(name, "float8 -> float8", bounded(call, -1.0, 1.0))
    lib.define("acosh", "float8 -> float8", _acosh)
    lib.define("atanh", "float8 -> float8", _atanh)
    lib.define("atan2", "float8 float8 -> float8", _atan2)
    lib.define("atan2d", "float8 float8 -> float8", _atan2_degrees)


def _acosh(value: Any) -> Any:
    number = float(value)
    if number < 1:
        raise _out_of_range()
    return _stored(math.acosh(number))


def _atanh(value: Any) -> Any:
    number = float(value)
    if number < -1 or number > 1:
        raise _out_of_range()
    return math.copysign(math.inf, number) if abs(number) == 1 else _stored(math.atanh(number))
