"""A document as ts_headline sees it: its pieces, and which of them the query names (wparser_def.c)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from helios_cli.engine.datatypes.tsmatch import matches
from helios_cli.engine.datatypes.tsparser import INDEXED, lexeme, pieces
from helios_cli.engine.datatypes.tsquery import Query, Value, nodes
from helios_cli.engine.datatypes.tsvector import POSITION_MAX, Position

_COVER_MAX: Final = 1000
"""Pieces that are looked at for one cover."""


@dataclass(slots=True)
class Options:
    """As the manual describes them (12.3.4)."""

    start: str = "<b>"
    stop: str = "</b>"
    most: int = 35
    least: int = 15
    short: int = 3
    fragments: int = 0
    """How many pieces at most; 0: one, chosen in another way."""
    delimiter: str = " ... "
    everything: bool = False


class Document:
    """A document's pieces, and which of them the query names."""

    def __init__(self, text: str, query: Query | None, chosen: str, options: Options) -> None:
        self.pieces = list(pieces(text))
        self.query = query
        self.options = options
        values = [node for node in nodes(query) if isinstance(node, Value)]
        self.lexemes = [lexeme(piece, chosen) if piece.kind in INDEXED else None for piece in self.pieces]
        self.places = list(accumulate(int(piece.kind in INDEXED) for piece in self.pieces))
        """The position in words of each piece."""
        self.named = [
            found is not None
            and any(found == value.lexeme or (value.prefix and found.startswith(value.lexeme)) for value in values)
            for found in self.lexemes
        ]

    def counts(self, at: int) -> bool:
        """Whether a piece is a word of the headline."""
        return self.pieces[at].kind in ("word", "simple", "number")

    def ends_badly(self, at: int) -> bool:
        """Whether the headline should not end with a piece."""
        piece = self.pieces[at]
        plain = piece.kind in ("word", "simple") and len(piece.text) > self.options.short
        return not plain and not self.named[at]

    def cover(self, start: int) -> tuple[int, int] | None:
        """The first shortest piece from ``start`` on that answers the query."""
        named = [at for at in range(start, len(self.pieces)) if self.named[at]]
        for number, begin in enumerate(named):
            found: dict[str, list[Position]] = {}
            for end in named[number : number + _COVER_MAX]:
                found.setdefault(self.lexemes[end] or "", []).append((min(end + 1, POSITION_MAX), 0))
                places = {name: tuple(self._in_words(where)) for name, where in found.items()}
                if matches(places, self.query):
                    return begin, end
        return None

    def beginning(self) -> tuple[int, int]:
        """What is shown where the query is not answered."""
        words = end = at = 0
        while at < len(self.pieces) and words < self.options.least:
            words += self.counts(at)
            end, at = at, at + 1
        return 0, end if self.pieces else -1

    def _in_words(self, places: list[Position]) -> list[Position]:
        return [(self.places[at - 1], weight) for at, weight in places]
