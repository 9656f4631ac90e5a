"""A switchover and the transaction that has the writer: it may end, or is undone and says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

LONG = ("--set", "replication.switchover_drain=60s")
SHORT = ("--set", "replication.switchover_drain=100ms")


def pair(make_node: MakeNode, *flags: str) -> tuple[NodeProcess, NodeProcess]:
    """A primary and a standby that may replace it, with the table t."""
    first = make_node("--replication-role", "primary", "--node-id", "n1", "--replication-mode", "sync", *flags)
    with first.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY)")
    upstream = ("--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port")
    second = make_node(*upstream, str(first.native_port), "--node-id", "n2", "--replication-mode", "sync", *flags)
    wait_until(lambda: counts(first) == 2, "every copy counts", 20)
    return first, second


def counts(node: NodeProcess) -> int:
    return sum(each["in_sync"] for each in node.http("/status")[1]["cluster"]["nodes"])


def keys(node: NodeProcess) -> list[int]:
    with node.connect() as connection:
        return [row[0] for row in connection.execute("SELECT a FROM t ORDER BY a").fetchall()]


class Switchover(threading.Thread):
    """Asked for in the background."""

    def __init__(self, node: NodeProcess) -> None:
        super().__init__()
        self._node = node
        self.code = 0
        self.answer: dict[str, Any] = {}
        self.start()

    def run(self) -> None:
        self.code, self.answer = self._node.http("/admin/switchover", body={"timeout_s": 30}, timeout=60)

    def finished(self) -> dict[str, Any]:
        self.join(60)
        assert self.code == 200, self.answer
        return self.answer


def announced(node: NodeProcess, event: str, begin: Callable[[], Switchover]) -> Switchover:
    """Begin a switchover, and wait until the node has told of it."""
    with node.connect() as listener:
        listener.execute("LISTEN helios_cluster")
        switchover = begin()
        for notice in listener.notifies(timeout=30):
            if f'"event": "{event}"' in notice.payload:
                return switchover
    pytest.fail(f"nothing was told of {event}")


def test_a_block_that_ends_in_time_is_committed(make_node: MakeNode) -> None:
    first, second = pair(make_node, *LONG)
    with first.connect(autocommit=False) as holder:
        holder.execute("INSERT INTO t VALUES (1)")
        switchover = announced(first, "handover", lambda: Switchover(first))
        holder.execute("INSERT INTO t VALUES (2)")
        holder.commit()
    assert switchover.finished()["undone"] == 0
    assert keys(second) == [1, 2]
    assert second.http("/primary")[0] == 200


def test_a_block_that_sits_idle_is_undone_and_hears_of_it_at_its_next_statement(make_node: MakeNode) -> None:
    first, second = pair(make_node, *SHORT)
    with first.connect(autocommit=False) as holder, first.connect(autocommit=False) as other:
        other.execute("SELECT 1")
        holder.execute("INSERT INTO t VALUES (1)")
        answer = Switchover(first).finished()
        assert answer["undone"] == 1 and "1 transaction" in answer["result"]
        with pytest.raises(psycopg.errors.SerializationFailure, match="gives the lead to node n2"):
            holder.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            holder.execute("SELECT 1")
        holder.rollback()
        assert holder.execute("SELECT count(*) FROM t").fetchone() == (0,)
        assert other.execute("SELECT 2").fetchone() == (2,), "who has not the writer is left alone"
    assert keys(second) == []
    with first.connect() as connection:
        told = connection.execute("SELECT message FROM helios_events WHERE kind = 'writer_taken'").fetchall()
    assert len(told) == 1 and "is undone" in told[0][0]


def test_a_commit_of_what_was_undone_is_no_commit(make_node: MakeNode) -> None:
    first, second = pair(make_node, *SHORT)
    with first.connect(autocommit=False) as holder:
        holder.execute("INSERT INTO t VALUES (1)")
        Switchover(first).finished()
        with pytest.raises(psycopg.errors.SerializationFailure):
            holder.commit()
    assert keys(second) == []


def test_savepoints_do_not_keep_the_writer_and_are_gone(make_node: MakeNode) -> None:
    first, second = pair(make_node, *SHORT)
    with first.connect(autocommit=False) as holder:
        holder.execute("INSERT INTO t VALUES (1)")
        holder.execute("SAVEPOINT a")
        holder.execute("INSERT INTO t VALUES (2)")
        Switchover(first).finished()
        with pytest.raises(psycopg.errors.SerializationFailure):
            holder.execute("ROLLBACK TO a")
        holder.rollback()
    assert keys(second) == []


def test_a_failed_block_with_a_savepoint_lets_the_writer_go(make_node: MakeNode) -> None:
    first, _second = pair(make_node, *SHORT)
    with first.connect(autocommit=False) as holder:
        holder.execute("INSERT INTO t VALUES (1)")
        holder.execute("SAVEPOINT a")
        with pytest.raises(psycopg.errors.UniqueViolation):
            holder.execute("INSERT INTO t VALUES (1)")
        assert Switchover(first).finished()["undone"] == 1
        holder.rollback()


def test_a_statement_that_runs_is_ended(make_node: MakeNode) -> None:
    first, second = pair(make_node, *SHORT)
    endless = "INSERT INTO t SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b"
    with first.connect() as holder:
        failures: list[BaseException] = []

        def run() -> None:
            try:
                holder.execute(endless)
            except psycopg.Error as error:
                failures.append(error)

        runner = threading.Thread(target=run)
        runner.start()
        with first.connect() as watcher:
            asked = (
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'INSERT INTO t SELECT%'"
            )
            wait_until(lambda: watcher.execute(asked).fetchone() == (1,), "the statement runs")
        assert Switchover(first).finished()["undone"] == 1
        runner.join(30)
    assert [type(one) for one in failures] == [psycopg.errors.SerializationFailure]
    assert keys(second) == []


def test_a_pipeline_that_stands_still_is_ended(make_node: MakeNode) -> None:
    first, second = pair(make_node, *SHORT)
    holder = first.connect()
    with pytest.raises(psycopg.OperationalError) as lost, holder.pipeline() as pipeline:
        # Without a Sync behind it nothing of it is committed.
        assert holder.execute("INSERT INTO t VALUES (1) RETURNING a").fetchone() == (1,)
        assert Switchover(first).finished()["undone"] == 1
        pipeline.sync()
    assert lost.value.sqlstate in ("40001", None)
    assert holder.closed
    assert keys(second) == []


def test_without_a_limit_the_lead_stays(make_node: MakeNode) -> None:
    first, second = pair(make_node, "--set", "replication.switchover_drain=0")
    with first.connect(autocommit=False) as holder, first.connect() as listener:
        listener.execute("LISTEN helios_cluster")
        holder.execute("INSERT INTO t VALUES (1)")
        code, answer = first.http("/admin/switchover", body={"timeout_s": 0.5})
        assert code == 409 and "did not end within 0.5 s" in answer["error"]
        told = [notice.payload for notice in listener.notifies(timeout=30, stop_after=2)]
        assert ['"handover"' in told[0], '"handover_ended"' in told[1]] == [True, True]
        holder.commit()
    assert keys(first) == [1]
    assert second.http("/primary")[0] != 200
