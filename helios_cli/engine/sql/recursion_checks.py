"""Where a recursive query may name itself (checkWellFormedRecursion, parse_cte.c)."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.typed import Node

_SUBQUERY: Final = "a subquery"
_OUTER: Final = "an outer join"
_NULLABLE: Final = {"JOIN_LEFT": ("rarg",), "JOIN_RIGHT": ("larg",), "JOIN_FULL": ("larg", "rarg")}
"""The sides of an outer join whose rows may be missing."""


class _Search:
    """The references to one query in its recursive term."""

    def __init__(self, name: str, ctx: Context) -> None:
        self.name = name
        self.ctx = ctx
        self.count = 0

    def visit(self, node: Any, inside: str) -> None:
        """Look at a tree; ``inside`` is what it stands in that a reference may not, or ''."""
        if isinstance(node, list):
            for item in node:
                self.visit(item, inside)
        elif isinstance(node, dict):
            for kind, fields in node.items():
                if isinstance(fields, dict):
                    self._node(kind, fields, inside)
                elif isinstance(fields, list):
                    self.visit(fields, inside)

    def _node(self, kind: str, fields: Node, inside: str) -> None:
        if kind == "RangeVar":
            self._reference(fields, inside)
        elif kind == "SubLink":
            self.visit(fields.get("testexpr"), inside)
            self.visit(fields.get("subselect"), _SUBQUERY)
        elif kind == "JoinExpr":
            nullable = _NULLABLE.get(fields.get("jointype", ""), ())
            for side in ("larg", "rarg"):
                self.visit(fields.get(side), _OUTER if side in nullable else inside)
            self.visit(fields.get("quals"), inside)
        elif kind == "SelectStmt" or "targetList" in fields or "op" in fields:
            self.select(fields, inside)
        else:
            self.visit(fields, inside)

    def select(self, fields: Node, inside: str) -> None:
        """A query and its arms."""
        hidden = [cte["CommonTableExpr"] for cte in fields.get("withClause", {}).get("ctes", [])]
        for cte in hidden:
            self.visit(cte.get("ctequery"), inside)
        if any(cte.get("ctename") == self.name for cte in hidden):
            return
        is_except = fields.get("op") == "SETOP_EXCEPT"
        for key, value in fields.items():
            if key == "withClause":
                continue
            if key in ("larg", "rarg"):
                self.select(value, "EXCEPT" if is_except and key == "rarg" else inside)
            elif isinstance(value, dict | list):
                self.visit({key: value} if isinstance(value, dict) else value, inside)

    def _reference(self, fields: Node, inside: str) -> None:
        if fields.get("relname") != self.name or "schemaname" in fields:
            return
        at = fields.get("location", 0)
        message = f'recursive reference to query "{self.name}" must not appear '
        if inside:
            raise self.ctx.error("42P19", f"{message}within {inside}", at)
        self.count += 1
        if self.count > 1:
            raise self.ctx.error("42P19", f"{message}more than once", at)


def check(term: Node, name: str, ctx: Context) -> None:
    """Check the recursive term of a query.

    Raises:
        SqlError: 42P19, it names the query where it may not or more than once; 0A000, it locks rows.
    """
    _Search(name, ctx).select(term, "")
    if "lockingClause" in term:
        raise ctx.error("0A000", "FOR UPDATE/SHARE in a recursive query is not implemented")
