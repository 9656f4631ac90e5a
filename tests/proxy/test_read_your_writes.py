"""A session never reads older than it wrote, over standbys that are behind; told not to mind, it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.node_cluster import NodeCluster
from support.node_process import wait_until
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


def test_behind_a_token_another_session_reads_it_too(lagging: Lagging, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(lagging.nodes, database=lagging.database)
    wait_spread(proxy, len(lagging.nodes))
    query, token = "SELECT count(*) FROM told", ""
    with proxy.connect() as writer, proxy.connect() as reader, proxy.connect() as other:
        writer.execute("CREATE TABLE told (id int)")
        for node in lagging.nodes:
            wait_until(partial(_knows, node, query), "every node has the table", 30)
        lagging.set_lag(1.0)
        if lagging.is_heliosdb:
            reader.execute("SET helios.min_lsn_timeout = '20ms'")  # it is not that a standby waits
        misses = 0
        for number in range(1, 21):
            writer.execute("INSERT INTO told VALUES (%s)", (number,))
            (token,) = writer.execute("SHOW helios.lsn", prepare=False).fetchone() or ("",)
            reader.execute(f"SET helios.min_lsn = '{token}'")
            assert reader.execute(query).fetchone() == (number,)
            misses += other.execute(query).fetchone() != (number,)
        assert misses, "no standby lagged"
    with proxy.connect(options=f"-c helios.min_lsn={token}") as late:
        assert late.execute(query).fetchone() == (20,)
    lagging.set_lag(0.0)


def _knows(node: Any, query: str) -> bool:
    try:
        with node.connect() as connection:
            return connection.execute(query).fetchone() is not None
    except psycopg.errors.UndefinedTable:
        return False
