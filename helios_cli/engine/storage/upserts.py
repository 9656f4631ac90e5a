"""The rows that one INSERT ... ON CONFLICT DO UPDATE has written, none of which it may change again.

SQLite tells of each row that is about to change, not of the statement that changes it. A statement may call functions
that run others on the same connection, upserts among them: those are *inside* of it, and what they change is theirs.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

from helios_cli.engine.errors import SqlError

_HOOK: Final = "upserts"
_ALL: Final[weakref.WeakKeyDictionary[apsw.Connection, Statements]] = weakref.WeakKeyDictionary()


def twice() -> SqlError:
    """The error for a row that the statement would change a second time (ExecOnConflictUpdate)."""
    message = "ON CONFLICT DO UPDATE command cannot affect row a second time"
    hint = "Ensure that no rows proposed for insertion within the same command have duplicate constrained values."
    return SqlError(message, sqlstate="21000", hint=hint)


@dataclass(slots=True)
class _Upsert:
    """One statement, while it runs."""

    changes: int
    """Rows that the connection had changed before it: SQLite counts when a statement ends."""
    written: set[tuple[str, int]] = field(default_factory=set)


class Statements:
    """The upserts that are under way on a connection, by how many statements they are inside of."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = weakref.ref(connection)
        self._depth = 0
        self._inner_changes = 0
        """Rows that were changed inside of statements."""
        self._upserts: dict[int, _Upsert] = {}

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What is run meanwhile is run by a function of the statement that is under way, if one is."""
        before, inner = self._changes(), self._inner_changes
        self._depth += 1
        try:
            yield
        finally:
            self._upserts.pop(self._depth, None)
            self._depth -= 1
            self._inner_changes = inner + self._changes() - before

    def run_inside(self, connection: apsw.Connection, sql: str, binds: tuple[int, ...]) -> None:
        """Run one statement so; a little cheaper where no upsert is under way."""
        if not self._upserts:
            connection.execute(sql, binds)
            return
        with self.inside():
            connection.execute(sql, binds)

    def begin(self, *_constant: Any) -> int:
        """An upsert begins."""
        connection = self._connection()
        assert connection is not None
        self._upserts[self._depth] = _Upsert(self._changes() - self._inner_changes)
        connection.preupdate_hook(self._noted, id=_HOOK)
        return 1

    def once(self, *row: Any) -> int:
        """1 for a row, given by its table and number, that was there before. Raises 21000."""
        upsert = self._upserts.get(self._depth)
        if upsert is not None and row in upsert.written:
            raise twice()
        return 1

    def _noted(self, change: Any) -> None:
        upsert = self._upserts.get(self._depth)
        if upsert is not None and self._changes() - self._inner_changes == upsert.changes:
            upsert.written.add((change.table_name, change.rowid_new))
            return
        self._upserts.pop(self._depth, None)
        connection = self._connection()
        if connection is not None and not self._upserts:
            connection.preupdate_hook(None, id=_HOOK)

    def _changes(self) -> int:
        connection = self._connection()
        return connection.total_changes() if connection is not None else 0


def running_on(connection: apsw.Connection) -> Statements:
    """Those of a connection."""
    found = _ALL.get(connection)
    if found is None:
        found = _ALL[connection] = Statements(connection)
    return found


def register(connection: apsw.Connection) -> None:
    """Make ``node_upsert_begin`` and ``node_upsert_once`` callable on a connection.

    The first has a constant argument, so that SQLite computes it once, before the first row.
    """
    statements = running_on(connection)
    connection.create_scalar_function("node_upsert_begin", statements.begin, 1, deterministic=True)
    connection.create_scalar_function("node_upsert_once", statements.once, 2)
