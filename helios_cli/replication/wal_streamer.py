"""The newest entries of a log, kept for those who stream them; fed by a running primary, or by hand."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from helios_cli.engine.node.peer_tls import NO_TLS, PeerTls
from helios_cli.replication.config import ReplicaConfig
from helios_cli.replication.entries import WalEntry
from helios_cli.replication.errors import ReplicationError
from helios_cli.replication.feed import LogFeed
from helios_cli.replication.node_client import NodeClient


@dataclass(frozen=True, slots=True)
class WalStats:
    """What a streamer holds."""

    buffer_size: int
    """Entries held now."""
    buffer_capacity: int
    current_lsn: int
    """Of the newest entry; 0 before the first."""
    oldest_lsn: int
    """Of the oldest entry held; 0 when there is none."""
    total_entries: int
    """Appended since the beginning."""
    streams: int
    """Streams to replicas that are open."""


class EntryStream:
    """What one replica gets: the entries from an LSN on, as they come. One thread reads it."""

    def __init__(self, streamer: WalStreamer, address: str, lsn: int) -> None:
        self.address = address
        self._streamer = streamer
        self._wanted = lsn

    def recv(self, timeout_s: float | None = None) -> WalEntry | None:
        """The next entry; None when the streamer is closed, or none came in time.

        Raises:
            ReplicationError: the next entry has left the buffer.
        """
        entry = self._streamer._wait_from(self._wanted, timeout_s)
        if entry is not None:
            self._wanted = entry.lsn + 1
        return entry

    def __iter__(self) -> Iterator[WalEntry]:
        """Entries until the streamer is closed."""
        while (entry := self.recv()) is not None:
            yield entry

    def close(self) -> None:
        """No more is wanted."""
        self._streamer._ended(self)


class WalStreamer:
    """A ring of log entries with rising LSNs. Any thread may call it.

    :meth:`follow` fills it from the primary over the native protocol; without that, :meth:`append` does.
    """

    def __init__(self, primary_address: str, buffer_size: int = 1000) -> None:
        """``primary_address`` is the primary's PostgreSQL address; ``buffer_size`` entries are kept."""
        if buffer_size < 1:
            raise ReplicationError("buffer_size must be at least 1")
        self.primary_address = primary_address
        self.buffer_size = buffer_size
        self._changed = threading.Condition()
        self._entries: list[WalEntry] = []
        self._lsns: list[int] = []
        self._first = 0
        """Index of the oldest that counts: those before it are cut off by and by, because that moves the rest."""
        self._dropped_to = 0
        """Behind the LSN of the newest entry that has left; 0 while none has."""
        self._total = 0
        self._streams: set[EntryStream] = set()
        self._closed = False
        self._feed: LogFeed | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def follow(
        self,
        config: ReplicaConfig | None = None,
        *,
        name: str = "wal-streamer",
        secret: bytes = b"",
        tls: PeerTls = NO_TLS,
    ) -> None:
        """Take the primary's log from where it begins, over its native port, until :meth:`close`.

        ``name`` is how the primary lists this follower; ``secret`` is the cluster's, which is needed from another
        machine; ``tls`` is how to speak to a native port that has TLS.

        Raises:
            NodeUnreachable: the primary does not tell its native port. ReplicationError: it is followed already.
        """
        if self._feed is not None:
            raise ReplicationError("the primary is followed already")
        client = NodeClient(self.primary_address, config or ReplicaConfig(primary_address=self.primary_address))
        try:
            where = client.native_endpoint()
        finally:
            client.close()
        self._feed = LogFeed(where, name, self._append_all, secret=secret, tls=tls)
        self._feed.start()

    def append(self, entry: WalEntry) -> None:
        """Add an entry; the oldest leaves when there are too many.

        Raises:
            ReplicationError: its LSN is not behind the newest one's.
        """
        self._append_all([entry])

    def get_entries_from(self, lsn: int, limit: int) -> list[WalEntry]:
        """At most ``limit`` entries from ``lsn`` on, oldest first; what has left the buffer is not among them."""
        with self._changed:
            at = bisect_left(self._lsns, lsn, self._first)
            return self._entries[at : at + max(0, limit)]

    def get_stats(self) -> WalStats:
        """What is held now."""
        with self._changed:
            return WalStats(
                len(self._entries) - self._first,
                self.buffer_size,
                self._lsns[-1] if self._lsns else 0,
                self._lsns[self._first] if self._lsns else 0,
                self._total,
                len(self._streams),
            )

    def stream_to_replica(self, address: str, lsn: int = 0) -> EntryStream:
        """The entries from ``lsn`` on, those that are held first, then those that come."""
        stream = EntryStream(self, address, lsn)
        with self._changed:
            self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End every stream, and the following of the primary. Idempotent."""
        if self._feed is not None:
            self._feed.stop()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _append_all(self, entries: list[WalEntry]) -> None:
        with self._changed:
            for entry in entries:
                if self._lsns and entry.lsn <= self._lsns[-1]:
                    raise ReplicationError(f"the entry at LSN {entry.lsn} does not come behind LSN {self._lsns[-1]}")
                self._entries.append(entry)
                self._lsns.append(entry.lsn)
            self._total += len(entries)
            self._first = max(self._first, len(self._entries) - self.buffer_size)
            if self._first:
                self._dropped_to = self._lsns[self._first - 1] + 1
            if self._first > self.buffer_size // 10:
                del self._entries[: self._first]
                del self._lsns[: self._first]
                self._first = 0
            self._changed.notify_all()

    def _wait_from(self, lsn: int, timeout_s: float | None) -> WalEntry | None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while True:
                if 0 < lsn < self._dropped_to:
                    raise ReplicationError(f"entries from LSN {lsn} on have left the buffer", hint="Raise buffer_size.")
                at = bisect_left(self._lsns, lsn, self._first)
                if at < len(self._entries):
                    return self._entries[at]
                left = None if deadline is None else deadline - time.monotonic()
                if self._closed or (left is not None and left <= 0):
                    return None
                self._changed.wait(left)

    def _ended(self, stream: EntryStream) -> None:
        with self._changed:
            self._streams.discard(stream)
