"""Clients that break the protocol, crowds of them, and a node that lies: nobody else notices, and memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lying_node import lying_node
from support.node_cluster import NodeCluster
from support.node_process import free_port
from support.proxied import MakeProxy
from support.proxy_fuzz import attack
from support.wire_mutations import TABLE

GROWTH_MAX = 256 << 20


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[NodeCluster]:
    cluster = NodeCluster(tmp_path, ("sync", "sync"))
    try:
        yield cluster.start()
    finally:
        cluster.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nobody_else_notices_an_attack_from_both_sides(pair: NodeCluster, make_proxy: MakeProxy) -> None:
    with pair.primary.connect() as connection:
        connection.execute(TABLE)
    port = free_port()
    (standby,) = pair.standbys
    with lying_node(port, standby.pg_port, 1) as told:
        proxy = make_proxy([pair.primary, port])
        attacked = attack(proxy, conversations=15, lies=30, crowd_s=3.0, quiet_s=1.0)
        assert not attacked.mutated.internal, attacked.mutated.internal
        assert not attacked.mutated.hung, attacked.mutated.hung
        assert not attacked.suffered.internal, attacked.suffered.internal
        assert told.value > 0, "the node never lied"
        assert attacked.growth_bytes < GROWTH_MAX, f"{attacked.growth_bytes >> 20} MiB more"
        assert len(attacked.busy) > 10
        attacked.beside.check()
        assert proxy.running
        assert "Traceback" not in proxy.log_tail(100_000)
