"""pg_catalog and information_schema as SQLite virtual tables, and the functions that read the catalog.

The rows of a relation are made when it is first scanned and kept until the schema version moves; a search by
equality on any column goes through a dictionary made on demand, so joins over many tables stay linear.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import apsw

from helios_cli.engine.storage import api_tokens, definition_log, system_rows, upserts
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.catalog_functions import register_functions
from helios_cli.engine.storage.catalog_tables import CatalogTables, remember
from helios_cli.engine.storage.catalog_versions import CatalogVersions, Version, maker_of, next_version
from helios_cli.engine.storage.definition_log import DefinitionLog
from helios_cli.engine.storage.large_object_functions import LargeObjects
from helios_cli.engine.storage.large_object_functions import register as register_large_objects
from helios_cli.engine.storage.large_objects import listed as listed_large_objects
from helios_cli.engine.storage.relation_rows import NO_ROWS, RelationRows
from helios_cli.engine.storage.sequences import Sequences
from helios_cli.engine.storage.sequences import register as register_sequences
from helios_cli.engine.storage.system_relations import PLANNER_RELATIONS, SYSTEM_RELATIONS, SystemRelation, declaration
from helios_cli.engine.storage.system_snapshot import Snapshot
from helios_cli.engine.storage.user_functions import register as register_user_functions
from helios_cli.engine.storage.write_ids import WriteIds
from helios_cli.engine.storage.write_ids import register as register_write_ids

Rows = list[tuple[Any, ...]]
_EQ: Final = apsw.SQLITE_INDEX_CONSTRAINT_EQ
_SCAN_COST: Final = 10_000.0
_COARSE_COST: Final = 2_000.0
_LOOKUP_COST: Final = 10.0


_KINDS: Final = frozenset("rvSmMc")
"""Relations that the catalog knows by name: tables, views, sequences, materialized views, and its own."""


class Hooks(Protocol):
    """What the node knows and the database does not."""

    def shows(self, relation: str) -> bool:
        """Whether :meth:`rows` may have rows for a relation."""

    def rows(self, relation: str) -> Iterable[dict[str, Any]]:
        """Rows of pg_settings, pg_stat_activity, pg_locks ...: column name -> stored value, missing ones are blank.

        Asked on every scan, for relations of pg_catalog that the database has no rows for.
        """

    def set_config(self, pid: int, name: str, value: str, local: bool, has_schema: Callable[[str], bool]) -> str:
        """set_config() of a session; the new value. ``has_schema`` looks into the catalog of the calling statement."""

    def clock(self) -> int:
        """clock_timestamp(): what the clock shows now, in microseconds since 1970."""

    def sleep(self, seconds: float, interrupted: Callable[[], bool]) -> None:
        """pg_sleep(), on the thread that runs the statement; returns early once ``interrupted`` says so."""

    def session_call(self, pid: int, what: str, arguments: tuple[Any, ...], interrupted: Callable[[], bool]) -> Any:
        """A function that acts on the session that calls it: advisory locks, pg_notify()."""

    def signal(self, pid: int, what: str, caller: int) -> bool:
        """'cancel' or 'terminate' a session, or 'reload' the configuration; whether it was there."""


class NoHooks:
    """A database without a node: settings and sessions are empty."""

    def shows(self, relation: str) -> bool:
        """Nothing is shown."""
        return False

    def rows(self, relation: str) -> Iterable[dict[str, Any]]:
        """Nothing."""
        return ()

    def set_config(self, pid: int, name: str, value: str, local: bool, has_schema: Callable[[str], bool]) -> str:
        """The value, which goes nowhere."""
        return value

    def clock(self) -> int:
        """The machine's clock."""
        return time.time_ns() // 1000

    def sleep(self, seconds: float, interrupted: Callable[[], bool]) -> None:
        """Return at once."""

    def session_call(self, pid: int, what: str, arguments: tuple[Any, ...], interrupted: Callable[[], bool]) -> Any:
        """Nothing."""
        return None

    def signal(self, pid: int, what: str, caller: int) -> bool:
        """Nobody is there."""
        return False


def _tokens(connection: apsw.Connection, _catalog: SqliteCatalog, _snapshot: Snapshot) -> Iterable[dict[str, Any]]:
    return api_tokens.listed(connection)


def _large_objects(connection: apsw.Connection, _catalog: SqliteCatalog, snapshot: Snapshot) -> Iterator[Any]:
    for oid, owner, acl in listed_large_objects(connection):
        yield {"oid": oid, "lomowner": owner, "lomacl": snapshot.text_of_acl(acl)}


def _sequences(_connection: apsw.Connection, catalog: SqliteCatalog, snapshot: Snapshot) -> Iterable[dict[str, Any]]:
    values = {}
    for db in ("main", "temp") if catalog.has_temp_tables() else ("main",):
        for oid, value, called in catalog.rows(f"SELECT oid, last_value, is_called FROM {db}.helios_sequence"):
            values[oid] = (value, bool(called))
    return system_rows.pg_sequences(snapshot, values)


_LIVE: Final[dict[str, Callable[[apsw.Connection, SqliteCatalog, Snapshot], Iterable[dict[str, Any]]]]] = {
    "helios_tokens": _tokens,
    "pg_largeobject_metadata": _large_objects,
    "pg_sequences": _sequences,
}
"""Relations of pg_catalog that show what changes without the schema, read anew by every scan."""


class SystemCatalog:
    """The system relations of one connection."""

    def __init__(self, connection: apsw.Connection, hooks: Hooks, versions: CatalogVersions) -> None:
        self.catalog = SqliteCatalog(connection, system_relations=PLANNER_RELATIONS)
        self.hooks = hooks
        self.path: tuple[str, ...] | None = None
        """The search path of the session that a function prints names for; None: that of the rows."""
        self._connection = connection
        self.versions = versions
        self._version: Version | None = None
        self.tables = CatalogTables(self, connection)
        self._held = 0
        self.memo: dict[str, Any] = {}
        """What functions remember within a statement that holds the schema; empty outside of one."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile the schema stays as it is: nobody need look whether it has changed."""
        self.version()
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self.memo.clear()

    def version(self) -> Version:
        """The version of the catalog that this connection's transaction sees."""
        version = self._version
        if self._held and version is not None:
            return version
        self.memo.clear()
        self.catalog.refresh()
        if version is None or version.snapshot.version != self.catalog.version:
            version = self._version = self._find()
        return version

    def _find(self) -> Version:
        catalog = self.catalog
        if not catalog.has_temp_tables():
            found = self.versions.find(catalog.version)
            if found is not None:
                return found
            if self._connection.txn_state("main") != apsw.SQLITE_TXN_WRITE:
                return self.versions.read(catalog)
        return next_version(catalog, self._version or self.versions.latest())

    def snapshot(self) -> Snapshot:
        """What that version says."""
        version = self.version()
        return version.snapshot if self.path is None else version.along(self.path)

    def relation_oid(self, schema: str | None, name: str) -> int | None:
        """The OID of a relation by name, with schema None along the search path; None when there is none."""
        catalog = self.catalog
        if self._held and self._version is not None:
            # Thousands of names may be asked for in a statement: the whole of each relation is not needed.
            names = self._version.snapshot.names
            for candidate in catalog.schemas_searched(schema):
                found = catalog.system_relations.get((candidate, name)) or names.get((candidate, name))
                if found is not None and found.kind in _KINDS:
                    return found.oid
        catalog.refresh()
        relation = catalog.relation(schema, name) or catalog.index_def(schema, name)
        return relation.oid if relation is not None else None

    def is_kept(self, relation: SystemRelation) -> bool:
        """Whether a relation's rows change with the schema alone."""
        if relation.schema == "information_schema":
            return True
        return relation.name not in _LIVE and (
            relation.name in system_rows.MAKERS or not self.hooks.shows(relation.name)
        )

    def live_modules(self) -> list[str]:
        """The virtual tables of the relations that are not :meth:`is_kept`."""
        return [relation.module for relation in SYSTEM_RELATIONS.values() if not self.is_kept(relation)]

    def kept_rows(self, relation: SystemRelation) -> RelationRows:
        """The rows of a relation that :meth:`is_kept`, as of the last :meth:`version`: a statement takes it when it
        opens its cursors.
        """
        maker = maker_of(relation)
        return NO_ROWS if maker is None else (self._version or self.version()).rows(relation, maker)

    def rows(self, relation: SystemRelation) -> Rows:
        """All rows of a relation."""
        if self.is_kept(relation):
            return self.kept_rows(relation).rows
        live = _LIVE.get(relation.name)
        if live is not None:
            version = self._version or self.version()
            return [relation.row(row) for row in live(self._connection, self.catalog, version.snapshot)]
        return [relation.row(row) for row in self.hooks.rows(relation.name)]

    def matching(self, relation: SystemRelation, column: int, value: Any) -> Rows:
        """The rows whose column equals a value."""
        if self.is_kept(relation):
            return self.kept_rows(relation).matching(column, value)
        return [row for row in self.rows(relation) if row[column] == value]


class _Module:
    """The eponymous virtual table of one system relation."""

    def __init__(self, system: SystemCatalog, relation: SystemRelation) -> None:
        self.system, self.relation = system, relation

    def Connect(self, _connection: Any, _module: str, _database: str, _name: str, *_args: Any) -> tuple[str, _Table]:
        return declaration(self.relation), _Table(self.system, self.relation)

    Create = Connect


_SHARED: Final = (
    "classid refclassid objsubid refobjsubid deptype classoid privtype relkind relnamespace relpersistence relam "
    "reloftype relispartition relowner attisdropped attnum atthasdef attidentity atttypid typnamespace typtype "
    "typowner typcategory typisdefined pronamespace prokind prolang proowner contype connamespace indisprimary "
    "indisunique indisvalid nspname table_schema table_catalog table_type constraint_schema constraint_catalog "
    "constraint_type specific_schema schemaname trigger_schema sequence_schema udt_schema"
)
_COARSE: Final = frozenset(_SHARED.split())
"""Columns whose values many rows share: another one finds its rows faster."""


class _Table:
    """One connection's use of a system relation."""

    def __init__(self, system: SystemCatalog, relation: SystemRelation) -> None:
        self.system, self.relation = system, relation

    def BestIndex(self, constraints: Sequence[tuple[int, int]], _orders: Any) -> Any:
        chosen: tuple[float, int, int] | None = None
        for position, (column, operation) in enumerate(constraints):
            if operation == _EQ and column >= 0:
                coarse = self.relation.columns[column].name in _COARSE
                found = (_COARSE_COST if coarse else _LOOKUP_COST, position, column)
                chosen = found if chosen is None else min(chosen, found)
        used: list[Any] = [None] * len(constraints)
        if chosen is None:
            return used, 0, None, False, _SCAN_COST
        cost, position, column = chosen
        used[position] = (0, False)
        return used, column + 1, None, False, cost

    def Open(self) -> _Cursor:
        self.system.version()
        return _Cursor(self.system, self.relation)

    def Disconnect(self) -> None:
        """Nothing is held."""

    Destroy = Disconnect


class _Cursor:
    """A scan."""

    def __init__(self, system: SystemCatalog, relation: SystemRelation) -> None:
        self.system, self.relation = system, relation
        self.found: Rows = []
        self.at = 0

    def Filter(self, number: int, _text: str | None, arguments: Sequence[Any]) -> None:
        self.at = 0
        self.found = (
            self.system.matching(self.relation, number - 1, arguments[0]) if number else self.system.rows(self.relation)
        )

    def Eof(self) -> bool:
        return self.at >= len(self.found)

    def Next(self) -> None:
        self.at += 1

    def Column(self, number: int) -> Any:
        return self.at if number < 0 else self.found[self.at][number]

    def Rowid(self) -> int:
        return self.at

    def Close(self) -> None:
        self.found = []


def register(
    connection: apsw.Connection,
    *,
    hooks: Hooks | None = None,
    sequences: Sequences | None = None,
    write_ids: WriteIds | None = None,
    large_objects: LargeObjects | None = None,
    versions: CatalogVersions | None = None,
    definitions: DefinitionLog | None = None,
) -> SystemCatalog:
    """Make the system relations and the functions over them known to a connection.

    ``sequences``, ``write_ids``, ``large_objects`` and ``versions`` are the node's; a connection given none has its
    own, which is only right for a single connection. ``definitions`` is where its definitions are noted; None: in that
    of the versions.
    """
    system = SystemCatalog(connection, hooks or NoHooks(), versions or CatalogVersions())
    for relation in SYSTEM_RELATIONS.values():
        module: Any = _Module(system, relation)
        connection.create_module(relation.module, module, eponymous=True, eponymous_only=True, read_only=True)
    remember(connection, system)
    definition_log.attach(connection, definitions or system.versions.definitions)
    register_functions(connection, system)
    register_user_functions(connection)
    register_sequences(connection, sequences or Sequences(), system.catalog)
    register_write_ids(connection, write_ids or WriteIds())
    upserts.register(connection)
    api_tokens.register(connection)
    register_large_objects(connection, large_objects or LargeObjects(), system.catalog)
    return system
