"""A standby that the log no longer reaches copies a large database, beside a writer that keeps its pace."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from support.node_process import NodeProcess

FLAGS = ("--log-segment-mb", "16", "--log-retention-mb", "32", "--max-slot-lag-mb", "64", "--wal-checkpoint-mb", "32")
ROW_BYTES = 4000
ROWS_AT_ONCE = 4096
PER_SECOND = 200
BEFORE_S = 5.0
COPIED_S = 1800.0
LOOK_S = 0.25
"""Between two looks, which cost the nodes something too."""


@dataclass
class Outcome:
    """What a drill came to."""

    database_mb: int = 0
    copied_s: float = 0.0
    """From the start of the standby's process until it had everything."""
    paced: int = 0
    """Writes that were acknowledged meanwhile, all of them found on the standby."""
    pace_before: float = 0.0
    """Share of the pace that the writer kept before, and while the copy was made."""
    pace_kept: float = 0.0


class Pace:
    """A writer of so many transactions a second; one that is late hurries."""

    def __init__(self, node: NodeProcess) -> None:
        self.acknowledged = 0
        self._node = node
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._begun = (time.monotonic(), 0)
        self.failure: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the end; raises what ended the writer before."""
        self._ended.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def begin(self) -> None:
        """Count from here."""
        self._begun = (time.monotonic(), self.acknowledged)

    def kept(self) -> float:
        """The share of the pace since :meth:`begin`."""
        at, count = self._begun
        return (self.acknowledged - count) / ((time.monotonic() - at) * PER_SECOND)

    def _run(self) -> None:
        try:
            with self._node.connect() as connection:
                due = time.monotonic()
                while not self._ended.wait(max(0.0, due - time.monotonic())):
                    connection.execute("INSERT INTO paced VALUES (%s)", (self.acknowledged,), prepare=True)
                    self.acknowledged += 1
                    due = max(due + 1 / PER_SECOND, time.monotonic() - 1.0)
        except psycopg.Error as error:
            self.failure = error


def fill(node: NodeProcess, megabytes: int, seed: int) -> None:
    """Rows that take that much, loaded by COPY."""
    rng = random.Random(seed)
    rows = megabytes * (1 << 20) // ROW_BYTES
    with node.connect() as connection:
        connection.execute("CREATE TABLE large (id int PRIMARY KEY, pad text)")
        for first in range(0, rows, ROWS_AT_ONCE):
            with connection.cursor() as cursor, cursor.copy("COPY large FROM STDIN") as copy:
                for number in range(first, min(first + ROWS_AT_ONCE, rows)):
                    copy.write_row((number, rng.randbytes(ROW_BYTES // 2).hex()))


def run_reseed(directory: Path, megabytes: int, seed: int = 0) -> Outcome:
    """The drill; raises AssertionError when the copy is not equal, or lacks a row, or the writer lost its pace."""
    outcome = Outcome()
    places = [directory / name for name in ("n1", "n2")]
    for place in places:
        place.mkdir(parents=True)
    primary = NodeProcess(places[0], [*FLAGS, "--node-id", "n1", "--replication-role", "primary"])
    try:
        primary.start()
        follows = ["--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port)]
        standby = NodeProcess(places[1], [*FLAGS, "--node-id", "n2", "--replication-role", "standby", *follows])
        try:
            _drill(primary, standby, outcome, megabytes, seed)
        finally:
            standby.kill()
    finally:
        primary.kill()
    return outcome


def _drill(primary: NodeProcess, standby: NodeProcess, outcome: Outcome, megabytes: int, seed: int) -> None:
    standby.start()
    with primary.connect() as connection:
        connection.execute("CREATE TABLE paced (id int PRIMARY KEY)")
    _until(lambda: _equal(primary, standby), "the standby follows")
    standby.kill()
    fill(primary, megabytes, seed)
    _until(lambda: _status(primary)["log_start_lsn"] != "0/0", "old log is gone")
    pace = Pace(primary)
    pace.start()
    try:
        time.sleep(1)
        pace.begin()
        time.sleep(BEFORE_S)
        outcome.pace_before = round(pace.kept(), 3)
        pace.begin()
        began = time.monotonic()
        standby.start(wait=False)
        _until(lambda: _copied(primary, standby), "the copy is made")
        outcome.copied_s = round(time.monotonic() - began, 1)
        outcome.pace_kept = round(pace.kept(), 3)
    finally:
        pace.stop()
    _until(lambda: _equal(primary, standby), "both are equal")
    outcome.paced = pace.acknowledged
    outcome.database_mb = (primary.data_dir / "db" / "helios.db").stat().st_size >> 20
    with standby.connect() as reader:
        found = reader.execute("SELECT (SELECT count(*) FROM paced), (SELECT count(*) FROM large)").fetchone()
    assert found == (pace.acknowledged, megabytes * (1 << 20) // ROW_BYTES), f"the standby has {found}"
    assert outcome.database_mb >= megabytes, f"the database has {outcome.database_mb} MB"
    assert outcome.pace_kept >= 0.95 * min(1.0, outcome.pace_before), f"the writer kept {outcome.pace_kept:.0%}"


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + COPIED_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {COPIED_S:.0f} s"
        time.sleep(LOOK_S)


def _status(node: NodeProcess) -> dict[str, str]:
    code, content = node.http("/status")
    assert code == 200
    return dict(content)


def _copied(primary: NodeProcess, standby: NodeProcess) -> bool:
    """Whether the standby was away for longer than the log reaches back, and streams again."""
    try:
        with primary.connect() as connection:
            (row,) = connection.execute(
                "SELECT (SELECT count(*) FROM helios_events WHERE kind = 'copy_given'), "
                "(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming')"
            ).fetchall()
            return row == (1, 1) and standby.http("/health")[0] == 200
    except OSError:
        return False


def _equal(primary: NodeProcess, standby: NodeProcess) -> bool:
    try:
        ours, theirs = _status(primary), _status(standby)
    except OSError:
        return False
    return all(ours[name] == theirs[name] for name in ("committed_lsn", "database_checksum"))
