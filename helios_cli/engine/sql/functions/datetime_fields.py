"""Fields of dates and times: EXTRACT and date_part, unit names, time zones (PostgreSQL manual, 9.9.1)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.datetimes import split_timetz
from helios_cli.engine.datatypes.interval import split_interval
from helios_cli.engine.datatypes.zoned import zone_named
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.numbers import show_decimal

INFINITE: Final = (cal.TIMESTAMP_INFINITY, cal.TIMESTAMP_MINUS_INFINITY)
"""The timestamps that are no moments."""
UNIX_US: Final = -cal.UNIX_EPOCH_DAYS * cal.DAY_US
"""2000-01-01 in microseconds since 1970-01-01."""
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


_CLOCK_UNITS: Final = frozenset(
    ("hour", "minute", "second", "milliseconds", "microseconds", "timezone", "timezone_hour", "timezone_minute")
)
"""Units that dates have not."""


def unit_of(name: str, type_name: str) -> str:
    """The standard name of a unit. Raises 22023."""
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


def iso_monday(year: int) -> int:
    """The day on which the first week of an ISO year begins."""
    first = cal.days_from_civil(year, 1, 4)
    return first - (first + 5) % 7


_EXTRACTED_ONLY: Final = frozenset(("dow", "doy", "isodow", "isoyear", "epoch", "julian"))


def trunc_error(unit: str, type_name: str) -> SqlError:
    """22023 for what is a unit of extract alone, 0A000 for one that the type has not."""
    if unit.lower() in _EXTRACTED_ONLY:
        return SqlError(f'unit "{unit}" not recognized for type {type_name}', sqlstate="22023")
    return unit_error(unit, type_name)


def unit_error(unit: str, type_name: str) -> SqlError:
    """0A000: the unit makes no sense for the type."""
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
        return (shown + 99) // 100 if shown > 0 else -((99 - shown) // 100)
    if unit == "millennium":
        return (shown + 999) // 1000 if shown > 0 else -((999 - shown) // 1000)
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
        raise unit_error(unit, type_name)
    return None


def extract_timestamp(field: str, us: int, type_name: str = "timestamp without time zone") -> str | None:
    """EXTRACT from a timestamp."""
    unit = unit_of(field, type_name)
    if us in INFINITE:
        return _special(unit, us > 0, type_name)
    days, clock = divmod(us, cal.DAY_US)
    value: Decimal | int | None = _date_field(unit, days)
    if value is None:
        value = _clock_field(unit, clock)
    if value is None and unit == "epoch":
        value = Decimal(us + UNIX_US).scaleb(-6)
    if value is None and unit == "julian":
        if not clock:  # numeric_div of zero gives twenty-eight digits here.
            return f"{days + cal.EPOCH_JDATE}.{'0' * 28}"
        return show_decimal((Decimal(days + cal.EPOCH_JDATE) + Decimal(clock) / cal.DAY_US).quantize(Decimal("1e-20")))
    if value is None:
        raise unit_error(field, type_name)
    return show_decimal(Decimal(value)) if isinstance(value, int) else show_decimal(value)


def extract_timestamptz(field: str, us: int, zone_name: str) -> str | None:
    """EXTRACT from a timestamptz, in the session's zone."""
    name = "timestamp with time zone"
    unit = unit_of(field, name)
    if us in INFINITE:
        return _special(unit, us > 0, name)
    if unit == "epoch":
        return show_decimal(Decimal(us + UNIX_US).scaleb(-6))
    offset = cal.utc_offset_s(us, zone_named(zone_name))
    if unit == "timezone":
        return str(offset)
    if unit == "timezone_hour":
        return str(int(offset / 3600))
    if unit == "timezone_minute":
        return str(_zone_minute(offset))
    return extract_timestamp(field, us + offset * cal.SECOND_US, name)


def _zone_minute(offset_s: int) -> int:
    """The minutes of an offset beyond its hours, with its sign."""
    return int(offset_s / 60) % 60 if offset_s >= 0 else -(int(-offset_s / 60) % 60)


def extract_date(field: str, days: int) -> str | None:
    """EXTRACT from a date."""
    unit = unit_of(field, "date")
    if days in (cal.DATE_INFINITY, cal.DATE_MINUS_INFINITY):
        if unit in _CLOCK_UNITS:
            raise unit_error(field, "date")
        return _special(unit, days > 0, "date")
    if unit == "epoch":
        return str((days - cal.UNIX_EPOCH_DAYS) * 86400)
    if unit == "julian":
        return str(days + cal.EPOCH_JDATE)
    value = _date_field(unit, days)
    if value is None:
        raise unit_error(field, "date")
    return str(value)


def extract_time(field: str, us: int, name: str = "time without time zone") -> str:
    """EXTRACT from a time."""
    unit = unit_of(field, name)
    value = Decimal(us).scaleb(-6) if unit == "epoch" else _clock_field(unit, us)
    if value is None:
        raise unit_error(field, name)
    return show_decimal(Decimal(value))


def extract_timetz(field: str, text: str) -> str:
    """EXTRACT from a timetz."""
    us, offset = split_timetz(text)
    name = "time with time zone"
    unit = unit_of(field, name)
    zones = {"timezone": offset, "timezone_hour": int(offset / 3600), "timezone_minute": _zone_minute(offset)}
    if unit in zones:
        return str(zones[unit])
    if unit == "epoch":
        return show_decimal(Decimal(us - offset * cal.SECOND_US).scaleb(-6))
    return extract_time(field, us, name)


def extract_interval(field: str, text: str) -> str:
    """EXTRACT from an interval."""
    unit = unit_of(field, "interval")
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
    raise unit_error(field, "interval")


def as_part(call: Callable[..., str | None]) -> Callable[..., float | None]:
    """date_part: EXTRACT as double precision."""

    def part(*arguments: Any) -> float | None:
        text = call(*arguments)
        return None if text is None else float(text)

    return part


def _part_of_date(field: str, days: int) -> str | None:
    """date_part knows a date as the timestamp of its midnight, EXTRACT does not."""
    infinite = {cal.DATE_INFINITY: cal.TIMESTAMP_INFINITY, cal.DATE_MINUS_INFINITY: cal.TIMESTAMP_MINUS_INFINITY}
    return extract_timestamp(field, infinite.get(days, days * cal.DAY_US))


def install(lib: Library) -> None:
    """Declare extract and date_part."""
    zone: dict[str, Any] = {"session_values": ("timezone",), "stable": True}
    for name, part in (("extract", False), ("date_part", True)):
        result = "float8" if part else "numeric"
        wrap: Callable[[Callable[..., str | None]], Callable[..., Any]] = as_part if part else _same
        lib.define(name, f"text timestamp -> {result}", wrap(extract_timestamp))
        lib.define(name, f"text timestamptz -> {result}", wrap(extract_timestamptz), **zone)
        lib.define(name, f"text date -> {result}", as_part(_part_of_date) if part else wrap(extract_date))
        lib.define(name, f"text time -> {result}", wrap(extract_time))
        lib.define(name, f"text timetz -> {result}", wrap(extract_timetz))
        lib.define(name, f"text interval -> {result}", wrap(extract_interval))


def _same(call: Callable[..., str | None]) -> Callable[..., Any]:
    return call
