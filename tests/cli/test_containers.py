"""The services of docker-compose.ha-cluster.yml as processes of this machine, and the statements of the tutorials."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.compose_stack import Stack
from support.node_process import wait_until
from support.walkthrough import lines, rows

pytestmark = [pytest.mark.slow, pytest.mark.needs("psql", "curl")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Stack]:
    found = Stack(tmp_path_factory.mktemp("containers"), program, {})
    try:
        found.up()
        yield found
    finally:
        found.close()


def test_writes_are_routed_from_every_node(stack: Stack) -> None:
    """Step 3 of the cluster tutorial."""
    assert stack.sql(15432, "CREATE TABLE users (id INT PRIMARY KEY, name TEXT, created_by TEXT);") == "CREATE TABLE\n"
    assert stack.sql(15442, "INSERT INTO users VALUES (1, 'Alice', 'standby-sync');") == "INSERT 0 1\n"
    assert stack.sql(15452, "INSERT INTO users VALUES (2, 'Bob', 'standby-semisync');") == "INSERT 0 1\n"
    assert lines(stack.sql(15462, "INSERT INTO users VALUES (3, 'Charlie', 'standby-async');", code=1)) == [
        "ERROR: cannot execute write operations in read-only mode (async standby)",
        "HINT: Connect to the primary for write operations, or configure sync mode for transparent routing.",
    ]
    assert lines(stack.sql(15432, "SELECT * FROM users ORDER BY id;")) == [
        "id | name | created_by", "----+-------+------------------", "1 | Alice | standby-sync",
        "2 | Bob | standby-semisync", "(2 rows)",
    ]  # fmt: skip
    assert {one["node_id"] for one in rows(stack.sql(15432, "SELECT node_id, role FROM pg_replication_status;"))} >= {
        "primary", "standby-sync", "standby-semisync", "standby-async",
    }  # fmt: skip


def test_the_proxy_routes_writes_and_spreads_reads(stack: Stack) -> None:
    """Parts 3 to 6 of the hands-on tutorial, through the proxy."""
    create = "CREATE TABLE twr_test (id INTEGER PRIMARY KEY, data TEXT, created_at TEXT DEFAULT CURRENT_TIMESTAMP)"
    assert stack.sql(15400, create) == "CREATE TABLE\n"
    assert stack.sql(15400, "INSERT INTO twr_test (id, data) VALUES (1, 'test data')") == "INSERT 0 1\n"
    for port in (15432, 15442):
        assert " 1 | test data |" in stack.sql(port, "SELECT * FROM twr_test")
    nodes = json.loads(stack.run("curl -s http://localhost:19090/nodes"))
    assert {node["name"] for node in nodes} == {"primary", "standby-sync", "standby-semisync", "standby-async"}
    own = {str(one.ports["5432"]) for one in stack.services.values() if one.is_node and one.name != "observer"}
    seen = {
        stack.run('psql -h localhost -p 15400 -t -c "SELECT inet_server_port()"').strip() for _ in range(3 * len(own))
    }
    assert seen == own
    assert stack.run("curl -s http://localhost:19090/health").strip() == '{"status":"ok"}'


def test_nobody_gets_in_without_the_password(stack: Stack) -> None:
    for port in (15432, 15442, 15452, 15462, 15400):
        said = stack.run(f"env PGPASSWORD=wrong psql -h localhost -p {port} -c 'SELECT 1'", code=2)
        assert "password authentication failed" in said
        own = next(one.published[port] for one in stack.services.values() if port in one.published)
        listening = Path("/proc/net/tcp").read_text()
        assert re.search(rf" 00000000:{own:04X} \S+ 0A ", listening), f"{port} is not open to the network"


def test_a_primary_that_is_stopped_is_replaced_and_follows_when_it_is_back(stack: Stack) -> None:
    """Part 8: ``docker compose stop primary`` and ``start primary``; a write through the proxy waits, and is done."""
    assert stack.sql(15400, "CREATE TABLE outage (id INT PRIMARY KEY)") == "CREATE TABLE\n"
    stack.stop("primary")
    began = time.monotonic()
    assert stack.sql(15400, "INSERT INTO outage VALUES (1)") == "INSERT 0 1\n"
    assert time.monotonic() - began < 30
    stack.start("primary")
    stack.wait_healthy("primary")

    def follows() -> bool:
        status = json.loads(stack.run("curl -s http://localhost:18080/status"))
        return bool(status["role"] == "standby") and "(1 row)" in stack.sql(15432, "SELECT * FROM outage")

    wait_until(follows, "the old primary follows", 30)


def test_the_tutorials_environment_alone_starts_a_node_that_only_its_own_machine_reaches(
    tmp_path: Path, program: Callable[[str], str]
) -> None:
    """What the tutorials' compose files say and no password: the node serves, on loopback, and says why."""
    stack = Stack(tmp_path, program, {})
    service = stack.services["primary"]
    service.described["environment"] = [
        text for text in service.described["environment"] if "PASSWORD" not in text and "SECRET" not in text
    ]
    try:
        stack.start("primary")
        stack.wait_healthy("primary")
        said = stack.said("primary")
        assert "listening on 127.0.0.1 instead of 0.0.0.0: no role has a password" in said
        assert "HELIOSDB_INITIAL_PASSWORD" in said
        listening = Path("/proc/net/tcp").read_text()
        for inner in ("5432", "8080"):  # other nodes need the secret that this one has drawn
            assert re.search(rf" 0100007F:{service.ports[inner]:04X} \S+ 0A ", listening), f"{inner} is open"
    finally:
        stack.close()
    assert (service.home / "data" / "control" / "cluster.secret").stat().st_mode & 0o777 == 0o600
