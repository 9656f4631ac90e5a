"""pg_trgm, pgcrypto and unaccent; access methods and parameters of indexes; arrays of arrays; ranges of instants.

The expected answers are PostgreSQL 15's.
"""

from __future__ import annotations

import pytest
from support.local_database import SESSION, LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture
def database() -> LocalDatabase:
    made = LocalDatabase()
    for name in ("pg_trgm", "pgcrypto", "unaccent", "bloom", "btree_gin", "btree_gist"):
        made.run(f"CREATE EXTENSION {name}")
    return made


def error(database: LocalDatabase, sql: str) -> tuple[str, str]:
    with pytest.raises(HeliosError) as caught:
        database.run(sql)
    return caught.value.sqlstate, str(caught.value)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("similarity('word', 'two words')", "0.36363637"),
        ("word_similarity('word', 'two words')", "0.8"),
        ("strict_word_similarity('word', 'two words')", "0.5714286"),
        ("show_trgm('éa b')", '{0xcf8a8e,0xe69b54,0xee5d93,"  b"," b "}'),
        ("'Matthew' % 'Mathew'", "t"),
        ("'word' <% 'two words'", "t"),
        ("'cat' <-> 'cats'", "0.5"),
        ("unaccent('Éclair ß ½ → Œ')", "Eclair ss 1/2 → OE"),
        ("encode(digest('abc', 'sha1'), 'hex')", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("encode(hmac('abc', 'k', 'MD5'), 'hex')", "75972c9c6569f2f407752ddb02ac79de"),
        ("length(gen_random_bytes(16))", "16"),
        ("digest(NULL, 'md5')", None),
    ],
)
def test_functions_of_extensions(database: LocalDatabase, call: str, expected: str | None) -> None:
    assert database.value(f"SELECT {call}") == expected


def test_what_enciphers_is_refused(database: LocalDatabase) -> None:
    assert error(database, "SELECT digest('a', 'nope')") == ("22023", 'Cannot use "nope": No such hash algorithm')
    assert error(database, "SELECT crypt('a', 'b')")[0] == "0A000"
    assert error(database, "SELECT gen_random_bytes(0)")[0] == "22023"


def test_access_methods_and_parameters_are_shown(database: LocalDatabase) -> None:
    database.run(
        "CREATE TABLE t (a int, b text, j jsonb); CREATE INDEX i1 ON t USING bloom (a); CREATE INDEX i2 ON t USING gin "
        "(j jsonb_path_ops) WITH (fastupdate = off, gin_pending_list_limit = 128); "
        "CREATE INDEX i3 ON t USING gin (b gin_trgm_ops); CREATE INDEX i4 ON t (a) WITH (fillfactor = 70)"
    )
    assert database.run(
        "SELECT relname, amname, reloptions FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE relname ~ '^i[0-9]' "
        "ORDER BY 1"
    ) == [
        ("i1", "bloom", None), ("i2", "gin", "{fastupdate=off,gin_pending_list_limit=128}"), ("i3", "gin", None),
        ("i4", "btree", "{fillfactor=70}"),
    ]  # fmt: skip
    assert database.run("SELECT indexdef FROM pg_indexes WHERE indexname IN ('i2', 'i4') ORDER BY 1") == [
        ("CREATE INDEX i2 ON public.t USING gin (j jsonb_path_ops) WITH (fastupdate=off, "
         "gin_pending_list_limit='128')",),
        ("CREATE INDEX i4 ON public.t USING btree (a) WITH (fillfactor='70')",),
    ]  # fmt: skip
    assert database.run(
        "SELECT opcname FROM pg_opclass JOIN pg_index ON pg_opclass.oid = indclass[0] "
        "WHERE indexrelid IN ('i2'::regclass, 'i3'::regclass) ORDER BY 1"
    ) == [("gin_trgm_ops",), ("jsonb_path_ops",)]


def test_arrays_of_arrays(database: LocalDatabase) -> None:
    assert database.run(
        "SELECT (ARRAY['{1,2}'::int2[], '{3,4}'::int2[]])::int[][], "
        "ARRAY(SELECT ARRAY[1, 2] UNION ALL SELECT '{3,4}'), array_agg(x) "
        "FROM (VALUES (ARRAY[1, 2]), (ARRAY[5, 6])) v(x)"
    ) == [("{{1,2},{3,4}}", "{{1,2},{3,4}}", "{{1,2},{5,6}}")]
    assert error(database, "SELECT array_agg(x) FROM (VALUES (ARRAY[1]), (ARRAY[1, 2])) v(x)") == (
        "2202E", "cannot accumulate arrays of different dimensionality",
    )  # fmt: skip
    assert error(database, "SELECT ARRAY(SELECT NULL::int[])")[0] == "22004"


def test_bounds_without_a_zone_are_in_the_sessions(database: LocalDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SESSION, "timezone", "America/Chicago")
    assert database.run("SELECT lower('[2026-11-21 14:00,)'::tstzrange), '{[2026-11-21 14:00,)}'::tstzmultirange") == [
        ("2026-11-21 20:00:00+00", '{["2026-11-21 20:00:00+00",)}')
    ]
