"""Mutated conversations by the thousand: no crash, no hang, nothing unforeseen, and nobody else is disturbed."""

from __future__ import annotations

import os

import psutil
import pytest
from support.node_process import NodeProcess
from support.wire_mutations import TABLE, Outcome, converse

MESSAGES = int(os.environ.get("HELIOSDB_TEST_WIRE_MESSAGES", "6000"))
"""A million takes some minutes."""


@pytest.mark.timeout(3600)
def test_mutated_conversations(server: NodeProcess) -> None:
    process = psutil.Process(server.pid)
    outcome = Outcome()
    with server.connect() as connection:
        connection.execute(TABLE)
        connection.execute("CREATE TABLE IF NOT EXISTS beside (n bigint); INSERT INTO beside VALUES (0)")
        before = process.memory_info().rss
        seed = 0
        while outcome.messages < MESSAGES:
            converse(server.pg_port, seed, outcome)
            seed += 1
            if not seed % 20:
                connection.execute("UPDATE beside SET n = n + 1")
        row = connection.execute("SELECT n FROM beside").fetchone()
    assert row == (seed // 20,)
    assert outcome.internal == []
    assert outcome.hung == []
    assert outcome.finished > outcome.connections // 4, "the conversations end too early to say anything"
    assert process.memory_info().rss < before + 128 * 1024 * 1024
    assert "internal error" not in server.log_tail(1000)
    assert "Traceback" not in server.log_tail(1000)
