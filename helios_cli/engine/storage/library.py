"""The library of functions and operators, made known to a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

from helios_cli.engine.sql import functions, runtime


def _register_aggregate(connection: apsw.Connection, name: str, factory: Callable[[], Any], count: int) -> None:
    """As a window function when it can take rows back out again, else as a plain aggregate."""
    if hasattr(factory(), "inverse"):
        connection.create_window_function(name, factory, count)
    else:
        connection.create_aggregate_function(name, factory, count)


def register_library(connection: apsw.Connection) -> None:
    """Make functions and operators known to a connection, without those that read the catalog."""
    for library in (functions, runtime):
        for name, (scalar, count, deterministic) in library.SCALARS.items():
            connection.create_scalar_function(name, scalar, count, deterministic=deterministic)
        for name, (factory, count) in library.AGGREGATES.items():
            _register_aggregate(connection, name, factory, count)
        for name, compare in library.COLLATIONS.items():
            connection.create_collation(name, compare)
