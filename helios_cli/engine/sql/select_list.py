"""The select list: its expressions, with every ``*`` written out."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.names import column_name
from helios_cli.engine.sql.query import Output
from helios_cli.engine.sql.scope import Scope, ScopeColumn
from helios_cli.engine.sql.typed import Node


def flat_targets(targets: list[dict[str, Any]], scope: Scope) -> list[Node]:
    """The select list with every ``*`` written out as column references."""
    flat: list[Node] = []
    for target in targets:
        reference = target["val"].get("ColumnRef")
        if reference is None or "A_Star" not in reference["fields"][-1]:
            flat.append(target["val"])
            continue
        qualifier = tree.strings(reference["fields"][:-1])
        for column in star_columns(qualifier, scope, reference.get("location", 0)):
            fields = [{"String": {"sval": name}} for name in [*qualifier, column.name]]
            flat.append({"ColumnRef": {"fields": fields, "location": reference.get("location", 0)}})
    return flat


def star_columns(qualifier: list[str], scope: Scope, at: int) -> list[ScopeColumn]:
    """The columns ``*`` or ``table.*`` stands for. Raises 42601 for ``*`` without FROM."""
    if qualifier:
        item = scope.find_item(qualifier, at)[1]
        if item.nullable:
            return [column.nullable() for column in item.columns]
        return item.columns
    if not scope.items and not scope.columns:
        raise scope.ctx.error("42601", "SELECT * with no tables specified is not valid", at)
    return scope.columns


def select_outputs(targets: list[dict[str, Any]], scope: Scope) -> list[Output]:
    """The result columns of a select list."""
    outputs = []
    for target in targets:
        node = target["val"]
        reference = node.get("ColumnRef")
        if reference is not None and "A_Star" in reference["fields"][-1]:
            at = reference.get("location", 0)
            qualifier = tree.strings(reference["fields"][:-1])
            for column in star_columns(qualifier, scope, at):
                outputs.append(Output(column.name, scope.checked(column.value, column.name, at)))
            continue
        outputs.append(Output(target.get("name") or column_name(node), translate(node, scope)))
    return outputs
