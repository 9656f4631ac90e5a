"""``prove`` against real clusters: it passes on the product, and fails on each bug that is planted in its nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLANTED = ROOT / "tests" / "support" / "planted_nodes"


def prove(directory: Path, *arguments: object, bug: str = "", seed: int = 1) -> tuple[int, Any]:
    """Exit code and report of a run, every node of which has the bug."""
    directory.mkdir(exist_ok=True)
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PG", "HELIOSDB_"))}
    path = [str(PLANTED)] if bug else []
    environment["PYTHONPATH"] = os.pathsep.join([*path, str(ROOT)])
    environment |= {"PLANTED_BUG": bug, "HELIOSDB_PROVE_KEY": str(directory / "prove.key")}
    done = subprocess.run(
        [sys.executable, "-m", "helios_cli", "prove", "run", "--json", "--seed", str(seed), "--keep", "run",
         *map(str, arguments)],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def verify(directory: Path, report: str) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HELIOSDB_PROVE_KEY": str(directory / "prove.key")}
    command = [sys.executable, "-m", "helios_cli", "prove", "verify", report]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, timeout=60).returncode


FIVE = ("--nodes", 5, "--clients", 3)
"""Where the primary and a standby that forwards to it are cut off together, and the others elect."""


@pytest.mark.slow
def test_the_product_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    code, report = prove(tmp_path, "--rounds", 1, "--faults", "kill,freeze")
    assert (code, report["verdict"], report["findings"]) == (0, "passed", [])
    assert all(one["passed"] for one in report["checks"])
    assert report["rpo"] == {"lost_rows": 0, "ms": {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0, "samples": 2}}
    assert sorted(one["name"] for one in report["faults"]) == ["freeze", "kill"]
    assert report["rto_ms"]["samples"] == 16 and report["rto_ms"]["max"] > 100
    assert report["load"]["acknowledged"] > 100
    assert report["load"]["lead_changes"] >= 1
    assert {one["kind"] for one in report["timeline"]} >= {"load", "fault", "clients", "back", "lead", "whole", "end"}
    assert len(set(report["checksums"].values())) == 1
    assert verify(tmp_path, report["file"]) == 0
    path = tmp_path / report["file"]
    path.write_bytes(path.read_bytes().replace(b"passed", b"failed", 1))
    assert verify(tmp_path, report["file"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bug", "faults", "kinds", "more"),
    [
        ("write-id-not-stored", "kill", {"twice"}, ()),
        ("acknowledged-before-the-standby", "partition", {"lost"}, ()),
        ("no-term-check-on-forwarded-writes", "partition", {"two-primaries"}, FIVE),
        ("reads-wait-for-nothing", "kill", {"stale"}, ("--clients", 3)),
    ],
)
def test_a_planted_bug_is_found(
    tmp_path: Path, bug: str, faults: str, kinds: set[str], more: tuple[object, ...]
) -> None:
    # One fault in so many does not come at a moment in which the bug shows.
    seed, code, found = 0, 0, set[str]()
    report: Any = None
    while not found & kinds and seed < 4:
        seed += 1
        code, report = prove(tmp_path / str(seed), "--rounds", 1, "--faults", faults, *more, bug=bug, seed=seed)
        found = {one["kind"] for one in report["findings"]}
    assert (code, report["verdict"]) == (1, "failed")
    assert found & kinds, report["findings"]
    assert (report["rpo"]["lost_rows"] > 0) == (report["rpo"]["ms"]["max"] > 0) == ("lost" in found)
    assert verify(tmp_path / str(seed), report["file"]) == 1, "its signature is right, and it says that it failed"


@pytest.mark.slow
def test_slow_links_and_clocks_that_jump_cost_nothing(tmp_path: Path) -> None:
    code, report = prove(tmp_path, "--rounds", 1, "--faults", "clock,slow-link", "--clients", 4)
    assert (code, report["verdict"], report["findings"]) == (0, "passed", [])
    assert sorted(one["name"] for one in report["faults"]) == ["clock", "slow-link"]


@pytest.mark.slow
def test_a_cluster_that_runs_is_proved_and_left_whole(tmp_path: Path) -> None:
    cluster, key = tmp_path / "c", {"HELIOSDB_PROVE_KEY": str(tmp_path / "prove.key")}

    def nano(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("PG", "HELIOSDB_"))}
        command = [sys.executable, "-m", "helios_cli", *arguments, "--dir", str(cluster), "--json"]
        environment |= {"PYTHONPATH": str(ROOT), **key}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)

    try:
        up = nano("cluster", "up", "--nodes", "2", "--mode", "semi-sync", "--observers", "1", "--base-port", "0")
        assert up.returncode == 0, up.stderr
        refused = nano("prove", "run")
        assert refused.returncode == 5 and "Add --yes" in refused.stderr
        faults = "partition,clock,slow-disk,slow-link"
        done = nano("prove", "run", "--yes", "--rounds", "1", "--faults", faults, "--clients", "3")
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert report["verdict"] == "passed" and not report["cluster"]["own"]
        assert sorted(one["name"] for one in report["faults"]) == sorted(faults.split(","))
        assert nano("cluster", "status").returncode == 0
    finally:
        nano("cluster", "down", "--kill")
