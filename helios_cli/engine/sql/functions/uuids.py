"""The functions of uuid-ossp (PostgreSQL manual, F.49)."""

from __future__ import annotations

import hashlib
from typing import Final

from helios_cli.engine.sql.functions.define import Library

_UNIX_TO_GREGORIAN: Final = 0x01B2_1DD2_1381_4000
"""Hundreds of nanoseconds from 1582-10-15 to 1970-01-01."""
_POSTGRES_EPOCH_US: Final = 946_684_800_000_000
_SPACES: Final = {
    "nil": "00000000-0000-0000-0000-000000000000", "ns_dns": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "ns_url": "6ba7b811-9dad-11d1-80b4-00c04fd430c8", "ns_oid": "6ba7b812-9dad-11d1-80b4-00c04fd430c8",
    "ns_x500": "6ba7b814-9dad-11d1-80b4-00c04fd430c8",
}  # fmt: skip
"""The namespaces of RFC 4122, appendix C."""


def _shown(octets: bytes, version: int) -> str:
    """Sixteen bytes as a UUID of a version (RFC 4122, 4.1)."""
    marked = bytearray(octets[:16])
    marked[6] = marked[6] & 0x0F | version << 4
    marked[8] = marked[8] & 0x3F | 0x80
    digits = marked.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _by_time(random: bytes, now_us: int) -> str:
    """Version 1 from the transaction's time, with a random clock sequence and a random multicast node."""
    ticks = (now_us + _POSTGRES_EPOCH_US) * 10 + _UNIX_TO_GREGORIAN + random[0] % 10
    low, middle, high = ticks & 0xFFFF_FFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF
    node = bytes((random[1] | 1,)) + random[2:7]
    octets = low.to_bytes(4, "big") + middle.to_bytes(2, "big") + high.to_bytes(2, "big") + random[7:9] + node
    return _shown(octets, 1)


def _by_name(space: str, name: str, version: int) -> str:
    """Version 3 or 5: the hash of a namespace and a name in it."""
    data = bytes.fromhex(space.replace("-", "")) + name.encode()
    digest = hashlib.md5(data, usedforsecurity=False) if version == 3 else hashlib.sha1(data, usedforsecurity=False)
    return _shown(digest.digest(), version)


def install(lib: Library) -> None:
    """Declare them."""
    d = lib.define
    d("uuid_generate_v4", "-> uuid", sql="fn_uuid_of(randomblob(16))", volatile=True)
    lib.scalars["fn_uuid_by_time"] = (_by_time, 2, False)
    for name in ("uuid_generate_v1", "uuid_generate_v1mc"):
        d(name, "-> uuid", sql="fn_uuid_by_time(randomblob(9), {session})", volatile=True, session_values=("now",))
    d("uuid_generate_v3", "uuid text -> uuid", lambda space, name: _by_name(space, name, 3))
    d("uuid_generate_v5", "uuid text -> uuid", lambda space, name: _by_name(space, name, 5))
    for name, space in _SPACES.items():
        d(f"uuid_{name}", "-> uuid", sql=f"'{space}'")
