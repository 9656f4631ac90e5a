"""Where the settings of roles and of the database are kept; see ``engine.sql.ddl_settings``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import apsw

from helios_cli.engine.sql.ddl_schema import ROLE_SETTING_TABLE

if TYPE_CHECKING:
    from helios_cli.engine.storage.catalog import SqliteCatalog

_SETTINGS: Final = "SELECT setdatabase, setrole, shown, value FROM main.helios_db_role_setting ORDER BY rowid"


def missing_tables(connection: apsw.Connection) -> tuple[str, ...]:
    """What makes the table in a database that was born without it; empty when it is there."""
    found = connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'helios_db_role_setting'").fetchall()
    return () if found else (ROLE_SETTING_TABLE,)


def settings_of(catalog: SqliteCatalog) -> dict[tuple[int, int], list[str]]:
    """``name=value`` of each setting, by database and role (0: all), in the order in which they were made."""
    found: dict[tuple[int, int], list[str]] = {}
    if not catalog.rows("SELECT 1 FROM main.sqlite_schema WHERE name = 'helios_db_role_setting'"):
        return found
    for database, role, name, value in catalog.rows(_SETTINGS):
        found.setdefault((database, role), []).append(f"{name}={value}")
    return found
