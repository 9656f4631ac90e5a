"""A PostgreSQL server of the test's own, for comparing answers."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class PostgresServer:
    """A running server, reached by its socket directory and port."""

    directory: str
    port: int

    def connect(self) -> Any:
        """An autocommit psycopg connection in UTC."""
        psycopg = pytest.importorskip("psycopg")
        return psycopg.connect(
            f"host={self.directory} port={self.port} user=helios dbname=postgres options='-c TimeZone=UTC'",
            autocommit=True,
        )


def answer(connection: Any, sql: str) -> list[tuple[str | None, ...]] | tuple[str, str]:
    """Rows as text, or (SQLSTATE, message)."""
    result = connection.pgconn.exec_(sql.encode())
    if result.status == 2:
        rows = range(result.ntuples)
        return [
            tuple(
                None if (cell := result.get_value(row, at)) is None else cell.decode() for at in range(result.nfields)
            )
            for row in rows
        ]
    if result.status == 1:
        return []
    return result.error_field(ord("C")).decode(), result.error_field(ord("M")).decode()


def run_server(program: Callable[[str], str]) -> Iterator[PostgresServer]:
    """Start a server in a directory of its own, and stop it by its process at the end."""
    base = Path(tempfile.mkdtemp(prefix="pgref"))
    owner: dict[str, Any] = {}
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(base, account.pw_uid, account.pw_gid)
        owner = {"user": account.pw_uid, "group": account.pw_gid}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = base / "data"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": base, **owner}
    initdb = [program("initdb"), "-D", str(data), "-U", "helios", "-A", "trust", "-N", "--locale=C.UTF-8", "-E", "UTF8"]
    subprocess.run(initdb, check=True, **quiet)
    command = [program("postgres"), "-D", str(data), "-p", str(port), "-k", str(base), "-h", "", "-c", "fsync=off"]
    process = subprocess.Popen(command, **quiet)
    try:
        deadline = time.monotonic() + 30
        while subprocess.run([program("pg_isready"), "-q", "-h", str(base), "-p", str(port)], check=False).returncode:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("the PostgreSQL server did not start")
        yield PostgresServer(str(base), port)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        shutil.rmtree(base, ignore_errors=True)
