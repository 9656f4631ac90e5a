"""enum_first, enum_last and enum_range (PostgreSQL manual, 9.10): the labels are the connection's to know."""

from __future__ import annotations

from helios_cli.engine.sql.functions.define import Library


def install(lib: Library) -> None:
    """Declare the enum support functions."""
    d = lib.define
    d("enum_first", "anyenum -> anyenum", sql="pg_enum_edge('{types}', 0)", stable=True)
    d("enum_last", "anyenum -> anyenum", sql="pg_enum_edge('{types}', 1)", stable=True)
    d("enum_range", "anyenum -> anyarray", sql="pg_enum_range('{types}', NULL, NULL)", stable=True)
    d("enum_range", "anyenum anyenum -> anyarray", sql="pg_enum_range('{types}', {0}, {1})", stable=True)
