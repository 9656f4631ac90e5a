"""What follows from samples: what is kept of nodes that do not answer, rates, the verdict, events, time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.played_cluster import AT_S, lost, node, peers_of, proxy, sample, told

from helios_cli.tui.curves import curves, legend, top_of
from helios_cli.tui.facts import Sample, metrics_of
from helios_cli.tui.history import History, changes
from helios_cli.tui.lines import plain
from helios_cli.tui.snapshot import Snapshot, follow, series, verdict
from helios_cli.tui.timetravel import TimeTravel


def history_of(*samples: Sample, **options: int) -> History:
    history = History(**options)
    for one in samples:
        history.take(one)
    return history


def changed(base: Sample, name: str, **fields: object) -> Sample:
    """The same with other facts of a node."""
    nodes = tuple(
        replace(one, facts=replace(one.facts, **fields)) if one.name == name and one.facts else one  # type: ignore[arg-type]
        for one in base.nodes
    )
    return replace(base, nodes=nodes)


def test_the_usual_cluster_is_healthy() -> None:
    snapshot = follow(None, sample())
    assert verdict(snapshot) == ("ok", "healthy")
    assert snapshot.primary is not None and snapshot.primary.name == "primary"
    assert (snapshot.term, snapshot.mode, snapshot.paused) == (3, "sync", False)
    states = {one.name: (one.role, one.state, one.in_sync, one.identical) for one in snapshot.nodes}
    assert states == {
        "primary": ("primary", "serving", True, None),
        "standby-sync": ("standby", "streaming", True, True),
        "standby-async": ("standby", "streaming", False, True),
        "observer": ("observer", "observing", True, None),
    }


def test_a_node_that_is_lost_keeps_what_it_said_and_ages() -> None:
    history = history_of(sample(0), lost(sample(1), "standby-sync"), lost(sample(13), "standby-sync"))
    gone = history[-1].node("standby-sync")
    assert gone is not None and gone.facts is not None
    assert (gone.state, gone.facts.term, gone.age_s(AT_S + 13), gone.is_stale(AT_S + 13)) == ("down", 3, 13.0, True)
    assert verdict(history[-1]) == ("warn", "standby-sync down")
    assert history[-1].node("standby-async").is_stale(AT_S + 13) is False  # type: ignore[union-attr]


def test_rates_are_of_one_life() -> None:
    history = history_of(sample(0), sample(2))
    seen = history[-1].node("primary")
    assert seen is not None and (seen.statements_s, seen.commits_s) == (1000.0, 500.0)
    again = changed(sample(3), "primary", pid=999)
    born = history.take(again).node("primary")
    assert born is not None and born.statements_s is None, "its counters began again"
    assert history[-1].proxy is not None and history[-1].proxy.statements_s == 500.0


def test_lag_is_the_primarys_word_while_it_answers() -> None:
    behind = sample(0, lag_bytes=5_000_000, lag_ms=1500.0, catch_up_s=2.5, identical=None, state="catchup")
    late = follow(None, behind).node("standby-async")
    assert late is not None
    assert (late.state, late.tone, late.lag_bytes, late.eta_s, late.identical) == (
        "catchup",
        "warn",
        5_000_000,
        2.5,
        None,
    )
    alone = follow(None, lost(behind, "primary")).node("standby-async")
    assert alone is not None and alone.lag_bytes == 5_000_000, "its own word"


@pytest.mark.parametrize(
    ("make", "tone", "words"),
    [
        (lambda: Sample(at_s=AT_S, source="x", nodes=()), "bad", "no node is known"),
        (lambda: replace(sample(), nodes=tuple(lost(sample(), "primary").nodes[:1])), "bad", "no node answers"),
        (lambda: lost(sample(), "primary"), "bad", "no primary"),
        (lambda: changed(sample(), "standby-sync", role="primary"), "bad", "2 nodes lead in term 3"),
        (lambda: sample(identical=False), "bad", "standby-async differs from the primary"),
        (lambda: sample(state="silent"), "warn", "standby-async silent"),
        (lambda: changed(sample(), "primary", read_only_reason="the disk is full"), "warn", "the disk is full"),
        (lambda: changed(sample(), "standby-sync", alarms=("a", "b")), "warn", "2 alarms"),
        (lambda: changed(sample(), "primary", paused=True), "warn", "failover paused"),
        (lambda: replace(sample(), proxy=replace(proxy(), facts=None, error="gone")), "bad", "proxy no answer"),
    ],
)
def test_the_verdict_is_the_worst_thing(make: object, tone: str, words: str) -> None:
    assert verdict(follow(None, make())) == (tone, words)  # type: ignore[operator]


def test_two_that_lead_in_different_terms_are_an_old_one_and_a_new_one() -> None:
    snapshot = follow(None, changed(sample(), "standby-sync", role="primary", term=4))
    assert snapshot.primary is not None and snapshot.primary.name == "standby-sync"
    old = snapshot.node("primary")
    assert old is not None and (old.state, old.leads) == ("deposed", False)
    assert verdict(snapshot) == ("warn", "primary deposed")


def happened(*samples: Sample) -> list[tuple[str, str, str]]:
    """Node, severity and message of what happens over samples, in their order."""
    before: Snapshot | None = None
    found = []
    for one in samples:
        after = follow(before, one)
        found += [(event.node, event.severity, event.message) for event in changes(before, after)]
        before = after
    return found


def test_what_is_seen_to_happen_has_its_reason() -> None:
    taken = changed(sample(9), "standby-sync", role="primary", term=4)
    assert happened(sample(0), lost(sample(1), "primary"), lost(taken, "primary"), taken) == [
        ("primary", "error", "no answer: its process is gone"),
        ("standby-sync", "warning", "standby became primary in term 4"),
        ("primary", "info", "answers again after 9.0 s, primary, deposed"),
    ]
    assert happened(sample(0), sample(1, state="catchup"), sample(2)) == [
        ("standby-async", "warning", "streaming became catchup"),
        ("standby-async", "info", "catchup became streaming"),
    ]
    assert happened(sample(0), sample(1, identical=False), sample(2, identical=False)) == [
        ("standby-async", "error", "its database is not the primary's: the checksums differ")
    ]
    fewer = replace(sample(1), nodes=sample(1).nodes[:3])
    assert happened(sample(0), fewer, sample(2)) == [
        ("observer", "warning", "is no longer part of the cluster"),
        ("observer", "info", "is part of the cluster now"),
    ]
    paused = changed(sample(1), "primary", paused=True)
    assert happened(sample(0), paused)[-1] == ("cluster", "warning", "automatic failover is paused")
    drained = replace(sample(1), proxy=proxy(standby_async="draining"))
    assert happened(sample(0), drained) == [("proxy", "warning", "standby-async is draining to it")]


def test_events_of_nodes_and_of_the_monitor_are_in_one_order_and_once() -> None:
    first = replace(sample(0), told=(told("primary", -60, "elected long ago"),))
    second = replace(lost(sample(2), "observer"), told=(told("primary", 1, "said late"), *first.told))
    history = history_of(first, second)
    assert [one.message for one in history.events()] == [
        "no answer: its process is gone",
        "said late",
        "elected long ago",
    ]
    assert [one.message for one in history.events(AT_S + 1)] == ["said late", "elected long ago"]


def test_the_ring_is_bounded_and_keeps_what_mattered() -> None:
    samples = [lost(sample(i), "observer") if 20 <= i < 25 else sample(i) for i in range(200)]
    history = history_of(*samples, dense=50, sparse=100)
    kept = [round(history[i].at_s - AT_S) for i in range(len(history))]
    assert kept[-50:] == list(range(150, 200))
    assert {20, 25} <= set(kept) and len(kept) < 50 + 25, "the moments of the events, and one in ten seconds"
    assert kept == sorted(kept)
    assert history.index_at(AT_S + 151.5) == kept.index(151)
    assert history.index_at(0.0) == 0


def test_time_is_stepped_through_and_found_by_events() -> None:
    history = history_of(*(lost(sample(i), "observer") if 4 <= i < 7 else sample(i) for i in range(10)))
    travel = TimeTravel(history)
    assert (travel.is_live, travel.index, travel.sentence(True)) == (True, 9, "live")
    travel.step(-2)
    assert (travel.index, travel.sentence(False)) == (7, "held 14:13:27, 2 s ago")
    history.take(sample(10))
    travel.taken()
    assert travel.index == 7, "it stays where it is"
    travel.to_event(-1)
    assert travel.index == 4
    travel.to_event(1)
    assert travel.index == 7
    travel.to_event(1)
    assert travel.is_live
    travel.step(-100)
    assert travel.index == 0
    travel.step(100)
    assert travel.is_live
    travel.hold()
    history.take(sample(11))
    assert (travel.is_live, travel.index) == (False, 10)
    travel.hold()
    assert travel.is_live


def test_a_series_has_holes_where_nothing_was_known() -> None:
    history = history_of(sample(0, lag_bytes=10), lost(sample(1), "standby-async"), sample(2, lag_bytes=30))
    assert series(history.window(-1, 5), "standby-async", "lag_bytes") == [10.0, None, 30.0]


def test_metrics_are_read_as_far_as_they_are_kept() -> None:
    text = "# HELP x y\nheliosdb_commits_total 12\nheliosdb_up 1\nheliosdb_commits_total nonsense\n"
    assert metrics_of(text) == {"heliosdb_commits_total": 12.0}


def test_an_observer_is_a_node_without_data() -> None:
    facts = node("observer", 3, peers_of()).facts
    assert facts is not None
    assert (facts.role, facts.state, facts.mode, facts.committed_lsn, facts.primary_id) == (
        "observer", "observing", "", 0, "primary",
    )  # fmt: skip


def test_curves_have_holes_where_nothing_was_known_and_round_ends() -> None:
    history = history_of(
        *(sample(i, lag_bytes=100 * i) if i != 2 else lost(sample(i), "standby-async") for i in range(5))
    )
    drawn = curves(history.window(-1, 10), "lag_bytes")
    assert [(one.number, one.name, one.last) for one in drawn] == [
        (2, "standby-sync", 0.0),
        (3, "standby-async", 400.0),
    ]
    assert drawn[1].runs == (((-4.0, 0.0), (-3.0, 100.0)), ((-1.0, 300.0), (0.0, 400.0)))
    assert (top_of(drawn), top_of([]), top_of(drawn[:1], 0.1)) == (500.0, 1.0, 0.1)
    assert plain(legend(drawn, lambda value: f"{value:.0f}", 60)).split() == [
        "2",
        "standby-sync",
        "0",
        "3",
        "standby-async",
        "400",
    ]
    assert "…" in plain(legend(drawn, lambda value: f"{value:.0f}", 30))
    assert curves([], "lag_bytes") == [] and curves(history.window(-1, 10), "memory_bytes") == []
