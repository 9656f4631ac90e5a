"""Functions over ranges and multiranges (PostgreSQL manual, 9.20), and what their operators call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC
from functools import cmp_to_key
from typing import Any, Final

from helios_cli.engine.datatypes.catalog import RANGE_CODECS
from helios_cli.engine.datatypes.orders import array_comparison
from helios_cli.engine.datatypes.range_types import codec_of, is_multirange
from helios_cli.engine.datatypes.ranges import KINDS, NOTHING, Range, RangeCodec
from helios_cli.engine.datatypes.zoned import find_zone
from helios_cli.engine.datatypes.zoned_ranges import zoned_range_writer
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import CollationTable, Function
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.oids import TEXT

_FLAGS: Final = {"[]": (True, True), "[)": (True, False), "(]": (False, True), "()": (False, False)}


def make_range(oid: int, lower: Any, upper: Any, flags: Any) -> str:
    """A constructor: int4range(1, 10, '[]'). Raises 22000 and 42601."""
    if flags is None:
        raise SqlError("range constructor flags argument must not be null", sqlstate="22000")
    if flags not in _FLAGS:
        hint = 'Valid values are "[]", "[)", "(]", and "()".'
        raise SqlError("invalid range bound flags", sqlstate="42601", hint=hint)
    codec = codec_of(oid)
    return codec.write(codec.make(lower, upper, *_FLAGS[flags]))


def _many(codec: RangeCodec, text: str) -> list[Range]:
    """The ranges of a range or a multirange."""
    if text.startswith("{"):
        return codec.read_many(text)
    return codec.merged([codec.read_text(text)])


def test(oid: int, word: str, one: str, other: str) -> int:
    """A boolean operator over ranges or multiranges."""
    codec = codec_of(oid)
    left, right = _many(codec, one), _many(codec, other)
    if word == "contains":
        return int(all(any(codec.contains(mine, theirs) for mine in left) for theirs in right))
    if word == "inside":
        return int(all(any(codec.contains(theirs, mine) for theirs in right) for mine in left))
    if word == "overlaps":
        return int(any(codec.overlaps(mine, theirs) for mine in left for theirs in right))
    if not left or not right:
        return 0
    return int(_ends(codec, word, left, right))


def _ends(codec: RangeCodec, word: str, left: list[Range], right: list[Range]) -> bool:
    """The operators that look at the outer bounds alone."""
    if word == "before":
        return codec.before(left[-1], right[0])
    if word == "after":
        return codec.before(right[-1], left[0])
    if word == "not_right":
        return codec.compare_bounds(left[-1], True, right[-1], True) <= 0
    if word == "not_left":
        return codec.compare_bounds(left[0], False, right[0], False) >= 0
    return codec.meets(left[-1], right[0]) or codec.meets(right[-1], left[0])


def holds(oid: int, one: str, value: Any) -> int:
    """``range @> element``."""
    codec = codec_of(oid)
    return int(any(codec.contains_value(found, value) for found in _many(codec, one)))


def compute(oid: int, sign: str, one: str, other: str) -> str:
    """Union, intersection and difference. Raises 22000 when the result of ranges would not be one range."""
    codec = codec_of(oid)
    if not is_multirange(oid):
        return codec.write(_compute_one(codec, sign, codec.read_text(one), codec.read_text(other)))
    left, right = codec.read_many(one), codec.read_many(other)
    if sign == "+":
        return codec.write_many(codec.merged([*left, *right]))
    if sign == "*":
        return codec.write_many(codec.merged(codec.intersection(mine, theirs) for mine in left for theirs in right))
    for theirs in right:
        left = [part for mine in left for part in codec.difference(mine, theirs)]
    return codec.write_many(codec.merged(left))


def _compute_one(codec: RangeCodec, sign: str, one: Range, other: Range) -> Range:
    if sign == "+":
        return codec.union(one, other)
    if sign == "*":
        return codec.intersection(one, other)
    parts = codec.difference(one, other)
    if len(parts) > 1:
        raise SqlError("result of range difference would not be contiguous", sqlstate="22000")
    return parts[0] if parts else NOTHING


def bound(oid: int, word: str, text: str) -> Any:
    """lower, upper and the tests of a range or multirange: ``lower_inc`` and its kin, ``isempty``."""
    found = _many(codec_of(oid), text)
    if word == "isempty":
        return int(not found)
    if not found:
        return None if word in ("lower", "upper") else 0
    one = found[0] if word.startswith("lower") else found[-1]
    value = one.lower if word.startswith("lower") else one.upper
    if word in ("lower", "upper"):
        return value
    if word.endswith("inf"):
        return int(value is None)
    return int(one.lower_inc if word.startswith("lower") else one.upper_inc)


def merge(oid: int, one: str, other: str) -> str:
    """range_merge(range, range)."""
    codec = codec_of(oid)
    return codec.write(codec.hull(codec.read_text(one), codec.read_text(other)))


def merge_many(oid: int, text: str) -> str:
    """range_merge(multirange)."""
    codec = codec_of(oid)
    found = codec.read_many(text)
    return codec.write(codec.hull(found[0], found[-1]) if found else NOTHING)


def multirange(oid: int, *texts: Any) -> str | None:
    """A multirange of ranges, NULL of one NULL. Raises 22004 for a NULL among several."""
    codec = codec_of(oid)
    if len(texts) == 1 and texts[0] is None:
        return None
    if None in texts:
        raise SqlError("multirange values cannot contain null members", sqlstate="22004")
    return codec.write_many(codec.merged(codec.read_text(text) for text in texts))


def unnest(oid: int, text: str) -> str:
    """The ranges of a multirange, as a JSON array."""
    codec = codec_of(oid)
    return json.dumps([codec.write(found) for found in codec.read_many(text)])


def aggregate(oid: int, rows: str, word: str) -> str | None:
    """range_agg and range_intersect_agg over a JSON array of ranges."""
    codec = codec_of(oid)
    texts = [text for text in json.loads(rows) if text is not None]
    if not texts:
        return None
    if word == "agg":
        return codec.write_many(codec.merged(found for text in texts for found in _many(codec, text)))
    if word == "intersect_many":
        shared = codec.read_many(texts[0])
        for text in texts[1:]:
            others = codec.read_many(text)
            shared = [codec.intersection(one, other) for one in shared for other in others]
        return codec.write_many(codec.merged(shared))
    one = codec.read_text(texts[0])
    for text in texts[1:]:
        one = codec.intersection(one, codec.read_text(text))
    return codec.write(one)


def zoned_text(oid: int, text: str, zone: str) -> str:
    """The text of a tstzrange or tstzmultirange in a session's zone."""
    return zoned_range_writer(oid, find_zone(zone) or UTC)(text).decode()


def install(lib: Library) -> None:
    """Declare them for each type."""
    lib.helper("pg_range_make", make_range, 4, strict=False)
    lib.helper("pg_range_zoned", zoned_text, 3)
    lib.helper("pg_range_test", test, 4)
    lib.helper("pg_range_holds", holds, 3)
    lib.helper("pg_range_compute", compute, 4)
    lib.helper("pg_range_bound", bound, 3)
    lib.helper("pg_range_merge", merge, 3)
    lib.helper("pg_range_merge_many", merge_many, 2)
    lib.helper("pg_multirange", multirange, -1, strict=False)
    lib.helper("pg_range_unnest", unnest, 2)
    lib.helper("pg_range_aggregate", aggregate, 3)
    d = lib.define
    for kind in KINDS:
        for function in constructors(kind[0], kind[3], kind[1], kind[4], kind[5], "pg_catalog"):
            lib.functions.append(function)
    d("multirange", "anyrange -> anymultirange", sql=MULTIRANGE.replace("{oid}", "{range}"))
    for some in ("anyrange", "anymultirange"):
        for word in ("lower", "upper"):
            d(word, f"{some} -> anyelement", sql=f"pg_range_bound({{range}}, '{word}', {{0}})")
        for word in ("isempty", "lower_inc", "upper_inc", "lower_inf", "upper_inf"):
            d(word, f"{some} -> bool", sql=f"pg_range_bound({{range}}, '{word}', {{0}})")
        group = "pg_range_aggregate({range}, json_group_array({0}){over}, '{word}')"
        d("range_agg", f"{some} -> anymultirange", sql=group.replace("{word}", "agg"), aggregate=True)
        word = "intersect" if some == "anyrange" else "intersect_many"
        d("range_intersect_agg", f"{some} -> {some}", sql=group.replace("{word}", word), aggregate=True)
    d("range_merge", "anyrange anyrange -> anyrange", sql="pg_range_merge({range}, {0}, {1})")
    d("range_merge", "anymultirange -> anyrange", sql="pg_range_merge_many({range}, {0})")
    d("unnest", "anymultirange -> anyrange", sql="pg_range_unnest({range}, {0})", set_returning=True)


MULTIRANGE: Final = "CASE WHEN {0} IS NOT NULL THEN pg_multirange({oid}, {0}) END"
"""A range as a multirange."""


def constructors(oid: int, subtype: int, name: str, many_oid: int, many: str, schema: str) -> Iterator[Function]:
    """The functions that are called like a range type and its multirange type."""
    make = f"pg_range_make({oid}, {{0}}, {{1}}, "
    yield Function(name, (subtype, subtype), oid, sql=f"{make}'[)')", schema=schema)
    yield Function(name, (subtype, subtype, TEXT), oid, sql=f"{make}{{2}})", schema=schema)
    yield Function(many, (), many_oid, sql="'{{}}'", schema=schema)
    yield Function(many, (oid,), many_oid, sql=f"pg_multirange({many_oid}, {{args}})", variadic=True, schema=schema)


def comparison(oid: int) -> Callable[[str, str], int]:
    """The order of the texts of a range or multirange type."""
    codec = codec_of(oid)

    def compare(one: str, other: str) -> int:
        if one == other:
            return 0
        try:
            left, right = _many(codec, one), _many(codec, other)
        except SqlError:
            return (one > other) - (one < other)
        for mine, theirs in zip(left, right, strict=False):
            order = codec.order(mine, theirs)
            if order:
                return order
        return (len(left) > len(right)) - (len(left) < len(right))

    return compare


COLLATIONS: Final[CollationTable] = {
    **{f"pg_range_{oid}": comparison(oid) for oid in RANGE_CODECS},
    **{f"pg_array_{oid}": array_comparison(cmp_to_key(comparison(oid))) for oid in RANGE_CODECS},
}
"""Ranges sort by their bounds, an empty one first; arrays of them element by element."""
