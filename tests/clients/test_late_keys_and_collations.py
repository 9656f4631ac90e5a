"""Keys that are checked late, collations, and values of the session in definitions, at a node as at PostgreSQL 15."""

from __future__ import annotations

import psycopg
import pytest
from support.node_process import NodeProcess


def test_late_keys_and_collations_at_work(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute(
            "CREATE TABLE late (id int, a int, CONSTRAINT late_a UNIQUE (a) DEFERRABLE INITIALLY DEFERRED)"
        )
        connection.execute("CREATE TABLE behind (id int, a int UNIQUE DEFERRABLE)")
        connection.execute("INSERT INTO late VALUES (1, 1), (2, 2)")
        connection.execute("INSERT INTO behind VALUES (1, 1), (2, 2)")
        connection.execute("UPDATE behind SET a = a + 1")
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            connection.execute("UPDATE behind SET a = 3")
        assert (caught.value.diag.constraint_name, caught.value.diag.table_name) == ("behind_a_key", "behind")
        for statements in (
            ["INSERT INTO late VALUES (3, 1)"],
            ["INSERT INTO late VALUES (3, 1)", "SET CONSTRAINTS late_a IMMEDIATE"],
        ):
            with pytest.raises(psycopg.errors.UniqueViolation) as caught, connection.transaction():
                for statement in statements:
                    connection.execute(statement)
            assert caught.value.diag.constraint_name == "late_a"
            assert caught.value.diag.message_detail == "Key (a)=(1) already exists."
        with connection.transaction():
            connection.execute("INSERT INTO late VALUES (3, 1)")
            connection.execute("DELETE FROM late WHERE id = 1")
        # IMMEDIATE lasts: each statement that follows is checked, until DEFERRED.
        for statement in ("INSERT INTO late VALUES (6, 2)", "INSERT INTO late SELECT 6, 2 FROM generate_series(1, 1)"):
            connection.execute("BEGIN")
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            connection.execute("INSERT INTO late VALUES (5, 5)")
            with pytest.raises(psycopg.errors.UniqueViolation) as caught:
                connection.execute(statement)
            assert caught.value.diag.message_detail == "Key (a)=(2) already exists."
            connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        connection.execute("SET CONSTRAINTS late_a, behind_a_key IMMEDIATE")
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        connection.execute("INSERT INTO late VALUES (6, 2)")
        connection.execute("DELETE FROM late WHERE id = 6")
        connection.execute("COMMIT")
        connection.execute('ALTER TABLE late ADD t text COLLATE "sv-x-icu" DEFAULT to_char(now(), \'"ä"\')')
        connection.execute("INSERT INTO late VALUES (4, 4, 'z'), (5, 5, 'A')")
        assert connection.execute("SELECT t FROM late ORDER BY t, id").fetchall() == [("A",), ("z",), ("ä",), ("ä",)]
        connection.execute("DROP TABLE late, behind")


def test_exclusion_constraints_are_checked_when_the_session_says(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute(
            "CREATE TABLE shifts (id int, span int4range, CONSTRAINT no_gap EXCLUDE USING gist (span WITH -|-) "
            "DEFERRABLE INITIALLY DEFERRED)"
        )
        connection.execute("BEGIN")
        connection.execute("INSERT INTO shifts VALUES (1, '[20,50)'), (2, '[10,20)')")
        with pytest.raises(psycopg.errors.ExclusionViolation) as caught, connection.transaction():
            connection.execute("SET CONSTRAINTS no_gap IMMEDIATE")
        assert caught.value.diag.constraint_name == "no_gap"
        connection.execute("DELETE FROM shifts WHERE id = 2")
        connection.execute("SET CONSTRAINTS no_gap IMMEDIATE")
        with pytest.raises(psycopg.errors.ExclusionViolation):
            connection.execute("INSERT INTO shifts VALUES (3, '[50,60)')")
        connection.execute("ROLLBACK")
        connection.execute("DROP TABLE shifts")
