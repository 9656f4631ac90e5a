"""Running a plan's SQLite statements inside an open write transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.node import routine_programs
from helios_cli.engine.node.late_keys import keys_off
from helios_cli.engine.node.routine_programs import StepsResult
from helios_cli.engine.node.unique_builds import unique_build_error
from helios_cli.engine.sql.databases import OF_FIRST, prefix_of
from helios_cli.engine.sql.ddl_rebuild import CHECKED, UNCHECKED
from helios_cli.engine.sql.ddl_render import NOT_VALID
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.storage.connection import database_of
from helios_cli.engine.storage.definition_log import noted
from helios_cli.engine.storage.programs import parameter_counts, run_program

_ORPHANS: Final = (
    "SELECT f.\"table\", f.parent, f.fkid FROM main.sqlite_schema s, pragma_foreign_key_check(s.name, 'main') f "
    "WHERE s.type = 'table' AND {own} "
    'UNION ALL SELECT f."table", f.parent, f.fkid FROM sqlite_temp_schema s, '
    "pragma_foreign_key_check(s.name, 'temp') f WHERE s.type = 'table'"
)
"""The rows without parents, in the tables of one database."""


def run_steps(connection: apsw.Connection, plan: Plan, binds: Sequence[Any]) -> StepsResult:
    """Run every step; the transaction stays open. Raises what SQLite raises, and SqlError 23503.

    A table rebuild runs with foreign keys off by DBCONFIG: the PRAGMA does nothing inside a transaction, and the
    DROP of the old table would then delete its children (sqlite.org/lang_altertable.html, section 7).
    """
    if plan.routine is not None:
        return routine_programs.run(connection, plan, binds, check_foreign_keys)
    try:
        with keys_off(connection) if plan.fk_off else nullcontext():
            return _run_plan(connection, plan, binds)
    finally:
        if UNCHECKED in plan.steps:
            connection.execute(CHECKED)


def _run_plan(connection: apsw.Connection, plan: Plan, binds: Sequence[Any]) -> StepsResult:
    if plan.program is not None:
        return StepsResult(*run_program(connection, plan, binds, check_foreign_keys))
    result = _run(connection, plan, binds)
    if plan.fk_off and not plan.keys_unchecked:
        check_foreign_keys(connection)
    return result


def _run(connection: apsw.Connection, plan: Plan, binds: Sequence[Any]) -> StepsResult:
    rows: list[Any] | None = None
    changes = 0
    counts = parameter_counts(plan) if plan.kind is Kind.DDL else None
    with noted(connection) if plan.kind is Kind.DDL else nullcontext() as noting:
        for number, step in enumerate(plan.steps):
            given = binds if counts is None else binds[: counts[number]]
            if noting is not None:
                noting.watch(step)
            try:
                rows = connection.execute(step, given if "?" in step else ()).fetchall()
            except apsw.ConstraintError as error:
                told = unique_build_error(connection, step) if plan.kind is Kind.DDL else None
                raise (told or error) from None
            changes = connection.changes()
    return StepsResult(rows if plan.columns is not None else None, changes)


def check_foreign_keys(connection: apsw.Connection) -> None:
    """Look at the parents of every row of the database. Raises SqlError 23503 for the first row without one."""
    prefix = prefix_of(database_of(connection))
    own = f"substr(s.name, 1, {len(prefix)}) = '{prefix}'" if prefix else OF_FIRST
    for table, parent, index in connection.execute(_ORPHANS.format(own=own)):
        if _is_not_valid(connection, str(table), index):
            continue
        shown = str(table).removeprefix(prefix)
        raise SqlError(
            f'insert or update on table "{shown}" violates foreign key constraint',
            sqlstate="23503",
            detail=f'A row has no counterpart in table "{str(parent).removeprefix(prefix)}".',
            table=shown,
        )


def _is_not_valid(connection: apsw.Connection, table: str, index: Any) -> bool:
    """Whether a foreign key, by its place in SQLite's list of a table's, was added NOT VALID."""
    query = 'SELECT "from" FROM pragma_foreign_key_list(?) WHERE id = ? ORDER BY seq'
    columns = [name for (name,) in connection.execute(query, (table, index))]
    found = connection.execute(
        "SELECT c.columns FROM main.helios_constraint c JOIN main.helios_relation r ON r.oid = c.relid "
        "WHERE r.sqlite_name = ? AND c.contype = 'f' AND c.condeferrable & ?",
        (table, NOT_VALID),
    )
    return any(json.loads(str(text)) == columns for (text,) in found.fetchall())


__all__ = ["StepsResult", "run_steps"]
