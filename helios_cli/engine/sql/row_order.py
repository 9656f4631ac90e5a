"""ORDER BY, LIMIT and DISTINCT ON: which rows of a query come, and in what order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from helios_cli.engine.sql import casts, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, type_name
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.grouping import canonical
from helios_cli.engine.sql.oids import INT8, UNKNOWN
from helios_cli.engine.sql.ordering import check_comparable, check_sortable, sort_term
from helios_cli.engine.sql.query import Output, Query, Select, type_in
from helios_cli.engine.sql.reg_casts import is_named
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.select_list import flat_targets
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import Node, TypedSql

# -- LIMIT ----------------------------------------------------------------------------------------


def limit_clause(select: dict[str, Any], query: Query, scope: Scope) -> str:
    """The text of LIMIT and OFFSET, with a leading space, or ''."""
    count, offset = select.get("limitCount"), select.get("limitOffset")
    if count is None and offset is None:
        return ""
    limit = "-1" if count is None else _limit_value(count, "LIMIT", "pg_limit", scope)
    query.limit_node = count
    if offset is None:
        return f" LIMIT {limit}"
    return f" LIMIT {limit} OFFSET {_limit_value(offset, 'OFFSET', 'pg_offset', scope)}"


def gives_one_row(query: Query, scope: Scope) -> bool:
    """Whether a query gives one row at most; a LIMIT 1 that says so becomes part of the plan."""
    if query.single_row:
        return True
    fields = (query.limit_node or {}).get("A_Const")
    if fields is None or tree.const_value(fields) != 1:
        return False
    scope.ctx.bind_constant(scope.ctx.literal_at(fields.get("location", 0), 1))
    return True


def _limit_value(node: Node, word: str, function: str, scope: Scope) -> str:
    inner = Scope(ctx=scope.ctx, parent=scope.parent, ctes=scope.ctes, clause=word)
    value = translate(node, inner)
    if not can_coerce(value.type_oid, INT8, How.ASSIGNMENT):
        message = f"argument of {word} must be type bigint, not type {type_name(value.type_oid)}"
        raise scope.ctx.error("42804", message, value.location)
    if _names_outer(value.sql, scope.parent):
        hint = "Number the rows with row_number() in a subquery, and compare the numbers."
        raise scope.ctx.unsupported(f"{word} that names columns of a query around it", value.location, hint=hint)
    plain = value.literal >= 0 and not value.sql.endswith("-\x03")
    value = casts.coerce(value, INT8, -1, How.ASSIGNMENT, scope.ctx)
    return value.sql if plain else f"{function}({value.sql})"


def _names_outer(text: str, level: Scope | None) -> bool:
    """Whether an expression has columns of the queries around, which SQLite's LIMIT does not see."""
    while level is not None:
        if any(item.alias and f"{quote_identifier(item.alias)}." in text for item in level.items):
            return True
        level = level.parent
    return False


def has_ties(select: dict[str, Any], scope: Scope) -> bool:
    """Whether a query is limited WITH TIES. Raises SqlError 42601 without ORDER BY, 0A000 with SKIP LOCKED."""
    if select.get("limitOption") != "LIMIT_OPTION_WITH_TIES":
        return False
    if "sortClause" not in select:
        raise scope.ctx.error("42601", "WITH TIES cannot be specified without ORDER BY clause")
    return True


def with_ties(query: Query, select: dict[str, Any], scope: Scope) -> Select:
    """FETCH FIRST ... WITH TIES: by rank(), so that the rows equal to the last one come too."""
    names, terms, extras = query.names(), [], []
    query.resolve_unknowns(scope.ctx)
    for number, node in enumerate(select["sortClause"]):
        sort = node["SortBy"]
        position = output_position(sort["node"], query.outputs, scope)
        if position is not None:
            terms.append(sort_term(query.outputs[position].value, sort, scope, quote_identifier(names[position])))
            continue
        if not isinstance(query, Select) or query.distinct:
            raise scope.ctx.unsupported("WITH TIES ordered by an expression here", tree.location(sort["node"]))
        value = casts.to_text_if_unknown(translate(sort["node"], scope), scope.ctx)
        alias = quote_identifier(f"order {number}")
        extras.append(f"{value.sql} AS {alias}")
        terms.append(sort_term(value, sort, scope, alias))
    inner = query.body(named=True)
    if extras and isinstance(query, Select):
        inner = f"{inner.removesuffix(query.source)}, {', '.join(extras)}{query.source}"
    count, offset = select.get("limitCount"), select.get("limitOffset")
    limit = _limit_value(count, "LIMIT", "pg_limit", scope) if count is not None else "-1"
    skip = _limit_value(offset, "OFFSET", "pg_offset", scope) if offset is not None else "0"
    ordered = ", ".join(terms)
    ranked = f'SELECT *, rank() OVER (ORDER BY {ordered}) AS "rank of row", row_number() OVER (ORDER BY {ordered}) '
    last = f'({limit} < 0 OR ({limit} > 0 AND "rank of row" <= {limit} + {skip}))'
    outputs = [
        Output(output.name, replace(output.value, sql=quote_identifier(name), raw="", param=0, literal=-1, value=None))
        for output, name in zip(query.outputs, names, strict=True)
    ]
    source = f' FROM ({ranked}AS "number of row" FROM ({inner})) WHERE {last} AND "number of row" > {skip}'
    return Select(outputs, source=source, order_by=['"number of row"'])


# -- ORDER BY -------------------------------------------------------------------------------------


def output_position(node: Node, outputs: list[Output], scope: Scope) -> int | None:
    """The result column an ORDER BY item names by position or name; None when it is an expression."""
    reference = node.get("ColumnRef")
    if reference is not None:
        names = reference["fields"]
        if len(names) != 1 or "String" not in names[0]:
            return None
        name = tree.strings(names)[0]
        found = [position for position, output in enumerate(outputs) if output.name == name]
        if len({outputs[position].value.sql for position in found}) > 1:
            raise scope.ctx.error("42702", f'ORDER BY "{name}" is ambiguous', tree.location(node))
        return found[0] if found else None
    scope.clause = "ORDER BY"
    position = ordinal(node, scope)
    scope.clause = ""
    if position is None:
        return None
    if not 1 <= position <= len(outputs):
        raise scope.ctx.error("42P10", f"ORDER BY position {position} is not in select list", tree.location(node))
    return position - 1


def order_term(sort: dict[str, Any], query: Select, targets: list[dict[str, Any]], scope: Scope) -> str:
    """One term of a SELECT's ORDER BY: a result column by name or position first, else an expression."""
    position = output_position(sort["node"], query.outputs, scope)
    if position is not None:
        output = query.outputs[position]
        output.late = False
        if type_in(output.value, scope.ctx) == UNKNOWN:
            query.coerce(position, 25, -1, How.IMPLICIT, scope.ctx)
        if is_named(output.value.type_oid) and output.value.sql:
            return sort_term(output.value, sort, scope)  # The column shows the object's name, the order is by OID.
        return sort_term(output.value, sort, scope, str(position + 1))
    if query.distinct:
        position = _matching_output(sort["node"], query, targets, scope)
        if position is None:
            message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list"
            raise scope.ctx.error("42P10", message, tree.location(sort["node"]))
        return sort_term(query.outputs[position].value, sort, scope, str(position + 1))
    value = casts.to_text_if_unknown(translate(sort["node"], scope), scope.ctx)
    return sort_term(value, sort, scope)


def _matching_output(node: Node, query: Select, targets: list[dict[str, Any]], scope: Scope) -> int | None:
    wanted = canonical(node, scope)
    for position, target in enumerate(flat_targets(targets, scope)):
        if canonical(target, scope) == wanted:
            scope.ctx.bind_all()
            return position
    return None


def distinct_on(query: Select, nodes: list[Node], select: dict[str, Any], scope: Scope) -> Select:
    """DISTINCT ON: the first row of each group by row_number(), then the query's own order."""
    ctx = scope.ctx
    query.distinct = False
    keys = []
    for node in nodes:
        position = output_position(node, query.outputs, scope)
        value = query.outputs[position].value if position is not None else translate(node, scope)
        keys.append(casts.to_text_if_unknown(value, ctx))
        check_comparable(keys[-1], scope, tree.location(node))
    orders, order_values, order_forms = [], [], []
    for node in select.get("sortClause", []):
        sort = node["SortBy"]
        position = output_position(sort["node"], query.outputs, scope)
        value = query.outputs[position].value if position is not None else translate(sort["node"], scope)
        value = casts.to_text_if_unknown(value, ctx)
        check_sortable(value, scope)
        order_values.append(value)
        order_forms.append(canonical(sort["node"], scope))
        orders.append((value, sort))
    key_texts, forms = {key.sql for key in keys}, [canonical(node, scope) for node in nodes]
    for value, form in list(zip(order_values, order_forms, strict=True))[: len(key_texts)]:
        if value.sql in key_texts:
            continue
        if form not in forms:
            message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions"
            raise ctx.error("42P10", message, tree.location(nodes[0]))
        ctx.bind_all()
    query.resolve_unknowns(ctx)
    # PostgreSQL finds the groups by sorting: what ORDER BY leaves out comes behind it.
    orders += [(key, {}) for key in keys if key.sql not in {value.sql for value, _ in orders}]
    return _first_of_each(query, keys, orders, select, scope)


def _first_of_each(
    query: Select,
    keys: list[TypedSql],
    orders: list[tuple[TypedSql, dict[str, Any]]],
    select: dict[str, Any],
    scope: Scope,
) -> Select:
    names = query.names()
    partition = ", ".join(casts.collated(key) for key in keys)
    terms = ", ".join(sort_term(value, sort, scope) for value, sort in orders)
    number = f"row_number() OVER (PARTITION BY {partition}{f' ORDER BY {terms}' if terms else ''})"
    inner_columns = [
        f"{output.value.sql} AS {quote_identifier(name)}" for output, name in zip(query.outputs, names, strict=True)
    ]
    extra = [f"{value.sql} AS {quote_identifier(f'order {n}')}" for n, (value, _) in enumerate(orders)]
    listed = ", ".join([*inner_columns, *extra, f'{number} AS "row of group"'])
    inner = f"SELECT {listed}{query.source}"
    outputs = [
        Output(output.name, replace(output.value, sql=quote_identifier(name), raw="", param=0, literal=-1, value=None))
        for output, name in zip(query.outputs, names, strict=True)
    ]
    outer = Select(outputs, source=f' FROM ({inner}) WHERE "row of group" = 1')
    outer.order_by = [
        sort_term(value, sort, scope, quote_identifier(f"order {n}")) for n, (value, sort) in enumerate(orders)
    ]
    outer.limit = limit_clause(select, outer, scope)
    return outer


def ordinal(node: Node, scope: Scope) -> int | None:
    """The value of a bare integer constant, which becomes part of the plan."""
    fields = node.get("A_Const")
    if fields is None:
        return None
    value = tree.const_value(fields)
    at = fields.get("location", 0)
    scope.ctx.bind_constant(scope.ctx.literal_at(at, value))
    if isinstance(value, bool) or not isinstance(value, int):
        raise scope.ctx.error("42601", f"non-integer constant in {scope.clause or 'ORDER BY'}", at)
    return value
