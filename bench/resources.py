"""What a server takes: memory, bytes written, time to start, time to load."""

from __future__ import annotations

import contextlib
import re
import resource
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
    """Bytes the server has caused to be written to disk since its start, children that ended included.

    Linux adds the accounts of a reaped child to its parent (kernel/exit.c, wait_task_zombie).
    """
    total = 0
    for process in server.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.io_counters().write_bytes
    return total


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
