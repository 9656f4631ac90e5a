"""A switchover that somebody does not let go: a client that waits for more copies than there will be."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.inner_pair import SETTLED_S, pair, replication, run
from support.node_process import wait_until
from support.raw_wire import RawClient, error_fields, query

from helios_cli.engine.node import handover
from helios_cli.engine.types import Lsn


def outcome(client: RawClient) -> str:
    """The SQLSTATE with which its statement ended."""
    while True:
        code, body = client.receive()
        assert code not in "CZ", "nobody has answered it"
        if code == "E":
            return (body if isinstance(body, dict) else error_fields(body))["C"]


def test_the_lead_goes_and_the_client_knows_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pair(tmp_path) as (first, second), first.raw() as here, second.raw() as there, first.raw() as idle:
        for client in (here, there):
            client.run("SET synchronous_commit = remote_apply")
        idle.run("SELECT 1")
        leading = replication(first).leading
        assert leading is not None
        monkeypatch.setattr(type(leading.lsns), "reached_by", lambda *_: Lsn(0))
        here.send(query("INSERT INTO t VALUES (1)"))
        there.send(query("INSERT INTO t VALUES (2)"))
        wait_until(lambda: first.on_loop(lambda: len(leading._answers)) == 2, "both wait for more copies")
        result = run(first, lambda: handover.switchover(replication(first), timeout_s=2.0))
        assert "n2 is the primary" in result["result"]
        assert (outcome(here), outcome(there)) == ("08007", "08007")
        wait_until(lambda: replication(second).is_leading, "it leads", SETTLED_S)
        # Whatever a client is told, nothing was done twice, and nothing is lost.
        with second.connect() as reader:
            rows = reader.execute("SELECT a, count(*) FROM t WHERE a > 0 GROUP BY a ORDER BY a").fetchall()
        assert rows == [(1, 1), (2, 1)]
        assert idle.run("SELECT 1")
