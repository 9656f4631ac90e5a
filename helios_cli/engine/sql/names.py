"""The names PostgreSQL gives to result columns without AS (parse_target.c FigureColname)."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.typed import Node

NONE: Final = "?column?"
_FIXED: Final = {
    "CoalesceExpr": "coalesce",
    "A_ArrayExpr": "array",
    "RowExpr": "row",
    "XmlSerialize": "xmlserialize",
    "GroupingFunc": "grouping",
}
_VALUE_FUNCTIONS: Final = {
    "SVFOP_CURRENT_DATE": "current_date",
    "SVFOP_CURRENT_TIME": "current_time",
    "SVFOP_CURRENT_TIME_N": "current_time",
    "SVFOP_CURRENT_TIMESTAMP": "current_timestamp",
    "SVFOP_CURRENT_TIMESTAMP_N": "current_timestamp",
    "SVFOP_LOCALTIME": "localtime",
    "SVFOP_LOCALTIME_N": "localtime",
    "SVFOP_LOCALTIMESTAMP": "localtimestamp",
    "SVFOP_LOCALTIMESTAMP_N": "localtimestamp",
    "SVFOP_CURRENT_ROLE": "current_role",
    "SVFOP_CURRENT_USER": "current_user",
    "SVFOP_USER": "user",
    "SVFOP_SESSION_USER": "session_user",
    "SVFOP_CURRENT_CATALOG": "current_catalog",
    "SVFOP_CURRENT_SCHEMA": "current_schema",
}


def column_name(node: Node) -> str:
    """The name of a result column that has no AS."""
    return _figure(node)[0] or NONE


def _figure(node: Node) -> tuple[str, int]:
    """A name and its strength: 2 decided, 1 a weak guess (CASE, a type), 0 none."""
    kind, fields = tree.tag(node), tree.body(node)
    if kind in _FIXED:
        return _FIXED[kind], 2
    figure = _FIGURES.get(kind)
    return figure(fields) if figure is not None else ("", 0)


def _column_ref(fields: dict[str, Any]) -> tuple[str, int]:
    names = [item["String"].get("sval", "") for item in fields["fields"] if "String" in item]
    return (names[-1], 2) if names else ("", 0)


def _indirection(fields: dict[str, Any]) -> tuple[str, int]:
    names = [item["String"].get("sval", "") for item in fields.get("indirection", []) if "String" in item]
    return (names[-1], 2) if names else _figure(fields["arg"])


def _function(fields: dict[str, Any]) -> tuple[str, int]:
    return tree.strings(fields["funcname"])[-1], 2


def _expression(fields: dict[str, Any]) -> tuple[str, int]:
    return ("nullif", 2) if fields["kind"] == "AEXPR_NULLIF" else ("", 0)


def _cast(fields: dict[str, Any]) -> tuple[str, int]:
    name, strength = _figure(fields["arg"])
    if strength > 1:
        return name, strength
    return tree.strings(fields["typeName"]["names"])[-1], 1


def _case(fields: dict[str, Any]) -> tuple[str, int]:
    if "defresult" in fields:
        name, strength = _figure(fields["defresult"])
        if strength > 1:
            return name, strength
    return "case", 1


def _sublink(fields: dict[str, Any]) -> tuple[str, int]:
    kind = fields.get("subLinkType")
    if kind == "EXISTS_SUBLINK":
        return "exists", 2
    if kind == "ARRAY_SUBLINK":
        return "array", 2
    if kind == "EXPR_SUBLINK":
        select = fields["subselect"]["SelectStmt"]
        while "larg" in select:
            select = select["larg"]
        if "targetList" in select:
            target = select["targetList"][0]["ResTarget"]
            # By now PostgreSQL has given the column a name, whatever it comes from.
            return target.get("name") or _figure(target["val"])[0] or "?column?", 2
        return "column1", 2
    return "", 0


def _min_max(fields: dict[str, Any]) -> tuple[str, int]:
    return ("least" if fields.get("op") == "IS_LEAST" else "greatest"), 2


def _collate(fields: dict[str, Any]) -> tuple[str, int]:
    return _figure(fields["arg"])


def _value_function(fields: dict[str, Any]) -> tuple[str, int]:
    return _VALUE_FUNCTIONS[fields["op"]], 2


_FIGURES = {
    "ColumnRef": _column_ref,
    "A_Indirection": _indirection,
    "FuncCall": _function,
    "A_Expr": _expression,
    "TypeCast": _cast,
    "CaseExpr": _case,
    "SubLink": _sublink,
    "MinMaxExpr": _min_max,
    "CollateClause": _collate,
    "SQLValueFunction": _value_function,
}
