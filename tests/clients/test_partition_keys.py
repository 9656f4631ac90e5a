"""Foreign keys that refer to a partitioned table do what they would do if it were not partitioned."""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest
from support.node_process import NodeProcess

Connection = psycopg.Connection[tuple[Any, ...]]

_CHILDREN = """
CREATE TABLE {s}.plain (a int, b int, FOREIGN KEY (a, b) REFERENCES {s}.p);
CREATE TABLE {s}.cascading (a int, b int, FOREIGN KEY (a, b) REFERENCES {s}.p ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE {s}.emptied (a int, b int, FOREIGN KEY (a, b) REFERENCES {s}.p ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE {s}.late (a int, b int, FOREIGN KEY (a, b) REFERENCES {s}.p DEFERRABLE INITIALLY DEFERRED);
"""
_WHOLE = "CREATE SCHEMA {s}; CREATE TABLE {s}.p (a int, b int, PRIMARY KEY (a, b));" + _CHILDREN
_PARTED = (
    "CREATE SCHEMA {s}; CREATE TABLE {s}.p (a int, b int, PRIMARY KEY (a, b)) PARTITION BY RANGE (a);"
    "CREATE TABLE {s}.p1 PARTITION OF {s}.p FOR VALUES FROM (0) TO (5);"
    "CREATE TABLE {s}.p2 PARTITION OF {s}.p FOR VALUES FROM (5) TO (100) PARTITION BY HASH (b);"
    "CREATE TABLE {s}.p21 PARTITION OF {s}.p2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE {s}.p22 PARTITION OF {s}.p2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
) + _CHILDREN
_TABLES = ("p", "plain", "cascading", "emptied", "late")


def _statement(rng: random.Random) -> str:
    a, b, other = rng.randrange(10), rng.randrange(3), rng.randrange(10)
    child = rng.choice(_TABLES[1:])
    return rng.choice((
        f"INSERT INTO p VALUES ({a}, {b})",
        f"INSERT INTO p VALUES ({a}, {b}) ON CONFLICT (a, b) DO NOTHING",
        f"INSERT INTO {child} VALUES ({a}, {b})",
        f"INSERT INTO {child} SELECT * FROM p WHERE a > {a}",
        f"DELETE FROM p WHERE a = {a}",
        f"DELETE FROM {child} WHERE a <= {a}",
        f"UPDATE p SET a = {other} WHERE a = {a} AND b = {b}",
        f"UPDATE p SET b = b + 10 WHERE b = {b}",
        f"UPDATE {child} SET a = {other}",
        f"WITH gone AS (DELETE FROM p WHERE a = {a} RETURNING *) INSERT INTO p SELECT a + 1, b FROM gone",
    ))  # fmt: skip


def _run(connection: Connection, schema: str, statements: list[str]) -> list[object]:
    """What a transaction comes to: the tags or SQLSTATEs of its statements, and that of its end."""
    found: list[object] = []
    connection.execute(f"SET search_path = {schema}")
    try:
        with connection.transaction():
            for statement in statements:
                try:
                    with connection.transaction():
                        found.append(connection.execute(statement.encode()).rowcount)
                except psycopg.Error as error:
                    found.append(error.sqlstate)
    except psycopg.Error as error:
        found.append(error.sqlstate)
    rows = (connection.execute(f"SELECT * FROM {name} ORDER BY a, b".encode()).fetchall() for name in _TABLES)
    return [*found, *rows]


@pytest.mark.parametrize("seed", range(3))
def test_a_partitioned_table_is_referred_to_like_another(server: NodeProcess, seed: int) -> None:
    rng = random.Random(seed)
    with server.connect(autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS whole, parted CASCADE")
        connection.execute(_WHOLE.format(s="whole").encode())
        connection.execute(_PARTED.format(s="parted").encode())
        for _ in range(60):
            statements = [_statement(rng) for _ in range(rng.randint(1, 3))]
            assert _run(connection, "parted", statements) == _run(connection, "whole", statements), statements
        connection.execute("DROP SCHEMA whole, parted CASCADE")
