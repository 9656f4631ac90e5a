"""Reading of dates, times and timestamps as PostgreSQL's input functions do (DecodeDateTime)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

from helios_cli.engine.datatypes import calendar as cal
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
_TOKEN = re.compile(
    r"\s*(?:(?P<time>\d{1,2}:\d+(?::\d+)?(?:\.\d*)?)"
    r"|(?P<date>\d+([-/.])(?:\d+|[A-Za-z]+)\3\d+|[A-Za-z]{3,9}-\d+-\d+|\d{4}-\d{3}(?!\d)|\d{4}\.\d{3}(?!\d))"
    r"|(?P<zone>[+-]\d{1,2}(?::\d{1,2}(?::\d{1,2})?)|[+-]\d{1,6})"
    r"|(?P<julian>[Jj]\d{1,8})(?!\w)"
    r"|(?P<number>\d+(?:\.\d*)?)"
    r"|(?P<word>[A-Za-z]+(?:[/_][A-Za-z_0-9+-]*)*)"
    r"|(?P<skip>[,@]))\s*",
    re.ASCII,
)
_MONTH_NAMES: Final = (
    ("january", "jan"),
    ("february", "feb"),
    ("march", "mar"),
    ("april", "apr"),
    ("may",),
    ("june", "jun"),
    ("july", "jul"),
    ("august", "aug"),
    ("september", "sep", "sept"),
    ("october", "oct"),
    ("november", "nov"),
    ("december", "dec"),
)
_MONTHS: Final = {name: number for number, names in enumerate(_MONTH_NAMES, 1) for name in names}
_IGNORED: Final = frozenset(
    (
        *("at", "on", "sun", "sunday", "mon", "monday", "tue", "tues", "tuesday", "wed", "wednesday", "weds"),
        *("thu", "thur", "thurs", "thursday", "fri", "friday", "sat", "saturday"),
    )
)
_ABBREVIATIONS: Final = {
    "z": 0, "zulu": 0, "utc": 0, "gmt": 0, "ut": 0, "uct": 0, "wet": 0, "cet": 3600, "met": 3600, "eet": 7200,
    "msk": 10800, "west": 3600, "bst": 3600, "cest": 7200, "mest": 7200, "eest": 10800, "jst": 32400,
    "est": -18000, "edt": -14400, "cst": -21600, "cdt": -18000, "mst": -25200, "mdt": -21600, "pst": -28800,
    "pdt": -25200,
}  # fmt: skip
_MAX_OFFSET_S: Final = 15 * 3600 + 59 * 60 + 59


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
    """'infinity', '-infinity', 'epoch', 'now', 'today', 'tomorrow', 'yesterday'."""

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
        _Reader(fields, context).run()
    return fields


def _take_iso(fields: Fields, match: re.Match[str]) -> None:
    """The common form, without the general reader."""
    year, month, day, hour, minute, second, fraction, zulu, zone_hour, zone_minute = match.groups()
    fields.date = check_date(fields, int(year), int(month), int(day))
    if hour is None:
        return
    fields.time_us = clock_us(fields, int(hour), int(minute), int(second or 0), fraction or "")
    if zulu:
        fields.offset_s = 0
    elif zone_hour:
        fields.offset_s = offset_of(fields, zone_hour + (zone_minute or "00"))


def check_date(fields: Fields, year: int, month: int, day: int, *, bc: bool = False) -> tuple[int, int, int]:
    """Validate a date; with ``bc`` the year counts backwards from 1 BC."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise fields.overflow(style=True)
    if year <= 0 or year > 6_000_000:
        raise fields.overflow()
    year = 1 - year if bc else year
    if day > cal.days_in_month(year, month):
        raise fields.overflow()
    return year, month, day


def clock_us(fields: Fields, hour: int, minute: int, second: int, fraction: str) -> int:
    """Microseconds since midnight; 24:00:00 and a 60th second are allowed."""
    part = round(float(f"0.{fraction or 0}") * 1e6)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second or part)):
        raise fields.overflow()
    return hour * cal.HOUR_US + minute * cal.MINUTE_US + second * cal.SECOND_US + part


def offset_of(fields: Fields, text: str) -> int:
    """Seconds east of UTC of ``+hh``, ``+hhmm``, ``+hh:mm[:ss]``."""
    digits = text[1:]
    if ":" in digits:
        parts = [int(part) for part in digits.split(":")]
    elif len(digits) <= 2:
        parts = [int(digits)]
    else:
        cut = len(digits) - 2 * ((len(digits) - 1) // 2)
        parts = [int(digits[:cut])] + [int(digits[i : i + 2]) for i in range(cut, len(digits), 2)]
    hours, minutes, seconds = (*parts, 0, 0)[:3]
    if hours > 15 or minutes > 59 or seconds > 59:
        raise SqlError(f'time zone displacement out of range: "{fields.text}"', sqlstate="22009")
    offset = hours * 3600 + minutes * 60 + seconds
    return -offset if text[0] == "-" else offset


class _Reader:
    """The general reader: tokens in any order, as DecodeDateTime allows."""

    def __init__(self, fields: Fields, context: TimeContext) -> None:
        self.fields = fields
        self.context = context
        self.numbers: list[str] = []
        self.month: int | None = None
        self.year_day: int | None = None
        self.date: tuple[int, int, int] | None = None
        self.clock: tuple[int, int, int, str] | None = None
        self.half: str | None = None
        self.bc = False

    def run(self) -> None:
        """Read every token, then put the parts together."""
        text = self.fields.text.strip()
        if not text:
            raise self.fields.invalid()
        if text.lower() in ("-infinity", "+infinity"):
            self.fields.word = text.lower().lstrip("+")
            return
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.fields.invalid()
            kind = match.lastgroup or ""
            getattr(self, f"_take_{kind}")(match[kind])
            at = match.end()
        self._finish()

    def _take_skip(self, token: str) -> None:
        if token == "@":
            raise self.fields.invalid()

    def _take_time(self, token: str) -> None:
        if self.clock is not None:
            raise self.fields.invalid()
        whole, _, fraction = token.partition(".")
        parts = [int(part) for part in whole.split(":")]
        if len(parts) == 2 and fraction:
            parts = [0, *parts]
        hour, minute, second = (*parts, 0)[:3]
        self.clock = hour, minute, second, fraction

    def _take_date(self, token: str) -> None:
        if self.date is not None or self.year_day is not None or self.month is not None or self.numbers:
            raise self.fields.invalid()
        separator = re.search(r"[-/.]", token)
        parts = token.split(separator[0] if separator else "-")
        if len(parts) == 2:
            self.numbers, self.year_day = [parts[0]], int(parts[1])
            return
        self.date = self._order(parts)

    def _order(self, parts: list[str]) -> tuple[int, int, int]:
        """(year, month, day) from three parts: a month name anywhere, a long first part is the year, else DateStyle."""
        order = self.context.order
        for index, part in enumerate(parts):
            if part.isalpha():
                month = _MONTHS.get(part.lower())
                if month is None:
                    raise self.fields.invalid()
                first, last = parts[:index] + parts[index + 1 :]
                leads = len(first) >= 3 or (order == "YMD" and len(last) < 3)
                year, day = (first, last) if leads else (last, first)
                return self._year(year), month, int(day)
        if len(parts[0]) >= 3 or order == "YMD":
            return self._year(parts[0]), int(parts[1]), int(parts[2])
        month_at, day_at = (1, 0) if order == "DMY" else (0, 1)
        return self._year(parts[2]), int(parts[month_at]), int(parts[day_at])

    def _year(self, digits: str) -> int:
        """A year; two digits mean 1970 .. 2069."""
        if len(digits) > 7:
            raise self.fields.overflow()
        year = int(digits)
        if len(digits) <= 2 and not self.bc:
            year += 2000 if year < 70 else 1900
        return year

    def _take_zone(self, token: str) -> None:
        if self.fields.offset_s is not None or self.fields.zone is not None:
            raise self.fields.invalid()
        follows_date = self.date is not None and (token[0] == "+" or f" {token}" in self.fields.text)
        if self.clock is None and not follows_date and (token[0] == "+" or not self.numbers):
            raise self.fields.invalid()
        self.fields.offset_s = offset_of(self.fields, token)

    def _take_number(self, token: str) -> None:
        has_date = self.date is not None
        if "." in token or len(token) > 8:
            return self._take_long_number(token, has_date)
        if len(token) == 8 and not has_date:
            self.date = int(token[:4]), int(token[4:6]), int(token[6:])
        elif len(token) == 6 and self.fields.type_name in ("time", "time with time zone"):
            self.clock = int(token[:2]), int(token[2:4]), int(token[4:]), ""
        elif len(token) == 6 and not has_date:
            self.date = self._year(token[:2]), int(token[2:4]), int(token[4:])
        elif len(token) in (4, 6) and has_date and self.clock is None:
            self.clock = int(token[:2]), int(token[2:4]), int(token[4:] or 0), ""
        else:
            self.numbers.append(token)
        return None

    def _take_julian(self, token: str) -> None:
        if self.date is not None:
            raise self.fields.invalid()
        self.date = cal.civil_from_days(int(token[1:]) - cal.EPOCH_JDATE)
        self.bc = self.date[0] <= 0
        if self.bc:
            self.date = (1 - self.date[0], *self.date[1:])

    def _take_long_number(self, token: str, has_date: bool) -> None:
        """``hhmmss.ffffff`` after a date, ``yyyymmddhhmmss`` is refused as PostgreSQL refuses it."""
        whole, _, fraction = token.partition(".")
        if not has_date or len(whole) != 6 or self.clock is not None:
            raise self.fields.invalid()
        self.clock = int(whole[:2]), int(whole[2:4]), int(whole[4:]), fraction

    def _take_word(self, token: str) -> None:
        word = token.lower()
        if word in _MONTHS:
            self._take_month(_MONTHS[word])
        elif word in ("bc", "ad", "am", "pm"):
            self._take_mark(word)
        elif word in ("infinity", "epoch", "now", "today", "tomorrow", "yesterday"):
            self.fields.word = word
        elif word == "allballs":
            self.clock, self.fields.offset_s = (0, 0, 0, ""), 0
        elif word in ("t", "j") or word in _IGNORED:
            self._take_small(word)
        else:
            self._take_zone_name(token)

    def _take_month(self, month: int) -> None:
        if self.month is not None:
            raise self.fields.invalid()
        self.month = month

    def _take_mark(self, word: str) -> None:
        if word in ("bc", "ad"):
            self.bc = word == "bc"
        else:
            self.half = word

    def _take_small(self, word: str) -> None:
        if word == "t" and self.date is None:
            raise self.fields.invalid()
        if word == "j":
            raise self.fields.invalid()

    def _take_zone_name(self, token: str) -> None:
        fields = self.fields
        if fields.offset_s is not None or fields.zone is not None:
            raise fields.invalid()
        match = re.fullmatch(r"(?:utc|gmt)([+-]\d{1,2})", token.lower())
        fields.offset_s = _ABBREVIATIONS.get(token.lower())
        if fields.offset_s is not None or match is not None:
            return
        fields.zone = self.context.find_zone(token)
        if fields.zone is None:
            if "/" in token:
                raise SqlError(f'time zone "{token.lower()}" not recognized', sqlstate="22023")
            raise fields.invalid()

    def _finish(self) -> None:
        fields = self.fields
        if fields.word is not None:
            self._finish_word()
            return
        if self.year_day is not None:
            self._finish_year_day()
        elif self.date is None and (self.month is not None or self.numbers):
            self.date = self._named_month()
        if self.date is not None:
            year, month, day = self.date
            fields.date = check_date(fields, year, month, day, bc=self.bc)
        if self.clock is not None:
            hour, minute, second, fraction = self.clock
            fields.time_us = clock_us(fields, self._hour(hour), minute, second, fraction)
        elif self.half is not None:
            raise fields.invalid()
        if fields.date is None and fields.time_us is None:
            raise fields.invalid()

    def _finish_word(self) -> None:
        fields = self.fields
        if self.date is not None or self.numbers or self.month is not None:
            raise fields.invalid()
        if self.clock is not None:
            hour, minute, second, fraction = self.clock
            fields.time_us = clock_us(fields, self._hour(hour), minute, second, fraction)

    def _finish_year_day(self) -> None:
        year = self._year(self.numbers[0])
        if not 1 <= (self.year_day or 0) <= 366:
            raise self.fields.overflow()
        days = cal.days_from_civil(year, 1, 1) + (self.year_day or 1) - 1
        self.date = cal.civil_from_days(days)

    def _named_month(self) -> tuple[int, int, int]:
        """``January 8, 1999`` and its orders; the number of three digits or more is the year."""
        if self.month is None or len(self.numbers) != 2:
            raise self.fields.invalid()
        first, second = self.numbers
        year, day = (first, second) if len(first) >= 3 else (second, first)
        if len(day) > 2:
            raise self.fields.overflow()
        return self._year(year), self.month, int(day)

    def _hour(self, hour: int) -> int:
        if self.half is None:
            return hour
        if hour > 12:
            raise self.fields.overflow()
        return hour % 12 + (12 if self.half == "pm" else 0)
