"""The extensions of a database, out of the node's system tables."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql.extensions import META_END, META_KEY, PLPGSQL


class ExtensionCatalog:
    """The part of a catalog that knows extensions; the rest gives it the statements."""

    _extensions: dict[str, tuple[int, str]] | None = None

    def _all(self, sql: str, *values: Any) -> list[Any]:
        raise NotImplementedError

    def forget_extensions(self) -> None:
        """The schema has changed: read again."""
        self._extensions = None

    def extensions(self) -> dict[str, tuple[int, str]]:
        """The extensions that were created, with the OID and the schema of each."""
        if self._extensions is None:
            rows = self._all("SELECT key, value FROM main.helios_meta WHERE key >= ? AND key < ?", META_KEY, META_END)
            self._extensions = {PLPGSQL.name: (PLPGSQL.oid, "pg_catalog")}
            for key, oid in rows:
                name, _, schema = key.removeprefix(META_KEY).partition(" ")
                self._extensions[name] = (oid, schema)
        return self._extensions
