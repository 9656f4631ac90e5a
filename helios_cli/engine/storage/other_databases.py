"""What the loop has of each database beside the first: a ring of readers and a connection to write with.

Functions, collations and catalogs of a connection are those of one database, so statements of another one cannot run on
the first one's connections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import apsw

from helios_cli.engine.storage.ring import PinnedReader, Ring

RESTING: Final = -1
"""The commit that a ring shows which holds no snapshot."""


class OtherRing(Ring):
    """A ring that grows up to a size, and holds no snapshot while nobody reads: the next read waits for one."""

    def __init__(self, make: Callable[[], PinnedReader], readers_max: int) -> None:
        self._make = make
        self._readers_max = readers_max
        super().__init__([make()], pins=False)
        self.seq = RESTING
        self.wanted = 0

    def pin_boundary(self, *, schema_changed: bool = False) -> PinnedReader | None:
        """As :meth:`Ring.pin_boundary`, also behind a change of the schema only while somebody reads."""
        if not self.wanted:
            return None
        if not self._spares:
            if len(self.readers) >= self._readers_max:
                return None
            reader = self._make()
            self.readers = (*self.readers, reader)
            self._spares.append(reader)
        return super().pin_boundary(schema_changed=schema_changed)

    def rest(self) -> None:
        """Give the snapshot up, so that checkpoints may pass it. Not while a statement is open on it."""
        self.current.unpin()
        self.seq = RESTING


class OtherDatabase:
    """The connections that sessions of one database share."""

    __slots__ = ("ring", "writer")

    def __init__(self, connect: Callable[[], apsw.Connection], writer: apsw.Connection, readers_max: int) -> None:
        """``connect`` opens one more reader, on whatever thread needs it."""
        self.ring = OtherRing(lambda: PinnedReader(connect()), readers_max)
        self.writer = writer

    def close(self) -> None:
        """Close all of them. Nobody uses one, and no boundary of the ring is in flight."""
        self.ring.close()
        self.writer.close(True)
