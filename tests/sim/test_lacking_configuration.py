"""A promotion at any price, whose configuration has not come as far as its term's first record: no seed meets that.

Five nodes in quorum mode fall into two and three. An operator has one of the two lead at any price: both copies are
enough from then on. One of the three hears of it, and has the term's first record on its disk, which is slow, but not
the configuration behind it. By the one before, the three could elect it.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import pytest

from helios_cli.engine.sim import plan, world
from helios_cli.engine.sim.bugs import ELECTION
from helios_cli.engine.sim.planted import Bug, loaded

LACKING = Bug(
    "a candidate goes by older configurations than its log's last record does",
    ELECTION,
    "if own.config_version > newest:",
    "if False:",
)


def write(made: Any, node: Any, number: int) -> None:
    node.run(node.life, node.primary.write, number, None)
    made.clock.run_until(made.clock.now_us + 200_000)


def commits_where_a_third_lacks_the_configuration(world: Any, plan: Any) -> None:
    """In one universe, with a bug or without. Raises Violation, of that universe, as the two commit."""
    made = world.World(plan.Spec(1, nodes=5, mode=world.SyncMode.QUORUM))
    first, second, *_ = made.nodes.values()
    made.clock.run_until(3_000_000)
    for number in range(3):
        write(made, first, number)
    for one, other in product(("n2", "n3"), ("n1", "n4", "n5")):
        made.network.cut(one, other)
        made.network.cut(other, one)
    made.clock.run_until(made.clock.now_us + 2_000_000)
    second.run(second.life, partial(second.campaign.promote, allow_data_loss=True))
    made.clock.run_until(made.clock.now_us + 2_500_000)
    assert second.is_leading and second.primary.lsns.config.in_sync == ("n2", "n3")
    made.network.heal()
    for one, other in product(("n2", "n3"), ("n4", "n5")):
        made.network.cut(one, other)
        made.network.cut(other, one)
    first.sync_factor = 500
    deadline_us = made.clock.now_us + 8_000_000
    while first.log.durable_term() != second.term and made.clock.now_us < deadline_us:
        made.clock.run_until(made.clock.now_us + 1_000)
    assert first.log.version(first.log.flushed) > first.log.durable_configs()[-1].version
    before = made.checkers.kept_count
    write(made, second, 10)
    assert made.checkers.kept_count > before


def test_who_lacks_the_configuration_cannot_lead() -> None:
    commits_where_a_third_lacks_the_configuration(world, plan)


def test_without_that_care_the_checkers_tell() -> None:
    with pytest.raises(Exception, match=r"no promotion loses a commit: n2 commits .* n1 could lead without it"):
        commits_where_a_third_lacks_the_configuration(*loaded(LACKING))
