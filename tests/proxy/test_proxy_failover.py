"""Nodes die, stand still and change places behind a proxy; its clients do not notice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.proxy_drill import Drill


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_clients_do_not_notice_that_primaries_are_killed(tmp_path: Path) -> None:
    report = Drill(tmp_path, seed=1).run(["kill", "kill", "switchover", "freeze"])
    print(json.dumps(report.record(), indent=1))
    assert report.is_clean, report


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_clients_do_not_notice_what_befalls_standbys(tmp_path: Path) -> None:
    report = Drill(tmp_path, seed=2).run(["kill-standby", "freeze-standby"])
    print(json.dumps(report.record(), indent=1))
    assert report.is_clean, report


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_or_done_twice_when_the_proxy_is_killed(tmp_path: Path) -> None:
    report = Drill(tmp_path, seed=3).run(["restart-proxy"])
    assert report.is_clean, report
