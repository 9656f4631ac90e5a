"""An error nobody foresaw in a checkpoint is told of, counted, and does not end the checkpoints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest
from support.storage_core import StorageCore

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.types import Lsn

WAIT_S = 10.0


def test_checkpoints_go_on_after_an_unexpected_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        core = StorageCore(tmp_path)
        checkpointer = core.checkpointer
        heard: list[BaseException] = []

        def unexpected(error: BaseException) -> HeliosError:
            heard.append(error)
            return HeliosError(f"internal error: {error}")

        monkeypatch.setattr(checkpointer, "_on_unexpected", unexpected)
        await core.run("CREATE TABLE t (a INTEGER PRIMARY KEY)")
        passive = checkpointer._passive
        failures = [ZeroDivisionError("a bug"), KeyError("another")]

        def failing() -> tuple[int, int]:
            if failures:
                raise failures.pop(0)
            return passive()

        monkeypatch.setattr(checkpointer, "_passive", failing)
        task = asyncio.ensure_future(checkpointer.run())
        try:
            for _ in range(2):
                with pytest.raises(HeliosError, match="internal error"):
                    await asyncio.wait_for(checkpointer.request(), WAIT_S)
            await asyncio.wait_for(checkpointer.request(), WAIT_S)
            assert not task.done()
            assert [type(error) for error in heard] == [ZeroDivisionError, KeyError]
            assert checkpointer.checkpoint_lsn == core.pipeline.committed_lsn
            assert core.queue.holder is None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            core.close()

    asyncio.run(scenario())


def test_an_error_in_deciding_to_checkpoint_does_not_end_them_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        core = StorageCore(tmp_path)
        checkpointer = core.checkpointer
        heard = asyncio.Event()

        def unexpected(error: BaseException) -> HeliosError:
            heard.set()
            return HeliosError(str(error))

        def broken() -> bool:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(checkpointer, "_on_unexpected", unexpected)
        monkeypatch.setattr(checkpointer, "_due", broken)
        task = asyncio.ensure_future(checkpointer.run())
        try:
            await asyncio.wait_for(heard.wait(), WAIT_S)
            await asyncio.wait_for(checkpointer.request(), WAIT_S)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            core.close()

    asyncio.run(scenario())


class Busy:
    """A connection whose checkpoints meet a commit in its last step, so many times."""

    def __init__(self, connection: apsw.Connection, times: int) -> None:
        self._connection = connection
        self.times = times

    def wal_checkpoint(self, *, mode: int) -> tuple[int, int]:
        if self.times:
            self.times -= 1
            raise apsw.BusyError("database is locked")
        return self._connection.wal_checkpoint(mode=mode)

    def close(self, force: bool) -> None:
        self._connection.close(force)


def test_a_commit_under_way_is_waited_for_and_not_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        core = StorageCore(tmp_path)
        checkpointer = core.checkpointer
        await core.run("CREATE TABLE t (a INTEGER PRIMARY KEY)")
        busy = Busy(checkpointer._connection, 3)
        monkeypatch.setattr(checkpointer, "_connection", busy)
        try:
            await asyncio.wait_for(checkpointer.checkpoint(), WAIT_S)
            assert busy.times == 0
            assert checkpointer.checkpoint_lsn == core.pipeline.committed_lsn
            busy.times = 10**6
            with pytest.raises(apsw.BusyError):
                await asyncio.wait_for(checkpointer.checkpoint(), WAIT_S)
            assert core.queue.holder is None
            busy.times = 0
        finally:
            core.close()

    asyncio.run(scenario())


def test_the_writer_is_had_before_others_are_held(tmp_path: Path) -> None:
    """Who else adds to SQLite's WAL may change while another node is given the lead, with the token in hand."""

    async def scenario() -> None:
        core = StorageCore(tmp_path)
        held: list[bool] = []

        @asynccontextmanager
        async def hold() -> AsyncIterator[None]:
            held.append(core.queue.holder is not None)
            yield
            assert core.queue.holder is not None

        core.checkpointer.hold = hold
        try:
            await core.run("CREATE TABLE t (a INTEGER PRIMARY KEY)")
            await asyncio.wait_for(core.checkpointer.checkpoint(), WAIT_S)
            assert held == [True]
            assert core.queue.holder is None
        finally:
            core.close()

    asyncio.run(scenario())


def test_nothing_is_recorded_of_a_state_that_is_not_known_to_be_committed(tmp_path: Path) -> None:
    """On a standby the checksums may be ahead of what the loop has heard to be applied."""

    async def scenario() -> None:
        core = StorageCore(tmp_path)
        try:
            await core.run("CREATE TABLE t (a INTEGER PRIMARY KEY)")
            before = core.store.control.record
            core.pipeline.database_lsn = lambda: Lsn(core.pipeline.committed_lsn + 8)
            await core.checkpointer.checkpoint()
            assert not core.checkpointer.complete
            assert core.store.control.record == before
            core.pipeline.database_lsn = lambda: core.pipeline.committed_lsn
            await core.checkpointer.checkpoint()
            assert core.checkpointer.complete
            assert core.store.control.record.checkpoint_lsn == core.pipeline.committed_lsn
        finally:
            core.close()

    asyncio.run(scenario())
