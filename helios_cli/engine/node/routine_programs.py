"""Runs the statements that are more than one SQLite statement: DO, CALL, writes that triggers see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.node.triggered_writes import TriggeredRun
from helios_cli.engine.node.triggers import Firing
from helios_cli.engine.sql.oids import VOID
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.routine_programs import CallProcedure, DoBlock, TriggeredTruncate
from helios_cli.engine.sql.triggered import TriggeredProgram, TriggeredWrite
from helios_cli.engine.storage.programs import run_program

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_calls import RoutineCalls
    from helios_cli.engine.node.routine_host import RoutineHost


@dataclass(slots=True)
class StepsResult:
    """What the last step left."""

    rows: list[Any] | None
    """Result rows; None for a statement without a result set."""
    changes: int


Check = Callable[[apsw.Connection], None]


def run(connection: apsw.Connection, plan: Plan, binds: Sequence[Any], check: Check) -> StepsResult:
    """Run a program inside an open write transaction; ``check`` looks at foreign keys behind several writes.

    Raises:
        HeliosError, apsw.Error: what its statements raise.
    """
    calls, host = _place(connection, plan, binds)
    program = plan.routine
    if host.session.boundary is not None and not calls.depth and isinstance(program, DoBlock | CallProcedure):
        host.session.boundary.begins(host)
    if isinstance(program, DoBlock):
        calls.do(host, program.body)
        return StepsResult(None, 0)
    if isinstance(program, CallProcedure):
        return _call(calls, host, program, plan, binds)
    if isinstance(program, TriggeredWrite):
        with calls.inside():
            rows, changes = TriggeredRun(calls, host, plan, program, binds).run()
        return StepsResult(rows if plan.columns is not None else None, changes)
    if isinstance(program, TriggeredProgram):
        with calls.inside():
            return _program(calls, host, program, plan, binds, check)
    if isinstance(program, TriggeredTruncate):
        with calls.inside():
            _truncate(calls, host, program, plan, binds)
        return StepsResult(None, 0)
    raise SqlError(f"internal error: no way to run {type(program).__name__}", sqlstate="XX000")


def _program(
    calls: RoutineCalls, host: RoutineHost, program: TriggeredProgram, plan: Plan, binds: Sequence[Any], check: Check
) -> StepsResult:
    """Run several writes between their triggers; those behind rows and statements fire when all is written."""
    runs = [TriggeredRun(calls, host, plan, write, binds) if write is not None else None for write in program.writes]
    own = max(program.program.answers) + 1
    for run in runs:
        if run is not None:
            run.in_program = True
    for run in reversed(runs[:own]):
        if run is not None:
            run.begin()

    def instead(number: int, values: Sequence[Any]) -> tuple[list[Any], int] | None:
        run = runs[number]
        if run is None:
            return None
        if number >= own:
            run.begin()
        run.rows(values)
        return run.results, run.changes

    rows, changes = run_program(host.connection, plan, binds, check, instead)
    done = [run for run in runs if run is not None]
    for run in done:
        run.end_rows()
    for run in done:
        run.end_statement()
    return StepsResult(rows, changes)


def _place(connection: apsw.Connection, plan: Plan, binds: Sequence[Any]) -> tuple[RoutineCalls, RoutineHost]:
    """Where a program runs; its session is the one whose number is among the values."""
    from helios_cli.engine.node.routine_calls import of_connection

    calls = of_connection(connection)
    own = len(binds) - len(plan.session_values)
    session = calls.session(binds[own + plan.session_values.index("pid")])
    return calls, calls.host_for(session)


class TriggeredCopy:
    """COPY into a table whose triggers see the rows."""

    def __init__(self, connection: apsw.Connection, plan: Plan) -> None:
        self._connection = connection
        self._plan = plan
        self._run: TriggeredRun | None = None
        self._calls: RoutineCalls | None = None

    def rows(self, rows: Sequence[Sequence[Any]]) -> int:
        """Take in rows with the values of the session behind them; how many were stored."""
        if not rows:
            return 0
        if self._run is None:
            calls, host = _place(self._connection, self._plan, rows[0])
            assert isinstance(self._plan.routine, TriggeredWrite)
            self._calls, self._run = calls, TriggeredRun(calls, host, self._plan, self._plan.routine, rows[0])
            self._run.gathers = True
            with calls.inside():
                self._run.begin()
        assert self._calls is not None
        before = self._run.changes
        with self._calls.inside():
            for row in rows:
                self._run.rows(row)
        return self._run.changes - before

    def end(self) -> None:
        """The data is over: fire what comes behind it."""
        if self._run is not None and self._calls is not None:
            with self._calls.inside():
                self._run.end()


def _truncate(
    calls: RoutineCalls, host: RoutineHost, program: TriggeredTruncate, plan: Plan, binds: Sequence[Any]
) -> None:
    """Empty tables between the triggers that see it (ExecuteTruncateGuts, tablecmds.c)."""
    firings = [Firing(calls, host, relation) for relation in program.relations]
    for firing in firings:
        firing.statement("b", "TRUNCATE", ())
    for step in plan.steps:
        host.connection.execute(step, binds if "?" in step else ()).fetchall()
    for firing in firings:
        firing.statement("a", "TRUNCATE", ())


def _call(
    calls: RoutineCalls, host: RoutineHost, program: CallProcedure, plan: Plan, binds: Sequence[Any]
) -> StepsResult:
    boundary = calls.take_lent()
    arguments: Sequence[Any] = ()
    if plan.steps:
        step = plan.steps[0]
        rows = host.connection.execute(step, host.trimmed(plan, binds)).fetchall()
        arguments = rows[0]
    prepared = calls.prepared(host, program.oid, program.types)
    calls.lent = boundary
    _, value = calls.run(host, prepared, arguments)
    if plan.columns is None or prepared.result == VOID:
        return StepsResult(None, 0)
    row = value if len(plan.columns) > 1 else (value,)
    return StepsResult([row], 0)
