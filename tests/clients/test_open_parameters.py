"""Parameters whose type nothing says: PostgreSQL 15's answers."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from support.node_process import NodeProcess


@pytest.fixture
def cursor(server: NodeProcess) -> Iterator[psycopg.RawCursor]:
    with server.connect() as connection:
        yield psycopg.RawCursor(connection)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT concat($1)",
        "SELECT json_build_object('a', $1)",
        "SELECT format('%s', $1)",
        "SELECT pg_typeof($1)",
        "SELECT count($1)",
        "SELECT $1 IS NULL",
        "SELECT ($1, 2) IS NULL",
    ],
)
def test_a_parameter_that_may_be_anything_is_refused(cursor: psycopg.RawCursor, query: str) -> None:
    with pytest.raises(errors.IndeterminateDatatype, match="could not determine data type of parameter \\$1"):
        cursor.execute(query, ("x",))


def test_where_it_is_compared_gives_it_its_type(cursor: psycopg.RawCursor) -> None:
    query = "SELECT x FROM generate_series(1, 3) x WHERE x = $1 OR $1 IS NULL"
    assert cursor.execute(query, ("2",)).fetchall() == [(2,)]
    assert cursor.execute(query, (None,)).fetchall() == [(1,), (2,), (3,)]


def test_a_parameter_with_a_type_may_stand_anywhere(cursor: psycopg.RawCursor) -> None:
    assert cursor.execute("SELECT concat($1::int, $1), pg_typeof($1)::text", (5,)).fetchone() == ("55", "smallint")
    assert cursor.execute("SELECT $1::int, concat($1)", ("5",)).fetchone() == (5, "5")
    assert cursor.execute("SELECT concat($1), $1 IS NULL, 'a' IS NULL", (5,)).fetchone() == ("5", False, False)


def test_a_configuration_of_text_search_may_be_a_parameter(cursor: psycopg.RawCursor) -> None:
    query = "SELECT to_tsvector($1::regconfig, $2), to_tsquery($1, $3)"
    assert cursor.execute(query, ("english", "fat cats", "cat")).fetchone() == ("'cat':2 'fat':1", "'cat'")
    with pytest.raises(errors.UndefinedObject):
        cursor.execute("SELECT to_tsvector($1::regconfig, 'a')", ("klingon",))
