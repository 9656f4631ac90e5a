"""The choice among replicas, the sessions' floors, and the arithmetic of lag."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import pytest

from helios_cli.engine.types import Lsn, Token
from helios_cli.replication import (
    ConsistencyManager,
    LagMonitor,
    LoadBalancer,
    LoadBalancingStrategy,
    NoHealthyReplicas,
)
from helios_cli.replication.consistency import shows
from helios_cli.replication.lag import PrimaryClock, percentile


@dataclass
class One:
    address: str
    load: int = 0
    latency_ms: float = 1.0


THREE = [One("a", 3, 2.0), One("b", 1, 9.0), One("c", 2, 1.0)]


def test_round_robin_is_even() -> None:
    balancer = LoadBalancer()
    counts = Counter(balancer.select(THREE).address for _ in range(300))
    assert counts == {"a": 100, "b": 100, "c": 100}


def test_round_robin_is_even_among_threads() -> None:
    balancer, counts, lock = LoadBalancer(), Counter[str](), threading.Lock()

    def work() -> None:
        mine = Counter(balancer.select(THREE).address for _ in range(3000))
        with lock:
            counts.update(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {"a": 4000, "b": 4000, "c": 4000}


def test_least_connections_and_latency() -> None:
    balancer = LoadBalancer()
    assert balancer.select(THREE, LoadBalancingStrategy.LEAST_CONNECTIONS).address == "b"
    assert balancer.select(THREE, LoadBalancingStrategy.LATENCY_BASED).address == "c"


def test_equals_take_turns() -> None:
    balancer = LoadBalancer(LoadBalancingStrategy.LEAST_CONNECTIONS)
    equals = [One("a"), One("b"), One("c", 1)]
    assert {balancer.select(equals).address for _ in range(6)} == {"a", "b"}


def test_random_reaches_everybody_and_repeats_with_its_seed() -> None:
    def draw(seed: int) -> list[str]:
        balancer = LoadBalancer(LoadBalancingStrategy.RANDOM, rng=random.Random(seed))
        return [balancer.select(THREE).address for _ in range(60)]

    assert set(draw(1)) == {"a", "b", "c"}
    assert draw(1) == draw(1) != draw(2)


@pytest.mark.parametrize("strategy", list(LoadBalancingStrategy))
def test_nobody_to_choose(strategy: LoadBalancingStrategy) -> None:
    with pytest.raises(NoHealthyReplicas):
        LoadBalancer().select([], strategy)


def test_spellings_of_a_strategy() -> None:
    assert (
        LoadBalancingStrategy("round_robin")
        is LoadBalancingStrategy["RoundRobin"]
        is LoadBalancingStrategy["ROUND_ROBIN"]
    )
    assert LoadBalancingStrategy("LatencyBased") is LoadBalancingStrategy.LATENCY_BASED
    assert len(LoadBalancingStrategy) == 4
    with pytest.raises(ValueError, match="nearest"):
        LoadBalancingStrategy("nearest")


# Sessions


def test_a_session_needs_its_newest_write() -> None:
    sessions = ConsistencyManager()
    assert sessions.required_lsn("s") == 0
    sessions.record_write("s", 100)
    sessions.record_write("s", 40)
    assert sessions.required_lsn("s") == Lsn(100)
    assert sessions.can_read("s", 100) and not sessions.can_read("s", 99)
    assert sessions.can_read("other", 0)
    sessions.forget("s")
    assert sessions.can_read("s", 0)


@pytest.mark.parametrize(
    ("state", "wanted", "known"),
    [
        ("0/5@2-a", "0/5@2-a", True),
        ("0/4@2-a", "0/5@2-a", False),
        ("0/5", "0/5@2-a", True),
        ("0/5@2-a", "0/5", True),
        ("0/9@3-b", "0/5@2-a", None),
        ("0/9@2-b", "0/5@2-a", None),
        ("0/4@3-b", "0/5@2-a", False),
        ("0/9@2-a", "0/5@3-b", False),
    ],
)
def test_what_a_replica_shows(state: str, wanted: str, known: bool | None) -> None:
    assert shows(Token.parse(state), Token.parse(wanted)) is known
    sessions = ConsistencyManager()
    sessions.record_write("s", Token.parse(wanted))
    assert sessions.can_read("s", Token.parse(state)) is (known is True)


@pytest.mark.parametrize(
    ("first", "second", "newest"),
    [
        ("0/5@2-a", "0/7@2-a", "0/7@2-a"),
        ("0/7@2-a", "0/5@2-a", "0/7@2-a"),
        ("0/7@2-a", "0/5@3-b", "0/5@3-b"),
        ("0/5@3-b", "0/7@2-a", "0/5@3-b"),
        ("0/7", "0/5@3-b", "0/7@3-b"),
    ],
)
def test_a_newer_term_counts_before_a_higher_lsn(first: str, second: str, newest: str) -> None:
    sessions = ConsistencyManager()
    for text in (first, second):
        sessions.record_write("s", Token.parse(text))
    assert str(sessions.required("s")) == newest


def test_sessions_end_after_their_last_use() -> None:
    now = [0.0]
    sessions = ConsistencyManager(timedelta(seconds=10), clock=lambda: now[0])
    sessions.record_write("a", 1)
    sessions.record_write("b", 2)
    now[0] = 8.0
    assert sessions.required_lsn("a") == 1
    now[0] = 12.0
    assert len(sessions) == 1
    assert (sessions.required_lsn("a"), sessions.required_lsn("b")) == (1, 0)
    now[0] = 22.1
    assert len(sessions) == 0


def test_many_sessions() -> None:
    sessions = ConsistencyManager()
    for number in range(100_000):
        sessions.record_write(f"session-{number}", number)
    assert len(sessions) == 100_000
    assert sessions.required_lsn("session-77777") == 77_777


# Lag


def test_lag_is_how_long_ago_the_primary_was_there() -> None:
    clock = PrimaryClock()
    assert clock.lag_ms(Lsn(0), 5.0) == 0.0
    clock.sample(Lsn(100), 10.0)
    clock.sample(Lsn(200), 11.0)
    assert clock.newest == 200
    assert clock.lag_ms(Lsn(200), 12.0) == 0.0
    assert clock.lag_ms(Lsn(300), 12.0) == 0.0
    assert clock.lag_ms(Lsn(150), 12.0) == pytest.approx(1500)
    assert clock.lag_ms(Lsn(100), 12.0) == pytest.approx(2000)
    assert clock.lag_ms(Lsn(50), 12.0) == pytest.approx(2000), "never seen so low: since the first sample"


def test_a_rest_of_the_primary_is_no_lag() -> None:
    clock = PrimaryClock()
    for second in range(60):
        clock.sample(Lsn(100), float(second))
    clock.sample(Lsn(200), 60.0)
    assert clock.lag_ms(Lsn(100), 60.5) == pytest.approx(1500), "it grew between 59 and 60"


def test_another_primary_begins_anew() -> None:
    clock = PrimaryClock()
    clock.sample(Lsn(1000), 1.0)
    clock.sample(Lsn(400), 2.0)
    assert clock.lag_ms(Lsn(400), 9.0) == 0.0


def test_percentiles_by_nearest_rank() -> None:
    assert percentile([], 99) == 0.0
    assert [percentile([15, 20, 35, 40, 50], percent) for percent in (5, 30, 40, 50, 100)] == [15, 20, 20, 35, 50]
    with pytest.raises(ValueError, match="no percentage"):
        percentile([1], 101)


def test_history_and_summary() -> None:
    monitor = LagMonitor(history_max=100)
    assert monitor.current("a") is None and monitor.history("a") == ()
    assert monitor.summary("a").samples == 0
    for number in range(1, 151):
        monitor.record("a", float(number), at_s=float(number), lag_bytes=number * 10)
    current = monitor.current("a")
    assert current is not None and (current.lag_ms, current.lag_bytes) == (150.0, 1500)
    assert [sample.lag_ms for sample in monitor.history("a")] == [float(number) for number in range(51, 151)]
    assert (monitor.p50("a"), monitor.p95("a"), monitor.p99("a")) == (100.0, 145.0, 149.0)
    assert monitor.summary("a").max_ms == 150.0
    monitor.forget("a")
    assert monitor.history("a") == ()
