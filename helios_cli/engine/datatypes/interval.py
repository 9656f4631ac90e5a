"""interval: stored as the text PostgreSQL prints with IntervalStyle postgres, ``1 year 2 mons 3 days 04:05:06``.

Equal intervals written differently (24 hours, 1 day) stay different texts, as they stay different in PostgreSQL's
output; :func:`split_interval` gives the three fields to whoever has to compare or add.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Any, Final, NamedTuple

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.datetime_tokens import TIME, WORD, ZONE, parts_of
from helios_cli.engine.datatypes.faults import bad_binary, invalid_datetime
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.errors import SqlError

_LAYOUT = Struct("!qii")
_STORED = re.compile(
    r"(?:([+-]?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?"
    r"(?:([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"([+-]?)(\d*)(\.\d*)?", re.ASCII)
_YEAR_MONTH = re.compile(r"([+-]?)(\d+)-(\d+)", re.ASCII)
_CLOCK = re.compile(r"(\d+):(\d+)(?::(\d+))?(\.\d*)?", re.ASCII)
_ISO_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d+)?", re.ASCII)
_DIGITS = re.compile(r"\d*", re.ASCII)

_YEARS: Final = {"year": 1, "decade": 10, "century": 100, "millennium": 1000}
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
_WORD_MAX: Final = 10
"""So many letters of a word count (TOKMAXLEN)."""
_UNITS: Final = {word[:_WORD_MAX]: unit for unit, words in _SPELLINGS.items() for word in words.split()}
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
        self.years = 0
        self.months = 0
        self.days = 0
        self.us = 0
        self.seen: set[str] = set()

    def invalid(self) -> SqlError:
        return invalid_datetime("interval", self.text)

    def take(self, number: str, unit: str) -> None:
        """Add a number as it is written; a unit given twice is an error."""
        fields = {unit, "ms", "us"} if unit == "second" and number.partition(".")[2].strip("0") else {unit}
        if fields & self.seen:
            raise self.invalid()
        self.seen |= fields
        whole, dot, digits = number.partition(".")
        fraction = float(f"0.{digits or 0}") if dot else 0.0
        self.add(int(whole), -fraction if number[0] == "-" else fraction, unit)

    def add(self, whole: int, fraction: float, unit: str) -> None:
        """Add so many units; the fraction has the sign of the number."""
        if abs(whole) > 2**63:
            raise _overflow(self.text)
        if unit in _YEARS:
            self.years += whole * _YEARS[unit]
            self.months += round(fraction * _YEARS[unit] * 12)
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
        """``[-]hh:mm[:ss[.f]]``; with a fraction and two parts ``mm:ss.f`` (DecodeTime)."""
        if self.seen & {"hour", "minute", "second", "ms", "us"}:
            raise self.invalid()
        self.seen |= {"hour", "minute", "second", "ms", "us"}
        match = _CLOCK.fullmatch(token.lstrip("+-"))
        if match is None:
            raise self.invalid()
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        if match[3] is None and match[4] is not None:
            hour, minute, second = 0, hour, minute
        if minute > 59 or second > 60:
            raise _overflow(self.text)
        us = hour * cal.HOUR_US + minute * cal.MINUTE_US + second * cal.SECOND_US
        us += round(float(f"0{match[4] or ''}") * 1e6)
        self.us += -us if token[0] == "-" else us

    def add_year_month(self, sign: str, years: str, months: str) -> None:
        """``[-]y-m`` of the SQL standard."""
        if int(months) > 11:
            raise _overflow(self.text)
        if "month" in self.seen:
            raise self.invalid()
        self.seen.add("month")
        total = int(years) * 12 + int(months)
        self.months += -total if sign == "-" else total

    def result(self, sign: int) -> Interval:
        """The checked sum. Raises 22015 for a field that is too large, 22008 for years that are too many months."""
        value = Interval(sign * (self.years * 12 + self.months), sign * self.days, sign * self.us)
        low, high = -(2**31), 2**31
        if not (low <= self.years < high and low <= self.months < high and low <= value.days < high):
            raise _overflow(self.text)
        if not -(2**63) <= value.us < 2**63:
            raise _overflow(self.text)
        if not low <= value.months < high:
            raise SqlError("interval out of range", sqlstate="22008")
        return value


def _overflow(text: str) -> SqlError:
    return SqlError(f'interval field value out of range: "{text}"', sqlstate="22015")


def read_interval(text: str) -> Interval:
    """The fields of an interval's text. Raises 22007, and 22015 when a field is too large."""
    word = text.strip()
    if word[:1] in ("P", "p") and len(word) > 1:
        return _IsoReader(text, word.upper()).run()
    return _read_verbose(text, word)


def _read_verbose(text: str, word: str) -> Interval:
    """``1 year -2 mons 3 days 04:05:06 ago``, from its end as DecodeInterval reads it: a unit is that of the number
    before it, a number without one is seconds, or days before a time.
    """
    total = _Sum(text)
    parts = parts_of(word)
    if not parts:
        raise total.invalid()
    unit, sign = "", 1
    for part in reversed(parts):
        if part.kind == TIME or (part.kind == ZONE and ":" in part.text):
            total.add_time(part.text)
            unit = "day"
        elif part.kind == WORD:
            if part.text == "ago":
                sign, unit = -1, "ago"
            else:
                unit = _UNITS.get(part.text[:_WORD_MAX], "")
                if not unit:
                    raise total.invalid()
        else:
            unit = _add_number(total, part.text, unit or "second")
    if not total.seen:
        raise total.invalid()
    return total.result(sign)


def _add_number(total: _Sum, text: str, unit: str) -> str:
    """Add a number of a unit, or years and months; gives the unit of a number before it."""
    both = _YEAR_MONTH.fullmatch(text)
    if both is not None:
        total.add_year_month(both[1], both[2], both[3])
        return "month"
    number = _NUMBER.fullmatch(text)
    if number is None or unit == "ago" or not (number[2] or number[3]):
        raise total.invalid()
    total.take(f"{number[1]}{number[2] or 0}{number[3] or ''}", unit)
    return "day" if unit == "hour" else unit


class _IsoReader:
    """``P1Y2M3DT4H5M6S`` and ``P0001-02-03T04:05:06`` of ISO 8601, as DecodeISO8601Interval reads them."""

    def __init__(self, text: str, word: str) -> None:
        self.total = _Sum(text)
        self.word = word
        self.at = 1

    def run(self) -> Interval:
        """The fields. Raises 22007, 22015."""
        timed = counted = False
        while self.at < len(self.word):
            if self.word[self.at] == "T":
                timed, counted = True, False
                self.at += 1
                continue
            start = self.at
            number = self._number()
            unit = self.word[self.at : self.at + 1]
            units, first = (_ISO_TIME_UNITS, ":") if timed else (_ISO_DATE_UNITS, "-")
            if unit in units:
                self.at += 1
                self.total.add(*number, units[unit])
                counted = True
            elif unit in ("", first) or (unit == "T" and not timed):
                width = len(_DIGITS.match(self.word, start + (self.word[start] == "-"))[0])  # type: ignore[index]
                if width == (6 if timed else 8) and not counted and unit != first:
                    self._run_together(number, timed)
                elif counted:
                    raise self.total.invalid()
                else:
                    self._without_units(number, timed)
            else:
                raise self.total.invalid()
        return self.total.result(1)

    def _number(self) -> tuple[int, float]:
        match = _ISO_NUMBER.match(self.word, self.at)
        if match is None:
            raise self.total.invalid()
        self.at = match.end()
        value = float(match[0])
        if abs(value) > 1e15:
            raise _overflow(self.total.text)
        return int(value), value - int(value)

    def _without_units(self, number: tuple[int, float], timed: bool) -> None:
        """The alternative format behind its first number: fields divided by ``-`` and ``:``."""
        names, mark = (("hour", "minute", "second"), ":") if timed else (("year", "month", "day"), "-")
        self.total.add(*number, names[0])
        for name in names[1:]:
            if self.word[self.at : self.at + 1] != mark:
                break
            self.at += 1
            self.total.add(*self._number(), name)
        if self.word[self.at : self.at + 1] not in (("",) if timed else ("", "T")):
            raise self.total.invalid()

    def _run_together(self, number: tuple[int, float], timed: bool) -> None:
        """``yyyymmdd`` or ``hhmmss``."""
        names = ("hour", "minute", "second") if timed else ("year", "month", "day")
        whole, fraction = number
        sign = -1 if whole < 0 else 1
        for name, value in zip(names, (abs(whole) // 10000, abs(whole) // 100 % 100, abs(whole) % 100), strict=True):
            self.total.add(sign * value, 0.0, name)
        self.total.add(0, fraction, "us" if timed else "day")


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
    text = show(value)
    match = _STORED.fullmatch(text)
    if match is None:
        return read_interval(text)
    years, months, days, sign, hour, minute, second, part = match.groups()
    us = 0
    if hour is not None:
        us = int(hour) * cal.HOUR_US + int(minute) * cal.MINUTE_US + int(second) * cal.SECOND_US
        us = us + int(part.ljust(6, "0")) if part else us
        us = -us if sign == "-" else us
    return Interval(int(years or 0) * 12 + int(months or 0), int(days or 0), us)


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
