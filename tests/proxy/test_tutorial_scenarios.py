"""Parts 7 to 10 of the high-availability tutorial through the proxy, at a twelfth of their pace: nothing may fail.

The continuity test is a playbook (tests/playbooks); here nothing is tried again by the workload itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.node_cluster import NodeCluster
from support.proxy_process import ProxyProcess, wait_spread
from support.tutorial_scenarios import SCENARIOS, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PACE = 1 / 12
SETTINGS = {"health_check_interval_secs": 5, "failure_threshold": 3, "write_timeout_secs": 30}
"""As the tutorial has them."""
MakeStage = Callable[[str], Stage]


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeCluster, ProxyProcess]]:
    """One cluster and one proxy for all: every scenario leaves them as it has found them, but for who leads."""
    cluster = NodeCluster(tmp_path_factory.mktemp("tutorial"))
    proxy = ProxyProcess(tmp_path_factory.mktemp("proxy"), cluster.nodes, user="helios", settings=SETTINGS)
    try:
        cluster.start()
        proxy.start()
        yield cluster, proxy
    finally:
        proxy.kill()
        cluster.close()


@pytest.fixture
def stage(behind_proxy: tuple[NodeCluster, ProxyProcess], tmp_path: Path) -> Iterator[Stage]:
    """Everything is up, and a lost primary is replaced."""
    cluster, proxy = behind_proxy
    for node in cluster.nodes:
        if not node.running:
            node.start(wait=False)
    cluster.settle()
    wait_spread(proxy, len(cluster.nodes))
    stage = Stage(cluster, proxy, tmp_path / "workloads")
    stage.pause_failover(paused=False)
    began = proxy.log_path.stat().st_size
    yield stage
    text = proxy.log_path.read_text()[began:]
    print("--- proxy", *(line for line in text.splitlines() if ": session " not in line), sep="\n")
    assert "Traceback" not in text


def told(stage: Stage, pattern: str) -> list[str]:
    """The lines of the proxy's log in which the tutorial's ``grep -E`` finds something."""
    return [line for line in stage.proxy.log_path.read_text().splitlines() if re.search(pattern, line)]


@pytest.mark.parametrize("name", ["killed", "load", "switchover", "rolling"])
def test_nothing_fails_where_a_standby_takes_the_lead(stage: Stage, name: str) -> None:
    before = len(told(stage, "failover: node"))
    stage.play(SCENARIOS[name], PACE)
    assert len(told(stage, "failover: node")) > before


def test_nothing_fails_where_all_nodes_are_away(stage: Stage) -> None:
    stage.play(SCENARIOS["cascade"], PACE)


def test_writes_wait_where_the_primary_comes_back(stage: Stage) -> None:
    stage.pause_failover(paused=True)
    primary, before = stage.cluster.primary, len(told(stage, "failover: node"))
    logs = stage.play(SCENARIOS["failover"], PACE)
    assert stage.cluster.primary is primary
    assert len(told(stage, "failover: node")) == before
    # "Longest operation (write timeout)", as the tutorial's script looks for it.
    assert re.search(r"\[[0-9]{4,}ms\]", logs[0]), logs[0]


def test_the_log_answers_what_the_tutorial_looks_for(stage: Stage) -> None:
    """docker logs heliosdb-proxy | grep -i "routing\\|selected", and the filter of part 6."""
    stage.play(SCENARIOS["failover"], PACE)
    routing = told(stage, "(?i)routing|selected")
    assert any(re.search(r"routing: writes go to node n\d, reads to n\d, n\d, n\d$", line) for line in routing)
    assert any("routing: writes go to nobody, reads to" in line for line in routing)
    lines = told(stage, "(healthy|unhealthy|failover|routing)")
    for wanted in (
        r"node n\d is unhealthy: ", r"node n\d is healthy: HeliosDB at 127\.0\.0\.1:\d+$",
        r"failover: node n\d is the primary of term \d+ in place of n\d, after \d+ ms without one$",
    ):  # fmt: skip
        assert any(re.search(wanted, line) for line in lines), (wanted, lines)
