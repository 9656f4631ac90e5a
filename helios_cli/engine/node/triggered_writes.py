"""Runs writes that triggers see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import apsw

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import SqlError
from helios_cli.engine.node.late_keys import LateKeys
from helios_cli.engine.node.triggers import Firing
from helios_cli.engine.sql.ddl_part_keys import PartKey, part_keys
from helios_cli.engine.sql.inheritance import of_member
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import ColumnInfo, Relation
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.triggered import TriggeredWrite, cascades, highest_parameter, sets_defaults
from helios_cli.engine.storage.upserts import twice

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_calls import RoutineCalls
    from helios_cli.engine.node.routine_host import RoutineHost
    from helios_cli.engine.sql.ddl_model import ConstraintDef, DdlCatalog
    from helios_cli.engine.sql.relation import Relation

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
        self.is_view = write.relation.kind == "v"
        self.named = _Target(calls, host, write.relation)
        """The table of the statement."""
        self.heirs = {heir.oid: _Target(calls, host, heir) for heir in write.heirs}
        self.target = self.named
        """Where the row in hand is."""
        self.results: list[Row] = []
        self.changes = 0
        self.first = write.given + write.others + 1
        """The number of the first parameter that is a value of the row in hand."""
        self.in_program = False
        """It is one of several writes, whose keys are looked at when all is written."""
        self.gathers = False
        """Rows come one by one, as those of a COPY."""
        self.others: Sequence[Any] = ()
        """The values of other tables that belong to it."""
        self.after: list[tuple[_Target, str, Row | None, Row | None, tuple[str, ...]]] = []
        self.late: LateKeys | None = None
        """The keys of several rows; None for a single one of a table without heirs."""
        self.moved: set[int] = set()
        """Which of :attr:`after` are of rows that have gone to another partition."""
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
        for event in self._events() if self.write.statement else ():
            self.named.firing.statement("b", event, self._set_columns(event))

    def rows(self, binds: Sequence[Any]) -> None:
        """Find rows and change them. A COPY does so for each row of its data."""
        self.binds = list(binds)
        write = self.write
        found: list[Any] = self._execute(write.source, self.binds) if write.source else [()]
        if self.late is None and not self.is_view and (len(found) > 1 or write.heirs or self.gathers):
            self.late = LateKeys(self.host, [write.relation, *write.heirs])
        seen: set[Any] = set()
        for row in found:
            if write.event == "INSERT":
                self._insert(row)
            elif write.heirs:
                if row[:2] not in seen:
                    seen.add(row[:2])
                    self._change_in(row)
            elif self.is_view or row[0] not in seen:
                seen.add(row[0])
                self._change(write.event, row, write.columns)

    def end(self) -> None:
        """Fire the triggers behind the rows, then those behind the statement."""
        self.end_rows()
        self.end_statement()

    def end_rows(self) -> None:
        """Look at the keys of all rows, and fire the triggers behind them."""
        if self.late is not None:
            self.late.check(
                (target.relation, self.named.relation, "MOVE", old, new)
                if at in self.moved
                else (target.relation, target.relation, event, old, new)
                for at, (target, event, old, new, _) in enumerate(self.after)
            )
        for target, event, old, new, _ in self.after:
            self.named.firing.seen.append((event, target.as_of(self.named, old), target.as_of(self.named, new)))
            if target is not self.named:
                target.firing.seen.append((event, old, new))
        for target, event, old, new, columns in self.after:
            target.firing.row("a", event, old, new, columns)

    def end_statement(self) -> None:
        """Fire the triggers behind the statement."""
        for event in reversed(self._events()) if self.write.statement else ():
            self.named.firing.statement("a", event, self._set_columns(event))

    def _events(self) -> tuple[str, ...]:
        return ("INSERT", "UPDATE") if self.write.upsert_source else (self.write.event,)

    def _set_columns(self, event: str) -> tuple[str, ...]:
        if event != "UPDATE":
            return ()
        return self.write.upsert_columns if self.write.event == "INSERT" else self.write.columns

    def _execute(self, sql: str, binds: Sequence[Any], *, anew: bool = False) -> list[Any]:
        """The rows of a statement; ``anew``: compiled for keys that are put off."""
        counts: dict[str, int] = self.plan.cache.setdefault(_COUNTS, {})
        count = counts.get(sql)
        if count is None:
            count = counts[sql] = highest_parameter(sql)
        try:
            return self.host.connection.execute(sql, binds[:count], can_cache=not anew).fetchall()
        except apsw.Error as error:
            # What SQLite ran is a plain write of one row.
            raise self.host.translated(error, replace(self.plan, steps=(sql,)), binds[:count]) from error

    def _write(self, sql: str, binds: Sequence[Any]) -> list[Any]:
        """Run what writes one row; its keys are looked at behind the last one."""
        if self.late is None:
            return self._execute(sql, binds, anew=self.in_program)
        with self.late.put_off():
            return self._execute(sql, binds, anew=True)

    # -- rows -------------------------------------------------------------------------------------

    def _insert(self, values: Sequence[Any]) -> None:
        given = dict(zip(self.write.columns, values, strict=True))
        if self.write.route:
            self.target = self._partition(tuple(given.get(column.name) for column in self.named.relation.columns))
        new: Row | None = tuple(given.get(column.name) for column in self.target.relation.columns)
        assert new is not None
        timing = "i" if self.is_view else "b"
        given_row = new
        new = self.target.firing.row(timing, "INSERT", None, new, ())
        if new is None:
            return
        new = self._fitted(new)
        if self.write.route and new != given_row:
            self._check_place(new)
        if self.is_view:
            self._counted(self._view_outputs(new))
            return
        self._store(new)

    def _check_place(self, new: Row) -> None:
        """Raise SqlError 0A000 when a trigger has changed a row so that it belongs to another partition."""
        name, place = self.target.firing.changed_by, self.target.relation
        if name and self._partition(self.target.as_of(self.named, new) or ()) is not self.target:
            message = "moving row to another partition during a BEFORE FOR EACH ROW trigger is not supported"
            where = f'the row was to be in partition "{place.schema}.{place.name}"'
            raise SqlError(message, sqlstate="0A000", detail=f'Before executing trigger "{name}", {where}.')

    def _partition(self, row: Row) -> _Target:
        """Where a row of the partitioned table belongs."""
        found = self._execute(self.write.route, [*self._padded(), *row])
        return self.heirs[found[0][0]]

    def _store(self, new: Row) -> None:
        """INSERT one row as it is."""
        columns, table = self.target.relation.columns, self.target.table
        listed = [(column.name, value) for column, value in zip(columns, new, strict=True) if not column.generated]
        names = ", ".join(quote_identifier(name) for name, _ in listed)
        first = self.first
        places = ", ".join(f"?{first + position}" for position in range(len(listed)))
        sql = f"INSERT INTO {table} ({names}) VALUES ({places}){self.write.conflict}{self._returning()}"
        done = self._write(sql, [*self._padded(), *(value for _, value in listed)])
        if done:
            self.written.add((self.target.relation.oid, self.host.connection.last_insert_rowid()))
            stored = self._counted(done[0])
            self.after.append((self.target, "INSERT", None, stored, ()))
        elif self.write.upsert_source:
            self._upsert(new)

    def _upsert(self, new: Row) -> None:
        target = self.target
        source = of_member(self.write.upsert_source, target.relation)
        for row in self._execute(source, [*self._padded(), *(target.as_of(self.named, new) or ())])[:1]:
            number = (target.relation.oid, row[0])
            if number in self.written:
                raise twice()
            self.written.add(number)
            if self.write.route:
                row = (row[0], *self._whole(target, row[0])[0], *row[1:])
            self._change("UPDATE", row, self.write.upsert_columns)

    def _whole(self, target: _Target, number: Any) -> list[Any]:
        """The row of a number, none if it is gone."""
        names = ", ".join(quote_identifier(column.name) for column in target.relation.columns)
        query = f"SELECT {names or 'NULL'} FROM {target.table} WHERE {target.row_id} = ?1"
        found = self.host.connection.execute(query, (number,)).fetchall()
        return found if names else [() for _ in found]

    def _change_in(self, found: Sequence[Any]) -> None:
        """UPDATE or DELETE one row of the table or of an heir: the table, the row's number, and the new values."""
        table, number, *values = found
        self.target = self.heirs.get(table, self.named)
        for old in self._whole(self.target, number):
            self._change(self.write.event, (number, *old, *values), self.write.columns)

    def _change(self, event: str, row: Sequence[Any], set_columns: tuple[str, ...]) -> None:
        """UPDATE or DELETE one row: its number, its values, and the new values of ``set_columns``."""
        columns, firing = self.target.relation.columns, self.target.firing
        width = len(columns)
        old: Row = tuple(row[1 : width + 1])
        end = width + 1 + len(set_columns)
        changed = dict(zip(set_columns, row[width + 1 : end], strict=True))
        self.others = row[end:]
        new: Row | None = None
        if event == "UPDATE":
            new = tuple(changed.get(c.name, value) for c, value in zip(columns, old, strict=True))
        made = firing.row("i" if self.is_view else "b", event, old, new, set_columns)
        if made is None:
            return
        if not self.is_view and firing.comes_before(event, set_columns):
            self._refuse_changed(event, row[0], old)
        if event == "DELETE":
            self._delete(row[0], old)
            return
        made = self._fitted(made)
        if self.is_view:
            self._counted(self._view_outputs(made))
            return
        if self.write.route and event == "UPDATE":
            place = self._partition(self.target.as_of(self.named, made) or ())
            if place is not self.target:
                if self.write.event == "INSERT":
                    detail = "The result tuple would appear in a different partition than the original tuple."
                    raise SqlError("invalid ON UPDATE specification", sqlstate="0A000", detail=detail)
                self._move(row[0], old, made, place)
                return
        self._update(row[0], old, made, set_columns)

    def _move(self, number: Any, old: Row, new: Row, place: _Target) -> None:
        """Take a row to another partition: a DELETE here and an INSERT there (ExecCrossPartitionUpdate)."""
        source = self.target
        if source.firing.row("b", "DELETE", old, None, ()) is None:
            return
        if source.keys is None:
            source.keys = part_keys(cast("DdlCatalog", self.host.catalog), source.relation.oid)
        if source.keys:
            self._move_key(source, number, old, new, place)
            return
        self._cascade(old)
        if self._take(source, number, old, len(self.after)):
            self.target = place
            made = place.firing.row("b", "INSERT", None, source.as_of(place, new), ())
            if made is not None:
                self._store(self._fitted(made))

    def _take(self, source: _Target, number: Any, old: Row, position: int) -> bool:
        """Remove a row that goes to another partition; whether it was there still."""
        sql = f"DELETE FROM {source.table} WHERE {source.row_id} = ?1 RETURNING 1"
        if not self._write(sql, (number,)):
            return False
        self.after.insert(position, (source, "DELETE", old, None, ()))
        return True

    def _move_key(self, source: _Target, number: Any, old: Row, new: Row, place: _Target) -> None:
        """Take a row to another partition where foreign keys refer to a partitioned table: for them its key changes.

        Raises:
            SqlError: 0A000 one of them refers to a partitioned table between that of the statement and the partition.
        """
        root = self.named.relation
        for key in source.keys or ():
            if key.target.oid in root.heirs:
                raise SqlError(
                    "cannot move tuple across partitions when a non-root ancestor of the source partition is directly "
                    "referenced in a foreign key", sqlstate="0A000",
                    detail=f'A foreign key points to ancestor "{key.target.name}" but not the root ancestor '
                    f'"{root.name}".', hint=f'Consider defining the foreign key on table "{root.name}".',
                )  # fmt: skip
        made = place.firing.row("b", "INSERT", None, source.as_of(place, new), ())
        if made is None:
            self._cascade(old)
            self._take(source, number, old, len(self.after))
            return
        position = len(self.after)
        self.target = place
        made = self._fitted(made)
        self._store(made)
        self.target = source
        moved = place.as_of(source, made) or ()
        self._set_defaults(old, moved)
        before, after = (dict(zip((c.name for c in source.relation.columns), row, strict=True)) for row in (old, moved))
        try:
            for key in source.keys or ():
                for sql, values in key.move(before, after):
                    self._write(sql, values)
            self._take(source, number, old, position)
        except SqlError as error:
            change = (source.relation, root, "MOVE", old, None)
            raise (self.late.refused(change, error) if self.late is not None else error) from None
        self.moved.add(position)

    def _refuse_changed(self, event: str, number: Any, old: Row) -> None:
        """A row that a trigger has changed or deleted meanwhile is not changed again. Raises SqlError 27000."""
        names = ", ".join(quote_identifier(column.name) for column in self.target.relation.columns) or "NULL"
        query = f"SELECT {names} FROM {self.target.table} WHERE {self.target.row_id} = ?1"
        now = self.host.connection.execute(query, (number,)).fetchall()
        if not now or (self.target.relation.columns and tuple(now[0]) != old):
            word = "updated" if event == "UPDATE" else "deleted"
            raise SqlError(
                f"tuple to be {word} was already modified by an operation triggered by the current command",
                sqlstate="27000",
                hint="Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows.",
            )

    def _update(self, number: Any, old: Row, new: Row, set_columns: tuple[str, ...]) -> None:
        self._set_defaults(old, new)
        assigned = [
            (column.name, value)
            for column, before, value in zip(self.target.relation.columns, old, new, strict=True)
            if not column.generated and (column.name in set_columns or not _same(before, value))
        ]
        if not assigned:
            columns = self.target.relation.columns
            assigned = [(c.name, v) for c, v in zip(columns, new, strict=True) if not c.generated][:1]
        first = self.first
        places = ", ".join(f"{quote_identifier(n)} = ?{first + at}" for at, (n, _) in enumerate(assigned))
        where = f"{self.target.row_id} = ?{first + len(assigned)}"
        sql = f"UPDATE {self.target.table} SET {places} WHERE {where}{self._returning()}"
        done = self._write(sql, [*self._padded(), *(value for _, value in assigned), number])
        if done:
            stored = self._counted(done[0])
            self.after.append((self.target, "UPDATE", old, stored, set_columns))

    def _delete(self, number: Any, old: Row) -> None:
        if self.is_view:
            self._counted(self._view_outputs(old))
            return
        self._cascade(old)
        first = self.first
        sql = f"DELETE FROM {self.target.table} WHERE {self.target.row_id} = ?{first}{self._returning()}"
        done = self._write(sql, [*self._padded(), number])
        if done:
            self._counted(done[0])
            self.after.append((self.target, "DELETE", old, None, ()))

    def _cascade(self, old: Row) -> None:
        """Do what foreign keys do to rows that triggers see, which SQLite would do unseen, and SET DEFAULT."""
        if self.host.session.is_replica:
            return
        for constraint, child in cascades(self.target.relation, self.host.catalog):
            word = {"c": "", "n": "NULL"}.get(constraint.on_delete, "DEFAULT")
            self._change_children(constraint, child, old, word, constraint.delete_columns)

    def _set_defaults(self, old: Row, new: Row) -> None:
        """Do what ON UPDATE SET DEFAULT does to the rows that point at a key that changes."""
        if self.host.session.is_replica:
            return
        places = {column.name: at for at, column in enumerate(self.target.relation.columns)}
        for constraint, child in sets_defaults(self.target.relation, self.host.catalog):
            if any(not _same(old[places[name]], new[places[name]]) for name in constraint.ref_columns):
                self._change_children(constraint, child, old, "DEFAULT")

    def _change_children(
        self, constraint: ConstraintDef, child: Relation, old: Row, word: str, only: Sequence[str] = ()
    ) -> None:
        """Set the columns of a foreign key, or ``only`` some, to ``word`` where they point at a row.

        An empty word: delete there.
        """
        columns = self.target.relation.columns
        values = dict(zip((column.name for column in columns), old, strict=True))
        types = {column.name: column.type_oid for column in columns}
        key = [values[name] for name in constraint.ref_columns]
        if None in key:
            return
        table = f"{quote_identifier(child.schema)}.{quote_identifier(child.name)}"
        same = " AND ".join(f"{quote_identifier(name)} = ${at}" for at, name in enumerate(constraint.columns, 1))
        text = f"DELETE FROM {table} WHERE {same}"
        if word:
            assigned = ", ".join(f"{quote_identifier(name)} = {word}" for name in only or constraint.columns)
            text = f"UPDATE {table} SET {assigned} WHERE {same}"
        self.host.run_text(text, [types[name] for name in constraint.ref_columns], key)

    # -- results ----------------------------------------------------------------------------------

    def _padded(self) -> list[Any]:
        return [*self.binds, *([None] * (self.write.given - len(self.binds))), *self.others]

    def _returning(self) -> str:
        """RETURNING of what the client wants, and of the whole row for the triggers behind."""
        whole = [quote_identifier(column.name) for column in self.target.relation.columns]
        wanted = [of_member(text, self.target.relation) for text in self.write.returning]
        return f" RETURNING {', '.join([*wanted, *whole])}" if whole or wanted else ""

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
        values = ", ".join(
            f"?{first + at} AS {quote_identifier(c.name)}" for at, c in enumerate(self.write.relation.columns)
        )
        sql = f"SELECT {', '.join(self.write.returning)} FROM (SELECT {values}) AS {self.target.table}"
        found: Row = self._execute(sql, [*self._padded(), *row])[0]
        return (*found, *row)

    def _fitted(self, row: Row) -> Row:
        """Values that triggers have given, cut and rounded as the columns' types want them."""
        return tuple(_fit(value, column) for value, column in zip(row, self.target.relation.columns, strict=True))


class _Target:
    """A table or view whose rows are written, with its triggers."""

    def __init__(self, calls: RoutineCalls, host: RoutineHost, relation: Relation) -> None:
        self.relation = relation
        self.table = quote_identifier(relation.sqlite_name or relation.name)
        self.row_id = "rowid" if relation.kind == "v" else row_id(relation)
        self.keys: list[PartKey] | None = None
        """Of a partition: what foreign keys refer to in those above it; None: not asked for yet."""
        self.firing = Firing(calls, host, relation)

    def as_of(self, other: _Target, row: Row | None) -> Row | None:
        """A row with the columns of a table that this one inherits from."""
        if row is None or other is self:
            return row
        values = dict(zip((column.name for column in self.relation.columns), row, strict=True))
        return tuple(values[column.name] for column in other.relation.columns)


def _fit(value: Any, column: ColumnInfo) -> Any:
    if value is None or column.typmod < 0:
        return value
    return registry.apply_typmod(column.type_oid, column.typmod, value)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other
