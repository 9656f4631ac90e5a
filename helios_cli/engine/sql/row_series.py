"""Set-returning functions of several columns in a select list: ``SELECT (f(a)).n, f(a) FROM t``.

They are put into FROM, where their rows have a name: ``SELECT (s).n, s FROM t, f(a) AS s``.
"""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql import json_records, tree
from helios_cli.engine.sql.calls import has_aggregate, is_set_returning, own_calls, visible_overloads
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node

_ALIAS = "rows of "


def with_rows_named(select: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The same SELECT with such a function in FROM; unchanged without one, beside another, or in a grouped query."""
    targets = select.get("targetList", [])
    parts = [part for part in own_calls(targets) if "FuncCall" in part]
    calls = [part["FuncCall"] for part in parts if _gives_rows(part, scope)]
    if not calls or "groupClause" in select or any(_bare(call) != _bare(calls[0]) for call in calls[1:]):
        return select
    series = sum(is_set_returning(part, scope) for part in parts)
    if series != len(calls) or has_aggregate(parts, scope) or any("over" in part["FuncCall"] for part in parts):
        return select
    name = tree.strings(calls[0]["funcname"])[-1]
    alias = _ALIAS + name
    item = {"RangeFunction": {"lateral": True, "functions": [{"List": {"items": [{"FuncCall": calls[0]}, {}]}}],
                              "alias": {"aliasname": alias}}}  # fmt: skip
    reference = {"ColumnRef": {"fields": [{"String": {"sval": alias}}]}}
    new = [_replaced(target, calls, reference) for target in targets]
    for target, old in zip(new, targets, strict=True):
        if "FuncCall" in old["ResTarget"]["val"] and old["ResTarget"]["val"]["FuncCall"] in calls:
            target["ResTarget"].setdefault("name", name)
    return {**select, "targetList": new, "fromClause": [*select.get("fromClause", []), item]}


def refuse_late(select: dict[str, Any], scope: Scope) -> None:
    """Refuse what PostgreSQL computes before the sets of a select list have made more rows of each.

    Raises:
        FeatureNotSupported: window functions, or DISTINCT ON in an order that no set is part of.
    """
    targets = select.get("targetList", [])
    if any("over" in part.get("FuncCall", ()) for part in own_calls(targets)):
        hint = "Call the window functions in a subquery in FROM."
        raise scope.ctx.unsupported("a window function beside a set-returning function", hint=hint)
    keys = select.get("distinctClause", [])
    if any(keys) and "sortClause" in select and not _sorts_sets(select, scope):
        hint = "Put the set-returning function around a subquery with DISTINCT ON."
        raise scope.ctx.unsupported("a set-returning function behind DISTINCT ON", hint=hint)


def _sorts_sets(select: dict[str, Any], scope: Scope) -> bool:
    """Whether ORDER BY names a set of the select list, or calls one."""
    sets = [
        (str(place), target["ResTarget"].get("name"))
        for place, target in enumerate(select["targetList"], 1)
        if any(is_set_returning(part, scope) for part in own_calls(target))
    ]
    for node in select["sortClause"]:
        key = node["SortBy"]["node"]
        shown = tree.strings(key["ColumnRef"]["fields"])[-1:] if "ColumnRef" in key else []
        place = str(key.get("A_Const", {}).get("ival", {}).get("ival", ""))
        if any(is_set_returning(part, scope) for part in own_calls(key)):
            return True
        if any(place == number or shown == [name] for number, name in sets):
            return True
    return False


def _gives_rows(node: Node, scope: Scope) -> bool:
    call = node.get("FuncCall")
    if not isinstance(call, dict) or "funcname" not in call:
        return False
    names = tree.strings(call["funcname"])
    found = visible_overloads(names, scope)
    return names[-1] in json_records.SETS or any(
        function.set_returning and (len(function.columns) > 1 or function.rows) for function in found
    )


def _bare(node: Any) -> Any:
    """A tree without the places in the text that its nodes come from."""
    if isinstance(node, dict):
        return {key: _bare(value) for key, value in node.items() if key != "location"}
    return [_bare(value) for value in node] if isinstance(node, list) else node


def _replaced(node: Any, calls: list[dict[str, Any]], reference: Node) -> Any:
    if isinstance(node, dict):
        if any(node.get("FuncCall") is call for call in calls):
            return reference
        return {key: _replaced(value, calls, reference) for key, value in node.items()}
    return [_replaced(value, calls, reference) for value in node] if isinstance(node, list) else node
