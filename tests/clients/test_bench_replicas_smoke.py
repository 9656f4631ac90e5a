"""The benchmark of replication end to end, small, with its nodes."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from bench.replicas import main


@pytest.mark.slow
def test_every_figure_is_measured_and_nothing_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    assert main(["--quick", "--receivers", "5", "--json", str(path), "--directory", str(tmp_path)]) == 0
    document = json.loads(path.read_text())
    by_name = {one["name"]: one for one in document["measurements"]}
    assert len(by_name) == 16
    failed = {name: one["error"] for name, one in by_name.items() if one["error"]}
    assert failed == {}
    measured = {name for name, one in by_name.items() if one["median"] is not None}
    assert len(measured) == 11
    assert by_name["replicas per primary"]["median"] == 5
    assert by_name["replica selection"]["verdict"] == by_name["sessions tracked"]["verdict"] == "met"
    assert "replica selection" in capsys.readouterr().out
    assert [one for one in tmp_path.iterdir() if one.name != "figures.json"] == []
    assert not [child for child in psutil.Process().children(recursive=True) if is_node(child)]


def is_node(process: psutil.Process) -> bool:
    try:
        return "helios_cli" in process.cmdline()
    except psutil.Error:
        # It has ended, and another test's fixture has not waited for it yet.
        return False
