"""IF, CASE, loops and blocks."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql.coercion import element_of, type_name
from helios_cli.engine.sql.oids import INT4, TEXT
from helios_cli.engine.sql.plpgsql import conditions
from helios_cli.engine.sql.plpgsql.assigning import Assigning
from helios_cli.engine.sql.plpgsql.composites import bare, read_row
from helios_cli.engine.sql.plpgsql.frame import Outcome
from helios_cli.engine.sql.plpgsql.machine import CONTINUE, EXIT, RETURN
from helios_cli.engine.sql.plpgsql.program import Expression, Statement
from helios_cli.engine.sql.plpgsql.slicing import slices


class Flow(Assigning):
    """The part of the interpreter that is about the flow."""

    def _run_if(self, statement: Statement) -> int:
        fields = statement.fields
        if self.condition(fields["cond"]):
            return self._run_all(fields.get("then_body", ()))
        for branch in fields.get("elsif_list", ()):
            if self.condition(branch["cond"]):
                return self._run_all(branch.get("stmts", ()))
        return self._run_all(fields.get("else_body", ()))

    def _run_case(self, statement: Statement) -> int:
        fields = statement.fields
        if "t_expr" in fields:
            value, type_oid = self.typed_value(fields["t_expr"])
            number = fields.get("t_varno", 0)
            self.frame.values[number], self.frame.case_types[number] = value, type_oid
        for branch in fields.get("case_when_list", ()):
            if self.condition(branch["expr"]):
                return self._run_all(branch.get("stmts", ()))
        if not fields.get("have_else"):
            raise SqlError("case not found", sqlstate="20000", hint="CASE statement is missing ELSE part.")
        return self._run_all(fields.get("else_stmts", ()))

    def _loop_signal(self, signal: int, label: str) -> tuple[bool, int]:
        """Whether a loop ends after its body gave a signal, and what it gives itself."""
        if signal == 0:
            return False, 0
        if signal == RETURN:
            return True, RETURN
        mine = not self.label or self.label == label
        if mine:
            self.label = ""
            return signal == EXIT, 0
        return True, signal

    def _run_loop(self, statement: Statement) -> int:
        body, label = statement.fields.get("body", ()), statement.fields.get("label", "")
        while True:
            self.host.check()
            ends, signal = self._loop_signal(self._run_all(body), label)
            if ends:
                return signal

    def _run_while(self, statement: Statement) -> int:
        body, label = statement.fields.get("body", ()), statement.fields.get("label", "")
        while self.condition(statement.fields["cond"]):
            ends, signal = self._loop_signal(self._run_all(body), label)
            if ends:
                return signal
        return 0

    def _run_fori(self, statement: Statement) -> int:
        fields = statement.fields
        bounds = {}
        for part in ("lower", "upper", "step"):
            bounds[part] = self.value(fields[part], (INT4, -1)) if part in fields else 1
            if bounds[part] is None:
                shown = f"{part} bound" if part != "step" else "BY value"
                raise SqlError(f"{shown} of FOR loop cannot be null", sqlstate="22004")
        step = bounds["step"]
        if step <= 0:
            raise SqlError("BY value of FOR loop must be greater than zero", sqlstate="22023")
        reverse = bool(fields.get("reverse"))
        stop = bounds["upper"] - 1 if reverse else bounds["upper"] + 1
        found = False
        signal = 0
        for value in range(bounds["lower"], stop, -step if reverse else step):
            found = True
            self.frame.values[statement.number] = value
            ends, signal = self._loop_signal(self._run_all(fields["body"]), fields["label"])
            if ends:
                break
        self.set_found(found)
        return signal

    def over_rows(self, statement: Statement, outcome: Outcome) -> int:
        """Run a loop's body for each row."""
        fields = statement.fields
        signal = 0
        for row in outcome.rows:
            self.store_row(fields["var"], row, outcome)
            ends, signal = self._loop_signal(self._run_all(fields.get("body", ())), fields.get("label", ""))
            if ends:
                break
        else:
            if not outcome.rows:
                self.store_row(fields["var"], None, outcome)
        self.set_found(bool(outcome.rows))
        return signal

    def _run_fors(self, statement: Statement) -> int:
        return self._over_outcome(statement, self.outcome(statement.fields["query"]))

    def _run_dynfors(self, statement: Statement) -> int:
        outcome = self.dynamic(statement.fields["query"], statement.fields.get("params", ()))
        return self._over_outcome(statement, outcome)

    def _over_outcome(self, statement: Statement, outcome: Outcome) -> int:
        boundary = self.boundary
        if boundary is None or outcome.tag in ("SELECT", "VALUES"):
            return self.over_rows(statement, outcome)
        boundary.writing_loops += 1
        try:
            return self.over_rows(statement, outcome)
        finally:
            boundary.writing_loops -= 1

    def _run_foreach_a(self, statement: Statement) -> int:
        fields = statement.fields
        expression: Expression = fields["expr"]
        value, type_oid = self.typed_value(expression)
        if value is None:
            raise SqlError("FOREACH expression must not be null", sqlstate="22004")
        number = fields.get("varno", 0)
        self._check_loop_variable(number, type_oid, bool(fields.get("slice")))
        if fields.get("slice"):
            return self._over_slices(statement, slices(bare(value), int(fields["slice"])), type_oid)
        outcome = self.host.run_text("SELECT unnest($1)", [type_oid], [value])
        signal = 0
        for row in outcome.rows:
            if self.frame.datums[number].kind == "row":
                self._spread(self.frame.datums[number].fields, row[0])
            else:
                self.store_row(number, row, outcome)
            ends, signal = self._loop_signal(self._run_all(fields.get("body", ())), fields.get("label", ""))
            if ends:
                break
        self.set_found(bool(outcome.rows))
        return signal

    def _check_loop_variable(self, number: int, type_oid: int, is_sliced: bool) -> None:
        """FOREACH goes over an array, and its variable is one when slices are asked for. Raises SqlError 42804."""
        if not element_of(type_oid):
            message = f"FOREACH expression must yield an array, not type {type_name(type_oid)}"
            raise SqlError(message, sqlstate="42804")
        datum = self.frame.datums[number]
        is_array = bool(element_of(self.frame.type_of(number))) if datum.kind == "var" else datum.kind == "field"
        if is_sliced and not is_array:
            raise SqlError("FOREACH ... SLICE loop variable must be of an array type", sqlstate="42804")
        if is_array and not is_sliced and datum.kind == "var":
            raise SqlError("FOREACH loop variable must not be of an array type", sqlstate="42804")

    def _spread(self, targets: list[int], value: Any) -> None:
        """Assign the fields of a row to variables; those that are left over become NULL."""
        record = read_row(value)
        for position, target in enumerate(targets):
            if record is None or position >= len(record.values):
                self.store(target, None, TEXT)
            else:
                self.store(target, record.values[position], record.types[position])

    def _over_slices(self, statement: Statement, found: list[str], type_oid: int) -> int:
        """Run a loop's body for each slice of an array."""
        fields = statement.fields
        signal = 0
        for item in found:
            self.store(fields.get("varno", 0), item, type_oid)
            ends, signal = self._loop_signal(self._run_all(fields.get("body", ())), fields.get("label", ""))
            if ends:
                break
        self.set_found(bool(found))
        return signal

    def _run_exit(self, statement: Statement) -> int:
        fields = statement.fields
        if "cond" in fields and not self.condition(fields["cond"]):
            return 0
        self.label = fields.get("label", "")
        return EXIT if fields.get("is_exit") else CONTINUE

    def _run_block(self, statement: Statement) -> int:
        self.where = "during statement block local variable initialization"
        for number in statement.declared:
            datum = self.frame.datums[number]
            self.frame.values[number] = self.frame.empty_row(number)
            if datum.cursor is not None:
                # The portal of a bound cursor has the variable's name.
                self.frame.values[number] = datum.name
            if datum.default is None:
                if datum.not_null:
                    self._put(number, None)
            elif datum.kind == "var":
                self._put(number, self.value(datum.default, (datum.type_oid, datum.typmod)))
            else:
                self._assign_record(number, datum.default, datum.default.text)
        self.where = ""
        if "handlers" in statement.fields:
            signal = self._protected(statement)
        else:
            signal = self._run_all(statement.fields["body"])
        if signal == EXIT and self.label and self.label == statement.fields["label"]:
            self.label = ""
            return 0
        return signal

    def _protected(self, statement: Statement) -> int:
        mark = self.host.savepoint()
        try:
            signal = self._run_inside(statement)
        except HeliosError as error:
            self.where = ""
            self.host.undo(mark)
            return self._handle(statement, error)
        self.host.release(mark)
        return signal

    def _run_inside(self, statement: Statement) -> int:
        boundary = self.boundary
        if boundary is None:
            return self._run_all(statement.fields["body"])
        boundary.subtransactions += 1
        try:
            return self._run_all(statement.fields["body"])
        finally:
            boundary.subtransactions -= 1

    def _handle(self, statement: Statement, error: HeliosError) -> int:
        body = next(
            (
                body
                for names, body in statement.fields["handlers"]
                if any(conditions.matches(name, error.sqlstate) for name in names)
            ),
            None,
        )
        if body is None:
            raise error
        self.handled.append(error)
        before = dict(self.frame.specials)
        self.frame.specials.update(sqlstate=(TEXT, error.sqlstate), sqlerrm=(TEXT, error.message))
        try:
            return self._run_all(body)
        finally:
            self.handled.pop()
            self.frame.specials = before
