"""The other shipped playbooks on real processes: outages of several nodes, cuts, nodes that come and go, disasters."""

from __future__ import annotations

from typing import Any

import pytest
from support.stage import PlaybookStage

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {"interval": "50ms", "before": "300ms", "after": "300ms"}


@pytest.fixture(autouse=True)
def whole(stage: PlaybookStage) -> None:
    stage.wait_healthy()


def done(found: Any, load: str = "load") -> Any:
    """The workload of a run in which every step was done and no statement failed."""
    assert found["outcome"] == "done" and {one["outcome"] for one in found["steps"]} <= {"done", "left out"}
    counted = found["workloads"][load]
    assert counted["failed"] == 0 and counted["missing"] == 0 and counted["total"] > 0
    return counted


def test_load_with_failover(stage: PlaybookStage) -> None:
    old = stage.primary()
    counted = done(stage.play("load-with-failover", clients=3, outage="300ms", **SHORT))
    assert counted["summary"][-1] == "Success rate: 100%" and stage.primary() != old


def test_application_continuity(stage: PlaybookStage) -> None:
    times: dict[str, Any] = {"outage": "200ms", "second": "200ms", "third": "500ms", "pause": "200ms"}
    found = stage.play("application-continuity", interval="20ms", **times)
    counted = done(found, "app")
    names = [line.partition(":")[0] for line in counted["summary"][-7:]]
    assert names == ["Duration", "Total ops", "Successful", "Failed", "Read ops", "Write ops", "Success rate"]
    assert (
        counted["summary"][-1] == "Success rate: 100.00%" and counted["reads"] + counted["writes"] == counted["total"]
    )


def test_cascading_failure(stage: PlaybookStage) -> None:
    found = stage.play("cascading-failure", interval="50ms", gap="200ms", dark="300ms")
    done(found)
    assert [one for one in found["outages"] if one["seconds"]], "there was a time without a primary"


def test_network_partition(stage: PlaybookStage) -> None:
    old = stage.primary()
    found = stage.play("network-partition", outage="300ms", **SHORT)
    done(found)
    assert stage.primary() != old and any(f"{old} is lapsed" in one["text"] for one in found["timeline"])


def test_a_standby_is_added_and_removed(stage: PlaybookStage) -> None:
    added = stage.play("add-standby", standby="spare", mode="async")
    assert added["outcome"] == "done" and stage.states()["spare"] == "streaming"
    removed = stage.play("remove-standby", standby="spare")
    assert removed["outcome"] == "done" and "spare" not in stage.states()
    assert (stage.directory / "spare").is_dir(), "its data stays"


def test_a_standby_that_cannot_be_added_is_taken_out_again(stage: PlaybookStage) -> None:
    found = stage.play("add-standby", code=4, standby="hopeless", time="1ms")
    assert found["outcome"] == "timeout" and found["undone"] == [
        {"step": "add it", "do": "remove-standby hopeless", "came": "done"}
    ]
    assert "hopeless" not in stage.states()


def test_disaster_recovery(stage: PlaybookStage) -> None:
    survivor = next(name for name, state in stage.states().items() if state == "streaming")
    lost = ",".join(name for name in stage.states() if name != survivor)
    found = stage.play("disaster-recovery", drill="true", back="true", survivor=survivor, lost=lost, load="200ms")
    done(found)
    assert stage.primary() == survivor and set(stage.states().values()) == {"serving", "streaming", "observing"}


def test_split_brain_recovery(stage: PlaybookStage) -> None:
    wrong = stage.primary()
    keep = next(name for name, state in stage.states().items() if state == "streaming")
    others = ",".join(name for name in stage.states() if name != keep)
    found = stage.play("split-brain-recovery", drill="true", keep=keep, wrong=wrong, others=others, apart="300ms")
    done_steps = {one["outcome"] for one in found["steps"]}
    assert found["outcome"] == "done" and done_steps == {"done"} and stage.primary() == keep
    salvages = stage.call("salvage", "list", "--data-dir", stage.directory / wrong, "--json")
    assert '"salvages": [{' in salvages, "what the deposed node alone had is kept aside"
