"""Clocks, disks and links of a node made bad while it runs: by the page of memory that it shares."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helios_cli.commands.proving.dials import Dial
from helios_cli.engine.node.drills import DISK_US, NAME, Drills, LateTransport
from helios_cli.engine.storage import files
from helios_cli.engine.storage.files import OsFiles


@pytest.fixture
def drills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drills]:
    """Of this process, for as long as the test."""
    for name in ("time", "time_ns"):
        monkeypatch.setattr(time, name, getattr(time, name))
    monkeypatch.setattr(files, "hold", None)
    made = Drills()
    made.open_for(str(tmp_path))
    yield made
    Dial(tmp_path / NAME).right()


def test_the_time_of_day_moves_and_the_steady_clock_does_not(drills: Drills, tmp_path: Path) -> None:
    dial = Dial(tmp_path / NAME)
    assert dial.pid == os.getpid()
    true, steady = time.time(), time.monotonic()
    dial.jump(3600)
    assert 3599 < time.time() - true < 3660 and time.monotonic() - steady < 60
    dial.jump(-3600)
    assert -3601 < time.time_ns() / 1e9 - true < -3540
    drills.open_for(str(tmp_path))
    assert abs(time.time() - true) < 60, "a node that starts has the right time"


def test_a_disk_that_is_held_takes_nothing_until_it_may(drills: Drills, tmp_path: Path) -> None:
    dial, file = Dial(tmp_path / NAME), OsFiles().open(str(tmp_path / "log"), create=True)
    assert file.through_descriptor() is not None
    written = threading.Event()

    def write() -> None:
        file.pwrite_through(b"x", 0)
        file.sync()
        written.set()

    with dial.stalled():
        assert file.through_descriptor() is None, "who writes by it would not wait"
        thread = threading.Thread(target=write)
        thread.start()
        assert not written.wait(0.2) and file.pread(1, 0) == b""
    thread.join(30)
    assert written.is_set() and file.through_descriptor() is not None
    assert files.hold is not None and not files.hold
    memory: Any = drills
    memory._words[DISK_US] = 50_000
    begin = time.monotonic()
    file.sync()
    assert time.monotonic() - begin >= 0.05
    file.close()


class Wire:
    """In place of a transport: what it was given, and when."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, float]] = []

    def write(self, data: bytes) -> None:
        self.sent.append((data, time.monotonic()))

    def is_closing(self) -> bool:
        return False


@pytest.mark.asyncio
async def test_bytes_leave_later_and_in_their_order(drills: Drills, tmp_path: Path) -> None:
    dial, wire = Dial(tmp_path / NAME), Wire()
    real: Any = wire
    late: Any = drills.slowed(real)
    assert isinstance(late, LateTransport)
    late.write(b"at once")
    assert [data for data, _ in wire.sent] == [b"at once"]
    dial.delay_s = 0.15
    begin = time.monotonic()
    late.write(b"1")
    late.writelines([b"2", b"3"])
    dial.delay_s = 0
    late.write(b"4")
    assert len(wire.sent) == 1, "what comes after does not overtake"
    async with asyncio.timeout(30):
        while len(wire.sent) < 4:
            await asyncio.sleep(0.005)
    assert [data for data, _ in wire.sent[1:]] == [b"1", b"23", b"4"]
    assert wire.sent[1][1] - begin >= 0.145
    late.write(b"5")
    assert wire.sent[-1][0] == b"5"


def test_a_node_that_was_not_started_for_it_shares_nothing(tmp_path: Path) -> None:
    made, wire = Drills(), Wire()
    made.open_for(None)
    real: Any = wire
    assert made.slowed(real) is real and not (tmp_path / NAME).exists()
