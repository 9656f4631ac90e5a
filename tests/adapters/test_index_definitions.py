"""What the catalogs say of indexes over expressions, as PostgreSQL 15 says it; ORMs compare their models with it."""

from __future__ import annotations

from support.local_database import LocalDatabase

SCHEMA = """
CREATE TABLE ei (id int PRIMARY KEY, x varchar(20), y varchar(20), z int);
CREATE INDEX a1 ON ei (lower(x), y);
CREATE INDEX a2 ON ei ((x || 'a') DESC, z);
CREATE INDEX a3 ON ei ((z + 1), coalesce(x, y));
CREATE INDEX a4 ON ei (x text_pattern_ops, (CAST(x AS text)));
"""


def test_keys_of_indexes() -> None:
    database = LocalDatabase()
    database.run(SCHEMA)
    query = """
        SELECT c.relname, pg_get_indexdef(indexrelid, 1, true), pg_get_indexdef(indexrelid, 2, true),
               pg_get_indexdef(indexrelid, 1, false), indclass
        FROM pg_index i JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'ei'::regclass ORDER BY 1
    """
    assert database.run(query) == [
        ("a1", "lower(x::text)", "y", "lower((x)::text)", "3126 3126"),
        ("a2", "(x::text || 'a'::text)", "z", "(((x)::text || 'a'::text))", "3126 1978"),
        ("a3", "(z + 1)", "COALESCE(x, y)", "((z + 1))", "1978 3126"),
        ("a4", "x", "(x::text)", "x", "4217 3126"),
        ("ei_pkey", "id", "", "id", "1978"),
    ]


def test_whole_definitions_and_names_of_keys() -> None:
    database = LocalDatabase()
    database.run(SCHEMA)
    assert database.run("SELECT indexdef FROM pg_indexes WHERE indexname IN ('a3', 'a4') ORDER BY indexname") == [
        ("CREATE INDEX a3 ON public.ei USING btree (((z + 1)), COALESCE(x, y))",),
        ("CREATE INDEX a4 ON public.ei USING btree (x text_pattern_ops, ((x)::text))",),
    ]
    names = "SELECT attname FROM pg_attribute WHERE attrelid = '{}'::regclass ORDER BY attnum"
    assert database.run(names.format("a1")) == [("lower",), ("y",)]
    assert database.run(names.format("a2")) == [("expr",), ("z",)]
    assert database.run(names.format("a3")) == [("expr",), ("coalesce",)]
    assert database.run(
        "SELECT opcname, opcintype::regtype::text, opcdefault FROM pg_opclass WHERE oid IN (1978, 4217) ORDER BY 1"
    ) == [("int4_ops", "integer", "t"), ("text_pattern_ops", "text", "f")]
