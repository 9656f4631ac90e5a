"""Conversions to enums, row types and domains, which only the catalog of the statement can name."""

from __future__ import annotations

from dataclasses import replace

from helios_cli.engine.datatypes.composite import Shape
from helios_cli.engine.datatypes.usertypes import RECORD, RECORD_ARRAY, is_row, is_row_array, kind_of, needs_catalog
from helios_cli.engine.sql import casts, row_values, sqltext
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, category, element_of, type_name
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.made_objects import UserCast
from helios_cli.engine.sql.oids import TEXT, UNKNOWN
from helios_cli.engine.sql.relation import ColumnInfo, UserType
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node, TypedSql
from helios_cli.engine.sql.typenames import resolve_type


def read_as(text: str, target: int, ctx: Context, at: int = -1) -> TypedSql:
    """SQLite text of a string as a value of a user's type, checked when it runs (22P02)."""
    if kind_of(target) == "e":
        if ctx.mentions is not None:
            ctx.mentions.labels[at] = target
        name = "pg_enum_array_in" if target & 1 else "pg_enum_in"
        return TypedSql(f"{name}({target & ~1}, {text})", target, location=at)
    if kind_of(target) == "d":
        domain = ctx.catalog.type_by_oid(target)
        if domain is None:
            raise ctx.unsupported("an array over a domain", at, hint="Use an array over the base type.")
        base = TypedSql(f"pg_in({domain.base_oid}, {text})", domain.base_oid, domain.base_typmod, location=at)
        return checked(casts.fit(base, domain.base_oid, domain.base_typmod, How.EXPLICIT), domain, ctx)
    shape = row_values.type_shape(target, ctx)
    if shape is None:
        raise ctx.error("0A000", f"input of type {type_name(target)} is not supported", at)
    return TypedSql(f"pg_row_in({sqltext.quote_string(shape.text())}, {text})", target, location=at, shape=shape)


def by_made_cast(value: TypedSql, cast: UserCast, ctx: Context) -> TypedSql:
    """A value by a cast that a user made: its function, the very same value, or by its text."""
    ctx.made.add(cast.oid)
    if cast.method == "f":
        made = call_function_of(cast.function, cast.function_name, [value], ctx, value.location)
        return replace(made, type_oid=cast.target, shape=row_values.type_shape(cast.target, ctx) or made.shape)
    if cast.method == "b":
        return replace(value, type_oid=cast.target, literal=-1, value=None)
    text = value if value.type_oid == TEXT else replace(value, sql=casts.cast_sql(value, TEXT, ctx), type_oid=TEXT)
    if category(cast.target) == "S":
        return replace(text, type_oid=cast.target, literal=-1, value=None)
    if needs_catalog(cast.target):
        return read_as(text.sql, cast.target, ctx, value.location)
    plain = replace(text, literal=-1, value=None)
    return replace(plain, sql=casts.cast_sql(plain, cast.target, ctx), type_oid=cast.target)


def call_function_of(oid: int, name: str, values: list[TypedSql], ctx: Context, at: int) -> TypedSql:
    """The call of a function that another object is made of; ``name`` is that of one of the library, '' of a user's."""
    # Calls of functions are translated by a module that needs the casts.
    from helios_cli.engine.sql.calls import call_function

    scope = Scope(ctx=ctx)
    if name:
        found = tuple(one for one in ctx.functions.candidates(name) if one.schema == "pg_catalog")
        return call_function(["pg_catalog", name], found, values, scope, at)
    routine = ctx.catalog.routine(oid)
    if routine is None:
        raise ctx.error("42883", f"cache lookup failed for function {oid}", at)
    made = tuple(one for one in ctx.catalog.functions(routine.schema, routine.name) if one.oid == oid)
    return call_function([routine.schema, routine.name], made, values, scope, at)


def domain_of(node: Node, value: TypedSql, ctx: Context) -> int:
    """The OID of the domain that an expression is of: a column or a cast; 0 for any other."""
    if "TypeCast" in node:
        target = resolve_type(node["TypeCast"]["typeName"], ctx)[0]
        return target if kind_of(target) == "d" else 0
    relation = ctx.catalog.relation_by_oid(value.table_oid) if "ColumnRef" in node and value.table_oid else None
    if relation is None:
        return 0
    return next((column.domain for column in relation.columns if column.attnum == value.attnum), 0)


def to_user_type(value: TypedSql, target: int, how: How, ctx: Context) -> TypedSql:
    """Convert a value to an enum, a row type, an array of one, or to record; the caller has checked that it may be."""
    if kind_of(target) == "d":
        return to_domain(value, target, how, ctx, value.location)
    source = value.type_oid
    if source == UNKNOWN:
        if value.sql == "NULL":
            return TypedSql("NULL", target, location=value.location)
        if target in (RECORD, RECORD_ARRAY):
            message = "input of anonymous composite types is not implemented"
            raise ctx.error("0A000", message, value.location)
        return read_as(_text_of(value, ctx), target, ctx, value.location)
    if is_row(source) and is_row(target):
        return _row_as(value, target, ctx)
    if is_row_array(source) and is_row_array(target):
        return replace(value, type_oid=target, shape=row_values.type_shape(target, ctx) or value.shape)
    if element_of(source) and element_of(target):
        if category(element_of(source)) != "S":
            raise ctx.unsupported(f"cast from {type_name(source)} to {type_name(target)}", value.location)
        return read_as(value.sql, target, ctx, value.location)
    if category(source) == "S":
        return read_as(value.sql, target, ctx, value.location)
    raise ctx.unsupported(f"cast from {type_name(source)} to {type_name(target)}", value.location)


def _text_of(value: TypedSql, ctx: Context) -> str:
    if value.literal >= 0:
        return ctx.literal_sql(value.literal, TEXT)
    return sqltext.constant(value.value)


def _row_as(value: TypedSql, target: int, ctx: Context) -> TypedSql:
    """A row as another row type: field by field (coerce_record_to_complex, parse_coerce.c)."""
    if target == RECORD:
        return replace(value, type_oid=RECORD)
    wanted, given = row_values.type_shape(target, ctx), row_values.shape_of(value, ctx)
    if wanted is None or given is None:
        raise ctx.unsupported(f"cast from {type_name(value.type_oid)} to {type_name(target)}", value.location)
    if len(given.fields) != len(wanted.fields):
        much = "few" if len(given.fields) < len(wanted.fields) else "many"
        detail = f"Input has too {much} columns."
        message = f"cannot cast type {type_name(value.type_oid)} to {type_name(target)}"
        raise ctx.error("42846", message, value.location, detail=detail)
    parts = [row_values.field_at(value, given, position, value.location) for position in range(len(given.fields))]
    row = row_values.make_row(_converted(parts, wanted, ctx), [found.name for found in wanted.fields], ctx, target)
    if not value.not_null:
        row.sql, row.not_null = f"CASE WHEN {value.sql} IS NULL THEN NULL ELSE {row.sql} END", False
    return replace(row, shape=wanted, location=value.location)


def _converted(parts: list[TypedSql], wanted: Shape, ctx: Context) -> list[TypedSql]:
    values = []
    for position, (part, found) in enumerate(zip(parts, wanted.fields, strict=True), 1):
        if not can_coerce(part.type_oid, found.type_oid, How.EXPLICIT):
            shown = f"{type_name(part.type_oid)} to {type_name(found.type_oid)}"
            detail = f"Cannot cast type {shown} in column {position}."
            message = f"cannot cast type record to {type_name(wanted.type_oid)}"
            raise ctx.error("42846", message, part.location, detail=detail)
        values.append(casts.coerce(part, found.type_oid, found.typmod, How.EXPLICIT, ctx))
    return values


# -- domains --------------------------------------------------------------------------------------


def to_domain(value: TypedSql, oid: int, how: How, ctx: Context, at: int) -> TypedSql:
    """Convert a value to a domain's base type and check what the domain wants of it.

    Raises:
        SqlError: 42846 no such cast; 23502 and 23514 come when the statement runs.
    """
    domain = ctx.catalog.type_by_oid(oid)
    if domain is None or oid & 1:
        raise ctx.unsupported("an array over a domain", at, hint="Use an array over the base type.")
    if how == How.EXPLICIT:
        base = casts.explicit_cast(value, domain.base_oid, domain.base_typmod, ctx, at)
    else:
        base = casts.coerce(value, domain.base_oid, domain.base_typmod, how, ctx)
    return checked(base, domain, ctx)


def assigned_domain(value: TypedSql, column: ColumnInfo, ctx: Context) -> TypedSql:
    """A value on its way into a column, as the column's domain wants it; unchanged for a column of a plain type."""
    domain = ctx.catalog.type_by_oid(column.domain) if column.domain else None
    return value if domain is None else checked(value, domain, ctx)


def checked(value: TypedSql, domain: UserType, ctx: Context) -> TypedSql:
    """A value of the base type that has passed the domain's constraints."""
    from helios_cli.engine.sql.domain_checks import check

    return check(value, domain, ctx)
