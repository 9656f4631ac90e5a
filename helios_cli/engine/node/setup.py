"""What every SQLite connection of a node has registered: functions, aggregates, collations, system catalogs."""

from __future__ import annotations

import apsw

from helios_cli.engine.sql import functions, runtime
from helios_cli.engine.storage import system_catalog


def setup_connection(connection: apsw.Connection) -> None:
    """Register everything that plans may use on a new connection."""
    for library in (functions, runtime):
        for name, (scalar, count, deterministic) in library.SCALARS.items():
            connection.create_scalar_function(name, scalar, count, deterministic=deterministic)
        for name, (factory, count) in library.AGGREGATES.items():
            connection.create_window_function(name, factory, count)
        for name, compare in library.COLLATIONS.items():
            connection.create_collation(name, compare)
    system_catalog.register(connection)
