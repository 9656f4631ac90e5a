"""The databases, as the catalog of one of them reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import apsw

from helios_cli.engine.sql.databases import FIRST, DatabaseFacts, FileObject, own_name, own_text, prefix_of
from helios_cli.engine.sql.ddl_model import DdlCatalog
from helios_cli.engine.sql.ddl_schema import CLUSTER_PRIVILEGE, DATABASE_OID
from helios_cli.engine.sql.privileges import PG_DATABASE
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.storage.connection import database_of
from helios_cli.engine.storage.system_copy import SystemCopy


class DatabaseCatalog:
    """The part of ``SqliteCatalog`` that reads ``helios_database``."""

    _known_databases: dict[str, DatabaseFacts] | None = None
    database_oid: int
    _copy: Callable[[], SystemCopy | None]

    def rows(self, sql: str) -> list[Any]:
        """All rows of a statement over the system tables."""
        raise NotImplementedError

    def live_rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a statement over what a copy of the system tables does not have."""
        raise NotImplementedError

    def forget_databases(self) -> None:
        """The schema version has moved."""
        self._known_databases = None

    @property
    def is_first(self) -> bool:
        """Whether that is the one that the directory was born with."""
        return self.database_oid == DATABASE_OID

    @property
    def privilege_rows(self) -> str:
        """A query for the rights on everything of the database, and on all databases."""
        own = "SELECT classid, objid, objsubid, acl FROM main.helios_privilege"
        shared = f"SELECT classid, objid, objsubid, acl FROM {CLUSTER_PRIVILEGE} WHERE classid = {PG_DATABASE}"
        return own if self.is_first else f"{own} UNION ALL {shared}"

    @cached_property
    def _is_guest(self) -> bool:
        """Whether its connection is one of another database."""
        return self.database_oid != database_of(self.connection)

    def own_relation(self, relation: Relation | None) -> Relation | None:
        """A relation of the system, which is read from the database's own table where a table has its rows."""
        if relation is None or self.is_first or not relation.sqlite_name.startswith("helios_"):
            return relation
        return replace(relation, sqlite_name=own_name(self.database_oid, relation.sqlite_name))

    def _meant(self, sql: str) -> str:
        """A statement over the database's own system tables, as its connection has to be told."""
        return own_text(self.database_oid, sql) if self._is_guest else sql

    @property
    def connection(self) -> apsw.Connection:
        """What it reads."""
        raise NotImplementedError

    def _another(self, **changes: Any) -> Any:
        """A catalog of the same connection that is made otherwise."""
        raise NotImplementedError

    def of_database(self, oid: int) -> DdlCatalog:
        """The catalog of another database on the same connection."""
        found: DdlCatalog = self._another(search_path=("public",), database=oid, copy=lambda: None)
        return found

    @cached_property
    def name_prefix(self) -> str:
        """What SQLite's names of new objects begin with."""
        return prefix_of(self.database_oid)

    @property
    def database(self) -> DatabaseFacts:
        """The database whose objects are seen; one that has been dropped meanwhile has no name."""
        oid = self.database_oid
        return next((one for one in self.databases().values() if one.oid == oid), DatabaseFacts(oid, ""))

    def databases(self) -> dict[str, DatabaseFacts]:
        """All databases by name, in the order of their OIDs."""
        if self._known_databases is None:
            try:
                rows = self.rows(
                    "SELECT oid, datname, datdba, datistemplate, datallowconn, datconnlimit FROM main.helios_database "
                    "ORDER BY oid"
                )
            except apsw.SQLError:
                rows = []  # A directory of an older version, whose node has not led yet.
            found = [
                DatabaseFacts(oid, name, owner, bool(template), bool(allows), limit)
                for oid, name, owner, template, allows, limit in rows
            ]
            self._known_databases = {one.name: one for one in found or [FIRST]}
        return self._known_databases

    def sqlite_name_taken(self, sqlite_name: str, temp: bool) -> bool:
        """Whether SQLite has a table, view or index whose name differs at most in case."""
        copy = None if temp else self._copy()
        if copy is not None:
            return copy.has_name(sqlite_name)
        table = "sqlite_temp_schema" if temp else "main.sqlite_schema"
        return bool(self.live_rows(f"SELECT 1 FROM {table} WHERE name = ? COLLATE NOCASE", sqlite_name))

    def file_objects(self, oid: int) -> tuple[FileObject, ...]:
        """Everything that SQLite has of another database than the first, by name."""
        prefix = prefix_of(oid)
        rows = self.live_rows(
            "SELECT type, name, sql FROM main.sqlite_schema WHERE substr(name, 1, ?) = ? AND sql IS NOT NULL "
            "ORDER BY name",
            len(prefix),
            prefix,
        )
        return tuple(
            FileObject(kind, name, sql, self._stored_columns(name) if kind == "table" else ())
            for kind, name, sql in rows
        )

    def _stored_columns(self, table: str) -> tuple[str, ...]:
        query = "SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden = 0 ORDER BY cid"
        return tuple(name for (name,) in self.live_rows(query, table))

    def has_system_table(self, name: str) -> bool:
        """Whether the database has a system table, of those that are made with the first object of their kind."""
        name = own_name(self.database_oid, name).replace("'", "''")
        return bool(self.rows(f"SELECT 1 FROM main.sqlite_schema WHERE name = '{name}'"))
