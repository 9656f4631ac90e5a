"""Watching from Python who leads: callbacks at a failover and a switchover, what observers say, and the example."""

from __future__ import annotations

import queue
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.replication import (
    FailoverWatcher,
    LeadChange,
    NodeUnreachable,
    NotProtected,
    ObserverConfig,
    Protection,
    ReplicationConfig,
    SplitBrainProtector,
)

WAIT_S = 20.0


def start(make_node: MakeNode) -> list[NodeProcess]:
    """Two data nodes and an observer, once all of them vote, and those that are left without the primary know it."""
    mode = ("--replication-mode", "semi-sync")
    first = make_node("--node-id", "n1", "--replication-role", "primary", *mode)
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(first.native_port))
    second = make_node("--node-id", "n2", "--replication-role", "standby", *mode, *upstream)
    observer = make_node("--node-id", "o1", "--replication-role", "observer", *upstream)
    wait_until(lambda: len(observer.http("/status")[1]["voters"]) == 3, "all vote", WAIT_S)
    wait_until(lambda: len(status(second)["voters"]) == 3, "the standby knows it", WAIT_S)
    return [first, second, observer]


def status(node: NodeProcess) -> dict[str, Any]:
    return dict(node.http("/status")[1]["cluster"])


def explained(node: NodeProcess) -> dict[str, Any]:
    return dict(node.http("/admin/explain/failover", body={"limit": 1})[1])


def counts(node: NodeProcess) -> bool:
    """Whether its copies count, as it knows itself."""
    return bool(status(node)["nodes"][0]["in_sync"])


def config(node: NodeProcess) -> ReplicationConfig:
    return ReplicationConfig.builder().primary_endpoint(f"127.0.0.1:{node.pg_port}").build()


def observers(node: NodeProcess) -> ObserverConfig:
    return ObserverConfig(
        observers=[f"127.0.0.1:{node.http_port}"], quorum_size=1, check_interval_s=0.05, check_timeout_s=5
    )


def test_a_failover_and_a_switchover_call_back_once_each(make_node: MakeNode) -> None:
    first, second, observer = start(make_node)
    changes: queue.Queue[LeadChange] = queue.Queue()
    # Any node will do: the others are found there.
    watcher = FailoverWatcher(config(second), interval_s=0.05)

    def fails(_change: LeadChange) -> None:
        raise ValueError("a callback that fails")

    watcher.on_failover(fails)
    watcher.on_failover(changes.put)
    with watcher:
        wait_until(lambda: watcher.primary == "n1", "the primary is found", WAIT_S)
        term = watcher.term
        first.kill()
        change = changes.get(timeout=WAIT_S)
        assert (change.old_primary, change.new_primary, change.automatic) == ("n1", "n2", True)
        assert change.term > term and "the primary n1" in change.reason
        assert watcher.primary_address == f"127.0.0.1:{second.pg_port}"
        first.start()
        wait_until(lambda: second.http("/admin/switchover", body={"to": "n1"})[0] == 200, "it is given", WAIT_S)
        given = changes.get(timeout=WAIT_S)
        assert (given.old_primary, given.new_primary, given.automatic) == ("n2", "n1", False)
        assert given.term > change.term
    assert changes.empty()
    assert observer.http("/status")[0] == 200


def test_a_primary_that_is_restarted_and_leads_on_is_no_change(make_node: MakeNode) -> None:
    first, second, _observer = start(make_node)
    assert first.http("/admin/pause", body={})[0] == 200
    changes: queue.Queue[LeadChange] = queue.Queue()
    watcher = FailoverWatcher(config(second), interval_s=0.05)
    watcher.on_failover(changes.put)
    with watcher:
        wait_until(lambda: watcher.primary == "n1", "the primary is found", WAIT_S)
        term = watcher.term
        first.restart()
        wait_until(lambda: watcher.term > term, "it leads again", WAIT_S)
        wait_until(lambda: first.http("/admin/resume", body={})[0] == 200, "failover is allowed again", WAIT_S)
        wait_until(lambda: not explained(second)["paused"], "the standby knows it", WAIT_S)
        wait_until(lambda: counts(second), "its copies count again", WAIT_S)
        first.kill()
        change = changes.get(timeout=WAIT_S)
    assert (change.old_primary, change.new_primary, change.automatic) == ("n1", "n2", True)
    assert changes.empty()


def test_no_node_that_answers_is_an_error(make_node: MakeNode) -> None:
    node = make_node("--node-id", "n1")
    node.kill()
    with pytest.raises(NodeUnreachable, match="none of"), FailoverWatcher(config(node)):
        pass


def test_observers_say_who_leads(make_node: MakeNode) -> None:
    first, second, observer = start(make_node)
    told: queue.Queue[Protection] = queue.Queue()
    protector = SplitBrainProtector(observers(observer))
    protector.on_change(told.put)
    with protector:
        assert protector.latest.primary == "n1" and protector.latest.has_quorum
        assert protector.may_lead("n1") and not protector.may_lead("n2")
        first.kill()
        lost = told.get(timeout=WAIT_S)
        assert not lost.has_quorum and lost.primary == ""
        assert not protector.may_lead("n1")
        found = told.get(timeout=WAIT_S)
        assert (found.primary, found.has_quorum) == ("n2", True)
        assert protector.may_lead("n2") and not protector.may_lead("n1")
        observer.kill()
        assert "0 observers answer" in told.get(timeout=WAIT_S).problem
        assert not protector.may_lead("n2")
    with pytest.raises(NotProtected, match="0 observers answer, and 1 are needed"):
        SplitBrainProtector(observers(observer)).start()
    wrong = ObserverConfig(observers=[f"127.0.0.1:{second.http_port}"], quorum_size=1)
    with pytest.raises(NotProtected, match="this is no observer"):
        SplitBrainProtector(wrong).start()


def test_the_example(make_node: MakeNode, project_root: Path) -> None:
    first, _second, observer = start(make_node)
    command = [sys.executable, "examples/failover_watch.py", "--node", f"127.0.0.1:{first.pg_port}"]
    command += ["--observer", f"127.0.0.1:{observer.http_port}"]
    with subprocess.Popen(
        command, cwd=project_root, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(project_root)}
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "1 of 1 observers hear n1\n"
        assert run.stdout.readline().startswith(f"n1 leads at 127.0.0.1:{first.pg_port}, term ")
        first.kill()
        rest = run.stdout.read()
        assert run.wait(WAIT_S) == 0, rest
    assert "n1 -> n2 in term " in rest and "(failover): nothing was heard of the primary n1" in rest
