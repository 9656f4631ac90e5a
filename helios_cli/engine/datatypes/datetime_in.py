"""Reading of dates, times and timestamps as PostgreSQL's input functions do (DecodeDateTime)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.datetime_decode import Decoder
from helios_cli.engine.datatypes.faults import field_overflow, invalid_datetime
from helios_cli.engine.errors import SqlError


def _no_zone(_name: str) -> tzinfo | None:
    return None


@dataclass(frozen=True, slots=True)
class TimeContext:
    """What the session adds to a date's text: its time zone, the transaction's time, the zone table."""

    zone: tzinfo = UTC
    now_us: int | None = None
    """Microseconds since 2000-01-01 UTC for 'now' and 'today'; None makes those words an error."""
    find_zone: Callable[[str], tzinfo | None] = _no_zone
    """Looks up 'Europe/Berlin'; None when there is no such zone."""

    @property
    def order(self) -> str:
        """'MDY', 'DMY' or 'YMD': what the first of three short numbers is. It comes with the zone (:mod:`.styled`)."""
        style = getattr(self.zone, "style", None)
        return "MDY" if style is None else style.order


UTC_CONTEXT: Final = TimeContext()

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(?:(Z)|([+-]\d\d)(?::?(\d\d))?)?)?", re.ASCII
)
_TIMES: Final = ("time", "time with time zone")


@dataclass(slots=True)
class Fields:
    """What was found in a text; None where nothing was said."""

    text: str
    type_name: str
    date: tuple[int, int, int] | None = None
    """(year, month, day) with year 0 for 1 BC."""
    time_us: int | None = None
    offset_s: int | None = None
    zone: tzinfo | None = None
    word: str | None = None
    """'infinity', '-infinity' or 'epoch'."""

    def invalid(self) -> SqlError:
        """22007 for the whole text."""
        return invalid_datetime(self.type_name, self.text)

    def overflow(self, *, style: bool = False) -> SqlError:
        """22008 for the whole text; ``style`` adds the hint about the order of day and month."""
        error = field_overflow(self.text)
        if style:
            error.hint = 'Perhaps you need a different "datestyle" setting.'
        return error


def read_fields(text: str, type_name: str, context: TimeContext) -> Fields:
    """Take a date/time text apart. Raises 22007, 22008, 22009 and 22023 as PostgreSQL does."""
    fields = Fields(text, type_name)
    match = _ISO.fullmatch(text)
    if match is not None:
        _take_iso(fields, match)
    else:
        Decoder(fields, context, type_name in _TIMES).run()
    return fields


def _take_iso(fields: Fields, match: re.Match[str]) -> None:
    """The common form, without the general reader."""
    year, month, day, hour, minute, second, fraction, zulu, zone_hour, zone_minute = match.groups()
    fields.date = _check_date(fields, int(year), int(month), int(day))
    if hour is None:
        return
    fields.time_us = _clock_us(fields, int(hour), int(minute), int(second or 0), fraction or "")
    if zulu:
        fields.offset_s = 0
    elif zone_hour:
        fields.offset_s = _offset_of(fields, zone_hour, zone_minute or "00")


def _check_date(fields: Fields, year: int, month: int, day: int) -> tuple[int, int, int]:
    if year <= 0:
        raise fields.overflow()
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise fields.overflow(style=True)
    if day > cal.days_in_month(year, month):
        raise fields.overflow()
    return year, month, day


def _clock_us(fields: Fields, hour: int, minute: int, second: int, fraction: str) -> int:
    """Microseconds since midnight; 24:00:00 and a 60th second are allowed."""
    part = round(float(f"0.{fraction or 0}") * 1e6)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second or part)):
        raise fields.overflow()
    return hour * cal.HOUR_US + minute * cal.MINUTE_US + second * cal.SECOND_US + part


def _offset_of(fields: Fields, hours: str, minutes: str) -> int:
    """Seconds east of UTC."""
    if int(hours[1:]) > 15 or int(minutes) > 59:
        raise SqlError(f'time zone displacement out of range: "{fields.text}"', sqlstate="22009")
    offset = int(hours[1:]) * 3600 + int(minutes) * 60
    return -offset if hours[0] == "-" else offset
