"""Which statements are known to be short, so that they may run on the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from support.inner_node import InnerNode

from helios_cli.engine.node.guard import STEPS
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.storage.access import SHORT_TEXT_MAX, is_short

SCHEMA = """
PRAGMA foreign_keys = ON;
CREATE TABLE free (id INTEGER PRIMARY KEY, u INT UNIQUE, v INT);
CREATE TABLE plain (v INT);
CREATE TABLE cascaded (id INTEGER PRIMARY KEY, u INT UNIQUE, v INT);
CREATE TABLE nulled (id INTEGER PRIMARY KEY, u INT UNIQUE, v INT);
CREATE TABLE defaulted (id INTEGER PRIMARY KEY, u INT UNIQUE, v INT);
CREATE TABLE moved (id INTEGER PRIMARY KEY, u INT UNIQUE, v INT);
CREATE TABLE checked (id INTEGER PRIMARY KEY, u INT UNIQUE, v INT);
CREATE TABLE restricted (id INTEGER PRIMARY KEY, u INT UNIQUE, v INT);
CREATE TABLE child (
    a INT REFERENCES cascaded ON DELETE CASCADE,
    b INT REFERENCES nulled ON DELETE SET NULL,
    c INT DEFAULT 1 REFERENCES defaulted ON DELETE SET DEFAULT,
    d INT REFERENCES moved ON UPDATE CASCADE,
    e INT REFERENCES checked,
    f INT REFERENCES restricted ON DELETE RESTRICT,
    g INT REFERENCES cascaded (u) ON UPDATE SET NULL
);
CREATE INDEX ia ON child (a); CREATE INDEX ib ON child (b); CREATE INDEX ic ON child (c); CREATE INDEX id ON child (d);
CREATE INDEX ie ON child (e); CREATE INDEX "if" ON child (f); CREATE INDEX ig ON child (g);
"""


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    yield connection
    connection.close()


def write(sql: str) -> Plan:
    return Plan(Kind.WRITE, sql.split()[0], steps=(sql,), groupable=True)


@pytest.mark.parametrize(
    ("sql", "short"),
    [
        ("DELETE FROM free WHERE id = ?1", True),
        ("UPDATE free SET id = ?1, u = ?2 WHERE id = ?3", True),
        ("DELETE FROM cascaded WHERE id = ?1", False),
        ("DELETE FROM nulled WHERE u = ?1", False),
        ("DELETE FROM defaulted WHERE id = ?1", False),
        ("UPDATE moved SET id = ?1 WHERE id = ?2", False),
        ("UPDATE cascaded SET u = ?1 WHERE id = ?2", False),
        ("INSERT INTO moved (id, u) VALUES (?1, ?2) ON CONFLICT (u) DO UPDATE SET id = ?3", False),
        # The action is the other event's, or no column that is referenced changes.
        ("DELETE FROM moved WHERE id = ?1", True),
        ("UPDATE cascaded SET v = ?1 WHERE id = ?2", True),
        ("UPDATE nulled SET id = ?1 WHERE id = ?2", True),
        ("INSERT INTO cascaded (id, u) VALUES (?1, ?2)", True),
        # Nothing but a look into an index.
        ("DELETE FROM checked WHERE id = ?1", True),
        ("DELETE FROM restricted WHERE id = ?1", True),
    ],
)
def test_a_foreign_key_with_an_action_makes_a_write_long(connection: apsw.Connection, sql: str, short: bool) -> None:
    assert is_short(connection, write(sql)) is short


def test_a_check_without_an_index_is_long(connection: apsw.Connection) -> None:
    connection.execute('DROP INDEX "if"')
    try:
        assert not is_short(connection, write("DELETE FROM restricted WHERE id = ?1"))
    finally:
        connection.execute('CREATE INDEX "if" ON child (f)')


def test_a_long_text_is_long(connection: apsw.Connection) -> None:
    assert is_short(connection, write(f"INSERT INTO plain (v) VALUES ('{'x' * 100}')"))
    assert not is_short(connection, write(f"INSERT INTO plain (v) VALUES ('{'x' * SHORT_TEXT_MAX}')"))


def test_an_explanation_follows_the_schema(tmp_path: Path) -> None:
    """SQLite does not compile an EXPLAIN anew when the schema has changed: it would tell of an index that is gone."""
    with InnerNode(tmp_path) as node, node.connect() as connection:
        connection.execute("CREATE TABLE t (a int, b int)")
        connection.execute("CREATE INDEX ia ON t (a)")
        explain = "EXPLAIN SELECT b FROM t WHERE a = 1"
        for index in ("ia", "ib"):
            assert index in str(connection.execute(explain).fetchall())
            connection.execute(f"DROP INDEX {index}")
            assert index not in str(connection.execute(explain).fetchall())
            connection.execute("CREATE INDEX ib ON t (a)")


def test_a_cascade_in_a_transaction_does_not_fail_it(tmp_path: Path) -> None:
    """More children than the loop has time for: the statement must have gone to a thread at once."""
    children = STEPS * 10
    with InnerNode(tmp_path) as node, node.connect() as connection:
        connection.execute("CREATE TABLE parent (id int PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE)")
        connection.execute("CREATE INDEX ON child (p)")
        connection.execute("INSERT INTO parent VALUES (1), (2)")
        connection.execute(f"INSERT INTO child SELECT g, 1 FROM generate_series(1, {children}) AS g")
        with connection.transaction():
            connection.execute("UPDATE parent SET id = 3 WHERE id = 2")
            connection.execute("DELETE FROM parent WHERE id = 1")
        assert connection.execute("SELECT count(*) FROM child").fetchone() == (0,)
        assert connection.execute("SELECT id FROM parent").fetchall() == [(3,)]
