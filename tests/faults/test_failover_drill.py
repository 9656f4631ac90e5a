"""A few rounds of the drill that ``make soak`` runs often: primaries killed under load lose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.failover_drill import run_failovers


@pytest.mark.parametrize("mode", ["sync", "semi-sync", "quorum"])
def test_killed_primaries_lose_nothing(tmp_path: Path, mode: str) -> None:
    outcome = run_failovers(tmp_path, mode, kills=2, seed=11, writers=4)
    assert outcome.kills == 2
    assert outcome.acknowledged > 50
    assert outcome.read > 10


def test_what_a_killed_async_primary_had_alone_is_its_salvage(tmp_path: Path) -> None:
    outcome = run_failovers(tmp_path, "async", kills=2, seed=11, writers=4)
    assert outcome.kills == 2
    assert outcome.salvaged > 0, "the standbys had everything: nothing was tried"
