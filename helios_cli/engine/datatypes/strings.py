"""text and its relatives, bytea, uuid, "char", and types kept as the text they came in."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from helios_cli.engine.datatypes.faults import bad_binary, incorrect_binary, insufficient_data, invalid_text
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.utf8 import decode_utf8
from helios_cli.engine.errors import SqlError

NAME_BYTES = 63
"""NAMEDATALEN - 1."""

_UUID = re.compile(r"\{?(?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}\}?")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_OCTAL = re.compile(rb"\\(?:\\|([0-3][0-7][0-7]))|(\\)")


def parse_string(text: str) -> str:
    """Any text, as given."""
    return text


def format_string(value: Any) -> bytes:
    """UTF-8; numbers and blobs that SQLite produced are shown as text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return value if isinstance(value, bytes) else str(value).encode()


def cut_utf8(text: str, size: int) -> str:
    """At most ``size`` bytes of UTF-8, never half a character."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= size else data[:size].decode("utf-8", "ignore")


def parse_name(text: str) -> str:
    """An identifier, cut to 63 bytes."""
    return cut_utf8(text, NAME_BYTES)


def format_binary_string(value: Any) -> bytes:
    """Text has the same bytes in both formats."""
    return format_string(value)


def parse_bytea(text: str) -> bytes:
    r"""Hex (``\x0aff``) or escape form."""
    if text.startswith("\\x"):
        return _parse_hex(text[2:])
    data = text.encode("utf-8", "replace")
    if b"\\" not in data:
        return data

    def replace(match: re.Match[bytes]) -> bytes:
        if match[2]:
            raise SqlError("invalid input syntax for type bytea", sqlstate="22P02")
        return bytes([int(match[1], 8)]) if match[1] else b"\\"

    return _OCTAL.sub(replace, data)


def _parse_hex(digits: str) -> bytes:
    """Pairs of hex digits, white space allowed between pairs."""
    try:
        if digits.isalnum():
            return bytes.fromhex(digits)
    except ValueError:
        pass
    out = bytearray()
    at = 0
    while at < len(digits):
        if digits[at] in " \t\n\r":
            at += 1
            continue
        pair = digits[at : at + 2]
        _check_hex(pair)
        out.append(int(pair, 16))
        at += 2
    return bytes(out)


def _check_hex(part: str) -> None:
    for digit in part:
        if digit not in _HEX_DIGITS:
            raise SqlError(f'invalid hexadecimal digit: "{digit}"', sqlstate="22023")
    if len(part) % 2:
        raise SqlError("invalid hexadecimal data: odd number of digits", sqlstate="22023")


def format_bytea(value: Any) -> bytes:
    """The hex form."""
    return b"\\x" + to_bytes(value).hex().encode()


def to_bytes(value: Any) -> bytes:
    """The bytes of a blob; other storage classes give their text's UTF-8."""
    return value if isinstance(value, bytes) else format_string(value)


def parse_bytea_binary(data: bytes) -> bytes:
    """The bytes themselves."""
    return bytes(data)


def parse_uuid(text: str) -> str:
    """Lower case with hyphens; braces and other hyphenation are accepted."""
    if _UUID.fullmatch(text) is None or text.startswith("{") != text.endswith("}"):
        raise invalid_text("uuid", text)
    return _hyphenate(text.strip("{}").replace("-", "").lower())


def _hyphenate(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_uuid_binary(data: bytes) -> str:
    """Sixteen bytes."""
    error = bad_binary(data, 16)
    if error is not None:
        raise error
    return _hyphenate(data.hex())


def format_uuid_binary(value: Any) -> bytes:
    """Sixteen bytes. Raises 22P02 when the value is no UUID."""
    return bytes.fromhex(parse_uuid(show(value)).replace("-", ""))


def bits_parser(name: str) -> Callable[[str], str]:
    """A parser for bit strings: ``0101``, ``b0101`` or ``x5``. ``name`` is unused but for errors' kin."""

    def parse(text: str) -> str:
        kind = text[:1].lower()
        digits = text[1:] if kind in ("b", "x") else text
        if kind == "x":
            return "".join(_hex_bits(digit) for digit in digits)
        for digit in digits:
            if digit not in "01":
                raise SqlError(f'"{digit}" is not a valid binary digit', sqlstate="22P02")
        return digits

    parse.__name__ = f"parse_{name}"
    return parse


def _hex_bits(digit: str) -> str:
    if digit not in _HEX_DIGITS:
        raise SqlError(f'"{digit}" is not a valid hexadecimal digit', sqlstate="22P02")
    return f"{int(digit, 16):04b}"


def parse_bits_binary(data: bytes) -> str:
    """A bit count of four bytes, then the bits, left aligned."""
    if len(data) < 4:
        raise SqlError("insufficient data left in message", sqlstate="08P01")
    count = int.from_bytes(data[:4], "big", signed=True)
    if count < 0:
        raise SqlError("invalid length in external bit string", sqlstate="22P03")
    size = (count + 7) // 8
    if len(data) - 4 != size:
        raise insufficient_data() if len(data) - 4 < size else incorrect_binary()
    return "".join(f"{byte:08b}" for byte in data[4:])[:count]


def format_bits_binary(value: Any) -> bytes:
    """A bit count of four bytes, then the bits, left aligned."""
    bits = show(value)
    if bits.strip("01"):
        raise SqlError(f'"{bits.strip("01")[0]}" is not a valid binary digit', sqlstate="22P02")
    padded = bits.ljust((len(bits) + 7) // 8 * 8, "0")
    body = bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8))
    return len(bits).to_bytes(4, "big") + body


def decode_text(data: bytes) -> str:
    """Binary form of a text type. Raises 22021."""
    return decode_utf8(data)
