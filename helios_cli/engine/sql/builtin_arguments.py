"""Named arguments of built-in functions: the parameters that PostgreSQL names, and their order (pg_proc.dat)."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql.typed import Node

_PARAMETERS: Final = {
    "make_interval": ("years", "months", "weeks", "days", "hours", "mins", "secs"),
    "make_date": ("year", "month", "day"),
    "make_time": ("hour", "min", "sec"),
    "make_timestamp": ("year", "month", "mday", "hour", "min", "sec"),
    "make_timestamptz": ("year", "month", "mday", "hour", "min", "sec", "timezone"),
    "jsonb_set": ("jsonb_in", "path", "replacement", "create_if_missing"),
    "jsonb_insert": ("jsonb_in", "path", "replacement", "insert_after"),
}
_ALL_DEFAULT: Final = frozenset(("make_interval",))
"""Functions that take 0 for a parameter that was left out in the middle."""

_ZERO: Final[Node] = {"A_Const": {"ival": {}, "location": -1}}


def in_order(name: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    """The call with its arguments in the order of the parameters; None when it is not known or does not fit."""
    parameters = _PARAMETERS.get(name)
    if parameters is None or fields.get("func_variadic"):
        return None
    given: dict[str, Node] = {}
    for place, node in enumerate(fields.get("args", [])):
        part = node.get("NamedArgExpr")
        key = part["name"] if part is not None else parameters[place] if place < len(parameters) else ""
        if key not in parameters or key in given or (part is None and len(given) != place):
            return None
        given[key] = part["arg"] if part is not None else node
    last = max((parameters.index(key) for key in given), default=-1)
    wanted = parameters[: last + 1]
    if any(key not in given for key in wanted) and name not in _ALL_DEFAULT:
        return None
    return {**fields, "args": [given.get(key, _ZERO) for key in wanted]}
