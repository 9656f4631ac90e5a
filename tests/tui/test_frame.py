"""Frames as text, records, words and pictures; and colours that can be read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.played_cluster import AT_S, lost, sample, told

from helios_cli.tui import frame, nodetable, topology, words
from helios_cli.tui.facts import Sample
from helios_cli.tui.history import History
from helios_cli.tui.lines import fitted, plain, width_of
from helios_cli.tui.nodetable import Scene
from helios_cli.tui.palette import CONTRAST_MIN, PALETTES, contrast

NAMES = ("primary", "standby-sync", "standby-async", "observer")


def history_of(*samples: Sample) -> History:
    history = History()
    for one in samples:
        history.take(one)
    return history


@pytest.mark.parametrize("width", [60, 80, 91, 92, 120, 132, 200])
def test_a_frame_fits_its_width_and_has_everything(width: int) -> None:
    history = history_of(sample(0), lost(sample(1, lag_bytes=20_000, lag_ms=70.0, catch_up_s=None), "standby-sync"))
    lines = frame.text_of(frame.frame(history, AT_S + 8, width))
    if width >= 80:
        assert max(len(line) for line in lines.splitlines()) <= width
    wanted = ["down", "8 s", "standby-sync down", "term 3", "0/2B90F8", "= 9d1f2f71", "20 kB", "70 ms", "never"]
    load = ["1000", "12"] if width >= 80 else []
    for text in (*NAMES, *wanted, *load, "no answer: its process is"):
        assert text in lines or text.replace("term 3", " 3 ") in lines, f"{text} at {width}"


@pytest.mark.parametrize("name", ["standby-async", "standby-in-another-city"])
def test_the_table_is_as_wide_as_its_place_and_no_wider(name: str) -> None:
    history = history_of(sample(0), sample(1, lag_bytes=104_000_000, lag_ms=126.0, catch_up_s=1e6))
    snapshot = history[-1]
    nodes = tuple(replace(one, name=name) if one.name == "standby-async" else one for one in snapshot.nodes)
    scene = Scene(replace(snapshot, nodes=nodes), history.window(-1, 3), AT_S)
    heights = set()
    for width in range(60, 320):
        layout = nodetable.layout(scene, width)
        used = sum(nodetable.widths(scene, layout.columns)) + layout.gap * (len(layout.columns) - 1)
        assert used <= width, f"{width}: {[column.title for column in layout.columns]}"
        assert layout.columns[-1].title in ("load", "age") or width < 80, width
        heights.add(layout.height)
    assert heights == {1, 2}


def test_the_heading_keeps_the_verdict_where_there_is_no_room() -> None:
    history = history_of(lost(sample(), "primary"))
    line = plain(frame.heading(history[-1], AT_S + 4, 44))
    assert line == "…/cluster.toml  ✖ no primary  data 4.0 s old"


def test_the_record_is_for_programs() -> None:
    history = history_of(sample(0), lost(sample(2), "standby-async"))
    found = frame.record(history, AT_S + 5)
    assert (found["healthy"], found["verdict"], found["primary"], found["term"]) == (
        False, "standby-async down", "primary", 3,
    )  # fmt: skip
    gone = next(one for one in found["nodes"] if one["name"] == "standby-async")
    assert (gone["stale"], gone["age_s"], gone["committed_lsn"], gone["state"]) == (True, 5.0, "0/2B90F8", "down")
    assert found["events"][0]["message"] == "no answer: its process is gone"
    assert found["proxy"]["state"] == "serving"


@pytest.mark.parametrize("width", [70, 150])
def test_who_follows_a_standby_stands_behind_it(width: int) -> None:
    history = history_of(sample(0, follows="standby-sync", lag_bytes=12))
    scene = Scene(history[-1], history.window(-1, 3), AT_S)
    assert [(node.name, depth) for node, depth in topology.ordered(scene)] == [
        ("standby-sync", 0), ("standby-async", 1), ("observer", 0),
    ]  # fmt: skip
    drawn = "\n".join(plain(line) for line in topology.draw(scene, width, 40))
    assert all(name in drawn for name in NAMES) and max(map(len, drawn.splitlines())) <= width


@pytest.mark.parametrize("width", [70, 150])
def test_a_broken_link_is_drawn_and_named_so(width: int) -> None:
    history = history_of(sample(0), lost(sample(1), "standby-sync"), lost(lost(sample(2), "standby-sync"), "primary"))
    for i, text in ((1, "lost"), (2, "no primary")):
        scene = Scene(history[i], history.window(i, 3), AT_S + 2)
        drawn = "\n".join(plain(line) for line in topology.draw(scene, width, 40))
        assert text in drawn and "✖" in drawn


def test_an_event_is_told_in_full_however_narrow_it_is() -> None:
    message = "standby-sync leads in term 4: 2 of the 3 votes, 2 needed; 1 of the 2 nodes whose copies count"
    history = history_of(sample(0), Sample(at_s=AT_S + 1, source="x", nodes=(), told=(told("observer", 0, message),)))
    one = next(event for event in history.events() if event.node == "observer" and event.by == "node")
    lines = [plain(line) for line in frame.event_lines(one, AT_S, 40)]
    assert max(map(len, lines)) <= 40
    assert " ".join(line[17:].strip() for line in lines) == f"observer: {message}"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: words.size(None), words.NOTHING), (lambda: words.size(999), "999 B"),
        (lambda: words.size(1234), "1.2 kB"),
        (lambda: words.size(9_990_000), "10 MB"), (lambda: words.rate(0.4), "0.4"),
        (lambda: words.rate(12_345), "12.3k"), (lambda: words.brief(119), "119 s"), (lambda: words.brief(7300), "2 h"),
        (lambda: words.rate(150_000), "150k"), (lambda: words.milliseconds(0.4), "0.4 ms"),
        (lambda: words.milliseconds(65_000), "65 s"), (lambda: words.duration(3725), "1 h 2 m"),
        (lambda: words.duration(86_400), "1 d"), (lambda: words.sparkline([0, None, 4, 8], 6), "  ▁·▅█"),
        (lambda: words.sparkline([], 3), "   "), (lambda: words.shortened("a/long/path", 5), "…path"),
        (lambda: words.moment(AT_S, AT_S), "14:13:20.000"),
        (lambda: words.moment(AT_S - 86400, AT_S), "09-20 14:13:20"),
    ],
)  # fmt: skip
def test_words(call: object, text: str) -> None:
    assert call() == text  # type: ignore[operator]


def test_a_line_is_filled_or_cut() -> None:
    line = (("abc", ""), ("def", "ok"))
    assert plain(fitted(line, 8)) == "abcdef  " and plain(fitted(line, 5)) == "abcd…"  # type: ignore[arg-type]
    assert width_of(fitted(line, 2)) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PALETTES)
def test_every_ink_can_be_read_on_every_ground(name: str) -> None:
    palette = PALETTES[name]
    worst = {(ink, ground): contrast(ink, ground) for ink in palette.inks for ground in palette.grounds}
    assert {pair: value for pair, value in worst.items() if value < CONTRAST_MIN} == {}
    assert contrast(palette.background, palette.accent) >= CONTRAST_MIN, "the view that is chosen"
    assert contrast("#ffffff", "#000000") == pytest.approx(21.0)
