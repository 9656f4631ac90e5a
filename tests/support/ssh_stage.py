"""A cluster whose nodes run behind a real sshd, on hosts that are directories of its home."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Final

from support.ssh_server import SshServer, stand_in
from support.stage import PlaybookStage, base_port

from helios_cli.cli import main

HOSTS: Final = ("db1", "db2", "db3")
NODES: Final = (
    ("primary", "primary", "sync", "db1"),
    ("standby-sync", "standby", "sync", "db2"),
    ("standby-async", "standby", "async", "db3"),
    ("observer", "observer", "", "db1"),
)


class SshStage(PlaybookStage):
    """A cluster of three data nodes, an observer and a proxy; its cluster.toml is written as a person would."""

    def __init__(self, directory: Path, server: SshServer, **more: object) -> None:
        """``more`` goes into every ``[hosts.NAME]``."""
        super().__init__(directory)
        self.server = server
        self.program = stand_in(directory / "heliosdb-nano")
        self.directory.mkdir()
        base = base_port()
        parts = ["faults = true", ""]
        for number, (name, role, mode, host) in enumerate(NODES):
            ports = dict(zip(("pg", "native", "http"), range(base + 10 * number, base + 10 * number + 3), strict=True))
            kept = {face: port for face, port in ports.items() if mode or face != "pg"}
            parts += ["[[nodes]]", f'name = "{name}"', f'role = "{role}"', *([f'mode = "{mode}"'] if mode else [])]
            parts += [*(f"{face}_port = {port}" for face, port in kept.items()), f'host = "{host}"', ""]
        parts += ["[proxy]", f"pg_port = {base + 50}", f"admin_port = {base + 51}", 'host = "db2"', ""]
        parts += [server.table(name, **more) for name in HOSTS]
        (self.directory / "cluster.toml").write_text("\n".join(parts))

    def run(self, *words: object, **variables: str) -> tuple[int, str, str]:
        """``heliosdb-nano`` in this process, whose connections are kept: exit code, output, what it said."""
        before = dict(os.environ)
        out, err = io.StringIO(), io.StringIO()
        os.environ.clear()
        os.environ.update(self.environment() | variables)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main([str(one) for one in words])
        finally:
            os.environ.clear()
            os.environ.update(before)
        return code, out.getvalue(), err.getvalue()

    def call(self, *words: object, code: int = 0) -> str:
        """The same, which has to end as it should; its output."""
        found, out, err = self.run(*words)
        assert found == code, f"{words} ended with {found}:\n{out}\n{err}"
        return out

    def install(self) -> None:
        """Have the program on every host."""
        self.call("cluster", "install", "--program", self.program)

    def up(self) -> None:
        """Install and start it."""
        self.install()
        self.call("cluster", "up", "--timeout", 100)

    def there(self, host: str) -> Path:
        """The directory of a host."""
        return self.server.home / host
