"""Runs writes that triggers see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.datatypes import registry
from helios_cli.engine.node.triggers import Firing
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import ColumnInfo
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.triggered import TriggeredWrite, cascades, highest_parameter
from helios_cli.engine.storage.upserts import twice

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_calls import RoutineCalls
    from helios_cli.engine.node.routine_host import RoutineHost

Row = tuple[Any, ...]
_COUNTS: Final = "parameters of its texts"


class TriggeredRun:
    """One write, while it runs."""

    def __init__(
        self, calls: RoutineCalls, host: RoutineHost, plan: Plan, write: TriggeredWrite, binds: Sequence[Any]
    ) -> None:
        self.host = host
        self.plan = plan
        self.write = write
        self.binds = list(binds)
        self.relation = write.relation
        self.columns = write.relation.columns
        self.table = quote_identifier(self.relation.sqlite_name or self.relation.name)
        self.is_view = self.relation.kind == "v"
        self.row_id = "rowid" if self.is_view else row_id(self.relation)
        self.firing = Firing(calls, host, self.relation)
        self.results: list[Row] = []
        self.changes = 0
        self.first = write.given + write.others + 1
        """The number of the first parameter that is a value of the row in hand."""
        self.others: Sequence[Any] = ()
        """The values of other tables that belong to it."""
        self.after: list[tuple[str, Row | None, Row | None, tuple[str, ...]]] = []
        self.written: set[Any] = set()
        """The numbers of the rows that an INSERT has made or changed."""

    def run(self) -> tuple[list[Row], int]:
        """Do it: RETURNING's rows, and how many rows were changed.

        Raises:
            HeliosError, apsw.Error: what the write and its triggers raise.
        """
        self.begin()
        self.rows(self.binds)
        self.end()
        return self.results, self.changes

    def begin(self) -> None:
        """Fire the triggers before the statement."""
        for event in self._events():
            self.firing.statement("b", event, self._set_columns(event))

    def rows(self, binds: Sequence[Any]) -> None:
        """Find rows and change them. A COPY does so for each row of its data."""
        self.binds = list(binds)
        write = self.write
        found: list[Any] = self._execute(write.source, self.binds) if write.source else [()]
        seen: set[Any] = set()
        for row in found:
            if write.event == "INSERT":
                self._insert(row)
            elif self.is_view or row[0] not in seen:
                seen.add(row[0])
                self._change(write.event, row, write.columns)

    def end(self) -> None:
        """Fire the triggers behind the rows, then those behind the statement."""
        self.firing.seen = [(event, old, new) for event, old, new, _ in self.after]
        for event, old, new, columns in self.after:
            self.firing.row("a", event, old, new, columns)
        for event in reversed(self._events()):
            self.firing.statement("a", event, self._set_columns(event))

    def _events(self) -> tuple[str, ...]:
        return ("INSERT", "UPDATE") if self.write.upsert_source else (self.write.event,)

    def _set_columns(self, event: str) -> tuple[str, ...]:
        if event != "UPDATE":
            return ()
        return self.write.upsert_columns if self.write.event == "INSERT" else self.write.columns

    def _execute(self, sql: str, binds: Sequence[Any]) -> list[Any]:
        counts: dict[str, int] = self.plan.cache.setdefault(_COUNTS, {})
        count = counts.get(sql)
        if count is None:
            count = counts[sql] = highest_parameter(sql)
        try:
            return self.host.connection.execute(sql, binds[:count]).fetchall()
        except apsw.Error as error:
            # What SQLite ran is a plain write of one row.
            raise self.host.translated(error, replace(self.plan, steps=(sql,)), binds[:count]) from error

    # -- rows -------------------------------------------------------------------------------------

    def _insert(self, values: Sequence[Any]) -> None:
        given = dict(zip(self.write.columns, values, strict=True))
        new: Row | None = tuple(given.get(column.name) for column in self.columns)
        assert new is not None
        timing = "i" if self.is_view else "b"
        new = self.firing.row(timing, "INSERT", None, new, ())
        if new is None:
            return
        new = self._fitted(new)
        if self.is_view:
            self._counted(self._view_outputs(new))
            return
        listed = [(column.name, value) for column, value in zip(self.columns, new, strict=True) if not column.generated]
        names = ", ".join(quote_identifier(name) for name, _ in listed)
        first = self.first
        places = ", ".join(f"?{first + position}" for position in range(len(listed)))
        sql = f"INSERT INTO {self.table} ({names}) VALUES ({places}){self.write.conflict}{self._returning()}"
        done = self._execute(sql, [*self._padded(), *(value for _, value in listed)])
        if done:
            self.written.add(self.host.connection.last_insert_rowid())
            stored = self._counted(done[0])
            self.after.append(("INSERT", None, stored, ()))
        elif self.write.upsert_source:
            self._upsert(new)

    def _upsert(self, new: Row) -> None:
        found = self._execute(self.write.upsert_source, [*self._padded(), *new])
        for row in found[:1]:
            if row[0] in self.written:
                raise twice()
            self.written.add(row[0])
            self._change("UPDATE", row, self.write.upsert_columns)

    def _change(self, event: str, row: Sequence[Any], set_columns: tuple[str, ...]) -> None:
        """UPDATE or DELETE one row: its number, its values, and the new values of ``set_columns``."""
        width = len(self.columns)
        old: Row = tuple(row[1 : width + 1])
        end = width + 1 + len(set_columns)
        changed = dict(zip(set_columns, row[width + 1 : end], strict=True))
        self.others = row[end:]
        new: Row | None = None
        if event == "UPDATE":
            new = tuple(changed.get(c.name, value) for c, value in zip(self.columns, old, strict=True))
        made = self.firing.row("i" if self.is_view else "b", event, old, new, set_columns)
        if made is None:
            return
        if event == "DELETE":
            self._delete(row[0], old)
            return
        made = self._fitted(made)
        if self.is_view:
            self._counted(self._view_outputs(made))
            return
        self._update(row[0], old, made, set_columns)

    def _update(self, number: Any, old: Row, new: Row, set_columns: tuple[str, ...]) -> None:
        assigned = [
            (column.name, value)
            for column, before, value in zip(self.columns, old, new, strict=True)
            if not column.generated and (column.name in set_columns or not _same(before, value))
        ]
        if not assigned:
            assigned = [(c.name, v) for c, v in zip(self.columns, new, strict=True) if not c.generated][:1]
        first = self.first
        places = ", ".join(f"{quote_identifier(n)} = ?{first + at}" for at, (n, _) in enumerate(assigned))
        sql = f"UPDATE {self.table} SET {places} WHERE {self.row_id} = ?{first + len(assigned)}{self._returning()}"
        done = self._execute(sql, [*self._padded(), *(value for _, value in assigned), number])
        if done:
            stored = self._counted(done[0])
            self.after.append(("UPDATE", old, stored, set_columns))

    def _delete(self, number: Any, old: Row) -> None:
        if self.is_view:
            self._counted(self._view_outputs(old))
            return
        self._cascade(old)
        first = self.first
        sql = f"DELETE FROM {self.table} WHERE {self.row_id} = ?{first}{self._returning()}"
        done = self._execute(sql, [*self._padded(), number])
        if done:
            self._counted(done[0])
            self.after.append(("DELETE", old, None, ()))

    def _cascade(self, old: Row) -> None:
        """Do what foreign keys do to rows that triggers see, which SQLite would do unseen."""
        values = dict(zip((column.name for column in self.columns), old, strict=True))
        types = {column.name: column.type_oid for column in self.columns}
        for constraint, child in cascades(self.relation, self.host.catalog):
            key = [values[name] for name in constraint.ref_columns]
            if None in key:
                continue
            table = f"{quote_identifier(child.schema)}.{quote_identifier(child.name)}"
            same = " AND ".join(f"{quote_identifier(name)} = ${at}" for at, name in enumerate(constraint.columns, 1))
            text = f"DELETE FROM {table} WHERE {same}"
            if constraint.on_delete != "c":
                word = "NULL" if constraint.on_delete == "n" else "DEFAULT"
                assigned = ", ".join(f"{quote_identifier(name)} = {word}" for name in constraint.columns)
                text = f"UPDATE {table} SET {assigned} WHERE {same}"
            self.host.run_text(text, [types[name] for name in constraint.ref_columns], key)

    # -- results ----------------------------------------------------------------------------------

    def _padded(self) -> list[Any]:
        return [*self.binds, *([None] * (self.write.given - len(self.binds))), *self.others]

    def _returning(self) -> str:
        """RETURNING of what the client wants, and of the whole row for the triggers behind."""
        whole = [quote_identifier(column.name) for column in self.columns]
        return f" RETURNING {', '.join([*self.write.returning, *whole])}" if whole or self.write.returning else ""

    def _counted(self, row: Sequence[Any]) -> Row:
        """Note a row that was changed; gives it without RETURNING's columns."""
        count = len(self.write.returning)
        self.changes += 1
        if count:
            self.results.append(tuple(row[:count]))
        return tuple(row[count:])

    def _view_outputs(self, row: Row) -> Row:
        """RETURNING over a row of a view."""
        if not self.write.returning:
            return row
        first = self.first
        values = ", ".join(f"?{first + at} AS {quote_identifier(c.name)}" for at, c in enumerate(self.columns))
        sql = f"SELECT {', '.join(self.write.returning)} FROM (SELECT {values}) AS {self.table}"
        found: Row = self._execute(sql, [*self._padded(), *row])[0]
        return (*found, *row)

    def _fitted(self, row: Row) -> Row:
        """Values that triggers have given, cut and rounded as the columns' types want them."""
        return tuple(_fit(value, column) for value, column in zip(row, self.columns, strict=True))


def _fit(value: Any, column: ColumnInfo) -> Any:
    if value is None or column.typmod < 0:
        return value
    return registry.apply_typmod(column.type_oid, column.typmod, value)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other
