"""System tables, and rows of them, that older directories lack: they get them when their node next begins a term."""

from __future__ import annotations

import apsw

from helios_cli.engine.storage import api_tokens, large_objects, role_settings, write_ids
from helios_cli.engine.storage.catalog_privileges import missing_privileges


def missing_tables(connection: apsw.Connection) -> tuple[str, ...]:
    """Statements that make the tables that are not there; empty when all are."""
    return (
        *write_ids.missing_tables(connection),
        *api_tokens.missing_tables(connection),
        *missing_privileges(connection),
        *large_objects.missing_tables(connection),
        *role_settings.missing_tables(connection),
    )
