"""Users' types as the system tables hold them, read when first asked for and kept until the schema version moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from helios_cli.engine.datatypes.usertypes import is_temporary, kind_of, row_oid
from helios_cli.engine.sql.ddl_model import ColumnDef
from helios_cli.engine.sql.relation import ColumnInfo, DomainCheck, RangeFacts, Relation, UserType

Query = Callable[..., list[Any]]
"""Runs a statement with its values and gives all rows."""


def _home(oid: int) -> str:
    return "temp" if is_temporary(oid) else "main"


_COLUMNS = "oid, nspname, typname, typtype, typowner, definition"


def row_type(relation: Relation) -> UserType | None:
    """The row type of a relation; None for one that has none (a sequence, a table of another program)."""
    oid = row_oid(relation.oid) if relation.kind != "S" else 0
    if not oid:
        return None
    return UserType(oid, relation.schema, relation.name, "c", fields=relation.columns, relation=relation.oid)


class TypeCatalog:
    """The types of one catalog's snapshot. A database without any costs one look per schema version."""

    def __init__(self, query: Query, has_temporary: Callable[[], bool], has_table: Callable[[str], bool]) -> None:
        self._query = query
        self._has_table = has_table
        self._has_temporary = has_temporary
        self._exists: bool | None = None
        self._named: dict[tuple[str, str], UserType | None] = {}
        self._by_oid: dict[int, UserType | None] = {}

    def clear(self) -> None:
        """Forget what was read."""
        self._exists = None
        self._named.clear()
        self._by_oid.clear()

    def exist(self) -> bool:
        """Whether the database has any."""
        if self._has_temporary():
            return True
        if self._exists is None:
            made = self._has_table("helios_type")
            self._exists = bool(made and self._query("SELECT 1 FROM main.helios_type LIMIT 1"))
        return self._exists

    def named(self, schema: str, name: str) -> UserType | None:
        """A type by schema and name."""
        if not self.exist():
            return None
        key = (schema, name)
        if key not in self._named:
            home = "temp" if schema == "pg_temp" else "main"
            rows = self._rows(f"SELECT {_COLUMNS} FROM {{}}.helios_type WHERE nspname = ? AND typname = ?", home, key)
            self._named[key] = self._read(rows[0]) if rows else None
        return self._named[key]

    def by_oid(self, oid: int) -> UserType | None:
        """A type by OID."""
        if not kind_of(oid) or not self.exist():
            return None
        if oid not in self._by_oid:
            rows = self._rows(f"SELECT {_COLUMNS} FROM {{}}.helios_type WHERE oid = ?", _home(oid), (oid,))
            self._by_oid[oid] = self._read(rows[0]) if rows else None
        return self._by_oid[oid]

    def all(self) -> list[UserType]:
        """Every type, by OID."""
        if not self.exist():
            return []
        query = f"SELECT {_COLUMNS} FROM {{}}.helios_type ORDER BY oid"
        return sorted(
            (self._read(row) for home in ("main", "temp") for row in self._rows(query, home)), key=lambda one: one.oid
        )

    def labels(self) -> list[tuple[int, int, float, str]]:
        """Every label of every enum: (its own OID, the enum's, its place, the label)."""
        if not self.exist():
            return []
        query = "SELECT oid, enumtypid, enumsortorder, enumlabel FROM {}.helios_enum ORDER BY enumtypid, enumsortorder"
        return [row for home in ("main", "temp") for row in self._rows(query, home)]

    def _rows(self, query: str, home: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """What the system tables of types hold; nothing where there are none."""
        if home == "temp" and not self._has_temporary():
            return []
        made = home == "temp" or self._has_table("helios_type")
        return self._query(query.format(home), *values) if made else []

    def columns_of(self, oid: int, databases: tuple[str, ...]) -> tuple[tuple[int, str, int], ...]:
        """Columns of the type or of the array over it: (relation's OID, name, the column's type)."""
        query = "SELECT relid, attname, atttypid FROM {}.helios_attribute WHERE atttypid IN (?, ?) ORDER BY 1, 2"
        return tuple(tuple(row) for name in databases for row in self._query(query.format(name), oid, oid + 1))

    def with_base(self, column: ColumnDef) -> ColumnDef:
        """A column of a domain as one of its base type that remembers the domain."""
        if kind_of(column.type_oid) != "d":
            return column
        domain = self.by_oid(column.type_oid & ~1)
        if domain is not None and not column.type_oid & 1:
            column.domain, column.type_oid, column.typmod = domain.oid, domain.base_oid, domain.base_typmod
        return column

    def _read(self, row: Any) -> UserType:
        oid, schema, name, kind, owner, definition = row
        if kind == "e":
            query = "SELECT enumlabel FROM {}.helios_enum WHERE enumtypid = ? ORDER BY enumsortorder"
            rows = self._rows(query, _home(oid), (oid,))
            return UserType(oid, schema, name, kind, tuple(label for (label,) in rows), owner=owner)
        parts = json.loads(definition)
        if kind == "c":
            fields = tuple(
                self._field(ColumnInfo(field, type_oid, typmod, attnum=number))
                for number, (field, type_oid, typmod) in enumerate(parts["fields"], 1)
            )
            return UserType(oid, schema, name, kind, fields=fields, owner=owner)
        if kind == "m":
            return UserType(oid, schema, name, kind, owner=owner, base_oid=parts["base"], parent=parts["range"])
        if kind == "r":
            diff = parts["diff"] or (0, "")
            over = parts["subtype"] if parts["subtype"] != parts["base"] else 0
            return UserType(
                oid, schema, name, kind, owner=owner, base_oid=parts["base"], base_typmod=parts["typmod"], parent=over,
                made_of=RangeFacts(parts["opclass"], parts["collation"], diff[0], diff[1]),
            )  # fmt: skip
        checks = tuple(DomainCheck(*check) for check in parts["checks"])
        parent = self.by_oid(parts["parent"]) if parts["parent"] else None
        return UserType(
            oid, schema, name, kind, base_oid=parts["base"], base_typmod=parts["typmod"],
            not_null=parts["not_null"] or (parent is not None and parent.not_null),
            default=parts["default"] if parts["default"] is not None or parent is None else parent.default,
            checks=(*(parent.checks if parent is not None else ()), *checks), parent=parts["parent"], owner=owner,
            own_checks=len(checks), collation=parts.get("collation", 0),
        )  # fmt: skip

    def _field(self, field: ColumnInfo) -> ColumnInfo:
        domain = self.by_oid(field.type_oid) if kind_of(field.type_oid) == "d" else None
        if domain is None:
            return field
        return ColumnInfo(field.name, domain.base_oid, domain.base_typmod, attnum=field.attnum, domain=domain.oid)
