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
_TERM_TEXT = re.compile(r"([1-9][0-9]{0,18})-([0-9a-fA-F]{1,16})")


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
class Token:
    """A state that somebody has seen: everything up to an LSN, as a term's log has it.

    Printed ``0/16B3748@2-9f86d081884c7d65``: the LSN, the number of the term, its id in hexadecimal.
    """

    lsn: Lsn
    term: Term | None = None
    """None: not known; then the LSN alone counts, whichever term wrote it."""

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a token, or an LSN alone.

        Raises:
            ValueError: the text has another form.
        """
        lsn, at, term = text.partition("@")
        match = _TERM_TEXT.fullmatch(term)
        if at and match is None:
            raise ValueError(f"not a token: {text!r}")
        return cls(Lsn.parse(lsn), Term(int(match[1]), int(match[2], 16)) if match is not None else None)

    def __str__(self) -> str:
        return str(self.lsn) if self.term is None else f"{self.lsn}@{self.term.number}-{self.term.term_id:x}"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the history of a database: equal (term, lsn) means equal pages."""

    term: Term
    lsn: Lsn
    """End of the last record, exclusive."""
    db_checksum: int
    """XOR of the 64-bit hashes of all pages, each with its number."""
