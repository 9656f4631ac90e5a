"""What the parts of a date's or time's text mean, by the rules of PostgreSQL's DecodeDateTime and DecodeTimeOnly.

The parts come in nearly any order. Which field a number fills depends on the fields that are filled already, so the
order of the questions here is PostgreSQL's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes import datetime_tokens as tokens
from helios_cli.engine.datatypes.zone_abbreviations import BY_ZONE, FIXED, offset_meant
from helios_cli.engine.errors import SqlError

if TYPE_CHECKING:
    from helios_cli.engine.datatypes.datetime_in import Fields, TimeContext

YEAR, MONTH, DAY, HOUR, MINUTE, SECOND = "year", "month", "day", "hour", "minute", "second"
_FULL_DATE: Final = frozenset((YEAR, MONTH, DAY))
_FULL_TIME: Final = frozenset((HOUR, MINUTE, SECOND))
_INT_MAX: Final = 2**31 - 1
_ZONE_HOURS_MAX: Final = 15
_LEADING: Final = re.compile(r"\d*", re.ASCII)


class Decoder:
    """Reads the parts of one text into ``fields``; ``time_only`` is for time and timetz."""

    def __init__(self, fields: Fields, context: TimeContext, time_only: bool) -> None:
        self.fields = fields
        self.context = context
        self.time_only = time_only
        self.seen: set[str] = set()
        self.values = dict.fromkeys((YEAR, MONTH, DAY, HOUR, MINUTE, SECOND), 0)
        self.part_us = 0
        self.label = ""
        """What a word before has said the next number is."""
        self.named_month = False
        self.julian = False
        self.two_digits = False
        self.bc = False
        self.half = ""
        self.abbreviation = ""
        """One that means what its zone meant by it at the time."""
        self.year_day = 0

    def run(self) -> None:
        """Read every part, then check what they make together. Raises 22007, 22008, 22009 and 22023."""
        parts = tokens.parts_of(self.fields.text)
        if not parts:
            self.bad()
        self.parts = parts
        for place, part in enumerate(parts):
            self.place = place
            taken = getattr(self, f"_{part.kind}")(part.text)
            if not self.seen.isdisjoint(taken):
                self.bad()
            self.seen |= taken
        self._finish()

    def bad(self) -> NoReturn:
        """22007."""
        raise self.fields.invalid()

    def overflow(self, style: bool = False) -> NoReturn:
        """22008."""
        raise self.fields.overflow(style=style)

    # -- the kinds of parts -------------------------------------------------------------------------

    def _date(self, text: str) -> set[str]:
        if self.time_only:
            return self._date_of_time(text)
        if self.label == "julian":
            return self._julian_with_zone(text)
        if self.label or {MONTH, DAY} <= self.seen:
            if not text[0].isdigit() and not self.label:
                return self._zone_name(text, must=True)
            if self.label not in ("", "time"):
                self.bad()
            self.label = ""
            return self._time_with_zone(text)
        return self._split_date(text)

    def _date_of_time(self, text: str) -> set[str]:
        parts = self.parts
        if self.place == 0 and len(parts) >= 2 and (parts[-1].kind == tokens.DATE or parts[1].kind == tokens.TIME):
            return self._split_date(text)
        if not text[0].isdigit():
            return self._zone_name(text, must=True)
        return self._time_with_zone(text)

    def _julian_with_zone(self, text: str) -> set[str]:
        digits = _LEADING.match(text)
        assert digits is not None
        self._set_julian(int(digits[0]))
        self.fields.offset_s = self._offset(text[digits.end() :])
        self.label = ""
        return {*_FULL_DATE, *_FULL_TIME, "zone"}

    def _time_with_zone(self, text: str) -> set[str]:
        """``hhmmss-zz``."""
        if self.seen >= _FULL_TIME or "-" not in text:
            self.bad()
        clock, _, zone = text.partition("-")
        self.fields.offset_s = self._offset("-" + zone)
        return {*self._run_together(clock, self.time_only), "zone"}

    def _time(self, text: str) -> set[str]:
        if self.label not in ("", "time") and not self.time_only:
            self.bad()
        self.label = ""
        match = re.fullmatch(r"(\d+):(\d*)(?::(\d*))?(?:\.(\d*))?", text, re.ASCII)
        if match is None:
            self.bad()
        first, second, third = (int(match[at] or 0) for at in (1, 2, 3))
        if max(first, second, third) > _INT_MAX:
            self.overflow()
        if match[3] is None and match[4] is not None:
            first, second, third = 0, first, second
        self.values |= {HOUR: first, MINUTE: second, SECOND: third}
        self.part_us = _micros(match[4] or "")
        if second > 59 or third > 60 or (not self.time_only and self._clock_overflows()):
            self.overflow()
        return set(_FULL_TIME)

    def _zone(self, text: str) -> set[str]:
        self.fields.offset_s = self._offset(text)
        return {"zone"}

    def _number(self, text: str) -> set[str]:
        if self.label:
            return self._labelled(text)
        dot, whole = "." in text, text.partition(".")[0]
        if self.time_only:
            if dot and self.place == 0 and len(self.parts) >= 2 and self.parts[-1].kind == tokens.DATE:
                return self._split_date(text)
            if dot and len(whole) <= 2:
                self.bad()
            return self._run_together(text, True) if dot or len(text) > 4 else self._single(text, True)
        if dot and self.seen.isdisjoint(_FULL_DATE):
            return self._split_date(text)
        six = len(text) >= 6 and (self.seen.isdisjoint(_FULL_DATE) or self.seen.isdisjoint(_FULL_TIME))
        if (dot and len(whole) > 2) or (six and not dot):
            return self._run_together(text, False)
        return self._single(text, False)

    def _word(self, word: str) -> set[str]:
        upper = word.upper()
        if upper in FIXED or upper in BY_ZONE:
            return self._abbreviation(upper)
        if word in tokens.MONTHS and not self.time_only:
            return self._month(tokens.MONTHS[word])
        if word in tokens.RESERVED:
            return self._reserved(word)
        if word in ("am", "pm"):
            self.half = word
            return {"half"}
        if word in ("ad", "bc"):
            self.bc = word == "bc"
            return {"era"}
        if word in tokens.UNITS or word == "t":
            return self._label(word)
        if word in tokens.IGNORED:
            return set()
        if word in tokens.WEEKDAYS and not self.time_only:
            return {"weekday"}
        if word == "dst":
            if self.fields.offset_s is not None:
                self.fields.offset_s += 3600
            return {"dst"}
        if word in tokens.MONTHS or word in tokens.WEEKDAYS:
            self.bad()
        return self._zone_name(word, must=False)

    # -- words --------------------------------------------------------------------------------------

    def _label(self, word: str) -> set[str]:
        if word == "t":
            following = self.parts[self.place + 1].kind if self.place + 1 < len(self.parts) else ""
            if following not in (tokens.NUMBER, tokens.TIME, tokens.DATE):
                self.bad()
            if not self.time_only and not self.seen >= _FULL_DATE:
                self.bad()
        self.label = "time" if word == "t" else tokens.UNITS[word] or "none"
        return set()

    def _month(self, month: int) -> set[str]:
        taken = MONTH
        if MONTH in self.seen and not self.named_month and DAY not in self.seen and 1 <= self.values[MONTH] <= 31:
            # The number before was the day.
            self.values[DAY] = self.values[MONTH]
            taken = DAY
        self.named_month = True
        self.values[MONTH] = month
        return {taken}

    def _reserved(self, word: str) -> set[str]:
        if word == "allballs":
            self.values |= {HOUR: 0, MINUTE: 0, SECOND: 0}
            self.fields.offset_s = 0
            return {*_FULL_TIME, "zone"}
        if word in ("infinity", "-infinity", "epoch"):
            if self.time_only:
                self.bad()
            self.fields.word = word
            return {"reserved"}
        now = self.context.now_us
        if now is None or (self.time_only and word != "now"):
            self.bad()
        offset = cal.utc_offset_s(now, self.context.zone)
        days, rest = divmod(now + offset * cal.SECOND_US, cal.DAY_US)
        taken: set[str] = set()
        if not self.time_only:
            days += {"tomorrow": 1, "yesterday": -1}.get(word, 0)
            self.values |= dict(zip((YEAR, MONTH, DAY), cal.civil_from_days(days), strict=True))
            self.two_digits, self.julian = False, True
            taken |= _FULL_DATE
        if word == "now":
            seconds, self.part_us = divmod(rest, cal.SECOND_US)
            self.values |= {HOUR: seconds // 3600, MINUTE: seconds // 60 % 60, SECOND: seconds % 60}
            taken |= _FULL_TIME
            if not self.time_only:
                self.fields.offset_s = offset
                taken.add("zone")
        return taken

    def _abbreviation(self, name: str) -> set[str]:
        if name in FIXED:
            self.fields.offset_s = FIXED[name]
            return {"zone"}
        self.fields.zone = self.context.find_zone(BY_ZONE[name])
        self.abbreviation = name
        return {"zone"}

    def _zone_name(self, name: str, must: bool) -> set[str]:
        zone = self.context.find_zone(name)
        if zone is None and must:
            raise SqlError(f'time zone "{name}" not recognized', sqlstate="22023")
        if zone is None:
            self.bad()
        self.fields.zone = zone
        return {"zone", "named zone"}

    # -- numbers ------------------------------------------------------------------------------------

    def _labelled(self, text: str) -> set[str]:
        label, self.label = self.label, ""
        self.fields.word = None
        whole, dot, fraction = text.partition(".")
        value = int(whole or 0)
        if value > _INT_MAX:
            self.overflow()
        if label == "none" or (dot and label not in ("julian", "time", SECOND)):
            self.bad()
        if label == "time":
            taken = self._run_together(text, True)
            if taken != _FULL_TIME:
                self.bad()
            return taken
        if label == "julian":
            self._set_julian(value)
            if not dot:
                return set(_FULL_DATE)
            seconds, self.part_us = divmod(round(float(f"0.{fraction or 0}") * cal.DAY_US), cal.SECOND_US)
            self.values |= {HOUR: seconds // 3600, MINUTE: seconds // 60 % 60, SECOND: seconds % 60}
            return {*_FULL_DATE, *_FULL_TIME}
        if label == MONTH and {MONTH, HOUR} <= self.seen:
            label = MINUTE
        self.values[label] = value
        if label == SECOND and dot:
            self.part_us = _micros(fraction)
        return {label}

    def _set_julian(self, day: int) -> None:
        if day > _INT_MAX:
            self.overflow()
        self.values |= dict(zip((YEAR, MONTH, DAY), cal.civil_from_days(day - cal.EPOCH_JDATE), strict=True))
        self.julian = True

    def _split_date(self, text: str) -> set[str]:
        """A date with separators: the month's name first, where there is one, then the numbers in their order."""
        pieces = re.findall(r"\d+|[a-z]+", text)
        if not pieces or not text[-1].isalnum():
            self.bad()
        known, taken = self.seen, set[str]()
        named = False
        for piece in pieces:
            if piece.isalpha() and piece not in tokens.IGNORED:
                month = tokens.MONTHS.get(piece)
                if month is None or MONTH in known | taken:
                    self.bad()
                self.values[MONTH], named = month, True
                taken.add(MONTH)
        for piece in pieces:
            if piece.isalpha():
                continue
            found = self._as_field(piece, named, known | taken)
            if not found.isdisjoint(known | taken):
                self.bad()
            taken |= found
        if (known | taken) - {"year day", "zone"} != _FULL_DATE:
            self.bad()
        return taken

    def _single(self, text: str, dated: bool) -> set[str]:
        """A number by itself; ``dated``: read as where the date is known."""
        whole, dot, fraction = text.partition(".")
        known = self.seen | _FULL_DATE if dated else self.seen
        if dot:
            if len(whole) > 2:
                return self._run_together(text, True)
            self.part_us = _micros(fraction)
        return self._as_field(whole, self.named_month, known, len(text))

    def _as_field(self, digits: str, named: bool, known: set[str] | frozenset[str], length: int = 0) -> set[str]:
        """The field that a number fills, by those that are known."""
        value, length = int(digits or 0), length or len(digits)
        if value > _INT_MAX:
            self.overflow()
        dated = _FULL_DATE & known
        if length == 3 and dated == {YEAR} and 1 <= value <= 366:
            self.year_day = value
            return {MONTH, DAY, "year day"}
        field = self._which(dated, named, length)
        if field is None:
            return self._run_together(digits, True)
        if field == DAY and named and dated == {YEAR, MONTH} and length >= 3 and self.two_digits:
            # The first number was the day after all.
            self.values[DAY], self.values[YEAR] = self.values[YEAR], value
            self.two_digits = False
            return {DAY}
        self.values[field] = value
        if field == YEAR:
            self.two_digits = length <= 2
        return {field}

    def _which(self, dated: frozenset[str], named: bool, length: int) -> str | None:
        """None: the date is full, so it is a time."""
        order = self.context.order
        if not dated:
            return YEAR if length >= 3 or order == "YMD" else (DAY if order == "DMY" else MONTH)
        if dated == {MONTH}:
            return YEAR if named and (length >= 3 or order == "YMD") else DAY
        follows = {frozenset((YEAR,)): MONTH, frozenset((DAY,)): MONTH, frozenset((YEAR, MONTH)): DAY}
        if dated == {MONTH, DAY}:
            return YEAR
        if dated != _FULL_DATE and dated not in follows:
            self.bad()
        return follows.get(dated)

    def _run_together(self, text: str, dated: bool) -> set[str]:
        """``yyyymmdd``, ``hhmmss[.ffffff]`` or ``hhmm``."""
        whole, dot, fraction = text.partition(".")
        if dot:
            self.part_us = _micros(fraction)
        elif not (dated or self.seen >= _FULL_DATE) and len(whole) >= 6:
            year = int(whole[:-4])
            if year > _INT_MAX:
                self.overflow()
            self.values |= {YEAR: year, MONTH: int(whole[-4:-2]), DAY: int(whole[-2:])}
            self.two_digits |= len(whole) == 6
            return set(_FULL_DATE)
        if self.seen >= _FULL_TIME or len(whole) not in (4, 6):
            self.bad()
        self.values |= {HOUR: int(whole[:2]), MINUTE: int(whole[2:4]), SECOND: int(whole[4:] or 0)}
        return set(_FULL_TIME)

    def _offset(self, text: str) -> int:
        """Seconds east of UTC of ``+hh``, ``+hhmm``, ``+hh:mm[:ss]``."""
        match = re.match(r"([+-])(\d+)(?::(\d*)(?::(\d*))?)?", text, re.ASCII)
        if match is None:
            self.bad()
        sign, hours, minutes, seconds = match[1], int(match[2]), int(match[3] or 0), int(match[4] or 0)
        if match[3] is None and match.end() == len(text) and len(text) > 3:
            hours, minutes = divmod(hours, 100)
        if hours > _ZONE_HOURS_MAX or minutes > 59 or seconds > 59:
            raise SqlError(f'time zone displacement out of range: "{self.fields.text}"', sqlstate="22009")
        if match.end() != len(text):
            self.bad()
        offset = hours * 3600 + minutes * 60 + seconds
        return -offset if sign == "-" else offset

    # -- all of it ----------------------------------------------------------------------------------

    def _finish(self) -> None:
        fields = self.fields
        if fields.word is not None:
            return
        self._check_date()
        self._apply_half()
        if self.time_only and self._clock_overflows():
            self.overflow()
        dated, timed = self.seen >= _FULL_DATE, self.seen >= _FULL_TIME
        if not (timed if self.time_only else dated) or ("dst" in self.seen and not self._zone_may_shift()):
            self.bad()
        if dated:
            fields.date = self.values[YEAR], self.values[MONTH], self.values[DAY]
        if timed or not self.seen.isdisjoint(_FULL_TIME):
            seconds = (self.values[HOUR] * 60 + self.values[MINUTE]) * 60 + self.values[SECOND]
            fields.time_us = seconds * cal.SECOND_US + self.part_us
        if self.time_only and not dated:
            self._check_undated()
        if dated and self.abbreviation and fields.zone is not None:
            day = cal.days_from_civil(*(self.values[name] for name in (YEAR, MONTH, DAY)))
            wall_us = day * cal.DAY_US + (fields.time_us or 0)
            fields.offset_s = offset_meant(self.abbreviation, fields.zone, wall_us)

    def _check_undated(self) -> None:
        """A time without a date needs none: its zone has one offset, or is the session's."""
        named = "named zone" in self.seen
        if (named and not self._has_one_offset()) or (not named and not self.seen.isdisjoint(_FULL_DATE)):
            self.bad()

    def _zone_may_shift(self) -> bool:
        return "zone" in self.seen and self.fields.zone is None

    def _has_one_offset(self) -> bool:
        """Whether a zone is at one offset the whole year, so that a time needs no date in it."""
        zone, year = self.fields.zone, 365 * cal.DAY_US
        assert zone is not None
        return len({cal.utc_offset_s(24 * year + month * 30 * cal.DAY_US, zone) for month in range(12)}) == 1

    def _check_date(self) -> None:
        values, seen = self.values, self.seen
        if YEAR in seen and not self.julian:
            year = values[YEAR]
            if self.bc or not self.two_digits:
                if year <= 0:
                    self.overflow()
                values[YEAR] = 1 - year if self.bc else year
            elif year < 100:
                values[YEAR] = year + (2000 if year < 70 else 1900)
        if "year day" in seen:
            days = cal.days_from_civil(values[YEAR], 1, 1) + self.year_day - 1
            values |= dict(zip((YEAR, MONTH, DAY), cal.civil_from_days(days), strict=True))
        if (MONTH in seen and not 1 <= values[MONTH] <= 12) or (DAY in seen and not 1 <= values[DAY] <= 31):
            self.overflow(style=True)
        if seen >= _FULL_DATE and values[DAY] > cal.days_in_month(values[YEAR], values[MONTH]):
            self.overflow()

    def _apply_half(self) -> None:
        hour = self.values[HOUR]
        if not self.half:
            return
        if hour > 12:
            self.overflow()
        self.values[HOUR] = hour % 12 + (12 if self.half == "pm" else 0)

    def _clock_overflows(self) -> bool:
        hour, minute, second = (self.values[name] for name in (HOUR, MINUTE, SECOND))
        return hour > 24 or minute > 59 or second > 60 or (hour == 24 and bool(minute or second or self.part_us))


def _micros(fraction: str) -> int:
    return round(float(f"0.{fraction or 0}") * 1e6)
