"""Constraint triggers that wait for COMMIT, however the transaction comes to its end."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from support.node_process import NodeProcess


@pytest.fixture
def guarded(node: NodeProcess) -> Iterator[NodeProcess]:
    """A node with a table whose rows are looked at when they are committed."""
    with node.connect(autocommit=True) as connection:
        connection.execute(
            """
            CREATE TABLE t (id int PRIMARY KEY);
            CREATE TABLE seen (who text, id int);
            CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF NEW.id < 0 THEN RAISE 'negative' USING ERRCODE = '23514'; END IF;
              PERFORM pg_notify('looked', NEW.id::text);
              INSERT INTO seen VALUES (current_setting('application_name'), NEW.id);
              RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
              FOR EACH ROW EXECUTE FUNCTION look();
            """
        )
    yield node


def test_the_error_comes_with_commit_and_undoes_everything(guarded: NodeProcess) -> None:
    with guarded.connect(autocommit=False) as connection:
        connection.execute("INSERT INTO t VALUES (%s)", (1,))
        connection.execute("INSERT INTO t VALUES (%s)", (-1,))
        with pytest.raises(psycopg.errors.CheckViolation, match="negative"):
            connection.commit()
        assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
        connection.execute("INSERT INTO t VALUES (%s)", (2,))
        connection.commit()
        assert connection.execute("SELECT id FROM seen").fetchall() == [(2,)]


def test_a_pipeline_without_a_block_is_undone_as_a_whole(guarded: NodeProcess) -> None:
    connection = guarded.connect(autocommit=True)
    with pytest.raises(psycopg.Error), connection.pipeline():
        connection.execute("INSERT INTO t VALUES (%s)", (1,))
        connection.execute("INSERT INTO t VALUES (%s)", (-1,))
    connection.close()
    with guarded.connect(autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_the_error_stands_for_the_answer_of_the_last_statement(guarded: NodeProcess) -> None:
    with guarded.connect(autocommit=True) as connection:
        connection.pgconn.send_query(b"INSERT INTO t VALUES (1); INSERT INTO t VALUES (-1)")
        found = []
        while (result := connection.pgconn.get_result()) is not None:
            found.append((result.command_status, (result.error_message or b"").split(b"\n")[0]))
        assert found == [(b"INSERT 0 1", b""), (b"", b"ERROR:  negative")]
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_copy_fires_when_it_is_committed(guarded: NodeProcess) -> None:
    with guarded.connect(autocommit=True) as connection:
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write(b"1\n2\n")
        assert connection.execute("SELECT id FROM seen ORDER BY id").fetchall() == [(1,), (2,)]
        with pytest.raises(psycopg.errors.CheckViolation), connection.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write(b"3\n-4\n")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_set_local_holds_while_they_fire_and_notifications_are_sent(guarded: NodeProcess) -> None:
    with guarded.connect(autocommit=True) as connection:
        connection.execute("LISTEN looked")
        with connection.transaction():
            connection.execute("SET LOCAL application_name = 'inside'")
            connection.execute("INSERT INTO t VALUES (7)")
        assert connection.execute("SELECT who, id FROM seen").fetchall() == [("inside", 7)]
        assert [note.payload for note in connection.notifies(timeout=5, stop_after=1)] == ["7"]


def test_they_survive_a_restart_and_end_with_their_transaction(guarded: NodeProcess) -> None:
    guarded.restart()
    with guarded.connect(autocommit=False) as connection:
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("INSERT INTO t VALUES (-1)")
        connection.rollback()
        connection.execute("INSERT INTO t VALUES (-1)")
        connection.rollback()
        connection.commit()
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        assert connection.execute("SELECT id FROM seen").fetchall() == [(1,)]


def test_temporary_tables_have_triggers_of_their_own(guarded: NodeProcess) -> None:
    make = (
        "CREATE TEMP TABLE own (id int)",
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON own DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION look()",
    )
    with guarded.connect(autocommit=False) as one, guarded.connect(autocommit=True) as other:
        for text in make:
            one.execute(text)
        one.commit()
        for text in make:
            other.execute(text)
        one.execute("INSERT INTO own VALUES (-1)")
        with pytest.raises(psycopg.errors.CheckViolation):
            one.commit()
        with pytest.raises(psycopg.errors.CheckViolation):
            other.execute("INSERT INTO own VALUES (-1)")
        other.execute("DISCARD TEMP")
        assert other.execute("SELECT count(*) FROM pg_trigger WHERE tgname = 'late'").fetchone() == (1,)
