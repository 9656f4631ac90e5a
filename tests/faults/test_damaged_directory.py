"""A data directory that something has happened to: what can be told apart is told, in one line with a hint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.engine.log.controlrecord import SLOT_BYTES, decode_control
from helios_cli.engine.log.record import RecordDamaged, RecordHeader
from helios_cli.engine.log.segment import SEGMENT_HEADER_BYTES, decode_segment_header
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.segmentfile import iter_records

ROWS = 60


@pytest.fixture
def node(make_node: MakeNode) -> NodeProcess:
    """A node with some rows, killed: all it has is in its log."""
    node = make_node("--log-segment-mb", "1")
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        for number in range(ROWS):
            connection.execute("INSERT INTO t VALUES (%s, %s)", (number, os.urandom(500).hex()))
    return node


def segments(node: NodeProcess) -> list[Path]:
    return sorted((node.data_dir / "log").glob("*.seg"))


def headers(path: Path) -> Iterator[RecordHeader]:
    """The records of a segment up to the torn tail."""
    file = OsFiles().open(str(path))
    try:
        first = decode_segment_header(file.pread(SEGMENT_HEADER_BYTES, 0), path.name).first_lsn
        try:
            for record in iter_records(file, first, first):
                yield record.header
        except RecordDamaged:
            return
    finally:
        file.close()


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def offset_of(node: NodeProcess, header: RecordHeader) -> tuple[Path, int]:
    """The segment of a record and where in it the record's body is."""
    path = [path for path in segments(node) if int(path.stem, 16) <= header.lsn][-1]
    return path, SEGMENT_HEADER_BYTES + header.lsn - int(path.stem, 16) + header.length - 20


def refusal(node: NodeProcess) -> str:
    """What a start says that ends with exit code 1: its last two lines, an error and a hint."""
    node.start(wait=False)
    assert node.wait() == 1
    error, hint = node.log_tail(2).splitlines()
    assert error.startswith("error: "), error
    assert hint.startswith("hint: "), hint
    assert "Traceback" not in node.log_tail()
    return error


def rows(node: NodeProcess) -> int:
    with node.connect() as connection:
        found = connection.execute("SELECT count(*) FROM t").fetchone()
    assert found is not None
    return int(found[0])


def test_a_second_process_is_refused(make_node: MakeNode) -> None:
    first, second = make_node(), make_node(start=False)
    second.data_dir = first.data_dir
    error = refusal(second)
    assert f"is in use by process {first.pid}" in error
    assert str(first.pg_port) in error
    with first.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_flipped_bit_is_damage_and_names_its_lsn(node: NodeProcess) -> None:
    node.kill()
    middle = [header for path in segments(node) for header in headers(path)][ROWS // 2]
    flip(*offset_of(node, middle))
    error = refusal(node)
    assert str(middle.lsn) in error
    assert rows_after_repair(node, lambda: flip(*offset_of(node, middle))) == ROWS


def rows_after_repair(node: NodeProcess, repair: Callable[[], None]) -> int:
    """A refusal must have changed nothing: with the bit put back everything is there."""
    repair()
    node.start()
    return rows(node)


def test_a_flipped_bit_in_the_last_record_known_to_be_on_disk_is_damage(node: NodeProcess) -> None:
    """A checkpoint has recorded how far the log was on disk."""
    node.stop()
    last = list(headers(segments(node)[-1]))[-1]
    flip(*offset_of(node, last))
    error = refusal(node)
    assert str(last.lsn) in error
    assert "was on disk" in error


def test_an_idle_node_seals_what_was_written(node: NodeProcess) -> None:
    """Without a checkpoint, a later record says that the last rows had been on disk."""

    def seal() -> bool:
        found = list(headers(segments(node)[-1]))
        return found[-1].flushed_lsn == found[-1].lsn

    wait_until(seal, "a seal behind the last row")
    node.kill()
    last_row = list(headers(segments(node)[-1]))[-2]
    flip(*offset_of(node, last_row))
    assert str(last_row.lsn) in refusal(node)


def test_a_torn_tail_is_cut_off(node: NodeProcess) -> None:
    node.kill()
    last = list(headers(segments(node)[-1]))[-1]
    path, _ = offset_of(node, last)
    with path.open("r+b") as file:
        file.seek(SEGMENT_HEADER_BYTES + last.end - int(path.stem, 16))
        file.write(last_bytes(path, last)[:-7])
    node.start()
    assert node.http("/status")[1]["recovery"]["dropped_bytes"] > 0
    assert rows(node) == ROWS


def last_bytes(path: Path, header: RecordHeader) -> bytes:
    """A record's bytes again, as the beginning of a write that was never finished."""
    at = SEGMENT_HEADER_BYTES + header.lsn - int(path.stem, 16)
    return path.read_bytes()[at : at + header.length]


def test_a_truncated_segment_is_refused(node: NodeProcess) -> None:
    node.stop()
    path = segments(node)[-1]
    first = next(headers(path))
    os.truncate(path, SEGMENT_HEADER_BYTES + first.length // 2)
    assert str(first.lsn) in refusal(node)


def test_a_foreign_segment_is_refused(make_node: MakeNode) -> None:
    one, other = make_node(), make_node()
    one.stop()
    other.stop()
    shutil.copy(segments(other)[0], segments(one)[0])
    assert "belongs to cluster" in refusal(one)


def test_a_missing_control_file_is_refused(node: NodeProcess) -> None:
    node.stop()
    (node.data_dir / "control" / "control").unlink()
    assert "no control file" in refusal(node)
    shutil.rmtree(node.data_dir / "log")
    error = refusal(node)
    assert "no control file" in error
    assert (node.data_dir / "db" / "helios.db").exists(), "a database that nobody knows must not be thrown away"


def test_without_a_control_file_a_standby_waits_for_nobody(make_node: MakeNode) -> None:
    away = make_node("--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port", "1", start=False)
    (away.data_dir / "log").mkdir(parents=True)
    (away.data_dir / "log" / "0000000000000000.seg").touch()
    assert "no control file" in refusal(away)


def test_a_missing_log_is_refused(node: NodeProcess) -> None:
    node.stop()
    shutil.rmtree(node.data_dir / "log")
    assert "is empty, but it was on disk up to" in refusal(node)


def test_a_damaged_control_slot_leaves_the_other(node: NodeProcess) -> None:
    with node.connect() as connection:
        connection.execute("CHECKPOINT")
    node.kill()
    path = node.data_dir / "control" / "control"
    data = path.read_bytes()
    sequences = [decode_control(data[at : at + SLOT_BYTES])[1] for at in (0, SLOT_BYTES)]
    flip(path, SLOT_BYTES * sequences.index(max(sequences)) + 40)
    node.start()
    assert rows(node) == ROWS
    node.kill()
    for at in (40, SLOT_BYTES + 40):
        flip(path, at)
    assert "no slot of it is readable" in refusal(node)


def test_damage_to_the_database_file_is_noticed_after_a_crash(node: NodeProcess) -> None:
    with node.connect() as connection:
        connection.execute("CHECKPOINT")
    node.kill()
    path = node.data_dir / "db" / "helios.db"
    flip(path, 4096 * 5 + 100)
    error = refusal(node)
    assert "page 6" in error
    flip(path, 4096 * 5 + 100)
    node.start()
    assert rows(node) == ROWS


def test_leftovers_of_sqlite_are_discarded(node: NodeProcess) -> None:
    """SQLite's WAL is a cache: a foreign one beside the database must not be believed."""
    node.kill()
    base = node.data_dir / "db" / "helios.db"
    wal, shm = base.with_name("helios.db-wal"), base.with_name("helios.db-shm")
    wal.write_bytes(wal.read_bytes()[: 32 + 3 * 4120])
    shm.write_bytes(os.urandom(32768))
    node.start()
    assert rows(node) == ROWS
    assert node.stop() == 0
    wal.write_bytes(os.urandom(9000))
    node.start()
    assert rows(node) == ROWS


def test_a_directory_that_vanishes_under_a_running_node_is_said_to_the_client_and_in_the_log(
    make_node: MakeNode,
) -> None:
    node = make_node("--log-segment-mb", "1")
    with node.connect() as connection:
        connection.execute("CREATE TABLE noise (word text)")
        shutil.rmtree(node.data_dir)
        with pytest.raises(psycopg.Error) as failed:
            for _ in range(50):
                connection.execute("INSERT INTO noise SELECT md5(g::text) FROM generate_series(1, 20000) AS g")
        # Before the COMMIT it is refused; after it the outcome is unknown, and the node ends.
        assert failed.value.sqlstate in ("58030", "08007")
    wait_until(lambda: "No such file or directory" in node.log_tail(), "the reason in the log")
    if failed.value.sqlstate == "08007":
        assert node.wait() != 0
