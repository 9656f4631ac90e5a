"""A copy of the system tables in memory, which reads as they do and never makes SQLite read the schema.

SQLite reads the whole schema of a file again on each connection that meets another one, 12 ms for 500 tables. The
planner and whoever reads the catalog need the system tables alone, so they keep a copy, which is brought from version
to version by what each definition changed (``definition_log``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import apsw

_LEFT_OUT: Final = frozenset(("helios_write", "helios_token", "helios_largeobject", "helios_largeobject_metadata"))
"""System tables that are changed without a new version of the catalog."""
_SYSTEM: Final = re.compile(r"\bhelios_(?!rebuild_|keys_)")
"""Not the tables that take a user's rows while theirs is built anew (``sql.ddl_rebuild``), and the keys of partitions
(``sql.ddl_part_keys``).
"""
_NAMES: Final = "other_names"


def version_of(connection: apsw.Connection) -> int:
    """The version of the catalog of permanent objects that a connection sees, read without SQLite's schema."""
    own: Any = connection.execute("PRAGMA main.user_version").fetchall()
    schema: Any = connection.execute("PRAGMA main.schema_version").fetchall()
    return (int(own[0][0]) << 32) + int(schema[0][0])


def is_copied(table: str) -> bool:
    """Whether a copy has a table of that name."""
    return _SYSTEM.match(table) is not None and table not in _LEFT_OUT


def names_system_table(sql: str) -> bool:
    """Whether a statement may change what a copy has."""
    return _SYSTEM.search(sql) is not None


@dataclass(frozen=True, slots=True)
class Definition:
    """What one change of the schema did to the system tables."""

    before: int
    after: int
    """The versions of the catalog."""
    keys: dict[str, tuple[tuple[Any, ...], ...]]
    """By table the primary keys of the rows that came, went or changed."""
    rows: dict[str, tuple[tuple[Any, ...], ...]]
    """By table those of them that are there afterwards."""


class SystemCopy:
    """The system tables at one version. For one thread at a time."""

    def __init__(self, source: apsw.Connection) -> None:
        """Copy what a connection sees, in milliseconds for hundreds of tables."""
        self.version = version_of(source)
        self.connection = apsw.Connection(":memory:")
        self._tables: set[str] = set()
        self._keys = Keys()
        connection = self.connection
        connection.execute("BEGIN")
        shapes: list[Any] = source.execute(
            "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name"
        ).fetchall()
        others = []
        for kind, name, table, sql in shapes:
            if not table.startswith("helios_"):
                others.append((name,))
            elif is_copied(table):
                connection.execute(sql)
                if kind == "table":
                    self._tables.add(name)
                    self._insert(name, source.execute(f'SELECT * FROM main."{name}"').fetchall())
        connection.execute(f"CREATE TABLE {_NAMES}(name TEXT PRIMARY KEY COLLATE NOCASE) WITHOUT ROWID")
        connection.executemany(f"INSERT OR IGNORE INTO {_NAMES} VALUES (?)", others)
        connection.execute("CREATE INDEX relation_by_sqlite_name ON helios_relation(sqlite_name COLLATE NOCASE)")
        # What a DROP asks for.
        connection.execute("CREATE INDEX attribute_by_type ON helios_attribute(atttypid)")
        connection.execute(
            "CREATE INDEX default_texts ON helios_attribute(default_text) WHERE default_text IS NOT NULL"
        )
        connection.execute("COMMIT")

    def _insert(self, table: str, rows: Any) -> None:
        if rows:
            places = ", ?" * (len(rows[0]) - 1)
            self.connection.executemany(f'INSERT INTO "{table}" VALUES (?{places})', rows)

    def apply(self, definition: Definition) -> None:
        """Move on to the version that a definition made of this one. Raises KeyError for a table that is not here."""
        if not definition.keys.keys() <= self._tables:
            raise KeyError("a system table is new")
        with self.connection:
            for table, keys in definition.keys.items():
                where = self._keys.of(self.connection, table).condition
                self.connection.executemany(f'DELETE FROM "{table}" WHERE {where}', keys)
                self._insert(table, definition.rows.get(table, ()))
        self.version = definition.after

    def has_name(self, name: str) -> bool:
        """Whether SQLite may have a table, view or index whose name differs at most in case."""
        found = self.connection.execute(
            f"SELECT 1 FROM helios_relation WHERE sqlite_name = ?1 COLLATE NOCASE "
            f"UNION ALL SELECT 1 FROM {_NAMES} WHERE name = ?1",
            (name,),
        )
        return bool(found.fetchall())

    def close(self) -> None:
        """Give the memory back."""
        self.connection.close(True)


@dataclass(frozen=True, slots=True)
class Key:
    """The primary key of a system table."""

    places: tuple[int, ...]
    """The numbers of its columns, from 0."""
    condition: str
    """Finds a row by it."""


class Keys:
    """The primary keys of one database's system tables, each of which is asked for once: they never change."""

    def __init__(self) -> None:
        self._known: dict[str, Key] = {}

    def of(self, connection: apsw.Connection, table: str) -> Key:
        """That of a table, by a connection that has it."""
        key = self._known.get(table)
        if key is None:
            query = "SELECT cid, name FROM pragma_table_info(?, 'main') WHERE pk ORDER BY pk"
            columns: Any = connection.execute(query, (table,)).fetchall()
            condition = " AND ".join(f'"{name}" = ?' for _number, name in columns)
            key = self._known[table] = Key(tuple(number for number, _name in columns), condition)
        return key
