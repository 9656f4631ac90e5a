"""Clusters of real processes that a test makes and breaks by the commands a person would use."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from support.node_process import free_port

from helios_cli.cli import main
from helios_cli.commands.local import clusterfile, processes
from helios_cli.engine.observe import machine

Capture = pytest.CaptureFixture[str]

LEAN: Final = ("cluster", "up", "--observers", 0, "--no-proxy")
"""Data nodes alone."""


def settle_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a directory, without what the environment would say of nodes."""
    monkeypatch.chdir(directory)
    for name in [name for name in os.environ if name.startswith(("PG", "HELIOSDB_"))]:
        monkeypatch.delenv(name)


def call(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    code = main([str(one) for one in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def asked(capsys: Capture, *arguments: object, code: int = 0) -> Any:
    """The JSON that a command prints when it ends as it should."""
    found, out, err = call(capsys, *arguments, "--json")
    assert found == code, out + err
    return json.loads(out)


def base_port() -> int:
    """The first of a hundred ports of which the first sixty are free."""
    while True:
        port = free_port() // 100 * 100
        if all(machine.port_use("127.0.0.1", port + number).free for number in range(60)):
            return port


def end_clusters(directory: Path) -> None:
    """End the processes of every cluster below a directory; what they said is shown when the test fails."""
    for path in directory.rglob(clusterfile.NAME):
        cluster = clusterfile.read(path.parent)
        for one in cluster.members:
            process = processes.find(cluster, one)
            if process is not None:
                process.send(signal.SIGKILL)
                process.wait_gone(10)
            sys.stdout.write(f"--- {one.name}: {processes.last_words(cluster, one, 20)}\n")
