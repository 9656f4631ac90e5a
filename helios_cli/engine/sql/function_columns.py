"""The columns of a function in FROM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from helios_cli.engine.sql import row_values
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.oids import BYTEA, POLYMORPHIC
from helios_cli.engine.sql.resolution import bind_polymorphic, expand
from helios_cli.engine.sql.scope import ScopeColumn
from helios_cli.engine.sql.typed import TypedSql


def function_columns(function: Any, result: int, value_sql: str, name: str) -> list[ScopeColumn]:
    """Its columns over ``value_sql``: the value itself, or the items of the JSON array that it is."""
    if not function.columns:
        return [ScopeColumn(name, TypedSql(extracted(value_sql, result), result, simple=True))]
    if len(function.columns) == 1 and not function.rows:
        return [ScopeColumn(function.columns[0][0], TypedSql(extracted(value_sql, result), result, simple=True))]
    return [
        ScopeColumn(column, TypedSql(extracted(f"({value_sql} ->> {position})", oid), oid))
        for position, (column, oid) in enumerate(function.columns)
    ]


def with_bound_columns(function: Function, given: list[int]) -> Function:
    """A function whose columns have the types that its polymorphic ones stand for in a call with arguments given."""
    declared = expand(function, len(given))
    if declared is None or not any(oid in POLYMORPHIC for _, oid in function.columns):
        return function
    bindings = bind_polymorphic(declared, given) or {}
    return replace(function, columns=tuple((name, bindings.get(oid, oid)) for name, oid in function.columns))


def with_modifiers(columns: list[ScopeColumn], row_type: int, ctx: Context) -> list[ScopeColumn]:
    """Columns of a function that returns rows of a table or of a named type, with the modifiers of its columns."""
    shape = row_values.type_shape(row_type, ctx)
    if shape is None or len(shape.fields) != len(columns):
        return columns
    return [
        ScopeColumn(column.name, replace(column.value, typmod=field.typmod))
        for column, field in zip(columns, shape.fields, strict=True)
    ]


def extracted(sql: str, type_oid: int) -> str:
    """A value out of the JSON array of a set's rows, in which bytes are hexadecimal."""
    return f"unhex({sql})" if type_oid == BYTEA else sql
