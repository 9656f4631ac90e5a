"""Firing triggers: which ones, with what they see, and what they make of a row."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from helios_cli.engine.errors import SqlError
from helios_cli.engine.node.builtin_triggers import Call, call_builtin
from helios_cli.engine.node.deferred_triggers import Event
from helios_cli.engine.sql.inner import Inner
from helios_cli.engine.sql.oids import BOOL, INT4, NAME, OID, TEXT, TRIGGER
from helios_cli.engine.sql.plpgsql.frame import Frame, Record
from helios_cli.engine.sql.plpgsql.interpreter import Interpreter
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.routines import BUILTIN_TRIGGER_NAMES, Trigger
from helios_cli.engine.storage.programs import as_json

if TYPE_CHECKING:
    from helios_cli.engine.node.routine_calls import RoutineCalls
    from helios_cli.engine.node.routine_host import RoutineHost

Row = tuple[Any, ...]
_TEXT_ARRAY = 1009
_TIMINGS = {"b": "BEFORE", "a": "AFTER", "i": "INSTEAD OF"}


class Firing:
    """The triggers of one table, during one write."""

    def __init__(self, calls: RoutineCalls, host: RoutineHost, relation: Relation) -> None:
        self.calls = calls
        self.host = host
        self.relation = relation
        replica = host.session.is_replica
        self.triggers = [
            trigger for trigger in host.catalog.triggers(relation.oid) if trigger.fires_for(replica=replica)
        ]
        self._names = tuple(column.name for column in relation.columns)
        self.seen: list[tuple[str, Row | None, Row | None]] = []
        """The rows that were changed: event, old and new row; for triggers with transition tables."""
        self.changed_by = ""
        """The trigger of a partitioned table that has changed the row in hand last; '' for none."""
        self._types = tuple(column.type_oid for column in relation.columns)

    def statement(self, timing: str, event: str, columns: tuple[str, ...]) -> None:
        """Fire the triggers that see the statement as a whole."""
        for trigger in self.triggers:
            if not trigger.row and self._concerns(trigger, timing, event, columns):
                if trigger.when and not self._holds(trigger, None, None):
                    continue
                self._fire(trigger, event, None, None, columns)

    def row(self, timing: str, event: str, old: Row | None, new: Row | None, columns: tuple[str, ...]) -> Row | None:
        """Fire the triggers of a row.

        Returns the row as triggers before or instead of the write have made it (the old one of a DELETE); None when
        one of them says to leave it.
        """
        current = new if new is not None else old
        self.changed_by = ""
        deferred = self.host.session.deferred
        for trigger in self.triggers:
            if not trigger.row or not self._concerns(trigger, timing, event, columns):
                continue
            if timing == "b" and new is not None:
                current = self._not_computed(current)
            old_record, new_record = self._record(old), self._record(current if new is not None else None)
            if trigger.when and not self._holds(trigger, old_record, new_record):
                continue
            if timing == "a" and trigger.deferrable and deferred.waits(trigger):
                deferred.events.append(Event(trigger, self.relation, event, old, new))
                continue
            made = self._fire(trigger, event, old_record, new_record, columns)
            if timing == "a":
                continue
            if made is None:
                return None
            if new is not None:
                before, current = current, self._returned(made)
                if trigger.parent and current != before:
                    self.changed_by = trigger.name
        return current

    def event(self, event: Event) -> None:
        """Fire a trigger of a row's change that has waited."""
        self._fire(event.trigger, event.word, self._record(event.old), self._record(event.new))

    def comes_before(self, event: str, columns: tuple[str, ...]) -> bool:
        """Whether a trigger sees each row before the event."""
        return any(trigger.row and self._concerns(trigger, "b", event, columns) for trigger in self.triggers)

    def _concerns(self, trigger: Trigger, timing: str, event: str, columns: tuple[str, ...]) -> bool:
        if trigger.timing != timing or event not in trigger.events:
            return False
        return event != "UPDATE" or not trigger.columns or not set(trigger.columns).isdisjoint(columns)

    def _record(self, row: Row | None) -> Record | None:
        return Record(self._names, self._types, list(row)) if row is not None else None

    def _not_computed(self, row: Row | None) -> Row | None:
        """A row as it is before the write: its generated columns have no values yet."""
        if row is None or not any(column.generated for column in self.relation.columns):
            return row
        return tuple(
            None if column.generated else value for column, value in zip(self.relation.columns, row, strict=True)
        )

    def _returned(self, record: Record) -> Row:
        if len(record.names) != len(self._names):
            raise SqlError(
                "returned row structure does not match the structure of the triggering table",
                sqlstate="42804",
                detail=f"Number of returned columns ({len(record.names)}) does not match expected column count "
                f"({len(self._names)}).",
            )
        return tuple(
            value if value is None or source == target else self.host.cast(value, source, (target, -1))
            for value, source, target in zip(record.values, record.types, self._types, strict=True)
        )

    def _holds(self, trigger: Trigger, old: Record | None, new: Record | None) -> bool:
        records = Records({"old": old, "new": new}, self.relation.oid)
        known: dict[int, Inner] = self.calls.conditions
        inner = known.get(trigger.oid)
        if inner is None or not self.host.is_current(inner):
            inner = known[trigger.oid] = self.host.plan(trigger.when, records, whole=False, target=(BOOL, -1))
        rows = self.host.run(inner, [records.read(key) for key in inner.keys]).rows
        return bool(rows and rows[0][0])

    def _fire(
        self, trigger: Trigger, event: str, old: Record | None, new: Record | None, columns: tuple[str, ...] = ()
    ) -> Record | None:
        if trigger.function in BUILTIN_TRIGGER_NAMES:
            return call_builtin(Call(self.host, trigger, event, old, new, columns))
        prepared = self.calls.prepared(self.host, trigger.function, ())
        program = prepared.program
        if program is None:
            raise SqlError(f"internal error: trigger function {trigger.function} is not PL/pgSQL", sqlstate="XX000")
        interpreter = Interpreter(
            program, self.host, prepared.name, result=(TRIGGER, -1), returns_set=False, columns=(),
        )  # fmt: skip
        frame = interpreter.frame
        for name, record in (("new", new), ("old", old)):
            number = program.root.entries.get(name)
            if number is not None:
                frame.values[number] = record if record is not None else self._absent()
        frame.specials.update(self._specials(trigger, event))
        if trigger.old_table or trigger.new_table:
            self._give_tables(frame, trigger, event)
        session = self.host.session
        session.trigger_depth += 1
        try:
            value = self.calls.guarded(self.host, prepared.routine, interpreter.call).value
        finally:
            session.trigger_depth -= 1
        return value if isinstance(value, Record) and not value.absent else None

    def _absent(self) -> Record:
        return Record(self._names, self._types, [None] * len(self._names), absent=True)

    def _give_tables(self, frame: Frame, trigger: Trigger, event: str) -> None:
        """Let a trigger see the rows of its transition tables."""
        columns = tuple(zip(self._names, self._types, strict=True))
        for name, position in ((trigger.old_table, 1), (trigger.new_table, 2)):
            if name:
                rows = [change[position] for change in self.seen if change[0] == event]
                frame.tables[name] = (columns, as_json([row for row in rows if row is not None]))

    def _specials(self, trigger: Trigger, event: str) -> dict[str, tuple[int, Any]]:
        relation = self.relation
        return {
            "tg_name": (NAME, trigger.name),
            "tg_when": (TEXT, _TIMINGS[trigger.timing]),
            "tg_level": (TEXT, "ROW" if trigger.row else "STATEMENT"),
            "tg_op": (TEXT, event),
            "tg_relid": (OID, relation.oid),
            "tg_relname": (NAME, relation.name),
            "tg_table_name": (NAME, relation.name),
            "tg_table_schema": (NAME, relation.schema),
            "tg_nargs": (INT4, len(trigger.arguments)),
            "tg_argv": (_TEXT_ARRAY, _array(trigger.arguments)),
            "tg_event": (TEXT, event),
        }


def _array(items: Sequence[str]) -> str:
    """A text array whose first subscript is 0."""
    quoted = ['"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items]
    return f"[0:{len(items) - 1}]={{{','.join(quoted)}}}" if items else "{}"


class Records:
    """OLD and NEW as the names of a WHEN condition. Implements ``inner.Variables``."""

    column_wins: bool | None = False

    def __init__(self, records: dict[str, Record | None], table: int) -> None:
        self._records = records
        self._table = table

    def find(self, names: Sequence[str]) -> tuple[Hashable, int] | None:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        record = self._records.get(names[0])
        if len(names) == 2 and record is not None and names[1] == "tableoid":
            return (names[0], names[1]), OID
        if len(names) != 2 or record is None or names[1] not in record.names:
            return None
        return (names[0], names[1]), record.types[record.names.index(names[1])]

    def table(self, name: str) -> None:
        """There are no tables of its own."""

    def absent(self, _names: Sequence[str]) -> bool:
        """A condition names only what is there."""
        return False

    def fields(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        record = self._records.get(names[0]) if len(names) == 1 else None
        return record.names if record is not None else None

    def read(self, key: Any) -> Any:
        """The value behind a plan's parameter."""
        record = self._records[key[0]]
        if key[1] == "tableoid":
            return self._table
        return record.values[record.names.index(key[1])] if record is not None else None
