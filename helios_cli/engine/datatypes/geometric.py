"""point, lseg, box, path, polygon, circle and line: kept as the text that PostgreSQL prints (geo_ops.c)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes.faults import bad_binary, incorrect_binary, insufficient_data, invalid_text
from helios_cli.engine.datatypes.floats import format_float8, parse_float8, parse_float8_binary
from helios_cli.engine.datatypes.integers import WHITESPACE, show
from helios_cli.engine.errors import SqlError

Number = float | str
"""A coordinate; a NaN is the text ``NaN``."""

_TOKEN: Final = re.compile(r"\s*([()\[\]<>{},]|[^\s()\[\]<>{},]+)\s*", re.ASCII)
_DOUBLE: Final = Struct("!d")
_COUNT: Final = Struct("!i")
_PAIRS_MAX: Final = (2**30 - 1) // 16
"""Points of a path or polygon, as many as fit into PostgreSQL's largest field."""


class _Reader:
    """The tokens of one value; every miss is 22P02 for the whole text."""

    def __init__(self, type_name: str, text: str) -> None:
        self.type_name = type_name
        self.text = text
        self.tokens: list[str] = []
        at = 0
        body = text.strip(WHITESPACE)
        while at < len(body):
            match = _TOKEN.match(body, at)
            if match is None:
                raise self.fault()
            self.tokens.append(match[1])
            at = match.end()
        self.at = 0

    def fault(self) -> SqlError:
        """The text is no value of the type."""
        return invalid_text(self.type_name, self.text)

    def divide_pairs(self) -> None:
        """Put the comma between two pairs where it was left out."""
        behind = [*self.tokens[1:], ""][: len(self.tokens)]
        self.tokens = [
            part
            for token, following in zip(self.tokens, behind, strict=True)
            for part in ((token, ",") if (token, following) == (")", "(") else (token,))
        ]

    def peek(self, ahead: int = 0) -> str:
        """A token further on; empty behind the last."""
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, wanted: str) -> bool:
        """Step over a token if it comes next."""
        if self.peek() != wanted:
            return False
        self.at += 1
        return True

    def expect(self, wanted: str) -> None:
        """Step over a token that has to come."""
        if not self.take(wanted):
            raise self.fault()

    def number(self) -> Number:
        """One coordinate."""
        token = self.peek()
        self.at += 1
        try:
            return parse_float8(token)
        except SqlError as error:
            raise error if error.sqlstate == "22003" else self.fault() from None

    def pair(self) -> list[Number]:
        """``(x,y)`` or ``x,y``."""
        wrapped = self.take("(")
        first = self.number()
        self.expect(",")
        second = self.number()
        if wrapped:
            self.expect(")")
        return [first, second]

    def pairs(self) -> list[Number]:
        """Pairs separated by commas, at least one."""
        found = self.pair()
        while self.take(","):
            found += self.pair()
        return found

    def end(self) -> None:
        """Nothing may follow."""
        if self.at < len(self.tokens):
            raise self.fault()


def _show(numbers: Sequence[Number]) -> list[str]:
    return [format_float8(number).decode() if isinstance(number, float) else number for number in numbers]


def _points(numbers: Sequence[Number]) -> str:
    shown = _show(numbers)
    return ",".join(f"({shown[at]},{shown[at + 1]})" for at in range(0, len(shown), 2))


def _order(number: Number) -> float:
    """NaN is greater than all, as PostgreSQL has it."""
    return float("inf") if isinstance(number, str) else number


def _corners(numbers: list[Number]) -> list[Number]:
    """The upper right corner first."""
    left, right = sorted((numbers[0], numbers[2]), key=_order)
    low, high = sorted((numbers[1], numbers[3]), key=_order)
    return [right, high, left, low]


def _line(numbers: list[Number], fault: SqlError) -> list[Number]:
    if numbers[0] == 0 and numbers[1] == 0:
        raise fault
    return numbers


def _line_through(x1: Number, y1: Number, x2: Number, y2: Number) -> list[Number]:
    """A, B and C of the line through two points (line_construct)."""
    ax, ay, bx, by = (float(number) for number in (x1, y1, x2, y2))
    if ax == bx and ay == by:
        raise SqlError("invalid line specification: must be two distinct points", sqlstate="22P02")
    if ax == bx:
        return [-1.0, 0.0, ax]
    if ay == by:
        return [0.0, -1.0, ay]
    slope = (ay - by) / (ax - bx)
    return [slope, -1.0, (ay - slope * ax) + 0.0]


def write_point(numbers: Sequence[Number]) -> str:
    """(x,y)."""
    return _points(numbers)


def write_segment(numbers: Sequence[Number]) -> str:
    """[(x1,y1),(x2,y2)]."""
    return f"[{_points(numbers)}]"


def write_box(numbers: list[Number]) -> str:
    """(x,y) of the upper right corner, (x,y) of the lower left one."""
    return _points(_corners(numbers))


def write_polygon(numbers: Sequence[Number]) -> str:
    """((x1,y1),...)."""
    return f"({_points(numbers)})"


def write_circle(numbers: Sequence[Number]) -> str:
    """<(x,y),r>."""
    return f"<{_points(numbers[:2])},{_show(numbers[2:])[0]}>"


def write_line(numbers: Sequence[Number]) -> str:
    """{A,B,C}."""
    return "{" + ",".join(_show(numbers)) + "}"


def parse_point(text: str) -> str:
    """The canonical text of a point. Raises SqlError 22P02, 22003."""
    reader = _Reader("point", text)
    numbers = reader.pair()
    reader.end()
    return write_point(numbers)


def _two_points(type_name: str, text: str) -> list[Number]:
    reader = _Reader(type_name, text)
    reader.divide_pairs()
    numbers = _closed(reader)
    if len(numbers) != 4:
        raise reader.fault()
    return numbers


def _nested(reader: _Reader) -> list[Number]:
    reader.expect("(")
    numbers = reader.pairs()
    reader.expect(")")
    return numbers


def parse_segment(text: str) -> str:
    """The canonical text of a line segment. Raises SqlError 22P02, 22003."""
    return write_segment(_bracketed("lseg", text))


def _bracketed(type_name: str, text: str) -> list[Number]:
    body = text.strip(WHITESPACE)
    if body.startswith("["):
        reader = _Reader(type_name, text)
        reader.divide_pairs()
        reader.expect("[")
        numbers = reader.pairs()
        reader.expect("]")
        reader.end()
        if len(numbers) != 4:
            raise reader.fault()
        return numbers
    return _two_points(type_name, text)


def parse_box(text: str) -> str:
    """The canonical text of a box. Raises SqlError 22P02, 22003."""
    return write_box(_two_points("box", text))


def parse_path(text: str) -> str:
    """The canonical text of a path: in brackets when it is open. Raises SqlError 22P02, 22003."""
    reader = _Reader("path", text)
    if reader.take("["):
        numbers = reader.pairs()
        reader.expect("]")
        reader.end()
        return write_segment(numbers)
    return write_polygon(_closed(reader))


def _closed(reader: _Reader) -> list[Number]:
    """Points in parentheses, around each of them, around all, or both."""
    wraps_all = reader.peek() == "(" and (reader.peek(1) == "(" or reader.peek(4) == ",")
    numbers = _nested(reader) if wraps_all else reader.pairs()
    reader.end()
    return numbers


def parse_polygon(text: str) -> str:
    """The canonical text of a polygon. Raises SqlError 22P02, 22003."""
    return write_polygon(_closed(_Reader("polygon", text)))


def parse_circle(text: str) -> str:
    """The canonical text of a circle. Raises SqlError 22P02, 22003."""
    reader = _Reader("circle", text)
    closing = ">" if reader.take("<") else ""
    if not closing and reader.peek() == "(" and reader.peek(1) == "(":
        reader.at += 1
        closing = ")"
    numbers = reader.pair()
    reader.expect(",")
    radius = reader.number()
    if closing:
        reader.expect(closing)
    reader.end()
    if _order(radius) < 0:
        raise reader.fault()
    return write_circle([*numbers, radius])


def parse_line(text: str) -> str:
    """The canonical text of a line. Raises SqlError 22P02, 22003."""
    if text.strip(WHITESPACE).startswith("{"):
        reader = _Reader("line", text)
        reader.expect("{")
        numbers = [reader.number()]
        for _ in range(2):
            reader.expect(",")
            numbers.append(reader.number())
        reader.expect("}")
        reader.end()
        message = "invalid line specification: A and B cannot both be zero"
        return write_line(_line(numbers, SqlError(message, sqlstate="22P02")))
    x1, y1, x2, y2 = _bracketed("line", text)
    return write_line(_line_through(x1, y1, x2, y2))


def numbers_of(value: Any) -> list[Number]:
    """The coordinates of a stored value, in the order in which they are printed."""
    return [parse_float8(token) for token in re.findall(r"[^\s()\[\]<>{},]+", show(value))]


def fixed_reader(count: int, write: Callable[[list[Number]], str]) -> Callable[[bytes], str]:
    """Read ``count`` doubles. Raises SqlError 08P01, 22P03."""

    def read(data: bytes) -> str:
        error = bad_binary(data, count * 8)
        if error is not None:
            raise error
        return write(_doubles(data, 0, count))

    return read


def _doubles(data: bytes, start: int, count: int) -> list[Number]:
    return [parse_float8_binary(data[at : at + 8]) for at in range(start, start + count * 8, 8)]


def read_circle(data: bytes) -> str:
    """Centre and radius. Raises SqlError 08P01, 22P03."""
    text = fixed_reader(3, write_circle)(data)
    if _order(numbers_of(text)[2]) < 0:
        raise SqlError('invalid radius in external "circle" value', sqlstate="22P03")
    return text


def read_line(data: bytes) -> str:
    """A, B and C. Raises SqlError 08P01, 22P03."""
    numbers = numbers_of(fixed_reader(3, write_line)(data))
    message = "invalid line specification: A and B cannot both be zero"
    return write_line(_line(numbers, SqlError(message, sqlstate="22P03")))


def write_doubles(value: Any) -> bytes:
    """The coordinates as doubles."""
    return b"".join(_DOUBLE.pack(float(number)) for number in numbers_of(value))


def _counted(data: bytes, at: int, type_name: str) -> list[Number]:
    if len(data) < at + 4:
        raise insufficient_data()
    count: int = _COUNT.unpack_from(data, at)[0]
    if not 0 < count <= _PAIRS_MAX:
        raise SqlError(f'invalid number of points in external "{type_name}" value', sqlstate="22P03")
    if len(data) < at + 4 + count * 16:
        raise insufficient_data()
    if len(data) > at + 4 + count * 16:
        raise incorrect_binary()
    return _doubles(data, at + 4, count * 2)


def read_path(data: bytes) -> str:
    """A byte that says whether it is closed, the number of points, the points. Raises SqlError 08P01, 22P03."""
    numbers = _counted(data, 1, "path")
    return write_polygon(numbers) if data[0] else write_segment(numbers)


def write_path(value: Any) -> bytes:
    """The inverse of :func:`read_path`."""
    return bytes([show(value).startswith("(")]) + write_counted(value)


def read_polygon(data: bytes) -> str:
    """The number of points, the points. Raises SqlError 08P01, 22P03."""
    return write_polygon(_counted(data, 0, "polygon"))


def write_counted(value: Any) -> bytes:
    """The inverse of :func:`read_polygon`."""
    return _COUNT.pack(len(numbers_of(value)) // 2) + write_doubles(value)
