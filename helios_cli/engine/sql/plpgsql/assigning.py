"""Variables and what is assigned to them; statements of SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql.inner import STORED
from helios_cli.engine.sql.oids import TEXT
from helios_cli.engine.sql.plpgsql.composites import read_row
from helios_cli.engine.sql.plpgsql.frame import Outcome, Record
from helios_cli.engine.sql.plpgsql.machine import Machine
from helios_cli.engine.sql.plpgsql.program import Expression, Statement
from helios_cli.engine.sql.plpgsql.source import assigned_expression, names_of
from helios_cli.engine.sql.sqltext import pg_identifier


class Assigning(Machine):
    """The part of the interpreter that assigns."""

    def store(self, number: int, value: Any, type_oid: int) -> None:
        """Assign a value of a type to a variable, converting it."""
        datum = self.frame.datums[number]
        if datum.kind == "var":
            target = (self.frame.type_of(number), datum.typmod)
            if value is not None and (type_oid, -1) != target:
                value = self.host.cast(value, type_oid, target)
            self._put(number, value)
        elif datum.kind == "field":
            self._store_field(datum.parent, datum.name, value, type_oid)
        else:
            raise SqlError(f'cannot assign a scalar to "{datum.name}"', sqlstate="42804")

    def _put(self, number: int, value: Any) -> None:
        datum = self.frame.datums[number]
        if value is None and datum.not_null:
            raise SqlError(
                f'null value cannot be assigned to variable "{datum.name}" declared NOT NULL', sqlstate="22004"
            )
        self.frame.values[number] = value

    def _store_field(self, parent: int, name: str, value: Any, type_oid: int) -> None:
        if self.frame.values[parent] is None:
            self.frame.values[parent] = self.frame.empty_row(parent)
        record = self.frame.record(parent)
        if name not in record.names:
            raise SqlError(f'record "{self.frame.datums[parent].name}" has no field "{name}"', sqlstate="42703")
        position = record.names.index(name)
        if value is not None and (type_oid, -1) != record.target(position):
            value = self.host.cast(value, type_oid, record.target(position))
        record.values[position] = value
        record.absent = False

    def store_row(self, target: int | list[int], row: Sequence[Any] | None, outcome: Outcome) -> None:
        """Assign a row of a result, None for no row, to a record or a list of variables."""
        columns = outcome.columns or ()
        if isinstance(target, list):
            for position, number in enumerate(target):
                present = row is not None and position < len(columns)
                value = row[position] if present and row is not None else None
                self.store(number, value, columns[position].type_oid if present else TEXT)
            return
        datum = self.frame.datums[target]
        if datum.kind != "rec":
            self.store(target, row[0] if row else None, columns[0].type_oid if columns else TEXT)
            return
        if len(columns) == 1 and is_row(columns[0].type_oid):
            self._assign_row(target, row[0] if row else None)
            return
        declared = self.frame.empty_row(target)
        names = tuple(column.name for column in columns)
        types = tuple(column.type_oid for column in columns)
        values = list(row) if row is not None else [None] * len(columns)
        if declared is None:
            self.frame.values[target] = Record(names, types, values)
            return
        for position in range(min(len(declared.names), len(values))):
            value = values[position]
            if value is not None and types[position] != declared.types[position]:
                value = self.host.cast(value, types[position], declared.target(position))
            declared.values[position] = value
        self.frame.values[target] = declared

    def set_found(self, found: bool) -> None:
        """Set FOUND."""
        number = self.program.root.entries.get("found")
        if number is not None:
            self.frame.values[number] = int(found)

    def _run_assign(self, statement: Statement) -> None:
        number = statement.fields.get("varno", 0)
        expression: Expression = statement.fields["expr"]
        target, text = assigned_expression(expression.text)
        datum = self.frame.datums[number]
        if ("[" in target or "." in target) and self._assign_part(expression, target, text):
            return
        if datum.kind == "var":
            self._put(number, self.value(expression, (self.frame.type_of(number), datum.typmod), text))
        elif datum.kind == "field":
            self._assign_field(datum.parent, datum.name, expression, text)
        else:
            self._assign_record(number, expression, text)

    def _assign_field(self, parent: int, name: str, expression: Expression, text: str) -> None:
        record = self.frame.values[parent]
        if record is None:
            record = self.frame.values[parent] = self.frame.empty_row(parent)
        if record is None or name not in record.names:
            self._store_field(parent, name, None, TEXT)
            return
        position = record.names.index(name)
        record.values[position] = self.value(expression, record.target(position), text)
        record.absent = False

    def _assign_record(self, number: int, expression: Expression, text: str) -> None:
        source = self.record_named(expression, text)
        if source is not None:
            self._copy_record(number, source)
            return
        outcome = self.outcome(expression, None, text)
        columns = outcome.columns or ()
        if len(columns) == 1 and is_row(columns[0].type_oid):
            self._assign_row(number, outcome.rows[0][0] if outcome.rows else None)
            return
        if len(columns) == 1 and outcome.rows and outcome.rows[0][0] is not None:
            raise SqlError("cannot assign non-composite value to a record variable", sqlstate="42804")
        self.frame.values[number] = self.frame.empty_row(number)

    def _assign_row(self, number: int, value: Any) -> None:
        """Assign a value of a row type to a record."""
        declared = self.frame.empty_row(number)
        record = read_row(value, declared)
        if record is None:
            self.frame.values[number] = declared
        elif declared is None:
            self.frame.values[number] = record
        else:
            self._copy_record(number, record)

    def record_named(self, expression: Expression, text: str | None = None) -> Record | None:
        """The record that an expression consists of; None when it is another expression."""
        name = (text if text is not None else expression.text).strip().strip('"').lower()
        number = expression.names.find(name)
        if number is None or self.frame.datums[number].kind != "rec":
            return None
        found: Record | None = self.frame.values[number]
        return found if found is not None else Record((), (), [])

    def _copy_record(self, number: int, source: Record) -> None:
        declared = self.frame.empty_row(number)
        if declared is None or not source.names:
            self.frame.values[number] = source.copy() if source.names else declared
            return
        values = source.values[: len(declared.names)]
        for position, value in enumerate(values):
            if value is not None and source.types[position] != declared.types[position]:
                value = self.host.cast(value, source.types[position], (declared.types[position], -1))
            declared.values[position] = value
        self.frame.values[number] = declared

    def _assign_part(self, expression: Expression, target: str, text: str) -> bool:
        """``a[i] := x``, ``r.f[i:j] := x``, ``r.f.g := x``: the whole with one part replaced.

        False: the target is a whole variable or field.
        """
        names = names_of(target)
        found = self.visible(expression).place(names)
        if found is None:
            return False
        number, rest = found
        datum = self.frame.datums[number]
        taken = len(names) - len(rest) + (datum.kind == "rec")
        if "[" not in target and taken >= len(names):
            return False
        base = ".".join(pg_identifier(name) for name in names[:taken])
        stored = f"{STORED}({base}, {target}, {text})"
        if datum.kind == "var":
            self._put(number, self.value(expression, (self.frame.type_of(number), datum.typmod), stored))
        else:
            self._assign_field(number, rest[0], expression, stored)
        return True

    def _run_perform(self, statement: Statement) -> None:
        outcome = self.outcome(statement.fields["expr"])
        self.row_count = len(outcome.rows)
        self.set_found(bool(outcome.rows))

    def _run_execsql(self, statement: Statement) -> None:
        self._after_sql(statement, self.outcome(statement.fields["sqlstmt"]), is_dynamic=False)

    def _after_sql(self, statement: Statement, outcome: Outcome, *, is_dynamic: bool) -> None:
        fields = statement.fields
        returns = outcome.columns is not None
        is_select = outcome.tag == "SELECT"
        self.row_count = len(outcome.rows) if is_select else outcome.changes
        if not fields.get("into"):
            if returns and not is_dynamic:
                raise SqlError(
                    "query has no destination for result data",
                    sqlstate="42601",
                    hint="If you want to discard the results of a SELECT, use PERFORM instead." if is_select else None,
                )
            if not is_dynamic and outcome.tag.split(" ")[0] in ("INSERT", "UPDATE", "DELETE", "MERGE", "SELECT"):
                self.set_found(self.row_count > 0)
            return
        if not returns:
            raise SqlError("INTO used with a command that cannot return data", sqlstate="42601")
        rows = outcome.rows
        if fields.get("strict") and not rows:
            raise SqlError("query returned no rows", sqlstate="P0002")
        if len(rows) > 1 and (fields.get("strict") or not (is_select or is_dynamic)):
            hint = "Make sure the query returns a single row, or use LIMIT 1." if not is_dynamic else None
            raise SqlError("query returned more than one row", sqlstate="P0003", hint=hint)
        self.row_count = min(len(rows), 1)
        self.store_row(fields["target"], rows[0] if rows else None, outcome)
        if not is_dynamic:
            self.set_found(bool(rows))

    def dynamic(self, query: Expression, params: Sequence[Expression]) -> Outcome:
        """Run a text that is put together at run time.

        Raises:
            SqlError: 22004, it is NULL.
        """
        text = self.value(query, (TEXT, -1))
        if text is None:
            raise SqlError("query string argument of EXECUTE is null", sqlstate="22004")
        values = [self.typed_value(param) for param in params]
        try:
            return self.host.run_text(text, [oid for _, oid in values], [value for value, _ in values])
        except HeliosError as error:
            if not getattr(error, "planning", False):
                shown = f'SQL statement "{text}"'
                error.context = f"{error.context}\n{shown}" if error.context else shown
            raise

    def _run_dynexecute(self, statement: Statement) -> None:
        outcome = self.dynamic(statement.fields["query"], statement.fields.get("params", ()))
        self._after_sql(statement, outcome, is_dynamic=True)
