"""Lets happen what the plan of a run has: clients, operators and bad luck."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Final

from helios_cli.engine.consensus.config import EJECT, WAIT
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.sim.host import Doom
from helios_cli.engine.sim.plan import Action
from helios_cli.engine.types import Lsn, Token

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode
    from helios_cli.engine.sim.observer import SimObserver
    from helios_cli.engine.sim.world import World

MODES: Final = (SyncMode.SEMI_SYNC, SyncMode.QUORUM, SyncMode.SYNC)
DEEDS: Final = (
    "a record is written", "the log is synced", "the control file is written", "a message is sent",
    "an answer is sent", "records are applied", "commits are shown",
)  # fmt: skip
POINTS: Final = (
    *(f"{when} {deed}" for when in ("before", "after") for deed in DEEDS),
    "before the log is cut",
    "before a commit is acknowledged",
    "before a question is sent",
)
"""Where a process may end: whatever it does, it has not done it, or nobody knows."""

SESSIONS: Final = 3


class Director:
    """The actions of one run, as they happen."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = Random(0)
        self.counts: Counter[str] = Counter()
        self._number = 0
        self._sessions: dict[int, tuple[Token, tuple[Lsn, int]]] = {}
        """What each session has seen last: the token that it was given, end and checksum of the log then."""
        self._lost_disks = 0
        self.is_over = False
        """Nothing more is to get in the way."""

    def act(self, action: Action) -> None:
        """Let one thing happen."""
        self._rng = Random(action.seed)
        getattr(self, action.kind)()

    # Clients ---------------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """A few commits, each at some level."""
        leading = [node for node in self._leading() if node.primary is not None and not node.primary.holding]
        if leading:
            node = self._rng.choice(leading)
            for _ in range(self._rng.randrange(1, 4)):
                level = self._rng.choice((None, None, None, None, *SyncMode))
                self._number += 1
                node.run(node.life, self._write, node, self._number, level)

    def _write(self, node: SimNode, number: int, level: SyncMode | None) -> None:
        primary = node.primary
        if primary is not None and len(primary.waiting) <= 20:
            self.counts["writes" if primary.write(number, level) else "refused"] += 1

    def read(self) -> None:
        """A session reads somewhere: what everybody has, or at least what it has seen itself."""
        up = [node for node in self._up() if not node.frozen and node.exposed]
        if not up:
            return
        node = self._rng.choice(up)
        self.counts["reads"] += 1
        if node.primary is not None and self._rng.random() < 0.6:
            known = tuple(self._world.checkers.current)
            node.run(node.life, node.primary.read, partial(self._world.checkers.read, node, known))
            return
        number = self._rng.randrange(SESSIONS)
        token, seen = self._sessions.get(number, (Token(Lsn(0), None), (Lsn(0), 0)))
        history = node.log.history
        if history.holds(token) is False:
            # Its commit was lost, and it is told so.
            self._sessions.pop(number)
        elif history.holds(token) and node.exposed >= token.lsn:
            self._world.checkers.session_read(node, seen)
            self._sessions[number] = history.token(node.exposed), (node.exposed, node.log.checksums[node.exposed])

    # Operators -------------------------------------------------------------------------------------------------------

    def promote(self) -> None:
        """Somebody wants a standby, sometimes two at once, to lead."""
        standbys = [node for node in self._up() if node.primary is None and not node.frozen]
        self._rng.shuffle(standbys)
        if self._rng.random() < 0.5:
            self.write()
        for node in standbys[: 1 if self._rng.random() < 0.6 else 2]:
            self._promote(node, False)

    def _promote(self, node: SimNode, any_price: bool) -> None:
        node.run(node.life, partial(node.campaign.promote, allow_data_loss=any_price))
        self.counts["promotions"] += 1

    def switchover(self) -> None:
        """The lead is given to a standby; now and then the two are cut off from each other in the middle of it."""
        leading = [node for node in self._leading() if not node.frozen]
        if leading:
            node = self._rng.choice(leading)
            others = [name for name in self._world.nodes if name != node.name]
            if others:
                target = self._rng.choice(others)
                node.run(node.life, node.campaign.switchover, target)
                self.counts["switchovers"] += 1
                if self._rng.random() < 0.15:
                    delay_us = self._rng.randrange(self._rng.choice((10_000, 60_000)))
                    self._world.clock.after(delay_us, self._cut_later, node.name, target)

    def _cut_later(self, one: str, other: str) -> None:
        if not self.is_over:
            self._part([one], [other], 3)

    def configure(self) -> None:
        """Another mode, another answer to the loss of a standby, or other times."""
        leading = [node for node in self._leading() if not node.frozen]
        if not leading:
            return
        primary = self._rng.choice(leading).primary
        assert primary is not None
        field = self._rng.choice(("mode", "mode", "on_sync_loss", "lease_ms", "eject_after_ms", "paused"))
        if field == "paused" and self._world.spec.survivable:
            return
        values = {
            "mode": self._rng.choice((*MODES, *MODES, SyncMode.ASYNC)),
            "on_sync_loss": self._rng.choice((EJECT, WAIT)),
            "lease_ms": self._rng.randrange(250, self._rng.choice((900, 900, 2500))),
            "eject_after_ms": self._rng.randrange(300, 1200),
            "paused": self._rng.random() < 0.3,
        }
        primary.wanted[field] = values[field]
        self.counts["configured"] += 1

    def remove(self) -> None:
        """A standby is taken out of the cluster; if it still follows it comes back."""
        leading = [node for node in self._leading() if not node.frozen]
        if leading:
            node = self._rng.choice(leading)
            assert node.primary is not None
            names = sorted(host.name for host in self._world.hosts if host is not node)
            if names:
                node.primary.unwanted.add(self._rng.choice(names))
                self.counts["removed"] += 1

    # Bad luck: processes ---------------------------------------------------------------------------------------------

    def crash(self) -> None:
        """A process, or its machine, dies, and comes back after a while."""
        host = self._victim()
        if host is not None:
            self._crash(host, self._rng.choice((100_000, 1_000_000, 4_000_000)))

    def outage(self) -> None:
        """A part of the cluster ends at once and comes back, one after the other; perhaps away from the others."""
        hosts = list(self._world.hosts)
        struck = self._rng.sample(hosts, self._rng.randrange(1, len(hosts) + 1))
        others = [host.name for host in hosts if host not in struck]
        if others and self._rng.random() < 0.5:
            self._part([host.name for host in struck], others, self._rng.choice((1, 2, 3, 3)))
        lasting_us = self._rng.choice((50_000, 300_000, 2_000_000))
        for host in struck:
            if host.up:
                self._crash(host, lasting_us)
        self.counts["outages"] += 1

    def _crash(self, host: SimNode | SimObserver, longest_us: int) -> None:
        power = self._rng.random() < 0.5
        host.tell("loses its power" if power else "is killed")
        host.stop(power_cut=self._rng.getrandbits(32) if power else None)
        host.restart(self._rng.randrange(longest_us))
        self.counts["crashes"] += 1

    def doom(self) -> None:
        """A process is to die at some point in what it does."""
        host = self._victim()
        if host is not None:
            power = self._rng.getrandbits(32) if self._rng.random() < 0.6 else None
            host.doom = Doom(self._rng.choice(POINTS), power)

    def freeze(self) -> None:
        """A node stands still for a while."""
        host = self._victim()
        if host is None or host.frozen:
            return
        host.tell("freezes")
        host.freeze()
        self.counts["freezes"] += 1
        life = host.life
        delay_us = self._rng.randrange(self._rng.choice((50_000, 500_000, 2_000_000)))
        self._world.clock.after(delay_us, lambda: host.thaw() if host.life == life else None)

    def clock(self) -> None:
        """Somebody sets the wall clock of a machine, forward or back."""
        host = self._rng.choice(list(self._world.hosts))
        by_us = self._rng.choice((-1, 1)) * self._rng.randrange(self._rng.choice((300_000, 5_000_000, 1 << 34)))
        host.tell(f"has its wall clock set by {by_us / 1e6:+.3f} s")
        host.set_clock(by_us)
        self.counts["clocks"] += 1

    # Bad luck: the network -------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """The network between two nodes, around one, or between two groups is cut; in both directions or one."""
        names = [host.name for host in self._world.hosts]
        victim = self._victim()
        some = [victim.name if victim is not None else self._rng.choice(names)]
        others = [name for name in names if name not in some]
        if not others:
            return
        drawn = self._rng.random()
        if drawn < 0.3:
            others = [self._rng.choice(others)]
        elif drawn < 0.6:
            some += self._rng.sample(others, self._rng.randrange(len(others)))
            others = [name for name in others if name not in some]
        self._part(some, others, self._rng.choice((1, 2, 3, 3)))
        self.counts["cuts"] += 1

    def _part(self, some: Sequence[str], others: Sequence[str], ways: int) -> None:
        """Cut some off from others: 1 what they send to those, 2 what those send to them, 3 both."""
        for one, other in product(some, others):
            if ways & 1:
                self._world.network.cut(one, other)
            if ways & 2:
                self._world.network.cut(other, one)
        how = {1: ": nothing they send arrives", 2: ": nothing arrives there", 3: ""}[ways]
        self._world.tell("", f"{', '.join(some)} cut off from {', '.join(others)}{how}")

    def disaster(self) -> None:
        """A part of the cluster is cut off, the primary perhaps, and an operator has another one lead at any price."""
        if self._world.spec.survivable:
            return
        nodes = list(self._world.nodes)
        left = self._rng.sample(nodes, self._rng.randrange(1, len(nodes) + 1))
        others = [host.name for host in self._world.hosts if host.name not in left]
        self._part(left, others, 3)
        node = self._world.nodes[self._rng.choice(left)]
        lasting_us = self._rng.randrange(self._rng.choice((100_000, 2_000_000)))
        self._world.clock.after(lasting_us, self._promote, node, True)
        self.counts["disasters"] += 1

    def ring(self) -> None:
        """Each hears its neighbours in a ring only: every one sees another part of the cluster."""
        names = [host.name for host in self._world.hosts]
        self._rng.shuffle(names)
        size = len(names)
        for at, name in enumerate(names):
            for other in (*names[:at], *names[at + 1 :]):
                if (names.index(other) - at) % size not in (1, size - 1):
                    self._world.network.cut(name, other)
        if size == 3:
            # A ring of three is whole; a chain is not.
            self._world.network.cut(names[0], names[2])
            self._world.network.cut(names[2], names[0])
        self._world.tell("", f"each hears its neighbours only, in the ring {', '.join(names)}")
        self.counts["rings"] += 1

    def reset(self) -> None:
        """The connections of a node end, with all that was under way in them; perhaps nobody is told."""
        host = self._rng.choice(list(self._world.hosts))
        silently = self._rng.random() < 0.4
        self._world.network.break_links(host.name, silently=silently)
        host.tell(f"loses its connections{', and nobody hears of that' if silently else ''}")
        self.counts["resets"] += 1

    def network(self) -> None:
        """The network becomes slower or faster, and loses or doubles more or less."""
        network = self._world.network
        network.delay_us = self._rng.choice(((100, 1500), (100, 1500), (50, 400), (2_000, 30_000), (100, 120_000)))
        network.loss = self._rng.choice((0.0, 0.0, 0.05, 0.3))
        network.twice = self._rng.choice((0.0, 0.1, 0.3))
        low, high = network.delay_us
        told = f"messages take {low / 1e3:g} to {high / 1e3:g} ms"
        self._world.tell("", f"{told}, {network.loss:.0%} of the questions are lost, {network.twice:.0%} come twice")
        self.counts["networks"] += 1

    def heal(self) -> None:
        """The network is whole again."""
        self._world.tell("", "the network is whole")
        self._world.network.heal()
        self.counts["heals"] += 1

    # Bad luck: disks -------------------------------------------------------------------------------------------------

    def disk(self) -> None:
        """A disk becomes full, slow, stands still for a while, or fails a sync."""
        host = self._rng.choice(list(self._world.hosts))
        what = self._rng.choice(("full", "slow", "stuck", "failing"))
        lasting_us = self._rng.randrange(self._rng.choice((300_000, 2_000_000)))
        if what == "full":
            host.tell("has a full disk")
            host.disk.is_full = True
        elif what == "slow":
            host.tell("has a slow disk")
            host.sync_factor = 40
        elif what == "stuck":
            host.tell("has a disk that stands still")
            host.stuck_until_us = self._world.clock.now_us + lasting_us
        else:
            host.tell("has a disk whose next sync fails")
            host.disk.fail_next_sync()
        disk = host.disk
        self._world.clock.after(lasting_us, lambda: self._disk_is_well(host, disk))
        self.counts[f"disks_{what}"] += 1

    def _disk_is_well(self, host: SimNode | SimObserver, disk: object) -> None:
        host.sync_factor = 1
        if host.disk is disk:
            host.disk.is_full = False

    def lose_disk(self) -> None:
        """A machine comes back with an empty disk. Survivable is one such loss while all is well."""
        hosts = [host for host in self._world.hosts if len(self._world.nodes) > 1 or host.name not in self._world.nodes]
        if not hosts or (self._world.spec.survivable and (self._lost_disks or not self._is_whole())):
            return
        host = self._rng.choice(hosts)
        host.tell("loses its disk")
        self._lost_disks += 1
        self.counts["disks_lost"] += 1
        host.lose_disk()
        host.restart(self._rng.randrange(1_000_000))

    def _is_whole(self) -> bool:
        """Whether a primary counts on every copy and every vote, and all of them have all of its log."""
        names = tuple(sorted(self._world.nodes))
        if len(names) < 3:
            return False
        for node in self._leading():
            assert node.primary is not None
            config = node.primary.lsns.config
            if config.in_sync == config.voting == names and node.primary.lsns.pending is None:
                end = node.log.end
                checksum = node.log.checksums[end]
                return all(other.log.has(end, checksum) for other in self._world.nodes.values())
        return False

    # Whom ------------------------------------------------------------------------------------------------------------

    def _victim(self) -> SimNode | SimObserver | None:
        """Somebody who is up, the primary more often than others."""
        up = [host for host in self._world.hosts if host.up]
        if not up:
            return None
        leading: list[SimNode | SimObserver] = [
            node for node in self._up() if node.is_leading or node.campaign.takes_lead
        ]
        return self._rng.choice(leading) if leading and self._rng.random() < 0.4 else self._rng.choice(up)

    def _leading(self) -> list[SimNode]:
        return [node for node in self._up() if node.is_leading]

    def _up(self) -> list[SimNode]:
        return [node for node in self._world.nodes.values() if node.up]
