"""The time before the monitor began: moments of nodes put together, put before what is seen, stepped through."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from support.played_cluster import AT_S, PlayedGateway, peer, peers_of, sample, status
from support.screens import seen, text_of
from textual.pilot import Pilot

from helios_cli.tui import past
from helios_cli.tui.app import MonitorApp
from helios_cli.tui.facts import Sample
from helios_cli.tui.history import History
from helios_cli.tui.past import Moment, Past
from helios_cli.tui.snapshot import Snapshot, verdict

SYNC, ASYNC = "standby-sync", "standby-async"


def moment(name: str, second: float, peers: list[dict[str, Any]], statements: float = 0.0, **more: Any) -> Moment:
    """What a node kept at a second of the play."""
    number = ("primary", SYNC, ASYNC).index(name)
    term = more.pop("term", 3)
    record = status(name, number, peers, term=term, **more)
    primary = next(one["node_id"] for one in peers if one["role"] == "primary")
    record["cluster"] |= {"term": term, "primary_id": primary}
    counters = {"heliosdb_statements_total": statements}
    return past.moment_of({**record, "time_us": round((AT_S + second) * 1e6), "counters": counters})


def follower(name: str, primary_state: str = "streaming", mode: str = "sync") -> list[dict[str, Any]]:
    """What a standby knows: itself, its primary, and of the other one only that it is there."""
    other = ASYNC if name == SYNC else SYNC
    return [
        peer("primary", 0, role="primary", state=primary_state),
        peer(name, 1 if name == SYNC else 2, mode=mode),
        peer(other, 2 if name == SYNC else 1, state="unknown"),
    ]


def new_primary() -> list[dict[str, Any]]:
    return [
        peer("primary", 0, state="disconnected", in_sync=False),
        peer(SYNC, 1, role="primary"),
        peer(ASYNC, 2, mode="async", in_sync=False),
    ]


def killed() -> dict[str, list[Moment]]:
    """A primary that is killed at 23 s; standby-sync leads from 26 s on."""
    return {
        "primary": [moment("primary", 10, peers_of(), 100.0), moment("primary", 20, peers_of(), 1100.0)],
        SYNC: [
            moment(SYNC, 10.2, follower(SYNC)),
            moment(SYNC, 20.3, follower(SYNC)),
            moment(SYNC, 24, follower(SYNC, "silent")),
            moment(SYNC, 26, new_primary(), term=4, role="primary"),
            moment(SYNC, 30, new_primary(), term=4, role="primary"),
        ],
        ASYNC: [
            moment(ASYNC, 10.1, follower(ASYNC)),
            moment(ASYNC, 20.2, follower(ASYNC)),
            moment(ASYNC, 24.4, follower(ASYNC, "disconnected")),
            moment(ASYNC, 30, follower(ASYNC), term=4),
        ],
    }


def history_of(samples: list[Sample], **options: int) -> History:
    history = History(**options)
    history.take(sample(40))
    history.put_before(samples)
    return history


def states(snapshot: Snapshot) -> dict[str, str]:
    return {one.name: one.state for one in snapshot.nodes}


def test_a_lost_primary_and_its_successor_are_found_again() -> None:
    found = past.samples(killed(), {"primary": "127.0.0.1:8080"}, "demo")
    assert [round(one.at_s - AT_S, 1) for one in found] == [10.2, 20.3, 24.4, 26.0, 30.0], (
        "what belongs together is one"
    )
    history = history_of(found)
    whole, silent, led = history[1], history[2], history[3]
    assert whole.primary is not None and (whole.primary.name, whole.term, verdict(whole)[0]) == ("primary", 3, "ok")
    assert whole.primary.statements_s == pytest.approx(100.0)
    assert (states(silent)["primary"], verdict(silent)) == ("no answer", ("bad", "no primary"))
    assert led.primary is not None and (led.primary.name, led.term) == (SYNC, 4)
    told = {(round(one.at_s - AT_S, 1), one.node, one.message) for one in history.events()}
    assert (24.4, "primary", f"no answer: not heard by {SYNC}, {ASYNC}") in told
    assert (26.0, SYNC, "standby became primary in term 4") in told
    assert history[0].is_kept and not history[-1].is_kept


def test_a_node_that_cannot_be_asked_is_what_the_others_say() -> None:
    kept = {"primary": [moment("primary", 10 * i, peers_of(lag_bytes=5000, lag_ms=7.0)) for i in range(3)]}
    snapshot = history_of(past.samples(kept, {}, "demo"))[1]
    assert states(snapshot) == {"primary": "serving", SYNC: "streaming", ASYNC: "streaming", "observer": "observing"}
    late = snapshot.node(ASYNC)
    assert late is not None and late.facts is not None
    assert (late.lag_bytes, late.lag_ms, late.clients, late.facts.committed_lsn, late.role) == (
        5000,
        7.0,
        None,
        0,
        "standby",
    )


def test_what_nobody_kept_is_not_made_up() -> None:
    kept = {SYNC: [moment(SYNC, 0, follower(SYNC)), moment(SYNC, 30, follower(SYNC, "disconnected"))]}
    history = history_of(past.samples(kept, {}, "demo"))
    assert (states(history[0])["primary"], states(history[1])["primary"]) == ("serving", "no answer")
    node = history[1].node(ASYNC)
    assert node is not None and node.error == "nothing was kept of it"


def test_nodes_stand_where_they_stand_now() -> None:
    kept = {"primary": [moment("primary", 0, peers_of())]}
    (found,) = past.samples(kept, {"observer": "h:1", "primary": "h:2", "gone": "h:3"}, "demo")
    assert [(one.name, one.address) for one in found.nodes] == [
        ("observer", "h:1"), ("primary", "h:2"), (SYNC, ""), (ASYNC, ""),
    ]  # fmt: skip


def test_who_was_removed_is_gone_from_then_on() -> None:
    fewer = [one for one in peers_of() if one["node_id"] != ASYNC]
    kept = {
        "primary": [moment("primary", 0, peers_of()), moment("primary", 10, fewer), moment("primary", 20, peers_of())]
    }
    history = history_of(past.samples(kept, {}, "demo"))
    assert [ASYNC in states(history[i]) for i in range(3)] == [True, False, True]
    assert {one.kind for one in history.events() if one.node == ASYNC} >= {"left", "joined"}


def test_no_more_is_put_before_than_there_is_room_for() -> None:
    kept = {"primary": [moment("primary", i, peers_of()) for i in range(0, 38, 2)]}
    history = history_of(past.samples(kept, {}, "demo"), sparse=5)
    assert [round(history[i].at_s - AT_S) for i in range(len(history))] == [28, 30, 32, 34, 36, 40]


def test_what_is_later_than_the_first_look_is_left_out() -> None:
    kept = {"primary": [moment("primary", 30, peers_of()), moment("primary", 41, peers_of())]}
    assert len(history_of(past.samples(kept, {}, "demo"))) == 2


def playing(source: PlayedGateway) -> tuple[MonitorApp, AbstractAsyncContextManager[Pilot[None]]]:
    app = MonitorApp(source, interval_s=0.05, clock=lambda: source.at_s)
    return app, app.run_test(size=(120, 40), notifications=True)


@pytest.mark.asyncio
async def test_it_is_stepped_through_behind_the_first_look() -> None:
    source = PlayedGateway([replace(sample(40), nodes=sample(40).nodes[:3])])
    source.before = Past(tuple(past.samples(killed(), {}, "demo")))
    app, running = playing(source)
    async with running as pilot:
        await seen(pilot, f"{SYNC}: standby became primary in term 4")
        while app.time.index > 3:
            await pilot.press("comma")
        await seen(pilot, "kept by the nodes")
        assert f"★ {SYNC}" in text_of(app)
        await pilot.press("comma")
        await seen(pilot, "✖ no primary")
        assert "became primary" not in text_of(app), "that was still to come"
        await pilot.press("less_than_sign")
        await seen(pilot, "★ primary")
        await pilot.press("comma")
        await seen(pilot, "Nothing is known of before")
        await seen(pilot, "the nodes have kept nothing older")


@pytest.mark.asyncio
async def test_why_there_is_no_past_is_said_when_it_is_looked_for() -> None:
    source = PlayedGateway([sample(0)])
    source.before = Past((), "primary: a bearer token is needed")
    app, running = playing(source)
    async with running as pilot:
        await seen(pilot, "live")
        while app.before != source.before.missing:
            await pilot.pause()
        await pilot.press("space", "less_than_sign", "comma")
        await seen(pilot, "primary: a bearer token is needed")
