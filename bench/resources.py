"""What a server takes: memory, bytes written, time to start, time to load."""

from __future__ import annotations

import contextlib
import os
import re
import resource
from collections.abc import Sequence
from pathlib import Path

import psutil
import psycopg

from bench.servers import Server

IDLE_CONNECTIONS = 1000
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.M)


def memory_bytes(server: Server) -> float:
    """Resident memory of a lone process; of several, the sum of their proportional shares (shared pages once)."""
    processes = server.processes()
    if len(processes) == 1:
        return float(processes[0].memory_info().rss)
    return float(sum(_pss(process.pid) for process in processes))


def memory_with_idle_connections(server: Server, count: int) -> float:
    """The same while ``count`` connections that each ran one statement are open. Raises psycopg.Error."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = server.endpoint.connect()
            stack.callback(connection.close)
            connection.execute("SELECT 1")
        return memory_bytes(server)


def bytes_written(server: Server) -> int:
    """Bytes the server has caused to be written since its start, as its processes' accounts have it.

    The kernel counts a page when it gets dirty, and with large folios the whole folio: more than goes to the disk.
    Linux adds the accounts of a reaped child to its parent (kernel/exit.c, wait_task_zombie).
    """
    total = 0
    for process in server.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.io_counters().write_bytes
    return total


def device_stat(directory: Path, devices: Path = Path("/sys/dev/block")) -> Path | None:
    """The counters of the block device that holds ``directory``; None where there is none (tmpfs, overlay, btrfs)."""
    device = directory.stat().st_dev
    path = devices / f"{os.major(device)}:{os.minor(device)}" / "stat"
    return path if path.exists() else None


def device_bytes_written(stat: Path) -> int:
    """Bytes written to a block device by anybody: its seventh counter, in sectors of 512 (Documentation/block/stat)."""
    return int(stat.read_text().split()[6]) * 512


class WriteMeter:
    """Bytes written between two looks: the device's, since they are what reaches the disk, else the processes'."""

    def __init__(self, servers: Sequence[Server], devices: Path = Path("/sys/dev/block")) -> None:
        stats = {server.name: device_stat(server.directory, devices) for server in servers}
        self._stats = {name: stat for name, stat in stats.items() if stat is not None}
        self.by_device = len(self._stats) == len(stats)
        """Both servers are measured in one way, or their figures could not be compared."""

    @property
    def note(self) -> str:
        """How it is measured, for the result."""
        return "counted at the block device" if self.by_device else "estimated from the processes' accounts"

    def read(self, server: Server) -> int:
        """Bytes so far. What the system still holds back is written first, and so counted where it belongs."""
        if not self.by_device:
            return bytes_written(server)
        os.sync()
        return device_bytes_written(self._stats[server.name])


def log_position(server: Server) -> int | None:
    """The end of the server's log in bytes; None when it cannot say."""
    try:
        with server.endpoint.connect() as connection:
            row = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    except psycopg.Error:
        return None
    if row is None or "/" not in str(row[0]):
        return None
    high, low = str(row[0]).split("/")
    return (int(high, 16) << 32) | int(low, 16)


def allow_many_files() -> None:
    """Raise the soft limit of descriptors as far as the hard one lets us, for the servers too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def write_copy_file(path: Path, rows: int) -> None:
    """Lines as ``pgbench -i`` makes them for pgbench_accounts, in COPY's text format."""
    filler = " " * 84
    with path.open("w") as file:
        file.writelines(f"{aid}\t{(aid - 1) // 100_000 + 1}\t0\t{filler}\n" for aid in range(1, rows + 1))


def _pss(pid: int) -> int:
    try:
        match = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(match[1]) * 1024 if match else 0
