"""Running a plan's SQLite statements inside an open write transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import apsw

from helios_cli.engine.node import routine_programs
from helios_cli.engine.node.late_keys import keys_off
from helios_cli.engine.node.orphans import check_foreign_keys
from helios_cli.engine.node.routine_programs import StepsResult
from helios_cli.engine.node.unique_builds import unique_build_error
from helios_cli.engine.sql.ddl_rebuild import CHECKED, UNCHECKED
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.storage.definition_log import noted
from helios_cli.engine.storage.programs import parameter_counts, run_program


def run_steps(connection: apsw.Connection, plan: Plan, binds: Sequence[Any]) -> StepsResult:
    """Run every step; the transaction stays open. Raises what SQLite raises, and SqlError 23503.

    A table rebuild runs with foreign keys off by DBCONFIG: the PRAGMA does nothing inside a transaction, and the
    DROP of the old table would then delete its children (sqlite.org/lang_altertable.html, section 7).
    """
    if plan.routine is not None:
        return routine_programs.run(connection, plan, binds, lambda where: check_foreign_keys(where, plan))
    try:
        with keys_off(connection) if plan.fk_off else nullcontext():
            return _run_plan(connection, plan, binds)
    finally:
        if UNCHECKED in plan.steps:
            connection.execute(CHECKED)


def _run_plan(connection: apsw.Connection, plan: Plan, binds: Sequence[Any]) -> StepsResult:
    if plan.program is not None:
        return StepsResult(*run_program(connection, plan, binds, lambda where: check_foreign_keys(where, plan)))
    result = _run(connection, plan, binds)
    if plan.fk_off and not plan.keys_unchecked:
        check_foreign_keys(connection, plan)
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


__all__ = ["StepsResult", "run_steps"]
