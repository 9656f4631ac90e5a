"""Arrays in PostgreSQL's literal form, ``{1,NULL,"a b"}``: reading, writing, binary form."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes.faults import incorrect_binary, insufficient_data
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.regs import parse_reg
from helios_cli.engine.errors import SqlError

if TYPE_CHECKING:
    from helios_cli.engine.datatypes.pgtype import PgType

MAX_DIMENSIONS: Final = 6
MAX_ELEMENTS: Final = (2**30 - 1) // 8
"""PostgreSQL's MaxArraySize."""

_FIRST_OF_SERVER: Final = 10_000
"""OIDs from here on are not the same on every server: an array's bytes may name another (FirstGenbkiObjectId)."""
_HEAD = Struct("!iiI")
_DIM = Struct("!ii")
_BOUNDS = re.compile(r"\s*\[\s*([+-]?\d+)(?:\s*:\s*([+-]?\d+))?\s*\]", re.ASCII)
_PLAIN = re.compile(r'[^\s{},"\\]+')
_ESCAPE = re.compile(r'(["\\])')
_DELIMITER: Final = ","
BOX: Final = 603
BOX_DELIMITER: Final = ";"
"""Boxes alone are separated by it in an array (pg_type.typdelim), since a comma stands within each."""

Nested = list[Any]
"""Lists of lists; leaves are SQLite values or None."""


class PgArray:
    """Elements of an array with their shape. ``items`` nests to ``len(dims)`` levels; empty: no dims."""

    __slots__ = ("bounds", "dims", "items")

    def __init__(self, items: Nested, dims: tuple[int, ...], bounds: tuple[int, ...]) -> None:
        self.items = items
        self.dims = dims
        self.bounds = bounds


def _malformed(text: str, detail: str) -> SqlError:
    return SqlError(f'malformed array literal: "{text}"', sqlstate="22P02", detail=detail)


class _Scanner:
    """A reader of one literal; elements go through ``element``."""

    def __init__(self, text: str, element: Callable[[str], Any], delimiter: str) -> None:
        self.text = text
        self.element = element
        self.delimiter = delimiter
        self.at = 0
        self.count = 0

    def skip(self) -> None:
        """Move past white space."""
        while self.at < len(self.text) and self.text[self.at] in " \t\n\v\f\r":
            self.at += 1

    def peek(self) -> str:
        """The next character, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def bounds(self) -> list[tuple[int, int]]:
        """The ``[1:2][3:4]=`` that may come first, as (lower bound, length)."""
        found: list[tuple[int, int]] = []
        while match := _BOUNDS.match(self.text, self.at):
            low, high = (int(match[1]), int(match[2])) if match[2] else (1, int(match[1]))
            if high < low:
                raise SqlError("upper bound cannot be less than lower bound", sqlstate="2202E")
            found.append((low, high - low + 1))
            self.at = match.end()
        if len(found) > MAX_DIMENSIONS:
            raise too_many_dimensions(len(found))
        if found:
            self.skip()
            if self.peek() != "=":
                raise _malformed(self.text, 'Missing "=" after array dimensions.')
            self.at += 1
        return found

    def braces(self, depth: int) -> Nested:
        """One ``{...}``; the cursor stands on the opening brace."""
        if depth > MAX_DIMENSIONS:
            raise too_many_dimensions(depth)
        self.at += 1
        items: Nested = []
        self.skip()
        if self.peek() == "}" and depth == 1:
            self.at += 1
            return items
        nested = self.peek() == "{"
        while True:
            self.skip()
            self.expect_kind(nested)
            items.append(self.braces(depth + 1) if nested else self.leaf())
            self.skip()
            mark = self.peek()
            self.at += 1
            if mark == "}":
                return items
            if mark != self.delimiter:
                raise self.unexpected(mark)

    def expect_kind(self, nested: bool) -> None:
        """The elements of one level are all arrays or all values. Raises 22P02."""
        mark = self.peek()
        if mark and (mark == "{") != nested:
            raise self.unexpected(mark)

    def unexpected(self, mark: str) -> SqlError:
        """The error for a character that cannot stand here."""
        if not mark:
            return _malformed(self.text, "Unexpected end of input.")
        if mark not in "{}" + self.delimiter:
            return _malformed(self.text, "Unexpected array element.")
        return _malformed(self.text, f'Unexpected "{mark}" character.')

    def leaf(self) -> Any:
        """One element, quoted or bare."""
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise SqlError(f"array size exceeds the maximum allowed ({MAX_ELEMENTS})", sqlstate="54000")
        if self.peek() == '"':
            return self.element(self.quoted())
        word = self.bare()
        return None if word is None else self.element(word)

    def quoted(self) -> str:
        """A ``"..."`` element with backslash escapes."""
        self.at += 1
        out: list[str] = []
        while True:
            char = self.peek()
            self.at += 1
            if char == '"':
                return "".join(out)
            if char == "\\":
                char = self.peek()
                self.at += 1
            if not char:
                raise self.unexpected("")
            out.append(char)

    def bare(self) -> str | None:
        """An element without quotes; None for NULL in any case."""
        out: list[str] = []
        keep = 0
        escaped = False
        while True:
            char = self.peek()
            if not char or char in "{}" or char in (self.delimiter, '"'):
                break
            self.at += 1
            if char == "\\":
                escaped, char = True, self.peek()
                if not char:
                    raise self.unexpected("")
                self.at += 1
                keep = len(out) + 1
            elif char not in " \t\n\v\f\r":
                keep = len(out) + 1
            out.append(char)
        if not keep or self.peek() in ("{", '"'):
            raise self.unexpected(self.peek())
        word = "".join(out[:keep])
        return None if not escaped and word.upper() == "NULL" else word


def too_many_dimensions(count: int) -> SqlError:
    """54000 for more than six dimensions."""
    return SqlError(
        f"number of array dimensions ({count}) exceeds the maximum allowed ({MAX_DIMENSIONS})", sqlstate="54000"
    )


_PLAIN_ARRAY: Final = re.compile(r"""\{(?:[^\s"\\{},]+(?:,[^\s"\\{},]+)*)?\}""")
"""Of one dimension, nothing quoted, no blanks: what most literals are."""
_NULLS: Final = frozenset("".join(letters) for letters in itertools.product("nN", "uU", "lL", "lL"))


def read_array(text: str, element: Callable[[str], Any], delimiter: str = _DELIMITER) -> PgArray:
    """Read a literal; ``element`` converts each element's text. Raises 22P02."""
    if delimiter == _DELIMITER and _PLAIN_ARRAY.fullmatch(text):
        inside = text[1:-1]
        plain = [None if item in _NULLS else element(item) for item in inside.split(_DELIMITER)] if inside else []
        return PgArray(plain, (len(plain),) if plain else (), (1,) if plain else ())
    scanner = _Scanner(text, element, delimiter)
    declared = scanner.bounds()
    scanner.skip()
    if scanner.peek() != "{":
        if declared:
            raise _malformed(text, 'Array contents must start with "{".')
        raise _malformed(text, 'Array value must start with "{" or dimension information.')
    items = scanner.braces(1)
    scanner.skip()
    if scanner.at < len(text):
        raise _malformed(text, "Junk after closing right brace.")
    dims = _shape(items, text)
    if declared and [size for _, size in declared] != list(dims):
        raise _malformed(text, "Specified array dimensions do not match array contents.")
    bounds = tuple(low for low, _ in declared) if declared else (1,) * len(dims)
    return PgArray(items, dims, bounds)


def _shape(items: Nested, text: str) -> tuple[int, ...]:
    """Lengths per dimension. Raises 22P02 unless all sub-arrays agree."""
    dims: list[int] = []
    level: list[Any] = [items]
    while level and isinstance(level[0], list):
        size = len(level[0])
        if any(not isinstance(part, list) or len(part) != size for part in level):
            raise _malformed(text, "Multidimensional arrays must have sub-arrays with matching dimensions.")
        dims.append(size)
        level = [item for part in level for item in part]
    if any(isinstance(item, list) for item in level):
        raise _malformed(text, "Multidimensional arrays must have sub-arrays with matching dimensions.")
    return () if 0 in dims else tuple(dims)


def write_array(array: PgArray, element: Callable[[Any], str], delimiter: str = _DELIMITER) -> str:
    """The literal; bounds are written only when one of them is not 1."""
    if not array.dims:
        return "{}"
    prefix = ""
    if any(low != 1 for low in array.bounds):
        pairs = zip(array.bounds, array.dims, strict=True)
        prefix = "".join(f"[{low}:{low + size - 1}]" for low, size in pairs) + "="
    return prefix + _write(array.items, element, delimiter)


def _write(items: Nested, element: Callable[[Any], str], delimiter: str) -> str:
    parts = []
    for item in items:
        if isinstance(item, list):
            parts.append(_write(item, element, delimiter))
        else:
            parts.append("NULL" if item is None else quote_element(element(item), delimiter))
    return "{" + delimiter.join(parts) + "}"


def quote_element(text: str, delimiter: str = _DELIMITER) -> str:
    """An element's text, in double quotes where array_out puts them."""
    if delimiter != _DELIMITER:
        bare = text.replace(_DELIMITER, "") if delimiter not in text else ""
        if bare and _PLAIN.fullmatch(bare) and text.upper() != "NULL":
            return text
    elif text and _PLAIN.fullmatch(text) and text.upper() != "NULL":
        return text
    return '"' + _ESCAPE.sub(r"\\\1", text) + '"'


class ArrayCodec:
    """The four conversions of an array type, built on its element type."""

    def __init__(self, element: PgType) -> None:
        self.element = element
        self.delimiter = BOX_DELIMITER if element.oid == BOX else _DELIMITER
        self.names_objects = element.parse_text is parse_reg

    def _element_text(self, value: Any) -> str:
        return self.element.format_text(value).decode("utf-8", "replace")

    def parse_text(self, text: str) -> str:
        """The canonical literal: elements as their own type prints them."""
        return write_array(read_array(text, self.element.parse_text, self.delimiter), self._element_text)

    def format_text(self, value: Any) -> bytes:
        """What clients see of an array whose elements are not separated by commas, which all are within the node."""
        try:
            return write_array(self.read(value), self._element_text, self.delimiter).encode("utf-8", "replace")
        except SqlError:
            return show(value).encode("utf-8", "replace")

    def read(self, value: Any) -> PgArray:
        """The elements of a stored array as SQLite values."""
        return read_array(show(value), self.element.parse_text)

    def write(self, items: Sequence[Any]) -> str:
        """The literal of a one-dimensional (or nested) list of SQLite values."""
        nested = list(items)
        dims = _shape(nested, "")
        return write_array(PgArray(nested, dims, (1,) * len(dims)), self._element_text)

    def parse_binary(self, data: bytes) -> str:
        """Dimensions, null flag, element oid, (length, lower bound) each, then the elements."""
        if len(data) < _HEAD.size:
            raise insufficient_data()
        ndim, flags, oid = _HEAD.unpack_from(data)
        if ndim < 0 or ndim > MAX_DIMENSIONS:
            raise too_many_dimensions(ndim) if ndim > 0 else _bad_header(f"invalid number of dimensions: {ndim}")
        if flags not in (0, 1):
            raise _bad_header("invalid array flags")
        if oid != self.element.oid and max(oid, self.element.oid) < _FIRST_OF_SERVER:
            raise SqlError(
                f"binary data has array element type {oid} instead of expected {self.element.oid}", sqlstate="42804"
            )
        dims, bounds, at = _read_dims(data, ndim)
        flat, at = self._read_elements(data, at, _product(dims))
        if at != len(data):
            raise incorrect_binary()
        shape = tuple(dims) if flat else ()
        return write_array(PgArray(_nest(flat, shape), shape, tuple(bounds)), self._element_text)

    def _read_elements(self, data: bytes, at: int, count: int) -> tuple[Nested, int]:
        if count > (len(data) - at) // 4:
            raise insufficient_data()
        flat: Nested = []
        for _ in range(count):
            size = int.from_bytes(data[at : at + 4], "big", signed=True)
            at += 4
            if size == -1:
                flat.append(None)
                continue
            if size < 0 or at + size > len(data):
                raise SqlError("insufficient data left in message", sqlstate="22P03")
            flat.append(self.element.parse_binary(data[at : at + size]))
            at += size
        return flat, at

    def format_binary(self, value: Any) -> bytes:
        """The inverse of :meth:`parse_binary`."""
        array = self.read(value)
        flat = _flatten(array.items, len(array.dims))
        out = [_HEAD.pack(len(array.dims), int(None in flat), self.element.oid)]
        out += [_DIM.pack(size, low) for size, low in zip(array.dims, array.bounds, strict=True)]
        for item in flat:
            if item is None:
                out.append(b"\xff\xff\xff\xff")
            else:
                body = self.element.format_binary(item)
                out.append(len(body).to_bytes(4, "big") + body)
        return b"".join(out)


def _bad_header(message: str) -> SqlError:
    return SqlError(message, sqlstate="22P03")


def _read_dims(data: bytes, ndim: int) -> tuple[list[int], list[int], int]:
    at = _HEAD.size
    if len(data) < at + ndim * _DIM.size:
        raise insufficient_data()
    dims, bounds = [], []
    for _ in range(ndim):
        size, low = _DIM.unpack_from(data, at)
        if size < 0 or low + size > 2**31 - 1:
            raise SqlError(f"array size exceeds the maximum allowed ({MAX_ELEMENTS})", sqlstate="54000")
        dims.append(size)
        bounds.append(low)
        at += _DIM.size
    return dims, bounds, at


def _product(dims: list[int]) -> int:
    total = 1
    for size in dims:
        total *= size
    if total > MAX_ELEMENTS:
        raise SqlError(f"array size exceeds the maximum allowed ({MAX_ELEMENTS})", sqlstate="54000")
    return total if dims else 0


def _nest(flat: Nested, dims: tuple[int, ...]) -> Nested:
    """Group a flat list into the given shape, innermost dimension first."""
    for size in reversed(dims[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat


def _flatten(items: Nested, depth: int) -> Nested:
    for _ in range(depth - 1):
        items = [item for part in items for item in part]
    return items if depth else []
