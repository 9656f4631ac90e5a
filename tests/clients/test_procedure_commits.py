"""COMMIT and ROLLBACK inside of procedures: what others see meanwhile, and what stays of one that ends early."""

from __future__ import annotations

import threading

import psycopg
import pytest
from support.node_process import NodeProcess, wait_until

_SETUP = """
CREATE TABLE done (step int);
CREATE PROCEDURE steps() LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO done VALUES (1); COMMIT;
  INSERT INTO done VALUES (2); ROLLBACK;
  INSERT INTO done VALUES (3); COMMIT;
  INSERT INTO done VALUES (4); PERFORM pg_advisory_lock(7);
END $$
"""


def test_what_was_committed_is_seen_at_once_and_stays(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as other:
        other.execute(_SETUP)
        other.execute("SELECT pg_advisory_lock(7)")
        errors: list[BaseException] = []
        caller = node.connect(autocommit=True)

        def call() -> None:
            try:
                caller.execute("CALL steps()")
            except psycopg.Error as error:
                errors.append(error)

        thread = threading.Thread(target=call)
        thread.start()

        def seen() -> list[tuple[int]]:
            return other.execute("SELECT step FROM done ORDER BY step").fetchall()

        wait_until(lambda: seen() == [(1,), (3,)], "the steps that were committed")
        caller.cancel()
        thread.join()
        assert [type(error) for error in errors] == [psycopg.errors.QueryCanceled]
        assert seen() == [(1,), (3,)]
        caller.close()
        node.kill()
    node.start()
    with node.connect(autocommit=True) as again:
        assert again.execute("SELECT step FROM done ORDER BY step").fetchall() == [(1,), (3,)]
        again.execute("CALL steps()")
        assert again.execute("SELECT step FROM done ORDER BY step").fetchall() == [(1,), (1,), (3,), (3,), (4,)]


def test_a_write_with_a_name_cannot_be_committed_in_parts(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(_SETUP)
        connection.execute("SET helios.write_id = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6:1'")
        with pytest.raises(psycopg.errors.InvalidTransactionTermination):
            connection.execute("CALL steps()")
        assert connection.execute("SELECT count(*) FROM done").fetchone() == (0,)
