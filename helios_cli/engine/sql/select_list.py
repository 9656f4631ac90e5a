"""The select list: its expressions, with every ``*`` written out."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql.calls import has_aggregate, is_set_returning, own_calls
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.names import column_name
from helios_cli.engine.sql.query import Output
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.stars import is_star, selected_row, star_columns, starred
from helios_cli.engine.sql.tree import strings, walk
from helios_cli.engine.sql.typed import Node

OUTPUTS_MAX: Final = 1664
"""PostgreSQL's limit on the entries of a select list (MaxTupleAttributeNumber)."""


def flat_targets(targets: list[dict[str, Any]], scope: Scope) -> list[Node]:
    """The select list with every ``*`` written out as column references or fields of rows."""
    flat: list[Node] = []
    for target in targets:
        node = target["val"]
        if not is_star(node):
            flat.append(node)
        elif "ColumnRef" in node:
            reference = node["ColumnRef"]
            qualifier, at = strings(reference["fields"][:-1]), reference.get("location", 0)
            for column in star_columns(qualifier, scope, at):
                fields = [{"String": {"sval": name}} for name in [*qualifier, column.name]]
                flat.append({"ColumnRef": {"fields": fields, "location": at}})
        else:
            row = selected_row(node)
            flat += [
                {"A_Indirection": {"arg": row, "indirection": [{"String": {"sval": name}}]}}
                for name, _ in starred(node, scope)
            ]
    return flat


def select_outputs(targets: list[dict[str, Any]], scope: Scope) -> list[Output]:
    """The result columns of a select list."""
    outputs = []
    for target in targets:
        node = target["val"]
        if is_star(node):
            outputs += [Output(name, value) for name, value in starred(node, scope)]
        else:
            effects = scope.ctx.effects
            value = (scope.grouping.target(node) if scope.grouping is not None else None) or translate(node, scope)
            late = scope.ctx.effects > effects and _is_late(node, scope)
            outputs.append(Output(target.get("name") or column_name(node), value, late))
        if len(outputs) > OUTPUTS_MAX:
            raise scope.ctx.error("54011", f"target lists can have at most {OUTPUTS_MAX} entries")
    return outputs


def _is_late(node: Node, scope: Scope) -> bool:
    """Whether an expression says the same of every row, but for what its functions do."""
    for part in walk(node):
        call = part.get("FuncCall")
        if "ColumnRef" in part or "SubLink" in part or (isinstance(call, dict) and "over" in call):
            return False
    return not has_aggregate([node], scope) and not any(is_set_returning(part, scope) for part in own_calls(node))


__all__ = ["flat_targets", "select_outputs", "star_columns"]
