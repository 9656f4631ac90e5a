"""Calls of users' functions: named arguments, defaults, VARIADIC arrays, and the text that runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.datatypes.composite import Field, Shape
from helios_cli.engine.sql import casts, row_values
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import array_of, can_coerce, type_name
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.function_columns import with_bound_columns
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.oids import (
    ANYARRAY,
    ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY,
    ANYELEMENT,
    POLYMORPHIC,
    RECORD,
    UNKNOWN,
)
from helios_cli.engine.sql.resolution import bind_polymorphic, choose
from helios_cli.engine.sql.routines import UserFunction
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node, TypedSql, changed
from helios_cli.engine.sql.typenames import resolve_type

Translate = Callable[[Node, Scope], TypedSql]


def check_callable(function: UserFunction, given: tuple[int, ...], scope: Scope, at: int) -> None:
    """Refuse what is no function to be called in an expression.

    Raises:
        SqlError: 42809 a procedure, 0A000 a trigger function.
    """
    if function.kind == "p":
        shown = f"{function.name}({', '.join(type_name(oid) for oid in given)})"
        hint = "To call a procedure, use CALL."
        raise scope.ctx.error("42809", f"{shown} is a procedure", at, hint=hint)
    if function.is_trigger:
        raise scope.ctx.error("0A000", "trigger functions can only be called as triggers", at)


def arranged(
    fields: dict[str, Any], names: list[str], scope: Scope, translate: Translate
) -> tuple[UserFunction, list[TypedSql]]:
    """The function of a call with named arguments or a VARIADIC array, and its arguments in order.

    Raises:
        SqlError: 42883 no function takes them; 42601 a positional argument behind a named one.
    """
    ctx, at = scope.ctx, fields.get("location", 0)
    positional: list[TypedSql] = []
    named: dict[str, TypedSql] = {}
    for node in fields.get("args", []):
        part = node.get("NamedArgExpr")
        if part is None:
            if named:
                raise ctx.error("42601", "positional argument cannot follow named argument", at)
            positional.append(translate(node, scope))
            continue
        if part["name"] in named:
            raise ctx.error("42601", f'argument name "{part["name"]}" used more than once', at)
        named[part["name"]] = translate(part["arg"], scope)
    made = ctx.catalog.functions(names[-2] if len(names) > 1 else None, names[-1])
    candidates = []
    for function in made:
        arguments = _in_order(function, positional, named, bool(fields.get("func_variadic")), scope)
        if arguments is not None:
            whole = function
            if fields.get("func_variadic") and function.variadic:
                args = *function.args[:-1], _array_of(function.args[-1])
                whole = replace(function, args=args, base_args=(), variadic=False)
            candidates.append((whole, arguments))
    given = [_given(value, scope) for value in positional] + [
        f"{name} => {_given(value, scope)}" for name, value in named.items()
    ]
    chosen = None
    if len(candidates) == 1:
        function, arguments = candidates[0]
        types = [scope.ctx.parameter_type(v.param) if v.param else v.type_oid for v in arguments]
        pairs, known = zip(types, function.base_args or function.args, strict=True), scope.ctx.catalog.casts()
        if all(source == UNKNOWN or can_coerce(source, target, How.IMPLICIT, known) for source, target in pairs):
            chosen = function
    elif candidates:
        by_types = [(found, found.base_args or found.args) for found, _ in candidates]
        chosen = choose(by_types, tuple(value.type_oid for value in candidates[0][1]))
    if chosen is None:
        hint = "No function matches the given name and argument types. You might need to add explicit type casts."
        raise ctx.error("42883", f"function {'.'.join(names)}({', '.join(given)}) does not exist", at, hint=hint)
    return chosen, next(arguments for function, arguments in candidates if function is chosen)


def _given(value: TypedSql, scope: Scope) -> str:
    return type_name(scope.ctx.parameter_type(value.param) if value.param else value.type_oid)


def _in_order(
    function: UserFunction, positional: list[TypedSql], named: dict[str, TypedSql], is_array: bool, scope: Scope
) -> list[TypedSql] | None:
    """All arguments of a function, defaults put in; None when it cannot be called so."""
    count = len(function.args)
    if (function.variadic and not is_array) or len(positional) + len(named) > count:
        return None
    if not set(named) <= set(function.names[len(positional) :]):
        return None
    first_default = count - len(function.default_texts)
    arguments = list(positional)
    for position in range(len(positional), count):
        name = function.names[position]
        if name in named:
            arguments.append(named[name])
        elif position >= first_default:
            arguments.append(default_value(function, position, scope))
        else:
            return None
    return arguments


def default_value(function: UserFunction, position: int, scope: Scope) -> TypedSql:
    """The default of a parameter, translated in place."""
    from helios_cli.engine.sql.expressions import translate
    from helios_cli.engine.sql.stored import parse_expression

    ctx = scope.ctx
    text = function.default_texts[position - (len(function.args) - len(function.default_texts))]
    lifted, source, encoded = ctx.lifted_at, ctx.source, ctx.encoded
    ctx.lifted_at, ctx.source, ctx.encoded = {}, "", b""
    try:
        value = translate(parse_expression(text), Scope(ctx=ctx, clause="DEFAULT"))
        if function.args[position] in POLYMORPHIC:
            # Its type is settled with those of the other arguments.
            return changed(value, type_oid=UNKNOWN) if value.type_oid in POLYMORPHIC else value
        return casts.coerce(value, function.args[position], -1, How.ASSIGNMENT, ctx)
    finally:
        ctx.lifted_at, ctx.source, ctx.encoded = lifted, source, encoded


def _array_of(element: int) -> int:
    """The type of a VARIADIC parameter by that of its elements."""
    return {ANYELEMENT: ANYARRAY, ANYCOMPATIBLE: ANYCOMPATIBLEARRAY}.get(element) or array_of(element)


ROW: Final = "row:"
"""Before the types of the arguments: the result is wanted as the literal of a row."""


COLUMNS: Final = "as:"
"""Before the types of the result's columns, where the statement gives them, and a semicolon."""


def with_columns(function: Function, nodes: list[Node], ctx: Context, at: int) -> Function:
    """A function in FROM with the columns that ``AS t(a int, b text)`` gives its records.

    Raises:
        SqlError: 42601, a record without a list of columns, or a list without a record.
    """
    is_record = isinstance(function, UserFunction) and function.result == RECORD and not function.columns
    if not nodes:
        if is_record:
            message = 'a column definition list is required for functions returning "record"'
            raise ctx.error("42601", message, at)
        return function
    if not is_record:
        message = 'a column definition list is only allowed for functions returning "record"'
        raise ctx.error("42601", message, at)
    columns = tuple(
        (node["ColumnDef"]["colname"], resolve_type(node["ColumnDef"]["typeName"], ctx)[0]) for node in nodes
    )
    listed = ",".join(str(oid) for _, oid in columns)
    sql = function.sql.replace("'{types}'", f"'{COLUMNS}{listed};{{types}}'")
    return replace(function, columns=columns, set_returning=True, rows=True, sql=sql)


def user_row(function: UserFunction, values: list[TypedSql], result: int, scope: Scope, at: int) -> TypedSql:
    """A call, in an expression, of a function whose result is one row."""
    sql = user_call(function, values, scope, ROW)
    columns = with_bound_columns(function, [value.type_oid for value in values]).columns
    fields = tuple(Field(name, type_oid, -1, row_values.type_shape(type_oid, scope.ctx)) for name, type_oid in columns)
    return TypedSql(sql, result, location=at, shape=Shape(result, fields))


def note_call(function: UserFunction, ctx: Context) -> None:
    """The statement calls a user's function: what the function may do, the statement may do."""
    ctx.volatile |= function.volatile
    ctx.effects += function.effects
    ctx.writes |= function.writes
    ctx.calls = True
    ctx.makes_temporary |= function.makes_temporary
    ctx.rights.executes(function.oid, function.name, function.owner, function.schema)


def user_call(function: UserFunction, values: list[TypedSql], scope: Scope, form: str = "") -> str:
    """The SQLite text of a call with converted arguments; a variadic one's last come one by one."""
    ctx = scope.ctx
    note_call(function, ctx)
    values = list(values)
    if not function.variadic and len(values) < len(function.args):
        values += [default_value(function, position, scope) for position in range(len(values), len(function.args))]
        bindings = bind_polymorphic(function.args, [value.type_oid for value in values]) or {}
        values = [
            casts.coerce(value, bindings.get(target, target), -1, How.IMPLICIT, ctx) if target in POLYMORPHIC else value
            for value, target in zip(values, function.args, strict=True)
        ]
    texts = [value.sql for value in values]
    types = [value.type_oid for value in values]
    if function.variadic:
        fixed = len(function.args) - 1
        element = types[fixed] if function.args[-1] in POLYMORPHIC and len(types) > fixed else function.args[-1]
        texts = [*texts[:fixed], f"pg_array({', '.join([str(element), *texts[fixed:]])})"]
        types = [*types[:fixed], array_of(element)]
    return function.sql.format(
        args=", ".join(texts),
        comma=", " if texts else "",
        session=", ".join(ctx.session_value(name) for name in function.session_values),
        types=form + ",".join(str(oid) for oid in types),
    )
