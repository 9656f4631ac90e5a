"""A full disk: writes are refused with 53100, reads go on, nothing is lost, and writes resume when there is room."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.failover_drill import in_sync
from support.fault_drill import leads
from support.kill_drill import verify_log
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.engine.observe.events import RETRY_S

DISK_MB = 96
RESUME_S = 10.0
SETTLED_S = 30.0
PAD = "x" * 2000

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 MB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(path)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is not allowed here: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def small_node(disk: Path, make_node: MakeNode) -> NodeProcess:
    """A node whose data directory lies on the small disk."""
    node = make_node("--log-segment-mb", "4", "--log-retention-mb", "8", "--wal-checkpoint-mb", "8", start=False)
    node.data_dir = disk / "data"
    return node.start()


def fill_up(disk: Path, leave: int = 0) -> Path:
    """Take all the space but ``leave`` bytes; the file to remove to give it back."""
    path = disk / f"ballast{leave}"
    with path.open("wb") as file:
        while True:
            free = os.statvfs(disk)
            try:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leave)
            except OSError as error:
                # The node has taken some of it meanwhile.
                if error.errno != errno.ENOSPC:
                    raise
                file.truncate(0)
            else:
                return path


def insert_until_full(connection: Connection, first: int, *, limit: int = 50_000) -> int:
    """Rows one by one until one is refused with 53100; the number of the refused one."""
    for number in range(first, first + limit):
        try:
            connection.execute("INSERT INTO t VALUES (%s, %s)", (number, PAD))
        except psycopg.errors.DiskFull as error:
            assert error.diag.message_hint
            return number
    raise AssertionError("the disk is never full")


def resumes(connection: Connection, number: int) -> Callable[[], bool]:
    """Whether a write succeeds now."""

    def attempt() -> bool:
        try:
            connection.execute("INSERT INTO t VALUES (%s, 'again')", (number,))
        except psycopg.errors.DiskFull:
            return False
        return True

    return attempt


def copy_rows(connection: Connection, end: int) -> None:
    """Rows 1 to ``end``, in one transaction."""
    with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
        for number in range(1, end + 1):
            copy.write_row((number, PAD))


def count(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM t").fetchone()
    assert row is not None
    return int(row[0])


def test_writes_are_refused_and_resume(disk: Path, small_node: NodeProcess) -> None:
    node = small_node
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        connection.execute("INSERT INTO t VALUES (0, 'x')")
        ballast = fill_up(disk)
        refused = insert_until_full(connection, 1)
        assert node.http("/ready") == (503, {"status": "unavailable", "reason": "disk full: read-only"})
        assert node.http("/health")[0] == 200
        assert count(connection) == refused
        with connection.transaction(), pytest.raises(psycopg.errors.DiskFull):
            connection.execute("DELETE FROM t")
        assert node.running
        ballast.unlink()
        wait_until(resumes(connection, refused), "writes resume", RESUME_S)
        assert node.http("/ready")[0] == 200
        assert count(connection) == refused + 1
    node.kill()
    node.start()
    with node.connect() as connection:
        assert count(connection) == refused + 1
    assert node.stop() == 0
    verify_log(node.data_dir)


def test_a_copy_that_does_not_fit_leaves_nothing(disk: Path, small_node: NodeProcess) -> None:
    """It fills the disk with SQLite's WAL, which the node gives back by itself."""
    node = small_node
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        connection.execute("INSERT INTO t VALUES (0, 'x')")
        with pytest.raises(psycopg.errors.DiskFull):
            copy_rows(connection, 80_000)
        assert count(connection) == 1
        wait_until(resumes(connection, 1), "writes resume", RESUME_S)
        assert count(connection) == 2
    node.kill()
    node.start()
    with node.connect() as connection:
        assert count(connection) == 2


def test_a_long_interactive_transaction_that_does_not_fit(disk: Path, small_node: NodeProcess) -> None:
    """Short statements run on the event loop, but their sum is as long as a COPY."""
    node = small_node
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        connection.execute("INSERT INTO t VALUES (0, 'x')")
        ballast = fill_up(disk, leave=24 << 20)
        with pytest.raises(psycopg.errors.DiskFull), connection.transaction(), connection.pipeline():
            for number in range(1, 9000):
                connection.execute("INSERT INTO t VALUES (%s, %s)", (number, os.urandom(1000).hex()))
        assert node.running
        assert count(connection) == 1
        ballast.unlink()
        wait_until(resumes(connection, 1), "writes resume", RESUME_S)
    node.kill()
    node.start()
    with node.connect() as connection:
        assert count(connection) == 2


def state_of_n2(node: NodeProcess) -> str:
    return str(next(one["state"] for one in node.http("/status")[1]["cluster"]["nodes"] if one["node_id"] == "n2"))


def test_a_standby_waits_for_room_and_goes_on(disk: Path, make_node: MakeNode) -> None:
    """Its log has room in segments that are there already; SQLite's WAL, which grows with each record, has none."""
    leads = ("--node-id", "n1", "--replication-role", "primary", "--replication-mode", "semi-sync")
    primary = make_node(*leads, "--eject-after", "60s")
    follows = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port))
    sizes = ("--log-segment-mb", "16", "--log-retention-mb", "16", "--wal-checkpoint-mb", "16")
    standby = make_node("--node-id", "n2", "--replication-role", "standby", *follows, *sizes, start=False)
    standby.data_dir = disk / "data"
    standby.start()

    def told(kind: str) -> bool:
        with standby.connect() as reader:
            return reader.execute("SELECT count(*) FROM helios_events WHERE kind = %s", (kind,)).fetchone() != (0,)

    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        writer.execute("INSERT INTO t VALUES (0, 'x')")
        wait_until(lambda: counted(standby) == 1, "the standby follows", RESUME_S)
        ballast = fill_up(disk)
        acknowledged: list[int] = []

        def write_on() -> None:
            with pytest.raises(psycopg.OperationalError):
                for number in range(1, 5000):
                    writer.execute("INSERT INTO t VALUES (%s, %s)", (number, PAD))
                    acknowledged.append(number)

        with ThreadPoolExecutor() as threads:
            writing = threads.submit(write_on)
            reason = "commits wait: the disk takes nothing on n2"
            wait_until(lambda: primary.http("/ready")[1].get("reason") == reason, "the primary says why", RESUME_S)
            assert told("disk_full") and standby.running
            assert [state_of_n2(node) for node in (primary, standby)] == ["disk_full", "disk_full"]
            (alarm,) = standby.http("/health")[1]["alarms"]
            assert alarm.startswith("the disk is full: no more records are taken.") and str(disk) in alarm
            assert 1 <= counted(standby) <= len(acknowledged) + 1, "it serves what it has"
            primary.kill()
            writing.result(RESUME_S)
    code, answer = standby.http("/admin/promote", body={})
    assert code == 409 and "is full" in answer["error"]
    ballast.unlink()
    wait_until(lambda: told("disk_freed"), "the standby goes on", RESUME_S)
    wait_until(lambda: standby.http("/admin/promote", body={})[0] == 200, "it is promoted", RESUME_S)
    # The one in doubt may be there or not.
    assert standby.http("/health")[1] == {"status": "ok"}
    assert counted(standby) in (len(acknowledged) + 1, len(acknowledged) + 2), "every acknowledged row is there"
    assert standby.http("/ready")[0] == 200
    assert standby.stop() == 0
    verify_log(standby.data_dir)


def test_a_primary_without_room_gives_the_lead_to_a_standby_that_has_some(disk: Path, make_node: MakeNode) -> None:
    """The cluster writes on; a standby without room is given nothing, and writes are not held up for it."""
    sizes = ("--log-segment-mb", "4", "--log-retention-mb", "8", "--wal-checkpoint-mb", "8")
    mode = ("--replication-mode", "quorum", *sizes)
    # A busy machine is to lose no lease meanwhile.
    first = make_node("--node-id", "n1", "--replication-role", "primary", "--lease", "5s", *mode, start=False)
    first.data_dir = disk / "data"
    first.start()
    follows = ("--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port", str(first.native_port))
    nodes = [first, *(make_node("--node-id", name, *follows, *mode) for name in ("n2", "n3"))]
    wait_until(lambda: len(in_sync(first)) == 3, "every copy counts", SETTLED_S)
    with first.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        ballast = fill_up(disk)
        refused = insert_until_full(connection, 0)
        wait_until(lambda: any(map(leads, nodes[1:])), "another one leads", SETTLED_S)
        assert connection.execute("INSERT INTO t VALUES (-1, 'through n1')").rowcount == 1
    leader = next(node for node in nodes if leads(node))
    with leader.connect() as connection:
        assert connection.execute(
            "SELECT automatic, reason LIKE '%the disk of the primary has been full for%' "
            "FROM replicate.failover_history WHERE decision = 'promoted'"
        ).fetchone() == (True, True)
        assert count(connection) == refused + 1, "every acknowledged row is there"
        full = (409, "the disk of node n1 is full")
        wait_until(lambda: refusal(leader, "n1") == full, "it is refused for its disk", SETTLED_S)
        assert connection.execute("INSERT INTO t VALUES (-2, 'at once')").rowcount == 1
    ballast.unlink()
    wait_until(lambda: leader.http("/admin/switchover", body={"to": "n1"})[0] == 200, "it has room again", SETTLED_S)
    assert first.stop() == 0
    verify_log(first.data_dir)


def refusal(leader: NodeProcess, target: str) -> tuple[int, str]:
    """Status and error of a switchover that is asked for."""
    code, answer = leader.http("/admin/switchover", body={"to": target})
    return code, answer.get("error", "")


def counted(node: NodeProcess) -> int:
    with node.connect() as connection:
        return count(connection)


def test_starting_on_a_full_disk(disk: Path, small_node: NodeProcess) -> None:
    """What a start must write has its place already: it recovers, answers reads and waits for room."""
    node = small_node
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        connection.execute("INSERT INTO t VALUES (0, 'x')")
    node.restart()
    ballast = fill_up(disk)
    node.kill()
    node.start()
    with node.connect() as connection:
        assert count(connection) == 1
        refused = insert_until_full(connection, 1)
        ballast.unlink()
        wait_until(resumes(connection, refused), "writes resume", RESUME_S)


def test_no_room_for_the_history_of_events_is_one_line(disk: Path, small_node: NodeProcess) -> None:
    """What was to be written is written when there is room, and never a traceback."""
    node = small_node
    node.stop()
    for path in node.data_dir.glob("state.db*"):
        path.unlink()
    lines = len(node.log_tail(10_000).splitlines())
    node.start()
    ballast = fill_up(disk)
    node.send(signal.SIGHUP)
    wait_until(lambda: "events stay in memory until" in node.log_tail(), "the log tells of it")
    assert "Traceback" not in node.log_tail(10_000)
    ballast.unlink()
    wait_until(lambda: "state.db again" in node.log_tail(), "the events are written", RESUME_S + RETRY_S)
    new = node.log_tail(10_000).splitlines()[lines:]
    assert sum("events stay in memory" in line for line in new) == 1
    assert node.stop() == 0
    with closing(sqlite3.connect(node.data_dir / "state.db")) as history:
        kinds = [kind for (kind,) in history.execute("SELECT kind FROM events")]
    assert "reloaded" in kinds


def test_recovery_that_finds_no_room_says_so(disk: Path, small_node: NodeProcess) -> None:
    """The pages of the log do not fit the database file: one line and a hint, and nothing is missing afterwards."""
    node = small_node
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        copy_rows(connection, 2800)
    node.kill()
    # What the start discards must not make room for it.
    for path in (node.data_dir / "db" / "helios.db-wal", *(node.data_dir / "log").glob("spare-*")):
        path.unlink()
    ballast = fill_up(disk)
    node.start(wait=False)
    assert node.wait() == 1
    last = node.log_tail(2)
    assert "error: could not redo the page log into the database file: No space left on device" in last, last
    assert "\nhint: Free space" in last, last
    ballast.unlink()
    node.start()
    with node.connect() as connection:
        assert count(connection) == 2800


def test_a_limit_on_file_sizes_is_no_room_either(make_node: MakeNode) -> None:
    """RLIMIT_FSIZE ends in EFBIG, which SQLite calls an I/O error, instead of ENOSPC."""
    node = make_node("--log-segment-mb", "4", "--wal-checkpoint-mb", "8")
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (6 << 20, resource.RLIM_INFINITY))
        with pytest.raises(psycopg.errors.DiskFull, match="File too large"):
            copy_rows(connection, 20_000)
        assert count(connection) == 0
        assert node.running
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(resumes(connection, 1), "writes resume", RESUME_S)
    node.kill()
    node.start()
    with node.connect() as connection:
        assert count(connection) == 1


@pytest.mark.parametrize("how", ["autocommit", "transaction", "copied", "many"])
def test_large_values_that_do_not_fit_the_log_are_refused(disk: Path, small_node: NodeProcess, how: str) -> None:
    """A statement on the event loop can write more than is kept free for a group; what counts is what it wrote."""
    node = small_node
    value = os.urandom(10 << 20)
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad bytea, n int)")
        connection.execute("INSERT INTO t VALUES (0, 'x', 0)")
        if how == "copied":
            connection.execute("INSERT INTO t VALUES (2, %s, 0)", (value,))
            connection.execute("CHECKPOINT")
        ballast = fill_up(disk, leave=14 << 20)
        with pytest.raises(psycopg.errors.DiskFull):
            if how == "autocommit":
                connection.execute("INSERT INTO t VALUES (1, %s, 0)", (value,))
            elif how == "transaction":
                with connection.transaction():
                    connection.execute("INSERT INTO t VALUES (1, %s, 0)", (value,))
            elif how == "copied":
                # No parameter is large, and one row of the table is changed.
                connection.execute("UPDATE t SET pad = pad || pad WHERE id = 2")
            else:
                with connection.transaction():
                    for number in range(10, 20):
                        connection.execute("INSERT INTO t VALUES (%s, %s, 0)", (number, value[: 1 << 20]))
        assert node.running
        assert count(connection) == (2 if how == "copied" else 1)
        ballast.unlink()
        wait_until(lambda: can_write(connection), "writes resume", RESUME_S)
    node.kill()
    node.start()
    with node.connect() as connection:
        assert connection.execute("SELECT n FROM t WHERE id = 0").fetchone() == (1,)
    assert node.stop() == 0
    verify_log(node.data_dir)


def can_write(connection: Connection) -> bool:
    """Whether a small write succeeds now."""
    try:
        connection.execute("UPDATE t SET n = 1 WHERE id = 0")
    except psycopg.errors.DiskFull:
        return False
    return True
