"""The log read from outside while a node writes, rolls, removes and recycles it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.controlrecord import ControlRecord
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.log.record import Record
from helios_cli.engine.sim.files import SimFiles
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.loginspect import LogReader
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.spare import inline
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term


def test_a_busy_log_is_never_called_damaged(tmp_path: Path) -> None:
    directory = str(tmp_path)
    control = ControlFile.create(OsFiles(), f"{directory}/control", ControlRecord(bytes(16), bytes(16)))
    log = PageLog.open(OsFiles(), f"{directory}/log", cluster_id=bytes(16), segment_bytes=32 << 10)
    rounds, records = 0, 0
    stop = threading.Event()

    def write() -> None:
        rng = Random(1)
        make = RecordEncoder(Term(1, 1), last=None, db_pages=0, db_checksum=0)
        pages = [{1: rng.randbytes(size).ljust(PAGE_SIZE, b"\0")} for size in (50, 500, 3000)]
        while not stop.is_set():
            for _ in range(rng.randint(1, 4)):
                make.flushed_lsn = log.flushed
                log.write(make.data(rng.choice(pages), 1, 0, 0))
            log.sync()
            if rng.random() < 0.3:
                control.update(flushed_lsn=log.flushed)
            if rng.random() < 0.1:
                log.retain_from(Lsn(max(0, log.flushed - (200 << 10))))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while log.start < 600 << 10 or rounds < 20:
            assert writer.is_alive()
            survey = LogReader(directory).survey(deep=True)
            assert [problem for problem in survey.problems if problem.damage] == []
            records += sum(segment.records for segment in survey.segments)
            rounds += 1
    finally:
        stop.set()
        writer.join()
    assert records > 100
    log.close()
    control.close()


def test_a_replay_reads_nothing_twice_but_the_parts_of_chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a segment again for every record made a long log unverifiable."""
    directory = str(tmp_path)
    control = ControlFile.create(OsFiles(), f"{directory}/control", ControlRecord(bytes(16), bytes(16)))
    log = PageLog.open(OsFiles(), f"{directory}/log", cluster_id=bytes(16), segment_bytes=1 << 20)
    make = RecordEncoder(Term(1, 1), last=None, db_pages=0, db_checksum=0)
    table = ChecksumTable()
    for number in range(100):
        page = number.to_bytes(8, "big").ljust(PAGE_SIZE, b"x")
        log.write(make.data({1: page}, 1, table.apply({1: page}, 1), 0))
    log.sync()
    reads: list[Lsn | None] = []
    records = LogReader.records

    def counted(reader: LogReader, start: Lsn | None = None, end: Lsn | None = None) -> Iterator[Record]:
        reads.append(start)
        return records(reader, start, end)

    monkeypatch.setattr(LogReader, "records", counted)
    survey = LogReader(directory).survey(deep=True, replay=True)
    assert survey.problems == []
    assert sum(segment.records for segment in survey.segments) == 100
    assert reads == []
    log.close()
    control.close()


def test_what_a_recycled_segment_still_holds_is_no_torn_tail() -> None:
    files = SimFiles()
    log = PageLog.open(files, "/n/log", cluster_id=bytes(16), segment_bytes=16 << 10, run_background=inline)
    make = RecordEncoder(Term(1, 1), last=None, db_pages=0, db_checksum=0)
    for _ in range(300):
        log.write(make.data({1: Random(make.lsn).randbytes(PAGE_SIZE)}, 1, 0, 0))
        log.sync()
        log.retain_from(log.flushed)
    survey = LogReader("/n", files).survey(deep=True)
    assert survey.problems == []
    assert survey.segments[-1].end_lsn == log.end
