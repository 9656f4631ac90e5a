"""To whom a primary gives its lead."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.node import handover
from helios_cli.engine.node.handover import NEAR_BYTES, choose_target
from helios_cli.engine.node.promotion import PromotionRefused
from helios_cli.engine.types import Lsn

END = 100 * NEAR_BYTES


def primary(**standbys: tuple[int, int]) -> Any:
    """The primary n1 with its standbys: the priority of each, and how many bytes it lacks."""
    members = [Member("n1", "disk", "h", 1, 2, 3, "", 100)]
    members += [Member(name, "disk", "h", 1, 2, 3, "", priority) for name, (priority, _lag) in standbys.items()]
    names = tuple(member.node_id for member in members)
    streamers = {
        name: SimpleNamespace(progress=SimpleNamespace(applied=Lsn(END - lag)), is_full=False, blocked_s=0.0)
        for name, (_priority, lag) in standbys.items()
    }
    replicator = SimpleNamespace(streamers=streamers, recent=SimpleNamespace(end=Lsn(END)))
    config = ClusterConfig(1, SyncMode.QUORUM, tuple(members), names)
    return SimpleNamespace(node_id="n1", replicator=replicator, config=config, now=time.monotonic)


def test_of_those_who_have_nearly_everything_the_highest_priority_decides() -> None:
    assert choose_target(primary(n2=(100, 0), n3=(200, NEAR_BYTES)), "") == "n3"
    assert choose_target(primary(n2=(100, 0), n3=(200, NEAR_BYTES + 1)), "") == "n2"
    assert choose_target(primary(n2=(100, 5), n3=(100, 4)), "") == "n3"


def test_one_that_is_not_to_lead_by_itself_is_given_the_lead_by_an_operator_alone() -> None:
    """Not when the primary stops: a standby far away, say, that is there for disasters."""
    both = primary(n2=(0, 0), n3=(1, 50))
    assert choose_target(both, "") == choose_target(both, "", unasked=True) == "n3"
    assert choose_target(both, "n2") == "n2"
    last = primary(n2=(0, 0))
    assert choose_target(last, "") == "n2"
    with pytest.raises(PromotionRefused, match="the failover_priority of n2 is 0"):
        choose_target(last, "", unasked=True)


def test_one_whose_disk_takes_nothing_is_given_nothing() -> None:
    """It would not catch up, and no client could write while it is waited for."""
    cluster = primary(n2=(200, 0), n3=(100, 0))
    cluster.replicator.streamers["n2"].is_full = True
    assert choose_target(cluster, "") == choose_target(cluster, "", unasked=True) == "n3"
    with pytest.raises(PromotionRefused, match="the disk of node n2 is full"):
        choose_target(cluster, "n2")
    cluster.replicator.streamers["n3"].blocked_s = 1.5
    with pytest.raises(PromotionRefused, match=r"n2 is full and the disk of node n3 has taken nothing for 1\.5 s"):
        choose_target(cluster, "")


def test_one_that_is_far_behind_is_waited_for_before_writes_are() -> None:
    cluster = primary(n2=(100, NEAR_BYTES + 1))
    with pytest.raises(PromotionRefused, match=r"n2 did not catch up within 0\.05 s"):
        asyncio.run(handover.neared(cluster, "n2", 0.05))
    cluster.replicator.streamers["n2"].progress.applied += 1
    asyncio.run(handover.neared(cluster, "n2", 0.05))
