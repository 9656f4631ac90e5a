"""The parts of a date's or time's text and the words in it, as PostgreSQL's ParseDateTime tells them apart."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.datatypes.integers import WHITESPACE

DATE, TIME, NUMBER, WORD, ZONE = "date", "time", "number", "word", "zone"
"""Kinds of parts. A DATE may turn out to be a zone's name, a NUMBER a date or a time without separators."""
PARTS_MAX: Final = 25
"""More parts than that are no date."""

_MONTH_NAMES: Final = (
    ("january", "jan"), ("february", "feb"), ("march", "mar"), ("april", "apr"), ("may",), ("june", "jun"),
    ("july", "jul"), ("august", "aug"), ("september", "sep", "sept"), ("october", "oct"), ("november", "nov"),
    ("december", "dec"),
)  # fmt: skip
MONTHS: Final = {name: number for number, names in enumerate(_MONTH_NAMES, 1) for name in names}
IGNORED: Final = frozenset(("at", "on"))
WEEKDAYS: Final = frozenset(
    (
        *("sun", "sunday", "mon", "monday", "tue", "tues", "tuesday", "wed", "wednesday", "weds"),
        *("thu", "thur", "thurs", "thursday", "fri", "friday", "sat", "saturday"),
    )
)
UNITS: Final = {
    "y": "year", "m": "month", "d": "day", "h": "hour", "mm": "minute", "s": "second", "j": "julian", "jd": "julian",
    "julian": "julian", "dow": "", "doy": "", "isodow": "", "isoyear": "",
}  # fmt: skip
"""Labels that say what the next number is; '' is a field that cannot be read."""
RESERVED: Final = frozenset(("infinity", "-infinity", "epoch", "now", "today", "tomorrow", "yesterday", "allballs"))
_WORDS: Final = frozenset((*MONTHS, *IGNORED, *WEEKDAYS, *UNITS, *RESERVED, "ad", "bc", "am", "pm", "dst", "t"))
"""What cannot begin the name of a time zone."""

_TIME: Final = re.compile(r"\d+:[\d:.]*", re.ASCII)
_DATE: Final = re.compile(r"\d+([-/.])(?:(\d+)(\1[\d\1]*)?|[A-Za-z\d\-/.]*)", re.ASCII)
_NUMBER: Final = re.compile(r"\d+|\.\d*", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z]+", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z\d+\-/_.:]+", re.ASCII)
_SIGNED: Final = re.compile(r"([+-])[ \t\n\r\f\v]*(?:(\d[\d:.\-]*)|([A-Za-z]+))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """One part, in lower case."""

    kind: str
    text: str


def parts_of(text: str) -> list[Part] | None:
    """The parts of a text; None when it has a character that none can begin with, or too many."""
    found: list[Part] = []
    at = 0
    while at < len(text):
        first = text[at]
        if first in WHITESPACE or (first in string.punctuation and first not in "+-."):
            at += 1
            continue
        read = _part(text, at)
        if read is None or len(found) >= PARTS_MAX:
            return None
        part, at = read
        found.append(part)
    return found


def _part(text: str, at: int) -> tuple[Part, int] | None:
    first = text[at]
    if first in "+-":
        match = _SIGNED.match(text, at)
        if match is None:
            return None
        sign, digits, word = match.groups()
        return Part(ZONE if digits else WORD, sign + (digits or word.lower())), match.end()
    if first.isascii() and first.isdigit():
        return _numeric(text, at)
    if first == ".":
        match = _NUMBER.match(text, at)
        return None if match is None else (Part(NUMBER, match[0]), match.end())
    match = _WORD.match(text, at)
    return None if match is None else _named(text, match)


def _numeric(text: str, at: int) -> tuple[Part, int] | None:
    match = _TIME.match(text, at)
    if match is not None:
        return Part(TIME, match[0]), match.end()
    match = _DATE.match(text, at)
    if match is not None:
        delimiter, digits, third = match.groups()
        if not digits:
            # A month's name: only the first separator may come again.
            match = re.compile(rf"\d+{re.escape(delimiter)}[A-Za-z\d{re.escape(delimiter)}]*", re.ASCII).match(text, at)
            assert match is not None
        elif third:
            match = re.compile(rf"\d+{re.escape(delimiter)}[\d{re.escape(delimiter)}]*", re.ASCII).match(text, at)
            assert match is not None
        kind = NUMBER if delimiter == "." and digits and not third else DATE
        return Part(kind, match[0].lower()), match.end()
    match = _NUMBER.match(text, at)
    return None if match is None else (Part(NUMBER, match[0]), match.end())


def _named(text: str, match: re.Match[str]) -> tuple[Part, int]:
    """A word, or with punctuation or digits behind it a date or the name of a zone."""
    end, word = match.end(), match[0].lower()
    following = text[end : end + 1]
    digits = following.isascii() and following.isdigit()
    joined = (following and following in "-/.") or ((following == "+" or digits) and word not in _WORDS)
    if not joined:
        return Part(WORD, word), end
    whole = _NAME.match(text, match.start())
    assert whole is not None
    return Part(DATE, whole[0].lower()), whole.end()
