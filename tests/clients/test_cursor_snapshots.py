"""What a cursor sees in a transaction that pins its state: the same as every other statement of it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from support.node_process import NodeProcess

COUNT = "SELECT count(*) FROM t"
FIRST, SECOND = f"DECLARE one CURSOR FOR {COUNT}", f"DECLARE two CURSOR FOR {COUNT}"
OTHERS = "INSERT INTO t SELECT max(a) + 1 FROM t"


@pytest.fixture(autouse=True)
def tables(server: NodeProcess) -> Iterator[None]:
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS t; CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)")
    yield


def counts(server: NodeProcess, level: str, steps: list[str]) -> list[int]:
    """The counts that a transaction sees; OTHERS is what somebody else commits in between."""
    found = []
    with server.connect() as reader, server.connect() as writer:
        reader.execute(f"BEGIN ISOLATION LEVEL {level}")
        for step in steps:
            if step is OTHERS:
                writer.execute(step)
            elif step.startswith("DECLARE"):
                reader.execute(step)
            else:
                row = reader.execute(step).fetchone()
                assert row is not None
                found.append(int(row[0]))
        reader.execute("ROLLBACK")
    return found


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE READ ONLY"])
@pytest.mark.parametrize(
    "steps",
    [
        [FIRST, "FETCH one", OTHERS, SECOND, "FETCH two", COUNT],
        [FIRST, OTHERS, "FETCH one", OTHERS, COUNT],
        [FIRST, SECOND, OTHERS, "FETCH one", OTHERS, "FETCH two"],
        [COUNT, OTHERS, FIRST, OTHERS, "FETCH one"],
    ],
)
def test_cursors_and_queries_see_one_snapshot(server: NodeProcess, level: str, steps: list[str]) -> None:
    found = counts(server, level, steps)
    assert found == [1] * len(found) and found


def test_a_cursor_takes_the_writer_of_a_serializable_transaction(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as holder, server.connect() as reader:
        holder.execute(OTHERS)
        reader.execute("SET lock_timeout = 100")
        reader.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        with pytest.raises(errors.LockNotAvailable):
            reader.execute(FIRST)
        reader.execute("ROLLBACK")
        holder.rollback()


def test_declaring_a_cursor_settles_the_isolation_level(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute("BEGIN")
        connection.execute(FIRST)
        with pytest.raises(psycopg.Error, match="SET TRANSACTION ISOLATION LEVEL must be called before any query"):
            connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        connection.execute("ROLLBACK")
