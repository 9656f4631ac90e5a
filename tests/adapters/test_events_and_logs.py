"""Events in ``state.db`` and log lines on a stream."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helios_cli.engine.observe.events import EventLog
from helios_cli.engine.observe.logs import LogSink, TextFormatter, configure_logging, redact, set_level


def make(path: Path, **options: int) -> EventLog:
    ticks = iter(range(1, 1_000_000))
    return EventLog(path / "state.db", wall_us=lambda: next(ticks), **options)


def test_events_reach_ring_and_file(tmp_path: Path) -> None:
    events = make(tmp_path)
    events.record("before", "info", "recorded before the thread runs")
    events.start()
    events.record("promotion", "warning", "promoted", term=3, lsn="0/10")
    assert events.flush()
    assert [event.kind for event in events.recent()] == ["promotion", "before"]
    assert events.history() == events.recent()
    assert events.history()[0].fields == {"term": 3, "lsn": "0/10"}
    assert events.history(kind="before") == events.recent(kind="before")
    events.stop()
    events.stop()
    again = make(tmp_path)
    assert again.recent() == []
    assert len(again.history()) == 2


def test_nothing_on_disk_yet(tmp_path: Path) -> None:
    assert make(tmp_path).history() == []
    assert list(tmp_path.iterdir()) == []


def test_ring_and_rows_are_bounded(tmp_path: Path) -> None:
    events = make(tmp_path, ring_size=5, retain_rows=20)
    events.start()
    for number in range(100):
        events.record("tick", "info", str(number))
    events.stop()
    assert [event.message for event in events.recent()] == ["99", "98", "97", "96", "95"]
    kept = events.history(limit=1000)
    assert [event.message for event in kept] == [str(number) for number in range(99, 79, -1)]


def test_full_backlog_keeps_the_ring_and_counts(tmp_path: Path) -> None:
    events = make(tmp_path, backlog=3)
    for number in range(5):
        events.record("tick", "info", str(number))
    assert (events.dropped, len(events.recent())) == (2, 5)
    events.start()
    events.stop()
    assert len(events.history()) == 3


def test_unwritable_file_is_one_line_and_written_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state.db").mkdir()
    events = make(tmp_path)
    events.start()
    for message in ("first", "second"):
        events.record("tick", "error", message)
        assert events.flush()
    assert events.failed == 2
    (told,) = caplog.records
    assert told.levelname == "WARNING" and told.exc_info is None
    assert told.getMessage().startswith("events stay in memory until ") and "\n" not in told.getMessage()
    (tmp_path / "state.db").rmdir()
    events.record("tick", "info", "third")
    events.stop()
    assert [event.message for event in events.history()] == ["third", "second", "first"]
    assert events.dropped == 0


def test_an_unwritable_file_is_tried_again_without_a_further_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("helios_cli.engine.observe.events.RETRY_S", 0.01)
    (tmp_path / "state.db").mkdir()
    events = make(tmp_path)
    events.start()
    events.record("tick", "error", "kept")
    assert events.flush()
    (tmp_path / "state.db").rmdir()
    deadline = time.monotonic() + 10
    while "are written to" not in caplog.text:
        assert time.monotonic() < deadline
    events.stop()
    assert len(events.history()) == 1


def test_what_is_never_written_is_bounded_and_counted(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    events = EventLog(tmp_path / "state.db", backlog=3)
    events.start()
    for number in range(6):
        events.record("tick", "info", str(number))
        assert events.flush()
    assert events.dropped == 3
    events.stop()
    assert events.dropped == 6


def test_moments_are_kept_bounded_and_read_back_from_a_time_on(tmp_path: Path) -> None:
    events = make(tmp_path, retain_moments=5)
    assert events.moments(1 << 60, 10) == []
    events.start()
    for number in range(8):
        events.remember(number * 10, {"time_us": number * 10, "role": "primary"})
    events.record("tick", "info", "beside them")
    events.stop()
    again = make(tmp_path)
    assert [json.loads(one)["time_us"] for one in again.moments(1 << 60, 10)] == [70, 60, 50, 40, 30]
    assert [json.loads(one)["time_us"] for one in again.moments(60, 2)] == [50, 40]
    assert [event.message for event in again.history()] == ["beside them"]


def test_moments_come_into_a_file_that_had_none(tmp_path: Path) -> None:
    """A state.db of before there were moments."""
    with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as old:
        old.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, time_us INTEGER, kind TEXT, severity TEXT,"
                    " message TEXT, fields TEXT)")  # fmt: skip
    events = make(tmp_path)
    events.start()
    events.remember(1, {"time_us": 1})
    events.stop()
    assert len(events.moments(2, 10)) == 1


def test_moments_that_cannot_be_written_are_let_go_and_no_events_with_them(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    events = make(tmp_path)
    events.start()
    events.remember(1, {"time_us": 1})
    events.record("tick", "error", "kept")
    assert events.flush()
    (tmp_path / "state.db").rmdir()
    events.record("tick", "info", "later")
    events.stop()
    assert ([event.message for event in events.history()], events.moments(2, 10)) == (["later", "kept"], [])
    assert events.dropped == 0


def test_only_state_db_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"state\.db"):
        EventLog(tmp_path / "db" / "heliosdb.sqlite")


@pytest.mark.parametrize(
    ("text", "gone", "kept"),
    [
        ("ALTER USER a PASSWORD 'hunter''2' VALID", "hunter", "VALID"),
        ("alter role a with encrypted password E'hun\\'ter2'", "ter2", "alter role a"),
        ("postgres://bob:hunter2@host/db", "hunter2", "bob"),
        ("host=h password=hunter2 dbname=d", "hunter2", "dbname=d"),
        ('{"cluster_secret": "hunter2", "a": 1}', "hunter2", '"a": 1'),
        ("Authorization: Bearer hunter2.x-y", "hunter2", "Authorization"),
        ("HELIOSDB_CLUSTER_SECRET=hunter2", "hunter2", "HELIOSDB"),
        ("SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy", "c3RvcmVk", "4096"),
    ],
)
def test_secrets_are_redacted(text: str, gone: str, kept: str) -> None:
    assert gone not in redact(text)
    assert kept in redact(text)


def test_ordinary_text_is_left_alone() -> None:
    text = "password authentication failed for user \"bob\"; token bucket full; 'quoted' x=1"
    assert redact(text) == text


@pytest.fixture
def root_level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


@pytest.mark.usefixtures("root_level")
def test_json_lines() -> None:
    stream = io.StringIO()
    undo = configure_logging("info", "json", stream)
    logger = logging.getLogger("helios.test")
    logger.debug("not shown")
    logger.info("took %d", 5, extra={"fields": {"lsn": "0/1", "password": "hunter2", "level": "clash"}})
    try:
        raise RuntimeError("token=hunter2")
    except RuntimeError:
        logger.exception("broke")
    undo()
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["message"], first["lsn"], first["level"]) == ("took 5", "0/1", "info")
    assert "RuntimeError" in second["exception"]
    assert "hunter2" not in stream.getvalue()


@pytest.mark.usefixtures("root_level")
def test_text_lines_and_levels() -> None:
    stream = io.StringIO()
    undo = configure_logging("warning", "text", stream)
    logging.getLogger("helios.test").info("not shown")
    set_level("debug")
    logging.getLogger("helios.test").debug("shown", extra={"fields": {"n": 1}})
    undo()
    logging.getLogger("helios.test").debug("after the end")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("DEBUG helios.test: shown n=1")
    with pytest.raises(ValueError, match="not a log level"):
        set_level("loud")


def test_a_stuck_reader_does_not_stop_the_writer() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "w") as stream:
        sink = LogSink(stream, TextFormatter(), size=10)
        record = logging.LogRecord("a", logging.INFO, "", 0, "x" * 5000, None, None)
        for _ in range(100):
            sink.emit(record)
        assert sink.dropped >= 50
        drain = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(read_end, 65536), b"")])
        drain.start()
        sink.close()
    drain.join(5)
    os.close(read_end)
    assert not drain.is_alive()


def test_the_whole_history_holds_what_is_on_its_way_too(tmp_path: Path) -> None:
    path, now = tmp_path / "state.db", iter(range(1_000_000, 2_000_000))
    before = EventLog(path, wall_us=lambda: next(now))
    assert before.whole() == []
    before.start()
    before.record("born", "info", "new database", pages=3)
    before.record("recovered", "warning", "after an unclean stop")
    before.stop()
    log = EventLog(path, wall_us=lambda: next(now))
    waiting = log.record("promoted", "info", "not written yet, for nobody has started to write")
    numbered = log.whole()
    assert [(number, event.kind) for number, event in numbered] == [(1, "born"), (2, "recovered"), (3, "promoted")]
    assert numbered[0][1].fields == {"pages": 3}
    assert numbered[2][1] is waiting
    log.start()
    try:
        assert [number for number, _ in log.whole()] == [1, 2, 3]
    finally:
        log.stop()
