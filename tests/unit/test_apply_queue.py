"""What a standby's thread waits for, and who may rely on it."""

from __future__ import annotations

import asyncio
import threading

from support.node_process import wait_until

from helios_cli.engine.node.apply_queue import ApplyQueue
from helios_cli.engine.types import Lsn


def test_a_thread_that_is_to_finish_leaves_a_checkpoint_alone() -> None:
    """The WAL is the checkpoint's until it is over, also when this node is about to lead."""
    queue = ApplyQueue(Lsn(0), 1)
    taken = threading.Event()

    def take() -> None:
        queue.take_reader()
        taken.set()

    async def checkpoint() -> bool:
        async with queue.paused(thread.is_alive):
            with queue._changed:
                queue._paused = False
            queue.end(giving_up=False)
            wait_until(lambda: queue._paused or taken.is_set(), "the thread has looked again")
            return taken.is_set()

    thread = threading.Thread(target=take, daemon=True)
    queue._pausing = True
    thread.start()
    assert not asyncio.run(checkpoint())
    wait_until(taken.is_set, "it goes on behind the checkpoint")


def test_a_checkpoint_begins_when_the_loop_has_heard_of_all_that_is_applied() -> None:
    """The thread tells the loop, and stands still: who sees that first has not heard it yet."""

    async def checkpoint(*, alive: bool) -> list[str]:
        queue, heard = ApplyQueue(Lsn(0), 1), list[str]()
        asyncio.get_running_loop().call_soon_threadsafe(heard.append, "applied")
        queue._paused = alive
        async with queue.paused(lambda: alive):
            return list(heard)

    assert asyncio.run(checkpoint(alive=True)) == ["applied"]
    assert asyncio.run(checkpoint(alive=False)) == ["applied"]
