"""Long lists of constants in a text: VALUES with many rows and IN with many items, found before anything is parsed.

A statement of a hundred thousand rows is one short statement and a table of constants. :func:`find` splits the two
with regular expressions that know constants, casts and commas and nothing else: the text with one row left is parsed
and planned, and the rows travel as one parameter. Whether the rows stood where they seemed to stand is for the tree of
the reduced text to say (``engine.sql.folded``): a constant found at its place there means that the lexer was between
tokens, and then it was so at every row that followed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.plan import SqliteValue
from helios_cli.engine.sql.shape import LONG_MIN, contains

VALUES_MIN: Final = 1024
"""Characters of rows behind VALUES from which on they are taken out."""
LIST_MIN: Final = 4096
"""The same for the items of an IN list, which may run on the event loop while they are parameters."""

INT4, INT8, NUMERIC, STRING, BOOL, NULL, DEFAULT = "ilnsBND"
"""Classes of constants; the first four are those of ``engine.sql.shape``."""

_WS: Final = r"[ \t\n\r\f]*+"
_NUMBER: Final = rf"(?:-{_WS})?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
_STRING: Final = r"'[^']*+(?:''[^']*+)*+'"
_WORD: Final = r"(?:null|true|false|default)(?![\w$])"
_CAST: Final = r"(?:::[a-z_][\w.]*+(?:\ +[a-z]\w*+)*+(?:\([0-9,\ ]*+\))?(?:\[\])*+)?"
_ITEM: Final = rf"(?:{_NUMBER}|{_STRING}|{_WORD}){_WS}{_CAST}{_WS}"
_ROW: Final = rf"\({_WS}{_ITEM}(?:,{_WS}{_ITEM})*+\)"
_FLAGS: Final = re.ASCII | re.IGNORECASE
_OPENING: Final = re.compile(rf"\b(?:(values)|in){_WS}(?=\()", _FLAGS)
_ONE_ROW: Final = re.compile(_ROW, _FLAGS)
_SOME_ROWS: Final = re.compile(rf"{_ROW}(?:{_WS},{_WS}{_ROW}){{0,999}}+", _FLAGS)
"""So few at a time that other threads get their turn between them."""
_SOME_ITEMS: Final = re.compile(rf"{_ITEM}(?:,{_WS}{_ITEM}){{0,1999}}+", _FLAGS)
_COMMA: Final = re.compile(rf"{_WS},{_WS}", _FLAGS)
_OPEN: Final = re.compile(rf"\({_WS}", _FLAGS)
_ROWS_AT_ONCE: Final = 2000
"""Rows that are written as JSON at a stretch."""
_FIRST_ITEM: Final = re.compile(rf"\({_WS}({_NUMBER}|{_STRING}|{_WORD}){_WS}{_CAST}", _FLAGS)
_TOKEN: Final = re.compile(rf"({_NUMBER}|{_STRING}|{_WORD}){_WS}({_CAST}){_WS}([,)])", _FLAGS)
_WORDS: Final = {"n": NULL, "t": BOOL, "f": BOOL, "d": DEFAULT}

_SPACE: Final = re.compile(_WS, _FLAGS)

Reader = Callable[[str], SqliteValue]
Token = tuple[str, str, str]
"""A constant, the cast behind it or '', and the comma or parenthesis that follows."""


class Rows:
    """Constants taken out of a text: one parameter of the statement that is left."""

    __slots__ = ("columns", "made", "sql", "start")

    def __init__(self, sql: str, start: int, columns: list[list[str]]) -> None:
        self.sql = sql
        """The whole text."""
        self.start = start
        """Where the first row begins in it, in characters."""
        self.columns = columns
        """The texts of the constants, a list for each column."""
        self.made: tuple[RowsReader, str] | None = None
        """What a reader has made of them."""

    def position(self, row: int, column: int) -> int:
        """The 1-based position of a constant in the text, in characters."""
        index = row * len(self.columns) + column
        match = next(islice(_TOKEN.finditer(self.sql, self.start), index, None))
        return match.start() + 1

    def first(self, column: int, letter: str) -> int:
        """The first row whose constant in a column is of a class; 0 when there is none."""
        texts = self.columns[column]
        return next((row for row, text in enumerate(texts) if class_of(text) == letter), 0)


class Fold:
    """A text split into a short statement and rows."""

    __slots__ = ("casts", "classes", "first_at", "is_list", "key", "reduced", "removed", "rows", "tail")

    def __init__(self, sql: str, region: tuple[int, int], kept: int, rows: Rows, casts: list[str], is_list: bool):
        start, end = region
        self.rows = rows
        self.casts = casts
        """For each column the cast behind its constants, or ''."""
        self.classes = [tuple(dict.fromkeys(map(class_of, column))) for column in rows.columns]
        """For each column the classes of its constants, in the order in which they come."""
        self.is_list = is_list
        closing = ")" if is_list else ""
        self.reduced = f"{sql[:kept]}{closing}{sql[end:]}"
        """The text with the first row, or the first item of the list, alone."""
        first = _FIRST_ITEM.match(sql, start)
        self.first_at = first.start(1) if first is not None else -1
        """Where the first constant stands in the reduced text, in characters."""
        self.tail = kept + len(closing)
        """Where what follows the rows begins in the reduced text."""
        self.removed = end - self.tail
        """Characters that the reduced text is shorter by."""
        shown = "|".join(f"{''.join(letters)}{cast}" for letters, cast in zip(self.classes, casts, strict=True))
        self.key = f"{sql[:start]}\1{shown}\1{sql[end:]}"
        """Equal for texts whose reduced statements are the same."""

    def original(self, position: int) -> int:
        """A 1-based position in the reduced text as one in the whole text."""
        return position + self.removed if position > self.tail else position


def find(sql: str) -> Fold | None:
    """The first long list of constants in a text; None when there is none, or its rows are not alike."""
    if len(sql) < VALUES_MIN:
        return None
    if len(sql) > LONG_MIN:
        folded = sql.lower()
        if not (contains(folded, "values") or contains(folded, "in")):
            return None
    at = 0
    while (opening := _OPENING.search(sql, at)) is not None:
        at = opening.end()
        is_list = opening[1] is None
        tokens, end = _items(sql, at) if is_list else _rows(sql, at)
        if end - at >= (LIST_MIN if is_list else VALUES_MIN):
            return _fold(sql, at, end, tokens, is_list)
        at = max(at, end)
    return None


def _rows(sql: str, start: int) -> tuple[list[Token], int]:
    """The constants of the rows that begin at ``start``, and where the last row ends; no later than that for none."""
    tokens: list[Token] = []
    end = start
    piece = _SOME_ROWS.match(sql, start)
    while piece is not None:
        end = piece.end()
        tokens += _TOKEN.findall(sql, piece.start(), end)
        comma = _COMMA.match(sql, end)
        piece = _SOME_ROWS.match(sql, comma.end()) if comma is not None else None
    return tokens, end


def _items(sql: str, start: int) -> tuple[list[Token], int]:
    """The same for the items of one list in parentheses; none when something else is among them."""
    tokens: list[Token] = []
    opened = _OPEN.match(sql, start)
    at = opened.end() if opened is not None else start
    while (piece := _SOME_ITEMS.match(sql, at)) is not None:
        at = piece.end() + 1
        tokens += _TOKEN.findall(sql, piece.start(), at)
        if sql[at - 1 : at] == ")":
            return tokens, at
        space = _SPACE.match(sql, at)
        at = space.end() if space is not None else at
    return [], start


def _fold(sql: str, start: int, end: int, tokens: list[Token], is_list: bool) -> Fold | None:
    count = 1 if is_list else next(number for number, token in enumerate(tokens, 1) if token[2] == ")")
    texts = [token[0] for token in tokens]
    ends = "".join([token[2] for token in tokens])
    if not is_list and ends != ("," * (count - 1) + ")") * (len(ends) // count):
        return None
    columns = [texts[number::count] for number in range(count)]
    common = []
    for number in range(count):
        seen = {token[1] for token in tokens[number::count]}
        if len(seen) > 1:
            return None
        common.append(seen.pop())
        if common[-1] and any(text[0] == "-" for text in columns[number]):
            # The cast binds more tightly than the sign.
            return None
    first = _FIRST_ITEM.match(sql, start) if is_list else _ONE_ROW.match(sql, start)
    if first is None:
        return None
    return Fold(sql, (start, end), first.end(), Rows(sql, start, columns), common, is_list)


def class_of(text: str) -> str:
    """The class of a constant."""
    if text[0] == "'":
        return STRING
    if text.isdigit() and len(text) < 10:
        return INT4
    if text[0].isalpha():
        return _WORDS[text[0].lower()]
    digits = _plain(text)
    if not digits.lstrip("-").isdigit():
        return NUMERIC
    value = int(digits)
    if -(2**31) <= value < 2**31:
        return INT4
    return INT8 if -(2**63) <= value < 2**63 else NUMERIC


def _plain(number: str) -> str:
    """A number without the space that may stand behind its sign."""
    return f"-{number[1:].strip()}" if number[0] == "-" else number


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'") if "''" in text else text[1:-1]


class RowsReader:
    """Turns the constants of :class:`Rows` into the JSON array of rows that a plan takes as its parameter.

    ``readers`` has for each column the conversion of each class of constants from its own value, None for as it is;
    or None for a column that the statement does not read. ``hexed`` are columns of bytes, which JSON cannot hold.
    """

    def __init__(self, readers: list[dict[str, Callable[[Any], Any] | None] | None], hexed: frozenset[int]) -> None:
        self._readers: list[dict[str, Reader] | None] = [
            None if column is None else {
                letter: _reader(letter, convert, number in hexed) for letter, convert in column.items()
            }
            for number, column in enumerate(readers)
        ]  # fmt: skip

    def __call__(self, rows: Rows) -> str:
        """The JSON text. Raises SqlError (22P02 and its kin), positioned at the first constant that is wrong."""
        if rows.made is not None and rows.made[0] is self:
            return rows.made[1]
        try:
            columns = [
                [None] * len(texts) if readers is None else _read(texts, readers)
                for texts, readers in zip(rows.columns, self._readers, strict=True)
            ]
        except SqlError as error:
            raise self._first_error(rows) or error from None
        count = len(rows.columns[0])
        pieces = [
            _encode(list(zip(*(column[at : at + _ROWS_AT_ONCE] for column in columns), strict=True)))[1:-1]
            for at in range(0, count, _ROWS_AT_ONCE)
        ]
        text = f"[{','.join(pieces)}]"
        rows.made = (self, text)
        return text

    def _first_error(self, rows: Rows) -> SqlError | None:
        """PostgreSQL reads row by row."""
        for row, texts in enumerate(zip(*rows.columns, strict=True)):
            for column, (text, readers) in enumerate(zip(texts, self._readers, strict=True)):
                try:
                    if readers is not None:
                        readers[class_of(text)](text)
                except SqlError as error:
                    error.position = rows.position(row, column)
                    return error
        return None


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _read(texts: list[str], readers: dict[str, Reader]) -> list[SqliteValue]:
    if len(readers) == 1:
        return list(map(next(iter(readers.values())), texts))
    return [readers[class_of(text)](text) for text in texts]


def _reader(letter: str, convert: Callable[[Any], Any] | None, hexed: bool) -> Reader:
    """How the text of a constant becomes a value."""
    read: Callable[[str], Any] = _OWN[letter]
    if convert is None or letter in (NULL, BOOL):
        return read
    if hexed:
        return lambda text: convert(read(text)).hex()
    if letter == INT4 and convert is str:
        return _plain
    return lambda text: convert(read(text))


_OWN: Final[dict[str, Callable[[str], Any]]] = {
    INT4: lambda text: int(_plain(text)),
    INT8: lambda text: int(_plain(text)),
    NUMERIC: _plain,
    STRING: _unquoted,
    BOOL: lambda text: int(text[0] in "tT"),
    NULL: lambda text: None,
}
