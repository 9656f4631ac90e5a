"""What the proxy counts, for ``/metrics`` and SHOW STATS."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helios_cli.engine.proxy.unit import Unit
    from helios_cli.engine.proxyserver.backend import Backend


class Counts:
    """Since the start of the process."""

    def __init__(self) -> None:
        self.sessions = 0
        self.reads = 0
        self.writes = 0
        """Units for the primary."""
        self.errors = 0
        """Units that were answered with an error."""
        self.waits = 0
        """Units that waited for a node."""
        self.timeouts = 0
        """Units that waited in vain."""
        self.lost = 0
        """Units whose node was lost."""
        self.repeated = 0
        """Units that were sent again."""
        self.asked = 0
        """Outcomes that were asked after."""
        self.unknown = 0
        """Units that were answered 08007."""
        self.replayed = 0
        """Blocks that were run again."""
        self.replays_failed = 0
        """Blocks that could not be run again: 40001."""
        self.differed = 0
        """Answers that were cut, and came out otherwise elsewhere: 40001."""
        self.by_node: dict[str, int] = {}
        """Units by the node that answered."""

    def count(self, unit: Unit, backend: Backend | None) -> None:
        """A unit is over."""
        if unit.access:
            self.writes += 1
        else:
            self.reads += 1
        if unit.failed:
            self.errors += 1
        if backend is not None:
            name = backend.node.name
            self.by_node[name] = self.by_node.get(name, 0) + 1
