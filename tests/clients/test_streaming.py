"""A standby follows its primary: from an empty directory, through stops and kills of either, never writing itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

FOLLOWED_S = 20.0


def pair(make_node: MakeNode, *flags: str) -> tuple[NodeProcess, NodeProcess]:
    primary = make_node("--replication-role", "primary", "--node-id", "n1", *flags)
    return primary, make_node(*standby_flags(primary), "--node-id", "n2", *flags)


def standby_flags(upstream: NodeProcess) -> tuple[str, ...]:
    port = str(upstream.native_port)
    return ("--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port", port)


def status(node: NodeProcess) -> dict[str, Any]:
    code, content = node.http("/status")
    assert code == 200
    return dict(content)


def position(node: NodeProcess) -> tuple[str, str]:
    found = status(node)
    return found["committed_lsn"], found["database_checksum"]


def wait_equal(one: NodeProcess, other: NodeProcess) -> None:
    wait_until(lambda: position(one) == position(other), "both nodes are at the same position", FOLLOWED_S)


def test_what_the_primary_commits_is_read_on_the_standby(make_node: MakeNode) -> None:
    primary, standby = pair(make_node)
    with primary.connect() as writer, standby.connect() as reader:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
        writer.execute("INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 500) i")
        wait_equal(primary, standby)
        assert reader.execute("SELECT count(*), max(a) FROM t").fetchone() == (500, 500)
        writer.execute("ALTER TABLE t ADD COLUMN c int DEFAULT 7")
        writer.execute("UPDATE t SET b = 'other' WHERE a = 3")
        wait_equal(primary, standby)
        assert reader.execute("SELECT b, c FROM t WHERE a = 3").fetchone() == ("other", 7)
        assert reader.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        assert writer.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)


def test_the_checksum_that_a_node_tells_of_belongs_to_the_lsn_that_it_tells_of(make_node: MakeNode) -> None:
    """Under load too, when more has been made or applied than is committed."""
    primary, standby = pair(make_node, "--replication-mode", "sync")
    over, found = threading.Event(), dict[str, dict[int, str]]()

    def write() -> None:
        with primary.connect() as writer:
            while not over.wait(0.002):
                writer.execute("UPDATE t SET b = b + 1")

    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int, b int)")
        writer.execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 300) i")
    wait_equal(primary, standby)
    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write) for _ in range(3)]

        def is_seen_often() -> bool:
            for node in (primary, standby):
                lsn, checksum = position(node)
                found.setdefault(lsn, {})[id(node)] = checksum
            return sum(len(said) == 2 for said in found.values()) > 30

        try:
            wait_until(is_seen_often, "both nodes have told of many equal positions", FOLLOWED_S)
        finally:
            over.set()
        for one in writing:
            one.result()
    wait_equal(primary, standby)
    assert [lsn for lsn, said in found.items() if len(set(said.values())) > 1] == []


def test_an_async_standby_refuses_writes(make_node: MakeNode) -> None:
    _, standby = pair(make_node)
    with standby.connect() as reader:
        for statement in ("CREATE TABLE t (a int)", "BEGIN; CREATE TABLE t (a int)"):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as refused:
                reader.execute(statement)
            assert refused.value.diag.message_primary == (
                "cannot execute write operations in read-only mode (async standby)"
            )
            assert refused.value.diag.message_hint == (
                "Connect to the primary for write operations, or configure sync mode for transparent routing."
            )
            reader.execute("ROLLBACK")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_standby_that_was_away_catches_up(make_node: MakeNode, how: str) -> None:
    primary, standby = pair(make_node)
    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY)")
        writer.execute("INSERT INTO t VALUES (1)")
        wait_equal(primary, standby)
        getattr(standby, how)()
        for number in range(2, 60):
            writer.execute("INSERT INTO t VALUES (%s)", (number,))
        # A transaction of many records, which the log holds as a chain.
        writer.execute("CREATE TABLE big AS SELECT i, repeat('x', 200) AS pad FROM generate_series(1, 60000) i")
        standby.start()
        wait_equal(primary, standby)
    with standby.connect() as reader:
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (59,)
        assert reader.execute("SELECT count(*) FROM big").fetchone() == (60000,)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_standby_follows_a_primary_that_comes_back(make_node: MakeNode, how: str) -> None:
    primary, standby = pair(make_node)
    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY)")
    wait_equal(primary, standby)
    getattr(primary, how)()
    with standby.connect() as reader:
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (0,)
    primary.start()
    with primary.connect() as writer:
        writer.execute("INSERT INTO t VALUES (1)")
    wait_equal(primary, standby)
    assert status(standby)["term"] == status(primary)["term"]


def test_a_standby_of_a_standby(make_node: MakeNode) -> None:
    primary, middle = pair(make_node)
    last = make_node(*standby_flags(middle), "--node-id", "n3")
    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY)")
        writer.execute("INSERT INTO t SELECT * FROM generate_series(1, 100)")
    wait_equal(primary, last)
    with last.connect() as reader:
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (100,)


def test_a_standby_of_a_standby_that_is_lost_follows_the_primary(make_node: MakeNode) -> None:
    """Nobody tells it of the primary, whose standby it has never been."""
    primary, middle = pair(make_node)
    last = make_node(*standby_flags(middle), "--node-id", "n3")
    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY)")
        wait_equal(primary, last)
        middle.kill()
        writer.execute("INSERT INTO t VALUES (1)")
    wait_equal(primary, last)
    with last.connect() as reader:
        told = reader.execute("SELECT old_primary, new_primary FROM replicate.failover_history").fetchall()
    assert told == [("n1", "n1")]


def test_the_directory_remembers_its_role(make_node: MakeNode) -> None:
    primary, standby = pair(make_node)
    standby.stop()
    standby.flags = ["--node-id", "n2", "--replication-role", "primary"]
    standby.start()
    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int)")
    wait_equal(primary, standby)
    assert "is ignored: this data directory belongs to a standby" in standby.log_tail()


def test_checkpoints_and_log_removal_go_on_under_a_stream(make_node: MakeNode) -> None:
    small = ("--wal-checkpoint-mb", "1", "--log-segment-mb", "1", "--log-retention-mb", "0")
    primary, standby = pair(make_node, *small)
    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, pad text)")
        for number in range(80):
            writer.execute(
                "INSERT INTO t SELECT %s * 100 + i, (SELECT string_agg(md5(i * j || 'x'), '') "
                "FROM generate_series(1, 12) j) FROM generate_series(1, 100) i",
                (number,),
            )
        wait_equal(primary, standby)
        writer.execute("UPDATE t SET pad = '' WHERE a % 7 = 0")
        wait_equal(primary, standby)
    wait_until(lambda: status(standby)["checkpoints"] > 0, "the standby has checkpointed by itself", FOLLOWED_S)
    with standby.connect() as reader:
        reader.execute("CHECKPOINT")
    assert status(standby)["log_start_lsn"] != "0/0"
    standby.kill()
    standby.start()
    wait_equal(primary, standby)
