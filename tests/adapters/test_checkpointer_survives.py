"""An error nobody foresaw in a checkpoint is told of, counted, and does not end the checkpoints."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.storage_core import StorageCore

from helios_cli.engine.errors import HeliosError

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
