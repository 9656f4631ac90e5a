"""Text forms that depend on the session's time zone (timestamptz and arrays of it), and zones that are no places.

Elsewhere a type's text has one meaning (:mod:`.registry`), which for these two is UTC's.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache, partial
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from helios_cli.engine.datatypes.arrays import read_array, write_array
from helios_cli.engine.datatypes.datetime_in import TimeContext
from helios_cli.engine.datatypes.datetimes import (
    format_date,
    format_time,
    format_timestamp,
    format_timestamptz,
    parse_date,
    parse_time,
    parse_timestamp,
    parse_timestamptz,
    parse_timetz,
)
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.strings import format_string
from helios_cli.engine.datatypes.styled import STYLED, StyledZone, split_name, styled_parser, styled_writer
from helios_cli.engine.datatypes.zone_abbreviations import BY_ZONE, FIXED
from helios_cli.engine.errors import SqlError

TIMESTAMPTZ: Final = 1184
TIMESTAMPTZ_ARRAY: Final = 1185
ZONED: Final = frozenset((TIMESTAMPTZ, TIMESTAMPTZ_ARRAY))
"""The types whose text depends on the zone."""
_RANGES: Final = frozenset((3910, 4534))
TIME_ARRAYS: Final = {1182: 1082, 1183: 1083, 1115: 1114, 1270: 1266}
"""Arrays of the other types whose text may name the clock or lack a zone, with their element types."""
TIME_READERS: Final[dict[int, Callable[..., Any]]] = {
    1082: parse_date, 1083: parse_time, 1114: parse_timestamp, 1266: parse_timetz,
}  # fmt: skip
"""How the other types of dates and times are read."""
_TIME_WRITERS: Final[dict[int, Callable[[Any], bytes]]] = {
    1082: format_date, 1083: format_time, 1114: format_timestamp, 1266: format_string,
}  # fmt: skip
_UTC_NAMES: Final = ("UTC", "GMT", "Z", "ETC/UTC", "UCT", "ZULU")
_HOURS: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_NAME: Final = r"(?:<[+-]?[\w:]{1,15}>|[A-Za-z]{1,15})"
_POSIX: Final = re.compile(
    rf"({_NAME})?([+-]?)(\d{{1,2}})(?::(\d\d))?(?::(\d\d))?"
    rf"({_NAME}(?:[+-]?\d{{1,2}}(?::\d\d)?(?::\d\d)?)?(?:,[MJ\d./:+-]+,[MJ\d./:+-]+)?)?",
    re.ASCII,
)
_USUAL_RULES: Final = ",M3.2.0,M11.1.0"
"""When summer time begins and ends where a zone does not say so (TZDEFRULESTRING)."""


def hours_east(text: str) -> float | None:
    """A zone given as a number of hours east of UTC; None for anything else."""
    if not _HOURS.fullmatch(text):
        return None
    hours = float(text)
    return hours if abs(hours) < 24 else None


def zone_of_hours(hours: float) -> str:
    """The name that PostgreSQL gives such a zone: ``<+03>-03`` for 3, since POSIX counts hours west."""
    minutes = round(abs(hours) * 60)
    digits = f"{minutes // 60:02}" + (f":{minutes % 60:02}" if minutes % 60 else "")
    sign, opposite = ("+", "-") if hours >= 0 else ("-", "+")
    return f"<{sign}{digits}>{opposite}{digits}"


def posix_zone(name: str) -> tzinfo | None:
    """A zone of POSIX, 'EST5' or '+05:30': hours west of UTC; with a second name ('EST5EDT') and perhaps the days of
    the change ('EST5EDT,M3.2.0,M11.1.0') one with daylight saving. None for anything else.
    """
    match = _POSIX.fullmatch(name)
    if match is None:
        return None
    standard, sign, hours, minutes, seconds, summer = match.groups()
    west = timedelta(hours=int(hours), minutes=int(minutes or 0), seconds=int(seconds or 0))
    if west >= timedelta(hours=24):
        return None
    if summer is None:
        east = west if sign == "-" else -west
        return timezone(east, standard.strip("<>")) if standard else timezone(east)
    return _with_summer_time(name if "," in summer else name + _USUAL_RULES)


class _ZoneData:
    """Bytes that ZoneInfo reads as it does a file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes, all that are left for -1."""
        end = len(self.data) if size < 0 else self.at + size
        taken, self.at = self.data[self.at : end], min(end, len(self.data))
        return taken

    def readline(self) -> bytes:
        """The rest of a line with its end."""
        return self.read(self.data.find(b"\n", self.at) + 1 - self.at)

    def seek(self, size: int, whence: int = 0) -> int:
        """Step over bytes, from the beginning or from here."""
        self.at = size + (self.at if whence else 0)
        return self.at


def _with_summer_time(rule: str) -> tzinfo | None:
    """The zone of a whole POSIX rule: time zone data (RFC 9636) without a transition, and the rule at their end."""
    counts = (0, 0, 0, 0, 1, 1)
    block = b"TZif2" + bytes(15) + struct.pack(">6l", *counts) + struct.pack(">lbB", 0, 0, 0) + b"\0"
    try:
        return ZoneInfo.from_file(_ZoneData(block * 2 + b"\n" + rule.encode() + b"\n"), key=rule)
    except ValueError:
        return None


@lru_cache(maxsize=256)
def find_zone(name: str) -> tzinfo | None:
    """A time zone by its name in the time zone database, in any case, or POSIX's way; None when unknown."""
    plain, style = split_name(name)
    if style is not None:
        zone = find_zone(plain)
        return None if zone is None else StyledZone(zone, style)
    if name.upper() in _UTC_NAMES:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        spelled = spelling_of(name)
        return posix_zone(name) if spelled is None else ZoneInfo(spelled)


def zone_named(name: str) -> tzinfo:
    """As :func:`find_zone`. Raises SqlError 22023 for an unknown name."""
    zone = find_zone(name.strip())
    if zone is None:
        raise SqlError(f'time zone "{name}" not recognized', sqlstate="22023")
    return zone


def zone_of(name: str) -> tzinfo:
    """A zone as AT TIME ZONE takes it: an abbreviation, else as :func:`zone_named`. Raises SqlError 22023."""
    return _abbreviated(name.strip().upper()) or zone_named(name)


@lru_cache(maxsize=64)
def _abbreviated(name: str) -> tzinfo | None:
    if name in BY_ZONE:
        return find_zone(BY_ZONE[name])
    seconds = FIXED.get(name)
    return None if seconds is None else timezone(timedelta(seconds=seconds))


def spelling_of(name: str) -> str | None:
    """A name as the time zone database spells it; None when it has no such name."""
    folded = name.lower()
    return next((known for known in available_timezones() if known.lower() == folded), None)


def session_parser(oid: int, times: TimeContext) -> Callable[[str], Any] | None:
    """From a text as the session reads it to the stored value; None for a type whose text has one meaning."""
    if oid in ZONED:
        return zoned_parser(oid, times)
    if times.now_us is not None and TIME_ARRAYS.get(oid, oid) in TIME_READERS:
        return _clocked_parser(oid, times)
    if oid in _RANGES:
        # The types of ranges stand on all others, this module among them.
        from helios_cli.engine.datatypes.zoned_ranges import read_zoned_range

        return partial(read_zoned_range, oid, bound=partial(parse_timestamptz, context=times))
    return styled_parser(oid, times) if isinstance(times.zone, StyledZone) else None


def _clocked_parser(oid: int, times: TimeContext) -> Callable[[str], Any]:
    """From the text of a date or time, or of an array of them, to its stored value; the text may name the clock."""
    element = TIME_ARRAYS.get(oid, oid)
    read = partial(TIME_READERS[element], context=times)
    if element == oid:
        return read
    write = _TIME_WRITERS[element]
    return lambda text: write_array(read_array(text, read), lambda value: write(value).decode())


def zoned_parser(oid: int, times: TimeContext) -> Callable[[str], Any]:
    """From the text of a type in :data:`ZONED` to its stored value; what names no zone is in the session's."""
    parse = partial(parse_timestamptz, context=times)
    if oid == TIMESTAMPTZ:
        return parse
    return lambda text: write_array(read_array(text, parse), _in_utc)


def is_styled(zone: tzinfo) -> bool:
    """Whether a zone brings a style along."""
    return zone.__class__ is StyledZone


def is_shown_by(zone: tzinfo, oid: int) -> bool:
    """Whether the text of a type depends on a zone, or on the style that it brings along."""
    return zone is not UTC and (oid in ZONED or (oid in STYLED and isinstance(zone, StyledZone)))


def zoned_writer(oid: int, zone: tzinfo) -> Callable[[Any], bytes]:
    """From a stored value of a type in :data:`ZONED` to its text in ``zone``; of any type when that has a style."""
    styled = styled_writer(oid, zone) if isinstance(zone, StyledZone) else None
    if styled is not None:
        return styled
    if oid == TIMESTAMPTZ:
        return partial(format_timestamptz, zone=zone)

    def leaf(us: Any) -> str:
        return format_timestamptz(us, zone).decode()

    return lambda value: write_array(read_array(show(value), parse_timestamptz), leaf).encode()


def _in_utc(us: Any) -> str:
    return format_timestamptz(us).decode()
