"""COPY in binary format, both directions (PostgreSQL manual, COPY, "Binary Format")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from helios_cli.engine.datatypes.registry import apply_typmod, find_oid
from helios_cli.engine.datatypes.strings import format_string
from helios_cli.engine.datatypes.utf8 import decode_utf8
from helios_cli.engine.errors import SqlError
from helios_cli.engine.wire.copy_options import CopyColumn, bad_format

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
HEADER: Final = SIGNATURE + bytes(8)
TRAILER: Final = b"\xff\xff"
_HEADER_BYTES: Final = len(HEADER)
_FLAG_OIDS: Final = 1 << 16
_CRITICAL: Final = 0xFFFF0000
MAX_FIELD_BYTES: Final = 0x3FFF_FFFF
_NULL_LENGTH: Final = 0xFFFF_FFFF
Rows = list[tuple[Any, ...]]


class BinaryParser:
    """Rows out of the binary format, fed in pieces of any size."""

    def __init__(self, table: str, columns: Sequence[CopyColumn]) -> None:
        self._table = table
        self._columns = tuple(columns)
        self._parsers = [_parser(column) for column in columns]
        self._pieces: list[bytes] = []
        self._size = 0
        self._needed = _HEADER_BYTES
        self._headed = False
        self.line_no = 0
        """Rows read so far."""
        self.done = False
        """Whether the trailer was seen."""

    def feed(self, data: bytes) -> Rows:
        """Rows completed by ``data``. Raises SqlError with the row in its context."""
        if self.done:
            if data:
                raise bad_format("received copy data after EOF marker")
            return []
        self._pieces.append(data)
        self._size += len(data)
        if self._size < self._needed:
            return []
        buffer = b"".join(self._pieces)
        rows: Rows = []
        at = self._take(buffer, rows)
        rest = buffer[at:]
        self._pieces = [rest] if rest else []
        self._size = len(rest)
        if self.done and rest:
            raise bad_format("received copy data after EOF marker")
        return rows

    def _take(self, buffer: bytes, rows: Rows) -> int:
        """Append complete rows; the offset reached. Notes how much the next row needs at least."""
        at = 0
        if not self._headed:
            at = self._take_header(buffer)
            if not self._headed:
                return at
        while not self.done:
            end = self._take_row(buffer, at, rows)
            if end is None:
                break
            at = end
        return at

    def _take_header(self, buffer: bytes) -> int:
        if not buffer.startswith(SIGNATURE):
            raise bad_format("COPY file signature not recognized")
        flags = int.from_bytes(buffer[11:15], "big")
        if flags & _FLAG_OIDS:
            raise bad_format("invalid COPY file header (WITH OIDS)")
        if flags & _CRITICAL:
            raise bad_format("unrecognized critical flags in COPY file header")
        extension = int.from_bytes(buffer[15:19], "big", signed=True)
        if extension < 0:
            raise bad_format("invalid COPY file header (missing length)")
        end = _HEADER_BYTES + extension
        if len(buffer) < end:
            self._needed = end
            return 0
        self._headed = True
        return end

    def _take_row(self, buffer: bytes, at: int, rows: Rows) -> int | None:
        """Append the row at ``at``; the offset behind it, None until all of it is there. The trailer sets ``done``."""
        size = len(buffer)
        end = at + 2
        if end > size:
            self._needed = 2
            return None
        count = int.from_bytes(buffer[at:end], "big", signed=True)
        if count == -1:
            self.done = True
            return end
        if count != len(self._columns):
            self.line_no += 1
            raise self._located(bad_format(f"row field count is {count}, expected {len(self._columns)}"), None)
        fields: list[bytes | None] = []
        from_bytes = int.from_bytes
        for _ in range(count):
            start = end + 4
            if start > size:
                return self._wait(start - at)
            length = from_bytes(buffer[end:start], "big")
            if length == _NULL_LENGTH:
                fields.append(None)
                end = start
                continue
            if length > MAX_FIELD_BYTES:
                self.line_no += 1
                raise self._located(bad_format("invalid field size"), self._columns[len(fields)])
            end = start + length
            if end > size:
                return self._wait(end - at)
            fields.append(buffer[start:end])
        self.line_no += 1
        rows.append(self._row(fields))
        return end

    def _wait(self, needed: int) -> int | None:
        """Note what an incomplete row needs; None, as the row's end."""
        self._needed = needed
        return None

    def _row(self, fields: list[bytes | None]) -> tuple[Any, ...]:
        values: list[Any] = []
        try:
            for parse, field in zip(self._parsers, fields, strict=True):
                values.append(None if field is None else parse(field))
        except SqlError as error:
            raise self._located(error, self._columns[len(values)]) from None
        return tuple(values)

    def finish(self) -> Rows:
        """Nothing more; raises 22P04 unless the data ended behind a row or the trailer."""
        if not self._headed:
            raise bad_format("COPY file signature not recognized")
        if self._size and not self.done:
            self.line_no += 1
            raise self._located(bad_format("unexpected EOF in COPY data"), None)
        self.done = True
        return []

    def _located(self, error: SqlError, column: CopyColumn | None) -> SqlError:
        where = f"COPY {self._table}, line {self.line_no}"
        error.context = where if column is None else f"{where}, column {column.name}"
        return error


def _parser(column: CopyColumn) -> Callable[[bytes], Any]:
    """One field's conversion, the column's modifier applied."""
    known = find_oid(column.type_oid)
    if known is None:
        return decode_utf8
    parse, oid, typmod = known.parse_binary, column.type_oid, column.typmod
    return parse if typmod < 0 else lambda data: apply_typmod(oid, typmod, parse(data))


class BinaryFormatter:
    """Rows into the binary format."""

    def __init__(self, columns: Sequence[CopyColumn]) -> None:
        known = [find_oid(column.type_oid) for column in columns]
        self._encoders = [format_string if one is None else one.format_binary for one in known]
        self._count = len(self._encoders).to_bytes(2, "big")

    def begin(self) -> bytes:
        """The file header."""
        return HEADER

    def rows(self, rows: Iterable[Sequence[Any]]) -> bytes:
        """The tuples of ``rows``, joined; empty for none."""
        out: list[bytes] = []
        for row in rows:
            out.append(self._count)
            for encode, value in zip(self._encoders, row, strict=True):
                if value is None:
                    out.append(b"\xff\xff\xff\xff")
                else:
                    field = encode(value)
                    out.append(len(field).to_bytes(4, "big"))
                    out.append(field)
        return b"".join(out)

    def end(self) -> bytes:
        """The file trailer."""
        return TRAILER
