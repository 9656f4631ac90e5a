"""Rows without parents behind several writes: all are there then, and what was written tells which key is named."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import apsw

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.node.constraint_errors import first_orphan
from helios_cli.engine.sql.databases import OF_FIRST, prefix_of
from helios_cli.engine.sql.ddl_model import ConstraintDef
from helios_cli.engine.sql.ddl_render import NOT_VALID
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.connection import database_of

_ORPHANS: Final = (
    "SELECT f.\"table\", f.parent, f.fkid FROM main.sqlite_schema s, pragma_foreign_key_check(s.name, 'main') f "
    "WHERE s.type = 'table' AND {own} "
    'UNION ALL SELECT f."table", f.parent, f.fkid FROM sqlite_temp_schema s, '
    "pragma_foreign_key_check(s.name, 'temp') f WHERE s.type = 'table'"
)
"""The rows without parents, in the tables of one database."""
_NAME: Final = r'(?:(?:main|temp|"main"|"temp")\.)?"((?:[^"]|"")*)"'
_WRITTEN: Final = re.compile(rf"(?:^|[\s)])(?:INSERT (?:OR \w+ )?INTO|UPDATE(?: OR \w+)?) {_NAME}")


def check_foreign_keys(connection: apsw.Connection, plan: Plan) -> None:
    """Look at the parents of every row of the database. Raises HeliosError 23503 for the first row without one."""
    prefix = prefix_of(database_of(connection))
    own = f"substr(s.name, 1, {len(prefix)}) = '{prefix}'" if prefix else OF_FIRST
    for table, parent, index in connection.execute(_ORPHANS.format(own=own)):
        columns = _columns(connection, str(table), index)
        if _is_not_valid(connection, str(table), columns):
            continue
        raise _named(connection, plan, str(table), columns) or SqlError(
            f'insert or update on table "{str(table).removeprefix(prefix)}" violates foreign key constraint',
            sqlstate="23503",
            detail=f'A row has no counterpart in table "{str(parent).removeprefix(prefix)}".',
            table=str(table).removeprefix(prefix),
        )


def _columns(connection: apsw.Connection, table: str, index: Any) -> list[str]:
    """The columns of a foreign key, by its place in SQLite's list of a table's."""
    query = 'SELECT "from" FROM pragma_foreign_key_list(?) WHERE id = ? ORDER BY seq'
    return [str(name) for (name,) in connection.execute(query, (table, index))]


def _is_not_valid(connection: apsw.Connection, table: str, columns: list[str]) -> bool:
    """Whether a foreign key was added NOT VALID."""
    found = connection.execute(
        "SELECT c.columns FROM main.helios_constraint c JOIN main.helios_relation r ON r.oid = c.relid "
        "WHERE r.sqlite_name = ? AND c.contype = 'f' AND c.condeferrable & ?",
        (table, NOT_VALID),
    )
    return any(json.loads(str(text)) == columns for (text,) in found.fetchall())


def _named(connection: apsw.Connection, plan: Plan, table: str, columns: list[str]) -> HeliosError | None:
    """The error of a key, by its columns; None where it is none of the table's or no session asks.

    Where the rows' own table was not written, it is the parent that has gone.
    """
    from helios_cli.engine.node.routine_calls import session_of

    session = session_of(connection)
    # A catalog of its own: what it reads here is about to be rolled back.
    catalog = SqliteCatalog(connection)
    child = catalog.table_by_sqlite_name(table)
    if session is None or child is None:
        return None
    keys: list[ConstraintDef] = [one for one in child.constraints if one.kind == "f" and list(one.columns) == columns]
    written = {name.replace('""', '"') for step in plan.steps for name in _WRITTEN.findall(step)}
    gone = plan.kind is not Kind.DDL and table not in written
    return first_orphan(connection, catalog, keys, session.runner.may_read, session.times.zone, gone=gone)


__all__ = ["check_foreign_keys"]
