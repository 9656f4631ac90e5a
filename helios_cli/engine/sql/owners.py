"""Which query level an aggregate or GROUPING() belongs to: the innermost one that its arguments name a column of."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node

_ARGUMENTS: Final = ("args", "agg_order", "agg_filter")


class HeldBelow(Exception):
    """A subquery calls an aggregate of ``owner``, which has to be translated anew with its groups in a query below."""

    def __init__(self, owner: Scope) -> None:
        super().__init__()
        self.owner = owner


def owner_of(call: dict[str, Any], scope: Scope) -> Scope:
    """The level that a call within ``scope`` belongs to (check_agg_arguments, parse_agg.c); without columns its own.

    Of an aggregate WITHIN GROUP its direct arguments decide nothing.
    """
    if scope.parent is None:
        return scope
    parts = [call.get(name) for name in _ARGUMENTS if name != "args" or not call.get("agg_within_group")]
    owner: Scope | None = None
    for node in tree.walk(parts):
        reference = node.get("ColumnRef")
        level = _level(reference, scope, owner) if isinstance(reference, dict) else None
        owner = owner if level is None else level
        if owner is scope:
            break
    return scope if owner is None else owner


def _level(reference: Node, scope: Scope, outermost: Scope | None) -> Scope | None:
    """The level that has a column, looked for outward up to before ``outermost``; None when none of them has it."""
    names = [field["String"]["sval"] for field in reference["fields"] if "String" in field]
    level: Scope | None = scope
    while level is not None and level is not outermost and names:
        if len(names) == len(reference["fields"]) == 1 and any(column.name == names[0] for column in level.columns):
            return level
        # A name alone may be that of a whole row.
        item = names[-2] if len(names) == len(reference["fields"]) > 1 else names[-1]
        if any(found.visible and found.name == item for found in level.items):
            return level
        level = level.parent
    return None
