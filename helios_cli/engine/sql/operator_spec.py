"""The record that describes one operator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. ``args`` has one type for a prefix operator, two for an infix one."""

    name: str
    args: tuple[int, ...]
    result: int
    template: str
    """SQLite text with {0} and {1}."""
    style: str = ""
    """'compare': operands take the type's collation; 'int'/'float': the result's range is checked lazily;
    'divide': as 'int' and 'float', and a zero divisor raises; '' nothing."""
