"""COPY of what changes rows, and the options of COPY, answer as PostgreSQL 15 does."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from support.node_process import NodeProcess


def copied(connection: psycopg.Connection[Any], statement: str) -> list[str]:
    """The lines that a COPY TO sends."""
    with connection.cursor().copy(statement.encode()) as copy:
        return b"".join(copy).decode().splitlines()


def given(connection: psycopg.Connection[Any], statement: str, *lines: str) -> None:
    """Send lines to a COPY FROM."""
    with connection.cursor().copy(statement.encode()) as copy:
        copy.write("".join(f"{line}\n" for line in lines))


def test_copy_of_a_write_changes_rows(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection, node.connect(autocommit=True) as other:
        connection.execute("CREATE TABLE kept (id serial, v text)")
        assert copied(connection, "COPY (INSERT INTO kept (v) VALUES ('a'), ('b') RETURNING id) TO STDOUT") == [
            "1",
            "2",
        ]
        assert other.execute("SELECT id, v FROM kept ORDER BY id").fetchall() == [(1, "a"), (2, "b")]
        changed = "COPY (UPDATE kept SET v = v || 'x' WHERE id > 1 RETURNING *) TO STDOUT"
        assert copied(connection, changed) == ["2\tbx"]
        gone = "COPY (DELETE FROM kept WHERE id = 1 RETURNING id) TO STDOUT (FORMAT csv, HEADER)"
        assert copied(connection, gone) == ["id", "1"]
        assert copied(connection, "COPY (DELETE FROM kept WHERE id = 1 RETURNING id) TO STDOUT CSV HEADER") == ["id"]
        made = "COPY (WITH x AS (INSERT INTO kept VALUES (7, 'w') RETURNING id) SELECT * FROM x) TO STDOUT"
        assert copied(connection, made) == ["7"]
        assert copied(connection, "COPY (SELECT nextval('kept_id_seq')) TO STDOUT") == ["3"]
        assert copied(connection, "COPY (SELECT nextval('kept_id_seq')) TO STDOUT") == ["4"]
        with pytest.raises(ZeroDivisionError), connection.transaction():
            assert copied(connection, "COPY (INSERT INTO kept VALUES (9, 'n') RETURNING v) TO STDOUT") == ["n"]
            assert copied(connection, "COPY (SELECT count(*) FROM kept) TO STDOUT") == ["3"]
            raise ZeroDivisionError
        assert other.execute("SELECT id, v FROM kept ORDER BY id").fetchall() == [(2, "bx"), (7, "w")]


def test_triggers_see_a_copy_of_a_write(node: NodeProcess) -> None:
    notices: list[str | None] = []
    with node.connect(autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute("CREATE TABLE seen (id int, v text)")
        connection.execute(
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE NOTICE '% %', tg_when, new.id; RETURN new; END $$"
        )
        connection.execute("CREATE TRIGGER b BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION tell()")
        connection.execute("CREATE TRIGGER a AFTER INSERT ON seen FOR EACH ROW EXECUTE FUNCTION tell()")
        assert copied(connection, "COPY (INSERT INTO seen VALUES (1, 'x') RETURNING id) TO STDOUT") == ["1"]
        assert notices == ["BEFORE 1", "AFTER 1"]
        given(connection, "COPY seen FROM STDIN WHERE id <> 3 AND v IS NOT NULL", "2\ty", "3\tz", "4\t\\N")
        assert connection.execute("SELECT id FROM seen ORDER BY id").fetchall() == [(1,), (2,)]
        assert notices[2:] == ["BEFORE 2", "AFTER 2"]


def test_copy_of_a_write_is_refused_where_writes_are(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int PRIMARY KEY)")
        write = "COPY (INSERT INTO kept VALUES (1) RETURNING id) TO STDOUT"
        connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="cannot execute INSERT in a read-only"):
            copied(connection, write)
        connection.execute("RESET default_transaction_read_only")
        assert copied(connection, write) == ["1"]
        with pytest.raises(psycopg.errors.UniqueViolation):
            copied(connection, write)
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)


@pytest.mark.parametrize(
    ("statement", "sqlstate", "message"),
    [
        ("COPY o TO STDOUT (HEADER wrong)", "42601", 'header requires a Boolean value or "match"'),
        ("COPY o TO STDOUT (HEADER match)", "0A000", 'cannot use "match" with HEADER in COPY TO'),
        (
            "COPY o (a) TO STDOUT (FORMAT csv, FORCE_QUOTE (b))",
            "42P10",
            'FORCE_QUOTE column "b" not referenced by COPY',
        ),
        ("COPY o TO STDOUT (FORMAT csv, FORCE_QUOTE (z))", "42703", 'column "z" of relation "o" does not exist'),
        ("COPY (SELECT 1 AS a) TO STDOUT (FORMAT csv, FORCE_QUOTE (z))", "42703", 'column "z" does not exist'),
        ("COPY o (a) FROM STDIN (FORMAT csv, FORCE_NULL (b))", "42P10", 'FORCE_NULL column "b" not referenced by COPY'),
        (
            "COPY o (a) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (b))",
            "42P10",
            'FORCE_NOT_NULL column "b" not referenced by COPY',
        ),
        (
            "COPY o FROM STDIN WHERE a IN (SELECT 1)",
            "0A000",
            "cannot use subquery in COPY FROM WHERE condition",
        ),
        (
            "COPY o FROM STDIN WHERE a IN (generate_series(1, 5))",
            "0A000",
            "set-returning functions are not allowed in COPY FROM WHERE conditions",
        ),
        (
            "COPY o FROM STDIN WHERE sum(a) > 1",
            "42803",
            "aggregate functions are not allowed in COPY FROM WHERE conditions",
        ),
        (
            "COPY o FROM STDIN WHERE row_number() OVER () > 1",
            "42P20",
            "window functions are not allowed in COPY FROM WHERE conditions",
        ),
    ],
)
def test_wrong_copies(server: NodeProcess, statement: str, sqlstate: str, message: str) -> None:
    with server.connect(autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE o (a int, b text)")
        with pytest.raises(psycopg.Error) as caught:
            connection.cursor().copy(statement.encode()).__enter__()
        assert (caught.value.sqlstate, caught.value.diag.message_primary) == (sqlstate, message)


def test_force_quote_names_columns_or_all(server: NodeProcess) -> None:
    query = "COPY (SELECT 'x' AS a, 1 AS b, NULL AS c) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE"
    with server.connect(autocommit=True) as connection:
        assert copied(connection, f"{query} *)") == ["a,b,c", '"x","1",']
        assert copied(connection, f"{query} (b))") == ["a,b,c", 'x,"1",']


def test_copy_leaves_computed_columns_out(server: NodeProcess) -> None:
    with server.connect(autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE o (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c text)")
        given(connection, "COPY o FROM STDIN", "1\tx", "2\ty")
        assert connection.execute("SELECT * FROM o ORDER BY a").fetchall() == [(1, 2, "x"), (2, 4, "y")]
        assert copied(connection, "COPY o TO STDOUT") == ["1\tx", "2\ty"]
        for statement in ("COPY o (a, b) TO STDOUT", "COPY o (a, b) FROM STDIN"):
            with pytest.raises(psycopg.errors.InvalidColumnReference, match='column "b" is a generated column'):
                connection.cursor().copy(statement.encode()).__enter__()
