r"""Scripts as pgbench has them, each run of which is one operation.

    \set id random_zipfian(1, 100 * :scale, 1.1)
    SELECT n FROM t WHERE id = :id \gset
    \if :n > 10
    UPDATE t SET n = n - 10 WHERE id = :id;
    \else
    \sleep 5 ms
    \endif

``:name`` is replaced by the variable's text, if there is one; with the extended protocol it is a parameter. Variables
keep their values from one run to the next; ``:client_id``, from 0, ``:scale``, ``:default_seed`` and ``:random_seed``
are there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from helios_cli.commands.load.driver import Worker
from helios_cli.commands.load.expressions import Reckon, Scope, text_of
from helios_cli.commands.load.reckoning import NotReckoned, Value, is_true
from helios_cli.commands.load.scriptfile import NAME, PARAMETERS_MAX, UNITS_S, VARIABLE, Command, numbered
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.net.pgclient import Result
from helios_cli.engine.net.pgextended import Statement

SIMPLE, EXTENDED, PREPARED = "simple", "extended", "prepared"
PROTOCOLS: Final = (SIMPLE, EXTENDED, PREPARED)
PIPELINE_MAX: Final = 10_000
"""Statements of one pipeline."""


class NotOneRow(HeliosError):
    r"""What \gset takes its variables from is not one row."""

    sqlstate = "02000"


@dataclass(slots=True)
class _Run:
    """One client's way through the script."""

    scope: Scope
    branches: list[str] = field(default_factory=list)
    """Of each \\if that is open: ``taken``, ``not yet``, or ``over``, when one of its branches was run."""
    pipeline: list[Statement] | None = None

    @property
    def skips(self) -> bool:
        """Whether what comes is in a branch that is not taken."""
        return any(branch != "taken" for branch in self.branches)


@dataclass(slots=True)
class Script:
    """A file."""

    path: Path
    commands: Sequence[Command]
    variables: Mapping[str, Value | str] = field(default_factory=dict)
    """What every client begins with."""
    protocol: str = SIMPLE
    name: str = "script"
    _scopes: dict[int, Scope] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ConfigError: the protocol has no pipelines."""
        for command in self.commands:
            if command.kind == "startpipeline" and self.protocol == SIMPLE:
                raise ConfigError(
                    f"{self._where(command)}: \\startpipeline cannot be used with the simple query protocol",
                    hint="Add --protocol extended, or prepared.",
                )
            if self.protocol != SIMPLE and len(numbered(command.text)[1]) > PARAMETERS_MAX:
                raise ConfigError(f"{self._where(command)}: more than {PARAMETERS_MAX} parameters")

    def prepare(self, worker: Worker) -> None:
        """Nothing: what a script needs is made by hand."""

    def check(self, worker: Worker) -> list[str]:
        """Nobody knows what has to be there."""
        return []

    def turn(self, worker: Worker) -> str:
        """The whole of it."""
        scope = self._scopes.get(worker.number)
        if scope is None:
            scope = Scope({"client_id": worker.number - 1, **self.variables}, worker.rng)
            self._scopes[worker.number] = scope
        run = _Run(scope)
        for command in self.commands:
            if command.kind in ("if", "elif", "else", "endif"):
                self._branch(command, run)
            elif not run.skips:
                self._do(command, run, worker)
        if run.pipeline is not None:
            raise ConfigError(f"{self.path}: the script ends within a pipeline", hint="\\endpipeline ends it.")
        if worker.session.in_transaction:
            raise ConfigError(
                f"{self.path}: the script ends within a transaction", hint="End it by COMMIT or ROLLBACK."
            )
        return self.path.name

    def _where(self, command: Command) -> str:
        return f"{self.path}:{command.line}"

    def _value(self, command: Command, reckon: Reckon, scope: Scope) -> Value:
        try:
            return reckon(scope)
        except NotReckoned as error:
            hint = "\\set NAME ... or -D NAME=VALUE gives a variable its value." if "undefined" in str(error) else None
            raise ConfigError(f"{self._where(command)}: {error}", hint=hint) from None

    def _branch(self, command: Command, run: _Run) -> None:
        r"""Of an \if within a branch that is not taken no condition is reckoned."""
        if command.kind == "if":
            run.branches.append("over" if run.skips else "not yet")
        elif command.kind == "endif":
            run.branches.pop()
            return
        state = run.branches[-1]
        if command.kind == "else":
            run.branches[-1] = "taken" if state == "not yet" else "over"
        elif state == "not yet":
            assert command.reckon is not None
            run.branches[-1] = "taken" if is_true(self._value(command, command.reckon, run.scope)) else state
        else:
            run.branches[-1] = "over"

    def _do(self, command: Command, run: _Run, worker: Worker) -> None:
        if command.kind == "sql":
            self._sql(command, run, worker)
        elif command.kind == "set":
            assert command.reckon is not None
            run.scope.variables[command.name] = self._value(command, command.reckon, run.scope)
        elif command.kind == "sleep":
            time.sleep(max(0, self._time(command, run.scope)) * UNITS_S[command.name])
        elif command.kind == "startpipeline":
            if run.pipeline is not None:
                raise ConfigError(f"{self._where(command)}: already in a pipeline")
            run.pipeline = []
        else:
            if run.pipeline is None:
                raise ConfigError(f"{self._where(command)}: not in a pipeline")
            statements, run.pipeline = run.pipeline, None
            worker.session.run(statements, keeps=self.protocol == PREPARED)

    def _time(self, command: Command, scope: Scope) -> int:
        text = command.text
        if text.startswith(":"):
            if text[1:] not in scope.variables:
                raise ConfigError(f'{self._where(command)}: undefined variable "{text[1:]}"')
            text = text_of(scope.variables[text[1:]])
        try:
            return int(text)
        except ValueError:
            raise ConfigError(f"{self._where(command)}: invalid sleep time {text!r}") from None

    def _sql(self, command: Command, run: _Run, worker: Worker) -> None:
        values, session = run.scope.variables, worker.session
        if run.pipeline is not None:
            if command.gather:
                raise ConfigError(f"{self._where(command)}: \\{command.gather} is not allowed in a pipeline")
            if len(run.pipeline) >= PIPELINE_MAX:
                raise ConfigError(f"{self._where(command)}: more than {PIPELINE_MAX} statements in a pipeline")
            run.pipeline.append(self._statement(command, values))
            return
        if self.protocol == SIMPLE:
            results = session.execute_all(substituted(command.text, values))
        else:
            results = session.run([self._statement(command, values)], keeps=self.protocol == PREPARED)
        if command.gather:
            self._gather(command, results, values)

    def _statement(self, command: Command, values: Mapping[str, Value | str]) -> Statement:
        sql, names = numbered(command.text)
        missing = next((name for name in names if name not in values), None)
        if missing is not None:
            raise ConfigError(f'{self._where(command)}: undefined variable "{missing}"')
        return Statement(sql, tuple(None if values[name] is None else text_of(values[name]) for name in names))

    def _gather(self, command: Command, results: Sequence[Result], values: dict[str, Value | str]) -> None:
        """Columns of the last row become variables: of the last result (gset), or of all that have rows (aset)."""
        if command.gather == "gset" and len(results[-1].rows) != 1:
            raise NotOneRow(f"{self._where(command)}: expected one row, got {len(results[-1].rows)}")
        for result in results[-1:] if command.gather == "gset" else results:
            for column, value in zip(result.columns or (), result.rows[-1] if result.rows else (), strict=False):
                name = command.name + column.name
                if not NAME.fullmatch(name):
                    raise ConfigError(f'{self._where(command)}: invalid variable name "{name}"')
                values[name] = value or ""


def substituted(sql: str, values: Mapping[str, Value | str]) -> str:
    """The text with the values of its variables; what is none is left as it is."""
    return VARIABLE.sub(
        lambda match: text_of(values[match[1]]) if match[1] is not None and match[1] in values else match[0], sql
    )
