"""A disk that stands still: the primary's for long is one failover; for a moment, or anybody else's, it is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.stall_drill import LONG_S, SHORT_S, run_stalls

from helios_cli.commands.proving.loop_disk import NoLoopDisks


@pytest.mark.timeout(180)
def test_only_a_long_stall_of_the_primary_moves_the_lead(tmp_path: Path) -> None:
    stalls = (("primary", SHORT_S), ("standby", 4.0), ("observer", 4.0), ("primary", LONG_S))
    try:
        outcome = run_stalls(tmp_path, stalls)
    except NoLoopDisks as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no file systems in files here: {error}")
    assert (outcome.stalls, outcome.failovers) == (4, 1)
    assert outcome.acknowledged > 200
