"""Translate one PostgreSQL expression tree into SQLite text with its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import casts, constants, long_calls, operators, row_values, sqltext, tree, vectors
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import array_of, can_coerce, common_type, element_of, type_name
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.function_spec import FunctionRegistry
from helios_cli.engine.sql.oids import BIT, BOOL, INT4, INT8, JSON, NUMERIC, TEXT, UNKNOWN
from helios_cli.engine.sql.relation import CatalogReader, Relation
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.system_columns import system_column
from helios_cli.engine.sql.text_collations import Collation, check_available, is_collatable, joint
from helios_cli.engine.sql.typed import Node, TypedSql, changed, common_typmod, relocated
from helios_cli.engine.sql.typenames import resolve_type

Translator = Callable[[dict[str, Any], Scope], TypedSql]


def translate(node: Node, scope: Scope) -> TypedSql:
    """Translate an expression; names are resolved in ``scope``.

    Raises:
        SqlError: PostgreSQL's own error (42703, 42883, ...) or 0A000 for what has no translation.
    """
    if scope.grouping is not None and not scope.in_aggregate:
        known = scope.grouping.match(node, scope)
        if known is not None:
            return known
    kind = tree.tag(node)
    translator = TRANSLATORS.get(kind)
    if kind == "SetToDefault":
        raise scope.ctx.error("42601", "DEFAULT is not allowed in this context", tree.location(node))
    if translator is None:
        raise scope.ctx.unsupported(_SHOWN.get(kind, kind), tree.location(node))
    return _with_collation(translator, kind, node[kind], scope)


def _with_collation(translator: Translator, kind: str, fields: dict[str, Any], scope: Scope) -> TypedSql:
    """A text has the collation of what it is made from, unless it says its own."""
    made_from: list[TypedSql] = []
    outer = scope.ctx.made_from
    scope.ctx.made_from = made_from
    try:
        value = constants.folded(kind, fields, scope, translator)
    finally:
        scope.ctx.made_from = outer
    if made_from and kind != "SubLink" and not value.collation and is_collatable(value.type_oid):
        value.collation, value.explicit = joint(made_from)
    if value.collation:
        outer.append(value)
    return value


_SHOWN: Final = {
    "GroupingFunc": "GROUPING",
    "CurrentOfExpr": "WHERE CURRENT OF",
    "JsonObjectConstructor": "JSON_OBJECT",
    "NamedArgExpr": "a named argument",
}


# -- constants, parameters, columns ---------------------------------------------------------------


def _constant(fields: dict[str, Any], scope: Scope) -> TypedSql:
    ctx, at = scope.ctx, fields.get("location", 0)
    value = tree.const_value(fields)
    if value is None:
        return TypedSql("NULL", UNKNOWN, simple=True, location=at)
    if isinstance(value, bool):
        return TypedSql("1" if value else "0", BOOL, not_null=True, simple=True, location=at)
    if "bsval" in fields:
        text = str(registry.by_oid(BIT).parse_text(str(value)))
        return TypedSql(sqltext.quote_string(text), BIT, not_null=True, simple=True, location=at)
    if isinstance(value, str) and "sval" in fields:
        return _string(value, ctx, at)
    return _number(value, ctx, at)


def _string(value: str, ctx: Context, at: int) -> TypedSql:
    index = ctx.literal_at(at, value)
    if index >= 0:
        sql = ctx.literal_sql(index, TEXT)
        return TypedSql(sql, UNKNOWN, not_null=True, simple=True, literal=index, location=at)
    return TypedSql(sqltext.quote_string(value), UNKNOWN, not_null=True, simple=True, value=value, location=at)


def _number(value: int | str, ctx: Context, at: int) -> TypedSql:
    """A numeric constant; the parser has folded a minus sign into it and points at the sign."""
    negative = str(value).startswith("-")
    digits: int | str = (abs(value) if isinstance(value, int) else value[1:]) if negative else value
    oid = number_type(value)
    index = ctx.literal_at(_digits_at(ctx, at) if negative else at, digits)
    if index >= 0:
        sql = ctx.literal_sql(index, oid, negative)
        if negative and oid == NUMERIC:
            sql = f"pg_numeric_negate({ctx.literal_sql(index, oid)})"
            return TypedSql(sql, oid, not_null=True, simple=True, location=at)
        return TypedSql(sql, oid, not_null=True, simple=True, literal=index, location=at)
    shown = value if isinstance(value, int) or oid == NUMERIC else int(value)
    if oid == NUMERIC:
        shown = registry.by_oid(NUMERIC).parse_text(str(value))
    return TypedSql(sqltext.constant(shown), oid, not_null=True, simple=True, value=str(value), location=at)


def _digits_at(ctx: Context, at: int) -> int:
    """The offset of the first lifted literal after a minus sign, where only spaces stand between; else -1."""
    source = ctx.encoded
    after = at + 1
    while after < len(source) and source[after : after + 1].isspace():
        after += 1
    return after


def number_type(value: int | str) -> int:
    """The type of a numeric constant: the smallest of integer, bigint, numeric that holds it."""
    if isinstance(value, str):
        if not value.lstrip("-").isdigit():
            return NUMERIC
        value = int(value)
    if -(2**31) <= value < 2**31:
        return INT4
    return INT8 if -(2**63) <= value < 2**63 else NUMERIC


def _parameter(fields: dict[str, Any], scope: Scope) -> TypedSql:
    ctx, number, at = scope.ctx, fields["number"], fields.get("location", 0)
    if ctx.variables is not None:
        return _variable([f"${number}"], scope, at) or _no_parameter(number, ctx, at)
    if not ctx.parameters_allowed:
        return _no_parameter(number, ctx, at)
    oid = ctx.parameter_type(number)
    ctx.assumed.discard(number)
    if oid == UNKNOWN:
        return TypedSql(f"?{number}", oid, simple=True, param=number, location=at)
    return casts.typed_parameter(number, oid, at, ctx)


def _no_parameter(number: int, ctx: Context, at: int) -> TypedSql:
    raise ctx.error("42P02", f"there is no parameter ${number}", at)


def _variable(names: list[str], scope: Scope, at: int) -> TypedSql | None:
    """A variable of the function around the statement; None when the name is none's, or a column's too that wins.

    Raises:
        SqlError: 42702, it is both and nothing says which one is meant.
    """
    ctx = scope.ctx
    found = ctx.variable(names)
    if found is None:
        whole = ctx.variable(names[:-1]) if len(names) > 1 else None
        if whole is None or not is_row(whole[1]) or scope.has_column(names, at):
            return None
        return row_values.field(casts.typed_parameter(*whole, at, ctx), names[-1], ctx, at)
    wins = ctx.variables.column_wins
    if wins is not False and scope.has_column(names, at):
        if wins:
            return None
        detail = "It could refer to either a PL/pgSQL variable or a table column."
        raise ctx.error("42702", f'column reference "{".".join(names)}" is ambiguous', at, detail=detail)
    return casts.typed_parameter(*found, at, ctx)


def _column(fields: dict[str, Any], scope: Scope) -> TypedSql:
    at, parts = fields.get("location", 0), fields["fields"]
    if "A_Star" in parts[-1]:
        if len(parts) == 1:
            raise scope.ctx.error("42601", 'row expansion via "*" is not supported here', at)
        return row_values.whole_row(*scope.find_item(tree.strings(parts[:-1]), at), at)
    names = tree.strings(parts)
    if scope.ctx.variables is not None:
        variable = _variable(names, scope, at)
        if variable is not None:
            return variable
    if len(names) > 1:
        return system_column(names[-1], names[:-1], scope, at) or scope.qualified(names[:-1], names[-1], at)
    found = scope.find_column(names[0], at)
    if found is None:
        found = system_column(names[0], [], scope, at)
        if found is None and scope.has_item(names[0]):
            return row_values.whole_row(*scope.find_item(names, at), at)
    return found if found is not None else scope.column(names[0], at)


# -- casts, boolean logic, tests ------------------------------------------------------------------


def _cast(fields: dict[str, Any], scope: Scope) -> TypedSql:
    ctx = scope.ctx
    target, typmod = resolve_type(fields["typeName"], ctx)
    if "A_ArrayExpr" in fields["arg"] and element_of(target):
        value = array_constructor(fields["arg"]["A_ArrayExpr"], scope, element_of(target))
    elif "A_ArrayExpr" in fields["arg"] and vectors.is_vector(target):
        value = vectors.constructed(fields["arg"]["A_ArrayExpr"], target, scope)
    else:
        value = translate(fields["arg"], scope)
    at = fields.get("location", value.location)
    return relocated(casts.explicit_cast(value, target, typmod, ctx, at), value.location)


_JOINED_MAX: Final = 100


def _boolean(fields: dict[str, Any], scope: Scope) -> TypedSql:
    kind = fields["boolop"]
    word = {"AND_EXPR": "AND", "OR_EXPR": "OR", "NOT_EXPR": "NOT"}[kind]
    values = [casts.to_boolean(translate(node, scope), word, scope.ctx) for node in fields["args"]]
    not_null = all(value.not_null for value in values)
    sql = f"(NOT {values[0].sql})" if word == "NOT" else balanced([value.sql for value in values], word)
    return TypedSql(sql, BOOL, not_null=not_null, location=fields.get("location", 0))


def balanced(texts: list[str], word: str) -> str:
    """Conditions joined by AND or OR, nested evenly when they are many: SQLite allows a depth of 1000."""
    while len(texts) > _JOINED_MAX:
        groups = [texts[at : at + _JOINED_MAX] for at in range(0, len(texts), _JOINED_MAX)]
        texts = [f"({f' {word} '.join(group)})" for group in groups]
    return f"({f' {word} '.join(texts)})"


def _null_test(fields: dict[str, Any], scope: Scope) -> TypedSql:
    word = "IS NULL" if fields.get("nulltesttype", "IS_NULL") == "IS_NULL" else "IS NOT NULL"
    if "RowExpr" in fields["arg"]:
        # Comparisons are translated by a module that needs this one.
        from helios_cli.engine.sql.predicates import row_values as fields_of_row

        tests = [f"{value.sql} {word}" for value in fields_of_row(fields["arg"], scope)]
        return TypedSql(f"({' AND '.join(tests) or '1'})", BOOL, not_null=True, location=fields.get("location", 0))
    # What is compared with nothing takes no type: a parameter has that of its other places.
    value = translate(fields["arg"], scope)
    test = row_values.is_null(value, word) if is_row(value.type_oid) else f"({value.sql} {word})"
    return TypedSql(test, BOOL, not_null=True, location=fields.get("location", 0))


_BOOLEAN_TESTS: Final = {
    "IS_TRUE": "IS 1",
    "IS_NOT_TRUE": "IS NOT 1",
    "IS_FALSE": "IS 0",
    "IS_NOT_FALSE": "IS NOT 0",
    "IS_UNKNOWN": "IS NULL",
    "IS_NOT_UNKNOWN": "IS NOT NULL",
}


def _boolean_test(fields: dict[str, Any], scope: Scope) -> TypedSql:
    kind = fields.get("booltesttype", "IS_TRUE")
    value = casts.to_boolean(translate(fields["arg"], scope), kind.replace("_", " "), scope.ctx)
    return TypedSql(f"({value.sql} {_BOOLEAN_TESTS[kind]})", BOOL, not_null=True, location=fields.get("location", 0))


# -- expressions that settle on one type ----------------------------------------------------------


def unify(values: list[TypedSql], what: str, scope: Scope, extra: int = UNKNOWN) -> tuple[list[TypedSql], int]:
    """Convert values to their common type. ``what`` names the construct in the error.

    Raises:
        SqlError: 42804 ``CASE types integer and text cannot be matched``.
    """
    ctx = scope.ctx
    types = [ctx.parameter_type(value.param) if value.param else value.type_oid for value in values]
    target = common_type([*types, extra])
    if target is None:
        first = next(oid for oid in types if oid != UNKNOWN)
        other = next(
            value
            for value, oid in zip(values, types, strict=True)
            if oid != UNKNOWN and common_type([first, oid]) is None
        )
        message = f"{what} types {type_name(first)} and {type_name(other.type_oid)} cannot be matched"
        raise ctx.error("42804", message, other.location)
    for value, oid in zip(values, types, strict=True):
        if not can_coerce(oid, target):
            raise ctx.error(
                "42846", f"{what} could not convert type {type_name(oid)} to {type_name(target)}", value.location
            )
    return [casts.coerce(value, target, -1, How.IMPLICIT, ctx) for value in values], target


def _without_sets(word: str, translator: Translator) -> Translator:
    """A construct in which no set-returning function may be called. Raises SqlError 0A000 for one."""

    def translated(fields: dict[str, Any], scope: Scope) -> TypedSql:
        before, scope.no_sets_in = scope.no_sets_in, word
        try:
            return translator(fields, scope)
        finally:
            scope.no_sets_in = before

    return translated


def _case(fields: dict[str, Any], scope: Scope) -> TypedSql:
    conditions: list[str] = []
    results: list[TypedSql] = []
    subject = translate(fields["arg"], scope) if "arg" in fields else None
    for branch in fields["args"]:
        when = branch["CaseWhen"]
        condition = translate(when["expr"], scope)
        if subject is not None:
            at = when.get("location", 0)
            condition = operators.apply_operator("=", [changed(subject), condition], scope.ctx, at)
        conditions.append(casts.to_boolean(condition, "CASE/WHEN", scope.ctx).sql)
        results.append(translate(when["result"], scope))
    default = translate(fields["defresult"], scope) if "defresult" in fields else TypedSql("NULL", UNKNOWN)
    # PostgreSQL looks at the default first when it settles the type.
    unified, target = unify([default, *results], "CASE", scope)
    branches = [f"WHEN {test} THEN {value.sql}" for test, value in zip(conditions, unified[1:], strict=True)]
    sql = f"CASE {' '.join(branches)} ELSE {unified[0].sql} END"
    not_null = all(value.not_null for value in unified)
    typmod = common_typmod(unified)
    return TypedSql(sql, target, typmod, not_null=not_null, location=fields.get("location", 0))


def _coalesce(fields: dict[str, Any], scope: Scope) -> TypedSql:
    values, target = unify([translate(node, scope) for node in fields["args"]], "COALESCE", scope)
    sql = long_calls.coalesce([value.sql for value in values])
    not_null = any(value.not_null for value in values)
    return TypedSql(sql, target, common_typmod(values), not_null=not_null, location=fields.get("location", 0))


_STORED_MAX: Final = 6


def _min_max_without_query(name: str, values: list[TypedSql]) -> str:
    """LEAST or GREATEST where SQLite takes no subquery: CHECK, indexes, generated columns."""
    first, *rest = values
    sql = first.sql
    for value in rest:
        left = casts.collated(changed(first, sql=sql))
        sql = f"coalesce({name}({left}, {value.sql}), {sql}, {value.sql})"
    return sql


def _min_max(fields: dict[str, Any], scope: Scope) -> TypedSql:
    least = fields.get("op") == "IS_LEAST"
    values, target = unify([translate(node, scope) for node in fields["args"]], "LEAST" if least else "GREATEST", scope)
    if target == JSON:
        raise scope.ctx.error("42883", "could not identify a comparison function for type json")
    # SQLite's scalar min() and max() give NULL if any argument is; PostgreSQL's skip NULLs.
    rows = " UNION ALL ".join(f"SELECT {casts.collated(value)} AS v" for value in values)
    made = TypedSql("v", target)
    made.collation, made.explicit = joint(values)
    order = casts.collated(made)
    if all(value.not_null for value in values) and order == "v" and len(values) > 1:
        sql = long_calls.extreme("min" if least else "max", [value.sql for value in values])
    elif scope.ctx.takes_no_query and len(values) <= _STORED_MAX:
        sql = _min_max_without_query("min" if least else "max", values)
    else:
        direction = "ASC" if least else "DESC"
        sql = f"(SELECT v FROM ({rows}) WHERE v IS NOT NULL ORDER BY {order} {direction} LIMIT 1)"
    return TypedSql(sql, target, common_typmod(values), location=fields.get("location", 0))


def array_constructor(fields: dict[str, Any], scope: Scope, element: int = UNKNOWN) -> TypedSql:
    """``ARRAY[...]``; with ``element`` the elements are read as that type.

    Raises:
        SqlError: 42P18 for an empty array without a type.
    """
    at, nodes = fields.get("location", 0), fields.get("elements", [])
    if not nodes and element == UNKNOWN:
        hint = "Explicitly cast to the desired type, for example ARRAY[]::integer[]."
        raise scope.ctx.error("42P18", "cannot determine type of empty array", at, hint=hint)
    if any("A_ArrayExpr" in node for node in nodes):
        values = _rows_of_array(nodes, scope, element)
        inner = values[0].type_oid
        sql = long_calls.array_of_arrays([value.sql for value in values])
        return TypedSql(sql, inner, not_null=True, location=at)
    values = [translate(node, scope) for node in nodes]
    if element != UNKNOWN:
        if array_of(element) and any(element_of(value.type_oid) for value in values):
            element = array_of(element)
        values = [casts.explicit_cast(value, element, -1, scope.ctx, at) for value in values]
        target = element
    else:
        values, target = unify(values, "ARRAY", scope)
    if element_of(target):
        sql = long_calls.array_of_arrays([value.sql for value in values])
        nested = TypedSql(sql, target, not_null=True, location=at)
        return row_values.carry_shape(nested, values, scope.ctx)
    if not array_of(target):
        raise scope.ctx.error("42704", f"could not find array type for data type {type_name(target)}", at)
    sql = long_calls.array(target, [value.sql for value in values])
    typmod = common_typmod(values) if values else -1
    made = TypedSql(sql, array_of(target), typmod, not_null=True, location=at)
    return row_values.carry_shape(made, values, scope.ctx)


def _rows_of_array(nodes: list[Node], scope: Scope, element: int) -> list[TypedSql]:
    """The elements of an ARRAY of which one is an ARRAY itself: the others are read as arrays of its type."""
    made = [array_constructor(node["A_ArrayExpr"], scope, element) if "A_ArrayExpr" in node else None for node in nodes]
    target = next(value.type_oid for value in made if value is not None)
    return [
        value if value is not None else casts.explicit_cast(translate(node, scope), target, -1, scope.ctx, -1)
        for node, value in zip(nodes, made, strict=True)
    ]


def _collate(fields: dict[str, Any], scope: Scope) -> TypedSql:
    value = casts.to_text_if_unknown(translate(fields["arg"], scope), scope.ctx)
    at = fields.get("location", 0)
    if not is_collatable(value.type_oid):
        raise scope.ctx.error("42804", f"collations are not supported by type {type_name(value.type_oid)}", at)
    word = find_collation(tree.strings(fields["collname"]), scope.ctx, at).word
    return changed(value, table_oid=0, attnum=0, collation=word, explicit=True)


def find_collation(names: list[str], ctx: Context, at: int = -1) -> Collation:
    """The collation that a COLLATE clause names.

    Raises:
        SqlError: 42704 there is none; 0A000 it needs a package that is not installed.
    """
    found = ctx.catalog.collation(names[-2] if len(names) > 1 else None, names[-1])
    if found is None:
        raise ctx.error("42704", f'collation "{".".join(names)}" for encoding "UTF8" does not exist', at)
    check_available(found)
    return found


def expect_boolean(node: Node, scope: Scope, clause: str) -> TypedSql:
    """Translate a condition of a clause (WHERE, HAVING, JOIN/ON ...)."""
    before, scope.clause = scope.clause, clause
    try:
        return casts.to_boolean(translate(node, scope), clause, scope.ctx)
    finally:
        scope.clause = before


TRANSLATORS: dict[str, Translator] = {
    "A_Const": _constant,
    "ParamRef": _parameter,
    "ColumnRef": _column,
    "TypeCast": _cast,
    "BoolExpr": _boolean,
    "NullTest": _null_test,
    "BooleanTest": _boolean_test,
    "CaseExpr": _without_sets("CASE", _case),
    "CoalesceExpr": _without_sets("COALESCE", _coalesce),
    "MinMaxExpr": _min_max,
    "A_ArrayExpr": array_constructor,
    "CollateClause": _collate,
}
"""By node type. ``predicates``, ``calls`` and ``sublinks`` add theirs when ``engine.sql.planner`` is imported."""


def translate_for_column(
    node: Node,
    relation: Relation | None,
    *,
    catalog: CatalogReader,
    functions: FunctionRegistry,
    type_oid: int | None = None,
    typmod: int = -1,
    purpose: str = "CHECK",
    source: str = "",
    session: list[str] | None = None,
) -> TypedSql:
    """Translate an expression for use inside SQLite's own DDL; see ``stored.translate_for_column``."""
    # The modules that translate calls and subqueries need this one first.
    from helios_cli.engine.sql import stored, translators

    assert translators.MODULES
    return stored.translate_for_column(
        node, relation, catalog=catalog, functions=functions, type_oid=type_oid, typmod=typmod, purpose=purpose,
        source=source, session=session,
    )  # fmt: skip


__all__ = ["TRANSLATORS", "SqlError", "expect_boolean", "number_type", "translate", "translate_for_column", "unify"]
