"""Sequences that are read like tables."""

from __future__ import annotations

from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID
from helios_cli.engine.sql.relation import Relation


def sequence_row(relation: Relation) -> str:
    """The one row of a sequence that is read like a table, as pg_dump does."""
    database = "temp" if relation.oid >= FIRST_TEMP_OID else "main"
    columns = "last_value, 0 AS log_cnt, is_called"
    return f"(SELECT {columns} FROM {database}.helios_sequence WHERE oid = {relation.oid})"
