"""Temporary tables that end, or are emptied, with their transaction, and COPY that leaves rows out."""

from __future__ import annotations

import pytest
from psycopg import errors
from support.node_process import NodeProcess


def test_on_commit_drop_ends_with_the_transaction(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as connection:
        connection.execute("CREATE TEMP TABLE staged (id serial PRIMARY KEY, v text UNIQUE) ON COMMIT DROP")
        connection.execute("INSERT INTO staged (v) VALUES ('a'), ('b')")
        assert connection.execute("SELECT count(*) FROM staged").fetchone() == (2,)
        connection.commit()
        with pytest.raises(errors.UndefinedTable):
            connection.execute("SELECT * FROM staged")
        connection.rollback()
        # The name is free again, and what is made under it now stays.
        connection.execute("CREATE TEMP TABLE staged AS SELECT 1 AS kept")
        connection.commit()
        assert connection.execute("SELECT kept FROM staged").fetchone() == (1,)
        left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'staged%' AND relname <> 'staged'"
        assert connection.execute(left).fetchone() == (0,)


def test_on_commit_delete_rows_empties_the_table(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as connection:
        connection.execute("CREATE TEMP TABLE scratch (a int) ON COMMIT DELETE ROWS")
        connection.execute("INSERT INTO scratch VALUES (1), (2)")
        assert connection.execute("SELECT count(*) FROM scratch").fetchone() == (2,)
        connection.commit()
        assert connection.execute("SELECT count(*) FROM scratch").fetchone() == (0,)
        connection.execute("INSERT INTO scratch VALUES (3)")
        connection.rollback()
        connection.autocommit = True
        connection.execute("INSERT INTO scratch VALUES (4)")
        assert connection.execute("SELECT count(*) FROM scratch").fetchone() == (0,)
        connection.execute("CREATE TEMP TABLE made ON COMMIT DROP AS SELECT 1 AS a")
        with pytest.raises(errors.UndefinedTable):
            connection.execute("SELECT * FROM made")


def test_a_permanent_table_has_no_on_commit(server: NodeProcess) -> None:
    with server.connect() as connection, pytest.raises(errors.InvalidTableDefinition, match="ON COMMIT can only be"):
        connection.execute("CREATE TABLE permanent (a int) ON COMMIT DROP")


def test_copy_from_leaves_out_what_where_refuses(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS copied")
        connection.execute("CREATE TABLE copied (a int, b text DEFAULT 'd', c numeric)")
        cursor = connection.cursor()
        with cursor.copy("COPY copied (a, c) FROM STDIN WHERE a > 1 AND c IS NOT NULL AND b = 'd'") as copy:
            for row in ((1, "1.5"), (2, None), (3, "3.50"), (4, "4")):
                copy.write_row(row)
        assert (cursor.rowcount, cursor.statusmessage) == (2, "COPY 2")
        found = connection.execute("SELECT a, b, c::text FROM copied ORDER BY a").fetchall()
        assert found == [(3, "d", "3.50"), (4, "d", "4")]
        with pytest.raises(errors.UndefinedColumn), cursor.copy("COPY copied FROM STDIN WHERE nosuch = 1"):
            pass


def test_set_config_follows_the_search_path_on_a_connection_of_its_own(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute("CREATE TEMP TABLE mine(i int)")
        connection.execute("SELECT set_config('search_path', '\"$user\", pg_catalog', false)")
        assert connection.execute("SHOW search_path").fetchone() == ('"$user", pg_catalog',)
        connection.execute("SELECT set_config('search_path', '', false)")
        assert connection.execute("SELECT count(*) FROM pg_temp.mine").fetchone() == (0,)
