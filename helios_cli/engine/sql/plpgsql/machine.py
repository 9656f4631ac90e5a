"""One call of a PL/pgSQL function: its state, and how its expressions and statements are run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.errors import FeatureNotSupported, HeliosError, SqlError
from helios_cli.engine.sql.inner import Inner
from helios_cli.engine.sql.oids import BOOL, TEXT, VOID
from helios_cli.engine.sql.plpgsql.composites import bare
from helios_cli.engine.sql.plpgsql.frame import TABLE, Boundary, Frame, Host, Outcome, Result, Visible
from helios_cli.engine.sql.plpgsql.naming import shown_kind
from helios_cli.engine.sql.plpgsql.program import Expression, Program, Statement
from helios_cli.engine.sql.plpgsql.source import assigned_expression

EXIT, CONTINUE, RETURN = 1, 2, 3
"""What a statement does to the flow; 0 goes on."""
_NOT_SIMPLE: Final = re.compile(r"\bselect\b|\bfrom\b", re.IGNORECASE)
"""Expressions that are more than an expression run as queries."""
PLANS_MAX: Final = 8
"""Plans kept for one expression over records of different shapes."""


class Machine:
    """One call of one function."""

    def __init__(
        self,
        program: Program,
        host: Host,
        name: str,
        *,
        result: tuple[int, int],
        returns_set: bool,
        columns: tuple[tuple[str, int], ...],
        spread: bool = False,
    ) -> None:
        self.host = host
        self.frame = Frame(program, host)
        self.program = program
        self.name = name
        """As CONTEXT lines show it: ``f(integer)`` or inline_code_block."""
        self.result_type = result
        self.returns_set = returns_set
        self.columns = columns
        """Of a result of several columns."""
        self.spread = spread
        """A row of the result is a tuple of the columns' values; else it is a value."""
        self.result = Result()
        self.outputs: list[int] = []
        """Datums of OUT parameters."""
        self.boundary: Boundary | None = None
        """It may end transactions; None: it runs inside of somebody's."""
        self.label = ""
        self.handled: list[HeliosError] = []
        self.row_count = 0
        self.returned = False
        self.where = ""
        """What CONTEXT says instead of the statement, while variables are initialised."""
        self._visible: dict[int, Visible] = {}

    # -- the call ---

    def call(self) -> Result:
        """Run the body. Arguments have been stored.

        Raises:
            HeliosError: with a line of CONTEXT for this function.
        """
        self.frame.resolve_types()
        found = self.program.root.entries.get("found")
        if found is not None and self.frame.values[found] is None:
            self.frame.values[found] = 0
        signal = self._execute(self.program.body)
        if signal != RETURN and not (self.returns_set or self._may_fall_off()):
            raise self._with_context(SqlError("control reached end of function without RETURN", sqlstate="2F005"), None)
        return self.result

    def _may_fall_off(self) -> bool:
        return self.result_type[0] == VOID or bool(self.outputs)

    def _execute(self, statement: Statement) -> int:
        """Run a statement; what it does to the flow."""
        self.host.check()
        try:
            handler: Callable[[Statement], int | None] | None = getattr(self, f"_run_{statement.kind}", None)
            if handler is None:
                what = shown_kind(statement)
                raise FeatureNotSupported(f"{what} in PL/pgSQL is not supported")
            return handler(statement) or 0
        except HeliosError as error:
            raise self._with_context(error, statement) from None
        except Exception as error:
            failure = self.host.failure(error)
            if failure is None:
                raise
            raise self._with_context(failure, statement) from error

    def _with_context(self, error: HeliosError, statement: Statement | None) -> HeliosError:
        """Say where an error happened, once for each call that it leaves."""
        if getattr(error, "told_by", None) is self:
            return error
        if statement is None or (statement.kind == "return" and not statement.line):
            line = f"PL/pgSQL function {self.name}"
        elif self.where:
            line = f"PL/pgSQL function {self.name} line {statement.line} {self.where}"
        else:
            line = f"PL/pgSQL function {self.name} line {statement.line} at {shown_kind(statement)}"
        error.context = f"{error.context}\n{line}" if error.context else line
        error.told_by = self  # type: ignore[attr-defined]
        return error

    def _run_all(self, statements: Sequence[Statement]) -> int:
        for statement in statements:
            signal = self._execute(statement)
            if signal:
                return signal
        return 0

    # -- expressions ---

    def visible(self, expression: Expression) -> Visible:
        """The variables an expression sees."""
        key = id(expression.names)
        found = self._visible.get(key)
        if found is None:
            found = self._visible[key] = Visible(self.frame, expression.names)
        return found

    def planned(self, expression: Expression, target: tuple[int, int] | None = None, text: str | None = None) -> Inner:
        """The plan of an expression for the records as they are now."""
        frame, host = self.frame, self.host
        for known_target, guards, inner in expression.plans:
            if (
                known_target == target
                and host.is_current(inner)
                and all(frame.shape(number) == shape for number, shape in guards)
            ):
                found: Inner = inner
                return found
        visible = self.visible(expression)
        visible.asked.clear()
        try:
            inner = host.plan(
                text if text is not None else expression.text, visible, whole=expression.whole,
                target=target,
            )  # fmt: skip
        except HeliosError as error:
            if not getattr(error, "planning", False):
                self.told(expression, error)
            raise
        numbers = {key[0] if isinstance(key, tuple) else key for key in inner.keys if not isinstance(key, str)}
        numbers.discard(TABLE)
        numbers |= visible.asked
        guards = [(number, frame.shape(number)) for number in numbers if frame.shape(number) is not None]
        if len(expression.plans) >= PLANS_MAX:
            expression.plans.clear()
        expression.plans.append((target, guards, inner))
        return inner

    def outcome(
        self, expression: Expression, target: tuple[int, int] | None = None, text: str | None = None
    ) -> Outcome:
        """Run an expression or statement."""
        inner = self.planned(expression, target, text)
        read = self.frame.read
        try:
            return self.host.run(inner, [read(key) for key in inner.keys])
        except HeliosError as error:
            if not expression.whole and (not inner.keys or _NOT_SIMPLE.search(expression.text)):
                self.told(expression, error)
            if expression.whole and getattr(error, "told_sql", None) is not expression:
                shown = f'SQL statement "{expression.text}"'
                if not getattr(error, "planning", False):
                    error.context = f"{error.context}\n{shown}" if error.context else shown
                error.told_sql = expression  # type: ignore[attr-defined]
            raise

    def told(self, expression: Expression, error: HeliosError) -> None:
        """Say in an error's CONTEXT which expression it comes from: one that PostgreSQL runs as a query of its own."""
        if expression.whole or getattr(error, "told_sql", None) is not None:
            return
        target = assigned_expression(expression.text)[0]
        shown = f'PL/pgSQL assignment "{expression.text}"' if target else f'SQL expression "{expression.text}"'
        error.context = f"{error.context}\n{shown}" if error.context else shown
        error.told_sql = expression  # type: ignore[attr-defined]

    def value(self, expression: Expression, target: tuple[int, int] | None = None, text: str | None = None) -> Any:
        """The value of an expression; NULL when it gives no row.

        Raises:
            SqlError: 42601 several columns, 21000 several rows.
        """
        outcome = self.outcome(expression, target, text)
        columns = outcome.columns or ()
        if len(columns) != 1:
            raise SqlError(f"query returned {len(columns)} columns", sqlstate="42601")
        if len(outcome.rows) > 1:
            raise SqlError("query returned more than one row", sqlstate="21000")
        value = outcome.rows[0][0] if outcome.rows else None
        if target is not None and target[1] >= 0 and value is not None:
            try:
                value = registry.apply_typmod(target[0], target[1], value)
            except HeliosError as error:
                self.told(expression, error)
                raise
        return bare(value) if is_row(columns[0].type_oid) else value

    def typed_value(self, expression: Expression) -> tuple[Any, int]:
        """The value of an expression and its type."""
        inner = self.planned(expression)
        return self.value(expression), inner.outputs[0] if inner.outputs else TEXT

    def condition(self, expression: Expression) -> bool:
        """Whether a condition holds; NULL is no."""
        return bool(self.value(expression, (BOOL, -1)))
