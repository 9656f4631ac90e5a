"""When nothing has been written for a second, say in the log itself that what came before is on disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.clock import SystemClock

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
        if now != before or now == sealed or not may_seal(node):
            continue
        try:
            # Whoever reads next needs no other snapshot then, which could not be had while a commit waits for others.
            node.pipeline.reader()
            sealed = seal(node)
        except Exception as error:
            node.engine.unexpected(error)


def may_seal(node: Node) -> bool:
    """Whether this node leads, and nobody else is about to add to the log, or waits for what others say of it.

    The writer's token is held by a transaction, or by this node while it gives the lead away: where its log ends then
    is where the other one begins.
    """
    engine, leading = node.engine, node.replication.leading
    return (
        engine.disk_full_since is None
        and engine.standby_refusal is None
        and engine.queue.holder is None
        and not node.pipeline.in_flight
        and leading is not None
        and leading.lsns.pending is None
    )


def seal(node: Node) -> int:
    """Put the small record into the log, in this turn of the loop. Where the log ends then; 0: not now.

    It changes no page, so it is no commit with a number of its own: reads need not wait for it.
    """
    database = node.database
    try:
        database.reserve()
    except HeliosError:
        return 0
    return node.pipeline.submit_apart(lambda: database.records.seal(SystemClock.wall_us())) or 0
