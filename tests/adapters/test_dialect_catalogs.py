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
        ("later", "f", "f", " SELECT 1 AS one;"),
        (
            "mv",
            "t",
            "t",
            " SELECT t.a,\n    t.b,\n    count(*) AS n\n   FROM t\n  GROUP BY t.a, t.b;",
        ),
    ]
    columns = "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'mv'::regclass"
    expected = [("a", "integer"), ("b", "character varying(5)"), ("n", "bigint")]
    assert database.run(f"{columns} and attnum > 0 order by attnum") == expected
    assert database.run("select count(*) from information_schema.tables where table_name = 'mv'") == [("0",)]
    database.run("comment on materialized view mv is 'counted'")
    assert database.value("select obj_description('mv'::regclass, 'pg_class')") == "counted"


def test_deferrable_keys_are_recorded_and_shown() -> None:
    database = LocalDatabase()
    database.run("create table d (a int primary key deferrable, b int, unique (b) deferrable initially deferred)")
    shown = "select pg_get_constraintdef(oid), condeferrable, condeferred from pg_constraint where conname like 'd_%'"
    assert database.run(f"{shown} order by 1") == [
        ("PRIMARY KEY (a) DEFERRABLE", "t", "f"),
        ("UNIQUE (b) DEFERRABLE INITIALLY DEFERRED", "t", "t"),
    ]
    database.run("insert into d values (1, 1), (2, 2)")
    database.run("alter table d add constraint d_both unique (a, b) deferrable")
    assert len(database.run(shown)) == 3
