"""System tables that older directories were born without: they get them when their node next begins a term."""

from __future__ import annotations

import apsw

from helios_cli.engine.storage import api_tokens, write_ids


def missing_tables(connection: apsw.Connection) -> tuple[str, ...]:
    """Statements that make the tables that are not there; empty when all are."""
    return write_ids.missing_tables(connection) + api_tokens.missing_tables(connection)
