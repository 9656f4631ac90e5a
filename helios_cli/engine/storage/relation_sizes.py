"""How many bytes of the database file a table or an index has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import apsw

if TYPE_CHECKING:
    from helios_cli.engine.storage.system_catalog import SystemCatalog

_ONE: Final = "SELECT pgsize FROM dbstat WHERE name = ? AND aggregate = 1"
_ALL: Final = "SELECT name, pgsize FROM dbstat WHERE aggregate = 1"
_SINGLE_MAX: Final = 8
"""So many relations of one statement are counted one by one, each after a search for it in SQLite's schema."""
_PAGES_MAX: Final = 16_384
"""In a larger database nothing is counted that was not asked for."""


class RelationSizes:
    """Counts pages, with SQLite's dbstat. What one statement has counted it keeps to its end."""

    def __init__(self, connection: apsw.Connection, system: SystemCatalog) -> None:
        self._connection = connection
        self._system = system

    def of(self, sqlite_name: str) -> int:
        """Bytes of the pages of a table or an index; 0 for none of that name."""
        memo = self._system.memo
        sizes: dict[str, int] | None = memo.get("sizes")
        if sizes is None:
            memo["asked"] = memo.get("asked", 0) + 1
            if memo["asked"] <= _SINGLE_MAX or not self._is_small():
                return self._one(sqlite_name)
            rows: list[Any] = self._connection.execute(_ALL).fetchall()
            sizes = memo["sizes"] = dict(rows)
        return sizes.get(sqlite_name, 0)

    def _one(self, sqlite_name: str) -> int:
        rows: list[Any] = self._connection.execute(_ONE, (sqlite_name,)).fetchall()
        return int(rows[0][0]) if rows else 0

    def _is_small(self) -> bool:
        pages: Any = self._connection.execute("PRAGMA page_count").fetchall()
        return int(pages[0][0]) <= _PAGES_MAX
