"""Day and microsecond arithmetic over PostgreSQL's whole range (4713 BC to 294276 AD)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

EPOCH_JDATE: Final = 2451545
"""Julian day of 2000-01-01."""
UNIX_EPOCH_DAYS: Final = -10957
"""1970-01-01 in days since 2000-01-01."""
DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
SECOND_US: Final = 1_000_000

TIMESTAMP_INFINITY: Final = 2**63 - 1
TIMESTAMP_MINUS_INFINITY: Final = -(2**63)
TIMESTAMP_MIN: Final = -211_813_488_000_000_000
"""4714-11-24 BC 00:00:00, inclusive."""
TIMESTAMP_END: Final = 9_223_371_331_200_000_000
"""294277-01-01 00:00:00, exclusive."""
DATE_INFINITY: Final = 2**31 - 1
DATE_MINUS_INFINITY: Final = -(2**31)
DATE_MIN: Final = -EPOCH_JDATE
"""4714-11-24 BC, inclusive."""
DATE_END: Final = 2_145_031_949
"""5874898-01-01, exclusive."""

_CYCLE_DAYS: Final = 146_097


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 2000-01-01 of a proleptic Gregorian date; year 0 is 1 BC."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * _CYCLE_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + day_of_year - 730_425


@lru_cache(4096)
def civil_from_days(days: int) -> tuple[int, int, int]:
    """(year, month, day) of days since 2000-01-01; year 0 is 1 BC."""
    days += 730_425
    era, of_era = divmod(days, _CYCLE_DAYS)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    day_of_year = of_era - (365 * year + year // 4 - year // 100)
    index = (5 * day_of_year + 2) // 153
    month = index + 3 if index < 10 else index - 9
    return year + era * 400 + (month <= 2), month, day_of_year - (153 * index + 2) // 5 + 1


def is_leap(year: int) -> bool:
    """Whether the proleptic Gregorian year has a 29th of February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year: int, month: int) -> int:
    """28 to 31."""
    if month == 2:
        return 29 if is_leap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def near(us: int) -> datetime:
    """A naive datetime for a timestamp; far years move by whole 400-year cycles, ancient ones to year 1."""
    days, rest = divmod(us, DAY_US)
    year = civil_from_days(days)[0]
    if year <= 1:
        return datetime(1, 1, 2)
    if year >= 9998:
        days -= ((year - 9998) // 400 + 1) * _CYCLE_DAYS
    return datetime(2000, 1, 1) + timedelta(days, microseconds=rest)


def utc_offset_s(us: int, zone: tzinfo) -> int:
    """Seconds east of UTC that ``zone`` observes at the UTC instant ``us``."""
    if zone is UTC:
        return 0
    offset = near(us).replace(tzinfo=UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else offset.days * 86400 + offset.seconds


def local_offset_s(us: int, zone: tzinfo) -> int:
    """Seconds east of UTC for the wall clock time ``us`` in ``zone``.

    In a gap the offset before it holds, in an overlap the one after it: both are the smaller one.
    """
    if zone is UTC:
        return 0
    wall = near(us)
    found = [wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)]
    return min(0 if offset is None else offset.days * 86400 + offset.seconds for offset in found)
