"""Asking whichever node can answer who may log in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import ConnectionLost
from helios_cli.engine.proxyserver import asking
from helios_cli.engine.proxyserver.node import Node
from helios_cli.engine.proxyserver.nodes import Cluster


class Nodes:
    """A cluster of which one says which node is there."""

    def __init__(self, *there: Node) -> None:
        self.there = list(there)
        self.primary: Node | None = None
        self.suspected: list[str] = []
        self.callbacks: list[Callable[[], None]] = []

    def reader(self) -> Node | None:
        return self.there[0] if self.there else None

    def when_changed(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: None

    def suspect(self, node: Node, reason: str) -> None:
        self.suspected.append(node.name)
        self.there = [one for one in self.there if one is not node]


A, B = Node("a", "db1", 1), Node("b", "db2", 2)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """By host: rows, or an error."""
    found: dict[str, Any] = {}

    async def asked(cluster: Cluster, host: str, port: int, sql: str) -> Any:
        answer = found[host]
        if isinstance(answer, Exception):
            raise answer
        return [[sql]] if answer is None else answer

    monkeypatch.setattr(asking, "_asked", asked)
    return found


async def ask(nodes: Nodes, *parameters: str, wait_s: float = 20.0) -> Any:
    sql = "SELECT $1" if parameters else "SELECT 1"
    return await asking.ask(cast(Cluster, nodes), sql, parameters, connect_s=20.0, wait_s=wait_s)


@pytest.mark.parametrize(
    ("name", "sql"), [("o'neil", "SELECT 'o''neil'"), ("\\'; DROP TABLE t", "SELECT  E'\\\\''; DROP TABLE t'")]
)
@pytest.mark.asyncio
async def test_parameters_are_constants(name: str, sql: str, answers: dict[str, Any]) -> None:
    answers["db1"] = None
    assert await ask(Nodes(A), name) == [[sql]]


@pytest.mark.parametrize("lost", [ConnectionLost("gone"), OSError("refused"), HeliosError("stops", sqlstate="57P01")])
@pytest.mark.asyncio
async def test_another_node_is_asked_when_one_is_lost(lost: Exception, answers: dict[str, Any]) -> None:
    answers |= {"db1": lost, "db2": [["x"]]}
    nodes = Nodes(A, B)
    assert await ask(nodes) == [["x"]]
    assert nodes.suspected == ["a"]


@pytest.mark.asyncio
async def test_it_waits_for_a_node(answers: dict[str, Any]) -> None:
    answers["db2"] = [["x"]]
    nodes = Nodes()
    task = asyncio.create_task(ask(nodes))
    while not nodes.callbacks:
        await asyncio.sleep(0)
    assert not task.done()
    nodes.primary = B
    nodes.callbacks[0]()
    assert await task == [["x"]]


@pytest.mark.asyncio
async def test_what_a_node_says_is_told(answers: dict[str, Any]) -> None:
    answers["db1"] = HeliosError("permission denied", sqlstate="42501")
    with pytest.raises(HeliosError, match="permission denied"):
        await ask(Nodes(A, B))


@pytest.mark.asyncio
async def test_nobody_is_there_in_time(answers: dict[str, Any]) -> None:
    answers["db1"] = OSError("refused")
    with pytest.raises(HeliosError, match="refused") as caught:
        await ask(Nodes(A), wait_s=0.2)
    assert caught.value.sqlstate == "57P03"
