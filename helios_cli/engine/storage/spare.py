"""The next segment, made ready before it is needed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from helios_cli.engine.log.segment import SEGMENT_HEADER_BYTES
from helios_cli.engine.ports import File, Files
from helios_cli.engine.storage.segmentfile import make_spare

RunBackground = Callable[[Callable[[], None]], Callable[[], None]]
"""Starts a job elsewhere and returns a function that waits for it."""

PREFIX = "spare-"


def in_thread(job: Callable[[], None]) -> Callable[[], None]:
    """Run a job on a thread of its own."""
    thread = threading.Thread(target=job, name="pagelog-spare", daemon=True)
    thread.start()
    return thread.join


def inline(job: Callable[[], None]) -> Callable[[], None]:
    """Run a job at once, in the caller; for simulations, where threads would break determinism."""
    job()
    return lambda: None


class SparePool:
    """At most one spare file that can become a segment without waiting for the disk.

    A spare is a whole, allocated, synced file under a name that is no segment's. What it contains does not matter:
    a record counts only at its own LSN. The file is taken over or removed at the next start.
    """

    def __init__(self, files: Files, directory: str, segment_bytes: int, run_background: RunBackground) -> None:
        self._files = files
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._run = run_background
        self._lock = threading.Lock()
        self._spare: tuple[File, str] | None = None
        self._count = 0
        self._wait: Callable[[], None] | None = None
        self._busy = False
        self._closed = False

    def adopt_leftovers(self) -> None:
        """Take over the spare of the last run if it is whole, and remove other such files."""
        for name in self._files.listdir(self._directory):
            if not name.startswith(PREFIX):
                continue
            path = f"{self._directory}/{name}"
            file = self._files.open(path)
            if self._spare is None and name[len(PREFIX) :].isdecimal() and file.size() == self._segment_bytes:
                # Its blocks may have been lost with the power; this reserves them again.
                file.allocate(self._segment_bytes)
                self._spare = file, path
                self._count = int(name[len(PREFIX) :])
            else:
                file.close()
                self._files.unlink(path)

    def ensure(self, record_bytes: int) -> None:
        """Have a spare that holds ``record_bytes`` of records, allocating one now if need be.

        Raises:
            OSError: there is no room.
        """
        size = self._size_for(record_bytes)
        with self._lock:
            spare = self._spare
        if spare is not None and spare[0].size() >= size:
            return
        path = self._new_path()
        self._offer(make_spare(self._files, path, size, zero_fill=False), path)

    def take(self, record_bytes: int, *, zero_fill: bool) -> tuple[File, str]:
        """Hand out a spare for records of ``record_bytes``; the caller renames it.

        Raises:
            OSError: there was none and no room for one.
        """
        size = self._size_for(record_bytes)
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            if spare[0].size() >= size:
                return spare
            self._discard(*spare)
        path = self._new_path()
        return make_spare(self._files, path, size, zero_fill=zero_fill), path

    def prepare(self) -> None:
        """Start making a spare in the background unless there is one; returns at once."""
        if self._busy or self._spare is not None or self._closed:
            return
        self._busy = True
        self._wait = self._run(self._prepare)

    def _prepare(self) -> None:
        try:
            path = self._new_path()
            self._offer(make_spare(self._files, path, self._segment_bytes, zero_fill=True), path)
        except OSError:
            # No room now: the next reserve() asks again and tells the client.
            pass
        finally:
            self._busy = False

    def recycle(self, path: str) -> bool:
        """Make a spare of a segment that is no longer needed, by renaming it; False when it is not wanted."""
        if self._busy or self._spare is not None:
            return False
        file = self._files.open(path)
        if file.size() != self._segment_bytes:
            file.close()
            return False
        spare_path = self._new_path()
        self._files.rename(path, spare_path)
        self._offer(file, spare_path)
        return True

    def forget(self) -> None:
        """Remove the spare, for a log that starts over: a recycled one may hold records of the very LSNs to come."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            self._discard(*spare)

    def close(self) -> None:
        """Wait for a running preparation and release the spare, which stays for the next start."""
        self._closed = True
        if self._wait is not None:
            self._wait()
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            spare[0].close()

    def _offer(self, file: File, path: str) -> None:
        """Keep the larger of the present spare and this one."""
        with self._lock:
            present = self._spare
            if present is None or present[0].size() < file.size():
                self._spare, loser = (file, path), present
            else:
                loser = file, path
        if loser is not None:
            self._discard(*loser)

    def _discard(self, file: File, path: str) -> None:
        file.close()
        with contextlib.suppress(FileNotFoundError):
            self._files.unlink(path)

    def _new_path(self) -> str:
        with self._lock:
            self._count += 1
            return f"{self._directory}/{PREFIX}{self._count}"

    def _size_for(self, record_bytes: int) -> int:
        return max(self._segment_bytes, SEGMENT_HEADER_BYTES + record_bytes)
