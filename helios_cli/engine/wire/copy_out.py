"""COPY TO STDOUT in text and CSV: rows of SQLite values in, bytes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, tzinfo
from typing import Any, Final

from helios_cli.engine.wire.copy_options import CopyColumn, CopyOptions
from helios_cli.engine.wire.rows import FieldEncoder, field_encoder

FieldText = Callable[[Any], str]

_INTEGERS: Final = frozenset((20, 21, 23, 26))
_ESCAPES: Final = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


class LineFormatter:
    """Rows to lines of one format; ``begin``, then ``rows`` as often as wanted, then ``end``."""

    def __init__(self, columns: Sequence[CopyColumn], options: CopyOptions, zone: tzinfo = UTC) -> None:
        self._columns = tuple(columns)
        self._options = options
        self._fields = [self._field(column, field_encoder(column.type_oid, 0, zone)) for column in columns]

    def _field(self, column: CopyColumn, encode: FieldEncoder) -> FieldText:
        """A function from a value (or None) to the field as written."""
        raise NotImplementedError

    def _name(self, name: str) -> str:
        """A header field."""
        raise NotImplementedError

    def begin(self) -> bytes:
        """The header line, or nothing."""
        if not self._options.header:
            return b""
        line = self._options.delimiter.join(self._name(column.name) for column in self._columns)
        return f"{line}\n".encode()

    def rows(self, rows: Iterable[Sequence[Any]]) -> bytes:
        """The lines of ``rows``, joined; empty for none."""
        join, fields = self._options.delimiter.join, self._fields
        lines = [join([field(value) for field, value in zip(fields, row, strict=True)]) for row in rows]
        if not lines:
            return b""
        lines.append("")
        return "\n".join(lines).encode("utf-8", "replace")

    def end(self) -> bytes:
        """Nothing: CopyDone marks the end."""
        return b""


class TextFormatter(LineFormatter):
    """The text format."""

    def _field(self, column: CopyColumn, encode: FieldEncoder) -> FieldText:
        null, escape = self._options.null, self._escape
        if column.type_oid in _INTEGERS:
            return lambda value: null if value is None else (
                str(value) if value.__class__ is int else escape(encode(value).decode("utf-8", "replace"))
            )  # fmt: skip
        return lambda value: null if value is None else escape(encode(value).decode("utf-8", "replace"))

    @property
    def _escape(self) -> Callable[[str], str]:
        """Backslashes before everything that would not survive."""
        delimiter = self._options.delimiter
        table = _ESCAPES | ({delimiter: "\\" + delimiter} if delimiter not in _ESCAPES else {})
        pattern = re.compile("[" + re.escape("".join(table)) + "]")
        search, sub = pattern.search, pattern.sub

        def escape(text: str) -> str:
            return text if search(text) is None else sub(lambda match: table[match[0]], text)

        return escape

    def _name(self, name: str) -> str:
        return self._escape(name)


class CsvFormatter(LineFormatter):
    """CSV: quotes where needed, or always for FORCE_QUOTE columns."""

    def _field(self, column: CopyColumn, encode: FieldEncoder) -> FieldText:
        null, quote = self._options.null, self._quoted
        force = column.name in self._options.force_quote
        return lambda value: null if value is None else quote(encode(value).decode("utf-8", "replace"), force)

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
