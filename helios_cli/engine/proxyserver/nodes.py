"""The nodes behind the proxy: what is known of each, and which of them gets a statement."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from helios_cli.engine.config.proxy import ProxySettings


class State(Enum):
    """Whether a node is given statements."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    """What runs there may end; nothing new comes."""
    DISABLED = "disabled"


class Node:
    """One node, as it was last heard of."""

    def __init__(self, name: str, host: str, port: int, *, weight: int = 1, enabled: bool = True) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.weight = weight
        self.state = State.UNHEALTHY if enabled else State.DISABLED
        self.is_heliosdb = True
        """Else plain PostgreSQL."""
        self.role = ""
        """``primary`` or ``standby``; empty before it has been heard."""
        self.term = 0
        """Of a HeliosDB node the cluster's, of plain PostgreSQL the timeline."""
        self.lsn = 0
        """A query that comes now sees at least this."""
        self.lag_bytes = 0
        self.lag_ms = 0.0
        self.latency_s = 0.0
        self.active = 0
        """Units in hand there; kept by the pools."""
        self.generation = 0
        """Raised when every connection to it must go: it was lost, it leads no longer, its address has changed."""


class Cluster:
    """All nodes, who of them leads, and the watches that keep this true. One per proxy process."""

    def __init__(self, settings: ProxySettings, loop: asyncio.AbstractEventLoop) -> None:
        self.nodes: dict[str, Node] = {}
        self.primary: Node | None = None
        """Who takes writes now; None while nobody is known to."""
        self.term = 0
        """The highest that was heard; a node that claims to lead in a lower one is not believed."""
        self.on_change: list[Callable[[Node], None]] = []
        """Called when a node's state, role or generation has changed."""

    async def start(self) -> None:
        """Watch the nodes, and find out who leads."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End every watch."""
        raise NotImplementedError

    def apply(self, settings: ProxySettings) -> None:
        """Other settings: nodes come and go, limits change."""
        raise NotImplementedError

    def reader(self, floor: int = 0, avoid: Collection[Node] = ()) -> Node | None:
        """A node for a read, by the balancer: healthy, within the lag limits, with the floor; None: there is none now.

        The primary counts as a reader, unless the settings say otherwise.
        """
        raise NotImplementedError

    def when_changed(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once, when something has changed that a waiting statement may go by; gives what cancels that."""
        raise NotImplementedError

    def suspect(self, node: Node, reason: str) -> None:
        """A connection to the node broke or was refused: ask it at once, and give it nothing until it answers."""
        raise NotImplementedError

    def look(self, floor: int) -> None:
        """A read found no standby with this floor: ask them how far they are, unless that was just done."""
        raise NotImplementedError
