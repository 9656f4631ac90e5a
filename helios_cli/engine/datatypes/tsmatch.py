"""Whether a tsvector answers a tsquery, and how well: ``@@``, ts_rank, ts_rank_cd (tsvector_op.c, tsrank.c)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Final

from helios_cli.engine.datatypes.tsquery import AND, NOT, OR, PHRASE, Operation, Query, Value, nodes
from helios_cli.engine.datatypes.tsvector import Lexemes, Position

USUAL_WEIGHTS: Final = (0.1, 0.2, 0.4, 1.0)
"""Of D, C, B and A."""
_NO_POSITION: Final[tuple[Position, ...]] = ((16382, 0),)
_FAR: Final = 1e-30


class _Places:
    """Where a part of a phrase ends; ``negate``: everywhere but there."""

    __slots__ = ("negate", "places", "width")

    def __init__(self, places: set[int], negate: bool = False, width: int = 0) -> None:
        self.places = places
        self.negate = negate
        self.width = width

    @property
    def found(self) -> bool:
        return self.negate or bool(self.places)


def matches(lexemes: Lexemes, query: Query | None) -> bool:
    """``tsvector @@ tsquery``; an empty query matches nothing."""
    if query is None:
        return False
    if isinstance(query, Value):
        return _has(lexemes, query)
    if query.kind == NOT:
        return not matches(lexemes, query.right)
    if query.kind == PHRASE:
        ends = _phrase(lexemes, query)
        return ends is not None and ends.found
    if query.kind == AND:
        return matches(lexemes, query.left) and matches(lexemes, query.right)
    return matches(lexemes, query.left) or matches(lexemes, query.right)


def entries(lexemes: Lexemes, value: Value) -> list[tuple[Position, ...]]:
    """The positions of each lexeme that a value of a query stands for."""
    if not value.prefix:
        found = lexemes.get(value.lexeme)
        return [] if found is None else [found]
    return [places for lexeme, places in lexemes.items() if lexeme.startswith(value.lexeme)]


def _has(lexemes: Lexemes, value: Value) -> bool:
    """Whether a word is there; one without positions is, whatever weight is asked for (checkclass_str)."""
    found = entries(lexemes, value)
    if not value.weights:
        return bool(found)
    return any(not places or any(value.weights >> weight & 1 for _, weight in places) for places in found)


def _phrase(lexemes: Lexemes, query: Query) -> _Places | None:
    """Where a part of a phrase ends; None when a word that counts has no positions, so that nobody can tell."""
    if isinstance(query, Value):
        if not all(entries(lexemes, query)):
            return None
        return _Places({
            place
            for places in entries(lexemes, query)
            for place, weight in places
            if not query.weights or query.weights >> weight & 1
        })  # fmt: skip
    right = _phrase(lexemes, query.right)
    if query.kind == NOT:
        return right and _Places(right.places, not right.negate, right.width)
    assert query.left is not None
    left = _phrase(lexemes, query.left)
    if query.kind != OR and any(side is not None and not side.found for side in (left, right)):
        return _Places(set())
    if left is None or right is None:
        return None
    if query.kind == OR:
        return _either(left, right)
    if query.kind == PHRASE:
        width = query.distance + left.width + right.width
        left_shift, right_shift = query.distance + right.width, 0
    else:
        width = max(left.width, right.width)
        left_shift, right_shift = width - left.width, width - right.width
    one = {place + left_shift for place in left.places}
    other = {place + right_shift for place in right.places}
    if left.negate and right.negate:
        return _Places(one | other, True, width)
    if left.negate:
        return _Places(other - one, False, width)
    return _Places(one - other if right.negate else one & other, False, width)


def _either(left: _Places, right: _Places) -> _Places:
    left_width = left.width if left.found else 0
    right_width = right.width if right.found else 0
    width = max(left_width, right_width)
    one = {place + width - left_width for place in left.places}
    other = {place + width - right_width for place in right.places}
    if left.negate and right.negate:
        return _Places(one & other, True, width)
    if left.negate:
        return _Places(one - other, True, width)
    if right.negate:
        return _Places(other - one, True, width)
    return _Places(one | other, False, width)


# -- ranking --------------------------------------------------------------------------------------


def _single(number: float) -> float:
    """Rounded to single precision, in which PostgreSQL computes here."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _operands(query: Query) -> list[Value]:
    """The different values of a query, in the order of their lexemes."""
    found = {node.lexeme: node for node in nodes(query) if isinstance(node, Value)}
    return [found[lexeme] for lexeme in sorted(found)]


def rank(weights: tuple[float, ...], lexemes: Lexemes, query: Query | None, normalization: int) -> float:
    """ts_rank."""
    if query is None or not lexemes:
        return 0.0
    both = isinstance(query, Operation) and query.kind in (AND, PHRASE)
    operands = _operands(query)
    weights = tuple(_single(weight) for weight in weights)
    found = (
        _rank_and(weights, lexemes, operands) if both and len(operands) > 1 else _rank_or(weights, lexemes, operands)
    )
    if found < 0:
        found = _single(1e-20)
    return _normalized(found, lexemes, normalization, _single)


def _normalized(found: float, lexemes: Lexemes, normalization: int, rounded: Callable[[float], float]) -> float:
    """A rank put into relation to the document, ``rounded`` at each step."""
    length = sum(len(places) or 1 for places in lexemes.values())
    if normalization & 1:
        found = rounded(found / (math.log(length + 1) / math.log(2.0)))
    if normalization & 2 and length:
        found = rounded(found / length)
    if normalization & 8:
        found = rounded(found / len(lexemes))
    if normalization & 16:
        found = rounded(found / (math.log(len(lexemes) + 1) / math.log(2.0)))
    if normalization & 32:
        found = rounded(found / rounded(found + 1))
    return found


def _rank_or(weights: tuple[float, ...], lexemes: Lexemes, operands: list[Value]) -> float:
    total = 0.0
    for value in operands:
        for places in entries(lexemes, value):
            sum_, greatest, at = 0.0, -1.0, 0
            for number, (_, weight) in enumerate(places or _NO_POSITION):
                sum_ = _single(sum_ + weights[weight] / ((number + 1) * (number + 1)))
                if weights[weight] > greatest:
                    greatest, at = weights[weight], number
            # The limit of the sum of 1/i^2.
            total = _single(total + (greatest + sum_ - greatest / ((at + 1) * (at + 1))) / 1.64493406685)
    return _single(total / len(operands)) if operands else total


def _rank_and(weights: tuple[float, ...], lexemes: Lexemes, operands: list[Value]) -> float:
    found = -1.0
    seen: list[tuple[tuple[Position, ...], bool]] = []
    for value in operands:
        last: tuple[tuple[Position, ...], bool] | None = None
        for places in entries(lexemes, value):
            last = (places or _NO_POSITION, not places)
            for other, other_bare in seen:
                found = _pairs(found, weights, last, (other, other_bare))
        if last is not None:
            seen.append(last)
    return found


def _pairs(
    found: float, weights: tuple[float, ...], one: tuple[tuple[Position, ...], bool],
    other: tuple[tuple[Position, ...], bool],
) -> float:  # fmt: skip
    for place, weight in one[0]:
        for other_place, other_weight in other[0]:
            distance = abs(place - other_place)
            if not distance:
                if not (one[1] or other[1]):
                    continue
                distance = 16383
            near = _FAR if distance > 100 else 1.0 / (1.005 + 0.05 * math.exp(_single(distance) / 1.5 - 2))
            worth = _single(math.sqrt(_single(weights[weight] * weights[other_weight] * _single(near))))
            found = worth if found < 0 else _single(1.0 - (1.0 - found) * (1.0 - worth))
    return found


def rank_cd(weights: tuple[float, ...], lexemes: Lexemes, query: Query | None, normalization: int) -> float:
    """ts_rank_cd: by the density of the pieces of the document that answer the query."""
    if query is None:
        return 0.0
    document = _document(lexemes, query)
    inverse = [1.0 / weight for weight in weights]
    total, middle_before, distances, extents = 0.0, 0.0, 0.0, 0
    for begin, end in _covers(document, query):
        piece = document[begin : end + 1]
        worth = len(piece) / sum(inverse[weight] for _, weight, _ in piece)
        noise = (piece[-1][0] - piece[0][0]) - (end - begin)
        total += worth / (1.0 + (noise if noise >= 0 else (end - begin) // 2))
        middle = (piece[-1][0] + piece[0][0]) / 2.0
        if extents and middle > middle_before:
            distances += 1.0 / (middle - middle_before)
        middle_before, extents = middle, extents + 1
    if normalization & 4 and extents and distances:
        total /= extents / distances
    return _single(_normalized(total, lexemes, normalization, float)) if extents else 0.0


_Entry = tuple[int, int, tuple[str, ...]]
"""Position, weight, and the lexemes of the query that stand there."""


def _document(lexemes: Lexemes, query: Query) -> list[_Entry]:
    found: dict[tuple[int, int], list[str]] = {}
    for value in _operands(query):
        names = [value.lexeme] if not value.prefix else [name for name in lexemes if name.startswith(value.lexeme)]
        for name in names:
            for place, weight in lexemes.get(name, ()):
                if not value.weights or value.weights >> weight & 1:
                    found.setdefault((place, weight), []).append(name)
    return [(place, weight, tuple(names)) for (place, weight), names in sorted(found.items())]


def _covers(document: list[_Entry], query: Query) -> list[tuple[int, int]]:
    """The shortest pieces, as first and last entry, that answer a query, from left to right."""
    covers, start = [], 0
    while start < len(document):
        end = next((at for at in range(start, len(document)) if _answers(document[start : at + 1], query)), None)
        if end is None:
            break
        begin = next(at for at in range(end, start - 1, -1) if _answers(document[at : end + 1], query))
        covers.append((begin, end))
        start = begin + 1
    return covers


def _answers(piece: list[_Entry], query: Query) -> bool:
    lexemes: dict[str, list[Position]] = {}
    for place, weight, names in piece:
        for name in names:
            lexemes.setdefault(name, []).append((place, weight))
    return matches({name: tuple(places) for name, places in lexemes.items()}, query)
