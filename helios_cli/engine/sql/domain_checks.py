"""What a domain wants of a value: NOT NULL and its CHECKs, tested wherever a value becomes one of the domain."""

from __future__ import annotations

from helios_cli.engine.sql import casts
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.relation import UserType
from helios_cli.engine.sql.scope import RangeItem, Scope, ScopeColumn
from helios_cli.engine.sql.sqltext import quote_string
from helios_cli.engine.sql.stored import parse_expression
from helios_cli.engine.sql.type_pins import shown_type
from helios_cli.engine.sql.typed import TypedSql

_VALUE = "helios_value"


def check(value: TypedSql, domain: UserType, ctx: Context) -> TypedSql:
    """The value, or an error when it runs: 23502 for NULL, 23514 naming the constraint."""
    if not domain.not_null and not domain.checks:
        return value
    tested = value.sql if value.simple else _VALUE
    shown = shown_type(domain, ctx.catalog)
    branches = []
    if domain.not_null:
        message = f"domain {shown} does not allow null values"
        branches.append(f"WHEN {tested} IS NULL THEN {_fail('23502', message, domain, '')}")
    for constraint in domain.checks:
        condition = condition_sql(constraint.expression, TypedSql(tested, value.type_oid, value.typmod), ctx)
        message = f'value for domain {shown} violates check constraint "{constraint.name}"'
        branches.append(f"WHEN NOT {condition} THEN {_fail('23514', message, domain, constraint.name)}")
    sql = f"CASE {' '.join(branches)} ELSE {tested} END"
    if not value.simple:
        # SQLite would put the text of a plain subquery's column wherever the column stands, and compute it each time.
        sql = f"(WITH x({_VALUE}) AS MATERIALIZED (SELECT {value.sql}) SELECT {sql} FROM x)"
    return TypedSql(sql, value.type_oid, value.typmod, not_null=domain.not_null, location=value.location)


def _fail(sqlstate: str, message: str, domain: UserType, constraint: str) -> str:
    parts = (sqlstate, message, domain.schema, domain.name, constraint)
    return f"pg_domain_raise({', '.join(quote_string(part) for part in parts)})"


def condition_sql(expression: str, value: TypedSql, ctx: Context) -> str:
    """A CHECK over VALUE as SQLite text; its constants are written in place."""
    lifted, source, encoded = ctx.lifted_at, ctx.source, ctx.encoded
    ctx.lifted_at, ctx.source, ctx.encoded = {}, "", b""
    column = ScopeColumn("value", TypedSql(value.sql, value.type_oid, value.typmod, simple=True))
    scope = Scope(ctx=ctx, clause="CHECK", items=[RangeItem("", [column])], columns=[column])
    try:
        return casts.to_boolean(translate(parse_expression(expression), scope), "CHECK", ctx).sql
    finally:
        ctx.lifted_at, ctx.source, ctx.encoded = lifted, source, encoded
