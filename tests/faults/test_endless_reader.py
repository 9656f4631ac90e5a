"""Snapshots that are never given up, under sustained writes: every file and the memory stay bounded."""

from __future__ import annotations

import pytest
from support.bounds import FLAGS, check, figures, run_bounded
from support.node_process import MakeNode

SECONDS = 8.0


@pytest.mark.slow
def test_wal_log_memory_and_descriptors_stay_bounded(make_node: MakeNode) -> None:
    node = make_node(*FLAGS)
    peaks, load = run_bounded(node, SECONDS)
    print(figures(peaks, load))
    check(peaks, load)
    assert load.writes > 500
    assert node.stop() == 0
