"""Hosts that lose sight of each other: nothing acknowledged is lost, one node leads, and the views tell what is so."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
import pytest
from support.network import HostedNode, Network
from support.node_process import wait_until

from helios_cli.commands.proving.tcp_link import TcpLink

SETTLED_S = 30.0
NOTICED_S = 4.0
"""Long after a cut no view may call what it cut ``streaming``: a second is promised, the rest is for a busy machine."""

View = dict[str, tuple[str, str, bool]]


def cluster(network: Network, directory: Path, mode: str, link: TcpLink | None = None) -> list[HostedNode]:
    """A primary and two standbys, each on a host of its own, whose copies all count; n2 comes over ``link``."""
    hosts = [network.host(f"n{number}") for number in (1, 2, 3)]
    flags = ("--replication-mode", mode)
    first = network.node(hosts[0], directory / "n1", ("--replication-role", "primary", *flags)).start()
    nodes = [first]
    for host in hosts[1:]:
        where = (first.host.address, first.native_port)
        if link is not None and host.name == "n2":
            link.target = where
            where = (network.switch.address, link.port)
        upstream = ("--replication-role", "standby", "--primary-host", where[0], "--primary-port", str(where[1]))
        nodes.append(network.node(host, directory / host.name, (*upstream, *flags)).start(wait=False))
    with first.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
    for node in nodes[1:]:
        node.wait_healthy()
    for node in nodes:
        wait_view(node, {name: (..., ..., True) for name in ("n1", "n2", "n3")})
    assert first.http("/admin/pause", body={})[0] == 200, "nobody is elected: an operator promotes"
    return nodes


class Ledger:
    """Writers that remember what was acknowledged, and by which node."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, str] = {}
        self.errors: list[tuple[str, psycopg.Error]] = []
        self._keys = iter(range(1, 1_000_000))
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if kind is None:
            for thread in self._threads:
                thread.join(SETTLED_S)

    def write_to(self, node: HostedNode, clients: int = 2) -> None:
        """Write there until the end, or until it fails."""
        for _ in range(clients):
            self._threads.append(threading.Thread(target=self._write, args=(node,), daemon=True))
            self._threads[-1].start()

    def count(self, *names: str) -> int:
        """How many writes these nodes have acknowledged."""
        with self._lock:
            return sum(1 for name in self.acknowledged.values() if name in names)

    def wait_more(self, name: str, more: int = 20) -> None:
        """Wait until this node has acknowledged so many more."""
        before = self.count(name)
        wait_until(lambda: self.count(name) >= before + more, f"{name} acknowledges writes", SETTLED_S)

    def check(self, nodes: Iterable[HostedNode]) -> None:
        """Everything acknowledged is on every node."""
        for node in nodes:
            with node.connect() as reader:
                there = {row[0] for row in reader.execute("SELECT a FROM t").fetchall()}
            lost = self.acknowledged.keys() - there
            assert not lost, f"{len(lost)} acknowledged writes are not on {node.host.name}, the first is {min(lost)}"

    def _write(self, node: HostedNode) -> None:
        try:
            with node.connect() as connection:
                while not self._ended.is_set():
                    with self._lock:
                        key = next(self._keys)
                    connection.execute("INSERT INTO t VALUES (%s, %s)", (key, node.host.name))
                    with self._lock:
                        self.acknowledged[key] = node.host.name
        except psycopg.Error as error:
            self.errors.append((node.host.name, error))


class Watch:
    """Reads what every node says of the cluster, all the time, and holds it against what the network did."""

    def __init__(self, network: Network, nodes: list[HostedNode]) -> None:
        self._network = network
        self._nodes = nodes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.seen: list[tuple[float, str, dict[str, Any]]] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(SETTLED_S)
        if kind is None:
            assert len(self.seen) > 20
            self._one_primary_in_each_term()
            self._nothing_streams_through_a_cut()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            for node in self._nodes:
                asked = time.monotonic()
                try:
                    _, found = node.http("/status")
                except OSError:
                    continue
                self.seen.append((asked, node.host.name, found))

    def _one_primary_in_each_term(self) -> None:
        claims: dict[int, set[str]] = {}
        for _, name, found in self.seen:
            if found["cluster"]["primary_id"] == name:
                claims.setdefault(found["term"], set()).add(name)
        assert all(len(names) == 1 for names in claims.values()), f"several nodes lead in one term: {claims}"

    def _nothing_streams_through_a_cut(self) -> None:
        for asked, name, found in self.seen:
            for cut in self._network.cuts:
                if name in (cut.source, cut.target) and cut.since + NOTICED_S < asked < cut.until - 1:
                    other = cut.target if name == cut.source else cut.source
                    states = {each["node_id"]: each["state"] for each in found["cluster"]["nodes"]}
                    assert states[other] != "streaming", f"{name} says of {other}, which it cannot hear: {states}"


def view(node: HostedNode) -> View | None:
    """Role, state and whether its copies count, of each node; None when the ways to ask differ, as for a moment."""
    try:
        _, found = node.http("/status")
        with node.connect(options="-c statement_timeout=2000") as reader:
            topology = reader.execute("SELECT node_id, role, state, in_sync FROM helios_topology").fetchall()
            status = reader.execute("SELECT node_id, role, state, in_sync FROM helios_replication_status").fetchall()
            shown = reader.execute("SHOW TOPOLOGY").fetchall()
    except (OSError, psycopg.Error):
        return None
    plain = {each["node_id"]: (each["role"], each["state"], each["in_sync"]) for each in found["cluster"]["nodes"]}
    by_topology = {row[0]: (row[1], row[2], row[3]) for row in topology}
    by_status = {row[0]: (row[1], row[2], row[3]) for row in status}
    same = plain == by_topology == by_status and {row[0] for row in shown} == plain.keys()
    return plain if same else None


def wait_view(node: HostedNode, expected: dict[str, tuple[Any, Any, Any]]) -> None:
    """Wait until a node says so, however it is asked; an ellipsis stands for anything."""
    found: list[View | None] = []

    def holds() -> bool:
        seen = view(node)
        found.append(seen)
        return seen is not None and all(
            name in seen and all(want in (..., is_) for want, is_ in zip(wanted, seen[name], strict=True))
            for name, wanted in expected.items()
        )

    try:
        wait_until(holds, f"{node.host.name} says {expected}", SETTLED_S)
    except pytest.fail.Exception as error:
        raise AssertionError(f"{error}; it says {found[-1]}") from None


def cluster_of(node: HostedNode) -> dict[str, Any]:
    _, found = node.http("/status")
    return dict(found["cluster"])


def node_in(node: HostedNode, name: str) -> dict[str, Any]:
    """What ``node`` says of the node ``name``."""
    return next(each for each in cluster_of(node)["nodes"] if each["node_id"] == name)


def position(node: HostedNode) -> tuple[str, str]:
    _, found = node.http("/status")
    return found["committed_lsn"], found["database_checksum"]


def wait_equal(nodes: list[HostedNode]) -> None:
    wait_until(lambda: len({position(node) for node in nodes}) == 1, "all nodes are equal", SETTLED_S)


def events(node: HostedNode) -> list[str]:
    with node.connect() as reader:
        return [row[0] for row in reader.execute("SELECT kind FROM helios_events ORDER BY id").fetchall()]


def waits_for(node: HostedNode, *names: str) -> None:
    """Wait until a primary says that commits wait, and for whom."""
    reason = f"commits wait: nothing is heard of {', '.join(names)}"
    wait_until(lambda: node.http("/ready")[1].get("reason") == reason, f"/ready says {reason}", SETTLED_S)


def promote(nodes: list[HostedNode]) -> tuple[HostedNode, HostedNode]:
    """Promote whichever of two may be; it, and the other."""
    refusals: list[Any] = []
    for node, other in (nodes, nodes[::-1]):
        code, answer = node.http("/admin/promote", body={}, timeout=30)
        if code == 200:
            return node, other
        refusals.append(answer)
    raise AssertionError(refusals)


@pytest.mark.parametrize("mode", ["sync", "quorum", "semi-sync"])
def test_a_primary_that_is_cut_off_acknowledges_nothing_and_comes_back(
    network: Network, tmp_path: Path, mode: str
) -> None:
    nodes = first, *others = cluster(network, tmp_path, mode)
    with Watch(network, nodes) as watch, Ledger() as ledger:
        ledger.write_to(first)
        ledger.wait_more("n1")
        network.isolate(first.host)

        # Writes wait; nobody is ejected, for nobody has agreed to that, and nothing says otherwise.
        waits_for(first, "n2", "n3")
        acknowledged = ledger.count("n1")
        wait_view(first, {"n1": ("primary", ..., True), "n2": (..., "silent", True), "n3": (..., "silent", True)})
        assert cluster_of(first)["gaps"] == []
        for node in others:
            wait_view(node, {"n1": ("primary", "disconnected", True), node.host.name: (..., "disconnected", True)})
            assert node_in(node, node.host.name)["lag_bytes"] is None
            assert node.http("/ready")[0] == 503
        assert cannot_be_sure(first)

        # The majority goes on; both of its nodes were calling a host that is dead to them.
        leader, follower = promote(others)
        name = leader.host.name
        wait_view(leader, {"n1": ("standby", "disconnected", False), name: ("primary", ..., True)})
        wait_view(follower, {name: ("primary", "streaming", True), "n1": ("standby", "unknown", False)})
        ledger.write_to(leader)
        ledger.wait_more(name)
        assert cannot_be_sure(first)
        assert ledger.count("n1") == acknowledged
        assert [gap["node_id"] for gap in cluster_of(leader)["gaps"] if gap["to_lsn"] is None] == ["n1"]

        network.heal()
        wait_view(first, {"n1": ("standby", "streaming", True), name: ("primary", "streaming", True)})
        wait_view(leader, {each: (..., "streaming", True) for each in ("n1", "n2", "n3")})
        ledger.wait_more(name)
    assert ledger.count("n1") == acknowledged
    assert {node for node, _ in ledger.errors} == {"n1"}, ledger.errors
    assert [gap["to_lsn"] for gap in cluster_of(leader)["gaps"]].count(None) == 0
    wait_equal(nodes)
    ledger.check(nodes)
    told = events(first)
    assert "commits_wait" in told and "ejected" not in told and told.count("deposed") == 1
    alone = [found for _, node, found in watch.seen if node == "n1" and found["cluster"]["primary_id"] == "n1"]
    assert {found["term"] for found in alone} == {1}
    assert all(not found["cluster"]["gaps"] for found in alone)


def cannot_be_sure(node: HostedNode) -> bool:
    """Whether a node that may not lead any more refuses to give a linearizable answer."""
    with node.connect() as reader:
        reader.execute("SET helios.read_consistency = 'linearizable'")
        reader.execute("SET statement_timeout = '300ms'")
        try:
            reader.execute("SELECT count(*) FROM t")
        except psycopg.errors.QueryCanceled:
            return True
    return False


def test_one_way_cuts_in_sync_mode(network: Network, tmp_path: Path) -> None:
    nodes = first, second, third = cluster(network, tmp_path, "sync")
    everybody = {name: (..., "streaming", True) for name in ("n1", "n2", "n3")}
    with Watch(network, nodes), Ledger() as ledger:
        ledger.write_to(first)
        ledger.wait_more("n1")

        # What the primary sends to n2 is lost: it is ejected, with a gap, as n3 agrees; writes go on.
        network.cut(first.host, second.host)
        wait_view(first, {"n2": ("standby", ..., False), "n3": ("standby", "streaming", True)})
        ledger.wait_more("n1")
        wait_view(second, {"n1": ("primary", "disconnected", ...), "n2": ("standby", "disconnected", ...)})
        wait_view(third, {"n1": ("primary", "streaming", True), "n2": ("standby", "unknown", False)})
        (gap,) = cluster_of(third)["gaps"]
        assert (gap["node_id"], gap["to_lsn"]) == ("n2", None)
        assert node_in(first, "n2")["state"] in ("silent", "disconnected")
        assert node_in(second, "n2")["lag_bytes"] is None and node_in(second, "n2")["lag_ms"] > 1000
        network.heal()
        wait_view(first, everybody)
        assert [gap["to_lsn"] for gap in cluster_of(first)["gaps"]].count(None) == 0

        # The primary hears neither of them, though they hear it: nobody can agree to go on with fewer copies.
        network.cut(second.host, first.host)
        network.cut(third.host, first.host)
        waits_for(first, "n2", "n3")
        acknowledged = ledger.count("n1")
        wait_view(first, {"n2": ("standby", "silent", True), "n3": ("standby", "silent", True)})
        assert len(cluster_of(first)["gaps"]) == 1
        network.heal()
        wait_view(first, everybody)
        ledger.wait_more("n1")
        assert ledger.count("n1") > acknowledged
        wait_until(lambda: first.http("/ready")[0] == 200, "it takes writes", SETTLED_S)
    assert ledger.errors == []
    wait_equal(nodes)
    ledger.check(nodes)
    told = events(first)
    # The second ejection, proposed to nobody's hearing, may have been agreed on when they were back; its gap is over.
    assert 1 <= told.count("ejected") <= 2
    assert [told.count(kind) for kind in ("commits_wait", "commits_go_on", "deposed")] == [1, 1, 0]
    assert [gap["to_lsn"] for gap in cluster_of(first)["gaps"]].count(None) == 0
    assert {node.http("/status")[1]["term"] for node in nodes} == {1}


def test_a_standby_that_is_200_ms_further_away_stays_in_sync(network: Network, tmp_path: Path) -> None:
    with network.switch.entered():
        link = TcpLink(0, address=network.switch.address)
    with link:
        nodes = first, second, _ = cluster(network, tmp_path, "sync", link)
        with Watch(network, nodes) as watch, Ledger() as ledger:
            ledger.write_to(first, clients=4)
            ledger.wait_more("n1")
            began = time.monotonic()
            link.delay_s = 0.2
            wait_until(lambda: node_in(first, "n2")["round_trip_ms"] > 400, "the way is long", SETTLED_S)
            # Longer than the patience of both sides: eject_after, and the silence after which a link is given up.
            ledger.wait_more("n1", 50)
            found = node_in(first, "n2")
            assert (found["state"], found["in_sync"], found["connected"]) == ("streaming", True, True)
            assert node_in(first, "n3")["round_trip_ms"] < 200
            with first.connect() as reader:
                row = reader.execute("SELECT count(*) FROM helios_durability_gaps").fetchone()
            assert row == (0,)
            wait_until(lambda: node_in(first, "n2")["lag_ms"] > 200, "what is under way counts as lag", SETTLED_S)
            assert time.monotonic() - began > 3.5
            link.delay_s = 0.0
            wait_until(lambda: node_in(first, "n2")["round_trip_ms"] < 200, "the way is short again", SETTLED_S)
            ledger.wait_more("n1")
        assert ledger.errors == []
        wait_equal(nodes)
        ledger.check(nodes)
        for node in nodes:
            assert not {"ejected", "standby_left", "upstream_lost", "commits_wait"} & set(events(node))
        late = [found for asked, name, found in watch.seen if name == "n1" and asked > began]
        assert all(each["in_sync"] for found in late for each in found["cluster"]["nodes"])
        assert second.http("/status")[1]["term"] == 1
