"""Row level security where statements are not plain queries: COPY, triggers, cursors, other ways to ask."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def alice(server: NodeProcess) -> Iterator[Connection]:
    """A session of a role that sees its own rows alone; the table has triggers."""
    with server.connect(autocommit=True) as connection:
        connection.execute(
            """
            DROP TABLE IF EXISTS note CASCADE;
            DROP ROLE IF EXISTS alice;
            CREATE ROLE alice;
            CREATE TABLE note (id int PRIMARY KEY, owner name, said text, changed int DEFAULT 0);
            INSERT INTO note VALUES (1, 'alice', 'one'), (2, 'bob', 'two'), (3, 'alice', 'three');
            CREATE OR REPLACE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN NEW.changed := NEW.changed + 1; RETURN NEW; END';
            CREATE TRIGGER count_up BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION count_up();
            ALTER TABLE note ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON note USING (owner = current_user) WITH CHECK (owner = current_user AND changed < 3);
            GRANT ALL ON note TO alice;
            SET ROLE alice;
            """
        )
        yield connection
        connection.execute("RESET ROLE")


def test_copy_gives_what_may_be_seen_and_takes_nothing(alice: Connection) -> None:
    with alice.cursor().copy("COPY note TO STDOUT") as copy:
        assert sorted(bytes(row) for row in copy) == [b"1\talice\tone\t0\n", b"3\talice\tthree\t0\n"]
    with (
        pytest.raises(psycopg.errors.FeatureNotSupported, match="COPY FROM not supported with row-level security"),
        alice.cursor().copy("COPY note FROM STDIN") as copy,
    ):
        copy.write(b"9\talice\tnine\t0\n")
    alice.execute("RESET ROLE")
    with alice.cursor().copy("COPY note FROM STDIN") as copy:
        copy.write(b"9\tbob\tnine\t0\n")
    assert alice.execute("SELECT count(*) FROM note").fetchone() == (4,)


def test_rows_are_checked_behind_the_triggers(alice: Connection) -> None:
    assert alice.execute("UPDATE note SET said = 'x'").rowcount == 2
    assert alice.execute("UPDATE note SET said = 'y' WHERE id = 1 RETURNING id, changed").fetchall() == [(1, 2)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="new row violates row-level security policy"):
        alice.execute("UPDATE note SET said = 'z' WHERE id = 1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="new row violates row-level security policy"):
        alice.execute("INSERT INTO note VALUES (5, 'bob', 'five')")
    assert alice.execute("INSERT INTO note VALUES (5, 'alice', 'five') RETURNING changed").fetchall() == [(1,)]
    assert alice.execute("SELECT id, said, changed FROM note ORDER BY id").fetchall() == [
        (1, "y", 2), (3, "x", 1), (5, "five", 1),
    ]  # fmt: skip


def test_cursors_loops_and_parameters_see_no_more(alice: Connection) -> None:
    with alice.transaction(), alice.cursor("seen") as cursor:
        cursor.execute("SELECT id FROM note ORDER BY id")
        assert cursor.fetchall() == [(1,), (3,)]
    assert alice.execute("SELECT said FROM note WHERE id = %s", (2,), prepare=True).fetchall() == []
    with pytest.raises(psycopg.errors.RaiseException, match="saw 2"):
        alice.execute(
            "DO $$ DECLARE n int := 0; r record; BEGIN FOR r IN SELECT * FROM note LOOP n := n + 1; END LOOP; "
            "RAISE 'saw %', n; END $$"
        )


def test_a_materialized_view_keeps_what_its_maker_may_see(alice: Connection) -> None:
    alice.execute("RESET ROLE")
    alice.execute("GRANT CREATE ON SCHEMA public TO alice")
    alice.execute("SET ROLE alice")
    alice.execute("CREATE TABLE copied AS SELECT id FROM note")
    try:
        assert alice.execute("SELECT id FROM copied ORDER BY id").fetchall() == [(1,), (3,)]
    finally:
        alice.execute("DROP TABLE copied")
        alice.execute("RESET ROLE")
        alice.execute("REVOKE CREATE ON SCHEMA public FROM alice")


def test_a_standby_hides_the_same_rows_and_reads_views_with_functions(make_node: MakeNode) -> None:
    primary = make_node("--replication-role", "primary", "--node-id", "n1")
    follow = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port))
    standby = make_node("--replication-role", "standby", *follow, "--node-id", "n2")
    with primary.connect(autocommit=True) as writer, standby.connect(autocommit=True) as reader:
        writer.execute(
            """
            CREATE ROLE alice;
            CREATE TABLE note (id int, owner name);
            INSERT INTO note VALUES (1, 'alice'), (2, 'bob');
            CREATE FUNCTION twice(a int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN a * 2; END';
            CREATE VIEW doubled AS SELECT twice(id) AS d, now() > '2000-01-01' AS late FROM note;
            ALTER TABLE note ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON note USING (owner = current_user);
            GRANT SELECT ON note, doubled TO alice;
            """
        )

        def has_come() -> bool:
            found = reader.execute("SELECT has_table_privilege(oid, 'SELECT') FROM pg_class WHERE relname = 'doubled'")
            return found.fetchall() == [(True,)]

        wait_until(has_come, "the standby has what was defined")
        wait_until(lambda: reader.execute("SELECT 1 FROM pg_roles WHERE rolname = 'alice'").rowcount == 1, "the role")
        assert reader.execute("SELECT d, late FROM doubled ORDER BY d").fetchall() == [(2, True), (4, True)]
        reader.execute("SET ROLE alice")
        wait_until(lambda: reader.execute("SELECT id FROM note").fetchall() == [(1,)], "the rows and the right")
