"""What every SQLite connection of a node has registered: functions, aggregates, collations, system catalogs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import apsw

from helios_cli.engine.node import routine_calls
from helios_cli.engine.node.catalog_hooks import CatalogHooks
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.sql.many_parameters import Spilled
from helios_cli.engine.storage import system_catalog
from helios_cli.engine.storage.catalog_versions import CatalogVersions
from helios_cli.engine.storage.connection import database_of
from helios_cli.engine.storage.large_object_functions import LargeObjects
from helios_cli.engine.storage.library import register_library
from helios_cli.engine.storage.sequences import Sequences
from helios_cli.engine.storage.write_ids import WriteIds

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine


def _object_binding(_cursor: apsw.Cursor, _number: int, value: Any) -> Any:
    """What a statement binds that SQLite has no type for; asked for such values only."""
    return apsw.pyobject(value) if isinstance(value, Spilled) else value


class ConnectionSetup:
    """Registers everything that plans may use on a new connection; the node's one memory of sequences with it."""

    def __init__(self) -> None:
        self.hooks = CatalogHooks()
        self.sequences = Sequences()
        self.write_ids = WriteIds()
        self.large_objects = LargeObjects()
        self.catalog_versions = CatalogVersions()
        self._versions_of: WeakValueDictionary[int, CatalogVersions] = WeakValueDictionary()
        """By database; those of another than the first are kept as long as there are sessions in it."""
        self._versions_of[DATABASE_OID] = self.catalog_versions

    def __call__(self, connection: apsw.Connection) -> None:
        """Make the library, the operators and the system relations known to a connection."""
        connection.convert_binding = _object_binding
        register_library(connection)
        routine_calls.register(connection, self.hooks)
        system_catalog.register(
            connection,
            hooks=self.hooks,
            sequences=self.sequences,
            write_ids=self.write_ids,
            large_objects=self.large_objects,
            versions=self._versions_of.setdefault(database_of(connection), CatalogVersions()),
            definitions=self.catalog_versions.definitions,
        )

    def share_with(self, engine: Engine) -> None:
        """Have the node's engine use the memory that its connections use."""
        engine.sequences = self.sequences
        engine.write_ids = self.write_ids
        engine.large_objects = self.large_objects
        engine.definitions = self.catalog_versions.definitions
