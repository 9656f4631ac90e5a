"""A standby that finds itself diverged replaces the pages that differ, under its readers, and follows on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until

from helios_cli.engine.types import PAGE_SIZE

FOLLOWED_S = 30.0


@contextmanager
def pair(tmp_path: Path) -> Iterator[tuple[InnerNode, InnerNode]]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with InnerNode(tmp_path / "one", node_id="n1", replication_role="primary") as primary:
        with primary.connect() as writer:
            writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
            writer.execute("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 2000) i")
        upstream = {"primary_host": "127.0.0.1", "primary_port": primary.settings.native_port}
        standby = InnerNode(tmp_path / "two", node_id="n2", replication_role="standby", **upstream)
        with standby:
            wait_equal(primary, standby)
            yield primary, standby


def position(node: InnerNode) -> tuple[int, int]:
    inner = node.node
    following = inner.replication.following
    if following is not None:
        return following.applicator.position
    return inner.pipeline.committed_lsn, inner.database.checksums.total


def wait_equal(one: InnerNode, other: InnerNode) -> None:
    wait_until(lambda: position(one) == position(other), "both nodes are at the same position", FOLLOWED_S)


def damage(standby: InnerNode, *numbers: int) -> None:
    """Other pages than the primary's, in the standby's database and in what it knows of them."""
    following = standby.node.replication.following
    assert following is not None
    database, applicator = standby.node.database, following.applicator
    pages = {number: bytes([number % 251]) * PAGE_SIZE for number in numbers}
    with database.commit_lock:
        frames = applicator._applier.apply(pages, database.checksums.pages)
        database.capture.note(frames, applicator._applier.salts())
        database.checksums.apply(pages, database.checksums.pages)


def kinds(node: InnerNode) -> list[str]:
    return [event.kind for event in node.node.events.recent()]


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_the_pages_that_differ_are_replaced_in_place(tmp_path: Path, busy: bool) -> None:
    with pair(tmp_path) as (primary, standby):
        database = standby.node.database
        damage(standby, 20, 21, 40)
        with primary.connect() as writer, standby.connect() as reader:
            writer.execute("INSERT INTO t VALUES (10001, 'more')")
            for number in range(200 if busy else 0):
                writer.execute("INSERT INTO t VALUES (%s, 'more')", (20001 + number,))
            wait_until(lambda: "repaired" in kinds(standby), "the pages are replaced", FOLLOWED_S)
            wait_equal(primary, standby)
            writer.execute("UPDATE t SET b = b || 'y'")
            wait_equal(primary, standby)
            count = 2001 + (200 if busy else 0)
            found = reader.execute("SELECT count(*), count(*) FILTER (WHERE b LIKE '%%y') FROM t").fetchone()
            assert found == (count, count)
        assert standby.node.database is database, "it did not have to close its database"
        assert "diverged" in kinds(standby)
        assert standby.node.failure is None


def test_a_database_that_cannot_be_repaired_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from helios_cli.engine.node import self_repair

    monkeypatch.setattr(self_repair, "PAGES_MAX", 2)
    with pair(tmp_path) as (primary, standby):
        database = standby.node.database
        damage(standby, 20, 21, 22, 40)
        with primary.connect() as writer:
            writer.execute("INSERT INTO t VALUES (10001, 'more')")
        wait_until(lambda: "copied" in kinds(standby) and standby.node.serving, "it is copied", FOLLOWED_S)
        wait_equal(primary, standby)
        assert standby.node.database is not database
        with standby.connect() as reader:
            assert reader.execute("SELECT count(*), min(length(b)) FROM t").fetchone() == (2001, 4)


def test_a_diverged_standby_keeps_taking_records_into_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from helios_cli.engine.node import self_repair

    held = asyncio.Event()
    found = self_repair.find_pages

    async def later(*arguments: object) -> object:
        while not held.is_set():
            await asyncio.sleep(0.01)
        return await found(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("helios_cli.engine.node.following.find_pages", later)
    with pair(tmp_path) as (primary, standby):
        damage(standby, 20)
        with primary.connect() as writer:
            writer.execute("INSERT INTO t VALUES (10001, 'more')")
            wait_until(lambda: "diverged" in kinds(standby), "it has found out", FOLLOWED_S)
            writer.execute("INSERT INTO t VALUES (10002, 'more')")
            end = primary.node.store.log.flushed
            wait_until(lambda: standby.node.store.log.flushed >= end, "the log goes on", FOLLOWED_S)
            assert position(standby)[0] < end, "nothing is applied meanwhile"
            held.set()
            wait_equal(primary, standby)
        with standby.connect() as reader, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("DELETE FROM t")
