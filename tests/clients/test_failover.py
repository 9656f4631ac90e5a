"""Clusters of real processes that elect by themselves: after a kill and a freeze, with an observer, and not without."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from support.etcd_server import EtcdProcess, need_etcd
from support.node_process import MakeNode, NodeProcess, wait_until

ELECTED_S = 20.0
"""About a second when the machine is free."""


def status(node: NodeProcess) -> dict[str, Any]:
    return dict(node.http("/status")[1])


def leads(node: NodeProcess) -> bool:
    try:
        return node.http("/primary")[0] == 200
    except OSError:
        return False


@pytest.fixture(params=["embedded", "etcd"])
def authority(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """Flags of nodes that decide among themselves, and of nodes that go by an etcd."""
    if request.param == "embedded":
        yield ()
        return
    need_etcd()
    etcd = EtcdProcess(tmp_path / "etcd").start()
    yield etcd.node_flags
    etcd.kill()


def start(
    make_node: MakeNode, mode: str, standbys: int, observers: int = 0, authority: tuple[str, ...] = ()
) -> list[NodeProcess]:
    """A primary, its standbys and observers, once all of them are what they are to be."""
    primary = make_node("--node-id", "n1", "--replication-role", "primary", "--replication-mode", mode, *authority)
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port), *authority)
    nodes = [primary]
    for number in range(2, 2 + standbys):
        flags = ("--node-id", f"n{number}", "--replication-role", "standby", "--replication-mode", mode, *upstream)
        nodes.append(make_node(*flags, start=False).start(wait=False))
    for number in range(1, 1 + observers):
        nodes.append(make_node("--node-id", f"o{number}", "--replication-role", "observer", *upstream))
    with primary.connect() as connection:
        connection.execute("CREATE TABLE t (a int PRIMARY KEY)")
    for node in nodes[1 : 1 + standbys]:
        node.wait_healthy()
    voting = ["@etcd"] if authority else sorted(node.flags[1] for node in nodes)
    wait_until(lambda: explained(primary)["voters"] == voting, "all vote", ELECTED_S)
    wait_until(lambda: len(counting(primary)) == 1 + standbys, "all copies count", ELECTED_S)
    return nodes


def explained(node: NodeProcess) -> dict[str, Any]:
    code, found = node.http("/admin/explain/failover", body={"limit": 100})
    assert code == 200, found
    return dict(found)


def voters(node: NodeProcess) -> int:
    return len(explained(node)["voters"])


def counting(node: NodeProcess) -> list[str]:
    return [one["node_id"] for one in status(node)["cluster"]["nodes"] if one["in_sync"]]


def write_until(node: NodeProcess, count: int) -> None:
    with node.connect() as connection:
        for number in range(count):
            connection.execute("INSERT INTO t VALUES (%s)", (number,))


def rows(node: NodeProcess) -> int:
    with node.connect() as connection:
        row = connection.execute("SELECT count(*) FROM t").fetchone()
    assert row is not None
    return int(row[0])


def last_change(node: NodeProcess) -> dict[str, Any]:
    """The newest row of the history, as the guide asks for it."""
    with node.connect(row_factory=dict_row) as connection:
        row = connection.execute(
            "SELECT * FROM replicate.failover_history ORDER BY failover_time DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    return dict(row)


def elected(nodes: list[NodeProcess]) -> NodeProcess:
    """Who leads now, once somebody does."""
    wait_until(lambda: any(map(leads, nodes)), "somebody is elected", ELECTED_S)
    return next(node for node in nodes if leads(node))


def test_a_killed_primary_is_replaced_and_comes_back_as_a_standby(
    make_node: MakeNode, authority: tuple[str, ...]
) -> None:
    nodes = first, *others = start(make_node, "quorum", standbys=2, authority=authority)
    write_until(first, 50)
    first.kill()
    leader = elected(others)
    with leader.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1000)")
    assert rows(leader) == 51
    told = explained(leader)
    won = next(one for one in told["decisions"] if one["kind"] == "elected")
    needed = 1 if authority else 2
    assert (won["automatic"], won["won"], won["old_primary"]) == (True, True, "n1")
    assert won["votes"] == won["votes_needed"] == needed
    assert (won["copies"], won["copies_needed"]) == (2, 2)
    assert {one["node_id"]: one["outcome"] for one in won["ballots"]}["n1"] == "silent"
    first.start()
    wait_until(lambda: len(counting(leader)) == 3, "all copies count again", ELECTED_S)
    assert status(first)["role"] == "standby"
    wait_until(lambda: rows(first) == 51, "it has what came meanwhile", ELECTED_S)
    assert sum(map(leads, nodes)) == 1
    for node, decision in ((leader, "promoted"), (first, "retargeted"), (others[leader is others[0]], "retargeted")):
        told = last_change(node)
        facts = [told[name] for name in ("decision", "old_primary", "new_primary", "term")]
        assert facts == [decision, "n1", leader.flags[1], status(leader)["term"]]
        assert told["automatic"] == (True if node is leader else None)
        assert "the primary n1" in told["reason"] or node is not leader


def test_a_frozen_primary_acknowledges_nothing_when_it_thaws(make_node: MakeNode, authority: tuple[str, ...]) -> None:
    first, *others = start(make_node, "semi-sync", standbys=2, authority=authority)
    with first.connect() as session:
        session.execute("INSERT INTO t VALUES (1)")
        first.send(signal.SIGSTOP)
        try:
            leader = elected(others)
            with leader.connect() as connection:
                connection.execute("INSERT INTO t VALUES (2)")
        finally:
            first.send(signal.SIGCONT)
        with pytest.raises(psycopg.Error) as failed:
            session.execute("INSERT INTO t VALUES (3)")
        assert failed.value.sqlstate in ("57P01", "08007", "40001", None), failed.value
    wait_until(lambda: status(first)["role"] == "standby", "it follows", ELECTED_S)
    wait_until(lambda: len(counting(leader)) == 3, "all copies count again", ELECTED_S)
    assert rows(leader) == 2
    promoted = [one for node in (first, *others) for one in explained(node)["decisions"] if one["kind"] == "promoted"]
    assert len(promoted) == 1, "one election was enough, whoever had to ask twice"


@pytest.fixture
def pair_with_observer(make_node: MakeNode) -> Iterator[list[NodeProcess]]:
    """A primary, a standby and an observer."""
    yield start(make_node, "semi-sync", standbys=1, observers=1)


def test_two_data_nodes_and_an_observer_elect(pair_with_observer: list[NodeProcess]) -> None:
    first, second, observer = pair_with_observer
    found = status(observer)
    assert (found["role"], found["votes"], found["voters"]) == ("observer", True, ["n1", "n2", "o1"])
    assert observer.http("/ready")[0] == 503 and observer.http("/primary")[0] == observer.http("/standby")[0] == 503
    code, foreseen = first.http("/admin/whatif", body={"lose": ["n1"]})
    assert (code, foreseen["kind"], foreseen["primary"]) == (200, "elects", "n2")
    code, refused = first.http("/admin/switchover", body={"to": "o1"})
    assert (code, refused["error"]) == (409, "node o1 is an observer: it votes, and holds no data")
    write_until(first, 20)
    first.kill()
    assert elected([second]) is second
    assert rows(second) == 20
    wait_until(lambda: status(observer)["primary_id"] == "n2", "the observer follows", ELECTED_S)
    with second.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1000)")
    # A restart with what is on its disk, and then with an empty one, under the same name.
    observer.restart()
    wait_until(lambda: status(observer)["reaches_primary"], "it is back", ELECTED_S)
    assert status(observer)["term"] == status(second)["term"]
    observer.kill()
    shutil.rmtree(observer.data_dir)
    # Of three voters two are gone: without the observer's word nothing is acknowledged.
    wait_until(lambda: explained(second)["now"][-1].endswith("it acknowledges nothing"), "its lease is over", ELECTED_S)
    first.start()
    observer.flags[-1] = str(second.native_port)
    observer.start()
    wait_until(lambda: bool(status(observer)["votes"]), "it has a vote again, with its new disk", ELECTED_S)
    assert voters(second) == 3


def test_a_node_that_says_to_be_where_nobody_finds_it_is_told_of_and_followed_all_the_same(make_node: MakeNode) -> None:
    mode = ("--replication-mode", "quorum")
    first = make_node("--node-id", "n1", "--replication-role", "primary", *mode)
    upstream = (
        "--replication-role",
        "standby",
        "--primary-host",
        "127.0.0.1",
        "--primary-port",
        str(first.native_port),
    )
    second = make_node("--node-id", "n2", *upstream, *mode, "--advertise-address", "nosuch.invalid")
    third = make_node("--node-id", "n3", *upstream, *mode, "--failover-priority", "0")
    observer = make_node("--node-id", "o1", *upstream[2:], "--replication-role", "observer")
    wait_until(lambda: len(counting(third)) == 3, "all copies count", ELECTED_S)
    wait_until(lambda: "alarms" in first.http("/health")[1], "it is told", ELECTED_S)
    (alarm,) = first.http("/health")[1]["alarms"]
    where = f"nosuch.invalid:{second.native_port}"
    assert alarm.startswith(f"node n2 cannot be called at {where}: ") and "advertise_address" in alarm
    first.kill()
    assert elected([second, third]) is second
    with second.connect() as connection:
        connection.execute("CREATE TABLE t (a int)")
    wait_until(lambda: status(third)["cluster"]["primary_id"] == "n2", "the other one follows", ELECTED_S)
    wait_until(lambda: status(observer)["primary_id"] == "n2", "the observer too", 2 * ELECTED_S)
    first.start()
    wait_until(lambda: "n1" in counting(second), "so does the former primary", ELECTED_S)


def test_who_is_not_elected_says_why_and_what_would_change_it(pair_with_observer: list[NodeProcess]) -> None:
    first, second, observer = pair_with_observer

    def told(node: NodeProcess, reason: str, change: str, unreached: str = "") -> None:
        def decisions() -> list[Any]:
            return [one.get("reason") for one in explained(node)["decisions"]]

        wait_until(lambda: decisions()[-1:] == [reason], reason, ELECTED_S)
        row = last_change(node)
        assert (row["decision"], row["details"]["change"]) == ("not_elected", change)
        told = f"this node is not elected: {reason}{unreached}. {change}"
        assert explained(node)["decisions"][-1]["sentence"] == told

    assert first.http("/admin/pause", body={})[0] == 200
    wait_until(lambda: bool(explained(second)["paused"]), "the standby knows it", ELECTED_S)
    first.kill()
    told(second, "automatic failover is paused", "Promote a standby by hand: heliosdb-nano promote.")
    first.start()
    wait_until(lambda: first.http("/admin/resume", body={})[0] == 200, "it is not paused", ELECTED_S)
    wait_until(lambda: not explained(second)["paused"] and counting(first) == ["n1", "n2"], "all is well", ELECTED_S)
    observer.kill()
    first.kill()
    told(
        second, "2 of the voters n1, n2, o1 must agree, and 1 does; missing: n1, o1",
        "Start one of the missing nodes, or give --allow-data-loss.",
        " (n1: Connection refused; o1: Connection refused)",
    )  # fmt: skip
    observer.start()
    assert elected([second]) is second
    first.flags += ["--failover-priority", "0"]
    first.start()
    wait_until(lambda: counting(second) == ["n2", "n1"], "the copies of both count", ELECTED_S)
    second.kill()
    told(first, "its failover_priority is 0", "Promote it by hand, or start it with another failover_priority.")


def test_an_observer_that_was_restarted_votes_when_the_lease_that_it_may_have_granted_is_over(
    pair_with_observer: list[NodeProcess],
) -> None:
    """The primary may be alive, and count on its word."""
    lease_s = 3.0
    first, second, observer = pair_with_observer
    code, answer = first.http("/admin/config", body={"name": "lease", "value": f"{lease_s:g}s"})
    assert code == 200, answer
    wait_until(lambda: status(second)["cluster"]["lease_ms"] == 1000 * lease_s, "it is in force", ELECTED_S)
    wait_until(lambda: status(observer)["lease_ms"] > 500 * lease_s, "the observer has granted it", ELECTED_S)
    first.send(signal.SIGSTOP)
    try:
        time.sleep(lease_s * 2 / 3)
        observer.kill()
        began = time.monotonic()
        observer.start()
        assert elected([second]) is second
        assert time.monotonic() - began >= lease_s
    finally:
        first.send(signal.SIGCONT)


def test_an_observer_that_is_gone_for_good_is_removed(
    pair_with_observer: list[NodeProcess], make_node: MakeNode
) -> None:
    """Until then it has its vote, and its name: a data node that is called so would have two."""
    first, _second, observer = pair_with_observer
    code, answer = first.http("/admin/standby/remove", body={"node_id": "o1"})
    assert (code, answer["sqlstate"]) == (409, "55006")
    observer.stop()
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(first.native_port))
    flags = ("--node-id", "o1", "--replication-role", "standby", "--replication-mode", "semi-sync", *upstream)
    third = make_node(*flags, start=False).start(wait=False)
    wait_until(lambda: "o1 is an observer of this cluster" in third.log_tail(), "its name is taken", ELECTED_S)
    assert voters(first) == 3 and "o1" not in counting(first)
    code, answer = first.http("/admin/standby/remove", body={"node_id": "o1"})
    assert (code, answer) == (200, {"result": "node o1 is removed from the cluster"})
    wait_until(lambda: "o1" in counting(first), "the data node has the name", ELECTED_S)
    assert voters(first) == 3


def test_without_an_observer_two_data_nodes_do_not_elect(make_node: MakeNode) -> None:
    first = make_node("--node-id", "n1", "--replication-role", "primary", "--replication-mode", "semi-sync")
    second = make_node(
        "--node-id", "n2", "--replication-role", "standby", "--replication-mode", "semi-sync", "--primary-host",
        "127.0.0.1", "--primary-port", str(first.native_port),
    )  # fmt: skip
    wait_until(lambda: len(counting(first)) == 2, "both copies count", ELECTED_S)
    first.kill()
    wait_until(lambda: explained(second)["now"][-1].endswith("its vote is free"), "it has heard nothing", ELECTED_S)
    found = explained(second)
    assert found["now"][:2] == [
        "n1 led in term 1, mode semi-sync, and this node does not reach it",
        "n1 alone votes: nobody is elected without an operator; an observer would change that",
    ]
    assert found["now"][2].startswith("by the rules: n1 is lost, and nobody is elected: only n1 votes")
    assert found["now"][3].startswith("Promote n2 (--node 127.0.0.1:")
    (lost,) = [one for one in found["losses"] if one["lost"] == ["n1"]]
    assert (lost["kind"], lost["primary"]) == ("by hand", None)
    assert not leads(second)
    code, answer = second.http("/admin/promote", body={}, timeout=30)
    assert code == 200, answer
    assert leads(second)


def test_what_is_no_loss_is_refused(make_node: MakeNode) -> None:
    node = make_node("--replication-role", "primary")
    for body, expected in (
        ({"lose": ["zz"]}, "no node of this cluster"),
        ({"lose": []}, "lose is a list"),
        ({}, "lose is"),
        ({"lose": ["n1"], "cut": [["n1"]]}, "lose is a list"),
        ({"cut": [[]]}, "cut is a list"),
        ({"cut": "n1"}, "cut is a list"),
        ({"cut": [["zz"]]}, "no node of this cluster"),
    ):
        code, answer = node.http("/admin/whatif", body=body)
        assert code != 200 and expected in answer["error"], answer
    code, answer = node.http("/admin/explain/failover", body={"limit": 0})
    assert code != 200 and "limit is a number" in answer["error"]
    code, answer = node.http("/admin/explain/failover", body={"id": 12345})
    assert code != 200 and "has no decision 12345" in answer["error"]


def test_a_primary_whose_lease_is_over_is_none_for_load_balancers(make_node: MakeNode) -> None:
    first, *others = start(make_node, "quorum", standbys=2)
    assert leads(first) and first.http("/ready")[0] == 200
    for node in others:
        node.send(signal.SIGSTOP)
    try:
        wait_until(lambda: not leads(first), "it is no primary any more", ELECTED_S)
        code, answer = first.http("/primary")
        assert code == 503 and "its lease is over" in answer["reason"]
        assert first.http("/ready")[0] == 503
    finally:
        for node in others:
            node.send(signal.SIGCONT)
    wait_until(lambda: sum(map(leads, (first, *others))) == 1, "one leads again", ELECTED_S)


def test_a_primary_that_thaws_votes_when_its_successor_is_frozen(make_node: MakeNode) -> None:
    """It never heard of the one that took its place, and the third node alone is no majority."""
    nodes = first, *others = start(make_node, "quorum", standbys=2)
    first.send(signal.SIGSTOP)
    second = elected(others)
    third = next(node for node in others if node is not second)
    wait_until(lambda: len(counting(second)) == 2, "the third follows it", ELECTED_S)
    second.send(signal.SIGSTOP)
    try:
        first.send(signal.SIGCONT)
        wait_until(lambda: leads(third), "the third is elected", ELECTED_S)
        with third.connect() as connection:
            connection.execute("INSERT INTO t VALUES (1)")
        told = explained(third)["decisions"]
        won = [one for one in told if one["kind"] == "elected"][-1]
        assert {one["node_id"]: one["outcome"] for one in won["ballots"]}["n1"] == "granted", won
        kinds = [one["kind"] for one in explained(first)["decisions"]]
        assert "gave_way" in kinds, kinds
    finally:
        second.send(signal.SIGCONT)
    wait_until(lambda: len(counting(third)) == 3, "all copies count again", ELECTED_S)
    assert sum(map(leads, nodes)) == 1
