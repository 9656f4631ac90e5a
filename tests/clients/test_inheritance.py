"""Tables that inherit: what other sessions, COPY, restarts and standbys make of them, and what is refused.

What statements answer is in ``dialect_corpus``.
"""

from __future__ import annotations

import psycopg
import pytest
from support.node_process import NodeProcess

TABLES = (
    "CREATE TABLE p (a int, b text); CREATE TABLE c (own int) INHERITS (p); "
    "INSERT INTO p VALUES (1, 'p'); INSERT INTO c VALUES (2, 'c', 20)"
)


def test_copy_gives_the_rows_of_the_table_itself(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(TABLES.encode())
        with connection.cursor().copy("COPY p TO STDOUT") as copy:
            assert b"".join(copy) == b"1\tp\n"
        with connection.cursor().copy("COPY (SELECT * FROM p ORDER BY a) TO STDOUT") as copy:
            assert b"".join(copy) == b"1\tp\n2\tc\n"


def test_heirs_are_there_after_a_restart(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(TABLES.encode())
    node.restart()
    with node.connect(autocommit=True) as connection:
        assert connection.execute("UPDATE p SET a = a + 1 RETURNING a").fetchall() == [(2,), (3,)]
        assert connection.execute("SELECT own FROM c WHERE a = 3").fetchall() == [(20,)]


def test_a_temporary_heir_is_its_sessions_own(node: NodeProcess) -> None:
    count = "SELECT count(*) FROM p"
    with node.connect(autocommit=True) as one, node.connect(autocommit=True) as other:
        one.execute(TABLES.encode())
        assert other.execute(count).fetchone() == (2,)
        one.execute("CREATE TEMP TABLE t () INHERITS (p)")
        one.execute("INSERT INTO t VALUES (3, 't')")
        assert one.execute(count).fetchone() == (3,)
        assert other.execute(count).fetchone() == (2,)
        assert other.execute("DELETE FROM p").rowcount == 2
        assert one.execute("DELETE FROM p").rowcount == 1


def test_a_prepared_statement_follows_new_heirs_of_other_sessions(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as one, node.connect(autocommit=True) as other:
        one.execute(TABLES.encode())
        for _ in range(7):
            assert one.execute("SELECT count(*) FROM p WHERE a < %s", (9,)).fetchone() == (2,)
        other.execute("CREATE TABLE d () INHERITS (c)")
        other.execute("INSERT INTO d VALUES (3)")
        assert one.execute("SELECT count(*) FROM p WHERE a < %s", (9,)).fetchone() == (3,)


def test_a_named_write_over_heirs_is_done_once(node: NodeProcess) -> None:
    name = "SET helios.write_id = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6:1'"
    with node.connect(autocommit=True) as connection:
        connection.execute(TABLES.encode())
        for _ in range(2):
            connection.execute(name.encode())
            assert connection.execute("UPDATE p SET a = a + 1 RETURNING a").fetchall() == [(2,), (3,)]


@pytest.mark.parametrize(
    "statement",
    [
        "WITH w AS (DELETE FROM p RETURNING a) SELECT * FROM w",
        "MERGE INTO p USING (SELECT 1 AS x) s ON p.a = s.x WHEN MATCHED THEN DELETE",
        "SELECT ctid FROM p",
    ],
)
def test_what_is_not_done_over_heirs_is_done_with_only(node: NodeProcess, statement: str) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(TABLES.encode())
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            connection.execute(statement.encode())
        assert caught.value.diag.message_hint
        alone = statement.replace("FROM p", "FROM ONLY p").replace("INTO p", "INTO ONLY p")
        assert connection.execute(alone.encode()).rowcount == 1
