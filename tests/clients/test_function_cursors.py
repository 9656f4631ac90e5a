"""Cursors that functions open and clients fetch from; the answers are PostgreSQL 15's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from support.node_process import NodeProcess

Connection = psycopg.Connection[tuple[Any, ...]]

SETUP = """
CREATE TABLE line (a int, b text);
INSERT INTO line SELECT i, 'r' || i FROM generate_series(1, 3) i;
CREATE FUNCTION unnamed() RETURNS refcursor LANGUAGE plpgsql AS
  $$ DECLARE c refcursor; BEGIN OPEN c FOR SELECT * FROM line ORDER BY a; RETURN c; END $$;
CREATE FUNCTION named(c refcursor) RETURNS refcursor LANGUAGE plpgsql AS
  $$ BEGIN OPEN c FOR SELECT b FROM line ORDER BY a DESC; RETURN c; END $$;
CREATE FUNCTION two() RETURNS SETOF refcursor LANGUAGE plpgsql AS
  $$ DECLARE one refcursor; other refcursor; BEGIN
  OPEN one FOR SELECT 1 AS one; RETURN NEXT one; OPEN other FOR SELECT 2.5 AS other; RETURN NEXT other; END $$;
CREATE FUNCTION used(c refcursor) RETURNS text LANGUAGE plpgsql AS
  $$ DECLARE r record; s text = ''; BEGIN LOOP FETCH c INTO r; EXIT WHEN NOT FOUND; s := s || r.b; END LOOP;
  CLOSE c; RETURN s; END $$;
CREATE PROCEDURE opened(INOUT c refcursor) LANGUAGE plpgsql AS
  $$ BEGIN OPEN c FOR SELECT * FROM line WHERE a < 3; END $$;
"""


@pytest.fixture(scope="module")
def ready(server: NodeProcess) -> NodeProcess:
    with server.connect() as connection:
        connection.execute(SETUP)
    return server


@pytest.fixture
def client(ready: NodeProcess) -> Iterator[Connection]:
    with ready.connect() as connection:
        yield connection


def rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def state(connection: Connection, sql: str) -> tuple[str | None, str | None]:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    return caught.value.sqlstate, caught.value.diag.message_primary


def test_a_client_fetches_what_a_function_opened(client: Connection) -> None:
    with client.transaction():
        assert rows(client, "SELECT unnamed()") == [("<unnamed portal 1>",)]
        assert rows(client, 'FETCH 2 FROM "<unnamed portal 1>"') == [(1, "r1"), (2, "r2")]
        assert rows(client, 'FETCH ALL FROM "<unnamed portal 1>"') == [(3, "r3")]
        assert rows(client, 'FETCH PRIOR FROM "<unnamed portal 1>"') == [(3, "r3")]
        assert rows(client, "SELECT * FROM two()") == [("<unnamed portal 2>",), ("<unnamed portal 3>",)]
        cursor = client.execute('FETCH ALL FROM "<unnamed portal 3>"', binary=True)
        assert cursor.description is not None
        assert [(one.name, one.type_code) for one in cursor.description] == [("other", 1700)]
    # Outside a block it ends with the statement.
    assert rows(client, "SELECT unnamed()") == [("<unnamed portal 4>",)]
    assert state(client, 'FETCH ALL FROM "<unnamed portal 4>"') == (
        "34000", 'cursor "<unnamed portal 4>" does not exist',
    )  # fmt: skip


def test_names_savepoints_and_ends(client: Connection) -> None:
    with client.transaction():
        assert rows(client, "SELECT named('mine')") == [("mine",)]
        assert rows(client, "SELECT name, is_holdable, is_binary FROM pg_cursors") == [("mine", False, False)]
        with client.transaction(force_rollback=True):
            assert state(client, "SELECT named('mine')") == ("42P03", 'cursor "mine" already in use')
        with client.transaction(force_rollback=True):
            assert rows(client, "CALL opened('nested')") == [("nested",)]
            assert rows(client, "FETCH ALL FROM nested") == [(1, "r1"), (2, "r2")]
        with client.transaction(force_rollback=True):
            assert state(client, "FETCH 1 FROM nested") == ("34000", 'cursor "nested" does not exist')
        assert client.execute("MOVE ALL IN mine").statusmessage == "MOVE 3"
        assert rows(client, "FETCH BACKWARD 1 FROM mine") == [("r1",)]
        client.execute("CLOSE mine")
        assert rows(client, "SELECT named('mine')") == [("mine",)]
    assert state(client, "FETCH 1 FROM mine") == ("34000", 'cursor "mine" does not exist')


def test_a_function_reads_the_cursors_of_the_session(client: Connection) -> None:
    with client.transaction():
        client.execute("DECLARE k CURSOR FOR SELECT * FROM line ORDER BY a")
        assert rows(client, "SELECT used('k')") == [("r1r2r3",)]
        with client.transaction(force_rollback=True):
            assert state(client, "FETCH 1 FROM k") == ("34000", 'cursor "k" does not exist')
        assert rows(client, "SELECT used(unnamed())") == [("r1r2r3",)]
    assert state(client, "SELECT used('k')") == ("34000", 'cursor "k" does not exist')
