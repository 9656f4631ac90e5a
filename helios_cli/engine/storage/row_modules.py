"""The virtual tables that queries over the catalog walk, in a database of their own.

SQLite counts a virtual table that nobody created to the main database, and so reads that one's whole schema anew when a
query over ``json_each`` comes to a connection behind a change of the schema by another: some 20 ms for 500 tables, of
which the query reads none. A database in memory that names the same modules is attached instead; SQLite finds its
tables before those that nobody created.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import apsw

_DATABASE: Final = "row_modules"
_EACH: Final = "json_each"


def attach(connection: apsw.Connection, modules: Iterable[str]) -> None:
    """Attach it to a connection that has none; ``modules`` are known to the connection, besides SQLite's own."""
    # SQLite makes its own module known when it is named first.
    connection.execute(f"EXPLAIN SELECT 1 FROM main.{_EACH}('[]')").fetchall()
    connection.execute(f"ATTACH ':memory:' AS {_DATABASE}")
    connection.deserialize(_DATABASE, _image((_EACH, *modules)))


@lru_cache(maxsize=8)
def _image(modules: tuple[str, ...]) -> bytes:
    """A database file whose schema names a table for each module, which only that module's Connect is asked for."""
    connection = apsw.Connection(":memory:")
    # CREATE VIRTUAL TABLE is for modules that keep something of each table.
    connection.execute("PRAGMA writable_schema = ON")
    connection.executemany(
        "INSERT INTO sqlite_schema VALUES ('table', ?1, ?1, 0, ?2)",
        [(name, f'CREATE VIRTUAL TABLE "{name}" USING "{name}"') for name in modules],
    )
    made = connection.serialize("main")
    connection.close()
    return made
