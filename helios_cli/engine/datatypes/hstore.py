"""hstore: a set of pairs of texts, kept in the text that PostgreSQL prints (contrib/hstore, hstore_io.c)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from struct import Struct
from typing import Final

from helios_cli.engine.datatypes.received import Received
from helios_cli.engine.datatypes.utf8 import decode_utf8
from helios_cli.engine.errors import SqlError

_COUNT: Final = Struct("!i")
_LENGTH_MAX: Final = 0x3FFFFFFF
_TOKEN: Final = re.compile(
    r"""\s*(?:"((?:[^"\\]|\\.)*)"|((?:[^\s"=,\\]|\\.|=(?!>))(?:[^\s=,\\]|\\.|=(?!>))*))\s*""", re.DOTALL
)
_ARROW: Final = re.compile(r"\s*=>\s*")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)

Pairs = dict[str, str | None]


def _syntax_error(text: str, at: int) -> SqlError:
    if at >= len(text):
        return SqlError("Unexpected end of string", sqlstate="XX000")
    return SqlError(f'Syntax error near "{text[at]}" at position {at}', sqlstate="XX000")


def read_hstore(text: str) -> Pairs:
    """The pairs of an hstore's text; of a key that comes twice the first value counts.

    Raises:
        SqlError: XX000, the text is no hstore; PostgreSQL has no better code for it.
    """
    pairs: Pairs = {}
    at, end = 0, len(text.rstrip())
    while at < end:
        key, _quoted, at = _token(text, at)
        arrow = _ARROW.match(text, at)
        if arrow is None:
            raise _syntax_error(text, at)
        value, quoted, at = _token(text, arrow.end())
        pairs.setdefault(key, None if not quoted and value.lower() == "null" else value)
        if at < end:
            if text[at] != ",":
                raise _syntax_error(text, at)
            at += 1
    return pairs


def _token(text: str, at: int) -> tuple[str, bool, int]:
    """(word, whether it was quoted, where the next one begins)."""
    match = _TOKEN.match(text, at)
    if match is None:
        raise _syntax_error(text, at + len(text[at:]) - len(text[at:].lstrip()))
    quoted = match[1] is not None
    return _ESCAPE.sub(r"\1", match[1] if quoted else match[2]), quoted, match.end()


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_hstore(pairs: Mapping[str, str | None]) -> str:
    """The text of pairs, shorter keys first, then by their bytes: the order in which PostgreSQL keeps them."""
    keys = sorted(pairs, key=lambda key: (len(encoded := key.encode("utf-8", "replace")), encoded))
    parts = []
    for key in keys:
        value = pairs[key]
        parts.append(f"{_quote(key)}=>{'NULL' if value is None else _quote(value)}")
    return ", ".join(parts)


def parse_hstore(text: str) -> str:
    """The canonical text of an hstore. Raises XX000."""
    return write_hstore(read_hstore(text))


def parse_hstore_binary(data: bytes) -> str:
    """hstore_recv: the number of pairs, then each key and value with its length; -1 is NULL.

    Raises:
        SqlError: 08P01, 22P03, 22004 a key that is NULL, 22021.
    """
    pairs: Pairs = {}
    message = Received(data)
    for _ in range(message.number(4, signed=True)):
        length = message.number(4, signed=True)
        if length < 0:
            raise SqlError("null value not allowed for hstore key", sqlstate="22004")
        key = decode_utf8(message.take(length))
        length = message.number(4, signed=True)
        value = None if length < 0 else decode_utf8(message.take(length))
        pairs.setdefault(key, value)
    message.end()
    return write_hstore(pairs)


def format_hstore_binary(value: object) -> bytes:
    """hstore_send."""
    pairs = read_hstore(str(value))
    parts = [_COUNT.pack(len(pairs))]
    for key, item in pairs.items():
        for word in (key, item):
            data = None if word is None else word.encode("utf-8", "replace")
            parts.append(_COUNT.pack(-1) if data is None else _COUNT.pack(len(data)) + data)
    return b"".join(parts)
