"""Aggregates WITHIN GROUP (ORDER BY ...): ordered-set ones, and rank() and its kin of a row that is not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import aggregate_calls, calls, casts, operators
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import common_type, type_name
from helios_cli.engine.sql.expressions import expect_boolean, translate
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.oids import FLOAT8, INT8, UNKNOWN
from helios_cli.engine.sql.ordering import sort_term
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import TypedSql


def refuse_without_group(
    fields: dict[str, Any], names: list[str], overloads: tuple[Function, ...], scope: Scope, at: int
) -> None:
    """Refuse an ordered-set aggregate that lacks WITHIN GROUP.

    Raises:
        SqlError: 42809; 42883 for a number of arguments that it never has.
    """
    count = len(fields.get("args", ()))
    if names[-1] in aggregate_calls.HYPOTHETICAL or any(len(function.args) == count for function in overloads):
        message = f"WITHIN GROUP is required for ordered-set aggregate {names[-1]}"
        raise scope.ctx.error("42809", message, at)
    arguments = [translate(node, scope) for node in fields.get("args", [])]
    raise calls.missing_function(names, calls.argument_types(arguments, scope), scope, at)


def within_group(fields: dict[str, Any], names: list[str], overloads: tuple[Function, ...], scope: Scope) -> TypedSql:
    """Translate a call with WITHIN GROUP; its place among the clauses has been checked.

    Raises:
        SqlError: 42809 not such an aggregate, 42883 no overload, 0A000 OVER.
    """
    ctx, at, name = scope.ctx, fields.get("location", 0), names[-1]
    fitting = tuple(function for function in overloads if function.ordered_set)
    if "over" in fields and (fitting or name in aggregate_calls.HYPOTHETICAL):
        raise ctx.error("0A000", f"OVER is not supported for ordered-set aggregate {name}", at)
    direct = _direct_arguments(fields, scope)
    inside, scope.in_aggregate = scope.in_aggregate, True
    try:
        sorts = [node["SortBy"] for node in fields.get("agg_order", [])]
        values = [translate(sort["node"], scope) for sort in sorts]
        test = expect_boolean(fields["agg_filter"], scope, "FILTER") if "agg_filter" in fields else None
    finally:
        scope.in_aggregate = inside
    condition = test.sql if test is not None else ""
    if not fitting and name not in aggregate_calls.HYPOTHETICAL:
        arguments = direct + values
        if calls.resolve(names, overloads, arguments, scope, at) is None:
            raise calls.missing_function(names, calls.argument_types(arguments, scope), scope, at)
        message = f"{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP"
        raise ctx.error("42809", message, at)
    if fitting:
        return _ordered_set(names, fitting, direct, list(zip(values, sorts, strict=True)), condition, scope, at)
    return _hypothetical(name, direct, list(zip(values, sorts, strict=True)), condition, scope, at)


def _direct_arguments(fields: dict[str, Any], scope: Scope) -> list[TypedSql]:
    for part in calls.own_calls(fields.get("args", [])):
        if calls.has_aggregate([part], scope):
            at = next(iter(part.values())).get("location", 0)
            raise scope.ctx.error("42803", "aggregate function calls cannot be nested", at)
    try:
        return [translate(node, scope) for node in fields.get("args", [])]
    except SqlError as error:
        if "GROUP BY clause" in str(error):
            error.detail = "Direct arguments of an ordered-set aggregate must use only grouped columns."
        raise


def _ordered_set(
    names: list[str],
    overloads: tuple[Function, ...],
    direct: list[TypedSql],
    order: list[tuple[TypedSql, dict[str, Any]]],
    condition: str,
    scope: Scope,
    at: int,
) -> TypedSql:
    arguments = direct + [value for value, _ in order]
    function = calls.resolve(names, overloads, arguments, scope, at)
    if function is None or len(function.args) != len(direct) + 1:
        given = calls.argument_types(arguments, scope)
        message = f"function {calls.shown_call(names, given)} does not exist"
        hint = "No function matches the given name and argument types. You might need to add explicit type casts."
        raise scope.ctx.error("42883", message, at, hint=hint)
    values, result = calls.coerce_arguments(function, arguments, scope, at)
    sorted_by = values[-1]
    terms = sort_term(sorted_by, order[0][1], scope)
    texts = ", ".join(value.sql for value in values)
    text = function.sql.format(type=sorted_by.type_oid, args=f"{texts} ORDER BY {terms}") + _filter(condition)
    if direct and values[0].type_oid == FLOAT8:
        text = f"pg_percentile({values[0].sql}, {text})"  # A fraction is looked at without rows, too.
    return TypedSql(text, result, location=at)


def _filter(condition: str) -> str:
    return f" FILTER (WHERE {condition})" if condition else ""


def _hypothetical(
    name: str,
    direct: list[TypedSql],
    order: list[tuple[TypedSql, dict[str, Any]]],
    condition: str,
    scope: Scope,
    at: int,
) -> TypedSql:
    """How many rows come before the one that the arguments make."""
    given = [*direct, *(value for value, _ in order)]
    if len(direct) != len(order):
        types = calls.argument_types(given, scope)
        hint = (
            f"To use the hypothetical-set aggregate {name}, the number of hypothetical direct arguments "
            f"(here {len(direct)}) must match the number of ordering columns (here {len(order)})."
        )
        message = f"function {calls.shown_call([name], types)} does not exist"
        raise scope.ctx.error("42883", message, at, hint=hint)
    pairs = [_matched(one, value, scope) for one, (value, _) in zip(direct, order, strict=True)]
    for value, sort in zip((pair[1] for pair in pairs), (sort for _, sort in order), strict=True):
        sort_term(value, sort, scope)
    before = _before(pairs, [sort for _, sort in order], scope)
    rows = f"count(*){_filter(condition)}"
    also = f"({condition}) AND " if condition else ""
    ahead = f"count(*) FILTER (WHERE {also}({before}))"
    if name == "rank":
        return TypedSql(f"({ahead} + 1)", INT8, not_null=True, location=at)
    if name == "dense_rank":
        return TypedSql(_dense(pairs, f"{also}({before})"), INT8, not_null=True, location=at)
    if name == "percent_rank":
        return TypedSql(f"coalesce({ahead} * 1.0 / nullif({rows}, 0), 0.0)", FLOAT8, not_null=True, location=at)
    same = " AND ".join(f"{casts.collated(value)} IS {one.sql}" for one, value in pairs)
    upto = f"count(*) FILTER (WHERE {also}(({before}) OR ({same})))"
    return TypedSql(f"(({upto} + 1) * 1.0 / ({rows} + 1))", FLOAT8, not_null=True, location=at)


def _matched(one: TypedSql, value: TypedSql, scope: Scope) -> tuple[TypedSql, TypedSql]:
    """The argument and what it is compared with, of one type."""
    types = [*calls.argument_types([one, value], scope)]
    target = common_type(types)
    if target is None:
        message = f"WITHIN GROUP types {type_name(types[1])} and {type_name(types[0])} cannot be matched"
        raise scope.ctx.error("42804", message, value.location)
    target = 25 if target == UNKNOWN else target
    coerced = [casts.coerce(replace(item), target, -1, How.IMPLICIT, scope.ctx) for item in (one, value)]
    return coerced[0], coerced[1]


def _before(pairs: list[tuple[TypedSql, TypedSql]], sorts: list[dict[str, Any]], scope: Scope) -> str:
    """Whether a row sorts before the hypothetical one."""
    text = "0"
    for (one, value), sort in reversed(list(zip(pairs, sorts, strict=True))):
        descending = sort.get("sortby_dir") == "SORTBY_DESC"
        nulls = sort.get("sortby_nulls", "SORTBY_NULLS_DEFAULT")
        nulls_first = descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls == "SORTBY_NULLS_FIRST"
        less = operators.apply_operator(
            ">" if descending else "<", [replace(value), replace(one)], scope.ctx, value.location
        ).sql
        lone = f"{value.sql} IS NULL AND {one.sql} IS NOT NULL"
        other = f"{value.sql} IS NOT NULL AND {one.sql} IS NULL"
        text = (
            f"coalesce({less}, 0) OR ({lone if nulls_first else other}) "
            f"OR ({casts.collated(value)} IS {one.sql} AND ({text}))"
        )
    return text


def _dense(pairs: list[tuple[TypedSql, TypedSql]], condition: str) -> str:
    """The number of different rows before it, plus one."""
    if len(pairs) > 1:
        row = f"json_array({', '.join(value.sql for _, value in pairs)})"
        return f"(count(DISTINCT {row}) FILTER (WHERE {condition}) + 1)"
    value = pairs[0][1]
    nulls = f"coalesce(max({value.sql} IS NULL) FILTER (WHERE {condition}), 0)"
    return f"(count(DISTINCT {casts.collated(value)}) FILTER (WHERE {condition}) + {nulls} + 1)"
