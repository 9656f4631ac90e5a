"""What the last definitions of this node changed in the system tables, so that readers need not read these again.

The changes are noted where a definition runs, on the writer's connection and inside its transaction. Versions are
drawn by lot, so a definition that was rolled back is one that nobody asks for. Where the log has nothing, after a
start, on a standby or behind changes of other programs, the tables themselves are read.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import apsw

from helios_cli.engine.storage.system_copy import (
    Definition,
    Keys,
    SystemCopy,
    is_copied,
    names_system_table,
    version_of,
)

ROWS_MAX: Final = 50_000
"""Keys and rows that are kept; the oldest definitions go first."""

Touched = dict[str, set[tuple[Any, ...]]]
"""By system table the primary keys of rows that are not what they were."""


class DefinitionLog:
    """The definitions of one node, by the version that each made. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._definitions: dict[int, Definition] = {}
        self._size = 0
        self._base: SystemCopy | None = None
        """A copy that nobody has taken yet, from which the log goes on."""
        self._base_wanted = True
        self.keys = Keys()

    def add(self, definition: Definition) -> None:
        """Remember a definition."""
        with self._lock:
            self._definitions[definition.after] = definition
            self._size += _size(definition)
            while self._size > ROWS_MAX and self._definitions:
                self._size -= _size(self._definitions.pop(next(iter(self._definitions))))

    def way(self, before: int, after: int) -> list[Definition] | None:
        """The definitions that lead from one version to another, in order; None when they are not all known."""
        found: list[Definition] = []
        with self._lock:
            while after != before:
                definition = self._definitions.get(after)
                if definition is None or len(found) > len(self._definitions):
                    return None
                found.append(definition)
                after = definition.before
        found.reverse()
        return found

    def touched(self, before: int, after: int) -> Touched | None:
        """What differs at most between two versions; None when that is not known."""
        way = self.way(before, after)
        if way is None:
            return None
        found: Touched = {}
        for definition in way:
            for table, keys in definition.keys.items():
                found.setdefault(table, set()).update(keys)
        return found

    def knows(self, version: int) -> bool:
        """Whether a definition made that version."""
        return version in self._definitions

    def brought(self, copy: SystemCopy, version: int) -> bool:
        """Bring a copy to a version; False: there is no way, and the copy is of no more use."""
        way = self.way(copy.version, version)
        if way is None:
            return False
        try:
            for definition in way:
                copy.apply(definition)
        except KeyError:
            return False
        return True

    def planner_copy(self, copy: SystemCopy | None, version: int) -> SystemCopy | None:
        """A copy at a version: the one that the planner has, or one that was made for it. None: there is none, and the
        next definition makes one.
        """
        if copy is not None and self.brought(copy, version):
            return copy
        with self._lock:
            base, self._base = self._base, None
        if base is not None and self.brought(base, version):
            return base
        self._base_wanted = True
        return None

    def begin(self, connection: apsw.Connection) -> None:
        """Before a definition: make a copy of the system tables where one is wanted."""
        if self._base_wanted:
            base = SystemCopy(connection)
            with self._lock:
                self._base, self._base_wanted = base, False


def _size(definition: Definition) -> int:
    return 1 + sum(map(len, definition.keys.values())) + sum(map(len, definition.rows.values()))


_LOGS: Final[weakref.WeakKeyDictionary[apsw.Connection, DefinitionLog]] = weakref.WeakKeyDictionary()


def attach(connection: apsw.Connection, log: DefinitionLog) -> None:
    """Have the definitions that run on a connection noted."""
    _LOGS[connection] = log


@contextmanager
def noted(connection: apsw.Connection) -> Iterator[Noting]:
    """While the steps of a definition run: note what they change in the system tables."""
    log = _LOGS.get(connection)
    noting = Noting(connection)
    before = 0
    if log is not None:
        log.begin(connection)
        before = version_of(connection)
    try:
        yield noting
    finally:
        noting.watch("")
    if log is not None and (after := version_of(connection)) != before:
        log.add(noting.definition(before, after, log.keys))


class Noting:
    """What the steps of one definition change."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._changed: dict[str, list[tuple[Any, ...]]] = {}
        self._watches = False

    def watch(self, sql: str) -> None:
        """Before a step. Those that name no system table may change millions of rows, which nobody looks at."""
        watches = names_system_table(sql)
        if watches is not self._watches:
            self._connection.preupdate_hook(self._note if watches else None, id=_HOOK)
            self._watches = watches

    def _note(self, update: apsw.PreUpdate) -> None:
        if update.database_name == "main" and is_copied(update.table_name):
            rows = self._changed.setdefault(update.table_name, [])
            rows += [row for row in (update.old, update.new) if row is not None]

    def definition(self, before: int, after: int, known: Keys) -> Definition:
        """All of it, with the rows as they are now."""
        connection = self._connection
        keys: dict[str, tuple[tuple[Any, ...], ...]] = {}
        rows: dict[str, tuple[tuple[Any, ...], ...]] = {}
        for table, changed in self._changed.items():
            key_of = known.of(connection, table)
            keys[table] = tuple({tuple(row[place] for place in key_of.places): None for row in changed})
            query = f'SELECT * FROM main."{table}" WHERE {key_of.condition}'
            rows[table] = tuple(row for key in keys[table] for row in connection.execute(query, key).fetchall())
        return Definition(before, after, keys, rows)


_HOOK: Final = "definitions"
