"""Subqueries in expressions: EXISTS, IN, ANY, ALL, scalar and ARRAY subqueries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.sql import calls, casts, operators, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import array_of, common_type, element_of, type_name
from helios_cli.engine.sql.expressions import TRANSLATORS, translate
from helios_cli.engine.sql.oids import BOOL, INT4, UNKNOWN
from helios_cli.engine.sql.predicates import compare_rows, row_values
from helios_cli.engine.sql.query import Output, Query, Select
from helios_cli.engine.sql.row_order import gives_one_row
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.select import translate_query
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import TypedSql


def _sublink(fields: dict[str, Any], scope: Scope) -> TypedSql:
    handler = _KINDS.get(fields.get("subLinkType", ""))
    if handler is None:
        raise scope.ctx.unsupported("this kind of subquery", fields.get("location", 0))
    inner = scope.child()
    # A column of an outer grouped query is checked against its keys where it is named.
    select, error = fields["subselect"]["SelectStmt"], scope.ctx.constant_error
    query = translate_query(select, inner)
    if handler is _exists and _spares_outputs(select, query, scope):
        query.resolve_unknowns(scope.ctx)
        query.outputs, query.order_by = [Output("exists", TypedSql("1", INT4))], []
        scope.ctx.constant_error = error
    return handler(fields, query, scope)


def _exists(fields: dict[str, Any], query: Query, scope: Scope) -> TypedSql:
    query.resolve_unknowns(scope.ctx)
    return TypedSql(f"EXISTS ({query.render()})", BOOL, not_null=True, location=fields.get("location", 0))


def _spares_outputs(select: dict[str, Any], query: Query, scope: Scope) -> bool:
    """Whether what EXISTS selects need not be computed (simplify_EXISTS_query, subselect.c)."""
    shapes = ("groupClause", "havingClause", "distinctClause", "limitCount", "limitOffset")
    if not isinstance(query, Select) or any(name in select for name in shapes):
        return False
    return not calls.has_aggregate(select.get("targetList", []), scope)


def _scalar(fields: dict[str, Any], query: Query, scope: Scope) -> TypedSql:
    at = fields.get("location", 0)
    query.resolve_unknowns(scope.ctx)
    _one_column(query, scope, at)
    value = query.outputs[0].value
    if gives_one_row(query, scope):
        return TypedSql(f"({query.render()})", value.type_oid, value.typmod, location=at, shape=value.shape)
    inner = query.render(named=True)
    name = quote_identifier(query.names()[0])
    sql = _value_of_one_row(name, f"SELECT {name} FROM ({inner}) LIMIT 2")
    return TypedSql(sql, value.type_oid, value.typmod, location=at, shape=value.shape)


def of_one_row(column: str) -> str:
    """A column of the only row, over two rows at most; NULL without one. Several raise 21000 when it runs."""
    many = "pg_raise('21000', 'more than one row returned by a subquery used as an expression')"
    return f"CASE WHEN count(*) > 1 THEN {many} ELSE max({column}) END"


def _value_of_one_row(column: str, source: str) -> str:
    """The value of the only row. SQLite takes the first of several, PostgreSQL raises."""
    return f"(SELECT {of_one_row(column)} FROM ({source}))"


def compare_with_subquery(name: str, left: list[TypedSql], fields: dict[str, Any], scope: Scope, at: int) -> TypedSql:
    """``(a, b) op (SELECT c, d ...)``: NULL when the subquery gives no row.

    Raises:
        SqlError: 42601 the subquery has another number of columns; at run time 21000, it gives several rows.
    """
    query = translate_query(fields["subselect"]["SelectStmt"], scope.child())
    query.resolve_unknowns(scope.ctx)
    if len(query.outputs) != len(left):
        many = "few" if len(query.outputs) < len(left) else "many"
        raise scope.ctx.error("42601", f"subquery has too {many} columns", at)
    alias, columns = _columns_of(query, scope)
    test = compare_rows(name, left, columns, scope, at).sql
    source = f"SELECT {test} AS t FROM ({query.render(named=True)}) AS {quote_identifier(alias)} LIMIT 2"
    return TypedSql(_value_of_one_row("t", source), BOOL, location=at)


def _columns_of(query: Query, scope: Scope) -> tuple[str, list[TypedSql]]:
    """A name for a query as a FROM item, and its columns under that."""
    alias = scope.ctx.unique_alias("any_row")
    columns = [
        replace(output.value, sql=f"{quote_identifier(alias)}.{quote_identifier(column)}", raw="", simple=True)
        for output, column in zip(query.outputs, query.names(), strict=True)
    ]
    return alias, columns


def _one_column(query: Query, scope: Scope, at: int) -> None:
    if len(query.outputs) != 1:
        raise scope.ctx.error("42601", "subquery must return only one column", at)


def _any(fields: dict[str, Any], query: Query, scope: Scope) -> TypedSql:
    return _compare(fields, query, scope, every=False)


def _all(fields: dict[str, Any], query: Query, scope: Scope) -> TypedSql:
    return _compare(fields, query, scope, every=True)


def _compare(fields: dict[str, Any], query: Query, scope: Scope, *, every: bool) -> TypedSql:
    """``x op ANY/ALL (query)``; without operator it is IN."""
    at = fields.get("location", 0)
    name = tree.strings(fields["operName"])[-1] if "operName" in fields else "="
    query.resolve_unknowns(scope.ctx)
    test_node = fields["testexpr"]
    is_row = "RowExpr" in test_node
    subjects = row_values(test_node, scope) if is_row else [translate(test_node, scope)]
    if len(query.outputs) != len(subjects):
        many = "few" if len(query.outputs) < len(subjects) else "many"
        raise scope.ctx.error("42601", f"subquery has too {many} columns", at)
    if name == ("<>" if every else "=") and _match_columns(subjects, query, scope, at):
        texts = [casts.collated(value) for value in subjects]
        left = f"({', '.join(texts)})" if is_row else texts[0]
        word = "NOT IN" if every else "IN"
        sql = casts.neutral(f"({left} {word} ({query.render()}))", *(value.type_oid for value in subjects))
        return TypedSql(sql, BOOL, location=at)
    return _fold(name, subjects, query, scope, at, every)


def _match_columns(subjects: list[TypedSql], query: Query, scope: Scope, at: int) -> bool:
    """Give both sides of IN one type per column, when it is the one that "=" would compare."""
    targets = []
    for subject, output in zip(subjects, query.outputs, strict=True):
        left = scope.ctx.parameter_type(subject.param) if subject.param else subject.type_oid
        if is_row(left) and is_row(output.value.type_oid):
            return False
        found = operators.find_operator("=", (left, output.value.type_oid))
        if found is None:
            message = f"operator does not exist: {type_name(left)} = {type_name(output.value.type_oid)}"
            hint = "No operator matches the given name and argument types. You might need to add explicit type casts."
            raise scope.ctx.error("42883", message, at, hint=hint)
        target = output.value.type_oid if left == UNKNOWN else common_type([left, output.value.type_oid])
        if target is None or found.style != "compare":
            return False
        targets.append(target)
    for position, target in enumerate(targets):
        subjects[position] = casts.coerce(subjects[position], target, -1, How.IMPLICIT, scope.ctx)
        if query.outputs[position].value.type_oid != target:
            query.coerce(position, target, -1, How.IMPLICIT, scope.ctx)
    return True


def _fold(name: str, subjects: list[TypedSql], query: Query, scope: Scope, at: int, every: bool) -> TypedSql:
    """Three-valued OR (AND for ALL) of a comparison with every row."""
    alias, columns = _columns_of(query, scope)
    subjects = [replace(subject) for subject in subjects]
    if len(subjects) == 1:
        test = operators.apply_operator(name, [subjects[0], columns[0]], scope.ctx, at).sql
    else:
        test = compare_rows(name, subjects, columns, scope, at).sql
    pick, decided = ("min", 0) if every else ("max", 1)
    sql = (
        f"(SELECT CASE WHEN {pick}(t) = {decided} THEN {decided} WHEN count(*) > count(t) THEN NULL ELSE {1 - decided} "
        f"END FROM (SELECT {test} AS t FROM ({query.render(named=True)}) AS {quote_identifier(alias)}))"
    )
    return TypedSql(sql, BOOL, location=at)


def _array(fields: dict[str, Any], query: Query, scope: Scope) -> TypedSql:
    at = fields.get("location", 0)
    query.resolve_unknowns(scope.ctx)
    _one_column(query, scope, at)
    element = query.outputs[0].value.type_oid
    if element_of(element):
        name = quote_identifier(query.names()[0])
        sql = f"(SELECT pg_array_of_arrays({name}) FROM ({query.render(named=True)}))"
        return TypedSql(sql, element, query.outputs[0].value.typmod, not_null=True, location=at)
    if not array_of(element):
        raise scope.ctx.error("42704", f"could not find array type for data type {type_name(element)}", at)
    name = quote_identifier(query.names()[0])
    sql = f"(SELECT pg_array_collect({element}, {name}) FROM ({query.render(named=True)}))"
    return TypedSql(sql, array_of(element), query.outputs[0].value.typmod, not_null=True, location=at)


_KINDS: Final = {
    "EXISTS_SUBLINK": _exists,
    "EXPR_SUBLINK": _scalar,
    "ANY_SUBLINK": _any,
    "ALL_SUBLINK": _all,
    "ARRAY_SUBLINK": _array,
}

TRANSLATORS["SubLink"] = _sublink
