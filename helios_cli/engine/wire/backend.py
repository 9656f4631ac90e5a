"""Builders of backend messages: whole messages with type byte and length, ready to be written."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, Protocol

from helios_cli.engine.datatypes.registry import find_oid
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.wire.error_sources import source_of
from helios_cli.engine.wire.limits import PROTOCOL_3

READY_IDLE: Final = b"Z\0\0\0\x05I"
READY_IN_TRANSACTION: Final = b"Z\0\0\0\x05T"
READY_FAILED: Final = b"Z\0\0\0\x05E"
PARSE_COMPLETE: Final = b"1\0\0\0\x04"
BIND_COMPLETE: Final = b"2\0\0\0\x04"
CLOSE_COMPLETE: Final = b"3\0\0\0\x04"
NO_DATA: Final = b"n\0\0\0\x04"
PORTAL_SUSPENDED: Final = b"s\0\0\0\x04"
EMPTY_QUERY: Final = b"I\0\0\0\x04"
COPY_DONE: Final = b"c\0\0\0\x04"
AUTH_OK: Final = b"R\0\0\0\x08\0\0\0\0"
AUTH_CLEARTEXT: Final = b"R\0\0\0\x08\0\0\0\x03"
SSL_YES: Final = b"S"
SSL_NO: Final = b"N"

MAX_FIELD_BYTES: Final = 0x3FFF_FFFF
"""PostgreSQL never sends a field of 1 GB or more."""

_COLUMN: Final = Struct("!IhIhih")
_HEAD: Final = Struct("!I")


class ColumnLike(Protocol):
    """What RowDescription needs; ``sql.plan.Column`` has it."""

    @property
    def name(self) -> str: ...
    @property
    def type_oid(self) -> int: ...
    @property
    def typmod(self) -> int: ...
    @property
    def table_oid(self) -> int: ...
    @property
    def attnum(self) -> int: ...


def message(code: bytes, body: bytes) -> bytes:
    """One message of type ``code``."""
    return code + _HEAD.pack(len(body) + 4) + body


def _cstring(text: str) -> bytes:
    """NUL-terminated UTF-8; a NUL inside would cut the message and is replaced."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace") + b"\0"


def row_description(columns: Sequence[ColumnLike], formats: Sequence[int] = ()) -> bytes:
    """RowDescription. ``formats`` has a code per column, or none for all text (also before Bind)."""
    parts = [len(columns).to_bytes(2, "big")]
    for index, column in enumerate(columns):
        known = find_oid(column.type_oid)
        typlen = known.typlen if known is not None else -1
        code = formats[index] if formats else 0
        parts.append(_cstring(column.name))
        parts.append(_COLUMN.pack(column.table_oid, column.attnum, column.type_oid, typlen, column.typmod, code))
    return message(b"T", b"".join(parts))


def parameter_description(type_oids: Sequence[int]) -> bytes:
    """ParameterDescription of a statement's parameters."""
    return message(b"t", Struct(f"!H{len(type_oids)}I").pack(len(type_oids), *type_oids))


@lru_cache(1024)
def command_complete(tag: str) -> bytes:
    """CommandComplete; common tags come from a cache."""
    return message(b"C", _cstring(tag))


def error_response(error: HeliosError) -> bytes:
    """ErrorResponse with every field the error has."""
    return message(b"E", _fields(error, error.severity))


def notice_response(notice: HeliosError, severity: str = "NOTICE") -> bytes:
    """NoticeResponse; ``severity`` is NOTICE, WARNING, INFO, LOG or DEBUG."""
    return message(b"N", _fields(notice, severity))


def notice(text: str, *, severity: str = "NOTICE", sqlstate: str = "00000", hint: str | None = None) -> bytes:
    """NoticeResponse from a text."""
    return notice_response(HeliosError(text, sqlstate=sqlstate, hint=hint), severity)


def _fields(error: HeliosError, severity: str) -> bytes:
    file, line, routine = source_of(error)
    fields = (
        (b"S", severity),
        (b"V", severity),
        (b"C", error.sqlstate),
        (b"M", error.message),
        (b"D", error.detail),
        (b"H", error.hint),
        (b"P", None if error.position is None else str(error.position)),
        (b"W", error.context),
        (b"s", error.schema),
        (b"t", error.table),
        (b"c", error.column),
        (b"d", error.datatype),
        (b"n", error.constraint),
        (b"F", file),
        (b"L", line),
        (b"R", routine),
    )
    return b"".join(code + _cstring(text) for code, text in fields if text is not None) + b"\0"


def parameter_status(name: str, value: str) -> bytes:
    """ParameterStatus: a setting the client follows."""
    return message(b"S", _cstring(name) + _cstring(value))


def backend_key_data(pid: int, key: bytes) -> bytes:
    """BackendKeyData; the key is four bytes in protocol 3.0."""
    return message(b"K", _HEAD.pack(pid) + key)


def negotiate_protocol_version(unknown_options: Sequence[str]) -> bytes:
    """NegotiateProtocolVersion: the newest version spoken, as a startup packet has it, and the options not known."""
    body = Struct("!II").pack(PROTOCOL_3, len(unknown_options)) + b"".join(map(_cstring, unknown_options))
    return message(b"v", body)


def auth_sasl(mechanisms: Sequence[str]) -> bytes:
    """AuthenticationSASL: the mechanisms offered, best first."""
    return message(b"R", _HEAD.pack(10) + b"".join(map(_cstring, mechanisms)) + b"\0")


def auth_sasl_continue(data: bytes) -> bytes:
    """AuthenticationSASLContinue."""
    return message(b"R", _HEAD.pack(11) + data)


def auth_sasl_final(data: bytes) -> bytes:
    """AuthenticationSASLFinal."""
    return message(b"R", _HEAD.pack(12) + data)


def copy_in_response(columns: int, *, binary: bool = False) -> bytes:
    """CopyInResponse: the server waits for data."""
    return message(b"G", _copy_head(columns, binary))


def copy_out_response(columns: int, *, binary: bool = False) -> bytes:
    """CopyOutResponse: data follows."""
    return message(b"H", _copy_head(columns, binary))


def copy_both_response(columns: int = 0) -> bytes:
    """CopyBothResponse: a replication stream starts."""
    return message(b"W", _copy_head(columns, False))


def _copy_head(columns: int, binary: bool) -> bytes:
    return bytes([binary]) + columns.to_bytes(2, "big") + (b"\0\1" if binary else b"\0\0") * columns


def copy_data(data: bytes) -> bytes:
    """CopyData around ``data``."""
    return message(b"d", data)


def notification(pid: int, channel: str, payload: str) -> bytes:
    """NotificationResponse."""
    return message(b"A", _HEAD.pack(pid) + _cstring(channel) + _cstring(payload))
