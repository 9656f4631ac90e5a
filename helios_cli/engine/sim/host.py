"""What every simulated process has: lives, which may end or stand still, and a clock that runs as it likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helios_cli.engine.sim.world import World

DRIFT = 0.03
"""How much faster or slower than the others a clock may run."""


class SimHost:
    """One process on a machine of its own, through all its lives."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.life = 0
        self.up = False
        self.frozen = False
        self._pace = 1 + DRIFT * (2 * world.rng.random() - 1)
        self._deferred: list[tuple[int, Callable[..., None], tuple[Any, ...]]] = []

    @property
    def now_us(self) -> int:
        """Its steady clock, microseconds."""
        return int(self.world.clock.now_us * self._pace)

    @property
    def now(self) -> float:
        """The same in seconds."""
        return self.now_us / 1e6

    def begin_life(self) -> None:
        """Be there again."""
        self.life += 1
        self.up, self.frozen = True, False
        self._deferred.clear()

    def freeze(self) -> None:
        """Let nothing happen in it."""
        self.frozen = self.up

    def thaw(self) -> None:
        """Let happen all that has waited."""
        self.frozen = False
        waiting, self._deferred = self._deferred, []
        for life, action, arguments in waiting:
            self.run(life, action, *arguments)

    def run(self, life: int, action: Callable[..., None], *arguments: Any) -> None:
        """Do something, if that life lasts; later, if it is frozen."""
        if not self.up or life != self.life:
            return
        if self.frozen:
            self._deferred.append((life, action, arguments))
        else:
            action(*arguments)

    def after(self, delay_us: int, action: Callable[..., None], *arguments: Any) -> None:
        """Do something in a while, in this life."""
        self.world.clock.after(delay_us, self.run, self.life, action, *arguments)

    def tell(self, text: str) -> None:
        """Put a line into the story of the run."""
        self.world.tell(self.name, text)
