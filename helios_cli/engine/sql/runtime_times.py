"""Dates, times, timestamps and intervals: arithmetic and conversion on the stored forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import read_array, write_array
from helios_cli.engine.datatypes.datetime_in import TimeContext
from helios_cli.engine.datatypes.datetimes import (
    parse_timestamptz,
    split_timetz,
    timetz_text,
)
from helios_cli.engine.datatypes.interval import Interval, interval_text, split_interval
from helios_cli.engine.datatypes.styled import RANGES as STYLED_RANGES
from helios_cli.engine.datatypes.zoned import (
    TIME_ARRAYS,
    TIME_READERS,
    TIMESTAMPTZ_ARRAY,
    find_zone,
    is_shown_by,
    session_parser,
    zone_named,
    zoned_parser,
    zoned_writer,
)
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.sql.oids import DATE, TIME, TIMESTAMP, TIMESTAMPTZ
from helios_cli.engine.sql.runtime_arrays import element_writer

_DAYS_PER_MONTH: Final = 30
_STYLED: Final = frozenset((1186, 1187, *STYLED_RANGES))
"""Types that a session reads in its own way, where the usual one is not."""
_READERS: Final[dict[int, Callable[[str, TimeContext], Any]]] = {
    **TIME_READERS,
    TIMESTAMPTZ: parse_timestamptz,
    TIMESTAMPTZ_ARRAY: lambda text, times: zoned_parser(TIMESTAMPTZ_ARRAY, times)(text),
}


def _out_of_range(what: str = "timestamp") -> SqlError:
    return SqlError(f"{what} out of range", sqlstate="22008")


def _check(us: int) -> int:
    if not cal.TIMESTAMP_MIN <= us < cal.TIMESTAMP_END:
        raise _out_of_range()
    return us


def is_infinite(us: int) -> bool:
    """Whether a stored timestamp is one of the infinities."""
    return us in (cal.TIMESTAMP_INFINITY, cal.TIMESTAMP_MINUS_INFINITY)


# -- text -----------------------------------------------------------------------------------------


def pg_time_in(type_oid: int, text: Any, zone: str, now_us: int) -> Any:
    """Read a date or time in the session's zone at the transaction's time. Raises 22007, 22008."""
    if text is None:
        return None
    times = TimeContext(zone_named(zone), now_us, find_zone)
    element = TIME_ARRAYS.get(type_oid)
    if type_oid in _STYLED:
        return (session_parser(type_oid, times) or registry.by_oid(type_oid).parse_text)(str(text))
    if element is None:
        return _READERS[type_oid](str(text), times)
    read = _READERS[element]
    return write_array(read_array(str(text), lambda item: read(item, times)), element_writer(element))


def pg_out_zoned(type_oid: int, value: Any, zone: str) -> str | None:
    """A timestamptz, or an array of it, as text in the session's zone."""
    return None if value is None else zoned_writer(type_oid, zone_named(zone))(value).decode()


def pg_array_time_cast(source: int, target: int, array: Any, zone: str, now_us: int) -> str | None:
    """An array with its elements converted as the session's zone and the transaction's time have it."""
    if array is None:
        return None
    convert = _ZONED_CONVERSIONS.get((source, target))

    def leaf(value: Any) -> str:
        if convert is not None:
            return write(convert(value, zone))
        place = zone_named(zone)
        text = zoned_writer(source, place)(value).decode() if is_shown_by(place, source) else usual(value).decode()
        if target in _READERS:
            return write(pg_time_in(target, text, zone, now_us))
        return write(registry.by_oid(target).parse_text(text))

    write, usual = element_writer(target), registry.by_oid(source).format_text
    return write_array(read_array(str(array), registry.by_oid(source).parse_text), leaf)


# -- conversions ----------------------------------------------------------------------------------


def pg_date_timestamp(days: Any) -> int | None:
    """Midnight of a date. Raises 22008."""
    if days is None:
        return None
    if days == cal.DATE_INFINITY:
        return cal.TIMESTAMP_INFINITY
    if days == cal.DATE_MINUS_INFINITY:
        return cal.TIMESTAMP_MINUS_INFINITY
    us = int(days) * cal.DAY_US
    if not cal.TIMESTAMP_MIN <= us < cal.TIMESTAMP_END:
        raise SqlError("date out of range for timestamp", sqlstate="22008")
    return us


def pg_date_time(days: Any, clock: Any) -> int | None:
    """A date and a time of day; an infinite date stays so. Raises 22008."""
    us = pg_date_timestamp(days)
    if us is None or clock is None:
        return None
    return us if us in (cal.TIMESTAMP_INFINITY, cal.TIMESTAMP_MINUS_INFINITY) else us + int(clock)


def pg_timestamp_date(us: Any) -> int | None:
    """The date of a timestamp."""
    if us is None:
        return None
    if us == cal.TIMESTAMP_INFINITY:
        return cal.DATE_INFINITY
    if us == cal.TIMESTAMP_MINUS_INFINITY:
        return cal.DATE_MINUS_INFINITY
    return int(us) // cal.DAY_US


def pg_timestamp_time(us: Any) -> int | None:
    """The time of day of a timestamp; NULL for infinity."""
    return None if us is None or is_infinite(us) else int(us) % cal.DAY_US


def pg_timestamptz_local(us: Any, zone: str) -> int | None:
    """The wall clock in a zone."""
    if us is None or is_infinite(us):
        return us  # type: ignore[no-any-return]
    return int(us) + cal.utc_offset_s(us, zone_named(zone)) * cal.SECOND_US


def pg_local_timestamptz(us: Any, zone: str) -> int | None:
    """The instant at which a zone's wall clock shows a timestamp."""
    if us is None or is_infinite(us):
        return us  # type: ignore[no-any-return]
    return int(us) - cal.local_offset_s(us, zone_named(zone)) * cal.SECOND_US


def pg_zoned_time(us: Any, zone: str) -> str | None:
    """The time of day with the zone's offset (timetz)."""
    if us is None or is_infinite(us):
        return None
    offset = cal.utc_offset_s(us, zone_named(zone))
    return timetz_text((int(us) + offset * cal.SECOND_US) % cal.DAY_US, offset)


def pg_time_zoned(us: Any, zone: str, now_us: int) -> str | None:
    """A time of day with the offset that the zone has now (timetz)."""
    return None if us is None else timetz_text(int(us), cal.utc_offset_s(now_us, zone_named(zone)))


def pg_timetz_time(text: Any) -> int | None:
    """The time of day of a time with zone."""
    return None if text is None else split_timetz(str(text))[0]


def pg_time_interval(us: Any) -> str | None:
    """A time of day as an interval."""
    return None if us is None else interval_text(Interval(0, 0, int(us)))


def pg_interval_time(text: Any) -> int | None:
    """The time of day of an interval; days and months are dropped."""
    return None if text is None else split_interval(text).us % cal.DAY_US


def pg_us_interval(us: Any, days: int) -> str | None:
    """Microseconds and days as an interval."""
    return None if us is None else interval_text(Interval(0, days, int(us)))


# -- arithmetic -----------------------------------------------------------------------------------


def pg_date_add(days: Any, count: Any) -> int | None:
    """A date some days later. Raises 22008."""
    if days is None or count is None:
        return None
    if days in (cal.DATE_INFINITY, cal.DATE_MINUS_INFINITY):
        return int(days)
    result = int(days) + int(count)
    if not cal.DATE_MIN <= result < cal.DATE_END:
        raise _out_of_range("date")
    return result


def pg_date_difference(left: Any, right: Any) -> int | None:
    """Days between two dates. Raises 22008 for infinite ones."""
    if left is None or right is None:
        return None
    infinite = (cal.DATE_INFINITY, cal.DATE_MINUS_INFINITY)
    if left in infinite or right in infinite:
        raise SqlError("cannot subtract infinite dates", sqlstate="22008")
    return int(left) - int(right)


def pg_timestamp_difference(left: Any, right: Any) -> str | None:
    """Days and time between two timestamps. Raises 22008 for infinite ones."""
    if left is None or right is None:
        return None
    if is_infinite(left) or is_infinite(right):
        raise SqlError("cannot subtract infinite timestamps", sqlstate="22008")
    us = int(left) - int(right)
    days = abs(us) // cal.DAY_US
    if us < 0:
        return interval_text(Interval(0, -days, us + days * cal.DAY_US))
    return interval_text(Interval(0, days, us - days * cal.DAY_US))


def add_months(us: int, months: int) -> int:
    """A timestamp some months later, on the last day when the month is shorter. Raises 22008."""
    days, rest = divmod(us, cal.DAY_US)
    year, month, day = cal.civil_from_days(days)
    index = year * 12 + month - 1 + months
    year, month = index // 12, index % 12 + 1
    day = min(day, cal.days_in_month(year, month))
    return _check(cal.days_from_civil(year, month, day) * cal.DAY_US + rest)


def _plus(us: int, span: Interval, factor: int) -> int:
    if span.months:
        us = add_months(us, span.months * factor)
    return _check(us + (span.days * cal.DAY_US + span.us) * factor)


def pg_timestamp_add(us: Any, span: Any, factor: int) -> int | None:
    """A timestamp plus an interval, or minus with factor -1. Raises 22008."""
    if us is None or span is None:
        return None
    return int(us) if is_infinite(us) else _plus(int(us), split_interval(span), factor)


def pg_timestamptz_add(us: Any, span: Any, factor: int, zone: str) -> int | None:
    """As :func:`pg_timestamp_add`; months and days are those of the zone's calendar. Raises 22008."""
    if us is None or span is None:
        return None
    if is_infinite(us):
        return int(us)
    months, days, rest = split_interval(span)
    result = int(us)
    if months or days:
        place = zone_named(zone)
        wall = result + cal.utc_offset_s(result, place) * cal.SECOND_US
        wall = _plus(wall, Interval(months, days, 0), factor)
        result = wall - cal.local_offset_s(wall, place) * cal.SECOND_US
    return _check(result + rest * factor)


def pg_time_add(us: Any, span: Any, factor: int) -> int | None:
    """A time of day plus an interval's time, around the clock."""
    if us is None or span is None:
        return None
    return (int(us) + split_interval(span).us * factor) % cal.DAY_US


def pg_timetz_add(text: Any, span: Any, factor: int) -> str | None:
    """A time with zone plus an interval's time, around the clock; the offset stays."""
    if text is None or span is None:
        return None
    us, offset = split_timetz(str(text))
    return timetz_text((us + split_interval(span).us * factor) % cal.DAY_US, offset)


def pg_date_timetz(days: Any, text: Any) -> int | None:
    """The instant of a date and a time with zone. Raises 22008."""
    if days is None or text is None:
        return None
    start = pg_date_timestamp(days)
    if start is None or is_infinite(start):
        return start
    us, offset = split_timetz(str(text))
    return _check(start + us - offset * cal.SECOND_US)


def _fits(value: int, bits: int) -> int:
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise _out_of_range("interval")
    return value


def pg_interval_add(left: Any, right: Any, factor: int) -> str | None:
    """Sum or difference of intervals, field by field. Raises 22008."""
    if left is None or right is None:
        return None
    a, b = split_interval(left), split_interval(right)
    months = _fits(a.months + b.months * factor, 32)
    days = _fits(a.days + b.days * factor, 32)
    return interval_text(Interval(months, days, _fits(a.us + b.us * factor, 64)))


def _scaled(span: Interval, factor: float) -> str:
    """Each field times a factor; what a field loses goes down to the next (interval_mul, timestamp.c)."""
    months, days = span.months * factor, span.days * factor
    if not (math.isfinite(months) and math.isfinite(days) and math.isfinite(span.us * factor)):
        raise _out_of_range("interval")
    whole_months, whole_days = _fits(int(months), 32), _fits(int(days), 32)
    month_days = _six((months - whole_months) * _DAYS_PER_MONTH)
    seconds = _six((days - whole_days + month_days - int(month_days)) * 86400.0)
    if abs(seconds) >= 86400:
        month_days += int(seconds / 86400)
        seconds -= int(seconds / 86400) * 86400
    whole_days += int(month_days)
    us = round(span.us * factor + seconds * cal.SECOND_US)
    return interval_text(Interval(whole_months, _fits(whole_days, 32), _fits(us, 64)))


def _six(value: float) -> float:
    return round(value * 1_000_000) / 1_000_000


def pg_interval_multiply(span: Any, factor: Any) -> str | None:
    """An interval times a number. Raises 22008."""
    if span is None or factor is None:
        return None
    return _scaled(split_interval(span), float(factor))


def pg_interval_divide(span: Any, divisor: Any) -> str | None:
    """An interval divided by a number. Raises 22012, 22008."""
    if span is None or divisor is None:
        return None
    if float(divisor) == 0.0:
        raise SqlError("division by zero", sqlstate="22012")
    fields, number = split_interval(span), float(divisor)
    months, days = fields.months / number, fields.days / number
    if not (math.isfinite(months) and math.isfinite(days) and math.isfinite(fields.us / number)):
        raise _out_of_range("interval")
    whole_months, whole_days = _fits(int(months), 32), _fits(int(days), 32)
    month_days = _six((months - whole_months) * _DAYS_PER_MONTH)
    seconds = _six((days - whole_days + month_days - int(month_days)) * 86400.0)
    if abs(seconds) >= 86400:
        month_days += int(seconds / 86400)
        seconds -= int(seconds / 86400) * 86400
    us = round(fields.us / number + seconds * cal.SECOND_US)
    return interval_text(Interval(whole_months, _fits(whole_days + int(month_days), 32), _fits(us, 64)))


def _date_timestamptz(days: Any, zone: str) -> int | None:
    return pg_local_timestamptz(pg_date_timestamp(days), zone)


_ZONED_CONVERSIONS: Final[dict[tuple[int, int], Callable[[Any, str], int | None]]] = {
    (DATE, TIMESTAMPTZ): _date_timestamptz,
    (TIMESTAMP, TIMESTAMPTZ): pg_local_timestamptz,
    (TIMESTAMPTZ, TIMESTAMP): pg_timestamptz_local,
    (TIMESTAMPTZ, DATE): lambda us, zone: pg_timestamp_date(pg_timestamptz_local(us, zone)),
    (TIMESTAMPTZ, TIME): lambda us, zone: pg_timestamp_time(pg_timestamptz_local(us, zone)),
}


SCALARS: Final[ScalarTable] = {
    "pg_time_in": (pg_time_in, 4, True),
    "pg_array_time_cast": (pg_array_time_cast, 5, True),
    "pg_out_zoned": (pg_out_zoned, 3, True),
    "pg_date_time": (pg_date_time, 2, True),
    "pg_date_timestamp": (pg_date_timestamp, 1, True),
    "pg_timestamp_date": (pg_timestamp_date, 1, True),
    "pg_timestamp_time": (pg_timestamp_time, 1, True),
    "pg_timestamptz_local": (pg_timestamptz_local, 2, True),
    "pg_local_timestamptz": (pg_local_timestamptz, 2, True),
    "pg_zoned_time": (pg_zoned_time, 2, True),
    "pg_time_zoned": (pg_time_zoned, 3, True),
    "pg_timetz_time": (pg_timetz_time, 1, True),
    "pg_time_interval": (pg_time_interval, 1, True),
    "pg_interval_time": (pg_interval_time, 1, True),
    "pg_us_interval": (pg_us_interval, 2, True),
    "pg_date_add": (pg_date_add, 2, True),
    "pg_date_difference": (pg_date_difference, 2, True),
    "pg_timestamp_difference": (pg_timestamp_difference, 2, True),
    "pg_timestamp_add": (pg_timestamp_add, 3, True),
    "pg_timestamptz_add": (pg_timestamptz_add, 4, True),
    "pg_time_add": (pg_time_add, 3, True),
    "pg_timetz_add": (pg_timetz_add, 3, True),
    "pg_date_timetz": (pg_date_timetz, 2, True),
    "pg_interval_add": (pg_interval_add, 3, True),
    "pg_interval_multiply": (pg_interval_multiply, 2, True),
    "pg_interval_divide": (pg_interval_divide, 2, True),
}
