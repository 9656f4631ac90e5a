"""The newest entries of a stream in batches, bounded in bytes, read by many at their own pace."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import lz4.block

from helios_cli.engine.errors import ProtocolViolation
from helios_cli.replication.entries import WalEntry, decode_entries, encode_entries

BATCH_BYTES_MAX: Final = 16 << 20
"""What a batch may unpack to: the limit of a frame."""

_PLAIN: Final = b"\0"
_LZ4: Final = b"\1"


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that travel together."""

    number: int
    """Counted from 0, without a gap."""
    first_lsn: int
    last_lsn: int
    entries: int
    raw_bytes: int
    """Before compression."""
    body: bytes
    """As it travels: a byte that says how it is packed, then the entries."""

    def decode(self) -> list[WalEntry]:
        """The entries. Raises ProtocolViolation when they are damaged."""
        return unpack(self.body)


def pack(entries: Sequence[WalEntry], *, compress: bool) -> tuple[bytes, int]:
    """Entries as a body, and how many bytes they were before compression. What LZ4 would enlarge stays plain."""
    raw = encode_entries(entries)
    if compress:
        packed = lz4.block.compress(raw, store_size=True)
        if len(packed) < len(raw):
            return _LZ4 + packed, len(raw)
    return _PLAIN + raw, len(raw)


def unpack(body: bytes) -> list[WalEntry]:
    """The entries of a body.

    Raises:
        ProtocolViolation: it is none, or is damaged.
    """
    kind, rest = body[:1], body[1:]
    if kind == _PLAIN:
        return decode_entries(rest)
    if kind != _LZ4 or len(rest) < 4 or int.from_bytes(rest[:4], "little") > BATCH_BYTES_MAX:
        raise ProtocolViolation("damaged batch of log entries")
    try:
        return decode_entries(lz4.block.decompress(rest))
    except lz4.block.LZ4BlockError as error:
        raise ProtocolViolation("damaged batch of log entries", detail=str(error)) from error


class FellBehind(Exception):
    """What a reader wants next has left the buffer."""


class BatchBuffer:
    """Appended to by one thread or many; every reader keeps the number of the batch that it wants next."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._changed = threading.Condition()
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._next = 0
        self._left_lsn = 0
        """Of the newest entry that has left; 0 before one has."""
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return self._bytes

    def append(self, entries: Sequence[WalEntry], *, compress: bool) -> Batch:
        """Add entries, at least one, as one batch; the oldest leave while there is too much, but never the newest."""
        body, raw_bytes = pack(entries, compress=compress)
        with self._changed:
            batch = Batch(self._next, entries[0].lsn, entries[-1].lsn, len(entries), raw_bytes, body)
            self._next += 1
            self._batches.append(batch)
            self._bytes += len(body)
            while self._bytes > self.max_bytes and len(self._batches) > 1:
                left = self._batches.popleft()
                self._bytes -= len(left.body)
                self._left_lsn = left.last_lsn
            self._changed.notify_all()
        return batch

    def behind(self, lsn: int) -> int:
        """The number of the first batch that holds something behind ``lsn``; the next one's when none does."""
        with self._changed:
            return next((batch.number for batch in self._batches if batch.last_lsn > lsn), self._next)

    def resume(self, lsn: int, begun: int) -> int:
        """The batch with which a reader goes on that has everything up to ``lsn`` and began with the batch ``begun``.

        Raises:
            FellBehind: what it lacks has left.
        """
        with self._changed:
            first = self._batches[0].number if self._batches else self._next
            if lsn < self._left_lsn and begun < first:
                raise FellBehind
            behind = next((batch.number for batch in self._batches if batch.last_lsn > lsn), self._next)
            return max(begun, behind)

    def get(self, number: int, timeout_s: float | None = None, *, max_bytes: int = 0) -> list[Batch]:
        """A batch, waited for, and those behind it that are there, ``max_bytes`` in all unless the first has more.

        Empty when it did not come in time, or the buffer was closed.

        Raises:
            FellBehind: it was here and has left.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while number >= self._next:
                left = None if deadline is None else deadline - time.monotonic()
                if self._closed or (left is not None and left <= 0):
                    return []
                self._changed.wait(left)
            first = self._batches[0].number
            if number < first:
                raise FellBehind
            found, size = [self._batches[number - first]], len(self._batches[number - first].body)
            for index in range(number - first + 1, len(self._batches)):
                size += len(self._batches[index].body)
                if size > max_bytes:
                    break
                found.append(self._batches[index])
            return found

    def close(self) -> None:
        """Wake everybody who waits; what is held can still be read."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
