"""The benchmark's figures of replication end to end, small, with their nodes."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from bench.__main__ import main

pytestmark = [pytest.mark.needs("pgbench"), pytest.mark.slow]


@pytest.mark.parametrize("name", ["replay-one-row", "catch-up", "switchover", "many-standbys"])
def test_a_figure_of_replication_is_measured_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "figures.json"
    small = ["--seconds", "1", "--scale", "1", "--frozen", "0.5", "--switchovers", "2", "--standbys", "2"]
    where = ["--json", str(path), "--directory", str(tmp_path)]
    assert main(["--quick", "--only", f"replication-{name}", *small, *where]) == 0
    (one,) = json.loads(path.read_text())["measurements"]
    assert (one["name"], one["errors"]) == (f"replication-{name}", [])
    assert one["ours"]["median"] > 0
    assert one["verdict"] in ("met", "missed")
    if name == "switchover":
        assert len(one["ours"]["rounds"]) == 2
    if name == "many-standbys":
        assert "MB a standby" in one["note"]
    assert f"replication-{name}" in capsys.readouterr().out
    assert [left.name for left in tmp_path.iterdir()] == ["figures.json"]
    assert not [child for child in psutil.Process().children(recursive=True) if is_node(child)]


def is_node(process: psutil.Process) -> bool:
    try:
        return "helios_cli" in process.cmdline()
    except psutil.Error:
        # It has ended, and another test's fixture has not waited for it yet.
        return False
