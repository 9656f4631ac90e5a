"""The bytes of a value in binary form, read from front to back with PostgreSQL's errors (pqformat.c)."""

from __future__ import annotations

from helios_cli.engine.datatypes.faults import incorrect_binary, insufficient_data
from helios_cli.engine.datatypes.utf8 import decode_utf8
from helios_cli.engine.errors import SqlError


class Received:
    """What a value's bytes hold, from the place that was reached."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """The next byte. Raises SqlError 08P01."""
        if self._at >= len(self._data):
            raise SqlError("no data left in message", sqlstate="08P01")
        self._at += 1
        return self._data[self._at - 1]

    def number(self, size: int, *, signed: bool = False) -> int:
        """An integer of so many bytes. Raises SqlError 08P01."""
        return int.from_bytes(self.take(size), "big", signed=signed)

    def take(self, size: int) -> bytes:
        """So many bytes. Raises SqlError 08P01 when there are fewer, or the size is negative."""
        if size < 0 or self._at + size > len(self._data):
            raise insufficient_data()
        self._at += size
        return self._data[self._at - size : self._at]

    def string(self) -> str:
        """Text up to a zero byte. Raises SqlError 08P01 without one, 22021 for bytes that are no text."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise SqlError("invalid string in message", sqlstate="08P01")
        start, self._at = self._at, end + 1
        return decode_utf8(self._data[start:end])

    def end(self) -> None:
        """That is all of a parameter. Raises SqlError 22P03 for bytes behind it."""
        if self._at != len(self._data):
            raise incorrect_binary()

    def message_end(self) -> None:
        """The same where the type's own code asks for it (pq_getmsgend). Raises SqlError 08P01."""
        if self._at != len(self._data):
            raise SqlError("invalid message format", sqlstate="08P01")
