"""A primary with one synchronous standby, of either kind: a commit is answered when the standby has applied it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

import psutil

from bench.servers import ClusterNode, Endpoint, PostgresServer, Server, ServerFailed

IN_SYNC_S: Final = 60.0


class WithStandby(Server):
    """A server that is a primary; its standby ends and goes with it."""

    standby: Server

    def stop(self) -> None:
        """Stop both."""
        super().stop()
        self.standby.stop()

    def remove(self) -> None:
        """Stop both, and delete their directories."""
        super().remove()
        self.standby.remove()

    def processes(self) -> list[psutil.Process]:
        """Those of both."""
        return [*super().processes(), *self.standby.processes()]


class PostgresPair(WithStandby, PostgresServer):
    """PostgreSQL with a streaming standby and ``synchronous_commit = remote_apply``."""

    def __init__(self, binaries: Path, base: Path | None = None) -> None:
        super().__init__(binaries, base)
        self.standby = PostgresServer(binaries, base)
        self.synchronous = False

    def command(self) -> list[str]:
        """The primary, which waits for its standby once that is there."""
        wanted = {"synchronous_commit": "remote_apply", "synchronous_standby_names": "*"} if self.synchronous else {}
        return [*super().command(), *(word for name, value in wanted.items() for word in ("-c", f"{name}={value}"))]

    def start(self) -> float:
        """Start the primary, copy it for the standby, and make commits wait for it."""
        started = time.perf_counter()
        super().start()
        standby = self.standby
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
        _wait_in_sync(self.endpoint)
        return time.perf_counter() - started


class NodePair(WithStandby, ClusterNode):
    """A node with a standby in mode sync."""

    def __init__(self, base: Path | None = None) -> None:
        super().__init__(base, "n1", mode="sync")
        self.standby = ClusterNode(base, "n2", self.native_port, mode="sync")

    def start(self) -> float:
        """Start both, and wait until the standby's copy counts."""
        started = time.perf_counter()
        super().start()
        self.standby.start()
        _wait_in_sync(self.endpoint)
        return time.perf_counter() - started


def _wait_in_sync(endpoint: Endpoint) -> None:
    query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
    deadline = time.monotonic() + IN_SYNC_S
    with endpoint.connect() as connection:
        while connection.execute(query).fetchone() != (1,):
            if time.monotonic() > deadline:
                raise ServerFailed("the standby did not come in sync")
            time.sleep(0.05)
