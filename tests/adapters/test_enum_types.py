"""Enums: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture
def db() -> Iterator[LocalDatabase]:
    database = LocalDatabase()
    database.run("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')")
    database.run("CREATE TABLE person (id int PRIMARY KEY, m mood DEFAULT 'ok', ms mood[])")
    database.run("INSERT INTO person VALUES (1, 'happy', '{sad,happy}'), (2, 'sad', NULL), (3, DEFAULT, '{}')")
    yield database


def fails(db: LocalDatabase, sql: str) -> tuple[str, str]:
    with pytest.raises(HeliosError) as caught:
        db.run(sql)
    return caught.value.sqlstate, str(caught.value)


def test_values_sort_and_compare_in_declared_order(db: LocalDatabase) -> None:
    assert db.run("SELECT m FROM person ORDER BY m") == [("sad",), ("ok",), ("happy",)]
    assert db.run("SELECT m FROM person WHERE m > 'sad' ORDER BY m DESC") == [("happy",), ("ok",)]
    assert db.run("SELECT min(m), max(m) FROM person") == [("sad", "happy")]
    assert db.value("SELECT array_agg(m ORDER BY m) FROM person") == "{sad,ok,happy}"
    assert db.run("SELECT id FROM person WHERE m IN ('ok', 'sad') ORDER BY 1") == [("2",), ("3",)]
    assert db.value("SELECT ARRAY['ok'::mood] > ARRAY['sad'::mood, 'happy']") == "t"
    assert db.run("SELECT m, count(*) FROM person GROUP BY m ORDER BY 1 LIMIT 1") == [("sad", "1")]


def test_an_index_keeps_the_order_when_a_value_comes_between(db: LocalDatabase) -> None:
    db.run("CREATE INDEX person_m ON person (m)")
    pages = db.run("SELECT id, m FROM person ORDER BY id")
    db.run("ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok'")
    db.run("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'meh'")
    assert db.notices == ['enum label "meh" already exists, skipping']
    db.run("ALTER TYPE mood ADD VALUE 'glad' AFTER 'ok'")
    db.run("INSERT INTO person VALUES (4, 'meh'), (5, 'glad')")
    assert db.run("SELECT id, m FROM person WHERE id < 4 ORDER BY id") == pages
    assert [row[0] for row in db.run("SELECT m FROM person ORDER BY m")] == ["sad", "meh", "ok", "glad", "happy"]
    assert db.run("SELECT id FROM person WHERE m >= 'meh' AND m < 'happy' ORDER BY m") == [("4",), ("3",), ("5",)]
    assert db.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_rolled_back_type_leaves_no_order_behind(db: LocalDatabase) -> None:
    connection = db.connection
    for labels, wanted in ((("x", "y"), ["x", "y"]), (("y", "x"), ["y", "x"])):
        plan = db.plan(f"CREATE TYPE short AS ENUM ('{labels[0]}', '{labels[1]}')")[0]
        connection.execute("BEGIN")
        for step in plan.steps:
            connection.execute(step)
        db.catalog.refresh()
        values = db.plan("SELECT v FROM (VALUES ('x'::short), ('y')) AS t (v) ORDER BY v")[0]
        assert [row[0] for row in connection.execute(values.steps[0]).fetchall()] == wanted
        connection.execute("ROLLBACK")


def test_labels_swapped_and_rolled_back_keep_their_order(db: LocalDatabase) -> None:
    connection = db.connection
    ordered = "SELECT m FROM person ORDER BY m"
    connection.execute("BEGIN")
    for old, new in (("sad", "x"), ("happy", "sad"), ("x", "happy")):
        for step in db.plan(f"ALTER TYPE mood RENAME VALUE '{old}' TO '{new}'")[0].steps:
            connection.execute(step)
    swapped = connection.execute(db.plan(ordered)[0].steps[0]).fetchall()
    assert [row[0] for row in swapped] == ["happy", "ok", "sad"]
    connection.execute("ROLLBACK")
    assert db.run(ordered) == [("sad",), ("ok",), ("happy",)]


def test_a_renamed_value_is_renamed_wherever_it_stands(db: LocalDatabase) -> None:
    db.run("CREATE UNIQUE INDEX person_m ON person (m)")
    db.run("ALTER TYPE mood RENAME VALUE 'happy' TO 'a'")
    db.run("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'")
    assert db.run("SELECT m, ms FROM person ORDER BY m") == [("sad", None), ("fine", "{}"), ("a", "{sad,a}")]
    assert db.run("SELECT id FROM person WHERE m = 'a'") == [("1",)]
    assert fails(db, "INSERT INTO person (id) VALUES (8)")[0] == "23505"
    assert db.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_renamed_value_is_renamed_inside_rows(db: LocalDatabase) -> None:
    db.run("CREATE TYPE inner_row AS (m mood, ms mood[])")
    db.run("CREATE TYPE outer_row AS (i inner_row, t text)")
    db.run("CREATE TABLE rows (o outer_row, os outer_row[])")
    db.run(
        """INSERT INTO rows VALUES (ROW(ROW('ok', '{ok,sad}'), 'ok'), ARRAY[ROW(ROW('ok', NULL), NULL)::outer_row])"""
    )
    db.run("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'")
    wanted = [('("(fine,""{fine,sad}"")",ok)', '{"(\\"(fine,)\\",)"}')]
    assert db.run("SELECT o, os FROM rows") == wanted


def test_a_renamed_type_goes_on_in_defaults_and_checks(db: LocalDatabase) -> None:
    db.run("ALTER TABLE person ADD CHECK (m <> 'sad'::mood OR id < 5)")
    db.run("ALTER TYPE mood RENAME TO feeling")
    db.run("INSERT INTO person (id) VALUES (9)")
    assert db.value("SELECT m FROM person WHERE id = 9") == "ok"
    assert db.value("SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef") == "'ok'::feeling"
    constraint = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'"
    assert db.value(constraint) == "CHECK (((m <> 'sad'::feeling) OR (id < 5)))"
    assert fails(db, "INSERT INTO person VALUES (6, 'sad')")[0] == "23514"
    assert fails(db, "SELECT 'ok'::mood") == ("42704", 'type "mood" does not exist')


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("INSERT INTO person VALUES (7, 'bad')", "22P02", 'invalid input value for enum mood: "bad"'),
        ("SELECT 'Sad'::mood", "22P02", 'invalid input value for enum mood: "Sad"'),
        ("SELECT '{ok,no}'::mood[]", "22P02", 'invalid input value for enum mood: "no"'),
        ("SELECT m = 1 FROM person", "42883", "operator does not exist: mood = integer"),
        ("SELECT m = m::text FROM person", "42883", "operator does not exist: mood = text"),
        ("UPDATE person SET m = 1", "42804", 'column "m" is of type mood but expression is of type integer'),
        ("CREATE TYPE mood AS ENUM ()", "42710", 'type "mood" already exists'),
        ("CREATE TYPE person AS ENUM ()", "42710", 'type "person" already exists'),
        ("CREATE TYPE nowhere.t AS ENUM ()", "3F000", 'schema "nowhere" does not exist'),
        ("ALTER TYPE mood ADD VALUE 'ok'", "42710", 'enum label "ok" already exists'),
        ("ALTER TYPE mood ADD VALUE 'q' AFTER 'z'", "22023", '"z" is not an existing enum label'),
        ("ALTER TYPE mood RENAME VALUE 'z' TO 'q'", "22023", '"z" is not an existing enum label'),
        ("ALTER TYPE none ADD VALUE 'q'", "42704", 'type "none" does not exist'),
        ("DROP TYPE mood", "2BP01", "cannot drop type mood because other objects depend on it"),
        ("DROP TYPE nothing", "42704", 'type "nothing" does not exist'),
        ("SELECT 1::mood", "42846", "cannot cast type integer to mood"),
    ],
)
def test_errors_are_postgresqls(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    assert fails(db, sql) == (sqlstate, message)


def test_catalogs_show_what_drivers_ask_for(db: LocalDatabase) -> None:
    labels = "SELECT e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE t.typname = 'mood'"
    assert db.run(f"{labels} ORDER BY e.enumsortorder") == [("sad",), ("ok",), ("happy",)]
    row = "SELECT typtype, typcategory, typlen, typarray::regtype, typnamespace::regnamespace FROM pg_type"
    assert db.run(f"{row} WHERE typname = 'mood'") == [("e", "E", "4", "mood[]", "public")]
    array = "SELECT typelem::regtype, typtype, typcategory FROM pg_type WHERE typname = '_mood'"
    assert db.run(array) == [("mood", "b", "A")]
    column = "SELECT data_type, udt_schema, udt_name FROM information_schema.columns WHERE table_name = 'person'"
    assert db.run(f"{column} ORDER BY ordinal_position") == [
        ("integer", "pg_catalog", "int4"), ("USER-DEFINED", "public", "mood"), ("ARRAY", "public", "_mood"),
    ]  # fmt: skip
    assert db.run("SELECT pg_typeof(m), pg_typeof(ms) FROM person LIMIT 1") == [("mood", "mood[]")]
    assert db.value("SELECT 'mood'::regtype = 'public.mood'::regtype") == "t"


def test_support_functions(db: LocalDatabase) -> None:
    assert db.run("SELECT enum_first(NULL::mood), enum_last(NULL::mood)") == [("sad", "happy")]
    assert db.run("SELECT enum_range(NULL::mood), enum_range('ok', 'happy'::mood)") == [
        ("{sad,ok,happy}", "{ok,happy}")
    ]
    assert db.value("SELECT enum_range(NULL, 'ok'::mood)") == "{sad,ok}"


def test_drop_with_cascade_takes_the_columns(db: LocalDatabase) -> None:
    db.run("DROP TYPE IF EXISTS nothing")
    assert db.notices == ['type "nothing" does not exist, skipping']
    db.run("DROP TYPE mood CASCADE")
    assert db.run("SELECT * FROM person ORDER BY 1") == [("1",), ("2",), ("3",)]
    assert db.value("SELECT count(*) FROM pg_type WHERE typname IN ('mood', '_mood')") == "0"


def test_types_move_between_schemas_and_follow_the_search_path(db: LocalDatabase) -> None:
    db.run("CREATE SCHEMA side")
    db.run("ALTER TYPE mood SET SCHEMA side")
    assert fails(db, "SELECT 'ok'::mood")[0] == "42704"
    assert db.value("SELECT 'ok'::side.mood") == "ok"
    assert db.value("SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attname = 'm'") == "side.mood"
    assert db.value("SELECT pg_type_is_visible(oid) FROM pg_type WHERE typname = 'mood'") == "f"
