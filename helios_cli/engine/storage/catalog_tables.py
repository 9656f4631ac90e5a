"""The system relations as tables of a connection's own memory, filled once for each version of the schema.

A virtual table calls Python for every row and column it shows, and SQLite knows nothing of how many rows it has. So
before a query over the catalog runs, the relations it names are copied into a database in memory that is attached to
its connection, with PostgreSQL's indexes and statistics, and its text is made to name them. The copies are changed in
the connection's transactions as any table is, so that a ROLLBACK undoes them with what they show. A text that has not
come by here reads the virtual tables, and sees the same rows.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.storage.catalog_indexes import INDEXES
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS, SystemRelation, declared_columns

if TYPE_CHECKING:
    from helios_cli.engine.storage.system_catalog import SystemCatalog

_DATABASE: Final = "catalog_rows"
_PIECE: Final = re.compile(r"""'(?:[^']|'')*'|"(pg_catalog|information_schema)\.(\w+)\"""")
_CATALOG_CALL: Final = re.compile(r"\b(?:cat|pg_reg)\w*\(")
_GROWN: Final = 2
"""Statistics are taken again when a relation has so many times the rows, or so much fewer."""


class CatalogTables:
    """The copies of one connection."""

    def __init__(self, system: SystemCatalog, connection: apsw.Connection) -> None:
        self._system = system
        self._connection = connection

    def ready(self, sql: str) -> str:
        """A query with the names of the copies in place of the relations', and the copies filled."""
        named: dict[str, SystemRelation] = {}

        def copy_of(found: re.Match[str]) -> str:
            relation = SYSTEM_RELATIONS.get((found[1], found[2])) if found[1] else None
            if relation is None or not self._system.is_kept(relation):
                return found[0]
            named[relation.module] = relation
            return f"{_DATABASE}.{found[0]}"

        text = _PIECE.sub(copy_of, sql)
        if named:
            self._fill(named)
        return text

    def _fill(self, named: dict[str, SystemRelation]) -> None:
        connection = self._connection
        if not any(name == _DATABASE for _number, name, _file in connection.execute("PRAGMA database_list").fetchall()):
            connection.execute(f"ATTACH ':memory:' AS {_DATABASE}")
        # A transaction that was rolled back took it along, and the copies, but left the database attached.
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_DATABASE}.filled(relation TEXT PRIMARY KEY, version TEXT, counted INTEGER)"
        )
        version = str(self._system.snapshot().version)
        rows: list[Any] = connection.execute(f"SELECT relation, version, counted FROM {_DATABASE}.filled").fetchall()
        filled = {module: (made, counted) for module, made, counted in rows}
        for module, relation in named.items():
            made, counted = filled.get(module, (None, None))
            if made != version:
                self._fill_one(relation, version, counted)

    def _fill_one(self, relation: SystemRelation, version: str, counted: int | None) -> None:
        """Copy a relation; ``counted`` is how many rows it had for its statistics, None for one without a copy."""
        table = f'{_DATABASE}."{relation.module}"'
        with self._connection as connection:
            if counted is None:
                for statement in _definition(relation):
                    connection.execute(statement)
            else:
                connection.execute(f"DELETE FROM {table}")
            rows = self._system.rows(relation)
            places = ", ".join("?" * len(relation.columns))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
            if counted is None or not counted <= len(rows) * _GROWN <= max(counted, 1) * _GROWN * _GROWN:
                counted = len(rows)
                if relation.module in INDEXES:
                    connection.execute(f"ANALYZE {table}")
            connection.execute(f"REPLACE INTO {_DATABASE}.filled VALUES (?, ?, ?)", (relation.module, version, counted))


def _definition(relation: SystemRelation) -> Iterator[str]:
    table = f'"{relation.module}"'
    yield f"CREATE TABLE {_DATABASE}.{table}({declared_columns(relation)})"
    for number, columns in enumerate(INDEXES.get(relation.module, ()), 1):
        listed = ", ".join(f'"{column}"' for column in columns)
        yield f'CREATE INDEX {_DATABASE}."{relation.module}:{number}" ON {table}({listed})'


_KNOWN: Final[weakref.WeakKeyDictionary[apsw.Connection, SystemCatalog]] = weakref.WeakKeyDictionary()


def remember(connection: apsw.Connection, system: SystemCatalog) -> None:
    """Say which system catalog a connection has."""
    _KNOWN[connection] = system


def reads_catalog(sql: str) -> bool:
    """Whether a plan's text names a relation of the catalog or calls a function that looks in it."""
    return '"pg_catalog.' in sql or '"information_schema.' in sql or _CATALOG_CALL.search(sql) is not None


def ready(connection: apsw.Connection, sql: str) -> str:
    """The text to run in place of a query that :func:`reads_catalog`, the relations it names copied to tables."""
    system = _KNOWN.get(connection)
    return sql if system is None else system.tables.ready(sql)


@contextmanager
def held(connection: apsw.Connection) -> Iterator[None]:
    """While a query runs that cannot change the schema its functions need not look whether it has changed."""
    system = _KNOWN.get(connection)
    if system is None:
        yield
        return
    with system.held():
        yield
