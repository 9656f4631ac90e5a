"""Bit strings and single bits and bytes of bytea (varbit.c, varlena.c). A bit string is stored as its digits."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial, reduce
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.distinct import install_distinct
from helios_cli.engine.sql.functions.strings import overlay, substring

_WORDS: Final = {"and": "AND", "or": "OR", "xor": "XOR"}


def combine(word: str) -> Callable[[str, str], str]:
    """``&``, ``|`` or ``#`` of two bit strings. The function raises 22026 when their lengths differ."""
    table = {"and": ("0", "0", "0", "1"), "or": ("0", "1", "1", "1"), "xor": ("0", "1", "1", "0")}[word]

    def apply(left: str, right: str) -> str:
        if len(left) != len(right):
            raise SqlError(f"cannot {_WORDS[word]} bit strings of different sizes", sqlstate="22026")
        return "".join(table[2 * (a == "1") + (b == "1")] for a, b in zip(left, right, strict=True))

    return apply


def invert(bits: str) -> str:
    """``~``: every bit the other way."""
    return bits.translate({48: 49, 49: 48})


def shift(bits: str, count: int) -> str:
    """Shifted left (right for a negative count) with zeros coming in; the length stays."""
    size = len(bits)
    if abs(count) >= size:
        return "0" * size
    return bits[count:] + "0" * count if count >= 0 else "0" * -count + bits[:count]


def bytes_like(data: bytes, pattern: bytes) -> int:
    """LIKE of bytea, byte by byte. Raises 22025 for a pattern that ends in its escape."""
    return int(_like_bytes(pattern).fullmatch(data) is not None)


@lru_cache(maxsize=256)
def _like_bytes(pattern: bytes) -> re.Pattern[bytes]:
    out, at = bytearray(), 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        if byte == b"\\":
            at += 1
            if at == len(pattern):
                raise SqlError("LIKE pattern must not end with escape character", sqlstate="22025")
            byte = pattern[at : at + 1]
            out += re.escape(byte)
        else:
            out += {b"%": b".*", b"_": b"."}.get(byte, re.escape(byte))
        at += 1
    return re.compile(bytes(out), re.DOTALL)


def get_bit(bits: str, at: int) -> int:
    """The bit at a position counted from 0 at the left. Raises 2202E."""
    _check_index(at, len(bits), "bit index {} out of valid range (0..{})")
    return int(bits[at])


def set_bit(bits: str, at: int, new: int) -> str:
    """The same bits with one replaced. Raises 2202E, 22023."""
    _check_index(at, len(bits), "bit index {} out of valid range (0..{})")
    _check_bit(new)
    return f"{bits[:at]}{new}{bits[at + 1 :]}"


def get_byte_bit(data: bytes, at: int) -> int:
    """A bit of bytea: the lowest of the first byte is 0. Raises 2202E."""
    _check_index(at, len(data) * 8, "index {} out of valid range, 0..{}")
    return data[at // 8] >> at % 8 & 1


def set_byte_bit(data: bytes, at: int, new: int) -> bytes:
    """bytea with one bit replaced. Raises 2202E, 22023."""
    _check_index(at, len(data) * 8, "index {} out of valid range, 0..{}")
    _check_bit(new)
    changed = bytearray(data)
    changed[at // 8] = changed[at // 8] & ~(1 << at % 8) | new << at % 8
    return bytes(changed)


def get_byte(data: bytes, at: int) -> int:
    """A byte. Raises 2202E."""
    _check_index(at, len(data), "index {} out of valid range, 0..{}")
    return data[at]


def set_byte(data: bytes, at: int, new: int) -> bytes:
    """bytea with one byte replaced by the low eight bits of a number. Raises 2202E."""
    _check_index(at, len(data), "index {} out of valid range, 0..{}")
    return data[:at] + bytes([new & 255]) + data[at + 1 :]


def _check_index(at: int, size: int, message: str) -> None:
    if not 0 <= at < size:
        raise SqlError(message.format(at, size - 1), sqlstate="2202E")


def _check_bit(new: int) -> None:
    if new not in (0, 1):
        raise SqlError("new bit must be 0 or 1", sqlstate="22023")


def overlay_bytes(data: bytes, new: bytes, start: int, length: int | None = None) -> bytes:
    """bytea with ``length`` bytes from ``start`` replaced. Raises 22011."""
    if start <= 0:
        raise SqlError("negative substring length not allowed", sqlstate="22011")
    count = len(new) if length is None else length
    if not -(2**31) <= start + count < 2**31:
        raise SqlError("integer out of range", sqlstate="22003")
    return data[: start - 1] + new + data[max(start - 1 + count, 0) :]


def trim_bytes(data: bytes, unwanted: bytes, left: bool = True, right: bool = True) -> bytes:
    """bytea without the bytes of a set at its ends."""
    if left:
        data = data.lstrip(unwanted) if unwanted else data
    return data.rstrip(unwanted) if right and unwanted else data


class BitStringFold:
    """bit_and, bit_or and bit_xor of bit strings. Raises 22026 when their lengths differ."""

    def __init__(self, word: str) -> None:
        self._combine = combine(word)
        self._seen: list[str] = []

    def step(self, bits: Any) -> None:
        """Add a value."""
        if bits is not None:
            self._seen.append(bits)

    def inverse(self, bits: Any) -> None:
        """Take a value out."""
        if bits is not None:
            self._seen.remove(bits)

    def value(self) -> str | None:
        """The folded bits; NULL of nothing."""
        return reduce(self._combine, self._seen) if self._seen else None

    final = value


class JoinedBytes:
    """string_agg of bytea: each value after its separator, but for the first one's."""

    nothing: Any = b""

    def __init__(self) -> None:
        self._parts: list[tuple[Any, Any]] = []

    def step(self, data: Any, separator: Any) -> None:
        """Add a value."""
        if data is not None:
            self._parts.append((separator or self.nothing, data))

    def inverse(self, data: Any, _separator: Any) -> None:
        """Take the oldest value out."""
        if data is not None:
            self._parts.pop(0)

    def value(self) -> Any:
        """What was joined; NULL of nothing."""
        if not self._parts:
            return None
        return self.nothing.join(part for pair in self._parts for part in pair)[len(self._parts[0][0]) :]

    final = value


_JOINED_TEXT: Final = type("JoinedText", (JoinedBytes,), {"nothing": ""})


def bits_of_integer(value: int, width: int, size: int) -> str:
    """The lowest ``width`` bits of an integer of ``size`` bits, its sign spread to the left of them."""
    return f"{value & ((1 << width) - 1):0{width}b}" if width else f"{value & ((1 << size) - 1):0{size}b}"


def integer_of_bits(bits: str, size: int) -> int:
    """The integer that bits are the two's complement of. Raises 22003."""
    if len(bits) > size:
        raise SqlError(f"{'integer' if size == 32 else 'bigint'} out of range", sqlstate="22003")
    value = int(bits or "0", 2)
    return value - (1 << size) if len(bits) == size and bits[0] == "1" else value


def install(lib: Library) -> None:
    """Declare the functions; :mod:`helios_cli.engine.sql.operators` names the helpers."""
    d = lib.define
    for name in ("length", "bit_length"):
        d(name, "bit -> int4", sql="length({0})")
    d("octet_length", "bit -> int4", sql="((length({0}) + 7) / 8)")
    d("bit_count", "bit -> int8", lambda bits: bits.count("1"))
    d("bit_count", "bytea -> int8", lambda data: int.from_bytes(data, "big").bit_count())
    d("get_bit", "bit int4 -> int4", get_bit)
    d("set_bit", "bit int4 int4 -> bit", set_bit)
    d("get_bit", "bytea int8 -> int4", get_byte_bit)
    d("set_bit", "bytea int8 int4 -> bytea", set_byte_bit)
    d("get_byte", "bytea int4 -> int4", get_byte)
    d("set_byte", "bytea int4 int4 -> bytea", set_byte)
    d("substring", "bit int4 -> bit", lambda bits, start: substring(bits, start))
    d("substring", "bit int4 int4 -> bit", lambda bits, start, count: substring(bits, start, count))
    d("overlay", "bit bit int4 -> bit", lambda bits, new, start: overlay(bits, new, start))
    d("overlay", "bit bit int4 int4 -> bit", lambda bits, new, start, count: overlay(bits, new, start, count))
    d("overlay", "bytea bytea int4 -> bytea", lambda data, new, start: overlay_bytes(data, new, start))
    d("overlay", "bytea bytea int4 int4 -> bytea", overlay_bytes)
    d("position", "bit bit -> int4", sql="iif({1} = '' AND {0} = '', 0, instr({0}, {1}))")
    d("btrim", "bytea bytea -> bytea", trim_bytes)
    d("ltrim", "bytea bytea -> bytea", lambda data, unwanted: trim_bytes(data, unwanted, right=False))
    d("rtrim", "bytea bytea -> bytea", lambda data, unwanted: trim_bytes(data, unwanted, left=False))
    lib.aggregates["agg_bytes_joined"] = (JoinedBytes, 2)
    lib.aggregates["agg_text_joined"] = (_JOINED_TEXT, 2)
    # SQLite's own loses separators behind empty texts when a frame loses rows.
    for name, kind, sql in (("bytea", "bytes", "agg_bytes_joined"), ("text", "text", "group_concat")):
        distinct = install_distinct(lib, f"agg_{kind}_joined")
        d(
            "string_agg", f"{name} {name} -> {name}", sql=f"{sql}({{0}}, {{1}})", aggregate=True,
            distinct_sql=f"{distinct}({{0}}, {{1}})", window_sql=f"agg_{kind}_joined({{0}}, {{1}})",
        )  # fmt: skip
    lib.helper("pg_bits_of_integer", bits_of_integer, 3)
    lib.helper("pg_integer_of_bits", integer_of_bits, 2)
    for word in _WORDS:
        lib.aggregates[f"agg_bits_{word}"] = (partial(BitStringFold, word), 1)
        d(f"bit_{word}", "bit -> bit", sql=f"agg_bits_{word}({{0}})", aggregate=True)
        lib.helper(f"pg_bits_{word}", combine(word), 2)
    lib.helper("pg_bytes_like", bytes_like, 2)
    lib.helper("pg_bits_not", invert, 1)
    lib.helper("pg_bits_shift", shift, 2)
