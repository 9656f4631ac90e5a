"""The rows that one INSERT ... ON CONFLICT DO UPDATE has written, none of which it may change again."""

from __future__ import annotations

from typing import Any, Final

import apsw

from helios_cli.engine.errors import SqlError

_HOOK: Final = "upserts"


def twice() -> SqlError:
    """The error for a row that the statement would change a second time (ExecOnConflictUpdate)."""
    message = "ON CONFLICT DO UPDATE command cannot affect row a second time"
    hint = "Ensure that no rows proposed for insertion within the same command have duplicate constrained values."
    return SqlError(message, sqlstate="21000", hint=hint)


class _Rows:
    """What the statement that began last on a connection has written: SQLite tells of each row."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._written: set[tuple[str, int]] = set()
        self._changes = -1

    def begin(self, *_constant: Any) -> int:
        """A statement begins."""
        self._written.clear()
        self._changes = self._connection.total_changes()
        self._connection.preupdate_hook(self._noted, id=_HOOK)
        return 1

    def _noted(self, change: Any) -> None:
        if self._connection.total_changes() != self._changes:
            # SQLite counts changes when a statement ends: this one is another.
            self._connection.preupdate_hook(None, id=_HOOK)
            return
        self._written.add((change.table_name, change.rowid_new))

    def once(self, *row: Any) -> int:
        """1 for a row, given by its table and number, that was there before. Raises 21000."""
        if row in self._written:
            raise twice()
        return 1


def register(connection: apsw.Connection) -> None:
    """Make ``node_upsert_begin`` and ``node_upsert_once`` callable on a connection.

    The first has a constant argument, so that SQLite computes it once, before the first row.
    """
    rows = _Rows(connection)
    connection.create_scalar_function("node_upsert_begin", rows.begin, 1, deterministic=True)
    connection.create_scalar_function("node_upsert_once", rows.once, 2)
