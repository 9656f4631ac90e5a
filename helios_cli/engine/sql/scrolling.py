"""Whether a cursor that does not say SCROLL may go back: whether PostgreSQL's plan could (ExecSupportsBackwardScan)."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.typed import Node

_SEVERAL: Final = 2


def goes_back(select: dict[str, Any], ctx: Context) -> bool:
    """Whether scans, sorts and lists of rows make up the plan of a query: joins, groups and single rows go forward."""
    if "distinctClause" in select:
        return False
    if "sortClause" in select:
        return True
    if select.get("op", "SETOP_NONE") != "SETOP_NONE":
        arms = (select["larg"], select["rarg"])
        return select["op"] == "SETOP_UNION" and bool(select.get("all")) and all(goes_back(arm, ctx) for arm in arms)
    if "valuesLists" in select:
        return len(select["valuesLists"]) >= _SEVERAL
    sources = select.get("fromClause", [])
    if len(sources) != 1 or _is_false(select.get("whereClause")):
        return False
    if any(key in select for key in ("groupClause", "havingClause", "windowClause")):
        return False
    return not _computes_rows(select.get("targetList", []), ctx) and _source_goes_back(sources[0], ctx)


def _source_goes_back(source: Node, ctx: Context) -> bool:
    kind = tree.tag(source)
    if kind == "RangeSubselect":
        return goes_back(source[kind]["subquery"]["SelectStmt"], ctx)
    return kind != "JoinExpr"


def _is_false(condition: Node | None) -> bool:
    """WHERE false, or NULL: nothing is scanned."""
    constant = (condition or {}).get("A_Const")
    return constant is not None and (bool(constant.get("isnull")) or tree.const_value(constant) is False)


def _computes_rows(targets: list[Node], ctx: Context) -> bool:
    """Whether a select list has an aggregate, a window function or one that gives rows."""
    for part in tree.walk({"targets": targets}):
        call = part.get("FuncCall")
        if isinstance(call, dict):
            found = ctx.functions.candidates(tree.strings(call["funcname"])[-1])
            if "over" in call or any(each.aggregate or each.set_returning for each in found):
                return True
    return False
