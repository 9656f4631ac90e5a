"""replicate.failover_history: a name that gives way to users' own, and what it tells of moves that were asked for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from support.node_process import MakeNode, NodeProcess, wait_until

NAME = "replicate.failover_history"
COLUMNS = [
    "id",
    "failover_time",
    "node_id",
    "decision",
    "term",
    "old_primary",
    "new_primary",
    "automatic",
    "reason",
    "details",
]
MOVED_S = 20.0


@pytest.fixture
def session(server: NodeProcess) -> Iterator[psycopg.Connection[Any]]:
    with server.connect() as connection:
        yield connection
        connection.execute("DROP SCHEMA IF EXISTS replicate CASCADE")
        connection.execute("DROP VIEW IF EXISTS changes")


def columns(session: psycopg.Connection[Any], relation: str) -> list[str]:
    description = session.execute(f"SELECT * FROM {relation}").description
    assert description is not None
    return [column.name for column in description]


def test_the_name_is_there_without_a_schema_of_that_name(session: psycopg.Connection[Any]) -> None:
    assert columns(session, NAME) == columns(session, "helios_failover_history") == COLUMNS
    session.execute(f"SELECT failover_history.id, {NAME}.term FROM {NAME}")
    session.execute("SET search_path = replicate")
    assert columns(session, "failover_history") == COLUMNS
    session.execute("RESET search_path")
    with pytest.raises(psycopg.errors.UndefinedTable, match=r'"replicate\.nothing" does not exist'):
        session.execute("SELECT * FROM replicate.nothing")
    with pytest.raises(psycopg.errors.InvalidSchemaName):
        session.execute("CREATE TABLE replicate.t (a int)")


def test_a_table_of_the_users_goes_first_and_leaves_the_view_behind(session: psycopg.Connection[Any]) -> None:
    session.execute(f"CREATE VIEW changes AS SELECT id, decision FROM {NAME}")
    session.execute("CREATE SCHEMA replicate")
    assert columns(session, NAME) == COLUMNS
    session.execute(f"CREATE TABLE {NAME} (id int PRIMARY KEY, mine text)")
    assert columns(session, NAME) == ["id", "mine"]
    session.execute(f"INSERT INTO {NAME} VALUES (1, 'a')")
    assert session.execute(f"SELECT mine FROM {NAME}").fetchall() == [("a",)]
    assert session.execute("SELECT * FROM changes").fetchall() == []
    session.execute(f"DROP TABLE {NAME}")
    assert columns(session, NAME) == COLUMNS
    with pytest.raises(psycopg.errors.UndefinedTable):
        session.execute(f"DROP TABLE {NAME}")


def test_tools_see_no_relation_of_that_name(server: NodeProcess, session: psycopg.Connection[Any]) -> None:
    session.execute("CREATE SCHEMA replicate")
    found = session.execute("SELECT relname FROM pg_class WHERE relnamespace = 'replicate'::regnamespace").fetchall()
    assert found == []
    assert session.execute("SELECT to_regclass('replicate.failover_history')").fetchone() == (None,)
    dump = shutil.which("pg_dump") or "/usr/lib/postgresql/15/bin/pg_dump"
    where = ["-h", "127.0.0.1", "-p", str(server.pg_port), "-U", "helios", "heliosdb"]
    text = subprocess.run([dump, *where], check=True, capture_output=True, text=True).stdout
    assert "CREATE SCHEMA replicate" in text and "failover_history" not in text


def test_it_tells_of_a_switchover_and_a_promotion(make_node: MakeNode) -> None:
    first = make_node("--replication-role", "primary", "--node-id", "n1", "--replication-mode", "semi-sync")
    where = ("--primary-host", "127.0.0.1", "--primary-port", str(first.native_port))
    second = make_node("--replication-role", "standby", "--node-id", "n2", "--replication-mode", "semi-sync", *where)
    wait_until(lambda: counting(first) == 2, "the copies of the standby count", MOVED_S)
    assert first.http("/admin/switchover", body={"to": "n2"})[0] == 200
    given = last_change(second)
    assert (given["decision"], given["automatic"]) == ("promoted", False)
    assert (given["old_primary"], given["new_primary"]) == ("n1", "n2")
    assert given["reason"] == "switchover: node n1 gave it the lead"
    wait_until(lambda: counting(second) == 2, "the old primary follows", MOVED_S)
    followed = last_change(first)
    assert [followed[name] for name in ("decision", "old_primary", "new_primary")] == ["retargeted", "n1", "n2"]
    assert followed["term"] == given["term"]
    second.kill()
    wait_until(lambda: first.http("/admin/promote", body={})[0] == 200, "it is promoted", MOVED_S)
    made = last_change(first)
    assert (made["decision"], made["automatic"]) == ("promoted", False)
    assert (made["old_primary"], made["new_primary"]) == ("n2", "n1")
    assert made["reason"] == "an operator promoted it" and made["term"] > given["term"]


def counting(node: NodeProcess) -> int:
    with node.connect() as connection:
        row = connection.execute("SELECT count(*) FROM helios_replication_status WHERE in_sync").fetchone()
    assert row is not None
    return int(row[0])


def last_change(node: NodeProcess) -> dict[str, Any]:
    with node.connect(row_factory=dict_row) as connection:
        row = connection.execute(f"SELECT * FROM {NAME} ORDER BY failover_time DESC LIMIT 1").fetchone()
    assert row is not None
    return dict(row)
