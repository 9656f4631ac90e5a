"""The shipped playbooks on nodes behind a real sshd, and a run that goes on after its runner was killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ssh_server import SshServer
from support.ssh_stage import SshStage

from helios_cli.engine.remote import machine

pytestmark = [pytest.mark.slow, pytest.mark.needs("sshd", "ssh-keygen")]

SHORT: dict[str, Any] = {"interval": "50ms", "before": "300ms", "outage": "300ms", "after": "300ms"}


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[SshStage]:
    """Each test leaves it as it found it."""
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith(("PG", "HELIOSDB_"))]:
        patch.delenv(name)
    server = SshServer(tmp_path_factory.mktemp("ssh"), program)
    made = SshStage(tmp_path_factory.mktemp("stage"), server)
    try:
        made.up()
        yield made
    finally:
        made.close()
        server.close()
        patch.undo()


@pytest.fixture(autouse=True)
def whole(far: SshStage) -> None:
    far.wait_healthy()


def done(found: Any, load: str = "load") -> Any:
    """The workload of a run in which every step was done and no statement failed."""
    assert found["outcome"] == "done" and {one["outcome"] for one in found["steps"]} <= {"done", "left out"}, found
    counted = found["workloads"][load]
    assert counted["failed"] == 0 and counted["missing"] == 0 and counted["total"] > 0
    return counted


QUICK: dict[str, dict[str, Any]] = {
    "switchover": {"interval": "50ms", "before": "300ms", "after": "300ms"},
    "failover-drill": SHORT,
    "load-with-failover": {"clients": 3, **SHORT},
    "network-partition": SHORT,
    "rolling-restart": {"interval": "50ms", "before": "200ms", "pause": "100ms"},
    "cascading-failure": {"interval": "50ms", "gap": "200ms", "dark": "300ms"},
    "application-continuity": {
        "interval": "20ms", "outage": "200ms", "second": "200ms", "third": "300ms", "pause": "100ms",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", list(QUICK))
def test_no_statement_fails(far: SshStage, name: str) -> None:
    old = far.primary()
    done(far.play(name, **QUICK[name]), "app" if name == "application-continuity" else "load")
    if name in ("switchover", "failover-drill", "load-with-failover", "network-partition"):
        assert far.primary() != old


def test_a_standby_is_added_on_a_host_and_removed(far: SshStage) -> None:
    added = far.play("add-standby", standby="spare", mode="async")
    assert added["outcome"] == "done" and far.states()["spare"] == "streaming"
    host = far.cluster.node("spare").host
    assert host in ("db2", "db3") and (far.there(host) / "spare" / "control").is_dir()
    assert far.play("remove-standby", standby="spare")["outcome"] == "done" and "spare" not in far.states()


def test_disaster_recovery(far: SshStage) -> None:
    survivor = next(name for name, state in far.states().items() if state == "streaming")
    lost = ",".join(name for name in far.states() if name != survivor)
    done(far.play("disaster-recovery", drill="true", back="true", survivor=survivor, lost=lost, load="200ms"))
    assert far.primary() == survivor and set(far.states().values()) == {"serving", "streaming", "observing"}


def test_split_brain_recovery(far: SshStage) -> None:
    wrong = far.primary()
    keep = next(name for name, state in far.states().items() if state == "streaming")
    others = ",".join(name for name in far.states() if name != keep)
    found = far.play("split-brain-recovery", drill="true", keep=keep, wrong=wrong, others=others, apart="300ms")
    assert found["outcome"] == "done" and far.primary() == keep


def test_a_run_goes_on_after_its_runner_was_killed(far: SshStage) -> None:
    old = far.primary()
    runner = far.begin("failover-drill", **SHORT)
    far.wait_phase("the primary crashes", "acting")
    runner.send_signal(signal.SIGKILL)
    runner.wait(10)
    done(json.loads(far.call("playbook", "resume", "--json")))
    assert far.primary() != old and far.states()[old] == "streaming"


AWAY = """
title = "Away"
[[steps]]
name = "gone"
do = "wait"
time = "1500ms"
[[steps]]
name = "kill"
do = "kill"
node = "standby-async"
"""


def test_a_host_that_goes_away_in_the_middle_ends_the_run_and_says_so(far: SshStage, tmp_path: Path) -> None:
    file = tmp_path / "away.toml"
    file.write_text(AWAY)
    runner = far.begin(file)
    try:
        far.wait_phase("gone", "acting")
        far.server.stop()
        assert runner.wait(60) == 1
    finally:
        far.server.start()
        machine.close_all()
    found = json.loads(far.call("playbook", "report", "--json", code=1))
    assert found["outcome"] == "failed" and "db3" in found["reason"], found
    assert all("cannot be reached" in one["came"] for one in found["undone"])
    far.wait_healthy()
