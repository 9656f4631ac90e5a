"""The FROM clause: tables, subqueries, CTEs, functions and joins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.sql import builtin_arguments, calls, casts, json_records, operators, row_values, tree
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.enclosed_joins import enclose
from helios_cli.engine.sql.expressions import expect_boolean, translate, unify
from helios_cli.engine.sql.function_columns import function_columns, with_bound_columns, with_modifiers
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.inheritance import all_rows, is_expanded
from helios_cli.engine.sql.names import column_name
from helios_cli.engine.sql.oids import BYTEA, INT4, INT8, RECORD, TEXT
from helios_cli.engine.sql.other_names import other_name
from helios_cli.engine.sql.privileges import SELECT, UPDATE
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.relation_functions import shown_view
from helios_cli.engine.sql.routines import UserFunction
from helios_cli.engine.sql.row_locks import LOCKED, locked_under
from helios_cli.engine.sql.scope import RangeItem, Scope, ScopeColumn
from helios_cli.engine.sql.secured_views import secured_source
from helios_cli.engine.sql.sequence_rows import sequence_row
from helios_cli.engine.sql.series_items import kept_rows, series
from helios_cli.engine.sql.session_relations import SESSION_RELATIONS, session_rows
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.stored_calls import note_calls
from helios_cli.engine.sql.typed import Node, TypedSql, derived
from helios_cli.engine.sql.user_calls import arranged, check_callable, with_columns

_quote = quote_identifier
AS_ROWS: Final = "as rows"
"""Marks a lateral subquery that an outer join stands over: it may not be put where its columns are named."""


@dataclass(slots=True)
class Source:
    """One translated FROM element."""

    sql: str
    """Empty for an item that is computed in place (a lateral one-row subquery)."""
    items: list[RangeItem]
    columns: list[ScopeColumn]
    conditions: list[str]
    """Conditions that belong into WHERE."""
    is_join: bool = False
    flat: bool = True
    """Its joins are inner or left ones, which mean the same without parentheses behind a comma."""


def translate_from(nodes: list[Node], scope: Scope) -> tuple[str, list[str]]:
    """Translate a FROM list and put what it names into ``scope``.

    Returns the text after FROM ('' when there is nothing) and conditions for WHERE.
    """
    texts: list[str] = []
    conditions: list[str] = []
    for node in nodes:
        source = from_item(node, scope)
        if texts:
            enclose(source, scope.items, scope.ctx)
        _add_items(scope, source.items)
        scope.columns += source.columns
        conditions += source.conditions
        if source.sql:
            texts.append(source.sql)
    return ", ".join(texts), conditions


def _add_items(scope: Scope, items: list[RangeItem]) -> None:
    for item in items:
        if not item.visible:
            continue
        for known in scope.items:
            if (
                known.visible
                and known.name == item.name
                and not (known.schema and item.schema and known.schema != item.schema)
            ):
                raise scope.ctx.error("42712", f'table name "{item.name}" specified more than once')
        scope.items.append(item)


def from_item(node: Node, scope: Scope) -> Source:
    """Translate one FROM element."""
    kind = tree.tag(node)
    if kind == "RangeTableSample":
        from helios_cli.engine.sql.sampling import table_sample

        return table_sample(node[kind], scope)
    handler = _ITEMS.get(kind)
    if handler is None:
        raise scope.ctx.unsupported(kind, tree.location(node))
    return handler(node[kind], scope)


# -- tables ---------------------------------------------------------------------------------------


def find_relation(fields: dict[str, Any], scope: Scope) -> Relation:
    """The relation a RangeVar names.

    Raises:
        SqlError: 42P01.
    """
    schema, name = fields.get("schemaname"), fields["relname"]
    found = scope.ctx.catalog.relation(schema, name) or other_name(scope.ctx.catalog, schema, name)
    if found is None:
        shown = f"{schema}.{name}" if schema else name
        raise scope.ctx.error("42P01", f'relation "{shown}" does not exist', fields.get("location", 0))
    return found


def table_columns(relation: Relation, alias: str) -> list[ScopeColumn]:
    """The columns of a table under a SQLite alias; an empty alias leaves them unqualified."""
    prefix = f"{_quote(alias)}." if alias else ""
    oid = relation.oid
    return [ScopeColumn(column.name, (column, oid, prefix, column.not_null)) for column in relation.columns]


def _range_var(fields: dict[str, Any], scope: Scope) -> Source:
    alias = fields.get("alias", {})
    name = alias.get("aliasname", fields["relname"])
    cte = scope.find_cte(fields["relname"]) if "schemaname" not in fields else None
    if cte is not None:
        if not cte.returns:
            message = f'WITH query "{cte.name}" does not have a RETURNING clause'
            raise scope.ctx.error("0A000", message, fields.get("location", 0))
        scope.ctx.constant_error = scope.ctx.constant_error or cte.error
        sqlite_alias = scope.ctx.unique_alias(name)
        columns = derived_columns(cte.columns, sqlite_alias)
        item = RangeItem(name, renamed(columns, alias, name, scope, fields.get("location", 0)), alias=sqlite_alias)
        source = single(f"{_quote(cte.alias)} AS {_quote(sqlite_alias)}", item)
        source.conditions = cte.met(sqlite_alias) if cte.met is not None else []
        return source
    if scope.ctx.variables is not None and "schemaname" not in fields:
        own = _own_table(fields["relname"], alias, name, scope)
        if own is not None:
            return own
    relation = find_relation(fields, scope)
    if scope.ctx.mentions is not None:
        scope.ctx.mentions.relation(fields, relation)
    locked = LOCKED in fields
    scope.ctx.rights.relation(relation, SELECT | UPDATE if locked else SELECT, qualified="schemaname" in fields)
    if relation.kind == "v":
        if locked:
            for owner, under in locked_under(relation, scope.ctx.catalog):
                scope.ctx.rights.locks_under(owner, under)
        note_calls(relation, scope.ctx)
    if relation.kind == "M":
        message = f'materialized view "{relation.name}" has not been populated'
        hint = "Use the REFRESH MATERIALIZED VIEW command."
        raise scope.ctx.error("55000", message, hint=hint)
    sqlite_alias = scope.ctx.unique_alias(name)
    columns = renamed(table_columns(relation, sqlite_alias), alias, name, scope, fields.get("location", 0))
    named = fields.get("schemaname", relation.schema)
    item = RangeItem(name, columns, relation, None if alias else named, alias=sqlite_alias)
    item.renamed = len(alias.get("colnames", ()))
    if relation.kind == "c" and relation.name in SESSION_RELATIONS:
        return single(f"{session_rows(relation, scope.ctx)} AS {_quote(sqlite_alias)}", item)
    item.expanded = is_expanded(relation, fields, scope.ctx)
    rows = _rows_instead(relation, scope.ctx, expanded=item.expanded)
    instead = secured_source(relation, rows, sqlite_alias, scope, locked=locked)
    if rows and not instead:
        instead = f"{rows} AS {_quote(sqlite_alias)}"
    item.derived = bool(instead) or relation.kind == "c"
    item.numbered = bool(instead) and not rows and relation.kind == "r"
    if instead:
        return single(instead, item)
    table = _quote(relation.sqlite_name or relation.name)
    return single(table if sqlite_alias == relation.sqlite_name else f"{table} AS {_quote(sqlite_alias)}", item)


def _rows_instead(relation: Relation, ctx: Context, *, expanded: bool) -> str:
    """What stands in FROM for a table's rows; '' for the table itself."""
    if expanded:
        return all_rows(relation, ctx)
    if ctx.snapshots is not None and ctx.snapshots.is_changed_by_others(relation):
        return ctx.snapshots.read(relation)
    return sequence_row(relation) if relation.kind == "S" else ""


def _own_table(relname: str, alias: dict[str, Any], name: str, scope: Scope) -> Source | None:
    """A table that only the function around the statement sees; None when it has none of the name."""
    found = scope.ctx.variables.table(relname)
    if found is None:
        return None
    key, described = found
    rows = f"?{scope.ctx.variable_number(key, TEXT)}"
    sqlite_alias = scope.ctx.unique_alias(name)
    texts = []
    columns = []
    for position, (column, type_oid) in enumerate(described):
        read = f"value ->> {position}"
        texts.append(f"{f'unhex({read})' if type_oid == BYTEA else read} AS {_quote(column)}")
        value = TypedSql(f"{_quote(sqlite_alias)}.{_quote(column)}", type_oid, simple=True)
        columns.append(ScopeColumn(column, value))
    item = RangeItem(name, renamed(columns, alias, name, scope, 0), alias=sqlite_alias)
    return single(f"(SELECT {', '.join(texts)} FROM json_each({rows})) AS {_quote(sqlite_alias)}", item)


def single(sql: str, item: RangeItem) -> Source:
    """A source of one item."""
    return Source(sql, [item], list(item.columns), [])


def derived_columns(columns: list[tuple[str, TypedSql]], alias: str) -> list[ScopeColumn]:
    """Columns of a subquery or CTE: (PostgreSQL name, value whose text is SQLite's column name)."""
    return [ScopeColumn(name, derived(value, f"{_quote(alias)}.{_quote(value.sql)}")) for name, value in columns]


def renamed(columns: list[ScopeColumn], alias: dict[str, Any], name: str, scope: Scope, at: int) -> list[ScopeColumn]:
    """Apply an alias's column names: ``AS t (a, b)``."""
    names = tree.strings(alias.get("colnames", []))
    if len(names) > len(columns):
        message = f'table "{name}" has {len(columns)} columns available but {len(names)} columns specified'
        raise scope.ctx.error("42P10", message, at)
    return [ScopeColumn(new, column.value) for new, column in zip(names, columns, strict=False)] + columns[len(names) :]


# -- subqueries -----------------------------------------------------------------------------------


def query_columns(names: list[str], query: Any) -> list[tuple[str, TypedSql]]:
    """What a query offers to the one around it: PostgreSQL's names over SQLite's."""
    return [
        (output.name, replace(output.value, sql=sqlite_name))
        for output, sqlite_name in zip(query.outputs, names, strict=True)
    ]


def _subselect(fields: dict[str, Any], scope: Scope) -> Source:
    from helios_cli.engine.sql.select import translate_subquery

    ctx, alias = scope.ctx, fields.get("alias", {})
    select = fields["subquery"]["SelectStmt"]
    name = alias.get("aliasname", "")
    if fields.get("lateral"):
        from helios_cli.engine.sql.lateral import lateral_subquery

        return lateral_subquery(fields, scope)
    inner = Scope(ctx=ctx, parent=scope.parent, ctes=scope.ctes, lateral_only=[])
    query = translate_subquery(select, inner)
    query.resolve_unknowns(ctx)
    sqlite_alias = ctx.unique_alias(name or "subquery")
    columns = derived_columns(query_columns(query.names(), query), sqlite_alias)
    item = RangeItem(name, renamed(columns, alias, name, scope, 0), alias=sqlite_alias, visible=bool(name))
    return single(f"({query.render(named=True)}) AS {_quote(sqlite_alias)}", item)


# -- functions ------------------------------------------------------------------------------------


def _function(fields: dict[str, Any], scope: Scope) -> Source:
    ctx, alias = scope.ctx, fields.get("alias", {})
    from helios_cli.engine.sql.lateral import rows_from, side_by_side

    shown = shown_view(fields)
    if shown is not None:
        return from_item(shown, scope)
    if len(side_by_side(fields)) > 1:
        return rows_from(fields, scope)
    node = fields["functions"][0]["List"]["items"][0]
    call = builtin_arguments.positional(node.get("FuncCall"))
    if call is not None and tree.strings(call["funcname"])[-1] in json_records.FUNCTIONS:
        return _json_records(fields, call, scope)
    if fields.get("coldeflist") and call is None:
        raise ctx.unsupported("a column definition list for this function")
    ordinality = bool(fields.get("ordinality"))
    if call is None:
        return _scalar_item(node, alias, scope, ordinality=ordinality)
    names = tree.strings(call["funcname"])
    inner = Scope(ctx=ctx, parent=scope, clause="functions in FROM")
    at = call.get("location", 0)
    function: Function | None
    if call.get("func_variadic") or any("NamedArgExpr" in argument for argument in call.get("args", ())):
        function, arguments = arranged(call, names, inner, translate)
    else:
        arguments = calls.call_arguments(call, inner)
        overloads = calls.visible_overloads(names, scope)
        function = calls.resolve(names, overloads, arguments, scope, at)
    if function is None:
        raise calls.missing_function(names, calls.argument_types(arguments, scope), scope, at)
    if isinstance(function, UserFunction):
        check_callable(function, calls.argument_types(arguments, scope), scope, at)
    function = with_columns(function, fields.get("coldeflist", []), ctx, at)
    if not function.set_returning:
        column = function.columns[0][0] if len(function.columns) == 1 else ""
        return _scalar_item(node, alias, scope, names[-1], column, ordinality=ordinality)
    values, result = calls.coerce_arguments(function, arguments, scope, at)
    function = with_bound_columns(function, [value.type_oid for value in values])
    name = alias.get("aliasname", names[-1])
    sqlite_alias = ctx.unique_alias(name)
    is_series = names[-1] == "generate_series" and result in (INT4, INT8)
    value_sql = f"{_quote(sqlite_alias)}.value"
    if depends := any("ColumnRef" in part or "SubLink" in part for part in tree.walk(call.get("args", []))):
        sql = f"json_each({calls.render_call(function, values, scope)})"
    elif is_series:
        sql = series(values, scope)
    else:
        sql = kept_rows(calls.render_call(function, values, scope), 0 if function.columns else result)
    columns = function_columns(function, result, value_sql, name)
    if is_row(result) and not function.columns:
        row = row_values.carry_shape(TypedSql(value_sql, result, simple=True), values, ctx)
        columns = [ScopeColumn(*pair) for pair in row_values.fields_of(row, ctx, at)]
    elif is_row(result):
        columns = with_modifiers(columns, result, ctx)
    if ordinality:
        if is_series and not depends:
            sql = f"(SELECT value, row_number() OVER () - 1 AS key FROM {sql})"
        columns.append(ScopeColumn("ordinality", TypedSql(f"({_quote(sqlite_alias)}.key + 1)", INT8, not_null=True)))
    item = RangeItem(name, renamed(columns, alias, name, scope, at), alias=sqlite_alias)
    item.scalar = len(columns) == 1 and not is_row(result)
    if is_row(result) and result != RECORD and not ordinality:
        item.row_type = result
    return single(f"{sql} AS {_quote(sqlite_alias)}", item)


def _json_records(fields: dict[str, Any], call: dict[str, Any], scope: Scope) -> Source:
    """json_to_recordset() and its kin: the columns are those of a definition list or of a row type."""
    ctx, alias, at = scope.ctx, fields.get("alias", {}), call.get("location", 0)
    name = tree.strings(call["funcname"])[-1]
    inner = Scope(ctx=ctx, parent=scope, clause="functions in FROM")
    arguments = [translate(argument, inner) for argument in call.get("args", [])]
    shown = alias.get("aliasname", name)
    sqlite_alias = ctx.unique_alias(shown)
    sql, found = json_records.translate_rows(
        name, arguments, fields.get("coldeflist", []), _quote(sqlite_alias), scope, at
    )
    columns = [ScopeColumn(*pair) for pair in found]
    if fields.get("ordinality"):
        columns.append(ScopeColumn("ordinality", TypedSql(f"({_quote(sqlite_alias)}.key + 1)", INT8, not_null=True)))
    item = RangeItem(shown, renamed(columns, alias, shown, scope, at), alias=sqlite_alias)
    if "_populate_" in name and arguments[0].type_oid != RECORD and not fields.get("ordinality"):
        item.row_type = arguments[0].type_oid
    return single(f"{sql} AS {_quote(sqlite_alias)}", item)


def _scalar_item(
    node: Node, alias: dict[str, Any], scope: Scope, function: str = "", column: str = "", *, ordinality: bool = False
) -> Source:
    """A function that gives one value is a table of one row; ``column``: the name of its only OUT parameter."""
    name = alias.get("aliasname") or function or column_name(node)
    inner = Scope(ctx=scope.ctx, parent=scope, clause="functions in FROM")
    before, scope.ctx.volatile = scope.ctx.volatile, False
    value = casts.to_text_if_unknown(translate(node, inner), scope.ctx)
    # A function with an effect is called once: SQLite leaves nothing out of a DISTINCT, and moves nothing into a LIMIT.
    once, scope.ctx.volatile = scope.ctx.volatile, scope.ctx.volatile or before
    sqlite_alias = scope.ctx.unique_alias(name)
    sql = ""
    if is_row(value.type_oid) and row_values.shape_of(value, scope.ctx) is not None:
        sql = f"json_each(json_array({value.sql})) AS {_quote(sqlite_alias)}"
        columns = _row_columns(value, sqlite_alias, scope)
    elif any("ColumnRef" in part for part in tree.walk(node)):
        value = replace(value, sql=f"({value.sql})", table_oid=0, attnum=0, raw="")
        columns = [ScopeColumn(column or name, value)]
    else:
        found = TypedSql(f"{_quote(sqlite_alias)}.value", value.type_oid, value.typmod, simple=True)
        columns = [ScopeColumn(column or name, found)]
        sql = f"SELECT DISTINCT {value.sql} AS value LIMIT 1" if once else f"SELECT {value.sql} AS value"
        sql = f"({sql}) AS {_quote(sqlite_alias)}"
    scalar = len(columns) == 1 and not ordinality and not (sql and is_row(value.type_oid))
    if ordinality:
        columns.append(ScopeColumn("ordinality", TypedSql("1", INT8, not_null=True)))
    named = renamed(columns, alias, name, scope, 0)
    item = RangeItem(name, named, alias=sqlite_alias if sql else "", scalar=scalar)
    if is_row(value.type_oid) and value.type_oid != RECORD and not (scalar or ordinality):
        item.row_type = value.type_oid
    return Source(sql, [item], list(item.columns), [])


def _row_columns(value: TypedSql, sqlite_alias: str, scope: Scope) -> list[ScopeColumn]:
    """The fields of a row that a function gives, as columns."""
    quoted = _quote(sqlite_alias)
    row = replace(value, sql=f"{quoted}.value", row=(), shape=row_values.shape_of(value, scope.ctx))
    return [ScopeColumn(*pair) for pair in row_values.fields_of(row, scope.ctx, -1)]


# -- joins ----------------------------------------------------------------------------------------

_JOIN_WORDS: Final = {
    "JOIN_INNER": "JOIN",
    "JOIN_LEFT": "LEFT JOIN",
    "JOIN_RIGHT": "RIGHT JOIN",
    "JOIN_FULL": "FULL JOIN",
}


def _join(fields: dict[str, Any], scope: Scope) -> Source:
    kind = fields.get("jointype", "JOIN_INNER")
    left = from_item(fields["larg"], scope)
    inside = scope.seeing(scope.items + left.items, scope.columns + left.columns)
    rarg = fields["rarg"]
    if kind != "JOIN_INNER" and "RangeSubselect" in rarg and not _is_true(fields.get("quals")):
        rarg = {"RangeSubselect": {**rarg["RangeSubselect"], AS_ROWS: True}}
    right = from_item(rarg, inside)
    enclose(right, inside.items, scope.ctx, flat=kind == "JOIN_INNER" and "quals" not in fields)
    _check_names(left, right, scope)
    if kind in ("JOIN_LEFT", "JOIN_FULL"):
        _make_nullable(right)
    if kind in ("JOIN_RIGHT", "JOIN_FULL"):
        _make_nullable(left)
    names = _join_columns(fields, left, right)
    merged, conditions = _merge(names, left, right, kind, scope)
    joined = scope.seeing([*left.items, *right.items], [*left.columns, *right.columns])
    if "quals" in fields:
        conditions.append(expect_boolean(fields["quals"], joined, "JOIN/ON").sql)
    columns = merged + [c for side in (left, right) for c in side.columns if c.name not in names]
    source = _joined(kind, left, right, conditions, scope)
    source.columns = columns
    merged_alias = fields.get("join_using_alias")
    if merged_alias is not None:
        named = RangeItem(merged_alias["aliasname"], merged)
        _check_names(source, Source("", [named], [], []), scope)
        source.items.append(named)
    alias = fields.get("alias")
    if alias is not None:
        item = RangeItem(alias["aliasname"], renamed(columns, alias, alias["aliasname"], scope, 0))
        for hidden in source.items:
            hidden.visible = False
        source.items.append(item)
        source.columns = list(item.columns)
    return source


def _is_true(node: Node | None) -> bool:
    return node is not None and tree.const_value(node.get("A_Const", {})) is True


def _check_names(left: Source, right: Source, scope: Scope) -> None:
    names = {item.name for item in left.items if item.visible}
    for item in right.items:
        if item.visible and item.name in names and item.name:
            raise scope.ctx.error("42712", f'table name "{item.name}" specified more than once')


def _make_nullable(source: Source) -> None:
    for item in source.items:
        item.nullable = True
        item.columns = [column.nullable() for column in item.columns]
    source.columns = [column.nullable() for column in source.columns]


def _join_columns(fields: dict[str, Any], left: Source, right: Source) -> list[str]:
    """Names that USING or NATURAL joins on."""
    if fields.get("isNatural"):
        theirs = {column.name for column in right.columns}
        return [column.name for column in left.columns if column.name in theirs]
    return tree.strings(fields.get("usingClause", []))


def _merge(
    names: list[str], left: Source, right: Source, kind: str, scope: Scope
) -> tuple[list[ScopeColumn], list[str]]:
    """The merged columns of USING, and the equalities that join them."""
    merged, conditions = [], []
    for name in names:
        pair = []
        for side, word in ((left, "left"), (right, "right")):
            found = [column for column in side.columns if column.name == name]
            if not found:
                message = f'column "{name}" specified in USING clause does not exist in {word} table'
                raise scope.ctx.error("42703", message)
            if len(found) > 1:
                message = f'common column name "{name}" appears more than once in {word} table'
                raise scope.ctx.error("42702", message)
            pair.append(scope.checked(found[0].value, name, -1))
        conditions.append(operators.apply_operator("=", [replace(pair[0]), replace(pair[1])], scope.ctx, -1).sql)
        values, target = unify([replace(pair[0]), replace(pair[1])], "JOIN/USING", scope)
        if kind == "JOIN_FULL":
            value = TypedSql(f"coalesce({values[0].sql}, {values[1].sql})", target)
        else:
            value = values[1] if kind == "JOIN_RIGHT" else values[0]
        merged.append(ScopeColumn(name, value))
    return merged, conditions


def _joined(kind: str, left: Source, right: Source, conditions: list[str], scope: Scope) -> Source:
    items = left.items + right.items
    above = left.conditions + right.conditions
    if right.sql and not left.sql and kind != "JOIN_INNER":
        left.sql = f"(SELECT 1) AS {_quote(scope.ctx.unique_alias('one row'))}"
    if not right.sql or not left.sql:
        if kind != "JOIN_INNER" and [text for text in conditions if text != "1"]:
            raise scope.ctx.unsupported("an outer join with a LATERAL subquery on a condition")
        is_join, flat = left.is_join or right.is_join, left.flat and right.flat
        return Source(left.sql or right.sql, items, [], above + conditions, is_join, flat)
    on = f" ON {' AND '.join(conditions)}" if conditions else ""
    if kind != "JOIN_INNER" and not on:
        on = " ON 1"
    flat = left.flat and right.flat and kind in ("JOIN_INNER", "JOIN_LEFT")
    return Source(f"{left.sql} {_JOIN_WORDS[kind]} {right.sql}{on}", items, [], above, True, flat)


_ITEMS: Final = {"RangeVar": _range_var, "RangeSubselect": _subselect, "RangeFunction": _function, "JoinExpr": _join}

__all__ = ["find_relation", "from_item", "query_columns", "table_columns", "translate_from"]
