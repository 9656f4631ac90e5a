"""Ranges and multiranges: kept as the literal PostgreSQL prints, ``[1,10)``, computed with as bounds (rangetypes.c)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cmp_to_key
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes.calendar import DATE_INFINITY, DATE_MINUS_INFINITY
from helios_cli.engine.datatypes.integers import show
from helios_cli.engine.datatypes.orders import Comparison
from helios_cli.engine.datatypes.received import Received
from helios_cli.engine.errors import SqlError

if TYPE_CHECKING:
    from helios_cli.engine.datatypes.pgtype import PgType

_EMPTY, _LOWER_INC, _UPPER_INC, _LOWER_INF, _UPPER_INF = 1, 2, 4, 8, 16
_SIZE: Final = Struct("!i")
_QUOTED: Final = re.compile(r'[\s"\\()\[\],]')
_DOUBLED: Final = re.compile(r'(["\\])')

KINDS: Final = (
    (3904, "int4range", 3905, 23, 4451, "int4multirange", 6150, "i4"),
    (3906, "numrange", 3907, 1700, 4532, "nummultirange", 6151, "num"),
    (3908, "tsrange", 3909, 1114, 4533, "tsmultirange", 6152, "ts"),
    (3910, "tstzrange", 3911, 1184, 4534, "tstzmultirange", 6153, "tstz"),
    (3912, "daterange", 3913, 1082, 4535, "datemultirange", 6155, "date"),
    (3926, "int8range", 3927, 20, 4536, "int8multirange", 6157, "i8"),
)
"""(OID, name, array's OID, subtype; OID, name and array's OID of the multirange; stem of the declared type)."""

RANGES: Final = {kind[0]: kind[3] for kind in KINDS}
"""Range type -> its subtype."""
MULTIRANGES: Final = {kind[4]: kind[0] for kind in KINDS}
"""Multirange type -> its range type."""
DISCRETE: Final = {23: 31, 20: 63, 1082: 31}
"""Subtypes whose ranges have one form, ``[a,b)``, with the bits of their values."""


@dataclass(frozen=True, slots=True)
class Range:
    """A range of stored values of its subtype. A bound of None is infinite, and then not inclusive."""

    lower: Any = None
    upper: Any = None
    lower_inc: bool = False
    upper_inc: bool = False
    empty: bool = False


NOTHING: Final = Range(empty=True)


class RangeCodec:
    """The conversions and the arithmetic of the ranges over one subtype."""

    def __init__(self, subtype: PgType, compare: Comparison, *, bits: int = 0) -> None:
        """``compare`` is the order of the subtype; ``bits`` are those of a discrete one's values, 0 of a continuous."""
        self.subtype = subtype
        self.compare = compare
        self._bits = bits

    # -- making -----------------------------------------------------------------------------------

    def make(self, lower: Any, upper: Any, lower_inc: bool, upper_inc: bool) -> Range:
        """A range in its one form. Raises 22000 when the bounds are the wrong way round, 22003 beyond the subtype."""
        lower_inc, upper_inc = lower_inc and lower is not None, upper_inc and upper is not None
        if lower is not None and upper is not None:
            order = self.compare(lower, upper)
            if order > 0:
                message = "range lower bound must be less than or equal to range upper bound"
                raise SqlError(message, sqlstate="22000")
            if order == 0 and not (lower_inc and upper_inc):
                return NOTHING
        if self._bits:
            if lower is not None and not lower_inc and not self._endless(lower):
                lower, lower_inc = self._next(lower), True
            if upper is not None and upper_inc and not self._endless(upper):
                upper, upper_inc = self._next(upper), False
            if lower is not None and upper is not None and lower >= upper:
                return NOTHING
        return Range(lower, upper, lower_inc, upper_inc)

    def _endless(self, value: int) -> bool:
        """Whether a bound is a date's infinity, which has no next day."""
        return self.subtype.oid == 1082 and value in (DATE_INFINITY, DATE_MINUS_INFINITY)

    def _next(self, value: int) -> int:
        if value >= (1 << self._bits) - 1:
            word = "date" if self.subtype.oid == 1082 else self.subtype.sql_name
            raise SqlError(f"{word} out of range", sqlstate="22008" if word == "date" else "22003")
        return value + 1

    # -- text -------------------------------------------------------------------------------------

    def read(self, value: Any) -> Range:
        """A stored range."""
        return self.read_text(show(value))

    def read_text(self, text: str, bound: Callable[[str], Any] | None = None) -> Range:
        """A literal; ``bound`` reads a bound where the subtype's own form is not meant. Raises 22P02."""
        body = text.strip()
        if body.lower() == "empty":
            return NOTHING
        if body[:1] not in ("[", "("):
            if body[:5].lower() == "empty":
                raise _malformed(text, 'Junk after "empty" key word.')
            raise _malformed(text, "Missing left parenthesis or bracket.")
        lower, at = _bound(text, body, 1)
        if body[at : at + 1] != ",":
            raise _malformed(text, "Missing comma after lower bound." if at < len(body) else "Unexpected end of input.")
        upper, at = _bound(text, body, at + 1)
        if body[at : at + 1] not in ("]", ")"):
            raise _malformed(text, "Too many commas." if body[at : at + 1] == "," else "Unexpected end of input.")
        if at + 1 != len(body):
            raise _malformed(text, "Junk after right parenthesis or bracket.")
        parse = bound or self.subtype.parse_text
        values = [None if part is None else parse(part) for part in (lower, upper)]
        return self.make(values[0], values[1], body[0] == "[", body[at] == "]")

    def write(self, found: Range, leaf: Callable[[Any], str] | None = None) -> str:
        """The literal; ``leaf`` gives a bound's text when it is not the subtype's own."""
        if found.empty:
            return "empty"
        shown = leaf or (lambda value: self.subtype.format_text(value).decode())
        lower = "" if found.lower is None else _quoted(shown(found.lower))
        upper = "" if found.upper is None else _quoted(shown(found.upper))
        return f"{'[' if found.lower_inc else '('}{lower},{upper}{']' if found.upper_inc else ')'}"

    def parse_text(self, text: str) -> str:
        """The canonical literal."""
        return self.write(self.read_text(text))

    # -- binary -----------------------------------------------------------------------------------

    def format_binary(self, value: Any) -> bytes:
        """range_send: flags, then each bound that is there with its length."""
        return self.pack(self.read(value))

    def pack(self, found: Range) -> bytes:
        """The same of a range."""
        if found.empty:
            return bytes((_EMPTY,))
        flags = (_LOWER_INC if found.lower_inc else 0) | (_UPPER_INC if found.upper_inc else 0)
        flags |= (_LOWER_INF if found.lower is None else 0) | (_UPPER_INF if found.upper is None else 0)
        out = [bytes((flags,))]
        for bound in (found.lower, found.upper):
            if bound is not None:
                body = self.subtype.format_binary(bound)
                out += (_SIZE.pack(len(body)), body)
        return b"".join(out)

    def unpack(self, data: bytes) -> Range:
        """range_recv. Raises 08P01 and what the subtype raises."""
        message = Received(data)
        flags = message.byte()
        empty = bool(flags & _EMPTY)
        bounds: list[Any] = []
        for infinite in (_LOWER_INF, _UPPER_INF):
            if flags & infinite or empty:
                bounds.append(None)
            else:
                bounds.append(self.subtype.parse_binary(message.take(message.number(4, signed=True))))
        message.message_end()
        if empty:
            return NOTHING
        return self.make(bounds[0], bounds[1], bool(flags & _LOWER_INC), bool(flags & _UPPER_INC))

    def parse_binary(self, data: bytes) -> str:
        """The literal of a binary form."""
        return self.write(self.unpack(data))

    # -- bounds -----------------------------------------------------------------------------------

    def compare_bounds(self, one: Range, one_upper: bool, other: Range, other_upper: bool) -> int:
        """range_cmp_bounds: the order of two bounds, each a lower or an upper one."""
        left, right = (one.upper if one_upper else one.lower), (other.upper if other_upper else other.lower)
        if left is None or right is None:
            if left is None and right is None:
                return one_upper - other_upper
            return (1 if one_upper else -1) if left is None else (-1 if other_upper else 1)
        order = self.compare(left, right)
        if order:
            return order
        left_inc = one.upper_inc if one_upper else one.lower_inc
        right_inc = other.upper_inc if other_upper else other.lower_inc
        # An exclusive bound lies just beside the value, on the inner side.
        mine = 0 if left_inc else (-1 if one_upper else 1)
        theirs = 0 if right_inc else (-1 if other_upper else 1)
        return (mine > theirs) - (mine < theirs)

    def order(self, one: Range, other: Range) -> int:
        """range_cmp: empty first, then by lower bound, then by upper."""
        if one.empty or other.empty:
            return other.empty - one.empty
        return self.compare_bounds(one, False, other, False) or self.compare_bounds(one, True, other, True)

    def contains(self, one: Range, other: Range) -> bool:
        """``one @> other``."""
        if other.empty:
            return True
        if one.empty:
            return False
        return self.compare_bounds(one, False, other, False) <= 0 <= self.compare_bounds(one, True, other, True)

    def contains_value(self, one: Range, value: Any) -> bool:
        """``one @> value``."""
        return self.contains(one, Range(value, value, True, True))

    def before(self, one: Range, other: Range) -> bool:
        """``one << other``."""
        return not (one.empty or other.empty) and self.compare_bounds(one, True, other, False) < 0

    def overlaps(self, one: Range, other: Range) -> bool:
        """``one && other``."""
        return not (one.empty or other.empty or self.before(one, other) or self.before(other, one))

    def touches(self, one: Range, other: Range) -> bool:
        """``one -|- other``: nothing lies between them and nothing in both."""
        if one.empty or other.empty:
            return False
        return self.meets(one, other) or self.meets(other, one)

    def meets(self, one: Range, other: Range) -> bool:
        """Whether ``other`` begins where ``one`` ends; neither is empty."""
        if one.upper is None or other.lower is None or self.compare(one.upper, other.lower):
            return False
        return one.upper_inc != other.lower_inc

    # -- arithmetic -------------------------------------------------------------------------------

    def hull(self, one: Range, other: Range) -> Range:
        """The smallest range that holds both (range_merge)."""
        if one.empty or other.empty:
            return other if one.empty else one
        # Of equal bounds, which may be written with other digits, the second one's are taken.
        low = one if self.compare_bounds(one, False, other, False) < 0 else other
        high = one if self.compare_bounds(one, True, other, True) > 0 else other
        return Range(low.lower, high.upper, low.lower_inc, high.upper_inc)

    def union(self, one: Range, other: Range) -> Range:
        """``one + other``. Raises 22000 when a gap lies between."""
        if one.empty or other.empty or self.overlaps(one, other) or self.touches(one, other):
            return self.hull(one, other)
        raise SqlError("result of range union would not be contiguous", sqlstate="22000")

    def intersection(self, one: Range, other: Range) -> Range:
        """``one * other``."""
        if not self.overlaps(one, other):
            return NOTHING
        low = one if self.compare_bounds(one, False, other, False) >= 0 else other
        high = one if self.compare_bounds(one, True, other, True) <= 0 else other
        return Range(low.lower, high.upper, low.lower_inc, high.upper_inc)

    def difference(self, one: Range, other: Range) -> list[Range]:
        """What of ``one`` is not in ``other``: nothing, one range or two."""
        if one.empty or not self.overlaps(one, other):
            return [] if one.empty else [one]
        parts = []
        if self.compare_bounds(one, False, other, False) < 0:
            parts.append(Range(one.lower, other.lower, one.lower_inc, not other.lower_inc))
        if self.compare_bounds(one, True, other, True) > 0:
            parts.append(Range(other.upper, one.upper, not other.upper_inc, one.upper_inc))
        return [part if not self._bits else self.make(part.lower, part.upper, part.lower_inc, part.upper_inc)
                for part in parts]  # fmt: skip

    def merged(self, ranges: Iterable[Range]) -> list[Range]:
        """Ranges sorted, those that overlap or touch made one, empty ones left out: a multirange."""
        out: list[Range] = []
        for found in sorted((one for one in ranges if not one.empty), key=cmp_to_key(self.order)):
            if out and (self.overlaps(out[-1], found) or self.touches(out[-1], found)):
                out[-1] = self.hull(out[-1], found)
            else:
                out.append(found)
        return out

    # -- multiranges ------------------------------------------------------------------------------

    def read_many(self, value: Any, bound: Callable[[str], Any] | None = None) -> list[Range]:
        """A multirange literal, as :meth:`read_text`. Raises 22P02."""
        text = show(value)
        body = text.strip()
        if body[:1] != "{":
            raise _malformed_many(text, "Missing left brace.")
        if body[-1:] != "}" or len(body) < 2:
            raise _malformed_many(text, "Unexpected end of input.")
        return self.merged(self.read_text(part, bound) for part in _split_ranges(text, body[1:-1]))

    def write_many(self, ranges: Iterable[Range], leaf: Callable[[Any], str] | None = None) -> str:
        """The literal."""
        return "{" + ",".join(self.write(found, leaf) for found in ranges) + "}"

    def parse_many(self, text: str) -> str:
        """The canonical literal of a multirange."""
        return self.write_many(self.read_many(text))

    def format_many_binary(self, value: Any) -> bytes:
        """multirange_send: the number of ranges, then each with its length."""
        packed = [self.pack(found) for found in self.read_many(value)]
        return _SIZE.pack(len(packed)) + b"".join(_SIZE.pack(len(body)) + body for body in packed)

    def parse_many_binary(self, data: bytes) -> str:
        """multirange_recv. Raises 08P01."""
        message = Received(data)
        count = message.number(4, signed=True)
        ranges = [self.unpack(message.take(message.number(4, signed=True))) for _ in range(count)]
        message.message_end()
        return self.write_many(self.merged(ranges))


def _malformed(text: str, detail: str) -> SqlError:
    return SqlError(f'malformed range literal: "{text}"', sqlstate="22P02", detail=detail)


def _malformed_many(text: str, detail: str) -> SqlError:
    return SqlError(f'malformed multirange literal: "{text}"', sqlstate="22P02", detail=detail)


def _bound(text: str, body: str, at: int) -> tuple[str | None, int]:
    """One bound from ``at``, None for an infinite one, and where it ends."""
    if body[at : at + 1] in (",", ")", "]"):
        return None, at
    parts: list[str] = []
    quoted = False
    while quoted or body[at : at + 1] not in (",", ")", "]"):
        mark = body[at : at + 1]
        if not mark:
            raise _malformed(text, "Unexpected end of input.")
        at += 1
        if mark == "\\":
            parts.append(body[at : at + 1])
            at += 1
        elif mark == '"':
            if quoted and body[at : at + 1] == '"':
                parts.append(mark)
                at += 1
            else:
                quoted = not quoted
        else:
            parts.append(mark)
    return "".join(parts), at


def _quoted(text: str) -> str:
    if text and not _QUOTED.search(text):
        return text
    return '"' + _DOUBLED.sub(r"\1\1", text) + '"'


def _split_ranges(text: str, body: str) -> list[str]:
    """The ranges of a multirange's body."""
    parts: list[str] = []
    at = 0
    while body[at:].strip():
        while body[at : at + 1].isspace() or (parts and body[at : at + 1] == ","):
            at += 1
        if body[at : at + 5].lower() == "empty":
            parts.append("empty")
            at += 5
            continue
        if body[at : at + 1] not in ("[", "("):
            raise _malformed_many(text, "Expected range start.")
        start = at
        _, at = _bound(text, body, at + 1)
        _, at = _bound(text, body, at + 1)
        parts.append(body[start : at + 1])
        at += 1
    return parts
