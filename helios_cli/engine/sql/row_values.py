"""Row values in expressions: ROW(...), whole rows of FROM items, their fields, text, JSON and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from helios_cli.engine.datatypes.composite import NAMED, Field, Shape, has_type
from helios_cli.engine.datatypes.styled import STYLED, STYLED_IN_JSON
from helios_cli.engine.datatypes.usertypes import RECORD, is_row, is_row_array, kind_of, row_oid
from helios_cli.engine.datatypes.zoned import ZONED
from helios_cli.engine.sql import casts
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.oids import BOOL, JSON, UNKNOWN
from helios_cli.engine.sql.relation import ColumnInfo, UserType
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.sqltext import quote_string
from helios_cli.engine.sql.typed import TypedSql, relocated

COMPARISONS: Final = {"=": "= 0", "<>": "<> 0", "!=": "<> 0", "<": "< 0", "<=": "<= 0", ">": "> 0", ">=": ">= 0"}


# -- shapes ---------------------------------------------------------------------------------------


def type_shape(oid: int, ctx: Context) -> Shape | None:
    """The shape of a named row type or of an array of one, as the catalog has it; None for every other type."""
    if kind_of(oid) != "c":
        return None
    found = ctx.catalog.type_by_oid(oid & ~1)
    if found is None:
        return None
    row = _named_shape(found, ctx)
    return Shape(oid, element=row) if oid & 1 else row


def _named_shape(found: UserType, ctx: Context) -> Shape:
    return Shape(found.oid, tuple(field_of(column, ctx) for column in found.fields))


def field_of(column: ColumnInfo, ctx: Context) -> Field:
    """A column of a row type as a field."""
    return Field(column.name, column.type_oid, column.typmod, type_shape(column.type_oid, ctx), column.domain)


def shape_of(value: TypedSql, ctx: Context) -> Shape | None:
    """What a value is made of; None for a value that is neither a row nor an array of rows, or is not known."""
    return value.shape if value.shape is not None else type_shape(value.type_oid, ctx)


def carry_shape(result: TypedSql, arguments: Sequence[TypedSql], ctx: Context) -> TypedSql:
    """A call's result with the shape that its arguments give it: array_agg(record), unnest(record[]), max(record)."""
    if result.shape is not None or not (is_row(result.type_oid) or is_row_array(result.type_oid)):
        return result
    for argument in arguments:
        shape = shape_of(argument, ctx)
        if shape is None:
            continue
        row = shape.element or shape
        result.shape = row if is_row(result.type_oid) else Shape(result.type_oid, element=row)
        return result
    return result


# -- making rows ----------------------------------------------------------------------------------


def make_row(values: Sequence[TypedSql], names: Sequence[str], ctx: Context, oid: int = RECORD) -> TypedSql:
    """A row of values; those of no type are text."""
    fields = tuple(casts.to_text_if_unknown(value, ctx) for value in values)
    arguments = "".join(f", {value.type_oid}, {value.sql}" for value in fields)
    shape = Shape(
        oid,
        tuple(
            Field(name, value.type_oid, value.typmod, shape_of(value, ctx))
            for name, value in zip(names, fields, strict=True)
        ),
    )
    return TypedSql(f"pg_row({len(fields)}{arguments})", oid, not_null=True, shape=shape, row=fields)


def whole_row(scope: Scope, item: RangeItem, at: int) -> TypedSql:
    """A FROM item as one value: ``SELECT t FROM t``. NULL where an outer join found no row."""
    ctx = scope.ctx
    if ctx.mentions is not None:
        ctx.mentions.rows[at] = item
    values = [scope.checked(column.value, f"{item.name}.{column.name}", at) for column in item.columns]
    if item.scalar:
        return relocated(values[0], at)
    oid = row_oid(item.relation.oid) if item.relation is not None else item.row_type
    # A row of a named type keeps the names of its fields, whatever the columns are called here.
    shape = type_shape(item.row_type, ctx) if item.row_type else None
    parts = shape.fields if shape else item.relation.columns if item.relation is not None and oid else item.columns
    row = make_row(values, [part.name for part in parts], ctx, oid or RECORD)
    row.location = at
    if item.relation is not None and oid and any(column.domain for column in item.relation.columns):
        assert row.shape is not None
        pairs = zip(row.shape.fields, item.relation.columns, strict=True)
        row.shape = Shape(oid, tuple(replace(found, domain=column.domain) for found, column in pairs))
    if item.nullable and values:
        absent = " AND ".join(f"{value.sql} IS NULL" for value in values)
        row.sql, row.not_null = f"CASE WHEN {absent} THEN NULL ELSE {row.sql} END", False
    return row


def field(value: TypedSql, name: str, ctx: Context, at: int) -> TypedSql:
    """``(value).name``.

    Raises:
        SqlError: 42809 the value is no row, 42703 it has no such field.
    """
    shape = shape_of(value, ctx)
    if not is_row(value.type_oid):
        message = f"column notation .{name} applied to type {type_name(value.type_oid)}, which is not a composite type"
        raise ctx.error("42809", message, at)
    position = next((at for at, found in enumerate(shape.fields) if found.name == name), -1) if shape else -1
    if position < 0 or shape is None:
        if value.type_oid == RECORD:
            raise ctx.error("42703", f'could not identify column "{name}" in record data type', at)
        raise ctx.error("42703", f'column "{name}" not found in data type {type_name(value.type_oid)}', at)
    return field_at(value, shape, position, at)


def field_at(value: TypedSql, shape: Shape, position: int, at: int) -> TypedSql:
    """A field by its place."""
    if value.row and value.not_null:
        return replace(value.row[position], location=at, table_oid=0, attnum=0)
    found = shape.fields[position]
    sql = f"pg_row_get({value.sql}, {position}, {len(shape.fields)}, {found.type_oid})"
    return TypedSql(sql, found.type_oid, found.typmod, location=at, shape=found.shape)


def fields_of(value: TypedSql, ctx: Context, at: int) -> list[tuple[str, TypedSql]]:
    """``(value).*``: names and values.

    Raises:
        SqlError: 42809 the value is no row; 0A000 a record whose fields are not known.
    """
    shape = shape_of(value, ctx)
    if not is_row(value.type_oid):
        message = f"type {type_name(value.type_oid)} is not composite"
        raise ctx.error("42809", message, at)
    if shape is None:
        raise ctx.error("42809", "record type has not been registered")
    return [(found.name, field_at(value, shape, position, at)) for position, found in enumerate(shape.fields)]


# -- rows as other things -------------------------------------------------------------------------


def row_text(value: TypedSql, ctx: Context) -> str:
    """SQLite text for the text of a row, or of an array of rows, as the session shows it."""
    shape = shape_of(value, ctx)
    shown = ZONED if ctx.style is None else STYLED
    value = with_names(value, shape, "out", ctx)
    if shape is None or not has_type(shape, shown) or not ctx.session_allowed:
        return value.sql
    return f"pg_row_zoned({_quoted(shape)}, {value.sql}, {ctx.session_value('timezone')})"


def with_names(value: TypedSql, shape: Shape | None, way: str, ctx: Context) -> TypedSql:
    """A row whose fields of regclass and its kin are the names of objects; ``way`` send: with their OIDs."""
    if shape is None or not has_type(shape, NAMED) or not ctx.session_allowed:
        return value
    path = ctx.session_value("search_path")
    return replace(value, sql=f"pg_row_{way}({_quoted(shape)}, {value.sql}, {path})")


def _quoted(shape: Shape) -> str:
    return quote_string(shape.text())


def sealed(value: TypedSql, ctx: Context) -> TypedSql:
    """A result column's value as it leaves: a row takes its shape along."""
    if not (is_made_of_rows(value)) or not value.sql:
        return value
    shape = shape_of(value, ctx)
    if shape is None:
        return value
    shown = value if ctx.nested else with_names(value, shape, "send", ctx)
    return replace(value, sql=f"pg_row_seal({_quoted(shape)}, {shown.sql})")


def as_json(value: TypedSql, ctx: Context) -> TypedSql:
    """A row, or an array of rows, as JSON text under type record, as the JSON functions take it; others as they are."""
    if not (is_made_of_rows(value)):
        return value
    shape = shape_of(value, ctx)
    if shape is None:
        raise ctx.error("0A000", "record type has not been registered", value.location)
    value = with_names(value, shape, "out", ctx)
    sql = f"pg_row_json({_quoted(shape)}, {value.sql})"
    if ctx.session_allowed and has_type(shape, ZONED if ctx.style is None else STYLED_IN_JSON):
        sql = f"pg_row_json_zoned({_quoted(shape)}, {value.sql}, {ctx.session_value('timezone')}, 0)"
    return replace(value, sql=sql, type_oid=RECORD, shape=None, row=())


JSON_TAKERS: Final = frozenset(
    f"{prefix}_{name}" for prefix in ("json", "jsonb") for name in ("agg", "build_object", "build_array", "object_agg")
) | {"to_json", "to_jsonb"}
"""Functions that make JSON of values of any type."""


def for_json(function: str, arguments: list[TypedSql], ctx: Context) -> list[TypedSql]:
    """The arguments of a function that makes JSON of them, rows among them as JSON; those of others as they are."""
    if function not in JSON_TAKERS:
        return arguments
    return [as_json(argument, ctx) for argument in arguments]


def is_made_of_rows(value: TypedSql) -> bool:
    """Whether a value is a row or an array of rows."""
    return is_row(value.type_oid) or is_row_array(value.type_oid)


def row_to_json(arguments: list[TypedSql], ctx: Context, at: int) -> TypedSql:
    """row_to_json(row [, pretty]) and array_to_json(rows [, pretty])."""
    plain = as_json(arguments[0], ctx)
    if len(arguments) == 1:
        return TypedSql(plain.sql, JSON, location=at)
    pretty = casts.to_boolean(arguments[1], "row_to_json", ctx).sql
    spread = plain.sql.replace("pg_row_json(", "pg_row_json_pretty(", 1)
    if plain.sql.startswith("pg_row_json_zoned("):
        spread = plain.sql.removesuffix("0)") + "1)"
    return TypedSql(f"CASE WHEN {pretty} THEN {spread} ELSE {plain.sql} END", JSON, location=at)


def is_null(value: TypedSql, word: str) -> str:
    """``row IS [NOT] NULL``: whether all its fields are (rows inside count as values)."""
    if value.row and value.not_null:
        return "(" + " AND ".join(f"{part.sql} {word}" for part in value.row) + ")"
    return f"pg_row_is_null({value.sql}, {1 if word == 'IS NULL' else 0})"


def compare(name: str, left: TypedSql, right: TypedSql, ctx: Context, at: int) -> TypedSql:
    """Two rows compared field by field (record_cmp). Raises 42804 for rows of different forms."""
    one, other = shape_of(left, ctx), shape_of(right, ctx)
    if one is None or other is None:
        raise ctx.error("0A000", "record type has not been registered", at)
    alike = len(one.fields) == len(other.fields)
    unlike = "" if alike else "cannot compare record types with different numbers of columns"
    same = min(len(one.fields), len(other.fields))
    for position, (mine, theirs) in enumerate(zip(one.fields, other.fields, strict=False)):
        if mine.type_oid != theirs.type_oid and UNKNOWN not in (mine.type_oid, theirs.type_oid):
            shown = f"{type_name(mine.type_oid)} and {type_name(theirs.type_oid)}"
            unlike = f"cannot compare dissimilar column types {shown} at record column {position + 1}"
            same = position
            break
    if unlike:
        # It is found out with two rows in hand that are the same so far.
        shape = quote_string(Shape(one.type_oid, one.fields[:same]).text())
        order = f"pg_row_compare_unlike({shape}, {left.sql}, {right.sql}, {quote_string(unlike)})"
        return TypedSql(f"({order} {COMPARISONS[name]})", BOOL, location=at)
    sql = f"(pg_row_compare({_quoted(one)}, {left.sql}, {right.sql}) {COMPARISONS[name]})"
    return TypedSql(sql, BOOL, not_null=left.not_null and right.not_null, location=at)
