"""Date and time functions (PostgreSQL manual, 9.9). Values as in ``engine.datatypes.datetimes``."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.datetimes import split_timetz
from helios_cli.engine.datatypes.interval import Interval, interval_text, split_interval
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.numbers import show_decimal
from helios_cli.engine.sql.functions.templates import parse_template, render_interval, render_template

_INFINITE: Final = (cal.TIMESTAMP_INFINITY, cal.TIMESTAMP_MINUS_INFINITY)
_UNIX_US: Final = -cal.UNIX_EPOCH_DAYS * cal.DAY_US
_UNITS: Final = {
    "microsecond": "microseconds", "microseconds": "microseconds", "us": "microseconds", "usec": "microseconds",
    "millisecond": "milliseconds", "milliseconds": "milliseconds", "ms": "milliseconds", "msec": "milliseconds",
    "second": "second", "seconds": "second", "sec": "second", "s": "second", "minute": "minute", "minutes": "minute",
    "min": "minute", "mins": "minute", "m": "minute", "hour": "hour", "hours": "hour", "hr": "hour", "h": "hour",
    "day": "day", "days": "day", "d": "day", "week": "week", "weeks": "week", "w": "week", "month": "month",
    "months": "month", "mon": "month", "mons": "month", "quarter": "quarter", "qtr": "quarter", "year": "year",
    "years": "year", "y": "year", "yr": "year", "decade": "decade", "decades": "decade", "century": "century",
    "centuries": "century", "c": "century", "millennium": "millennium", "mil": "millennium", "epoch": "epoch",
    "dow": "dow", "doy": "doy", "isodow": "isodow", "isoyear": "isoyear", "julian": "julian", "timezone": "timezone",
    "timezone_hour": "timezone_hour", "timezone_minute": "timezone_minute", "tz": "timezone",
}  # fmt: skip


@lru_cache(maxsize=256)
def zone_of(name: str) -> Any:
    """A time zone by IANA name, in any case.

    Raises:
        SqlError: 22023.
    """
    from datetime import UTC, timedelta, timezone

    folded = name.strip()
    if folded.upper() in ("UTC", "GMT", "Z", "ZULU", "UCT"):
        return UTC
    try:
        return ZoneInfo(folded)
    except (KeyError, ValueError, OSError):
        pass
    try:
        sign = -1 if folded[:1] == "-" else 1
        hours, _, minutes = folded.lstrip("+-").partition(":")
        return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes or 0)))
    except ValueError:
        raise SqlError(f'time zone "{name}" not recognized', sqlstate="22023") from None


def _unit(name: str, type_name: str) -> str:
    found = _UNITS.get(name.lower())
    if found is None:
        raise SqlError(f'unit "{name}" not recognized for type {type_name}', sqlstate="22023")
    return found


def iso_year_week(days: int) -> tuple[int, int]:
    """The ISO 8601 (year, week) of a day."""
    year = cal.civil_from_days(days + 3 - (days + 5) % 7)[0]
    first = cal.days_from_civil(year, 1, 4)
    monday = first - (first + 5) % 7
    return year, (days - monday) // 7 + 1


def _unit_error(unit: str, type_name: str) -> SqlError:
    return SqlError(f'unit "{unit}" not supported for type {type_name}', sqlstate="0A000")


# -- extract ------------------------------------------------------------------------------------------------------


def _date_field(unit: str, days: int) -> int | None:
    year, month, day = cal.civil_from_days(days)
    shown = year if year > 0 else year - 1
    if unit in ("year", "month", "day"):
        return {"year": shown, "month": month, "day": day}[unit]
    if unit == "quarter":
        return (month - 1) // 3 + 1
    if unit == "dow":
        return (days + 6) % 7
    if unit == "isodow":
        return (days + 5) % 7 + 1
    if unit == "doy":
        return days - cal.days_from_civil(year, 1, 1) + 1
    if unit in ("week", "isoyear"):
        iso, week = iso_year_week(days)
        return week if unit == "week" else iso if iso > 0 else iso - 1
    if unit == "decade":
        return year // 10
    if unit == "century":
        return (shown + 99) // 100 if shown > 0 else -((99 - (shown - 1)) // 100)
    if unit == "millennium":
        return (shown + 999) // 1000 if shown > 0 else -((999 - (shown - 1)) // 1000)
    return None


def _clock_field(unit: str, us: int) -> Decimal | int | None:
    if unit == "hour":
        return us // cal.HOUR_US
    if unit == "minute":
        return us // cal.MINUTE_US % 60
    if unit == "second":
        return Decimal(us % cal.MINUTE_US).scaleb(-6)
    if unit == "milliseconds":
        return Decimal(us % cal.MINUTE_US).scaleb(-3)
    return us % cal.MINUTE_US if unit == "microseconds" else None


def _special(unit: str, infinite_positive: bool, type_name: str) -> str | None:
    if unit in ("epoch", "year", "decade", "century", "millennium", "isoyear", "julian"):
        return "Infinity" if infinite_positive else "-Infinity"
    if _UNITS.get(unit) is None:
        raise _unit_error(unit, type_name)
    return None


def extract_timestamp(field: str, us: int, type_name: str = "timestamp without time zone") -> str | None:
    """EXTRACT from a timestamp."""
    unit = _unit(field, type_name)
    if us in _INFINITE:
        return _special(unit, us > 0, type_name)
    days, clock = divmod(us, cal.DAY_US)
    value: Decimal | int | None = _date_field(unit, days)
    if value is None:
        value = _clock_field(unit, clock)
    if value is None and unit == "epoch":
        value = Decimal(us + _UNIX_US).scaleb(-6)
    if value is None and unit == "julian":
        if not clock:
            return str(days + cal.EPOCH_JDATE)
        return show_decimal((Decimal(days + cal.EPOCH_JDATE) + Decimal(clock) / cal.DAY_US).quantize(Decimal("1e-20")))
    if value is None:
        raise _unit_error(field, type_name)
    return show_decimal(Decimal(value)) if isinstance(value, int) else show_decimal(value)


def extract_timestamptz(field: str, us: int, zone_name: str) -> str | None:
    """EXTRACT from a timestamptz, in the session's zone."""
    name = "timestamp with time zone"
    unit = _unit(field, name)
    if us in _INFINITE:
        return _special(unit, us > 0, name)
    if unit == "epoch":
        return show_decimal(Decimal(us + _UNIX_US).scaleb(-6))
    offset = cal.utc_offset_s(us, zone_of(zone_name))
    if unit == "timezone":
        return str(offset)
    if unit == "timezone_hour":
        return str(int(offset / 3600))
    if unit == "timezone_minute":
        return str(int(offset / 60) % 60 if offset >= 0 else -(int(-offset / 60) % 60))
    return extract_timestamp(field, us + offset * cal.SECOND_US, name)


def extract_date(field: str, days: int) -> str | None:
    """EXTRACT from a date."""
    unit = _unit(field, "date")
    if days in (cal.DATE_INFINITY, cal.DATE_MINUS_INFINITY):
        return _special(unit, days > 0, "date")
    if unit == "epoch":
        return str((days - cal.UNIX_EPOCH_DAYS) * 86400)
    if unit == "julian":
        return str(days + cal.EPOCH_JDATE)
    value = _date_field(unit, days)
    if value is None:
        raise _unit_error(field, "date")
    return str(value)


def extract_time(field: str, us: int) -> str:
    """EXTRACT from a time."""
    name = "time without time zone"
    unit = _unit(field, name)
    value = Decimal(us).scaleb(-6) if unit == "epoch" else _clock_field(unit, us)
    if value is None:
        raise _unit_error(field, name)
    return show_decimal(Decimal(value))


def extract_timetz(field: str, text: str) -> str:
    """EXTRACT from a timetz."""
    us, offset = split_timetz(text)
    unit = _unit(field, "time with time zone")
    zones = {"timezone": offset, "timezone_hour": int(offset / 3600), "timezone_minute": int(offset / 60) % 60}
    if unit in zones:
        return str(zones[unit])
    return show_decimal(Decimal(us - offset * cal.SECOND_US).scaleb(-6)) if unit == "epoch" else extract_time(field, us)


def extract_interval(field: str, text: str) -> str:
    """EXTRACT from an interval."""
    unit = _unit(field, "interval")
    months, days, us = split_interval(text)
    years = int(months / 12)
    whole: dict[str, int] = {
        "year": years, "month": months - years * 12, "day": days, "hour": int(us / cal.HOUR_US),
        "minute": int((us - int(us / cal.HOUR_US) * cal.HOUR_US) / cal.MINUTE_US), "decade": int(years / 10),
        "century": int(years / 100), "millennium": int(years / 1000), "quarter": (months - years * 12) // 3 + 1,
    }  # fmt: skip
    if unit in whole:
        return str(whole[unit])
    rest = us - int(us / cal.MINUTE_US) * cal.MINUTE_US
    if unit in ("second", "milliseconds", "microseconds"):
        return show_decimal(Decimal(rest).scaleb({"second": -6, "milliseconds": -3, "microseconds": 0}[unit]))
    if unit == "epoch":
        seconds = years * 31_557_600 + (months - years * 12) * 2_592_000 + days * 86_400
        return show_decimal(Decimal(seconds).quantize(Decimal("1.000000")) + Decimal(us).scaleb(-6))
    raise _unit_error(field, "interval")


def _as_part(call: Callable[..., str | None]) -> Callable[..., float | None]:
    """date_part: EXTRACT as double precision."""

    def part(*arguments: Any) -> float | None:
        text = call(*arguments)
        return None if text is None else float(text)

    return part


# -- date_trunc ---------------------------------------------------------------------------------------------------

_STEPS: Final = {
    "microseconds": 1, "milliseconds": 1000, "second": cal.SECOND_US, "minute": cal.MINUTE_US, "hour": cal.HOUR_US,
    "day": cal.DAY_US,
}  # fmt: skip


def truncate(field: str, us: int, type_name: str = "timestamp without time zone") -> int:
    """date_trunc of a timestamp."""
    unit = _unit(field, type_name)
    if us in _INFINITE:
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
        raise _unit_error(field, type_name)
    return cal.days_from_civil((year - 1) // span * span + 1, 1, 1) * cal.DAY_US


def truncate_zoned(field: str, us: int, zone_name: str) -> int:
    """date_trunc of a timestamptz in a zone."""
    if us in _INFINITE:
        return us
    zone = zone_of(zone_name)
    unit = _unit(field, "timestamp with time zone")
    local = us + cal.utc_offset_s(us, zone) * cal.SECOND_US
    cut = truncate(field, local, "timestamp with time zone")
    if _STEPS.get(unit, cal.DAY_US) < cal.DAY_US:
        return us - (local - cut)
    return cut - cal.local_offset_s(cut, zone) * cal.SECOND_US


def truncate_interval(field: str, text: str) -> str:
    """date_trunc of an interval."""
    unit = _unit(field, "interval")
    months, days, us = split_interval(text)
    spans = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}
    if unit in spans:
        return interval_text(Interval(int(months / spans[unit]) * spans[unit], 0, 0))
    if unit == "day":
        return interval_text(Interval(months, days, 0))
    if unit not in _STEPS:
        raise _unit_error(field, "interval")
    return interval_text(Interval(months, days, int(us / _STEPS[unit]) * _STEPS[unit]))


def date_bin(stride: str, us: int, origin: int) -> int:
    """date_bin."""
    months, days, size = split_interval(stride)
    if months:
        raise SqlError("timestamps cannot be binned into intervals containing months or years", sqlstate="0A000")
    step = days * cal.DAY_US + size
    if step <= 0:
        raise SqlError("stride must be greater than zero", sqlstate="22008")
    return us - (us - origin) % step


# -- age, make_*, justify_* ---------------------------------------------------------------------------------------


def age(later: int, earlier: int) -> str:
    """The difference in years, months, days and time (timestamp_age)."""
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
        days += cal.days_in_month(year0, month0) if sign > 0 else cal.days_in_month(year, month)
        months -= 1
    total = years * 12 + months
    return interval_text(Interval(sign * total, sign * days, sign * us))


def make_date(year: int, month: int, day: int) -> int:
    """make_date; a negative year is BC."""
    real = year + 1 if year < 0 else year
    if year == 0 or not 1 <= month <= 12 or not 1 <= day <= cal.days_in_month(real, month):
        raise SqlError(f"date field value out of range: {year}-{month:02d}-{day:02d}", sqlstate="22008")
    return cal.days_from_civil(real, month, day)


def make_time(hour: int, minute: int, second: float) -> int:
    """make_time."""
    if not (0 <= hour <= 24 and 0 <= minute < 60 and 0 <= second <= 60):
        raise SqlError(f"time field value out of range: {hour}:{minute:02d}:{second:g}", sqlstate="22008")
    return hour * cal.HOUR_US + minute * cal.MINUTE_US + round(second * 1_000_000)


def make_timestamp(year: int, month: int, day: int, hour: int, minute: int, second: float) -> int:
    """make_timestamp."""
    return make_date(year, month, day) * cal.DAY_US + make_time(hour, minute, second)


def make_timestamptz(year: int, month: int, day: int, hour: int, minute: int, second: float, zone_name: str) -> int:
    """make_timestamptz in a zone."""
    local = make_timestamp(year, month, day, hour, minute, second)
    return local - cal.local_offset_s(local, zone_of(zone_name)) * cal.SECOND_US


def make_interval(years: int, months: int, weeks: int, days: int, hours: int, minutes: int, seconds: float) -> str:
    """make_interval."""
    us = (hours or 0) * cal.HOUR_US + (minutes or 0) * cal.MINUTE_US + round((seconds or 0) * 1_000_000)
    return interval_text(Interval((years or 0) * 12 + (months or 0), (weeks or 0) * 7 + (days or 0), us))


def justify_hours(text: str) -> str:
    """24 hours become a day."""
    months, days, us = split_interval(text)
    whole = int(us / cal.DAY_US)
    days, us = days + whole, us - whole * cal.DAY_US
    if days > 0 and us < 0:
        days, us = days - 1, us + cal.DAY_US
    elif days < 0 and us > 0:
        days, us = days + 1, us - cal.DAY_US
    return interval_text(Interval(months, days, us))


def justify_days(text: str) -> str:
    """30 days become a month."""
    months, days, us = split_interval(text)
    whole = int(days / 30)
    months, days = months + whole, days - whole * 30
    if months > 0 and days < 0:
        months, days = months - 1, days + 30
    elif months < 0 and days > 0:
        months, days = months + 1, days - 30
    return interval_text(Interval(months, days, us))


def justify_interval(text: str) -> str:
    """Both, with all signs made alike."""
    months, days, us = split_interval(justify_days(justify_hours(text)))
    if months > 0 and (days < 0 or (days == 0 and us < 0)):
        months, days = months - 1, days + 30
    elif months < 0 and (days > 0 or (days == 0 and us > 0)):
        months, days = months + 1, days - 30
    if days > 0 and us < 0:
        days, us = days - 1, us + cal.DAY_US
    elif days < 0 and us > 0:
        days, us = days + 1, us - cal.DAY_US
    return interval_text(Interval(months, days, us))


def zoned_to_local(zone_name: str, us: int) -> int:
    """timestamptz AT TIME ZONE zone."""
    return us if us in _INFINITE else us + cal.utc_offset_s(us, zone_of(zone_name)) * cal.SECOND_US


def local_to_zoned(zone_name: str, us: int) -> int:
    """timestamp AT TIME ZONE zone."""
    return us if us in _INFINITE else us - cal.local_offset_s(us, zone_of(zone_name)) * cal.SECOND_US


def to_timestamp(seconds: float) -> int:
    """to_timestamp(double precision)."""
    if seconds in (float("inf"), float("-inf")):
        return cal.TIMESTAMP_INFINITY if seconds > 0 else cal.TIMESTAMP_MINUS_INFINITY
    return round(float(seconds) * 1_000_000) - _UNIX_US


# -- templates ----------------------------------------------------------------------------------------------------


def to_char_timestamp(us: int, template: str) -> str | None:
    """to_char of a timestamp."""
    return None if us in _INFINITE else render_template(us, template, 0, "")


def to_char_zoned(us: int, template: str, zone_name: str) -> str | None:
    """to_char of a timestamptz in the session's zone."""
    if us in _INFINITE:
        return None
    zone = zone_of(zone_name)
    offset = cal.utc_offset_s(us, zone)
    from datetime import datetime, timedelta

    days = us // cal.DAY_US
    year = min(max(cal.civil_from_days(days)[0], 2), 9998)
    moment = datetime(year, 1, 1, tzinfo=zone) + timedelta(days=days - cal.days_from_civil(year, 1, 1))
    return render_template(us + offset * cal.SECOND_US, template, offset, moment.tzname() or "")


def to_char_interval(text: str, template: str) -> str:
    """to_char of an interval, by its fields."""
    months, days, us = split_interval(text)
    return render_interval(months, days, us, template)


def to_date(text: str, template: str) -> int:
    """to_date."""
    return parse_template(text, template)[0] // cal.DAY_US


def to_timestamp_text(text: str, template: str, zone_name: str) -> int:
    """to_timestamp(text, template) in the session's zone."""
    us, offset = parse_template(text, template)
    if offset is not None:
        return us - offset * cal.SECOND_US
    return us - cal.local_offset_s(us, zone_of(zone_name)) * cal.SECOND_US


def install(lib: Library) -> None:
    """Declare the date and time functions."""
    d = lib.define
    zone: dict[str, Any] = {"session_values": ("timezone",), "stable": True}
    for name, part in (("extract", False), ("date_part", True)):
        result = "float8" if part else "numeric"
        wrap: Callable[[Callable[..., str | None]], Callable[..., Any]] = _as_part if part else _same
        d(name, f"text timestamp -> {result}", wrap(extract_timestamp))
        d(name, f"text timestamptz -> {result}", wrap(extract_timestamptz), **zone)
        d(name, f"text date -> {result}", wrap(extract_date))
        d(name, f"text time -> {result}", wrap(extract_time))
        d(name, f"text timetz -> {result}", wrap(extract_timetz))
        d(name, f"text interval -> {result}", wrap(extract_interval))
    d("date_trunc", "text timestamp -> timestamp", truncate)
    d("date_trunc", "text timestamptz -> timestamptz", truncate_zoned, **zone)
    d("date_trunc", "text timestamptz text -> timestamptz", lambda field, us, name: truncate_zoned(field, us, name))
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
    d("isfinite", "interval -> bool", sql="({0} IS NOT NULL)")
    d("timezone", "text timestamptz -> timestamp", zoned_to_local)
    d("timezone", "text timestamp -> timestamptz", local_to_zoned)
    d("to_char", "timestamp text -> text", to_char_timestamp)
    d("to_char", "timestamptz text -> text", to_char_zoned, **zone)
    d("to_char", "interval text -> text", to_char_interval)
    d("to_date", "text text -> date", to_date)
    d("to_timestamp", "text text -> timestamptz", to_timestamp_text, **zone)
    d("to_timestamp", "float8 -> timestamptz", to_timestamp)


def _same(call: Callable[..., str | None]) -> Callable[..., Any]:
    return call


def _age_zoned(later: int, earlier: int, zone_name: str) -> str:
    return age(zoned_to_local(zone_name, later), zoned_to_local(zone_name, earlier))


def _age_today(us: int, now: int, zone_name: str) -> str:
    return age(truncate("day", zoned_to_local(zone_name, now)), us)


def _age_today_zoned(us: int, now: int, zone_name: str) -> str:
    return age(truncate("day", zoned_to_local(zone_name, now)), zoned_to_local(zone_name, us))


def _install_now(lib: Library) -> None:
    d = lib.define
    for name in ("now", "transaction_timestamp"):
        d(name, "-> timestamptz", sql="{session}", session_values=("now",), stable=True)
    d("statement_timestamp", "-> timestamptz", sql="{session}", session_values=("statement_now",), stable=True)
    d("clock_timestamp", "-> timestamptz", sql="{session}", session_values=("clock",), volatile=True)
    d(
        "timeofday", "-> text", lambda us, zone_name: to_char_zoned(us, "Dy Mon DD HH24:MI:SS.US YYYY TZ", zone_name),
        session_values=("clock", "timezone"), volatile=True,
    )  # fmt: skip


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
    d("make_interval", "int4 int4 int4 int4 int4 int4 float8 -> interval", make_interval, strict=False, defaults=7)
    d("justify_hours", "interval -> interval", justify_hours)
    d("justify_days", "interval -> interval", justify_days)
    d("justify_interval", "interval -> interval", justify_interval)


def _make_timestamptz7(year: int, month: int, day: int, hour: int, minute: int, second: float, zone: str) -> int:
    return make_timestamptz(year, month, day, hour, minute, second, zone)
