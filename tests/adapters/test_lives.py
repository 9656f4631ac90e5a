"""A node that closes and opens everything in one process: what it held stays, what it lent is taken back."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psycopg
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until

from helios_cli.engine.types import Lsn, Token
from helios_cli.replication import ReplicaConfig, WriteGone
from helios_cli.replication.node_client import NodeClient


def live_again(node: InnerNode) -> None:
    before = node.node.database
    node.on_loop(lambda: node.node.begin_again("a test asks for it"))
    wait_until(lambda: node.node.database is not before and node.node.serving, "the next life serves")


def test_the_next_life_has_what_was_committed_in_the_last(tmp_path: Path) -> None:
    with InnerNode(tmp_path) as node:
        with node.connect() as client:
            client.execute("CREATE TABLE t (a int PRIMARY KEY)")
        for life in range(3):
            with node.connect() as client:
                client.execute("INSERT INTO t VALUES (%s)", (life,))
                live_again(node)
                with pytest.raises(psycopg.OperationalError):
                    client.execute("SELECT 1")
            with node.connect() as client:
                assert client.execute("SELECT count(*) FROM t").fetchone() == (life + 1,)


def test_a_program_is_told_that_a_state_was_given_up(tmp_path: Path) -> None:
    with InnerNode(tmp_path) as node:
        address = f"127.0.0.1:{node.port}"
        config = ReplicaConfig(primary_address=address, user="postgres")
        client = NodeClient(address, config)
        with node.connect() as writer:
            writer.execute("CREATE TABLE t (a int PRIMARY KEY)")
        had = client.position().state
        assert had.term is not None and had.lsn == node.node.pipeline.committed_lsn
        # Each life of a node that is alone is another term, which goes on from where the last one ended.
        client.close()
        live_again(node)
        client = NodeClient(address, config)
        now = client.position().state
        assert now.term is not None and now.term > had.term and now.lsn > had.lsn
        client.check_shows(had)
        with pytest.raises(WriteGone, match="the cluster went on without it"):
            client.check_shows(Token(Lsn(now.lsn + 10_000), had.term))
        client.check_shows(now)
        assert not client.position().is_standby
        client.close()


def test_no_connection_outlives_its_life(tmp_path: Path) -> None:
    """A session's own connection would tie the next life to an index of SQLite's WAL that is deleted."""
    with InnerNode(tmp_path) as node:
        with contextlib.closing(node.connect()) as idle, contextlib.closing(node.connect()) as reading:
            idle.execute("CREATE TEMPORARY TABLE mine (a int)")
            reading.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reading.execute("SELECT 1 FROM pg_class")
            live_again(node)
        with node.connect() as client:
            client.execute("CREATE TABLE t (a int)")
            client.execute("INSERT INTO t VALUES (1)")
            live_again(node)
        with node.connect() as client:
            assert client.execute("SELECT a FROM t").fetchone() == (1,)
        assert node.node.failure is None
        assert node.node.engine.errors_unexpected == 0


def test_the_events_of_all_lives_are_kept(tmp_path: Path) -> None:
    with InnerNode(tmp_path) as node:
        live_again(node)
        live_again(node)
        node.node.events.flush()
        assert len(node.node.events.history(kind="restarting")) == 2
