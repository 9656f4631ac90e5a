"""int2vector and oidvector: numbers with spaces between them, in binary an array that begins at subscript 0.

PostgreSQL's utils/adt/int.c (int2vectorrecv) and oid.c (oidvectorrecv).
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import Any, Final

from helios_cli.engine.datatypes.faults import incorrect_binary, insufficient_data
from helios_cli.engine.datatypes.strings import format_string
from helios_cli.engine.errors import SqlError

_HEAD: Final = Struct("!iiIii")
"""Dimensions, null flag, type of the elements, how many there are, the first subscript."""


class VectorForm:
    """The binary form of one of the two; a value is its text."""

    def __init__(self, name: str, element_oid: int, number: Struct) -> None:
        self._name = name
        self._element = element_oid
        self._number = number

    def parse_binary(self, data: bytes) -> str:
        """The text of what a client sent.

        Raises:
            SqlError: 22P03 more or fewer dimensions than one, a NULL, other elements, or the wrong number of bytes.
        """
        if len(data) < _HEAD.size:
            raise insufficient_data() if data[:4] == b"\0\0\0\1" else self._invalid()
        dimensions, flags, element, count, first = _HEAD.unpack_from(data)
        if dimensions != 1 or flags or element != self._element or first or count < 0:
            raise self._invalid()
        step = 4 + self._number.size
        if len(data) != _HEAD.size + count * step:
            raise incorrect_binary()
        numbers = []
        for at in range(_HEAD.size, len(data), step):
            if int.from_bytes(data[at : at + 4], "big") != self._number.size:
                raise incorrect_binary()
            numbers.append(str(self._number.unpack_from(data, at + 4)[0]))
        return " ".join(numbers)

    def format_binary(self, value: Any) -> bytes:
        """The inverse of :meth:`parse_binary`."""
        size = self._number.size.to_bytes(4, "big")
        try:
            numbers = [self._number.pack(int(word)) for word in format_string(value).split()]
        except (ValueError, StructError):
            raise self._invalid() from None
        body = b"".join(size + number for number in numbers)
        return _HEAD.pack(1, 0, self._element, len(numbers), 0) + body

    def _invalid(self) -> SqlError:
        return SqlError(f"invalid {self._name} data", sqlstate="22P03")
