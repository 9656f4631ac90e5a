"""RETURNING names the tables of FROM and USING: rows as PostgreSQL 15 gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support.node_process import NodeProcess

TABLES = """
DROP TABLE IF EXISTS r, s;
CREATE TABLE r (id int PRIMARY KEY, a int, n text);
CREATE TABLE s (k int, tid int, v text);
INSERT INTO r VALUES (1, 10, 'x'), (2, 20, 'y'), (3, 30, 'z');
INSERT INTO s VALUES (7, 1, 'one'), (8, 2, 'two'), (9, 9, 'nine')
"""


@pytest.fixture
def connection(server: NodeProcess) -> Iterator[psycopg.Connection]:
    with server.connect() as found:
        found.execute(TABLES)
        yield found


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        (
            "UPDATE r SET a = a + s.k FROM s WHERE s.tid = r.id RETURNING r.id, a, s.v, s.k * 2 AS k2",
            [(1, 17, "one", 14), (2, 28, "two", 16)],
        ),
        ("UPDATE r SET n = v FROM s WHERE tid = id AND k = 7 RETURNING *", [(1, 10, "one", 7, 1, "one")]),
        ("UPDATE r q SET n = 'm' FROM s p WHERE tid = 2 AND id = 2 RETURNING p.*, upper(v)", [(8, 2, "two", "TWO")]),
        ("UPDATE r SET id = 5 FROM s WHERE tid = id AND k = 8 RETURNING id, (SELECT tid + k), n", [(5, 10, "y")]),
        ("UPDATE r SET a = 5 FROM r b WHERE b.id = r.id AND b.id = 3 RETURNING r.a, b.a", [(5, 30)]),
        ("UPDATE r SET a = 0 FROM s JOIN s t USING (tid) WHERE tid = id AND s.k = 7 RETURNING tid, t.v", [(1, "one")]),
        ("DELETE FROM r USING s WHERE tid = id AND k = 8 RETURNING r.n, v", [("y", "two")]),
        ("DELETE FROM r USING (VALUES (3, 'gone')) g (id, t) WHERE g.id = r.id RETURNING g.t, r.a", [("gone", 30)]),
    ],
)
def test_values_of_other_tables(connection: psycopg.Connection, statement: str, rows: list[Any]) -> None:
    assert sorted(connection.execute(statement).fetchall()) == rows


def test_parameters_stand_beside_values_of_other_tables(connection: psycopg.Connection) -> None:
    for value in (77, 78):
        done = connection.execute(
            "UPDATE r SET a = %s FROM (VALUES (3, %s)) w (id, label) WHERE w.id = r.id RETURNING r.a, label, %s + 1",
            (value, "it", value),
            prepare=True,
        )
        assert (done.statusmessage, done.fetchall()) == ("UPDATE 1", [(value, "it", value + 1)])


def test_triggers_see_such_a_change(connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE OR REPLACE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := NEW.a * 2; "
        "RETURN NEW; END $$; CREATE TRIGGER t BEFORE UPDATE ON r FOR EACH ROW EXECUTE FUNCTION twice()"
    )
    text = "UPDATE r SET a = k FROM s WHERE tid = id AND k = 7 RETURNING r.a, s.k"
    assert connection.execute(text).fetchall() == [(14, 7)]


@pytest.mark.parametrize(
    ("shown", "error"),
    [
        ("id, k, v", None),
        ("a", errors.AmbiguousColumn),
        ("b.zzz", errors.UndefinedColumn),
        ("c.a", errors.UndefinedTable),
    ],
)
def test_names_are_resolved_over_all_tables(
    connection: psycopg.Connection, shown: str, error: type[psycopg.Error] | None
) -> None:
    source = "s" if error is None else "r b"
    text = f"UPDATE r SET n = '' FROM {source} WHERE false RETURNING {shown}"
    if error is None:
        assert connection.execute(text).fetchall() == []
    else:
        with pytest.raises(error):
            connection.execute(text)
