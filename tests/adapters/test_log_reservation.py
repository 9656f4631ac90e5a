"""The room that is asked for before COMMIT covers the record that COMMIT makes; who is small does not fail with it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from support.storage_core import StorageCore

from helios_cli.engine.errors import DiskFull
from helios_cli.engine.types import Lsn

SEEDS = 6
STATEMENTS = (
    "INSERT INTO t (b, c) SELECT randomblob(:size), abs(random()) % 1000",
    "INSERT INTO t (b, c) VALUES (randomblob(100), abs(random()) % 1000)",
    "UPDATE t SET c = c + 1 WHERE a = (SELECT max(a) FROM t)",
    "UPDATE t SET b = b || b WHERE a = (SELECT min(a) FROM t) AND length(b) < 3000000",
    "UPDATE t SET c = abs(random()) % 1000 WHERE a % 7 = 0",
    "DELETE FROM t WHERE a IN (SELECT a FROM t ORDER BY random() LIMIT 3)",
    "DELETE FROM t WHERE a % 3 = 0",
)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_bound_covers_the_record(tmp_path: Path, seed: int) -> None:
    """Appended pages, pages that were free, overflow chains, spills: whatever the writes, and however they mix."""

    async def scenario() -> None:
        core = StorageCore(tmp_path)
        database, rng = core.database, random.Random(seed)
        await core.run("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB, c INT)", "CREATE INDEX i ON t (c)")
        for _ in range(30):
            database.writer.execute("BEGIN IMMEDIATE")
            for _ in range(rng.randint(1, 8)):
                statement = rng.choice(STATEMENTS)
                size = {"size": rng.choice((10, 5000, 300_000, 4_000_000))}
                database.writer.execute(statement, size if ":size" in statement else None)
            bound = database.log_bytes_bound(database.writer)
            before = database.records.lsn
            commit = database.commit(database.writer)
            if commit is None:
                continue
            # Written behind what the chain has appended already; random bytes do not compress.
            core.pipeline.submit(commit)
            assert database.records.lsn - before <= bound
            await core.pipeline.quiesce()
        core.close()

    asyncio.run(scenario())


def test_a_group_without_room_is_run_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        core = StorageCore(tmp_path)
        await core.run("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
        log, no_room = core.database.log, []
        monkeypatch.setattr(core.queue, "on_no_room", lambda: no_room.append(1))
        reserve = log.reserve

        def small_disk(n_bytes: int, at: Lsn | None = None) -> None:
            if n_bytes > 6 << 20:
                raise DiskFull("no room")
            reserve(n_bytes, at)

        monkeypatch.setattr(log, "reserve", small_disk)
        writes = await core.group(
            "INSERT INTO t VALUES (1, 'small')",
            "INSERT INTO t VALUES (2, randomblob(8000000))",
            "INSERT INTO t VALUES (3, 'small too')",
        )
        assert [type(write.error) for write in writes] == [type(None), DiskFull, type(None)]
        assert core.committed("SELECT a FROM t ORDER BY a") == [(1,), (3,)]
        assert len(no_room) == 2
        assert core.disk_full == 0
        core.close()

    asyncio.run(scenario())
