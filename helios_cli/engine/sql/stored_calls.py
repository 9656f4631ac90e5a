"""Statements on tables and views whose definition calls users' functions or asks for values of the session."""

from __future__ import annotations

from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.relation import Relation


def note_calls(relation: Relation, ctx: Context) -> None:
    """A statement reads a view or changes a table: what its definition calls, the statement calls."""
    if relation.calls is None:
        return
    ctx.calls = True
    for oid in relation.calls:
        function = ctx.catalog.made_function(oid)
        if function is not None:
            ctx.writes |= function.writes
            ctx.rights.executes(function.oid, function.name, function.owner, function.schema)
