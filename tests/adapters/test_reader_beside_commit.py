"""A read beside a long COMMIT on a thread: the event loop never waits for the commit lock, and the read is served."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from support.storage_core import StorageCore

from helios_cli.engine.storage.ring import PINS_AFTER_READ

WAIT_S = 10.0


async def unread_core(tmp_path: Path) -> StorageCore:
    """A node whose ring has fallen behind, because nobody has read for longer than boundaries are pinned."""
    core = StorageCore(tmp_path)
    await core.run("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    for number in range(PINS_AFTER_READ + 4):
        await core.group(f"INSERT INTO t VALUES ({number})")
    assert core.database.ring.seq < core.pipeline.committed_seq
    return core


def test_the_loop_does_not_wait_for_the_commit_lock(tmp_path: Path) -> None:
    async def scenario() -> None:
        core = await unread_core(tmp_path)
        pipeline, lock = core.pipeline, core.database.commit_lock
        held, release = threading.Event(), threading.Event()

        def long_commit() -> None:
            with lock:
                held.set()
                release.wait(WAIT_S)
            core.database.after_lock()

        thread = threading.Thread(target=long_commit)
        thread.start()
        try:
            assert held.wait(WAIT_S)
            assert pipeline.reader() is None
            readable = asyncio.Event()
            pipeline.when_readable(readable.set)
            assert not readable.is_set()
            release.set()
            await asyncio.wait_for(readable.wait(), WAIT_S)
            assert pipeline.reader() is not None
        finally:
            release.set()
            thread.join()
            core.close()

    asyncio.run(scenario())


def test_a_lock_that_is_free_again_wakes_the_reader_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        core = await unread_core(tmp_path)
        readable = asyncio.Event()
        core.pipeline.when_readable(readable.set)
        assert not readable.is_set(), "it is called in a later turn"
        await asyncio.wait_for(readable.wait(), WAIT_S)
        core.close()

    asyncio.run(scenario())


def test_a_commit_not_yet_submitted_is_waited_for(tmp_path: Path) -> None:
    """Between COMMIT on the thread and submit() on the loop nothing is in flight that could be waited for."""

    async def scenario() -> None:
        core = await unread_core(tmp_path)
        pipeline, database = core.pipeline, core.database
        database.writer.execute("BEGIN IMMEDIATE")
        database.writer.execute("INSERT INTO t VALUES (1000)")
        commit = database.commit(database.writer)
        assert commit is not None and not pipeline.in_flight
        assert pipeline.reader() is None
        calls: list[int] = []
        seen = asyncio.Event()

        def retry() -> None:
            calls.append(database.commit_seq)
            if pipeline.reader() is None:
                pipeline.when_readable(retry)
            else:
                seen.set()

        pipeline.when_readable(retry)
        await asyncio.sleep(0)
        assert calls == []
        pipeline.submit(commit)
        await asyncio.wait_for(seen.wait(), WAIT_S)
        assert len(calls) <= 3
        assert core.committed("SELECT max(a) FROM t") == [(1000,)]
        core.close()

    asyncio.run(scenario())


def test_before_a_long_write_the_ring_is_brought_up_to_date(tmp_path: Path) -> None:
    async def scenario() -> None:
        core = await unread_core(tmp_path)
        core.pipeline.keep_readable()
        assert core.database.ring.seq == core.pipeline.committed_seq
        with core.database.commit_lock:
            reader = core.pipeline.reader()
        assert reader is not None
        core.close()

    asyncio.run(scenario())
