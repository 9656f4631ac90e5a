"""Commands as a tutorial prints them, run by a shell: with free ports for its ports and a directory for its paths.

tour = Walkthrough(tmp_path, {15432, 15442}, {"/tmp/heliosdb-ha": "ha"})
said = tour.run('psql -h localhost -p 15432 -c "SELECT 1"')
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from support.node_process import ROOT, free_port, wait_until

COMMAND_S = 60.0
HEALTHY_S = 30.0
_PROGRAM = """#!/bin/sh
exec "{0}" -c "import sys; from helios_cli.cli import {1}; sys.exit({1}())" "$@"
"""


class Walkthrough:
    """A shell in a directory of its own; what it starts in other terminals ends with :meth:`close`."""

    def __init__(
        self, directory: Path, ports: Iterable[int], paths: Mapping[str, str], program: Callable[[str], str]
    ) -> None:
        """``ports`` and ``paths`` are those of the text; ``program`` finds the system's."""
        self.directory = directory
        self._ports = {str(port): str(free_port()) for port in ports}
        assert len(set(self._ports.values())) == len(self._ports), "two ports are the same by chance"
        self._paths = {path: str(directory / name) for path, name in paths.items()}
        self._terminals: list[subprocess.Popen[bytes]] = []
        found = directory / "bin"
        found.mkdir()
        for name, call in (("heliosdb-nano", "main"), ("heliosdb-cli", "main_sql"), ("heliosdb-proxy", "main_proxy")):
            (found / name).write_text(_PROGRAM.format(sys.executable, call))
            (found / name).chmod(0o755)
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("HELIOSDB_", "PG"))}
        path = f"{found}:{Path(program('psql')).parent}:{kept.get('PATH', '')}"
        self.environment = kept | {"PATH": path, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}

    def here(self, text: str) -> str:
        """The text with this walk's ports and paths."""
        return _exchange(text, self._ports | self._paths)

    def there(self, text: str) -> str:
        """What was printed here, with the ports and paths of the tutorial."""
        return _exchange(text, {own: name for name, own in (self._ports | self._paths).items()})

    def run(self, text: str, *, code: int = 0, typed: str | None = None) -> str:
        """Run it as the tutorial has it; gives what a terminal would show, in the tutorial's ports.

        ``typed`` is what a person types into the program.
        """
        done = subprocess.run(
            ["bash", "-c", self.here(text)], input=self.here(typed or ""), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, cwd=self.directory, env=self.environment, timeout=COMMAND_S,
        )  # fmt: skip
        assert done.returncode == code, f"{text}\nended with {done.returncode}:\n{done.stdout}"
        return self.there(done.stdout)

    def export(self, text: str) -> None:
        """``export NAME=VALUE``, for every command from now on."""
        name, _, value = text.removeprefix("export ").partition("=")
        self.environment[name] = value

    def terminal(self, text: str, **variables: str) -> subprocess.Popen[bytes]:
        """Run it in another terminal, which stays open; its output is in ``terminal-N.log``."""
        number = len(self._terminals) + 1
        with (self.directory / f"terminal-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", "exec " + self.here(text)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, env=self.environment | {name: self.here(one) for name, one in variables.items()},
            )  # fmt: skip
        self._terminals.append(process)
        return process

    def wait_healthy(self, http_port: int) -> None:
        """Until the health check of a container passes, which is not run before anybody listens."""
        port = self._ports[str(http_port)]
        check = ["heliosdb-nano", "health", "--node", f"localhost:{port}"]

        def healthy() -> bool:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))):
                    return False
            return subprocess.run(check, capture_output=True, env=self.environment).returncode == 0

        wait_until(healthy, f"the node with HTTP port {http_port} is healthy", HEALTHY_S)

    def close(self) -> None:
        """Stop what runs in the terminals, and show what it said."""
        for process in self._terminals:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        for log in sorted(self.directory.glob("terminal-*.log")):
            sys.stdout.write(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}\n")


def _exchange(text: str, others: Mapping[str, str]) -> str:
    """The text with other ports and paths; a port is a whole number, and nothing is replaced twice."""
    if not others:
        return text
    sought = "|".join(rf"\b{name}\b" if name.isdigit() else re.escape(name) for name in others)
    return re.sub(sought, lambda match: others[match[0]], text)


def lines(text: str) -> list[str]:
    """The lines of an output but for the empty ones, without spaces at the ends and with single ones within.

    A line of dashes under a table's header stays as it is: its widths are those of the columns.
    """
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def columns(output: str) -> list[str]:
    """The names of the columns of a table that psql has printed."""
    return [name.strip() for name in output.splitlines()[0].split("|")]


def rows(output: str) -> list[dict[str, str]]:
    """The rows of such a table, by the names of their columns."""
    names = columns(output)
    body = [line for line in output.splitlines()[2:] if "|" in line]
    return [dict(zip(names, (cell.strip() for cell in line.split("|")), strict=True)) for line in body]
