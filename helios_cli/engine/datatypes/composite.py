"""Row values: PostgreSQL's literal ``(1,"a b",)``, what their fields are, their binary form.

A row is stored and computed with as its literal, every field in its own type's text (record_out, rowtypes.c): a
value stays readable, and its text form costs nothing. What the fields are is static, so it lies in the plan and not
in each value: a :class:`Shape`. Only a value that leaves for the client carries its shape in front
(:func:`sealed`), because the binary form and the text of a timestamptz need it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes.arrays import PgArray, quote_element, read_array, write_array
from helios_cli.engine.datatypes.faults import incorrect_binary, insufficient_data
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.regs import bare
from helios_cli.engine.datatypes.styled import STYLED, USUAL, StyledZone, styled_writer
from helios_cli.engine.errors import SqlError

if TYPE_CHECKING:
    from helios_cli.engine.datatypes.pgtype import PgType

Lookup = Callable[[int], "PgType"]
"""From an OID to its type; raises KeyError for none."""

_SEAL: Final = "\x01"
_BREAK: Final = "\x02"
_QUOTED: Final = re.compile(r'[(),"\\ \t\n\v\f\r]')
_DOUBLED: Final = re.compile(r'(["\\])')
_PLAIN_FIELD: Final = re.compile(r'[^,()"\\]*')
_SPACES: Final = " \t\n\v\f\r"
_WORD: Final = Struct("!i")
_FIELD: Final = Struct("!Ii")
_ARRAY_HEAD: Final = Struct("!iiI")
_ARRAY_DIM: Final = Struct("!ii")
KEPT_BINARY: Final = "\x03binary "
"""Before the bytes, as hex digits, of a field of a domain: its OID does not tell what it is over, a shape does."""
TEXT: Final = 25
TIMESTAMPTZ: Final = 1184


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a row type."""

    name: str
    type_oid: int
    typmod: int = -1
    shape: Shape | None = None
    """Of a field that is itself a row or an array of rows."""
    domain: int = 0
    """The domain's OID when the field has one, which the binary form names; ``type_oid`` is the base type's."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a row value, or an array of them, is made of."""

    type_oid: int
    """2249 (record) for a row without a named type."""
    fields: tuple[Field, ...] = ()
    """Of a row, in order."""
    element: Shape | None = None
    """Of an array: its elements'; None for a row."""

    def text(self) -> str:
        """As plans hold it; :func:`read_shape` reads it."""
        return json.dumps(_listed(self), separators=(",", ":"))


def _listed(shape: Shape) -> list[Any]:
    fields = [
        [field.name, field.type_oid, field.typmod, _listed(field.shape) if field.shape else None, field.domain]
        for field in shape.fields
    ]
    return [shape.type_oid, fields, _listed(shape.element) if shape.element else None]


@lru_cache(maxsize=1024)
def read_shape(text: str) -> Shape:
    """The shape that :meth:`Shape.text` wrote."""
    return _unlisted(json.loads(text))


def _unlisted(parts: list[Any]) -> Shape:
    fields = tuple(
        Field(name, oid, typmod, _unlisted(shape) if shape else None, domain)
        for name, oid, typmod, shape, domain in parts[1]
    )
    return Shape(parts[0], fields, _unlisted(parts[2]) if parts[2] else None)


# -- the literal ----------------------------------------------------------------------------------


def _malformed(text: str, detail: str) -> SqlError:
    return SqlError(f'malformed record literal: "{text}"', sqlstate="22P02", detail=detail)


_PLAIN_ROW: Final = re.compile(r"""\([^\\"()]+\)""")
"""Nothing quoted, and not the one form that may mean no field."""


def split_record(text: str, count: int = -1) -> list[str | None]:
    """The fields of a row literal as texts, None for NULL. ``count`` is how many there must be, -1: any number.

    Raises:
        SqlError: 22P02 ``malformed record literal`` with PostgreSQL's detail.
    """
    if _PLAIN_ROW.fullmatch(text):
        plain: list[str | None] = [field or None for field in text[1:-1].split(",")]
        if count in (-1, len(plain)):
            return plain
    start = text.lstrip(_SPACES)
    if not start.startswith("("):
        raise _malformed(text, "Missing left parenthesis.")
    at = len(text) - len(start) + 1
    fields: list[str | None] = []
    if text[at : at + 1] == ")" and count == 0:
        at += 1
    else:
        at = _read_fields(text, at, count, fields)
    if text[at:].strip(_SPACES):
        raise _malformed(text, "Junk after right parenthesis.")
    return fields


def _read_fields(text: str, at: int, count: int, fields: list[str | None]) -> int:
    while True:
        field, at = _read_field(text, at)
        fields.append(field)
        mark = text[at : at + 1]
        if mark == ")":
            if 0 <= len(fields) < count:
                raise _malformed(text, "Too few columns.")
            if count >= 0 and len(fields) > count:
                raise _malformed(text, "Too many columns.")
            return at + 1
        if not mark:
            raise _malformed(text, "Unexpected end of input.")
        if len(fields) == count:
            raise _malformed(text, "Too many columns.")
        at += 1


def _read_field(text: str, at: int) -> tuple[str | None, int]:
    """One field up to its comma or parenthesis; nothing at all is NULL."""
    parts: list[str] = []
    seen = False
    while True:
        match = _PLAIN_FIELD.match(text, at)
        assert match is not None
        parts.append(match[0])
        seen |= bool(match[0])
        at = match.end()
        mark = text[at : at + 1]
        if mark == "\\":
            if at + 1 >= len(text):
                raise _malformed(text, "Unexpected end of input.")
            parts.append(text[at + 1])
            at, seen = at + 2, True
        elif mark == '"':
            piece, at = _read_quoted(text, at + 1)
            parts.append(piece)
            seen = True
        elif mark == "(":
            parts.append(mark)
            at, seen = at + 1, True
        else:
            return ("".join(parts) if seen else None), at


def _read_quoted(text: str, at: int) -> tuple[str, int]:
    parts: list[str] = []
    while True:
        mark = text[at : at + 1]
        if not mark:
            raise _malformed(text, "Unexpected end of input.")
        if mark == "\\":
            parts.append(text[at + 1 : at + 2])
            at += 2
        elif mark == '"':
            if text[at + 1 : at + 2] != '"':
                return "".join(parts), at + 1
            parts.append(mark)
            at += 2
        else:
            parts.append(mark)
            at += 1


def join_record(fields: Iterable[str | None]) -> str:
    """The literal of fields given as texts (record_out)."""
    return f"({','.join('' if field is None else quote_field(field) for field in fields)})"


def quote_field(text: str) -> str:
    """A field's text, in double quotes where record_out puts them."""
    if text and not _QUOTED.search(text):
        return text
    return '"' + _DOUBLED.sub(r"\1\1", text) + '"'


# -- values with their shape in front -------------------------------------------------------------


def sealed(shape: Shape, text: str) -> str:
    """A value on its way to a client: its shape goes with it."""
    return f"{_SEAL}{shape.text()}{_BREAK}{text}"


def unsealed(value: Any) -> tuple[Shape | None, str]:
    """The shape, None for a value without, and the literal."""
    text = show(value)
    if not text.startswith(_SEAL):
        return None, text
    head, _, body = text[1:].partition(_BREAK)
    return read_shape(head), body


def literal_of(value: Any) -> str:
    """The literal alone."""
    return unsealed(value)[1]


# -- walking a value ------------------------------------------------------------------------------

Leaf = Callable[[int, int, str], str]
"""(type OID, typmod, text) of a field that is no row, to its new text."""


def rewritten(shape: Shape, text: str, leaf: Leaf) -> str:
    """A literal with every field's text put through ``leaf``. Raises 22P02 for what does not fit the shape."""
    if shape.element is not None:
        element = shape.element
        array = read_array(text, lambda item: rewritten(element, item, leaf))
        return write_array(array, str)
    parts = split_record(text, len(shape.fields))
    fields: list[str | None] = []
    for field, part in zip(shape.fields, parts, strict=True):
        if part is None:
            fields.append(None)
        elif field.shape is not None:
            fields.append(rewritten(field.shape, part, leaf))
        else:
            fields.append(leaf(field.type_oid, field.typmod, part))
    return join_record(fields)


def has_type(shape: Shape, oids: frozenset[int]) -> bool:
    """Whether a field at any depth has one of the types."""
    if shape.element is not None:
        return has_type(shape.element, oids)
    return any(
        has_type(field.shape, oids) if field.shape is not None else field.type_oid in oids for field in shape.fields
    )


def holds_row(shape: Shape, oid: int) -> bool:
    """Whether it is a row type, or an array of it, or has it in a field at any depth."""
    if shape.element is not None:
        return holds_row(shape.element, oid)
    return shape.type_oid == oid or any(holds_row(field.shape, oid) for field in shape.fields if field.shape)


_ZONED: Final = frozenset((TIMESTAMPTZ, 1185))
NAMED: Final = frozenset(
    (24, 1008, *range(2202, 2212), 3734, 3735, 3769, 3770, 4089, 4090, 4096, 4097, 4191, 4192)
)  # fmt: skip
"""regclass and its kin, and the arrays of them."""


def _named(shape: Shape | None, text: str) -> str:
    """The literal with the names of objects alone."""
    return bare(text) if shape is not None and has_type(shape, NAMED) else text


class RowCodec:
    """The conversions of a row type, or of an array of one; what they know of fields comes with the value."""

    def __init__(self, lookup: Lookup, *, array: bool = False) -> None:
        self._lookup = lookup
        self._array = array

    def parse_text(self, text: str) -> str:
        """The literal, its punctuation as record_out writes it; the fields' own types are the planner's business."""
        if self._array:
            return write_array(read_array(literal_of(text), str), str)
        return join_record(split_record(literal_of(text)))

    def format_text(self, value: Any) -> bytes:
        """The literal."""
        return _named(*unsealed(value)).encode("utf-8", "replace")

    def format_zoned(self, value: Any, zone: tzinfo) -> bytes:
        """The literal with each timestamptz in a zone, and all as its style has it."""
        shape, text = unsealed(value)
        shown = STYLED if isinstance(zone, StyledZone) else _ZONED
        text = _named(shape, text)
        if shape is None or zone is UTC or not has_type(shape, shown):
            return text.encode("utf-8", "replace")

        def leaf(type_oid: int, _typmod: int, part: str) -> str:
            if type_oid not in shown:
                return part
            stored = self._lookup(type_oid).parse_text(part)
            write = styled_writer(type_oid, zone if isinstance(zone, StyledZone) else StyledZone(zone, USUAL))
            assert write is not None
            return write(stored).decode()

        return rewritten(shape, text, leaf).encode("utf-8", "replace")

    def format_binary(self, value: Any) -> bytes:
        """record_send: the number of fields, then type, length and binary form of each."""
        shape, text = unsealed(value)
        if shape is None:
            fields = () if self._array else tuple(Field("", TEXT) for _ in split_record(text))
            row = Shape(0, fields)
            shape = Shape(0, element=Shape(0, fields)) if self._array else row
        return self._binary(shape, text)

    def _binary(self, shape: Shape, text: str) -> bytes:
        if shape.element is not None:
            return self._array_binary(shape.element, text)
        parts = split_record(text, len(shape.fields))
        out = [_WORD.pack(len(parts))]
        for field, part in zip(shape.fields, parts, strict=True):
            if part is None:
                out.append(_FIELD.pack(field.domain or field.type_oid, -1))
                continue
            body = self._field_binary(field, part)
            out += (_FIELD.pack(field.domain or field.type_oid, len(body)), body)
        return b"".join(out)

    def _field_binary(self, field: Field, text: str) -> bytes:
        if field.shape is not None:
            return self._binary(field.shape, text)
        known = self._lookup(field.type_oid)
        return known.format_binary(known.parse_text(text))

    def _array_binary(self, element: Shape, text: str) -> bytes:
        array = read_array(text, str)
        flat = _flat(array)
        out = [_ARRAY_HEAD.pack(len(array.dims), int(None in flat), element.type_oid)]
        out += [_ARRAY_DIM.pack(size, low) for size, low in zip(array.dims, array.bounds, strict=True)]
        for item in flat:
            if item is None:
                out.append(b"\xff\xff\xff\xff")
                continue
            body = self._binary(element, item)
            out += (_WORD.pack(len(body)), body)
        return b"".join(out)

    def parse_binary(self, data: bytes) -> str:
        """record_recv: what :meth:`format_binary` writes, as a literal. Raises 22P03."""
        if self._array:
            return self._read_array(data)
        if len(data) < _WORD.size:
            raise insufficient_data()
        (count,), at = _WORD.unpack_from(data), _WORD.size
        fields: list[str | None] = []
        for _ in range(count):
            if at + _FIELD.size > len(data):
                raise insufficient_data()
            type_oid, size = _FIELD.unpack_from(data, at)
            at += _FIELD.size
            if size < 0:
                fields.append(None)
                continue
            if at + size > len(data):
                raise insufficient_data()
            fields.append(self._field_text(type_oid, data[at : at + size]))
            at += size
        if at != len(data):
            raise incorrect_binary()
        return join_record(fields)

    def _field_text(self, type_oid: int, data: bytes) -> str:
        try:
            known = self._lookup(type_oid)
        except KeyError:
            raise SqlError(f"no binary input function available for type {type_oid}", sqlstate="42883") from None
        if known.kind == "d":
            return KEPT_BINARY + data.hex()
        return known.format_text(known.parse_binary(data)).decode("utf-8", "replace")

    def _read_array(self, data: bytes) -> str:
        if len(data) < _ARRAY_HEAD.size:
            raise insufficient_data()
        ndim, _flags, _oid = _ARRAY_HEAD.unpack_from(data)
        if ndim not in (0, 1):
            raise SqlError("an array of rows in several dimensions has no binary form here", sqlstate="0A000")
        if not ndim:
            return "{}"
        at = _ARRAY_HEAD.size
        if len(data) < at + _ARRAY_DIM.size:
            raise insufficient_data()
        count, low = _ARRAY_DIM.unpack_from(data, at)
        at += _ARRAY_DIM.size
        row = RowCodec(self._lookup)
        items: list[str | None] = []
        for _ in range(count):
            if at + 4 > len(data):
                raise insufficient_data()
            (size,) = _WORD.unpack_from(data, at)
            at += 4
            if size < 0:
                items.append(None)
                continue
            if at + size > len(data):
                raise insufficient_data()
            items.append(row.parse_binary(data[at : at + size]))
            at += size
        listed = ",".join("NULL" if item is None else quote_element(item) for item in items)
        return ("" if low == 1 else f"[{low}:{low + count - 1}]=") + f"{{{listed}}}"


def _flat(array: PgArray) -> list[Any]:
    items: list[Any] = array.items
    for _ in range(len(array.dims) - 1):
        items = [item for part in items for item in part]
    return items if array.dims else []
