"""ROLLBACK TO behind a changed schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from helios_cli.engine.storage.savepoints import roll_back_to


def opened(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


@pytest.mark.parametrize("defines", [False, True])
def test_a_query_goes_on(tmp_path: Path, defines: bool) -> None:
    connection = opened(tmp_path / "x.db")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")

    def undone(number: int) -> int:
        connection.execute("SAVEPOINT inner_block")
        connection.execute("INSERT INTO t VALUES (? + 100, 'x')", (number,))
        if defines:
            connection.execute("CREATE TABLE inside (x)")
        roll_back_to(connection, "inner_block", schema_changed=True)
        connection.execute("RELEASE inner_block")
        return number * 10

    function: Any = undone
    connection.create_scalar_function("undone", function, 1)
    connection.execute("BEGIN IMMEDIATE; CREATE TABLE made (x)")
    assert connection.execute("SELECT id, undone(id) FROM t").fetchall() == [(1, 10), (2, 20), (3, 30)]
    connection.execute("COMMIT")
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("t",), ("made",)]


def test_a_schema_that_is_rolled_back_is_forgotten(tmp_path: Path) -> None:
    """Else it would be taken for the one that another connection makes under the same number."""
    one, other = opened(tmp_path / "x.db"), opened(tmp_path / "x.db")
    one.execute("BEGIN IMMEDIATE; CREATE TABLE undone (x); INSERT INTO undone VALUES (1); SAVEPOINT s")
    roll_back_to(one, "s", schema_changed=True)
    assert one.execute("SELECT x FROM undone").fetchall() == [(1,)]
    one.execute("ROLLBACK")
    other.execute("CREATE TABLE kept (y); INSERT INTO kept VALUES (7)")
    assert one.execute("SELECT y FROM kept").fetchall() == [(7,)]
    with pytest.raises(apsw.SQLError, match="no such table"):
        one.execute("SELECT x FROM undone")
