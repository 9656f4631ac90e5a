"""A node that stood still does not take its own silence for that of others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.consensus.silence import Attention
from helios_cli.engine.node.leading import Leading


def beating(until: float) -> Attention:
    attention = Attention(0.0)
    for tenth in range(1, round(until * 10) + 1):
        attention.beat(tenth / 10)
    return attention


def test_silence_is_counted_while_the_node_runs() -> None:
    attention = beating(5.0)
    assert attention.silence(2.0, 5.0) == 3.0
    assert attention.silence(5.0, 5.0) == 0.0


def test_what_the_node_stood_still_does_not_count() -> None:
    attention = beating(5.0)
    attention.beat(8.0)
    assert attention.silence(4.9, 8.0) == pytest.approx(0.1)
    attention.beat(8.1)
    # One that was silent before is no less so.
    assert attention.silence(3.0, 8.1) == pytest.approx(2.1)
    # Somebody who was heard when the node ran again.
    assert attention.silence(8.0, 8.1) == pytest.approx(0.1)
    # Heard in the midst of it, by a clock that others read.
    assert attention.silence(6.0, 8.1) == pytest.approx(0.1)


def test_a_dead_follower_is_found_by_a_node_that_stumbles() -> None:
    attention, now = Attention(0.0), 0.0
    for number in range(30):
        now += 0.6 if number % 10 == 0 else 0.1
        attention.beat(now)
    assert attention.silence(0.0, now) == pytest.approx(2.7)


def test_a_follower_is_not_lost_to_a_primary_that_stood_still() -> None:
    at = [10.0]
    leading: Any = object.__new__(Leading)
    leading._attention = Attention(9.9)
    leading._began = 0.0
    leading._began = 0.0
    leading._proposing = leading._holding = True
    leading._replication = SimpleNamespace(
        node_id="n1",
        replicator=SimpleNamespace(stopped=set(), streamers={"n2": SimpleNamespace(heard_at=9.95, blocked_s=0.0)}),
        heard_at={},
        now=lambda: at[0],
    )
    config: Any = SimpleNamespace(eject_after_ms=2000)
    assert leading._is_alive("n2", config)
    at[0] = 13.0
    # Whatever comes first: a beat, or the end of somebody's connection.
    leading.left("n3")
    assert leading._is_alive("n2", config)
    for _ in range(21):
        at[0] += 0.1
        leading.beat(at[0])
    assert not leading._is_alive("n2", config)


def test_a_follower_whose_disk_takes_nothing_is_lost_though_it_is_heard_of() -> None:
    follower = SimpleNamespace(heard_at=10.0, blocked_s=1.9)
    leading: Any = object.__new__(Leading)
    leading._attention = Attention(10.0)
    leading._began = 0.0
    leading._replication = SimpleNamespace(
        node_id="n1",
        replicator=SimpleNamespace(stopped=set(), streamers={"n2": follower}),
        heard_at={},
        now=lambda: 10.1,
    )
    config: Any = SimpleNamespace(eject_after_ms=2000)
    assert leading._is_alive("n2", config)
    follower.blocked_s = 2.1
    assert not leading._is_alive("n2", config)
