"""to_date and to_timestamp: a text read by a template (formatting.c, DCH_from_char, do_to_timestamp)."""

from __future__ import annotations

import re
from typing import Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.datetime_fields import iso_monday
from helios_cli.engine.sql.functions.templates import DAYS, MONTHS, ROMAN, Piece, is_separator, tokens

_NAMES: Final = frozenset(
    (
        "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "DAY", "DY", "FX", "MONTH", "MON", "OF", "P.M.", "PM", "RM", "TZ",
        "TZH",
    )
)  # fmt: skip
"""Fields that are no digits."""
_GREGORIAN: Final = frozenset(
    ("DDD", "DD", "D", "MM", "MONTH", "MON", "RM", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y")
)
_ISO: Final = frozenset(("IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I"))
_WIDTHS: Final = {"HH24": 2, "HH12": 2, "IDDD": 3, "ID": 1, "MS": 3, "US": 6, "TZH": 2, "TZM": 2}
_PLACES: Final = {
    "HH": "hh", "HH12": "hh", "HH24": "hh", "MI": "mi", "SS": "ss", "MS": "ms", "US": "us", "SSSS": "ssss",
    "SSSSS": "ssss", "MM": "mm", "DD": "dd", "DDD": "ddd", "IDDD": "ddd", "D": "d", "ID": "d", "WW": "ww", "IW": "ww",
    "CC": "cc", "YYYY": "year", "IYYY": "year", "YYY": "year", "IYY": "year", "YY": "year", "IY": "year", "Y": "year",
    "I": "year", "W": "w", "J": "j", "TZH": "tzh", "TZM": "tzm", **{f"FF{n}": "us" for n in range(1, 7)},
}  # fmt: skip
_YEAR_DIGITS: Final = {"YYYY": 4, "IYYY": 4, "YYY": 3, "IYY": 3, "YY": 2, "IY": 2, "Y": 1, "I": 1}
_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]+", re.ASCII)
_Y_YYY: Final = re.compile(r"\s*([+-]?[0-9]+),([0-9]{1,3})", re.ASCII)


def _invalid(message: str, detail: str = "", hint: str = "") -> SqlError:
    return SqlError(message, sqlstate="22007", detail=detail or None, hint=hint or None)


class _Reading:
    """One text read by one template; ``values`` are the fields, 0 for those that were not there.

    ``strict``: text and template agree in every character, as the SQL standard has it.
    """

    def __init__(self, text: str, template: str, strict: bool = False) -> None:
        self.text, self.pieces, self.strict = text, tokens(template), strict
        self.at = self.extra = 0
        self.exact = strict
        self.values: dict[str, int] = {}
        self.year_digits, self.twelve, self.mode, self.tz_sign = 0, False, "", 0
        self.precision = 6

    def get(self, name: str) -> int:
        """A field's value."""
        return self.values.get(name, 0)

    def run(self) -> None:
        """Walk over the template."""
        for number, piece in enumerate(self.pieces):
            if self.at >= len(self.text):
                if self.strict:
                    raise _invalid("input string is too short for datetime format")
                break
            if not self.exact and piece.text.upper() != "FX" and (piece.kind == "field" or number == 0):
                self._skip_spaces()
                if self.at >= len(self.text) and piece.kind != "field":
                    break
            if self.strict and piece.kind != "field":
                self._same(piece)
            elif piece.kind in ("space", "separator"):
                self._separator()
            elif piece.kind == "text":
                if not self.exact and self.extra > 0:
                    self.extra -= 1
                else:
                    self.at += 1
            else:
                self._field(piece, number)
                if not self.exact:
                    self.extra = 0
                    self._skip_spaces()

        if self.strict and self.text[self.at :].strip():
            raise _invalid("trailing characters remain in input string after datetime format")

    def _same(self, piece: Piece) -> None:
        if self.text[self.at] != piece.text:
            what = "character" if piece.kind == "text" else "separator"
            raise _invalid(f'unmatched format {what} "{piece.text}"')
        self.at += 1

    def _skip_spaces(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
            self.extra += 1

    def _separator(self) -> None:
        if self.exact:
            self.at += 1
            return
        self.extra -= 1
        here = self.text[self.at]
        if here.isspace() or is_separator(here):
            self.at += 1
            self.extra += 1

    def _field(self, piece: Piece, number: int) -> None:
        name = piece.text.upper()
        mode = "gregorian" if name in _GREGORIAN else "iso" if name in _ISO else ""
        if mode and self.mode and mode != self.mode:
            hint = "Do not mix Gregorian and ISO week date conventions in a formatting template."
            raise _invalid("invalid combination of date conventions", hint=hint)
        self.mode = mode or self.mode
        if name == "FX":
            self.exact = True
        elif name in ("TZ", "OF"):
            raise SqlError(f'formatting field "{piece.text}" is only supported in to_char', sqlstate="0A000")
        elif name in _NAMES and name != "TZH":
            self._word(piece, name)
        elif name == "Y,YYY":
            self._thousands(piece)
        else:
            self._number(piece, name, number)

    def _word(self, piece: Piece, name: str) -> None:
        if name in ("AM", "PM", "A.M.", "P.M."):
            found = self._search(piece, ("a.m.", "p.m.") if "." in name else ("am", "pm"))
            self._set(piece, "pm", found)
            self.twelve = True
        elif name in ("AD", "BC", "A.D.", "B.C."):
            self._set(piece, "bc", self._search(piece, ("a.d.", "b.c.") if "." in name else ("ad", "bc")))
        elif name in ("MONTH", "MON"):
            names = MONTHS if name == "MONTH" else tuple(month[:3] for month in MONTHS)
            self._set(piece, "mm", self._search(piece, names) + 1)
        elif name in ("DAY", "DY"):
            names = DAYS if name == "DAY" else tuple(day[:3] for day in DAYS)
            self._set(piece, "d", self._search(piece, names) + 1)
        else:
            self._set(piece, "mm", 12 - self._search(piece, tuple(reversed(ROMAN))))

    def _search(self, piece: Piece, names: tuple[str, ...]) -> int:
        rest = self.text[self.at :].lower()
        for number, name in enumerate(names):
            if rest.startswith(name.lower()):
                self.at += len(name)
                return number
        shown = re.split(r"\s", self.text[self.at :], maxsplit=1)[0]
        detail = "The given value did not match any of the allowed values for this field."
        raise _invalid(f'invalid value "{shown}" for "{piece.text}"', detail)

    def _thousands(self, piece: Piece) -> None:
        match = _Y_YYY.match(self.text, self.at)
        if match is None:
            raise _invalid('invalid input string for "Y,YYY"')
        self._set(piece, "year", int(match[1]) * 1000 + int(match[2]))
        self.year_digits = 4
        self.at = match.end()

    def _number(self, piece: Piece, name: str, number: int) -> None:
        if name == "TZH":
            self._zone_sign()
        elif name == "TZM":
            self.tz_sign = self.tz_sign or 1
        width = int(name[2]) if name.startswith("FF") else _WIDTHS.get(name, len(name))
        value, used = self._integer(piece, width, number)
        if name == "Q":
            return
        if name in ("HH", "HH12"):
            self.twelve = True
        elif name == "MS":
            value *= {1: 100, 2: 10}.get(used, 1)
        elif name == "US" or name.startswith("FF"):
            value *= 10 ** max(6 - used, 0)
            self.precision = self.precision if name == "US" else int(name[2])
        elif name == "ID":
            value = 1 if value == 7 else value + 1
        elif name in _YEAR_DIGITS:
            self.year_digits = _YEAR_DIGITS[name]
            if self.year_digits < 4 and used < 4:
                value = near_2020(value)
        self._set(piece, _PLACES[name], value)
        if piece.ordinal:
            self.at = min(self.at + 2, len(self.text))

    def _zone_sign(self) -> None:
        here = self.text[self.at : self.at + 1]
        if here and here in "+- ":
            self.tz_sign = -1 if here == "-" else 1
            self.at += 1
        else:
            self.tz_sign = -1 if self.extra > 0 and self.text[self.at - 1] == "-" else 1

    def _integer(self, piece: Piece, width: int, number: int) -> tuple[int, int]:
        """(value, characters taken) of the digits here: all of them before what is no digit, else so many."""
        start = self.at
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        shown = self.text[self.at : self.at + width]
        if piece.fill or self._then_no_digit(piece, number):
            match = _INTEGER.match(self.text, start)
        else:
            left = len(self.text) - self.at
            hint = 'If your source string is not fixed-width, try using the "FM" modifier.'
            if left < width:
                detail = f"Field requires {width} characters, but only {left} remain."
                raise _invalid(f'source string too short for "{piece.text}" formatting field', detail, hint)
            match = _INTEGER.match(self.text[: self.at + width], self.at)
            if match is not None and match.end() - self.at < width:
                detail = f"Field requires {width} characters, but only {match.end() - self.at} could be parsed."
                raise _invalid(f'invalid value "{shown}" for "{piece.text}"', detail, hint)
        if match is None:
            raise _invalid(f'invalid value "{shown}" for "{piece.text}"', "Value must be an integer.")
        self.at = match.end()
        value = int(match[0])
        if not -(2**31) <= value < 2**31:
            detail = "Value must be in the range -2147483648 to 2147483647."
            message = f'value for "{piece.text}" in source string is out of range'
            raise SqlError(message, sqlstate="22008", detail=detail)
        return value, self.at - start

    def _then_no_digit(self, piece: Piece, number: int) -> bool:
        if piece.ordinal or number + 1 == len(self.pieces):
            return True
        following = self.pieces[number + 1]
        if following.kind == "field":
            return following.text.upper() in _NAMES
        return not ("0" <= following.text <= "9")

    def _set(self, piece: Piece, name: str, value: int) -> None:
        before = self.values.get(name, 0)
        if before not in (0, value):
            detail = "This value contradicts a previous setting for the same field type."
            raise _invalid(f'conflicting values for "{piece.text}" field in formatting string', detail)
        self.values[name] = value


def near_2020(year: int) -> int:
    """The year nearest to 2020 with these last digits (adjust_partial_year_to_2020)."""
    if year < 70:
        return year + 2000
    if year < 100:
        return year + 1900
    if year < 520:
        return year + 2000
    return year + 1000 if year < 1000 else year


def parse_template(text: str, template: str) -> tuple[int, int, int | None, int]:
    """(days, microseconds of the day, zone offset in seconds or None, digits of the second to round to).

    Raises:
        SqlError: 22007 the text does not fit, 22008 a value out of range, 0A000 a field only to_char has.
    """
    return _read(text, template, strict=False)


def _read(text: str, template: str, strict: bool) -> tuple[int, int, int | None, int]:
    reading = _Reading(text, template, strict)
    reading.run()
    clock = _clock(reading, text)
    days = _days(reading, text)
    offset = None
    if reading.tz_sign:
        hours, minutes = reading.get("tzh"), reading.get("tzm")
        if not 0 <= hours <= 15 or not 0 <= minutes < 60:
            raise SqlError(f'time zone displacement out of range: "{text}"', sqlstate="22009")
        offset = reading.tz_sign * (hours * 3600 + minutes * 60)
    return days, clock, offset, reading.precision


class Misfit(SqlError):
    """A text that a template does not read."""


def parse_strictly(text: str, template: str) -> tuple[str, int, int, int | None]:
    """(kind, days, microseconds of the day, zone offset in seconds or None), as the SQL standard reads a text.

    The kind follows from the template: date, time, timetz, timestamp or timestamptz (parse_datetime).

    Raises:
        SqlError: 22007 the template has another separator than those of the standard.
        Misfit: as :func:`parse_template` does; 22007 the template holds no date or time, or no clock for a zone.
    """
    pieces = tokens(template)
    for piece in pieces:
        if piece.kind != "field" and not piece.quoted and piece.text not in _STANDARD_SEPARATORS:
            raise SqlError(f'invalid datetime format separator: "{piece.text}"', sqlstate="22007")
    try:
        days, clock, offset, precision = _read(text, template, strict=bool(pieces))
    except SqlError as error:
        raise Misfit(str(error), sqlstate=error.sqlstate, detail=error.detail, hint=error.hint) from None
    names = {piece.text.upper() for piece in pieces if piece.kind == "field"} - {"FX"}
    zoned = not names.isdisjoint(_ZONED)
    timed = any(name in _TIMED or name.startswith("FF") for name in names)
    dated = not all(name in _ZONED or name in _TIMED or name.startswith("FF") for name in names)
    if not timed and (zoned or not dated):
        what = "zoned but" if zoned and dated else "not dated and"
        raise Misfit(f"datetime format is {what} not timed", sqlstate="22007")
    kind = ("timestamp" if dated else "time") + ("tz" if zoned else "") if timed else "date"
    if zoned and offset is None:
        raise Misfit(f"missing time zone in input string for type {kind}", sqlstate="22007")
    step = 10 ** (6 - precision)
    return kind, days if dated else 0, (clock + step // 2) // step * step, offset


_STANDARD_SEPARATORS: Final = "-./,':; "
_ZONED: Final = frozenset(("TZ", "TZH", "TZM", "OF"))
_TIMED: Final = frozenset(
    ("HH", "HH12", "HH24", "MI", "SS", "MS", "US", "SSSS", "SSSSS", "AM", "PM", "A.M.", "P.M.")
)  # fmt: skip


def _out_of_range(text: str) -> SqlError:
    return SqlError(f'date/time field value out of range: "{text}"', sqlstate="22008")


def _clock(reading: _Reading, text: str) -> int:
    get = reading.get
    hour, rest = divmod(get("ssss"), 3600)
    minute, second = divmod(rest, 60)
    second, minute, hour = get("ss") or second, get("mi") or minute, get("hh") or hour
    if reading.twelve:
        if not 1 <= hour <= 12:
            hint = "Use the 24-hour clock, or give an hour between 1 and 12."
            raise _invalid(f'hour "{hour}" is invalid for the 12-hour clock', hint=hint)
        if get("pm"):
            hour += 12 if hour < 12 else 0
        elif hour == 12:
            hour = 0
    micro = get("ms") * 1000 + get("us")
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60 and 0 <= micro < cal.SECOND_US):
        raise _out_of_range(text)
    return hour * cal.HOUR_US + minute * cal.MINUTE_US + second * cal.SECOND_US + micro


def _year(reading: _Reading) -> int:
    """The year, 0 being 1 BC and also what stands for none."""
    get = reading.get
    year, century = get("year"), -get("cc") if get("bc") else get("cc")
    if year:
        if not century or reading.year_digits > 2:
            year = -year if get("bc") else year
            return year + 1 if year < 0 else year
        last = year % 100
        if last:
            return last + (century - 1) * 100 if century >= 0 else (century + 1) * 100 - last + 1
        return century * 100 + (0 if century >= 0 else 1)
    if century:
        return (century - 1) * 100 + 1 if century >= 0 else century * 100 + 1
    return 0


def _days(reading: _Reading, text: str) -> int:
    get = reading.get
    year, month, day, of_year = _year(reading), 1, 1, get("ddd")
    known = {"year"} if get("year") or get("cc") else set()
    if get("j"):
        year, month, day = cal.civil_from_days(get("j") - cal.EPOCH_JDATE)
        known = {"year", "month", "day"}
    if get("ww"):
        if reading.mode == "iso":
            monday = iso_monday(year) + (get("ww") - 1) * 7
            weekday = get("d")
            shift = (weekday - 2 if weekday > 1 else 6) if weekday else 0
            year, month, day = cal.civil_from_days(monday + shift)
            known = {"year", "month", "day"}
        else:
            of_year = (get("ww") - 1) * 7 + 1
    if get("w"):
        day, known = (get("w") - 1) * 7 + 1, known | {"day"}
    elif get("dd"):
        day, known = get("dd"), known | {"day"}
    if get("mm"):
        month, known = get("mm"), known | {"month"}
    if of_year and (month <= 1 or day <= 1):
        if not year and not get("bc"):
            raise _invalid("cannot calculate day of year without year information")
        if reading.mode == "iso":
            year, month, day = cal.civil_from_days(iso_monday(year) + of_year - 1)
        else:
            month, day = _of_year(year, of_year, month, day)
        known |= {"year", "month", "day"}
    if ("month" in known and not 1 <= month <= 12) or ("day" in known and not 1 <= day <= 31):
        raise _out_of_range(text)
    if known == {"year", "month", "day"} and day > cal.days_in_month(year, month):
        raise _out_of_range(text)
    return cal.days_from_civil(year, month, day)


def _of_year(year: int, of_year: int, month: int, day: int) -> tuple[int, int]:
    """Month and day of a day of the year, where they were not given."""
    before, found = 0, 1
    while found < 13 and of_year > before + cal.days_in_month(year, min(found, 12)):
        before += cal.days_in_month(year, min(found, 12))
        found += 1
    return (found if month <= 1 else month), (of_year - before if day <= 1 else day)
