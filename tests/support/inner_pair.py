"""A primary and its standby as nodes of the test's process, where a test can reach into both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.inner_node import InnerNode
from support.node_process import free_port, wait_until

from helios_cli.engine.node.replication import Replication

SETTLED_S = 30.0


def replication(node: InnerNode) -> Replication:
    """Of the life that the node is in."""
    return node.node.replication


def run(node: InnerNode, work: Callable[[], Any]) -> Any:
    """A coroutine on the node's loop."""
    return asyncio.run_coroutine_threadsafe(work(), node.node.engine.loop).result(SETTLED_S)


def in_sync(node: InnerNode) -> tuple[str, ...]:
    return node.on_loop(lambda: replication(node).config.in_sync)


@contextlib.contextmanager
def pair(directory: Path, mode: str = "semi-sync", **settings: Any) -> Iterator[tuple[InnerNode, InnerNode]]:
    """The primary n1 and its standby n2, both in sync, with a table t."""
    port = free_port()
    with contextlib.ExitStack() as nodes:
        first = InnerNode(
            directory / "n1",
            node_id="n1",
            replication_role="primary",
            native_port=port,
            replication_mode=mode,
            **settings,
        )
        nodes.enter_context(first)
        with first.connect() as writer:
            writer.execute("CREATE TABLE t (a int PRIMARY KEY)")
        second = InnerNode(
            directory / "n2", node_id="n2", replication_role="standby", primary_host="127.0.0.1", primary_port=port,
            replication_mode=mode, **settings,
        )  # fmt: skip
        nodes.enter_context(second)
        wait_until(lambda: in_sync(first) == ("n1", "n2"), "both copies count", SETTLED_S)
        with first.connect() as writer:
            # The second of them says in its record that the configuration is committed.
            writer.execute("INSERT INTO t VALUES (-1)")
            writer.execute("INSERT INTO t VALUES (-2)")
        yield first, second
