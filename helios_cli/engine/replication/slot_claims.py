"""Whose claim on a standby's log is over: those who follow another node now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from helios_cli.engine.consensus.config import ClusterConfig

COUNTS_S: Final = 10.0
"""A member whose copies count follows the primary; so long after it was heard of here, that is where it is."""

MEMBER_S: Final = 600.0
"""Any other member is told by the primary to follow it; one that is down comes here first, if it has not been told."""


def elsewhere(
    claims: Iterable[str], config: ClusterConfig, former: Iterable[str], silent_s: Mapping[str, float], primary: str
) -> list[str]:
    """Those of ``claims`` for whom a standby needs to keep no log any more, in their order.

    The primary calls every member to itself, so a member that does not follow this standby follows the primary, or
    will. Who was never a member follows standbys alone, and keeps its claim while it is away.

    Args:
        claims: names of the slots of a node that follows ``primary``.
        config: the configuration in force.
        former: who was a member in an earlier one.
        silent_s: seconds since each was last heard of here; those who follow this node are not in it.
        primary: who leads.
    """
    removed = set(former)

    def is_over(name: str) -> bool:
        if name not in silent_s:
            return False
        if name == primary:
            return True
        if config.member(name) is None:
            return name in removed
        return silent_s[name] > (COUNTS_S if name in config.in_sync else MEMBER_S)

    return [name for name in claims if is_over(name)]
