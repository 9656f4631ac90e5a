"""Runs the statements that are more than one SQLite statement: DO and CALL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.oids import VOID
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.routine_programs import CallProcedure, DoBlock


@dataclass(slots=True)
class StepsResult:
    """What the last step left."""

    rows: list[Any] | None
    """Result rows; None for a statement without a result set."""
    changes: int


def run(connection: apsw.Connection, plan: Plan, binds: Sequence[Any]) -> StepsResult:
    """Run a program inside an open write transaction.

    Raises:
        HeliosError, apsw.Error: what its statements raise.
    """
    from helios_cli.engine.node.routine_calls import of_connection

    calls = of_connection(connection)
    own = len(binds) - len(plan.session_values)
    session = calls.session(binds[own + plan.session_values.index("pid")])
    host = calls.host_for(session)
    program = plan.routine
    if isinstance(program, DoBlock):
        calls.do(host, program.body)
        return StepsResult(None, 0)
    if isinstance(program, CallProcedure):
        return _call(calls, host, program, plan, binds)
    raise SqlError(f"internal error: no way to run {type(program).__name__}", sqlstate="XX000")


def _call(calls: Any, host: Any, program: CallProcedure, plan: Plan, binds: Sequence[Any]) -> StepsResult:
    arguments: Sequence[Any] = ()
    if plan.steps:
        step = plan.steps[0]
        rows = host.connection.execute(step, host.trimmed(plan, binds)).fetchall()
        arguments = rows[0]
    prepared = calls.prepared(host, program.oid, program.types)
    _, value = calls.run(host, prepared, arguments)
    if plan.columns is None or prepared.result == VOID:
        return StepsResult(None, 0)
    row = value if len(plan.columns) > 1 else (value,)
    return StepsResult([row], 0)
