"""ltree, lquery and ltxtquery: paths of labels and the patterns over them (contrib/ltree)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes.faults import insufficient_data
from helios_cli.engine.datatypes.strings import format_string
from helios_cli.engine.datatypes.utf8 import decode_utf8
from helios_cli.engine.errors import SqlError

LEVELS_MAX: Final = 65_535
LABEL_MAX: Final = 255
_VERSION: Final = 1
_LABEL: Final = re.compile(r"\w+")
_VARIANT: Final = re.compile(r"(\w+)([@*%]*)")
_COUNT: Final = re.compile(r"\{(?:(\d+)|(\d*),(\d*))\}")
_WORD: Final = re.compile(r"\s*(?:([!&|()])|(\w+)([@*%]*))")


def _fault(kind: str, at: int, detail: str | None = None) -> SqlError:
    return SqlError(f"{kind} syntax error at character {at + 1}", sqlstate="42601", detail=detail)


def _ended(kind: str) -> SqlError:
    return SqlError(f"{kind} syntax error", sqlstate="42601", detail="Unexpected end of input.")


def _check_label(label: str, at: int) -> None:
    if len(label) > LABEL_MAX:
        detail = f"Label length is {len(label)}, must be at most {LABEL_MAX}, at character {at + 1}."
        raise SqlError("label string is too long", sqlstate="42622", detail=detail)


# Paths ---------------------------------------------------------------------------------------------------------------


def labels(path: str) -> list[str]:
    """The labels of a path; none of the empty one."""
    return path.split(".") if path else []


def parse_ltree(text: str) -> str:
    """A path as it is kept. Raises 42601 for what is none, 42622 for a label that is too long."""
    at = 0
    while text:
        match = _LABEL.match(text, at)
        if match is None:
            raise _ended("ltree") if at >= len(text) else _fault("ltree", at)
        _check_label(match[0], at)
        at = match.end()
        if at == len(text):
            break
        if text[at] != ".":
            raise _fault("ltree", at)
        at += 1
    if text.count(".") >= LEVELS_MAX:
        message = f"number of ltree labels ({text.count('.') + 1}) exceeds the maximum allowed ({LEVELS_MAX})"
        raise SqlError(message, sqlstate="54000")
    return text


# Words of patterns ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """A label of a pattern: ``@`` ignores case, ``*`` matches beginnings, ``%`` words between underscores."""

    text: str
    folds: bool
    prefix: bool
    parts: bool

    def matches(self, label: str) -> bool:
        """Whether it stands for a label."""
        wanted, found = (self.text.lower(), label.lower()) if self.folds else (self.text, label)
        if not self.parts:
            return self._same(wanted, found)
        words = [word for word in found.split("_") if word]
        return all(any(self._same(part, word) for word in words) for part in wanted.split("_") if part)

    def _same(self, wanted: str, found: str) -> bool:
        return found.startswith(wanted) if self.prefix else found == wanted

    def __str__(self) -> str:
        return self.text + "%" * self.parts + "@" * self.folds + "*" * self.prefix


def _word(text: str, marks: str) -> Word:
    return Word(text, "@" in marks, "*" in marks, "%" in marks)


# Patterns of paths ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """A level of an lquery: how often, and what; no words stand for any label."""

    words: tuple[Word, ...]
    negated: bool
    low: int
    high: int
    counted: bool
    """A count was written down."""

    def matches(self, label: str) -> bool:
        """Whether one label fits."""
        return not self.words or any(word.matches(label) for word in self.words) != self.negated

    def __str__(self) -> str:
        body = "!" * self.negated + "|".join(map(str, self.words)) or "*"
        if not self.counted or (not self.words and (self.low, self.high) == (0, LEVELS_MAX)):
            return body
        if self.low == self.high:
            return f"{body}{{{self.low}}}"
        low, high = self.low or "", "" if self.high == LEVELS_MAX else self.high
        return f"{body}{{{low},{high}}}"


@lru_cache(maxsize=1024)
def read_lquery(text: str) -> tuple[Step, ...]:
    """The levels of a pattern. Raises 42601."""
    steps: list[Step] = []
    at = 0
    while True:
        step, at = _read_step(text, at)
        steps.append(step)
        if at == len(text):
            return tuple(steps)
        if text[at] != ".":
            raise _fault("lquery", at)
        at += 1


def _read_step(text: str, at: int) -> tuple[Step, int]:
    words: list[Word] = []
    negated, star = text.startswith("!", at), text.startswith("*", at)
    at += negated or star
    while not star:
        match = _VARIANT.match(text, at)
        if match is None:
            raise _ended("lquery") if at >= len(text) else _fault("lquery", at)
        _check_label(match[1], at)
        words.append(_word(match[1], match[2]))
        at = match.end()
        if not text.startswith("|", at):
            break
        at += 1
    low, high = (0, LEVELS_MAX) if star else (1, 1)
    counted = text.startswith("{", at)
    if counted:
        count = _COUNT.match(text, at)
        if count is None:
            raise _fault("lquery", at + 1)
        low, high, at = *_limits(count), count.end()
    return Step(tuple(words), negated, low, high, counted), at


def _limits(count: re.Match[str]) -> tuple[int, int]:
    first, last = (1, 1) if count[1] is not None else (2, 3)
    low, high = int(count[first] or 0), int(count[last] or LEVELS_MAX)
    for name, limit, group in (("Low", low, first), ("High", high, last)):
        if limit > LEVELS_MAX:
            at = count.start(group) + 1
            detail = f"{name} limit ({limit}) exceeds the maximum allowed ({LEVELS_MAX}), at character {at}."
            raise SqlError("lquery syntax error", sqlstate="42601", detail=detail)
    if low > high:
        at = count.start(last) + 1
        detail = f"Low limit ({low}) is greater than high limit ({high}), at character {at}."
        raise SqlError("lquery syntax error", sqlstate="42601", detail=detail)
    return low, high


def parse_lquery(text: str) -> str:
    """A pattern as PostgreSQL prints it. Raises 42601."""
    return ".".join(map(str, read_lquery(text)))


def matches_lquery(path: str, pattern: str) -> bool:
    """``ltree ~ lquery``: the set of places in the path that the levels so far may have come to."""
    found = labels(path)
    places = {0}
    for step in read_lquery(pattern):
        reached: set[int] = set()
        for place in places:
            reached.update(_ends(step, found, place))
        if not reached:
            return False
        places = reached
    return len(found) in places


def _ends(step: Step, found: list[str], place: int) -> list[int]:
    ends = [place] if step.low == 0 else []
    for taken in range(1, min(step.high, len(found) - place) + 1):
        if not step.matches(found[place + taken - 1]):
            break
        if taken >= step.low:
            ends.append(place + taken)
    return ends


# Searches ------------------------------------------------------------------------------------------------------------

Search = Word | tuple[str, Any, Any]
"""A word, or an operator with its operands; the second one of ``!`` is None."""


class _Searches:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.sign = ""
        self.word: Word | None = None
        self.step()

    def step(self) -> None:
        """Read the next token: a sign, a word, or at the end neither."""
        self.sign, self.word = "", None
        if not self.text[self.at :].strip():
            self.at = len(self.text)
            return
        match = _WORD.match(self.text, self.at)
        if match is None:
            raise SqlError("operand syntax error", sqlstate="42601")
        self.at = match.end()
        self.sign = match[1] or ""
        self.word = None if self.sign else _word(match[2], match[3])

    def either(self) -> Search:
        found = self.both()
        while self.sign == "|":
            self.step()
            found = ("|", found, self.both())
        return found

    def both(self) -> Search:
        found = self.single()
        while self.sign == "&":
            self.step()
            found = ("&", found, self.single())
        return found

    def single(self) -> Search:
        sign, word = self.sign, self.word
        if not sign and word is None:
            raise SqlError("operand syntax error", sqlstate="42601")
        self.step()
        if word is not None:
            return word
        if sign == "!":
            return ("!", self.single(), None)
        if sign != "(":
            raise SqlError("operand syntax error", sqlstate="42601")
        found = self.either()
        if self.sign != ")":
            raise SqlError("syntax error", sqlstate="42601")
        self.step()
        return found


@lru_cache(maxsize=1024)
def read_ltxtquery(text: str) -> Search | None:
    """A search as a tree; None of an empty one. Raises 42601."""
    if not text.strip():
        return None
    reader = _Searches(text)
    found = reader.either()
    if reader.sign or reader.word is not None:
        raise SqlError("syntax error", sqlstate="42601")
    return found


def _shown(search: Search, first: bool = True) -> str:
    if isinstance(search, Word):
        return str(search)
    sign, left, right = search
    if sign == "!":
        return f"!{_shown(left)}" if isinstance(left, Word) else f"!( {_shown(left)} )"
    text = f"{_shown(left, False)} {sign} {_shown(right, False)}"
    return f"( {text} )" if sign == "|" and not first else text


def parse_ltxtquery(text: str) -> str:
    """A search as PostgreSQL prints it. Raises 42601."""
    found = read_ltxtquery(text)
    return "" if found is None else _shown(found)


def matches_ltxtquery(path: str, text: str) -> bool:
    """``ltree @ ltxtquery``."""
    found = labels(path)

    def holds(search: Search) -> bool:
        if isinstance(search, Word):
            return any(search.matches(label) for label in found)
        sign, left, right = search
        if sign == "!":
            return not holds(left)
        return (holds(left) and holds(right)) if sign == "&" else (holds(left) or holds(right))

    search = read_ltxtquery(text)
    return search is not None and holds(search)


# Binary --------------------------------------------------------------------------------------------------------------


def binary_reader(name: str, parse: Callable[[str], str]) -> Callable[[bytes], str]:
    """From the binary form: a version byte, then the text. Raises XX000 for another version."""

    def read(data: bytes) -> str:
        if not data:
            raise insufficient_data()
        if data[0] != _VERSION:
            version = data[0]
            raise SqlError(f"unsupported {name} version number {version}", sqlstate="XX000")
        return parse(decode_utf8(data[1:]))

    return read


def format_binary(value: Any) -> bytes:
    """The binary form of a stored value of any of the three."""
    return bytes((_VERSION,)) + format_string(value)
