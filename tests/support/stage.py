"""A cluster as ``cluster up`` makes it, on which playbooks are played by a runner in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from support.node_process import ROOT, free_port, wait_until

from helios_cli.commands.local import clusterfile, observation, processes
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.local.observation import Observation
from helios_cli.engine.observe import machine

RUN_S = 110.0


class PlaybookStage:
    """One cluster in a directory."""

    def __init__(self, directory: Path, more: Sequence[str] = ()) -> None:
        self.directory = directory / "cluster"
        self.more = more

    @property
    def cluster(self) -> LocalCluster:
        """As its file has it now."""
        return clusterfile.read(self.directory)

    def call(self, *words: object, code: int = 0) -> str:
        """``heliosdb-nano`` with these words; what it has printed."""
        done = subprocess.run(
            self.command(*words), env=self.environment(), capture_output=True, text=True, timeout=RUN_S
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def command(self, *words: object) -> list[str]:
        """The whole command line."""
        return [sys.executable, "-m", "helios_cli", *map(str, words)]

    def environment(self) -> dict[str, str]:
        """Of everything that is started."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("HELIOSDB_", "PG"))}
        return kept | {"PYTHONPATH": str(ROOT), "HELIOSDB_CLUSTER": str(self.directory)}

    def up(self) -> None:
        """Start it on ports of its own."""
        self.call("cluster", "up", "--dir", self.directory, "--base-port", base_port(), "--timeout", 100, *self.more)

    def play(self, name: str | Path, *, code: int = 0, **variables: object) -> Any:
        """Run a playbook to its end; its report."""
        return json.loads(self.call("playbook", "run", name, "--json", *_sets(variables), code=code))

    def begin(self, name: str | Path, **variables: object) -> subprocess.Popen[bytes]:
        """Run a playbook in a process that can be killed; its run is the newest one then."""
        before = self._runs()
        runner = subprocess.Popen(
            self.command("playbook", "run", name, "--json", *_sets(variables)), env=self.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(lambda: len(self._runs()) > len(before), "the run begins", 60.0)
        return runner

    def _runs(self) -> list[Path]:
        return sorted(self.directory.glob("playbooks/*/journal.jsonl"))

    def journal(self) -> list[dict[str, Any]]:
        """The entries of the newest run."""
        return [json.loads(line) for line in self._runs()[-1].read_text().split("\n")[:-1]]

    def wait_phase(self, step: str, phase: str) -> None:
        """Wait until a step of the newest run has got so far."""
        wait_until(
            lambda: any(one.get("name") == step and one.get("phase") == phase for one in self.journal()),
            f"{step} is {phase}", 60.0,
        )  # fmt: skip

    def seen(self) -> list[Observation]:
        """The nodes now."""
        return observation.observe(self.cluster)

    def primary(self) -> str:
        """Who leads. Fails when nobody does."""
        leader = observation.primary_of(self.seen())
        assert leader is not None, "nobody leads"
        return leader.node.name

    def states(self) -> dict[str, str]:
        """Name and state of each node."""
        return {one.node.name: one.state for one in self.seen()}

    def wait_healthy(self) -> None:
        """Until one leads and all others follow."""
        wait_until(lambda: observation.healthy(self.seen()), "the cluster is healthy", 60.0)

    def close(self) -> None:
        """Kill every process that belongs to it."""
        with contextlib.suppress(Exception):
            for node in self.cluster.members:
                process = processes.find(self.cluster, node)
                if process is not None:
                    process.send(signal.SIGKILL)
                    process.wait_gone(10.0)
        mark = str(self.directory)
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(mark in word for word in one.cmdline()):
                    one.kill()


def _sets(variables: dict[str, object]) -> list[str]:
    return [word for name, value in variables.items() for word in ("--set", f"{name}={value}")]


def base_port() -> int:
    """The first of a hundred ports of which those of eight processes are free."""
    while True:
        port = free_port() // 100 * 100
        if all(machine.port_use("127.0.0.1", port + number).free for number in range(80)):
            return port
