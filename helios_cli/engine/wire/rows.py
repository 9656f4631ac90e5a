"""DataRow encoders, written for one signature of column types and formats at a time.

A row is put together as one string whose characters are the bytes to send (Latin-1), because formatting and
joining strings costs Python a third of what the same steps cost with bytes. Values that are rare (long, of another
storage class than the column's type) take :func:`encode_slowly`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, tzinfo
from functools import lru_cache, partial
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes.registry import find_oid, row_codec
from helios_cli.engine.datatypes.strings import format_string
from helios_cli.engine.datatypes.usertypes import is_row, is_row_array
from helios_cli.engine.datatypes.zoned import is_shown_by, zoned_writer
from helios_cli.engine.datatypes.zoned_ranges import ZONED_RANGES, zoned_range_writer
from helios_cli.engine.errors import HeliosError

RowEncoder = Callable[[Sequence[Any]], bytes]
RowsEncoder = Callable[[Iterable[Sequence[Any]]], bytes]
FieldEncoder = Callable[[Any], bytes]

MAX_COLUMNS: Final = 1664
"""PostgreSQL's limit on the columns of a result (MaxTupleAttributeNumber)."""
MAX_FIELD_BYTES: Final = 0x3FFF_FFFF
"""A field of 1 GB or more is refused, as PostgreSQL refuses it."""

_SHORT: Final = 2048
_LENGTHS: Final = tuple(size.to_bytes(4, "big").decode("latin-1") for size in range(_SHORT))
"""The length word of every short field or message, as characters."""
_NULL: Final = "\xff\xff\xff\xff"
_NULL_BYTES: Final = b"\xff\xff\xff\xff"
_HEAD: Final = Struct("!cIH")

_INTEGERS: Final = frozenset((20, 21, 23, 26))
_TEXTS: Final = frozenset((25, 1043, 1042, 19, 18, 1700, 114, 3802, 2950, 1186, 1266, 705, 2275))
_BOOL: Final = 16


@lru_cache(1024)
def row_encoder(type_oids: tuple[int, ...], formats: tuple[int, ...], zone: tzinfo = UTC) -> RowEncoder:
    """A function from one row of SQLite values to one DataRow message.

    ``formats`` has one code per column: 0 text, 1 binary. Types nobody knows are sent as text.
    """
    source = ["def encode(row):", " try:", *_fields(type_oids, formats, zone, "  ")]
    source += [f"  return {_message(len(type_oids))}.encode('latin-1')", " except FALLBACK:", "  return slow(row)"]
    encoder: RowEncoder = _compile(source, type_oids, formats, zone)
    return encoder


@lru_cache(1024)
def rows_encoder(type_oids: tuple[int, ...], formats: tuple[int, ...], zone: tzinfo = UTC) -> RowsEncoder:
    """A function from many rows to their DataRow messages, joined; empty for no rows."""
    source = ["def encode(rows):", " out = []", " append = out.append", " for row in rows:", "  try:"]
    source += _fields(type_oids, formats, zone, "   ")
    source += [f"   append({_message(len(type_oids))})", "  except FALLBACK:", "   append(slow(row).decode('latin-1'))"]
    source += [" return ''.join(out).encode('latin-1')"]
    encoder: RowsEncoder = _compile(source, type_oids, formats, zone)
    return encoder


def field_encoder(type_oid: int, code: int, zone: tzinfo = UTC) -> FieldEncoder:
    """A function from one value (never None) to the bytes of its field, without the length."""
    known = find_oid(type_oid)
    if known is None:
        return format_string
    if code == 1:
        return known.format_binary
    if is_shown_by(zone, type_oid):
        return zoned_writer(type_oid, zone)
    if zone is not UTC and (is_row(type_oid) or is_row_array(type_oid)):
        return partial(row_codec(type_oid).format_zoned, zone=zone)
    if zone is not UTC and type_oid in ZONED_RANGES:
        return zoned_range_writer(type_oid, zone)
    return known.format_text


def encode_slowly(encoders: Sequence[FieldEncoder], row: Sequence[Any]) -> bytes:
    """One DataRow, field by field. Raises 54000 for a field of 1 GB or more."""
    parts = [b""]
    for encode, value in zip(encoders, row, strict=True):
        if value is None:
            parts.append(_NULL_BYTES)
            continue
        field = encode(value)
        if len(field) > MAX_FIELD_BYTES:
            raise HeliosError("out of memory", sqlstate="54000", detail="A field of 1 GB or more cannot be sent.")
        parts.append(len(field).to_bytes(4, "big"))
        parts.append(field)
    size = sum(map(len, parts)) + 6
    if size > 0x7FFF_FFFF:
        raise HeliosError("out of memory", sqlstate="54000", detail="A row of 2 GB or more cannot be sent.")
    parts[0] = _HEAD.pack(b"D", size, len(row))
    return b"".join(parts)


def _compile(source: list[str], type_oids: tuple[int, ...], formats: tuple[int, ...], zone: tzinfo) -> Any:
    """Compile a generated encoder; only column numbers and names of this module enter its text."""
    encoders = tuple(field_encoder(oid, code, zone) for oid, code in zip(type_oids, formats, strict=True))
    names: dict[str, Any] = {
        "S": _LENGTHS,
        "N": _NULL,
        "FALLBACK": (IndexError, UnicodeEncodeError),
        "slow": partial(encode_slowly, encoders),
        "wide": _wide,
    }
    names |= {f"f{index}": encode for index, encode in enumerate(encoders)}
    exec(compile("\n".join(source), "<row encoder>", "exec"), names)
    return names["encode"]


def _wide(text: str) -> str:
    """Text beyond ASCII as the characters of its UTF-8 bytes."""
    return text.encode("utf-8", "replace").decode("latin-1")


def _fields(type_oids: tuple[int, ...], formats: tuple[int, ...], zone: tzinfo, pad: str) -> list[str]:
    """Code that leaves each field's characters in ``v<i>`` and its length word in ``l<i>``."""
    if not type_oids:
        return []
    lines = [pad + "".join(f"v{index}, " for index in range(len(type_oids))) + "= row"]
    for index, (oid, code) in enumerate(zip(type_oids, formats, strict=True)):
        lines += [pad + line.replace("@", str(index)) for line in _field(oid, code, zone)]
    return lines


def _field(oid: int, code: int, zone: tzinfo) -> list[str]:
    null = "if v@ is None: v@ = ''; l@ = N"
    if code == 0 and oid in _INTEGERS:
        return ["if v@.__class__ is int: v@ = str(v@); l@ = S[len(v@)]", "el" + null, *_other()]
    if code == 0 and oid in _TEXTS and not is_shown_by(zone, oid):
        return [
            "if v@.__class__ is str:",
            " if not v@.isascii(): v@ = wide(v@)",
            " l@ = S[len(v@)]",
            "el" + null,
            *_other(),
        ]
    return [null, *_other()]


def _other() -> list[str]:
    return ["else: v@ = f@(v@).decode('latin-1'); l@ = S[len(v@)]"]


def _message(count: int) -> str:
    """An expression for the whole message as characters."""
    number = "".join(f"\\x{byte:02x}" for byte in count.to_bytes(2, "big"))
    size = " + ".join(f"len(v{index})" for index in range(count)) or "0"
    fields = "".join(f"{{l{index}}}{{v{index}}}" for index in range(count))
    return f"f'D{{S[{size} + {6 + 4 * count}]}}{number}{fields}'"
