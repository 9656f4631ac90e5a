"""Reading a committed transaction's pages back from SQLite's WAL file.

The start and the end of a transaction's frames come from the WAL hook's frame count, never from the file size:
after a WAL restart the file does not shrink, and rolled-back frames stay in it. Frames are read only after COMMIT,
because SQLite rewrites them in place inside a transaction (sqlite.org/walformat.html).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import apsw

from helios_cli.engine.errors import IoFailed
from helios_cli.engine.log.record import Buffer
from helios_cli.engine.log.wal import FRAME_BYTES, WalCommit, frame_offset, index_frames, newest_pages
from helios_cli.engine.types import LOCK_BYTE_PAGE, PAGE_SIZE

READ_FRAMES: Final = 256
"""Frames read at a time while a large transaction is indexed."""

SMALL_FRAMES: Final = 2048
"""Up to this many frames (8 MiB) a transaction is captured as one record."""


class WalCapture:
    """Follows the WAL file of one database behind every connection that may write.

    Not thread-safe: only the holder of the writer's token commits and captures.
    """

    def __init__(self, database_path: str) -> None:
        self._path = database_path + "-wal"
        self._fd = -1
        self._frames_taken = 0
        self._frames_now = 0
        self._salts = 0

    def attach(self, connection: apsw.Connection) -> None:
        """Hook a connection that may write. A connection without the hook would commit unlogged."""
        connection.set_wal_hook(self._on_commit)

    def _on_commit(self, _connection: apsw.Connection, _name: str, frames: int) -> int:
        self._frames_now = frames
        self.fired = True
        return apsw.SQLITE_OK

    fired = False
    """Set by a commit that wrote frames; the caller clears it before COMMIT."""

    @property
    def frames(self) -> int:
        """Frames in the WAL after the last commit: what a checkpoint has before it."""
        return self._frames_now

    def close(self) -> None:
        """Close the descriptor. Harmless to SQLite's locks, which are on the other two files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def note(self, frames: int, salts: int) -> None:
        """The WAL holds ``frames`` that others have put there and logged: the next transaction's come behind them."""
        self._frames_now = self._frames_taken = frames
        self._salts = salts

    def pending_frames(self) -> int:
        """How many frames the transaction that has just committed wrote, at most."""
        return self._frames_now - self._frames_taken if self._frames_now > self._frames_taken else self._frames_now

    def take(self) -> WalCommit:
        """The newest image of each page of the transaction, and the database's size in pages after it."""
        start, end = self._range()
        commit = newest_pages(self._read((end - start) * FRAME_BYTES, frame_offset(start + 1)))
        if commit.salts != self._salts and start:
            commit = newest_pages(self._read(end * FRAME_BYTES, frame_offset(1)))
        self._salts = commit.salts
        self._frames_taken = end
        return commit

    def take_large(self) -> tuple[Iterator[tuple[int, Buffer]], int]:
        """Like :meth:`take` in bounded memory: an iterator of page numbers and images, by ascending number.

        It reads the WAL as it goes, so the WAL must not restart before it is exhausted.
        """
        start, end = self._range()
        if start and self._salts_at(start + 1) != self._salts:
            start = 0
        index: dict[int, int] = {}
        db_pages, salts = 0, None
        for first in range(start, end, READ_FRAMES):
            count = min(READ_FRAMES, end - first)
            offset = frame_offset(first + 1)
            db_pages, salts = index_frames(self._read(count * FRAME_BYTES, offset), offset, index, salts)
        self._frames_taken = end
        self._salts = salts or 0
        wanted = [(page, at) for page, at in sorted(index.items()) if page <= db_pages and page != LOCK_BYTE_PAGE]
        return ((page, self._read(PAGE_SIZE, at)) for page, at in wanted), db_pages

    def _range(self) -> tuple[int, int]:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDONLY)
        start, end = self._frames_taken, self._frames_now
        return (start if end > start else 0), end

    def _salts_at(self, frame_no: int) -> int:
        return int.from_bytes(self._read(8, frame_offset(frame_no) + 8), "big")

    def _read(self, size: int, offset: int) -> bytes:
        data = os.pread(self._fd, size, offset)
        if len(data) != size:
            raise IoFailed(f"SQLite's WAL is shorter than its frame count says ({len(data)} of {size} bytes)")
        return data
