"""COPY TO STDOUT in text and CSV: rows of SQLite values in, bytes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from helios_cli.engine.wire.copy_options import CopyColumn, CopyOptions
from helios_cli.engine.wire.rows import FieldEncoder, field_encoder

FieldText = Callable[[Any], str]
ColumnText = Callable[[Sequence[Any]], Sequence[str]]

_INTEGERS: Final = frozenset((20, 21, 23, 26))
_STRINGS: Final = frozenset((25, 1043, 1042, 1700, 2950, 3802, 114))
_ESCAPES: Final = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


class LineFormatter:
    """Rows to lines of one format; ``begin``, then ``rows`` as often as wanted, then ``end``.

    Rows are turned into columns and back, so that a column of plain values costs one look at all of them together.
    """

    def __init__(self, columns: Sequence[CopyColumn], options: CopyOptions) -> None:
        self._columns = tuple(columns)
        self._options = options
        self._writers = [
            self._writer(column, field_encoder(column.type_oid, 0, column.times.zone)) for column in columns
        ]

    def _field(self, column: CopyColumn, encode: FieldEncoder) -> FieldText:
        """A function from a value (not None) to the field as written."""
        raise NotImplementedError

    def _plain(self, joined: str, texts: Sequence[str]) -> bool:
        """Whether texts may be written as they are; ``joined`` is all of them."""
        raise NotImplementedError

    def _name(self, name: str) -> str:
        """A header field."""
        raise NotImplementedError

    def _writer(self, column: CopyColumn, encode: FieldEncoder) -> ColumnText:
        """A function from a column's values to its fields."""
        null, field, plain = self._options.null, self._field(column, encode), self._plain
        integer, string = column.type_oid in _INTEGERS, column.type_oid in _STRINGS
        forced = self._options.quotes(column.name)

        def write(values: Sequence[Any]) -> Sequence[str]:
            kinds = set(map(type, values))
            if kinds == {str} and string and not forced and plain("".join(values), values):
                return values
            if kinds == {int} and integer and not forced:
                texts = list(map(str, values))
                return texts if plain("".join(texts), texts) else list(map(field, values))
            return [null if value is None else field(value) for value in values]

        return write

    def begin(self) -> bytes:
        """The header line, or nothing."""
        if not self._options.header:
            return b""
        line = self._options.delimiter.join(self._name(column.name) for column in self._columns)
        return f"{line}\n".encode()

    def rows(self, rows: Iterable[Sequence[Any]]) -> bytes:
        """The lines of ``rows``, joined; empty for none."""
        table = list(rows)
        if not self._columns or not table:
            return b"\n" * len(table)
        columns = [write(values) for write, values in zip(self._writers, zip(*table, strict=True), strict=True)]
        lines = list(map(self._options.delimiter.join, zip(*columns, strict=True)))
        lines.append("")
        return "\n".join(lines).encode("utf-8", "replace")

    def end(self) -> bytes:
        """Nothing: CopyDone marks the end."""
        return b""


class TextFormatter(LineFormatter):
    """The text format."""

    def __init__(self, columns: Sequence[CopyColumn], options: CopyOptions) -> None:
        delimiter = options.delimiter
        self._table = _ESCAPES | ({delimiter: "\\" + delimiter} if delimiter not in _ESCAPES else {})
        self._special = re.compile("[" + re.escape("".join(self._table)) + "]")
        super().__init__(columns, options)

    def _field(self, column: CopyColumn, encode: FieldEncoder) -> FieldText:
        escape = self._name
        return lambda value: escape(encode(value).decode("utf-8", "replace"))

    def _plain(self, joined: str, texts: Sequence[str]) -> bool:
        return not any(mark in joined for mark in self._table)

    def _name(self, name: str) -> str:
        """Backslashes before everything that would not survive."""
        if self._special.search(name) is None:
            return name
        return self._special.sub(lambda match: self._table[match[0]], name)


class CsvFormatter(LineFormatter):
    """CSV: quotes where needed, or always for FORCE_QUOTE columns."""

    def _field(self, column: CopyColumn, encode: FieldEncoder) -> FieldText:
        quote = self._quoted
        force = self._options.quotes(column.name)
        return lambda value: quote(encode(value).decode("utf-8", "replace"), force)

    def _plain(self, joined: str, texts: Sequence[str]) -> bool:
        if len(self._columns) == 1 or self._options.null in texts:
            return False
        return not any(mark in joined for mark in (self._options.delimiter, self._options.quote, "\n", "\r"))

    def _quoted(self, text: str, force: bool) -> str:
        options = self._options
        alone = len(self._columns) == 1 and text == "\\."
        marks = (options.delimiter, options.quote, "\n", "\r")
        if not (force or alone or text == options.null or any(mark in text for mark in marks)):
            return text
        quote, escape = options.quote, options.escape
        body = text.replace(escape, escape + escape) if escape != quote else text
        return quote + body.replace(quote, escape + quote) + quote

    def _name(self, name: str) -> str:
        return self._quoted(name, False)
