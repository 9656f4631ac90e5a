"""A proxy in a process of its own, before nodes that a test has started.

    proxy = ProxyProcess(tmp_path, nodes, settings={"read_your_writes": False}).start()
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
    proxy.kill()

Settings are keys of ``[proxy]``; a value is written as TOML.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import psutil
import psycopg
import pytest
from support.node_process import ROOT, free_port, wait_until

START_S = 30.0
STOP_S = 20.0
PROGRAM = "import sys; from helios_cli.cli import main_proxy; sys.exit(main_proxy())"


class Backend(Protocol):
    """A node as the proxy needs to know it: ours or a plain PostgreSQL."""

    pg_port: int


class ProxyProcess:
    """One proxy; its ports and its directory stay the same from start to start."""

    def __init__(
        self,
        directory: Path,
        nodes: Sequence[Backend | int],
        *,
        settings: Mapping[str, Any] | None = None,
        database: str = "heliosdb",
        user: str = "postgres",
        more: str = "",
    ) -> None:
        """``nodes``: the primary first; a number is a port of the loopback. ``more``: further tables, as TOML."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.config_path = directory / "proxy.toml"
        self.log_path = directory / "proxy.log"
        self.ports = [node if isinstance(node, int) else node.pg_port for node in nodes]
        self.pg_port, self.admin_port = free_port(), free_port()
        self.database, self.user, self.more = database, user, more
        self.settings: dict[str, Any] = {
            "listen_addr": f"127.0.0.1:{self.pg_port}",
            "admin_addr": f"127.0.0.1:{self.admin_port}",
            "database": database,
            "auth_user": user,
            "health_check_interval_secs": 1,
            **(settings or {}),
        }
        """A test may change them between two starts, or before :meth:`write_config` and SIGHUP."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running proxy."""
        assert self._process is not None, "the proxy is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def config(self) -> str:
        """The text of proxy.toml."""
        lines = ["[proxy]", *(f"{name} = {_toml(value)}" for name, value in self.settings.items()), self.more]
        for number, port in enumerate(self.ports, 1):
            lines += ["[[nodes]]", f'name = "n{number}"', 'host = "127.0.0.1"', f"port = {port}"]
            lines += [f'role = "{"primary" if number == 1 else "standby"}"']
        return "\n".join([*lines, ""])

    def write_config(self) -> None:
        """Write proxy.toml as the settings are now."""
        self.config_path.write_text(self.config())

    def command(self) -> list[str]:
        """What is run."""
        return [sys.executable, "-c", PROGRAM, "--config", str(self.config_path)]

    def start(self, *, wait: bool = True) -> ProxyProcess:
        """Start, and wait until it answers a statement."""
        assert not self.running, "the proxy is running already"
        self.write_config()
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("HELIOSDB_", "PG"))}
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if wait:
            self.wait_healthy()
        return self

    def wait_healthy(self, seconds: float = START_S) -> None:
        """Wait until a statement is answered; fails the test when the process ends first."""

        def healthy() -> bool:
            if not self.running:
                pytest.fail(f"the proxy ended by itself with {self.wait()}:\n{self.log_tail()}")
            try:
                with self.connect(connect_timeout=5) as connection:
                    return connection.execute("SELECT 1").fetchone() == (1,)
            except (OSError, psycopg.Error):
                return False

        try:
            wait_until(healthy, "the proxy is healthy", seconds)
        except pytest.fail.Exception:
            self.kill()
            sys.stdout.write(self.log_tail())
            raise

    def stop(self) -> int:
        """Ask by SIGTERM; gives the exit code. A proxy that does not end in 20 s is killed and fails the test."""
        assert self._process is not None, "the proxy is not running"
        self._process.send_signal(signal.SIGTERM)
        try:
            return self.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the proxy did not stop within {STOP_S:.0f} s of SIGTERM:\n{self.log_tail()}")

    def kill(self) -> None:
        """SIGKILL, and wait for the end; its workers go with it. Idempotent."""
        if self._process is None:
            return
        children = psutil.Process(self.pid).children(recursive=True) if self.running else []
        self._process.kill()
        self.wait()
        for child in children:
            if child.is_running():
                child.kill()

    def wait(self, seconds: float = STOP_S) -> int:
        """Wait for the end; gives the exit code, negative for a signal."""
        assert self._process is not None, "the proxy is not running"
        code = self._process.wait(seconds)
        self._process = None
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal, SIGHUP or SIGSTOP for example."""
        os.kill(self.pid, number)

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A psycopg connection in autocommit, unless told otherwise."""
        given: dict[str, Any] = {"host": "127.0.0.1", "port": self.pg_port, "dbname": self.database, "user": self.user}
        return psycopg.connect(**(given | {"connect_timeout": 10, "autocommit": True} | options))

    def environment(self) -> dict[str, str]:
        """The environment in which psql, pgbench and pg_dump reach it."""
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(self.pg_port), "PGDATABASE": self.database, "PGUSER": self.user}
        return inherited | place | {"PGCONNECT_TIMEOUT": "10"}

    def http(
        self, path: str, *, body: Mapping[str, Any] | None = None, token: str = "", timeout: float = 10.0
    ) -> tuple[int, Any]:
        """Status and content of an answer of the admin address: JSON decoded, else text. ``body`` makes it a POST."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, _content(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error)

    @property
    def token(self) -> str:
        """What the verbs want."""
        return (self.directory / "proxy.token").read_text().strip()

    def verb(self, path: str, *, timeout: float = 60.0) -> tuple[int, Any]:
        """POST with the token."""
        return self.http(path, body={}, token=self.token, timeout=timeout)

    def memory_bytes(self) -> int:
        """Resident memory of the process and its workers."""
        process = psutil.Process(self.pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))

    def log_tail(self, lines: int = 40) -> str:
        """The end of what the proxy logged; empty before the first start."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


def _toml(value: Any) -> str:
    """JSON's strings, numbers, lists and booleans are TOML's."""
    return json.dumps(value)


def _content(answer: Any) -> Any:
    raw = answer.read()
    return json.loads(raw) if answer.headers.get_content_type() == "application/json" else raw.decode()


def wait_spread(proxy: ProxyProcess, count: int, seconds: float = START_S) -> None:
    """Wait until reads come from so many nodes."""
    seen: set[Any] = set()
    deadline = time.monotonic() + seconds
    with proxy.connect() as connection:
        while len(seen) < count and time.monotonic() < deadline:
            seen.add(connection.execute("SELECT inet_server_port()").fetchone())
    assert len(seen) >= count, f"reads come from {seen} alone\n{proxy.log_tail()}"
