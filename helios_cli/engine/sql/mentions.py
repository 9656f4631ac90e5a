"""Where a query names relations and columns, and what it means by each: noted while it is translated.

Places are byte offsets in the text, as the parser counts them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helios_cli.engine.sql.relation import Relation
    from helios_cli.engine.sql.scope import RangeItem, Scope, ScopeColumn


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """A column that is named."""

    item: str
    """The FROM item that has it; '' where several have (a column of JOIN USING) or it has no name."""
    relation: int
    """OID of the relation whose column it is; 0: a column of a subquery, a WITH query or a function."""
    name: str


@dataclass(slots=True)
class Mentions:
    """What one text names, by place."""

    relations: dict[int, Relation] = field(default_factory=dict)
    columns: dict[int, NamedColumn] = field(default_factory=dict)
    rows: dict[int, RangeItem] = field(default_factory=dict)
    """FROM items that are named as a whole: ``t``, ``t.*``."""
    labels: dict[int, int] = field(default_factory=dict)
    """Untyped constants that become values of a user's type, with its OID."""
    stars: dict[int, list[NamedColumn]] = field(default_factory=dict)
    """What ``*`` and ``t.*`` stand for in select lists."""

    def relation(self, fields: dict[str, Any], relation: Relation) -> None:
        """A FROM item names a relation."""
        self.relations[fields.get("location", -1)] = relation

    def column(
        self, column: ScopeColumn, scope: Scope, at: int, item: RangeItem | None = None, *, seen_from: Scope
    ) -> None:
        """A column of a level of the query is named, at that level or within it."""
        found = _named(column, scope, item)
        level: Scope | None = seen_from
        while level is not None and level is not scope:
            if any(one.name == found.item for one in level.items):
                found = NamedColumn("", found.relation, found.name)
            level = level.parent
        self.columns[at] = found

    def star(self, columns: list[ScopeColumn], scope: Scope, at: int, item: RangeItem | None) -> None:
        """A select list asks for all columns of a level, or of one of its items."""
        self.stars[at] = [_named(column, scope, item) for column in columns]


def _named(column: ScopeColumn, scope: Scope, item: RangeItem | None) -> NamedColumn:
    if item is None:
        owners = [one for one in scope.items if any(other.name == column.name for other in one.columns)]
        item = owners[0] if len(owners) == 1 else None
    value = column.value
    own = item.relation.columns[item.renamed :] if item is not None and item.relation is not None else ()
    stored = any((one.attnum, one.name) == (value.attnum, column.name) for one in own)
    return NamedColumn(item.name if item is not None else "", value.table_oid if stored else 0, column.name)
