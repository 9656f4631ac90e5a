"""Arguments of functions that show values of any type: concat(), format(), to_json() and their like.

Such a function sees stored values and their types, not the session. So what a session's time zone or style changes
is made text before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from helios_cli.engine.datatypes.styled import STYLED, STYLED_IN_JSON
from helios_cli.engine.datatypes.zoned import ZONED
from helios_cli.engine.sql import casts
from helios_cli.engine.sql.coercion import element_of
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.oids import TEXT
from helios_cli.engine.sql.reg_casts import is_named
from helios_cli.engine.sql.row_values import JSON_TAKERS, for_json
from helios_cli.engine.sql.typed import TypedSql

_SHOWING: Final = frozenset(("concat", "concat_ws", "format", "quote_literal", "quote_nullable", "array_to_string"))
_TEXT_FIRST: Final = frozenset(("concat_ws", "format"))
"""Those whose first parameter is text, which no other value becomes by itself."""
_TEXT_ARRAY: Final = 1009


def for_call(function: str, arguments: list[TypedSql], ctx: Context) -> list[TypedSql]:
    """A call's arguments, those that depend on the session as text where the function shows them."""
    if function in _SHOWING:
        first = arguments[:1] if function in _TEXT_FIRST else []
        return first + [_shown(argument, ctx) for argument in arguments[len(first) :]]
    if function in JSON_TAKERS or function == "array_to_json":
        return for_json(function, [_in_json(argument, ctx) for argument in arguments], ctx)
    return arguments


def _depends(value: TypedSql, ctx: Context) -> bool:
    """Whether the text of a value depends on the session, or on the catalog."""
    styled = ZONED if ctx.style is None else STYLED
    return is_named(value.type_oid) or (ctx.session_allowed and value.type_oid in styled)


def _shown(value: TypedSql, ctx: Context) -> TypedSql:
    if not _depends(value, ctx):
        return value
    target = _TEXT_ARRAY if element_of(value.type_oid) else TEXT
    return _as_text(value, casts.cast_sql(value, target, ctx), target)


def _in_json(value: TypedSql, ctx: Context) -> TypedSql:
    """Dates are written as ISO 8601 in JSON, whatever the style; the zone is the session's."""
    if is_named(value.type_oid):
        return _shown(value, ctx)
    if not _depends(value, ctx) or value.type_oid not in STYLED_IN_JSON:
        return value
    target = _TEXT_ARRAY if element_of(value.type_oid) else TEXT
    return _as_text(value, f"pg_json_text({value.type_oid}, {value.sql}, {ctx.session_value('timezone')})", target)


def _as_text(value: TypedSql, sql: str, target: int) -> TypedSql:
    return replace(value, sql=sql, type_oid=target, typmod=-1, literal=-1, value=None, param=0, raw="", simple=False)
