"""Clients that stand still in the middle of a result keep nobody out: each is given up to itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until
from support.raw_wire import SYNC, bind, execute, message, parse, query

from helios_cli.engine.node import planning

MANY = 40
"""More than the queries that fetch rows at once."""
LONG = "SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g"
COUNT = "SELECT count(*) FROM generate_series(1, 100000)"


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[InnerNode]:
    with InnerNode(tmp_path) as node:
        yield node


def others_are_served(inner: InnerNode) -> None:
    with inner.connect() as connection:
        connection.execute("SET statement_timeout = '30s'")
        assert connection.execute(COUNT).fetchone() == (100_000,)


def test_clients_that_read_nothing(inner: InnerNode) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(inner.raw()) for _ in range(MANY)]
        for client in clients:
            client.send(query(LONG))
            client.until("D")
        others_are_served(inner)
        for client in clients[:2]:
            rows = 1 + [code for code, _ in client.until("Z")].count("D")
            assert rows == 20_000
        others_are_served(inner)


def test_clients_that_ask_for_no_more_rows(inner: InnerNode) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(inner.raw()) for _ in range(MANY)]
        for client in clients:
            client.run("BEGIN")
            client.send(parse(LONG), bind(portal="p"), execute("p", 10), message("H"))
            assert [code for code, _ in client.until("s")].count("D") == 10
        others_are_served(inner)
        for client in clients[:2]:
            client.send(execute("p", 20), SYNC)
            assert [code for code, _ in client.until("Z")].count("D") == 20
            assert client.run("COMMIT")[0] == ("C", "COMMIT")


def test_a_client_that_goes_on_is_served_while_others_wait(inner: InnerNode) -> None:
    with ExitStack() as stack:
        cursors = []
        for _ in range(MANY):
            connection = stack.enter_context(inner.connect(autocommit=False))
            cursor = stack.enter_context(connection.cursor("standing"))
            cursor.execute(LONG)
            cursors.append(cursor)
        for cursor in cursors:
            assert len(cursor.fetchmany(5)) == 5
        others_are_served(inner)


def test_texts_that_take_long_to_plan(inner: InnerNode, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, begun, may_go_on = planning._plan, threading.Event(), threading.Event()

    def slowly(*given: Any, **more: Any) -> planning.PlannedApart:
        begun.set()
        assert may_go_on.wait(60)
        return plan(*given, **more)

    monkeypatch.setattr(planning, "_plan", slowly)
    text = f"SELECT 1 -- {'x' * planning.LOOP_MAX}"
    with ExitStack() as stack:
        clients = [stack.enter_context(inner.raw()) for _ in range(8)]
        for client in clients:
            client.send(query(text))
        wait_until(begun.is_set, "one is planned")
        others_are_served(inner)
        may_go_on.set()
        for client in clients:
            assert client.until("Z")[1] == ("D", (b"1",))
