"""What the parts of one statement see: all of them the database as it was before the statement.

A statement with data-modifying WITH queries runs as several SQLite statements, one behind the other. Rows that the
earlier ones return, and what the tables that they change looked like before, are kept as JSON and bound to the later
ones (PostgreSQL manual, 7.8.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.oids import BYTEA
from helios_cli.engine.sql.plan import Watch
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import TypedSql

_ROW_IDS = ("rowid", "_rowid_", "oid")


def row_id(relation: Relation) -> str:
    """SQLite's name for the row number of a table, one that no column hides."""
    taken = {column.name.lower() for column in relation.columns}
    return next(name for name in _ROW_IDS if name not in taken)


def saved_columns(values: Sequence[TypedSql], row: str) -> list[str]:
    """The texts that read saved values back from ``row``, a JSON array; ``bytea`` is hexadecimal in it."""
    texts = [f"{row} ->> {position}" for position in range(len(values))]
    return [
        f"unhex({text})" if value.type_oid == BYTEA else f"({text})" for text, value in zip(texts, values, strict=True)
    ]


@dataclass(slots=True)
class Snapshots:
    """The tables that the parts of one statement change, while it is translated."""

    ctx: Context
    writers: dict[int, set[int]]
    """The numbers of the parts that change a table, by its oid."""
    part: int = 0
    """The part that is being translated."""
    is_main: bool = False
    """It is the main query, whose rows leave for the client."""
    watched: dict[int, Watch] = field(default_factory=dict)

    def is_changed_by_others(self, relation: Relation) -> bool:
        """Whether another part changes a table."""
        return bool(self.writers.get(relation.oid, set()) - {self.part})

    def _watch(self, relation: Relation) -> tuple[str, str]:
        """SQL for the row numbers that were changed, and for the rows that were there before, both JSON arrays."""
        touched, before = f"saved.touched.{relation.oid}", f"saved.before.{relation.oid}"
        name = relation.sqlite_name or relation.name
        columns = tuple(column.name for column in relation.columns)
        self.watched[relation.oid] = Watch(name, relation.kind == "t", columns, touched, before)
        return self.ctx.session_value(touched), self.ctx.session_value(before)

    def read(self, relation: Relation) -> str:
        """A table as a FROM item; as it was before, when another part changes it."""
        table = quote_identifier(relation.sqlite_name or relation.name)
        if not self.is_changed_by_others(relation):
            return table
        touched, before = self._watch(relation)
        names = [quote_identifier(column.name) for column in relation.columns]
        values = [TypedSql("", column.type_oid) for column in relation.columns]
        return (
            f"(SELECT {', '.join(names)} FROM {table} WHERE {row_id(relation)} NOT IN "
            f"(SELECT value FROM json_each({touched})) "
            f"UNION ALL SELECT {', '.join(saved_columns(values, 'value'))} FROM json_each({before}))"
        )

    def untouched(self, relation: Relation, alias: str) -> list[str]:
        """Conditions on the target of a change: rows that another part has changed or made are left alone."""
        if not self.is_changed_by_others(relation):
            return []
        touched, _ = self._watch(relation)
        return [f"{quote_identifier(alias)}.{row_id(relation)} NOT IN (SELECT value FROM json_each({touched}))"]
