"""What the parts of an expression need in print: casts that nobody wrote, parentheses (ruleutils.c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.oids import DATE, FLOAT8, INT2, INT4, INT8, NUMERIC, TIMESTAMP, TIMESTAMPTZ, UNKNOWN
from helios_cli.engine.sql.typed import Node

WIDENED: Final = {
    INT4: (INT2,), INT8: (INT2, INT4), NUMERIC: (INT2, INT4, INT8), FLOAT8: (INT2, INT4, INT8, NUMERIC),
}  # fmt: skip
"""Types of numbers that become another one of themselves, by that."""
CAST_BY_CALLS: Final = {
    **WIDENED, TIMESTAMP: (DATE,), TIMESTAMPTZ: (DATE, TIMESTAMP),
}  # fmt: skip
"""What a function's argument is cast from, by its type."""


def shared_type(types: Sequence[int]) -> int:
    """The type that values of several types become together, untyped constants among them; 0 where it is not plain."""
    known = set(types) - {UNKNOWN}
    if len(known) == 1:
        return known.pop()
    wide = next((one for one in (FLOAT8, NUMERIC, INT8, INT4) if one in known), 0)
    return wide if wide and known <= {wide, *WIDENED[wide]} else 0


_PRECEDENCE: Final = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2, "^": 3}


def needs_parentheses(node: Node, parent: str) -> bool:
    """Whether a part of an operator needs parentheses in the pretty form (isSimpleNode, ruleutils.c)."""
    kind = tree.tag(node)
    if kind == "BoolExpr":
        operation = node[kind]["boolop"]
        return not (parent == "OR_EXPR" or (parent == "AND_EXPR" and operation != "OR_EXPR"))
    if kind in ("NullTest", "BooleanTest", "SubLink"):
        return not parent.endswith("_EXPR")
    if kind == "A_Expr" and node[kind]["kind"] in ("AEXPR_OP_ANY", "AEXPR_OP_ALL"):
        return True
    if kind == "A_Expr" and node[kind]["kind"] == "AEXPR_IN":
        return len(node[kind]["rexpr"]["List"]["items"]) > 1
    if kind != "A_Expr" or parent.endswith("_EXPR"):
        return (
            kind == "A_Expr" and node[kind]["kind"] in ("AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN") and parent == "NOT_EXPR"
        )
    own, outer = _PRECEDENCE.get(tree.strings(node[kind]["name"])[-1]), _PRECEDENCE.get(parent)
    return own is None or outer is None or own <= outer
