"""RETURN and its kin."""

from __future__ import annotations

import re
from typing import Any

from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.oids import INT8, RECORD, TRIGGER
from helios_cli.engine.sql.plpgsql.assigning import Assigning
from helios_cli.engine.sql.plpgsql.composites import output_value, read_row
from helios_cli.engine.sql.plpgsql.frame import Record
from helios_cli.engine.sql.plpgsql.machine import RETURN
from helios_cli.engine.sql.plpgsql.program import Expression, Statement


class Returning(Assigning):
    """The part of the interpreter that is about results."""

    def _run_return(self, statement: Statement) -> int:
        if not statement.line and not (self.returns_set or self._may_fall_off()):
            return 0
        expression: Expression | None = statement.fields.get("expr")
        if expression is None or self.returns_set:
            return RETURN
        if self.spread or self.result_type[0] in (RECORD, TRIGGER):
            self.result.value = self._returned_record(expression)
        else:
            self.result.value = self.value(expression, self.result_type)
        return RETURN

    def _returned_record(self, expression: Expression) -> Record | None:
        """The row that a RETURN gives: a record, a row of expressions, or NULL."""
        record = self.record_named(expression)
        if record is not None:
            return record.copy() if record.names else None
        text = expression.text.strip()
        if text.lower() == "null":
            return None
        first = re.fullmatch(r"coalesce\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)", text, re.IGNORECASE)
        if first is not None:
            records = [self.record_named(expression, name) for name in first.groups()]
            if all(record is not None for record in records):
                given = (record for record in records if record is not None and record.names and not record.absent)
                return next((record.copy() for record in given), None)
        if text.lower().startswith("row"):
            text = text[3:].strip()
        if text.startswith("(") and text.endswith(")"):
            outcome = self.outcome(expression, None, text[1:-1])
            columns = outcome.columns or ()
            row = outcome.rows[0] if outcome.rows else [None] * len(columns)
            return Record(tuple(c.name for c in columns), tuple(c.type_oid for c in columns), list(row))
        outcome = self.outcome(expression)
        columns = outcome.columns or ()
        if len(columns) == 1 and (not outcome.rows or outcome.rows[0][0] is None):
            return None
        if len(columns) != 1 or not is_row(columns[0].type_oid):
            raise SqlError("cannot return non-composite value from function returning composite type", sqlstate="42804")
        return read_row(outcome.rows[0][0] if outcome.rows else None)

    def _run_return_next(self, statement: Statement) -> None:
        if not self.returns_set:
            raise SqlError("cannot use RETURN NEXT in a non-SETOF function", sqlstate="42804")
        expression: Expression | None = statement.fields.get("expr")
        if expression is None:
            values = [self.frame.values[number] for number in self.outputs]
            if len(values) == 1 and self.columns and isinstance(values[0], Record):
                self.result.rows.append(self.fitted(values[0]))
            else:
                given = tuple(output_value(value) for value in values)
                self.result.rows.append(given if self.spread else given[0])
        elif self.spread:
            record = self._returned_record(expression)
            self.result.rows.append(self.fitted(record))
        elif (record := self.record_named(expression)) is not None:
            self.result.rows.append(self.fitted(record)[0])
        else:
            self.result.rows.append(self.value(expression, self.result_type))

    def fitted(self, record: Record | None) -> tuple[Any, ...]:
        """A row as a value of the function's result.

        Raises:
            SqlError: 42804 when it does not fit.
        """
        if record is None:
            return (None,) * len(self.columns)
        if len(record.names) != len(self.columns):
            raise SqlError(
                "returned record type does not match expected record type",
                sqlstate="42804",
                detail=f"Number of returned columns ({len(record.names)}) does not match expected column count "
                f"({len(self.columns)}).",
            )
        return tuple(
            value if value is None or source == target else self.host.cast(value, source, (target, -1))
            for value, source, (_, target) in zip(record.values, record.types, self.columns, strict=True)
        )

    def _run_return_query(self, statement: Statement) -> None:
        fields = statement.fields
        if "dynquery" in fields:
            outcome = self.dynamic(fields["dynquery"], fields.get("params", ()))
        else:
            outcome = self.outcome(fields["query"])
        columns = outcome.columns or ()
        wanted = [oid for _, oid in self.columns] or [self.result_type[0]]
        if len(columns) != len(wanted):
            self._mismatch(
                f"Number of returned columns ({len(columns)}) does not match expected column count ({len(wanted)})."
            )
        for position, (column, oid) in enumerate(zip(columns, wanted, strict=True), 1):
            if column.type_oid != oid and {column.type_oid, oid} - {25, 1043, 1042, INT8} and not _alike(column, oid):
                self._mismatch(
                    f"Returned type {type_name(column.type_oid)} does not match expected type "
                    f"{type_name(oid)} in column {position}."
                )
        self.result.rows += outcome.rows if self.spread else [row[0] for row in outcome.rows]
        self.row_count = len(outcome.rows)
        self.set_found(bool(outcome.rows))

    def _mismatch(self, detail: str) -> None:
        raise SqlError("structure of query does not match function result type", sqlstate="42804", detail=detail)


def _alike(column: Any, oid: int) -> bool:
    return column.type_oid == 705 or oid == RECORD
