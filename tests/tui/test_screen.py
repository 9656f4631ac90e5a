"""The monitor on screens of several sizes, dark and light: what is on them, whether it can be read, what keys do."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from support.played_cluster import PlayedGateway, lost, sample, told
from support.screens import clicked, contrasts, seen, text_of, until
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widgets._footer import FooterKey

from helios_cli.engine.errors import HeliosError
from helios_cli.tui.app import MonitorApp
from helios_cli.tui.facts import Sample
from helios_cli.tui.gateway import Act
from helios_cli.tui.keys import KEYS, VIEWS
from helios_cli.tui.palette import CONTRAST_MIN
from helios_cli.tui.screens.dialog import Question
from helios_cli.tui.widgets.bars import KeyBar
from helios_cli.tui.widgets.nodes import NodeTable

pytestmark = pytest.mark.asyncio

SIZES = [(80, 24), (120, 40), (200, 60)]
NAMES = ("primary", "standby-sync", "standby-async", "observer")
REASON = "standby-sync leads in term 3: 2 of the 3 votes"


def gateway() -> PlayedGateway:
    """A standby that lags, one that is lost; an event with its reason."""
    first = replace(sample(0), told=(told("primary", -5, REASON),))
    return PlayedGateway(
        [first, sample(1), lost(sample(2, lag_bytes=2_000_000, lag_ms=400.0, catch_up_s=3.0), "standby-sync")]
    )


def playing(
    source: PlayedGateway, size: tuple[int, int] = (80, 24), theme: str = "dark"
) -> tuple[MonitorApp, AbstractAsyncContextManager[Pilot[None]]]:
    """An app over it that looks when ``r`` is pressed, and at its beginning."""
    app = MonitorApp(source, interval_s=600.0, theme_name=theme, clock=lambda: source.at_s)
    return app, app.run_test(size=size, notifications=True)


async def look(app: MonitorApp, pilot: Pilot[None], times: int) -> None:
    """Have it looked so often, all in all."""
    while app.looks < times:
        before = app.looks
        await pilot.press("r")
        await until(pilot, lambda before=before: app.looks > before, "a look")  # type: ignore[misc]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
async def test_everything_is_on_every_screen_and_can_be_read(size: tuple[int, int], theme: str) -> None:
    app, running = playing(gateway(), size, theme)
    async with running as pilot:
        await look(app, pilot, 3)
        await seen(pilot, "standby-sync down")
        worst: dict[str, float] = {}
        for number, (view, _) in enumerate(VIEWS, 1):
            await pilot.press("escape", str(number))
            await until(pilot, lambda view=view: app.query_one(f"#{view}").display, view)  # type: ignore[misc]
            await pilot.pause()
            text = text_of(app)
            for wanted in (
                *NAMES,
                "down",
                "streaming",
                "0/2B90F8",
                "9d1f2f71",
                "2.0 MB",
                "400 ms",
                "old",
                "quit",
                "help",
            ):
                assert wanted in text, f"{wanted!r} in {view} at {size}:\n{text}"
            worst |= {f"{view}: {piece}": value for piece, value in contrasts(app).items() if value < CONTRAST_MIN}
        assert worst == {}
        await pilot.press("escape", "1")
        await seen(pilot, "its process is gone")
        await seen(pilot, "lost")
        if size != (80, 24):
            await seen(pilot, REASON)


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (110, 30), (140, 33), (300, 80)], ids=str)
async def test_the_nodes_need_no_scrolling_to_the_side(size: tuple[int, int]) -> None:
    source = PlayedGateway([sample(0), sample(1, lag_bytes=104_000_000, lag_ms=126.0, catch_up_s=3.0)])
    app, running = playing(source, size)
    async with running as pilot:
        await look(app, pilot, 2)
        await seen(pilot, "104 MB 126 ms")
        table = app.query_one(NodeTable)
        await until(
            pilot, lambda: 0 < table.virtual_size.width <= table.scrollable_content_region.width, "all columns in sight"
        )
        text = text_of(app)
        assert all(word in text for word in ("? help", "q quit", "↵ details", "Topology", "Events")), text
        assert ("o promote" in text) == (size[0] >= 120), "what there is room for"


async def test_keys_below_are_clicked_too() -> None:
    app, running = playing(PlayedGateway([sample(0)]), (120, 40))
    async with running as pilot:
        await look(app, pilot, 1)
        bar = app.query_one(KeyBar)

        def places() -> dict[str, Region]:
            return {key.description: key.region for key in bar.query(FooterKey) if key.region.width and key.region.y}

        await until(pilot, lambda: {"pause", "drain"} <= set(places()), "the keys")
        place = places()["pause"]
        await pilot.click(offset=(place.x + 2, place.y))
        await seen(pilot, "Pause automatic failover")
        await pilot.press("escape", "5")
        await seen(pilot, "Esc to the nodes")
        await until(pilot, lambda: "↵ run" in text_of(app).splitlines()[-1], "the keys of the line to type in")
        assert "pause" not in text_of(app).splitlines()[-1], "letters are typed there"


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_dialogs_can_be_read(theme: str) -> None:
    app, running = playing(gateway(), (80, 24), theme)
    async with running as pilot:
        await look(app, pilot, 2)
        for keys, wanted in (
            (("question_mark",), "These keys"),
            (("enter",), "0/2B90F8"),
            (("p",), "as  heliosdb"),
        ):
            await pilot.press(*keys)
            await until(pilot, lambda: len(app.screen_stack) == 2, "the dialog")
            await seen(pilot, wanted)
            assert {piece: value for piece, value in contrasts(app, ".dialog").items() if value < CONTRAST_MIN} == {}
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1, "the main screen")


async def test_a_node_that_dies_stays_in_sight_and_ages() -> None:
    source = PlayedGateway([sample(0), sample(1), lost(sample(2), "primary"), lost(sample(9), "primary")])
    app, running = playing(source, (120, 40))
    async with running as pilot:
        await look(app, pilot, 2)
        await seen(pilot, "● healthy")
        await look(app, pilot, 3)
        await seen(pilot, "✖ no primary")
        await look(app, pilot, 4)
        text = text_of(app)
        rows = [line for line in text.splitlines() if "primary" in line and "down" in line]
        assert rows and "0/2B90F8" in rows[0], "the last that it has said"
        assert "no answer: its process is gone" in text


async def test_the_cursor_goes_through_the_nodes_and_stays_with_its_node() -> None:
    fewer = replace(sample(3), nodes=sample(3).nodes[1:])
    app, running = playing(PlayedGateway([sample(0), fewer]))
    async with running as pilot:
        await look(app, pilot, 1)
        assert app.chosen == "primary"
        await pilot.press("down", "down")
        await until(pilot, lambda: app.chosen == "standby-async", "the cursor on the third row")
        await look(app, pilot, 2)
        assert app.chosen == "standby-async", "the row above is gone"
        await clicked(pilot, NodeTable, (5, 1))
        await until(pilot, lambda: app.chosen == "standby-sync", "the row that was clicked")


async def test_the_mouse_chooses_views() -> None:
    app, running = playing(gateway())
    async with running as pilot:
        await look(app, pilot, 1)
        await seen(pilot, "Topology")
        await clicked(pilot, "#tab-proxy")
        await seen(pilot, "heliosdb")
        assert app.view == "proxy" and "longest wait" in text_of(app)


async def test_time_is_scrubbed_and_goes_on() -> None:
    source = PlayedGateway([sample(0), lost(sample(1), "observer"), sample(2), sample(3), sample(4)])
    app, running = playing(source, (120, 40))
    async with running as pilot:
        await look(app, pilot, 5)
        await seen(pilot, "live")
        await pilot.press("comma")
        await seen(pilot, "held at 14:13:23, 1.0 s ago  4 of 5")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await seen(pilot, "held at 14:13:21, ")
        await seen(pilot, "observer down")
        assert "answers again" not in text_of(app), "that is still to come"
        await look(app, pilot, 6)
        assert "2 of 6" in text_of(app), "it stays where it is while more is seen"
        await pilot.press("right_square_bracket")
        await seen(pilot, "3 of 6")
        await pilot.press("less_than_sign")
        await seen(pilot, "1 of 6")
        await pilot.press("full_stop")
        await seen(pilot, "2 of 6")
        await pilot.press("greater_than_sign")
        await seen(pilot, "live")
        await pilot.press("space")
        await seen(pilot, "6 of 6")
        await pilot.press("l")
        await seen(pilot, "live")


ACTS = [
    ("s", 1, Act("switchover", "standby-sync")), ("s", 0, Act("switchover", "")),
    ("o", 2, Act("promote", "standby-async")),
    ("p", 0, Act("pause")), ("d", 2, Act("drain", "standby-async")), ("x", 0, Act("proxy pause")),
]  # fmt: skip


@pytest.mark.parametrize(("key", "row", "act"), ACTS, ids=[f"{key}{row}" for key, row, _ in ACTS])
async def test_an_act_shows_its_dry_run_and_asks(key: str, row: int, act: Act) -> None:
    source = PlayedGateway([sample(0)])
    app, running = playing(source)
    async with running as pilot:
        await look(app, pilot, 1)
        await pilot.press(*["down"] * row)
        await pilot.press(key)
        await seen(pilot, f"would {act.verb} {act.node}".strip())
        await seen(pilot, act.title)
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 1, "Enter leaves it, as its button is the chosen one")
        assert source.done == []
        await pilot.press(key)
        await seen(pilot, "1. a step")
        await pilot.press("y", "y")
        await seen(pilot, f"✓ {act.verb} is done")
        await pilot.press("escape")
        assert source.done == [act], "once"


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_a_playbook_is_chosen_shown_and_run(theme: str) -> None:
    source = PlayedGateway([sample(0)])
    app, running = playing(source, theme=theme)
    async with running as pilot:
        await look(app, pilot, 1)
        await pilot.press("b")
        await seen(pilot, "The primary is lost under load.")
        assert {piece: value for piece, value in contrasts(app, ".dialog").items() if value < CONTRAST_MIN} == {}
        await pilot.press("down", "enter")
        await seen(pilot, "Run the playbook failover-drill")
        await seen(pilot, "1. a step")
        await pilot.press("y")
        await seen(pilot, "✓ playbook is done")
        assert source.done == [Act("playbook", "failover-drill")]


async def test_what_would_be_refused_cannot_be_done() -> None:
    source = PlayedGateway([sample(0)])
    source.refusal = HeliosError("standby-async lacks 12 kB", sqlstate="55000", hint="Wait until it has caught up.")
    app, running = playing(source)
    async with running as pilot:
        await look(app, pilot, 1)
        await pilot.press("s")
        await seen(pilot, "it would be refused: standby-async lacks 12 kB (55000)")
        await seen(pilot, "hint: Wait until it has caught up.")
        await pilot.press("y")
        await pilot.pause()
        assert isinstance(app.screen, Question) and app.screen.state == "refused"
        assert source.done == []


async def test_an_act_goes_on_when_its_dialog_is_closed() -> None:
    source = PlayedGateway([sample(0)])
    source.go.clear()
    app, running = playing(source)
    async with running as pilot:
        await look(app, pilot, 1)
        await pilot.press("p")
        await seen(pilot, "1. a step")
        await pilot.press("y")
        await seen(pilot, "doing it")
        await pilot.press("escape")
        source.go.set()
        await seen(pilot, "pause is done")


async def test_opposites_are_offered_where_they_are_in_force() -> None:
    base = sample(0)
    paused = tuple(replace(one, facts=replace(one.facts, paused=True)) if one.facts else one for one in base.nodes)
    assert base.proxy is not None and base.proxy.facts is not None
    rows = tuple({**row, "state": "draining"} for row in base.proxy.facts.nodes)
    facts = replace(base.proxy.facts, nodes=rows, stats={"paused": 1.0})
    source = PlayedGateway([replace(base, nodes=paused, proxy=replace(base.proxy, facts=facts))])
    app, running = playing(source)
    async with running as pilot:
        await look(app, pilot, 1)
        for key, title in (("p", "Resume automatic"), ("d", "at the proxy again"), ("x", "Let the proxy go on")):
            await pilot.press(key)
            await seen(pilot, title)
            await pilot.press("n")


async def test_events_are_filtered_and_alarms_acknowledged() -> None:
    source = PlayedGateway([replace(sample(0), told=(told("primary", -5, REASON),)), alarmed(sample(1))])
    app, running = playing(source, (120, 40))
    async with running as pilot:
        await look(app, pilot, 2)
        await seen(pilot, "alarm: primary: page 7 is damaged")
        await seen(pilot, REASON)
        await pilot.press("f")
        await until(pilot, lambda: REASON not in text_of(app), "no information")
        await seen(pilot, "Events: warnings and errors")
        await pilot.press("k")
        await seen(pilot, "Acknowledge the alarms")
        await seen(pilot, "primary: page 7 is damaged")
        await pilot.press("escape")
        await seen(pilot, "alarm: primary: page 7 is damaged")
        await pilot.press("k", "y")
        await seen(pilot, "✓ acknowledged: 1")
        await pilot.press("escape")
        await until(pilot, lambda: "alarm: primary" not in text_of(app), "the alarm is known")
        assert "1 alarm" in text_of(app), "it lasts"
        await seen(pilot, "✓ 1 acknowledged, k shows it")
        await pilot.press("k", "y", "escape")
        await seen(pilot, "alarm: primary: page 7 is damaged")
        await pilot.press("f", "f")
        await seen(pilot, REASON)


@pytest.mark.parametrize("view", ["1", "2"])
async def test_what_is_below_the_nodes_is_scrolled(view: str) -> None:
    events = tuple(told("primary", -i, f"event {i:02}") for i in range(40))
    app, running = playing(PlayedGateway([replace(sample(0), told=events)]))
    async with running as pilot:
        await look(app, pilot, 1)
        await pilot.press(view)
        await seen(pilot, "event 01")
        await pilot.press("pagedown", "pagedown")
        await until(pilot, lambda: "event 01" not in text_of(app) and "event" in text_of(app), "older events")
        await pilot.press("pageup", "pageup")
        await seen(pilot, "event 01")


async def test_the_log_is_that_of_the_chosen_node() -> None:
    app, running = playing(PlayedGateway([sample(0)]))
    async with running as pilot:
        await look(app, pilot, 1)
        await pilot.press("4")
        await seen(pilot, "INFO primary: line 2")
        await pilot.press("down", "down", "down")
        await seen(pilot, "the log of observer is not on this machine")
        await seen(pilot, "Look there.")


async def test_the_theme_changes_and_the_text_with_it() -> None:
    app, running = playing(gateway())
    async with running as pilot:
        await look(app, pilot, 1)
        dark = contrasts(app)
        await pilot.press("t")
        await until(pilot, lambda: app.theme == "helios-light", "the light theme")
        await pilot.pause()
        assert min(contrasts(app).values()) >= CONTRAST_MIN and contrasts(app) != dark


async def test_every_key_does_something() -> None:
    """Each key of the list, in the middle of what was seen, with an alarm to acknowledge."""
    app, running = playing(PlayedGateway([sample(0), lost(sample(1), "observer"), alarmed(sample(2))]))
    async with running as pilot:
        await look(app, pilot, 3)
        for one in KEYS:
            for key in one.keys.split(","):
                if one.action != "quit" and not one.action.startswith("scroll"):  # see the test of scrolling
                    await does_something(app, pilot, key)
        await pilot.press("q")
    assert app.return_code == 0


async def does_something(app: MonitorApp, pilot: Pilot[None], key: str) -> None:
    app.action_view("events" if key == "1" else "overview")
    app.time.live()
    app.time.step(0 if key in ("space", "k") else -1)
    app.query_one(NodeTable).move_cursor(row=1)
    app.acknowledged.clear()
    await until(pilot, lambda: app.query_one(NodeTable).has_focus, "the nodes have the focus")

    def state() -> tuple[object, ...]:
        seen_at = (app.time.is_live, app.time.index, app.looks)
        return (app.view, app.screen, *seen_at, app.theme, app._filter, len(app.acknowledged), app.chosen)

    before = state()
    await pilot.press(key)
    await until(pilot, lambda: state() != before, f"{key} does something", 10.0)
    if app.view == "sql" or len(app.screen_stack) > 1:
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1, "the main screen")


def alarmed(base: Sample) -> Sample:
    """The same with an alarm of the primary."""
    alarms = ("page 7 is damaged",)
    nodes = tuple(
        replace(one, facts=replace(one.facts, alarms=alarms)) if one.facts and one.name == "primary" else one
        for one in base.nodes
    )
    return replace(base, nodes=nodes)


async def test_before_the_first_look_the_screen_says_so() -> None:
    source = PlayedGateway([sample(0)])
    held: Any = source.sample

    def slow() -> Any:
        assert source.go.wait(30.0)
        return held()

    source.go.clear()
    source.sample = slow  # type: ignore[method-assign]
    _, running = playing(source)
    async with running as pilot:
        await seen(pilot, "looking at the cluster")
        await pilot.press("s", "enter", "comma", "left_square_bracket", "space", "k", "2", "1")
        source.go.set()
        await seen(pilot, "healthy")


async def test_charts_show_what_there_is_room_for_and_the_others_behind() -> None:
    source = PlayedGateway([sample(i, lag_bytes=1000 * i) for i in range(6)])
    app, running = playing(source, (120, 40))
    async with running as pilot:
        await look(app, pilot, 6)
        await pilot.press("c")
        await seen(pilot, "3 standby-async 5.0 kB")
        await seen(pilot, "Lag in bytes")
        await seen(pilot, "1 primary 1000")
        assert "Memory" not in text_of(app)
        await pilot.press("c")
        await seen(pilot, "Memory")
        assert min(contrasts(app).values()) >= CONTRAST_MIN
        await pilot.press("c")
        await seen(pilot, "Lag in bytes")
