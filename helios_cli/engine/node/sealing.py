"""When nothing has been written for a second, say in the log itself that what came before is on disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.storage.database import Commit, UnloggedCommit

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

IDLE_S: Final = 1.0


async def seal_when_idle(node: Node) -> None:
    """Until cancelled."""
    sealed: int = node.database.records.lsn
    while True:
        before = node.database.records.lsn
        await asyncio.sleep(IDLE_S)
        now = node.database.records.lsn
        if now != before or now == sealed or _refuses_writes(node):
            continue
        try:
            await node.engine.queue.acquire_async()
            try:
                sealed = seal(node)
            finally:
                node.engine.queue.release()
        except Exception as error:
            node.engine.unexpected(error)


def _refuses_writes(node: Node) -> bool:
    return node.engine.disk_full_since is not None or node.engine.standby_refusal is not None


def seal(node: Node) -> int:
    """Put the small record into the log; the writer's token is held. Where the log ends then; 0: there is no room."""
    database = node.database
    if not node.pipeline.has_room():
        return 0
    try:
        database.reserve()
    except HeliosError:
        return 0
    data = database.records.seal(SystemClock.wall_us())
    try:
        with database.commit_lock:
            database.commit_seq += 1
            commit = Commit(database.commit_seq, database.ring.pin_boundary(), database.records.lsn, data)
        node.pipeline.submit(commit)
    except BaseException as error:
        # The record has its LSN: without it the log would have a hole.
        node.panic(UnloggedCommit(error))
        raise
    return database.records.lsn
