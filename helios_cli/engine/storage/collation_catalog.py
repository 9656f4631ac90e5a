"""The collations of a database: those that every one has, and those that users made."""

from __future__ import annotations

import json

from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID
from helios_cli.engine.sql.text_collations import BUILTIN, META_KEY, Collation
from helios_cli.engine.storage.extension_catalog import ExtensionCatalog


class CollationCatalog(ExtensionCatalog):
    """The part of a catalog that knows collations; the rest gives it the statements and the search path."""

    _collations: list[Collation] | None = None
    search_path: tuple[str, ...]

    def forget_extensions(self) -> None:
        """The schema has changed: read again."""
        super().forget_extensions()
        self._collations = None

    def user_collations(self) -> list[Collation]:
        """The collations that users made, by OID."""
        if self._collations is None:
            rows = self._all(
                "SELECT key, value FROM main.helios_meta WHERE key > ? AND key < ? ORDER BY value",
                META_KEY,
                "collation!",
            )
            self._collations = [_read(key, oid) for key, oid in rows]
        return self._collations

    def collation(self, schema: str | None, name: str) -> Collation | None:
        """Find a collation; with schema None in pg_catalog and then along the search path. None when absent."""
        if schema in (None, "pg_catalog") and name in BUILTIN:
            return BUILTIN[name]
        for place in self.search_path if schema is None else (schema,):
            for found in self.user_collations():
                if found.schema == place and found.name == name:
                    return found
        return None

    def options(self, oid: int) -> str | None:
        """The storage parameters of a relation, as pg_class shows them; None for none."""
        database = "temp" if oid >= FIRST_TEMP_OID else "main"
        rows = self._all(f"SELECT options FROM {database}.helios_relation WHERE oid = ?", oid)
        return rows[0][0] if rows else None

    def schema_sequences(self, name: str) -> tuple[str, ...]:
        """The names of every sequence of a schema."""
        query = "SELECT relname FROM main.helios_relation WHERE nspname = ? AND relkind = 'S' ORDER BY oid"
        return tuple(found for (found,) in self._all(query, name))

    def collated_column(self, collation: Collation) -> tuple[str, str] | None:
        """(table, column) of a column that has a collation; None when none has."""
        rows = self._all(
            "SELECT r.relname, a.attname FROM main.helios_attribute a JOIN main.helios_relation r "
            "ON r.oid = a.relid WHERE instr(a.typname, ?)",
            f" COLLATE collation_{collation.oid}_",
        )
        return (rows[0][0], rows[0][1]) if rows else None


def _read(key: str, oid: int) -> Collation:
    schema, name, provider, locale, deterministic, shown, owner = json.loads(key.removeprefix(META_KEY))
    return Collation(oid, schema, name, provider, locale, bool(deterministic), -1, shown, owner)
