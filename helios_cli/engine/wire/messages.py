"""Parsing of frontend messages out of a buffer, by offsets.

``start`` and ``end`` delimit the body of one message: after the type byte and the length word. The caller has
framed it, so ``end`` lies inside ``data``; nothing inside the body is trusted. Errors are ``ProtocolViolation``
with the text PostgreSQL sends; text that is not UTF-8 is 22021.
"""

from __future__ import annotations

from itertools import product
from struct import Struct
from struct import error as StructError
from typing import Final

from helios_cli.engine.datatypes.utf8 import invalid_utf8
from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.wire.limits import LIMITS

_INT4: Final = Struct("!i")
_unpack_int4 = _INT4.unpack_from
_HALF: Final = Struct("!H")
_ONE_PARAM: Final = Struct("!HHi")
_unpack_plain = _ONE_PARAM.unpack_from
_NO_FORMATS: Final[tuple[int, ...]] = ()
_ONE_FORMAT: Final[tuple[tuple[int, ...], ...]] = ((0,), (1,))
_RESULTS: Final[dict[bytes, tuple[int, ...]]] = {b"\0\0": (), b"\0\1\0\0": (0,), b"\0\1\0\1": (1,)}
"""The ends of a Bind that ask for all columns in one format."""

_COMMON_FORMATS: Final[dict[bytes, tuple[int, ...]]] = {
    Struct(f"!{count}H").pack(*codes): codes for count in range(1, 9) for codes in product((0, 1), repeat=count)
}
"""Every list of up to eight format codes by its bytes."""


def _unpack_size(data: bytes, at: int) -> int:
    size: int = _INT4.unpack_from(data, at)[0]
    return size


Bind = tuple[str, str, tuple[int, ...], list[bytes | None], tuple[int, ...]]
"""Portal, statement, parameter format codes, parameters, result format codes (none: all text; one: for all)."""


def check_length(code: int, length: int) -> None:
    """Check a message's length word (which counts itself) against its type.

    Raises:
        ProtocolViolation: an unknown type byte or an impossible length; the connection must end.
    """
    limit = LIMITS[code]
    if not limit:
        raise ProtocolViolation(f"invalid frontend message type {code}")
    if not 4 <= length <= limit:
        raise ProtocolViolation("invalid message length")


def _leftover() -> ProtocolViolation:
    return ProtocolViolation("invalid message format")


def _too_short() -> ProtocolViolation:
    return ProtocolViolation("insufficient data left in message")


def _no_string() -> ProtocolViolation:
    return ProtocolViolation("invalid string in message")


def _text(data: bytes, start: int, end: int) -> str:
    """The UTF-8 text of ``data[start:end]``, which holds no NUL."""
    piece = data[start:end]
    try:
        return piece.decode()
    except UnicodeDecodeError as exc:
        raise invalid_utf8(piece, exc.start) from None


def _string(data: bytes, start: int, end: int) -> tuple[str, int]:
    """A NUL-terminated string and the offset behind it."""
    stop = data.find(0, start, end)
    if stop < 0:
        raise _no_string()
    return _text(data, start, stop), stop + 1


def parse_query(data: bytes, start: int, end: int) -> str:
    """Query: the statement text."""
    if start >= end or data.find(0, start, end) != end - 1:
        raise _no_string() if data.find(0, start, end) < 0 else _leftover()
    try:
        return data[start : end - 1].decode()
    except UnicodeDecodeError as exc:
        raise invalid_utf8(data[start : end - 1], exc.start) from None


def parse_parse(data: bytes, start: int, end: int) -> tuple[str, str, tuple[int, ...]]:
    """Parse: (statement name, text, parameter type oids; 0 where the client leaves it open)."""
    name, at = ("", start + 1) if start < end and data[start] == 0 else _string(data, start, end)
    query, at = _string(data, at, end)
    if at + 2 > end:
        raise _too_short()
    count = data[at] << 8 | data[at + 1]
    at += 2
    if at + 4 * count != end:
        raise _too_short() if at + 4 * count > end else _leftover()
    return name, query, Struct(f"!{count}I").unpack_from(data, at) if count else ()


def parse_bind(data: bytes, start: int, end: int) -> Bind:
    """Bind: see :data:`Bind`. Format codes are 0 (text) or 1 (binary); their numbers fit the parameters."""
    try:
        stop = data.index(0, start, end)
        portal = data[start:stop].decode() if stop > start else ""
        at = data.index(0, stop + 1, end)
        statement = data[stop + 1 : at].decode() if at > stop + 1 else ""
    except ValueError:
        raise _name_error(data, start, end) from None
    at += 1
    if at + 10 <= end:
        formats, count, size = _unpack_plain(data, at)
        if formats == 0 and count == 1:
            at += 8
            codes = _NO_FORMATS
        elif formats == 1 and size >> 16 == 1 and count < 2:
            size = _unpack_size(data, at + 6)
            at += 10
            codes = _ONE_FORMAT[count]
        elif formats == 0 and count:
            several = _several_in_text(data, at + 4, end, count)
            if several is not None:
                return portal, statement, _NO_FORMATS, *several
            return portal, statement, *_parse_values(data, at, end)
        else:
            return portal, statement, *_parse_values(data, at, end)
        stop = at + size
        results = _RESULTS.get(data[stop:end]) if size >= 0 else None
        if results is not None:
            return portal, statement, codes, [data[at:stop]], results
        at -= 8 if codes is _NO_FORMATS else 10
    return portal, statement, *_parse_values(data, at, end)


def _several_in_text(data: bytes, at: int, end: int, count: int) -> tuple[list[bytes | None], tuple[int, ...]] | None:
    """Parameters without format codes, none of them NULL, and the result formats; None: look more closely."""
    params: list[bytes | None] = []
    try:
        for _ in range(count):
            size = _unpack_int4(data, at)[0]
            if size < 0:
                return None
            at += 4
            params.append(data[at : at + size])
            at += size
    except StructError:
        return None
    results = _RESULTS.get(data[at:end]) if at < end else None
    return None if results is None else (params, results)


def _name_error(data: bytes, start: int, end: int) -> HeliosError:
    """Which of the two names of a Bind is missing its end or is not UTF-8."""
    try:
        _, at = _string(data, start, end)
        _string(data, at, end)
    except HeliosError as exc:
        return exc
    return _no_string()


def _parse_values(data: bytes, at: int, end: int) -> tuple[tuple[int, ...], list[bytes | None], tuple[int, ...]]:
    """Everything of a Bind after the names."""
    formats, at = parse_formats(data, at, end)
    if at + 2 > end:
        raise _too_short()
    count = data[at] << 8 | data[at + 1]
    at += 2
    if len(formats) > 1 and len(formats) != count:
        raise ProtocolViolation(f"bind message has {len(formats)} parameter formats but {count} parameters")
    params: list[bytes | None] = []
    append = params.append
    from_bytes = int.from_bytes
    for _ in range(count):
        stop = at + 4
        if stop > end:
            raise _too_short()
        size = from_bytes(data[at:stop], "big")
        at = stop + size
        if at <= end:
            append(data[stop:at])
        elif size == 0xFFFFFFFF:
            at = stop
            append(None)
        else:
            raise _too_short()
    results, at = parse_formats(data, at, end)
    if at != end:
        raise _leftover()
    return formats, params, results


def parse_formats(data: bytes, at: int, end: int) -> tuple[tuple[int, ...], int]:
    """A counted list of format codes and the offset behind it."""
    if at + 2 > end:
        raise _too_short()
    count = data[at] << 8 | data[at + 1]
    at += 2
    if not count:
        return (), at
    stop = at + 2 * count
    if stop > end:
        raise _too_short()
    known = _COMMON_FORMATS.get(data[at:stop])
    if known is not None:
        return known, stop
    codes = Struct(f"!{count}h").unpack_from(data, at)
    for code in codes:
        if code not in (0, 1):
            raise HeliosError(f"unsupported format code: {code}", sqlstate="22023")
    return codes, stop


def formats_for(codes: tuple[int, ...], count: int) -> tuple[int, ...]:
    """One format code per column from a Bind's list: none means text for all, one holds for all.

    Raises:
        ProtocolViolation: the list has another length than ``count``.
    """
    if len(codes) == count:
        return codes
    if not codes:
        return (0,) * count
    if len(codes) == 1:
        return codes * count
    raise ProtocolViolation(f"bind message has {len(codes)} result formats but query has {count} columns")


def parse_target(data: bytes, start: int, end: int, message: str) -> tuple[str, str]:
    """Describe or Close: ('S' statement or 'P' portal, name). ``message`` is DESCRIBE or CLOSE, for the error."""
    if start >= end:
        raise ProtocolViolation("no data left in message")
    kind = data[start]
    name, at = _string(data, start + 1, end)
    if at != end:
        raise _leftover()
    if kind not in b"SP":
        raise HeliosError(f"invalid {message} message subtype {kind}", sqlstate="08P01")
    return chr(kind), name


def parse_execute(data: bytes, start: int, end: int) -> tuple[str, int]:
    """Execute: (portal, greatest number of rows; 0 means all, and so does less)."""
    portal, at = ("", start + 1) if start < end and data[start] == 0 else _string(data, start, end)
    if at + 4 != end:
        raise _too_short() if at + 4 > end else _leftover()
    rows: int = _INT4.unpack_from(data, at)[0]
    return portal, max(rows, 0)


def parse_empty(data: bytes, start: int, end: int) -> None:
    """Flush, Sync, Terminate, CopyDone: nothing in the body."""
    if start != end:
        raise _leftover()


def parse_copy_fail(data: bytes, start: int, end: int) -> str:
    """CopyFail: the client's reason."""
    text, at = _string(data, start, end)
    if at != end:
        raise _leftover()
    return text


def parse_function_call(
    data: bytes, start: int, end: int
) -> tuple[int, tuple[int, ...], list[bytes | None], tuple[int, ...]]:
    """FunctionCall: (the function's oid, argument format codes, arguments, the result's format code)."""
    if start + 4 > end:
        raise _too_short()
    oid = int.from_bytes(data[start : start + 4], "big")
    at = start + 4
    formats, at = parse_formats(data, at, end)
    if at + 2 > end:
        raise _too_short()
    count = data[at] << 8 | data[at + 1]
    at += 2
    if len(formats) > 1 and len(formats) != count:
        raise ProtocolViolation(f"function call message contains {len(formats)} argument formats but {count} arguments")
    arguments: list[bytes | None] = []
    for _ in range(count):
        if at + 4 > end:
            raise _too_short()
        size = _unpack_size(data, at)
        at += 4
        if size < -1:
            raise ProtocolViolation(f"invalid argument size {size} in function call message")
        if size < 0:
            arguments.append(None)
            continue
        if at + size > end:
            raise _too_short()
        arguments.append(data[at : at + size])
        at += size
    if at + 2 != end:
        raise _too_short() if at + 2 > end else _leftover()
    code = data[at] << 8 | data[at + 1]
    if code not in (0, 1):
        raise HeliosError(f"unsupported format code: {code}", sqlstate="22023")
    return oid, formats, arguments, (code,)
