"""What the names in a query mean while it is printed: FROM items, WITH queries, columns and their types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_deparse import Deparser
from helios_cli.engine.sql.names import NONE, column_name
from helios_cli.engine.sql.oids import TEXT, UNKNOWN
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.sql.typed import Node

Relations = Callable[[str | None, str], tuple[str, Mapping[str, int]] | None]
"""How a relation is written, and the types of its columns; None: it is not known."""


@dataclass(slots=True)
class Item:
    """One FROM item."""

    name: str
    columns: Mapping[str, int]
    shown: str = ""
    """What it is called where an outer level has its name, too; else its name."""
    row_type: str = ""
    """The type of its rows, of a table."""


@dataclass(slots=True)
class Level:
    """One query level: what its names may mean."""

    items: list[Item] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    """Columns of JOIN USING, as they are written."""
    natural: dict[int, list[str]] = field(default_factory=dict)
    """The columns that each NATURAL JOIN is over."""


class NamedItems(Deparser):
    """Finds what a name means, and writes columns with their FROM items."""

    def __init__(self, relations: Relations, columns: Mapping[str, int], pretty: bool) -> None:
        super().__init__(columns, pretty)
        self._relations = relations
        self._levels: list[Level] = []
        self._ctes: list[dict[str, Mapping[str, int]]] = [{}]

    @contextmanager
    def _entered(self, select: dict[str, Any]) -> Iterator[None]:
        """Within a query: what its FROM offers and its WITH queries are known."""
        self._levels.append(Level())
        self._ctes.append({})
        try:
            for node in select.get("withClause", {}).get("ctes", []):
                cte = node["CommonTableExpr"]
                inner = cte["ctequery"].get("SelectStmt", {})
                first = inner
                while select["withClause"].get("recursive") and "larg" in first:
                    first = first["larg"]
                self._ctes[-1][cte["ctename"]] = self._outputs(first, tree.strings(cte.get("aliascolnames", [])))
            for node in select.get("fromClause", []):
                self._collect(node)
            yield
        finally:
            self._levels.pop()
            self._ctes.pop()

    def _outputs(self, select: dict[str, Any], given: Sequence[str]) -> dict[str, int]:
        """The columns that a query gives, under the given names and then its own, with their types."""
        with self._entered(select):
            if "larg" in select:
                found = list(self._outputs(select["larg"], ()).items())
            elif "valuesLists" in select:
                row = select["valuesLists"][0]["List"]["items"]
                found = [(f"column{place}", self._shown_type(node)) for place, node in enumerate(row, 1)]
            else:
                targets = [target["ResTarget"] for target in select.get("targetList", [])]
                found = [(one.get("name") or column_name(one["val"]), self._shown_type(one["val"])) for one in targets]
        return dict(zip([*given, *[name for name, _ in found][len(given) :]], [one for _, one in found], strict=True))

    def _shown_type(self, node: Node) -> int:
        found = self.type_of(node)
        return TEXT if found == UNKNOWN else found

    def _collect(self, node: Node) -> list[Item]:
        """Take down what a FROM element offers."""
        level, kind = self._levels[-1], tree.tag(node)
        fields: dict[str, Any] = node[kind]
        if kind == "JoinExpr":
            if "alias" in fields:
                raise FeatureNotSupported("a join of this form")
            left, right = self._collect(fields["larg"]), self._collect(fields["rarg"])
            if fields.get("isNatural"):
                level.natural[id(fields)] = _in_both(left, right)
            for name in self._using(fields):
                side = right if fields["jointype"] == "JOIN_RIGHT" else left
                owner = next((item for item in side if name in item.columns), None)
                if owner is not None and fields["jointype"] != "JOIN_FULL":
                    level.merged.setdefault(name, f"{pg_identifier(owner.shown)}.{pg_identifier(name)}")
                elif fields["jointype"] == "JOIN_FULL":
                    level.merged.setdefault(name, pg_identifier(name))
            return left + right
        if kind == "RangeTableSample":
            return self._collect(fields["relation"])
        handler = {"RangeVar": self._table_item, "RangeSubselect": self._query_item, "RangeFunction": function_item}
        if kind not in handler:
            raise FeatureNotSupported(f"{kind} in FROM")
        item = handler[kind](fields)
        taken = {one.shown for outer in self._levels for one in outer.items}
        numbers = (f"{item.name}_{number}" for number in count(1))
        item.shown = item.name if item.name not in taken else next(one for one in numbers if one not in taken)
        level.items.append(item)
        return [item]

    def _using(self, join: dict[str, Any]) -> list[str]:
        """The columns that a join is over by name."""
        return self._levels[-1].natural.get(id(join)) or tree.strings(join.get("usingClause", []))

    def _table_item(self, fields: dict[str, Any]) -> Item:
        alias = fields.get("alias", {})
        cte = self._cte(fields)
        found = None if cte is not None else self._relations(fields.get("schemaname"), fields["relname"])
        columns = dict(cte if cte is not None else found[1] if found is not None else {})
        given = tree.strings(alias.get("colnames", []))
        renamed = [*zip(given, columns.values(), strict=False), *list(columns.items())[len(given) :]]
        row_type = found[0] if found is not None else ""
        return Item(alias.get("aliasname", fields["relname"]), dict(renamed), row_type=row_type)

    def _query_item(self, fields: dict[str, Any]) -> Item:
        alias = fields.get("alias", {})
        if "aliasname" not in alias:
            raise FeatureNotSupported("a subquery without a name")
        outer = self._levels.pop()
        try:
            self._levels.append(outer if fields.get("lateral") else Level())
            found = self._outputs(fields["subquery"]["SelectStmt"], tree.strings(alias.get("colnames", [])))
        finally:
            self._levels[-1] = outer
        return Item(alias["aliasname"], found)

    def _cte(self, fields: dict[str, Any]) -> Mapping[str, int] | None:
        """The columns of the WITH query that a name means; None: it means a relation."""
        if "schemaname" in fields:
            return None
        return next((found[fields["relname"]] for found in reversed(self._ctes) if fields["relname"] in found), None)

    def _name_of(self, fields: dict[str, Any]) -> str:
        return tree.strings(fields["fields"][-1:])[0] if "String" in fields["fields"][-1] else ""

    def _column(self, fields: dict[str, Any]) -> str:
        whole = self._whole_row({"ColumnRef": fields})
        if whole is not None:
            return f"{pg_identifier(self._shown(whole))}.*"
        names = tree.strings(fields["fields"])
        if not self._levels:
            return pg_identifier(names[-1])
        if len(names) > 1:
            return f"{pg_identifier(self._shown(names[-2]))}.{pg_identifier(names[-1])}"
        for level in reversed(self._levels):
            if names[0] in level.merged:
                return level.merged[names[0]]
        raise FeatureNotSupported("a column that several FROM items have")

    def _shown(self, name: str) -> str:
        """What a FROM item is called in print."""
        found = (item for level in reversed(self._levels) for item in level.items if item.name == name)
        return next((item.shown for item in found), name)

    def _whole_row(self, node: Node) -> str | None:
        """The FROM item that a reference names as a whole; None: it names a column."""
        fields = node["ColumnRef"]["fields"] if "ColumnRef" in node else []
        if not fields:
            return None
        names = tree.strings([part for part in fields if "String" in part])
        if "A_Star" in fields[-1]:
            return names[-1] if names else None
        items = [item for level in self._levels for item in level.items]
        known = any(names[-1] in level.merged for level in self._levels)
        return names[0] if len(names) == 1 and not known and any(item.name == names[0] for item in items) else None

    def type_of(self, node: Node) -> int:
        """See :class:`~helios_cli.engine.sql.ddl_deparse.Deparser`."""
        if "ColumnRef" not in node or not self._levels:
            return super().type_of(node)
        names = tree.strings([part for part in node["ColumnRef"]["fields"] if "String" in part])
        for level in reversed(self._levels):
            for item in level.items:
                if names[-1] in item.columns and (len(names) == 1 or item.name == names[-2]):
                    return item.columns[names[-1]]
        return self._columns.get(names[-1], 0) if names else 0

    def _own_name(self, node: Node, visible: bool) -> str | None:
        """The name that a column has as it is printed; None: none that counts."""
        if "ColumnRef" in node:
            return self._name_of(node["ColumnRef"]) if self._whole_row(node) is None else None
        return None if visible else NONE


def _in_both(left: Sequence[Item], right: Sequence[Item]) -> list[str]:
    """The columns that both sides of a join have, in the order of the left one."""
    theirs = {name for item in right for name in item.columns}
    return [name for item in left for name in item.columns if name in theirs]


def is_set(select: dict[str, Any]) -> bool:
    """Whether a query is a UNION, INTERSECT or EXCEPT."""
    return bool(select.get("op", "SETOP_NONE") != "SETOP_NONE")


def function_item(fields: dict[str, Any]) -> Item:
    """A function in FROM; what its columns are called must be told by its alias or its name."""
    from helios_cli.engine.sql.functions import REGISTRY

    alias = fields.get("alias", {})
    node = fields["functions"][0]["List"]["items"][0]
    if "FuncCall" not in node:
        raise FeatureNotSupported("this function in FROM")
    called = tree.strings(node["FuncCall"]["funcname"])[-1]
    name = alias.get("aliasname", called)
    found = [column for function in REGISTRY.candidates(called)[:1] for column, _ in function.columns]
    if not found and not REGISTRY.candidates(called) and "colnames" not in alias and "coldeflist" not in fields:
        raise FeatureNotSupported("a function in FROM whose columns are not known")
    columns = [one["ColumnDef"]["colname"] for one in fields.get("coldeflist", [])] or (
        found if len(found) > 1 else [name]
    )
    if fields.get("ordinality"):
        columns = [*columns, "ordinality"]
    given = tree.strings(alias.get("colnames", []))
    return Item(name, dict.fromkeys([*given, *columns[len(given) :]], 0))
