"""SQL over HTTP at a standby: reads there, writes at the primary, and the state of one seen at the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clients.test_http_sql import post
from support.node_process import NodeProcess, wait_until


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    mode = ("--replication-mode", "sync")
    primary = NodeProcess(tmp_path_factory.mktemp("primary"), ("--replication-role", "primary", *mode)).start()
    flags = (
        *mode,
        "--replication-role",
        "standby",
        "--primary-host",
        "127.0.0.1",
        "--primary-port",
        str(primary.native_port),
    )
    standby = NodeProcess(tmp_path_factory.mktemp("standby"), flags).start()
    yield primary, standby
    standby.kill()
    primary.kill()


def asked(node: NodeProcess, body: dict[str, Any]) -> Any:
    status, _, text = post(node, body)
    assert status == 200, text
    return json.loads(text)


def test_a_standby_takes_writes_to_the_primary(pair: tuple[NodeProcess, NodeProcess]) -> None:
    _primary, standby = pair
    wait_until(lambda: standby.http("/standby")[0] == 200, "the standby follows")
    asked(standby, {"sql": "CREATE TABLE r (a int PRIMARY KEY, b text)"})
    written = asked(standby, {"sql": "INSERT INTO r VALUES ($1, $2) RETURNING b", "params": [1, "x"]})
    assert written["rows"] == [["x"]]
    both = {"statements": [{"sql": "INSERT INTO r VALUES (2, 'y')"}, {"sql": "SELECT count(*) FROM r"}]}
    assert asked(standby, both)["results"][1]["rows"] == [[2]]
    for node in pair:
        seen = asked(node, {"sql": "SELECT a FROM r ORDER BY a", "min_lsn": written["lsn"]})
        assert seen["rows"][0] == [1]
    status, _, text = post(standby, {"sql": "INSERT INTO r VALUES (1)"})
    assert (status, json.loads(text)["error"]["detail"]) == (409, "Key (a)=(1) already exists.")


def test_a_token_of_the_primary_holds_at_the_standby(pair: tuple[NodeProcess, NodeProcess]) -> None:
    primary, standby = pair
    made = asked(primary, {"sql": "SELECT helios_token_create('everywhere')"})
    bearer = {"Authorization": f"Bearer {made['rows'][0][0]}"}
    wait_until(lambda: post(standby, {"sql": "SELECT 1"}, headers=bearer)[0] == 200, "the token is there")
    asked(standby, {"sql": "SELECT helios_token_revoke('everywhere')"})
    wait_until(lambda: post(standby, {"sql": "SELECT 1"}, headers=bearer)[0] == 401, "it is revoked there")
