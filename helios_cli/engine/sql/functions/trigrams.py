"""pg_trgm: how alike texts are, by the groups of three letters they share (PostgreSQL manual, F.35; trgm_op.c)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import Struct
from typing import Final

from helios_cli.engine.datatypes.arrays import quote_element
from helios_cli.engine.datatypes.tsorder import legacy_crc
from helios_cli.engine.sql.functions.define import Library

SIMILARITY_LIMIT: Final = 0.3
WORD_LIMIT: Final = 0.6
STRICT_WORD_LIMIT: Final = 0.5
_WORD: Final = re.compile(r"[^\W_]+")
_FLOAT4: Final = Struct("<f")


def _float4(value: float) -> float:
    single: float = _FLOAT4.unpack(_FLOAT4.pack(value))[0]
    return single


def _words(text: str) -> Iterator[list[str]]:
    """The trigrams of each word, in order; a word counts with two spaces before it and one behind."""
    for word in _WORD.findall(text):
        padded = f"  {word.lower()} "
        yield [padded[at : at + 3] for at in range(len(padded) - 2)]


def _trigrams(text: str) -> set[str]:
    return {one for word in _words(text) for one in word}


def _similarity(one: str, other: str) -> float:
    left, right = _trigrams(one), _trigrams(other)
    shared = len(left & right)
    return _float4(shared / (len(left) + len(right) - shared)) if shared else 0.0


def _shown(trigram: str) -> tuple[list[int], str]:
    """A trigram's place in the order, by signed bytes, and how show_trgm() writes it: hashed when it is not ASCII."""
    octets = trigram.encode()
    if len(octets) == len(trigram):
        return list(octets), trigram
    hashed = legacy_crc(octets) & 0xFFFFFF
    kept = hashed.to_bytes(4, "little")[:3]
    return [octet - 256 if octet > 127 else octet for octet in kept], f"0x{int.from_bytes(kept, 'big'):06x}"


def _show(text: str) -> str:
    return "{" + ",".join(quote_element(name) for _, name in sorted(map(_shown, _trigrams(text)))) + "}"


class _Extent:
    """The stretch of a text whose trigrams are most like those of another (iterate_word_similarity)."""

    def __init__(self, wanted: str, text: str, *, strict: bool) -> None:
        self.strict = strict
        self.wanted = _trigrams(wanted)
        words = list(_words(text))
        self.text = [one for word in words for one in word]
        self.first = {at for at, _ in self._bounds(words)}
        self.last = {at for _, at in self._bounds(words)}
        self.seen: dict[str, int] = {}

    @staticmethod
    def _bounds(words: list[list[str]]) -> Iterator[tuple[int, int]]:
        at = 0
        for word in words:
            yield at, at + len(word) - 1
            at += len(word)

    def _alike(self, count: int, other: int) -> float:
        return _float4(count / (len(self.wanted) + other - count)) if self.wanted or other else 0.0

    def best(self) -> float:
        """The greatest similarity."""
        lower, different, count, most = (0 if self.strict else -1), 0, 0, 0.0
        for upper, trigram in enumerate(self.text):
            if lower >= 0 or trigram in self.wanted:
                if trigram not in self.seen:
                    different += 1
                    count += trigram in self.wanted
                self.seen[trigram] = upper
            if not (upper in self.last if self.strict else trigram in self.wanted):
                continue
            if lower == -1:
                lower, different = upper, 1
            likeness, moved, different, count = self._shrunk(lower, upper, different, count)
            most = max(most, likeness)
            for at in range(lower, moved):
                if self.seen.get(self.text[at]) == at:
                    del self.seen[self.text[at]]
            lower = moved
        return most

    def _shrunk(self, lower: int, upper: int, different: int, count: int) -> tuple[float, int, int, int]:
        """The best begin of a stretch that ends at ``upper``: its likeness, begin, trigrams, and shared ones."""
        best = (self._alike(count, different), lower, different, count)
        for at in range(lower, upper + 1):
            if not self.strict or at in self.first:
                likeness = self._alike(count, different)
                if likeness > best[0]:
                    best = (likeness, at, different, count)
            if self.seen.get(self.text[at]) == at:
                different -= 1
                count -= self.text[at] in self.wanted
        return best


def _word_similarity(wanted: str, text: str) -> float:
    return _Extent(wanted, text, strict=False).best()


def _strict_word_similarity(wanted: str, text: str) -> float:
    return _Extent(wanted, text, strict=True).best()


def install(lib: Library) -> None:
    """Declare them."""
    d = lib.define
    d("similarity", "text text -> float4", _similarity)
    d("word_similarity", "text text -> float4", _word_similarity)
    d("strict_word_similarity", "text text -> float4", _strict_word_similarity)
    d("show_trgm", "text -> text[]", _show)
    lib.helper("fn_trigram_distance", lambda likeness: _float4(1.0 - likeness), 1)
    d("show_limit", "-> float4", sql=str(SIMILARITY_LIMIT), stable=True)
