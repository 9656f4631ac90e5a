"""Templates of dates, times and intervals, and to_char by them (formatting.c)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.datetime_fields import iso_year_week

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
ROMAN: Final = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")

_WORDS: Final = (
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "Day", "Dy", "D", "FF1", "FF2", "FF3",
    "FF4", "FF5", "FF6", "FX", "HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I", "J", "MI", "MM",
    "MONTH", "MON", "MS", "Month", "Mon", "OF", "P.M.", "PM", "Q", "RM", "SSSSS", "SSSS", "SS", "TZH", "TZM", "TZ",
    "US", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y",
)  # fmt: skip
FIELDS: Final = tuple(sorted({*_WORDS, *(word.lower() for word in _WORDS)}, key=len, reverse=True))
"""Fields as they may be spelled; another mixture of cases is text."""
_PREFIXES: Final = ("FM", "fm", "TM", "tm")
_SUFFIXES: Final = ("TH", "th", "SP", "sp")


class Piece(NamedTuple):
    """A piece of a template: a field with its modifiers, or a character of text."""

    kind: str
    """'field', 'space', 'separator' (punctuation outside quotes) or 'text'."""
    text: str
    fill: bool = False
    ordinal: str = ""
    quoted: bool = False
    """Of a text: it stood between double quotes."""


@lru_cache(maxsize=256)
def tokens(template: str) -> tuple[Piece, ...]:
    """The pieces of a template, in order (parse_format)."""
    found: list[Piece] = []
    at = 0
    while at < len(template):
        prefix = next((word for word in _PREFIXES if template.startswith(word, at)), "")
        at += len(prefix)
        word = next((word for word in FIELDS if template.startswith(word, at)), "")
        if word:
            at += len(word)
            suffix = next((word for word in _SUFFIXES if template.startswith(word, at)), "")
            at += len(suffix)
            found.append(Piece("field", word, prefix.upper() == "FM", suffix if suffix.upper() == "TH" else ""))
        elif template[at : at + 1] == '"':
            at = _quoted(template, at + 1, found)
        elif at < len(template):
            at += template[at] == "\\" and template[at + 1 : at + 2] == '"'
            letter = template[at]
            kind = "space" if letter.isspace() else "separator" if is_separator(letter) else "text"
            found.append(Piece(kind, letter))
            at += 1
    return tuple(found)


def _quoted(template: str, at: int, found: list[Piece]) -> int:
    """The characters up to the closing quote; gives the place after it."""
    while at < len(template) and template[at] != '"':
        at += template[at] == "\\" and at + 1 < len(template)
        found.append(Piece("text", template[at], quoted=True))
        at += 1
    return at + 1


def is_separator(letter: str) -> bool:
    """ASCII punctuation."""
    return "!" <= letter <= "~" and not letter.isalnum()


def render_template(us: int, template: str, offset_s: int, zone: str) -> str:
    """A local timestamp by a template (DCH_to_char)."""
    days, clock = divmod(us, cal.DAY_US)
    year, month, day = cal.civil_from_days(days)
    shown_year = year if year > 0 else 1 - year
    numbers = _numbers(days, clock, year, shown_year, month, day)
    out: list[str] = []
    for kind, text, fill, ordinal, _ in tokens(template):
        if kind != "field":
            out.append(text)
            continue
        if text.upper() == "FX":
            continue
        piece = _number_piece(text.upper(), numbers, fill)
        if piece is None:
            out.append(_word_piece(text, days, clock, year, month, fill, offset_s, zone))
            continue
        if ordinal:
            suffix = _ordinal(piece)
            piece += suffix if ordinal == "th" else suffix.upper()
        out.append(piece)
    return "".join(out)


def _numbers(days: int, clock: int, year: int, shown: int, month: int, day: int) -> dict[str, tuple[int, int]]:
    """Field -> (value, width)."""
    iso_year, iso_week = iso_year_week(days)
    iso_shown = iso_year if iso_year > 0 else 1 - iso_year
    century = (year - 1) // 100 + 1 if year > 0 else int(year / 100) - 1
    hour = clock // cal.HOUR_US
    of_year = days - cal.days_from_civil(year, 1, 1) + 1
    micro = clock % cal.SECOND_US
    monday = cal.days_from_civil(iso_year, 1, 4)
    iso_day = days - (monday - (monday + 5) % 7) + 1
    return {
        "HH24": (hour, 2), "HH": ((hour + 11) % 12 + 1, 2), "HH12": ((hour + 11) % 12 + 1, 2),
        "MI": (clock // cal.MINUTE_US % 60, 2), "SS": (clock // cal.SECOND_US % 60, 2), "MS": (micro // 1000, 3),
        "US": (micro, 6), "SSSS": (clock // cal.SECOND_US, 0), "SSSSS": (clock // cal.SECOND_US, 0),
        "YYYY": (shown, 4), "YYY": (shown % 1000, 3), "YY": (shown % 100, 2), "Y": (shown % 10, 1),
        "IYYY": (iso_shown, 4), "IYY": (iso_shown % 1000, 3), "IY": (iso_shown % 100, 2), "I": (iso_shown % 10, 1),
        "MM": (month, 2), "DD": (day, 2), "DDD": (of_year, 3), "IDDD": (iso_day, 3), "D": ((days + 6) % 7 + 1, 1),
        "ID": ((days + 5) % 7 + 1, 1), "W": ((day - 1) // 7 + 1, 1), "WW": ((of_year - 1) // 7 + 1, 2),
        "IW": (iso_week, 2), "CC": (century, 2), "J": (days + cal.EPOCH_JDATE, 0),
        "Q": ((month - 1) // 3 + 1, 1), **{f"FF{n}": (micro // 10 ** (6 - n), n) for n in range(1, 7)},
    }  # fmt: skip


def _number_piece(field: str, numbers: dict[str, tuple[int, int]], fill: bool) -> str | None:
    found = numbers.get(field)
    if found is None:
        return None
    value, width = found
    if fill and field not in ("MS", "US") and not field.startswith("FF"):
        return str(value)
    if value < 0 and field in ("IYYY", "IYY", "IY", "I"):
        return f"{value:0{width}d}"
    return f"{value:0{width}d}" if value >= 0 else f"-{-value:0{width}d}"


def _word_piece(field: str, days: int, clock: int, year: int, month: int, fill: bool, offset_s: int, zone: str) -> str:
    folded = field.upper()
    if folded in ("MONTH", "MON"):
        return _cased(
            field,
            MONTHS[month - 1] if folded == "MONTH" else MONTHS[month - 1][:3],
            9 if folded == "MONTH" else 0,
            fill,
        )
    if folded in ("DAY", "DY"):
        name = DAYS[(days + 6) % 7]
        return _cased(field, name if folded == "DAY" else name[:3], 9 if folded == "DAY" else 0, fill)
    if folded in ("AM", "PM", "A.M.", "P.M."):
        return _marked(field, "PM" if clock >= 12 * cal.HOUR_US else "AM")
    if folded in ("BC", "AD", "B.C.", "A.D."):
        return _marked(field, "AD" if year > 0 else "BC")
    if folded == "RM":
        text = ROMAN[month - 1] if fill else ROMAN[month - 1].ljust(4)
        return text if field.isupper() else text.lower()
    if folded == "Y,YYY":
        shown = year if year > 0 else 1 - year
        return f"{shown // 1000},{shown % 1000:03d}"
    return _zone_piece(field, offset_s, zone, fill)


def _zone_piece(field: str, offset_s: int, zone: str, fill: bool) -> str:
    sign, minutes = "-" if offset_s < 0 else "+", abs(offset_s) // 60
    if field in ("TZ", "tz"):
        return zone.upper() if field == "TZ" else zone.lower()
    if field.upper() == "TZH":
        return f"{sign}{minutes // 60:02d}"
    if field.upper() == "TZM":
        return f"{minutes % 60:02d}"
    return f"{sign}{minutes // 60:0{1 if fill else 2}d}" + (f":{minutes % 60:02d}" if minutes % 60 else "")


def _cased(field: str, name: str, width: int, fill: bool) -> str:
    text = name.upper() if field.isupper() else name.lower() if field.islower() else name
    return text if fill else text.ljust(width)


def _marked(field: str, mark: str) -> str:
    text = f"{mark[0]}.{mark[1]}." if "." in field else mark
    return text if field.isupper() else text.lower()


def _ordinal(piece: str) -> str:
    if piece[-2:-1] == "1":
        return "th"
    return {"1": "st", "2": "nd", "3": "rd"}.get(piece[-1:], "th")


_NOT_OF_INTERVALS: Final = frozenset(
    ("A.D.", "AD", "B.C.", "BC", "DAY", "DY", "D", "ID", "MONTH", "MON", "OF", "TZ", "TZH", "TZM")
)
"""Fields that name a place in the calendar or the world."""


def _quotient(number: int, by: int) -> int:
    return abs(number) // by * (-1 if number < 0 else 1)


def _julian(year: int, month: int, day: int) -> int:
    """date2j, which takes an interval's fields for those of a date."""
    late = month > 2
    month, year = (month + 1, year + 4800) if late else (month + 13, year + 4799)
    century = _quotient(year, 100)
    days = year * 365 - 32167 + _quotient(year, 4) - century + _quotient(century, 4)
    return days + _quotient(7834 * month, 256) + day


def _calendar_of(year: int, month: int, day: int) -> dict[str, tuple[int, int]]:
    """The Julian day and the fields of the ISO week that to_char gives of an interval (date2isoweek and its kin)."""

    def first_week(of: int) -> int:
        fourth = _julian(of, 1, 4)
        return fourth - (fourth - 1 + 1) % 7

    today = _julian(year, month, day)
    iso = year - 1 if today < first_week(year) else year
    week = _quotient(today - first_week(iso), 7) + 1
    if week >= 52 and today >= first_week(year + 1):
        iso, week = iso + 1, _quotient(today - first_week(year + 1), 7) + 1
    of_year, wider = today - first_week(iso) + 1, int(year < 0)  # Before year 0 the sign has a place of its own.
    years = {"I" + "Y" * (width - 1): (int(math.fmod(iso, 10**width)), width + wider) for width in range(1, 5)}
    return {**years, "IYYY": (iso, 4 + wider), "IW": (week, 2), "IDDD": (of_year, 3), "J": (today, 0)}


def render_interval(months: int, days: int, us: int, template: str) -> str:
    """An interval's fields by a template. Raises 22007 for fields of the calendar."""
    years = int(months / 12)
    month = months - years * 12
    hour, rest = int(us / cal.HOUR_US), us - int(us / cal.HOUR_US) * cal.HOUR_US
    minute, micro = int(rest / cal.MINUTE_US), int(math.fmod(rest, cal.SECOND_US))
    second = int((rest - minute * cal.MINUTE_US) / cal.SECOND_US)
    of_year = months * 30 + days
    twelve = int(math.fmod(hour, 12)) or 12
    numbers = {
        "YYYY": (years, 4), "YYY": (int(math.fmod(years, 1000)), 3), "YY": (int(math.fmod(years, 100)), 2),
        "Y": (int(math.fmod(years, 10)), 1), "MM": (month, 2),
        "DD": (days, 2 if days >= 0 else 1), "DDD": (of_year, 3), "HH24": (hour, 2),
        "HH": (twelve, 2), "HH12": (twelve, 2), "MI": (minute, 2), "SS": (second, 2), "MS": (int(micro / 1000), 3),
        "US": (micro, 6), "CC": (int(years / 100), 2), "W": (int((days - 1) / 7) + 1, 0),
        "WW": (int((of_year - 1) / 7) + 1, 2),
        "SSSS": (int(us / cal.SECOND_US), 0), "SSSSS": (int(us / cal.SECOND_US), 0),
        **{f"FF{n}": (int(micro / 10 ** (6 - n)), n) for n in range(1, 7)},
        **_calendar_of(years, month, days),
    }  # fmt: skip
    pieces = []
    for kind, text, fill, ordinal, _ in tokens(template):
        folded = text.upper()
        if kind != "field":
            pieces.append(text)
        elif folded in _NOT_OF_INTERVALS:
            hint = "Intervals are not tied to specific calendar dates."
            raise SqlError("invalid format specification for an interval value", sqlstate="22007", hint=hint)
        elif folded != "FX":
            pieces.append(_interval_piece(text, numbers, fill, ordinal, hour, years, month))
    return "".join(pieces)


def _interval_piece(
    text: str, numbers: dict[str, tuple[int, int]], fill: bool, ordinal: str, hour: int, years: int, month: int
) -> str:
    folded = text.upper()
    if folded in ("AM", "PM", "A.M.", "P.M."):
        return _marked(text, "PM" if math.fmod(hour, 24) >= 12 else "AM")
    if folded == "Y,YYY":
        return f"{int(years / 1000)},{years - int(years / 1000) * 1000:03d}"
    if folded == "Q":
        return str((month - 1) // 3 + 1) if month else ""
    if folded == "RM":
        if not month and not years:
            return ""
        # A month below zero counts from the year's other end, as DCH_to_char has it.
        name = ROMAN[month - 1 if month > 0 else month if month else 11 if years >= 0 else 0]
        name = name if fill else name.ljust(4)
        return name if text.isupper() else name.lower()
    piece = _number_piece(folded, numbers, fill)
    if piece is None:
        return ""
    suffix = _ordinal(piece) if ordinal else ""
    return piece + (suffix.upper() if ordinal == "TH" else suffix)
