"""What the system catalogs show of materialized views, as PostgreSQL 15 does."""

from __future__ import annotations

from support.local_database import LocalDatabase


def test_materialized_views_are_in_the_catalogs() -> None:
    database = LocalDatabase()
    database.run("create table t (a int, b varchar(5))")
    database.run("create materialized view mv as select a, b, count(*) as n from t group by a, b")
    database.run("create unique index mv_a on mv (a)")
    database.run("create materialized view later as select 1 as one with no data")
    classes = "select relname, relkind, relispopulated, relhasindex from pg_class where relname in ('mv', 'later')"
    assert database.run(f"{classes} order by 1") == [("later", "m", "f", "f"), ("mv", "m", "t", "t")]
    views = "select matviewname, hasindexes, ispopulated, definition from pg_matviews order by 1"
    assert database.run(views) == [
        ("later", "f", "f", " select 1 as one;"),
        ("mv", "t", "t", " select a, b, count(*) as n from t group by a, b;"),
    ]
    columns = "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'mv'::regclass"
    expected = [("a", "integer"), ("b", "character varying(5)"), ("n", "bigint")]
    assert database.run(f"{columns} and attnum > 0 order by attnum") == expected
    assert database.run("select count(*) from information_schema.tables where table_name = 'mv'") == [("0",)]
    database.run("comment on materialized view mv is 'counted'")
    assert database.value("select obj_description('mv'::regclass, 'pg_class')") == "counted"
