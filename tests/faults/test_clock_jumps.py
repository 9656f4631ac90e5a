"""The time of day jumps on a running node, by an hour either way: nobody is elected, no write fails, no lag is told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from support.node_process import MakeNode, NodeProcess, wait_until
from support.wall_clock import WallClock

HOUR_S = 3600.0
WATCHED_S = 1.5
"""Two leases."""
SETTLED_S = 20.0


def start(make_node: MakeNode, directory: Path) -> tuple[list[NodeProcess], list[WallClock]]:
    """A primary, a standby and an observer that all vote, each with a clock of its own."""
    nodes: list[NodeProcess] = []
    clocks = [WallClock(directory / f"clock{number}") for number in range(3)]
    for name, role, clock in zip(("n1", "n2", "o1"), ("primary", "standby", "observer"), clocks, strict=True):
        flags = ["--node-id", name, "--replication-role", role]
        flags += ["--replication-mode", "semi-sync"] if role != "observer" else []
        if nodes:
            flags += ["--primary-host", "127.0.0.1", "--primary-port", str(nodes[0].native_port)]
        nodes.append(make_node(*flags, environment=clock.environment))
    wait_until(lambda: len(view(nodes[0])["voters"]) == 3, "all vote", SETTLED_S)
    wait_until(lambda: all(one["in_sync"] for one in view(nodes[0])["nodes"]), "both copies count", SETTLED_S)
    return nodes, clocks


def view(node: NodeProcess) -> dict[str, Any]:
    return dict(node.http("/status")[1]["cluster"])


def one(node: NodeProcess, query: str) -> Any:
    with node.connect() as session:
        row = session.execute(query).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.timeout(120)
def test_a_jump_of_the_time_of_day_moves_nothing(make_node: MakeNode, tmp_path: Path) -> None:
    nodes, clocks = start(make_node, tmp_path)
    primary, standby, _observer = nodes
    term = view(primary)["term"]
    with primary.connect(options="-c statement_timeout=5s") as writer:
        writer.execute("CREATE TABLE t (a serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")
        for clock, node in zip(clocks, nodes, strict=True):
            for seconds in (HOUR_S, -HOUR_S, 0):
                clock.jump(seconds)
                if node is not nodes[2]:
                    seen = one(node, "SELECT extract(epoch FROM clock_timestamp())::float8")
                    assert abs(seen - time.time() - seconds) < 5, "the clock has not jumped"
                end = time.monotonic() + WATCHED_S
                while time.monotonic() < end:
                    writer.execute("INSERT INTO t DEFAULT VALUES")
                    time.sleep(0.02)
                assert view(primary)["term"] == view(standby)["term"] == term, "somebody asked to lead"
        wait_until(lambda: one(standby, "SELECT max(a) FROM t") == one(primary, "SELECT max(a) FROM t"), "all is there")
    query = "SELECT count(*) FROM helios_events WHERE kind IN ('lease_over', 'ejected', 'primary_silent', 'no_vote')"
    assert one(primary, query) == one(standby, query) == 0
    wait_until(lambda: lag_ms(primary) < 1000, "the lag is told again as it is", SETTLED_S)


def lag_ms(node: NodeProcess) -> float:
    """Of its standby, as it says."""
    found = one(node, "SELECT replication_lag_ms FROM helios_standby_nodes")
    return float(found) if found is not None else float("inf")
