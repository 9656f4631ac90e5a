"""Cursors over the wire: back and forth, held beyond their transactions, as PostgreSQL 15 moves in them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors
from support.node_process import NodeProcess

MOVES = (
    "FETCH NEXT FROM c", "FETCH 2 FROM c", "FETCH PRIOR FROM c", "FETCH RELATIVE 2 FROM c", "FETCH RELATIVE 0 FROM c",
    "FETCH RELATIVE -2 FROM c", "FETCH ABSOLUTE 4 FROM c", "FETCH ABSOLUTE -1 FROM c", "FETCH ABSOLUTE 0 FROM c",
    "FETCH FIRST FROM c", "FETCH LAST FROM c", "FETCH NEXT FROM c", "FETCH FORWARD 0 FROM c", "FETCH PRIOR FROM c",
    "FETCH BACKWARD 2 FROM c", "MOVE FORWARD 1 FROM c", "FETCH FORWARD ALL FROM c", "FETCH BACKWARD ALL FROM c",
    "FETCH BACKWARD 1 FROM c", "FETCH FORWARD 9 FROM c", "FETCH BACKWARD 1 FROM c", "MOVE BACKWARD ALL FROM c",
    "MOVE ABSOLUTE 3 FROM c", "FETCH FORWARD -1 FROM c", "FETCH ABSOLUTE 99 FROM c", "FETCH ABSOLUTE -99 FROM c",
    "FETCH FORWARD 5 FROM c", "FETCH NEXT FROM c", "FETCH BACKWARD 9 FROM c", "FETCH NEXT FROM c",
)  # fmt: skip


def moves(connection: psycopg.Connection[Any], declare: str) -> list[Any]:
    found: list[Any] = []
    with connection.transaction():
        connection.execute(declare)
        for move in MOVES:
            cursor = connection.execute(move)
            rows = [row[0] for row in cursor.fetchall()] if cursor.description else None
            found.append((move, rows, cursor.statusmessage))
    return found


@pytest.mark.parametrize(
    ("scroll", "move", "tag"),
    [
        ("", "FETCH BACKWARD 2", "FETCH 0"),
        ("SCROLL", "MOVE -1", "MOVE 0"),
        ("NO SCROLL", "MOVE BACKWARD ALL", "MOVE 0"),
    ],
)
def test_going_back_from_the_start_reads_no_row(server: NodeProcess, scroll: str, move: str, tag: str) -> None:
    with server.connect() as connection, connection.transaction():
        connection.execute(f"DECLARE c {scroll} CURSOR FOR SELECT 1 / (a - 2) FROM (VALUES (1), (2)) v(a)")
        assert connection.execute(f"{move} FROM c").statusmessage == tag


@pytest.mark.parametrize("scroll", ["SCROLL", ""])
def test_a_cursor_goes_where_postgresql_goes(server: NodeProcess, reference: int, scroll: str) -> None:
    declare = f"DECLARE c {scroll} CURSOR FOR SELECT * FROM (VALUES (1), (2), (3), (4), (5)) v(a)"
    with server.connect() as ours, psycopg.connect(f"port={reference} host=127.0.0.1 user=postgres") as theirs:
        assert moves(ours, declare) == moves(theirs, declare)


def test_no_scroll_only_goes_forward(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as connection:
        connection.execute("DECLARE c NO SCROLL CURSOR FOR SELECT generate_series(1, 5)")
        assert connection.execute("FETCH ABSOLUTE 2 FROM c").fetchall() == [(2,)]
        assert connection.execute("FETCH RELATIVE 2 FROM c").fetchall() == [(4,)]
        with pytest.raises(errors.ObjectNotInPrerequisiteState, match="cursor can only scan forward"):
            connection.execute("FETCH PRIOR FROM c")


def test_going_back_shows_the_rows_that_were_read(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS numbers; CREATE TABLE numbers (a int)")
        connection.execute("INSERT INTO numbers SELECT generate_series(1, 300)")
        with server.connect(autocommit=False) as reader:
            reader.execute("DECLARE c CURSOR FOR SELECT a FROM numbers ORDER BY a")
            assert len(reader.execute("FETCH 150 FROM c").fetchall()) == 150
            connection.execute("DELETE FROM numbers WHERE a < 200")
            assert reader.execute("FETCH BACKWARD 2 FROM c").fetchall() == [(149,), (148,)]
            assert len(reader.execute("FETCH ALL FROM c").fetchall()) == 152


def test_a_held_cursor_outlives_its_transaction(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as connection:
        connection.execute("DECLARE kept CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 3) AS n")
        connection.execute("DECLARE gone CURSOR FOR SELECT 1")
        assert connection.execute("FETCH 1 FROM kept").fetchall() == [(1,)]
        sql = "SELECT name, is_holdable, is_scrollable, is_binary FROM pg_cursors ORDER BY name"
        assert connection.execute(sql).fetchall() == [("gone", False, False, False), ("kept", True, True, False)]
        connection.commit()
        assert connection.execute("FETCH ALL FROM kept").fetchall() == [(2,), (3,)]
        assert connection.execute("FETCH FIRST FROM kept").fetchall() == [(1,)]
        with pytest.raises(errors.InvalidCursorName):
            connection.execute("FETCH 1 FROM gone")
        connection.rollback()
        assert connection.execute("FETCH LAST FROM kept").fetchall() == [(3,)]
        connection.execute("CLOSE kept")
        connection.execute("DECLARE undone CURSOR WITH HOLD FOR SELECT 1")
        connection.rollback()
        with pytest.raises(errors.InvalidCursorName):
            connection.execute("FETCH 1 FROM undone")


def test_a_driver_reads_through_a_held_and_scrolled_cursor(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as connection:
        named = connection.cursor("named", scrollable=True, withhold=True)
        named.execute("SELECT generate_series(1, 10) AS n")
        assert named.fetchmany(3) == [(1,), (2,), (3,)]
        connection.commit()
        named.scroll(-2)
        assert named.fetchone() == (2,)
        named.scroll(0, mode="absolute")
        assert len(named.fetchall()) == 10
        named.close()


def test_prepared_statements_are_listed(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute("PREPARE listed (int, text) AS SELECT $1, $2")
        sql = "SELECT statement IS NOT NULL, parameter_types::text FROM pg_prepared_statements WHERE name = 'listed'"
        assert connection.execute(sql).fetchall() == [(True, "{integer,text}")]
