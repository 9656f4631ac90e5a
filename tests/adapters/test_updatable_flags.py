"""What information_schema and pg_relation_is_updatable() say of views, as PostgreSQL 15 does."""

from __future__ import annotations

from support.catalog_schema import Schema

SETUP = """
CREATE TABLE base (id int PRIMARY KEY, a int, b text)
CREATE VIEW plain AS SELECT id, a + 1 AS more, b FROM base WHERE a > 1
CREATE VIEW over_plain AS SELECT more, b FROM plain
CREATE VIEW computed AS SELECT a * 2 AS twice FROM base
CREATE VIEW grouped AS SELECT a, count(*) AS n FROM base GROUP BY a
CREATE VIEW over_grouped AS SELECT a FROM grouped
CREATE VIEW joined AS SELECT x.id FROM base x JOIN base y ON x.id = y.a
CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
CREATE TRIGGER instead INSTEAD OF INSERT OR DELETE ON grouped FOR EACH ROW EXECUTE FUNCTION act()
"""


def made() -> Schema:
    schema = Schema()
    for statement in SETUP.strip().splitlines():
        schema.run(statement)
    return schema


def test_views() -> None:
    schema = made()
    flags = (
        "SELECT table_name, is_updatable, is_insertable_into, is_trigger_updatable, is_trigger_deletable, "
        "is_trigger_insertable_into FROM information_schema.views WHERE table_schema = 'public' ORDER BY 1"
    )
    assert schema.rows(flags) == [
        ("computed", "NO", "NO", "NO", "NO", "NO"),
        ("grouped", "NO", "NO", "NO", "YES", "YES"),
        ("joined", "NO", "NO", "NO", "NO", "NO"),
        ("over_grouped", "NO", "NO", "NO", "NO", "NO"),
        ("over_plain", "YES", "YES", "NO", "NO", "NO"),
        ("plain", "YES", "YES", "NO", "NO", "NO"),
    ]
    tables = (
        "SELECT table_name, is_insertable_into FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
    )
    assert [name for name, flag in schema.rows(tables) if flag == "YES"] == ["base", "over_plain", "plain"]


def test_columns() -> None:
    schema = made()
    columns = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND is_updatable = 'YES' ORDER BY 1, 2"
    )
    assert schema.rows(columns) == [
        ("base", "a"), ("base", "b"), ("base", "id"), ("over_plain", "b"), ("plain", "b"), ("plain", "id"),
    ]  # fmt: skip


def test_functions() -> None:
    schema = made()
    events = (
        "SELECT relname, pg_relation_is_updatable(oid, false), pg_relation_is_updatable(oid, true), "
        "pg_column_is_updatable(oid, 1::int2, false) "
        "FROM pg_class WHERE relkind IN ('r', 'v') AND oid >= 16384 ORDER BY 1"
    )
    assert schema.rows(events) == [
        ("base", 28, 28, 1), ("computed", 16, 16, 0), ("grouped", 0, 24, 0), ("joined", 0, 0, 0),
        ("over_grouped", 0, 24, 0), ("over_plain", 28, 28, 0), ("plain", 28, 28, 1),
    ]  # fmt: skip
