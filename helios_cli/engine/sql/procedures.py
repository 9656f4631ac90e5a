"""DO and CALL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import calls, tree
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.ddl_type_rights import LANGUAGES
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.finishing import finish_plan
from helios_cli.engine.sql.oids import VOID
from helios_cli.engine.sql.plan import Column, Kind, Plan
from helios_cli.engine.sql.resolution import bind_polymorphic
from helios_cli.engine.sql.rights import LanguageRight
from helios_cli.engine.sql.routine_programs import CallProcedure, DoBlock
from helios_cli.engine.sql.routines import Routine, UserFunction, text_makes_temporary
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import TypedSql
from helios_cli.engine.sql.user_calls import arranged, default_value


def plan_do(fields: dict[str, Any], ctx: Context) -> Plan:
    """Plan DO.

    Raises:
        SqlError: 42704 no such language, 0A000 a language without blocks.
    """
    options = {node["DefElem"]["defname"]: node["DefElem"]["arg"]["String"].get("sval", "") for node in fields["args"]}
    language = options.get("language", "plpgsql").lower()
    if language == "sql":
        raise SqlError('language "sql" does not support inline code execution', sqlstate="0A000")
    if language != "plpgsql":
        raise SqlError(f'language "{language}" does not exist', sqlstate="42704")
    if "as" not in options:
        raise SqlError("no inline code specified", sqlstate="42601")
    return Plan(
        Kind.WRITE, "DO", session_values=("pid",), volatile=True, counts_rows=False,
        rights=(LanguageRight(LANGUAGES[language], language),),
        catalog_version=ctx.catalog.version, routine=DoBlock(options["as"]),
        makes_temporary=text_makes_temporary(options["as"]),
    )  # fmt: skip


def plan_call(fields: dict[str, Any], ctx: Context) -> Plan:
    """Plan CALL: a query of one row gives the arguments.

    Raises:
        SqlError: 42883 no such procedure, 42809 a function.
    """
    call = fields["funccall"]
    names = tree.strings(call["funcname"])
    scope = Scope(ctx=ctx, clause="CALL arguments")
    procedure, arguments = _chosen(call, names, scope)
    routine = ctx.catalog.routine(procedure.oid)
    assert routine is not None
    values, _ = calls.coerce_arguments(procedure, arguments, scope, call.get("location", 0))
    for position in range(len(values), len(procedure.args)):
        values.append(default_value(procedure, position, scope))
    ctx.calls = True
    ctx.makes_temporary |= procedure.makes_temporary
    ctx.rights.executes(procedure.oid, procedure.name, procedure.owner, procedure.schema, "procedure")
    ctx.keep_session_value("pid")
    texts = [f"SELECT {', '.join(value.sql for value in values)}"] if values else []
    plan = finish_plan(Kind.WRITE, "CALL", texts, ctx)
    plan.routine = CallProcedure(procedure.oid, tuple(value.type_oid for value in values))
    plan.counts_rows, plan.volatile = False, True
    plan.columns = _columns(routine, bind_polymorphic(procedure.args, [value.type_oid for value in values]) or {})
    if ctx.variables is not None:
        plan.cache["call outputs"] = _written(call, routine)
    return plan


def _columns(routine: Routine, bindings: Mapping[int, int]) -> tuple[Column, ...] | None:
    if routine.result == VOID or not routine.outputs:
        return None
    return tuple(
        Column(argument.name or f"column{number}", bindings.get(argument.type_oid, argument.type_oid))
        for number, argument in enumerate(routine.outputs, 1)
    )


def _written(call: dict[str, Any], routine: Routine) -> tuple[str, ...]:
    """The variables that stand for output parameters, as written."""
    named = {}
    positional = []
    for node in call.get("args", []):
        part = node.get("NamedArgExpr")
        if part is not None:
            named[part["name"]] = part["arg"]
        else:
            positional.append(node)
    found = []
    for position, argument in enumerate(routine.arguments):
        given = positional[position] if position < len(positional) else named.get(argument.name)
        if argument.mode in ("o", "b") and given is not None:
            found.append(".".join(tree.strings(given["ColumnRef"]["fields"])) if "ColumnRef" in given else "")
    return tuple(found)


def _chosen(call: dict[str, Any], names: list[str], scope: Scope) -> tuple[UserFunction, list[TypedSql]]:
    at = call.get("location", 0)
    made = scope.ctx.catalog.functions(names[-2] if len(names) > 1 else None, names[-1])
    nodes = call.get("args", [])
    if call.get("func_variadic") or any("NamedArgExpr" in node for node in nodes):
        trimmed = {**call, "args": [node for node in nodes if not _is_output(node, nodes, made)]}
        return arranged(trimmed, names, scope, translate)
    for procedure in made:
        routine = scope.ctx.catalog.routine(procedure.oid)
        if routine is not None and any(argument.mode == "o" for argument in routine.arguments):
            # Arguments are given for output parameters too, and not used.
            everything = [a for a in routine.arguments if a.mode != "t"]
            left_out = everything[len(nodes) :]
            if len(nodes) <= len(everything) and all(a.default is not None for a in left_out if a.mode != "o"):
                if procedure.kind != "p":
                    given = calls.argument_types([translate(node, scope) for node in nodes], scope)
                    raise _not_procedure(scope, calls.shown_call(names, given), at)
                kept = [node for node, a in zip(nodes, everything, strict=False) if a.mode != "o"]
                return procedure, [translate(node, scope) for node in kept]
    arguments = [translate(node, scope) for node in nodes]
    found = calls.resolve(names, made, arguments, scope, at)
    given = calls.argument_types(arguments, scope)
    if found is None:
        shown = calls.shown_call(names, given)
        builtin = calls.resolve(names, calls.visible_overloads(names, scope), arguments, scope, at)
        if builtin is not None:
            raise _not_procedure(scope, shown, at)
        hint = "No procedure matches the given name and argument types. You might need to add explicit type casts."
        raise scope.ctx.error("42883", f"procedure {shown} does not exist", at, hint=hint)
    assert isinstance(found, UserFunction)
    if found.kind != "p":
        raise _not_procedure(scope, calls.shown_call(names, given), at)
    return found, arguments


def _not_procedure(scope: Scope, shown: str, at: int) -> SqlError:
    return scope.ctx.error("42809", f"{shown} is not a procedure", at, hint="To call a function, use SELECT.")


def _is_output(node: dict[str, Any], _nodes: list[Any], made: tuple[UserFunction, ...]) -> bool:
    part = node.get("NamedArgExpr")
    return part is not None and not any(part["name"] in procedure.names for procedure in made)
