"""Clusters under one disturbance after the other, several at once, drawn from a seed: nothing that was told is wrong.

Unlike :mod:`support.fault_drill`, which knows what has to come of each fault, this one only demands what always holds:
no acknowledged row is lost, no answer was wrong, and when nothing is in the way any more the cluster is whole again.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.fault_clients import SCHEMA, Address, Clients
from support.fault_drill import FLAGS, LOGIN, SETTLED_S, goes_on, in_sync, judge, leads
from support.network import HostedNode, Network
from support.node_process import wait_until

DURABLE: Final = ("quorum", "sync", "semi-sync")
SLOW_S: Final = 10.0


@dataclass
class Outcome:
    """What a drill came to."""

    rounds: int = 0
    acknowledged: int = 0
    operations: int = 0
    salvaged: int = 0
    disturbances: dict[str, int] = field(default_factory=dict)
    """How often there was each."""
    longest_s_max: float = 0.0
    """The longest time from the end of a round's disturbances to an acknowledged row."""
    slow: list[str] = field(default_factory=list)
    """Rounds in which that was more than ten seconds."""


@dataclass
class Shape:
    """Of a cluster."""

    mode: str
    data: int
    observers: int


class Chaos:
    """A cluster and what is done to it."""

    def __init__(self, network: Network, directory: Path, shape: Shape, seed: int) -> None:
        self.network = network
        self.rng = random.Random(seed)
        self.shape = shape
        self.data = _data_nodes(network, directory, shape)
        self.observers = _observers(network, directory, shape, self.data[0])
        self.down: set[str] = set()
        """Names of nodes that were killed or stopped, and not started again."""

    @property
    def nodes(self) -> list[HostedNode]:
        """All processes of the cluster."""
        return [*self.data, *self.observers]

    def primary(self) -> HostedNode | None:
        """Who says that it leads, if anybody does."""
        return next((node for node in self.data if node.host.name not in self.down and leads(node)), None)

    def is_whole(self) -> bool:
        """Whether exactly one leads, every copy counts, every observer votes, and nothing is on its way."""
        leading = [node for node in self.data if leads(node)]
        if len(leading) != 1 or in_sync(leading[0]) != len(self.data):
            return False
        voters = leading[0].http("/status")[1]["cluster"]["voters"]
        return len(voters) == len(self.data) + len(self.observers)

    def disturb(self) -> list[str]:
        """One to three disturbances, some at the same time; their names."""
        names = self.rng.choices(tuple(DISTURBANCES), k=self.rng.choice((1, 1, 2, 3)))
        for name in names:
            DISTURBANCES[name](self)
            time.sleep(self.rng.choice((0.0, self.rng.uniform(0.0, 0.3), self.rng.uniform(0.0, 2.0))))
        return names

    def calm(self) -> None:
        """Take everything out of the way."""
        self.network.heal()
        nodes = self.nodes
        self.rng.shuffle(nodes)
        for node in nodes:
            if node.host.name in self.down:
                node.start(wait=False)
                time.sleep(self.rng.choice((0.0, self.rng.uniform(0.0, 0.5))))
            else:
                node.send(signal.SIGCONT)
        self.down.clear()

    # Disturbances ----------------------------------------------------------------------------------------------------

    def any_of(self, nodes: Iterable[HostedNode]) -> HostedNode | None:
        """One of those that run."""
        up = [node for node in nodes if node.host.name not in self.down]
        return self.rng.choice(up) if up else None

    def ended(self, node: HostedNode | None, how: Callable[[HostedNode], object] = HostedNode.kill) -> None:
        """A node is gone until all is calm."""
        if node is not None:
            # One that stands still could not end.
            node.send(signal.SIGCONT)
            how(node)
            self.down.add(node.host.name)

    def frozen(self, node: HostedNode | None, seconds: float) -> None:
        """A node stands still for a while, or, where that is not over by then, until all is calm."""
        if node is None:
            return
        node.send(signal.SIGSTOP)
        if seconds < 1:
            time.sleep(seconds)
            node.send(signal.SIGCONT)

    def set_mode(self, primary: HostedNode, mode: str) -> None:
        """Of the cluster: nodes that were started with a mode of their own would leave it with every change."""
        primary.http("/admin/config", body={"name": "replication_mode", "value": mode})

    def switch(self) -> threading.Thread:
        """The primary is asked to give its place away; the thread waits for what it says."""
        primary = self.primary()

        def ask() -> None:
            with suppress(OSError):
                if primary is not None:
                    primary.http("/admin/switchover", body={}, timeout=20)

        thread = threading.Thread(target=ask)
        thread.start()
        return thread


def _kill_primary(chaos: Chaos) -> None:
    """SIGKILL."""
    chaos.ended(chaos.primary())


def _kill_any(chaos: Chaos) -> None:
    """SIGKILL of any node."""
    chaos.ended(chaos.any_of(chaos.nodes))


def _stop_primary(chaos: Chaos) -> None:
    """SIGTERM: it hands over first."""
    chaos.ended(chaos.primary(), HostedNode.stop)


def _restart_primary(chaos: Chaos) -> None:
    """SIGKILL, and up again at once."""
    primary = chaos.primary()
    chaos.ended(primary)
    if primary is not None:
        primary.start(wait=False)
        chaos.down.discard(primary.host.name)


def _kill_successor(chaos: Chaos) -> None:
    """The primary dies, and so does who leads next."""
    primary = chaos.primary()
    chaos.ended(primary)
    time.sleep(chaos.rng.uniform(0.3, 1.5))
    if primary is not None:
        primary.start(wait=False)
        chaos.down.discard(primary.host.name)
    chaos.ended(chaos.primary())


def _freeze_primary(chaos: Chaos) -> None:
    """SIGSTOP."""
    chaos.frozen(chaos.primary(), chaos.rng.uniform(0.05, 2.0))


def _freeze_any(chaos: Chaos) -> None:
    """SIGSTOP of any node."""
    chaos.frozen(chaos.any_of(chaos.nodes), chaos.rng.uniform(0.05, 2.0))


def _switchover(chaos: Chaos) -> None:
    """In order."""
    chaos.switch().join()


def _torn_switchover(chaos: Chaos) -> None:
    """The primary dies while it gives its place away, or who takes it does."""
    primary = chaos.primary()
    asked = chaos.switch()
    time.sleep(chaos.rng.uniform(0.0, 0.15))
    others = [node for node in chaos.data if node is not primary]
    chaos.ended(chaos.rng.choice((primary, chaos.any_of(others))))
    asked.join()


def _power(chaos: Chaos) -> None:
    """All nodes die at once."""
    for node in chaos.nodes:
        if node.host.name not in chaos.down:
            chaos.ended(node)


def _cut_one_way(chaos: Chaos) -> None:
    """What one node sends to another is lost."""
    source, target = chaos.rng.sample(chaos.nodes, 2)
    chaos.network.cut(source.host, target.host)


def _isolate(chaos: Chaos) -> None:
    """Nothing goes out of a node's host, or comes in."""
    chaos.network.isolate(chaos.rng.choice(chaos.nodes).host)


def _heal(chaos: Chaos) -> None:
    """Cuts are over, in the middle of other things."""
    chaos.network.heal()


def _change_mode(chaos: Chaos) -> None:
    """The cluster is told to wait for other copies; it does not become async, nor does an async one leave that."""
    primary = chaos.primary()
    if primary is not None and chaos.shape.mode != "async":
        with suppress(OSError):
            chaos.set_mode(primary, chaos.rng.choice(DURABLE))


DISTURBANCES: Final[dict[str, Callable[[Chaos], None]]] = {
    "kill-primary": _kill_primary, "kill-any": _kill_any, "stop-primary": _stop_primary,
    "restart-primary": _restart_primary, "kill-successor": _kill_successor, "freeze-primary": _freeze_primary,
    "freeze-any": _freeze_any, "switchover": _switchover, "torn-switchover": _torn_switchover, "power": _power,
    "cut-one-way": _cut_one_way, "isolate": _isolate, "heal": _heal, "change-mode": _change_mode,
}  # fmt: skip


def run_chaos(network: Network, directory: Path, shape: Shape, rounds: int, seed: int, *, writers: int = 6) -> Outcome:
    """So many rounds on a cluster of that shape. Raises AssertionError when something is wrong that must not be."""
    chaos = Chaos(network, directory, shape, seed)
    outcome = Outcome()
    wait_until(chaos.is_whole, "every copy counts, every observer votes", SETTLED_S)
    chaos.set_mode(chaos.data[0], shape.mode)
    with chaos.data[0].connect() as connection:
        connection.execute(SCHEMA)
    addresses = [Address(node.host.address, node.pg_port) for node in chaos.data]
    with Clients(addresses, network.switch.entered, seed, LOGIN, writers=writers) as clients:
        for number in range(rounds):
            goes_on(clients, 30)
            names = chaos.disturb()
            chaos.calm()
            at = time.monotonic()
            what = f"round {number} of seed {seed}, {', '.join(names)}"
            wait_until(chaos.is_whole, f"{what}: the cluster is whole", SETTLED_S)
            goes_on(clients, 30)
            for name in names:
                outcome.disturbances[name] = outcome.disturbances.get(name, 0) + 1
            gap = clients.seen.first_after(at)
            assert gap is not None
            outcome.longest_s_max = max(outcome.longest_s_max, round(gap, 2))
            outcome.slow += [f"{what}: {gap:.1f} s"] if gap > SLOW_S else []
            outcome.rounds += 1
    outcome.acknowledged, outcome.operations, outcome.salvaged = judge(chaos.data, clients.seen, shape.mode)
    return outcome


def _data_nodes(network: Network, directory: Path, shape: Shape) -> list[HostedNode]:
    nodes: list[HostedNode] = []
    for number in range(1, shape.data + 1):
        host = network.host(f"n{number}")
        flags = (*_role(nodes, "standby"), *FLAGS)
        nodes.append(network.node(host, directory / host.name, flags).start())
    return nodes


def _observers(network: Network, directory: Path, shape: Shape, first: HostedNode) -> list[HostedNode]:
    made = []
    for number in range(1, shape.observers + 1):
        host = network.host(f"o{number}")
        flags = (*_role([first], "observer"), "--allow-insecure-network")
        made.append(network.node(host, directory / host.name, flags).start())
    return made


def _role(nodes: Sequence[HostedNode], role: str) -> tuple[str, ...]:
    """Flags of the next node: the first one leads, and the others ask it."""
    if not nodes:
        return ("--replication-role", "primary")
    first = nodes[0]
    upstream = ("--primary-host", first.host.address, "--primary-port", str(first.native_port))
    return ("--replication-role", role, *upstream)
