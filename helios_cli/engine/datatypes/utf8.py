"""Decoding of client text: UTF-8 without NUL, or PostgreSQL's error 22021."""

from __future__ import annotations

from helios_cli.engine.errors import SqlError


def decode_utf8(data: bytes) -> str:
    """The text of ``data``.

    Raises:
        SqlError: 22021 for malformed UTF-8 or an embedded NUL.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        raise invalid_utf8(data, exc.start) from None
    if "\0" in text:
        raise invalid_utf8(data, data.index(0))
    return text


def invalid_utf8(data: bytes, at: int) -> SqlError:
    """The error PostgreSQL reports for the malformed sequence at offset ``at``."""
    size = _sequence_length(data[at])
    shown = " ".join(f"0x{byte:02x}" for byte in data[at : at + size])
    return SqlError(f'invalid byte sequence for encoding "UTF8": {shown}', sqlstate="22021")


def _sequence_length(lead: int) -> int:
    """How many bytes the lead byte announces, as ``pg_utf_mblen`` counts."""
    if lead & 0xE0 == 0xC0:
        return 2
    if lead & 0xF0 == 0xE0:
        return 3
    if lead & 0xF8 == 0xF0:
        return 4
    return 1
