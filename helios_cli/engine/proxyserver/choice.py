"""Which node a read goes to: made ready when something changes, so that asking is quick."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

from helios_cli.engine.proxy.balance import ROUND_ROBIN, chooser

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.node import Node

EVERY_FLOOR: Final = 1 << 64
"""More than any LSN."""
SUBSETS_MAX: Final = 256
"""Sets of nodes that have a floor, or are not avoided, whose turns are remembered."""


class Choice:
    """Among the nodes that take reads now."""

    __slots__ = ("_balancer", "_subsets", "_weights", "any", "least", "login", "nodes", "primary")

    def __init__(self) -> None:
        self.nodes: tuple[Node, ...] = ()
        self.primary: Node | None = None
        """Of the nodes, or another one."""
        self.any: Callable[[], Node | None] = lambda: None
        """One of them, whatever it shows."""
        self.login: Callable[[], Node | None] = lambda: None
        """Likewise, by turns of its own."""
        self._balancer = ROUND_ROBIN
        self._weights: tuple[int, ...] = ()
        self.least = EVERY_FLOOR
        """What all of them but the primary show."""
        self._subsets: dict[tuple[Node, ...], Callable[[], Node | None]] = {}

    def set(self, nodes: Sequence[Node], primary: Node | None, balancer: str) -> bool:
        """Other nodes, or another primary among them; whether that is so. Whose turn it is is kept when it is not."""
        chosen, weights = tuple(nodes), tuple(node.weight for node in nodes)
        changed = chosen != self.nodes or primary is not self.primary
        if chosen != self.nodes or (balancer, weights) != (self._balancer, self._weights):
            self.nodes, self._balancer, self._weights = chosen, balancer, weights
            self.any = chooser(balancer, chosen, random.random)
            self.login = chooser(balancer, chosen, random.random)
            self._subsets = {}
        self.primary = primary
        self.moved()
        return changed

    def moved(self) -> None:
        """A node shows something newer."""
        self.least = min((node.lsn for node in self.nodes if node is not self.primary), default=EVERY_FLOOR)

    def one(self, floor: int, avoid: Collection[Node]) -> Node | None:
        """One of those that show the floor, and are not to be avoided; None: there is none.

        The primary shows every floor: nobody has seen more than it has.
        """
        if floor <= self.least and not avoid:
            return self.any()
        primary = self.primary
        fit = tuple([node for node in self.nodes if (node.lsn >= floor or node is primary) and node not in avoid])
        if not fit:
            return None
        turn = self._subsets.get(fit)
        if turn is None:
            if len(self._subsets) >= SUBSETS_MAX:
                self._subsets.clear()
            turn = self._subsets[fit] = chooser(self._balancer, fit, random.random)
        return turn()

    def all(self, floor: int) -> list[Node]:
        """Those that show the floor."""
        return [node for node in self.nodes if node.lsn >= floor or node is self.primary]

    def lacking(self, floor: int) -> list[Node]:
        """Those that do not show the floor yet."""
        return [node for node in self.nodes if node.lsn < floor and node is not self.primary]
