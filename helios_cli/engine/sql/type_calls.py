"""Calls by the name of a type: ``int4('1')``, and the constructors of users' ranges."""

from __future__ import annotations

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.range_types import multirange_of
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.functions import ranges
from helios_cli.engine.sql.scope import Scope


def constructors(schema: str | None, names: list[str], scope: Scope) -> tuple[Function, ...]:
    """The functions that make values of a user's range type, or of its multirange."""
    found = scope.ctx.catalog.user_type(schema, names[-1])
    if found is None or found.kind not in ("r", "m"):
        return ()
    one = found.oid if found.kind == "r" else found.parent
    known = scope.ctx.catalog.type_by_oid(one)
    if known is None:
        return ()
    made = ranges.constructors(one, known.base_oid, found.name, multirange_of(one), found.name, found.schema)
    return tuple(function for function in made if function.result == found.oid)


def named_type(names: list[str], scope: Scope) -> int:
    """The OID of the type, built-in or a user's, that the name of a call is the name of; 0 for none."""
    found = registry.by_internal_name(names[-1])
    if found is not None and found.kind in ("b", "r", "m"):
        return found.oid
    made = scope.ctx.catalog.user_type(names[-2] if len(names) > 1 else None, names[-1])
    return made.oid if made is not None else 0
