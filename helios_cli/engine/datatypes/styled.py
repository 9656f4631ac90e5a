"""How a session wants its values written and read: DateStyle, IntervalStyle, bytea_output, extra_float_digits.

As datetime.c, bytea.c and float.c have it.

A session whose settings are not the usual ones has a :class:`StyledZone` in place of its time zone. So they reach
every place that the zone reaches, and a session with the usual settings pays nothing for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache, partial
from typing import Any, Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.arrays import read_array, write_array
from helios_cli.engine.datatypes.datetime_in import TimeContext
from helios_cli.engine.datatypes.datetimes import (
    clock_text,
    format_date,
    format_timestamp,
    offset_text,
    parse_date,
    parse_timestamp,
    parse_timestamptz,
)
from helios_cli.engine.datatypes.floats import format_float4, format_float8, parse_float4, parse_float8
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.interval import parse_interval, split_interval
from helios_cli.engine.datatypes.interval_styles import STYLES as INTERVAL_STYLES
from helios_cli.engine.datatypes.interval_styles import read_standard
from helios_cli.engine.datatypes.strings import parse_bytea

BYTEA, FLOAT4, FLOAT8, DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL = 17, 700, 701, 1082, 1114, 1184, 1186
ARRAYS: Final = {
    1001: BYTEA, 1021: FLOAT4, 1022: FLOAT8, 1182: DATE, 1115: TIMESTAMP, 1185: TIMESTAMPTZ, 1187: INTERVAL,
    3913: 3912, 3909: 3908, 1017: 600, 1018: 601, 1019: 602, 1020: 603, 1027: 604, 629: 628, 719: 718,
}  # fmt: skip
RANGES: Final = {3912: DATE, 4535: DATE, 3908: TIMESTAMP, 4533: TIMESTAMP, 3910: TIMESTAMPTZ, 4534: TIMESTAMPTZ}
"""Ranges and multiranges of dates and times, with the types of their bounds."""
GEOMETRIC: Final = frozenset((600, 601, 602, 603, 604, 628, 718))
STYLED: Final = frozenset((*ARRAYS.values(), *ARRAYS, *RANGES, *GEOMETRIC))
"""The types whose text a style changes, and their arrays."""
STYLED_IN_JSON: Final = STYLED - {FLOAT4, FLOAT8, 1021, 1022}
"""Those that are strings in JSON."""
_COORDINATE: Final = re.compile(r"-?\d[\d.]*(?:e[+-]\d+)?", re.ASCII)
_MARK: Final = "\x1f"
_WEEKDAYS: Final = ("Sat", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri")
"""2000-01-01, day 0, was a Saturday."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Style:
    """The settings, each as SHOW prints it."""

    dates: str = "ISO"
    order: str = "MDY"
    intervals: str = "postgres"
    bytea: str = "hex"
    floats: str = "1"
    """extra_float_digits; all that is above zero is the shortest text that reads back, and said as 1."""

    def text(self) -> str:
        """What :func:`style_of` reads."""
        return " ".join((self.dates, self.order, self.intervals, self.bytea, self.floats))


USUAL: Final = Style()


class StyledZone(tzinfo):
    """A time zone that carries the session's style."""

    def __init__(self, zone: tzinfo, style: Style) -> None:
        self.zone = zone
        self.style = style

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """That of the zone."""
        return self.zone.utcoffset(moment)

    def dst(self, moment: datetime | None) -> timedelta | None:
        """That of the zone."""
        return self.zone.dst(moment)

    def tzname(self, moment: datetime | None) -> str | None:
        """That of the zone."""
        return self.zone.tzname(moment)

    def fromutc(self, moment: datetime) -> datetime:
        """That of the zone."""
        return self.zone.fromutc(moment.replace(tzinfo=self.zone)).replace(tzinfo=self)


def styled_name(zone: str, style: Style) -> str:
    """A zone's name with a style, as a session hands it to the functions of a statement."""
    return f"{zone}{_MARK}{style.text()}"


def split_name(name: str) -> tuple[str, Style | None]:
    """A zone's name and the style that it brings along; None: the usual one."""
    zone, mark, style = name.partition(_MARK)
    return zone, style_of(style) if mark else None


@lru_cache(64)
def style_of(text: str) -> Style:
    """From :meth:`Style.text`."""
    return Style(*text.split(" "))


def styled_writer(oid: int, zone: StyledZone) -> Callable[[Any], bytes] | None:
    """From a stored value to its text in a style; None for a type that has one text only."""
    if oid in ARRAYS:
        element = ARRAYS[oid]
        write = styled_writer(element, zone)
        assert write is not None
        parse = _STORED.get(element, str)
        return lambda value: write_array(read_array(show(value), parse), lambda item: write(item).decode()).encode()
    if oid not in STYLED:
        return None
    if oid in RANGES:
        # The types of ranges stand on all others, this module among them.
        from helios_cli.engine.datatypes.zoned_ranges import range_writer

        return range_writer(oid, partial(_WRITERS[RANGES[oid]], zone))
    if oid in GEOMETRIC:
        return partial(_geometric, zone)
    return partial(_WRITERS[oid], zone)


def styled_parser(oid: int, times: TimeContext) -> Callable[[str], Any] | None:
    """From a text, read as the session's style has it, to the stored value; None for a type that has one way only."""
    read = _READERS.get(ARRAYS.get(oid, RANGES.get(oid, oid)))
    if read is None:
        return None
    parse = partial(read, context=times)
    if oid in RANGES:
        from helios_cli.engine.datatypes.zoned_ranges import read_zoned_range

        return partial(read_zoned_range, oid, bound=parse)
    if oid not in ARRAYS:
        return parse
    usual = _USUAL_TEXT[ARRAYS[oid]]
    return lambda text: write_array(read_array(text, parse), lambda value: usual(value).decode())


def _date(zone: StyledZone, value: Any) -> bytes:
    if zone.style.dates == "ISO" or not isinstance(value, int):
        return format_date(value)
    if not cal.DATE_MINUS_INFINITY < value < cal.DATE_INFINITY:
        return format_date(value)
    year, month, day = cal.civil_from_days(value)
    return (_day(zone.style, year, month, day) + _era(year)).encode()


def _day(style: Style, year: int, month: int, day: int) -> str:
    """A date by itself, or before the time in the styles SQL and German; without its era."""
    shown = year if year > 0 else 1 - year
    if style.dates == "German":
        return f"{day:02d}.{month:02d}.{shown:04d}"
    separator = "/" if style.dates == "SQL" else "-"
    first, second = (day, month) if style.order == "DMY" else (month, day)
    return f"{first:02d}{separator}{second:02d}{separator}{shown:04d}"


def _era(year: int) -> str:
    return "" if year > 0 else " BC"


def _timestamp(zone: StyledZone, value: Any) -> bytes:
    if zone.style.dates == "ISO" or not isinstance(value, int):
        return format_timestamp(value)
    if not cal.TIMESTAMP_MINUS_INFINITY < value < cal.TIMESTAMP_INFINITY:
        return format_timestamp(value)
    return _moment(zone.style, value, "").encode()


def _moment(style: Style, wall_us: int, zone: str) -> str:
    days, rest = divmod(wall_us, cal.DAY_US)
    year, month, day = cal.civil_from_days(days)
    clock = clock_text(rest)
    if style.dates != "Postgres":
        return f"{_day(style, year, month, day)} {clock}{zone}{_era(year)}"
    name = f"{day:02d} {_MONTHS[month - 1]}" if style.order == "DMY" else f"{_MONTHS[month - 1]} {day:02d}"
    shown = year if year > 0 else 1 - year
    return f"{_WEEKDAYS[days % 7]} {name} {clock} {shown:04d}{zone}{_era(year)}"


def _timestamptz(zone: StyledZone, value: Any) -> bytes:
    if not isinstance(value, int) or not cal.TIMESTAMP_MINUS_INFINITY < value < cal.TIMESTAMP_INFINITY:
        return format_timestamp(value)
    offset = cal.utc_offset_s(value, zone)
    wall_us = value + offset * cal.SECOND_US
    if zone.style.dates == "ISO":
        text = format_timestamp(wall_us).decode()
        day, era = (text[:-3], " BC") if text.endswith(" BC") else (text, "")
        return f"{day}{offset_text(offset)}{era}".encode()
    return _moment(zone.style, wall_us, " " + _abbreviation(zone.zone, value, offset)).encode()


def _abbreviation(zone: tzinfo, us: int, offset: int) -> str:
    """What the zone calls itself at a moment; its offset where it has no name, as zones of numbers have none."""
    if zone is UTC:
        return "UTC"
    return zone_shown(cal.near(us).replace(tzinfo=UTC).astimezone(zone).tzname(), offset)


def zone_shown(name: str | None, offset_s: int) -> str:
    """A zone's name for itself; its offset from UTC where it has none, as zones of numbers have none."""
    return offset_text(offset_s) if not name or (name.startswith("UTC") and len(name) > len("UTC")) else name


def _interval(zone: StyledZone, value: Any) -> bytes:
    write = INTERVAL_STYLES.get(zone.style.intervals)
    return show(value).encode() if write is None else write(split_interval(value)).encode()


def _bytea(zone: StyledZone, value: Any) -> bytes:
    data = bytes(value)
    if zone.style.bytea != "escape":
        return b"\\x" + data.hex().encode()
    return b"".join(_ESCAPED[byte] for byte in data)


def _float(exact: Callable[[Any], bytes], decimals: int, zone: StyledZone, value: Any) -> bytes:
    """``decimals`` are the digits that the type holds for certain, to which the style adds."""
    extra = int(zone.style.floats)
    if extra > 0 or not isinstance(value, int | float) or not math.isfinite(value):
        return exact(value)
    return f"{value:.{max(decimals + extra, 1)}g}".encode()


def _geometric(zone: StyledZone, value: Any) -> bytes:
    extra = int(zone.style.floats)
    if extra > 0:
        return show(value).encode()
    return _COORDINATE.sub(lambda found: f"{float(found[0]):.{max(15 + extra, 1)}g}", show(value)).encode()


def _escaped(byte: int) -> bytes:
    if byte == 0x5C:
        return b"\\\\"
    return bytes((byte,)) if 0x20 <= byte <= 0x7E else b"\\%03o" % byte


_ESCAPED: Final = tuple(_escaped(byte) for byte in range(256))


def _read_interval(text: str, context: TimeContext) -> str:
    zone = context.zone
    if isinstance(zone, StyledZone) and zone.style.intervals == "sql_standard":
        return read_standard(text)
    return parse_interval(text)


_WRITERS: Final[dict[int, Callable[[StyledZone, Any], bytes]]] = {
    BYTEA: _bytea, DATE: _date, TIMESTAMP: _timestamp, TIMESTAMPTZ: _timestamptz, INTERVAL: _interval,
    FLOAT4: partial(_float, format_float4, 6), FLOAT8: partial(_float, format_float8, 15),
}  # fmt: skip
_READERS: Final[dict[int, Callable[..., Any]]] = {
    DATE: parse_date, TIMESTAMP: parse_timestamp, TIMESTAMPTZ: parse_timestamptz, INTERVAL: _read_interval,
}  # fmt: skip
_STORED: Final[dict[int, Callable[[str], Any]]] = {
    BYTEA: parse_bytea, DATE: parse_date, TIMESTAMP: parse_timestamp, TIMESTAMPTZ: parse_timestamptz,
    INTERVAL: parse_interval, FLOAT4: parse_float4, FLOAT8: parse_float8,
}  # fmt: skip
"""From the text that an array keeps of an element."""
_USUAL_TEXT: Final[dict[int, Callable[[Any], bytes]]] = {
    oid: partial(_WRITERS[oid], StyledZone(UTC, USUAL)) for oid in _READERS
}
