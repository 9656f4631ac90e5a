"""A pool's queue: first come, first served, however many wait and however soon they give back what they got."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from helios_cli.engine.proxyserver.node import Node
from helios_cli.engine.proxyserver.pool import Pool
from helios_cli.engine.proxyserver.proxy import Proxy

CLIENTS = 20_000


class Connection:
    """A backend without a node."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.generation = 0
        self.closed = False
        self.held = True
        self.idle_since = 0.0

    def leave(self) -> None:
        if not self.closed:
            self.closed = True
            self.pool.gone(cast(Any, self))


class Session:
    """A client that wants a backend, and gives it back in the same breath unless it is told to keep it."""

    def __init__(self, number: int, served: list[int], *, keeps: bool = False) -> None:
        self.number, self.served, self.keeps = number, served, keeps
        self.backend: Any = None

    def got(self, backend: Any) -> None:
        self.served.append(self.number)
        self.backend = backend
        if not self.keeps:
            backend.pool.release(backend)

    def refused(self, node: Node, error: Exception) -> None:
        raise AssertionError(error)

    def postponed(self) -> None:
        raise AssertionError


@pytest.fixture
def pool() -> Pool:
    settings = SimpleNamespace(pool_size=0)
    proxy = SimpleNamespace(settings=settings, loop=None, stopping=False)
    return Pool(cast(Proxy, proxy), Node("a", "db1", 1), "ann", "shop")


async def until(served: list[int], count: int) -> None:
    async with asyncio.timeout(30):
        while len(served) < count:
            await asyncio.sleep(0)


def with_loop(pool: Pool) -> None:
    pool.proxy.loop = asyncio.get_running_loop()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.asyncio
async def test_all_that_wait_are_served_in_their_order(pool: Pool, count: int) -> None:
    with_loop(pool)
    served: list[int] = []
    for number in range(CLIENTS):
        pool.wait(Session(number, served))
    backends: list[Any] = [Connection(pool) for _ in range(count)]
    pool.node.active = count
    for backend in backends:
        pool.release(backend)
    assert len(served) < CLIENTS, "the loop has a turn between them"
    await until(served, CLIENTS)
    assert served == list(range(CLIENTS))
    await asyncio.sleep(0)
    assert sorted(map(id, pool.idle)) == sorted(map(id, backends))
    assert pool.node.active == 0


@pytest.mark.asyncio
async def test_who_keeps_its_backend_has_it_alone(pool: Pool) -> None:
    with_loop(pool)
    served: list[int] = []
    sessions = [Session(number, served, keeps=number % 2 == 1) for number in range(4)]
    for one in sessions:
        pool.wait(one)
    first: Any = Connection(pool)
    pool.node.active = 1
    pool.release(first)
    assert served == [0, 1]
    pool.release(first)
    assert served == [0, 1, 2, 3]
    assert not pool.idle and pool.node.active == 1
    pool.release(first)
    assert pool.idle == [first] and pool.node.active == 0


@pytest.mark.asyncio
async def test_what_is_of_an_older_generation_is_handed_to_nobody(pool: Pool) -> None:
    with_loop(pool)
    served: list[int] = []
    for number in range(300):
        pool.wait(Session(number, served))
    backend: Any = Connection(pool)
    pool.all[backend] = None
    pool.node.active = 1
    pool.release(backend)
    handed = len(served)
    assert 0 < handed < 300
    pool.node.generation += 1
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(served) == handed
    assert backend.closed and not pool.idle and pool.node.active == 0
