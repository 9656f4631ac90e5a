"""inet, cidr, macaddr and macaddr8: kept as the text PostgreSQL prints, compared by address (network.c, mac.c)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final

from helios_cli.engine.datatypes.faults import invalid_text
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.received import Received
from helios_cli.engine.errors import SqlError

_OCTETS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,3}\.?", re.ASCII)
_BITS: Final = re.compile(r"\d{1,3}", re.ASCII)
_AF_INET, _AF_INET6 = 2, 3
"""Family bytes of the binary form (PGSQL_AF_INET, inet.h)."""
_SHORT_MAC: Final = re.compile(r"\s*([0-9a-fA-F]{1,2}([:-])(?:[0-9a-fA-F]{1,2}\2){4}[0-9a-fA-F]{1,2})\s*")
"""Six bytes of one or two digits each."""
_MAC: Final = re.compile(
    r"\s*(?:([0-9a-f]{2})([:-])([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})(?:\2([0-9a-f]{2})"
    r"\2([0-9a-f]{2}))?|([0-9a-f]{6})[:-]([0-9a-f]{6})|([0-9a-f]{8})[:-]([0-9a-f]{8})|"
    r"([0-9a-f]{4})([.-])([0-9a-f]{4})\15([0-9a-f]{4})(?:\15([0-9a-f]{4}))?|([0-9a-f]{12}(?:[0-9a-f]{4})?))\s*",
    re.IGNORECASE | re.ASCII,
)
_MAC8: Final = re.compile(
    "|".join(rf"\s*[0-9a-f]{{2}}(?:{mark}?[0-9a-f]{{2}}){{5,7}}{mark}?\s*" for mark in (":", "-", r"\.")),
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Address:
    """An address with the length of its network's prefix."""

    number: int
    bits: int
    is_v6: bool = False

    @property
    def width(self) -> int:
        """Bits of an address of its family."""
        return 128 if self.is_v6 else 32

    @property
    def mask(self) -> int:
        """The network's mask as a number."""
        return ((1 << self.bits) - 1) << (self.width - self.bits)

    def host(self) -> str:
        """The address alone."""
        return _v6_text(self.number) if self.is_v6 else ".".join(map(str, self.number.to_bytes(4, "big")))

    def as_inet(self) -> str:
        """inet_out: the prefix only where it is not the whole address."""
        return self.host() if self.bits == self.width else self.full()

    def full(self) -> str:
        """Address and prefix: cidr_out, and both types as text."""
        return f"{self.host()}/{self.bits}"


def _v6_text(number: int) -> str:
    """IPv6 as inet_net_ntop prints it, the end dotted when an IPv4 address is embedded."""
    if number >> 32 == 0xFFFF or (number >> 32 == 0 and number >> 16):
        dotted = ".".join(map(str, (number & 0xFFFFFFFF).to_bytes(4, "big")))
        return ("::ffff:" if number >> 32 else "::") + dotted
    return str(IPv6Address(number))


def _bad(kind: str, text: str) -> SqlError:
    return invalid_text(kind, text)


def _read(kind: str, text: str) -> Address:
    head, slash, tail = text.partition("/")
    is_v6 = ":" in head
    width = 128 if is_v6 else 32
    if slash and (not _BITS.fullmatch(tail) or int(tail) > width):
        raise _bad(kind, text)
    bits = int(tail) if slash else -1
    if is_v6:
        try:
            return Address(int(IPv6Address(head)), bits if slash else width, True)
        except AddressValueError:
            raise _bad(kind, text) from None
    if not _OCTETS.fullmatch(head) or head.endswith("."):
        raise _bad(kind, text)
    octets = [int(part) for part in head.split(".")]
    if max(octets) > 255 or (kind == "inet" and not slash and len(octets) < 4):
        raise _bad(kind, text)
    number = int.from_bytes(bytes(octets + [0] * (4 - len(octets))), "big")
    if not slash:
        bits = width if kind == "inet" else _class_bits(octets)
    return Address(number, bits)


def _class_bits(octets: list[int]) -> int:
    """The prefix of a cidr without one: by class, but never shorter than what was written (inet_cidr_pton_ipv4)."""
    first = octets[0]
    bits = 32 if first >= 240 else 8 if first >= 224 else 24 if first >= 192 else 16 if first >= 128 else 8
    bits = max(bits, 8 * len(octets))
    return 4 if bits == 8 and first == 224 else bits


def parse_inet(text: str) -> str:
    """The canonical form. Raises SqlError 22P02."""
    return _read("inet", text).as_inet()


def parse_cidr(text: str) -> str:
    """The canonical form. Raises SqlError 22P02, also when the host's part is not zero."""
    found = _read("cidr", text)
    if found.number & ~found.mask:
        detail = "Value has bits set to right of mask."
        raise SqlError(f'invalid cidr value: "{text}"', sqlstate="22P02", detail=detail)
    return found.full()


def address_of(text: Any) -> Address:
    """A stored inet or cidr. Raises SqlError 22P02 for a text that is none."""
    return _read("inet", show(text))


def parse_address_binary(data: bytes, kind: str = "inet") -> Address:
    """inet_recv: family, prefix, a flag, the address's length and bytes. Raises SqlError 08P01, 22P03."""
    message = Received(data)
    family = message.byte()
    if family not in (_AF_INET, _AF_INET6):
        raise SqlError(f'invalid address family in external "{kind}" value', sqlstate="22P03")
    is_v6 = family == _AF_INET6
    width = 128 if is_v6 else 32
    bits = message.byte()
    if bits > width:
        raise SqlError(f'invalid bits in external "{kind}" value', sqlstate="22P03")
    message.byte()
    if message.byte() != width // 8:
        raise SqlError(f'invalid length in external "{kind}" value', sqlstate="22P03")
    number = int.from_bytes(bytes(message.byte() for _ in range(width // 8)), "big")
    message.end()
    return Address(number, bits, is_v6)


def parse_inet_binary(data: bytes) -> str:
    """An inet. Raises SqlError 22P03."""
    return parse_address_binary(data).as_inet()


def parse_cidr_binary(data: bytes) -> str:
    """A cidr. Raises SqlError 22P03, also when the host's part is not zero."""
    found = parse_address_binary(data, "cidr")
    if found.number & ~found.mask:
        detail = "Value has bits set to right of mask."
        raise SqlError('invalid external "cidr" value', sqlstate="22P03", detail=detail)
    return found.full()


def _binary(found: Address, is_cidr: int) -> bytes:
    family, size = (_AF_INET6, 16) if found.is_v6 else (_AF_INET, 4)
    return bytes((family, found.bits, is_cidr, size)) + found.number.to_bytes(size, "big")


def format_inet_binary(value: Any) -> bytes:
    """inet_send. Raises SqlError 22P02 when the value is no address."""
    return _binary(address_of(value), 0)


def format_cidr_binary(value: Any) -> bytes:
    """cidr_send. Raises SqlError 22P02 when the value is no network."""
    return _binary(_read("cidr", show(value)), 1)


def compare_addresses(one: str, other: str) -> int:
    """network_cmp: family, common network bits, length of the prefix, whole address. Text that is none comes first."""
    if one == other:
        return 0
    try:
        left, right = _read("inet", one), _read("inet", other)
    except SqlError:
        return -1 if one < other else 1
    if left.is_v6 != right.is_v6:
        return 1 if left.is_v6 else -1
    common = left.width - min(left.bits, right.bits)
    for mine, theirs in (
        (left.number >> common, right.number >> common), (left.bits, right.bits), (left.number, right.number),
    ):  # fmt: skip
        if mine != theirs:
            return 1 if mine > theirs else -1
    return 0


# -- hardware addresses ---------------------------------------------------------------------------


def _mac(kind: str, text: str, sizes: tuple[int, ...]) -> str:
    match = _MAC.fullmatch(text)
    digits = "".join(part for part in match.groups() if part and part not in ":-.") if match else ""
    if len(digits) // 2 not in sizes:
        raise _bad(kind, text)
    return digits.lower()


def _coloned(digits: str) -> str:
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def parse_macaddr(text: str) -> str:
    """Six bytes in any of the usual notations as ``08:00:2b:01:02:03``. Raises SqlError 22P02."""
    short = _SHORT_MAC.fullmatch(text)
    if short is not None:
        return ":".join(part.lower().zfill(2) for part in re.split("[:-]", short[1]))
    return _coloned(_mac("macaddr", text, (6,)))


def parse_macaddr8(text: str) -> str:
    """Eight bytes; ff:fe is put into the middle of six; one mark may stand behind any byte. Raises SqlError 22P02."""
    match = _MAC8.fullmatch(text)
    digits = re.sub("[^0-9a-f]", "", text.lower())
    if match is None or len(digits) not in (12, 16):
        raise _bad("macaddr8", text)
    return _coloned(digits if len(digits) == 16 else f"{digits[:6]}fffe{digits[6:]}")


def _mac_binary(data: bytes, size: int) -> str:
    message = Received(data)
    found = bytes(message.byte() for _ in range(size))
    message.end()
    return found.hex()


def parse_macaddr_binary(data: bytes) -> str:
    """Six bytes. Raises SqlError 08P01, 22P03."""
    return _coloned(_mac_binary(data, 6))


def parse_macaddr8_binary(data: bytes) -> str:
    """Eight bytes, or six. Raises SqlError 08P01, 22P03."""
    return parse_macaddr8(_coloned(_mac_binary(data, 6 if len(data) == 6 else 8)))


def format_mac_binary(value: Any) -> bytes:
    """The bytes of either type. Raises SqlError 22P02 when the value is no such address."""
    try:
        return bytes.fromhex(show(value).replace(":", ""))
    except ValueError:
        raise _bad("macaddr", show(value)) from None
