"""Identifiers and positions shared by every layer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

PAGE_SIZE: Final = 4096
"""Bytes of one SQLite page; fixed for every HeliosDB Nano database."""

LOCK_BYTE_PAGE: Final = 262145
"""The page SQLite never writes: the one holding byte 2**30 (sqlite.org/fileformat2.html, 1.4)."""

_LSN_TEXT = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_TERM_TEXT = re.compile(r"([1-9][0-9]{0,18})-([0-9a-fA-F]{1,16})")
_WRITE_ID_TEXT = re.compile(
    r"([0-9a-fA-F]{8})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{12}):([0-9]{1,19})(:last)?"
)


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


LSN_MAX: Final = Lsn((1 << 63) - 1)
"""No log ends behind it."""


class Term(NamedTuple):
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
class WriteId:
    """A client's own name for one write or transaction, by which it can be sent again and is done once.

    Printed ``f81d4fae-7dec-11d0-a765-00a0c91e6bf6:17``, with ``:last`` behind it when the client will never ask for an
    earlier one again.
    """

    client: bytes
    """The 16 bytes of the client's UUID."""
    seq: int
    """Of its writes; below 2**63."""
    is_last: bool = False
    """Whatever this client wrote under a lower number may be forgotten."""

    @classmethod
    def parse(cls, text: str) -> WriteId:
        """Read the printed form, hyphens or not.

        Raises:
            ValueError: the text has another form.
        """
        match = _WRITE_ID_TEXT.fullmatch(text.strip())
        if match is None or int(match[6]) >= 1 << 63:
            raise ValueError(f"not a write id: {text!r}")
        return cls(bytes.fromhex("".join(match.group(1, 2, 3, 4, 5))), int(match[6]), match[7] is not None)

    @property
    def name(self) -> str:
        """The printed form without ``:last``: what the write is known by."""
        digits = self.client.hex()
        uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        return f"{uuid}:{self.seq}"

    def __str__(self) -> str:
        return self.name + ":last" * self.is_last


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the history of a database: equal (term, lsn) means equal pages."""

    term: Term
    lsn: Lsn
    """End of the last record, exclusive."""
    db_checksum: int
    """XOR of the 64-bit hashes of all pages, each with its number."""
