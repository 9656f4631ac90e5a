"""Arithmetic of money (cash.c): numbers of cents in 64 bits."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from helios_cli.engine.datatypes.money import CENTS
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.sql.runtime_numbers import division_by_zero, in_range, stored_float

_MIN: Final = -(1 << 63)


def _checked(cents: int) -> int:
    """Cents that fit. Raises SqlError 22003."""
    if not _MIN <= cents < -_MIN:
        raise SqlError("money out of range", sqlstate="22003")
    return cents


def _rounded(cents: float) -> int:
    """To the nearest cent, halves to the even one. Raises SqlError 22003."""
    if not math.isfinite(cents):
        raise SqlError("money out of range", sqlstate="22003")
    return _checked(round(cents))


def pg_money_add(left: Any, right: Any, sign: int) -> int | None:
    """``left`` plus ``right`` times ``sign``."""
    return None if left is None or right is None else _checked(left + sign * right)


def pg_money_multiply(amount: Any, factor: Any) -> int | None:
    """By an integer or a float."""
    if amount is None or factor is None:
        return None
    return _checked(amount * factor) if isinstance(factor, int) else _rounded(float(amount) * float(factor))


def pg_money_divide(amount: Any, divisor: Any) -> int | None:
    """By an integer, towards zero, or by a float. Raises SqlError 22012."""
    if amount is None or divisor is None:
        return None
    if divisor == 0:
        raise division_by_zero()
    if not isinstance(divisor, int):
        return _rounded(float(amount) / float(divisor))
    quotient = abs(amount) // abs(divisor)
    return _checked(quotient if (amount < 0) == (divisor < 0) else -quotient)


def pg_money_ratio(left: Any, right: Any) -> float | str | None:
    """How many times ``right`` goes into ``left``. Raises SqlError 22012."""
    if left is None or right is None:
        return None
    if right == 0:
        raise division_by_zero()
    return stored_float(left / right)


def pg_money_of(number: Any) -> int | None:
    """Cents of a numeric's text, halves away from zero. Raises SqlError 0A000, 22003."""
    if number is None:
        return None
    value = Decimal(number)
    if not value.is_finite():
        kind = "NaN" if value.is_nan() else "infinity"
        raise SqlError(f"cannot convert {kind} to bigint", sqlstate="0A000")
    if value.adjusted() > _DIGITS_MAX:
        raise SqlError("bigint out of range", sqlstate="22003")
    return in_range(int((value * CENTS).to_integral_value(ROUND_HALF_UP)), 64)


_DIGITS_MAX: Final = 18
"""Digits before the point, less one, that 64 bits of cents may have."""


def pg_money_whole(number: Any) -> int | None:
    """Cents of an integer. Raises SqlError 22003."""
    return None if number is None else in_range(number * CENTS, 64)


def pg_money_numeric(amount: Any) -> str | None:
    """The numeric with two digits behind the point."""
    return None if amount is None else str(Decimal(amount).scaleb(-2))


_SMALL: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS: Final = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_GROUPS: Final = (
    (10**15, "quadrillion"), (10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"),
)  # fmt: skip


def _words(number: int) -> str:
    """A number below 1000 (num_word)."""
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    small = _SMALL[rest] if rest < 20 else _TENS[tens] + (f" {_SMALL[ones]}" if ones else "")
    if not hundreds:
        return small
    if not rest:
        return f"{_SMALL[hundreds]} hundred"
    return f"{_SMALL[hundreds]} hundred {'and ' if rest < 20 else ''}{small}"


def pg_money_words(amount: Any) -> str | None:
    """``One hundred and five dollars and forty two cents``; two spaces behind round thousands, as in PostgreSQL 15."""
    if amount is None:
        return None
    whole, cents = divmod(abs(amount), CENTS)
    groups = [(whole // size % 1000, name) for size, name in _GROUPS]
    text = "".join(f"{_words(group)} {name} " for group, name in groups if group)
    text += _words(whole % 1000) if whole % 1000 or not whole else ""
    text += f" dollar{'' if whole == 1 else 's'} and {_words(cents)} cent{'' if cents == 1 else 's'}"
    text = f"minus {text}" if amount < 0 else text
    return text[0].upper() + text[1:]


SCALARS: Final[ScalarTable] = {
    "pg_money_add": (pg_money_add, 3, True),
    "pg_money_multiply": (pg_money_multiply, 2, True),
    "pg_money_divide": (pg_money_divide, 2, True),
    "pg_money_ratio": (pg_money_ratio, 2, True),
    "pg_money_of": (pg_money_of, 1, True),
    "pg_money_whole": (pg_money_whole, 1, True),
    "pg_money_numeric": (pg_money_numeric, 1, True),
    "pg_money_words": (pg_money_words, 1, True),
}
