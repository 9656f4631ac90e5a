"""Redo against databases that SQLite itself wrote: byte for byte, or a refusal that names the LSN."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest

from helios_cli.engine.errors import IoFailed, LogDamaged
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.log.record import RecordDamaged, decode_header
from helios_cli.engine.log.wal import WAL_HEADER_BYTES, newest_pages
from helios_cli.engine.sim.files import SimFile, SimFiles
from helios_cli.engine.storage.pagelog import LogRemoved, PageLog
from helios_cli.engine.storage.redo import redo, scan_database
from helios_cli.engine.storage.spare import inline
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term


class Primary:
    """A SQLite database whose commits are captured into a simulated page log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = SimFiles()
        self.log = PageLog.open(self.files, "/log", cluster_id=bytes(16), segment_bytes=64 << 10, run_background=inline)
        self.table = ChecksumTable()
        self.encoder = RecordEncoder(Term(1, 1), last=None, db_pages=0, db_checksum=0)
        self.states: list[tuple[Lsn, bytes]] = []
        """The end of each change and the whole database there."""
        self.pages: dict[int, bytes] = {}
        self.taken = WAL_HEADER_BYTES
        self.database = apsw.Connection(str(path))
        for pragma in ("journal_mode=wal", "wal_autocheckpoint=0", "synchronous=off", "foreign_keys=off"):
            list(self.database.execute(f"PRAGMA {pragma}"))

    def run(self, sql: str, bindings: object = None) -> None:
        list(self.database.execute(sql, bindings))  # type: ignore[arg-type]
        self.capture()

    def capture(self) -> None:
        data = Path(f"{self.path}-wal").read_bytes()[self.taken :]
        if not data:
            return
        self.taken += len(data)
        commit = newest_pages(data)
        if len(commit.pages) > 40:
            for record in self.encoder.chain(commit.pages.items(), commit.db_pages, self.table.apply, 0, 20):
                self.log.write(record)
        else:
            total = self.table.apply(commit.pages, commit.db_pages)
            self.log.write(self.encoder.data(commit.pages, commit.db_pages, total, 0))
        self.pages |= commit.pages
        self.pages = {number: data for number, data in self.pages.items() if number <= commit.db_pages}
        self.states.append((self.encoder.lsn, b"".join(self.pages[n] for n in sorted(self.pages))))


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Primary]:
    primary = Primary(tmp_path / "p.db")
    yield primary
    primary.database.close()


@pytest.fixture
def busy(primary: Primary) -> Primary:
    """A history with growth, shrinking, VACUUM and transactions of several parts."""
    rng = Random(3)
    primary.run("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    for number in range(60):
        primary.run("INSERT INTO t(v) VALUES(?)", (rng.randbytes(rng.choice((10, 3000))),))
        if number % 20 == 10:
            primary.run(
                "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<90)"
                " INSERT INTO t(v) SELECT randomblob(2000) FROM n"
            )
            primary.run("DELETE FROM t WHERE id % 3 = 0")
        if number % 20 == 19:
            primary.run("DELETE FROM t WHERE id > 40")
            primary.run("VACUUM")
    return primary


def database_of(content: bytes = b"") -> SimFile:
    files = SimFiles()
    files.makedirs("/db")
    file = files.open("/db/a.db", create=True)
    file.pwrite(content, 0)
    return file


def read(file: SimFile) -> bytes:
    return file.pread(file.size(), 0)


def table_of(content: bytes) -> ChecksumTable:
    return ChecksumTable.scan([content], len(content) // PAGE_SIZE)


def test_from_nothing_to_the_end(busy: Primary) -> None:
    file, seen = database_of(), list[Lsn]()
    result = redo(busy.log, file, Lsn(0), ChecksumTable(), progress=seen.append)
    assert read(file) == busy.states[-1][1]
    assert result.end == busy.log.end == seen[-1]
    assert seen == [lsn for lsn, _ in busy.states]
    assert result.last is not None
    assert result.last.db_checksum == result.table.total == busy.table.total
    assert result.open_chain is None
    assert result.records == len(busy.states)
    assert any(record.header.is_part for record in busy.log.records(Lsn(0))), "no transaction had several parts"


def test_sqlite_accepts_the_result(busy: Primary, tmp_path: Path) -> None:
    file = database_of()
    redo(busy.log, file, Lsn(0), ChecksumTable())
    copy = tmp_path / "copy.db"
    copy.write_bytes(read(file))
    connection = apsw.Connection(str(copy))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    query = "SELECT count(*), sum(length(v)) FROM t"
    assert connection.execute(query).get == busy.database.execute(query).get
    connection.close()


@pytest.mark.parametrize("pending", [1, 7, 100000])
def test_from_any_checkpoint_to_any_record(busy: Primary, pending: int) -> None:
    rng = Random(pending)
    for _ in range(12):
        first, second = sorted(rng.sample(range(len(busy.states)), 2))
        (start, before), (end, after) = busy.states[first], busy.states[second]
        file = database_of(before)
        result = redo(busy.log, file, start, table_of(before), end=end, max_pending_pages=pending)
        assert read(file) == after
        assert (result.end, result.table.total) == (end, table_of(after).total)


def test_a_file_that_already_holds_later_pages_ends_the_same(busy: Primary) -> None:
    """As after a checkpoint that was not recorded any more, or was cut off half way."""
    rng = Random(9)
    (start, before), (_, later), (end, after) = busy.states[5], busy.states[40], busy.states[-1]
    for _ in range(10):
        mixed = bytearray(before)
        for number in range(len(later) // PAGE_SIZE):
            if rng.random() < 0.5:
                at = number * PAGE_SIZE
                mixed.extend(bytes(max(0, at - len(mixed))))
                mixed[at : at + PAGE_SIZE] = later[at : at + PAGE_SIZE]
        file = database_of(bytes(mixed))
        assert redo(busy.log, file, start, table_of(before)).end == end
        assert read(file) == after


@pytest.mark.parametrize("pending", [1, 1000])
def test_pages_cut_away_read_as_zeros_when_the_database_grows_again(primary: Primary, pending: int) -> None:
    """A table of checksums says so, and a file that still held the old page would not."""
    pages = {number: bytes([number]) * PAGE_SIZE for number in (1, 2, 3)}
    for changed, size in ((pages, 3), ({1: pages[2]}, 1), ({3: pages[3]}, 3)):
        primary.log.write(primary.encoder.data(changed, size, primary.table.apply(changed, size), 0))
    for before in (b"", b"".join(pages.values())):
        file = database_of(before)
        redo(primary.log, file, Lsn(0), ChecksumTable(), max_pending_pages=pending)
        assert read(file) == pages[2] + bytes(PAGE_SIZE) + pages[3]


def test_redo_twice_is_redo_once(busy: Primary) -> None:
    file = database_of()
    redo(busy.log, file, Lsn(0), ChecksumTable())
    redo(busy.log, file, Lsn(0), ChecksumTable())
    assert read(file) == busy.states[-1][1]


def test_without_saved_checksums_the_file_is_read_and_compared(busy: Primary) -> None:
    file = database_of()
    result = redo(busy.log, file, Lsn(0), None)
    assert result.table.differing(busy.table) == []
    start, before = busy.states[30]
    (record,) = busy.log.records(start, busy.states[31][0])
    victim = next(n for n in range(1, record.header.db_pages + 1) if n not in record.page_numbers())
    rotten = bytearray(before)
    rotten[victim * PAGE_SIZE - 1] ^= 1
    with pytest.raises(LogDamaged, match=f"record at {start} is damaged: the database has checksum"):
        redo(busy.log, database_of(bytes(rotten)), start, None, end=record.end)


def test_nothing_to_redo(busy: Primary) -> None:
    lsn, content = busy.states[-1]
    file = database_of(content)
    for table in (table_of(content), None):
        result = redo(busy.log, file, lsn, table)
        assert (result.last, result.end, result.records) == (None, lsn, 0)
        assert result.table.total == busy.table.total
    assert read(file) == content


def test_checksums_of_another_state_cost_time_and_nothing_else(busy: Primary) -> None:
    """As those of a checkpoint that was put down for an LSN before its state."""
    (lsn, before), (_, later), (end, after) = busy.states[10], busy.states[13], busy.states[-1]
    file = database_of(later)
    result = redo(busy.log, file, lsn, table_of(later))
    assert (result.end, result.table.total, read(file)) == (end, busy.table.total, after)
    assert redo(busy.log, database_of(before), lsn, table_of(later)).table.total == busy.table.total


def test_a_database_that_the_log_does_not_lead_to_names_the_lsn(busy: Primary) -> None:
    lsn, content = busy.states[30]
    (record,) = busy.log.records(lsn, busy.states[31][0])
    victim = next(n for n in range(1, record.header.db_pages + 1) if n not in record.page_numbers())
    rotten = bytearray(content)
    rotten[victim * PAGE_SIZE - 1] ^= 1
    with pytest.raises(RecordDamaged, match=f"record at {lsn} is damaged: the database has checksum"):
        redo(busy.log, database_of(bytes(rotten)), lsn, table_of(bytes(rotten)), end=record.end)


def test_an_open_chain_has_no_effect_and_is_reported(primary: Primary) -> None:
    primary.run("CREATE TABLE t(v)")
    lsn, content = primary.states[-1]
    pages = {number: os.urandom(PAGE_SIZE) for number in range(1, 6)}
    parts = list(primary.encoder.chain(pages.items(), 5, primary.table.copy().apply, 0, 2))
    for part in parts[:-1]:
        primary.log.write(part)
    file = database_of()
    result = redo(primary.log, file, Lsn(0), ChecksumTable())
    assert (result.end, result.open_chain) == (lsn, lsn)
    assert read(file) == content
    primary.log.write(parts[-1])
    result = redo(primary.log, file, Lsn(0), ChecksumTable())
    assert (result.end, result.open_chain) == (primary.log.end, None)
    assert read(file) == b"".join(pages.values())
    assert decode_header(parts[0]).db_checksum == table_of(content).total, "a part moved the checksum"


def test_a_chain_that_was_given_up_has_no_effect(primary: Primary) -> None:
    primary.run("CREATE TABLE t(v)")
    pages = {number: os.urandom(PAGE_SIZE) for number in range(1, 6)}
    parts = primary.encoder.chain(pages.items(), 5, primary.table.copy().apply, 0, 2)
    primary.log.write(next(parts))
    primary.encoder.term = Term(2, 2)
    primary.log.write(primary.encoder.term_start(0))
    primary.run("INSERT INTO t VALUES(1)")
    file = database_of()
    result = redo(primary.log, file, Lsn(0), ChecksumTable())
    assert (result.end, result.open_chain) == (primary.log.end, None)
    assert read(file) == primary.states[-1][1]


def test_records_that_do_not_link_are_refused(primary: Primary) -> None:
    primary.run("CREATE TABLE t(v)")
    primary.encoder.prev_term = Term(9, 9)
    primary.log.write(primary.encoder.seal(0))
    with pytest.raises(LogDamaged, match="does not continue"):
        redo(primary.log, database_of(), Lsn(0), ChecksumTable())


def test_a_log_that_does_not_reach_back_is_refused(busy: Primary) -> None:
    busy.log.sync()
    busy.log.retain_from(busy.log.flushed)
    with pytest.raises(LogRemoved):
        redo(busy.log, database_of(), Lsn(0), ChecksumTable())


def test_the_file_is_synced(busy: Primary) -> None:
    files = SimFiles()
    files.makedirs("/db")
    file = files.open("/db/a.db", create=True)
    files.sync_dir("/db")
    redo(busy.log, file, Lsn(0), ChecksumTable())
    for seed in range(10):
        assert read(files.power_cut(seed).open("/db/a.db")) == busy.states[-1][1]
    files.fail_sync_at = files.syncs + 1
    with pytest.raises(IoFailed, match="redo the page log"):
        redo(busy.log, file, Lsn(0), ChecksumTable())


def test_a_scan_reads_the_file_in_pieces(busy: Primary) -> None:
    content = busy.states[-1][1] * 40
    table = scan_database(database_of(content), len(content) // PAGE_SIZE)
    assert len(content) > 2 << 20
    assert table.differing(table_of(content)) == []
