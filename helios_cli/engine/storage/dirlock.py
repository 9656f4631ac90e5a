"""One process per data directory, by an advisory lock that the system drops when the process ends."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from helios_cli.engine.errors import DataDirectoryInUse
from helios_cli.engine.storage.files import as_helios_error

NAME: Final = "lock"
_MAX_BYTES: Final = 65536
_ATTEMPTS: Final = 20
_PAUSE_S: Final = 0.005


class LockHolder(NamedTuple):
    """What the process that holds, or last held, a data directory wrote about itself."""

    pid: int
    ports: dict[str, int]
    """Listening ports by face: ``pg``, ``peer``, ``http``."""
    started_us: int
    """When it took the lock, microseconds since 1970-01-01 UTC."""


class DirectoryLock:
    """An exclusive lock on a data directory, held until :meth:`release` or the end of the process."""

    def __init__(self, fd: int, path: str) -> None:
        """Use :meth:`acquire`."""
        self._fd = fd
        self.path = path

    @classmethod
    def acquire(cls, directory: str, *, ports: Mapping[str, int], started_us: int, pid: int) -> DirectoryLock:
        """Take the lock and write down who holds it; gives up after a tenth of a second.

        Raises:
            DataDirectoryInUse: another process holds it; the message names the process and its ports.
            DiskFull, IoFailed: the file system refused.
        """
        path = f"{directory}/{NAME}"
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise as_helios_error(error, f"open {path}") from error
        if not _try_lock(fd):
            os.close(fd)
            raise _in_use(directory, read_holder(directory))
        lock = cls(fd, path)
        lock.describe(ports=ports, started_us=started_us, pid=pid)
        return lock

    def describe(self, *, ports: Mapping[str, int], started_us: int, pid: int) -> None:
        """Write down who holds the lock, again once the ports are known."""
        text = json.dumps({"pid": pid, "ports": dict(ports), "started_us": started_us}) + "\n"
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text.encode(), 0)
        except OSError as error:
            raise as_helios_error(error, f"write {self.path}") from error

    def release(self) -> None:
        """Let another process have the directory; releasing twice is harmless.

        The file stays: removing it would let two processes lock two files of the same name.
        """
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def _try_lock(fd: int) -> bool:
    # A few attempts, because running_holder() may have the lock shared for an instant.
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(_PAUSE_S)
    return False


def read_holder(directory: str) -> LockHolder | None:
    """Who wrote the lock file last; None when there is none or it cannot be understood. Takes no lock."""
    try:
        with open(f"{directory}/{NAME}", "rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
        ports = {str(face): int(port) for face, port in content["ports"].items()}
        return LockHolder(int(content["pid"]), ports, int(content["started_us"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def running_holder(directory: str) -> LockHolder | None:
    """The process that holds the directory now; None when it is free.

    Asks the system whether a shared lock is to be had, without ever holding the exclusive one.
    """
    try:
        fd = os.open(f"{directory}/{NAME}", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_holder(directory) or LockHolder(0, {}, 0)
    finally:
        os.close(fd)
    return None


def _in_use(directory: str, holder: LockHolder | None) -> DataDirectoryInUse:
    message = f'data directory "{directory}" is in use'
    if holder is not None:
        message += f" by process {holder.pid}"
        if holder.ports:
            message += f" (ports {', '.join(str(port) for port in holder.ports.values())})"
    hint = 'Stop that node, or give this one another directory with "--data-dir".'
    return DataDirectoryInUse(message, hint=hint)
