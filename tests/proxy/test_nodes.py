"""What the proxy knows of a cluster of our nodes: who there is, who leads, who is healthy, how far each is."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psycopg
import pytest
from support.node_cluster import NodeCluster
from support.node_process import MakeNode, NodeProcess, wait_until
from support.watched import Watched, watched

from helios_cli.engine.config.proxy import NodeSettings, ProxySettings
from helios_cli.engine.proxyserver.node import State
from helios_cli.engine.types import Lsn, Token

Watch = Callable[..., Watched]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Watches clusters until the end of the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(watched(**settings))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[NodeCluster]:
    """A cluster of the test's own, whose nodes may be ended: n1 leads, n2 and n3 may replace it."""
    cluster = NodeCluster(tmp_path, ("sync", "sync", "sync"))
    try:
        yield cluster.start()
    finally:
        cluster.close()
        for node in cluster.nodes:
            print(f"--- {node.directory.name}\n{node.log_tail()}")


def address(node: NodeProcess) -> str:
    return f"127.0.0.1:{node.pg_port}"


def lsn_of(node: NodeProcess) -> int:
    with node.connect() as connection:
        row = connection.execute("SHOW helios.lsn").fetchone()
    assert row is not None
    return int(Token.parse(row[0]).lsn)


def busy(seen: Watched, name: str) -> None:
    """A unit is in hand there."""
    seen.node(name).active = 1


def test_all_nodes_are_found_from_a_standby(node_cluster: NodeCluster, watch: Watch) -> None:
    seen = watch(discover=address(node_cluster.standbys[0]))
    wait_until(lambda: len(seen.cluster.nodes) == 3, "three nodes are known")
    seen.wait_primary("n1")
    seen.wait_readers("n1", "n2", "n3")
    places = {name: (node.host, node.port, node.role) for name, node in seen.cluster.nodes.items()}
    roles = ["primary", "standby", "standby"]
    assert places == {
        f"n{number}": ("127.0.0.1", node.pg_port, role)
        for number, (node, role) in enumerate(zip(node_cluster.nodes, roles, strict=True), 1)
    }
    assert all(node.is_heliosdb and node.latency_s > 0 for node in seen.cluster.nodes.values())


def test_an_observer_is_no_node_and_a_standby_that_joins_is_one(make_node: MakeNode, watch: Watch) -> None:
    first = make_node("--replication-role", "primary", "--node-id", "n1", "--replication-mode", "sync")
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(first.native_port))
    make_node("--replication-role", "observer", "--node-id", "o1", *upstream)
    seen = watch(discover=address(first))
    seen.wait_readers("n1")
    make_node("--replication-role", "standby", "--node-id", "n2", "--replication-mode", "sync", *upstream)
    seen.wait_readers("n1", "n2")
    assert sorted(seen.cluster.nodes) == ["n1", "n2"]


def test_a_standby_that_was_removed_is_no_node_any_more(own: NodeCluster, watch: Watch) -> None:
    seen = watch(discover=address(own.nodes[0]))
    seen.wait_readers("n1", "n2", "n3")
    node = seen.node("n3")
    own.nodes[2].kill()
    assert own.nodes[0].http("/admin/standby/remove", body={"node_id": "n3"})[0] == 200
    wait_until(lambda: "n3" not in seen.cluster.nodes, "n3 is gone")
    assert node.state is State.DISABLED
    assert node.generation > 0
    assert seen.readers() == {"n1", "n2"}


def test_nodes_that_are_listed_are_the_only_ones(node_cluster: NodeCluster, watch: Watch) -> None:
    first, second, third = node_cluster.nodes
    nodes = (
        NodeSettings("a", "127.0.0.1", second.pg_port, role="primary"),
        NodeSettings("b", "127.0.0.1", first.pg_port, weight=3),
        NodeSettings("c", "127.0.0.1", third.pg_port, enabled=False),
    )
    seen = watch(nodes=nodes)
    seen.wait_primary("b")
    seen.wait_readers("a", "b")
    assert list(seen.cluster.nodes) == ["a", "b", "c"]
    assert seen.node("a").role == "standby", "what the configuration says is a hint"
    assert seen.node("c").state is State.DISABLED
    found = seen.call(lambda: [one.name for _ in range(8) if (one := seen.cluster.reader()) is not None])
    assert sorted(found) == ["a"] * 2 + ["b"] * 6


def test_settings_come_into_force_while_it_runs(node_cluster: NodeCluster, watch: Watch) -> None:
    first, second, third = (
        NodeSettings(f"m{number}", "127.0.0.1", node.pg_port) for number, node in enumerate(node_cluster.nodes, 1)
    )
    seen = watch(nodes=(first, second))
    seen.wait_readers("m1", "m2")
    gone = seen.node("m2")
    seen.call(lambda: seen.cluster.apply(ProxySettings(nodes=(first, third), read_from_primary=False)))
    seen.wait_readers("m3")
    assert (gone.state, gone.generation) == (State.DISABLED, 1)
    assert seen.primary == "m1"
    seen.call(lambda: seen.cluster.apply(ProxySettings(nodes=(first, NodeSettings("m3", "127.0.0.1", 1)))))
    seen.wait_state("m3", State.UNHEALTHY)
    assert seen.node("m3").generation > 0
    seen.call(lambda: seen.cluster.apply(ProxySettings(discover=address(node_cluster.nodes[1]))))
    seen.wait_readers("n1", "n2", "n3")


def test_a_node_that_is_drained_gets_nothing_new(node_cluster: NodeCluster, watch: Watch) -> None:
    seen = watch(discover=address(node_cluster.nodes[0]))
    seen.wait_readers("n1", "n2", "n3")
    seen.call(lambda: seen.cluster.drain(seen.node("n2")))
    assert seen.readers() == {"n1", "n3"}
    assert seen.node("n2").state is State.DRAINING
    seen.call(lambda: seen.cluster.drain(seen.node("n1")))
    assert (seen.primary, seen.readers()) == ("", {"n3"})
    assert {node.generation for node in seen.cluster.nodes.values()} == {0}, "what runs there may end"
    for node in seen.cluster.nodes.values():
        seen.call(partial(seen.cluster.undrain, node))
    assert (seen.primary, seen.readers()) == ("n1", {"n1", "n2", "n3"})


def test_nodes_to_be_avoided_are(node_cluster: NodeCluster, watch: Watch) -> None:
    seen = watch(discover=address(node_cluster.nodes[0]))
    seen.wait_readers("n1", "n2", "n3")
    first, second, third = (seen.node(name) for name in ("n1", "n2", "n3"))
    assert seen.call(lambda: seen.cluster.reader(0, (first, second))) is third
    assert seen.call(lambda: seen.cluster.reader(1 << 50, (second,))) is first
    assert seen.call(lambda: seen.cluster.reader(1 << 50, (first,))) is None


def test_a_read_waits_for_its_floor_by_looking(node_cluster: NodeCluster, watch: Watch) -> None:
    """Checks are far apart: looks tell how far the standbys are."""
    seen = watch(discover=address(node_cluster.nodes[0]), health_check_interval=600.0)
    seen.wait_readers("n1", "n2", "n3")
    with node_cluster.primary.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS floors (a int)")
        connection.execute("INSERT INTO floors VALUES (1)")
    floor = lsn_of(node_cluster.primary)

    def look() -> None:
        """As a statement does that waits for a standby."""
        seen.cluster.look(floor)
        seen.cluster.when_changed(look)

    seen.call(look)
    seen.wait_readers("n1", "n2", "n3", floor=floor)
    assert seen.readers(1 << 50) == {"n1"}


def test_what_a_backend_says_counts_too(node_cluster: NodeCluster, watch: Watch) -> None:
    seen = watch(discover=address(node_cluster.nodes[0]), health_check_interval=600.0)
    seen.wait_readers("n1", "n2", "n3")
    floor = int(max(node.lsn for node in seen.cluster.nodes.values())) + 8
    seen.call(lambda: seen.cluster.saw(seen.node("n3"), Lsn(floor)))
    assert seen.readers(floor) == {"n1", "n3"}


def test_a_watch_that_is_sent_away_takes_nothing_from_its_node(node_cluster: NodeCluster, watch: Watch) -> None:
    seen = watch(discover=address(node_cluster.nodes[0]))
    primary = seen.wait_primary("n1")
    with node_cluster.primary.connect() as connection:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heliosproxy'"
        assert connection.execute(query).fetchall()
    wait_until(lambda: ("n1", "unhealthy", "primary", primary.term, 0) in seen.changes, "that was noticed")
    seen.wait_primary("n1")
    assert primary.generation == 0


def test_a_suspected_node_is_asked_and_believed(node_cluster: NodeCluster, watch: Watch) -> None:
    seen = watch(discover=address(node_cluster.nodes[0]))
    primary = seen.wait_primary("n1")

    def suspect() -> str:
        seen.cluster.suspect(primary, "a connection broke")
        return seen.primary

    assert seen.call(suspect) == ""
    seen.wait_primary("n1")
    assert primary.generation == 0


def test_a_primary_that_is_killed_is_replaced_and_comes_back_as_a_standby(
    own: NodeCluster, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "helios_cli.engine.proxyserver")
    seen = watch(discover=address(own.nodes[1]))
    term = seen.wait_primary("n1").term
    own.nodes[0].kill()
    wait_until(lambda: seen.primary in ("n2", "n3"), "another one leads", 60)
    name = seen.primary
    assert seen.node(name).term > term
    assert seen.node("n1").generation > 0
    seen.wait_readers("n2", "n3")
    own.nodes[0].start()
    seen.wait_role("n1", "standby")
    assert seen.primary == name
    told = [record.getMessage() for record in caplog.records]
    for words in (
        "node n1 is unhealthy: ",
        f"failover: node {name} is the primary of term {seen.node(name).term} in place of n1",
        f"role change: node {name} is the primary",
        f"routing: writes go to node {name}, reads to ",
        "routing: writes go to nobody",
        "node n1 is healthy",
    ):
        assert any(words in line for line in told), (words, told)


@pytest.mark.parametrize("interval", [0.5, 600.0])
def test_a_primary_that_freezes_under_a_statement_is_lost_and_never_believed_again(
    own: NodeCluster, watch: Watch, interval: float
) -> None:
    seen = watch(discover=address(own.nodes[0]), health_check_interval=interval)
    term = seen.wait_primary("n1").term
    busy(seen, "n1")
    os.kill(own.nodes[0].pid, signal.SIGSTOP)
    try:
        wait_until(lambda: seen.primary in ("n2", "n3"), "another one leads", 60)
        wait_until(lambda: seen.node("n1").state is State.UNHEALTHY, "n1 is unhealthy", 60)
        assert seen.node("n1").generation > 0
    finally:
        os.kill(own.nodes[0].pid, signal.SIGCONT)
    seen.wait_role("n1", "standby")
    assert [lead[1] for lead in seen.leads] == sorted({lead[1] for lead in seen.leads}), "terms only rise"
    assert [name for name, of in seen.leads if of > term].count("n1") == 0


def test_a_standby_that_freezes_gets_nothing_until_it_answers(own: NodeCluster, watch: Watch) -> None:
    seen = watch(discover=address(own.nodes[0]), health_check_interval=600.0)
    seen.wait_readers("n1", "n2", "n3")
    busy(seen, "n3")
    own.nodes[2].send(signal.SIGSTOP)
    try:
        seen.wait_state("n3", State.UNHEALTHY)
        assert seen.node("n3").generation > 0
        assert seen.readers() == {"n1", "n2"}
    finally:
        own.nodes[2].send(signal.SIGCONT)
    seen.wait_readers("n1", "n2", "n3")
    assert seen.primary == "n1"


def test_a_standby_beside_a_primary_is_lost_in_half_of_the_time(own: NodeCluster, watch: Watch) -> None:
    """Its reads can go on elsewhere at once, and wait for nothing but this."""
    seen = watch(discover=address(own.nodes[0]), health_check_interval=600.0, health_check_timeout=12.0)
    seen.wait_readers("n1", "n2", "n3")
    busy(seen, "n3")
    own.nodes[2].send(signal.SIGSTOP)
    try:
        wait_until(lambda: seen.node("n3").state is State.UNHEALTHY, "n3 is unhealthy", 11)
    finally:
        own.nodes[2].send(signal.SIGCONT)
    seen.wait_readers("n1", "n2", "n3")


def test_a_switchover_takes_the_writes_away_before_the_node_does(own: NodeCluster, watch: Watch) -> None:
    seen = watch(discover=address(own.nodes[0]))
    term = seen.wait_primary("n1").term
    with own.nodes[0].connect() as connection:
        connection.execute("CREATE TABLE t (a int)")
    answers: list[int] = []

    def in_vain() -> None:
        answers.append(own.nodes[0].http("/admin/switchover", body={"to": "n2", "timeout_s": 0.9})[0])

    with own.nodes[0].connect(autocommit=False) as holder:
        holder.execute("INSERT INTO t VALUES (1)")
        attempt = threading.Thread(target=in_vain)
        attempt.start()
        wait_until(lambda: seen.primary == "", "new writes are held back")
        assert seen.node("n1").role == "primary"
        assert "n1" in seen.readers()
        attempt.join()
        seen.wait_primary("n1")
    assert answers == [409]
    assert seen.node("n1").generation == 0, "what ran there went on"
    assert own.nodes[0].http("/admin/switchover", body={"to": "n2"})[0] == 200
    seen.wait_primary("n2")
    seen.wait_readers("n1", "n2", "n3")
    assert seen.node("n2").term > term
    assert seen.node("n1").role == "standby"
    assert seen.node("n1").generation == 1


def test_nobody_is_there_at_first(own: NodeCluster, watch: Watch) -> None:
    for node in own.nodes:
        node.kill()
    seen = watch(discover=address(own.nodes[1]))
    assert (seen.cluster.nodes, seen.primary, seen.readers()) == ({}, "", set())
    for node in own.nodes:
        node.start(wait=False)
    for node in own.nodes:
        node.wait_healthy()
    seen.wait_readers("n1", "n2", "n3")
    assert seen.primary


def test_a_wrong_password_leaves_the_nodes_unhealthy_and_says_so(
    make_node: MakeNode, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    node = make_node("--node-id", "n1")
    with node.connect() as connection:
        connection.execute("CREATE ROLE watcher LOGIN PASSWORD 'right'")
    listed = (NodeSettings("n1", "127.0.0.1", node.pg_port),)
    seen = watch(nodes=listed, auth_user="watcher", auth_password="wrong", failure_threshold=1)
    assert seen.readers() == set()
    assert any("node n1 is unhealthy: password authentication failed" in one.getMessage() for one in caplog.records)
    right = ProxySettings(nodes=listed, auth_user="watcher", auth_password="right")
    seen.call(lambda: seen.cluster.apply(right))
    seen.wait_readers("n1")
    with pytest.raises(psycopg.OperationalError):
        node.connect(user="watcher", password="wrong")
