"""date, time, timetz, timestamp and timestamptz: stored values to PostgreSQL's forms and back.

Stored: date as days since 2000-01-01 (infinity is the int4 extremes), time as microseconds, timestamp and
timestamptz as microseconds since 2000-01-01 (the latter in UTC; infinity is the int8 extremes), timetz as
its ISO text ``12:34:56.5+02``.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.datetime_in import UTC_CONTEXT, Fields, TimeContext, read_fields
from helios_cli.engine.datatypes.faults import bad_binary
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.errors import SqlError

_TIMETZ = Struct("!qi")
_TIMETZ_TEXT = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?", re.ASCII)
_TIMESTAMP: Final = "timestamp"
_TIMESTAMPTZ: Final = "timestamp with time zone"


def parse_date(text: str, context: TimeContext = UTC_CONTEXT) -> int:
    """Days since 2000-01-01. A time of day in the text is dropped."""
    fields = read_fields(text, "date", context)
    if fields.word is not None:
        if fields.word.endswith("infinity"):
            return cal.DATE_MINUS_INFINITY if fields.word[0] == "-" else cal.DATE_INFINITY
        return cal.UNIX_EPOCH_DAYS
    if fields.date is None:
        raise fields.invalid()
    days = cal.days_from_civil(*fields.date)
    if not cal.DATE_MIN <= days < cal.DATE_END:
        raise SqlError(f'date out of range: "{text}"', sqlstate="22008")
    return days


def parse_timestamp(text: str, context: TimeContext = UTC_CONTEXT) -> int:
    """Microseconds since 2000-01-01 of the wall clock; a zone in the text is ignored, as PostgreSQL does."""
    fields = read_fields(text, _TIMESTAMP, context)
    if fields.word is not None:
        return _SPECIAL_US[fields.word]
    return _check_range(_wall_us(fields), text)


def parse_timestamptz(text: str, context: TimeContext = UTC_CONTEXT) -> int:
    """Microseconds since 2000-01-01 UTC; without a zone in the text the session's holds."""
    fields = read_fields(text, _TIMESTAMPTZ, context)
    if fields.word is not None:
        return _SPECIAL_US[fields.word]
    wall = _wall_us(fields)
    offset = fields.offset_s
    if offset is None:
        offset = cal.local_offset_s(wall, fields.zone or context.zone)
    return _check_range(wall - offset * cal.SECOND_US, text)


def _wall_us(fields: Fields) -> int:
    if fields.date is None:
        raise fields.invalid()
    return cal.days_from_civil(*fields.date) * cal.DAY_US + (fields.time_us or 0)


def _check_range(us: int, text: str) -> int:
    if not cal.TIMESTAMP_MIN <= us < cal.TIMESTAMP_END:
        raise SqlError(f'timestamp out of range: "{text}"', sqlstate="22008")
    return us


_SPECIAL_US: Final = {
    "infinity": cal.TIMESTAMP_INFINITY, "-infinity": cal.TIMESTAMP_MINUS_INFINITY,
    "epoch": cal.UNIX_EPOCH_DAYS * cal.DAY_US,
}  # fmt: skip
"""What the words stand for that name a moment by themselves."""


def parse_time(text: str, context: TimeContext = UTC_CONTEXT) -> int:
    """Microseconds since midnight; 24:00:00 is allowed."""
    fields = read_fields(text, "time", context)
    if fields.time_us is None:
        raise fields.invalid()
    return _check_time(fields.time_us, text)


def _check_time(us: int, text: str) -> int:
    if us > cal.DAY_US:
        raise SqlError(f'date/time field value out of range: "{text}"', sqlstate="22008")
    return us


def parse_timetz(text: str, context: TimeContext = UTC_CONTEXT) -> str:
    """The ISO text; without a zone the session's present offset holds."""
    fields = read_fields(text, "time with time zone", context)
    now = context.now_us or 0
    if fields.time_us is None:
        raise fields.invalid()
    offset = fields.offset_s
    if offset is None:
        zone = fields.zone or context.zone
        dated = fields.date is not None
        offset = cal.local_offset_s(_wall_us(fields), zone) if dated else cal.utc_offset_s(now, zone)
    return timetz_text(_check_time(fields.time_us, text), offset)


def timetz_text(us: int, offset_s: int) -> str:
    """``12:34:56.5+02`` from microseconds since midnight and seconds east of UTC."""
    return clock_text(us) + offset_text(offset_s)


def clock_text(us: int) -> str:
    """``12:34:56.5``: trailing zeros of the fraction are left out."""
    seconds, part = divmod(us, cal.SECOND_US)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    text = f"{hour:02d}:{minute:02d}:{second:02d}"
    return f"{text}.{part:06d}".rstrip("0") if part else text


def offset_text(offset_s: int) -> str:
    """``+02``, ``-03:30``, ``+00:53:28``."""
    minutes, second = divmod(abs(offset_s), 60)
    hour, minute = divmod(minutes, 60)
    text = f"{'-' if offset_s < 0 else '+'}{hour:02d}"
    if minute or second:
        text += f":{minute:02d}"
    return text + (f":{second:02d}" if second else "")


@lru_cache(4096)
def _day_text(days: int) -> tuple[str, str]:
    """``2020-01-31`` and the `` BC`` that ends the whole value."""
    year, month, day = cal.civil_from_days(days)
    if year > 0:
        return f"{year:04d}-{month:02d}-{day:02d}", ""
    return f"{1 - year:04d}-{month:02d}-{day:02d}", " BC"


def format_date(value: Any) -> bytes:
    """ISO date; a value of another storage class is shown as it is."""
    if not isinstance(value, int):
        return show(value).encode("utf-8", "replace")
    if value >= cal.DATE_INFINITY:
        return b"infinity"
    if value <= cal.DATE_MINUS_INFINITY:
        return b"-infinity"
    day, era = _day_text(value)
    return (day + era).encode()


def format_time(value: Any) -> bytes:
    """ISO time of day."""
    if not isinstance(value, int):
        return show(value).encode("utf-8", "replace")
    return clock_text(value).encode()


def format_timestamp(value: Any) -> bytes:
    """ISO date and time, without a zone."""
    if not isinstance(value, int):
        return show(value).encode("utf-8", "replace")
    if value >= cal.TIMESTAMP_INFINITY:
        return b"infinity"
    if value <= cal.TIMESTAMP_MINUS_INFINITY:
        return b"-infinity"
    days, rest = divmod(value, cal.DAY_US)
    day, era = _day_text(days)
    return f"{day} {clock_text(rest)}{era}".encode()


def format_timestamptz(value: Any, zone: tzinfo = UTC) -> bytes:
    """ISO date and time in ``zone``, with its offset."""
    if not isinstance(value, int) or not cal.TIMESTAMP_MINUS_INFINITY < value < cal.TIMESTAMP_INFINITY:
        return format_timestamp(value)
    offset = cal.utc_offset_s(value, zone)
    days, rest = divmod(value + offset * cal.SECOND_US, cal.DAY_US)
    day, era = _day_text(days)
    return f"{day} {clock_text(rest)}{offset_text(offset)}{era}".encode()


def ranged_reader(layout: Struct, low: int, end: int, what: str, specials: tuple[int, ...]) -> Any:
    """A binary parser that refuses values outside ``low <= value < end`` with 22008."""
    size, unpack = layout.size, layout.unpack

    def parse(data: bytes) -> int:
        error = bad_binary(data, size)
        if error is not None:
            raise error
        value: int = unpack(data)[0]
        if not low <= value < end and value not in specials:
            raise SqlError(f"{what} out of range", sqlstate="22008")
        return value

    return parse


def parse_timetz_binary(data: bytes) -> str:
    """Microseconds (8 bytes), then seconds *west* of UTC (4 bytes)."""
    error = bad_binary(data, _TIMETZ.size)
    if error is not None:
        raise error
    us, west = _TIMETZ.unpack(data)
    if not 0 <= us <= cal.DAY_US:
        raise SqlError("time out of range", sqlstate="22008")
    if abs(west) >= 16 * 3600:
        raise SqlError("time zone displacement out of range", sqlstate="22009")
    return timetz_text(us, -west)


def split_timetz(text: str) -> tuple[int, int]:
    """(microseconds since midnight, seconds east of UTC) of the stored form. Raises 22007."""
    match = _TIMETZ_TEXT.fullmatch(text)
    if match is None:
        text = parse_timetz(text)
        match = _TIMETZ_TEXT.fullmatch(text)
        assert match is not None
    hour, minute, second, fraction, sign, *zone = match.groups()
    us = int(hour) * cal.HOUR_US + int(minute) * cal.MINUTE_US + int(second) * cal.SECOND_US
    us += int((fraction or "0").ljust(6, "0"))
    offset = int(zone[0]) * 3600 + int(zone[1] or 0) * 60 + int(zone[2] or 0)
    return us, -offset if sign == "-" else offset


def format_timetz_binary(value: Any) -> bytes:
    """Microseconds (8 bytes), then seconds *west* of UTC (4 bytes)."""
    us, offset = split_timetz(show(value))
    return _TIMETZ.pack(us, -offset)
