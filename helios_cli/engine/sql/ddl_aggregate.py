"""CREATE AGGREGATE."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import kind_of
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.behind import Behind, check_executable, fitting, same_form
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.ddl_build import Builder, list_names, unsupported
from helios_cli.engine.sql.ddl_function import TABLES, argument_type, creation_schema, find_same, store
from helios_cli.engine.sql.ddl_ownership import function_defaults
from helios_cli.engine.sql.ddl_type_rights import check_types
from helios_cli.engine.sql.oids import POLYMORPHIC
from helios_cli.engine.sql.plan import Plan, Warned
from helios_cli.engine.sql.rights import not_owner
from helios_cli.engine.sql.routines import AggregateParts, Argument, Routine

_SPELLINGS: Final = {"sfunc1": "sfunc", "stype1": "stype", "initcond1": "initcond"}
_KNOWN: Final = frozenset(
    ("sfunc", "stype", "initcond", "finalfunc", "finalfunc_extra", "finalfunc_modify", "basetype", "parallel",
     "sspace", "combinefunc", "sortop", "hypothetical", "serialfunc", "deserialfunc", "msfunc", "minvfunc", "mstype",
     "msspace", "mfinalfunc", "mfinalfunc_extra", "mfinalfunc_modify", "minitcond")
)  # fmt: skip
_REFUSED: Final = (
    "hypothetical", "serialfunc", "deserialfunc", "msfunc", "minvfunc", "mstype", "mfinalfunc", "minitcond",
)  # fmt: skip
_MODIFY: Final = {"read_only": "r", "shareable": "s", "read_write": "w"}


def create_aggregate(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE [OR REPLACE] AGGREGATE.

    Raises:
        SqlError: PostgreSQL's own; 0A000 for what only speeds it up, and for ordered-set aggregates.
    """
    names = tree.strings(fields["defnames"])
    schema = creation_schema(builder, names)
    given = _given(builder, fields.get("definition", []))
    _check_given(builder, given, bool(fields.get("oldstyle")))
    arguments = _arguments(builder, fields, given)
    state = argument_type(builder, given["stype"]["TypeName"])
    _check_state(builder, state, arguments)
    routine = Routine(
        0, schema, names[-1], builder.catalog.acting.oid, "a", "internal", arguments, state, volatility="i",
        body="aggregate_dummy", cost=1,
    )  # fmt: skip
    if "parallel" in given:
        routine.parallel = _word(given["parallel"])[:1]
    routine.aggregate = _parts(builder, routine, given, state)
    check_types(builder, *(argument.type_oid for argument in arguments), state, routine.result)
    existing = find_same(builder, routine)
    if existing is not None:
        _check_replace(builder, routine, existing, bool(fields.get("replace")))
        routine.oid, routine.owner = existing.oid, existing.owner
    else:
        routine.oid = builder.oid(temp=False)
    builder.touch(False)
    builder.add(*TABLES, store(routine))
    if existing is None:
        builder.add(*function_defaults(builder, routine.oid, schema))
    return builder.finish("CREATE AGGREGATE")


def _given(builder: Builder, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for node in nodes:
        element = node["DefElem"]
        name = _SPELLINGS.get(element["defname"], element["defname"])
        if name in _REFUSED:
            hint = "Leave it out: it only makes an aggregate faster." if name != "hypothetical" else None
            raise unsupported(f"{name.upper()} of an aggregate", hint)
        if name in _KNOWN:
            given[name] = element.get("arg", {})
        else:
            builder.notices.append(Warned(f'aggregate attribute "{name}" not recognized', "42601"))
    return given


def _check_given(builder: Builder, given: dict[str, Any], old_style: bool) -> None:
    if "stype" not in given:
        raise builder.error("42P13", "aggregate stype must be specified")
    if "sfunc" not in given:
        raise builder.error("42P13", "aggregate sfunc must be specified")
    if old_style and "basetype" not in given:
        raise builder.error("42P13", "aggregate input type must be specified")
    if not old_style and "basetype" in given:
        raise builder.error("42P13", "basetype is redundant with aggregate input type specification")


def _arguments(builder: Builder, fields: dict[str, Any], given: dict[str, Any]) -> list[Argument]:
    if fields.get("oldstyle"):
        node = given["basetype"]
        names = list_names(node) if "List" in node else [_word(node)] if "TypeName" not in node else []
        if names and names[-1].lower() == "any":
            return []
        return [Argument("", argument_type(builder, node["TypeName"]))]
    listed, direct = fields["args"]
    if direct["Integer"].get("ival", 0) >= 0:
        raise unsupported(
            "an ordered-set aggregate", "Take the values in an array, or use percentile_cont and the like."
        )
    arguments = []
    for item in listed.get("List", {}).get("items", []):
        parameter = item["FunctionParameter"]
        if parameter.get("mode") == "FUNC_PARAM_VARIADIC":
            raise unsupported("VARIADIC of an aggregate", "Take an array.")
        if parameter.get("mode") in ("FUNC_PARAM_OUT", "FUNC_PARAM_INOUT"):
            raise builder.error("0A000", "aggregates cannot have output arguments")
        arguments.append(Argument(parameter.get("name", ""), argument_type(builder, parameter["argType"])))
    return arguments


def _word(node: dict[str, Any]) -> str:
    if "TypeName" in node:
        return str(tree.strings(node["TypeName"]["names"])[-1]).lower()
    return str(node.get("String", {}).get("sval", "")).lower()


def _check_state(builder: Builder, state: int, arguments: list[Argument]) -> None:
    """Refuse a state that is no value, or whose type no argument tells. Raises SqlError 42P13."""
    if state == 2281:
        raise unsupported("an aggregate whose state is internal", "Functions in SQL and PL/pgSQL have no such values.")
    open_arguments = any(argument.type_oid in POLYMORPHIC for argument in arguments)
    if state in POLYMORPHIC and not open_arguments:
        family = "anyelement, anyarray, anynonarray, anyenum, anyrange, or anymultirange"
        if type_name(state).startswith("anycompatible"):
            family = (
                "anycompatible, anycompatiblearray, anycompatiblenonarray, anycompatiblerange, or "
                "anycompatiblemultirange"
            )
        detail = f"A result of type {type_name(state)} requires at least one input of type {family}."
        raise builder.error("42P13", "cannot determine transition data type", detail=detail)
    if state in (2278, 2279, 2249, 2275):
        raise builder.error("42P13", f"aggregate transition data type cannot be {type_name(state)}")


def _parts(builder: Builder, routine: Routine, given: dict[str, Any], state: int) -> AggregateParts:
    """What the aggregate is made of, checked; sets the routine's result."""
    inputs = routine.signature()
    step = fitting(builder, _names(given["sfunc"]), (state, *inputs))
    _check_returns(builder, step, state, "transition")
    initial = given["initcond"]["String"].get("sval", "") if "String" in given.get("initcond", {}) else None
    if initial is None and given.get("initcond"):
        node = given["initcond"]
        initial = str(next(iter(node.values())).get("ival", next(iter(node.values())).get("fval", "0")))
    if initial is None and step.strict and not (inputs and same_form(inputs[0], state)):
        message = "must not omit initial value when transition function is strict and transition type is not compatible"
        raise builder.error("42P13", f"{message} with input type")
    check_executable(builder, step)
    final, extra = None, "finalfunc_extra" in given
    routine.result = state
    if "finalfunc" in given:
        final = fitting(builder, _names(given["finalfunc"]), (state, *(inputs if extra else ())))
        check_executable(builder, final)
        routine.result = final.result
    if routine.result in POLYMORPHIC and not any(oid in POLYMORPHIC for oid in inputs):
        raise builder.error("42P13", "cannot determine result data type")
    if "combinefunc" in given:
        combine = fitting(builder, _names(given["combinefunc"]), (state, state))
        _check_returns(builder, combine, state, "combine")
    if initial is not None and state not in POLYMORPHIC and not kind_of(state):
        registry.by_oid(state).parse_text(initial)
    return AggregateParts(
        state, step.oid, step.name, list(step.args), step.strict, initial,
        final.oid if final else 0, final.name if final else "", list(final.args) if final else [],
        final.strict if final else False, extra, _MODIFY.get(_word(given.get("finalfunc_modify", {})), "r"),
        _space(given),
    )  # fmt: skip


def _space(given: dict[str, Any]) -> int:
    return int(given.get("sspace", {}).get("Integer", {}).get("ival", 0))


def _names(node: dict[str, Any]) -> list[str]:
    if "TypeName" in node:
        return tree.strings(node["TypeName"]["names"])
    return list_names(node) if "List" in node else [node["String"]["sval"]]


def _check_returns(builder: Builder, behind: Behind, state: int, word: str) -> None:
    if behind.result != state and not (behind.result in POLYMORPHIC or state in POLYMORPHIC):
        name = behind.name
        if not name:
            routine = builder.catalog.routine(behind.oid)
            name = routine.name if routine is not None else ""
        message = f"return type of {word} function {name} is not {type_name(state)}"
        raise builder.error("42804", message)


def _check_replace(builder: Builder, routine: Routine, existing: Routine, replace: bool) -> None:
    if not replace:
        message = f'function "{routine.name}" already exists with same argument types'
        raise builder.error("42723", message)
    if not builder.rightful().owns(existing.owner):
        raise not_owner("aggregate", routine.name)
    if existing.kind != "a":
        word = {"f": "an ordinary function", "p": "a procedure"}[existing.kind]
        message = f'"{routine.name}" is {word}.'
        raise builder.error("42809", "cannot change routine kind", detail=message)
    if existing.result != routine.result:
        shown = f"{routine.name}({', '.join(type_name(oid) for oid in routine.signature())})"
        hint = f"Use DROP AGGREGATE {shown} first."
        raise builder.error("42P13", "cannot change return type of existing function", hint=hint)
