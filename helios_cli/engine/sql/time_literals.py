"""Literals of dates and times, which are read at execution: the session's zone and clock are part of them."""

from __future__ import annotations

from helios_cli.engine.sql import sqltext
from helios_cli.engine.sql.context import CHECKED, Context
from helios_cli.engine.sql.oids import TEXT
from helios_cli.engine.sql.typed import TypedSql


def as_text(value: TypedSql, ctx: Context) -> str:
    """A literal's text in SQLite."""
    if value.literal >= 0:
        return ctx.literal_sql(value.literal, TEXT)
    return sqltext.constant(value.value)


def session_input(value: TypedSql, target: int, ctx: Context) -> TypedSql:
    """A date or time literal is read where clock and zone are known: at execution."""
    text = as_text(value, ctx)
    if value.literal >= 0 and ctx.style is None and ctx.fold is None:
        # Its text is wrong or right whether a row needs it or not.
        text = ctx.literal_sql(value.literal, target, typmod=CHECKED)
    sql = f"pg_time_in({target}, {text}, {ctx.session_value('timezone')}, {ctx.session_value('now')})"
    return TypedSql(sql, target, not_null=True, simple=True, location=value.location)
