"""Putting a primary's page images into a standby's SQLite without stopping its readers.

The images become frames of SQLite's own WAL, and the WAL index is brought up to date as the file format documents
(sqlite.org/walformat.html). Readers keep their snapshots, and pages stay byte for byte the primary's. Frames carry no
checksums: SQLite looks at them only when it recovers a WAL after a crash, and then this node throws the WAL away and
redoes the page log.

A WAL that has been checkpointed begins again only after a checkpoint in TRUNCATE mode: the other modes leave that to
SQLite's own next writer.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import apsw

from helios_cli.engine.errors import IoFailed
from helios_cli.engine.log.record import Buffer
from helios_cli.engine.log.wal import frame_offset, unchecked_frame, wal_header
from helios_cli.engine.log.walindex import (
    IndexHeader,
    bytes_for,
    put,
    read_header,
    write_header,
)
from helios_cli.engine.storage.files import as_helios_error
from helios_cli.engine.types import LOCK_BYTE_PAGE

_FRAMES_AT_ONCE: Final = 512
"""Of two pieces each: a system call takes 1024 (IOV_MAX on Linux)."""

_AHEAD_BYTES: Final = 1 << 20


class WalApplier:
    """Appends to the WAL of one database. Not thread-safe: one thread at a time.

    Its connection lives as long as the mapping: SQLite deletes the WAL and its index with the last connection, and what
    was appended after that would go nowhere. The descriptor of the index is closed after it, never before: closing
    one drops the locks that SQLite holds on the file in this process (fcntl(2)).
    """

    def __init__(self, path: str, connect: Callable[[], apsw.Connection]) -> None:
        """Raises apsw.Error, OSError: the database cannot be opened."""
        self._connection = connect()
        # A read makes SQLite create the WAL and its index, if nobody else has.
        self._connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        self._wal = os.open(path + "-wal", os.O_RDWR)
        self._index = os.open(path + "-shm", os.O_RDWR)
        self._map = mmap.mmap(self._index, os.fstat(self._index).st_size)

    def apply(self, pages: Mapping[int, Buffer], db_pages: int) -> int:
        """Make ``pages`` and the size ``db_pages`` the newest commit; returns the frames in the WAL after it."""
        return self.apply_parts((pages,), db_pages)

    def apply_parts(self, parts: Iterable[Mapping[int, Buffer]], db_pages: int) -> int:
        """The same for a transaction that comes in parts, which are taken one at a time; they become one commit.

        Pages beyond the size are left out. Without any page nothing is written and the size stays.

        Raises:
            apsw.BusyError: another connection writes.
            IoFailed, OSError: the WAL cannot be written; readers see the state before.
        """
        execute = self._connection.execute
        # SQLite's write lock: nobody else appends, and no reader takes a header in change for a broken one.
        execute("BEGIN IMMEDIATE")
        try:
            return self._append_parts(parts, db_pages)
        finally:
            execute("ROLLBACK")

    def reserve(self, frames: int) -> None:
        """Have room on the disk for the next so many frames, so that writing them cannot fail half-way for want of it.

        Raises:
            DiskFull, IoFailed: the file system refused; readers see what they saw.
        """
        count = self.frames() + frames
        try:
            self._reach(count)
            # The last frame of a commit is written over, never behind.
            needed, size = frame_offset(count + 1), os.fstat(self._wal).st_size
            if needed > size:
                _extend(self._wal, size, needed)
        except OSError as error:
            raise as_helios_error(error, "extend SQLite's WAL") from error

    def frames(self) -> int:
        """Frames in the WAL now."""
        return self._header().frames

    def salts(self) -> int:
        """What the frames of the WAL carry, as one 64-bit number."""
        return int.from_bytes(self._header().salts, "big")

    def close(self) -> None:
        """Close the connection, then the files."""
        self._connection.close(True)
        self._map.close()
        os.close(self._wal)
        os.close(self._index)

    def _append_parts(self, parts: Iterable[Mapping[int, Buffer]], db_pages: int) -> int:
        header = self._header()
        if header.frames == 0:
            # A WAL that begins: the first ever, or one that a checkpoint has restarted and given new salts.
            header = header if any(header.salts) else header._replace(salts=os.urandom(8))
        count = header.frames
        last_page: tuple[int, Buffer] | None = None
        for pages in parts:
            wanted = [(page, data) for page, data in pages.items() if page <= db_pages and page != LOCK_BYTE_PAGE]
            if not wanted:
                continue
            if count == 0:
                self._write([wal_header(header.salts)], 0)
            last_page = wanted[-1]
            count = self._append(wanted, count, header.salts)
        if last_page is None:
            return header.frames
        # Only the last frame of a commit holds the size; until the header counts them, the frames are nobody's.
        self._write([unchecked_frame(last_page[0], db_pages, header.salts)], frame_offset(count))
        with memoryview(self._map) as memory:
            write_header(memory, header._replace(change=header.change + 1, frames=count, db_pages=db_pages))
        return count

    def _append(self, wanted: list[tuple[int, Buffer]], count: int, salts: bytes) -> int:
        for begin in range(0, len(wanted), _FRAMES_AT_ONCE):
            frames: list[Buffer] = []
            for page, data in wanted[begin : begin + _FRAMES_AT_ONCE]:
                frames += (unchecked_frame(page, 0, salts), data)
            self._write(frames, frame_offset(count + begin + 1))
        self._reach(count + len(wanted))
        with memoryview(self._map) as memory:
            put(memory, count + 1, [page for page, _ in wanted])
        return count + len(wanted)

    def _header(self) -> IndexHeader:
        with memoryview(self._map) as memory:
            header = read_header(memory)
        if header is None:
            raise IoFailed("the index of SQLite's WAL is damaged", hint="Restart the node: it redoes the page log.")
        return header

    def _write(self, pieces: list[Buffer], offset: int) -> None:
        written = os.pwritev(self._wal, pieces, offset)
        view = memoryview(b"".join(pieces))[written:] if written < sum(map(len, pieces)) else memoryview(b"")
        while view:
            offset += written
            written = os.pwrite(self._wal, view, offset)
            view = view[written:]

    def _reach(self, frames: int) -> None:
        """Make file and mapping large enough for an index of so many frames."""
        size = bytes_for(frames)
        if size <= len(self._map):
            return
        os.posix_fallocate(self._index, 0, size)
        self._map.close()
        self._map = mmap.mmap(self._index, size)


def _extend(file: int, size: int, needed: int) -> None:
    """Make the file larger, and by more than is needed where that can be had: the next call finds it there."""
    try:
        os.posix_fallocate(file, size, needed + _AHEAD_BYTES - size)
    except OSError:
        os.posix_fallocate(file, size, needed - size)
