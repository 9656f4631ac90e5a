"""TRUNCATE: the tables it empties, in their order, and the sequences it starts again (ExecuteTruncate, tablecmds.c)."""

from __future__ import annotations

from typing import Any, cast

from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql.ddl_model import DdlCatalog
from helios_cli.engine.sql.dml import target_relation
from helios_cli.engine.sql.inheritance import is_expanded, keys_to, members
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.sqltext import quote_identifier


def translate_truncate(fields: dict[str, Any], scope: Scope) -> tuple[list[str], tuple[Relation, ...]]:
    """One DELETE for each table, those that refer to others first, and the restarts of their sequences; the tables.

    Raises:
        FeatureNotSupported: 0A000 a table outside of the statement refers to one of its tables, without CASCADE.
    """
    tables: dict[int, Relation] = {}
    for node in fields["relations"]:
        relation = target_relation(node["RangeVar"], scope, "TRUNCATE")
        if relation.partition is not None and relation.partition.strategy and not node["RangeVar"].get("inh"):
            hint = "Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly."
            raise scope.ctx.error("42809", "cannot truncate only a partitioned table", hint=hint)
        expanded = is_expanded(relation, node["RangeVar"], scope.ctx)
        for member in members(relation, scope.ctx) if expanded else [relation]:
            tables[member.oid] = member
    catalog = cast(DdlCatalog, scope.ctx.catalog)
    _add_referencing(tables, fields.get("behavior") == "DROP_CASCADE", scope)
    ordered: dict[int, Relation] = {}
    for oid in list(tables):
        _place(oid, tables, ordered, catalog)
    steps = [f"DELETE FROM {quote_identifier(table.sqlite_name or table.name)}" for table in ordered.values()]
    owned = [sequence for oid in tables for sequence in catalog.owned_sequences(oid)]
    if fields.get("restart_seqs") and owned:
        pid = scope.ctx.session_value("pid")
        calls = (f"pg_setval({sequence.oid}, {sequence.start}, 0, {pid})" for sequence in owned)
        steps.append(f"SELECT {', '.join(calls)}")
    return steps, tuple(tables.values())


def _place(oid: int, tables: dict[int, Relation], ordered: dict[int, Relation], catalog: DdlCatalog) -> None:
    """Put a table behind those that refer to it; ``tables`` holds what is still to be placed."""
    table = tables.get(oid)
    if table is None or oid in ordered:
        return
    waiting = {other: tables[other] for other in tables if other != oid}
    for constraint in keys_to(catalog, oid):
        _place(constraint.table_oid, waiting, ordered, catalog)
    ordered[oid] = table


def _add_referencing(tables: dict[int, Relation], cascade: bool, scope: Scope) -> None:
    """Add the tables whose foreign keys point to those of the statement, or refuse them."""
    catalog, pending = cast(DdlCatalog, scope.ctx.catalog), list(tables)
    while pending:
        oid = pending.pop(0)
        for constraint in keys_to(catalog, oid):
            if constraint.table_oid in tables:
                continue
            found = catalog.relation_by_oid(constraint.table_oid)
            if found is None:
                continue
            if not cascade:
                raise FeatureNotSupported(
                    "cannot truncate a table referenced in a foreign key constraint",
                    detail=f'Table "{found.name}" references "{tables[oid].name}".',
                    hint=f'Truncate table "{found.name}" at the same time, or use TRUNCATE ... CASCADE.',
                )
            scope.ctx.notices.append(f'truncate cascades to table "{found.name}"')
            tables[found.oid] = found
            pending.append(found.oid)
