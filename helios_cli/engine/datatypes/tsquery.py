"""tsquery: a tree of lexemes and operators; stored as the text PostgreSQL prints (tsquery.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.received import Received
from helios_cli.engine.datatypes.tsvector import LEXEME_MAX, quote
from helios_cli.engine.errors import SqlError

NOT, AND, OR, PHRASE = 1, 2, 3, 4
"""Operators, as the binary form numbers them."""
_PRIORITY: Final = {OR: 1, AND: 2, PHRASE: 3, NOT: 4}
_WEIGHTS: Final = "DCBA"
DISTANCE_MAX: Final = 16384
_ITEMS_MAX: Final = 0x3FFF_FFFF // 12
"""Of those that a message may announce (MaxAllocSize)."""
_COUNT: Final = Struct("!i")
_SHORT: Final = Struct("!h")


@dataclass(frozen=True, slots=True)
class Value:
    """A lexeme."""

    lexeme: str
    weights: int = 0
    """A bit for each weight it may have, 8 for A; 0: any."""
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator; ``left`` is None for NOT."""

    kind: int
    left: Query | None
    right: Query
    distance: int = 1
    """Of PHRASE."""


Query = Value | Operation


@lru_cache(1024)
def read(text: str) -> Query | None:
    """The tree of a stored query, or of any text that is one; None for an empty one. Raises SqlError 42601."""
    found: Query | None = Parser(text, lambda value: value).run()
    return found


def parse_tsquery(text: str) -> str:
    """The canonical text."""
    return write(read(text))


def write(query: Query | None) -> str:
    """The text, with no more parentheses than needed; '' for an empty query."""
    return "" if query is None else _infix(query, 0, False)


def _infix(query: Query, parent: int, right_of_phrase: bool) -> str:
    if isinstance(query, Value):
        return shown(query)
    priority = _PRIORITY[query.kind]
    if query.kind == NOT:
        text = "!" + _infix(query.right, priority, False)
        return f"( {text} )" if priority < parent else text
    assert query.left is not None
    right = _infix(query.right, priority, query.kind == PHRASE)
    left = _infix(query.left, priority, False)
    text = f"{left} {_word(query)} {right}"
    if priority < parent or (query.kind == PHRASE and right_of_phrase):
        return f"( {text} )"
    return text


def shown(value: Value) -> str:
    """A lexeme with its flags: ``'fat':*A``."""
    weights = "".join(_WEIGHTS[bit] for bit in (3, 2, 1, 0) if value.weights >> bit & 1)
    return quote(value.lexeme) + (f":{'*' if value.prefix else ''}{weights}" if value.prefix or weights else "")


def _word(operation: Operation) -> str:
    if operation.kind == PHRASE:
        return "<->" if operation.distance == 1 else f"<{operation.distance}>"
    return "&" if operation.kind == AND else "|"


def nodes(query: Query | None) -> Iterator[Query]:
    """Every node, operators before their operands."""
    if query is None:
        return
    yield query
    if isinstance(query, Operation):
        yield from nodes(query.right)
        yield from nodes(query.left)


class Parser:
    """tsqueryin and to_tsquery. ``word`` makes of a word what stands in its place; None: nothing, a stop word."""

    def __init__(self, text: str, word: Callable[[Value], Any]) -> None:
        self.text = text
        self.at = 0
        self.word = word

    def run(self) -> Any:
        """The tree; None for an empty text."""
        if self._peek() == "":
            return None
        found = self._any()
        if self._peek():
            raise self._error()
        return found

    def _error(self) -> SqlError:
        return SqlError(f'syntax error in tsquery: "{self.text}"', sqlstate="42601")

    def _peek(self) -> str:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def _any(self) -> Any:
        left = self._all()
        while self._peek() == "|":
            self.at += 1
            left = Operation(OR, left, self._all())
        return left

    def _all(self) -> Any:
        left = self._phrase()
        while self._peek() == "&":
            self.at += 1
            left = Operation(AND, left, self._phrase())
        return left

    def _phrase(self) -> Any:
        left = self._not()
        while self._peek() == "<":
            distance = self._distance()
            left = Operation(PHRASE, left, self._not(), distance)
        return left

    def _distance(self) -> int:
        end = self.text.find(">", self.at)
        inside = self.text[self.at + 1 : end]
        if end < 0 or not (inside == "-" or inside.isdigit()):
            raise self._error()
        self.at = end + 1
        distance = 1 if inside == "-" else int(inside)
        if distance > DISTANCE_MAX:
            message = f"distance in phrase operator must be an integer value between zero and {DISTANCE_MAX} inclusive"
            raise SqlError(message, sqlstate="22023")
        return distance

    def _not(self) -> Any:
        following = self._peek()
        if following == "!":
            self.at += 1
            return Operation(NOT, None, self._not())
        if following == "(":
            self.at += 1
            found = self._any()
            if self._peek() != ")":
                raise self._error()
            self.at += 1
            return found
        if following in ("", ")", "&", "|", "<"):
            raise (
                SqlError(f'no operand in tsquery: "{self.text}"', sqlstate="42601") if not following else self._error()
            )
        return self.word(self._value())

    def _value(self) -> Value:
        lexeme = self._quoted() if self.text[self.at] == "'" else self._bare()
        if len(lexeme.encode("utf-8", "replace")) > LEXEME_MAX:
            raise SqlError(f'word is too long in tsquery: "{self.text}"', sqlstate="54000")
        weights, prefix = 0, False
        if self.text[self.at : self.at + 1] == ":":
            self.at += 1
            while (letter := self.text[self.at : self.at + 1].upper()) and letter in "ABCD*":
                if letter == "*":
                    prefix = True
                else:
                    weights |= 1 << _WEIGHTS.index(letter)
                self.at += 1
        return Value(lexeme, weights, prefix)

    def _bare(self) -> str:
        out: list[str] = []
        while (letter := self.text[self.at : self.at + 1]) and not letter.isspace() and letter not in "!&|():<":
            if letter == "\\":
                self.at += 1
                letter = self.text[self.at : self.at + 1]
                if not letter:
                    raise SqlError(f'there is no escaped character: "{self.text}"', sqlstate="42601")
            out.append(letter)
            self.at += 1
        if not out:
            raise self._error()
        return "".join(out)

    def _quoted(self) -> str:
        out: list[str] = []
        self.at += 1
        while letter := self.text[self.at : self.at + 1]:
            if letter == "'":
                if self.text[self.at + 1 : self.at + 2] != "'":
                    self.at += 1
                    return "".join(out)
                self.at += 1
            elif letter == "\\" and self.at + 1 < len(self.text):
                self.at += 1
                letter = self.text[self.at]
            out.append(letter)
            self.at += 1
        raise self._error()


def without_stops(query: Any) -> Query | None:
    """A tree whose words may be missing (None) without them, distances grown over the gaps (clean_stopword)."""
    return _cleaned(query)[0]


def _cleaned(query: Any) -> tuple[Query | None, int, int]:
    """The tree, and what is to be added to distances on its left and on its right."""
    if query is None or isinstance(query, Value):
        return query, 0, 0
    if query.kind == NOT:
        child = _cleaned(query.right)[0]
        return (None if child is None else replace(query, right=child)), 0, 0
    left, left_before, left_after = _cleaned(query.left)
    right, right_before, right_after = _cleaned(query.right)
    phrase = query.kind == PHRASE
    own = query.distance if phrase else 0
    if left is None and right is None:
        gap = left_before + own + right_before if phrase else max(left_before, right_before)
        return None, gap, gap
    if left is None:
        return right, (left_before + own + right_before if phrase else right_before), right_after
    if right is None:
        return left, left_before, (left_after + own + right_after if phrase else left_after)
    if phrase:
        grown = own + left_after + right_before
        return replace(query, left=left, right=right, distance=grown), left_before, right_after
    return replace(query, left=left, right=right), 0, 0


def format_tsquery_binary(value: Any) -> bytes:
    """The number of nodes, then each of them, operators before their operands."""
    found = list(nodes(read(show(value))))
    parts = [_COUNT.pack(len(found))]
    for node in found:
        if isinstance(node, Value):
            parts.append(bytes((1, node.weights, node.prefix)) + node.lexeme.encode("utf-8", "replace") + b"\0")
        else:
            parts.append(bytes((2, node.kind)) + (_SHORT.pack(node.distance) if node.kind == PHRASE else b""))
    return b"".join(parts)


def parse_tsquery_binary(data: bytes) -> str:
    """What :func:`format_tsquery_binary` writes. Raises SqlError 08P01, 22P03, 22021, XX000 for what is no tree."""
    message = Received(data)
    count = message.number(4)
    if count > _ITEMS_MAX:
        raise SqlError("invalid size of tsquery", sqlstate="XX000")
    items = iter([_item(message) for _ in range(count)])
    message.end()

    def node() -> Query:
        found = next(items, None)
        if found is None:
            raise SqlError("malformed tsquery: operand not found", sqlstate="XX000")
        if isinstance(found, Value):
            return found
        kind, distance = found
        right = node()
        return Operation(kind, None if kind == NOT else node(), right, distance)

    tree = node() if count else None
    if next(items, None) is not None:
        raise SqlError("malformed tsquery: extra nodes", sqlstate="XX000")
    return write(tree)


def _item(message: Received) -> Value | tuple[int, int]:
    """A lexeme, or an operator with its distance. Raises SqlError."""
    kind = message.byte()
    if kind == 1:
        weights, prefix = message.byte(), message.byte()
        lexeme = message.string()
        if weights > 0xF:
            raise SqlError("invalid tsquery: invalid weight bitmap", sqlstate="XX000")
        return Value(lexeme, weights, bool(prefix))
    if kind != 2:
        raise SqlError(f"unrecognized tsquery node type: {kind}", sqlstate="XX000")
    operator = message.byte()
    if operator not in _PRIORITY:
        raise SqlError(f"invalid tsquery: unrecognized operator type {operator}", sqlstate="XX000")
    return operator, message.number(2, signed=True) if operator == PHRASE else 1
