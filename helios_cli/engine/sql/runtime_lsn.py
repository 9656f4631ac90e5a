"""Arithmetic of pg_lsn (pg_lsn.c): distances are numeric, and an LSN is 64 bits without a sign."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from helios_cli.engine.datatypes.lsn import LSN_MAX, lsn_number
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.types import Lsn


def pg_lsn_difference(left: Any, right: Any) -> str | None:
    """Bytes from ``right`` to ``left``, as a numeric's text."""
    if left is None or right is None:
        return None
    return str(lsn_number(left) - lsn_number(right))


def pg_lsn_add(lsn: Any, distance: Any, sign: int) -> str | None:
    """``lsn`` moved by a numeric's text times ``sign``. Raises SqlError 22023, 0A000."""
    if lsn is None or distance is None:
        return None
    moved = Decimal(distance)
    if moved.is_nan():
        word = "add NaN to" if sign > 0 else "subtract NaN from"
        raise SqlError(f"cannot {word} pg_lsn", sqlstate="0A000")
    if moved.is_infinite():
        raise SqlError("cannot convert infinity to pg_lsn", sqlstate="0A000")
    return _checked(lsn_number(lsn) + sign * moved)


def pg_lsn_of(number: Any) -> str | None:
    """pg_lsn(numeric). Raises SqlError 22023, 0A000."""
    if number is None:
        return None
    value = Decimal(number)
    if not value.is_finite():
        raise SqlError(f"cannot convert {'NaN' if value.is_nan() else 'infinity'} to pg_lsn", sqlstate="0A000")
    return _checked(value)


def _checked(value: Decimal) -> str:
    # numeric_pg_lsn rounds, halves away from zero.
    number = int(value.to_integral_value(ROUND_HALF_UP)) if abs(value) <= 2 * LSN_MAX else -1
    if not 0 <= number <= LSN_MAX:
        raise SqlError("pg_lsn out of range", sqlstate="22023")
    return str(Lsn(number))


SCALARS: Final[ScalarTable] = {
    "pg_lsn_difference": (pg_lsn_difference, 2, True),
    "pg_lsn_add": (pg_lsn_add, 3, True),
    "pg_lsn_of": (pg_lsn_of, 1, True),
}
