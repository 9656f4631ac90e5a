"""clock_timestamp() and timeofday() tell the time at which each row is computed, as PostgreSQL's do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.inner_node import InnerNode
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[psycopg.Connection[Any]]:
    with InnerNode(tmp_path) as node, node.connect() as connected:
        connected.autocommit = True
        yield connected


def test_each_row_of_a_statement_has_its_own(connection: psycopg.Connection[Any]) -> None:
    told = connection.execute("SELECT clock_timestamp(), timeofday(), pg_sleep(0.02) FROM generate_series(1, 3)")
    times, texts, _ = zip(*told.fetchall(), strict=True)
    assert all(later - earlier >= timedelta(seconds=0.02) for earlier, later in itertools.pairwise(times))
    assert len(set(texts)) == 3
    known = connection.execute("SELECT count(DISTINCT now()), count(DISTINCT statement_timestamp()) FROM pg_class")
    assert known.fetchone() == (1, 1)
    assert connection.execute("SELECT x = x FROM (SELECT clock_timestamp() AS x) AS t").fetchone() == (True,)


def test_a_cursor_computes_what_is_fetched(connection: psycopg.Connection[Any]) -> None:
    with connection.transaction(), connection.cursor("c") as cursor:
        cursor.execute("SELECT clock_timestamp() FROM generate_series(1, 3)")
        (before,) = cursor.fetchmany(2)[-1]
        row = connection.execute("SELECT clock_timestamp() FROM pg_sleep(0.02)").fetchone()
        assert row is not None
        (after,) = cursor.fetchmany(1)[0]
        assert before < row[0] < after


def test_defaults_and_errors_of_rows(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE t (a int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp() CHECK (a < 100))")
    connection.execute("INSERT INTO t (a) SELECT generate_series(1, 50)")
    row = connection.execute("SELECT count(DISTINCT at) > 1, max(at) <= clock_timestamp() FROM t").fetchone()
    assert row == (True, True)
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        connection.execute("INSERT INTO t (a) VALUES (7)")
    assert caught.value.diag.message_detail == "Key (a)=(7) already exists."
    with pytest.raises(psycopg.errors.CheckViolation) as broken:
        connection.execute("INSERT INTO t (a) VALUES (100)")
    assert str(broken.value.diag.message_detail).startswith("Failing row contains (100, 20")


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("json_to_recordset('[]'::text)", "json_to_recordset(text)"),
        ("json_to_record('{}'::varchar)", "json_to_record(character varying)"),
        ("jsonb_to_recordset('[]'::json)", "jsonb_to_recordset(json)"),
    ],
)
def test_json_functions_take_no_other_type(call: str, shown: str) -> None:
    with pytest.raises(HeliosError) as caught:
        LocalDatabase().run(f"SELECT * FROM {call} AS t(a int)")
    assert (caught.value.sqlstate, str(caught.value)) == ("42883", f"function {shown} does not exist")
