"""Identifiers and positions shared by every layer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PAGE_SIZE: Final = 4096
"""Bytes of one SQLite page; fixed for every HeliosDB Nano database."""

LOCK_BYTE_PAGE: Final = 262145
"""The page SQLite never writes: the one holding byte 2**30 (sqlite.org/fileformat2.html, 1.4)."""

_LSN_TEXT = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


class Lsn(int):
    """A byte offset in the page log, printed ``hi/lo`` in hexadecimal as PostgreSQL does."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Lsn:
        """Read the ``hi/lo`` form.

        Raises:
            ValueError: the text has another form.
        """
        match = _LSN_TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"not an LSN: {text!r}")
        return cls((int(match[1], 16) << 32) | int(match[2], 16))

    def __str__(self) -> str:
        return f"{self >> 32:X}/{self & 0xFFFFFFFF:X}"

    def __repr__(self) -> str:
        return f"Lsn({self})"

    __format__ = object.__format__


@dataclass(frozen=True, slots=True, order=True)
class Term:
    """An election number with the random id that tells two elections of the same number apart."""

    number: int
    term_id: int = 0

    def __str__(self) -> str:
        return str(self.number)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the history of a database: equal (term, lsn) means equal pages."""

    term: Term
    lsn: Lsn
    """End of the last record, exclusive."""
    db_checksum: int
    """XOR of the 64-bit hashes of all pages, each with its number."""
