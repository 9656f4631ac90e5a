"""Tables and views of the file that other programs made, and the system tables do not know."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.relation import ColumnInfo, IndexInfo, Relation

FOREIGN_OID_BASE: Final = 0x7000_0000
"""Tables of the file that no system table knows get this plus their root page as OID."""


class ForeignCatalog:
    """The part of ``SqliteCatalog`` that describes them as SQLite does."""

    _by_oid: dict[int, Relation | None]

    def live_rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a statement over what a copy of the system tables does not have."""
        raise NotImplementedError

    def _foreign(self, name: str) -> Relation | None:
        """A table or view of the file that the system tables do not know, as SQLite describes it."""
        if name.startswith(("helios_", "sqlite_")):
            return None
        rows = self.live_rows(
            "SELECT type, rootpage, rowid FROM main.sqlite_schema WHERE name = ? AND type IN ('table', 'view')", name
        )
        if not rows:
            return None
        row = rows[0]
        described = self.live_rows(
            "SELECT cid, name, type, \"notnull\", pk FROM pragma_table_xinfo(?, 'main') WHERE hidden <> 1", name
        )
        columns = tuple(
            ColumnInfo(column, *registry.from_decl(decl), bool(not_null or key), None, "", cid + 1)
            for cid, column, decl, not_null, key in described
        )
        kind = "r" if row[0] == "table" else "v"
        oid = FOREIGN_OID_BASE + (row[1] or 0x0800_0000 + row[2])
        relation = Relation(oid, "public", name, kind, columns, self._foreign_indexes(name), name)
        self._by_oid[oid] = relation
        return relation

    def _foreign_indexes(self, name: str) -> tuple[IndexInfo, ...]:
        found = []
        for index, unique, origin, partial in self.live_rows(
            "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?, 'main')", name
        ):
            keys = self.live_rows("SELECT name FROM pragma_index_info(?, 'main') ORDER BY seqno", index)
            found.append(IndexInfo(index, bool(unique), origin == "pk", tuple(key for (key,) in keys), bool(partial)))
        rowid = self.live_rows("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE pk > 0 ORDER BY pk", name)
        if rowid and not any(index.primary for index in found):
            found.append(IndexInfo(f"{name}_pkey", True, True, tuple(key for (key,) in rowid)))
        return tuple(found)
