"""Playbooks on a cluster of real processes: shipped ones that move or lose the lead, crashes of the runner, bounds."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.stage import PlaybookStage

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {"interval": "50ms", "before": "500ms"}


def test_switchover_under_load_and_back(stage: PlaybookStage) -> None:
    old = stage.primary()
    found = stage.play("switchover", back="true", after="500ms", **SHORT)
    assert found["outcome"] == "done" and [one["outcome"] for one in found["steps"]] == ["done"] * 6
    assert stage.primary() == old
    load = found["workloads"]["load"]
    assert load["failed"] == 0 and load["missing"] == 0 and load["total"] > 10
    assert load["summary"][0] == "=== Workload Summary ===" and "Success rate: 100%" in load["summary"]
    led = [one["text"].split()[0] for one in found["timeline"] if " leads in term " in one["text"]]
    assert found["variables"]["to"] in led and led[-1] == old


def test_failover_drill(stage: PlaybookStage) -> None:
    old = stage.primary()
    found = stage.play("failover-drill", outage="1s", after="500ms", **SHORT)
    assert found["outcome"] == "done" and stage.primary() != old
    assert stage.states()[old] == "streaming"
    assert found["workloads"]["load"]["missing"] == 0 and found["workloads"]["load"]["failed"] == 0
    page = stage.call("playbook", "report")
    assert page.startswith("# Failover test: done") and "| the primary crashes | kill" in page


def test_rolling_restart(stage: PlaybookStage) -> None:
    before = {one.node.name: one.process for one in stage.seen()}
    found = stage.play("rolling-restart", pause="200ms", **SHORT)
    assert found["outcome"] == "done"
    after = {one.node.name: one.process for one in stage.seen()}
    assert all(after[name] != before[name] for name in before)
    assert found["workloads"]["load"]["missing"] == 0 and found["workloads"]["load"]["failed"] == 0


FREEZE = """
title = "Freeze"
stop = { lag = "BOUND" }
[variables]
victim = "@last-standby"
[[steps]]
name = "load"
do = "workload"
load = "load"
interval = "20ms"
clients = 2
[[steps]]
name = "freeze"
do = "freeze"
node = "${victim}"
expect = ["${victim} is frozen"]
[[steps]]
name = "hold"
do = "wait"
time = "3s"
[[steps]]
name = "thaw"
do = "thaw"
node = "${victim}"
expect = ["healthy"]
[[steps]]
name = "count"
do = "finish"
load = "load"
now = true
expect = ["load.missing == 0", "load.failed == 0"]
"""


@pytest.mark.parametrize("step", ["freeze", "hold"])
def test_a_run_goes_on_after_its_runner_was_killed(stage: PlaybookStage, tmp_path: Path, step: str) -> None:
    """In the step that it was in: the load is the same process, the wait is not begun anew, the end is the same."""
    stage.wait_healthy()
    file = tmp_path / "freeze.toml"
    file.write_text(FREEZE.replace("BOUND", "1GB"))
    runner = stage.begin(file)
    stage.wait_phase(step, "acting")
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    run = sorted((stage.directory / "playbooks").glob("*-freeze"))[-1]
    child = json.loads((run / "load.process").read_text())["pid"]
    os.kill(child, 0)
    assert stage.call("playbook", "report", run.name, code=6).startswith("# Freeze: unfinished")
    found = json.loads(stage.call("playbook", "resume", "--json"))
    assert found["outcome"] == "done" and found["resumed"] == 1 and found["run"] == run.name
    assert set(stage.states().values()) == {"serving", "streaming", "observing"}
    assert json.loads((run / "load.process").read_text())["pid"] == child, "one load, begun once"
    assert found["workloads"]["load"]["missing"] == 0
    stage.call("playbook", "resume", run.name, code=5)  # it has ended


def test_a_passed_bound_ends_the_run_and_the_node_is_thawed(stage: PlaybookStage, tmp_path: Path) -> None:
    stage.wait_healthy()
    file = tmp_path / "bound.toml"
    file.write_text(FREEZE.replace('lag = "BOUND"', 'rpo = "0B"').replace('"3s"', '"60s"'))
    standbys = [name for name, state in stage.states().items() if state == "streaming"]
    found = stage.play(file, code=5, victim=",".join(standbys))
    assert found["outcome"] == "stopped" and "what a loss of the primary would cost" in found["reason"]
    assert [one["came"] for one in found["undone"]] == ["done", "done"]
    assert found["undone"][0]["do"].startswith("thaw ")
    stage.wait_healthy()


def test_a_bad_need_changes_nothing_and_a_dry_run_says_so_before(stage: PlaybookStage, tmp_path: Path) -> None:
    stage.wait_healthy()
    file = tmp_path / "need.toml"
    file.write_text(
        'needs = ["standbys >= 7"]\n[[steps]]\nname = "k"\ndo = "kill"\nnode = "@"\n'.replace("@", stage.primary())
    )
    said = json.loads(stage.call("playbook", "run", file, "--dry-run", "--json", code=5))
    assert said["unmet"] == ["standbys >= 7"] and "is elected" in said["steps"][0]["effect"]
    found = stage.play(file, code=5)
    assert found["outcome"] == "refused" and found["steps"][0]["outcome"] == "waiting"
    assert set(stage.states().values()) == {"serving", "streaming", "observing"}
