"""One node as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from helios_cli.commands import _http
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import PgClient, Target
from helios_cli.engine.observe.machine import free_ports

START_S_MAX: Final = 30.0
STOP_S_MAX: Final = 30.0
_PAUSE_S: Final = 0.02


class NodeProcess:
    """Starts, kills and stops ``heliosdb-nano start`` on a data directory, always on the same free ports."""

    def __init__(self, directory: Path) -> None:
        self.data_dir = directory / "data"
        self.log_file = directory / "node.log"
        self.pg_port, self.native_port, self.http_port = free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> Target:
        """Where clients connect."""
        return Target(port=self.pg_port, user="helios", sslmode="disable", timeout=5, application_name="drill")

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last; 0 before the first start."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> float:
        """Start it and wait until it answers a query; gives the seconds that took.

        Raises:
            HeliosError: it ended, or did not answer within half a minute.
        """
        begin = time.monotonic()
        arguments = [
            "start", "--data-dir", self.data_dir, "--pg-port", self.pg_port, "--native-port", self.native_port,
            "--http-port", self.http_port, "--listen-address", "127.0.0.1",
        ]  # fmt: skip
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "helios_cli", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the drill, which then stops the node
            )
        while not self._answers():
            if self._process.poll() is not None:
                raise HeliosError(f"the node ended with {self._process.returncode}", detail=self.last_words())
            if time.monotonic() - begin > START_S_MAX:
                raise HeliosError(f"the node did not answer within {START_S_MAX:g} s", detail=self.last_words())
            time.sleep(_PAUSE_S)
        return time.monotonic() - begin

    def kill(self) -> None:
        """SIGKILL: as if the power of this process had failed."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM and wait; gives the exit code. A node that does not stop in time is killed, and that is -9."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
        return int(self._process.returncode)

    def status(self) -> dict[str, Any]:
        """What it says about itself; empty while it does not answer."""
        try:
            body = _http.get(_http.Address("127.0.0.1", self.http_port), "/status", 1.0).body
        except HeliosError:
            return {}
        return body if isinstance(body, dict) else {}

    def last_words(self) -> str:
        """The end of its log, on one line."""
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        return " / ".join(lines[-3:])

    def _answers(self) -> bool:
        try:
            with PgClient(self.target) as client:
                return client.execute("SELECT 1")[0].rows == [("1",)]
        except HeliosError:
            return False
