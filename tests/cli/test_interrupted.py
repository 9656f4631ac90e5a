"""Ctrl-C in the middle of commands that start processes: nothing of them runs on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from support.local_clusters import base_port, end_clusters
from support.node_process import ROOT, wait_until

from helios_cli.commands.local import clusterfile, processes

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def ended(tmp_path: Path) -> Iterator[None]:
    yield
    end_clusters(tmp_path)


def running(directory: Path) -> list[str]:
    """The commands of processes that were told of a directory."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = one.cmdline()
            if any(str(directory) in word for word in words):
                found.append(" ".join(words))
    return found


def interrupted(words: list[str], ready: Callable[[], bool], number: signal.Signals) -> tuple[int, str]:
    """Run a command until it is ``ready``, and send it a signal; exit code, and what it said to people."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("HELIOSDB_", "PG"))}
    with subprocess.Popen(
        [sys.executable, "-m", "helios_cli", *words], env=environment | {"PYTHONPATH": str(ROOT)}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        # What a shell starts in the background ignores Ctrl-C, and so do its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stderr is not None
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.extend(process.stderr or ()))
        reader.start()
        try:
            wait_until(lambda: process.poll() is not None or ready(), "the command has got so far", 60)
            process.send_signal(number)
            code = process.wait(60)
        finally:
            process.kill()
            reader.join()
    return code, "".join(said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cluster_that_comes_up_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    directory = tmp_path / "cluster"
    words = ["cluster", "up", "--dir", str(directory), "--base-port", str(base_port()), "--nodes", "2"]
    code, said = interrupted(words, lambda: (directory / "primary.pid").exists(), number)
    assert code == 130, said
    cluster = clusterfile.read(directory)
    assert [one.name for one in cluster.members if processes.find(cluster, one)] == []
    assert running(directory) == []
    assert "interrupted: " in said and "cluster up goes on" in said


def test_a_demonstration_leaves_nothing(tmp_path: Path) -> None:
    def acts() -> bool:
        journals = list(tmp_path.glob("cluster/playbooks/*/journal.jsonl"))
        lines = journals[0].read_text().split("\n")[:-1] if journals else []
        return any(json.loads(line).get("name") == "normal operations" for line in lines)

    words = ["demo", "--seconds", "4", "--keep", str(tmp_path)]
    code, said = interrupted(words, acts, signal.SIGINT)
    assert code == 130, said
    assert running(tmp_path) == []
    assert "interrupted: nothing of it runs any more" in said


def test_one_that_has_hardly_begun_leaves_nothing_either(tmp_path: Path) -> None:
    words = ["demo", "--keep", str(tmp_path)]
    code, said = interrupted(words, lambda: (tmp_path / "cluster" / "primary.pid").exists(), signal.SIGTERM)
    assert code == 130, said
    assert running(tmp_path) == []
