"""Frames of windows: what is measured by RANGE as an integer, and the offsets that go with it."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.interval import split_interval
from helios_cli.engine.datatypes.orders import interval_key
from helios_cli.engine.datatypes.zoned import find_zone
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.sql.oids import DATE, INTERVAL, NUMERIC, TIME, TIMESTAMPTZ
from helios_cli.engine.sql.runtime_times import pg_date_timestamp, pg_timestamptz_local

_DIGITS: Final = 9
"""So many digits after the point of a numeric can be measured."""
_DAYS_IN_MONTH: Final = 31
_SHORTEST_MONTH: Final = 28
_FARTHEST: Final = 1 << 61
"""Spans up to here, some 70,000 years, can be measured: an offset as large added to one still fits in 64 bits."""


def frame_offset(type_oid: int, unit: str, value: Any, word: str) -> Any:
    """An offset of RANGE, in the measure of :func:`pg_frame_key`. Raises 22004, 22013, 0A000."""
    if value is None:
        raise SqlError(f"frame {word} offset must not be null", sqlstate="22004")
    distance = _distance(type_oid, unit, value)
    if distance != distance or distance < 0:
        raise SqlError("invalid preceding or following size in window function", sqlstate="22013")
    return distance


def _distance(type_oid: int, unit: str, value: Any) -> Any:
    if type_oid == NUMERIC:
        measured = _measured(value)
        return math.nan if isinstance(measured, str) else measured
    if isinstance(value, int | float):
        return value
    if value == "NaN":
        return math.nan
    if type_oid == INTERVAL:
        return min(interval_key(value), 2 * _FARTHEST)
    months, days, us = split_interval(value)
    if type_oid == TIME:
        return us
    if unit == "months":
        if days or us:
            hint = "Write the offsets in months alone, or in days."
            raise SqlError("RANGE with offsets of months and days is not supported", sqlstate="0A000", hint=hint)
        return months * _DAYS_IN_MONTH * cal.DAY_US
    return days * cal.DAY_US + us


def _is_even(zone: str) -> bool:
    """Whether all days of a zone are 24 hours long, as its clock shows."""
    place = find_zone(zone)
    return place is not None and place.utcoffset(None) is not None


def pg_frame_key(type_oid: int, unit: str, value: Any, zone: str) -> Any:
    """A value as a number whose distances are those of RANGE; NULL as it is.

    Raises:
        SqlError: 0A000 for what cannot be measured exactly: more than nine digits after the point, immense spans,
            the last days of long months where the offset is in months.
    """
    if value is None:
        return None
    if type_oid == NUMERIC:
        return _measured(value)
    if type_oid == TIME:
        return value
    if type_oid == INTERVAL:
        return _measured_span(value)
    us = pg_date_timestamp(value) if type_oid == DATE else value
    if us == cal.TIMESTAMP_INFINITY:
        return math.inf
    if us == cal.TIMESTAMP_MINUS_INFINITY:
        return -math.inf
    if unit == "days" and not _is_even(zone):
        hint = "Write the offset in hours."
        raise SqlError("RANGE with an offset of days in this time zone is not supported", sqlstate="0A000", hint=hint)
    if unit != "months":
        return us
    wall = pg_timestamptz_local(us, zone) if type_oid == TIMESTAMPTZ else us
    assert wall is not None
    days, rest = divmod(wall, cal.DAY_US)
    year, month, day = cal.civil_from_days(days)
    if day > _SHORTEST_MONTH:
        hint = "Write the offset in days."
        message = "RANGE with an offset of months is not supported for days that some months do not have"
        raise SqlError(message, sqlstate="0A000", hint=hint)
    return ((year * 12 + month) * _DAYS_IN_MONTH + day) * cal.DAY_US + rest


def _measured_span(value: str) -> int:
    """A span with months of 30 days, as spans compare (in_range_interval_interval). Raises 0A000 for an immense one."""
    key = interval_key(value)
    if not -_FARTHEST <= key <= _FARTHEST:
        hint = "Order by the seconds: extract(epoch from ...)."
        raise SqlError(
            "RANGE with an offset is not supported for intervals over 70,000 years", sqlstate="0A000", hint=hint
        )
    return key


def _measured(value: Any) -> Any:
    number = Decimal(value)
    if number.is_nan():
        return "NaN"  # Text: SQLite puts it behind all numbers and adds nothing to it.
    if number.is_infinite():
        return math.inf if number > 0 else -math.inf
    scaled = number.scaleb(_DIGITS)
    whole = int(scaled)
    if whole != scaled or not -(1 << 62) < whole < 1 << 62:
        hint = "Cast the column to double precision."
        message = f"RANGE with an offset is not supported for numerics with more than {_DIGITS} digits after the point"
        raise SqlError(message, sqlstate="0A000", hint=hint)
    return whole


SCALARS: Final[ScalarTable] = {
    "pg_frame_key": (pg_frame_key, 4, True),
}
