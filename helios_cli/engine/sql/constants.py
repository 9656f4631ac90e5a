"""Constant expressions computed while a statement is planned, as PostgreSQL's planner does.

A call, operator or cast over constants alone is computed once when a new shape is planned: an error in it stops the
statement even where no row would need the value, and a NULL takes the expression's place, so that strict functions
around it are not called. What stands under CASE, COALESCE or beside a constant condition is left to run time, since
PostgreSQL may not look at it either. A statement whose shape is known is not planned and pays nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.oids import POLYMORPHIC, RECORD, UNKNOWN
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node, TypedSql, changed

Evaluate = Callable[[str], Any]
"""Computes an SQLite expression that names nothing; raises what computing it raises."""
_FOLDED: Final = frozenset(
    (
        "FuncCall", "A_Expr", "TypeCast",
        "CaseExpr", "CoalesceExpr", "BoolExpr", "NullTest", "BooleanTest", "A_ArrayExpr",
        "A_Indirection", "MinMaxExpr", "CollateClause",
    )
)  # fmt: skip
_OUTSIDE: Final = re.compile(r"\x02S|\?\d")
"""What a text has that needs more than its constants: values of the session, parameters."""
_TIME_LITERAL: Final = re.compile(
    "(pg_time_in\\([0-9]+, (?:\x02L[^\x03]*\x03|'(?:[^']|'')*'), )\x02Stimezone\x03, \x02Snow\x03\\)"
)
"""A date or time, whose text says what it is but for the session's zone and clock."""
_RAISED: Final = ("22", "54", "0A", "21")
"""Classes of the errors that values cause; any other is left to run time."""


def folded(kind: str, fields: Any, scope: Scope, translator: Callable[[dict[str, Any], Scope], TypedSql]) -> TypedSql:
    """Translate a node and, when it is constant, compute it. What that raises is kept in ``ctx.constant_error``.

    Raises:
        SqlError: what translating the node raises.
    """
    ctx = scope.ctx
    if ctx.evaluate is None:
        return translator(fields, scope)
    if kind not in _FOLDED:
        ctx.impure += kind != "A_Const"
        return translator(fields, scope)
    before, volatile, lazy = ctx.impure, ctx.volatile, ctx.lazy
    ctx.volatile = False
    chosen = _chosen_by_constants(kind, fields)
    ctx.lazy = lazy or chosen
    try:
        value = translator(fields, scope)
    finally:
        ctx.lazy = lazy
        impure = ctx.volatile or (kind == "FuncCall" and _of_rows(fields, scope))
        ctx.impure += impure
        ctx.volatile |= volatile
    if ctx.impure != before or lazy or (chosen and kind == "BoolExpr") or value.simple or value.sql == "NULL":
        return value
    return computed(value, scope)


def computed(value: TypedSql, scope: Scope) -> TypedSql:
    """A value that is made of constants, or NULL when that is what it comes to. What it raises is kept."""
    ctx = scope.ctx
    # What a date says depends on the session's DateStyle too, where that is another one.
    text = _TIME_LITERAL.sub(r"\1'UTC', 0)", value.sql) if ctx.style is None else value.sql
    if _OUTSIDE.search(text) or value.param or value.row or value.type_oid in (UNKNOWN, RECORD):
        return value
    assert ctx.evaluate is not None
    try:
        result = ctx.evaluate(ctx.inlined(text))
    except HeliosError as error:
        if str(error.sqlstate).startswith(_RAISED) or error.sqlstate == "42601":
            ctx.constant_error = ctx.constant_error or error
        return value
    if result is not None or value.type_oid in POLYMORPHIC or value.shape is not None:
        return value
    return changed(value, sql="NULL", not_null=False, raw="", literal=-1, value=None)


def _of_rows(fields: dict[str, Any], scope: Scope) -> bool:
    """Whether a call is not to be made while planning: of an aggregate, a window function, one that gives rows or
    that the session may change, or one of the user's.
    """
    from helios_cli.engine.sql.calls import visible_overloads
    from helios_cli.engine.sql.routines import UserFunction

    if "over" in fields or fields.get("agg_within_group"):
        return True
    overloads = visible_overloads(tree.strings(fields["funcname"]), scope)
    if overloads and all(found.stable for found in overloads):
        return True
    return any(
        found.aggregate or found.window or found.set_returning or isinstance(found, UserFunction) for found in overloads
    )


def _chosen_by_constants(kind: str, fields: dict[str, Any]) -> bool:
    """Whether a constant may decide which parts of CASE, COALESCE, AND or OR are looked at."""
    if kind == "BoolExpr":
        return any(map(_is_constant, fields["args"]))
    if kind == "CoalesceExpr":
        return any(map(_is_constant, fields["args"][:-1]))
    if kind == "CaseExpr":
        subject = fields.get("arg")
        if subject is not None and not _is_constant(subject):
            return False
        return any(_is_constant(branch["CaseWhen"]["expr"]) for branch in fields["args"])
    return False


def _is_constant(node: Node) -> bool:
    """Whether a condition names no column, parameter or subquery."""
    names = ("ColumnRef", "ParamRef", "SubLink")
    return not any(name in part for part in tree.walk(node) for name in names)
