"""The figures of several workers as those of one proxy."""

from __future__ import annotations

import msgspec

from helios_cli.engine.proxy.figures import (
    ClientRow,
    Figures,
    NodeRow,
    PoolRow,
    Spread,
    Units,
    health,
    merge,
    ready,
)


def node(name: str, state: str = "healthy", role: str = "standby", active: int = 1, reason: str = "") -> NodeRow:
    return NodeRow(name, "h", 1, role, state, True, 1, 1, "0/1", 0, 0.0, 1.0, active, active + 1, True, reason)


def client(number: int) -> ClientRow:
    return ClientRow(number, "u", "d", "", "h:1", False, "idle", "", "", 1.0, 1.0, 1)


FIRST = Figures(
    uptime_s=10.0, counts={"sessions": 3, "lost": 1}, states={"clients": 2}, stall_max_s=0.2, stall_recent_s=0.1,
    waited=Spread([1, 0, 2], 3.5), units=[Units("n1", 5, 2)],
    nodes=[node("n1", role="primary"), node("n2")],
    pools=[PoolRow("n1", "u", "d", "transaction", 3, 1, 1, 1, 4, 10.0)], clients=[client(1)],
)  # fmt: skip
SECOND = Figures(
    uptime_s=4.0, paused=True, counts={"sessions": 4, "asked": 1}, states={"clients": 1}, stall_max_s=0.1,
    stall_recent_s=0.3, waited=Spread([0, 1, 1], 1.5), units=[Units("n2", 1, 0), Units("n1", 1, 1)],
    nodes=[node("n1", role="primary", active=3), node("n2", "unhealthy", reason="no login"), node("n3")],
    pools=[
        PoolRow("n1", "u", "d", "transaction", 2, 2, 0, 0, 1, 30.0),
        PoolRow("n2", "u", "d", "transaction", 0, 0, 0, 0, 0, 0.0),
    ],
    clients=[client(2)],
)  # fmt: skip


def test_counts_are_added_and_the_worst_is_told() -> None:
    before = msgspec.json.encode([FIRST, SECOND])
    both = merge([FIRST, SECOND])
    assert msgspec.json.encode([FIRST, SECOND]) == before
    assert (both.workers, both.uptime_s, both.paused, both.stopping) == (2, 10.0, True, False)
    assert both.counts == {"sessions": 7, "lost": 1, "asked": 1} and both.states == {"clients": 3}
    assert (both.stall_max_s, both.stall_recent_s) == (0.2, 0.3)
    assert both.waited == Spread([1, 1, 3], 5.0)
    assert both.units == [Units("n1", 6, 3), Units("n2", 1, 0)]
    assert [(row.name, row.state, row.active, row.backends) for row in both.nodes] == [
        ("n1", "healthy", 4, 6), ("n2", "unhealthy", 2, 4), ("n3", "healthy", 1, 2),
    ]  # fmt: skip
    assert both.nodes[1].reason == "no login"
    first = both.pools[0]
    assert (first.size, first.active, first.idle, first.opening, first.waiting, first.wait_ms) == (5, 3, 1, 1, 5, 30.0)
    assert [row.id for row in both.clients] == [1, 2]


def test_one_is_itself_and_none_is_nothing() -> None:
    assert merge([FIRST]) is FIRST
    assert merge([]) == Figures(workers=0)


def test_figures_pass_between_processes() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SECOND), type=Figures) == SECOND


def test_whether_it_serves() -> None:
    assert health(FIRST) is None and ready(FIRST) is None
    assert health(SECOND) is None and ready(SECOND) == "the proxy is paused"
    assert health(Figures()) == "no node is known"
    assert health(merge([])) == "no worker of the proxy answers"
    lost = Figures(nodes=[node("a", "unhealthy", reason="no answer within 2 s"), node("b", "disabled", role="")])
    told = "no node can be reached: a is unhealthy, a standby, no answer within 2 s; b is disabled"
    assert health(lost) == ready(lost) == told
    leaderless = Figures(nodes=[node("a"), node("b", "draining", role="primary")])
    assert health(leaderless) is None
    assert ready(leaderless) == "there is no primary: a is healthy, a standby; b is draining, a primary"
    assert health(Figures(stopping=True, nodes=[node("a")])) == "the proxy is stopping"
