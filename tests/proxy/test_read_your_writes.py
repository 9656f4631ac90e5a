"""A session never reads older than it wrote, over standbys that are behind; told not to mind, it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.node_cluster import NodeCluster
from support.postgres_pair import PostgresPair
from support.proxied import MakeProxy
from support.proxy_probe import Probed, changing_lag, run_probe
from support.proxy_process import ProxyProcess, wait_spread

PAIRS = 2000

Lagging = NodeCluster | PostgresPair


@pytest.fixture(params=["heliosdb", "postgresql"])
def lagging(request: pytest.FixtureRequest, tmp_path: Path, program: Callable[[str], str]) -> Iterator[Lagging]:
    """A primary and its standbys, which can be made to lag."""
    cluster: Lagging
    if request.param == "heliosdb":
        cluster = NodeCluster(tmp_path, ("async", "async", "async"), linked=True)
    else:
        cluster = PostgresPair(program)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def probe(lagging: Lagging, proxy: ProxyProcess, pairs: int) -> Probed:
    place = {"host": "127.0.0.1", "port": proxy.pg_port, "dbname": proxy.database, "user": proxy.user}
    if proxy.settings.get("pool_mode") != "session":
        wait_spread(proxy, len(lagging.nodes))
    with lagging.primary.connect() as connection, changing_lag(lagging.set_lag):
        return run_probe(place, connection, lagging.primary.pg_port, pairs)


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_what_was_written_is_read(lagging: Lagging, make_proxy: MakeProxy, mode: str) -> None:
    proxy = make_proxy(lagging.nodes, database=lagging.database, settings={"pool_mode": mode, "pool_size": 4})
    probed = probe(lagging, proxy, PAIRS)
    assert probed.misses == 0, probed
    assert probed.pairs >= PAIRS
    assert mode == "session" or probed.elsewhere > PAIRS / 100, f"nearly all is read at the primary: {probed}"


def test_without_the_floor_it_is_not(lagging: Lagging, make_proxy: MakeProxy) -> None:
    settings = {"read_your_writes": False, "pool_size": 4}
    probed = probe(lagging, make_proxy(lagging.nodes, database=lagging.database, settings=settings), PAIRS // 4)
    assert probed.misses > 10, probed
