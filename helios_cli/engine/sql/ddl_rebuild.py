"""Changing a table in ways SQLite's ALTER TABLE cannot: make it anew and copy (sqlite.org/lang_altertable.html, 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.ddl_part_keys import rebuilt_keys
from helios_cli.engine.sql.ddl_render import database_of, qualified
from helios_cli.engine.sql.sqltext import quote_identifier

UNCHECKED: Final = "PRAGMA ignore_check_constraints=ON"
"""Rows are copied that need not meet a constraint which is NOT VALID."""
CHECKED: Final = "PRAGMA ignore_check_constraints=OFF"


def rebuild_table(builder: Builder, table: TableDef, conversions: Mapping[str, str] | None = None) -> None:
    """Write the steps that give a table the form of its (already changed) definition, rows kept in order.

    ``conversions`` maps a column to SQLite text over the old row; other columns are copied as they are.
    The old table must have every column it reads. Enforcement of foreign keys is switched off only when some
    key points to the table, since only then does dropping the old one delete elsewhere, or one is NOT VALID.
    """
    conversions = conversions or {}
    of_itself = any(constraint.ref_oid == table.oid for constraint in table.constraints if constraint.kind == "f")
    not_valid = any(constraint.kind == "f" and not constraint.validated for constraint in table.constraints)
    if of_itself or not_valid or builder.catalog.referencing(table.oid):
        builder.fk_off = True
    working = f"helios_rebuild_{table.oid}"
    new, old = qualified(working, table.temp), qualified(table.sqlite_name, table.temp)
    stored = [column for column in table.columns if not column.generated]
    names = ", ".join(quote_identifier(column.name) for column in stored)
    values = ", ".join(conversions.get(column.name, quote_identifier(column.name)) for column in stored)
    builder.add(builder.table_sql(table, sqlite_name=working))
    if stored:
        copy = f"INSERT INTO {new} ({names}) SELECT {values} FROM {old}"
        lax = any(not constraint.validated for constraint in table.constraints)
        builder.add(*((UNCHECKED, copy, CHECKED) if lax else (copy,)))
    builder.add(
        f"DROP TABLE {old}",
        # The modern rename reads every view again and fails on those that name the table just dropped.
        "PRAGMA legacy_alter_table=ON",
        f"ALTER TABLE {new} RENAME TO {quote_identifier(table.sqlite_name)}",
        "PRAGMA legacy_alter_table=OFF",
        f"UPDATE {database_of(table.temp)}.helios_attribute SET sqlite_default = 0 WHERE relid = {table.oid}",
    )
    for column in table.columns:
        column.sqlite_default = False
    builder.add(*(builder.index_sql(table, position) for position in range(len(table.indexes))))
    rebuilt_keys(builder, table)
