"""Tables with row level security as FROM items, and views over them or over tables that others inherit from.

Such a view is read by its query, with the policies of the view's owner.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from helios_cli.engine.sql import grammar, tree
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.rights import Rights
from helios_cli.engine.sql.row_locks import with_all_locked
from helios_cli.engine.sql.row_security import is_secured, quoted, visible_rows
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.sqltext import quote_identifier


def secured_source(relation: Relation, rows: str, alias: str, scope: Scope, *, locked: bool = False) -> str:
    """The FROM item of what shows some rows only; '' for a relation that shows all that it has.

    ``rows`` stand for those of a table, '' for the table itself. ``locked``: those alone that may be changed, too.
    """
    ctx = scope.ctx
    if ctx.unsecured or not (relation.by_query or is_secured(relation)):
        return ""
    if relation.by_query:
        return _view_by_query(relation, alias, scope, locked=locked)
    numbered = not rows and relation.kind == "r"
    rows = f"{rows} AS {quoted(relation)}" if rows else quoted(relation)
    return f"{visible_rows(relation, rows, scope, locked=locked, numbered=numbered)} AS {quote_identifier(alias)}"


def _view_by_query(view: Relation, alias: str, scope: Scope, *, locked: bool) -> str:
    """The view's query as a FROM item, its columns under the view's names."""
    from helios_cli.engine.sql.select import translate_subquery

    ctx = scope.ctx
    parsed: Any = grammar.parse(ctx.catalog.view_query(view.oid) or "")
    select = deepcopy(parsed[0]["stmt"]["SelectStmt"])
    _qualify(select, view, scope)
    if locked:
        select = with_all_locked(select)
    kept = ctx.lifted_at, ctx.source, ctx.encoded, ctx.rights, ctx.security_role
    ctx.lifted_at, ctx.source, ctx.encoded, ctx.rights, ctx.security_role = {}, "", b"", Rights(), view.reader
    try:
        query = translate_subquery(select, Scope(ctx=ctx, lateral_only=[]))
        query.resolve_unknowns(ctx)
        for output, column in zip(query.outputs, view.columns, strict=True):
            output.name = column.name
        text = query.render(named=True)
        inside = ctx.rights
    finally:
        ctx.lifted_at, ctx.source, ctx.encoded, ctx.rights, ctx.security_role = kept
    ctx.rights.takes_view(inside)
    return f"({text}) AS {quote_identifier(alias)}"


def _qualify(select: dict[str, Any], view: Relation, scope: Scope) -> None:
    """Name the schemas of what the view reads, whatever the search path is now."""
    schemas = {relation.name: relation.schema for relation in scope.ctx.catalog.read_by_view(view.oid)}
    local = {
        part["CommonTableExpr"]["ctename"]
        for part in tree.walk(select)
        if isinstance(part.get("CommonTableExpr"), dict)
    }
    for part in tree.walk(select):
        fields = part.get("RangeVar")
        if isinstance(fields, dict) and "schemaname" not in fields and fields["relname"] not in local:
            schema = schemas.get(fields["relname"])
            if schema is not None:
                fields["schemaname"] = schema
