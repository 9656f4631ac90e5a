"""More parameters than SQLite has, of every class of values; many rows that are constant and that are not."""

from __future__ import annotations

import psycopg
import pytest
from support.node_process import NodeProcess


def test_more_parameters_than_sqlite_has(server: NodeProcess) -> None:
    plain = ", ".join(["%s"] * 32_700)
    values: list[object] = [*range(32_700), *range(100, 200), None, 1.5, b"\x00\xff", "é"]
    with server.connect() as connection:
        spilled = ", ".join(["%s"] * 100)
        sql = f"SELECT 7 IN ({plain}), 199 IN ({spilled}), %s::int, %s::float8, %s::bytea, %s::text"
        assert connection.execute(sql, values).fetchone() == (True, True, None, 1.5, b"\x00\xff", "é")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute(f"SELECT 7 IN ({plain}, {spilled}), %s::int", [*values[:32_800], "x"])


def test_rows_that_are_constant_and_rows_that_are_not(server: NodeProcess) -> None:
    rows = ", ".join(["(1, 2)"] * 2 + ["(3, random())"] * 20_000)
    with server.connect() as connection:
        connection.execute("CREATE TABLE mixed (a int, b float8)")
        assert connection.execute(f"INSERT INTO mixed VALUES {rows}").rowcount == 20_002
        assert connection.execute("SELECT count(*), sum(a), max(b) FROM mixed").fetchone() == (20_002, 60_002, 2.0)
