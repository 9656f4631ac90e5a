"""Tables that inherit, and partitions: what other sessions, COPY and restarts make of them, and what is refused.

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


def test_row_numbers_over_heirs_are_refused_and_there_with_only(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(TABLES.encode())
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            connection.execute("SELECT ctid FROM p")
        assert caught.value.diag.message_hint
        assert connection.execute("SELECT ctid FROM ONLY p").rowcount == 1


PARTED = (
    "CREATE TABLE m (a int, b text, PRIMARY KEY (a)) PARTITION BY RANGE (a); "
    "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (1) TO (10); "
    "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20)"
)
WHERE = "SELECT a, tableoid::regclass::text FROM m ORDER BY a"


def test_copied_rows_find_their_partitions(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(PARTED.encode())
        with connection.cursor().copy("COPY m FROM STDIN") as copy:
            copy.write(b"1\tx\n12\ty\n9\tz\n")
        assert connection.execute(WHERE.encode()).fetchall() == [(1, "m1"), (9, "m1"), (12, "m2")]
        with pytest.raises(psycopg.errors.CheckViolation), connection.cursor().copy("COPY m FROM STDIN") as copy:
            copy.write(b"2\tx\n20\ty\n")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO m VALUES (12, 'again')")
        with pytest.raises(psycopg.errors.WrongObjectType), connection.cursor().copy("COPY m TO STDOUT") as copy:
            copy.read()
        assert len(connection.execute(WHERE.encode()).fetchall()) == 3


def test_partitions_are_there_after_a_restart(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(PARTED.encode())
    node.restart()
    with node.connect(autocommit=True) as connection:
        connection.execute("INSERT INTO m SELECT n, 'n' FROM generate_series(1, 15) n")
        connection.execute("UPDATE m SET a = 20 - a WHERE a < 3")
        rows = connection.execute(WHERE.encode()).fetchall()
        assert [name for _, name in rows] == ["m1"] * 7 + ["m2"] * 8


def test_temporary_tables_are_partitioned_too(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(PARTED.replace("CREATE TABLE", "CREATE TEMP TABLE").encode())
        connection.execute("INSERT INTO m VALUES (1), (11)")
        assert [row[0] for row in connection.execute("SELECT a FROM m2")] == [11]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE h (a inet) PARTITION BY HASH (a)",
        "CREATE TABLE h (a int) PARTITION BY HASH (a int4_ops)",
        'CREATE TABLE h (a text) PARTITION BY LIST (a COLLATE "de-x-icu")',
    ],
)
def test_what_is_not_done_with_partitions_is_refused_with_a_hint(node: NodeProcess, statement: str) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(PARTED.encode())
        with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
            connection.execute(statement.encode())
        assert caught.value.diag.message_hint


def test_a_copy_fires_the_row_triggers_of_the_partitioned_table(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute(PARTED.encode())
        connection.execute(
            "CREATE TABLE log (at text, a int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN INSERT INTO log VALUES (TG_TABLE_NAME, new.a); RETURN new; END'; "
            "CREATE TRIGGER t AFTER INSERT ON m FOR EACH ROW EXECUTE FUNCTION note()"
        )
        with connection.cursor().copy("COPY m FROM STDIN") as copy:
            copy.write(b"1\tx\n12\ty\n")
        connection.execute("INSERT INTO m VALUES (12, 'again'), (3, 'z') ON CONFLICT (a) DO UPDATE SET b = excluded.b")
        assert connection.execute("SELECT * FROM log").fetchall() == [("m1", 1), ("m2", 12), ("m1", 3)]
    node.restart()
    with node.connect(autocommit=True) as connection:
        connection.execute("CREATE TABLE m3 PARTITION OF m FOR VALUES FROM (20) TO (30); INSERT INTO m VALUES (20)")
        assert connection.execute("SELECT at FROM log WHERE a = 20").fetchall() == [("m3",)]
        connection.execute("ALTER TABLE m DETACH PARTITION m3; INSERT INTO m3 VALUES (21)")
        assert connection.execute("SELECT count(*) FROM log").fetchone() == (4,)


def test_partitions_come_and_go(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as one, node.connect(autocommit=True) as other:
        one.execute(PARTED.encode())
        one.execute("CREATE TABLE m3 (b text, a int PRIMARY KEY); INSERT INTO m3 VALUES ('x', 20)")
        insert, count = b"INSERT INTO m VALUES (%s, 'y')", b"SELECT count(*) FROM m"
        for number in range(1, 8):
            other.execute(insert, (number,))
            assert other.execute(count).fetchone() == (number,)
        one.execute("ALTER TABLE m ATTACH PARTITION m3 FOR VALUES FROM (20) TO (30)")
        other.execute(insert, (21,))
        assert other.execute("SELECT a FROM m3 ORDER BY a").fetchall() == [(20,), (21,)]
        assert other.execute(count).fetchone() == (9,)
        one.execute("ALTER TABLE m DETACH PARTITION m1")
        assert other.execute(count).fetchone() == (2,)
        with pytest.raises(psycopg.errors.CheckViolation):
            other.execute(insert, (8,))
    node.restart()
    with node.connect(autocommit=True) as connection:
        assert connection.execute(WHERE.encode()).fetchall() == [(20, "m3"), (21, "m3")]
        connection.execute("INSERT INTO m1 VALUES (100, 'free')")
