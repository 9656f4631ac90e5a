"""Runs PL/pgSQL statements."""

from __future__ import annotations

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.oids import INT8, TEXT
from helios_cli.engine.sql.plpgsql.cursors import Cursors
from helios_cli.engine.sql.plpgsql.program import Expression, Statement
from helios_cli.engine.sql.plpgsql.raising import Raising
from helios_cli.engine.sql.plpgsql.returning import Returning


class Interpreter(Cursors, Returning, Raising):
    """One call of one function: what each kind of statement does is ``_run_`` and its name."""

    def _run_call(self, statement: Statement) -> None:
        expression: Expression = statement.fields["expr"]
        self.planned(expression)
        if self.boundary is not None:
            self.boundary.lend()
        outcome = self.outcome(expression)
        if outcome.columns and outcome.rows:
            target = statement.fields.get("target")
            if target is None:
                target = self._call_targets(expression)
            self.store_row(target, outcome.rows[0], outcome)

    def _call_targets(self, expression: Expression) -> list[int]:
        """The variables that a CALL's output arguments are."""
        inner = self.planned(expression)
        return [self._call_target(expression, name) for name in inner.plan.cache.get("call outputs", ())]

    def _call_target(self, expression: Expression, text: str) -> int:
        found = self.visible(expression).find(text.split("."))
        if found is None or not isinstance(found[0], int):
            raise SqlError("procedure parameter is an output parameter but corresponding argument is not writable",
                           sqlstate="42601")  # fmt: skip
        return found[0]

    def _run_getdiag(self, statement: Statement) -> None:
        stacked = bool(statement.fields.get("is_stacked"))
        for item in statement.fields["diag_items"]:
            value = self.diagnostic(item["kind"], stacked=stacked, line=statement.line)
            self.store(item.get("target", 0), value, INT8 if isinstance(value, int) else TEXT)

    def _run_assert(self, statement: Statement) -> None:
        if self.condition(statement.fields["cond"]):
            return
        message = None
        if "message" in statement.fields:
            message = self.value(statement.fields["message"], (TEXT, -1))
        raise SqlError(message or "assertion failed", sqlstate="P0004")

    def _run_commit(self, _statement: Statement) -> None:
        self._end_transaction("commit")

    def _run_rollback(self, _statement: Statement) -> None:
        self._end_transaction("roll back")

    def _end_transaction(self, what: str) -> None:
        """End the transaction and begin the next (_SPI_commit, spi.c). Raises SqlError 2D000, 55000."""
        boundary = self.boundary
        if boundary is None:
            raise SqlError("invalid transaction termination", sqlstate="2D000")
        if boundary.subtransactions:
            raise SqlError(f"cannot {what} while a subtransaction is active", sqlstate="2D000")
        if boundary.writing_loops:
            message = "cannot perform transaction commands inside a cursor loop that is not read-only"
            raise SqlError(message, sqlstate="55000")
        if what == "commit":
            boundary.commit()
        else:
            boundary.rollback()
