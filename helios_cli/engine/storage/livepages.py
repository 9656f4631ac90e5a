"""Reading the pages of a live database past SQLite, to see whether they are what the page log led to.

SQLite could be asked for them, and would answer out of its page cache, or of the kernel's, where a page is still good
that has rotted on the disk. So the file is read with O_DIRECT where the file system can do that. A page that has a
frame in the WAL which no checkpoint has put into the file yet is left out there: what the file has of it nobody reads,
and the next checkpoint overwrites it. The frames are read by themselves, of each page the newest.

Whoever reads holds the file as it is (``Checkpointer.file_held``): only checkpoints write it, and while not all frames
are checkpointed SQLite never begins its WAL again, so what a boundary counts stays where it is
(sqlite.org/walformat.html, 2.3).
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from helios_cli.engine.log.checksum import page_hash, wrong_pages
from helios_cli.engine.log.wal import FRAME_BYTES, FRAME_HEADER_BYTES, frame_offset
from helios_cli.engine.log.walindex import BLOCK_BYTES, bytes_for, frame_pages, frames_checkpointed, read_header
from helios_cli.engine.types import PAGE_SIZE

PIECE_PAGES: Final = 256
"""Pages or frames read at a time: 1 MiB, so that a commit's sync never waits for much else."""

_HEAD_BYTES: Final = 136
"""Of the WAL index: both copies of its header, and what checkpoints note."""


class Boundary(NamedTuple):
    """What some pages of the file should be after one commit."""

    first: int
    """Number of the first page."""
    hashes: Sequence[int]
    """What the page log led to, from that page on; none behind the end of the database."""
    frames: int
    """Frames of SQLite's WAL up to that commit."""
    checkpointed: int
    """So many of them are in the database file."""


class FrameBoundary(NamedTuple):
    """What some frames should be after one commit, if they are the newest of their pages."""

    after: int
    """The frame before the first."""
    numbers: Sequence[int]
    """The page of each frame."""
    hashes: Sequence[int]
    """What each of these pages should be."""
    db_pages: int
    """Size of the database; a transaction may leave frames of pages behind its end."""
    frames: int
    """Frames of SQLite's WAL up to that commit."""


class LivePages:
    """The files of one database. One thread at a time, but for :meth:`frames`."""

    def __init__(self, path: str) -> None:
        """The database is open, so that its WAL is there. Raises OSError."""
        self._buffer = mmap.mmap(-1, PIECE_PAGES * PAGE_SIZE)
        self._wal = os.open(path + "-wal", os.O_RDONLY)
        self._index = os.open(path + "-shm", os.O_RDONLY)
        self._cached = os.open(path, os.O_RDONLY)
        self._direct = _open_direct(path)
        self._unused = -1

    @property
    def past_cache(self) -> bool:
        """Whether the file is read past the kernel's cache, which some file systems cannot do."""
        return self._direct >= 0

    def frames(self) -> tuple[int, int] | None:
        """Frames in the WAL, and how many of them are in the file. None: it is changing, ask again."""
        before, after = (os.pread(self._index, _HEAD_BYTES, 0) for _ in range(2))
        # A WAL that begins again gets a new header first, then a new count of what is checkpointed.
        header = read_header(after)
        if header is None or before != after:
            return None
        return header.frames, frames_checkpointed(after)

    def pages_of_frames(self, after: int, end: int) -> list[int]:
        """The page number of each frame behind ``after`` up to ``end``."""
        if end <= after:
            return []
        return frame_pages(os.pread(self._index, max(bytes_for(end), BLOCK_BYTES), 0), after, end)

    def wrong(self, boundary: Boundary) -> list[int]:
        """Pages of the file that are not what they should be or cannot be read, ascending. Blocks."""
        first, hashes = boundary.first, boundary.hashes
        waiting = frozenset(self.pages_of_frames(boundary.checkpointed, boundary.frames))
        size = len(hashes) * PAGE_SIZE
        unreadable = self._fill(size, (first - 1) * PAGE_SIZE)
        with memoryview(self._buffer) as whole, whole[:size] as data:
            wrong = {*wrong_pages(first, data, hashes, waiting), *unreadable}
        return sorted(wrong - waiting)

    def wrong_frames(self, boundary: FrameBoundary) -> list[int]:
        """Pages whose newest frame is not what it should be, ascending. Blocks.

        Raises:
            OSError: the WAL cannot be read.
        """
        after, numbers = boundary.after, boundary.numbers
        newer = set(self.pages_of_frames(after + len(numbers), boundary.frames))
        frames = os.pread(self._wal, len(numbers) * FRAME_BYTES, frame_offset(after + 1))
        wrong = []
        for index in reversed(range(len(numbers))):
            number = numbers[index]
            if number not in newer and number <= boundary.db_pages:
                newer.add(number)
                at = index * FRAME_BYTES + FRAME_HEADER_BYTES
                if page_hash(number, frames[at : at + PAGE_SIZE]) != boundary.hashes[index]:
                    wrong.append(number)
        return sorted(wrong)

    def close(self) -> None:
        """Close the files, after SQLite has closed them: closing one drops the locks that SQLite holds on it."""
        self._buffer.close()
        for file in (self._wal, self._index, self._cached, self._direct, self._unused):
            if file >= 0:
                os.close(file)

    def _fill(self, size: int, offset: int) -> list[int]:
        """Read a piece of the file into the buffer, zeros behind its end; the pages that cannot be read."""
        unreadable = []
        at, step = 0, size
        if self._direct < 0:
            self._drop_cached(size, offset)
        with memoryview(self._buffer) as buffer:
            while at < size:
                end = min(at + step, size)
                try:
                    got = os.preadv(self._direct if self._direct >= 0 else self._cached, [buffer[at:end]], offset + at)
                except OSError as error:
                    if error.errno == errno.EINVAL and self._direct >= 0:
                        self._read_cached()
                        continue
                    if step > PAGE_SIZE:
                        # One sector fails the whole read: which page it is in, the next ones tell.
                        step = PAGE_SIZE
                        continue
                    unreadable.append((offset + at) // PAGE_SIZE + 1)
                    got = PAGE_SIZE
                if not got:
                    buffer[at:size] = bytes(size - at)
                    break
                at += got
        return unreadable

    def _read_cached(self) -> None:
        """The file system opens files for direct reads, and then does not do them."""
        # Closed with the others, for the sake of SQLite's locks.
        self._unused, self._direct = self._direct, -1

    def _drop_cached(self, size: int, offset: int) -> None:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._cached, offset, size, os.POSIX_FADV_DONTNEED)


def _open_direct(path: str) -> int:
    """A descriptor that reads past the kernel's cache; -1 where there is none to be had."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECT) if hasattr(os, "O_DIRECT") else -1
    except OSError:
        return -1
