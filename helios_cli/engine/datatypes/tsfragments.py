"""ts_headline with MaxFragments: the pieces of a document that answer a query best (mark_hl_fragments)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helios_cli.engine.datatypes.tsdocument import Document


@dataclass(slots=True)
class _Fragment:
    """Pieces ``begin`` to ``end``, both in it, with so many words, and words of the query."""

    begin: int
    end: int
    words: int
    named: int
    free: bool = True


def fragments(document: Document) -> list[tuple[int, int]]:
    """The first and last piece of each fragment, in the order of the document."""
    found = list(_candidates(document))
    taken: list[_Fragment] = []
    for _ in range(document.options.fragments):
        free = [fragment for fragment in found if fragment.free]
        if not free:
            break
        best = min(free, key=lambda fragment: (-fragment.named, fragment.words))
        _stretch(document, best, taken)
        taken.append(best)
        best.free = False
        for other in free:
            if other.begin <= best.end and other.end >= best.begin:
                other.free = False
    if not taken:
        return [document.beginning()]
    return sorted((fragment.begin, fragment.end) for fragment in taken)


def _candidates(document: Document) -> Iterator[_Fragment]:
    """The covers, cut into pieces that are short enough and begin and end with a word of the query."""
    start = 0
    while (cover := document.cover(start)) is not None:
        begin, last = cover
        while begin <= last:
            fragment = _cut(document, begin, last)
            yield fragment
            begin = fragment.end + 1
        start = cover[0] + 1


def _cut(document: Document, begin: int, end: int) -> _Fragment:
    """As get_next_fragment cuts it."""
    begin = next((at for at in range(begin, end + 1) if document.named[at]), end)
    words = named = 0
    at = begin
    while at <= end and words < document.options.most:
        words += document.counts(at)
        named += document.named[at]
        at += 1
    if end > at:
        end = at
        while end > begin and not document.named[end]:
            words -= document.counts(end)
            end -= 1
    return _Fragment(begin, end, words, named)


def _stretch(document: Document, fragment: _Fragment, taken: list[_Fragment]) -> None:
    """Make a fragment longer on both sides, up to others, and end it well."""
    most = document.options.most
    if fragment.words >= most:
        return
    inside = {at for other in taken for at in range(other.begin, other.end + 1)}
    stretch = (most - fragment.words) // 2
    begin = fragment.begin
    while begin > 0 and stretch > 0 and begin - 1 not in inside:
        begin -= 1
        stretch -= document.counts(begin)
        fragment.words += document.counts(begin)
    while begin < fragment.begin and document.ends_badly(begin):
        fragment.words -= document.counts(begin)
        begin += 1
    end = fragment.end
    while end + 1 < len(document.pieces) and fragment.words < most and end + 1 not in inside:
        end += 1
        fragment.words += document.counts(end)
    while end > fragment.end and document.ends_badly(end):
        fragment.words -= document.counts(end)
        end -= 1
    fragment.begin, fragment.end = begin, end
