"""What a manager makes of what its nodes say, with nodes that say what the test wants."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from support.node_process import wait_until

from helios_cli.engine.types import Lsn, Term, Token
from helios_cli.replication import (
    LoadBalancingStrategy,
    NodeUnreachable,
    NoHealthyReplicas,
    PromotionRefused,
    ReplicaConfig,
    ReplicaManager,
    ReplicaRefused,
    ReplicasBehind,
    ReplicationError,
    UnknownReplica,
    WriteGone,
)
from helios_cli.replication import manager as manager_module
from helios_cli.replication import replica as replica_module
from helios_cli.replication.node_client import NodePosition

PRIMARY = "127.0.0.1:5432"
ONE, TWO, THREE = "127.0.0.1:5433", "127.0.0.1:5434", "127.0.0.1:5435"
NEVER = 3600
"""Seconds between rounds in tests that make the rounds themselves."""


class World:
    """A cluster as its nodes tell of it."""

    def __init__(self) -> None:
        self.role: dict[str, str] = {PRIMARY: "primary"}
        self.lsn: defaultdict[str, int] = defaultdict(int)
        self.down: set[str] = set()
        self.cluster: dict[str, str] = {}
        self.term: Counter[str] = Counter()
        self.log_term: defaultdict[str, Term | None] = defaultdict(lambda: None)
        self.fork = 0
        """Up to there a newer term has the log of the one before."""
        self.sessions: Counter[str] = Counter()
        self.round_trip_ms: dict[str, float] = {}
        self.follows: dict[str, bool] = {}
        self.orders: list[tuple[str, str]] = []
        self.refusal = ""
        self.asked: Counter[str] = Counter()
        self.on_asked: Callable[[str], None] = lambda address: None


class Talker:
    """Stands in for NodeClient."""

    world: World

    def __init__(self, address: str, config: ReplicaConfig) -> None:
        self.address = address
        self.closed = False

    def target(self) -> Any:
        return None

    def position(self) -> NodePosition:
        world = self.world
        world.asked[self.address] += 1
        world.on_asked(self.address)
        if self.address in world.down or self.closed:
            raise NodeUnreachable(f"{self.address}: connection refused")
        is_standby = world.role.get(self.address, "standby") == "standby"
        trip = world.round_trip_ms.get(self.address, 1.0)
        return NodePosition(
            is_standby, Token(Lsn(world.lsn[self.address]), world.log_term[self.address]), trip, time.time()
        )

    def check_shows(self, state: Token) -> None:
        self.world.orders.append(("check", self.address))
        if state.lsn > self.world.fork:
            raise WriteGone("the cluster went on without it")

    def status(self) -> Mapping[str, Any]:
        world, address = self.world, self.address
        if address in world.down:
            raise NodeUnreachable(f"{address}: connection refused")
        state = "streaming" if world.follows.get(address, True) else "disconnected"
        return {
            "node_id": f"node-{address}",
            "role": world.role.get(address, "standby"),
            "cluster_id": world.cluster.get(address, "c1"),
            "term": world.term[address],
            "sessions": world.sessions[address],
            "database_checksum": "00ff",
            "cluster": {"nodes": [{"is_local": True, "state": state, "lag_ms": 7.0}]},
        }

    def promote(self) -> Mapping[str, Any]:
        return self._order("promote", self.address)

    def switch_over(self, node_id: str) -> Mapping[str, Any]:
        return self._order("switchover", node_id.removeprefix("node-"))

    def _order(self, verb: str, new: str) -> Mapping[str, Any]:
        world = self.world
        world.orders.append((verb, new))
        if world.refusal:
            raise PromotionRefused(world.refusal)
        for address in world.role:
            world.role[address] = "standby"
        world.role[new] = "primary"
        world.term[new] = max(world.term.values(), default=0) + 1
        return {}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(Talker, "world", made, raising=False)
    monkeypatch.setattr(replica_module, "NodeClient", Talker)
    monkeypatch.setattr(manager_module, "NodeClient", Talker)
    return made


@pytest.fixture
def manage(world: World) -> Iterator[Callable[..., ReplicaManager]]:
    made: list[ReplicaManager] = []

    def make(*replicas: str, **changes: Any) -> ReplicaManager:
        given: dict[str, Any] = {
            "replica_addresses": replicas or (ONE, TWO),
            "health_check_interval": NEVER,
            "lag_monitor_interval": NEVER,
            "health_check_timeout": 0.2,
        }
        made.append(ReplicaManager(ReplicaConfig(**(given | changes))))
        return made[-1]

    yield make
    for each in made:
        each.close()
        each.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("replica-")]


Manage = Callable[..., ReplicaManager]


def test_reads_go_to_healthy_replicas_in_turn(world: World, manage: Manage) -> None:
    manager = manage()
    assert Counter(manager.get_replica_for_read() for _ in range(10)) == {ONE: 5, TWO: 5}
    world.down.add(ONE)
    manager.check_now()
    assert {manager.get_replica_for_read(strategy) for strategy in LoadBalancingStrategy} == {TWO}
    status = {one.address: one for one in manager.get_all_status()}
    assert status[ONE].reason == f"{ONE}: connection refused" and not status[ONE].is_healthy
    world.down.clear()
    manager.check_now()
    assert {manager.get_replica_for_read() for _ in range(2)} == {ONE, TWO}


def test_no_healthy_replica(world: World, manage: Manage) -> None:
    world.down.update((ONE, TWO))
    manager = manage()
    with pytest.raises(NoHealthyReplicas) as refused:
        manager.get_replica_for_read()
    assert refused.value.retryable and "connection refused" in (refused.value.detail or "")
    assert manager.primary_address == PRIMARY


def test_fewer_than_min_replicas(world: World, manage: Manage) -> None:
    manager = manage(min_replicas=2)
    manager.get_replica_for_read()
    world.down.add(ONE)
    manager.check_now()
    with pytest.raises(NoHealthyReplicas, match="1 healthy replicas, 2 are needed"):
        manager.get_replica_for_read()


def test_a_replica_that_lags_is_not_read_from(world: World, manage: Manage) -> None:
    manager = manage(lag_threshold_ms=1)
    world.lsn.update({PRIMARY: 100, ONE: 100, TWO: 50})
    manager.check_now()
    time_passes()
    world.lsn[PRIMARY] = world.lsn[ONE] = 200
    manager.check_now()
    assert {manager.get_replica_for_read() for _ in range(4)} == {ONE}
    assert manager.get_lag(ONE) == 0 and manager.get_lag(TWO) >= 1
    status = manager.get_all_status()[1]
    assert status.lag_bytes == 150 and "it lags" in status.reason
    stats = manager.get_stats()
    assert (stats.total_replicas, stats.healthy_replicas) == (2, 1)
    assert stats.max_lag_ms == manager.get_lag(TWO) and 0 < stats.avg_lag_ms <= stats.max_lag_ms
    world.lsn[TWO] = 200
    manager.check_now()
    assert {manager.get_replica_for_read() for _ in range(4)} == {ONE, TWO}
    assert [sample.lag_bytes for sample in manager.lag_monitor.history(TWO)][-2:] == [150, 0]


def time_passes() -> None:
    """Some milliseconds."""
    since = time.monotonic()
    wait_until(lambda: time.monotonic() > since + 0.005, "time passes")


def test_the_lag_that_a_node_tells_counts_when_the_primary_is_lost(world: World, manage: Manage) -> None:
    manager = manage()
    world.down.add(PRIMARY)
    manager.check_now()
    assert manager.get_lag(ONE) == 7
    assert not manager.get_stats().primary_healthy


def test_strategies_by_what_was_measured(world: World, manage: Manage) -> None:
    world.sessions.update({ONE: 5, TWO: 2})
    world.round_trip_ms = {ONE: 0.5, TWO: 4.0}
    manager = manage()
    assert manager.get_replica_for_read(LoadBalancingStrategy.LATENCY_BASED) == ONE
    chosen = Counter(manager.get_replica_for_read(LoadBalancingStrategy.LEAST_CONNECTIONS) for _ in range(9))
    assert chosen[TWO] in (5, 6, 7), "choices since the last check count as connections, so both fill up evenly"
    manager.check_now()
    assert manager.get_replica_for_read(LoadBalancingStrategy.LEAST_CONNECTIONS) == TWO


def test_a_session_reads_its_writes(world: World, manage: Manage) -> None:
    manager = manage()
    world.lsn.update({PRIMARY: 100, ONE: 50, TWO: 100})
    manager.check_now()
    manager.record_write("s", 100)
    assert {manager.get_replica_for_read_with_session("s") for _ in range(4)} == {TWO}
    assert {manager.get_replica_for_read_with_session("other") for _ in range(4)} == {ONE, TWO}
    world.lsn.update({PRIMARY: 150})
    assert manager.record_write("s") == 150, "the primary was asked"
    world.on_asked = lambda address: world.lsn.update({ONE: 150} if address == ONE else {})
    assert manager.get_replica_for_read_with_session("s") == ONE, "found by asking, once it has caught up"
    world.on_asked = lambda address: None
    manager.record_write("s", 10_000)
    with pytest.raises(ReplicasBehind):
        manager.get_replica_for_read_with_session("s")


def test_a_session_knows_the_term_of_its_writes(world: World, manage: Manage) -> None:
    old, new = Term(4, 44), Term(5, 55)
    world.log_term.update({PRIMARY: old, ONE: old, TWO: old})
    world.lsn.update({PRIMARY: 500, ONE: 300, TWO: 300})
    world.fork = 400
    manager = manage()
    manager.record_write("lost", Token(Lsn(500), old))
    manager.record_write("kept", Token(Lsn(350), old))
    # Another leads, which has gone on from 400: the same LSNs are other states.
    world.lsn.update({ONE: 600, TWO: 600})
    world.log_term.update({ONE: new, TWO: None})
    world.down.add(TWO)
    manager.check_now()
    assert manager.get_replica_for_read_with_session("kept") == ONE
    assert manager.consistency.required("kept") == Token(Lsn(350), new)
    assert manager.get_replica_for_read_with_session("kept") == ONE
    assert world.orders == [("check", ONE)], "a node is asked once"
    with pytest.raises(WriteGone):
        manager.get_replica_for_read_with_session("lost")
    assert manager.get_replica_for_read_with_session("lost") == ONE, "that is said once"
    # One that still has the log of the old term does not show what was written in the new one.
    manager.record_write("kept", Token(Lsn(510), new))
    world.log_term[ONE] = old
    manager.check_now()
    with pytest.raises(ReplicasBehind):
        manager.get_replica_for_read_with_session("kept")


def test_sessions_do_not_matter_when_they_are_off(world: World, manage: Manage) -> None:
    manager = manage(enable_read_your_writes=False)
    manager.record_write("s", 10_000)
    assert manager.get_replica_for_read_with_session("s") in (ONE, TWO)


def test_replicas_come_and_go(world: World, manage: Manage) -> None:
    manager = manage(ONE)
    added = manager.add_replica(" 127.0.0.1:5434 ")
    assert added.is_healthy and added.node_id == f"node-{TWO}"
    assert {manager.get_replica_for_read() for _ in range(2)} == {ONE, TWO}
    for known in (TWO, PRIMARY):
        with pytest.raises(ReplicaRefused):
            manager.add_replica(known)
    manager.remove_replica(ONE)
    assert {manager.get_replica_for_read() for _ in range(2)} == {TWO}
    for call in (manager.remove_replica, manager.get_lag, manager.promote_replica):
        with pytest.raises(UnknownReplica):
            call(ONE)
    with pytest.raises(ReplicationError, match="min_replicas"):
        manager.remove_replica(TWO)


def test_who_cannot_be_added(world: World, manage: Manage) -> None:
    manager = manage(ONE)
    world.cluster[TWO] = "c2"
    with pytest.raises(ReplicaRefused, match="another cluster"):
        manager.add_replica(TWO)
    world.role[THREE] = "primary"
    with pytest.raises(ReplicaRefused, match="no standby"):
        manager.add_replica(THREE)
    world.role[THREE] = "standby"
    world.down.add(THREE)
    assert not manager.add_replica(THREE).is_healthy
    world.down.clear()
    manager.check_now()
    assert {manager.get_replica_for_read() for _ in range(2)} == {ONE, THREE}


def test_a_replica_of_another_cluster_is_not_read_from(world: World, manage: Manage) -> None:
    world.cluster[TWO] = "c2"
    manager = manage()
    assert {manager.get_replica_for_read() for _ in range(4)} == {ONE}


def test_promotion_by_switchover_while_the_primary_is_there(world: World, manage: Manage) -> None:
    manager = manage()
    event = manager.promote_replica(ONE)
    assert event.succeeded and (event.old_primary, event.new_primary, event.automatic) == (PRIMARY, ONE, False)
    assert world.orders == [("switchover", ONE)]
    assert manager.primary_address == ONE
    assert sorted(one.address for one in manager.get_all_status()) == sorted([PRIMARY, TWO])
    assert {manager.get_replica_for_read() for _ in range(4)} == {PRIMARY, TWO}
    assert manager.get_stats().failover_count == 1
    assert [one.new_primary for one in manager.failover.history] == [ONE]


def test_promotion_in_place_of_a_lost_primary(world: World, manage: Manage) -> None:
    manager = manage()
    world.down.add(PRIMARY)
    world.refusal = "acknowledged commits could be missing"
    with pytest.raises(PromotionRefused, match="could be missing"):
        manager.promote_replica(ONE)
    assert manager.primary_address == PRIMARY and manager.get_stats().failover_count == 0
    world.refusal = ""
    manager.promote_replica(ONE)
    assert world.orders == [("promote", ONE)] * 2
    assert [one.error for one in manager.failover.history] == [
        "acknowledged commits could be missing",
        "",
    ]
    assert {manager.get_replica_for_read() for _ in range(2)} == {TWO}, "the old primary does not answer"


def test_a_role_change_by_somebody_else_is_followed(world: World, manage: Manage) -> None:
    manager = manage()
    world.role.update({PRIMARY: "standby", TWO: "primary"})
    world.term[TWO] = 2
    manager.check_now()
    assert manager.primary_address == TWO
    manager.check_now()
    assert {manager.get_replica_for_read() for _ in range(4)} == {ONE, PRIMARY}


def test_an_old_primary_of_an_older_term_is_not_followed(world: World, manage: Manage) -> None:
    world.term.update({PRIMARY: 5, ONE: 5, TWO: 3})
    world.role[TWO] = "primary"
    manager = manage()
    manager.check_now()
    assert manager.primary_address == PRIMARY
    assert {manager.get_replica_for_read() for _ in range(4)} == {ONE}


# Failover


def lose_primary(world: World, *, seen_by: tuple[str, ...] = ()) -> None:
    world.down.add(PRIMARY)
    world.follows = {address: address in seen_by for address in (ONE, TWO)}


def test_failover_takes_the_replica_with_the_most(world: World, manage: Manage) -> None:
    manager = manage(auto_failover=True, failure_threshold=2)
    world.lsn.update({PRIMARY: 100, ONE: 90, TWO: 99})
    lose_primary(world)
    manager.check_now()
    assert world.orders == [], "one failed check is none"
    manager.check_now()
    assert world.orders == [("promote", TWO)]
    assert manager.primary_address == TWO
    (event,) = manager.failover.history
    assert event.automatic and event.succeeded and "failed 2 checks in a row" in event.reason


def test_no_failover_unless_it_is_on(world: World, manage: Manage) -> None:
    manager = manage(failure_threshold=1)
    lose_primary(world)
    manager.check_now()
    assert world.orders == [] and manager.failover.history == ()


def test_no_failover_while_a_replica_still_follows(world: World, manage: Manage) -> None:
    manager = manage(auto_failover=True, failure_threshold=1)
    lose_primary(world, seen_by=(ONE,))
    for _ in range(3):
        manager.check_now()
    assert world.orders == []
    (event,) = manager.failover.history
    assert not event.succeeded and ONE in event.error


def test_no_failover_with_fewer_than_min_replicas(world: World, manage: Manage) -> None:
    manager = manage(auto_failover=True, failure_threshold=1, min_replicas=2)
    lose_primary(world)
    world.down.add(ONE)
    manager.check_now()
    manager.check_now()
    assert world.orders == []
    assert [event.error for event in manager.failover.history] == ["1 healthy replicas, 2 are needed (min_replicas)"]


def test_a_refused_failover_is_tried_again_and_told_once(world: World, manage: Manage) -> None:
    manager = manage(auto_failover=True, failure_threshold=1)
    lose_primary(world)
    world.refusal = "commits could be missing"
    for _ in range(3):
        manager.check_now()
    assert len(world.orders) == 3 and len(manager.failover.history) == 1
    world.refusal = ""
    manager.check_now()
    assert manager.get_stats().failover_count == 1


# In the background


def test_rounds_go_on_by_themselves_and_end(world: World, manage: Manage) -> None:
    manager = manage(health_check_interval=0.01, lag_monitor_interval=0.01)
    wait_until(lambda: world.asked[ONE] > 10, "rounds are made")
    world.down.add(ONE)
    wait_until(lambda: {manager.get_replica_for_read() for _ in range(4)} == {TWO}, "the loss is noticed")
    manager.close()
    asked = world.asked.copy()
    assert not any(thread.name.startswith("replica-") for thread in threading.enumerate())
    assert world.asked == asked


def test_choices_additions_and_removals_at_once(world: World, manage: Manage) -> None:
    manager = manage(health_check_interval=0.005, lag_monitor_interval=0.005)
    stop = threading.Event()
    failures: list[BaseException] = []

    def choose() -> None:
        try:
            while not stop.is_set():
                for strategy in LoadBalancingStrategy:
                    manager.get_replica_for_read(strategy)
                manager.record_write("s", 0)
                manager.get_replica_for_read_with_session("s")
                manager.get_all_status()
                manager.get_stats()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=choose) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(40):
        address = f"127.0.0.1:{20000 + number}"
        manager.add_replica(address)
        if number % 2:
            manager.remove_replica(address)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert manager.get_stats().total_replicas == 22


def test_a_hundred_and_twenty_replicas(world: World, manage: Manage) -> None:
    addresses = [f"127.0.0.1:{20000 + number}" for number in range(120)]
    manager = manage(*addresses)
    assert manager.get_stats().healthy_replicas == 120
    assert Counter(manager.get_replica_for_read() for _ in range(240)) == dict.fromkeys(addresses, 2)
