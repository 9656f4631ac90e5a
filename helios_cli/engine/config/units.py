"""Text of a setting to its value, by the rules of PostgreSQL's configuration (manual, 20.1.1).

A number may carry a unit; without one it is in the setting's base unit. Fractions are rounded to the base unit, half
to even, as PostgreSQL does. Units of memory are powers of 1024 and are case-sensitive.
"""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*")

TIME_US: Final = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
"""Microseconds in each unit of time, smallest first."""

MEMORY_BYTES: Final = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
"""Bytes in each unit of memory, smallest first."""

_WORDS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class BadValue(ValueError):
    """A value cannot be read; ``hint`` says what would do, or is None."""

    def __init__(self, hint: str | None = None) -> None:
        super().__init__(hint or "")
        self.hint = hint


def parse_bool(raw: object) -> bool:
    """Read a truth value; any unambiguous beginning of PostgreSQL's words is taken.

    Raises:
        BadValue: the text is none of them, or is ambiguous (``o``).
    """
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    meanings = {value for word, value in _WORDS.items() if text and word.startswith(text)}
    if len(meanings) != 1:
        raise BadValue("Available values: on, off.")
    return meanings.pop()


def parse_integer(raw: object) -> int:
    """Read a whole number.

    Raises:
        BadValue: it is not a number, has a fraction or carries a unit.
    """
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    try:
        return int(str(raw).strip(), 10)
    except ValueError:
        raise BadValue("A whole number is expected.") from None


def parse_float(raw: object) -> float:
    """Read a finite number.

    Raises:
        BadValue: it is not one.
    """
    match = _NUMBER.fullmatch(str(raw))
    if match is None or match[2] or isinstance(raw, bool):
        raise BadValue("A number is expected.")
    return float(match[1])


def parse_quantity(raw: object, base: str, bare: str | None = None) -> int:
    """Read a duration or a size into whole numbers of the base unit.

    Args:
        raw: a number in the unit ``bare``, or text such as ``30s``, ``1.5min``, ``64MB``.
        base: a key of ``TIME_US`` or ``MEMORY_BYTES``.
        bare: another one; None is ``base``.
    Raises:
        BadValue: not a number, or a unit that does not measure this.
    """
    table = TIME_US if base in TIME_US else MEMORY_BYTES
    match = None if isinstance(raw, bool) else _NUMBER.fullmatch(str(raw))
    if match is None:
        raise BadValue(_units_hint(table))
    number, unit = match[1], match[2] or bare or base
    if unit not in table:
        raise BadValue(_units_hint(table))
    if unit == base and number.lstrip("+-").isdigit():
        return int(number)  # exact, however large
    value = float(number) * table[unit] / table[base]
    if abs(value) > 2**62:
        raise BadValue("The number is too large.")
    return round(value)


def format_quantity(value: int, base: str) -> str:
    """Print a quantity with the largest unit that divides it, as ``SHOW`` does; 0 and negative numbers stay bare."""
    if value <= 0:
        return str(value)
    table = TIME_US if base in TIME_US else MEMORY_BYTES
    total = value * table[base]
    unit = next(name for name, size in reversed(table.items()) if total % size == 0)
    return f"{total // table[unit]}{unit}"


def _units_hint(table: dict[str, int]) -> str:
    names = [f'"{name}"' for name in table]
    return f"Valid units for this parameter are {', '.join(names[:-1])}, and {names[-1]}."
