"""Function calls: scalar functions, aggregates and window functions."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes.range_types import subtype_of
from helios_cli.engine.datatypes.usertypes import pinned_function_oid
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import (
    builtin_arguments,
    casts,
    io_calls,
    json_records,
    operator_functions,
    row_values,
    session_texts,
    tree,
)
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, element_of, type_name
from helios_cli.engine.sql.expressions import TRANSLATORS, translate
from helios_cli.engine.sql.extensions import is_member_function
from helios_cli.engine.sql.function_columns import extracted, function_columns, with_bound_columns
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.oids import (
    ANYARRAY,
    ANYELEMENT,
    ANYMULTIRANGE,
    ANYNONARRAY,
    ANYRANGE,
    POLYMORPHIC,
    REGTYPE,
    UNKNOWN,
    VOID,
)
from helios_cli.engine.sql.operators import NEVER, never
from helios_cli.engine.sql.owners import owner_of
from helios_cli.engine.sql.resolution import Ambiguous, bind_polymorphic, choose_function, expand
from helios_cli.engine.sql.routines import UserFunction
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.type_calls import constructors, named_type
from helios_cli.engine.sql.type_pins import unpinned
from helios_cli.engine.sql.typed import Node, TypedSql, changed
from helios_cli.engine.sql.user_calls import arranged, check_callable, user_call, user_row
from helios_cli.engine.sql.user_casts import domain_of

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
        from helios_cli.engine.sql.aggregate_calls import aggregate_call

        return aggregate_call(fields, names, overloads, scope)
    if "over" in fields and overloads:
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
    if schema is not None and not is_member_function(names, scope.ctx.catalog.extensions()):
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
    # Several arguments of a variadic function are one array, which is not NULL.
    is_strict = function.strict and not (function.variadic and len(values) > 1)
    value = TypedSql(never(text) if is_strict and _some_null(values) else text, result, location=at)
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
    made = isinstance(function, UserFunction)
    if scope.pending_srf is None or (len(function.columns) > 1 and not made):
        where = f" in {scope.clause}" if scope.clause else " here"
        raise ctx.error("0A000", f"set-returning functions are not allowed{where}", at)
    if scope.no_sets_in:
        message = f"set-returning functions are not allowed in {scope.no_sets_in}"
        hint = "You might be able to move the set-returning function into a LATERAL FROM item."
        raise ctx.error("0A000", message, at, hint=hint)
    values, result = coerce_arguments(function, arguments, scope, at)
    alias = ctx.unique_alias(function.name)
    scope.pending_srf.append((alias, render_call(function, values, scope)))
    if made and function.rows:
        return _row_of_set(function, f'"{alias}".value', [value.type_oid for value in values], result, scope, at)
    return row_values.carry_shape(TypedSql(extracted(f'"{alias}".value', result), result, location=at), values, ctx)


def _row_of_set(function: Function, value: str, given: list[int], result: int, scope: Scope, at: int) -> TypedSql:
    """A row that a set has, as one value; NULL where the set has ended before another beside it."""
    bound = with_bound_columns(function, given)
    columns = function_columns(bound, result, value, function.name)
    row = row_values.make_row([column.value for column in columns], [column.name for column in columns], scope.ctx)
    shape = row_values.type_shape(result, scope.ctx) or row.shape
    return TypedSql(f"iif({value} IS NULL, NULL, {row.sql})", result, location=at, shape=shape)


def resolve(
    names: list[str], overloads: tuple[Function, ...], arguments: list[TypedSql], scope: Scope, at: int
) -> Function | None:
    """Choose the overload; None when none fits.

    Raises:
        SqlError: 42725 several.
    """
    given = argument_types(arguments, scope)
    try:
        return choose_function(overloads, given, scope.ctx.catalog.casts())
    except Ambiguous:
        hint = "Could not choose a best candidate function. You might need to add explicit type casts."
        raise scope.ctx.error("42725", f"function {shown_call(names, given)} is not unique", at, hint=hint) from None


def argument_types(arguments: list[TypedSql], scope: Scope) -> tuple[int, ...]:
    """Types of arguments, with those that parameters have taken meanwhile."""
    return tuple(scope.ctx.parameter_type(value.param) if value.param else value.type_oid for value in arguments)


def shown_call(names: list[str], given: tuple[int, ...]) -> str:
    """A call as messages show it: ``lower(integer)``."""
    return f"{'.'.join(names)}({', '.join(type_name(oid) for oid in given)})"


def missing_function(names: list[str], given: tuple[int, ...], scope: Scope, at: int) -> SqlError:
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
        behind = operator_functions.call(names[-1], arguments, given, scope.ctx, at) or io_calls.call(
            names[-1], arguments, given, scope.ctx, at
        )
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
                raise SqlError(message, sqlstate="42P18")
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


def range_type(values: list[TypedSql]) -> int:
    """The type of the first argument that is a range or a multirange; 0 for none."""
    return next((value.type_oid for value in values if subtype_of(value.type_oid)), 0)


_NEXT: Final = "nextval"
"""A volatile function that may be called again for one answer: PostgreSQL's sequences have gaps, too."""


def render_call(function: Function, values: list[TypedSql], scope: Scope) -> str:
    """The SQLite text of a call with converted arguments."""
    ctx = scope.ctx
    if isinstance(function, UserFunction):
        return user_call(function, values, scope)
    ctx.volatile |= function.volatile
    ctx.unrepeatable |= function.volatile and function.name != _NEXT
    ctx.effects += function.volatile
    ctx.asks_session |= function.stable
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
        range=range_type(values),
        over="",
    )


def has_aggregate(node: Any, scope: Scope) -> bool:
    """Whether a tree calls an aggregate of its own query level, that of ``scope``, or GROUPING()."""
    for part in own_calls(node):
        call = part.get("FuncCall")
        if call is None:
            if owner_of(part["GroupingFunc"], scope) is scope:
                return True
        elif "over" not in call and owner_of(call, scope) is scope:
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
    names = tree.strings(call["funcname"])
    return names[-1] in json_records.SETS or any(
        function.set_returning and not (isinstance(function, UserFunction) and not function.returns_set)
        for function in visible_overloads(names, scope)
    )


TRANSLATORS["FuncCall"] = _call
