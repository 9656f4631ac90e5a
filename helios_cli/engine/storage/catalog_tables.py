"""The system relations as tables of a connection's own memory, which follow the versions of the schema.

A virtual table calls Python for every row and column it shows, and SQLite knows nothing of how many rows it has. So
before a query over the catalog runs, the relations it names are copied into a database in memory that is attached to
its connection, with PostgreSQL's indexes and statistics, and its text is made to name them. Where the schema has
changed since, only the rows of what changed are exchanged. The copies are changed in the connection's transactions as
any table is, so that a ROLLBACK undoes them with what they show. A text that has not
come by here reads the virtual tables, and sees the same rows.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.storage import row_modules
from helios_cli.engine.storage.catalog_indexes import INDEXES
from helios_cli.engine.storage.relation_rows import ROW_BITS, RelationRows, Tuples
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS, SystemRelation, declared_columns

if TYPE_CHECKING:
    from helios_cli.engine.storage.system_catalog import SystemCatalog

_DATABASE: Final = "catalog_rows"
_PIECE: Final = re.compile(r"""'(?:[^']|'')*'|"(pg_catalog|information_schema)\.(\w+)\"""")
_CATALOG_CALL: Final = re.compile(r"\b(?:cat|pg_reg)\w*\(")
_STATES_MAX: Final = 4
"""States of a relation that a connection remembers, so that a copy that a ROLLBACK took back is known again."""
_GROWN: Final = 2
"""Statistics are taken again when a relation has so many times the rows, or so much fewer."""


class CatalogTables:
    """The copies of one connection."""

    def __init__(self, system: SystemCatalog, connection: apsw.Connection) -> None:
        self._system = system
        self._connection = connection
        self._states: dict[str, dict[int, RelationRows]] = {}
        """By relation and serial number: what the copies show, or showed before."""
        self.defined = False
        """Copies were made since :func:`take_definitions` last asked."""

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
            row_modules.attach(connection, self._system.live_modules())
            connection.execute(f"ATTACH ':memory:' AS {_DATABASE}")
            self.defined = True
        # A transaction that was rolled back took it along, and the copies, but left the database attached.
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_DATABASE}.filled(relation TEXT PRIMARY KEY, state INTEGER, counted INTEGER)"
        )
        self._system.version()
        rows: list[Any] = connection.execute(f"SELECT relation, state, counted FROM {_DATABASE}.filled").fetchall()
        filled = {module: (serial, counted) for module, serial, counted in rows}
        for module, relation in named.items():
            serial, counted = filled.get(module, (None, None))
            state = self._system.kept_rows(relation)
            if serial != state.serial:
                self._bring(relation, state, serial, counted)

    def _bring(self, relation: SystemRelation, state: RelationRows, serial: int | None, counted: int | None) -> None:
        """Make a copy show a state. ``serial`` is the state it shows, None for a relation without a copy, and
        ``counted`` how many rows it had for its statistics.
        """
        table = f'{_DATABASE}."{relation.module}"'
        states = self._states.setdefault(relation.module, {})
        before = None if serial is None else states.get(serial)
        with self._connection as connection:
            if serial is None:
                self.defined = True
                for statement in _definition(relation):
                    connection.execute(statement)
            elif before is None:
                connection.execute(f"DELETE FROM {table}")
            old, new = before.parts if before is not None else {}, state.parts
            gone = [number for number, part in old.items() if part and new.get(number) is not part]
            connection.executemany(
                f"DELETE FROM {table} WHERE rowid BETWEEN ? AND ?",
                [(number << ROW_BITS, ((number + 1) << ROW_BITS) - 1) for number in gone],
            )
            added = [(number, part) for number, part in new.items() if part and old.get(number) is not part]
            self._insert(relation, added)
            size = sum(map(len, new.values()))
            if counted is None or not counted <= size * _GROWN <= max(counted, 1) * _GROWN * _GROWN:
                counted = size
                if relation.module in INDEXES:
                    connection.execute(f"ANALYZE {table}")
            connection.execute(
                f"REPLACE INTO {_DATABASE}.filled VALUES (?, ?, ?)", (relation.module, state.serial, counted)
            )
        states[state.serial] = state
        if len(states) > _STATES_MAX:
            del states[next(iter(states))]

    def _insert(self, relation: SystemRelation, parts: list[tuple[int, Tuples]]) -> None:
        columns = "".join(f', "{column.name}"' for column in relation.columns)
        places = ", ?" * len(relation.columns)
        self._connection.executemany(
            f'INSERT INTO {_DATABASE}."{relation.module}"(rowid{columns}) VALUES (?{places})',
            ((row_id, *row) for number, part in parts for row_id, row in enumerate(part, number << ROW_BITS)),
        )


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


def system_of(connection: apsw.Connection) -> SystemCatalog:
    """The system catalog of a connection. Raises KeyError for one that has none."""
    return _KNOWN[connection]


def reads_catalog(sql: str) -> bool:
    """Whether a plan's text names a relation of the catalog or calls a function that looks in it."""
    return '"pg_catalog.' in sql or '"information_schema.' in sql or _CATALOG_CALL.search(sql) is not None


def ready(connection: apsw.Connection, sql: str) -> str:
    """The text to run in place of a query that :func:`reads_catalog`, the relations it names copied to tables."""
    system = _KNOWN.get(connection)
    return sql if system is None else system.tables.ready(sql)


def take_definitions(connection: apsw.Connection) -> bool:
    """Whether copies were made, maybe in the transaction that is open, since this was last asked."""
    system = _KNOWN.get(connection)
    if system is None or not system.tables.defined:
        return False
    system.tables.defined = False
    return True


@contextmanager
def held(connection: apsw.Connection) -> Iterator[None]:
    """While a query runs that cannot change the schema its functions need not look whether it has changed."""
    system = _KNOWN.get(connection)
    if system is None:
        yield
        return
    with system.held():
        yield
