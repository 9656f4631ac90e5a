"""What nodes tell unasked to whoever listens to helios_cluster."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

Connection = psycopg.Connection[tuple[Any, ...]]
News = dict[str, Any]


def cluster(make_node: MakeNode, count: int = 3) -> list[NodeProcess]:
    """A primary n1 and standbys n2 to n``count``, every copy counting; they elect."""
    nodes = [make_node("--replication-role", "primary", "--node-id", "n1", "--replication-mode", "quorum")]
    upstream = ("--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port")
    for number in range(2, count + 1):
        flags = (*upstream, str(nodes[0].native_port), "--node-id", f"n{number}", "--replication-mode", "quorum")
        nodes.append(make_node(*flags))
    wait_until(lambda: counted(nodes[0]) == count, "every copy counts", 20)
    return nodes


def counted(node: NodeProcess) -> int:
    return sum(each["in_sync"] for each in node.http("/status")[1]["cluster"]["nodes"])


class Listen(Protocol):
    """Connects to a node and listens; the connection is closed at the end of the test."""

    def __call__(self, node: NodeProcess, database: str = "heliosdb") -> Connection: ...


@pytest.fixture
def listening() -> Iterator[Listen]:
    with contextlib.ExitStack() as stack:

        def listen(node: NodeProcess, database: str = "heliosdb") -> Connection:
            connection = stack.enter_context(node.connect(dbname=database))
            connection.execute("LISTEN helios_cluster")
            return connection

        yield listen


def told(connection: Connection, holds: Callable[[News], bool]) -> list[News]:
    """What is told up to the first of which something holds, that one the last."""
    found: list[News] = []
    for notice in connection.notifies(timeout=30):
        assert notice.channel == "helios_cluster"
        found.append(json.loads(notice.payload))
        if holds(found[-1]):
            return found
    pytest.fail(f"nothing of the kind was told: {found}")


def term(node: NodeProcess) -> int:
    return int(node.http("/status")[1]["cluster"]["term"])


def test_a_standby_tells_who_leads_after_a_kill_and_so_does_the_new_primary(
    make_node: MakeNode, listening: Listen
) -> None:
    nodes = cluster(make_node)
    before = term(nodes[0])
    second, third = listening(nodes[1]), listening(nodes[2])
    nodes[0].kill()
    news = told(second, lambda one: one["term"] > before and one["primary"] is not None)[-1]
    assert news["primary"] in ("n2", "n3")
    at = {"n2": (nodes[1], second), "n3": (nodes[2], third)}
    new_primary, other = (at["n2"], at["n3"]) if news["primary"] == "n2" else (at["n3"], at["n2"])
    assert news["primary_address"] == f"127.0.0.1:{new_primary[0].pg_port}"
    if new_primary[1] is third:
        news = told(third, lambda one: bool(one["leads"]))[-1]
        assert news["event"] == "role"
    assert news["leads"] == (news["node_id"] == news["primary"])
    # The other one has told of it too; what it shows then is of the cluster as it is.
    if other[1] is third:
        told(third, lambda one: one["term"] > before and one["primary"] is not None)
    rows = other[1].execute("SELECT node_id, role FROM helios_topology").fetchall()
    assert dict(rows)[news["primary"]] == "primary"
    assert [name for name, role in rows if role == "primary"] == [news["primary"]]


def test_a_switchover_is_announced_and_the_role_is_told(make_node: MakeNode, listening: Listen) -> None:
    nodes = cluster(make_node, 2)
    before = term(nodes[0])
    first, second = listening(nodes[0]), listening(nodes[1])
    assert nodes[0].http("/admin/switchover", body={"to": "n2"})[0] == 200
    news = told(first, lambda one: one["term"] > before)
    assert [(one["event"], one["leads"]) for one in news[:2]] == [("handover", True), ("role", False)]
    assert news[-1]["primary"] == "n2"
    news = told(second, lambda one: bool(one["leads"]))
    assert news[-1]["event"] == "role" and news[-1]["term"] > before


def test_a_standby_that_is_lost_is_told_of(make_node: MakeNode, listening: Listen) -> None:
    nodes = cluster(make_node)
    first = listening(nodes[0])
    nodes[2].kill()
    assert told(first, lambda one: one["event"] == "topology")[-1]["primary"] == "n1"


def test_sessions_of_every_database_hear_it(make_node: MakeNode, listening: Listen) -> None:
    nodes = cluster(make_node, 2)
    with nodes[0].connect() as connection:
        connection.execute("CREATE DATABASE other")
    here, elsewhere = listening(nodes[0]), listening(nodes[0], "other")
    assert nodes[0].http("/admin/switchover", body={})[0] == 200
    for connection in (here, elsewhere):
        assert told(connection, lambda one: one["event"] == "role")[-1]["leads"] is False


@pytest.mark.parametrize(
    "text",
    [
        "NOTIFY helios_cluster, 'x'",
        "SELECT pg_notify('helios_cluster', 'x')",
        "DO $$ BEGIN NOTIFY helios_cluster, 'x'; END $$",
        "DO $$ BEGIN PERFORM pg_notify('helios_cluster', 'x'); END $$",
    ],
)
def test_nobody_else_tells_there(node: NodeProcess, text: str) -> None:
    with node.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege, match="helios_cluster"):
        connection.execute(text)
