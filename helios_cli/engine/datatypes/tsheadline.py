"""ts_headline: the piece of a document that shows best how it answers a query (wparser_def.c, prsd_headline)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from helios_cli.engine.datatypes.tsdocument import Document, Options
from helios_cli.engine.datatypes.tsfragments import fragments
from helios_cli.engine.datatypes.tsquery import Query
from helios_cli.engine.errors import SqlError

_OPTION: Final = re.compile(
    r"""\s*(\w+)\s*=\s*(?:(?P<quote>['"])(?P<quoted>(?:(?!(?P=quote)).|(?P=quote){2})*)(?P=quote)|([^\s'"][^,\s]*))"""
    r"""\s*(?:,|$)""",
    re.DOTALL,
)
"""As deserialize_deflist reads them: a value ends at a comma or space unless it is quoted."""
_NUMBERS: Final = {"maxwords": "most", "minwords": "least", "shortword": "short", "maxfragments": "fragments"}


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
        elif folded == "fragmentdelimiter":
            options.delimiter = value
        else:
            raise SqlError(f'unrecognized headline parameter: "{name}"', sqlstate="22023")
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
    if options.fragments < 0:
        raise SqlError("MaxFragments should be >= 0", sqlstate="22023")


def headline(text: str, query: Query | None, chosen: str, options: Options) -> str:
    """The piece, or pieces, with what the query names between the marks."""
    document = Document(text, query, chosen, options)
    if options.everything:
        shown = [(0, len(document.pieces) - 1)]
    elif options.fragments:
        shown = fragments(document)
    else:
        shown = [_best(document)]
    out: list[str] = []
    last = None
    for begin, end in shown:
        if last is not None and begin != last + 1:
            out.append(options.delimiter)
        out += _marked(document, begin, end)
        last = end
    return "".join(out)


def _marked(document: Document, begin: int, end: int) -> Iterator[str]:
    options = document.options
    for at in range(begin, end + 1):
        piece = document.pieces[at]
        if piece.kind == "tag":
            yield piece.text if options.everything else " "
        elif piece.kind != "compound":
            yield options.start + piece.text + options.stop if document.named[at] else piece.text


def _best(document: Document) -> tuple[int, int]:
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
    return document.beginning()


def _stretched(document: Document, first: int, last: int) -> tuple[int, int, int]:
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
