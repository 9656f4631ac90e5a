"""The protocol from the client's side: builders of frontend messages, parsers of backend messages.

A server may be as hostile as a client: every parser checks its bounds and raises ``ProtocolViolation``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.wire.backend import message
from helios_cli.engine.wire.limits import CANCEL_REQUEST, PROTOCOL_3, SSL_REQUEST

SSL_REQUEST_PACKET: Final = Struct("!II").pack(8, SSL_REQUEST)
SYNC: Final = b"S\0\0\0\x04"
FLUSH: Final = b"H\0\0\0\x04"
TERMINATE: Final = b"X\0\0\0\x04"
COPY_DONE: Final = b"c\0\0\0\x04"

MAX_MESSAGE: Final = 0x3FFF_FFFF
"""Longest message believed once authenticated."""
MAX_EARLY_MESSAGE: Final = 30_000
"""Longest message believed before that; libpq's MAX_ERRLEN."""

_COLUMN: Final = Struct("!IhIhih")
_INT4: Final = Struct("!I")


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """One column of a result as the server describes it."""

    name: str
    type_oid: int
    typmod: int = -1
    table_oid: int = 0
    attnum: int = 0
    format: int = 0


def _cstring(text: str) -> bytes:
    if "\0" in text:
        raise HeliosError("a NUL character cannot be sent to a server", sqlstate="22021")
    return text.encode("utf-8", "surrogateescape") + b"\0"


def startup(parameters: Mapping[str, str], version: int = PROTOCOL_3) -> bytes:
    """StartupMessage."""
    body = _INT4.pack(version) + b"".join(_cstring(k) + _cstring(v) for k, v in parameters.items()) + b"\0"
    return _INT4.pack(len(body) + 4) + body


def cancel_request(pid: int, key: bytes) -> bytes:
    """CancelRequest, to be sent on a connection of its own."""
    return Struct("!III").pack(12 + len(key), CANCEL_REQUEST, pid) + key


def query(sql: str) -> bytes:
    """Query: the simple protocol."""
    return message(b"Q", _cstring(sql))


def parse(sql: str, name: str = "", type_oids: Sequence[int] = ()) -> bytes:
    """Parse."""
    types = Struct(f"!H{len(type_oids)}I").pack(len(type_oids), *type_oids)
    return message(b"P", _cstring(name) + _cstring(sql) + types)


def bind(
    params: Sequence[bytes | None],
    *,
    portal: str = "",
    statement: str = "",
    param_formats: Sequence[int] = (),
    result_formats: Sequence[int] = (),
) -> bytes:
    """Bind."""
    parts = [_cstring(portal), _cstring(statement), _codes(param_formats), len(params).to_bytes(2, "big")]
    for value in params:
        parts.append(b"\xff\xff\xff\xff" if value is None else _INT4.pack(len(value)) + value)
    parts.append(_codes(result_formats))
    return message(b"B", b"".join(parts))


def _codes(codes: Sequence[int]) -> bytes:
    return Struct(f"!H{len(codes)}h").pack(len(codes), *codes)


def describe(kind: str, name: str = "") -> bytes:
    """Describe a statement ('S') or portal ('P')."""
    return message(b"D", kind.encode() + _cstring(name))


def close(kind: str, name: str = "") -> bytes:
    """Close a statement ('S') or portal ('P')."""
    return message(b"C", kind.encode() + _cstring(name))


def execute(portal: str = "", max_rows: int = 0) -> bytes:
    """Execute; 0 means all rows."""
    return message(b"E", _cstring(portal) + Struct("!i").pack(max_rows))


def password(text: str) -> bytes:
    """PasswordMessage."""
    return message(b"p", _cstring(text))


def md5_password(user: str, secret: str, salt: bytes) -> bytes:
    """PasswordMessage for AuthenticationMD5Password; old servers still ask for it."""
    inner = hashlib.md5(secret.encode() + user.encode(), usedforsecurity=False).hexdigest()
    return password("md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest())


def sasl_initial(mechanism: str, data: bytes) -> bytes:
    """SASLInitialResponse."""
    return message(b"p", _cstring(mechanism) + _INT4.pack(len(data)) + data)


def sasl_response(data: bytes) -> bytes:
    """SASLResponse."""
    return message(b"p", data)


def copy_fail(reason: str) -> bytes:
    """CopyFail."""
    return message(b"f", _cstring(reason))


def check_length(code: int, length: int, *, authenticated: bool) -> None:
    """Check the length word of a server's message. Raises ProtocolViolation; never wait for such a message."""
    if not 4 <= length <= (MAX_MESSAGE if authenticated else MAX_EARLY_MESSAGE):
        raise _broken(f"message {chr(code)!r} has the impossible length {length}")


def _broken(detail: str) -> ProtocolViolation:
    return ProtocolViolation("the server broke the protocol", detail=detail)


def _string(body: bytes, at: int) -> tuple[str, int]:
    stop = body.find(0, at)
    if stop < 0:
        raise _broken("a string has no end")
    return body[at:stop].decode("utf-8", "replace"), stop + 1


def parse_error(body: bytes) -> HeliosError:
    """ErrorResponse or NoticeResponse; a SQLSTATE that is none becomes XX000, a missing text an empty one."""
    fields: dict[str, str] = {}
    at = 0
    while at < len(body) and body[at]:
        code = chr(body[at])
        fields[code], at = _string(body, at + 1)
    if at >= len(body):
        raise _broken("an error report has no end")
    position, code = fields.get("P", ""), fields.get("C", "")
    error = HeliosError(
        fields.get("M", ""),
        sqlstate=code if len(code) == 5 and code.isascii() and code.isalnum() else "XX000",
        detail=fields.get("D"),
        hint=fields.get("H"),
        position=int(position) if position.isascii() and position.isdigit() and len(position) < 10 else None,
        schema=fields.get("s"),
        table=fields.get("t"),
        column=fields.get("c"),
        datatype=fields.get("d"),
        constraint=fields.get("n"),
        context=fields.get("W"),
    )
    error.severity = fields.get("V") or fields.get("S") or "ERROR"
    return error


def parse_row_description(body: bytes) -> tuple[ResultColumn, ...]:
    """RowDescription."""
    if len(body) < 2:
        raise _broken("a row description is too short")
    count, at = body[0] << 8 | body[1], 2
    columns = []
    for _ in range(count):
        name, at = _string(body, at)
        if at + _COLUMN.size > len(body):
            raise _broken("a row description is too short")
        table_oid, attnum, type_oid, _, typmod, code = _COLUMN.unpack_from(body, at)
        at += _COLUMN.size
        columns.append(ResultColumn(name, type_oid, typmod, table_oid, attnum, code))
    if at != len(body):
        raise _broken("a row description is too long")
    return tuple(columns)


def parse_data_row(body: bytes) -> list[bytes | None]:
    """DataRow. A negative length other than -1 is refused, never used as an offset."""
    size = len(body)
    if size < 2:
        raise _broken("a row is too short")
    count, at = body[0] << 8 | body[1], 2
    values: list[bytes | None] = []
    for _ in range(count):
        start = at + 4
        if start > size:
            raise _broken("a row is too short")
        length = int.from_bytes(body[at:start], "big")
        if length == 0xFFFFFFFF:
            values.append(None)
            at = start
            continue
        at = start + length
        if at > size:
            raise _broken("a field is longer than its row")
        values.append(body[start:at])
    if at != size:
        raise _broken("a row is too long")
    return values


def parse_text_row(body: bytes) -> tuple[str | None, ...]:
    """DataRow, its values as text."""
    return tuple(None if value is None else value.decode("utf-8", "replace") for value in parse_data_row(body))


def parse_tag(body: bytes) -> str:
    """CommandComplete."""
    return _string(body, 0)[0]


def parse_status(body: bytes) -> tuple[str, str]:
    """ParameterStatus: (name, value)."""
    name, at = _string(body, 0)
    return name, _string(body, at)[0]


def parse_key_data(body: bytes) -> tuple[int, bytes]:
    """BackendKeyData: (process id, cancel key of 4 to 256 bytes)."""
    if not 8 <= len(body) <= 260:
        raise _broken("the cancel key has an impossible length")
    return int.from_bytes(body[:4], "big"), body[4:]


def parse_ready(body: bytes) -> str:
    """ReadyForQuery: 'I', 'T' or 'E'."""
    if body not in (b"I", b"T", b"E"):
        raise _broken("an unknown transaction status")
    return body.decode()


def parse_auth(body: bytes) -> tuple[int, bytes]:
    """Authentication request: (code, the rest)."""
    if len(body) < 4:
        raise _broken("an authentication request is too short")
    return int.from_bytes(body[:4], "big"), body[4:]


def parse_mechanisms(body: bytes) -> list[str]:
    """The names in AuthenticationSASL."""
    names, at = [], 0
    while at < len(body) and body[at]:
        name, at = _string(body, at)
        names.append(name)
    return names
