"""Large JSON read in steps, none of which keeps the interpreter from other threads for more than a millisecond or so.

``json.loads`` wants the whole text as one string, and reads it at one go. Here it comes in pieces: what fits into one
is read by the standard library, and only what is larger is taken apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

PIECE: Final = 64 * 1024
"""Characters that are looked at together: objects and lists that are no longer are read at one go."""

_BEHIND: Final = frozenset(",:]}")
"""What follows a value."""

_read: Any = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
"""A value and where it ends; StopIteration or JSONDecodeError where the text ends before it does."""


def load(pieces: Iterator[str]) -> Any:
    """The value that the pieces are together, without white space between tokens.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    return _Reader(pieces).value()


class _Reader:
    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self._text = ""
        self._at = 0

    def value(self) -> Any:
        """The value that comes next."""
        if len(self._text) - self._at < PIECE:
            self._more()
        while True:
            try:
                value, end = _read(self._text, self._at)
            except (StopIteration, json.JSONDecodeError):
                first = self._text[self._at : self._at + 1]
                if len(self._text) - self._at >= PIECE and first in ("{", "["):
                    return self._object() if first == "{" else self._list()
                if not self._more():
                    raise ValueError("the text ends within a value") from None
                continue
            if self._text[end : end + 1] not in _BEHIND and self._more():
                continue  # a number may go on
            self._at = end
            return value

    def _more(self) -> bool:
        """Have at least a piece more, and as much again as there is: a long string is not read too often."""
        parts = [self._text[self._at :]]
        have, wanted = len(parts[0]), 0
        while wanted <= have:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece)
            wanted += max(1, len(piece))
        self._text, self._at = "".join(parts), 0
        return wanted > 0

    def _next(self) -> str:
        if self._at == len(self._text):
            self._more()
        self._at += 1
        return self._text[self._at - 1 : self._at]

    def _ends(self, mark: str) -> bool:
        found = self._next() == mark
        self._at -= not found
        return found

    def _list(self) -> list[Any]:
        values: list[Any] = []
        self._next()
        if self._ends("]"):
            return values
        while True:
            values.append(self.value())
            mark = self._next()
            if mark != ",":
                _expect(mark, "]")
                return values

    def _object(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        self._next()
        if self._ends("}"):
            return values
        while True:
            name = self.value()
            _expect(self._next(), ":")
            values[name] = self.value()
            mark = self._next()
            if mark != ",":
                _expect(mark, "}")
                return values


def _expect(found: str, wanted: str) -> None:
    if found != wanted:
        raise ValueError(f"{found!r} where {wanted!r} was expected")
