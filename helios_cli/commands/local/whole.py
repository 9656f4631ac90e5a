"""Waiting until a cluster is whole again, or its nodes are equal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from helios_cli.commands.local import observation
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.local.observation import Observation
from helios_cli.engine.errors import HeliosError

POLL_S: Final = 0.05


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Come back when the condition holds.

    Raises:
        HeliosError: it does not in time (57014).
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            raise HeliosError(f"not within {seconds:g} s: {what}", sqlstate="57014")
        time.sleep(POLL_S)


def lacking(cluster: LocalCluster, seen: Sequence[Observation]) -> list[str]:
    """What keeps a cluster from being whole, a few words each: nothing when one node leads, and every copy counts."""
    primary = observation.primary_of(seen)
    if primary is None:
        return ["nobody leads"]
    wrong = observation.lacking(seen)
    members = members_of(primary)
    for node in cluster.data_nodes:
        member = members.get(node.name)
        if member is None:
            wrong.append(f"{primary.node.name} does not know {node.name}")
        elif not member.get("in_sync") and (node.mode != "async" or cluster.data_nodes[0].mode == "async"):
            wrong.append(f"the copy of {node.name} does not count")
    return wrong


def members_of(one: Observation) -> Mapping[str, Mapping[str, Any]]:
    """What a node says of the members of its cluster, by name; empty without an answer."""
    return {str(member.get("node_id")): member for member in observation.members(one)}


def wait_whole(
    cluster: LocalCluster, seconds: float, tell: Callable[[str], object] = lambda _text: None
) -> list[Observation]:
    """Wait until nothing is lacking; the nodes as they are then. ``tell`` gets what is waited for, again and again.

    Raises:
        HeliosError: it is not whole in time (57014); the message says why.
    """
    end = time.monotonic() + seconds
    while True:
        seen = observation.observe(cluster)
        wrong = lacking(cluster, seen)
        if not wrong:
            return seen
        tell("waiting: " + ", ".join(wrong))
        if time.monotonic() >= end:
            raise HeliosError(f"not whole within {seconds:g} s: {', '.join(wrong)}", sqlstate="57014")
        time.sleep(POLL_S)


def wait_equal(cluster: LocalCluster, seconds: float) -> list[Observation]:
    """Wait until every node with data shows all that it has, and all have the same; what they say then.

    Nobody may write meanwhile.

    Raises:
        HeliosError: they are not in time (57014).
    """
    seen: list[Observation] = []

    def same() -> bool:
        seen[:] = [one for one in observation.observe(cluster) if not one.node.is_observer]
        return all(one.committed == one.flushed == seen[0].flushed > 0 for one in seen)

    wait_until(same, seconds, "all nodes show the same LSN")
    return seen
