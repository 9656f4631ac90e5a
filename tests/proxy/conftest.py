"""Proxies before a cluster of ours and before plain PostgreSQL servers; each worker has one of either for all tests."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.node_cluster import NodeCluster
from support.node_process import NodeProcess
from support.postgres_pair import PostgresPair
from support.proxied import MakeProxy, Proxied
from support.proxy_process import Backend, ProxyProcess, wait_spread


@pytest.fixture(scope="session")
def node_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeCluster]:
    """A primary, a synchronous and an asynchronous standby, shared. A test that ends one takes its own."""
    cluster = NodeCluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def postgres_pair(program: Callable[[str], str]) -> Iterator[PostgresPair]:
    """A PostgreSQL primary and its standby, shared. A test that ends one takes its own."""
    pair = PostgresPair(program)
    try:
        yield pair.start()
    finally:
        pair.close()


@pytest.fixture(scope="session", params=["heliosdb", "postgresql"])
def behind(request: pytest.FixtureRequest) -> NodeCluster | PostgresPair:
    """Either of them."""
    if importlib.util.find_spec("helios_cli.engine.proxyserver.launch") is None:
        pytest.skip("there is no proxy yet")
    name = {"heliosdb": "node_cluster", "postgresql": "postgres_pair"}[request.param]
    found: NodeCluster | PostgresPair = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def shared_proxied(behind: NodeCluster | PostgresPair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A proxy in transaction pooling with few backends, so that sessions share them."""
    nodes = [behind.primary, *(node for node in behind.nodes if node is not behind.primary)]
    options: dict[str, Any] = {"settings": {"pool_size": 4}, "database": behind.database}
    proxy = ProxyProcess(tmp_path_factory.mktemp("proxy"), nodes, **options)
    try:
        proxy.start()
        wait_spread(proxy, len(nodes))
        yield Proxied(proxy, behind)
    finally:
        proxy.kill()


@pytest.fixture
def proxied(shared_proxied: Proxied) -> Iterator[Proxied]:
    """The shared proxy; what it logged during the test is shown when the test fails."""
    path = shared_proxied.proxy.log_path
    began = path.stat().st_size
    yield shared_proxied
    with path.open() as log:
        log.seek(began)
        text = log.read()
    sys.stdout.write(f"--- proxy\n{text[-8000:]}\n")
    assert "Traceback" not in text
    assert shared_proxied.proxy.running


@pytest.fixture
def make_proxy(tmp_path: Path) -> Iterator[MakeProxy]:
    """A function that makes proxies, each in a directory of its own; all are killed at the end of the test."""
    made: list[ProxyProcess] = []

    def make(nodes: list[Backend | int | NodeProcess], *, start: bool = True, **options: Any) -> ProxyProcess:
        made.append(ProxyProcess(tmp_path / f"proxy{len(made) + 1}", nodes, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for each in made:
        each.kill()
        sys.stdout.write(f"--- {each.directory.name}\n{each.log_tail()}\n")
