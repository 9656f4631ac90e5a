"""What every simulated process has: lives, which end, stand still or fail; a disk; and clocks that run as they like."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from helios_cli.engine.sim.disk import DiskFailed, SimDisk

if TYPE_CHECKING:
    from helios_cli.engine.sim.world import World

DRIFT: Final = 0.06
"""How much faster or slower than true time a steady clock may run: two such clocks differ by less than what a lease
gives up for that."""


class Crash(Exception):
    """The process ends at a point that it has reached."""


class Doom(NamedTuple):
    """Where a process is to end next."""

    point: str
    power: int | None
    """The machine's power is cut there, with this seed for what is lost; None: only the process dies."""


class SimHost:
    """One process on a machine of its own, through all its lives."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.rng = Random(f"{world.spec.seed} {name}")
        self.life = 0
        self.up = False
        self.frozen = False
        self.disk = SimDisk(self)
        self.disk_number = 1
        self.incarnation = self._incarnation()
        """Of what is on its disk."""
        self.doom: Doom | None = None
        self.sync_factor = 1
        """How much slower than usual its disk is."""
        self.stuck_until_us = 0
        """Until then, of true time, no sync of its disk ends."""
        self._pace = 1 + DRIFT * self.rng.choice((-1, self.rng.uniform(-1, 1), 1))
        self._wall_offset_us = self.rng.randrange(1 << 40)
        self._deferred: list[tuple[int, Callable[..., None], tuple[Any, ...]]] = []

    # Clocks ----------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Its steady clock, seconds."""
        return self.world.clock.now_us * self._pace / 1e6

    @property
    def wall_us(self) -> int:
        """Its wall clock, microseconds, which may be set."""
        return self.world.clock.now_us + self._wall_offset_us

    def set_clock(self, by_us: int) -> None:
        """Set the wall clock forward or back."""
        self._wall_offset_us = max(0, self._wall_offset_us + by_us)

    # Its disk --------------------------------------------------------------------------------------------------------

    def replace_disk(self) -> None:
        """The disk is lost: another one takes its place, with nothing on it."""
        self.disk_number += 1
        self.incarnation = self._incarnation()
        self.disk = SimDisk(self)

    def _incarnation(self) -> str:
        return f"disk {self.disk_number} of {self.name}"

    def sync_time(self) -> int:
        """How long the next sync takes, microseconds; a few take much longer."""
        drawn = self.rng.random()
        usual = int(300 + 2000 * drawn) * (30 if drawn > 0.98 else 1) * self.sync_factor
        return max(usual, self.stuck_until_us - self.world.clock.now_us)

    # Lives -----------------------------------------------------------------------------------------------------------

    def begin_life(self) -> None:
        """Be there again."""
        self.life += 1
        self.up, self.frozen = True, False
        self._deferred.clear()

    def start(self) -> None:
        """Begin a life with what the disk holds."""
        if not self.up:
            self.begin_life()
            self.run(self.life, self.begin)

    def begin(self) -> None:
        """What a life begins with."""
        raise NotImplementedError

    def stop(self, *, power_cut: int | None = None) -> None:
        """End a life: of a process, whose connections end with it, or of the machine, with a seed for what is lost."""
        if not self.up:
            return
        self.up = False
        self.doom = None
        if power_cut is None:
            self.hang_up()
        else:
            self.disk.power_cut(power_cut)

    def hang_up(self) -> None:
        """End the connections."""

    def restart(self, delay_us: int) -> None:
        """Begin the next life in a while, unless somebody does before."""
        life = self.life
        self.world.clock.after(delay_us, lambda: self.start() if self.life == life else None)

    def meet(self, point: str) -> None:
        """A point at which the process may have to end: before something is written, sent or shown, or after that."""
        if self.doom is not None and self.doom.point == point:
            raise Crash(point)

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
            return
        try:
            action(*arguments)
        except Crash as crash:
            power = self.doom.power if self.doom is not None else None
            self.tell(f"{'is killed' if power is None else 'loses its power'} at the point: {crash}")
            self.world.points[str(crash)] += 1
            self.stop(power_cut=power)
            self.restart(self.rng.randrange(1_000_000))
        except DiskFailed as failure:
            self.tell(f"ends: {failure}")
            self.stop()
            self.restart(self.rng.randrange(500_000))

    def after(self, delay_us: int, action: Callable[..., None], *arguments: Any) -> None:
        """Do something in a while, in this life."""
        self.world.clock.after(delay_us, self.run, self.life, action, *arguments)

    def tell(self, text: str) -> None:
        """Put a line into the story of the run."""
        self.world.tell(self.name, text)
