"""Page images applied to a second SQLite as frames of its own WAL, under readers, checkpoints and a promotion."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from helios_cli.engine.log.wal import FRAME_BYTES, frame_offset, newest_pages
from helios_cli.engine.log.walindex import BLOCK_BYTES, bytes_for
from helios_cli.engine.storage.applier import WalApplier
from helios_cli.engine.storage.connection import open_connection

ACCOUNTS = 400
TOTAL = ACCOUNTS * 100
Change = tuple[int, dict[int, bytes]]


class Primary:
    """A SQLite whose commits are read back as page images."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = open_connection(str(path))
        self.run("PRAGMA journal_mode=WAL")
        self.run("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INT, pad TEXT)")
        self.connection.executemany(
            "INSERT INTO accounts VALUES (?, 100, ?)", ((i, "x" * 300) for i in range(ACCOUNTS))
        )
        self.run("PRAGMA wal_checkpoint(TRUNCATE)")
        self._taken = self._frames = 0
        self.connection.set_wal_hook(self._committed)

    def _committed(self, _connection: apsw.Connection, _name: str, frames: int) -> int:
        self._frames = frames
        return apsw.SQLITE_OK

    def run(self, sql: str, *binds: object) -> list[tuple[object, ...]]:
        return self.connection.execute(sql, binds).fetchall()

    def change(self, *statements: tuple[str, tuple[object, ...]]) -> Change:
        self.run("BEGIN IMMEDIATE")
        for sql, binds in statements:
            self.run(sql, *binds)
        self.run("COMMIT")
        return self.taken()

    def taken(self) -> Change:
        """What the last commit wrote."""
        with self.path.with_name(self.path.name + "-wal").open("rb") as wal:
            data = os.pread(wal.fileno(), (self._frames - self._taken) * FRAME_BYTES, frame_offset(self._taken + 1))
        self._taken = self._frames
        commit = newest_pages(data)
        return commit.db_pages, commit.pages

    def transfer(self, chance: random.Random) -> Change:
        """Money moves; the sum stays."""
        giver, taker = chance.sample(range(ACCOUNTS), 2)
        amount = chance.randint(1, 9)
        return self.change(
            ("UPDATE accounts SET balance = balance - ? WHERE id = ?", (amount, giver)),
            ("UPDATE accounts SET balance = balance + ? WHERE id = ?", (amount, taker)),
        )


class Standby:
    """A copy of the primary's file, and the applier on it."""

    def __init__(self, primary: Primary, path: Path) -> None:
        shutil.copy(primary.path, path)
        self.path = str(path)
        self.reader = open_connection(self.path)
        self.applier = WalApplier(self.path, lambda: open_connection(self.path))

    def apply(self, change: Change) -> int:
        db_pages, pages = change
        return self.applier.apply(pages, db_pages)

    def run(self, sql: str) -> list[tuple[object, ...]]:
        return self.reader.execute(sql).fetchall()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Primary, Standby]]:
    primary = Primary(tmp_path / "primary.db")
    standby = Standby(primary, tmp_path / "standby.db")
    yield primary, standby
    standby.applier.close()
    standby.reader.close(True)
    primary.connection.close(True)


CONTENTS = "SELECT count(*), sum(balance), sum(id * balance), sum(length(pad)) FROM accounts"


def same(primary: Primary, standby: Standby) -> bool:
    return primary.run(CONTENTS) == standby.run(CONTENTS) and standby.run("PRAGMA integrity_check") == [("ok",)]


def test_every_commit_is_seen_when_it_is_applied_and_not_before(pair: tuple[Primary, Standby]) -> None:
    primary, standby = pair
    chance = random.Random(1)
    for _ in range(50):
        change = primary.transfer(chance)
        assert primary.run(CONTENTS) != standby.run(CONTENTS)
        standby.apply(change)
        assert primary.run(CONTENTS) == standby.run(CONTENTS)
    assert same(primary, standby)


def test_a_reader_keeps_its_snapshot(pair: tuple[Primary, Standby]) -> None:
    primary, standby = pair
    chance = random.Random(2)
    standby.run("BEGIN")
    before = standby.run(CONTENTS)
    for _ in range(20):
        standby.apply(primary.transfer(chance))
        assert standby.run(CONTENTS) == before
    standby.run("COMMIT")
    assert same(primary, standby)


def test_the_index_grows_over_several_blocks(pair: tuple[Primary, Standby]) -> None:
    primary, standby = pair
    fill = "INSERT INTO accounts SELECT id + ?, 0, hex(randomblob(1900)) FROM accounts WHERE id < 400"
    frames = 0
    for batch in range(1, 25):
        frames = standby.apply(primary.change((fill, (batch * 1000,))))
        assert primary.run(CONTENTS) == standby.run(CONTENTS)
    assert frames > 4062 + 4096, "more than two blocks"
    assert bytes_for(frames) > 2 * BLOCK_BYTES
    assert same(primary, standby)


def test_a_database_that_shrinks(pair: tuple[Primary, Standby]) -> None:
    primary, standby = pair
    standby.apply(primary.change(("INSERT INTO accounts SELECT id + 1000, 0, hex(zeroblob(2000)) FROM accounts", ())))
    standby.apply(primary.change(("DELETE FROM accounts WHERE id >= 1000", ())))
    large = standby.run("PRAGMA page_count")
    primary.run("VACUUM")
    standby.apply(primary.taken())
    assert standby.run("PRAGMA page_count") < large
    assert same(primary, standby)


@pytest.mark.parametrize("mode", ["PASSIVE", "RESTART", "TRUNCATE"])
def test_checkpoints_between(pair: tuple[Primary, Standby], mode: str) -> None:
    primary, standby = pair
    chance = random.Random(3)
    for _ in range(6):
        for _ in range(20):
            standby.apply(primary.transfer(chance))
        busy, _, _ = standby.run(f"PRAGMA wal_checkpoint({mode})")[0]
        assert busy == 0
    assert same(primary, standby)
    # The other modes leave it to SQLite's next writer to begin the WAL again, which the applier is not.
    assert (standby.applier.frames() == 0) == (mode == "TRUNCATE")


def test_readers_on_other_threads_never_see_half_a_change(pair: tuple[Primary, Standby]) -> None:
    primary, standby = pair
    over = threading.Event()
    sums: list[object] = []
    errors: list[BaseException] = []

    def read() -> None:
        connection = open_connection(standby.path)
        try:
            while not over.is_set():
                sums.extend(row[0] for row in connection.execute("SELECT sum(balance) FROM accounts"))
        except apsw.Error as error:
            errors.append(error)
        finally:
            connection.close(True)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    chance = random.Random(4)
    try:
        for count in range(400):
            standby.apply(primary.transfer(chance))
            if count % 100 == 99:
                standby.run("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not errors
    assert set(sums) == {TOTAL}
    assert same(primary, standby)


def test_sqlite_writes_on_after_a_promotion(pair: tuple[Primary, Standby]) -> None:
    primary, standby = pair
    chance = random.Random(5)
    for _ in range(20):
        standby.apply(primary.transfer(chance))
    standby.run("UPDATE accounts SET balance = balance + 1")
    assert standby.run("SELECT sum(balance) FROM accounts") == [(TOTAL + ACCOUNTS,)]
    standby.run("PRAGMA wal_checkpoint(TRUNCATE)")
    assert standby.run("PRAGMA integrity_check") == [("ok",)]


def test_another_writer_is_waited_for_and_then_refused(pair: tuple[Primary, Standby]) -> None:
    primary, standby = pair
    change = primary.transfer(random.Random(6))
    standby.applier._connection.set_busy_timeout(0)
    standby.run("BEGIN IMMEDIATE")
    before = standby.run(CONTENTS)
    with pytest.raises(apsw.BusyError):
        standby.apply(change)
    standby.run("ROLLBACK")
    assert standby.run(CONTENTS) == before
    standby.apply(change)
    assert same(primary, standby)


def test_what_an_append_that_was_given_up_left_in_the_index_is_removed(
    pair: tuple[Primary, Standby], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process lived on after a failure between the index and its header."""
    primary, standby = pair
    chance = random.Random(7)
    standby.apply(primary.transfer(chance))
    before = standby.run(CONTENTS)
    wide = primary.change(("UPDATE accounts SET balance = balance + 1 - 1, pad = 'y'", ()))

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("helios_cli.engine.storage.applier.write_header", fail)
        with pytest.raises(OSError, match="Input/output"):
            standby.apply(wide)
    assert standby.run(CONTENTS) == before
    standby.apply(wide)
    for _ in range(30):
        standby.apply(primary.transfer(chance))
    assert same(primary, standby)


def test_nothing_is_written_for_nothing(pair: tuple[Primary, Standby]) -> None:
    primary, standby = pair
    frames = standby.apply(primary.transfer(random.Random(8)))
    assert standby.applier.apply({}, 1) == frames
    assert same(primary, standby)
