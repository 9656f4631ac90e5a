"""COPY FROM STDIN in text and CSV: bytes in pieces of any size in, rows of SQLite values out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from helios_cli.engine.datatypes.utf8 import decode_utf8
from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.wire.copy_options import CopyColumn, CopyOptions, bad_format, shown
from helios_cli.engine.wire.copy_values import ColumnarParser, NotPlain, field_parser

Rows = list[tuple[Any, ...]]

MAX_LINE_BYTES: Final = 0x3FFF_FFFF
"""A line of 1 GB or more is refused, as PostgreSQL's string buffer refuses it."""

_MAX_STEPS_BACK: Final = 64
"""How many embedded newlines are skipped in search of one that ends a line."""

_ESCAPE: Final = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.)|$)", re.DOTALL)
_LETTERS: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _unescape_bytes(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, char = match.groups()
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal:
        return bytes([int(hexadecimal, 16)])
    return _LETTERS.get(char, char) if char else b""


def unescape(field: str) -> str:
    """Resolve a text field's backslash sequences. Raises 22021 when octal or hex ones make no UTF-8."""
    return decode_utf8(_ESCAPE.sub(_unescape_bytes, field.encode()))


class LineParser:
    """What the two line formats share: framing, newline style, header, errors' context, the end marker."""

    def __init__(self, table: str, columns: Sequence[CopyColumn], options: CopyOptions) -> None:
        self._table = table
        self._columns = tuple(columns)
        self._options = options
        self._parsers = [field_parser(column) for column in columns]
        self._columnar = ColumnarParser(self._columns, options.delimiter, options.null) if columns else None
        self._pieces: list[bytes] = []
        self._pending_bytes = 0
        self._retry_bytes = 0
        self._newline = b""
        self._header_due = options.header or options.header_match
        self._line = re.compile(self._line_pattern(), re.DOTALL)
        self.line_no = 0
        """Lines read so far, the header included."""
        self.done = False
        """Whether the end marker was seen; whatever follows it is ignored."""

    def _line_pattern(self) -> bytes:
        raise NotImplementedError

    def _plain(self, data: bytes) -> bool:
        """Whether every newline in ``data`` ends a line and no field needs more than the columnar way."""
        raise NotImplementedError

    def _split(self, line: str) -> list[str | None]:
        raise NotImplementedError

    def _unfinished(self, line: bytes) -> None:
        """Check a last line that has no newline. Raises SqlError when it cannot be one."""
        raise NotImplementedError

    def feed(self, data: bytes) -> Rows:
        """Rows completed by ``data``. Raises SqlError with the line in its context."""
        if self.done:
            return []
        if not self._pieces and data.endswith(b"\n"):
            return self._take(data)
        self._pieces.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > MAX_LINE_BYTES + len(data):
            raise self._located(SqlError("out of memory", sqlstate="54000", detail="A line is too long."), None)
        if self._pending_bytes < self._retry_bytes or (b"\n" not in data and b"\r" not in data):
            return []
        return self._take(self._joined())

    def _joined(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._pending_bytes = self._retry_bytes = 0
        return data

    def _keep(self, rest: bytes, *, tried: bool) -> None:
        """Hold back an incomplete line. After a vain attempt the next one waits for twice the data."""
        if rest:
            self._pieces.append(rest)
            self._pending_bytes = len(rest)
            self._retry_bytes = 2 * len(rest) if tried else 0

    def _take(self, data: bytes, *, final: bool = False) -> Rows:
        """Rows of the complete lines in ``data``: whole stretches where they are plain, else line by line."""
        rows: Rows = []
        at = 0
        attempted = False
        while not self.done:
            if not attempted and self._newline == b"\n" and not self._header_due:
                attempted = True
                at = self._take_plain(data, at, rows)
            match = self._line.match(data, at)
            if match is None or (match[2] == b"\r" and match.end() == len(data) and not final):
                break
            at = match.end()
            self.line_no += self._inner_lines(match[1])
            self._check_newline(match[2])
            self._add(match[1], rows)
        if not self.done:
            self._keep(data[at:], tried=at == 0)
        return rows

    def _take_plain(self, data: bytes, at: int, rows: Rows) -> int:
        """Append the rows of all whole lines from ``at`` if every one is plain; the offset reached."""
        cut = self._last_line_end(data, at)
        if cut <= at or self._columnar is None:
            return at
        whole = data[at:cut]
        if b"\r" in whole or b"\0" in whole or not self._plain(whole):
            return at
        try:
            found = self._parse_plain(whole.decode(), self._columnar)
        except (NotPlain, UnicodeDecodeError, HeliosError):
            return at
        self.line_no += whole.count(b"\n")
        rows += found
        return cut

    def _last_line_end(self, data: bytes, at: int) -> int:
        """The offset behind the last newline that ends a line, or one not beyond ``at``."""
        return data.rfind(b"\n", at) + 1

    def _parse_plain(self, text: str, columnar: ColumnarParser) -> Rows:
        """The rows of plain lines. Raises NotPlain or HeliosError when they are not plain after all."""
        return columnar.parse(text, unescape if "\\" in text else None)

    def finish(self) -> Rows:
        """The last rows, at CopyDone. Raises SqlError when the data ends inside a line that cannot end there."""
        if self.done:
            return []
        rows = self._take(self._joined(), final=True)
        rest = self._joined()
        if rest and not self.done:
            try:
                self._unfinished(rest)
            except SqlError as error:
                self.line_no += 1
                raise self._located(error, rest) from None
            self._add(rest, rows)
        self.done = True
        return rows

    def _check_newline(self, newline: bytes) -> None:
        """All lines must end as the first one did."""
        if not self._newline:
            self._newline = newline
        elif newline != self._newline:
            self.line_no += 1
            raise self._located(self._stray(newline), None)

    def _stray(self, newline: bytes) -> SqlError:
        """The error for a newline of another style than the first."""
        csv = self._options.format == "csv"
        name, sign = ("newline", "\\n") if newline == b"\n" else ("carriage return", "\\r")
        if csv:
            return bad_format(f"unquoted {name} found in data", hint=f"Use quoted CSV field to represent {name}.")
        return bad_format(f"literal {name} found in data", hint=f'Use "{sign}" to represent {name}.')

    def _add(self, raw: bytes, rows: Rows) -> None:
        """Convert one line, without its newline, and append its row."""
        self.line_no += 1
        if raw == b"\\.":
            self.done = True
            return
        try:
            line = decode_utf8(raw)
        except SqlError as error:
            raise self._located(error, None) from None
        if self._header_due:
            self._header_due = False
            if self._options.header_match:
                self._match_header(line)
            return
        rows.append(self._row(line))

    def _inner_lines(self, _raw: bytes) -> int:
        """Newlines inside a line that count as lines of the file, as far as their style is known by then."""
        return 0

    def _row(self, line: str) -> tuple[Any, ...]:
        try:
            fields = self._split(line)
            if len(fields) > len(self._columns):
                raise bad_format("extra data after last expected column")
        except SqlError as error:
            raise self._located(error, line.encode()) from None
        values = self._values(fields)
        if len(values) < len(self._columns):
            missing = bad_format(f'missing data for column "{self._columns[len(values)].name}"')
            raise self._located(missing, line.encode())
        return values

    def _values(self, fields: list[str | None]) -> tuple[Any, ...]:
        """The fields converted; those that are there are judged before a missing one is noticed."""
        values = []
        for column, parse, field in zip(self._columns, self._parsers, fields, strict=False):
            try:
                values.append(None if field is None else parse(field))
            except SqlError as error:
                where = f'column {column.name}: "{shown(field or "")}"'
                error.context = f"COPY {self._table}, line {self.line_no}, {where}"
                raise
        return tuple(values)

    def _match_header(self, line: str) -> None:
        fields = self._split(line)
        if len(fields) != len(self._columns):
            error = bad_format(
                f"wrong number of fields in header line: got {len(fields)}, expected {len(self._columns)}"
            )
            raise self._located(error, line.encode())
        for number, (field, column) in enumerate(zip(fields, self._columns, strict=True), 1):
            if field != column.name:
                got = f'null value ("{self._options.null}")' if field is None else f'"{field}"'
                text = f'column name mismatch in header line field {number}: got {got}, expected "{column.name}"'
                raise self._located(bad_format(text), line.encode())

    def _located(self, error: SqlError, line: bytes | None) -> SqlError:
        """The error with ``COPY t, line 3: "text"`` as its context."""
        where = f"COPY {self._table}, line {self.line_no}"
        error.context = where if line is None else f'{where}: "{shown(line.decode("utf-8", "replace"))}"'
        return error


class TextParser(LineParser):
    r"""The text format: tabs, backslash escapes, ``\N`` for NULL."""

    def __init__(self, table: str, columns: Sequence[CopyColumn], options: CopyOptions) -> None:
        super().__init__(table, columns, options)
        mark = re.escape(options.delimiter)
        self._field = re.compile(rf"((?:[^\\{mark}]++|\\.|\\$)*+)({mark}|$)", re.DOTALL)
        self._escaped_delimiter = b"\\" + options.delimiter.encode()

    def _line_pattern(self) -> bytes:
        return rb"((?:[^\\\r\n]++|\\.)*+)(\r\n?|\n)"

    def _plain(self, data: bytes) -> bool:
        if b"\\" not in data:
            return True
        return b"\\\n" not in data and b"\\." not in data and self._escaped_delimiter not in data

    def _split(self, line: str) -> list[str | None]:
        options = self._options
        if not self._columns:
            return [] if not line else [line]
        if "\\" not in line:
            fields = line.split(options.delimiter)
            return [None if field == options.null else field for field in fields]
        if line.startswith("\\.") or re.search(r"(?<!\\)(?:\\\\)*\\\.", line):
            raise bad_format("end-of-copy marker corrupt")
        return [None if raw == options.null else unescape(raw) for raw in self._raw_fields(line)]

    def _raw_fields(self, line: str) -> list[str]:
        fields = []
        at = 0
        while True:
            match = self._field.match(line, at)
            assert match is not None
            fields.append(match[1])
            if not match[2]:
                return fields
            at = match.end()

    def _unfinished(self, line: bytes) -> None:
        return None


class CsvParser(LineParser):
    """CSV: quotes may hold delimiters and newlines; an unquoted null string is NULL."""

    def __init__(self, table: str, columns: Sequence[CopyColumn], options: CopyOptions) -> None:
        quote, escape = re.escape(options.quote), re.escape(options.escape)
        same = options.quote == options.escape
        inside = f"(?:[^{quote}]++|{quote}{quote})*+"
        if not same:
            inside = f"(?:[^{quote}{escape}]++|{escape}[{quote}{escape}]|{escape})*+"
        mark = re.escape(options.delimiter)
        self._field = re.compile(f"((?:[^{mark}{quote}]++|{quote}{inside}{quote})*+)({mark}|$)", re.DOTALL)
        self._part = re.compile(f"{quote}({inside}){quote}", re.DOTALL)
        self._doubled = re.compile(f"{escape}([{quote}{escape}])")
        framing = f"(?:[^{quote}]++)?+" if same else f"(?:[^{quote}{escape}]++|{escape}.)*+"
        self._framing = rf"((?:[^{quote}\r\n]++|{quote}{framing}{quote})*+)(\r\n?|\n)".encode()
        self._quote_byte = options.quote.encode()
        plain = f"(?:({quote}(?:[^{quote}]++|{quote}{quote})*+{quote})|([^{quote}{mark}\n]*+))({mark}|\n)"
        self._token = re.compile(plain) if same else None
        super().__init__(table, columns, options)
        if options.force_not_null or options.force_null:
            self._columnar = None

    def _line_pattern(self) -> bytes:
        return self._framing

    def _plain(self, data: bytes) -> bool:
        return b"\\." not in data and (self._token is not None or self._quote_byte not in data)

    def _last_line_end(self, data: bytes, at: int) -> int:
        """Newlines between an odd quote and its partner end no line; a few steps back find one that does."""
        cut = data.rfind(b"\n", at) + 1
        quotes = data.count(self._quote_byte, at, cut)
        for _ in range(_MAX_STEPS_BACK):
            if quotes % 2 == 0 or cut <= at:
                return cut
            before = data.rfind(b"\n", at, cut - 1) + 1
            quotes -= data.count(self._quote_byte, max(before, at), cut)
            cut = before
        return at

    def _parse_plain(self, text: str, columnar: ColumnarParser) -> Rows:
        quote = self._options.quote
        if quote not in text:
            return columnar.parse(text, None)
        if self._token is None:
            raise NotPlain
        tokens = self._token.findall(text)
        if sum(len(quoted) + len(bare) + 1 for quoted, bare, _ in tokens) != len(text):
            raise NotPlain
        return columnar.parse_quoted(tokens, quote)

    def _inner_lines(self, raw: bytes) -> int:
        return raw.count(b"\n" if self._newline == b"\n" else b"\r")

    def _split(self, line: str) -> list[str | None]:
        fields: list[str | None] = []
        at = 0
        if not self._columns:
            return [] if not line else [line]
        while True:
            match = self._field.match(line, at)
            if match is None:
                raise bad_format("unterminated CSV quoted field")
            fields.append(self._value(match[1], len(fields)))
            if not match[2]:
                return fields
            at = match.end()

    def _value(self, raw: str, index: int) -> str | None:
        """A field's text, or None where it means NULL."""
        options = self._options
        name = self._columns[index].name if index < len(self._columns) else ""
        if options.quote in raw:
            text = self._part.sub(lambda part: self._doubled.sub(r"\1", part[1]), raw)
            return None if name in options.force_null and text == options.null else text
        if raw == options.null and name not in options.force_not_null:
            return None
        return raw

    def _unfinished(self, line: bytes) -> None:
        probe = re.compile(self._framing, re.DOTALL).match(line + b"\n")
        if probe is None or probe.end() != len(line) + 1:
            raise bad_format("unterminated CSV quoted field")
