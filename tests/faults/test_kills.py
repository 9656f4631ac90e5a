"""SIGKILL at random moments under sixteen writers: every acknowledged row is there, no group is torn."""

from __future__ import annotations

import pytest
from support.kill_drill import run_kills
from support.node_process import MakeNode

KILLS = 6


@pytest.mark.slow
def test_acknowledged_rows_survive_kills(make_node: MakeNode) -> None:
    node = make_node("--wal-checkpoint-mb", "1", "--log-retention-mb", "4", "--log-segment-mb", "2")
    outcome = run_kills(node, KILLS, seed=1, load_s=0.4)
    assert outcome.kills >= KILLS
    assert outcome.acknowledged > 500
    assert outcome.redone > 0
    assert outcome.terms > KILLS
