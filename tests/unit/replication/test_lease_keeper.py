"""What a primary learns from those that grant it their votes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.consensus.config import REFEREE, REFEREE_DISK, Voter
from helios_cli.engine.node.lease_keeper import LeaseKeeper
from helios_cli.engine.types import Term

TERM = Term(1, 1)


@pytest.mark.parametrize(("voter", "told"), [(("n2", "disk of n2"), 400), ((REFEREE, REFEREE_DISK), 0)])
def test_the_distance_is_that_of_nodes(voter: Voter, told: int) -> None:
    clock = SimpleNamespace(at=0.0)
    replication: Any = SimpleNamespace(
        node_id="n1", identity=lambda: SimpleNamespace(incarnation="disk of n1"), now=lambda: clock.at
    )
    leading: Any = SimpleNamespace(lsns=SimpleNamespace(term=TERM, counting=()))
    keeper = LeaseKeeper(replication, leading)
    for tick in range(50):
        clock.at = tick / 10 + 0.3
        keeper.granted(voter, TERM, tick / 10, 750)
    assert keeper.round_trip_ms(0) == told
