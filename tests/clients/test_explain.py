"""EXPLAIN's options and formats over the wire."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from psycopg import errors
from support.node_process import NodeProcess


@pytest.fixture(autouse=True)
def table(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS explained; CREATE TABLE explained (a int PRIMARY KEY, b text)")
        connection.execute("INSERT INTO explained SELECT g, 'b' FROM generate_series(1, 20) g")


def lines(server: NodeProcess, sql: str) -> list[Any]:
    with server.connect() as connection:
        return [row[0] for row in connection.execute(sql).fetchall()]


def test_analyze_runs_the_query_and_counts_its_rows(server: NodeProcess) -> None:
    found = lines(server, "EXPLAIN ANALYZE SELECT * FROM explained WHERE b = 'b'")
    assert found[0].startswith("SCAN explained (actual time=")
    assert found[0].endswith(" rows=20 loops=1)")
    assert found[-2].startswith("Planning Time: ") and found[-1].startswith("Execution Time: ")
    short = lines(server, "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) SELECT * FROM explained WHERE a = 1")
    assert short[0].endswith(" (actual rows=1 loops=1)")
    assert not short[-1].startswith("Execution")


def test_analyze_does_what_the_statement_does(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as connection:
        sql = "EXPLAIN (ANALYZE, FORMAT JSON) DELETE FROM explained WHERE a <= 5 RETURNING a"
        row = connection.execute(sql).fetchone()
        assert row is not None
        plan = row[0][0]["Plan"]
        assert (plan["Node Type"], plan["Operation"], plan["Actual Rows"]) == ("ModifyTable", "Delete", 5)
        assert connection.execute("SELECT count(*) FROM explained").fetchone() == (15,)
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM explained").fetchone() == (20,)
        connection.execute("EXPLAIN ANALYZE INSERT INTO explained VALUES (100, 'x')")
        connection.commit()
        assert connection.execute("SELECT b FROM explained WHERE a = 100").fetchone() == ("x",)


def test_plans_come_in_every_format(server: NodeProcess) -> None:
    sql = "SELECT b, count(*) FROM explained JOIN explained e USING (a, b) WHERE a > 3 GROUP BY b ORDER BY 2"
    with server.connect() as connection:
        cursor = connection.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        assert cursor.description is not None and cursor.description[0].type_code == 114
        row = cursor.fetchone()
        assert row is not None
        (document,) = row[0]
        assert document["Plan"]["Plans"][0]["Relation Name"] == "explained"
        assert "Execution Time" not in document
        xml = connection.execute(f"EXPLAIN (FORMAT XML, ANALYZE) {sql}").fetchone()
        assert xml is not None
        tree = ElementTree.fromstring(xml[0])
        assert tree.find(".//{*}Actual-Rows") is not None
        yaml = connection.execute(f"EXPLAIN (FORMAT YAML) {sql}").fetchone()
        assert yaml is not None and yaml[0].startswith("- Plan:\n    ")


def test_mistakes_are_told(server: NodeProcess) -> None:
    with server.connect() as connection:
        with pytest.raises(errors.InvalidParameterValue, match="EXPLAIN option TIMING requires ANALYZE"):
            connection.execute("EXPLAIN (TIMING) SELECT 1")
        with pytest.raises(errors.DivisionByZero):
            connection.execute("EXPLAIN ANALYZE SELECT 1 / (a - 1) FROM explained")
        with pytest.raises(errors.UniqueViolation):
            connection.execute("EXPLAIN ANALYZE INSERT INTO explained VALUES (1, 'again')")
        # Nothing of what failed is left behind.
        assert connection.execute("SELECT count(*) FROM explained").fetchone() == (20,)
