"""Taking the writer from whoever has it, for the sake of a switchover."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError, SerializationFailure
from helios_cli.engine.node.promotion import PromotionRefused

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication
    from helios_cli.engine.node.session import Session

CUT_AGAIN_S: Final = 0.01
"""Between two attempts to end what runs on a thread."""


async def take_writer(replication: Replication, target: str, timeout_s: float) -> int:
    """Get the writer before everybody who waits for it; how many transactions were undone for that.

    Whoever has it may end within ``switchover_drain``, and is undone then.

    Raises:
        PromotionRefused: it was not free within ``timeout_s``; nobody waits for it any more.
    """
    engine = replication.node.engine
    drain_s = engine.settings.switchover_drain / 1000
    wanted = asyncio.ensure_future(engine.queue.acquire_async(first=True))
    undone: list[Session] = []
    began = replication.now()
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.wait({wanted}, timeout=drain_s or None)
            while not wanted.done():
                _undo(replication, target, replication.now() - began, undone)
                await asyncio.wait({wanted}, timeout=CUT_AGAIN_S)
    except BaseException as error:
        wanted.cancel()
        await asyncio.wait({wanted})
        if not wanted.cancelled():
            # It was granted this moment.
            engine.queue.release()
        if not isinstance(error, TimeoutError):
            raise
        raise PromotionRefused(
            f"the transaction that writes now did not end within {timeout_s:g} s",
            hint="End it, or raise the timeout; this node leads on.",
        ) from None
    return len(undone)


def _undo(replication: Replication, target: str, waited_s: float, undone: list[Session]) -> None:
    """Undo the transaction that has the writer; a checkpoint, say, ends by itself."""
    node = replication.node
    holder = node.engine.queue.holder
    session = next((one for one in node.engine.sessions.values() if holder is not None and one.token is holder), None)
    if session is None:
        return
    if session not in undone:
        undone.append(session)
        node.event(
            "writer_taken",
            f"the transaction of process {session.pid} had the writer for {waited_s:.1f} s of the switchover to node "
            f"{target}, and is undone",
            severity="warning", pid=session.pid, user=session.user, to=target,
        )  # fmt: skip
    session.lose_writer(_reason(target))


def _reason(target: str) -> HeliosError:
    return SerializationFailure(
        f"the transaction was undone: the primary gives the lead to node {target}",
        hint="Retry the transaction. switchover_drain is how long a switchover waits for it.",
    )
