"""A primary with one synchronous standby, of either kind: a commit is answered when the standby has applied it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, Final

import psutil

from bench.servers import NodeServer, PostgresServer, ServerFailed

IN_SYNC_S: Final = 60.0


class PostgresPair(PostgresServer):
    """PostgreSQL with a streaming standby and ``synchronous_commit = remote_apply``."""

    def __init__(self, binaries: Path, base: Path | None = None) -> None:
        super().__init__(binaries, base)
        self._standby = PostgresServer(binaries, base)
        self.synchronous = False

    def command(self) -> list[str]:
        """The primary, which waits for its standby once that is there."""
        wanted = {"synchronous_commit": "remote_apply", "synchronous_standby_names": "*"} if self.synchronous else {}
        return [*super().command(), *(word for name, value in wanted.items() for word in ("-c", f"{name}={value}"))]

    def start(self) -> float:
        """Start the primary, copy it for the standby, and make commits wait for it."""
        started = time.perf_counter()
        super().start()
        standby = self._standby
        arguments = ["-h", "127.0.0.1", "-p", str(self.endpoint.port), "-U", "postgres", "-R", "-X", "stream"]
        done = subprocess.run(
            [str(self._binaries / "pg_basebackup"), "-D", str(standby.directory / "data"), "-c", "fast", *arguments],
            capture_output=True, text=True, timeout=120, cwd=standby.directory, **self.account(),
        )  # fmt: skip
        if done.returncode != 0:
            raise ServerFailed(f"pg_basebackup failed: {done.stderr.strip()[-300:]}")
        super().stop()
        self.synchronous = True
        super().start()
        standby.start()
        with self.endpoint.connect() as connection:
            _wait(lambda: _one(connection, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1)
        return time.perf_counter() - started

    def stop(self) -> None:
        """Stop both."""
        super().stop()
        self._standby.stop()

    def remove(self) -> None:
        """Stop both, and delete their directories."""
        super().remove()
        self._standby.remove()

    def processes(self) -> list[psutil.Process]:
        """Those of both."""
        return [*super().processes(), *self._standby.processes()]


class NodePair(NodeServer):
    """A node with a standby in mode sync."""

    def __init__(self, base: Path | None = None) -> None:
        super().__init__(base)
        self._standby = StandbyServer(self.native_port, base)

    def command(self) -> list[str]:
        """The primary."""
        return [*super().command(), "--replication-role", "primary", "--node-id", "n1", "--replication-mode", "sync"]

    def start(self) -> float:
        """Start both, and wait until the standby's copy counts."""
        started = time.perf_counter()
        super().start()
        self._standby.start()
        with self.endpoint.connect() as connection:
            _wait(lambda: _one(connection, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1)
        return time.perf_counter() - started

    def stop(self) -> None:
        """Stop both."""
        super().stop()
        self._standby.stop()

    def remove(self) -> None:
        """Stop both, and delete their directories."""
        super().remove()
        self._standby.remove()

    def processes(self) -> list[psutil.Process]:
        """Those of both."""
        return [*super().processes(), *self._standby.processes()]


class StandbyServer(NodeServer):
    """A standby of a node on this machine."""

    def __init__(self, primary_port: int, base: Path | None = None) -> None:
        super().__init__(base)
        self._primary_port = primary_port

    def command(self) -> list[str]:
        """``start`` as a standby."""
        follows = ["--replication-role", "standby", "--primary-host", "127.0.0.1"]
        follows += ["--primary-port", str(self._primary_port), "--node-id", "n2", "--replication-mode", "sync"]
        return [*super().command(), *follows]


def _one(connection: Any, query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + IN_SYNC_S
    while not condition():
        if time.monotonic() > deadline:
            raise ServerFailed("the standby did not come in sync")
        time.sleep(0.05)
