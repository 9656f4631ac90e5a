"""Views of information_schema and pg_catalog, against what PostgreSQL 15 shows of the same schema."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.catalog_schema import Schema

SCHEMA = (
    "CREATE TABLE p (id int PRIMARY KEY, names text[])",
    "CREATE TABLE c (id int REFERENCES p(id), CHECK (id > 0))",
    "CREATE VIEW v AS SELECT id FROM p",
    "CREATE ROLE reader",
    "GRANT SELECT ON p TO reader WITH GRANT OPTION",
    "GRANT UPDATE (id) ON c TO PUBLIC",
    "CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a * 2'",
)
ANSWERS = {
    "SELECT table_name, constraint_name FROM information_schema.constraint_table_usage ORDER BY 1, 2": [
        ("p", "c_id_fkey"), ("p", "p_pkey"),
    ],
    "SELECT view_name, table_name FROM information_schema.view_table_usage": [("v", "p")],
    "SELECT object_name, object_type, collection_type_identifier, data_type, udt_name, dtd_identifier "
    "FROM information_schema.element_types WHERE object_schema = 'public'": [("p", "TABLE", "2", "text", "text", "a2")],
    "SELECT table_name, column_name, udt_schema, udt_name FROM information_schema.column_udt_usage "
    "WHERE table_schema = 'public' ORDER BY 1, 2": [
        ("c", "id", "pg_catalog", "int4"), ("p", "id", "pg_catalog", "int4"), ("p", "names", "pg_catalog", "_text"),
        ("v", "id", "pg_catalog", "int4"),
    ],
    "SELECT privilege_type, is_grantable, with_hierarchy FROM information_schema.role_table_grants "
    "WHERE table_name = 'p' AND grantee = 'reader'": [("SELECT", "YES", "YES")],
    "SELECT count(*), min(privilege_type), max(is_grantable) FROM information_schema.table_privileges "
    "WHERE table_name = 'c'": [(7, "DELETE", "YES")],
    "SELECT privilege_type, is_grantable FROM information_schema.column_privileges "
    "WHERE table_name = 'c' AND grantee = 'PUBLIC'": [("UPDATE", "NO")],
    "SELECT count(*) FROM information_schema.column_privileges WHERE table_name = 'p'": [(10,)],
    "SELECT grantee = 'PUBLIC', routine_name, is_grantable FROM information_schema.role_routine_grants "
    "WHERE routine_schema = 'public' ORDER BY 1": [(0, "twice", "YES"), (1, "twice", "NO")],
    "SELECT type_udt_schema, type_udt_name, udt_name, data_type FROM information_schema.routines "
    "WHERE routine_schema = 'public'": [("pg_catalog", "int4", None, "integer")],
    "SELECT character_set_name, default_collate_name FROM information_schema.character_sets": [("UTF8", None)],
    "SELECT relname, seq_scan, n_live_tup, last_vacuum FROM pg_stat_user_tables ORDER BY 1": [
        ("c", 0, 0, None), ("p", 0, 0, None),
    ],
    "SELECT relname, indexrelname, idx_blks_hit FROM pg_statio_user_indexes": [("p", "p_pkey", 0)],
    "SELECT checkpoints_timed, stats_reset FROM pg_stat_bgwriter": [(0, None)],
    "SELECT castfunc::int, castcontext, castmethod FROM pg_cast WHERE castsource = 23 AND casttarget = 20": [
        (481, "i", "f"),
    ],
    "SELECT oprkind, oprcanhash, oprcom, oprnegate FROM pg_operator "
    "WHERE oprname = '=' AND oprleft = 25 AND oprright = 25": [("b", 1, 98, 531)],
    "SELECT oprkind, oprresult::int FROM pg_operator WHERE oprname = '-' AND oprleft = 0 AND oprright = 23": [
        ("l", 23),
    ],
    "SELECT aggkind FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid WHERE proname = 'mode'": [("o",)],
}  # fmt: skip


@pytest.fixture(scope="module")
def schema() -> Iterator[Schema]:
    made = Schema()
    for sql in SCHEMA:
        made.run(sql)
    yield made
    made.connection.close()


@pytest.mark.parametrize("sql", ANSWERS)
def test_as_postgresql_shows_it(schema: Schema, sql: str) -> None:
    assert schema.rows(sql) == ANSWERS[sql]
