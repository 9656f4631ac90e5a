"""COPY into tables that refer to themselves: keys are looked at behind the last row, as PostgreSQL does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from support.node_process import NodeProcess

TABLES = """
DROP TABLE IF EXISTS tree, ground CASCADE;
CREATE TABLE ground (k int PRIMARY KEY);
INSERT INTO ground VALUES (1);
CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree, k int REFERENCES ground {late});
"""


@pytest.fixture
def connection(server: NodeProcess) -> Iterator[psycopg.Connection[Any]]:
    with server.connect(autocommit=True) as connection:
        yield connection


def copy(connection: psycopg.Connection[Any], *rows: str) -> None:
    with connection.cursor().copy("COPY tree FROM STDIN") as data:
        data.write("".join(f"{row}\n" for row in rows).replace(" ", "\t"))


def ids(connection: psycopg.Connection[Any]) -> list[int]:
    return [number for (number,) in connection.execute("SELECT id FROM tree ORDER BY id")]


@pytest.mark.parametrize("late", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_row_may_refer_to_a_later_one(connection: psycopg.Connection[Any], late: str) -> None:
    connection.execute(TABLES.format(late=late).encode())
    copy(connection, "1 2 1", "2 3 1", r"3 \N \N")
    assert ids(connection) == [1, 2, 3]
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as refused:
        copy(connection, "11 12 1", "13 13 1")
    assert refused.value.diag.constraint_name == "tree_up_fkey"
    assert refused.value.diag.message_detail == 'Key (up)=(12) is not present in table "tree".'
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as refused:
        copy(connection, "11 12 1", "12 12 5")
    assert refused.value.diag.message_detail == 'Key (k)=(5) is not present in table "ground".'
    assert ids(connection) == [1, 2, 3]


def test_keys_are_looked_at_again_behind_it(connection: psycopg.Connection[Any]) -> None:
    connection.execute(TABLES.format(late="").encode())
    with connection.transaction():
        copy(connection, "1 2 1", "2 1 1")
        for statement in ("INSERT INTO tree VALUES (5, 6, 1)", "INSERT INTO tree VALUES (5, 5, 7)"):
            with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
                connection.execute(statement.encode())
        with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
            copy(connection, "7 8 1")
    assert ids(connection) == [1, 2]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("DELETE FROM ground")


def test_rows_without_an_index_on_their_key_are_not_looked_through_for_each_other(
    connection: psycopg.Connection[Any],
) -> None:
    connection.execute(TABLES.format(late="").encode())
    count = 50_000
    copy(connection, *(f"{number} {number % count + 1} 1" for number in range(1, count + 1)))
    assert len(ids(connection)) == count
