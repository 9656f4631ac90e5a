"""What is asked of the primary about the cluster is told as done once it is agreed on."""

from __future__ import annotations

import signal

from support.node_process import MakeNode, NodeProcess, wait_until

WAIT_S = 20.0


def explained(node: NodeProcess) -> bool:
    code, answer = node.http("/admin/explain/failover", body={})
    assert code == 200
    return bool(answer["paused"])


def test_a_change_that_no_other_node_has_is_not_told_as_made(make_node: MakeNode) -> None:
    """The standby is frozen, and no commit may do without it: whoever leads next does not know of a pause."""
    flags = ("--replication-mode", "sync", "--on-sync-loss", "wait")
    first = make_node("--replication-role", "primary", "--node-id", "n1", *flags)
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(first.native_port))
    second = make_node("--replication-role", "standby", "--node-id", "n2", *upstream, *flags)
    wait_until(lambda: first.http("/status")[1]["cluster"]["nodes"][-1]["in_sync"], "both copies count", WAIT_S)
    assert first.http("/admin/pause", body={}) == (200, {"result": "automatic failover is paused"})
    second.send(signal.SIGSTOP)
    try:
        for verb, body in (
            ("resume", {}),
            ("config", {"name": "eject_after", "value": "9s"}),
        ):
            code, answer = first.http(f"/admin/{verb}", body=body)
            assert (code, answer.get("sqlstate")) == (500, "57014"), answer
            assert "is not agreed on yet" in answer["error"]
        assert explained(first)
    finally:
        second.send(signal.SIGCONT)
    wait_until(lambda: not explained(first), "the wish is not forgotten", WAIT_S)
    assert first.http("/admin/resume", body={}) == (200, {"result": "automatic failover is not paused already"})
