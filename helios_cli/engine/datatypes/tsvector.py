"""tsvector: sorted lexemes with their positions and weights; stored as the text PostgreSQL prints (tsvector.c)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.received import Received
from helios_cli.engine.errors import SqlError

Position = tuple[int, int]
"""A place in the document, from 1, and its weight: 3 is A, 0 is D."""
Lexemes = dict[str, tuple[Position, ...]]
"""In the order of their bytes; no positions where the vector was stripped."""

POSITION_MAX: Final = 16383
POSITIONS_MAX: Final = 255
LEXEME_MAX: Final = 2046
WEIGHTS: Final = "DCBA"
_LEXEMES_MAX: Final = 0x3FFF_FFFF // 4
"""Of those that a message may announce (MaxAllocSize)."""
_COUNT: Final = Struct("!i")
_SHORT: Final = Struct("!H")


def ordered(found: dict[str, Iterable[Position]]) -> Lexemes:
    """Lexemes in order, each position once with its greatest weight, no more positions than are kept."""
    result: Lexemes = {}
    for lexeme in sorted(found):
        weights: dict[int, int] = {}
        for place, weight in found[lexeme]:
            place = min(place, POSITION_MAX)
            weights[place] = max(weight, weights.get(place, 0))
        result[lexeme] = tuple(sorted(weights.items())[:POSITIONS_MAX])
    return result


def write(lexemes: Lexemes) -> str:
    """``'cat':3A 'fat':2,4``."""
    return " ".join(quote(lexeme) + _positions(places) for lexeme, places in lexemes.items())


def quote(lexeme: str) -> str:
    """A lexeme as it is printed."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


def _positions(places: tuple[Position, ...]) -> str:
    if not places:
        return ""
    return ":" + ",".join(f"{place}{WEIGHTS[weight] if weight else ''}" for place, weight in places)


@lru_cache(1024)
def read(text: str) -> Lexemes:
    """The lexemes of a stored vector, or of any text that is one. Raises SqlError 42601, 54000."""
    return ordered(_Reader(text).run())


def parse_tsvector(text: str) -> str:
    """The canonical text."""
    return write(read(text))


class _Reader:
    """tsvectorin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def run(self) -> dict[str, Iterable[Position]]:
        found: dict[str, list[Position]] = {}
        text = self.text
        while True:
            while self.at < len(text) and text[self.at].isspace():
                self.at += 1
            if self.at >= len(text):
                return dict(found)
            lexeme = self._quoted() if text[self.at] == "'" else self._bare()
            size = len(lexeme.encode("utf-8", "replace"))
            if size > LEXEME_MAX:
                message = f"word is too long ({size} bytes, max {LEXEME_MAX} bytes)"
                raise SqlError(message, sqlstate="54000")
            found.setdefault(lexeme, []).extend(self._places())

    def _error(self) -> SqlError:
        return SqlError(f'syntax error in tsvector: "{self.text}"', sqlstate="42601")

    def _bare(self) -> str:
        out: list[str] = []
        text = self.text
        while self.at < len(text) and not text[self.at].isspace():
            letter = text[self.at]
            if letter == ":":
                break
            if letter == "\\":
                self.at += 1
                if self.at >= len(text):
                    raise SqlError(f'there is no escaped character: "{text}"', sqlstate="42601")
                letter = text[self.at]
            out.append(letter)
            self.at += 1
        if not out:
            raise self._error()
        return "".join(out)

    def _quoted(self) -> str:
        out: list[str] = []
        text = self.text
        self.at += 1
        while self.at < len(text):
            letter = text[self.at]
            if letter == "'":
                if text[self.at + 1 : self.at + 2] != "'":
                    self.at += 1
                    if not out:
                        raise self._error()
                    return "".join(out)
                self.at += 1
            elif letter == "\\" and self.at + 1 < len(text):
                self.at += 1
                letter = text[self.at]
            out.append(letter)
            self.at += 1
        raise self._error()

    def _places(self) -> list[Position]:
        text = self.text
        places: list[Position] = []
        if text[self.at : self.at + 1] != ":":
            return places
        while True:
            self.at += 1
            start = self.at
            while self.at < len(text) and text[self.at].isdigit():
                self.at += 1
            if start == self.at:
                raise self._error()
            place = int(text[start : self.at])
            if not place:
                raise SqlError(f'wrong position info in tsvector: "{text}"', sqlstate="42601")
            weight = 0
            while self.at < len(text) and text[self.at] in "aAbBcCdD*":
                weight = 3 if text[self.at] == "*" else WEIGHTS.index(text[self.at].upper())
                self.at += 1
            places.append((place, weight))
            following = text[self.at : self.at + 1]
            if following != ",":
                if following and not following.isspace():
                    raise self._error()
                return places


def format_tsvector_binary(value: Any) -> bytes:
    """The number of lexemes, then of each its bytes, a zero, and its positions with their weights."""
    lexemes = read(show(value))
    parts = [_COUNT.pack(len(lexemes))]
    for lexeme, places in lexemes.items():
        parts += (lexeme.encode("utf-8", "replace"), b"\0", _SHORT.pack(len(places)))
        parts += (_SHORT.pack(weight << 14 | place) for place, weight in places)
    return b"".join(parts)


def parse_tsvector_binary(data: bytes) -> str:
    """What :func:`format_tsvector_binary` writes. Raises SqlError 08P01, 22P03, 22021, XX000."""
    message, found = Received(data), dict[str, Iterable[Position]]()
    count = message.number(4, signed=True)
    if not 0 <= count <= _LEXEMES_MAX:
        raise SqlError("invalid size of tsvector", sqlstate="XX000")
    for _ in range(count):
        lexeme = message.string()
        places = message.number(2)
        if places > POSITIONS_MAX + 1:
            raise SqlError("unexpected number of tsvector positions", sqlstate="XX000")
        words = [message.number(2) for _ in range(places)]
        if any(one & POSITION_MAX >= other & POSITION_MAX for one, other in pairwise(words)):
            raise SqlError("position information is misordered", sqlstate="XX000")
        found[lexeme] = [(word & POSITION_MAX, word >> 14) for word in words]
    message.end()
    return write(ordered(found))
