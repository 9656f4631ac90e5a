"""SQLite WAL frames, made by hand and by SQLite itself."""

from __future__ import annotations

import struct
from pathlib import Path

import apsw
import pytest

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.wal import (
    FRAME_BYTES,
    FRAME_HEADER_BYTES,
    WAL_HEADER_BYTES,
    checksum,
    frame_offset,
    index_frames,
    newest_pages,
    parse_header,
)
from helios_cli.engine.types import LOCK_BYTE_PAGE, PAGE_SIZE

SALTS = 0x1122334455667788


def frame(page_no: int, db_pages: int, fill: bytes, salts: int = SALTS) -> bytes:
    return struct.pack(">IIQII", page_no, db_pages, salts, 0, 0) + fill * PAGE_SIZE


def test_one_frame() -> None:
    commit = newest_pages(frame(3, 9, b"a"))
    assert commit == ({3: b"a" * PAGE_SIZE}, 9, SALTS)


def test_the_newest_image_of_each_page_is_kept_and_the_last_size_counts() -> None:
    frames = frame(3, 0, b"a") + frame(4, 8, b"b") + frame(3, 0, b"c") + frame(1, 9, b"d")
    commit = newest_pages(frames)
    assert commit.db_pages == 9
    assert {number: data[:1] for number, data in commit.pages.items()} == {3: b"c", 4: b"b", 1: b"d"}


def test_pages_beyond_the_size_and_the_lock_byte_page_are_dropped() -> None:
    assert newest_pages(frame(10, 9, b"x")).pages == {}
    assert newest_pages(frame(LOCK_BYTE_PAGE, LOCK_BYTE_PAGE + 5, b"x")).pages == {}
    frames = frame(10, 0, b"x") + frame(9, 9, b"y")
    assert list(newest_pages(frames).pages) == [9]
    frames = frame(LOCK_BYTE_PAGE, 0, b"x") + frame(LOCK_BYTE_PAGE + 1, LOCK_BYTE_PAGE + 1, b"y")
    assert list(newest_pages(frames).pages) == [LOCK_BYTE_PAGE + 1]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (b"", "no whole number of frames"),
        (frame(1, 1, b"a")[:-1], "no whole number of frames"),
        (frame(1, 0, b"a"), "do not end with a commit"),
        (frame(1, 1, b"a") + frame(2, 0, b"a"), "do not end with a commit"),
        (frame(1, 0, b"a") + frame(2, 2, b"a", SALTS + 1), "restarted"),
    ],
)
def test_what_is_no_committed_run_of_frames_is_refused(frames: bytes, reason: str) -> None:
    with pytest.raises(LogDamaged, match=reason):
        newest_pages(frames)


def test_an_index_is_built_in_pieces() -> None:
    index: dict[int, int] = {}
    pieces = [frame(3, 0, b"a") + frame(4, 0, b"b"), frame(3, 7, b"c")]
    db_pages, salts = index_frames(pieces[0], frame_offset(1), index)
    assert (db_pages, salts) == (0, SALTS)
    assert index_frames(pieces[1], frame_offset(3), index, salts) == (7, SALTS)
    assert index == {3: frame_offset(3) + FRAME_HEADER_BYTES, 4: frame_offset(2) + FRAME_HEADER_BYTES}
    with pytest.raises(LogDamaged, match="restarted"):
        index_frames(frame(1, 1, b"z", 1), 0, index, salts)


class TestBySqlite:
    @staticmethod
    def connect(tmp_path: Path) -> tuple[apsw.Connection, Path]:
        database = apsw.Connection(str(tmp_path / "a.db"))
        for statement in ("PRAGMA journal_mode=wal", "PRAGMA wal_autocheckpoint=0", "PRAGMA cache_size=5"):
            list(database.execute(statement))
        return database, tmp_path / "a.db-wal"

    def test_the_header_is_understood(self, tmp_path: Path) -> None:
        database, wal = self.connect(tmp_path)
        list(database.execute("CREATE TABLE t(x)"))
        data = wal.read_bytes()
        header = parse_header(data)
        assert header.page_size == PAGE_SIZE
        assert newest_pages(data[WAL_HEADER_BYTES:]).salts == header.salts
        first = checksum(data[:24], big_endian=header.big_endian_checksums)
        assert checksum(data[32:40] + data[56:FRAME_BYTES + 32], first, big_endian=header.big_endian_checksums) == (
            struct.unpack_from(">II", data, WAL_HEADER_BYTES + 16)
        )  # fmt: skip
        for at in range(24):
            damaged = bytearray(data[:32])
            damaged[at] ^= 1
            with pytest.raises(LogDamaged):
                parse_header(bytes(damaged))
        with pytest.raises(LogDamaged, match="no header"):
            parse_header(data[:31])
        database.close()

    def test_a_shrinking_transaction_leaves_the_file_that_sqlite_makes(self, tmp_path: Path) -> None:
        database, wal = self.connect(tmp_path)
        list(database.execute("CREATE TABLE t(x); CREATE TABLE gone(x)"))
        with database:
            database.executemany("INSERT INTO gone VALUES(?)", [(bytes(3000),)] * 200)
        list(database.execute("DROP TABLE gone; INSERT INTO t VALUES('stays'); VACUUM"))
        data = wal.read_bytes()[WAL_HEADER_BYTES:]
        numbers = [struct.unpack_from(">I", data, at)[0] for at in range(0, len(data), FRAME_BYTES)]
        commit = newest_pages(data)
        assert max(numbers) > commit.db_pages, "the run held pages that the database lost again"
        list(database.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        expected = (tmp_path / "a.db").read_bytes()
        assert len(expected) == commit.db_pages * PAGE_SIZE
        assert b"".join(commit.pages[number] for number in sorted(commit.pages)) == expected
        database.close()
