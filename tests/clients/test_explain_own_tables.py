"""EXPLAIN of statements over tables that only its own transaction sees."""

from __future__ import annotations

from support.node_process import NodeProcess


def test_explain_sees_the_tables_of_its_transaction(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE explained_own (a int)")
        for words in ("EXPLAIN", "EXPLAIN ANALYZE"):
            assert connection.execute(f"{words} INSERT INTO explained_own VALUES (1)").fetchall()
        assert connection.execute("SELECT a FROM explained_own").fetchall() == [(1,)]
        connection.execute("ROLLBACK")
