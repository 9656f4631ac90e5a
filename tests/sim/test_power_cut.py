"""Power cuts under a running storage core: what was acknowledged is there, and nothing is torn."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.power_cut import losses, run_seed

SEEDS = 40


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_acknowledged_row_survives_a_power_cut(seed: int, tmp_path: Path) -> None:
    model = run_seed(seed, tmp_path)
    assert model.sent >= model.acked


@pytest.mark.parametrize("seed", (*range(40, 70), 707))
def test_a_member_shows_only_what_is_committed_and_starts_again_always(seed: int, tmp_path: Path) -> None:
    """Seeds 44, 58, 68 leave pages in the file that the log does not call committed; 707 before anything is."""
    model = run_seed(seed, tmp_path, member=True)
    assert model.sent >= model.acked


def test_the_seeds_do_something(tmp_path: Path) -> None:
    """Rows are acknowledged and checkpoints completed, so that there is something to lose."""
    models = [run_seed(seed, tmp_path) for seed in range(10)]
    assert sum(len(model.acked) for model in models) > 200
    assert sum(model.checkpoints for model in models) > 3


def test_leaving_out_the_sync_is_noticed(tmp_path: Path) -> None:
    lost: list[BaseException] = []
    count = losses(range(20), tmp_path, lambda seed, error: lost.append(error), skip_sync=True)
    assert count >= 10
    assert any("acknowledged rows are gone" in str(error) for error in lost)
