"""Which tables inherit from which, in the catalog of one connection."""

from __future__ import annotations

from typing import Any

import apsw

from helios_cli.engine.sql.ddl_partition_rows import read_partition
from helios_cli.engine.sql.relation import Partition


class InheritCatalog:
    """The part of ``SqliteCatalog`` that reads ``helios_inherits``."""

    _parents: dict[int, tuple[int, ...]] | None = None
    _children: dict[int, tuple[int, ...]]
    _partitions: dict[int, Partition] | None = None

    def _all(self, sql: str, *values: Any) -> list[Any]:
        raise NotImplementedError

    def has_temp_tables(self, fresh: bool = False) -> bool:
        """Whether the session's temporary system tables exist."""
        raise NotImplementedError

    def forget_parents(self) -> None:
        """The schema version has moved."""
        self._parents = self._partitions = None

    def partitions(self) -> dict[int, Partition]:
        """The partitioned tables and partitions, by OID."""
        if self._partitions is None:
            self._partitions = {}
            for database in ("main", "temp") if self.has_temp_tables() else ("main",):
                try:
                    rows = self._all(f"SELECT oid, definition FROM {database}.helios_partition")
                except apsw.SQLError:
                    # Nothing has been parted yet.
                    continue
                self._partitions |= {oid: read_partition(definition) for oid, definition in rows}
        return self._partitions

    def partition(self, oid: int) -> Partition | None:
        """How a table is parted, or which rows of another it has; None for other tables."""
        return self.partitions().get(oid)

    def inheritances(self) -> dict[int, tuple[int, ...]]:
        """By table the tables that it inherits from directly, in their order; tables without any are left out."""
        if self._parents is None:
            self._parents, self._children = {}, {}
            for child, parent, _ in sorted(self._rows(), key=lambda row: (row[0], row[2])):
                self._parents[child] = (*self._parents.get(child, ()), parent)
                self._children[parent] = (*self._children.get(parent, ()), child)
        return self._parents

    def _rows(self) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        for database in ("main", "temp") if self.has_temp_tables() else ("main",):
            try:
                found += self._all(f"SELECT inhrelid, inhparent, inhseqno FROM {database}.helios_inherits")
            except apsw.SQLError:
                # Nothing has inherited yet.
                continue
        return found

    def all_children(self) -> dict[int, tuple[int, ...]]:
        """By table the tables that inherit from it directly, by OID; tables without any are left out."""
        self.inheritances()
        return self._children

    def parents(self, oid: int) -> tuple[int, ...]:
        """The tables that a table inherits from directly, in their order."""
        return self.inheritances().get(oid, ())

    def children(self, oid: int) -> tuple[int, ...]:
        """The tables that inherit from a table directly, by OID."""
        return self.all_children().get(oid, ())

    def next_place(self, oid: int) -> int:
        """The number that one more parent of a table gets."""
        places = [place for child, _, place in self._rows() if child == oid]
        return max(places, default=0) + 1

    def heirs(self, oid: int) -> tuple[int, ...]:
        """The tables that inherit from a table, at once or further on (find_all_inheritors, pg_inherits.c)."""
        if oid not in self.all_children():
            return ()
        found = [oid]
        for one in found:
            found += [child for child in self.children(one) if child not in found]
        return tuple(found[1:])
