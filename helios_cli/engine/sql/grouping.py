"""GROUP BY: what a grouped query's other clauses may name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.typed import Node, TypedSql

if TYPE_CHECKING:
    from helios_cli.engine.sql.scope import RangeItem, Scope


@dataclass(slots=True)
class Grouping:
    """The keys of one grouped query level."""

    columns: set[str] = field(default_factory=set)
    """SQLite texts of the keys that are plain columns."""
    expressions: list[tuple[Any, TypedSql]] = field(default_factory=list)
    """Keys that are expressions: their canonical form and translation."""

    def add(self, node: Node, value: TypedSql, scope: Scope) -> None:
        """Take a key. Literals in it become part of the plan, because keys are compared with other expressions."""
        if "ColumnRef" in node:
            self.columns.add(value.sql)
            # A whole row as a key is all its columns.
            self.columns.update(part.sql for part in value.row)
            return
        if not self.expressions:
            scope.ctx.bind_all()
        self.expressions.append((canonical(node, scope), value))

    def match(self, node: Node, scope: Scope) -> TypedSql | None:
        """The key an expression is equal to, None when it is none."""
        if not self.expressions or "A_Const" in node or "ColumnRef" in node:
            return None
        form = canonical(node, scope)
        return next((value for known, value in self.expressions if known == form), None)

    def target(self, node: Node) -> TypedSql | None:
        """The key that an item of the select list is because GROUP BY names it, where that is more than its value."""
        return None

    def save(self, value: TypedSql) -> TypedSql:
        """A translated aggregate of this level, as the clauses behind GROUP BY read it."""
        return value

    def check_column(self, scope: Scope, value: TypedSql, shown: str, at: int, within: bool = False) -> TypedSql:
        """A column as the clauses behind GROUP BY read it; refused when it is neither a key nor determined by them.

        ``within``: a subquery names it.

        Raises:
            SqlError: 42803.
        """
        if value.sql in self.columns or any(known.sql == value.sql for _, known in self.expressions):
            return value
        item = next((item for item in scope.items if any(c.value.sql == value.sql for c in item.columns)), None)
        if item is not None and self._determines(item):
            return value
        if item is not None:
            name = next(column.name for column in item.columns if column.value.sql == value.sql)
            shown = f"{item.name}.{name}"
        message = f'column "{shown}" must appear in the GROUP BY clause or be used in an aggregate function'
        message = f'subquery uses ungrouped column "{shown}" from outer query' if within else message
        raise scope.ctx.error("42803", message, at)

    def _determines(self, item: RangeItem) -> bool:
        """Whether the keys hold the item's whole primary key, and so every column of it."""
        relation = item.relation
        if relation is None:
            return False
        texts = {column.name: column.value.sql for column in item.columns}
        primary = [index for index in relation.indexes if index.primary]
        return any(all(texts.get(name or "") in self.columns for name in index.columns) for index in primary)


def canonical(node: Any, scope: Scope) -> Any:
    """A form that is equal for expressions that mean the same columns and constants."""
    if isinstance(node, list):
        return [canonical(item, scope) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("ColumnRef")
    if reference is not None and "A_Star" not in reference["fields"][-1]:
        grouping, scope.grouping = scope.grouping, None
        names = tree.strings(reference["fields"])
        try:
            found = scope.find_column(names[0], -1) if len(names) == 1 else scope.qualified(names[:-1], names[-1], -1)
        except SqlError:
            return names  # A subquery's own column.
        finally:
            scope.grouping = grouping
        return found.sql if found is not None else names
    return {key: canonical(value, scope) for key, value in node.items() if key != "location"}
