"""Sessions of every database share the event loop, groups and readers; what is idle holds nothing up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until
from support.raw_wire import query

from helios_cli.engine.node.databases import KEPT_MAX
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.storage.other_databases import RESTING

Connection = psycopg.Connection[Any]
ON_LOOP = ("Runs on: event loop",)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[InnerNode]:
    with InnerNode(tmp_path) as node:
        with node.connect() as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
            connection.execute("CREATE DATABASE other")
        with node.connect(dbname="other") as connection:
            connection.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')")
            connection.execute("CREATE TABLE t (id serial PRIMARY KEY, v text, m mood)")
            connection.execute("INSERT INTO t (v, m) SELECT 'x', 'ok' FROM generate_series(1, 20)")
        yield node


def test_short_statements_run_on_the_loop_in_every_database(node: InnerNode) -> None:
    with node.connect(dbname="other") as connection:
        for statement in (
            "SELECT v FROM t WHERE id = 1",
            "UPDATE t SET v = 'y' WHERE id = 1",
            "INSERT INTO t (id, v, m) VALUES (99, 'z', 'happy')",
            "SELECT max(m) FROM t WHERE id IN (1, 2)",
        ):
            plan = connection.execute(f"EXPLAIN {statement}").fetchall()
            assert plan[-1] == ON_LOOP, statement
        assert connection.execute("INSERT INTO t (v, m) VALUES ('z', 'sad') RETURNING id").fetchall() == [(21,)]
        assert connection.execute("SELECT v FROM t WHERE id = 1 AND m > 'sad'").fetchall() == [("x",)]


def test_writes_of_a_database_share_a_group_and_none_with_another(node: InnerNode) -> None:
    """While nothing reaches the disk no more groups begin than may be in flight: all others become one group each."""
    queue, pipeline = node.node.engine.queue, node.node.pipeline
    with ExitStack() as stack:
        clients = [stack.enter_context(node.raw(database=("heliosdb", "other")[n // 8])) for n in range(16)]
        node.hold_disk()
        fillers = [stack.enter_context(node.raw()) for _ in range(8)]
        for number, filler in enumerate(fillers):
            if pipeline.has_room():
                filler.send(query(f"INSERT INTO t VALUES ({100 + number}, '')"))
                node.wait_in_flight(number + 1)
        before = queue.group_count

        def waits(count: int) -> bool:
            return len(queue) == count

        for number, client in enumerate(clients):
            client.send(query(f"INSERT INTO t (id, v) VALUES ({1000 + number}, '')"))
            wait_until(partial(waits, number + 1), "it waits")
        node.release_disk()
        for client in clients:
            client.until("Z")
        assert queue.group_count - before == 2
    for name, numbers in (("heliosdb", range(1000, 1008)), ("other", range(1008, 1016))):
        with node.connect(dbname=name) as connection:
            found = connection.execute("SELECT id FROM t WHERE id >= 1000 ORDER BY id").fetchall()
            assert found == [(number,) for number in numbers]


def test_a_read_shows_what_is_committed_and_nothing_that_is_not(node: InnerNode) -> None:
    with node.connect(dbname="other") as reader, node.raw(database="other") as writer:
        assert reader.execute("SELECT v FROM t WHERE id = 1").fetchall() == [("x",)]
        node.hold_disk()
        writer.send(query("UPDATE t SET v = 'new' WHERE id = 1"))
        node.wait_in_flight()
        assert reader.execute("SELECT v FROM t WHERE id = 1").fetchall() == [("x",)]
        node.release_disk()
        writer.until("Z")
        assert reader.execute("SELECT v FROM t WHERE id = 1").fetchall() == [("new",)]


def test_readers_of_a_database_that_nobody_reads_hold_no_snapshot(node: InnerNode) -> None:
    """Else checkpoints would never pass what the last one in it has seen."""
    with node.connect(dbname="other") as idle, node.connect() as busy:
        idle.execute("SELECT v FROM t WHERE id = 1")
        (ring,) = (other.ring for other in node.node.engine.database.others.values())
        assert ring.current.pinned
        for number in range(70):
            busy.execute("INSERT INTO t VALUES (%s, '')", (number,))
        assert not any(reader.pinned for reader in ring.readers)
        assert ring.seq == RESTING
        assert idle.execute("SELECT v FROM t WHERE id = 1").fetchall() == [("x",)]
        assert ring.current.pinned
        busy.execute("CHECKPOINT")
        assert not ring.current.pinned


def test_plans_are_shared_by_the_sessions_of_a_database(node: InnerNode) -> None:
    engine = node.node.engine
    with node.connect(dbname="other") as one, node.connect(dbname="other") as two:
        oid = one.execute("SELECT oid FROM pg_database WHERE datname = 'other'").fetchall()[0][0]
        one.execute("SELECT v FROM t WHERE id = 1")
        view = engine._views[oid, next(iter(engine.sessions.values())).search_path]
        misses = view.plans.misses
        two.execute("SELECT v FROM t WHERE id = 1")
        assert view.plans.misses == misses
        one.execute("ALTER TABLE t ADD COLUMN w int DEFAULT 7")
        assert two.execute("SELECT w FROM t WHERE id = 1").fetchall() == [(7,)]


def test_connections_of_databases_that_nobody_is_in_are_closed(node: InnerNode) -> None:
    database = node.node.engine.database
    names = [f"d{number}" for number in range(KEPT_MAX + 3)]
    with node.connect() as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}")
        for name in names:
            with node.connect(dbname=name) as inside:
                inside.execute("CREATE TABLE t (a int PRIMARY KEY)")
                inside.execute("SELECT * FROM t WHERE a = 1")
        with node.connect(dbname=names[0]):
            wait_until(lambda: len(database.others) <= KEPT_MAX + 1, "the oldest are closed")
        for name in names:
            connection.execute(f"DROP DATABASE {name}")
        with node.connect(dbname="other"):
            pass
        wait_until(lambda: len(database.others) == 1, "what was dropped is closed")
        assert DATABASE_OID not in database.others


def test_temporary_tables_and_blocks_in_another_database(node: InnerNode) -> None:
    with node.connect(dbname="other", autocommit=False) as connection:
        connection.execute("INSERT INTO t (v) VALUES ('mine')")
        connection.execute("CREATE TEMP TABLE own AS SELECT id, v FROM t WHERE v = 'mine'")
        connection.execute("ALTER TABLE t ADD COLUMN more int DEFAULT 1")
        assert connection.execute("SELECT v, more FROM own JOIN t USING (id, v)").fetchall() == [("mine", 1)]
        connection.commit()
        assert connection.execute("SELECT count(*) FROM own").fetchall() == [(1,)]
        plan = connection.execute("EXPLAIN SELECT v FROM t WHERE id = 1").fetchall()
        assert plan[-1] == ("Runs on: worker thread",)
        connection.commit()
        connection.autocommit = True
        connection.execute("DISCARD TEMP")
        assert connection.execute("EXPLAIN SELECT v FROM t WHERE id = 1").fetchall()[-1] == ON_LOOP
    with node.connect(dbname="other") as connection:
        assert connection.execute("SELECT v, more FROM t WHERE v = 'mine'").fetchall() == [("mine", 1)]
        connection.execute("INSERT INTO t (v) VALUES ('after')")
    with node.connect() as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
