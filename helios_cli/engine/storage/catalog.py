"""The catalog of one connection: names, columns and definitions out of the node's system tables.

Everything is read when first asked for and kept until the schema version moves. Tables that another program
made in the file, which no system table knows, are read through SQLite's own pragmas.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

import apsw

from helios_cli.engine.datatypes.usertypes import relation_of
from helios_cli.engine.sql.ddl_columns import nextval_text
from helios_cli.engine.sql.ddl_model import (
    ColumnDef,
    ConstraintDef,
    IndexDef,
    SequenceDef,
    TableDef,
    ViewDef,
)
from helios_cli.engine.sql.ddl_render import CONSTRAINT_COLUMNS, column_flags, keys_from_json, read_constraint
from helios_cli.engine.sql.ddl_schema import CLUSTER_META, FIRST_TEMP_OID, VERSIONS
from helios_cli.engine.sql.ddl_sequence_names import planned_default
from helios_cli.engine.sql.relation import ColumnInfo, IndexInfo, Relation, UserType
from helios_cli.engine.storage.catalog_privileges import RoleCatalog
from helios_cli.engine.storage.collation_catalog import CollationCatalog
from helios_cli.engine.storage.connection import database_of
from helios_cli.engine.storage.database_catalog import DatabaseCatalog
from helios_cli.engine.storage.depend_catalog import DependCatalog
from helios_cli.engine.storage.foreign_relations import ForeignCatalog
from helios_cli.engine.storage.inherit_catalog import InheritCatalog
from helios_cli.engine.storage.made_catalog import MadeCatalog
from helios_cli.engine.storage.policy_catalog import PolicyCatalog
from helios_cli.engine.storage.routine_catalog import RoutineCatalog
from helios_cli.engine.storage.system_copy import SystemCopy, version_of
from helios_cli.engine.storage.system_relations import PLANNER_RELATIONS
from helios_cli.engine.storage.type_catalog import TypeCatalog, row_type

DEFAULT_PATH: Final = ("public",)
"""The search path of a session that has not set its own; pg_catalog and pg_temp are implied before it."""

_RELATIONS: Final = ("r", "v", "S", "m", "M")

SystemRelations = dict[tuple[str, str], Relation]
"""(schema, name) -> the relation of each system view (``engine.storage.system_catalog``)."""


class SqliteCatalog(
    RoutineCatalog,
    RoleCatalog,
    CollationCatalog,
    ForeignCatalog,
    PolicyCatalog,
    DependCatalog,
    InheritCatalog,
    MadeCatalog,
    DatabaseCatalog,
):
    """Implements ``CatalogReader`` and ``DdlCatalog`` over one connection's snapshot.

    Not for use from two threads at once. ``refresh`` must be called when the connection may have moved to
    another snapshot; it costs two prepared statements and drops what was read only when the version changed.
    """

    def __init__(
        self,
        connection: apsw.Connection | Callable[[], apsw.Connection],
        *,
        search_path: tuple[str, ...] = DEFAULT_PATH,
        system_relations: SystemRelations | None = None,
        copy: Callable[[], SystemCopy | None] = lambda: None,
        database: int = 0,
    ) -> None:
        self._connection: Callable[[], apsw.Connection] = connection if callable(connection) else lambda: connection
        self._copy = copy
        """Gives the copy of the system tables that is read in their place, where there is one of the same version."""
        self.search_path = search_path
        self.database_oid = database or database_of(self._connection())
        self.system_relations = PLANNER_RELATIONS if system_relations is None else system_relations
        self.version = 0
        RoleCatalog.__init__(self)
        self._relations: dict[tuple[str, str], Relation | None] = {}
        self._by_oid: dict[int, Relation | None] = {}
        self._temp: bool | None = None
        super().__init__()
        self.types = TypeCatalog(self._all, self.has_temp_tables, self.has_system_table)
        self.refresh()

    # -- versions ---------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Read the schema version again and forget everything when it changed. Returns whether it did."""
        version = self._read_version()
        if version == self.version:
            return False
        self.version = version
        self._relations.clear()
        self._by_oid.clear()
        self.forget_routines()
        self.forget_policies()
        self.forget_made()
        self.forget_parents()
        self.types.clear()
        self._temp = None
        self._privileges = None
        self.forget_extensions()
        self.forget_databases()
        return True

    def _read_version(self) -> int:
        """Another number after every DDL of the node, and when another program changes the schema.

        Reading it does not make SQLite read the schema, which takes as long as there are tables.
        """
        version = version_of(self._connection())
        if self.has_temp_tables(fresh=True):
            version += int(self.live_rows("PRAGMA temp.user_version")[0][0]) << 32
        return version

    def has_temp_tables(self, fresh: bool = False) -> bool:
        """Whether the session's temporary system tables exist."""
        if self._temp is None or fresh:
            self._temp = bool(self.live_rows("SELECT 1 FROM sqlite_temp_schema WHERE name = 'helios_meta'"))
        return self._temp

    def _another(self, **changes: Any) -> SqliteCatalog:
        """A catalog of the same connection that is made otherwise."""
        alike: dict[str, Any] = {"search_path": self.search_path, "copy": self._copy, "database": self.database_oid}
        return SqliteCatalog(self._connection, system_relations=self.system_relations, **(alike | changes))

    def with_search_path(self, search_path: tuple[str, ...]) -> SqliteCatalog:
        """A catalog of the same connection for a session with another search path."""
        return self if search_path == self.search_path else self._another(search_path=search_path)

    def over(self, copy: SystemCopy) -> SqliteCatalog:
        """A catalog of the same connection that reads a copy of the system tables, of the same version."""
        return self._another(copy=lambda: copy)

    @property
    def connection(self) -> apsw.Connection:
        """What it reads."""
        return self._connection()

    # -- CatalogReader ----------------------------------------------------------------------------

    def relation(self, schema: str | None, name: str) -> Relation | None:
        """Find a table, view, sequence or system relation; with schema None along the search path."""
        for candidate in self.schemas_searched(schema):
            found = self._in_schema(candidate, name)
            if found is not None:
                return found
        return None

    def schemas_searched(self, schema: str | None) -> Iterable[str]:
        """The schemas in which a name is looked for, in their order; with None those of the search path."""
        if schema is not None:
            return (schema,)
        path = self.search_path
        implied = ("pg_temp",) if self.has_temp_tables() and "pg_temp" not in path else ()
        return (*implied, *(path if "pg_catalog" in path else ("pg_catalog", *path)))

    def _in_schema(self, schema: str, name: str) -> Relation | None:
        key = (schema, name)
        try:
            return self._relations[key]
        except KeyError:
            pass
        found = self.own_relation(self.system_relations.get(key))
        if found is None and schema not in ("pg_catalog", "information_schema"):
            found = self._load(schema, name)
        self._relations[key] = found
        return found

    def _load(self, schema: str, name: str) -> Relation | None:
        temp = schema == "pg_temp"
        if temp and not self.has_temp_tables():
            return None
        row = self._one(
            f"SELECT oid, relkind, sqlite_name, relowner FROM {_db(temp)}.helios_relation "
            "WHERE nspname = ? AND relname = ?",
            schema,
            name,
        )
        if row is None:
            copy = self._copy()
            known = schema == "public" and self.is_first and (copy is None or copy.has_name(name))
            return self._foreign(name) if known else None
        oid, kind, sqlite_name, owner = row
        if kind not in _RELATIONS:
            return None
        return self._make(oid, schema, name, kind, sqlite_name, temp, owner)

    def _make(self, oid: int, schema: str, name: str, kind: str, sqlite_name: str, temp: bool, owner: int) -> Relation:
        shown = "t" if temp and kind == "r" else kind
        if kind == "S":
            columns: tuple[ColumnInfo, ...] = _SEQUENCE_COLUMNS
        else:
            columns = tuple(
                ColumnInfo(
                    column.name, column.type_oid, column.typmod, column.not_null, self._default(oid, column),
                    column.identity, column.attnum, column.domain, column.collation, bool(column.generated),
                )
                for column in self._columns(oid, temp)
            )  # fmt: skip
        indexes = tuple(_index_info(index) for index in self._indexes(oid, temp)) if kind in ("r", "m", "M") else ()
        called = self.calls_of(oid, kind, sqlite_name)
        security = self.security_of(oid, name, owner) if self.securities() else None
        by_query = kind == "v" and bool(self.securities() or self.inheritances()) and self._read_by_query(oid)
        heirs, part = (self.heirs(oid), self.partition(oid)) if kind == "r" else ((), None)
        relation = Relation(
            oid, schema, name, shown, columns, indexes, sqlite_name, owner, security, by_query, called, heirs, part,
            kind == "v" and self.is_invoker(oid),
        )  # fmt: skip
        self._by_oid[oid] = relation
        return relation

    def _default(self, oid: int, column: ColumnDef) -> str | None:
        """What an INSERT without the column stores; of an identity a sequence's number, of a generated one None."""
        if column.generated:
            return None
        if column.identity:
            owned = [found for found in self.owned_sequences(oid) if found.owner_attnum == column.attnum]
            one = next((one for one in owned if one.internal), owned[0] if owned else None)
            return planned_default(nextval_text(one), oid) if one is not None else None
        if column.default is None and column.domain:
            domain = self.types.by_oid(column.domain)
            return planned_default(domain.default, 0) if domain is not None else None
        return planned_default(column.default, oid)

    # -- types ------------------------------------------------------------------------------------

    def has_schema(self, name: str) -> bool:
        """Whether there is a schema of that name."""
        return name in ("information_schema", "pg_temp") or self.schema_oid(name) is not None

    def user_type(self, schema: str | None, name: str) -> UserType | None:
        """Find a user's type or a relation's row type by name, along the search path without a schema."""
        for candidate in self.schemas_searched(schema):
            found = self.types.named(candidate, name)
            if found is None:
                relation = self._in_schema(candidate, name)
                found = row_type(relation) if relation is not None else None
            if found is not None:
                return found
        return None

    def type_by_oid(self, oid: int) -> UserType | None:
        """The type of that OID; None for PostgreSQL's own types, arrays, and types that are gone."""
        relation = relation_of(oid)
        if relation:
            found = self.relation_by_oid(relation) if not oid & 1 else None
            return row_type(found) if found is not None else None
        return self.types.by_oid(oid)

    # -- DdlCatalog -------------------------------------------------------------------------------

    def next_oid(self, temp: bool) -> int:
        """The first free OID of all databases, or of the session's temporary objects."""
        if temp and not self.has_temp_tables():
            return FIRST_TEMP_OID
        table = "temp.helios_meta" if temp else CLUSTER_META
        return int(self._one(f"SELECT value FROM {table} WHERE key = 'next_oid'")[0])

    def drawn_version(self) -> int:
        """A number for the version after a change."""
        return random.randrange(VERSIONS)

    def schema_oid(self, name: str) -> int | None:
        """The OID of a schema, or None."""
        row = self._one("SELECT oid FROM main.helios_namespace WHERE nspname = ?", name)
        return row[0] if row else None

    def schema_objects(self, name: str) -> tuple[Relation, ...]:
        """Every table, view and sequence of a schema, by OID; sequences that go with a column's table left out."""
        rows = self._all(
            "SELECT relname FROM main.helios_relation WHERE nspname = ? AND relkind IN ('r', 'v', 'S', 'm', 'M') "
            "AND oid NOT IN (SELECT oid FROM main.helios_sequence WHERE owner_relid <> 0) ORDER BY oid",
            name,
        )
        return tuple(found for (relname,) in rows if (found := self._in_schema(name, relname)) is not None)

    def object_kind(self, schema: str, name: str) -> str | None:
        """'r' 'v' 'i' 'S' of the object that has this name in the schema, or None when the name is free."""
        temp = schema == "pg_temp"
        if temp and not self.has_temp_tables():
            return None
        row = self._one(
            f"SELECT relkind FROM {_db(temp)}.helios_relation WHERE nspname = ? AND relname = ?", schema, name
        )
        return row[0] if row else None

    def table_def(self, oid: int) -> TableDef | None:
        """The whole definition of a table, None when the OID is no table's. The caller may change it."""
        temp = oid >= FIRST_TEMP_OID
        if temp and not self.has_temp_tables():
            return None
        row = self._one(
            f"SELECT nspname, relname, sqlite_name FROM {_db(temp)}.helios_relation "
            "WHERE oid = ? AND relkind IN ('r', 'm', 'M')",
            oid,
        )
        if row is None:
            return None
        schema, name, sqlite_name = row
        return TableDef(
            oid, schema, name, sqlite_name, temp, self._columns(oid, temp), self._constraints("relid", oid, temp),
            self._indexes(oid, temp), self.partition(oid),
        )  # fmt: skip

    def table_by_sqlite_name(self, sqlite_name: str) -> TableDef | None:
        """The definition of the table that SQLite knows under this name, temporary ones first; None when absent."""
        for temp in (True, False) if self.has_temp_tables() else (False,):
            row = self._one(f"SELECT oid FROM {_db(temp)}.helios_relation WHERE sqlite_name = ?", sqlite_name)
            if row is not None:
                return self.table_def(row[0])
        return None

    def constraint_by_oid(self, oid: int) -> ConstraintDef | None:
        """A constraint of any table, or None."""
        temp = oid >= FIRST_TEMP_OID
        found = self._constraints("oid", oid, temp) if not temp or self.has_temp_tables() else []
        return found[0] if found else None

    def constraint_of_index(self, oid: int) -> ConstraintDef | None:
        """The constraint that an index stands behind, or None."""
        found = self._constraints("conindid", oid, oid >= FIRST_TEMP_OID)
        return found[0] if found else None

    def view_def(self, oid: int) -> ViewDef | None:
        """The definition of a view, materialized ones too, or None."""
        temp = oid >= FIRST_TEMP_OID
        row = self._one(
            f"SELECT nspname, relname, sqlite_name, definition FROM {_db(temp)}.helios_relation "
            "WHERE oid = ? AND relkind IN ('v', 'm', 'M')",
            oid,
        )
        return ViewDef(oid, row[0], row[1], row[2], temp, row[3] or "") if row else None

    def index_def(self, schema: str | None, name: str) -> IndexDef | None:
        """Find an index by name; with schema None along the search path."""
        for candidate in self.schemas_searched(schema):
            temp = candidate == "pg_temp"
            if temp and not self.has_temp_tables():
                continue
            row = self._one(
                f"SELECT i.relid, r.oid FROM {_db(temp)}.helios_relation r "
                f"JOIN {_db(temp)}.helios_index i ON i.oid = r.oid "
                "WHERE r.nspname = ? AND r.relname = ?",
                candidate,
                name,
            )
            if row is not None:
                return next(index for index in self._indexes(row[0], temp) if index.oid == row[1])
        return None

    def sequence_def(self, oid: int) -> SequenceDef | None:
        """The parameters of a sequence, or None."""
        found = self._sequences("s.oid", oid, oid >= FIRST_TEMP_OID)
        return found[0] if found else None

    def owned_sequences(self, table_oid: int) -> tuple[SequenceDef, ...]:
        """The sequences that go when the table goes."""
        return tuple(self._sequences("s.owner_relid", table_oid, table_oid >= FIRST_TEMP_OID))

    def referencing(self, table_oid: int) -> tuple[ConstraintDef, ...]:
        """Foreign keys of other tables, and of itself, that point to the table."""
        return tuple(self._constraints("confrelid", table_oid, table_oid >= FIRST_TEMP_OID))

    def relation_by_oid(self, oid: int) -> Relation | None:
        """The table, view, sequence or system relation of that OID."""
        if oid in self._by_oid:
            return self._by_oid[oid]
        temp = oid >= FIRST_TEMP_OID
        found: Relation | None = None
        if not temp or self.has_temp_tables():
            row = self._one(f"SELECT nspname, relname FROM {_db(temp)}.helios_relation WHERE oid = ?", oid)
            found = self._in_schema(row[0], row[1]) if row else None
        if found is None:
            found = self.own_relation(next((one for one in self.system_relations.values() if one.oid == oid), None))
        self._by_oid[oid] = found
        return found

    def columns_of_type(self, oid: int) -> tuple[tuple[int, str, int], ...]:
        """Columns that have a user's type or an array of it: (relation's OID, name, the column's type)."""
        return self.types.columns_of(oid, ("main", "temp") if self.has_temp_tables() else ("main",))

    def all_types(self) -> tuple[UserType, ...]:
        """Every type that users made, by OID."""
        return tuple(self.types.all())

    # -- rows -------------------------------------------------------------------------------------

    def _columns(self, oid: int, temp: bool) -> list[ColumnDef]:
        rows = self._all(
            "SELECT attname, atttypid, atttypmod, attnum, typname, attnotnull, default_text, attidentity, "
            "attgenerated, "
            f"sqlite_default FROM {_db(temp)}.helios_attribute WHERE relid = ? ORDER BY attnum",
            oid,
        )
        return [
            self.types.with_base(
                ColumnDef(
                    name,
                    type_oid,
                    typmod,
                    attnum,
                    decl,
                    default=default,
                    identity=identity,
                    generated=generated,
                    sqlite_default=bool(kept),
                    **column_flags(not_null),
                )
            )
            for name, type_oid, typmod, attnum, decl, not_null, default, identity, generated, kept in rows
        ]

    def _indexes(self, table_oid: int, temp: bool) -> list[IndexDef]:
        rows = self._all(
            "SELECT i.oid, r.nspname, r.relname, r.sqlite_name, i.indisunique, i.indisprimary, i.method, i.keys, "
            "i.include, "
            f"i.predicate FROM {_db(temp)}.helios_index i JOIN {_db(temp)}.helios_relation r ON r.oid = i.oid "
            "WHERE i.relid = ? ORDER BY i.oid",
            table_oid,
        )
        return [
            IndexDef(
                oid, schema, name, sqlite_name, table_oid, bool(unique & 1), bool(primary), method,
                keys_from_json(keys), tuple(json.loads(include)), predicate, unique >> 1,
            )
            for oid, schema, name, sqlite_name, unique, primary, method, keys, include, predicate in rows
        ]  # fmt: skip

    def _constraints(self, by: str, oid: int, temp: bool) -> list[ConstraintDef]:
        rows = self._all(
            f"SELECT {CONSTRAINT_COLUMNS} FROM {_db(temp)}.helios_constraint WHERE {by} = ? AND {by} <> 0 ORDER BY oid",
            oid,
        )
        return [read_constraint(row) for row in rows]

    def _sequences(self, by: str, oid: int, temp: bool) -> list[SequenceDef]:
        if temp and not self.has_temp_tables():
            return []
        rows = self._all(
            "SELECT s.oid, r.nspname, r.relname, s.seqtypid, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, "
            "s.seqcache, "
            "s.seqcycle, s.owner_relid, s.owner_attnum, s.owner_internal "
            f"FROM {_db(temp)}.helios_sequence s JOIN {_db(temp)}.helios_relation r ON r.oid = s.oid "
            f"WHERE {by} = ? ORDER BY s.oid",
            oid,
        )
        return [
            SequenceDef(
                row[0], row[1], row[2], temp, row[3], row[4], row[5], row[6], row[7], row[8], bool(row[9]), row[10],
                row[11], bool(row[12]),
            )
            for row in rows
        ]  # fmt: skip

    # -- SQL --------------------------------------------------------------------------------------

    def _one(self, sql: str, *values: Any) -> Any:
        """The first row or None. Read to the end, which resets the statement for APSW's cache to hand out again."""
        rows = self._all(sql, *values)
        return rows[0] if rows else None

    def rows(self, sql: str) -> list[Any]:
        """All rows of a statement over the system tables."""
        return self._all(sql)

    def _all(self, sql: str, *values: Any) -> list[Any]:
        copy = self._copy()
        connection = self._connection() if copy is None else copy.connection
        return connection.execute(self._meant(sql), values).fetchall()

    def live_rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a statement over what a copy of the system tables does not have."""
        return self._connection().execute(self._meant(sql), values).fetchall()


_SEQUENCE_COLUMNS: Final = (
    ColumnInfo("last_value", 20, -1, True, None, "", 1),
    ColumnInfo("log_cnt", 20, -1, True, None, "", 2),
    ColumnInfo("is_called", 16, -1, True, None, "", 3),
)


def _db(temp: bool) -> str:
    return "temp" if temp else "main"


def _index_info(index: IndexDef) -> IndexInfo:
    columns = tuple(key.column for key in index.keys)
    return IndexInfo(index.name, index.unique, index.primary, columns, index.predicate is not None, index.rules)
