"""From the text of COPY fields to SQLite values: one field at a time, or a whole column at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from helios_cli.engine.datatypes.registry import apply_typmod, find_oid
from helios_cli.engine.datatypes.strings import parse_string
from helios_cli.engine.datatypes.typmods import VARHDRSZ
from helios_cli.engine.datatypes.zoned import session_parser
from helios_cli.engine.wire.copy_options import CopyColumn

FieldParser = Callable[[str], Any]
ColumnParser = Callable[[list[str]], list[Any]]

_INTEGER_BITS: Final = {21: 15, 23: 31, 20: 63}
_STRINGS: Final = frozenset((25, 705))
_VARCHAR: Final = 1043
_BPCHAR: Final = 1042
_BOOL: Final = 16
_BOOLS: Final = {"t": 1, "f": 0}
_NOT_INTEGER: Final = (".", "e", "E")
"""Signs of a JSON number that is no integer, and that the decoder would take for one when its fraction is 0."""
_decode_integers: Final = msgspec.json.Decoder(list[int]).decode


class NotPlain(Exception):
    """A whole-column conversion met something that only the field-by-field way judges rightly."""


def field_parser(column: CopyColumn) -> FieldParser:
    """One field's conversion, the column's modifier applied. Raises SqlError."""
    known = find_oid(column.type_oid)
    usual = parse_string if known is None else known.parse_text
    parse = session_parser(column.type_oid, column.times) or usual
    if column.typmod < 0 or known is None:
        return parse
    oid, typmod = column.type_oid, column.typmod
    return lambda text: apply_typmod(oid, typmod, parse(text))


def column_parser(column: CopyColumn) -> ColumnParser:
    """A column's conversion for texts without NULL and escapes. Raises NotPlain or SqlError."""
    oid, typmod = column.type_oid, column.typmod
    if oid in _INTEGER_BITS:
        return _integers(1 << _INTEGER_BITS[oid])
    if oid in _STRINGS or (oid in (_VARCHAR, _BPCHAR) and typmod < 0):
        return _same
    if oid == _VARCHAR:
        return _at_most(typmod - VARHDRSZ)
    if oid == _BPCHAR:
        return _padded(typmod - VARHDRSZ)
    if oid == _BOOL:
        return _bools
    parse = field_parser(column)
    return lambda texts: [parse(text) for text in texts]


def _integers(high: int) -> ColumnParser:
    """Integers in their plain spelling, read as one JSON list: a third of the cost of ``int`` for each."""

    def parse(texts: list[str]) -> list[Any]:
        joined = ",".join(texts)
        if any(sign in joined for sign in _NOT_INTEGER):
            raise NotPlain
        try:
            values = _decode_integers(f"[{joined}]")
        except msgspec.MsgspecError:
            raise NotPlain from None
        if len(values) != len(texts) or max(values) >= high or min(values) < -high:
            raise NotPlain
        return values

    return parse


def _same(texts: list[str]) -> list[Any]:
    return texts


def _at_most(size: int) -> ColumnParser:
    def parse(texts: list[str]) -> list[Any]:
        if max(map(len, texts)) > size:
            raise NotPlain
        return texts

    return parse


def _padded(size: int) -> ColumnParser:
    def parse(texts: list[str]) -> list[Any]:
        if max(map(len, texts)) > size:
            raise NotPlain
        return [text.ljust(size) for text in texts]

    return parse


def _bools(texts: list[str]) -> list[Any]:
    try:
        return [_BOOLS[text] for text in texts]
    except KeyError:
        raise NotPlain from None


class ColumnarParser:
    """Whole chunks of plain lines: split once, convert column by column, zip to rows."""

    def __init__(self, columns: tuple[CopyColumn, ...], delimiter: str, null: str) -> None:
        self._parsers = [column_parser(column) for column in columns]
        self._delimiter = delimiter
        self._null = null
        self._mark = f"{delimiter}\n{delimiter}"

    def parse(self, text: str, unescape: FieldParser | None) -> list[tuple[Any, ...]]:
        """Rows of ``text``, which holds whole lines, each ended by a newline, without quoting.

        ``unescape`` resolves a field's backslashes; None when none occurs.

        Raises:
            NotPlain: a line has another number of fields, or a value needs the careful way.
        """
        width = len(self._parsers) + 1
        flat = text.replace("\n", self._mark).split(self._delimiter)
        lines = text.count("\n")
        if len(flat) != width * lines + 1 or flat[width - 1 :: width].count("\n") != lines:
            raise NotPlain
        del flat[-1]
        may_be_null = unescape is not None or "\\" not in self._null
        columns = []
        for index, parse in enumerate(self._parsers):
            texts = flat[index::width]
            columns.append(self._column(texts, parse, unescape) if may_be_null else parse(texts))
        return list(zip(*columns, strict=True))

    def parse_quoted(self, tokens: list[tuple[str, str, str]], quote: str) -> list[tuple[Any, ...]]:
        """Rows of CSV tokens (quoted text with its quotes, unquoted text, delimiter or newline).

        Raises:
            NotPlain: a line has another number of fields, or a value needs the careful way.
        """
        width = len(self._parsers)
        if len(tokens) % width:
            raise NotPlain
        ends = [token[2] for token in tokens]
        if ends[width - 1 :: width].count("\n") != len(tokens) // width or ends.count("\n") * width != len(tokens):
            raise NotPlain
        columns = []
        for index, parse in enumerate(self._parsers):
            columns.append(self._quoted_column(tokens[index::width], parse, quote))
        return list(zip(*columns, strict=True))

    def _quoted_column(self, tokens: list[tuple[str, str, str]], parse: ColumnParser, quote: str) -> list[Any]:
        double, null = quote + quote, self._null
        texts = [
            (quoted[1:-1].replace(double, quote) if quoted else None if bare == null else bare)
            for quoted, bare, _ in tokens
        ]
        present = [text for text in texts if text is not None]
        if len(present) == len(texts):
            return parse(present)
        values = iter(parse(present) if present else ())
        return [None if text is None else next(values) for text in texts]

    def _column(self, texts: list[str], parse: ColumnParser, unescape: FieldParser | None) -> list[Any]:
        null = self._null
        if null not in texts:
            return parse(texts if unescape is None else _unescaped(texts, unescape))
        present = [text for text in texts if text != null]
        if not present:
            return [None] * len(texts)
        values = iter(parse(present if unescape is None else _unescaped(present, unescape)))
        return [None if text == null else next(values) for text in texts]


def _unescaped(texts: list[str], unescape: FieldParser) -> list[str]:
    return [unescape(text) if "\\" in text else text for text in texts]
