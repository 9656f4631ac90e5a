"""The two servers under comparison, each in a directory and on a port of its own, ended by pid."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

START_S: Final = 60.0
STOP_S: Final = 20.0
MAX_CONNECTIONS: Final = 1200


class ServerFailed(Exception):
    """A server did not start; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where clients connect: always TCP on the loopback, for both sides."""

    port: int
    database: str
    user: str = "postgres"
    options: str = ""
    """Settings of a tool's session, as PGOPTIONS has them."""

    def environment(self) -> dict[str, str]:
        """libpq's variables for this endpoint."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": self.database,
            "PGUSER": self.user,
            "PGSSLMODE": "disable",
            "PGGSSENCMODE": "disable",
            "PGCONNECT_TIMEOUT": "10",
            "PGOPTIONS": self.options,
        }

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection in autocommit. Raises psycopg.OperationalError."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=self.database,
            user=self.user,
            sslmode="disable",
            gssencmode="disable",
            connect_timeout=10,
            autocommit=True,
        )


class Server(ABC):
    """One server process and its directory. Subclasses say how it is prepared and started."""

    name = ""
    database = ""
    stop_signal = signal.SIGTERM

    def __init__(self, base: Path | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-", dir=base))
        self.endpoint = Endpoint(free_port(), self.database)
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Make the data directory, where that is an act of its own."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""

    def account(self) -> dict[str, Any]:
        """Arguments for Popen that choose the user; none to keep ours."""
        return {}

    def start(self) -> float:
        """Start and wait for the first answer; gives the seconds from the command to it. Raises ServerFailed."""
        started = time.perf_counter()
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.working_directory(),
                **self.account(),
            )
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - started > START_S:
                self.stop()
                raise ServerFailed(f"{self.name} did not start: {self._log_tail()}")
            time.sleep(0.002)
        return time.perf_counter() - started

    def working_directory(self) -> Path:
        """Where the process runs."""
        return self.directory

    def stop(self) -> None:
        """End the process: asked first, killed after 20 s. Idempotent."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(self.stop_signal)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _, alive = psutil.wait_procs(children, timeout=5)
        for child in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def remove(self) -> None:
        """Stop, and delete the directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """The server's process and all its children. Empty when it does not run."""
        if self._process is None:
            return []
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def version(self) -> str:
        """What the server says its version is."""
        with self.endpoint.connect() as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return str(row[0]) if row else ""

    @property
    def _log_path(self) -> Path:
        return self.directory / "server.log"

    def _answers(self) -> bool:
        if not port_open(self.endpoint.port):
            return False
        try:
            with self.endpoint.connect() as connection:
                return connection.execute("SELECT 1").fetchone() is not None
        except psycopg.Error:
            return False

    def _log_tail(self) -> str:
        lines = self._log_path.read_text(errors="replace").splitlines()
        return " | ".join(lines[-5:]) or "it wrote nothing"


class PostgresServer(Server):
    """PostgreSQL with full durability; run as user postgres when we are root, whom it refuses."""

    name = "postgresql"
    database = "postgres"
    stop_signal = signal.SIGINT
    locale = "--no-locale"
    """initdb's option for the locale of the cluster."""

    def __init__(self, binaries: Path, base: Path | None = None) -> None:
        super().__init__(base)
        self._binaries = binaries
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)

    def prepare(self) -> None:
        """initdb with data synced to disk."""
        arguments = ["-D", str(self.directory / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", self.locale]
        done = subprocess.run(
            [str(self._binaries / "initdb"), *arguments],
            capture_output=True, text=True, timeout=120, cwd=self.directory, **self.account(),
        )  # fmt: skip
        if done.returncode != 0:
            raise ServerFailed(f"initdb failed: {done.stderr.strip()[-300:]}")

    def command(self) -> list[str]:
        """The server with its settings on the command line."""
        settings = {
            "port": self.endpoint.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "shared_buffers": "256MB",
            "max_connections": MAX_CONNECTIONS,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self._binaries / "postgres"), "-D", str(self.directory / "data"), *options]

    def account(self) -> dict[str, Any]:
        """User postgres, for root only."""
        return postgres_account()


class NodeServer(Server):
    """One HeliosDB Nano node with its defaults: every commit is synced before it is answered."""

    name = "heliosdb"
    database = "heliosdb"

    def __init__(self, base: Path | None = None, python: Sequence[str] = (sys.executable,)) -> None:
        super().__init__(base)
        self._python = list(python)
        self.native_port, self.http_port = free_port(), free_port()

    def prepare(self) -> None:
        """Nothing: the first start makes the directory."""

    def command(self) -> list[str]:
        """``python -m helios_cli start`` with ports of its own."""
        ports = ["--pg-port", str(self.endpoint.port), "--native-port", str(self.native_port)]
        ports += ["--http-port", str(self.http_port)]
        data = str(self.directory / "data")
        settings = ["--set", f"max_connections={MAX_CONNECTIONS}"]
        return [*self._python, "-m", "helios_cli", "start", "--data-dir", data, *ports, *settings]

    def working_directory(self) -> Path:
        """The checkout, so that the package is found without being installed."""
        return Path(__file__).resolve().parent.parent


class ClusterNode(NodeServer):
    """A node with a role: a primary, or a standby of the one with that native port."""

    def __init__(
        self, base: Path | None, node_id: str, upstream_port: int | None = None, *, mode: str = "async"
    ) -> None:
        super().__init__(base)
        self.node_id = node_id
        self._upstream_port = upstream_port
        self._mode = mode

    def command(self) -> list[str]:
        """As for a single node, and who leads."""
        role = ["--replication-role", "primary"]
        if self._upstream_port is not None:
            upstream = ["--primary-host", "127.0.0.1", "--primary-port", str(self._upstream_port)]
            role = ["--replication-role", "standby", *upstream]
        return [*super().command(), "--node-id", self.node_id, "--replication-mode", self._mode, *role]


def admin(node: NodeServer, verb: str, body: Mapping[str, Any]) -> Any:
    """What a node answers to a verb of ``/admin/``. Raises ServerFailed."""
    token = (node.directory / "data" / "http.token").read_text().strip()
    url = f"http://127.0.0.1:{node.http_port}/admin/{verb}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise ServerFailed(f"{verb} failed: {error.read().decode(errors='replace')[:300]}") from error


def postgres_account() -> dict[str, Any]:
    """Arguments for Popen that run a program as user postgres when we are root; none else."""
    if os.getuid() != 0:
        return {}
    owner = pwd.getpwnam("postgres")
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def postgres_binaries() -> Path | None:
    """The directory of PostgreSQL 15's server programs; None when they are not installed."""
    usual = Path("/usr/lib/postgresql/15/bin")
    if (usual / "postgres").exists():
        return usual
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


def free_port() -> int:
    """A port of the loopback that nobody listens on, below the range that outgoing connections take theirs from."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def port_open(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
