"""regclass and its kin: OIDs that are shown as the names of objects (regproc.c).

A value is its OID. On its way to a client it takes its name along, since encoders see no catalog: :func:`named`.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes.faults import bad_binary
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.errors import SqlError

_MARK: Final = "\x02"
_MARKED: Final = re.compile(f"{_MARK}[0-9]*{_MARK}")
_OID: Final = Struct("!I")


def named(oid: int, name: str) -> str:
    """An OID with the name of its object."""
    return f"{_MARK}{oid}{_MARK}{name}"


def parse_reg(text: str) -> int | str:
    """An OID from its digits; a name as it is."""
    return int(text) if text.isdigit() else text


def bare(text: str) -> str:
    """A literal of an array or a row with the names of its objects alone."""
    return _MARKED.sub("", text)


def _parts(value: Any) -> tuple[str, str]:
    """The OID, '' where only the name is known, and the text."""
    text = show(value)
    if text.startswith(_MARK):
        oid, _, name = text[1:].partition(_MARK)
        return oid, name
    return text if text.isdigit() else "", text


def format_reg(value: Any) -> bytes:
    """The name, or the OID of an object that is not known."""
    return _parts(value)[1].encode("utf-8", "replace")


def format_reg_binary(value: Any) -> bytes:
    """Four bytes, the OID. Raises SqlError 0A000 for an element of an array that is kept as a name."""
    oid, text = _parts(value)
    if not oid and text != "-":
        message = f'"{text}" has no binary format here'
        raise SqlError(message, sqlstate="0A000", hint="Ask for it as text.")
    return _OID.pack(int(oid or 0) & 0xFFFF_FFFF)


def parse_reg_binary(data: bytes) -> str:
    """The digits of an OID, as text has them. Raises SqlError 08P01 or 22P03."""
    error = bad_binary(data, _OID.size)
    if error is not None:
        raise error
    return str(_OID.unpack(data)[0])
