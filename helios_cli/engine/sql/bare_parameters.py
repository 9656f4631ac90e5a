"""Parameters that stand alone in a select list, where nothing has given them a type yet.

PostgreSQL makes text of them when it has read the whole query. What comes behind them (WHERE, ORDER BY, LIMIT) may have
given the parameter another type meanwhile, and then the two disagree (resolveTargetListUnknowns in parse_target.c,
variable_coerce_param_hook in parse_param.c).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.oids import TEXT, UNKNOWN

Untyped = tuple[tuple[int, int], ...]
"""Number and place of each."""


def untyped_targets(targets: Sequence[dict[str, Any]], ctx: Context) -> Untyped:
    """The targets that are parameters without a type, asked when FROM was read and WHERE was not."""
    if ctx.variables is not None or not ctx.parameters_allowed:
        return ()
    found, used = [], set()
    for target in targets:
        alone = target["val"].get("ParamRef")
        if alone is None:
            used |= {node["ParamRef"].get("number", 0) for node in tree.walk(target["val"]) if "ParamRef" in node}
        elif alone["number"] not in used and ctx.parameter_type(alone["number"]) == UNKNOWN:
            found.append((alone["number"], alone.get("location", 0)))
    return tuple(found)


def check_untyped(untyped: Untyped, ctx: Context) -> None:
    """Expect that nothing behind a select list has given its bare parameters a type but text.

    Raises:
        SqlError: 42P08, something has.
    """
    for number, at in untyped:
        oid = ctx.parameter_type(number)
        if oid not in (UNKNOWN, TEXT):
            message = f"inconsistent types deduced for parameter ${number}"
            raise ctx.error("42P08", message, at, detail=f"{type_name(oid)} versus text")
