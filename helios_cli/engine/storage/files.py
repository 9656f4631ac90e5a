"""The operating system's files behind the ports of :mod:`helios_cli.engine.ports`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from typing import Final, Protocol

from helios_cli.engine.errors import DiskFull, HeliosError, IoFailed

NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The error numbers that mean "no room", as opposed to "broken"."""

_ZERO_CHUNK: Final = bytes(1 << 20)
_FULL_SYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
_datasync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


_WRITE_THROUGH: Final = getattr(os, "RWF_DSYNC", 0)


class Hold(Protocol):
    """A disk that takes its time, for drills."""

    def __bool__(self) -> bool:
        """Whether it does now."""

    def wait(self) -> None:
        """Come back when a write may be over."""


hold: Hold | None = None
"""What each sync waits for; None in a node that was not started for drills."""


class OsFile:
    """An open descriptor. Interrupted calls are repeated by Python itself (PEP 475), short ones here."""

    __slots__ = ("_fd", "_through", "path")

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._through = -1
        self.path = path

    def pread(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes at ``offset``; fewer only at the end of the file."""
        data = os.pread(self._fd, size, offset)
        if len(data) == size or not data:
            return data
        chunks = [data]
        got = len(data)
        while got < size:
            data = os.pread(self._fd, size - got, offset + got)
            if not data:
                break
            chunks.append(data)
            got += len(data)
        return b"".join(chunks)

    def pwrite(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of ``data``; a full disk shows as OSError after part of it was written."""
        written = os.pwrite(self._fd, data, offset)
        if written == len(data):
            return
        rest = memoryview(data)
        while written < len(rest):
            written += os.pwrite(self._fd, rest[written:], offset + written)

    def pwrite_through(self, data: bytes, offset: int) -> None:
        """Write all of ``data`` and sync it: one call where the system has such a one (pwritev2(2), RWF_DSYNC)."""
        if hold:
            hold.wait()
        if _WRITE_THROUGH and os.pwritev(self._fd, (data,), offset, _WRITE_THROUGH) == len(data):
            return
        self.pwrite(data, offset)
        self.sync()

    def through_descriptor(self) -> int | None:
        """A second descriptor, opened with O_DSYNC; None where open files cannot be opened again by their number, and
        while the disk is held: who writes by it would not wait.
        """
        if hold:
            return None
        if self._through < 0:
            try:
                # By its number: the file may have been renamed since it was opened.
                self._through = os.open(f"/proc/self/fd/{self._fd}", os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC)
            except OSError:
                return None
        return self._through

    def allocate(self, size: int) -> None:
        """Reserve ``size`` bytes from the start of the file; file systems that cannot are written with zeros."""
        if size <= 0:
            return
        try:
            os.posix_fallocate(self._fd, 0, size)
        except AttributeError:  # macOS has no posix_fallocate.
            self._fill(size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            self._fill(size)

    def _fill(self, size: int) -> None:
        at = self.size()
        while at < size:
            chunk = _ZERO_CHUNK[: size - at]
            self.pwrite(chunk, at)
            at += len(chunk)

    def truncate(self, size: int) -> None:
        """Cut or extend the file; an extension is a hole."""
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        """fdatasync; on macOS the call that also empties the drive's cache."""
        if hold:
            hold.wait()
        if _FULL_SYNC is not None:
            fcntl.fcntl(self._fd, _FULL_SYNC)
        else:
            _datasync(self._fd)

    def size(self) -> int:
        """Bytes in the file now."""
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        """Release the descriptor; closing twice is harmless."""
        fd, self._fd = self._fd, -1
        through, self._through = self._through, -1
        for descriptor in (fd, through):
            if descriptor >= 0:
                os.close(descriptor)


class OsFiles:
    """The real directory tree; relative paths are those of the process."""

    def open(self, path: str, *, create: bool = False) -> OsFile:
        """Open for reading and writing; a new file is readable by its owner alone."""
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        return OsFile(os.open(path, flags, 0o600), path)

    def listdir(self, path: str) -> list[str]:
        """Names in a directory, sorted; empty when it does not exist."""
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        """Whether a file or directory of that name is there."""
        return os.path.exists(path)

    def makedirs(self, path: str) -> None:
        """Create a directory and its parents, closed to other users; each new name is synced in its parent."""
        if path and not os.path.isdir(path):
            parent = os.path.dirname(path.rstrip("/"))
            self.makedirs(parent)
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
            self.sync_dir(parent or ".")

    def rename(self, source: str, target: str) -> None:
        """Replace ``target`` by ``source`` atomically."""
        os.replace(source, target)

    def unlink(self, path: str) -> None:
        """Remove a file."""
        os.unlink(path)

    def sync_dir(self, path: str) -> None:
        """Sync a directory, so that names created, changed and removed in it survive a power cut."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, path: str) -> int:
        """Bytes that an ordinary process may still write on the file system of ``path``."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize


class ReadOnlyOsFiles(OsFiles):
    """The same tree for a reader beside a running node: no file that it opens can be changed or made."""

    def open(self, path: str, *, create: bool = False) -> OsFile:
        """Open for reading; ``create`` is not to be had."""
        if create:
            raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), path)
        return OsFile(os.open(path, os.O_RDONLY), path)


def as_helios_error(error: OSError, doing: str) -> HeliosError:
    """The engine's error for a failed file operation: DiskFull when there was no room, else IoFailed.

    ``doing`` completes "could not", for example ``write the page log``.
    """
    reason = error.strerror or str(error)
    if error.errno in NO_SPACE:
        return DiskFull(
            f"could not {doing}: {reason}",
            hint="Free space on the file system of the data directory; writes resume by themselves.",
        )
    return IoFailed(f"could not {doing}: {reason}", hint="Check the disk and the system log, then restart the node.")
