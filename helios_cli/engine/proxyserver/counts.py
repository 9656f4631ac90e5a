"""What the proxy counts, for ``/metrics`` and SHOW STATS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from helios_cli.engine.observe.metrics import SECONDS, Histogram

if TYPE_CHECKING:
    from helios_cli.engine.proxy.unit import Unit
    from helios_cli.engine.proxyserver.backend import Backend

WAITED_S: Final = (*SECONDS, 30.0, 60.0)
"""Bounds of what units have waited."""


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
        self.by_node: dict[str, list[int]] = {}
        """Units by the node that answered: those that read, those that write."""
        self.waited = Histogram(WAITED_S)
        """How long units waited for a node or a backend, of those that had to."""

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
            found = self.by_node.get(name)
            if found is None:
                found = self.by_node[name] = [0, 0]
            found[unit.access] += 1

    def totals(self) -> dict[str, int]:
        """Every count by its name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}
