"""CREATE EXTENSION of what is built in, citext and hstore, and arrays of times that are cast in the session's zone.

The expected answers are PostgreSQL 15's.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.local_database import SESSION, LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture
def database() -> LocalDatabase:
    made = LocalDatabase()
    made.run('CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION "uuid-ossp"')
    return made


def error(database: LocalDatabase, sql: str) -> tuple[str, str]:
    with pytest.raises(HeliosError) as caught:
        database.run(sql)
    return caught.value.sqlstate, str(caught.value)


def test_a_type_of_an_extension_is_there_when_it_was_created() -> None:
    database = LocalDatabase()
    assert error(database, "SELECT 'a'::citext") == ("42704", 'type "citext" does not exist')
    assert database.run("SELECT count(*) FROM pg_type WHERE typname IN ('citext', '_citext')") == [("0",)]
    database.run("CREATE SCHEMA s; CREATE EXTENSION citext SCHEMA s")
    assert database.run("SELECT 'a'::citext, 'b'::s.citext") == [("a", "b")]
    assert error(database, "SELECT 'a'::pg_catalog.citext")[0] == "42704"
    assert error(database, "CREATE EXTENSION citext") == ("42710", 'extension "citext" already exists')
    assert error(database, "CREATE EXTENSION nothing") == ("0A000", 'extension "nothing" is not available')
    assert error(database, "CREATE EXTENSION hstore SCHEMA none")[0] == "3F000"
    database.run("CREATE EXTENSION IF NOT EXISTS citext; DROP EXTENSION citext; DROP EXTENSION IF EXISTS citext")
    assert error(database, "SELECT 'a'::citext")[0] == "42704"


def test_what_the_catalogs_say_of_extensions(database: LocalDatabase) -> None:
    assert database.run(
        "SELECT e.extname, e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "ORDER BY 1"
    ) == [("citext", "1.6", "public"), ("hstore", "1.8", "public"), ("plpgsql", "1.0", "pg_catalog"),
          ("uuid-ossp", "1.1", "public")]  # fmt: skip
    assert database.run(
        "SELECT t.typname, n.nspname, e.extname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
        "LEFT JOIN pg_depend d ON d.objid = t.oid AND d.deptype = 'e' LEFT JOIN pg_extension e ON e.oid = d.refobjid "
        "WHERE t.typname IN ('hstore', '_hstore', 'citext') ORDER BY 1"
    ) == [("_hstore", "public", None), ("citext", "public", "citext"), ("hstore", "public", "hstore")]
    assert database.run("SELECT name, installed_version FROM pg_available_extensions WHERE name = 'hstore'") == [
        ("hstore", "1.8")
    ]


def test_citext_has_no_case(database: LocalDatabase) -> None:
    database.run("CREATE TABLE ci (a citext PRIMARY KEY); INSERT INTO ci VALUES ('Tom'), ('bob')")
    assert error(database, "INSERT INTO ci VALUES ('TOM')")[0] == "23505"
    assert database.run("SELECT a FROM ci WHERE a = 'tOM'") == [("Tom",)]
    assert database.run("SELECT a FROM ci WHERE a = 'tOM'::text") == []
    assert database.run("SELECT a FROM ci WHERE a LIKE 't%'") == [("Tom",)]
    assert database.run("SELECT a FROM ci WHERE a IN ('BOB', 'x')") == [("bob",)]
    assert database.run("SELECT a, pg_typeof(a || 'x') FROM ci ORDER BY a") == [("bob", "text"), ("Tom", "text")]
    assert error(database, "DROP EXTENSION citext") == (
        "2BP01", "cannot drop extension citext because other objects depend on it"
    )  # fmt: skip


CALLS: list[tuple[str, str | None]] = [
    ("'b=>NULL, a=>1'::hstore", '"a"=>"1", "b"=>NULL'),
    ("'a=>1, a=>2'::hstore", '"a"=>"1"'),
    ("""'"a b"=>"x\\"y", bbbb=>1, c=>" "'::hstore""", '"c"=>" ", "a b"=>"x\\"y", "bbbb"=>"1"'),
    ("'a=>1'::hstore -> 'a'", "1"),
    ("'a=>1'::hstore -> 'b'", None),
    ("'a=>1'::hstore -> ARRAY['a', 'b']", "{1,NULL}"),
    ("'a=>1, b=>2'::hstore || 'b=>3'", '"a"=>"1", "b"=>"3"'),
    ("'a=>1, b=>2'::hstore - 'b'::text", '"a"=>"1"'),
    ("'a=>1, b=>2'::hstore - ARRAY['a', 'b']", ""),
    ("'a=>1, b=>2'::hstore - 'a=>1, b=>3'::hstore", '"b"=>"2"'),
    ("'a=>1'::hstore ? 'a'", "t"),
    ("'a=>1'::hstore ?& ARRAY['a', 'b']", "f"),
    ("'a=>1'::hstore ?| ARRAY['a', 'b']", "t"),
    ("'a=>1, b=>2'::hstore @> 'b=>2'", "t"),
    ("'b=>3'::hstore <@ 'a=>1, b=>2'", "f"),
    ("'a=>1, b=>2'::hstore = 'b=>2, a=>1'::hstore", "t"),
    ("akeys('a=>1, b=>NULL')", "{a,b}"),
    ("avals('a=>1, b=>NULL')", "{1,NULL}"),
    ("hstore('a', NULL)", '"a"=>NULL'),
    ("hstore(ARRAY['a', '1', 'b', '2'])", '"a"=>"1", "b"=>"2"'),
    ("hstore(ARRAY['a', 'b'], ARRAY['1', '2'])", '"a"=>"1", "b"=>"2"'),
    ("hstore_to_json('a=>1, b=>NULL')", '{"a": "1", "b": null}'),
    ("hstore_to_json_loose('a=>1, b=>t, c=>x')", '{"a": 1, "b": true, "c": "x"}'),
    ("'a=>1'::hstore::jsonb", '{"a": "1"}'),
    ("hstore_to_matrix('a=>1, b=>2')", "{{a,1},{b,2}}"),
    ("slice('a=>1, b=>2', ARRAY['b', 'x'])", '"b"=>"2"'),
    ("uuid_generate_v5(uuid_ns_dns(), 'x')", "05b16a01-46c6-56dd-bd6e-c6dfb4a1427a"),
]


@pytest.mark.parametrize(("expression", "expected"), CALLS)
def test_functions_and_operators(database: LocalDatabase, expression: str, expected: str | None) -> None:
    assert database.run(f"SELECT {expression}") == [(expected,)]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a=>", "Unexpected end of string"), ("a", "Unexpected end of string"),
     ("a=>1 b=>2", 'Syntax error near "b" at position 5')],
)  # fmt: skip
def test_what_is_no_hstore(database: LocalDatabase, text: str, message: str) -> None:
    assert error(database, f"SELECT '{text}'::hstore") == ("XX000", message)


def test_uuids_of_uuid_ossp(database: LocalDatabase) -> None:
    assert database.run("SELECT uuid_generate_v3(uuid_ns_url(), 'http://x'), uuid_nil()") == [
        ("53b14841-9895-312b-bb91-82c1f08c9edd", "00000000-0000-0000-0000-000000000000")
    ]
    versions = database.run("SELECT substr(uuid_generate_v1()::text, 15, 1), substr(uuid_generate_v4()::text, 15, 1)")
    assert versions == [("1", "4")]


TIME_ARRAYS: list[tuple[str, str]] = [
    ("('{2008-01-01 00:00:00}'::timestamp[])::timestamptz[]", '{"2008-01-01 00:00:00-06"}'),
    ("'{2008-01-01}'::text[]::timestamptz[]", '{"2008-01-01 00:00:00-06"}'),
    ("ARRAY['2008-01-01 00:00:00+00'::timestamptz]::text[]", '{"2007-12-31 18:00:00-06"}'),
    ("ARRAY['2008-01-01 00:00:00+00'::timestamptz]::date[]", "{2007-12-31}"),
    ("ARRAY['2008-01-01 00:00:00+00'::timestamptz]::timestamp[]", '{"2007-12-31 18:00:00"}'),
    ("'{2020-01-01,NULL}'::date[]::timestamptz[]", '{"2020-01-01 00:00:00-06",NULL}'),
    ("'{today}'::date[] = ARRAY[current_date]", "t"),
]


@pytest.mark.parametrize(("expression", "expected"), TIME_ARRAYS)
def test_arrays_of_times_are_cast_in_the_zone_of_the_session(
    expression: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SESSION, "timezone", "America/Chicago")
    shown: Any = LocalDatabase().run(f"SELECT ({expression})::text")
    assert shown == [("true" if expected == "t" else expected,)]
