"""The proxy's knowledge of its nodes, alone: a Cluster on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from support.node_process import wait_until

from helios_cli.engine.config.proxy import NodeSettings, ProxySettings
from helios_cli.engine.proxyserver.node import Node, State
from helios_cli.engine.proxyserver.nodes import Cluster

T = TypeVar("T")
WAIT_S = 60.0


class Watched:
    """A cluster that is watched, and what happened to it."""

    def __init__(self, settings: ProxySettings, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop or asyncio.new_event_loop()
        self.changes: list[tuple[str, str, str, int, int]] = []
        """Of each change: the node's name, its state, role, term and generation."""
        self.leads: list[tuple[str, int]] = []
        """The primaries one after the other, each with its term."""
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.cluster = self.call(lambda: Cluster(settings, self.loop))
        self.cluster.on_change.append(self._changed)
        self.call(lambda: self.cluster.when_changed(self._look))
        asyncio.run_coroutine_threadsafe(self.cluster.start(), self.loop).result(WAIT_S)

    def _changed(self, node: Node) -> None:
        self.changes.append((node.name, node.state.value, node.role, node.term, node.generation))

    def _look(self) -> None:
        self.cluster.when_changed(self._look)
        primary = self.cluster.primary
        if primary is not None and (not self.leads or self.leads[-1] != (primary.name, primary.term)):
            self.leads.append((primary.name, primary.term))

    def call(self, function: Callable[[], T]) -> T:
        """Run on the loop; gives what it returns."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(WAIT_S)

    def close(self) -> None:
        """End the watches and the thread."""
        asyncio.run_coroutine_threadsafe(self.cluster.stop(), self.loop).result(WAIT_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def node(self, name: str) -> Node:
        """The node of that name."""
        return self.cluster.nodes[name]

    @property
    def primary(self) -> str:
        """The name of the primary; empty: there is none."""
        primary = self.cluster.primary
        return primary.name if primary is not None else ""

    def readers(self, floor: int = 0) -> set[str]:
        """The nodes that reads go to now."""

        def ask() -> set[str]:
            found = [self.cluster.reader(floor) for _ in range(20)]
            return {node.name for node in found if node is not None}

        return self.call(ask)

    def wait_primary(self, name: str) -> Node:
        """Wait until a node is the primary."""
        wait_until(lambda: self.primary == name, f"{name} is the primary", WAIT_S)
        return self.node(name)

    def wait_state(self, name: str, state: State) -> None:
        """Wait until a node is in a state."""
        wait_until(lambda: self.node(name).state is state, f"{name} is {state.value}", WAIT_S)

    def wait_role(self, name: str, role: str) -> None:
        """Wait until a node answers in a role."""
        node = self.node(name)
        wait_until(lambda: node.role == role and node.state is State.HEALTHY, f"{name} is a healthy {role}", WAIT_S)

    def wait_readers(self, *names: str, floor: int = 0) -> None:
        """Wait until reads go to these and no others."""
        wait_until(lambda: self.readers(floor) == set(names), f"reads go to {names}", WAIT_S)


@contextmanager
def watched(loop: asyncio.AbstractEventLoop | None = None, **settings: Any) -> Iterator[Watched]:
    """Watch by settings, on a loop that does not run yet; checks come often, so that tests are quick."""
    given: dict[str, Any] = {"health_check_interval": 0.5, "health_check_timeout": 1.0}
    found = Watched(ProxySettings(**(given | settings)), loop)
    try:
        yield found
    finally:
        found.close()


def as_nodes(nodes: Any, **more: Any) -> tuple[NodeSettings, ...]:
    """``[[nodes]]`` for servers that have a name and a port."""
    return tuple(NodeSettings(node.name, "127.0.0.1", node.pg_port, **more.get(node.name, {})) for node in nodes)
