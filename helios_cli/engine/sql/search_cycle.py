"""SEARCH and CYCLE of recursive queries: columns that PostgreSQL adds to both arms (rewriteSearchCycle.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from helios_cli.engine.sql import casts, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.ordering import check_comparable
from helios_cli.engine.sql.query import Output, Query, Select, match_types, type_in
from helios_cli.engine.sql.scope import Scope, ScopeColumn, column_node
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import Node, TypedSql

_DEPTH: Final = "f1"
"""The field of a row for BREADTH FIRST that counts the steps."""


@dataclass(slots=True)
class Clauses:
    """What SEARCH and CYCLE of a WITH query name; a clause that is not there names no columns."""

    search: list[str]
    breadth: bool
    sequence: str
    cycle: list[str]
    mark: str
    path: str
    value: Node
    otherwise: Node
    at: tuple[int, int]
    """Where each clause stands."""

    @property
    def added(self) -> list[str]:
        """The names of the columns that come behind those of the query."""
        return [name for name in (self.sequence, self.mark, self.path) if name]


def read_clauses(fields: dict[str, Any]) -> Clauses | None:
    """The clauses of a WITH query; None when it has neither."""
    search, cycle = fields.get("search_clause"), fields.get("cycle_clause")
    if search is None and cycle is None:
        return None
    search, cycle = search or {}, cycle or {}
    return Clauses(
        tree.strings(search.get("search_col_list", [])), bool(search.get("search_breadth_first")),
        search.get("search_seq_column", ""), tree.strings(cycle.get("cycle_col_list", [])),
        cycle.get("cycle_mark_column", ""), cycle.get("cycle_path_column", ""), cycle.get("cycle_mark_value", {}),
        cycle.get("cycle_mark_default", {}), (search.get("location", -1), cycle.get("location", -1)),
    )  # fmt: skip


def check_clauses(clauses: Clauses, columns: Sequence[str], listed: Sequence[str], ctx: Context) -> None:
    """Refuse columns that are not there or are named twice (analyzeCTE). Raises SqlError 42601, 42701.

    ``listed``: the names behind that of the query.
    """
    search_at, cycle_at = clauses.at
    for names, word, at in ((clauses.search, "search", search_at), (clauses.cycle, "cycle", cycle_at)):
        for position, name in enumerate(names):
            if name not in columns:
                raise ctx.error("42601", f'{word} column "{name}" not in WITH query column list', at)
            if name in names[:position]:
                raise ctx.error("42701", f'{word} column "{name}" specified more than once', at)
        added = (("search sequence", clauses.sequence),) if word == "search" else (
            ("cycle mark", clauses.mark), ("cycle path", clauses.path)
        )  # fmt: skip
        for what, name in added:
            if name and name in listed:
                raise ctx.error("42601", f'{what} column name "{name}" already used in WITH query column list', at)
    if clauses.mark and clauses.mark == clauses.path:
        raise ctx.error("42601", "cycle mark column name and cycle path column name are the same", cycle_at)
    for word, name in (("mark", clauses.mark), ("path", clauses.path)):
        if name and name == clauses.sequence:
            message = f"search sequence column name and cycle {word} column name are the same"
            raise ctx.error("42601", message, search_at)


def check_arms(select: dict[str, Any], name: str, ctx: Context) -> None:
    """Refuse arms that are unions themselves, and a reference in a subquery. Raises SqlError 0A000, 42601."""
    for key, word in (("larg", "left"), ("rarg", "right")):
        if select[key].get("op", "SETOP_NONE") != "SETOP_NONE":
            state = "0A000" if key == "larg" else "42601"
            raise ctx.error(state, f"with a SEARCH or CYCLE clause, the {word} side of the UNION must be a SELECT")
    for node in select["rarg"].get("fromClause", []):
        for part in tree.walk(node):
            inside = part.get("RangeSubselect")
            if isinstance(inside, dict) and any(
                isinstance(found.get("RangeVar"), dict) and found["RangeVar"].get("relname") == name
                for found in tree.walk(inside)
            ):
                message = (
                    f'with a SEARCH or CYCLE clause, the recursive reference to WITH query "{name}" must be at the '
                    "top level of its right-hand SELECT"
                )
                raise ctx.error("0A000", message)


class Added:
    """The columns that both arms of one query get."""

    def __init__(self, clauses: Clauses, scope: Scope) -> None:
        self.clauses = clauses
        self._scope = scope
        self.columns: list[Output] = []
        """Their names and types, once the first arm is made."""
        self._reference = ""
        self._mark = 0

    def first(self, left: Query) -> Query:
        """The first arm with the added columns behind its own."""
        clauses, arm = self.clauses, _wrapped(left, self._scope.ctx)
        inside = self._inside(arm)
        if clauses.sequence:
            node = _row(clauses.search, _ZERO) if clauses.breadth else _list_of(_row(clauses.search))
            self.columns.append(Output(clauses.sequence, translate(node, inside)))
        if clauses.mark:
            for name in clauses.cycle:
                check_comparable(next(one.value for one in arm.outputs if one.name == name), self._scope)
            values = [translate(node, inside) for node in (clauses.value, clauses.otherwise)]
            self._mark = match_types("CYCLE", [value.type_oid for value in values], values, self._scope.ctx)
            self.columns.append(Output(clauses.mark, self._marked(clauses.otherwise, inside)))
            self.columns.append(Output(clauses.path, translate(_list_of(_row(clauses.cycle)), inside)))
        arm.outputs = [*arm.outputs, *self.columns]
        return arm

    def _marked(self, node: Node, scope: Scope) -> TypedSql:
        return casts.coerce(translate(node, scope), self._mark, -1, How.IMPLICIT, self._scope.ctx)

    def met(self, alias: str) -> list[str]:
        """The recursive term names the query under a SQLite alias: the condition that ends a cycle."""
        self._reference = alias
        if not self.clauses.mark:
            return []
        inside = Scope(self._scope.ctx, columns=self._before())
        differs = _operation("<>", column_node(self.clauses.mark), self.clauses.value)
        return [translate(differs, inside).sql]

    def _before(self) -> list[ScopeColumn]:
        """The added columns of the row that the recursive term begins with."""
        prefix = quote_identifier(self._reference)
        return [
            ScopeColumn(
                one.name,
                TypedSql(
                    f"{prefix}.{quote_identifier(one.name)}", one.value.type_oid, one.value.typmod,
                    simple=True, shape=one.value.shape, collation=one.value.collation,
                ),
            )
            for one in self.columns
        ]  # fmt: skip

    def _inside(self, arm: Query, before: Sequence[ScopeColumn] = ()) -> Scope:
        columns = [ScopeColumn(one.name, one.value) for one in arm.outputs]
        return Scope(self._scope.ctx, self._scope.parent, columns=[*columns, *before])

    def further(self, right: Query, left: Query, names: Sequence[str]) -> None:
        """Put the added columns behind those of the recursive term, which get names and types of the first arm's."""
        clauses = self.clauses
        if not isinstance(right, Select) or right.distinct or not self._reference:
            raise self._scope.ctx.unsupported("SEARCH or CYCLE of this recursive term")
        for position, name in enumerate(names):
            right.outputs[position].name = name
            oid = left.outputs[position].value.type_oid
            if type_in(right.outputs[position].value, self._scope.ctx) != oid:
                right.coerce(position, oid, -1, How.IMPLICIT, self._scope.ctx)
        inside = self._inside(right, self._before())
        made = []
        if clauses.sequence and clauses.breadth:
            deeper = _operation("+", _field_of(clauses.sequence), _ONE)
            made.append(Output(clauses.sequence, translate(_row(clauses.search, deeper), inside)))
        elif clauses.sequence:
            made.append(Output(clauses.sequence, translate(_behind(clauses.sequence, clauses.search), inside)))
        if clauses.mark:
            again = _operation("=", _row(clauses.cycle), column_node(clauses.path), kind="AEXPR_OP_ANY")
            found = translate(again, inside).sql
            value, otherwise = self._marked(clauses.value, inside), self._marked(clauses.otherwise, inside)
            text = f"CASE WHEN {found} THEN {value.sql} ELSE {otherwise.sql} END"
            made.append(Output(clauses.mark, TypedSql(text, self._mark)))
            made.append(Output(clauses.path, translate(_behind(clauses.path, clauses.cycle), inside)))
        right.outputs = [*right.outputs, *made]


def _wrapped(arm: Query, ctx: Context) -> Select:
    """A query as one whose columns can be named."""
    alias = ctx.unique_alias("arm")
    outputs = [
        Output(one.name, replace(one.value, sql=f"{quote_identifier(alias)}.{quote_identifier(name)}", raw="", param=0,
                                 literal=-1, value=None))
        for one, name in zip(arm.outputs, arm.names(), strict=True)
    ]  # fmt: skip
    return Select(outputs, source=f" FROM ({arm.render(named=True)}) AS {quote_identifier(alias)}")


# -- trees ----------------------------------------------------------------------------------------


def _number(value: int) -> Node:
    return {"A_Const": {"ival": {"ival": value}, "location": -1}}


_ONE: Final = _number(1)
_ZERO: Final[Node] = {
    "TypeCast": {
        "arg": _number(0),
        "typeName": {"names": [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "int8"}}], "typemod": -1},
        "location": -1,
    }
}


def _row(names: Sequence[str], *before: Node) -> Node:
    args = [*before, *(column_node(name) for name in names)]
    return {"RowExpr": {"args": args, "row_format": "COERCE_EXPLICIT_CALL", "location": -1}}


def _list_of(node: Node) -> Node:
    return {"A_ArrayExpr": {"elements": [node], "location": -1}}


def _operation(name: str, left: Node, right: Node, kind: str = "AEXPR_OP") -> Node:
    fields = {"kind": kind, "name": [{"String": {"sval": name}}], "lexpr": left, "rexpr": right, "location": -1}
    return {"A_Expr": fields}


def _behind(path: str, names: Sequence[str]) -> Node:
    return _operation("||", column_node(path), _list_of(_row(names)))


def _field_of(name: str) -> Node:
    return {"A_Indirection": {"arg": column_node(name), "indirection": [{"String": {"sval": _DEPTH}}]}}
