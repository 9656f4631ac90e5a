"""Function calls: scalar functions, aggregates and window functions."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes.range_types import subtype_of
from helios_cli.engine.datatypes.usertypes import pinned_function_oid
from helios_cli.engine.sql import (
    builtin_arguments,
    casts,
    json_records,
    operator_functions,
    row_values,
    session_texts,
    tree,
)
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, element_of, type_name
from helios_cli.engine.sql.expressions import TRANSLATORS, expect_boolean, translate
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.grouping import canonical
from helios_cli.engine.sql.oids import (
    ANYARRAY,
    ANYELEMENT,
    ANYMULTIRANGE,
    ANYNONARRAY,
    ANYRANGE,
    INT8,
    POLYMORPHIC,
    REGTYPE,
    UNKNOWN,
    VOID,
)
from helios_cli.engine.sql.operators import NEVER, never
from helios_cli.engine.sql.ordering import sort_terms, sort_values
from helios_cli.engine.sql.resolution import Ambiguous, bind_polymorphic, choose_function, expand
from helios_cli.engine.sql.routines import UserFunction
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.type_calls import constructors, named_type
from helios_cli.engine.sql.type_pins import unpinned
from helios_cli.engine.sql.typed import Node, TypedSql, changed
from helios_cli.engine.sql.user_calls import arranged, check_callable, user_call, user_row
from helios_cli.engine.sql.user_casts import domain_of
from helios_cli.engine.sql.window_frames import frame_of

_AGGREGATES_ONLY: Final = (("agg_distinct", "DISTINCT"), ("agg_order", "ORDER BY"), ("agg_filter", "FILTER"))


def _call(fields: dict[str, Any], scope: Scope) -> TypedSql:
    names = tree.strings(fields["funcname"])
    if fields.get("func_variadic") or any("NamedArgExpr" in node for node in fields.get("args", ())):
        fields = builtin_arguments.positional(fields) or fields
        if fields.get("func_variadic") or any("NamedArgExpr" in node for node in fields.get("args", ())):
            return notated_call(fields, names, scope)
    overloads = visible_overloads(names, scope)
    names = unpinned(names, scope.ctx.catalog)
    if any(function.aggregate or function.window for function in overloads):
        return _aggregate_call(fields, names, overloads, scope)
    if "over" in fields:
        at = fields.get("location", 0)
        message = f"OVER specified, but {names[-1]} is not a window function nor an aggregate function"
        raise scope.ctx.error("42809", message, at)
    at = fields.get("location", 0)
    for key, words in _AGGREGATES_ONLY:
        if fields.get(key) and overloads:
            raise scope.ctx.error("42809", f"{words} specified, but {names[-1]} is not an aggregate function", at)
    arguments = call_arguments(fields, scope)
    if names[-1] == "pg_typeof" and len(arguments) == 1:
        domain = domain_of(fields["args"][0], arguments[0], scope.ctx)
        if domain:
            return TypedSql(f"({domain} + 0 * ({arguments[0].sql} IS NULL))", REGTYPE, location=at)
    if names[-1] in json_records.SCALARS:
        return json_records.translate_row(names[-1], arguments, scope, at)
    if names[-1] in ("row_to_json", "array_to_json") and arguments and row_values.is_made_of_rows(arguments[0]):
        return row_values.row_to_json(arguments, scope.ctx, at)
    return call_function(names, overloads, session_texts.for_call(names[-1], arguments, scope.ctx), scope, at)


def call_arguments(fields: dict[str, Any], scope: Scope) -> list[TypedSql]:
    """The arguments of a call, without parameters of type void: with those JDBC marks its OUT parameters."""
    type_of = scope.ctx.parameter_type
    if scope.ctx.variables is not None:
        # Inside a function $1 is one of its own parameters.
        return [translate(node, scope) for node in fields.get("args", [])]
    for node in fields.get("args", []):
        cast = node.get("TypeCast", {})
        if "ParamRef" in cast.get("arg", {}) and tree.strings(cast["typeName"]["names"])[-1] == "void":
            number = cast["arg"]["ParamRef"].get("number", 0)
            if type_of(number) == UNKNOWN:
                scope.ctx.set_parameter_type(number, VOID)
    references = [(node, node.get("TypeCast", {}).get("arg", node)) for node in fields.get("args", [])]
    return [
        translate(node, scope)
        for node, inner in references
        if "ParamRef" not in inner or type_of(inner["ParamRef"].get("number", 0)) != VOID
    ]


def notated_call(fields: dict[str, Any], names: list[str], scope: Scope) -> TypedSql:
    """A call with named arguments, or with an array for a VARIADIC parameter."""
    if fields.get("func_variadic") and not any("NamedArgExpr" in node for node in fields["args"]):
        overloads = visible_overloads(names, scope)
        if any(not isinstance(function, UserFunction) and function.variadic for function in overloads):
            spread = builtin_arguments.with_array(
                overloads, call_arguments(fields, scope), scope.ctx, fields.get("location", 0)
            )
            if spread is not None:
                return spread
    function, arguments = arranged(fields, names, scope, translate)
    at = fields.get("location", 0)
    if function.set_returning:
        return _set_returning(function, arguments, scope, at)
    values, result = coerce_arguments(function, arguments, scope, at)
    return TypedSql(render_call(function, values, scope), result, location=at)


def visible_overloads(names: list[str], scope: Scope) -> tuple[Function, ...]:
    """The overloads a possibly qualified name reaches."""
    found = scope.ctx.functions.candidates(names[-1])
    pinned = pinned_function_oid(names[-1])
    if pinned:
        routine = scope.ctx.catalog.routine(pinned)
        known = scope.ctx.catalog.functions(routine.schema, routine.name) if routine is not None else ()
        return tuple(function for function in known if function.oid == pinned)
    schema = names[-2] if len(names) > 1 else None
    if schema is not None:
        found = tuple(function for function in found if function.schema == schema)
    made: tuple[Function, ...] = (*scope.ctx.catalog.functions(schema, names[-1]), *constructors(schema, names, scope))
    return (*found, *made) if made else found


def call_function(
    names: list[str], overloads: tuple[Function, ...], arguments: list[TypedSql], scope: Scope, at: int
) -> TypedSql:
    """Translate a call of a scalar function over translated arguments."""
    function = None if _reads_literal(names, arguments, scope) else resolve(names, overloads, arguments, scope, at)
    if function is None:
        return _type_call(names, arguments, scope, at)
    if isinstance(function, UserFunction):
        check_callable(function, argument_types(arguments, scope), scope, at)
    if function.set_returning:
        return _set_returning(function, arguments, scope, at)
    values, result = coerce_arguments(function, arguments, scope, at)
    text = render_call(function, values, scope)
    value = TypedSql(never(text) if function.strict and _some_null(values) else text, result, location=at)
    return row_values.carry_shape(value, values, scope.ctx)


def _reads_literal(names: list[str], arguments: list[TypedSql], scope: Scope) -> bool:
    """Whether a call like ``point('1,2')`` is a literal of a type, which goes before functions of the same name."""
    if len(arguments) != 1 or argument_types(arguments, scope) != (UNKNOWN,):
        return False
    return named_type(names, scope) != 0


def _some_null(values: list[TypedSql]) -> bool:
    """Whether an argument is NULL whatever the row: PostgreSQL then plans no call of a strict function."""
    return any(value.sql == "NULL" or value.sql.startswith(NEVER) for value in values)


def _set_returning(function: Function, arguments: list[TypedSql], scope: Scope, at: int) -> TypedSql:
    """A set-returning function in the select list becomes one more FROM item."""
    ctx = scope.ctx
    if isinstance(function, UserFunction) and not function.returns_set:
        values, result = coerce_arguments(function, arguments, scope, at)
        return user_row(function, values, result, scope, at)
    if scope.pending_srf is None or len(function.columns) > 1:
        where = f" in {scope.clause}" if scope.clause else " here"
        raise ctx.error("0A000", f"set-returning functions are not allowed{where}", at)
    values, result = coerce_arguments(function, arguments, scope, at)
    alias = ctx.unique_alias(function.name)
    scope.pending_srf.append((alias, render_call(function, values, scope)))
    return row_values.carry_shape(TypedSql(f'"{alias}".value', result, location=at), values, ctx)


def resolve(
    names: list[str], overloads: tuple[Function, ...], arguments: list[TypedSql], scope: Scope, at: int
) -> Function | None:
    """Choose the overload; None when none fits.

    Raises:
        SqlError: 42725 several.
    """
    given = argument_types(arguments, scope)
    try:
        return choose_function(overloads, given)
    except Ambiguous:
        hint = "Could not choose a best candidate function. You might need to add explicit type casts."
        raise scope.ctx.error("42725", f"function {shown_call(names, given)} is not unique", at, hint=hint) from None


def argument_types(arguments: list[TypedSql], scope: Scope) -> tuple[int, ...]:
    """Types of arguments, with those that parameters have taken meanwhile."""
    return tuple(scope.ctx.parameter_type(value.param) if value.param else value.type_oid for value in arguments)


def shown_call(names: list[str], given: tuple[int, ...]) -> str:
    """A call as messages show it: ``lower(integer)``."""
    return f"{'.'.join(names)}({', '.join(type_name(oid) for oid in given)})"


def missing_function(names: list[str], given: tuple[int, ...], scope: Scope, at: int) -> Exception:
    """42883 for a call nothing fits."""
    hint = "No function matches the given name and argument types. You might need to add explicit type casts."
    return scope.ctx.error("42883", f"function {shown_call(names, given)} does not exist", at, hint=hint)


def _type_call(names: list[str], arguments: list[TypedSql], scope: Scope, at: int) -> TypedSql:
    """``typename(value)`` is a cast when no function of that name fits."""
    found = named_type(names, scope) if len(arguments) == 1 else 0
    if found:
        source = arguments[0].type_oid
        if source == UNKNOWN or can_coerce(source, found, How.EXPLICIT):
            return casts.explicit_cast(arguments[0], found, -1, scope.ctx, at)
    given = argument_types(arguments, scope)
    if len(names) == 1 or names[-2] == "pg_catalog":
        behind = operator_functions.call(names[-1], arguments, given, scope.ctx, at)
        if behind is not None:
            return behind
    raise missing_function(names, given, scope, at)


def coerce_arguments(
    function: Function, arguments: list[TypedSql], scope: Scope, at: int
) -> tuple[list[TypedSql], int]:
    """Arguments converted to the function's types, and the type of the result."""
    declared = expand(function, len(arguments))
    assert declared is not None
    given = argument_types(arguments, scope)
    bindings = bind_polymorphic(declared, given) or {}
    if _open_type(declared, given):
        message = "could not determine polymorphic type because input has type unknown"
        raise scope.ctx.error("42804", message)
    values = []
    for value, target in zip(arguments, declared, strict=True):
        actual = bindings.get(target, target)
        if target == 2276:
            if value.param and scope.ctx.parameter_type(value.param) == UNKNOWN:
                message = f"could not determine data type of parameter ${value.param}"
                raise scope.ctx.error("42P18", message, value.location)
            text = casts.to_text_if_unknown(value, scope.ctx)
            # "any" looks at the type that was given, and an untyped literal has none.
            bare = value.type_oid == UNKNOWN and not value.param
            if value.type_oid == UNKNOWN and value.param:
                scope.ctx.assumed.add(value.param)
            values.append(changed(text, type_oid=UNKNOWN) if bare else text)
        else:
            values.append(casts.coerce(value, actual, -1, How.IMPLICIT, scope.ctx))
    result = bindings.get(function.result, function.result)
    if function.result in POLYMORPHIC and not result:
        raise scope.ctx.error("42804", "could not determine polymorphic type", at)
    return values, result


_ONE_FAMILY: Final = (ANYELEMENT, ANYARRAY, ANYNONARRAY, ANYRANGE, ANYMULTIRANGE)


def _open_type(declared: tuple[int, ...], given: tuple[int, ...]) -> bool:
    """Whether the arguments that say what anyelement stands for are all untyped literals."""
    sources = [source for target, source in zip(declared, given, strict=True) if target in _ONE_FAMILY]
    return bool(sources) and all(source == UNKNOWN for source in sources)


def _range_type(values: list[TypedSql]) -> int:
    """The type of the first argument that is a range or a multirange; 0 for none."""
    return next((value.type_oid for value in values if subtype_of(value.type_oid)), 0)


def render_call(function: Function, values: list[TypedSql], scope: Scope) -> str:
    """The SQLite text of a call with converted arguments."""
    ctx = scope.ctx
    if isinstance(function, UserFunction):
        return user_call(function, values, scope)
    ctx.volatile |= function.volatile
    ctx.writes |= function.writes
    ctx.rights.calls(function.name)
    texts = [value.sql for value in values] + [function.default_sql] * (len(function.args) - len(values))
    session = [ctx.session_value(name) for name in function.session_values]
    if not function.sql:
        return f"{function.name}({', '.join(texts + session)})"
    return function.sql.format(
        *texts,
        args=", ".join(texts),
        session=", ".join(session),
        elem=next((element_of(value.type_oid) for value in values if element_of(value.type_oid)), 0),
        types=", ".join(str(value.type_oid) for value in values),
        range=_range_type(values),
        over="",
    )


# -- aggregates and window functions --------------------------------------------------------------


def _aggregate_call(
    fields: dict[str, Any], names: list[str], overloads: tuple[Function, ...], scope: Scope
) -> TypedSql:
    value = _aggregate_value(fields, names, overloads, scope)
    return value if "over" in fields or scope.grouping is None else scope.grouping.save(value)


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
        if len(scope.pending_srf or ()) > sets:
            kind = "aggregate" if over is None else "window"
            message = f"{kind} function calls cannot contain set-returning function calls"
            hint = "You might be able to move the set-returning function into a LATERAL FROM item."
            raise ctx.error("0A000", message, arguments[0].location, hint=hint)
        arguments = session_texts.for_call(names[-1], arguments, ctx)
        if fields.get("agg_distinct"):
            _check_distinct_order(fields, scope, at)
        order = sort_terms(fields.get("agg_order", []), scope)
        test = expect_boolean(fields["agg_filter"], scope, "FILTER") if "agg_filter" in fields else None
    finally:
        scope.in_aggregate = inside
    tail = f" FILTER (WHERE {test.sql})" if test is not None else ""
    if over is not None:
        tail += f" OVER {window(over, scope)}"
    if fields.get("agg_star"):
        return TypedSql(f"count(*){tail}", INT8, not_null=True, location=at)
    function = resolve(names, overloads, arguments, scope, at)
    if function is None:
        raise missing_function(names, argument_types(arguments, scope), scope, at)
    if function.window and over is None:
        raise ctx.error("42809", f"window function {names[-1]} requires an OVER clause", at)
    values, result = coerce_arguments(function, arguments, scope, at)
    if over is not None and test is not None:
        # SQLite computes the arguments of a window function for rows, too, that FILTER leaves out.
        values = [
            value if value.simple else changed(value, sql=f"CASE WHEN {test.sql} THEN {value.sql} END")
            for value in values
        ]
    sql = _aggregate_sql(function, values, order, bool(fields.get("agg_distinct")), tail, scope, at)
    value = TypedSql(sql, result, not_null=function.name == "count", location=at)
    return row_values.carry_shape(value, values, ctx)


def _aggregate_sql(
    function: Function, values: list[TypedSql], order: str, distinct: bool, tail: str, scope: Scope, at: int
) -> str:
    texts = [casts.collated(value) if function.aggregate else value.sql for value in values]
    if distinct:
        if not order and function.name in _IN_ORDER:
            order = f"{texts[0]} NULLS LAST"
        if len(texts) > 1 and function.name == "string_agg":
            return f"pg_json_join(json_group_array(DISTINCT {texts[0]} ORDER BY {order}){tail}, {values[1].sql})"
        if len(texts) > 1:
            raise scope.ctx.unsupported(f"DISTINCT in {function.name} with several arguments", at)
        texts[0] = f"DISTINCT {texts[0]}"
    if order and texts:
        texts[-1] = f"{texts[-1]} ORDER BY {order}"
    texts += ["NULL"] * (len(function.args) - len(values)) if not order else []
    template = function.sql or f"{function.name}({{args}})"
    session = ", ".join(scope.ctx.session_value(name) for name in function.session_values)
    element = values[0].type_oid if values else 0
    placed = "{over}" in template
    types = ", ".join(str(value.type_oid) for value in values)
    text = template.format(
        *texts, args=", ".join(texts), session=session, elem=element, types=types, over=tail if placed else "",
        range=_range_type(values),
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


_IN_ORDER: Final = ("array_agg", "json_agg", "jsonb_agg", "string_agg")
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
        if definition.get("partitionClause"):
            values = [translate(node, scope) for node in definition["partitionClause"]]
            parts.append("PARTITION BY " + ", ".join(casts.collated(value) for value in values))
        order, sorts = sort_values(definition.get("orderClause", []), scope)
        frame = frame_of(definition, order, sorts, scope)
    finally:
        scope.windows_allowed = windows_before
    if frame.order:
        parts.append(f"ORDER BY {frame.order}")
    if frame.text:
        parts.append(frame.text)
    return f"({' '.join(parts)})"


HYPOTHETICAL: Final = frozenset(("rank", "dense_rank", "percent_rank", "cume_dist"))
"""Window functions that are aggregates too, WITHIN GROUP."""


def has_aggregate(node: Any, scope: Scope) -> bool:
    """Whether a tree calls an aggregate of its own query level, or GROUPING()."""
    for part in own_calls(node):
        call = part.get("FuncCall")
        if call is None:
            return True
        if "over" not in call:
            overloads = visible_overloads(tree.strings(call["funcname"]), scope)
            if any(function.aggregate for function in overloads) or call.get("agg_within_group"):
                return True
    return False


def own_calls(node: Any) -> list[Node]:
    """The FuncCall and GroupingFunc nodes of a tree that belong to its own query level, itself included."""
    pending, found = [node], []
    while pending:
        item = pending.pop()
        if type(item) is list:
            pending += item
        elif type(item) is dict and _ENDS.isdisjoint(item):
            if "FuncCall" in item or "GroupingFunc" in item:
                found.append(item)
            for value in item.values():
                if type(value) is dict or type(value) is list:
                    pending.append(value)
    return found


_ENDS: Final = frozenset(("SubLink", "SelectStmt", "ColumnRef", "A_Const", "String", "TypeName", "ParamRef"))
"""Nodes of another query level, and those without a call in them."""


def is_set_returning(node: Node, scope: Scope) -> bool:
    """Whether a node is a call of a set-returning function."""
    call = node.get("FuncCall")
    if not isinstance(call, dict) or "funcname" not in call:
        return False
    return any(
        function.set_returning and not (isinstance(function, UserFunction) and not function.returns_set)
        for function in visible_overloads(tree.strings(call["funcname"]), scope)
    )


TRANSLATORS["FuncCall"] = _call
