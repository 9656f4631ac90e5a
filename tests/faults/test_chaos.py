"""Disturbances drawn from a seed, several at once: no answer was wrong, and the cluster is whole again."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.chaos_drill import Shape, run_chaos
from support.network import Network


@pytest.mark.parametrize(
    ("shape", "seed"), [(Shape("quorum", 3, 0), 1), (Shape("sync", 2, 1), 2)], ids=("three", "two and an observer")
)
@pytest.mark.timeout(240)
def test_nothing_told_is_wrong_and_the_cluster_is_whole(
    network: Network, tmp_path: Path, shape: Shape, seed: int
) -> None:
    outcome = run_chaos(network, tmp_path, shape, 3, seed)
    assert outcome.rounds == 3 and sum(outcome.disturbances.values()) >= 3
    assert outcome.acknowledged > 180 and outcome.operations > 50
