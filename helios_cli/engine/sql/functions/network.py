"""Functions and operators of network addresses (PostgreSQL manual, 9.12)."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.datatypes.network import Address, address_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library


def _plain(found: Address, number: int, bits: int | None = None) -> str:
    return Address(number, found.width if bits is None else bits, found.is_v6).as_inet()


def _cut(found: Address, bits: int | None = None) -> Address:
    network = Address(found.number, found.bits if bits is None else bits, found.is_v6)
    return Address(network.number & network.mask, network.bits, network.is_v6)


def host(text: str) -> str:
    """The address without its prefix."""
    return address_of(text).host()


def macaddr_of(text: str) -> str:
    """A macaddr8 as a macaddr. Raises 22003 when it was none before."""
    parts = text.split(":")
    if parts[3:5] != ["ff", "fe"]:
        message = "macaddr8 data out of range to convert to macaddr"
        hint = (
            "Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, for example"
            " xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr."
        )
        raise SqlError(message, sqlstate="22003", hint=hint)
    return ":".join(parts[:3] + parts[5:])


def full_text(text: str) -> str:
    """The address with its prefix, always."""
    return address_of(text).full()


def network(text: str) -> str:
    """The network of an address."""
    return _cut(address_of(text)).full()


def broadcast(text: str) -> str:
    """The broadcast address of the network."""
    found = address_of(text)
    return _plain(found, found.number | ~found.mask & (1 << found.width) - 1, found.bits)


def netmask(text: str) -> str:
    """The mask of the network."""
    found = address_of(text)
    return _plain(found, found.mask)


def hostmask(text: str) -> str:
    """What the mask leaves out."""
    found = address_of(text)
    return _plain(found, ~found.mask & (1 << found.width) - 1)


def masklen(text: str) -> int:
    """The length of the prefix."""
    return address_of(text).bits


def family(text: str) -> int:
    """4 or 6."""
    return 6 if address_of(text).is_v6 else 4


def same_family(one: str, other: str) -> int:
    """Whether both are of one family."""
    return int(address_of(one).is_v6 == address_of(other).is_v6)


def _length(found: Address, bits: int) -> int:
    if bits == -1:
        return found.width
    if not 0 <= bits <= found.width:
        raise SqlError(f"invalid mask length: {bits}", sqlstate="22023")
    return bits


def set_masklen(text: str, bits: int) -> str:
    """An inet with another prefix. Raises 22023."""
    found = address_of(text)
    return Address(found.number, _length(found, bits), found.is_v6).as_inet()


def set_cidr_masklen(text: str, bits: int) -> str:
    """A cidr with another prefix. Raises 22023."""
    found = address_of(text)
    return _cut(found, _length(found, bits)).full()


def abbrev_cidr(text: str) -> str:
    """A cidr without the octets that the prefix leaves out."""
    found = address_of(text)
    if found.is_v6:
        shown = found.host()
        return f"{shown.removesuffix('::')}/{found.bits}" if shown != "::" and found.bits % 16 == 0 else found.full()
    octets = found.host().split(".")[: max((found.bits + 7) // 8, 1)]
    return f"{'.'.join(octets)}/{found.bits}"


def merge(one: str, other: str) -> str:
    """The smallest network that holds both. Raises 22023 for two families."""
    left, right = address_of(one), address_of(other)
    if left.is_v6 != right.is_v6:
        raise SqlError("cannot merge addresses from different families", sqlstate="22023")
    bits = min(left.bits, right.bits)
    while bits and left.number >> left.width - bits != right.number >> left.width - bits:
        bits -= 1
    return _cut(left, bits).full()


def inside(one: str, other: str, or_equal: int) -> int:
    """``one << other``: whether the first is in the second's network; with ``or_equal`` the network itself is too."""
    left, right = address_of(one), address_of(other)
    if left.is_v6 != right.is_v6 or left.bits < right.bits or (left.bits == right.bits and not or_equal):
        return 0
    shift = left.width - right.bits
    return int(left.number >> shift == right.number >> shift)


def overlap(one: str, other: str) -> int:
    """``one && other``: whether one of them is in the other."""
    return int(bool(inside(one, other, 1) or inside(other, one, 1)))


def add(text: str, offset: int) -> str:
    """An address moved by a number. Raises 22003."""
    found = address_of(text)
    number = found.number + int(offset)
    if not 0 <= number < 1 << found.width:
        raise SqlError("result is out of range", sqlstate="22003")
    return _plain(found, number, found.bits)


def difference(one: str, other: str) -> int:
    """The distance of two addresses. Raises 22023 for two families, 22003 beyond bigint."""
    left, right = address_of(one), address_of(other)
    if left.is_v6 != right.is_v6:
        raise SqlError("cannot subtract inet values of different sizes", sqlstate="22023")
    distance = left.number - right.number
    if not -(1 << 63) <= distance < 1 << 63:
        raise SqlError("result is out of range", sqlstate="22003")
    return distance


def combine(word: str, one: str, other: str) -> str:
    """Bitwise and, or. Raises 22023 for two families."""
    left, right = address_of(one), address_of(other)
    if left.is_v6 != right.is_v6:
        raise SqlError(f"cannot {word} inet values of different sizes", sqlstate="22023")
    number = left.number & right.number if word == "AND" else left.number | right.number
    return _plain(left, number, max(left.bits, right.bits))


def invert(text: str) -> str:
    """Every bit of the address turned."""
    found = address_of(text)
    return _plain(found, ~found.number & (1 << found.width) - 1, found.bits)


def trunc(text: str) -> str:
    """A hardware address with all but its manufacturer's part zero."""
    return text[:8] + ":00" * (len(text) // 3 - 2)


def combine_macs(word: str, one: Any, other: Any) -> str | None:
    """Bitwise ``&``, ``|`` and ``~`` of hardware addresses."""
    if one is None or (other is None and word != "~"):
        return None
    left = bytes.fromhex(one.replace(":", ""))
    right = bytes.fromhex(other.replace(":", "")) if other is not None else left
    made = (mine & theirs if word == "&" else mine | theirs if word == "|" else mine ^ 0xFF
            for mine, theirs in zip(left, right, strict=True))  # fmt: skip
    return ":".join(f"{byte:02x}" for byte in made)


def set7bit(text: str) -> str:
    """A macaddr8 with the bit set that an IPv6 address wants."""
    return f"{int(text[:2], 16) | 2:02x}{text[2:]}"


def install(lib: Library) -> None:
    """Declare them."""
    d = lib.define
    for name, result, call in (
        ("host", "text", host), ("network", "cidr", network), ("broadcast", "inet", broadcast),
        ("netmask", "inet", netmask), ("hostmask", "inet", hostmask), ("masklen", "int4", masklen),
        ("family", "int4", family), ("text", "text", full_text), ("abbrev", "text", None),
    ):  # fmt: skip
        _define(lib, name, result, call)
    d("abbrev", "cidr -> text", abbrev_cidr)
    d("set_masklen", "inet int4 -> inet", set_masklen)
    d("set_masklen", "cidr int4 -> cidr", set_cidr_masklen)
    d("inet_merge", "inet inet -> cidr", merge)
    d("inet_same_family", "inet inet -> bool", same_family)
    for name in ("macaddr", "macaddr8"):
        d("trunc", f"{name} -> {name}", trunc)
    d("macaddr8_set7bit", "macaddr8 -> macaddr8", set7bit)
    lib.helper("pg_mac_combine", combine_macs, 3, strict=False)
    lib.helper("pg_inet_text", full_text, 1)
    lib.helper("pg_macaddr_of", macaddr_of, 1)
    lib.helper("pg_inet_cidr", network, 1)
    lib.helper("pg_inet_inside", inside, 3)
    lib.helper("pg_inet_overlap", overlap, 2)
    lib.helper("pg_inet_add", add, 2)
    lib.helper("pg_inet_difference", difference, 2)
    lib.helper("pg_inet_combine", combine, 3)
    lib.helper("pg_inet_invert", invert, 1)


def _define(lib: Library, name: str, result: str, call: Any) -> None:
    if call is None:
        lib.define(name, f"inet -> {result}", sql="{0}")
    else:
        lib.define(name, f"inet -> {result}", call)
