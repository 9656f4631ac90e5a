"""Calls of aggregates and window functions."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql import calls, casts, row_values, session_texts, tree
from helios_cli.engine.sql.expressions import expect_boolean, translate
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.grouping import canonical
from helios_cli.engine.sql.grouping_sets import GroupingSets
from helios_cli.engine.sql.oids import BYTEA, INT8
from helios_cli.engine.sql.ordering import check_comparable, sort_terms, sort_values
from helios_cli.engine.sql.owners import HeldBelow, owner_of
from helios_cli.engine.sql.routines import UserFunction
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import TypedSql, changed
from helios_cli.engine.sql.user_calls import note_call
from helios_cli.engine.sql.window_frames import frame_of

HYPOTHETICAL: Final = frozenset(("rank", "dense_rank", "percent_rank", "cume_dist"))
"""Window functions that are aggregates too, WITHIN GROUP."""


def aggregate_call(fields: dict[str, Any], names: list[str], overloads: tuple[Function, ...], scope: Scope) -> TypedSql:
    """Translate a call of a name that aggregates or window functions have.

    Raises:
        SqlError: 42803, 42P20 not in this place; 42809 another kind of function; 42883 no overload; 0A000.
    """
    owner = scope if "over" in fields else owner_of(fields, scope)
    value = _aggregate_value(fields, names, overloads, owner)
    if owner is not scope and not isinstance(owner.grouping, GroupingSets):
        raise HeldBelow(owner)
    return value if "over" in fields or owner.grouping is None else owner.grouping.save(value)


def _aggregate_value(
    fields: dict[str, Any], names: list[str], overloads: tuple[Function, ...], scope: Scope
) -> TypedSql:
    ctx, at = scope.ctx, fields.get("location", 0)
    over = fields.get("over")
    _check_place(fields, names, scope, at)
    if fields.get("agg_within_group"):
        from helios_cli.engine.sql.within_group import within_group

        return within_group(fields, names, overloads, scope)
    if overloads[0].ordered_set or (names[-1] in HYPOTHETICAL and fields.get("args")):
        from helios_cli.engine.sql.within_group import refuse_without_group

        refuse_without_group(fields, names, overloads, scope, at)
    inside, scope.in_aggregate = scope.in_aggregate, over is None or scope.in_aggregate
    sets = len(scope.pending_srf or ())
    try:
        arguments = [translate(node, scope) for node in fields.get("args", [])]
        arguments = session_texts.for_call(names[-1], arguments, ctx)
        test = expect_boolean(fields["agg_filter"], scope, "FILTER") if "agg_filter" in fields else None
        function = _function(fields, names, overloads, arguments, scope)
        if over is not None:
            _check_window(fields, function, scope)
        if len(scope.pending_srf or ()) > sets:
            kind = "aggregate" if over is None else "window"
            message = f"{kind} function calls cannot contain set-returning function calls"
            hint = "You might be able to move the set-returning function into a LATERAL FROM item."
            raise ctx.error("0A000", message, arguments[0].location, hint=hint)
        if fields.get("agg_distinct"):
            _check_distinct_order(fields, scope, at)
            for argument in arguments:
                check_comparable(argument, scope)
        order = sort_terms(fields.get("agg_order", []), scope)
    finally:
        scope.in_aggregate = inside
    tail = f" FILTER (WHERE {test.sql})" if test is not None else ""
    if over is not None:
        tail += f" OVER {window(over, scope)}"
    if function is None:
        return TypedSql(f"count(*){tail}", INT8, not_null=True, location=at)
    values, result = calls.coerce_arguments(function, arguments, scope, at)
    if isinstance(function, UserFunction):
        note_call(function, ctx)
    elif function.name in _IN_ORDER:
        values = [_for_json(value) for value in values]
    if over is not None and test is not None:
        # SQLite computes the arguments of a window function for rows, too, that FILTER leaves out.
        values = [
            value if value.simple else changed(value, sql=f"CASE WHEN {test.sql} THEN {value.sql} END")
            for value in values
        ]
    number = _row_number(function, values)
    if number:
        values = [changed(value, sql=f"coalesce({number}, 1)") if value.sql == number else value for value in values]
    sql = _aggregate_sql(function, values, order, bool(fields.get("agg_distinct")), over is not None, tail, scope, at)
    if number:
        sql = f"iif({number} IS NULL, NULL, {sql})"
    value = TypedSql(sql, result, not_null=function.name == "count", location=at)
    return row_values.carry_shape(value, values, ctx)


def _for_json(value: TypedSql) -> TypedSql:
    """The argument of an aggregate that gathers a JSON array, in which bytes are hexadecimal."""
    return changed(value, sql=f"iif({value.sql} IS NULL, NULL, hex({value.sql}))") if value.type_oid == BYTEA else value


def _row_number(function: Function, values: list[TypedSql]) -> str:
    """The argument of a window function that makes it NULL if it is NULL, which SQLite refuses; '' for none.

    ntile() takes it from one row for all; it is one where it is the same for all.
    """
    if not function.window or function.name not in ("ntile", "nth_value"):
        return ""
    number = values[-1].sql
    return "" if function.name == "ntile" and '"' in number else number


def _function(
    fields: dict[str, Any], names: list[str], overloads: tuple[Function, ...], arguments: list[TypedSql], scope: Scope
) -> Function | None:
    """The overload that is called; None: ``count(*)``."""
    ctx, at = scope.ctx, fields.get("location", 0)
    if names[-1] == "count" and not arguments:
        if fields.get("agg_star"):
            return None
        raise ctx.error("42809", "count(*) must be used to call a parameterless aggregate function", at)
    function = calls.resolve(names, overloads, arguments, scope, at)
    if function is None:
        missing = calls.missing_function(names, calls.argument_types(arguments, scope), scope, at)
        if len(fields.get("agg_order", ())) > 1:
            missing.hint = (
                "No aggregate function matches the given name and argument types. Perhaps you misplaced ORDER BY; "
                "ORDER BY must appear after all regular arguments of the aggregate."
            )
        raise missing
    if function.window and "over" not in fields:
        raise ctx.error("42809", f"window function {names[-1]} requires an OVER clause", at)
    return function


def _check_window(fields: dict[str, Any], function: Function | None, scope: Scope) -> None:
    """Refuse what PostgreSQL does not have over a window."""
    message = None
    if fields.get("agg_distinct"):
        message = "DISTINCT is not implemented for window functions"
    elif fields.get("agg_order"):
        message = "aggregate ORDER BY is not implemented for window functions"
    elif function is not None and function.window and "agg_filter" in fields:
        message = "FILTER is not implemented for non-aggregate window functions"
    if message is not None:
        raise scope.ctx.error("0A000", message, fields.get("location", 0))


def _aggregate_sql(
    function: Function,
    values: list[TypedSql],
    order: str,
    distinct: bool,
    windowed: bool,
    tail: str,
    scope: Scope,
    at: int,
) -> str:
    texts = [casts.collated(value) if function.aggregate else value.sql for value in values]
    template = function.sql or f"{function.name}({{args}})"
    template = function.window_sql if windowed and function.window_sql else template
    if distinct and len(texts) > 1:
        if not function.distinct_sql:
            raise scope.ctx.unsupported(f"DISTINCT in {function.name} with several arguments", at)
        template = function.distinct_sql
        order = ", ".join(([order] if order else []) + [f"{text} NULLS LAST" for text in texts])
    elif distinct:
        if not order and function.name in _IN_ORDER:
            order = f"{texts[0]} NULLS LAST"
        texts[0] = f"DISTINCT {texts[0]}"
    if order and texts:
        texts[-1] = f"{texts[-1]} ORDER BY {order}"
    texts += ["NULL"] * (len(function.args) - len(values)) if not order else []
    session = ", ".join(scope.ctx.session_value(name) for name in function.session_values)
    element = values[0].type_oid if values else 0
    placed = "{over}" in template
    types = ", ".join(str(value.type_oid) for value in values)
    text = template.format(
        *texts, args=", ".join(texts), session=session, elem=element, types=types, over=tail if placed else "",
        range=calls.range_type(values),
    )  # fmt: skip
    text = text if placed else text + tail
    return casts.neutral(text, *(value.type_oid for value in values)) if function.aggregate else text


def _check_distinct_order(fields: dict[str, Any], scope: Scope, at: int) -> None:
    """An aggregate with DISTINCT is ordered by its arguments only."""
    if any("A_Const" in part for part in tree.walk(fields.get("agg_order", []))):
        scope.ctx.bind_all()
    known = [canonical(node, scope) for node in fields.get("args", [])]
    if any(canonical(sort["SortBy"]["node"], scope) not in known for sort in fields.get("agg_order", [])):
        message = "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list"
        raise scope.ctx.error("42P10", message, at)


_IN_ORDER: Final = ("array_agg", "json_agg", "jsonb_agg")
"""Aggregates that show the order of their input, which DISTINCT sorts."""
_AGGREGATE_CLAUSES: Final = {"WHERE": "WHERE", "JOIN/ON": "JOIN conditions", "GROUP BY": "GROUP BY"}


def _check_place(fields: dict[str, Any], names: list[str], scope: Scope, at: int) -> None:
    """Aggregates and window functions stand only in the select list, HAVING and ORDER BY."""
    ctx = scope.ctx
    if "over" in fields:
        if not scope.windows_allowed:
            place = _AGGREGATE_CLAUSES.get(scope.clause, scope.clause or "this context")
            raise ctx.error("42P20", f"window functions are not allowed in {place}", at)
        return
    if scope.in_aggregate:
        raise ctx.error("42803", "aggregate function calls cannot be nested", at)
    if not scope.aggregates_allowed and scope.items and not scope.clause:
        raise ctx.error("42803", "aggregate functions are not allowed in FROM clause of their own query level", at)
    if not scope.aggregates_allowed:
        place = _AGGREGATE_CLAUSES.get(scope.clause, scope.clause or "this context")
        raise ctx.error("42803", f"aggregate functions are not allowed in {place}", at)


def window(over: dict[str, Any], scope: Scope) -> str:
    """The text of a window, written out in full even when it is named."""
    ctx = scope.ctx
    definition = over
    if "name" in over and "partitionClause" not in over and "orderClause" not in over:
        found = scope.windows.get(over["name"])
        if found is None:
            raise ctx.error("42704", f'window "{over["name"]}" does not exist', over.get("location", 0))
        return window(found, scope)
    parts = []
    if "refname" in over:
        found = scope.windows.get(over["refname"])
        if found is None:
            raise ctx.error("42704", f'window "{over["refname"]}" does not exist', over.get("location", 0))
        definition = {**found, **over}
    windows_before, scope.windows_allowed = scope.windows_allowed, False
    try:
        values = [translate(node, scope) for node in definition.get("partitionClause", [])]
        for value in values:
            check_comparable(value, scope)
        order, sorts = sort_values(definition.get("orderClause", []), scope)
        frame = frame_of(definition, order, sorts, scope)
    finally:
        scope.windows_allowed = windows_before
    kinds = [casts.collated(value) for value in values] + ([frame.within] if frame.within else [])
    if kinds:
        parts.append(f"PARTITION BY {', '.join(kinds)}")
    if frame.order:
        parts.append(f"ORDER BY {frame.order}")
    if frame.text:
        parts.append(frame.text)
    return f"({' '.join(parts)})"
