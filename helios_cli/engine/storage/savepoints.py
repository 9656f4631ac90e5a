"""ROLLBACK TO a savepoint while queries of the same connection are under way.

SQLite lets pending queries go on behind a ROLLBACK TO, but ends them all ("abort due to ROLLBACK") where the
transaction has changed its schema, before the savepoint or behind it (``OP_Savepoint`` in vdbe.c). It knows that by a
flag of the connection, which falls when the schema is to be read anew. Behind the ROLLBACK TO the flag is raised
again: it makes a ROLLBACK of the whole transaction forget a schema whose number another commit may be given.
"""

from __future__ import annotations

from typing import Any

import apsw

from helios_cli.engine.storage.catalog_tables import take_definitions


def roll_back_to(connection: apsw.Connection, name: str, *, schema_changed: bool) -> None:
    """Undo what was done since a savepoint, which stays; queries under way go on.

    ``schema_changed`` says whether the transaction may have changed definitions; then SQLite reads the schema again.
    """
    if take_definitions(connection) or schema_changed:
        connection.execute("PRAGMA writable_schema = RESET")
    connection.execute(f"ROLLBACK TO {name}")
    if schema_changed and connection.txn_state("main") == apsw.SQLITE_TXN_WRITE:
        found: Any = connection.execute("PRAGMA main.schema_version").fetchall()
        connection.execute(f"PRAGMA main.schema_version = {found[0][0]}")
