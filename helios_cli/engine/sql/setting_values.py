"""Values of parameters with units and bounds, checked and shown as PostgreSQL does it (guc.c)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from helios_cli.engine.errors import SqlError

_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|0[xX][0-9a-fA-F]+)\s*([A-Za-z]*)\s*")
_MEMORY: Final = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_TIME: Final = {"us": 1, "ms": 1000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_BASES: Final = {"8kB": 8 << 10}
_HINTS: Final = {
    "memory": 'Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".',
    "time": 'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".',
}


def _sizes(unit: str) -> tuple[dict[str, int], int]:
    """The units that may be written and the size of the parameter's own one."""
    sizes = _TIME if unit in _TIME else _MEMORY
    return sizes, _BASES.get(unit) or sizes[unit]


def _invalid(name: str, value: str, hint: str | None = None) -> SqlError:
    return SqlError(f'invalid value for parameter "{name}": "{value}"', sqlstate="22023", hint=hint)


def _number(name: str, value: str, unit: str) -> float:
    match = _NUMBER.fullmatch(value)
    if match is None:
        raise _invalid(name, value)
    number = float(int(match[1], 16)) if match[1].lower().startswith("0x") else float(match[1])
    if not match[2]:
        return number
    if not unit:
        raise _invalid(name, value)
    sizes, base = _sizes(unit)
    if match[2] not in sizes:
        raise _invalid(name, value, _HINTS["time" if sizes is _TIME else "memory"])
    return number * sizes[match[2]] / base


def _outside(name: str, shown: str, unit: str, low: str, high: str) -> SqlError:
    gap = f" {unit}" if unit else ""
    message = f'{shown}{gap} is outside the valid range for parameter "{name}" ({low}{gap} .. {high}{gap})'
    return SqlError(message, sqlstate="22023")


def with_unit(number: int, unit: str) -> str:
    """As SHOW prints it: in the greatest unit that divides it; 0 and less are bare."""
    if not unit or number <= 0:
        return str(number)
    sizes, base = _sizes(unit)
    total = number * base
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if total % size == 0:
            return f"{total // size}{name}"
    return str(number)


def in_unit(shown: str, unit: str) -> str:
    """The number that :func:`with_unit` showed."""
    if shown.lstrip("-").isdigit():
        return shown
    number = _number("", shown, unit)
    return str(int(number)) if number.is_integer() else f"{number:g}"


def integer_check(unit: str, low: str, high: str) -> Callable[[str, str], str]:
    """A check of a whole number within bounds, which may be written with a unit."""

    def check(name: str, value: str) -> str:
        number = round(_number(name, value, unit))
        if not int(low or -(2**31)) <= number <= int(high or 2**31 - 1):
            raise _outside(name, str(number), unit, low, high)
        return with_unit(number, unit)

    return check


def real_check(unit: str, low: str, high: str) -> Callable[[str, str], str]:
    """A check of a number within bounds, which may be written with a unit."""

    def check(name: str, value: str) -> str:
        number = _number(name, value, unit)
        if not float(low) <= number <= float(high):
            raise _outside(name, f"{number:g}", unit, low, high)
        return with_unit(int(number), unit) if unit and number.is_integer() else f"{number:g}"

    return check


def unchangeable(reason: str) -> Callable[[str, str], str]:
    """A check that refuses every value: 55P02 with what PostgreSQL says of such a parameter."""

    def check(name: str, _value: str) -> str:
        raise SqlError(f'parameter "{name}" {reason}', sqlstate="55P02")

    return check
