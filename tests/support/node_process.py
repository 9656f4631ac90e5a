"""A real node in a process of its own, on free ports and a fresh directory: the fixtures ``node`` and ``make_node``.

    def test_something(node: NodeProcess) -> None:
        with node.connect() as connection:
            connection.execute("CREATE TABLE t (a int)")
        node.kill()
        node.start()

Every node is killed by pid at the end of its test; what it logged is shown when the test fails. It is forked from a
process that has imported the product (:mod:`support.node_forks`), unless ``program`` says otherwise.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import psycopg
import pytest
from support.node_forks import ForkedProcess, fork_server

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0
STOP_S = 20.0


def _own_ports() -> Iterator[int]:
    """Ports of this test process alone, in a random order: another one must not take the port of a node that is down.

    They lie below the range that outgoing connections take theirs from.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(12_000 + worker, 32_000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    return iter(random.sample(ports, len(ports)))


_ports = _own_ports()


def free_port() -> int:
    """A port nobody listens on, and that was not given before."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail("there is no free port left")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Come back when ``condition`` holds; fail the test by name of ``what`` when it does not in time.

    A node that cannot be asked now (it opens its database anew, say) is asked again.
    """
    deadline = time.monotonic() + seconds
    while True:
        unreachable: OSError | None = None
        try:
            if condition():
                return
        except OSError as error:
            unreachable = error
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:.0f} s" + (f" ({unreachable})" if unreachable else ""))
        time.sleep(0.01)


class NodeProcess:
    """One node; its ports and its directory stay the same from start to start."""

    def __init__(
        self, directory: Path, flags: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.log_path = directory / "node.log"
        self.flags = list(flags)
        """Further flags of ``start``; a test may change them between two starts."""
        self.pg_port, self.native_port, self.http_port = free_port(), free_port(), free_port()
        self.environment_of_start = dict(environment or {})
        """Variables of the process; a test may change them between two starts."""
        self.program = False
        """Whether it is started as a program of its own, as users do; to be set before the start."""
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    @property
    def pid(self) -> int:
        """The process id of the running node."""
        assert self._process is not None, "the node is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def token(self) -> str:
        """The token of the admin verbs."""
        return (self.data_dir / "http.token").read_text().strip()

    def arguments(self) -> list[str]:
        """What ``heliosdb-nano`` is given."""
        ports = ["--pg-port", str(self.pg_port), "--native-port", str(self.native_port)]
        ports += ["--http-port", str(self.http_port)]
        return ["start", "--data-dir", str(self.data_dir), *ports, *self.flags]

    def start(self, *, wait: bool = True) -> NodeProcess:
        """Start, and wait until /health is 200. Fails the test when the process ends or takes too long."""
        assert not self.running, "the node is running already"
        with self.log_path.open("ab") as log:
            self._process = self._start(log)
        if wait:
            self.wait_healthy()
        return self

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes] | ForkedProcess:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("HELIOSDB_", "PG"))}
        environment = inherited | self.environment_of_start
        # What is meant for the interpreter takes one of its own.
        if not self.program and not any(name.startswith("PYTHON") for name in self.environment_of_start):
            return fork_server().start(self.arguments(), environment, log.fileno())
        command = [sys.executable, "-m", "helios_cli", *self.arguments()]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_healthy(self, seconds: float = START_S) -> None:
        """Wait until /health is 200; fails the test when the process ends first."""

        def healthy() -> bool:
            if not self.running:
                pytest.fail(f"the node ended by itself with {self.wait()}:\n{self.log_tail()}")
            try:
                return self.http("/health")[0] == 200
            except OSError:
                return False

        try:
            wait_until(healthy, "the node is healthy", seconds)
        except pytest.fail.Exception:
            self.kill()
            raise

    def stop(self) -> int:
        """Ask by SIGTERM; gives the exit code. A node that does not end in 20 s is killed and fails the test."""
        assert self._process is not None, "the node is not running"
        self._process.send_signal(signal.SIGTERM)
        try:
            return self.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the node did not stop within {STOP_S:.0f} s of SIGTERM:\n{self.log_tail()}")

    def kill(self) -> None:
        """SIGKILL, and wait for the end. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def restart(self) -> NodeProcess:
        """Stop and start again."""
        self.stop()
        return self.start()

    def wait(self, seconds: float = STOP_S) -> int:
        """Wait for the end; gives the exit code, negative for a signal."""
        assert self._process is not None, "the node is not running"
        code = self._process.wait(seconds)
        self._process = None
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal, SIGHUP or SIGSTOP for example."""
        os.kill(self.pid, number)

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A psycopg connection in autocommit, unless told otherwise."""
        given: dict[str, Any] = {"host": "127.0.0.1", "port": self.pg_port, "dbname": "heliosdb", "user": "postgres"}
        return psycopg.connect(**(given | {"connect_timeout": 10, "autocommit": True} | options))

    def environment(self) -> dict[str, str]:
        """The environment in which psql, pgbench and pg_dump reach this node."""
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(self.pg_port), "PGDATABASE": "heliosdb", "PGUSER": "postgres"}
        return inherited | place | {"PGCONNECT_TIMEOUT": "10"}

    def http(self, path: str, *, body: Mapping[str, Any] | None = None, timeout: float = 10.0) -> tuple[int, Any]:
        """Status and content of an HTTP answer: JSON decoded, other types as text. ``body`` makes it an admin POST."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, _content(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error)

    def log_tail(self, lines: int = 40) -> str:
        """The end of what the node logged; empty before the first start."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


def _content(answer: Any) -> Any:
    raw = answer.read()
    return json.loads(raw) if answer.headers.get_content_type() == "application/json" else raw.decode()


class MakeNode(Protocol):
    """Starts a node with further flags and environment; ``start=False`` only prepares it."""

    def __call__(
        self, *flags: str, environment: Mapping[str, str] | None = None, start: bool = True
    ) -> NodeProcess: ...


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    """A function that makes nodes, each in a directory of its own; all are killed at the end of the test."""
    made: list[NodeProcess] = []

    def make(*flags: str, environment: Mapping[str, str] | None = None, start: bool = True) -> NodeProcess:
        directory = tmp_path / f"node{len(made) + 1}"
        directory.mkdir()
        made.append(NodeProcess(directory, flags, environment))
        return made[-1].start() if start else made[-1]

    yield make
    for each in made:
        each.kill()
        sys.stdout.write(f"--- {each.directory.name}\n{each.log_tail()}\n")


@pytest.fixture
def node(make_node: MakeNode) -> NodeProcess:
    """A fresh node that serves."""
    return make_node()
