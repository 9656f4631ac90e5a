"""interval: stored as the text PostgreSQL prints with IntervalStyle postgres, ``1 year 2 mons 3 days 04:05:06``.

Equal intervals written differently (24 hours, 1 day) stay different texts, as they stay different in PostgreSQL's
output; :func:`split_interval` gives the three fields to whoever has to compare or add.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Any, Final, NamedTuple

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.faults import bad_binary, invalid_datetime
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.errors import SqlError

_LAYOUT = Struct("!qii")
_TOKEN = re.compile(
    r"\s*(?:(?P<time>[+-]?\d+:\d+(?::\d+)?(?:\.\d*)?)|(?P<ym>[+-]?\d+-\d+)|(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))"
    r"|(?P<word>[A-Za-z]+)|(?P<at>@))\s*",
    re.ASCII,
)
_ISO_PART = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))([YMWDHS])", re.ASCII)

_MONTHS: Final = {"year": 12, "decade": 120, "century": 1200, "millennium": 12000}
_MICROSECONDS: Final = {"hour": cal.HOUR_US, "minute": cal.MINUTE_US, "second": cal.SECOND_US, "ms": 1000, "us": 1}
_SPELLINGS: Final = {
    "year": "y yr yrs year years",
    "decade": "dec decs decade decades",
    "century": "c cent century centuries",
    "millennium": "mil mils millennia millennium",
    "month": "mon mons month months",
    "week": "w week weeks",
    "day": "d day days",
    "hour": "h hr hrs hour hours",
    "minute": "m min mins minute minutes",
    "second": "s sec secs second seconds",
    "ms": "ms msec msecs msecond mseconds millisecond milliseconds",
    "us": "us usec usecs usecond useconds microsecond microseconds",
}
_UNITS: Final = {word: unit for unit, words in _SPELLINGS.items() for word in words.split()}
_ISO_DATE_UNITS: Final = {"Y": "year", "M": "month", "W": "week", "D": "day"}
_ISO_TIME_UNITS: Final = {"H": "hour", "M": "minute", "S": "second"}


class Interval(NamedTuple):
    """The three independent fields of an interval."""

    months: int = 0
    days: int = 0
    us: int = 0


class _Sum:
    """Fields being added up, with PostgreSQL's way of carrying fractions down."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.months = 0
        self.days = 0
        self.us = 0
        self.seen: set[str] = set()

    def invalid(self) -> SqlError:
        return invalid_datetime("interval", self.text)

    def add(self, number: str, unit: str) -> None:
        """Add ``number`` units; a unit given twice is an error."""
        if unit in self.seen:
            raise self.invalid()
        self.seen.add(unit)
        value = float(number)
        if abs(value) > 2**63:
            raise _overflow(self.text)
        whole = int(number) if re.fullmatch(r"[+-]?\d+", number) else int(value)
        fraction = 0.0 if re.fullmatch(r"[+-]?\d+", number) else value - whole
        if unit in _MONTHS:
            self.months += whole * _MONTHS[unit] + round(fraction * _MONTHS[unit])
        elif unit == "month":
            self.months += whole
            self._add_days(fraction * 30)
        elif unit in ("week", "day"):
            self.days += whole * (7 if unit == "week" else 1)
            self._add_days(fraction * 7 if unit == "week" else fraction)
        else:
            self.us += whole * _MICROSECONDS[unit]
            self._add_us(fraction * _MICROSECONDS[unit])

    def _add_days(self, days: float) -> None:
        self.days += int(days)
        self._add_us((days - int(days)) * cal.DAY_US)

    def _add_us(self, us: float) -> None:
        self.us += int(us)
        rest = us - int(us)
        self.us += (rest > 0.5) - (rest < -0.5)

    def add_time(self, token: str) -> None:
        """``[-]hh:mm[:ss[.f]]``; with a fraction and two parts ``mm:ss.f``."""
        if self.seen & {"hour", "minute", "second"}:
            raise self.invalid()
        self.seen |= {"hour", "minute", "second"}
        sign = -1 if token[0] == "-" else 1
        whole, _, fraction = token.lstrip("+-").partition(".")
        parts = [int(part) for part in whole.split(":")]
        if len(parts) == 2 and "." in token:
            parts = [0, *parts]
        hour, minute, second = (*parts, 0)[:3]
        if minute > 59 or second > 60:
            raise _overflow(self.text)
        us = hour * cal.HOUR_US + minute * cal.MINUTE_US + second * cal.SECOND_US
        self.us += sign * (us + round(float(f"0.{fraction or 0}") * 1e6))

    def add_year_month(self, token: str) -> None:
        """``[-]y-m`` of the SQL standard."""
        sign = -1 if token[0] == "-" else 1
        years, months = (int(part) for part in token.lstrip("+-").split("-"))
        if months > 11:
            raise _overflow(self.text)
        if self.seen & {"year", "month"}:
            raise self.invalid()
        self.seen |= {"year", "month"}
        self.months += sign * (years * 12 + months)

    def result(self, sign: int) -> Interval:
        """The checked sum."""
        value = Interval(sign * self.months, sign * self.days, sign * self.us)
        if not (-(2**31) <= value.months < 2**31 and -(2**31) <= value.days < 2**31):
            raise _overflow(self.text)
        if not -(2**63) <= value.us < 2**63:
            raise _overflow(self.text)
        return value


def _overflow(text: str) -> SqlError:
    return SqlError(f'interval field value out of range: "{text}"', sqlstate="22015")


def read_interval(text: str) -> Interval:
    """The fields of an interval's text. Raises 22007, and 22015 when a field is too large."""
    word = text.strip()
    if word[:1] in ("P", "p") and len(word) > 1:
        return _read_iso(text, word.upper())
    return _read_verbose(text, word)


def _read_verbose(text: str, word: str) -> Interval:
    """``1 year -2 mons 3 days 04:05:06 ago``; a bare number is seconds, or days before a time."""
    total = _Sum(text)
    pending: str | None = None
    sign, at, found = 1, 0, False
    while at < len(word):
        match = _TOKEN.match(word, at)
        if match is None or sign < 0:
            raise total.invalid()
        kind, at = match.lastgroup, match.end()
        token = match[kind or 0]
        found = found or kind != "at"
        if kind == "number" and pending is None:
            pending = token
        elif kind == "time":
            if pending is not None:
                total.add(pending, "day")
            pending = None
            total.add_time(token)
        elif kind == "ym" and pending is None:
            total.add_year_month(token)
        elif kind == "word" and token.lower() == "ago" and pending is None:
            sign = -1
        elif kind == "word" and pending is not None and token.lower() in _UNITS:
            total.add(pending, _UNITS[token.lower()])
            pending = None
        elif kind != "at":
            raise total.invalid()
    if pending is not None:
        total.add(pending, "second")
    if not found:
        raise total.invalid()
    return total.result(sign)


def _read_iso(text: str, word: str) -> Interval:
    """``P1Y2M3DT4H5M6S`` of ISO 8601 (format with designators)."""
    total = _Sum(text)
    date, _, time = word[1:].partition("T")
    if re.fullmatch(r"[+-]?\d+", date):
        date += "Y"  # PostgreSQL takes a bare number at the date's place for years.
    for part, units in ((date, _ISO_DATE_UNITS), (time, _ISO_TIME_UNITS)):
        at = 0
        while at < len(part):
            match = _ISO_PART.match(part, at)
            if match is None or match[2] not in units:
                raise total.invalid()
            total.add(match[1], units[match[2]])
            at = match.end()
    return total.result(1)


def interval_text(value: Interval) -> str:
    """PostgreSQL's output with IntervalStyle postgres."""
    years, months = int(value.months / 12), value.months - int(value.months / 12) * 12
    out: list[str] = []
    negative = False
    for number, unit in ((years, "year"), (months, "mon"), (value.days, "day")):
        if number:
            out.append(f"{'+' if negative and number > 0 else ''}{number} {unit}{'' if number == 1 else 's'}")
            negative = number < 0
    if value.us or not out:
        out.append(_time_text(value.us, plus=negative))
    return " ".join(out)


def _time_text(us: int, *, plus: bool) -> str:
    seconds, part = divmod(abs(us), cal.SECOND_US)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    text = f"{'-' if us < 0 else '+' if plus else ''}{hour:02d}:{minute:02d}:{second:02d}"
    return f"{text}.{part:06d}".rstrip("0") if part else text


def parse_interval(text: str) -> str:
    """The canonical text."""
    return interval_text(read_interval(text))


def split_interval(value: Any) -> Interval:
    """The fields of a stored interval. Raises 22007 when the value is none."""
    return read_interval(show(value))


def parse_interval_binary(data: bytes) -> str:
    """Microseconds (8 bytes), days (4), months (4)."""
    error = bad_binary(data, _LAYOUT.size)
    if error is not None:
        raise error
    us, days, months = _LAYOUT.unpack(data)
    return interval_text(Interval(months, days, us))


def format_interval_binary(value: Any) -> bytes:
    """Microseconds (8 bytes), days (4), months (4)."""
    months, days, us = split_interval(value)
    return _LAYOUT.pack(us, days, months)


def round_us(us: int, precision: int) -> int:
    """Round microseconds to ``precision`` digits after the second, halves away from zero."""
    if precision >= 6:
        return us
    unit = int(10 ** (6 - precision))
    rounded = (abs(us) + unit // 2) // unit * unit
    return -rounded if us < 0 else rounded
