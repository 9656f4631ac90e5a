"""FROM items that read those before them: LATERAL subqueries; and functions side by side, ROWS FROM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.sql import calls, casts, tree
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.from_clause import AS_ROWS, Source, derived_columns, query_columns, renamed, single
from helios_cli.engine.sql.function_columns import extracted
from helios_cli.engine.sql.names import column_name
from helios_cli.engine.sql.oids import BYTEA, INT8
from helios_cli.engine.sql.scope import RangeItem, Scope, ScopeColumn
from helios_cli.engine.sql.select import translate_query
from helios_cli.engine.sql.series_items import kept_rows, zipped
from helios_cli.engine.sql.snapshots import saved_columns
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import Node, TypedSql, derived


def lateral_subquery(fields: dict[str, Any], scope: Scope) -> Source:
    """Translate a LATERAL subquery. ``scope`` holds the items before it."""
    select, alias = fields["subquery"]["SelectStmt"], fields.get("alias", {})
    inlined = None if fields.get(AS_ROWS) else _inline_lateral(select, alias, scope)
    return inlined if inlined is not None else _lateral(select, alias, scope)


def _lateral(select: dict[str, Any], alias: dict[str, Any], scope: Scope) -> Source:
    """A lateral subquery with rows. SQLite has none, but takes a correlated subquery for a table function's argument:
    so the rows travel as one JSON array.
    """
    ctx, name = scope.ctx, alias.get("aliasname", "")
    query = translate_query(select, Scope(ctx=ctx, parent=scope, ctes=scope.ctes))
    query.resolve_unknowns(ctx)
    query.separate = query.effects
    sqlite_alias = ctx.unique_alias(name or "lateral")
    text, names = query.render(named=True), query.names()
    if not any(item.alias and f"{quote_identifier(item.alias)}." in text for item in _visible(scope)):
        columns = derived_columns(query_columns(names, query), sqlite_alias)
        source = f"({text}) AS {quote_identifier(sqlite_alias)}"
    else:
        listed = ", ".join(
            # hex(NULL) is an empty string.
            f"iif({quote_identifier(column)} IS NULL, NULL, hex({quote_identifier(column)}))"
            if output.value.type_oid == BYTEA
            else quote_identifier(column)
            for column, output in zip(names, query.outputs, strict=True)
        )
        texts = saved_columns([output.value for output in query.outputs], f"{quote_identifier(sqlite_alias)}.value")
        columns = [
            ScopeColumn(output.name, derived(output.value, read))
            for output, read in zip(query.outputs, texts, strict=True)
        ]
        columns_text = ", ".join(quote_identifier(column) for column in names)
        rows = (
            f"(WITH {quote_identifier(sqlite_alias)}({columns_text}) AS ({text}) "
            f"SELECT json_group_array(json_array({listed})) FROM {quote_identifier(sqlite_alias)})"
        )
        source = f"json_each({rows}) AS {quote_identifier(sqlite_alias)}"
    item = RangeItem(name, renamed(columns, alias, name, scope, 0), alias=sqlite_alias, visible=bool(name))
    return single(source, item)


def _visible(scope: Scope) -> Iterator[RangeItem]:
    """The FROM items of a level and of those around it."""
    level: Scope | None = scope
    while level is not None:
        yield from level.items
        level = level.parent


_LATERAL_FREE: Final = ("fromClause", "whereClause", "groupClause", "havingClause", "limitCount", "limitOffset",
                        "valuesLists", "withClause", "distinctClause", "larg", "windowClause")  # fmt: skip


def _inline_lateral(select: dict[str, Any], alias: dict[str, Any], scope: Scope) -> Source | None:
    """A lateral subquery without FROM is one row of expressions: they are put where its columns are named."""
    if any(key in select for key in _LATERAL_FREE):
        return None
    ctx, was_volatile = scope.ctx, scope.ctx.volatile
    ctx.volatile = False
    inner = Scope(ctx=ctx, parent=scope, clause="LATERAL")
    columns = []
    for target in select.get("targetList", []):
        fields = target["ResTarget"]
        if calls.has_aggregate(fields["val"], scope) or any(
            calls.is_set_returning(part, scope) for part in calls.own_calls(fields["val"])
        ):
            return None
        value = casts.to_text_if_unknown(translate(fields["val"], inner), ctx)
        value = replace(value, sql=f"({value.sql})" if not value.simple else value.sql, table_oid=0, attnum=0, raw="")
        columns.append(ScopeColumn(fields.get("name") or column_name(fields["val"]), value))
    if ctx.volatile:
        raise ctx.unsupported("a volatile function in LATERAL")
    ctx.volatile = was_volatile
    name = alias.get("aliasname", "")
    item = RangeItem(name, renamed(columns, alias, name, scope, 0), visible=bool(name))
    return Source("", [item], list(item.columns), [])


def side_by_side(fields: dict[str, Any]) -> list[Node]:
    """The functions of a FROM item; unnest() of several arrays is one for each."""
    found: list[Node] = fields["functions"]
    call = found[0]["List"]["items"][0].get("FuncCall", {})
    arguments = call.get("args", [])
    if len(found) > 1 or len(arguments) < 2 or tree.strings(call["funcname"])[-1] != "unnest":
        return found
    return [{"List": {"items": [{"FuncCall": {**call, "args": [argument]}}]}} for argument in arguments]


def rows_from(fields: dict[str, Any], scope: Scope) -> Source:
    """ROWS FROM (...): functions side by side, those that end early filled with NULLs."""
    ctx, alias = scope.ctx, fields.get("alias", {})
    inner = Scope(ctx=ctx, parent=scope, clause="functions in FROM")
    calls_, outputs, widths = [], [], []
    for function in side_by_side(fields):
        items = function["List"]["items"]
        if len(items) > 1 and items[1]:
            raise ctx.unsupported("a column definition list")
        text, found, width = _rows_of(items[0], inner)
        calls_.append(text)
        outputs += found
        widths.append(width)
    name = alias.get("aliasname", outputs[0][0])
    sqlite_alias = ctx.unique_alias(name)
    row = f"{quote_identifier(sqlite_alias)}.value"
    columns = [
        ScopeColumn(column, TypedSql(extracted(f"({row} ->> {place})", oid), oid, simple=True))
        for place, (column, oid) in enumerate(outputs)
    ]
    if fields.get("ordinality"):
        columns.append(
            ScopeColumn("ordinality", TypedSql(f"({quote_identifier(sqlite_alias)}.key + 1)", INT8, not_null=True))
        )
    item = RangeItem(name, renamed(columns, alias, name, scope, 0), alias=sqlite_alias)
    parts = tree.walk(fields["functions"])
    rows = f"json_each({zipped(calls_, widths)})"
    if not any("ColumnRef" in part or "SubLink" in part for part in parts):
        rows = kept_rows(zipped(calls_, widths), 0)
    return single(f"{rows} AS {quote_identifier(sqlite_alias)}", item)


def _rows_of(node: Node, inner: Scope) -> tuple[str, list[tuple[str, int]], int]:
    """A function's rows as a JSON array, the names and types of its columns, and their number, 0 if it has values."""
    call = node.get("FuncCall")
    name = column_name(node)
    if call is not None:
        names = tree.strings(call["funcname"])
        at = call.get("location", 0)
        arguments = [translate(argument, inner) for argument in call.get("args", [])]
        function = calls.resolve(names, calls.visible_overloads(names, inner), arguments, inner, at)
        if function is not None and function.set_returning:
            values, result = calls.coerce_arguments(function, arguments, inner, at)
            several = len(function.columns) > 1 or function.rows
            columns = list(function.columns) if several else [(name, result)]
            return calls.render_call(function, values, inner), columns, len(columns) if several else 0
    value = casts.to_text_if_unknown(translate(node, inner), inner.ctx)
    return f"json_array({value.sql})", [(name, value.type_oid)], 0
