"""Types of the system catalogs: "char" (char.c), tid (tid.c), and how xml is printed (xml.c)."""

from __future__ import annotations

import re
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes.faults import bad_binary, invalid_text
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.errors import SqlError

_OCTAL: Final = re.compile(r"\\([0-7])([0-7])([0-7])")
_TID: Final = re.compile(r"\s*\(([0-9]+),([0-9]+)\)")
_TID_BINARY: Final = Struct("!IH")
_XML_HEAD: Final = re.compile(
    r"""<\?xml\s+version\s*=\s*(["'])(?P<version>.*?)\1(?:\s+encoding\s*=\s*(["']).*?\3)?"""
    r"""(?:\s+standalone\s*=\s*(["'])(?P<standalone>yes|no)\4)?\s*\?>(?P<line>\n?)"""
)


def _of_byte(byte: int) -> str:
    """A "char" is kept as it is printed: nothing for zero, in octal when it is not ASCII."""
    return "" if byte == 0 else chr(byte) if byte < 128 else f"\\{byte:03o}"


def parse_char(text: str) -> str:
    """The one-byte type "char": a byte in octal, else the first byte of the text."""
    octal = _OCTAL.fullmatch(text)
    if octal is not None:
        return _of_byte(int("".join(octal.groups()), 8) & 0xFF)
    return _of_byte(text[:1].encode("utf-8", "replace")[0]) if text else ""


def parse_char_binary(data: bytes) -> str:
    """One byte. Raises SqlError 08P01 or 22P03."""
    error = bad_binary(data, 1)
    if error is not None:
        raise error
    return _of_byte(data[0])


def format_char_binary(value: Any) -> bytes:
    """One byte; zero for the empty value."""
    text = show(value)
    octal = _OCTAL.fullmatch(text)
    return (
        bytes([int("".join(octal.groups()), 8) & 0xFF]) if octal else text[:1].encode("utf-8", "replace")[:1] or b"\0"
    )


def parse_tid(text: str) -> int:
    """The place of a row, ``(block,offset)``, as the number of the row. Raises SqlError 22P02."""
    match = _TID.fullmatch(text)
    if match is None or int(match[1]) >= 1 << 48 or int(match[2]) >= 1 << 16:
        raise invalid_text("tid", text)
    number = int(match[1]) << 16 | int(match[2])
    return number - (1 << 64) if number >= 1 << 63 else number


def format_tid(value: Any) -> bytes:
    """``(block,offset)``: the lowest 16 bits are the offset."""
    return b"(%d,%d)" % _place(value) if isinstance(value, int) else show(value).encode("utf-8", "replace")


def parse_tid_binary(data: bytes) -> int:
    """Six bytes. Raises SqlError 08P01 or 22P03."""
    error = bad_binary(data, _TID_BINARY.size)
    if error is not None:
        raise error
    block, offset = _TID_BINARY.unpack(data)
    return int(block << 16 | offset)


def format_tid_binary(value: Any) -> bytes:
    """Six bytes. Raises SqlError 22003 for the number of a row that does not fit."""
    block, offset = _place(value if isinstance(value, int) else parse_tid(show(value)))
    if block >= 1 << 32:
        raise SqlError("tid out of range", sqlstate="22003", hint="Ask for it as text.")
    return _TID_BINARY.pack(block, offset)


def _place(number: int) -> tuple[int, int]:
    number &= (1 << 64) - 1
    return number >> 16, number & 0xFFFF


def format_xml(value: Any) -> bytes:
    """Both formats: the declaration only where it says more than version 1.0, and never an encoding."""
    text = show(value)
    head = _XML_HEAD.match(text) if text.startswith("<?xml") else None
    if head is not None:
        version, standalone = head["version"], head["standalone"]
        if version == "1.0" and standalone is None:
            text = text[head.end() :]
        else:
            shown = f' standalone="{standalone}"' if standalone else ""
            text = f'<?xml version="{version}"{shown}?>{head["line"]}{text[head.end() :]}'
    return text.encode("utf-8", "replace")
