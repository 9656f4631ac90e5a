"""Facts about the machine a node runs on, measured, not judged. Touches disks and sockets: not for the event loop."""

from __future__ import annotations

import os
import random
import resource
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

SYNC_ROUNDS: Final = 16


@dataclass(frozen=True, slots=True)
class PortUse:
    """Who holds a TCP port."""

    port: int
    free: bool
    holder: str
    """Name and process id, or ``another process`` when the system does not tell; empty when free."""
    pid: int | None


def python_version() -> tuple[int, int, int]:
    """Of the interpreter that runs this."""
    return sys.version_info[:3]


def sqlite_version() -> str:
    """Of the SQLite library that the node would use; empty when it cannot be loaded."""
    try:
        import apsw
    except ImportError:
        return ""
    return str(apsw.sqlite_lib_version())


def existing_parent(path: Path) -> Path:
    """The path itself, or the nearest directory above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def file_system(path: Path) -> str:
    """Type of the file system that holds a path, as the kernel names it; empty when unknown."""
    target = str(existing_parent(path).resolve())
    best = ("", "")
    for part in psutil.disk_partitions(all=True):
        inside = target == part.mountpoint or target.startswith(part.mountpoint.rstrip("/") + "/")
        if inside and len(part.mountpoint) >= len(best[0]):
            best = (part.mountpoint, part.fstype)
    return best[1]


def sync_latency_ms(path: Path) -> float:
    """Median time of writing 4 KiB and ``fdatasync`` in the directory of a path, milliseconds.

    Raises:
        OSError: the directory cannot be written.
    """
    directory = existing_parent(path)
    times = []
    with tempfile.TemporaryFile(dir=directory if directory.is_dir() else directory.parent) as file:
        descriptor = file.fileno()
        os.posix_fallocate(descriptor, 0, 4096 * SYNC_ROUNDS)
        os.fsync(descriptor)
        for index in range(SYNC_ROUNDS):
            begin = time.perf_counter()
            os.pwrite(descriptor, os.urandom(4096), 4096 * index)
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - begin)
    return sorted(times)[SYNC_ROUNDS // 2] * 1000


def free_bytes(path: Path) -> int:
    """Bytes an ordinary process may still write where the path is."""
    stat = os.statvfs(existing_parent(path))
    return stat.f_bavail * stat.f_frsize


def port_use(address: str, port: int) -> PortUse:
    """Whether a node could listen there, and who does if not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return _holder(port)
    return PortUse(port, True, "", None)


def _holder(port: int) -> PortUse:
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and bool(connection.laddr)
            if listens and getattr(connection.laddr, "port", 0) == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                return PortUse(port, False, f"{name} (process {connection.pid})", connection.pid)
    except psutil.Error:
        pass
    return PortUse(port, False, "another process", None)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free a moment ago, all different.

    They lie below the range that outgoing connections draw from: a client that keeps knocking at a dead port inside
    that range can be given the very port it knocks at, and then talks to itself while the server cannot come back.
    """
    found: set[int] = set()
    while len(found) < count:
        port = random.randrange(10_000, 32_000)
        if port not in found and port_use("127.0.0.1", port).free:
            found.add(port)
    return list(found)


def open_files_max() -> int:
    """Descriptors this process may open; -1 without a limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return -1 if soft == resource.RLIM_INFINITY else soft


def file_size_max() -> int:
    """Bytes of the largest file this process may write; -1 without a limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return -1 if soft == resource.RLIM_INFINITY else soft


def memory_available_bytes() -> int:
    """Memory that new processes could use without swapping."""
    return int(psutil.virtual_memory().available)


def clock_drift_ms(interval_s: float = 0.05) -> float:
    """How far the wall clock moved beside the steady one during an interval, milliseconds; 0 for a quiet clock."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(interval_s)
    return ((time.time() - wall) - (time.monotonic() - steady)) * 1000


def wall_clock_s() -> float:
    """Seconds since 1970-01-01 UTC."""
    return time.time()
