"""INSERT and UPDATE whose targets are parts of columns: ``a[1] = ...``, ``doc['k'] = ...``, ``home.zip = ...``."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql import dml
from helios_cli.engine.sql.context import Unfoldable
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.folded import KEY
from helios_cli.engine.sql.parts import Target, gathered, store, stored
from helios_cli.engine.sql.relation import ColumnInfo, Relation
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import Node, TypedSql
from helios_cli.engine.sql.user_casts import assigned_domain
from helios_cli.engine.sql.value_rows import value_rows


def names_part(node: Node) -> bool:
    """Whether a target names a part of its column."""
    return bool(node["ResTarget"].get("indirection"))


def update_parts(nodes: list[Node], relation: Relation, scope: Scope) -> list[str]:
    """The SET list's texts for those of its targets that are parts; parts of one column make one text.

    Raises:
        SqlError: 0A000 a part in a multi-column assignment; what storing raises.
    """
    targets = []
    for node in nodes:
        fields = node["ResTarget"]
        if "MultiAssignRef" in fields["val"]:
            raise scope.ctx.unsupported("assigning several columns at once to parts", fields.get("location", 0))
        column = dml.find_column(relation, fields["name"], scope, fields.get("location", 0))
        targets.append((column, fields["indirection"], fields["val"]))
    scope.ctx.rights.updates(relation.oid, (column.attnum for column, _, _ in targets))
    texts = []
    for target in gathered(targets, scope):
        current = next(found.value for found in scope.items[0].columns if found.name == target.column.name)
        value = assigned_domain(stored(target, current, scope), target.column, scope.ctx)
        texts.append(f"{quote_identifier(target.column.name)} = {value.sql}")
    return texts


def insert_parts(
    select: dict[str, Any] | None, nodes: list[Node], relation: Relation, scope: Scope
) -> tuple[str, list[ColumnInfo]]:
    """The rows of an INSERT whose target list names parts, and the columns they fill.

    Raises:
        SqlError: 0A000 unless the rows are VALUES; 42601 for rows of another length; what storing raises.
    """
    if select is None or "valuesLists" not in select:
        hint = "Insert the whole column, or use VALUES."
        raise scope.ctx.unsupported("INSERT ... SELECT into parts of columns", hint=hint)
    if KEY in select:
        raise Unfoldable
    columns = [dml.find_column(relation, node["ResTarget"]["name"], scope, -1) for node in nodes]
    ways = [node["ResTarget"].get("indirection", []) for node in nodes]
    filled = [target.column for target in gathered([(c, way, {}) for c, way in zip(columns, ways, strict=True)], scope)]
    others = [column for column in relation.columns if column not in filled and dml.needs_default(column)]
    scope.ctx.rights.inserts(relation.oid, (column.attnum for column in columns))
    inner = Scope(ctx=scope.ctx, ctes=scope.ctes, clause="VALUES")
    rows = []
    for row in select["valuesLists"]:
        items = row["List"]["items"]
        if len(items) != len(nodes):
            much = "expressions than target columns" if len(items) > len(nodes) else "target columns than expressions"
            raise scope.ctx.error("42601", f"INSERT has more {much}")
        targets = gathered(list(zip(columns, ways, items, strict=True)), scope)
        texts = [_inserted(target, inner, scope).sql for target in targets]
        rows.append(texts + [dml.column_default(column, scope).sql for column in others])
    return f"VALUES {value_rows(rows)}", filled + others


def _inserted(target: Target, inner: Scope, scope: Scope) -> TypedSql:
    way, node = target.parts[0]
    if not way and "SetToDefault" in node:
        return dml.column_default(target.column, scope)
    column = target.column
    if not way:
        value = store(TypedSql("NULL", column.type_oid), [], translate(node, inner), column, inner)
    else:
        value = stored(target, TypedSql("NULL", column.type_oid, column.typmod), inner)
    return assigned_domain(value, column, scope.ctx)
