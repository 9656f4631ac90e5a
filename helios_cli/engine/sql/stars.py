"""What ``*``, ``table.*`` and ``(row).*`` stand for."""

from __future__ import annotations

from helios_cli.engine.sql import row_values, tree
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.scope import Scope, ScopeColumn
from helios_cli.engine.sql.typed import Node, TypedSql


def is_star(node: Node) -> bool:
    """Whether a select list's node stands for several columns."""
    reference, selection = node.get("ColumnRef"), node.get("A_Indirection")
    if reference is not None:
        return "A_Star" in reference["fields"][-1]
    return selection is not None and "A_Star" in selection["indirection"][-1]


def starred(node: Node, scope: Scope) -> list[tuple[str, TypedSql]]:
    """The columns, with their names, of a node for which :func:`is_star` holds."""
    reference = node.get("ColumnRef")
    if reference is not None:
        at = reference.get("location", 0)
        columns = star_columns(tree.strings(reference["fields"][:-1]), scope, at)
        return [(column.name, scope.checked(column.value, column.name, at)) for column in columns]
    value = translate(selected_row(node), scope)
    return row_values.fields_of(value, scope.ctx, value.location)


def selected_row(node: Node) -> Node:
    """The row of ``(row).*``."""
    fields = node["A_Indirection"]
    if len(fields["indirection"]) == 1:
        inner: Node = fields["arg"]
        return inner
    return {"A_Indirection": {**fields, "indirection": fields["indirection"][:-1]}}


def star_columns(qualifier: list[str], scope: Scope, at: int) -> list[ScopeColumn]:
    """The columns ``*`` or ``table.*`` stands for. Raises 42601 for ``*`` without FROM."""
    mentions = scope.ctx.mentions
    if qualifier:
        level, item = scope.find_item(qualifier, at)
        if mentions is not None:
            mentions.star(item.columns, level, at, item)
        if item.nullable:
            return [column.nullable() for column in item.columns]
        return item.columns
    if not scope.items and not scope.columns:
        raise scope.ctx.error("42601", "SELECT * with no tables specified is not valid", at)
    if mentions is not None:
        mentions.star(scope.columns, scope, at, None)
    return scope.columns
