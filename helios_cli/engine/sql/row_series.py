"""Set-returning functions of several columns in a select list: ``SELECT (f(a)).n, f(a) FROM t``.

They are put into FROM, where their rows have a name: ``SELECT (s).n, s FROM t, f(a) AS s``.
"""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql import json_records, tree
from helios_cli.engine.sql.calls import has_aggregate, is_set_returning, own_calls, visible_overloads
from helios_cli.engine.sql.names import column_name
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


def with_windows_below(select: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The same SELECT with its window functions in a query in FROM, where they see no rows that sets have made.

    Unchanged without both, and where it groups, has subqueries beside them, a star, or DISTINCT ON.
    """
    targets = select.get("targetList", [])
    calls = own_calls(targets)
    inside = [list(part["FuncCall"].values()) for part in calls if "over" in part.get("FuncCall", ())]
    if not inside or has_aggregate(targets, scope):
        return select
    sets = sum(is_set_returning(part, scope) for part in calls)
    if not sets or any(is_set_returning(part, scope) for part in own_calls(inside)):
        return select
    if "groupClause" in select or "havingClause" in select or any(select.get("distinctClause", [])):
        return select
    shown = [*targets, *select.get("sortClause", [])]
    if any("SubLink" in part or "A_Star" in part for part in tree.walk(shown)):
        return select
    lifted = _Lifted()
    names = [target["ResTarget"].get("name") or column_name(target["ResTarget"]["val"]) for target in targets]
    new = [
        {"ResTarget": {**target["ResTarget"], "name": name, "val": lifted.without(target["ResTarget"]["val"])}}
        for target, name in zip(targets, names, strict=True)
    ]
    sorts = [
        {"SortBy": {**node["SortBy"], "node": _sort_key(node["SortBy"]["node"], names, lifted)}}
        for node in select.get("sortClause", [])
    ]
    below: Node = {key: select[key] for key in ("fromClause", "whereClause", "windowClause") if key in select}
    kept: dict[str, Any] = {key: value for key, value in select.items() if key not in below}
    query: Node = {**below, "targetList": lifted.targets(), "limitOption": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}
    item = {"RangeSubselect": {"subquery": {"SelectStmt": query}, "alias": {"aliasname": _BELOW}}}
    if sorts:
        kept["sortClause"] = sorts
    return {**kept, "targetList": new, "fromClause": [item]}


_BELOW: Final = "windows below"


class _Lifted:
    """Columns and window functions that a query in FROM gives, under numbers."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []

    def without(self, node: Any) -> Any:
        """A tree in which references stand for them."""
        if isinstance(node, list):
            return [self.without(part) for part in node]
        if not isinstance(node, dict):
            return node
        if "ColumnRef" not in node and "over" not in node.get("FuncCall", ()):
            return {key: self.without(value) for key, value in node.items()}
        bare = _bare(node)
        place = next((place for place, known in enumerate(self._nodes) if _bare(known) == bare), len(self._nodes))
        if place == len(self._nodes):
            self._nodes.append(node)
        fields = [{"String": {"sval": _BELOW}}, {"String": {"sval": str(place)}}]
        return {"ColumnRef": {"fields": fields, "location": tree.location(node)}}

    def targets(self) -> list[Node]:
        """The select list of the query."""
        return [{"ResTarget": {"name": str(place), "val": node}} for place, node in enumerate(self._nodes)]


def _sort_key(node: Node, names: list[str], lifted: _Lifted) -> Node:
    """A key of ORDER BY: one that names a result column stays."""
    named = tree.strings(node["ColumnRef"]["fields"]) if "ColumnRef" in node else []
    return node if "A_Const" in node or (len(named) == 1 and named[0] in names) else lifted.without(node)


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
