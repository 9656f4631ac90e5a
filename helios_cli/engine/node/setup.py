"""What every SQLite connection of a node has registered: functions, aggregates, collations, system catalogs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import apsw

from helios_cli.engine.node import routine_calls
from helios_cli.engine.node.catalog_hooks import CatalogHooks
from helios_cli.engine.sql import functions, runtime
from helios_cli.engine.sql.many_parameters import Spilled
from helios_cli.engine.storage import system_catalog
from helios_cli.engine.storage.large_object_functions import LargeObjects
from helios_cli.engine.storage.sequences import Sequences
from helios_cli.engine.storage.write_ids import WriteIds

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine


def _register_aggregate(connection: apsw.Connection, name: str, factory: Callable[[], Any], count: int) -> None:
    """As a window function when it can take rows back out again, else as a plain aggregate."""
    if hasattr(factory(), "inverse"):
        connection.create_window_function(name, factory, count)
    else:
        connection.create_aggregate_function(name, factory, count)


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

    def __call__(self, connection: apsw.Connection) -> None:
        """Make the library, the operators and the system relations known to a connection."""
        connection.convert_binding = _object_binding
        for library in (functions, runtime):
            for name, (scalar, count, deterministic) in library.SCALARS.items():
                connection.create_scalar_function(name, scalar, count, deterministic=deterministic)
            for name, (factory, count) in library.AGGREGATES.items():
                _register_aggregate(connection, name, factory, count)
            for name, compare in library.COLLATIONS.items():
                connection.create_collation(name, compare)
        routine_calls.register(connection, self.hooks)
        system_catalog.register(
            connection,
            hooks=self.hooks,
            sequences=self.sequences,
            write_ids=self.write_ids,
            large_objects=self.large_objects,
        )

    def share_with(self, engine: Engine) -> None:
        """Have the node's engine use the memory that its connections use."""
        engine.sequences = self.sequences
        engine.write_ids = self.write_ids
        engine.large_objects = self.large_objects
