"""Collations: ICU's orders of texts, which one an expression has, columns and indexes of one, collations of one's own.

The expected answers are PostgreSQL 15's.
"""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture
def database() -> LocalDatabase:
    made = LocalDatabase()
    made.run(
        'CREATE TABLE t (id int PRIMARY KEY, a text COLLATE "sv-x-icu", b varchar(20), c text COLLATE "C", '
        'd char(5) COLLATE "sv-x-icu"); INSERT INTO t VALUES '
        "(1, 'Zeta', 'b', 'x', 'z'), (2, 'ärta', 'A', 'y', 'ä'), (3, 'apa', 'B', 'z', 'a'), (4, 'Apa', 'a', 'X', 'A')"
    )
    return made


def column(database: LocalDatabase, sql: str) -> list[str | None]:
    return [row[0] for row in database.run(sql)]


def error(database: LocalDatabase, sql: str) -> tuple[str, str]:
    with pytest.raises(HeliosError) as caught:
        database.run(sql)
    return caught.value.sqlstate, str(caught.value)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM t ORDER BY a", ["apa", "Apa", "Zeta", "ärta"]),
        ("SELECT a FROM t ORDER BY a DESC", ["ärta", "Zeta", "Apa", "apa"]),
        ("SELECT b FROM t ORDER BY b", ["A", "B", "a", "b"]),
        ('SELECT b FROM t ORDER BY b COLLATE "en-x-icu"', ["a", "A", "b", "B"]),
        ("SELECT d FROM t ORDER BY d", ["a    ", "A    ", "z    ", "ä    "]),
        ("SELECT lower(a) FROM t ORDER BY lower(a)", ["apa", "apa", "zeta", "ärta"]),
        ("SELECT a || b AS x FROM t ORDER BY x", ["Apaa", "apaB", "Zetab", "ärtaA"]),
        ("SELECT a FROM t WHERE a > 'b' ORDER BY 1", ["Zeta", "ärta"]),
        ("SELECT a FROM t WHERE a > 'b' COLLATE \"C\"", ["ärta"]),
        ("SELECT a FROM t WHERE 'b' > a ORDER BY id", ["apa", "Apa"]),
        ("SELECT min(a) || max(a) FROM t", ["apaärta"]),
        ('SELECT min(b COLLATE "sv-x-icu") FROM t', ["a"]),
        ("SELECT string_agg(a, ',' ORDER BY a) FROM t", ["apa,Apa,Zeta,ärta"]),
        ("SELECT greatest(a, 'b') FROM t ORDER BY id", ["Zeta", "ärta", "b", "b"]),
        ("SELECT x FROM (SELECT a AS x FROM t UNION SELECT 'B') s ORDER BY x", ["apa", "Apa", "B", "Zeta", "ärta"]),
        ("SELECT CASE WHEN a < 'b' THEN 'B' ELSE 'a' END AS q FROM t ORDER BY q", ["B", "B", "a", "a"]),
        ("SELECT a FROM t WHERE a ~>=~ 'a' ORDER BY id", ["ärta", "apa"]),
        ("SELECT a FROM t WHERE a BETWEEN 'a' AND 'p' ORDER BY a", ["apa", "Apa"]),
    ],
)
def test_the_order_of_texts(database: LocalDatabase, sql: str, expected: list[str]) -> None:
    assert column(database, sql) == expected


def test_views_and_queries_hand_the_collation_on(database: LocalDatabase) -> None:
    database.run("CREATE VIEW v AS SELECT a, lower(a) AS small FROM t; CREATE TABLE copied AS SELECT a FROM t")
    for source in ("v", "copied", "(SELECT a FROM t OFFSET 0) s", "(TABLE v) s"):
        assert column(database, f"SELECT a FROM {source} ORDER BY a") == ["apa", "Apa", "Zeta", "ärta"]
    assert column(database, "SELECT small FROM v ORDER BY small") == ["apa", "apa", "zeta", "ärta"]
    assert column(database, "WITH q AS (SELECT a FROM t) SELECT a FROM q ORDER BY a") == ["apa", "Apa", "Zeta", "ärta"]


def test_what_has_no_one_collation(database: LocalDatabase) -> None:
    assert error(database, 'SELECT 1 FROM t WHERE a COLLATE "C" < b COLLATE "sv-x-icu"') == (
        "42P21", 'collation mismatch between explicit collations "C" and "sv-x-icu"',
    )  # fmt: skip
    assert error(database, "SELECT 1 FROM t WHERE a < c") == (
        "42P22", "could not determine which collation to use for string comparison",
    )  # fmt: skip
    assert error(database, 'SELECT 1 COLLATE "C"') == ("42804", "collations are not supported by type integer")
    assert error(database, "SELECT 'a' COLLATE nope") == (
        "42704", 'collation "nope" for encoding "UTF8" does not exist',
    )  # fmt: skip
    assert error(database, 'CREATE TABLE x (a int COLLATE "C")')[0] == "42804"
    assert error(database, "CREATE TABLE x (a text COLLATE nope)")[0] == "42704"


def test_a_collation_without_case(database: LocalDatabase) -> None:
    database.run(
        "CREATE COLLATION ci (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false); "
        "CREATE TABLE n (n text COLLATE ci UNIQUE); INSERT INTO n VALUES ('Bob')"
    )
    assert error(database, "INSERT INTO n VALUES ('bob')")[0] == "23505"
    assert database.run("SELECT n, n = 'BOB', n IN ('x', 'bOB') FROM n WHERE n = 'boB'") == [("Bob", "t", "t")]
    assert database.run("SELECT count(DISTINCT x COLLATE ci) FROM (VALUES ('a'), ('A'), ('b')) v(x)") == [("2",)]
    for test, what in (("n LIKE 'B%'", "LIKE"), ("n ILIKE 'B%'", "ILIKE"), ("n ~ 'B'", "regular expressions")):
        message = f"nondeterministic collations are not supported for {what}"
        assert error(database, f"SELECT 1 FROM n WHERE {test}") == ("0A000", message)


def test_collations_of_ones_own(database: LocalDatabase) -> None:
    database.run(
        "CREATE COLLATION german (PROVIDER = icu, LOCALE = 'de-u-co-phonebk'); "
        "CREATE COLLATION same FROM \"sv-x-icu\"; CREATE COLLATION plain (LOCALE = 'C'); "
        'CREATE COLLATION IF NOT EXISTS german FROM "C"'
    )
    names = "(VALUES ('Götz'), ('Goldmann'), ('Goethe')) v(x)"
    assert column(database, f"SELECT x FROM {names} ORDER BY x COLLATE german") == ["Goethe", "Götz", "Goldmann"]
    assert column(database, f'SELECT x FROM {names} ORDER BY x COLLATE "de-x-icu"') == ["Goethe", "Goldmann", "Götz"]
    assert database.run(
        "SELECT collname, collprovider, collisdeterministic, collcollate, colliculocale FROM pg_collation "
        "WHERE collnamespace = 'public'::regnamespace ORDER BY 1"
    ) == [("german", "i", "t", None, "de-u-co-phonebk"), ("plain", "c", "t", "C", None), ("same", "i", "t", None, "sv")]
    assert error(database, 'CREATE COLLATION german FROM "C"') == ("42710", 'collation "german" already exists')
    assert error(database, "CREATE COLLATION no (LOCALE = 'sv_SE.utf8')")[0] == "0A000"
    assert error(database, "CREATE COLLATION no (PROVIDER = icu)")[0] == "42P17"
    database.run("ALTER COLLATION german RENAME TO deutsch; ALTER TABLE t ADD e text COLLATE deutsch")
    assert error(database, "DROP COLLATION deutsch")[0] == "2BP01"
    database.run("ALTER TABLE t DROP e; DROP COLLATION deutsch, same; DROP COLLATION IF EXISTS deutsch, plain")
    assert column(database, "SELECT count(*) FROM pg_collation WHERE oid >= 16384") == ["0"]
    assert error(database, 'DROP COLLATION "C"')[0] == "42501"


def test_what_the_catalogs_say_of_columns_and_indexes(database: LocalDatabase) -> None:
    database.run('CREATE INDEX i ON t (b COLLATE "sv-x-icu" DESC, a, c COLLATE "C")')
    assert column(database, "SELECT indexdef FROM pg_indexes WHERE indexname = 'i'") == [
        'CREATE INDEX i ON public.t USING btree (b COLLATE "sv-x-icu" DESC, a, c)'
    ]
    facts = "SELECT column_name, collation_name FROM information_schema.columns WHERE table_name = 't' ORDER BY 1"
    assert database.run(facts) == [("a", "sv-x-icu"), ("b", None), ("c", "C"), ("d", "sv-x-icu"), ("id", None)]
    database.run('ALTER TABLE t ALTER a TYPE text, ALTER b TYPE text COLLATE "sv-x-icu"')
    assert database.run(facts)[:2] == [("a", None), ("b", "sv-x-icu")]
    assert column(database, "SELECT b FROM t ORDER BY b") == ["a", "A", "b", "B"]
    assert database.run(
        "SELECT attname, collname FROM pg_attribute JOIN pg_collation c ON c.oid = attcollation "
        "WHERE attrelid = 't'::regclass ORDER BY attnum"
    ) == [("a", "default"), ("b", "sv-x-icu"), ("c", "C"), ("d", "sv-x-icu")]


def test_types_go_with_their_schema(database: LocalDatabase) -> None:
    database.run(
        "CREATE SCHEMA z; CREATE TYPE z.e AS ENUM ('a'); CREATE DOMAIN z.d AS int; CREATE TABLE z.own (a z.e); "
        "CREATE TABLE other (a z.e, b z.d, c int)"
    )
    assert error(database, "DROP SCHEMA z")[0] == "2BP01"
    database.run("DROP SCHEMA z CASCADE")
    assert database.run("SELECT typname FROM pg_type WHERE typname IN ('e', '_e', 'd')") == []
    facts = "SELECT attname FROM pg_attribute WHERE attrelid = 'other'::regclass AND NOT attisdropped ORDER BY attnum"
    assert column(database, facts) == ["c"]


def test_collations_go_with_their_schema(database: LocalDatabase) -> None:
    database.run("CREATE SCHEMA s; CREATE COLLATION s.x FROM \"sv-x-icu\"; CREATE TYPE s.e AS ENUM ('a')")
    assert database.run("SELECT pg_collation_is_visible(oid) FROM pg_collation WHERE collname = 'x'") == [("f",)]
    assert error(database, "DROP SCHEMA s")[0] == "2BP01"
    database.run("ALTER SCHEMA s RENAME TO r")
    assert column(database, "SELECT a FROM t ORDER BY a COLLATE r.x") == ["apa", "Apa", "Zeta", "ärta"]
    assert column(database, "SELECT 'a'::r.e") == ["a"]
    database.run("DROP TYPE r.e; DROP SCHEMA r CASCADE")
    assert column(database, "SELECT count(*) FROM pg_collation WHERE oid >= 16384") == ["0"]
