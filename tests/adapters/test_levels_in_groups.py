"""Writes whose sessions wait for more or less than the others share groups with them all the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from support.inner_node import InnerNode


@contextmanager
def releasing_disk(node: InnerNode) -> Iterator[None]:
    """Whatever comes, the disk takes everything again at the end: nobody hangs who waits for it."""
    try:
        yield
    finally:
        node.release_disk()


def test_who_waits_for_nothing_is_answered_before_the_group_is_on_disk(tmp_path: Path) -> None:
    with (
        InnerNode(tmp_path) as node, ThreadPoolExecutor() as threads, node.connect() as hasty, node.connect() as other,
        releasing_disk(node),
    ):  # fmt: skip
        hasty.execute("CREATE TABLE t (a int PRIMARY KEY)")
        hasty.execute("SET synchronous_commit = off")
        queue = node.node.engine.queue
        written = node.on_loop(lambda: queue.write_count)
        node.hold_disk()
        answered = threads.submit(other.execute, "INSERT INTO t VALUES (1)")
        node.wait_in_flight(1)
        hasty.execute("INSERT INTO t VALUES (2)")
        # An error tells of the state that it met, and waits for that.
        refused = threads.submit(hasty.execute, "INSERT INTO t VALUES (1)")
        node.wait_in_flight(2)
        assert not answered.done() and not refused.done()
        # The third may have been tried in a group already.
        assert node.on_loop(lambda: queue.write_count) >= written + 2, "both went into groups"
        node.release_disk()
        answered.result(20)
        with pytest.raises(psycopg.errors.UniqueViolation):
            refused.result(20)
        assert hasty.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_a_session_sees_its_own_write_that_it_did_not_wait_for(tmp_path: Path) -> None:
    with (
        InnerNode(tmp_path) as node, ThreadPoolExecutor() as threads, node.connect() as hasty, releasing_disk(node),
    ):  # fmt: skip
        hasty.execute("CREATE TABLE t (a int PRIMARY KEY)")
        hasty.execute("SET synchronous_commit = off")
        node.hold_disk()
        hasty.execute("INSERT INTO t VALUES (2)")
        found = threads.submit(lambda: hasty.execute("SELECT count(*) FROM t").fetchone())
        assert not found.done()
        node.release_disk()
        assert found.result(20) == (1,)
