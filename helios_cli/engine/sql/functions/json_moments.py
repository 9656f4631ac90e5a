"""Dates and times in a jsonpath: what ``.datetime()`` reads, and how they are compared (jsonpath_exec.c)."""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.template_input import parse_strictly

TYPES: Final = {
    "date": "date", "time": "time without time zone", "timetz": "time with time zone",
    "timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone",
}  # fmt: skip
"""What ``.type()`` says."""
_CLOCK: Final = r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2}):(?P<second>\d{1,2})(?:\.(?P<fraction>\d{1,6}))?"
_ZONE: Final = r"(?:\s*(?P<sign>[+-])(?P<hours>\d{1,2})(?::(?P<minutes>\d{1,2}))?)?"
_ISO: Final = re.compile(
    rf"\s*(?:(?P<year>\d+)-(?P<month>\d{{1,2}})-(?P<day>\d{{1,2}}))?(?:(?P<between>T|\s+)?{_CLOCK}{_ZONE})?\s*",
    re.ASCII,
)
_YEAR_MAX: Final = 294_276
_ZONE_HOURS_MAX: Final = 15
_CLOCKS: Final = ("time", "timetz")


class Moment(str):
    """A date or time, which is a string in ISO's form wherever it leaves the path."""

    __slots__ = ("kind", "local_us", "offset_s")

    kind: str
    """A key of :data:`TYPES`."""
    local_us: int
    """Since 2000-01-01, or since midnight, where its clock is."""
    offset_s: int | None
    """East of UTC; None without a time zone."""


class Clock:
    """The session's zone and time, for paths that may use them."""

    def __init__(self, now_us: int, zone: tzinfo) -> None:
        self._now_us, self._zone = now_us, zone

    def offset_s(self, moment: Moment) -> int:
        """How far east of UTC the zone is then; of a time it is that of today."""
        if moment.kind in _CLOCKS:
            return cal.utc_offset_s(self._now_us, self._zone)
        return cal.local_offset_s(moment.local_us, self._zone)


def read_moment(text: str) -> Moment | None:
    """A date, time or timestamp in ISO's form; None for any other text."""
    found = _ISO.fullmatch(text)
    if found is None or (found["year"] is None and found["hour"] is None):
        return None
    has_date, has_clock = found["year"] is not None, found["hour"] is not None
    if (has_date and has_clock and not found["between"]) or (found["between"] == "T" and not has_date):
        return None
    days = _days(found) if has_date else 0
    clock = _clock_us(found) if has_clock else 0
    offset = _offset_s(found)
    if days is None or clock is None or (found["sign"] and offset is None):
        return None
    kind = "date" if not has_clock else ("timestamp" if has_date else "time") + ("tz" if offset is not None else "")
    return _moment(kind, days, clock, offset)


def read_by_template(text: str, template: str) -> Moment:
    """A date or time in a template's form. Raises what :func:`template_input.parse_strictly` raises."""
    return _moment(*parse_strictly(text, template))


def _moment(kind: str, days: int, clock: int, offset: int | None) -> Moment:
    has_date, has_clock = kind not in _CLOCKS, kind != "date"
    moment = Moment("T".join(part for part in (_shown_date(days, has_date), _shown_clock(clock, has_clock)) if part)
                    + _shown_offset(offset))  # fmt: skip
    moment.kind, moment.local_us, moment.offset_s = kind, days * cal.DAY_US + (clock if has_clock else 0), offset
    return moment


def order_of(mine: Moment, theirs: Moment, clock: Clock | None) -> int | None:
    """Below, at or above 0 as one is before the other; None: they are not compared.

    Raises:
        SqlError: 0A000, it depends on the session's time zone, which the function must not use.
    """
    if (mine.kind in _CLOCKS) != (theirs.kind in _CLOCKS):
        return None
    if mine.offset_s is None and theirs.offset_s is None:
        return mine.local_us - theirs.local_us
    one, other = _offset_of(mine, theirs, clock), _offset_of(theirs, mine, clock)
    difference = mine.local_us - theirs.local_us - (one - other) * cal.SECOND_US
    if difference or mine.kind not in _CLOCKS:
        return difference
    # Of times at one moment the one farther west is the greater one (timetz_cmp_internal).
    return other - one


def _offset_of(moment: Moment, other: Moment, clock: Clock | None) -> int:
    if moment.offset_s is not None:
        return moment.offset_s
    if clock is None:
        message = f"cannot convert value from {moment.kind} to {other.kind} without time zone usage"
        raise SqlError(message, sqlstate="0A000", hint="Use *_tz() function for time zone support.")
    return clock.offset_s(moment)


def _days(found: re.Match[str]) -> int | None:
    year, month, day = (int(found[name]) for name in ("year", "month", "day"))
    if not (1 <= year <= _YEAR_MAX and 1 <= month <= 12 and 1 <= day <= cal.days_in_month(year, month)):
        return None
    return cal.days_from_civil(year, month, day)


def _clock_us(found: re.Match[str]) -> int | None:
    hour, minute, second = (int(found[name]) for name in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * cal.SECOND_US + int((found["fraction"] or "").ljust(6, "0"))


def _offset_s(found: re.Match[str]) -> int | None:
    if not found["sign"]:
        return None
    hours, minutes = int(found["hours"]), int(found["minutes"] or 0)
    if hours > _ZONE_HOURS_MAX or minutes > 59:
        return None
    return (hours * 60 + minutes) * 60 * (-1 if found["sign"] == "-" else 1)


def _shown_date(days: int, wanted: bool) -> str:
    return "{:04}-{:02}-{:02}".format(*cal.civil_from_days(days)) if wanted else ""


def _shown_clock(us: int, wanted: bool) -> str:
    if not wanted:
        return ""
    seconds, fraction = divmod(us, cal.SECOND_US)
    shown = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{shown}.{fraction:06}".rstrip("0") if fraction else shown


def _shown_offset(offset: int | None) -> str:
    if offset is None:
        return ""
    minutes = abs(offset) // 60
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
