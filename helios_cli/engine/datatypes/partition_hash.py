"""PostgreSQL's extended hash functions, which say in which hash partition a row is (hashfn.c, partbounds.c).

They take the values as they are stored. What they give is part of PostgreSQL's contract: a dump is restored partition
by partition.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

_SEED: Final = 0x7A5B22367996DCFD
"""HASH_PARTITION_SEED, partition.h."""
_32: Final = 0xFFFFFFFF
_64: Final = 0xFFFFFFFFFFFFFFFF
_START: Final = 0x9E3779B9 + 3923095
_MIX: Final = (4, 6, 8, 16, 19, 4)
_FINAL: Final = (14, 11, 25, 16, 4, 14, 24)


def _rot(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _32


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in _MIX:
        a = (a - c & _32) ^ _rot(c, bits)
        c = c + b & _32
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for bits in _FINAL:
        c = (c ^ b) - _rot(b, bits) & _32
        a, b, c = b, c, a
    # Seven turns of three leave them one place further.
    a, b, c = c, a, b
    return b << 32 | c


def _begun(length: int, seed: int) -> tuple[int, int, int]:
    start = _START + length & _32
    return _mix(start + (seed >> 32) & _32, start + seed & _32, start) if seed else (start, start, start)


def hash_uint32(value: int, seed: int) -> int:
    """hash_bytes_uint32_extended()."""
    a, b, c = _begun(4, seed)
    return _final(a + value & _32, b, c)


def hash_bytes(value: bytes, seed: int) -> int:
    """hash_bytes_extended() on a little-endian machine."""
    a, b, c = _begun(len(value), seed)
    whole = len(value) - len(value) % 12
    for one, two, three in struct.iter_unpack("<III", value[:whole]):
        a, b, c = _mix(a + one & _32, b + two & _32, c + three & _32)
    one, two, three = struct.unpack("<III", value[whole:].ljust(12, b"\0"))
    # The lowest byte of c is the length's.
    return _final(a + one & _32, b + two & _32, c + (three << 8) & _32)


def _int8(value: int, seed: int) -> int:
    high = value >> 32 & _32
    return hash_uint32((value & _32) ^ (high if value >= 0 else ~high & _32), seed)


def _float(value: Any, seed: int) -> int:
    number = float(value)
    return seed if number == 0 else hash_bytes(struct.pack("<d", number), seed)


def _numeric(value: Any, seed: int) -> int:
    number = Decimal(str(value))
    if not number.is_finite():
        return seed
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)) + "0" * (exponent % 4)
    exponent -= exponent % 4
    text = text.zfill(-(-len(text) // 4) * 4)
    groups = [int(text[at : at + 4]) for at in range(0, len(text), 4)]
    weight = exponent // 4 + len(groups) - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    if not groups:
        return seed - 1 & _64
    return hash_bytes(struct.pack(f"<{len(groups)}h", *groups), seed) ^ weight & _64


def _text(value: Any, seed: int) -> int:
    return hash_bytes(str(value).encode(), seed)


_HASHES: Final[dict[int, Callable[[Any, int], int]]] = {
    16: hash_uint32, 21: hash_uint32, 23: hash_uint32, 26: hash_uint32, 20: _int8, 1082: hash_uint32,
    1083: _int8, 1114: _int8, 1184: _int8, 700: _float, 701: _float, 1700: _numeric, 25: _text, 1043: _text, 19: _text,
    1042: lambda value, seed: _text(str(value).rstrip(" "), seed),
    2950: lambda value, seed: hash_bytes(bytes.fromhex(str(value).replace("-", "")), seed),
    17: lambda value, seed: hash_bytes(bytes(value), seed),
}  # fmt: skip
"""By type; bool, int2, int4, oid and date are hashed as 32 bits, times and timestamps as an int8."""
HASHED: Final = frozenset(_HASHES)
"""The types that hash partitions can be made by."""


def partition_hash(types: Sequence[int], values: Sequence[Any]) -> int:
    """The hash of a partition key, an unsigned 64-bit number (compute_partition_hash_value)."""
    found = 0
    for type_oid, value in zip(types, values, strict=True):
        if value is not None:
            one = _HASHES[type_oid](value, _SEED)
            found ^= one + 0x49A0F4DD15E5A8E3 + (found << 54) + (found >> 7) & _64
    return found
