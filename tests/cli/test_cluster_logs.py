"""``cluster logs``: lines as entries, logs that grow, are rotated and cut, and what of them is shown."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from support.local_clusters import Capture, call, settle_in
from support.node_process import ROOT, wait_until

from helios_cli.commands.local import clusterfile, layout, loglines, logtail
from helios_cli.commands.local.loglines import Entry


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_in(tmp_path, monkeypatch)


def line(second: int, text: str, level: str = "INFO") -> str:
    return f"2026-01-31 12:00:{second:02d}.500 UTC [7] {level} helios_cli.engine.node.node: {text}\n"


def texts(entries: Iterator[Entry] | list[Entry]) -> list[str]:
    return [one.message for one in entries]


# Lines as entries -----------------------------------------------------------------------------------------------------


def test_both_formats_and_lines_without_one() -> None:
    said = [
        "Traceback of who knows what",
        line(1, "ready key=1").rstrip(),
        "Traceback (most recent call last):",
        "  ValueError: x",
        'error: data directory "d" is in use',
        "hint: Stop that node.",
        '{"time":"2026-01-31T12:00:02.250Z","level":"warning","logger":"l","pid":9,"message":"m","n":3,"exception":"E\\nF"}',
        '{"no": "entry"}',
    ]
    assembler = loglines.Assembler("a")
    found = [*assembler.feed(said), *assembler.flush()]
    assert [(one.time[-6:], one.level, one.message) for one in found] == [
        ("", "info", said[0]),
        ("01.500", "info", f"ready key=1\n{said[2]}\n{said[3]}"),
        ("01.500", "error", 'data directory "d" is in use\nhint: Stop that node.'),
        ("02.250", "warning", 'm\nE\nF\n{"no": "entry"}'),
    ]
    assert found[3].record() == {
        "time": "2026-01-31T12:00:02.250Z", "node": "a", "level": "warning", "logger": "l", "pid": 9,
        "message": found[3].message, "n": 3,
    }  # fmt: skip
    late = [*assembler.feed(["  G", "  H"]), *assembler.flush()]
    assert [(one.time[-6:], one.level, one.message) for one in late] == [("02.250", "warning", "  G\n  H")]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("90s", "2026-01-31 11:58:30.000"),
        ("1.5h", "2026-01-31 10:30:00.000"),
        ("10min", "2026-01-31 11:50:00.000"),
        ("1d", "2026-01-30 12:00:00.000"),
        ("2026-01-31 11:00", "2026-01-31 11:00:00.000"),
        ("2026-01-31T13:00:00.25+02:00", "2026-01-31 11:00:00.250"),
    ],
)
def test_since_when(text: str, time: str) -> None:
    assert loglines.since(text, 1769860800.0) == time  # 12:00 of that day


# Files that change ----------------------------------------------------------------------------------------------------


def test_a_log_that_grows_is_rotated_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    tail = logtail.Tail("a", path)
    assert texts(tail.history()) == [], "nobody has said anything yet"
    (tmp_path / "a.log.1").write_text(line(1, "older"))
    path.write_text(line(2, "first") + line(3, "half").rstrip("f\n"))
    with closing(logtail.Tail("a", path)) as other:
        assert texts(other.history()) == ["older", "first"]
    assert texts(tail.news()) == ["first"]
    with path.open("a") as file:
        file.write("f\n" + line(4, "before the rotation") + "no end")
        file.flush()
        path.rename(tmp_path / "a.log.1")
        assert texts(tail.news()) == ["half", "before the rotation"]
        file.write(" yet\n")
    path.write_text(line(5, "in the new one"))
    assert texts(tail.news()) == ["no end yet", "in the new one"]
    os.truncate(path, 0)
    assert texts(tail.news()) == []
    path.write_text(line(6, "x"))
    assert texts(tail.news()) == ["x"]
    path.unlink()
    assert texts(tail.news()) == []
    path.write_text(line(7, "again"))
    assert texts(tail.news()) == ["again"]
    tail.close()


def test_logs_are_merged_by_time(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(line(1, "a1") + line(4, "a4"))
    (tmp_path / "b.log").write_text(line(2, "b2") + "more of b2\n" + line(3, "b3"))
    tails = [logtail.Tail(name, tmp_path / f"{name}.log") for name in ("a", "b")]
    assert texts(logtail.histories(tails)) == ["a1", "b2\nmore of b2", "b3", "a4"]
    assert logtail.all_news(tails) == []
    for tail in tails:
        tail.close()


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster() -> clusterfile.LocalCluster:
    """Two nodes and a proxy that do not run, and what they have said."""
    made = clusterfile.LocalCluster(Path("c"), layout.new_nodes(2, None, 7000), (), layout.new_proxy(2, 7000))
    made.directory.mkdir()
    clusterfile.write(made)
    primary, standby, proxy = made.members
    made.log_file(primary).write_text(line(1, "one") + line(4, "Four of the LEASE", "WARNING"))
    made.log_file(standby).write_text(line(2, "two", "ERROR") + "trace\n")
    made.log_file(proxy).write_text(line(3, "three", "DEBUG"))
    return made


def logs(capsys: Capture, *options: object) -> list[str]:
    """The messages that are printed."""
    code, out, err = call(capsys, "cluster", "logs", "--dir", "c", *options, "--json")
    assert code == 0, err
    return [json.loads(text)["message"] for text in out.splitlines()]


@pytest.mark.usefixtures("cluster")
def test_what_is_shown(capsys: Capture) -> None:
    everything = ["one", "two\ntrace", "three", "Four of the LEASE"]
    assert logs(capsys) == everything
    assert logs(capsys, "proxy", "primary") == ["one", "three", "Four of the LEASE"]
    assert logs(capsys, "--level", "warning") == ["two\ntrace", "Four of the LEASE"]
    assert logs(capsys, "--grep", "lease|TRACE") == ["two\ntrace", "Four of the LEASE"]
    assert logs(capsys, "--since", "2026-01-31 12:00:03") == everything[2:]
    assert logs(capsys, "--since", "1h") == []
    assert (logs(capsys, "-n", 1), logs(capsys, "-n", 0), logs(capsys, "-n", 9)) == (everything[3:], [], everything)
    _, out, _ = call(capsys, "cluster", "logs", "--dir", "c", "--level", "error")
    assert out == "2026-01-31 12:00:02.500 standby-sync ERROR    node.node: two\ntrace\n"
    for wrong in (("--level", "loud"), ("--grep", "("), ("--since", "yesterday"), ("-n", -1)):
        assert call(capsys, "cluster", "logs", "--dir", "c", *wrong)[0] == 2
    code, _, err = call(capsys, "cluster", "logs", "nobody", "--dir", "c")
    assert code == 1 and "Its nodes are primary, standby-sync, proxy." in err


def following(*options: str) -> tuple[subprocess.Popen[str], list[str], Callable[[], None]]:
    """A process that follows, its lines as they come, and what ends it by Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "helios_cli", "cluster", "logs", "-f", "--dir", "c", *options],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    found: list[str] = []

    def read() -> None:
        for text in process.stdout or ():
            found.append(text.rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def end() -> None:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        reader.join(30)
        assert process.stdout is not None
        process.stdout.close()

    return process, found, end


def test_what_comes_is_followed(cluster: clusterfile.LocalCluster) -> None:
    primary, standby, _ = cluster.members
    process, found, end = following("-n", "2")
    try:
        wait_until(lambda: len(found) == 2, "what is there is shown", 30)
        assert [re.split(" +", text)[2] for text in found] == ["proxy", "primary"]
        cluster.log_file(primary).rename(Path("c") / "primary.log.1")
        cluster.log_file(primary).write_text(line(7, "of the new file"))
        wait_until(lambda: len(found) == 3, "a rotated log is followed", 30)
        with cluster.log_file(standby).open("a") as file:
            file.write(line(8, "it starts anew"))
        wait_until(lambda: len(found) == 4, "the other too", 30)
        assert [text.rpartition(": ")[2] for text in found[2:]] == ["of the new file", "it starts anew"]
        end()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
