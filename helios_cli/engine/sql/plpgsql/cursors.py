"""Cursors of PL/pgSQL: their rows are read when they are opened, and are the session's then."""

from __future__ import annotations

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql.oids import INT8
from helios_cli.engine.sql.plpgsql.flow import Flow
from helios_cli.engine.sql.plpgsql.frame import Opened, Outcome, Rows
from helios_cli.engine.sql.plpgsql.program import Statement

_FORWARD, _BACKWARD, _ABSOLUTE, _RELATIVE = range(4)
_ALL = 2**31


class Cursors(Flow):
    """The part of the interpreter that is about cursors."""

    def _open(self, statement: Statement) -> Outcome:
        fields = statement.fields
        number = fields.get("curvar", 0)
        datum = self.frame.datums[number]
        if "query" in fields:
            return self.outcome(fields["query"])
        if "dynquery" in fields:
            return self.dynamic(fields["dynquery"], fields.get("params", ()))
        if datum.cursor is None:
            raise SqlError(f'cursor variable "{datum.name}" is null', sqlstate="22004")
        if "argquery" in fields and datum.cursor_row >= 0:
            given = self.outcome(fields["argquery"])
            targets = self.frame.datums[datum.cursor_row].fields
            self.store_row(targets, given.rows[0] if given.rows else None, given)
        return self.outcome(datum.cursor)

    def _run_open(self, statement: Statement) -> None:
        number = statement.fields.get("curvar", 0)
        if self.frame.values[number] is not None and self.host.cursors.find(self.frame.values[number]) is not None:
            raise SqlError(f'cursor "{self.frame.values[number]}" already in use', sqlstate="42P03")
        self.frame.values[number] = self.host.cursors.open(self.frame.values[number], self._open(statement))

    def _opened(self, statement: Statement) -> Opened:
        number = statement.fields.get("curvar", 0)
        name = self.frame.values[number]
        if name is None:
            raise SqlError(f'cursor variable "{self.frame.datums[number].name}" is null', sqlstate="22004")
        opened = self.host.cursors.find(name)
        if opened is None:
            raise SqlError(f'cursor "{name}" does not exist', sqlstate="34000")
        return opened

    def _run_fetch(self, statement: Statement) -> None:
        fields = statement.fields
        opened = self._opened(statement)
        kept = opened.kept
        count = fields.get("how_many", 1)
        if "expr" in fields:
            count = self.value(fields["expr"], (INT8, -1))
            if count is None:
                raise SqlError("relative or absolute cursor position is null", sqlstate="22004")
        if fields.get("is_move"):
            before = kept.place
            _move(kept, fields.get("direction", _FORWARD), count)
            self.row_count = abs(kept.place - before)
            self.set_found(self.row_count > 0)
            return
        _move(kept, fields.get("direction", _FORWARD), count)
        row = kept.rows[kept.place - 1] if 0 < kept.place <= len(kept.rows) else None
        self.store_row(fields["target"], row, Outcome([], opened.columns, 0, ""))
        self.row_count = int(row is not None)
        self.set_found(row is not None)

    def _run_close(self, statement: Statement) -> None:
        self._opened(statement)
        self.host.cursors.close(self.frame.values[statement.fields.get("curvar", 0)])

    def _run_forc(self, statement: Statement) -> int:
        number = statement.fields.get("curvar", 0)
        if self.frame.datums[number].cursor is None:
            raise FeatureNotSupported("a FOR loop over an unbound cursor is not supported")
        before = self.frame.values[number]
        if before is not None and self.host.cursors.find(before) is not None:
            raise SqlError(f'cursor "{before}" already in use', sqlstate="42P03")
        outcome = self._open(statement)
        name = self.frame.values[number] = self.host.cursors.open(before, outcome)
        try:
            return self.over_rows(statement, outcome)
        finally:
            self.host.cursors.close(name)
            if before is None:
                self.frame.values[number] = None


def _move(kept: Rows, direction: int, count: int) -> None:
    """Move to a row; one past the end or before the beginning when there is none."""
    last = len(kept.rows) + 1
    if direction == _ABSOLUTE:
        to = count if count >= 0 else last + count
    elif direction == _BACKWARD:
        to = kept.place - min(count, _ALL)
    else:
        to = kept.place + min(count, _ALL)
    kept.place = max(0, min(to, last))
