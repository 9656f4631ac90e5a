"""Which term wrote which part of a log: how two nodes find the last position that they have in common.

A term's part begins with its term-start record. LSNs of different terms cannot be compared; with both histories the
fork is found without looking at a record (PostgreSQL keeps timeline history files for the same reason).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.types import Lsn, Term, Token

_COUNT: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<QQQ")


class TermStart(NamedTuple):
    """Where a term's part of the log begins."""

    term: Term
    start: Lsn


class History:
    """The terms of one log, from its first byte on. It only grows, but for a rewind; equal parts are equal logs."""

    __slots__ = ("starts",)

    def __init__(self, starts: Iterable[TermStart] = ()) -> None:
        """Raises LogDamaged: terms or positions that do not rise, which no log has."""
        self.starts = tuple(starts)
        for before, after in zip(self.starts, self.starts[1:], strict=False):
            if after.start <= before.start or after.term.number <= before.term.number:
                raise LogDamaged(f"the history of terms does not rise at LSN {after.start}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.starts == other.starts

    def __hash__(self) -> int:
        return hash(self.starts)

    def __repr__(self) -> str:
        return f"History({', '.join(f'{term.number} from {start}' for term, start in self.starts)})"

    def followed_by(self, term: Term, start: Lsn) -> History:
        """The same with one more term. Raises LogDamaged when it does not come after the last."""
        return History((*self.starts, TermStart(term, start)))

    def cut_at(self, lsn: Lsn) -> History:
        """What is left after a rewind to ``lsn``."""
        return History(entry for entry in self.starts if entry.start < lsn)

    def term_at(self, lsn: Lsn) -> Term | None:
        """The term whose part the byte at ``lsn`` lies in; None before the first."""
        found = None
        for entry in self.starts:
            if entry.start > lsn:
                break
            found = entry.term
        return found

    def holds(self, token: Token) -> bool | None:
        """Whether this log has, or comes to have, what a token stands for.

        False: it went another way before that. None: it has not heard of the token's term yet.
        """
        if token.term is None or not token.lsn:
            return True
        for index, entry in enumerate(self.starts):
            if entry.term == token.term:
                return token.lsn <= self._end_of(index, token.lsn)
            if entry.term.number >= token.term.number:
                return False
        return None

    def token(self, lsn: Lsn) -> Token:
        """The token of the state that ends at ``lsn``."""
        return Token(lsn, self.term_at(Lsn(lsn - 1)) if lsn else None)

    def fork(self, end: Lsn, other: History, other_end: Lsn) -> Lsn:
        """Up to where two logs are the same: one that ends at ``end`` with this history, and the other.

        0 when they have nothing in common.
        """
        common = 0
        for mine, theirs in zip(self.starts, other.starts, strict=False):
            if mine != theirs:
                break
            common += 1
        if not common:
            return Lsn(0)
        return min(self._end_of(common - 1, end), other._end_of(common - 1, other_end))

    def _end_of(self, index: int, end: Lsn) -> Lsn:
        following = self.starts[index + 1 : index + 2]
        return following[0].start if following else end

    def to_bytes(self) -> bytes:
        """The count and 24 bytes for each term: number, id, first LSN; little endian."""
        entries = (_ENTRY.pack(term.number, term.term_id, start) for term, start in self.starts)
        return _COUNT.pack(len(self.starts)) + b"".join(entries)

    @classmethod
    def from_bytes(cls, data: bytes) -> History:
        """The inverse of :meth:`to_bytes`. Raises LogDamaged for anything else."""
        if len(data) < _COUNT.size or len(data) != _COUNT.size + _ENTRY.size * _COUNT.unpack_from(data)[0]:
            raise LogDamaged("the history of terms has another length than it says")
        entries = _ENTRY.iter_unpack(data[_COUNT.size :])
        return cls(TermStart(Term(number, term_id), Lsn(start)) for number, term_id, start in entries)
