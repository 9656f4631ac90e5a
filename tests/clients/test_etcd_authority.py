"""Clusters that go by an etcd: without it, with an empty one, and with nodes that would go by another authority."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from support.etcd_server import EtcdProcess, MakeEtcd
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.commands.proving.tcp_link import TcpLink

ELECTED_S = 30.0
TTL_S = 2.0
AWAY_S = float(os.environ.get("HELIOSDB_TEST_ETCD_AWAY_S", 2 * TTL_S))
"""How long etcd is away under load."""
PAUSE_S = 0.004
"""What a client rests between two rows: others test on the same machine."""


def status(node: NodeProcess) -> dict[str, Any]:
    return dict(node.http("/status")[1])


def explained(node: NodeProcess) -> dict[str, Any]:
    code, found = node.http("/admin/explain/failover", body={"limit": 200})
    assert code == 200, found
    return dict(found)


def kinds(node: NodeProcess) -> list[str]:
    return [one["kind"] for one in explained(node)["decisions"]]


def leads(node: NodeProcess) -> bool:
    try:
        return node.http("/primary", timeout=2)[0] == 200
    except OSError:
        return False


def counting(node: NodeProcess) -> list[str]:
    return sorted(one["node_id"] for one in status(node)["cluster"]["nodes"] if one["in_sync"])


def held(etcd: EtcdProcess) -> str | None:
    """Who has the lead in etcd."""
    found = [json.loads(value) for key, value in etcd.keys().items() if key.endswith("/leader")]
    return found[0]["node_id"] if found else None


def agreed(etcd: EtcdProcess) -> dict[str, Any]:
    """The configuration in etcd."""
    found = [json.loads(value) for key, value in etcd.keys().items() if key.endswith("/sync")]
    return dict(json.loads(found[0]["config"])) if found else {"in_sync": []}


def metric(node: NodeProcess, name: str) -> float:
    """One of etcd's among the metrics."""
    text = node.http("/metrics")[1]
    (line,) = [line for line in text.splitlines() if line.startswith(f"heliosdb_etcd_{name} ")]
    return float(line.split()[1])


def cluster(make_node: MakeNode, etcd: EtcdProcess, mode: str, standbys: int) -> list[NodeProcess]:
    """A primary and its standbys, once all copies count, as etcd knows."""
    flags = ("--replication-mode", mode, *etcd.node_flags)
    primary = make_node("--node-id", "n1", "--replication-role", "primary", *flags)
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port))
    nodes = [primary]
    for number in range(2, 2 + standbys):
        more = ("--node-id", f"n{number}", "--replication-role", "standby", *upstream, *flags)
        nodes.append(make_node(*more, start=False).start(wait=False))
    with primary.connect() as connection:
        connection.execute("CREATE TABLE t (a int PRIMARY KEY)")
    for node in nodes[1:]:
        node.wait_healthy()
    names = [f"n{number}" for number in range(1, 2 + standbys)]
    wait_until(lambda: counting(primary) == names, "all copies count", ELECTED_S)
    wait_until(lambda: agreed(etcd)["in_sync"] == names, "etcd knows it", ELECTED_S)
    return nodes


@contextmanager
def writing(node: NodeProcess, clients: int = 4) -> Iterator[list[int]]:
    """Clients that write all the time, none of whom may hear of an error; the rows acknowledged so far."""
    written: list[int] = []
    errors: list[str] = []
    ended = threading.Event()

    def write(first: int) -> None:
        try:
            with node.connect() as connection:
                key = first
                while not ended.wait(PAUSE_S):
                    connection.execute("INSERT INTO t VALUES (%s)", (key,))
                    written.append(key)
                    key += clients
        except psycopg.Error as error:
            errors.append(str(error))

    threads = [threading.Thread(target=write, args=(1000 + number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)
    assert not errors, errors


def goes_on(written: list[int], seconds: float) -> None:
    """For so long a write is acknowledged at least every second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = len(written)
        wait_until(lambda before=before: len(written) > before, "writes go on", 1.0)  # type: ignore[misc]


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_without_etcd_a_primary_leads_on_that_hears_everybody(
    make_node: MakeNode, etcd: EtcdProcess, mode: str, how: str
) -> None:
    first, *_others = cluster(make_node, etcd, mode, standbys=2)
    term = status(first)["term"]
    with writing(first) as written:
        goes_on(written, 1)
        if how == "killed":
            etcd.kill()
        else:
            etcd.send(signal.SIGSTOP)
        goes_on(written, AWAY_S)
        assert status(first)["authority"]["reached"] is False
        assert metric(first, "reached") == metric(first, "leads") == 0 and metric(first, "failures_total") > 0
        told = explained(first)["now"]
        assert any("etcd decides nothing for " in one for one in told), told
        assert any("leads on without it while it hears n1, n2, n3" in one for one in told), told
        wait_until(lambda: "etcd_lost" in kinds(first), "it is told")
        if how == "killed":
            etcd.start()
        else:
            etcd.send(signal.SIGCONT)
        wait_until(lambda: held(etcd) == "n1", "it has the lead in etcd again", ELECTED_S)
        etcd.control("compact", str(json.loads(etcd.control("get", "x", "--write-out=json"))["header"]["revision"]))
        goes_on(written, 1)
        assert metric(first, "reached") == metric(first, "leads") == 1 and metric(first, "renewals_total") > 0
        assert f"etcd keeps the lead for n1 in term {term}" in explained(first)["now"]
    assert (status(first)["term"], leads(first)) == (term, True)
    assert "lease_over" not in kinds(first)
    wait_until(lambda: status(first)["authority"]["reached"] is True, "etcd is back")


def test_without_etcd_and_without_a_standby_nothing_is_acknowledged(make_node: MakeNode, etcd: EtcdProcess) -> None:
    first, _second, third = cluster(make_node, etcd, "quorum", standbys=2)
    etcd.kill()
    wait_until(lambda: status(first)["authority"]["reached"] is False, "etcd is missed")
    third.kill()
    wait_until(lambda: "lease_over" in kinds(first), "its lease is over", ELECTED_S)
    with writing(first, clients=1) as written:
        # Though two of three have the row.
        wait_until(lambda: status(first)["flushed_lsn"] != status(first)["committed_lsn"], "a write waits", ELECTED_S)
        time.sleep(TTL_S)
        assert not written
        etcd.start()
        wait_until(lambda: bool(written), "it is acknowledged", ELECTED_S)
    wait_until(lambda: "lease_held" in kinds(first), "it is told", ELECTED_S)
    assert held(etcd) == "n1"


def test_a_standby_that_comes_back_is_enough_without_etcd(make_node: MakeNode, etcd: EtcdProcess) -> None:
    """Nobody is ejected meanwhile: etcd would have to agree to that before commits go on."""
    first, second = cluster(make_node, etcd, "semi-sync", standbys=1)
    etcd.kill()
    wait_until(lambda: status(first)["authority"]["reached"] is False, "etcd is missed", ELECTED_S)
    with writing(first, clients=1) as written:
        second.kill()
        wait_until(lambda: first.http("/ready")[0] == 503, "commits wait", ELECTED_S)
        # Longer than eject_after.
        time.sleep(2.5)
        before = len(written)
        second.start()
        wait_until(lambda: len(written) > before + 10, "they go on", ELECTED_S)
    assert not status(first)["authority"]["reached"] and counting(first) == ["n1", "n2"]


@pytest.mark.parametrize("mode", ["async", "semi-sync"])
def test_two_data_nodes_elect_without_an_observer(make_node: MakeNode, etcd: EtcdProcess, mode: str) -> None:
    first, second = cluster(make_node, etcd, mode, standbys=1)
    code, foreseen = first.http("/admin/whatif", body={"lose": ["n1"]})
    assert (code, foreseen["kind"], foreseen["primary"]) == (200, "elects", "n2")
    code, foreseen = first.http("/admin/whatif", body={"lose": ["@etcd"]})
    assert (code, foreseen["kind"], foreseen["primary"]) == (200, "writes", "n1")
    code, foreseen = first.http("/admin/whatif", body={"lose": ["@etcd", "n2"]})
    assert (code, foreseen["kind"]) == (200, "waits")
    with first.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    wait_until(lambda: status(second)["committed_lsn"] == status(first)["committed_lsn"], "it has everything")
    first.kill()
    wait_until(lambda: leads(second), "n2 is elected", ELECTED_S)
    assert held(etcd) == "n2"
    with second.connect() as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
        connection.execute("INSERT INTO t VALUES (2)")
    (won,) = [one for one in explained(second)["decisions"] if one["kind"] == "elected"]
    assert "etcd gives it the lead" in won["sentence"]
    terms = [json.loads(value) for key, value in sorted(etcd.keys().items()) if "/history/" in key]
    assert [one["node_id"] for one in terms] == ["n1", "n2"] and terms[1]["term"] == status(second)["term"]
    first.start()
    wait_until(lambda: counting(second) == ["n1", "n2"], "both copies count", ELECTED_S)
    assert not leads(first)


def test_a_primary_that_froze_until_its_lease_was_over_acknowledges_nothing(
    make_node: MakeNode, etcd: EtcdProcess
) -> None:
    first, second = cluster(make_node, etcd, "async", standbys=1)
    with first.connect() as session:
        session.execute("INSERT INTO t VALUES (1)")
        wait_until(lambda: status(second)["flushed_lsn"] == status(first)["flushed_lsn"], "it has everything")
        first.send(signal.SIGSTOP)
        try:
            began = time.monotonic()
            wait_until(lambda: leads(second), "n2 is elected", ELECTED_S)
            assert time.monotonic() - began > TTL_S / 2, "etcd keeps the lead for one that acknowledges by itself"
            with second.connect() as connection:
                connection.execute("INSERT INTO t VALUES (2)")
        finally:
            first.send(signal.SIGCONT)
        with pytest.raises(psycopg.Error):
            session.execute("INSERT INTO t VALUES (3)")
    wait_until(lambda: counting(second) == ["n1", "n2"], "both copies count", ELECTED_S)
    with second.connect() as connection:
        assert connection.execute("SELECT a FROM t ORDER BY a").fetchall() == [(1,), (2,)]


def test_an_etcd_that_lost_its_disk_is_told_again(make_node: MakeNode, etcd: EtcdProcess) -> None:
    first, second = cluster(make_node, etcd, "semi-sync", standbys=1)
    with writing(first) as written:
        goes_on(written, 1)
        etcd.forget()
        goes_on(written, 1)
        etcd.start()
        wait_until(lambda: held(etcd) == "n1", "it has the lead in etcd again", ELECTED_S)
        wait_until(lambda: agreed(etcd)["in_sync"] == ["n1", "n2"], "the configuration too", ELECTED_S)
        goes_on(written, 1)
    wait_until(lambda: status(second)["authority"]["knows_cluster"], "the standby sees it", ELECTED_S)
    first.kill()
    wait_until(lambda: leads(second), "n2 is elected", ELECTED_S)


def test_by_an_etcd_that_knows_nothing_nobody_is_elected(make_node: MakeNode, etcd: EtcdProcess) -> None:
    first, second = cluster(make_node, etcd, "semi-sync", standbys=1)
    with first.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    etcd.kill()
    first.kill()
    shutil.rmtree(etcd.data_dir)
    etcd.start()
    wait_until(lambda: status(second)["authority"]["knows_cluster"] is False, "it looks", ELECTED_S)
    wait_until(lambda: status(second)["authority"]["reached"], "it is reached", ELECTED_S)
    time.sleep(2 * TTL_S)
    assert not leads(second)
    assert any("does not know the configuration" in told for told in explained(second)["now"])
    code, answer = second.http("/admin/promote", body={}, timeout=30)
    assert code != 200 and "etcd does not give the lead" in answer["error"], answer
    code, answer = second.http("/admin/promote", body={"allow_data_loss": True}, timeout=30)
    assert code == 200, answer
    wait_until(lambda: held(etcd) == "n2", "etcd is told", ELECTED_S)
    with second.connect() as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
        connection.execute("INSERT INTO t VALUES (2)")


def test_a_switchover_takes_the_lead_along_in_etcd(make_node: MakeNode, etcd: EtcdProcess) -> None:
    first, second = cluster(make_node, etcd, "sync", standbys=1)
    began = time.monotonic()
    code, answer = first.http("/admin/switchover", body={}, timeout=30)
    assert code == 200, answer
    assert leads(second) and held(etcd) == "n2"
    assert time.monotonic() - began < 10
    with second.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    etcd.kill()
    code, answer = second.http("/admin/switchover", body={}, timeout=30)
    assert code != 200 and "etcd does not answer" in answer["error"], answer
    with second.connect() as connection:
        connection.execute("INSERT INTO t VALUES (2)")
    assert leads(second)


def test_a_primary_that_stops_gives_the_lead_back(make_node: MakeNode, etcd: EtcdProcess) -> None:
    first, second = cluster(make_node, etcd, "async", standbys=1)
    assert first.stop() == 0
    assert held(etcd) in (None, "n2")
    wait_until(lambda: leads(second), "n2 is elected", ELECTED_S)


def test_nodes_of_another_authority_are_refused(make_node: MakeNode, etcd: EtcdProcess) -> None:
    first = make_node("--node-id", "n1", "--replication-role", "primary", *etcd.node_flags)
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(first.native_port))
    for role, expected in (
        ("standby", "the authority of this cluster is etcd, and that of this node would be embedded"),
        ("observer", "etcd decides who leads in this cluster: an observer has nothing to vote on"),
    ):
        other = make_node("--node-id", "x", "--replication-role", role, *upstream, start=False).start(wait=False)
        assert other.wait(30) == 2
        assert expected in other.log_tail()
    first.stop()
    first.flags = first.flags[:4]
    first.start(wait=False)
    assert first.wait(30) == 2
    assert "Start it with --authority etcd" in first.log_tail()


def test_a_node_that_etcd_refuses_says_so(make_node: MakeNode, make_etcd: MakeEtcd) -> None:
    etcd = make_etcd()
    etcd.control("user", "add", "root:secret")
    etcd.control("user", "add", "helios:right")
    etcd.control("role", "add", "helios")
    etcd.control("role", "grant-permission", "helios", "readwrite", "--prefix=true", "/heliosdb/")
    etcd.control("user", "grant-role", "root", "root")
    etcd.control("user", "grant-role", "helios", "helios")
    etcd.control("auth", "enable")
    node = make_node(
        "--node-id", "n1", "--replication-role", "primary", *etcd.node_flags, "--etcd-user", "helios",
        environment={"HELIOSDB_ETCD_PASSWORD": "wrong"},
    )  # fmt: skip
    wait_until(lambda: "authentication failed" in (status(node)["authority"]["error"] or ""), "it says why", ELECTED_S)
    node.stop()
    password = node.directory / "password"
    password.write_text("right\n")
    node.environment_of_start.clear()
    node.flags += ["--etcd-password-file", str(password)]
    node.start()
    wait_until(lambda: status(node)["authority"]["leader"] == "n1", "it has the lead in etcd", ELECTED_S)


def test_a_primary_that_was_restarted_leads_again_when_etcd_is_back(make_node: MakeNode, etcd: EtcdProcess) -> None:
    nodes = first, _second = cluster(make_node, etcd, "sync", standbys=1)
    with first.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    etcd.kill()
    first.kill()
    first.start(wait=False)
    wait_until(lambda: "this node does not lead yet: etcd does not give the lead" in first.log_tail(), "it says so", 30)
    assert not any(map(leads, nodes))
    etcd.start()
    wait_until(lambda: any(map(leads, nodes)), "one leads", ELECTED_S)
    leader = next(node for node in nodes if leads(node))
    wait_until(lambda: counting(leader) == ["n1", "n2"], "both copies count", ELECTED_S)
    with leader.connect() as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_a_slow_etcd_is_no_lost_one(make_node: MakeNode, etcd: EtcdProcess) -> None:
    with TcpLink(etcd.client_port) as link:
        near = etcd.client_port
        etcd.client_port = link.port
        first, second = cluster(make_node, etcd, "async", standbys=1)
        etcd.client_port = near
        with writing(first) as written:
            link.delay_s = 0.2
            goes_on(written, 2 * TTL_S)
        assert "etcd_lost" not in kinds(first) and status(first)["authority"]["reached"] is True
        wait_until(lambda: status(second)["flushed_lsn"] == status(first)["flushed_lsn"], "it has everything")
        first.kill()
        wait_until(lambda: leads(second), "n2 is elected", ELECTED_S)
