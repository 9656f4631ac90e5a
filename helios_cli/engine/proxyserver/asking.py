"""One question to whichever node can answer it: whose password a user has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError, NotServing
from helios_cli.engine.net.pgclient import ConnectionLost
from helios_cli.engine.proxy.settings_sync import literal
from helios_cli.engine.proxyserver.link import Link, Row

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.nodes import Cluster

NOT_SERVING: Final = "57P"
"""Beginning of the SQLSTATEs of a node that is stopping, starting, or was ended."""


async def ask(cluster: Cluster, sql: str, parameters: Sequence[str], *, connect_s: float, wait_s: float) -> list[Row]:
    """Run a query as the watches do; ``$1`` and so on stand for the parameters. Any node may answer.

    A client that logs in during a failover waits for the answer as its statements would: up to ``wait_s``.

    Raises:
        HeliosError: 57P03, no node has answered in time; what a node says.
    """
    for number, value in enumerate(parameters, 1):
        sql = sql.replace(f"${number}", literal(value))
    reason = "no node is there"
    try:
        async with asyncio.timeout(wait_s):
            while True:
                node = cluster.reader() or cluster.primary
                if node is None:
                    await _changed(cluster)
                    continue
                try:
                    async with asyncio.timeout(connect_s):
                        return await _asked(cluster, node.host, node.port, sql)
                except (OSError, ConnectionLost) as error:
                    reason = str(error) or type(error).__name__
                except HeliosError as error:
                    if not error.sqlstate.startswith(NOT_SERVING):
                        raise
                    reason = error.message
                # It is given nothing until it has answered its watch; then the loop waits for that.
                cluster.suspect(node, f"cannot ask it who may log in: {reason}")
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise NotServing(f"no node can be asked who may log in: {reason}") from None


async def _asked(cluster: Cluster, host: str, port: int, sql: str) -> list[Row]:
    link = Link(_nothing, _nothing, _nothing)
    try:
        await link.open(host, port, cluster.account)
        return (await link.query(sql))[0]
    finally:
        link.close()


async def _changed(cluster: Cluster) -> None:
    """Wait until a node may be there."""
    event = asyncio.Event()
    cancel = cluster.when_changed(event.set)
    try:
        await event.wait()
    finally:
        cancel()


def _nothing(*_: object) -> None:
    """A node that is asked once has nothing else to tell."""
