"""Running the steps of one statement that depend on each other: what one returns is bound to those behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import apsw

from helios_cli.engine.sql.plan import Plan, Watch

_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_PARAMETER: Final = re.compile(r"\?([0-9]+)")
_HOOK: Final = "helios.programs"
_COUNTS: Final = "parameters of each step"


Instead = Callable[[int, Sequence[Any]], tuple[list[Any], int] | None]
"""Does a step in another way: given its number and the values, its rows and how many it changed; None: as it stands."""


def run_program(
    connection: apsw.Connection,
    plan: Plan,
    binds: Sequence[Any],
    check: Callable[[apsw.Connection], None],
    instead: Instead = lambda _number, _values: None,
) -> tuple[list[Any] | None, int]:
    """Run a plan with a program. Returns the result's rows, None for a statement without, and the rows it changed.

    Foreign keys are looked at when all has run, as they are behind a whole statement: ``check`` then names the row
    that is wrong. Raises what SQLite and ``check`` raise.
    """
    program = plan.program
    assert program is not None
    values = list(binds)
    first = len(values) - len(plan.session_values)
    place = {name: first + at for at, name in enumerate(plan.session_values)}
    for name, at in place.items():
        if name.startswith("saved."):
            values[at] = "[]"
    rows: list[Any] = []
    changes = 0
    with _deferred_keys(connection, check), _watching(connection, program.watched) as seen:
        for number, (step, count) in enumerate(zip(plan.steps, parameter_counts(plan), strict=True)):
            # Cached, a statement might look at keys at once, and a DELETE without WHERE tell nobody of its rows.
            done = instead(number, values)
            if done is None:
                found = connection.execute(step, values[:count], can_cache=False).fetchall()
                changed = connection.changes()
            else:
                found, changed = done
            if number in program.answers:
                changes += changed
                rows = found
            saved = place.get(program.saves[number])
            if saved is not None:
                values[saved] = as_json(found)
            for table in seen.values():
                for name, items in ((table.watch.touched, list(table.before)), (table.watch.before, table.rows())):
                    if name in place:
                        values[place[name]] = as_json(items)
    return (rows if plan.columns is not None else None), changes


def as_json(rows: Sequence[Any]) -> str:
    """Rows, or single values, as a JSON array; bytes are hexadecimal."""
    return json.dumps(rows, default=_hexadecimal)


def _hexadecimal(value: Any) -> str:
    text: str = value.hex()
    return text


def parameter_counts(plan: Plan) -> list[int]:
    """How many parameters each step takes: the highest number it names."""
    counts: list[int] | None = plan.cache.get(_COUNTS)
    if counts is None:
        counts = [max(map(int, _PARAMETER.findall(_QUOTED.sub("", step))), default=0) for step in plan.steps]
        plan.cache[_COUNTS] = counts
    return counts


class _Watched:
    """What a table's changed rows were before their first change; None for rows that were not there."""

    def __init__(self, connection: apsw.Connection, watch: Watch) -> None:
        self.watch = watch
        self.before: dict[int, tuple[Any, ...] | None] = {}
        schema = "temp" if watch.temporary else "main"
        info = connection.execute(
            "SELECT name FROM pragma_table_xinfo(?, ?)", (watch.table, schema), can_cache=False
        ).fetchall()
        places = {str(name).lower(): at for at, (name,) in enumerate(info)}
        self._order = [places[name.lower()] for name in watch.columns]

    def changed(self, row: int, old: tuple[Any, ...] | None) -> None:
        """A row is about to be changed."""
        if row not in self.before:
            self.before[row] = None if old is None else tuple(old[at] for at in self._order)

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows as they were."""
        return [row for row in self.before.values() if row is not None]


@contextmanager
def _watching(connection: apsw.Connection, watched: tuple[Watch, ...]) -> Iterator[dict[tuple[str, str], _Watched]]:
    seen = {("temp" if watch.temporary else "main", watch.table): _Watched(connection, watch) for watch in watched}
    if not seen:
        yield seen
        return

    def changes(update: Any) -> None:
        table = seen.get((update.database_name, update.table_name))
        if table is not None:
            table.changed(update.rowid, update.old)
            if update.rowid_new != update.rowid:
                table.changed(update.rowid_new, None)

    connection.preupdate_hook(changes, id=_HOOK)
    try:
        yield seen
    finally:
        connection.preupdate_hook(None, id=_HOOK)


@contextmanager
def _deferred_keys(connection: apsw.Connection, check: Callable[[apsw.Connection], None]) -> Iterator[None]:
    """Foreign keys are checked at the end, unless the transaction has deferred some already."""
    before = connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]
    was_deferred = bool(connection.pragma("defer_foreign_keys"))
    defer_keys(connection, True)
    try:
        yield
        if not before and not was_deferred and connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            check(connection)
    finally:
        if not was_deferred and connection.in_transaction:
            defer_keys(connection, False)


def defer_keys(connection: apsw.Connection, wanted: bool) -> None:
    """Put off all foreign keys, or forget what was put off. Statements that are compiled from here on go by it.

    The PRAGMA does this as it is compiled; run, it would expire every statement of the connection, also those under
    way, which fail at the next table that they open (OP_Expire in pragma.c, OP_OpenRead). EXPLAIN does not run it.
    """
    connection.execute(f"EXPLAIN PRAGMA defer_foreign_keys={int(wanted)}", can_cache=False).fetchall()
