"""A cluster in network namespaces: packets vanish, the others elect, and the old primary acknowledges nothing."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.local_clusters import Capture, asked, base_port, call, end_clusters, settle_in
from support.node_process import wait_until

from helios_cli.commands.local import clusterfile, network
from helios_cli.commands.local.acts import Acts
from helios_cli.engine.errors import HeliosError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    try:
        network.check()
    except HeliosError as error:
        pytest.skip(error.message)
    settle_in(tmp_path, monkeypatch)
    yield
    end_clusters(tmp_path)
    for path in tmp_path.rglob(clusterfile.NAME):
        network.remove(clusterfile.read(path.parent))


def connect(port: int) -> psycopg.Connection[Any]:
    return psycopg.connect(
        f"host=127.0.0.1 port={port} user=helios dbname=heliosdb", autocommit=True, connect_timeout=30
    )


def write(client: psycopg.Connection[Any], outcome: list[str]) -> None:
    try:
        client.execute("INSERT INTO t VALUES (666)")
        outcome.append("done")
    except psycopg.Error as error:
        outcome.append(str(error))


def primary(capsys: Capture) -> str:
    code, out, err = call(capsys, "cluster", "status", "--json")
    assert code in (0, 6), err
    return str(json.loads(out)["primary"])


@pytest.mark.slow
def test_packets_vanish_and_the_cluster_goes_on_without_the_old_primary(capsys: Capture) -> None:
    asked(capsys, "cluster", "up", "--netns", "--mode", "quorum", "--observers", 0, "--base-port", base_port())
    wait_until(lambda: len(asked(capsys, "topology")["voters"]) == 3, "all of them vote", 60)
    acts = Acts(cluster := clusterfile.load(None))
    old, follower, *_ = cluster.data_nodes
    assert cluster.proxy is not None
    hub = cluster.netns
    assert network.names(cluster) == sorted([hub, *(f"{hub}-{one.name}" for one in cluster.members)])
    with connect(cluster.proxy.pg_port) as through, connect(old.pg_port) as beside, connect(follower.pg_port) as behind:
        through.execute("CREATE TABLE t (n int)")
        behind.execute("INSERT INTO t VALUES (1)")
        asked(capsys, "cluster", "partition", f"{old.name},{follower.name}|proxy", "--one-way")
        assert acts.cuts() == [(old.name, "proxy"), (follower.name, "proxy")]
        asked(capsys, "cluster", "heal")
        cut = asked(capsys, "cluster", "partition", "@primary")["cut"]
        assert len(cut) == 4 and acts.cuts() == [tuple(link) for link in cut]
        wait_until(lambda: primary(capsys) not in (old.name, "None"), "one of the majority leads", 60)
        through.execute("INSERT INTO t VALUES (2)")
        outcome: list[str] = []
        writing = threading.Thread(target=write, args=(beside, outcome))
        writing.start()
        through.execute("INSERT INTO t VALUES (3)")
        assert outcome != ["done"], "it is not acknowledged by who does not lead any more"
        acts.heal()
        writing.join(60)
        assert outcome and outcome != ["done"]
        acts.cut("proxy", "@primary")
        assert acts.cuts() == sorted([("proxy", acts.primary() or ""), (acts.primary() or "", "proxy")])
        acts.heal()
    wait_until(lambda: call(capsys, "cluster", "status")[0] == 0, "all follow again", 60)
    with connect(cluster.proxy.pg_port) as client:
        row = client.execute("SELECT array_agg(n ORDER BY n) FROM t").fetchone()
        assert row is not None and set(row[0]) >= {1, 2, 3} and 666 not in row[0]
    down = asked(capsys, "cluster", "down")
    assert sorted(down["namespaces"]) == sorted([hub, *(f"{hub}-{one.name}" for one in cluster.members)])
    assert network.names(cluster) == [] and acts.cuts() == []


@pytest.mark.slow
def test_down_takes_away_what_is_left_of_a_tool_that_was_killed(capsys: Capture) -> None:
    up = ("cluster", "up", "--netns", "--nodes", 1, "--no-proxy", "--base-port", base_port())
    asked(capsys, *up)
    acts = Acts(cluster := clusterfile.load(None))
    acts.kill("primary")
    subprocess.run(["ip", "netns", "delete", f"{cluster.netns}-primary"], check=True)
    with pytest.raises(HeliosError, match="is not there"):
        network.lose(replace(cluster, netns="heliosdb-none"), [])
    assert asked(capsys, "cluster", "up")["healthy"], "what is missing is made again"
    code, _, err = call(capsys, "cluster", "up", "--netns", "--nodes", 3)
    assert code == 2 and "describes another cluster" in err
    acts.kill("primary")
    would = asked(capsys, "cluster", "down", "--dry-run")
    assert would["stopped"] == [] and len(would["namespaces"]) == 2
    code, out, _ = call(capsys, "cluster", "down", "--wipe", "--yes")
    assert code == 0 and f"removed network namespace {cluster.netns}\n" in out
    assert network.names(cluster) == [] and not cluster.path.exists()


def test_where_namespaces_are_not_allowed(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "unshare").write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2; exit 1\n")
    (tools / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/sbin:/usr/bin:/bin")
    code, _, err = call(capsys, "cluster", "up", "--netns", "--base-port", base_port())
    assert code == 1 and "network namespaces are not allowed here" in err and "Operation not permitted" in err
    assert "hint: Leave --netns out" in err and not Path("heliosdb-cluster").exists()
    monkeypatch.setattr(network, "_tool", lambda name: None if name == "nft" else f"/usr/bin/{name}")
    assert "need nft, which is not installed" in call(capsys, "prove", "--netns", "--dry-run")[2]
