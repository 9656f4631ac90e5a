"""Date and time functions (PostgreSQL manual, 9.9). Values as in ``engine.datatypes.datetimes``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.datetimes import split_timetz, timetz_text
from helios_cli.engine.datatypes.interval import Interval, interval_text, round_us, split_interval
from helios_cli.engine.datatypes.orders import timetz_key
from helios_cli.engine.datatypes.styled import zone_shown
from helios_cli.engine.datatypes.zone_abbreviations import BY_ZONE, offset_meant
from helios_cli.engine.datatypes.zoned import zone_named, zone_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.datetime_fields import INFINITE, UNIX_US, trunc_error, unit_of
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.template_input import parse_template
from helios_cli.engine.sql.functions.templates import render_interval, render_template

_NUMERIC_ZONE: Final = re.compile(r"([+-])(\d+)(?::(\d*)(?::(\d*))?)?", re.ASCII)

# -- date_trunc ---------------------------------------------------------------------------------------------------

_STEPS: Final = {
    "microseconds": 1, "milliseconds": 1000, "second": cal.SECOND_US, "minute": cal.MINUTE_US, "hour": cal.HOUR_US,
    "day": cal.DAY_US,
}  # fmt: skip


def truncate(field: str, us: int, type_name: str = "timestamp without time zone") -> int:
    """date_trunc of a timestamp."""
    unit = unit_of(field, type_name)
    if us in INFINITE:
        return us
    if unit in _STEPS:
        return us - us % _STEPS[unit]
    days = us // cal.DAY_US
    if unit == "week":
        return (days - (days + 5) % 7) * cal.DAY_US
    year, month, _ = cal.civil_from_days(days)
    if unit == "month":
        return cal.days_from_civil(year, month, 1) * cal.DAY_US
    if unit == "quarter":
        return cal.days_from_civil(year, (month - 1) // 3 * 3 + 1, 1) * cal.DAY_US
    if unit == "year":
        return cal.days_from_civil(year, 1, 1) * cal.DAY_US
    if unit == "decade":
        return cal.days_from_civil(year // 10 * 10, 1, 1) * cal.DAY_US
    span = {"century": 100, "millennium": 1000}.get(unit)
    if span is None:
        raise trunc_error(field, type_name)
    return cal.days_from_civil((year - 1) // span * span + 1, 1, 1) * cal.DAY_US


def truncate_zoned(field: str, us: int, zone_name: str | tzinfo) -> int:
    """date_trunc of a timestamptz in a zone."""
    if us in INFINITE:
        return us
    zone = zone_named(zone_name) if isinstance(zone_name, str) else zone_name
    unit = unit_of(field, "timestamp with time zone")
    local = us + cal.utc_offset_s(us, zone) * cal.SECOND_US
    cut = truncate(field, local, "timestamp with time zone")
    if _STEPS.get(unit, cal.DAY_US) < cal.DAY_US:
        return us - (local - cut)
    return cut - cal.local_offset_s(cut, zone) * cal.SECOND_US


def truncate_interval(field: str, text: str) -> str:
    """date_trunc of an interval."""
    unit = unit_of(field, "interval")
    months, days, us = split_interval(text)
    spans = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}
    if unit in spans:
        return interval_text(Interval(int(months / spans[unit]) * spans[unit], 0, 0))
    if unit == "day":
        return interval_text(Interval(months, days, 0))
    if unit not in _STEPS:
        raise trunc_error(field, "interval")
    return interval_text(Interval(months, days, int(us / _STEPS[unit]) * _STEPS[unit]))


def date_bin(stride: str, us: int, origin: int) -> int:
    """date_bin."""
    months, days, size = split_interval(stride)
    if us in INFINITE:
        return us
    if origin in INFINITE:
        raise SqlError("origin out of range", sqlstate="22008")
    if months:
        raise SqlError("timestamps cannot be binned into intervals containing months or years", sqlstate="0A000")
    step = days * cal.DAY_US + size
    if not -(2**63) <= step < 2**63:
        raise _interval_range()
    if step <= 0:
        raise SqlError("stride must be greater than zero", sqlstate="22008")
    if not -(2**63) <= us - origin < 2**63:
        raise _interval_range()
    start = us - (us - origin) % step
    if start < cal.TIMESTAMP_MIN:
        raise SqlError("timestamp out of range", sqlstate="22008")
    return start


def _interval_range() -> SqlError:
    return SqlError("interval out of range", sqlstate="22008")


# -- age, make_*, justify_* ---------------------------------------------------------------------------------------


def age(later: int, earlier: int) -> str:
    """The difference in years, months, days and time (timestamp_age). Raises 22008 for the infinite past."""
    if min(later, earlier) // cal.DAY_US + cal.EPOCH_JDATE < 0:
        raise SqlError("timestamp out of range", sqlstate="22008")
    sign = 1
    if later < earlier:
        later, earlier, sign = earlier, later, -1
    one, other = later // cal.DAY_US, earlier // cal.DAY_US
    (year, month, day), (year0, month0, day0) = cal.civil_from_days(one), cal.civil_from_days(other)
    us = later % cal.DAY_US - earlier % cal.DAY_US
    days, months, years = day - day0, month - month0, year - year0
    if us < 0:
        us, days = us + cal.DAY_US, days - 1
    while days < 0:
        days += cal.days_in_month(year0, month0)
        months -= 1
    total = years * 12 + months
    return interval_text(Interval(sign * total, sign * days, sign * us))


def make_date(year: int, month: int, day: int) -> int:
    """make_date; a negative year is BC."""
    real = year + 1 if -(2**31) < year < 0 else year
    if year == 0 or not 1 <= month <= 12 or not 1 <= day <= cal.days_in_month(real, month):
        raise SqlError(f"date field value out of range: {real}-{month:02d}-{day:02d}", sqlstate="22008")
    days = cal.days_from_civil(real, month, day)
    if not cal.DATE_MIN <= days < cal.DATE_END:
        raise SqlError(f"date out of range: {real}-{month:02d}-{day:02d}", sqlstate="22008")
    return days


def _shown_time(minute: int, second: float) -> str:
    return f":{minute:02d}:{second:02g}"


def make_time(hour: int, minute: int, second: float) -> int:
    """make_time."""
    whole = 0 <= hour <= 24 and 0 <= minute < 60 and 0 <= second <= 60
    if not whole or (hour == 24 and (minute or second)):
        raise SqlError(f"time field value out of range: {hour}{_shown_time(minute, second)}", sqlstate="22008")
    return hour * cal.HOUR_US + minute * cal.MINUTE_US + round(second * 1_000_000)


def make_timestamp(year: int, month: int, day: int, hour: int, minute: int, second: float) -> int:
    """make_timestamp."""
    return make_date(year, month, day) * cal.DAY_US + make_time(hour, minute, second)


def make_timestamptz(
    year: int, month: int, day: int, hour: int, minute: int, second: float, zone_name: str | tzinfo
) -> int:
    """make_timestamptz in a zone."""
    local = make_timestamp(year, month, day, hour, minute, second)
    zone = zone_named(zone_name) if isinstance(zone_name, str) else zone_name
    return local - cal.local_offset_s(local, zone) * cal.SECOND_US


def make_interval(
    years: int, months: int, weeks: int, days: int, hours: int, minutes: int, seconds: float | str
) -> str:
    """make_interval, whose sums wrap around as PostgreSQL 15's do. Raises 22008 for seconds that are no number."""
    if isinstance(seconds, str) or (seconds or 0) in (float("inf"), float("-inf")):
        raise SqlError("interval out of range", sqlstate="22008")
    shown = round((seconds or 0) * 1_000_000)
    us = (hours or 0) * cal.HOUR_US + (minutes or 0) * cal.MINUTE_US
    us += shown if -(2**63) <= shown < 2**63 else -(2**63)
    months, days = (years or 0) * 12 + (months or 0), (weeks or 0) * 7 + (days or 0)
    return interval_text(Interval(_wrapped(months, 32), _wrapped(days, 32), _wrapped(us, 64)))


def _wrapped(value: int, bits: int) -> int:
    """An integer as ``bits`` bits hold it."""
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def _split(value: int, size: int) -> tuple[int, int]:
    """How many whole sizes, towards zero, and what is left."""
    whole = abs(value) // size * (-1 if value < 0 else 1)
    return whole, value - whole * size


def _alike(large: int, small: int, size: int, smaller: int = 0) -> tuple[int, int]:
    """Two fields with their signs made alike; ``smaller`` is a third, which counts where the second is zero."""
    sign = small or smaller
    if large > 0 and sign < 0:
        return large - 1, small + size
    return (large + 1, small - size) if large < 0 and sign > 0 else (large, small)


def _checked(months: int, days: int, us: int) -> str:
    """The text of an interval. Raises 22008."""
    if not (-(2**31) <= months < 2**31 and -(2**31) <= days < 2**31):
        raise _interval_range()
    return interval_text(Interval(months, days, us))


def justify_hours(text: str) -> str:
    """24 hours become a day. Raises 22008."""
    months, days, us = split_interval(text)
    whole, us = _split(us, cal.DAY_US)
    _checked(months, days + whole, us)
    return _checked(months, *_alike(days + whole, us, cal.DAY_US))


def justify_days(text: str) -> str:
    """30 days become a month. Raises 22008."""
    months, days, us = split_interval(text)
    whole, days = _split(days, 30)
    _checked(months + whole, days, us)
    months, days = _alike(months + whole, days, 30)
    return _checked(months, days, us)


def justify_interval(text: str) -> str:
    """Both, with all signs made alike. Raises 22008."""
    months, days, us = split_interval(text)
    whole, us = _split(us, cal.DAY_US)
    more, days = _split(days + whole, 30)
    _checked(months + more, days, us)
    months, days = _alike(months + more, days, 30, us)
    days, us = _alike(days, us, cal.DAY_US)
    return _checked(months, days, us)


def zoned_to_local(zone_name: str, us: int) -> int:
    """timestamptz AT TIME ZONE zone."""
    return us if us in INFINITE else us + cal.utc_offset_s(us, zone_named(zone_name)) * cal.SECOND_US


def local_to_zoned(zone_name: str, us: int) -> int:
    """timestamp AT TIME ZONE zone."""
    return us if us in INFINITE else us - cal.local_offset_s(us, zone_named(zone_name)) * cal.SECOND_US


def _zoned_at(zone_name: str, us: int) -> int:
    return us if us in INFINITE else us + cal.utc_offset_s(us, zone_of(zone_name)) * cal.SECOND_US


def _local_at(zone_name: str, us: int) -> int:
    if us in INFINITE:
        return us
    zone, name = zone_of(zone_name), zone_name.strip().upper()
    meant = offset_meant(name, zone, us) if name in BY_ZONE else None
    return us - (cal.local_offset_s(us, zone) if meant is None else meant) * cal.SECOND_US


_SECONDS_MAX: Final = 1e15
"""More than this is beyond every timestamp, and may be beyond floats in microseconds."""


def to_timestamp(seconds: float) -> int:
    """to_timestamp(double precision)."""
    if seconds in (float("inf"), float("-inf")):
        return cal.TIMESTAMP_INFINITY if seconds > 0 else cal.TIMESTAMP_MINUS_INFINITY
    seconds = float(seconds)
    if seconds != seconds:
        raise SqlError("timestamp cannot be NaN", sqlstate="22008")
    made = round(seconds * 1_000_000) - UNIX_US if abs(seconds) < _SECONDS_MAX else cal.TIMESTAMP_END
    if not cal.TIMESTAMP_MIN <= made < cal.TIMESTAMP_END:
        raise SqlError(f'timestamp out of range: "{seconds:g}"', sqlstate="22008")
    return made


# -- templates ----------------------------------------------------------------------------------------------------


def to_char_timestamp(us: int, template: str) -> str | None:
    """to_char of a timestamp."""
    return None if us in INFINITE or not template else render_template(us, template, 0, "")


def to_char_zoned(us: int, template: str, zone_name: str) -> str | None:
    """to_char of a timestamptz in the session's zone."""
    if us in INFINITE or not template:
        return None
    zone = zone_named(zone_name)
    offset = cal.utc_offset_s(us, zone)
    days = us // cal.DAY_US
    year = min(max(cal.civil_from_days(days)[0], 2), 9998)
    shift = min(max(days, cal.days_from_civil(2, 1, 1)), cal.days_from_civil(9998, 12, 31))
    moment = datetime(year, 1, 1, tzinfo=zone) + timedelta(days=shift - cal.days_from_civil(year, 1, 1))
    return render_template(us + offset * cal.SECOND_US, template, offset, zone_shown(moment.tzname(), offset))


def to_char_interval(text: str, template: str) -> str | None:
    """to_char of an interval, by its fields."""
    if not template:
        return None
    months, days, us = split_interval(text)
    return render_interval(months, days, us, template)


def to_date(text: str, template: str) -> int:
    """to_date. Raises 22007, 22008."""
    days = parse_template(text, template)[0]
    if not cal.DATE_MIN <= days < cal.DATE_END:
        raise SqlError(f'date out of range: "{text}"', sqlstate="22008")
    return days


def to_timestamp_text(text: str, template: str, zone_name: str) -> int:
    """to_timestamp(text, template) in the session's zone."""
    days, clock, offset, precision = parse_template(text, template)
    us = days * cal.DAY_US + clock
    if not cal.TIMESTAMP_MIN <= us < cal.TIMESTAMP_END:
        raise SqlError("timestamp out of range", sqlstate="22008")
    if offset is not None:
        return round_us(us - offset * cal.SECOND_US, precision)
    return round_us(us - cal.local_offset_s(us, zone_named(zone_name)) * cal.SECOND_US, precision)


def install(lib: Library) -> None:
    """Declare the date and time functions."""
    d = lib.define
    zone: dict[str, Any] = {"session_values": ("timezone",), "stable": True}
    d("date_trunc", "text timestamp -> timestamp", truncate)
    d("date_trunc", "text timestamptz -> timestamptz", truncate_zoned, **zone)
    d(
        "date_trunc",
        "text timestamptz text -> timestamptz",
        _truncate_at,
    )
    d("date_trunc", "text interval -> interval", truncate_interval)
    d("date_bin", "interval timestamp timestamp -> timestamp", date_bin)
    d("date_bin", "interval timestamptz timestamptz -> timestamptz", date_bin)
    d("age", "timestamp timestamp -> interval", age)
    d("age", "timestamptz timestamptz -> interval", _age_zoned, **zone)
    d("age", "timestamp -> interval", _age_today, session_values=("now", "timezone"), stable=True)
    d("age", "timestamptz -> interval", _age_today_zoned, session_values=("now", "timezone"), stable=True)
    _install_now(lib)
    _install_makers(lib)
    d("isfinite", "date -> bool", sql="({0} NOT IN (2147483647, -2147483648))")
    for kind in ("timestamp", "timestamptz"):
        d("isfinite", f"{kind} -> bool", sql="({0} NOT IN (9223372036854775807, -9223372036854775808))")
    d("isfinite", "interval -> bool", sql="iif({0} IS NULL, NULL, 1)")
    d("timezone", "text timestamptz -> timestamp", _zoned_at)
    d("timezone", "text timestamp -> timestamptz", _local_at)
    d("timezone", "interval timestamptz -> timestamp", lambda span, us: us if us in INFINITE else us + _offset(span))
    d("timezone", "interval timestamp -> timestamptz", lambda span, us: us if us in INFINITE else us - _offset(span))
    d("timezone", "interval timetz -> timetz", lambda span, text: _moved(text, _offset(span) // cal.SECOND_US))
    d("timezone", "text timetz -> timetz", _timetz_in_zone, session_values=("now",), stable=True)
    _install_overlaps(lib)
    d("to_char", "timestamp text -> text", to_char_timestamp)
    d("to_char", "timestamptz text -> text", to_char_zoned, **zone)
    d("to_char", "interval text -> text", to_char_interval)
    d("to_date", "text text -> date", to_date)
    d("to_timestamp", "text text -> timestamptz", to_timestamp_text, **zone)
    d("to_timestamp", "float8 -> timestamptz", to_timestamp)


def _offset(span: str) -> int:
    """The offset from UTC that an interval stands for, in microseconds. Raises 22023."""
    months, days, us = split_interval(span)
    if months or days:
        message = f'interval time zone "{span}" must not include months or days'
        raise SqlError(message, sqlstate="22023")
    return us - us % cal.SECOND_US if us >= 0 else -(-us - -us % cal.SECOND_US)


def _moved(text: str, offset_s: int) -> str:
    """The same moment of the day with another offset from UTC."""
    us, before_s = split_timetz(text)
    return timetz_text((us + (offset_s - before_s) * cal.SECOND_US) % cal.DAY_US, offset_s)


def _timetz_in_zone(zone_name: str, text: str, now: int) -> str:
    return _moved(text, cal.utc_offset_s(now, zone_of(zone_name)))


def _overlap(start: Any, end: Any, other: Any, other_end: Any) -> int | None:
    """OVERLAPS of two periods, each with its ends in any order; an end that is NULL may be anything (SQL99)."""
    if start is None or (end is not None and start > end):
        start, end = end, start
    if other is None or (other_end is not None and other > other_end):
        other, other_end = other_end, other
    if start is None or other is None:
        return None
    if start == other:
        return None if end is None or other_end is None else 1
    if start < other:
        return (1 if other < end else None if other_end is None else 0) if end is not None else None
    return (1 if start < other_end else None if end is None else 0) if other_end is not None else None


def _overlap_zoned(*ends: str | None) -> int | None:
    """The same of times with their zones, which are kept as texts."""
    return _overlap(*(None if end is None else timetz_key(end) for end in ends))


def _install_overlaps(lib: Library) -> None:
    for kind in ("timestamp", "timestamptz", "time"):
        lib.define("overlaps", f"{kind} {kind} {kind} {kind} -> bool", _overlap, strict=False)
    lib.define("overlaps", "timetz timetz timetz timetz -> bool", _overlap_zoned, strict=False)
    spans = {"timestamp": "pg_timestamp_add({0}, {1}, 1)", "time": "pg_time_add({0}, {1}, 1)"}
    _install_zoned_overlaps(lib)
    for kind, plus in spans.items():
        call = "fn_overlaps({0}, " + plus + ", {2}, " + plus.replace("{0}", "{2}").replace("{1}", "{3}") + ")"
        lib.define("overlaps", f"{kind} interval {kind} interval -> bool", sql=call)
        call = "fn_overlaps({0}, {1}, {2}, " + plus.replace("{0}", "{2}").replace("{1}", "{3}") + ")"
        lib.define("overlaps", f"{kind} {kind} {kind} interval -> bool", sql=call)
        lib.define("overlaps", f"{kind} interval {kind} {kind} -> bool", sql="fn_overlaps({0}, " + plus + ", {2}, {3})")


def _install_zoned_overlaps(lib: Library) -> None:
    zone: dict[str, Any] = {"session_values": ("timezone",), "stable": True}
    plus = "pg_timestamptz_add({%d}, {%d}, 1, {session})"
    one, other = plus % (0, 1), plus % (2, 3)
    for second, fourth in (("interval", "interval"), ("timestamptz", "interval"), ("interval", "timestamptz")):
        ends = (one if second == "interval" else "{1}"), (other if fourth == "interval" else "{3}")
        call = f"fn_overlaps({{0}}, {ends[0]}, {{2}}, {ends[1]})"
        lib.define("overlaps", f"timestamptz {second} timestamptz {fourth} -> bool", sql=call, **zone)


def _truncate_at(field: str, us: int, zone_name: str) -> int:
    return truncate_zoned(field, us, zone_of(zone_name))


def _age_zoned(later: int, earlier: int, zone_name: str) -> str:
    return age(zoned_to_local(zone_name, later), zoned_to_local(zone_name, earlier))


def _age_today(us: int, now: int, zone_name: str) -> str:
    return age(truncate("day", zoned_to_local(zone_name, now)), us)


def _age_today_zoned(us: int, now: int, zone_name: str) -> str:
    return age(truncate("day", zoned_to_local(zone_name, now)), zoned_to_local(zone_name, us))


def _time_of_day(us: int, zone_name: str) -> str | None:
    return to_char_zoned(us, "Dy Mon DD HH24:MI:SS.US YYYY TZ", zone_name)


def _install_now(lib: Library) -> None:
    d = lib.define
    for name in ("now", "transaction_timestamp"):
        d(name, "-> timestamptz", sql="{session}", session_values=("now",), stable=True)
    d("statement_timestamp", "-> timestamptz", sql="{session}", session_values=("statement_now",), stable=True)
    d("clock_timestamp", "-> timestamptz", sql="pg_clock()", volatile=True)
    lib.scalars["fn_time_of_day"] = (_time_of_day, 2, True)
    d("timeofday", "-> text", sql="fn_time_of_day(pg_clock(), {session})", session_values=("timezone",), volatile=True)


def _install_makers(lib: Library) -> None:
    d = lib.define
    d("make_date", "int4 int4 int4 -> date", make_date)
    d("make_time", "int4 int4 float8 -> time", make_time)
    d("make_timestamp", "int4 int4 int4 int4 int4 float8 -> timestamp", make_timestamp)
    d(
        "make_timestamptz", "int4 int4 int4 int4 int4 float8 -> timestamptz", make_timestamptz,
        session_values=("timezone",), stable=True,
    )  # fmt: skip
    d("make_timestamptz", "int4 int4 int4 int4 int4 float8 text -> timestamptz", _make_timestamptz7)
    d("make_interval", "int4 int4 int4 int4 int4 int4 float8 -> interval", make_interval, defaults=7, default_sql="0")
    d("justify_hours", "interval -> interval", justify_hours)
    d("justify_days", "interval -> interval", justify_days)
    d("justify_interval", "interval -> interval", justify_interval)


def _make_timestamptz7(year: int, month: int, day: int, hour: int, minute: int, second: float, zone: str) -> int:
    return make_timestamptz(year, month, day, hour, minute, second, _sane_zone(zone))


def _sane_zone(name: str) -> tzinfo:
    """A zone as make_timestamptz takes it: a number with its sign is so much east (parse_sane_timezone). 22023."""
    if name[:1].isdigit():
        message = f'invalid input syntax for type numeric time zone: "{name}"'
        hint = 'Numeric time zones must have "-" or "+" as first character.'
        raise SqlError(message, sqlstate="22023", hint=hint)
    match = _NUMERIC_ZONE.match(name)
    if match is None:
        return zone_of(name)
    hours, minutes, seconds = int(match[2]), int(match[3] or 0), int(match[4] or 0)
    if match[3] is None and match.end() == len(name) and len(name) > 3:
        hours, minutes = divmod(hours, 100)
    if hours > 15 or minutes > 59 or seconds > 59:
        raise SqlError(f'numeric time zone "{name}" out of range', sqlstate="22023")
    if match.end() < len(name):
        return zone_of(name)
    east = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timezone(-east if match[1] == "-" else east)
