"""Messages of a client that does not speak UTF-8, made UTF-8 when they come and back when they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from helios_cli.engine.datatypes.encodings import Encoding
from helios_cli.engine.wire import client, messages
from helios_cli.engine.wire.copy import CopyFormatter, CopyParser

TEXTS: Final = frozenset((19, 25, 114, 142, 705, 1042, 1043, 2275))
"""Types whose binary form is text."""
_JSONB: Final = 3802
_QUERY, _PARSE, _BIND = b"QPB"
_NAMING: Final = b"DCE"
_TELLING: Final = b"TENSA"
"""Types of messages from the server with text in them, besides rows and COPY data."""

RowsEncoder = Callable[[Iterable[Sequence[Any]]], bytes]


def received(code: int, body: bytes, encoding: Encoding, types_of: Callable[[str], Sequence[int]]) -> bytes:
    """A message of the client's; ``types_of`` gives the parameter types of a statement by name.

    Raises:
        SqlError: 22021 or 22P05, its text is wrong.
    """
    if code == _QUERY or code in _NAMING:
        return encoding.to_utf8(body)
    if code == _PARSE:
        name = body.find(b"\0")
        end = body.find(b"\0", name + 1)
        return body if end < 0 else encoding.to_utf8(body[:end]) + body[end:]
    return _bind(body, encoding, types_of) if code == _BIND else body


def _bind(body: bytes, encoding: Encoding, types_of: Callable[[str], Sequence[int]]) -> bytes:
    portal, statement, formats, params, results = messages.parse_bind(body, 0, len(body))
    types = types_of(statement)
    if len(formats) > 1 and len(formats) != len(params):
        return body
    codes = formats if len(formats) == len(params) else (formats or (0,)) * len(params)
    made = []
    for number, (code, data) in enumerate(zip(codes, params, strict=True)):
        oid = types[number] if number < len(types) else 0
        if data is not None and (not code or oid in TEXTS):
            data = encoding.to_utf8(data)
        elif data is not None and oid == _JSONB:
            data = data[:1] + encoding.to_utf8(data[1:])
        made.append(data)
    return client.bind(made, portal=portal, statement=statement, param_formats=formats, result_formats=results)[5:]


def sent(data: bytes, encoding: Encoding) -> bytes:
    """Whole messages of the server's. Rows and COPY data were converted when they were made."""
    if data.isascii():
        return data
    parts = []
    at = 0
    while at < len(data):
        end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        body = data[at + 5 : end]
        if data[at] in _TELLING and not body.isascii():
            changed = _description(body, encoding) if data[at : at + 1] == b"T" else encoding.readable(body)
            parts.append(data[at : at + 1] + (len(changed) + 4).to_bytes(4, "big") + changed)
        else:
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def _description(body: bytes, encoding: Encoding) -> bytes:
    parts = [body[:2]]
    at = 2
    while at < len(body):
        end = body.index(b"\0", at)
        parts += [encoding.readable(body[at:end]), body[end : end + 19]]
        at = end + 19
    return b"".join(parts)


def rows_recoder(encode: RowsEncoder, types: Sequence[int], formats: Sequence[int], encoding: Encoding) -> RowsEncoder:
    """The encoder of rows of these types for such a client. It raises SqlError 22P05."""
    wanted = [
        1 if not code or oid in TEXTS else 2 if oid == _JSONB else 0 for oid, code in zip(types, formats, strict=True)
    ]

    def recoded(rows: Iterable[Sequence[Any]]) -> bytes:
        data = encode(rows)
        return data if data.isascii() else _rows(data, wanted, encoding)

    return recoded


def _rows(data: bytes, wanted: Sequence[int], encoding: Encoding) -> bytes:
    parts = []
    at = 0
    while at < len(data):
        end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        fields = [data[at + 5 : at + 7]]
        at += 7
        for how in wanted:
            size = int.from_bytes(data[at : at + 4], "big", signed=True)
            field = data[at + 4 : at + 4 + max(size, 0)]
            if how and not field.isascii():
                field = field[: how - 1] + encoding.from_utf8(field[how - 1 :])
            fields += [data[at : at + 4] if size < 0 else len(field).to_bytes(4, "big"), field]
            at += 4 + max(size, 0)
        body = b"".join(fields)
        parts.append(b"D" + (len(body) + 4).to_bytes(4, "big") + body)
        at = end
    return b"".join(parts)


class RecodedParser:
    """COPY data that comes in another encoding."""

    def __init__(self, inner: CopyParser, encoding: Encoding) -> None:
        self._inner, self._encoding, self._decoder = inner, encoding, encoding.decoder()
        self.line_no, self.done = 0, False

    def feed(self, data: bytes) -> list[tuple[Any, ...]]:
        """Rows completed by ``data``. Raises SqlError."""
        rows = self._inner.feed(self._utf8(data, final=False))
        self.line_no, self.done = self._inner.line_no, self._inner.done
        return rows

    def finish(self) -> list[tuple[Any, ...]]:
        """The last rows. Raises SqlError."""
        return [*self._inner.feed(self._utf8(b"", final=True)), *self._inner.finish()]

    def _utf8(self, data: bytes, *, final: bool) -> bytes:
        try:
            return self._decoder.decode(data, final).encode()
        except UnicodeDecodeError as error:
            return self._encoding.to_utf8(error.object[error.start : error.end])


class RecodedFormatter:
    """COPY data that leaves in another encoding. Its methods raise SqlError 22P05."""

    def __init__(self, inner: CopyFormatter, encoding: Encoding) -> None:
        self._inner, self._encoding = inner, encoding

    def begin(self) -> bytes:
        """What comes before the first row."""
        return self._encoding.from_utf8(self._inner.begin())

    def rows(self, rows: Iterable[Sequence[Any]]) -> bytes:
        """The rows, joined."""
        return self._encoding.from_utf8(self._inner.rows(rows))

    def end(self) -> bytes:
        """What comes after the last row."""
        return self._encoding.from_utf8(self._inner.end())
