"""ts_headline: the piece of a document that shows best how it answers a query (wparser_def.c, prsd_headline)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from helios_cli.engine.datatypes.tsmatch import matches
from helios_cli.engine.datatypes.tsparser import INDEXED, lexeme, pieces
from helios_cli.engine.datatypes.tsquery import Query, Value, nodes
from helios_cli.engine.datatypes.tsvector import POSITION_MAX, Position
from helios_cli.engine.errors import SqlError

_OPTION: Final = re.compile(
    r"""\s*(\w+)\s*=\s*(?:(?P<quote>['"])(?P<quoted>(?:(?!(?P=quote)).|(?P=quote){2})*)(?P=quote)|([^\s'"][^,\s]*))"""
    r"""\s*(?:,|$)""",
    re.DOTALL,
)
"""As deserialize_deflist reads them: a value ends at a comma or space unless it is quoted."""
_NUMBERS: Final = {"maxwords": "most", "minwords": "least", "shortword": "short", "maxfragments": "fragments"}
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
    everything: bool = False


def read_options(text: str) -> Options:
    """From ``StartSel=<, StopSel=>``. Raises SqlError 22023."""
    options = Options()
    for name, value in _pairs(text):
        folded = name.lower()
        if folded in ("startsel", "stopsel"):
            setattr(options, folded.removesuffix("sel"), value)
        elif folded == "highlightall":
            options.everything = value.lower() in ("1", "on", "true", "t", "y", "yes")
        elif folded in _NUMBERS:
            try:
                setattr(options, _NUMBERS[folded], int(value))
            except ValueError:
                raise SqlError(f'invalid input syntax for type integer: "{value}"', sqlstate="22P02") from None
        elif folded != "fragmentdelimiter":
            raise SqlError(f'unrecognized headline parameter: "{name}"', sqlstate="22023")
    if options.fragments:
        raise SqlError("ts_headline() with MaxFragments is not supported", sqlstate="0A000", hint="Leave it out.")
    if not options.everything:
        _check(options)
    return options


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        found = _OPTION.match(text, at)
        if found is None:
            raise SqlError(f'invalid parameter list format: "{text}"', sqlstate="42601")
        quote = found["quote"]
        yield found[1], found[4] if quote is None else found["quoted"].replace(quote * 2, quote)
        at = found.end()


def _check(options: Options) -> None:
    if options.least >= options.most:
        raise SqlError("MinWords should be less than MaxWords", sqlstate="22023")
    if options.least <= 0:
        raise SqlError("MinWords should be positive", sqlstate="22023")
    if options.short < 0:
        raise SqlError("ShortWord should be >= 0", sqlstate="22023")


class _Document:
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

    def _in_words(self, places: list[Position]) -> list[Position]:
        return [(self.places[at - 1], weight) for at, weight in places]


def headline(text: str, query: Query | None, chosen: str, options: Options) -> str:
    """The piece, with what the query names between the marks."""
    document = _Document(text, query, chosen, options)
    begin, end = (0, len(document.pieces) - 1) if options.everything else _best(document)
    out = []
    for at in range(begin, end + 1):
        piece = document.pieces[at]
        if piece.kind == "tag":
            out.append(piece.text if options.everything else " ")
        elif piece.kind != "compound":
            out.append(options.start + piece.text + options.stop if document.named[at] else piece.text)
    return "".join(out)


def _best(document: _Document) -> tuple[int, int]:
    best: tuple[int, int] | None = None
    score = (False, -1, False)
    start = 0
    while (cover := document.cover(start)) is not None:
        begin, end, named = _stretched(document, *cover)
        worth = (begin <= cover[0] and end >= cover[1], named, not document.ends_badly(end))
        if best is None or worth > score:
            best, score = (begin, end), worth
        start = cover[0] + 1
    if best is not None:
        return best
    words = end = at = 0
    while at < len(document.pieces) and words < document.options.least:
        words += document.counts(at)
        end, at = at, at + 1
    return 0, end if document.pieces else -1


def _stretched(document: _Document, first: int, last: int) -> tuple[int, int, int]:
    """A cover made as long as a headline should be: begin, end, and how many words of the query are in it."""
    least, most = document.options.least, document.options.most
    words = named = 0
    begin = end = at = first
    while at <= last and words < most:
        words += document.counts(at)
        named += document.named[at]
        end, at = at, at + 1
    if words < most:
        at -= 1
        while at < len(document.pieces) and words < most:
            if at > last:
                words += document.counts(at)
                named += document.named[at]
            end = at
            if not document.ends_badly(at) and words >= least:
                break
            at += 1
        if words < least:
            at = first - 1
            while at >= 0:
                words += document.counts(at)
                named += document.named[at]
                if words >= most or (not document.ends_badly(at) and words >= least):
                    break
                at -= 1
            begin = max(at, 0)
        return begin, end, named
    at = min(at, last)
    while words > least and document.ends_badly(at):
        words -= document.counts(at)
        named -= document.named[at]
        end, at = at - 1, at - 1
    return begin, end, named
