"""Bringing a cluster's processes up, here and on hosts, and waiting until they follow each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.commands.local import (
    clusterfile,
    layout,
    machines,
    network,
    observation,
    partitions,
    processes,
    proxyfile,
)
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode, Member
from helios_cli.commands.local.observation import Observation, ProxyObservation
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.remote.errors import HostError

POLL_S: Final = 0.1
PORTS_HINT: Final = "Choose other ports with --base-port (0 finds free ones), or stop who holds them."
LOGS_HINT: Final = "The processes go on; heliosdb-nano cluster status and cluster logs --level warning say more."
CUT_HINT: Final = "Links between nodes are cut: heliosdb-nano cluster heal mends them."

Tell = Callable[[str], None]
"""Takes what is being waited for, in a few words; called often."""

Saw = Callable[[Sequence[Observation], ProxyObservation | None], None]
"""Takes what was seen of the nodes and the proxy; called often."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that ``cluster up`` does."""

    node: Member
    join: LocalNode | None
    """Whom an empty directory follows; None for the first primary and the proxy."""
    command: list[str]
    """The whole command line."""


def plan(cluster: LocalCluster, seen: Sequence[Observation]) -> list[Step]:
    """A step for each process that does not run: the first primary before what joins it, the proxy last."""
    leader = observation.primary_of(seen)
    first = leader.node if leader is not None else next((n for n in cluster.nodes if n.role == "primary"), None)
    down = [one.node for one in sorted(seen, key=lambda one: one.node.role != "primary") if one.state == "down"]
    steps = [_step(cluster, node, None if node == first else first) for node in down]
    if cluster.proxy is not None and _is_down(cluster, cluster.proxy):
        steps.append(_step(cluster, cluster.proxy, None))
    return steps


def _is_down(cluster: LocalCluster, member: Member) -> bool:
    try:
        return processes.find(cluster, member) is None
    except HostError:
        return False  # nobody knows


def refuse_unreachable(seen: Sequence[Observation]) -> None:
    """Raise the HostError of a host that cannot be reached, and whose node does not answer either."""
    for one in seen:
        if one.problem is not None and one.state == "unreachable":
            raise one.problem


def _step(cluster: LocalCluster, member: Member, join: LocalNode | None) -> Step:
    words = ["heliosdb-nano"] if not member.host else machines.program(cluster, member)
    return Step(member, join, [*words, *processes.command_line(cluster, member, join)])


def refuse_used_ports(cluster: LocalCluster, members: Sequence[Member]) -> None:
    """Raise when somebody listens on one of their ports: HeliosError, 55006; its message names the holders."""
    layout.refuse_used_ports(cluster, members, PORTS_HINT)


def launch(cluster: LocalCluster, steps: Sequence[Step]) -> None:
    """Start the processes of a plan: the first primary before all others. The directory and its file are there already.

    Raises:
        HeliosError: a port is taken, a host cannot be reached, or the network cannot be made; nothing was started.
            OSError: a file cannot be
            written.
    """
    refuse_used_ports(cluster, [step.node for step in steps])
    clusterfile.create_secret(cluster)
    (cluster.directory / cluster.data).mkdir(parents=True, exist_ok=True)
    proxyfile.write(cluster)
    network.make(cluster, [step.node for step in steps])
    machines.equip(cluster, [step.node for step in steps])
    for step in steps:
        processes.spawn(cluster, step.node, step.join)


def wait_streaming(
    cluster: LocalCluster, timeout_s: float, tell: Tell, only: Sequence[Member] = (), saw: Saw | None = None
) -> list[Observation]:
    """Wait until one primary leads, the standbys stream and the proxy serves; ``only`` waits for these alone.

    Raises:
        HeliosError: a process ended (08006), or the time is over (57014).
    """
    end = time.monotonic() + timeout_s
    while True:
        seen = observation.observe(cluster)
        proxy = observation.observe_proxy(cluster)
        if saw is not None:
            saw(seen, proxy)
        waits = _lacking(cluster, seen, proxy, only)
        if not waits:
            return seen
        if time.monotonic() >= end:
            raise HeliosError(
                f"not complete after {timeout_s:g} s: {', '.join(waits)}", sqlstate="57014",
                hint=CUT_HINT if partitions.cut_links(cluster) else LOGS_HINT,
            )  # fmt: skip
        tell("waiting: " + ", ".join(waits))
        time.sleep(POLL_S)


def _lacking(
    cluster: LocalCluster, seen: Sequence[Observation], proxy: ProxyObservation | None, only: Sequence[Member]
) -> list[str]:
    """What is waited for, in words; empty when all that is wanted is there. Raises when a process has ended."""
    awaited = [one for one in seen if not only or one.node in only]
    for one in awaited:
        if one.state == "down":
            raise _ended(cluster, one.node)
    leader = observation.primary_of(seen)
    waits = observation.lacking(seen, awaited)
    if awaited and leader is None and not waits:
        waits = ["nobody leads"]
    if proxy is not None and (not only or proxy.proxy in only):
        if proxy.state == "down":
            raise _ended(cluster, proxy.proxy)
        # Its reason to wait is the nodes' state, which is told already.
        if proxy.state == "starting" or (proxy.state != "serving" and not only and not waits):
            waits.append(f"{proxy.proxy.name} is {proxy.state}")
    return waits


def _ended(cluster: LocalCluster, member: Member) -> HeliosError:
    return HeliosError(
        f"{member.name} ended", detail=processes.last_words(cluster, member) or None,
        hint=f"heliosdb-nano cluster logs {member.name} has all it said. The others run on; cluster down stops them.",
    )  # fmt: skip
