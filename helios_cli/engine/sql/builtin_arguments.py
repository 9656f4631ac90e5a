"""Named arguments and VARIADIC arrays of built-in functions (pg_proc.dat, system_functions.sql)."""

from __future__ import annotations

import re
from typing import Any, Final

from helios_cli.engine.sql import casts, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import array_of, element_of
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.oids import TEXT, UNKNOWN
from helios_cli.engine.sql.typed import Node, TypedSql

_PATH: Final = ("target", "path", "vars", "silent")
_PARAMETERS: Final = {
    "make_interval": ("years", "months", "weeks", "days", "hours", "mins", "secs"),
    "make_date": ("year", "month", "day"),
    "make_time": ("hour", "min", "sec"),
    "make_timestamp": ("year", "month", "mday", "hour", "min", "sec"),
    "make_timestamptz": ("year", "month", "mday", "hour", "min", "sec", "timezone"),
    "parse_ident": ("str", "strict"),
    "jsonb_set": ("jsonb_in", "path", "replacement", "create_if_missing"),
    "jsonb_set_lax": ("jsonb_in", "path", "replacement", "create_if_missing", "null_value_treatment"),
    "jsonb_insert": ("jsonb_in", "path", "replacement", "insert_after"),
    "pg_terminate_backend": ("pid", "timeout"),
    **{
        f"jsonb_path_{name}{zoned}": _PATH
        for name in ("exists", "match", "query", "query_array", "query_first")
        for zoned in ("", "_tz")
    },
    **{
        f"{kind}_{name}": ("from_json",)
        for kind in ("json", "jsonb")
        for name in ("each", "each_text", "array_elements", "array_elements_text")
    },
}


def _text(value: str) -> Node:
    return {"A_Const": {"sval": {"sval": value}, "location": -1}}


def _truth(value: bool) -> Node:
    return {"A_Const": {"boolval": {"boolval": True} if value else {}, "location": -1}}


_ZERO: Final[Node] = {"A_Const": {"ival": {}, "location": -1}}
_DEFAULTS: Final[dict[str, Node]] = {
    **dict.fromkeys(_PARAMETERS["make_interval"], _ZERO),
    "vars": _text("{}"),
    "create_if_missing": _truth(True),
}
"""What stands for a parameter that was left out before one that was not."""


def positional(fields: dict[str, Any] | None) -> dict[str, Any] | None:
    """A call with its arguments in the order of the parameters; as it is where it names none, or not those here."""
    if fields is None or not any("NamedArgExpr" in node for node in fields.get("args", ())):
        return fields
    parameters = _PARAMETERS.get(tree.strings(fields["funcname"])[-1])
    if parameters is None or fields.get("func_variadic"):
        return fields
    given: dict[str, Node] = {}
    for place, node in enumerate(fields["args"]):
        part = node.get("NamedArgExpr")
        key = part["name"] if part is not None else parameters[place] if place < len(parameters) else ""
        if key not in parameters or key in given or (part is None and len(given) != place):
            return fields
        given[key] = part["arg"] if part is not None else node
    last = max(parameters.index(key) for key in given)
    wanted = parameters[: last + 1]
    if any(key not in given and key not in _DEFAULTS for key in wanted):
        return fields
    return {**fields, "args": [given[key] if key in given else _DEFAULTS[key] for key in wanted]}


# -- VARIADIC -------------------------------------------------------------------------------------

_CALL: Final = re.compile(r"(\w+)\((?:('\{types\}'|\d+), )?\{args\}\)")
_ANY: Final = 2276


def with_array(overloads: tuple[Function, ...], arguments: list[TypedSql], ctx: Context, at: int) -> TypedSql | None:
    """A call of a built-in function whose last argument is the array of its VARIADIC parameters.

    None: there is no such function. Raises 42804 for an argument that is no array.
    """
    for function in overloads:
        match = _CALL.fullmatch(function.sql)
        if not function.variadic or len(arguments) != len(function.args) or match is None:
            continue
        array, kind = arguments[-1], function.args[-1]
        if kind != _ANY and array.type_oid == UNKNOWN:
            array = casts.coerce(array, array_of(kind), -1, How.IMPLICIT, ctx)
        element = element_of(array.type_oid)
        if not element:
            raise ctx.error("42804", "VARIADIC argument must be an array", max(array.location, 0))
        if kind not in (_ANY, element):
            array, element = casts.coerce(array, array_of(kind), -1, How.IMPLICIT, ctx), kind
        fixed = [
            casts.coerce(value, TEXT if target == _ANY else target, -1, How.IMPLICIT, ctx)
            for value, target in zip(arguments[:-1], function.args[:-1], strict=True)
        ]
        first = match[2] or ""
        types = ",".join(str(value.type_oid) for value in fixed)
        head = f"'{types}'" if first.startswith("'") else first or "NULL"
        texts = ", ".join(["", *(value.sql for value in fixed)])
        sql = f"pg_variadic('{match[1]}', {int(first.startswith(chr(39)))}, {head}, {element}, {array.sql}{texts})"
        return TypedSql(sql, function.result, location=at)
    return None
