"""What a change of the schema costs does not hang on how many other tables there are: counted in SQLite's steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import psycopg
from support.inner_node import InnerNode

TABLES = 150
LOOK = (
    "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
    "WHERE c.relname = 'another' AND a.attnum > 0 ORDER BY a.attnum"
)
COLUMNS = [("another", "id"), ("another", "a")]


class Steps:
    """Counts the steps of SQLite's machine on every connection of the process; reading a schema takes some for each
    table and index.
    """

    def __init__(self) -> None:
        self.count = 0

    def _step(self) -> bool:
        self.count += 1
        return False

    def __enter__(self) -> Steps:
        for connection in apsw.connections():
            connection.set_progress_handler(self._step, 1, id=self)
        return self

    def __exit__(self, *_: object) -> None:
        for connection in apsw.connections():
            connection.set_progress_handler(None, id=self)


def define_look_and_drop(client: psycopg.Connection[tuple[Any, ...]]) -> None:
    client.execute("CREATE TABLE another (id serial PRIMARY KEY, a int)")
    assert client.execute(LOOK).fetchall() == COLUMNS
    client.execute("DROP TABLE another")
    assert client.execute(LOOK).fetchall() == []


def comment_and_look(client: psycopg.Connection[tuple[Any, ...]]) -> None:
    client.execute("COMMENT ON TABLE t0 IS 'said'")
    assert client.execute("SELECT obj_description('t0'::regclass)").fetchall() == [("said",)]


def steps(client: psycopg.Connection[tuple[Any, ...]]) -> tuple[int, int]:
    """What it takes to define, look and drop, and to comment and look, once everything is in place."""
    client.prepare_threshold = None
    for _ in range(3):
        define_look_and_drop(client)
        comment_and_look(client)
    with Steps() as defined:
        define_look_and_drop(client)
    with Steps() as commented:
        comment_and_look(client)
    return defined.count, commented.count


def test_a_definition_costs_the_same_beside_many_tables(tmp_path: Path) -> None:
    with InnerNode(tmp_path, reader_threads=1) as node, node.connect() as client:
        client.execute("CREATE TABLE t0 (id serial PRIMARY KEY, a int UNIQUE)")
        alone = steps(client)
        with client.transaction():
            for number in range(1, TABLES):
                client.execute(f"CREATE TABLE t{number} (id serial PRIMARY KEY, a int UNIQUE, b text CHECK (b <> ''))")
        beside = steps(client)
    assert min(alone) > 500
    # SQLite itself looks through its list of tables and indexes a few times for a CREATE or a DROP.
    assert beside[0] < alone[0] + 40 * TABLES
    assert beside[1] < alone[1] + TABLES
