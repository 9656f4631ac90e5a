"""What becomes of temporary tables at the end of a transaction: ON COMMIT DROP and DELETE ROWS."""

from __future__ import annotations

import random
from typing import Final

import apsw

from helios_cli.engine.sql.ddl_render import DELETE_ROWS, DROP
from helios_cli.engine.sql.ddl_schema import VERSIONS, new_version
from helios_cli.engine.sql.sqltext import quote_identifier

_FORGET: Final = (
    "DELETE FROM temp.helios_relation WHERE oid = ?1 OR oid IN (SELECT oid FROM temp.helios_index WHERE relid = ?1) "
    "OR oid IN (SELECT oid FROM temp.helios_sequence WHERE owner_relid = ?1)",
    "DELETE FROM temp.helios_sequence WHERE owner_relid = ?1",
    "DELETE FROM temp.helios_index WHERE relid = ?1",
    "DELETE FROM temp.helios_constraint WHERE relid = ?1",
    "DELETE FROM temp.helios_attribute WHERE relid = ?1",
    "DELETE FROM temp.helios_depend WHERE objid = ?1 OR refobjid = ?1",
    "DELETE FROM temp.helios_description WHERE objoid = ?1",
)
"""The rows of a temporary table's catalog."""


def settle(connection: apsw.Connection) -> None:
    """Before COMMIT on a connection that may have temporary tables: do what they were made with."""
    if not connection.execute("SELECT 1 FROM sqlite_temp_schema WHERE name = 'helios_relation'").fetchall():
        return
    found = connection.execute(
        "SELECT oid, sqlite_name, options FROM temp.helios_relation WHERE options IN (?, ?)", (DELETE_ROWS, DROP)
    ).fetchall()
    for oid, name, what in found:
        table = f"temp.{quote_identifier(str(name))}"
        if what == DELETE_ROWS:
            connection.execute(f"DELETE FROM {table}")
            continue
        connection.execute(f"DROP TABLE {table}")
        for step in _FORGET:
            connection.execute(step, (oid,))
        connection.execute(new_version(True, random.randrange(VERSIONS)))
