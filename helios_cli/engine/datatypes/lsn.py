"""pg_lsn: kept as the text PostgreSQL prints, ``16/B374D848``; compared by number (pg_lsn.c)."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes.faults import bad_binary, invalid_text
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.types import Lsn

LSN_MAX: Final = (1 << 64) - 1


def parse_lsn(text: str) -> str:
    """The canonical form: upper case, no leading zeros. Raises SqlError 22P02."""
    try:
        return str(Lsn.parse(text))
    except ValueError:
        raise invalid_text("pg_lsn", text) from None


def parse_lsn_binary(data: bytes) -> str:
    """Eight bytes. Raises SqlError 08P01 or 22P03."""
    error = bad_binary(data, 8)
    if error is not None:
        raise error
    return str(Lsn(int.from_bytes(data, "big")))


def format_lsn_binary(value: Any) -> bytes:
    """Eight bytes. Raises SqlError 22P02 when the value is no LSN."""
    return lsn_number(show(value)).to_bytes(8, "big")


def lsn_number(text: str) -> int:
    """The byte offset that a stored value names. Raises SqlError 22P02."""
    try:
        return int(Lsn.parse(text))
    except ValueError:
        raise invalid_text("pg_lsn", text) from None
