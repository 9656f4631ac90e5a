"""The ring of pinned readers: snapshots taken at group boundaries, used once those are committed.

A reader is pinned in the same critical section as the COMMIT that makes its boundary, and becomes current
only when that boundary is committed by the replication mode's rule. So a read never shows what a failover
could take back, never waits for the writer, and never pays for opening a snapshot.
"""

from __future__ import annotations

from typing import Any, Final

import apsw

OPEN_SNAPSHOT: Final = "PRAGMA main.schema_version"
"""Begins to read in a transaction that is open. Unlike a query it does not look whether the schema is a new one."""

PINS_AFTER_READ: Final = 64
"""Boundaries pinned after a read, in case another one follows."""


class PinnedReader:
    """One connection with an open read transaction, or idle."""

    __slots__ = ("_execute", "_schema", "connection", "cursor", "execute", "outdated", "pinned")

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.execute = self.cursor.execute
        self._execute = connection.cursor().execute
        self.pinned = False
        self.outdated = True
        """The first statement over the snapshot has SQLite read the schema: :meth:`read_schema` first."""
        self._schema: Any = None
        """The number of the schema that SQLite has read."""

    def pin(self) -> None:
        """Open a snapshot of SQLite's newest commit, giving up the one held before."""
        execute = self._execute
        if self.pinned:
            execute("COMMIT")
        execute("BEGIN")
        self.outdated = execute(OPEN_SNAPSHOT).fetchall() != self._schema
        self.pinned = True

    def read_schema(self) -> None:
        """Have SQLite read the schema of the snapshot, which takes milliseconds for hundreds of tables."""
        self._execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        self._schema = self._execute(OPEN_SNAPSHOT).fetchall()
        self.outdated = False

    def unpin(self) -> None:
        """Give the snapshot up, so that checkpoints may pass it."""
        if self.pinned:
            self._execute("COMMIT")
            self.pinned = False


class Ring:
    """A current reader, the pinned readers of boundaries in flight, and spares.

    At most ``len(readers) - 1`` boundaries may be in flight, which the commit pipeline sees to.

    While nobody reads, boundaries are not pinned, since a pin costs as much as a small write; the current reader
    then falls behind, which :attr:`seq` tells, and is pinned anew when a read comes.
    """

    def __init__(self, readers: list[PinnedReader], *, pins: bool = True) -> None:
        self._spares = readers
        self.readers = tuple(readers)
        self.current = readers.pop()
        if pins:
            self.current.pin()
        self.seq = 0
        """The commit that the current reader shows."""
        self.wanted = PINS_AFTER_READ
        """How many more boundaries are to be pinned; every read sets it back."""
        self._wanted_then = 0
        """The same when the schema last changed."""

    def pin_boundary(self, *, schema_changed: bool = False) -> PinnedReader | None:
        """Pin a spare at SQLite's newest commit; the caller holds the commit lock. None when nobody reads.

        One behind a change of the schema is always pinned. It reads the new schema here, mostly on a thread, when
        somebody has read since the last such change, and is likely to read again.
        """
        if not self.wanted and not schema_changed:
            return None
        reader = self._spares.pop()
        reader.pin()
        if not schema_changed:
            self.wanted -= 1
            return reader
        if self.wanted > self._wanted_then:
            reader.read_schema()
        self._wanted_then = self.wanted = max(1, min(self.wanted, PINS_AFTER_READ - 1))
        return reader

    def turn(self, reader: PinnedReader, seq: int) -> None:
        """Make ``reader`` current. The new snapshot was pinned before the old one is released here."""
        old = self.current
        self.current = reader
        self.seq = seq
        old.unpin()
        self._spares.append(old)

    def discard(self, reader: PinnedReader) -> None:
        """Release the reader of a boundary that a newer one has overtaken."""
        reader.unpin()
        self._spares.append(reader)

    def refresh(self, seq: int) -> None:
        """Pin the current reader anew; only when the newest commit, number ``seq``, is committed."""
        self.current.pin()
        self.seq = seq

    def close(self) -> None:
        """Release every snapshot and close the connections."""
        for reader in self.readers:
            reader.unpin()
            reader.connection.close()
