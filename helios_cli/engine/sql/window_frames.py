"""The frame clause of a window (transformFrameOffset in parse_clause.c).

SQLite adds an offset of RANGE to numbers only. So moments, spans and numerics are ordered by an integer that stands
for them (:mod:`.runtime_frames`), and their offsets become the distance between two such integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.interval import split_interval
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import casts, sqltext, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, type_name
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.oids import (
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
)
from helios_cli.engine.sql.ordering import sort_term
from helios_cli.engine.sql.runtime_frames import frame_offset
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node, TypedSql

_NONDEFAULT, _ROWS, _GROUPS = 0x1, 0x4, 0x8
_BOUNDS: Final = (
    (0x00020, 0x00040, "UNBOUNDED PRECEDING"),
    (0x00080, 0x00100, "UNBOUNDED FOLLOWING"),
    (0x00200, 0x00400, "CURRENT ROW"),
    (0x00800, 0x01000, "{} PRECEDING"),
    (0x02000, 0x04000, "{} FOLLOWING"),
)
_EXCLUDE: Final = ((0x08000, "CURRENT ROW"), (0x10000, "GROUP"), (0x20000, "TIES"))
_SIDES: Final = ((0, "startOffset", "starting"), (1, "endOffset", "ending"))
_MOMENTS: Final = (DATE, TIMESTAMP, TIMESTAMPTZ, TIME)
_OFFSETS: Final[dict[int, tuple[int, ...]]] = {
    INT2: (INT2, INT4, INT8), INT4: (INT4, INT8, INT2), INT8: (INT8,), FLOAT4: (FLOAT8,), FLOAT8: (FLOAT8,),
    NUMERIC: (NUMERIC,), **dict.fromkeys((*_MOMENTS, INTERVAL), (INTERVAL,)),
}  # fmt: skip
"""For each type that RANGE can be measured in the types of an offset, the one of an untyped literal first."""
_INFINITE: Final = sqltext.constant(math.inf)
_UNTRANSLATED: Final = (1266,)
"""Types that PostgreSQL can measure, and SQLite's numbers cannot."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame clause, and what the window is ordered by."""

    order: str
    text: str
    within: str = ""
    """What the rows of a partition are told apart by besides PARTITION BY; '' for nothing."""


def frame_of(definition: dict[str, Any], order: str, sorts: list[TypedSql], scope: Scope) -> Frame:
    """The frame of a window whose ORDER BY is ``order``, over the values ``sorts``.

    The option bits are those of the parser (parsenodes.h FRAMEOPTION_*).

    Raises:
        SqlError: 42P20, 0A000 the window's order has no such frame.
    """
    options = definition.get("frameOptions", 0)
    if not options & _NONDEFAULT:
        return Frame(order, "")
    unit = "ROWS" if options & _ROWS else "GROUPS" if options & _GROUPS else "RANGE"
    at = definition.get("location", 0)
    if unit == "GROUPS" and not sorts:
        raise scope.ctx.error("42P20", "GROUPS mode requires an ORDER BY clause", at)
    offsets: dict[str, str] = {}
    within = ""
    if unit == "RANGE" and any(key in definition for _, key, _ in _SIDES):
        measure, offsets = _measured(definition, sorts, scope)
        order = sort_term(measure, definition["orderClause"][0]["SortBy"], scope)
        if _INFINITE in offsets.values():
            # What is infinitely far off are all numbers, but neither NULLs nor NaNs.
            within = f"CASE WHEN {measure.sql} IS NULL THEN 0 WHEN {measure.sql} = 'NaN' THEN 1 ELSE 2 END"
    ends: list[str] = []
    for side, key, word in _SIDES:
        text = next(words for *bits, words in _BOUNDS if options & bits[side])
        if within and text.startswith("UNBOUNDED"):
            raise scope.ctx.unsupported("an infinite offset of RANGE beside UNBOUNDED", at)
        if offsets.get(key) == _INFINITE:
            text = _infinitely(text, side, scope, at)
        elif key in definition:
            text = text.format(offsets.get(key) or _count(definition[key], unit, word, scope))
        ends.append(text)
    exclude = next((f" EXCLUDE {words}" for bit, words in _EXCLUDE if options & bit), "")
    return Frame(order, f"{unit} BETWEEN {ends[0]} AND {ends[1]}{exclude}", within)


def _infinitely(text: str, side: int, scope: Scope, at: int) -> str:
    """The words for a bound that is infinitely far off. Raises 0A000 for one that leaves the row itself out."""
    if ("PRECEDING" in text) == bool(side):
        hint = "Leave it out: only infinite values are that far off."
        raise scope.ctx.unsupported("an infinite offset of RANGE on this side", at, hint=hint)
    return text.format("UNBOUNDED")


def _count(node: Node, unit: str, word: str, scope: Scope) -> str:
    """An offset of ROWS or GROUPS."""
    value = _constant(node, unit, scope)
    if value.type_oid == NUMERIC and "A_Const" in node:
        return str(Decimal(str(tree.const_value(node["A_Const"]))).quantize(Decimal(1), ROUND_HALF_UP))
    if not can_coerce(value.type_oid, INT8, How.IMPLICIT):
        message = f"argument of {unit} must be type bigint, not type {type_name(value.type_oid)}"
        raise scope.ctx.error("42804", message, value.location)
    if value.sql == "NULL":
        raise scope.ctx.error("22004", f"frame {word} offset must not be null", value.location)
    if any("SubLink" in part or "FuncCall" in part for part in tree.walk(node)):
        raise scope.ctx.unsupported(f"a computed offset of {unit}", value.location, hint="Write the number.")
    return casts.coerce(value, INT8, -1, How.IMPLICIT, scope.ctx).sql


def _constant(node: Node, unit: str, scope: Scope) -> TypedSql:
    column = next((part["ColumnRef"] for part in tree.walk(node) if "ColumnRef" in part), None)
    value = translate(node, scope)
    if column is not None:
        message = f"argument of {unit} must not contain variables"
        raise scope.ctx.error("42P10", message, column.get("location", 0))
    return value


def _measured(definition: dict[str, Any], sorts: list[TypedSql], scope: Scope) -> tuple[TypedSql, dict[str, str]]:
    """What the window is ordered by, and the offsets of its RANGE in the same measure."""
    ctx = scope.ctx
    if len({value.sql for value in sorts}) != 1:
        message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column"
        raise ctx.error("42P20", message, definition.get("location", 0))
    found = {key: definition[key] for _, key, _ in _SIDES if key in definition}
    types = {key: _offset_type(node, sorts[0], scope) for key, node in found.items()}
    oid = sorts[0].type_oid
    if oid in _UNTRANSLATED:
        raise ctx.unsupported(f"RANGE with an offset over {type_name(oid)}", definition.get("location", 0))
    ctx.bind_all()
    values = {key: _stored(node, types[key], scope) for key, node in found.items()}
    unit = "us"
    if oid in _MOMENTS and oid != TIME:
        spans = [split_interval(value) for value in values.values() if value is not None]
        if any(span.months for span in spans):
            unit = "months"
    words = {key: word for _, key, word in _SIDES}
    offsets = {key: sqltext.constant(frame_offset(oid, unit, value, words[key])) for key, value in values.items()}
    key_sql = sorts[0].sql
    if oid in (NUMERIC, INTERVAL) or oid in _MOMENTS:
        zone = ctx.session_value("timezone") if oid == TIMESTAMPTZ else "''"
        days = any(split_interval(value).days for value in values.values()) if oid == TIMESTAMPTZ else False
        key_sql = f"pg_frame_key({oid}, '{'days' if days and unit == 'us' else unit}', {key_sql}, {zone})"
    return TypedSql(key_sql, INT8, not_null=sorts[0].not_null, location=sorts[0].location), offsets


def _offset_type(node: Node, key: TypedSql, scope: Scope) -> int:
    """The type of an offset: the one that its order is measured in. Raises 0A000 where PostgreSQL measures nothing."""
    ctx = scope.ctx
    value = _constant(node, "RANGE", scope)
    message = f"RANGE with offset PRECEDING/FOLLOWING is not supported for column type {type_name(key.type_oid)}"
    offsets = (INTERVAL,) if key.type_oid in _UNTRANSLATED else _OFFSETS.get(key.type_oid)
    if offsets is None:
        raise ctx.error("0A000", message, value.location)
    known = ctx.parameter_type(value.param) if value.param else value.type_oid
    target = offsets[0] if known == UNKNOWN else next((oid for oid in offsets if oid == known), 0)
    if not target:
        target = next((oid for oid in offsets if can_coerce(known, oid, How.IMPLICIT)), 0)
    if not target:
        hint = "Cast the offset value to an appropriate type."
        raise ctx.error("0A000", f"{message} and offset type {type_name(known)}", value.location, hint=hint)
    return target


def _stored(node: Node, target: int, scope: Scope) -> Any:
    """The stored value of a constant offset; None for NULL. Raises 0A000 for one that is computed."""
    inner = node
    while "TypeCast" in inner:
        inner = inner["TypeCast"]["arg"]
    constant = inner.get("A_Const")
    if constant is None:
        hint = "Write the offset as a constant."
        raise scope.ctx.unsupported("a computed offset of RANGE", tree.location(node), hint=hint)
    if constant.get("isnull"):
        return None
    kind = next(key for key in ("ival", "fval", "sval", "boolval", "bsval") if key in constant)
    text = str(constant[kind].get(kind, 0))
    if target == FLOAT8 and inner is not node and translate(node, scope).type_oid == FLOAT4:
        text = repr(registry.by_oid(FLOAT4).parse_text(text))
    try:
        return registry.by_oid(target).parse_text(text)
    except SqlError as error:
        error.position = error.position or scope.ctx.position(tree.location(inner))
        raise
