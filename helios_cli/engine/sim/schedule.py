"""What happens to a simulated cluster: clients, operators and bad luck, all drawn from the run's random numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from helios_cli.engine.consensus.config import EJECT, WAIT
from helios_cli.engine.consensus.rule import SyncMode

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode
    from helios_cli.engine.sim.observer import SimObserver
    from helios_cli.engine.sim.world import World

MODES = (SyncMode.SEMI_SYNC, SyncMode.QUORUM, SyncMode.SYNC)


class Schedule:
    """The actions of one run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng
        self.counts: Counter[str] = Counter()
        self._number = 0
        self._trouble = self._rng.choice((0.3, 1.0, 2.0))
        """How much goes wrong beside what is done on purpose."""
        self._unattended = self._rng.random() < 0.5
        """No operator promotes: what is cut off stays so for longer, and the cluster helps itself."""
        actions: list[tuple[float, Callable[[], None]]] = [
            (30.0, self.write),
            (4.0, self.read),
            (3.0 * self._trouble, self.crash),
            (2.0 * self._trouble, self.freeze),
            (3.0 * self._trouble, self.cut),
            (1.5 * self._trouble if self._unattended else 3.0 * self._trouble, self.heal),
            (0.0 if self._unattended else 4.0 * self._trouble, self.promote),
            (1.0, self.switchover),
            (0.7, self.configure),
        ]
        self._actions = [action for _, action in actions]
        self._weights = [weight for weight, _ in actions]

    def run(self, steps: int) -> None:
        """So many actions, with the time between them."""
        world, rng = self._world, self._rng
        world.clock.run_until(world.clock.now_us + 600_000)
        for _ in range(steps):
            rng.choices(self._actions, self._weights)[0]()
            pause = rng.choice((500, 3_000, 20_000, 100_000, 300_000))
            world.clock.run_until(world.clock.now_us + rng.randrange(pause))
        world.checkers.converged()

    def settle(self, time_us: int) -> None:
        """Take everything out of the way, and see where it leads."""
        world = self._world
        world.network.heal()
        for host in world.hosts:
            host.thaw()
            host.start()
        world.clock.run_until(world.clock.now_us + time_us)
        world.checkers.converged()

    # Clients ---------------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """A few commits, each at some level."""
        leading = [node for node in self._up() if node.primary is not None and not node.primary.holding]
        if not leading:
            return
        node = self._rng.choice(leading)
        for _ in range(self._rng.randrange(1, 4)):
            primary = node.primary
            if node.frozen or primary is None or len(primary.waiting) > 20:
                return
            self._number += 1
            level = self._rng.choice((None, None, None, None, *SyncMode))
            primary.write(self._number, level)
            self.counts["writes"] += 1

    def read(self) -> None:
        """A reader looks at what a node shows; whether it may, is checked whenever that changes."""
        up = self._up()
        if up:
            node = self._rng.choice(up)
            self._world.tell(node.name, f"is read at {node.exposed}")
            self.counts["reads"] += 1

    # Operators -------------------------------------------------------------------------------------------------------

    def promote(self) -> None:
        """Somebody wants a standby, sometimes two at once, to lead; now and then at any price."""
        standbys = [node for node in self._up() if node.primary is None and not node.frozen]
        self._rng.shuffle(standbys)
        if self._rng.random() < 0.5:
            self.write()
        for node in standbys[: 1 if self._rng.random() < 0.6 else 2]:
            node.campaign.promote(allow_data_loss=self._rng.random() < 0.04)
            self.counts["promotions"] += 1

    def switchover(self) -> None:
        """The lead is given to a standby."""
        leading = [node for node in self._up() if node.primary is not None and not node.frozen]
        if leading:
            node = self._rng.choice(leading)
            others = [name for name in self._world.nodes if name != node.name]
            if others:
                node.campaign.switchover(self._rng.choice(others))
                self.counts["switchovers"] += 1

    def configure(self) -> None:
        """Another mode, or another answer to the loss of a standby."""
        for node in self._up():
            if node.primary is not None and not node.frozen:
                if self._rng.random() < 0.5:
                    mode = self._rng.choice((*MODES, *MODES, SyncMode.ASYNC))
                    node.primary.wanted["mode"] = mode
                else:
                    node.primary.wanted["on_sync_loss"] = self._rng.choice((EJECT, WAIT))
                self.counts["configured"] += 1
                return

    # Bad luck --------------------------------------------------------------------------------------------------------

    def crash(self) -> None:
        """A process, or its machine, dies, and comes back after a while."""
        up = self._hosts_up()
        if not up:
            return
        node = self._victim(up)
        power = self._rng.random() < 0.5
        node.tell("loses its power" if power else "is killed")
        node.stop(power_cut=self._rng.getrandbits(32) if power else None)
        self.counts["crashes"] += 1
        life = node.life
        delay = self._rng.choice((100_000, 1_000_000, 4_000_000))
        self._world.clock.after(self._rng.randrange(delay), lambda: node.start() if node.life == life else None)

    def freeze(self) -> None:
        """A node stands still for a while."""
        up = [host for host in self._hosts_up() if not host.frozen]
        if up:
            node = self._victim(up)
            node.tell("freezes")
            node.freeze()
            self.counts["freezes"] += 1
            life = node.life
            delay = self._rng.randrange(self._rng.choice((50_000, 500_000, 2_000_000)))
            self._world.clock.after(delay, lambda: node.thaw() if node.life == life else None)

    def cut(self) -> None:
        """The network between two nodes, or around one, is cut; in both directions or one."""
        names = [host.name for host in self._world.hosts]
        up = self._hosts_up()
        alone = self._victim(up).name if up else self._rng.choice(names)
        others = [name for name in names if name != alone]
        if not others:
            return
        if self._rng.random() < (0.2 if self._unattended else 0.5):
            others = [self._rng.choice(others)]
        ways = self._rng.choice((1, 2, 3, 3))
        for other in others:
            if ways & 1:
                self._world.network.cut(alone, other)
            if ways & 2:
                self._world.network.cut(other, alone)
        self._world.tell(alone, f"is cut off from {', '.join(others)}" + ("" if ways == 3 else ", one way"))
        self.counts["cuts"] += 1

    def heal(self) -> None:
        """The network is whole again."""
        self._world.network.heal()
        self.counts["heals"] += 1

    def _victim(self, up: list[SimNode | SimObserver]) -> SimNode | SimObserver:
        leading = [one for one in self._up() if one in up and (one.primary is not None or one.campaign.takes_lead)]
        return self._rng.choice(leading) if leading and self._rng.random() < 0.4 else self._rng.choice(up)

    def _hosts_up(self) -> list[SimNode | SimObserver]:
        return [host for host in self._world.hosts if host.up]

    def _up(self) -> list[SimNode]:
        return [node for node in self._world.nodes.values() if node.up]
