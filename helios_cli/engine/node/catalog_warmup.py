"""A large schema's catalog is read beside the work, as soon as the node serves: no client's first query waits for that.

Of 500 tables reading the definitions, making the rows of the catalog's relations and copying them takes some 200 ms of
a thread that gives way to the loop; what comes behind a definition costs what it has changed.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import apsw

from helios_cli.engine.node.engine import Engine
from helios_cli.engine.storage import catalog_tables

RELATIONS_MIN: Final = 150
"""Tables, indexes, views and sequences from which on it is worth a thread's while."""

USUAL: Final = tuple(
    f"pg_catalog.{name}"
    for name in (
        "pg_namespace", "pg_class", "pg_attribute", "pg_type", "pg_attrdef", "pg_description", "pg_index",
        "pg_constraint", "pg_proc", "pg_roles", "pg_depend", "pg_collation", "pg_sequence", "pg_inherits", "pg_am",
        "pg_opclass",
    )
) + tuple(
    f"information_schema.{name}"
    for name in (
        "tables", "columns", "views", "table_constraints", "key_column_usage", "constraint_column_usage",
        "referential_constraints",
    )
)  # fmt: skip
"""The relations that nearly all tools read."""


class Lender(Protocol):
    """What lends connections: the node's database."""

    def borrow(self) -> apsw.Connection:
        """A connection."""

    def pin(self, connection: apsw.Connection) -> int:
        """Open a snapshot on it."""

    def give_back(self, connection: apsw.Connection) -> None:
        """Take it back."""


async def warm(engine: Engine) -> None:
    """Have a reader's thread do it."""
    await engine.read_workers.call(lambda: read_catalog(engine.database))


def read_catalog(database: Lender, relations_min: int = RELATIONS_MIN) -> bool:
    """Read the catalog on the connection that the next query will borrow; False where the schema is small."""
    connection = database.borrow()
    try:
        database.pin(connection)
        found: Any = connection.execute("SELECT count(*) FROM helios_relation").fetchone()
        if found[0] < relations_min:
            return False
        with catalog_tables.held(connection):
            for relation in USUAL:
                catalog_tables.ready(connection, f'SELECT 1 FROM "{relation}"')
        connection.execute("COMMIT")
        return True
    finally:
        database.give_back(connection)
