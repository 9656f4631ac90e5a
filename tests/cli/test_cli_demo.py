"""The demonstration itself, short, with a real node."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_killed_node_loses_no_acknowledged_row(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "helios_cli", "demo", "--single", "--seconds", "2", "--kills", "1", "--writers", "2",
         "--json", "--keep", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["passed"] and verdict["log_verified"]
    assert verdict["account"]["acknowledged"] > 0
    assert verdict["account"]["lost"] == verdict["account"]["wrong"] == 0
    assert len(verdict["recovery_ms"]) == 1
    assert (tmp_path / "data" / "log").is_dir()


def test_nobody_notices_that_the_primary_of_a_cluster_is_killed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "helios_cli", "demo", "--seconds", "4", "--json", "--keep", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["passed"] and told["down"]["done"]
    assert told["drill"]["outcome"] == "done"


def test_without_a_terminal_it_tells_each_event(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "helios_cli", "demo", "--seconds", "1", "--kills", "0", "--writers", "1", "--single",
         "--keep", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("VERDICT: passed")
    assert "node started in" in done.stderr
