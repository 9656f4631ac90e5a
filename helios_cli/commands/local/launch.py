"""Bringing a cluster's processes up, and waiting until they follow each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.commands.local import clusterfile, layout, observation, processes
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode
from helios_cli.commands.local.observation import Observation
from helios_cli.engine.errors import HeliosError

POLL_S: Final = 0.1
PORTS_HINT: Final = "Choose other ports with --base-port, or stop who holds them."

Tell = Callable[[str], None]
"""Takes what is being waited for, in a few words; called often."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that ``cluster up`` does."""

    node: LocalNode
    join: LocalNode | None
    """Whom an empty directory follows; None for the first primary."""
    command: list[str]
    """The whole command line."""


def plan(cluster: LocalCluster, seen: Sequence[Observation]) -> list[Step]:
    """A step for each node that does not run, the first primary before the standbys that join it."""
    leader = observation.primary_of(seen)
    first = leader.node if leader is not None else next((n for n in cluster.nodes if n.role == "primary"), None)
    steps = []
    for one in sorted(seen, key=lambda one: one.node.role != "primary"):
        if one.process is None:
            join = None if one.node == first else first
            arguments = processes.command_line(cluster, one.node, join)
            steps.append(Step(one.node, join, ["heliosdb-nano", *arguments]))
    return steps


def refuse_used_ports(nodes: Sequence[LocalNode]) -> None:
    """Raise when somebody listens on a port of these nodes: HeliosError, 55006; its message names the holders."""
    layout.refuse_used_ports(nodes, PORTS_HINT)


def launch(cluster: LocalCluster, steps: Sequence[Step]) -> None:
    """Start the processes of a plan. The directory and its file are there already.

    Raises:
        HeliosError: a port is taken, nothing was started. OSError: a file cannot be written.
    """
    refuse_used_ports([step.node for step in steps])
    clusterfile.create_secret(cluster)
    for step in steps:
        processes.spawn(cluster, step.node, step.join)


def wait_streaming(
    cluster: LocalCluster, timeout_s: float, tell: Tell, only: Sequence[LocalNode] = ()
) -> list[Observation]:
    """Wait until one primary leads and the standbys stream; ``only`` waits for these nodes alone.

    Raises:
        HeliosError: a process ended (08006), or the time is over (57014).
    """
    end = time.monotonic() + timeout_s
    while True:
        seen = observation.observe(cluster)
        awaited = [one for one in seen if not only or one.node in only]
        for one in awaited:
            if one.process is None:
                raise HeliosError(
                    f"{one.node.name} ended", detail=processes.last_words(cluster, one.node) or None,
                    hint=f"All it said is in {cluster.log_file(one.node)}.",
                )  # fmt: skip
        primary = observation.primary_of(seen)
        missing = [one for one in awaited if one is not primary and one.state not in observation.STREAMING]
        if primary is not None and not missing:
            return seen
        waits = [f"{one.node.name} is {one.state}" for one in missing] or ["nobody leads"]
        if time.monotonic() >= end:
            raise HeliosError(
                f"not complete after {timeout_s:g} s: {', '.join(waits)}", sqlstate="57014",
                hint=f"The nodes go on; see heliosdb-nano cluster status, and the logs in {cluster.directory}.",
            )  # fmt: skip
        tell("waiting: " + ", ".join(waits))
        time.sleep(POLL_S)
