"""Text of intervals in the styles other than PostgreSQL's own (EncodeInterval in datetime.c)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes.interval import Interval, interval_text, parse_interval, split_interval


@dataclass(frozen=True, slots=True)
class _Parts:
    """The fields, each with its own sign."""

    years: int
    months: int
    days: int
    hours: int
    minutes: int
    seconds: int
    us: int
    """Of the last second."""

    @property
    def clock(self) -> tuple[int, int, int, int]:
        return self.hours, self.minutes, self.seconds, self.us


def _cut(number: int, unit: int) -> tuple[int, int]:
    """Quotient and remainder as C has them, towards zero."""
    quotient = abs(number) // unit * (-1 if number < 0 else 1)
    return quotient, number - quotient * unit


def _parts(value: Interval) -> _Parts:
    years, months = _cut(value.months, 12)
    hours, rest = _cut(value.us, cal.HOUR_US)
    minutes, rest = _cut(rest, cal.MINUTE_US)
    seconds, us = _cut(rest, cal.SECOND_US)
    return _Parts(years, months, value.days, hours, minutes, seconds, us)


def _seconds(parts: _Parts, *, filled: bool) -> str:
    """Seconds without their sign; with ``filled`` two digits before the point."""
    whole = f"{abs(parts.seconds):02d}" if filled else str(abs(parts.seconds))
    return whole + f".{abs(parts.us):06d}".rstrip("0").rstrip(".")


def standard(value: Interval) -> str:
    """IntervalStyle sql_standard: ``1-2``, ``3 4:05:06``, ``+1-2 +3 -4:05:06`` when the standard has no form for it."""
    fields = (value.months, value.days, value.us)
    negative, positive = any(number < 0 for number in fields), any(number > 0 for number in fields)
    if not negative and not positive:
        return "0"
    parts = _parts(value)
    clock = f"{abs(parts.hours)}:{abs(parts.minutes):02d}:{_seconds(parts, filled=True)}"
    if (negative and positive) or (value.months and (value.days or value.us)):
        signs = ["-" if number < 0 else "+" for number in fields]
        year_month = f"{signs[0]}{abs(parts.years)}-{abs(parts.months)}"
        return f"{year_month} {signs[1]}{abs(parts.days)} {signs[2]}{clock}"
    sign = "-" if negative else ""
    if value.months:
        return f"{sign}{abs(parts.years)}-{abs(parts.months)}"
    return f"{sign}{abs(parts.days)} {clock}" if parts.days else sign + clock


def iso_8601(value: Interval) -> str:
    """IntervalStyle iso_8601: ``P1Y2M3DT4H5M6S``."""
    parts = _parts(value)
    named = ((parts.years, "Y"), (parts.months, "M"), (parts.days, "D"))
    date = "".join(f"{number}{unit}" for number, unit in named if number)
    time = "".join(f"{number}{unit}" for number, unit in ((parts.hours, "H"), (parts.minutes, "M")) if number)
    if parts.seconds or parts.us:
        time += f"{'-' if parts.seconds < 0 or parts.us < 0 else ''}{_seconds(parts, filled=False)}S"
    if not date and not time:
        return "PT0S"
    return f"P{date}" + (f"T{time}" if time else "")


def verbose(value: Interval) -> str:
    """IntervalStyle postgres_verbose: ``@ 1 year 2 mons 3 days 4 hours``, with ``ago`` for a negative one."""
    parts = _parts(value)
    seconds = parts.seconds * cal.SECOND_US + parts.us
    named = (
        (parts.years, "year"), (parts.months, "mon"), (parts.days, "day"), (parts.hours, "hour"),
        (parts.minutes, "min"), (seconds, "sec"),
    )  # fmt: skip
    present = [(number, unit) for number, unit in named if number]
    if not present:
        return "@ 0"
    ago = present[0][0] < 0
    words = [_verbose_part(-number if ago else number, unit, parts) for number, unit in present]
    return " ".join(("@", *words, *(("ago",) if ago else ())))


def _verbose_part(number: int, unit: str, parts: _Parts) -> str:
    if unit != "sec":
        return f"{number} {unit}{'' if number == 1 else 's'}"
    plural = "" if abs(parts.seconds) == 1 and not parts.us else "s"
    return f"{'-' if number < 0 else ''}{_seconds(parts, filled=False)} sec{plural}"


STYLES: Final[dict[str, Callable[[Interval], str]]] = {
    "sql_standard": standard, "iso_8601": iso_8601, "postgres_verbose": verbose,
}  # fmt: skip

_SIGN: Final = re.compile(r"(?:^|[\s])[+-]")


def read_standard(text: str) -> str:
    """The stored form of a text read with IntervalStyle sql_standard: a sign in front of it holds for all its fields.

    It does so unless another field has a sign of its own, or the text is of ISO 8601. Raises 22007 and 22015.
    """
    trimmed = text.strip()
    if not trimmed.startswith("-") or len(_SIGN.findall(trimmed)) > 1:
        return parse_interval(text)
    months, days, us = split_interval(parse_interval(trimmed[1:]))
    return interval_text(Interval(-months, -days, -us))
