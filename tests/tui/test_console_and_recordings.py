"""The SQL console and what it remembers; sessions kept in a file and shown again."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.played_cluster import AT_S, PlayedGateway, lost, sample
from support.screens import contrasts, seen, text_of, until

from helios_cli.cli import main
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.tui.app import MonitorApp
from helios_cli.tui.gateway import Act, SqlAnswer
from helios_cli.tui.lines import plain
from helios_cli.tui.palette import CONTRAST_MIN
from helios_cli.tui.recording import Recorder, Replay
from helios_cli.tui.sqlhistory import SqlHistory
from helios_cli.tui.sqlview import answer_lines


@pytest.mark.asyncio
async def test_statements_are_typed_answered_and_brought_back(tmp_path: Path) -> None:
    source = PlayedGateway([sample(0)])

    def answer(text: str) -> SqlAnswer:
        if "wrong" in text:
            raise HeliosError('relation "wrong" does not exist', sqlstate="42P01", hint="Make it.")
        return SqlAnswer(("id", "word"), ((7, "hello"), (12, None)), "SELECT", 2, took_ms=3.0, node="standby-sync")

    source.answer = answer
    app = MonitorApp(
        source, interval_s=600, clock=lambda: source.at_s, sql_history=SqlHistory(tmp_path / "state" / "h")
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, "healthy")
        await pilot.press("down", "5")
        await seen(pilot, "SQL at standby-sync")
        await pilot.press(*"select 1", "enter")
        await seen(pilot, "SELECT, 2 rows, 3 ms, at standby-sync")
        text = text_of(app)
        assert " 7  hello" in text and "12  ∅" in text
        assert source.asked == [("standby-sync", "select 1")]
        assert min(contrasts(app).values()) >= CONTRAST_MIN
        await pilot.press(*"from wrong", "enter")
        await seen(pilot, '✖ relation "wrong" does not exist (42P01)')
        await seen(pilot, "hint: Make it.")
        await pilot.press("up", "up")
        await seen(pilot, " select 1")
        await pilot.press("enter")
        await until(pilot, lambda: len(source.asked) == 3, "the statement again")
        await pilot.press("escape")
        await pilot.press("1")
        await seen(pilot, "Topology")
    assert (tmp_path / "state" / "h").read_text() == "select 1\nfrom wrong\nselect 1\n"


def test_the_history_goes_back_and_forth_and_keeps_no_password(tmp_path: Path) -> None:
    path = tmp_path / "h"
    history = SqlHistory(path)
    for text in ("a", "b", "b", "ALTER ROLE x PASSWORD 'y'"):
        history.add(text)
    assert [history.before("typed"), history.before(""), history.before(""), history.before("")] == [
        "ALTER ROLE x PASSWORD 'y'", "b", "a", "a",
    ]  # fmt: skip
    assert [history.after(""), history.after(""), history.after(""), history.after("x")] == [
        "b", "ALTER ROLE x PASSWORD 'y'", "typed", "x",
    ]  # fmt: skip
    assert path.read_text() == "a\nb\n" and path.stat().st_mode & 0o777 == 0o600
    assert SqlHistory(path).before("") == "b"
    assert SqlHistory(tmp_path).before("typed") == "typed", "a directory is no file"


def test_what_does_not_fit_as_a_table_is_told_value_by_value() -> None:
    answer = SqlAnswer(("id", "text"), ((1, "word " * 30), (2, "line\nbreak\x1b")), "SELECT", 2, node="n")
    lines = [plain(line) for line in answer_lines("q", answer, 40)]
    assert max(map(len, lines)) <= 40
    assert "row 2" in lines and "text  line break·" in lines
    assert sum(line.count("word") for line in lines) == 30
    wide = [plain(line) for line in answer_lines("q", answer, 200)]
    assert wide[2:4] == ["id  " + "text".ljust(150), " 1  " + "word " * 30]


def test_a_session_is_kept_and_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.monitor"
    samples = [sample(0), lost(sample(1), "standby-sync"), sample(2, lag_bytes=77)]
    recorder = Recorder(PlayedGateway(samples), str(path))
    assert [recorder.sample() for _ in samples] == samples
    recorder.close()
    replay = Replay(str(path))
    assert [replay.sample() for _ in samples] == samples
    assert (replay.left, replay.sample(), replay.now_s()) == (0, samples[-1], AT_S + 2)
    with pytest.raises(HeliosError, match="this is a recording"):
        replay.plan(Act("pause"))
    with pytest.raises(HeliosError, match="this is a recording"):
        replay.sql("primary", "SELECT 1")
    assert main(["monitor", "--once", "--replay", str(path)]) == 0
    assert "77 B" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="is there already"):
        Recorder(PlayedGateway(samples), str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: b"", "is no recording"),
        (lambda text: b"hello\n", "is no recording"),
        (lambda text: text.splitlines(keepends=True)[0], "holds nothing but its beginning"),
        (lambda text: text.replace(b'"at_s"', b'"at"', 1), ":2 is no sample of the monitor"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(
    tmp_path: Path, change: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    recorder = Recorder(PlayedGateway([sample(0)]), str(path))
    recorder.sample()
    recorder.close()
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    assert main(["monitor", "--once", "--replay", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_a_recording_that_was_cut_off_is_shown_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    recorder = Recorder(PlayedGateway([sample(0), sample(1)]), str(path))
    recorder.sample(), recorder.sample()
    recorder.close()
    path.write_bytes(path.read_bytes()[:-50])
    assert Replay(str(path)).sample() == sample(0) and Replay(str(path)).left == 1
