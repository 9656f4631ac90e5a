"""A PostgreSQL primary with a streaming standby, plain servers of the tests' own: the fixture ``postgres_pair``.

Both listen on the loopback and trust everybody, wait for no disk, and run as user postgres where the tests are root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from support.node_process import free_port, wait_until

START_S = 60.0
SETTINGS = {
    "fsync": "off", "max_connections": "400", "wal_level": "replica", "max_wal_senders": "8", "hot_standby": "on",
    "wal_keep_size": "512MB", "wal_log_hints": "on", "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
    "wal_retrieve_retry_interval": "100ms", "shared_buffers": "32MB", "max_prepared_transactions": "4",
}  # fmt: skip


def _account() -> dict[str, Any]:
    """Arguments of subprocess that make a program run as user postgres, which root must."""
    if os.getuid() != 0:
        return {}
    owner = pwd.getpwnam("postgres")
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


class PlainPostgres:
    """One server; its port and its directory stay the same from start to start."""

    database = "postgres"
    user = "postgres"

    def __init__(self, name: str, directory: Path, program: Callable[[str], str]) -> None:
        self.name = name
        self.data = directory / name
        self.log_path = directory / f"{name}.log"
        self.pg_port = free_port()
        self.settings: dict[str, str] = {}
        """Further ones, for the next start."""
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster lives."""
        return self._process is not None and self._process.poll() is None

    def run(self, name: str, *arguments: str) -> None:
        """A program of PostgreSQL's, to its end. Raises CalledProcessError."""
        with self.log_path.open("ab") as log:
            subprocess.run(
                [self._program(name), *arguments], check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.data.parent, timeout=120, **_account(),
            )  # fmt: skip

    def create(self) -> None:
        """A new database cluster."""
        self.run("initdb", "-D", str(self.data), "-U", self.user, "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host replication all 127.0.0.1/32 trust\n")

    def copy(self, primary: PlainPostgres) -> None:
        """Become a standby of another, with a new copy of it."""
        shutil.rmtree(self.data, ignore_errors=True)
        place = ["-h", "127.0.0.1", "-p", str(primary.pg_port), "-U", self.user]
        self.run("pg_basebackup", "-D", str(self.data), "-c", "fast", "-X", "stream", "-R", "-N", *place)

    def start(self) -> PlainPostgres:
        """Start, and wait until it answers."""
        assert not self.running, "the server is running already"
        settings = SETTINGS | self.settings | {"port": str(self.pg_port), "cluster_name": self.name}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program("postgres"), "-D", str(self.data), *options], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.data.parent, **_account(),
            )  # fmt: skip
        wait_until(self._answers, f"{self.name} answers", START_S)
        return self

    def stop(self) -> None:
        """The fast shutdown: its clients are sent away."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(START_S)
        self._process = None

    def kill(self) -> None:
        """SIGKILL of the postmaster; its backends end when they hear of it. Idempotent."""
        if self._process is None:
            return
        import psutil

        backends = psutil.Process(self.pid).children(recursive=True) if self.running else []
        self._process.kill()
        for backend in backends:
            if backend.is_running():
                backend.kill()
        self._process.wait(START_S)
        psutil.wait_procs(backends, START_S)
        self._process = None

    def send(self, number: signal.Signals) -> None:
        """A signal to the postmaster and all its backends."""
        import psutil

        for process in [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]:
            process.send_signal(number)

    def reload(self, **settings: str) -> None:
        """Other settings at once."""
        with self.connect() as connection:
            for name, value in settings.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            connection.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make a standby the primary, and wait until it is."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "promote")

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A psycopg connection in autocommit, unless told otherwise."""
        given: dict[str, Any] = {"host": "127.0.0.1", "port": self.pg_port, "dbname": self.database, "user": self.user}
        return psycopg.connect(**(given | {"connect_timeout": 10, "autocommit": True} | options))

    def log_tail(self, lines: int = 40) -> str:
        """The end of what the server logged."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, f"it has ended:\n{self.log_tail()}"
        try:
            with self.connect(connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False


class PostgresPair:
    """A primary and its standby; which is which changes with :meth:`fail_over`."""

    database = PlainPostgres.database
    is_heliosdb = False

    def __init__(self, program: Callable[[str], str]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pair-"))
        account = _account()
        if account:
            os.chown(self.directory, account["user"], account["group"])
        self.primary = PlainPostgres("pg1", self.directory, program)
        self.standby = PlainPostgres("pg2", self.directory, program)

    @property
    def nodes(self) -> Sequence[PlainPostgres]:
        """Both, by name."""
        return sorted((self.primary, self.standby), key=lambda node: node.name)

    def start(self) -> PostgresPair:
        """Make both, and wait until the standby streams."""
        self.primary.create()
        self.primary.start()
        self.standby.copy(self.primary)
        self.standby.start()
        self.wait_streaming()
        return self

    def wait_streaming(self) -> None:
        """Wait until the standby streams."""
        query = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"

        def streams() -> bool:
            with self.primary.connect() as connection:
                return connection.execute(query).fetchone() == (1,)

        wait_until(streams, "the standby streams", START_S)

    def wait_caught_up(self) -> None:
        """Wait until the standby shows all that the primary has committed."""
        with self.primary.connect() as connection, self.standby.connect() as other:
            lsn = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
            assert lsn is not None
            shown = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            wait_until(lambda: other.execute(shown, lsn).fetchone() == (True,), "the standby has caught up", START_S)

    def set_lag(self, seconds: float) -> None:
        """How much later than it could the standby shows what the primary has committed."""
        self.standby.reload(recovery_min_apply_delay=f"{seconds * 1000:.0f}ms")

    def fail_over(self) -> None:
        """Kill the primary, promote the standby, and make the killed one its standby."""
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary
        self.standby.copy(self.primary)
        self.standby.start()
        self.wait_streaming()

    def close(self) -> None:
        """Kill both, and remove their files."""
        self.primary.kill()
        self.standby.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
