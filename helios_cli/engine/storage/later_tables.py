"""System tables, and rows of them, that older directories lack: they get them when their node next begins a term."""

from __future__ import annotations

from typing import Final

import apsw

from helios_cli.engine.sql.ddl_schema import DATABASE_OID, DATABASE_TABLE, FIRST_DATABASE_ROW
from helios_cli.engine.sql.privileges import PG_DATABASE
from helios_cli.engine.storage import api_tokens, large_objects, role_settings, write_ids
from helios_cli.engine.storage.catalog_privileges import missing_privileges

_FORMER_OID: Final = 5
"""The OID of the database in directories of before: tools took it for one of the system's own, and hid it."""


def missing_tables(connection: apsw.Connection) -> tuple[str, ...]:
    """Statements that make the tables that are not there; empty when all are."""
    return (
        *write_ids.missing_tables(connection),
        *api_tokens.missing_tables(connection),
        *missing_privileges(connection),
        *large_objects.missing_tables(connection),
        *role_settings.missing_tables(connection),
        *_databases(connection),
        *_database_steps(connection),
    )


def _databases(connection: apsw.Connection) -> tuple[str, ...]:
    """The table of databases, with the one that there is."""
    found = connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'helios_database'").fetchall()
    return () if found else (DATABASE_TABLE, FIRST_DATABASE_ROW)


def _database_steps(connection: apsw.Connection) -> tuple[str, ...]:
    """What gives the comment, rights and settings of the database the OID that it has now, in place of 5."""
    steps = []
    for table, oid, where in (
        ("helios_description", "objoid", f"classoid = {PG_DATABASE}"),
        ("helios_privilege", "objid", f"classid = {PG_DATABASE}"),
        ("helios_db_role_setting", "setdatabase", "true"),
    ):
        if connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = ?", (table,)).fetchall():
            where += f" AND {oid} = {_FORMER_OID}"
            if connection.execute(f"SELECT 1 FROM main.{table} WHERE {where}").fetchall():
                steps.append(f"UPDATE main.{table} SET {oid} = {DATABASE_OID} WHERE {where}")
    return tuple(steps)
