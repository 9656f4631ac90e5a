"""The GROUP BY clause: its keys, by column, by name and by number of the select list."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql import calls, casts, tree
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.grouping import Grouping, canonical
from helios_cli.engine.sql.grouping_sets import GroupingSets, expand, flat_keys, has_sets
from helios_cli.engine.sql.ordering import check_comparable
from helios_cli.engine.sql.row_order import ordinal
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.select_list import flat_targets
from helios_cli.engine.sql.sqltext import may_fold, quote_identifier
from helios_cli.engine.sql.typed import Node, TypedSql


def group(select: dict[str, Any], targets: list[dict[str, Any]], scope: Scope, below: bool) -> list[str] | None:
    """Translate GROUP BY and put the query into grouped mode when it is one: the keys. None: not grouped.

    With ``below`` it is, and its groups are those of a query below it.
    """
    nodes = select.get("groupClause", [])
    values = [target["val"] for target in targets]
    rest = values + [node["SortBy"]["node"] for node in select.get("sortClause", [])]
    if not nodes and "havingClause" not in select and not below and not calls.has_aggregate(rest, scope):
        return None
    scope.clause = "GROUP BY"
    # A set-returning function of the select list is called for each group: above the grouped query.
    series = any(calls.is_set_returning(part, scope) for node in values for part in calls.own_calls(node))
    if has_sets(nodes) or select.get("groupDistinct") or series or below:
        _grouping_sets(nodes, bool(select.get("groupDistinct")), targets, scope)
        return []
    grouping, texts = Grouping(), []
    for node in (key for item in nodes if "GroupingSet" not in item for key in flat_keys(item)):
        value = _group_key(node, grouping, targets, scope)
        text = casts.collated(value)
        # A bare number would be the number of a result column to SQLite.
        # It also makes numbers of tests of constants while it reads them (3 IS NULL).
        bare = ('"' not in text and (value.simple or " COLLATE " not in text)) or may_fold(text)
        texts.append(f"coalesce({text}, NULL)" if bare else text)
    scope.grouping = grouping
    return texts


def _grouping_sets(nodes: list[Node], distinct: bool, targets: list[dict[str, Any]], scope: Scope) -> None:
    grouping = GroupingSets(alias=quote_identifier(scope.ctx.unique_alias("grouping sets")))
    known: dict[str, int] = {}
    for keys in expand(nodes, distinct, scope):
        numbers: dict[int, None] = {}
        for node in keys:
            form = repr(tree.without_locations(node))
            if form not in known:
                target = _group_target(node, targets, scope)
                value = _group_key(node, grouping, targets, scope)
                known[form] = grouping.number_of(value, target if target is not node else None)
            numbers[known[form]] = None
        grouping.sets.append(tuple(numbers))
    scope.grouping = grouping


def _group_key(node: Node, grouping: Grouping, targets: list[dict[str, Any]], scope: Scope) -> TypedSql:
    actual = _group_target(node, targets, scope)
    value = casts.to_text_if_unknown(translate(actual, scope), scope.ctx)
    check_comparable(value, scope, tree.location(node))
    grouping.add(actual, value, scope)
    return value


def _group_target(node: Node, targets: list[dict[str, Any]], scope: Scope) -> Node:
    """What a GROUP BY item stands for: an input column first, else a result column's name or number."""
    reference = node.get("ColumnRef")
    if reference is not None and len(reference["fields"]) == 1 and "String" in reference["fields"][0]:
        name = tree.strings(reference["fields"])[0]
        if any(column.name == name for column in scope.columns):
            return node
        named = [target["val"] for target in targets if target.get("name") == name]
        if len(named) > 1 and any(canonical(named[0], scope) != canonical(other, scope) for other in named[1:]):
            raise scope.ctx.error("42702", f'GROUP BY "{name}" is ambiguous', tree.location(node))
        return named[0] if named else node
    position = ordinal(node, scope)
    if position is None:
        return node
    flat = flat_targets(targets, scope)
    if not 1 <= position <= len(flat):
        raise scope.ctx.error("42P10", f"GROUP BY position {position} is not in select list", tree.location(node))
    return flat[position - 1]
