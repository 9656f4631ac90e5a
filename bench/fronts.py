"""What stands before a backend: our proxy, PgBouncer in transaction mode, or nothing."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.servers import Endpoint, PostgresServer, Server, free_port, postgres_account

POOL_SIZE: Final = 20
MAX_CLIENTS: Final = 10_000
START_PROXY: Final = "import sys; from helios_cli.cli import main_proxy; sys.exit(main_proxy())"


class Front(Server):
    """A pooler on a port of its own; clients log in to it as they would to the backend."""

    def __init__(self, backends: Sequence[Endpoint], base: Path | None = None) -> None:
        """``backends``: the primary first."""
        super().__init__(base)
        self.backends = list(backends)
        self.endpoint = Endpoint(self.endpoint.port, backends[0].database, backends[0].user)


class PgBouncer(Front):
    """PgBouncer in transaction mode; run as user postgres when we are root, which it refuses."""

    name = "pgbouncer"
    stop_signal = signal.SIGTERM
    more_users: Sequence[str] = ()
    """Who may log in beside the backend's user; each has a pool of its own."""

    def prepare(self) -> None:
        """Write its configuration."""
        backend = self.backends[0]
        users, config = self.directory / "users.txt", self.directory / "pgbouncer.ini"
        users.write_text("".join(f'"{name}" ""\n' for name in (backend.user, *self.more_users)))
        settings = {
            "listen_addr": "127.0.0.1", "listen_port": self.endpoint.port, "unix_socket_dir": "",
            "auth_type": "trust", "auth_file": users, "pool_mode": "transaction", "default_pool_size": POOL_SIZE,
            "max_client_conn": MAX_CLIENTS, "log_connections": 0, "log_disconnections": 0,
            "ignore_startup_parameters": "extra_float_digits,options",
        }  # fmt: skip
        lines = ["[databases]", f"* = host=127.0.0.1 port={backend.port}", "[pgbouncer]"]
        config.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items()), ""]))
        for path in (self.directory, users, config) if self.account() else ():
            os.chown(path, self.account()["user"], self.account()["group"])

    def command(self) -> list[str]:
        """In the foreground."""
        return [pgbouncer_program() or "pgbouncer", str(self.directory / "pgbouncer.ini")]

    def account(self) -> dict[str, Any]:
        """User postgres, for root only."""
        return postgres_account()

    def version(self) -> str:
        """Of the server behind it."""
        return f"before {super().version()}"


class Proxy(Front):
    """Our proxy, with its defaults."""

    name = "proxy"

    def __init__(self, backends: Sequence[Endpoint], base: Path | None = None, extra: str = "") -> None:
        """``extra``: further lines of ``[proxy]``."""
        super().__init__(backends, base)
        self._admin_port, self._extra = free_port(), extra

    def prepare(self) -> None:
        """Write proxy.toml."""
        first = self.backends[0]
        lines = [
            "[proxy]",
            f'listen_addr = "127.0.0.1:{self.endpoint.port}"',
            f'admin_addr = "127.0.0.1:{self._admin_port}"',
            f"pool_size = {POOL_SIZE}",
            f'database = "{first.database}"',
            f'auth_user = "{first.user}"',
            self._extra,
        ]
        for number, backend in enumerate(self.backends):
            role = "standby" if number else "primary"
            lines += ["[[nodes]]", f'name = "n{number + 1}"', 'host = "127.0.0.1"', f"port = {backend.port}"]
            lines += [f'role = "{role}"']
        (self.directory / "proxy.toml").write_text("\n".join([*lines, ""]))

    def command(self) -> list[str]:
        """``heliosdb-proxy --config``."""
        return [sys.executable, "-c", START_PROXY, "--config", str(self.directory / "proxy.toml")]

    def working_directory(self) -> Path:
        """The checkout, so that the package is found without being installed."""
        return Path(__file__).resolve().parent.parent


class FastPostgres(PostgresServer):
    """PostgreSQL that waits for no disk, so that the way to it is what is measured."""

    def command(self) -> list[str]:
        """As ever, without fsync."""
        return [*super().command(), "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]


def pgbouncer_program() -> str | None:
    """Its path; Debian has it in /usr/sbin, which a plain user's path lacks. None when it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
