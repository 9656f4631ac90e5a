"""The shapes of the system relations: parsed once from the column lists, shared by planner and virtual tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.relation import ColumnInfo, Relation
from helios_cli.engine.storage import system_columns_cluster, system_columns_info, system_columns_pg

_HEAD: Final = re.compile(r"^(\w+) (\d+) ([rv]): ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SystemRelation:
    """One relation of pg_catalog or information_schema."""

    schema: str
    name: str
    oid: int
    kind: str
    """'r' or 'v', as pg_class tells it."""
    columns: tuple[ColumnInfo, ...]
    blank: dict[str, Any]
    """A row's values where nothing is known: NULL, zero or the empty string."""

    @property
    def module(self) -> str:
        """The SQLite virtual table's name, which no user's table can have."""
        return f"{self.schema}.{self.name}"

    def row(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """A row in column order; missing values are blank."""
        found = {**self.blank, **values}
        assert len(found) == len(self.columns), f"{self.name} has no such column: {values.keys() - self.blank.keys()}"
        # In the order of the blank row, whose keys came first.
        return tuple(found.values())


def _column(text: str, number: int) -> ColumnInfo:
    name, type_name = text.split(" ")
    nullable = type_name.endswith("?")
    found = registry.by_internal_name(type_name.removesuffix("?"))
    typmod = _YES_OR_NO_TYPMOD if type_name.startswith("varchar") and _is_yes_or_no(name) else -1
    return ColumnInfo(name, found.oid if found else 25, typmod, not nullable, None, "", number)


_YES_OR_NO_TYPMOD: Final = 7
"""information_schema.yes_or_no is a varchar(3)."""


def _is_yes_or_no(name: str) -> bool:
    return (name.startswith("is_") and name != "is_generated") or name in ("identity_cycle", "with_hierarchy")


def _blank(column: ColumnInfo) -> Any:
    if not column.not_null:
        return None
    category = registry.by_oid(column.type_oid).category
    return 0 if category in ("N", "B") or column.type_oid in (28, 29) else ""


def _read(schema: str, text: str) -> list[SystemRelation]:
    found = []
    heads = list(_HEAD.finditer(text))
    for at, head in enumerate(heads):
        end = heads[at + 1].start() if at + 1 < len(heads) else len(text)
        listed = " ".join(text[head.end() : end].split()).split(", ")
        columns = tuple(_column(item, number) for number, item in enumerate(listed, 1))
        blank = {column.name: _blank(column) for column in columns}
        found.append(SystemRelation(schema, head[1], int(head[2]), head[3], columns, blank))
    return found


_LISTS: Final = (
    ("pg_catalog", system_columns_pg.RELATIONS),
    ("pg_catalog", system_columns_cluster.RELATIONS),
    ("information_schema", system_columns_info.RELATIONS),
)

SYSTEM_RELATIONS: Final[dict[tuple[str, str], SystemRelation]] = {
    (relation.schema, relation.name): relation for schema, text in _LISTS for relation in _read(schema, text)
}
"""(schema, name) -> its shape."""

_STORED: Final = {"pg_largeobject": "helios_largeobject"}
"""Relations that are read from the table that holds them, which may be large."""

PLANNER_RELATIONS: Final[dict[tuple[str, str], Relation]] = {
    key: Relation(
        relation.oid,
        relation.schema,
        relation.name,
        "c",
        relation.columns,
        (),
        _STORED.get(relation.name, relation.module),
    )
    for key, relation in SYSTEM_RELATIONS.items()
}
"""The same as the planner sees them."""


def declared_columns(relation: SystemRelation) -> str:
    """The columns as CREATE TABLE takes them."""
    return ", ".join(f'"{column.name}" {registry.decl_of(column.type_oid)}' for column in relation.columns)


def declaration(relation: SystemRelation) -> str:
    """The CREATE TABLE a virtual table module declares itself with."""
    return f"CREATE TABLE x({declared_columns(relation)})"
