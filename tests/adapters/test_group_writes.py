"""Groups: what one client does to the others that share its transaction, and when answers may leave."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from support.storage_core import StorageCore

from helios_cli.engine.errors import DiskFull, SqlError
from helios_cli.engine.node.steps import run_steps
from helios_cli.engine.sql.plan import Kind, Plan

COUNT_TO_MANY = "WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 5000000)"


def within_a_loop(test: Callable[[Path], Awaitable[None]], path: Path) -> None:
    asyncio.run(asyncio.wait_for(test(path), 60))


@asynccontextmanager
async def core_of(path: Path, **options: Any) -> AsyncIterator[StorageCore]:
    core = StorageCore(path, **options)
    try:
        await core.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)")
        yield core
    finally:
        core.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


def test_an_interrupted_member_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    """Interrupting an UPDATE makes SQLite roll the whole transaction back; the others must be run again."""

    async def body(path: Path) -> None:
        async with core_of(path) as core:
            first = core.submit("UPDATE t SET v = 1 WHERE id = 1")
            core.submit(f"{COUNT_TO_MANY} UPDATE t SET v = (SELECT count(*) FROM g) WHERE id = 2")
            third = core.submit("UPDATE t SET v = 3 WHERE id = 3")
            done = await asyncio.gather(first, third)
            assert [write.error for write in done] == [None, None]
            assert [write.changes for write in done] == [1, 1]
            assert core.committed("SELECT v FROM t ORDER BY id") == [(1,), (0,), (3,)]
            assert len(core.slow) == 1, "the slow member is handed over to run alone"

    within_a_loop(body, tmp_path)


def test_a_rollback_raised_by_a_trigger_stays_with_its_member(tmp_path: Path) -> None:
    async def body(path: Path) -> None:
        async with core_of(path) as core:
            await core.run(
                "CREATE TRIGGER no BEFORE UPDATE ON t WHEN new.v < 0 BEGIN SELECT raise(ROLLBACK, 'no'); END"
            )
            done = await core.group(
                "UPDATE t SET v = 1 WHERE id = 1", "UPDATE t SET v = -1 WHERE id = 2", "UPDATE t SET v = 3 WHERE id = 3"
            )
            assert [write.error is None for write in done] == [True, False, True]
            assert core.committed("SELECT v FROM t ORDER BY id") == [(1,), (0,), (3,)]

    within_a_loop(body, tmp_path)


def test_an_error_undoes_only_its_own_member(tmp_path: Path) -> None:
    async def body(path: Path) -> None:
        async with core_of(path) as core:
            done = await core.group(
                "INSERT INTO t VALUES (10, 1)", "INSERT INTO t VALUES (11, 1), (1, 1)", "INSERT INTO t VALUES (12, 1)"
            )
            assert [write.error is None for write in done] == [True, False, True]
            assert core.committed("SELECT id FROM t WHERE id >= 10") == [(10,), (12,)]

    within_a_loop(body, tmp_path)


def test_deferred_constraints_are_settled_member_by_member(tmp_path: Path) -> None:
    """SQLite counts deferred violations per connection: one member must neither break nor heal another."""

    async def body(path: Path) -> None:
        async with core_of(path) as core:
            await core.run(
                "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
                "CREATE TABLE child (id INTEGER PRIMARY KEY, p REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
            )
            done = await core.group(
                "INSERT INTO t VALUES (10, 1)", "INSERT INTO child VALUES (1, 77)", "INSERT INTO parent VALUES (77)"
            )
            assert [write.error is None for write in done] == [True, False, True]
            assert core.committed("SELECT count(*) FROM child") == [(0,)]
            assert core.committed("SELECT id FROM parent") == [(77,)]

    within_a_loop(body, tmp_path)


class SlowDisk:
    """Lets syncs of a log through one at a time."""

    def __init__(self, core: StorageCore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Semaphore(0)
        self.fail: OSError | None = None
        write_through = core.store.log.write_through

        def gated(data: bytes) -> None:
            self.gate.acquire()
            if self.fail is not None:
                raise self.fail
            write_through(data)

        monkeypatch.setattr(core.store.log, "write_through", gated)

    def let_through(self, count: int = 1) -> None:
        for _ in range(count):
            self.gate.release()


def test_nothing_is_answered_or_shown_before_the_record_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither success, nor an error that stands on the unsynced state, nor a read."""

    async def body(path: Path) -> None:
        async with core_of(path) as core:
            disk = SlowDisk(core, monkeypatch)
            insert = core.submit("INSERT INTO t VALUES (10, 1)")
            await until(lambda: len(core.pipeline.in_flight) == 1)
            duplicate = core.submit("INSERT INTO t VALUES (10, 2)")
            await until(lambda: core.queue.group_count == 2)
            await asyncio.sleep(0)
            assert not insert.done() and not duplicate.done()
            assert core.committed("SELECT count(*) FROM t WHERE id = 10") == [(0,)]
            disk.let_through(10)
            done = await asyncio.gather(insert, duplicate)
            assert done[0].error is None and isinstance(done[1].error, apsw.ConstraintError)
            assert core.committed("SELECT v FROM t WHERE id = 10") == [(1,)]

    within_a_loop(body, tmp_path)


def test_groups_wait_when_every_spare_reader_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(path: Path) -> None:
        async with core_of(path, in_flight_max=2) as core:
            disk = SlowDisk(core, monkeypatch)
            futures = []
            for number in range(5):
                futures.append(core.submit(f"INSERT INTO t VALUES ({20 + number}, 0)"))
                await asyncio.sleep(0.005)
            assert len(core.pipeline.in_flight) == 2
            assert len(core.queue) == 3
            disk.let_through(20)
            assert all(write.error is None for write in await asyncio.gather(*futures))
            assert core.queue.group_count < 5, "what waited went together"

    within_a_loop(body, tmp_path)


def test_a_failed_sync_is_fatal_and_answers_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(path: Path) -> None:
        core = StorageCore(path)
        await core.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v INT)")
        disk = SlowDisk(core, monkeypatch)
        disk.fail = OSError(errno.EIO, "Input/output error")
        write = core.submit("INSERT INTO t VALUES (1, 1)")
        disk.let_through(10)
        await until(lambda: bool(core.fatal))
        assert not write.done()
        assert core.committed("SELECT count(*) FROM t") == [(0,)]
        core.close(flush=False)

    within_a_loop(body, tmp_path)


def test_a_full_disk_is_noticed_before_anything_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(path: Path) -> None:
        async with core_of(path) as core:

            def full(*_: Any) -> None:
                raise DiskFull("no room")

            monkeypatch.setattr(core.store.log, "reserve", full)
            done = await core.group("UPDATE t SET v = 1 WHERE id = 1", "UPDATE t SET v = 1 WHERE id = 2")
            assert [getattr(write.error, "sqlstate", None) for write in done] == ["53100", "53100"]
            assert core.disk_full == 1
            monkeypatch.undo()
            (again,) = await core.group("UPDATE t SET v = 7 WHERE id = 1")
            assert again.error is None
            assert core.committed("SELECT v FROM t ORDER BY id") == [(7,), (0,), (0,)]

    within_a_loop(body, tmp_path)


def test_a_restarted_wal_is_captured_from_its_beginning(tmp_path: Path) -> None:
    """After a restart the frame count may be higher than before; only the salts tell."""

    async def body(path: Path) -> None:
        async with core_of(path) as core:
            await core.checkpointer.checkpoint()
            before = core.database.capture.frames
            await core.run("CREATE TABLE big (x)", f"INSERT INTO big SELECT zeroblob(3000) FROM ({COUNT_TO_40})")
            assert core.database.capture.frames > before > 0
            total, pages = core.database.checksums.total, core.database.checksums.pages
        reopened = StorageCore(path)
        try:
            assert reopened.store.checksums.total == total
            assert reopened.store.checksums.pages == pages
            assert reopened.committed("SELECT count(*) FROM big") == [(40,)]
            assert reopened.committed("PRAGMA integrity_check") == [("ok",)]
        finally:
            reopened.close()

    within_a_loop(body, tmp_path)


COUNT_TO_40 = "WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 40) SELECT i FROM g"


def test_the_wal_restarts_under_sustained_load(tmp_path: Path) -> None:
    """Ring readers always hold a mark, so without the barrier the WAL would grow for ever."""

    async def body(path: Path) -> None:
        async with core_of(path, threshold_mb=1) as core:
            running = asyncio.ensure_future(core.checkpointer.run())
            wal = Path(core.store.db_path + "-wal")
            biggest = 0
            for number in range(1500):
                await core.group(f"UPDATE t SET v = {number} WHERE id = 1")
                biggest = max(biggest, wal.stat().st_size)
            running.cancel()
            await asyncio.wait([running])
            assert core.checkpointer.count >= 2
            assert biggest < 5 << 20, f"1500 pages were written, the WAL reached {biggest} bytes"

    within_a_loop(body, tmp_path)


def test_closing_connections_moves_nothing_into_the_database_file(tmp_path: Path) -> None:
    async def body(path: Path) -> None:
        async with core_of(path) as core:
            before = Path(core.store.db_path).read_bytes()
            await core.group("UPDATE t SET v = 9 WHERE id = 1")
        assert Path(tmp_path / "db" / "helios.db").read_bytes() == before
        assert os.path.getsize(tmp_path / "db" / "helios.db-wal") > 0

    within_a_loop(body, tmp_path)


def test_rebuilding_a_parent_keeps_its_children(tmp_path: Path) -> None:
    """PRAGMA foreign_keys=OFF does nothing inside a transaction: the DROP of the old table would cascade."""

    async def body(path: Path) -> None:
        async with core_of(path) as core:
            await core.run(
                "CREATE TABLE child (id INTEGER PRIMARY KEY, t INT REFERENCES t ON DELETE CASCADE)",
                "INSERT INTO child VALUES (1, 1), (2, 2)",
                # Whether a key was added NOT VALID is asked of the catalog.
                "CREATE TABLE helios_relation (oid INTEGER, sqlite_name TEXT)",
                "CREATE TABLE helios_constraint (relid INTEGER, contype TEXT, condeferrable INTEGER, columns TEXT)",
            )
            steps = (
                "CREATE TABLE t_new (id INTEGER PRIMARY KEY, v TEXT)",
                "INSERT INTO t_new SELECT * FROM t",
                "DROP TABLE t",
                "ALTER TABLE t_new RENAME TO t",
            )
            connection = core.database.writer
            connection.execute("BEGIN IMMEDIATE")
            run_steps(connection, Plan(Kind.DDL, "ALTER TABLE", steps, fk_off=True), ())
            connection.execute("COMMIT")
            assert connection.execute("SELECT count(*) FROM child").fetchall() == [(2,)]
            connection.execute("BEGIN IMMEDIATE")
            bad = (steps[0], steps[2], steps[3])
            with pytest.raises(SqlError) as caught:
                run_steps(connection, Plan(Kind.DDL, "ALTER TABLE", bad, fk_off=True), ())
            assert caught.value.sqlstate == "23503"
            connection.execute("ROLLBACK")
            with pytest.raises(apsw.ConstraintError):
                connection.execute("INSERT INTO child VALUES (3, 77)")

    within_a_loop(body, tmp_path)


def test_a_group_has_a_limit(tmp_path: Path) -> None:
    async def body(path: Path) -> None:
        async with core_of(path) as core:
            core.queue.group_max = 10
            await core.group(*["UPDATE t SET v = v + 1 WHERE id = 1"] * 35)
            assert core.queue.group_count == 4
            assert core.committed("SELECT v FROM t WHERE id = 1") == [(35,)]

    within_a_loop(body, tmp_path)
