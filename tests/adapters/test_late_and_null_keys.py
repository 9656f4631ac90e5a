"""Unique keys that are checked behind the statement or at COMMIT, NULLS NOT DISTINCT, MATCH FULL over several columns.

The expected answers are PostgreSQL 15's.
"""

from __future__ import annotations

import apsw
import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sql.plan import Debugged


@pytest.fixture
def database() -> LocalDatabase:
    made = LocalDatabase()
    made.connection.execute("PRAGMA foreign_keys=ON")
    made.run(
        "CREATE TABLE late (id int PRIMARY KEY, a int, CONSTRAINT late_a UNIQUE (a) DEFERRABLE INITIALLY DEFERRED); "
        "CREATE TABLE behind (id int PRIMARY KEY, a int UNIQUE DEFERRABLE); "
        "INSERT INTO late VALUES (1, 1), (2, 2), (3, NULL), (4, NULL); INSERT INTO behind VALUES (1, 1), (2, 2), (3, 3)"
    )
    return made


def error(database: LocalDatabase, sql: str) -> tuple[str, str]:
    with pytest.raises(HeliosError) as caught:
        database.run(sql)
    return caught.value.sqlstate, str(caught.value)


def commit(database: LocalDatabase, *statements: str) -> bool:
    """Whether a transaction of these statements can be committed."""
    database.connection.execute("BEGIN")
    try:
        for statement in statements:
            database.run(statement)
        database.connection.execute("COMMIT")
    except apsw.ConstraintError:
        database.connection.execute("ROLLBACK")
        return False
    return True


def test_a_deferred_key_is_looked_at_by_the_commit(database: LocalDatabase) -> None:
    assert not commit(database, "INSERT INTO late VALUES (5, 1)")
    assert commit(database, "INSERT INTO late VALUES (5, 1)", "DELETE FROM late WHERE id = 1")
    assert commit(database, "UPDATE late SET a = 2 WHERE id = 5", "UPDATE late SET a = 1 WHERE id = 2")
    assert database.run("SELECT id, a FROM late WHERE a IS NOT NULL ORDER BY id") == [("2", "1"), ("5", "2")]
    assert not commit(database, "UPDATE late SET a = 2 WHERE id = 2")
    assert not commit(database, "INSERT INTO late VALUES (6, 7), (7, 7), (8, 7)", "DELETE FROM late WHERE id = 7")
    assert commit(database, "INSERT INTO late VALUES (6, 7), (7, 7), (8, 7)", "DELETE FROM late WHERE id IN (6, 7)")
    assert commit(database, "INSERT INTO late VALUES (9, 1)", "UPDATE late SET a = NULL WHERE a = 1")


def test_a_deferrable_key_is_looked_at_behind_the_statement(database: LocalDatabase) -> None:
    database.run("UPDATE behind SET a = a + 1")
    assert database.run("SELECT id, a FROM behind ORDER BY id") == [("1", "2"), ("2", "3"), ("3", "4")]
    assert error(database, "UPDATE behind SET a = a - 1 WHERE id > 1")[0] in ("23503", "23505")
    assert error(database, "INSERT INTO behind VALUES (9, 2)")[0] in ("23503", "23505")
    assert database.run("SELECT count(*) FROM behind") == [("3",)]


def test_a_late_key_is_no_key_for_others(database: LocalDatabase) -> None:
    assert error(database, "INSERT INTO late VALUES (7, 1) ON CONFLICT (a) DO NOTHING") == (
        "55000", "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters",
    )  # fmt: skip
    assert error(database, "CREATE TABLE f (a int REFERENCES late (a))") == (
        "55000", 'cannot use a deferrable unique constraint for referenced table "late"',
    )  # fmt: skip
    assert database.run("SELECT indisunique, indimmediate FROM pg_index WHERE indexrelid = 'late_a'::regclass") == [
        ("t", "f")
    ]


def test_a_late_key_goes_and_comes_with_its_constraint(database: LocalDatabase) -> None:
    database.run("ALTER TABLE late DROP CONSTRAINT late_a; INSERT INTO late VALUES (8, 1)")
    assert error(database, "ALTER TABLE late ADD UNIQUE (a) DEFERRABLE")[0] == "23505"
    database.run("DELETE FROM late WHERE id = 8; ALTER TABLE late ADD CONSTRAINT k UNIQUE (a) INITIALLY DEFERRED")
    database.run("ALTER TABLE late ALTER a TYPE bigint; ALTER TABLE late RENAME a TO b; ALTER TABLE late RENAME TO l")
    assert not commit(database, "INSERT INTO l VALUES (8, 1)")
    assert commit(database, "INSERT INTO l VALUES (8, 1)", "UPDATE l SET b = 5 WHERE id = 8")
    database.run("ALTER TABLE l DROP COLUMN b; DROP TABLE l")


def test_nulls_that_are_not_distinct(database: LocalDatabase) -> None:
    database.run(
        "CREATE TABLE n (a int, b text, UNIQUE NULLS NOT DISTINCT (a, b)); "
        "INSERT INTO n VALUES (1, 'x'), (1, NULL), (NULL, 'x'), (NULL, NULL), (2, NULL)"
    )
    for row in ("(1, NULL)", "(NULL, 'x')", "(NULL, NULL)", "(1, 'x')"):
        assert error(database, f"INSERT INTO n VALUES {row}") == (
            "23505", 'duplicate key value violates unique constraint "n_a_b_key"',
        )  # fmt: skip
    assert error(database, "UPDATE n SET a = 1 WHERE a = 2")[0] == "23505"
    database.run("CREATE UNIQUE INDEX i ON n (b) NULLS NOT DISTINCT WHERE a > 10; INSERT INTO n VALUES (11, NULL)")
    assert error(database, "INSERT INTO n VALUES (12, NULL)")[0] == "23505"
    assert database.run("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'n'::regclass") == [
        ("UNIQUE NULLS NOT DISTINCT (a, b)",)
    ]
    assert database.run("SELECT indexdef FROM pg_indexes WHERE indexname = 'i'") == [
        ("CREATE UNIQUE INDEX i ON public.n USING btree (b) NULLS NOT DISTINCT WHERE (a > 10)",)
    ]
    database.run("DROP INDEX i; ALTER TABLE n DROP CONSTRAINT n_a_b_key; INSERT INTO n VALUES (1, NULL)")
    assert error(database, "ALTER TABLE n ADD UNIQUE NULLS NOT DISTINCT (a, b)")[0] == "23505"


def test_a_key_that_matches_in_full(database: LocalDatabase) -> None:
    database.run(
        "CREATE TABLE p (a int, b int, PRIMARY KEY (a, b)); INSERT INTO p VALUES (1, 2); "
        "CREATE TABLE c (x int, y int, FOREIGN KEY (x, y) REFERENCES p MATCH FULL); "
        "INSERT INTO c VALUES (1, 2), (NULL, NULL)"
    )
    with pytest.raises(HeliosError) as caught:
        database.run("INSERT INTO c VALUES (1, NULL)")
    assert (caught.value.sqlstate, caught.value.constraint) == ("23503", "c_x_y_fkey")
    assert caught.value.detail == "MATCH FULL does not allow mixing of null and nonnull key values."
    assert error(database, "UPDATE c SET x = NULL WHERE x = 1")[0] == "23503"
    assert error(database, "INSERT INTO c VALUES (3, 4)")[0] == "23503"


def test_a_view_without_columns_and_the_default_of_an_identity(database: LocalDatabase) -> None:
    database.run(
        "CREATE VIEW none AS SELECT; CREATE TABLE s (id serial, t text); INSERT INTO s (t) VALUES ('x'), ('y')"
    )
    assert database.run("SELECT count(*) FROM none") == [("1",)]
    database.run("ALTER TABLE s ALTER id DROP DEFAULT, ALTER id ADD GENERATED ALWAYS AS IDENTITY")
    database.run("INSERT INTO s (t) VALUES ('z')")
    assert database.run("SELECT id FROM s ORDER BY t") == [("1",), ("2",), ("1",)]


def test_what_runs_once_may_ask_for_the_session(database: LocalDatabase) -> None:
    database.run("CREATE TABLE z (id serial PRIMARY KEY, t text); INSERT INTO z (t) VALUES ('2020-01-02 03:04:05')")
    database.run("ALTER TABLE z ADD at timestamptz DEFAULT now(), ADD on_ timestamptz DEFAULT '2020-01-01 00:00+01'")
    database.run("ALTER TABLE z ALTER t TYPE timestamptz USING t::timestamptz, ALTER id TYPE bigint")
    assert database.run("SELECT id, t, at IS NULL, on_ FROM z") == [
        ("1", "2020-01-02 03:04:05+00", "f", "2019-12-31 23:00:00+00")
    ]


def test_constants_beside_documents_keep_their_operators_type(database: LocalDatabase) -> None:
    database.run(
        "CREATE TABLE j (j jsonb CHECK ((j -> 'n') = '\"v\"'::jsonb), g text GENERATED ALWAYS AS (j ->> 'n') STORED); "
        "CREATE INDEX ji ON j ((j -> 'n' -> 'm')); INSERT INTO j VALUES ('{\"n\": \"v\"}')"
    )
    assert database.run("SELECT g FROM j") == [("v",)]
    assert error(database, 'INSERT INTO j VALUES (\'{"n": "w"}\')')[0] == "23514"


def test_groups_of_distinct_on_come_in_their_order(database: LocalDatabase) -> None:
    assert database.run("SELECT DISTINCT ON (x) x FROM (VALUES (2), (NULL), (1), (2)) v(x)") == [
        ("1",), ("2",), (None,)
    ]  # fmt: skip


def test_what_a_definition_makes_besides_is_told_to_who_asks(database: LocalDatabase) -> None:
    database.run("CREATE TABLE made (id serial PRIMARY KEY)")
    told = list(database.notices)
    database.run("ALTER TABLE made ADD a int UNIQUE")
    assert [*told, *database.notices] == [
        'CREATE TABLE will create implicit sequence "made_id_seq" for serial column "made.id"',
        'CREATE TABLE / PRIMARY KEY will create implicit index "made_pkey" for table "made"',
        'building index "made_pkey" on table "made" serially',
        'ALTER TABLE / ADD UNIQUE will create implicit index "made_a_key" for table "made"',
        'building index "made_a_key" on table "made" serially',
    ]
    assert all(isinstance(notice, Debugged) for notice in (*told, *database.notices))


def test_defaults_follow_their_sequences(database: LocalDatabase) -> None:
    database.run("CREATE SCHEMA s; CREATE TABLE n (id serial PRIMARY KEY, v int); INSERT INTO n (v) VALUES (1)")
    database.run('ALTER SEQUENCE n_id_seq RENAME TO "Other"; INSERT INTO n (v) VALUES (2)')
    default = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = '{}'::regclass"
    assert database.value(default.format("n")) == "nextval('\"Other\"'::regclass)"
    assert error(database, 'ALTER SEQUENCE "Other" SET SCHEMA s')[0] == "0A000"
    database.run("ALTER TABLE n SET SCHEMA s; INSERT INTO s.n (v) VALUES (3); ALTER SCHEMA s RENAME TO r")
    database.run("INSERT INTO r.n (v) VALUES (4)")
    assert database.run("SELECT id, v FROM r.n ORDER BY v") == [(str(one), str(one)) for one in (1, 2, 3, 4)]
    assert database.value(default.format("r.n")) == "nextval('r.\"Other\"'::regclass)"


def test_what_is_shown_of_storage_and_of_keys_with_more_columns(database: LocalDatabase) -> None:
    database.run(
        "CREATE TABLE w (id int, n text, UNIQUE (id) INCLUDE (n)) WITH (fillfactor = 70, autovacuum_enabled = false)"
    )
    assert database.value("SELECT conname FROM pg_constraint WHERE conrelid = 'w'::regclass") == "w_id_n_key"
    options = "SELECT reloptions FROM pg_class WHERE relname = '{}'"
    assert database.value(options.format("w")) == "{fillfactor=70,autovacuum_enabled=false}"
    database.run("ALTER TABLE w SET (fillfactor = 60); ALTER TABLE w RESET (autovacuum_enabled)")
    database.run(
        "CREATE INDEX wi ON w (n); ALTER INDEX wi SET (fillfactor = 50); CREATE MATERIALIZED VIEW m AS TABLE w"
    )
    assert [database.value(options.format(name)) for name in ("w", "wi")] == ["{fillfactor=60}", "{fillfactor=50}"]
    assert database.run("SELECT typtype FROM pg_type WHERE typname = 'm'") == [("c",)]


def test_a_conflict_with_what_is_no_constraint(database: LocalDatabase) -> None:
    database.run("CREATE TABLE o (id int, n text); CREATE UNIQUE INDEX oi ON o (n) WHERE n <> ''")
    database.run("CREATE UNIQUE INDEX ol ON o (lower(n))")
    assert error(database, "INSERT INTO o VALUES (1, 'a') ON CONFLICT ON CONSTRAINT oi DO NOTHING")[0] == "42704"
    assert error(database, "INSERT INTO o VALUES (1, 'a') ON CONFLICT (upper(n)) DO NOTHING")[0] == "42P10"
    assert error(database, 'CREATE DOMAIN d AS text COLLATE "sv-x-icu"')[0] == "0A000"


def test_expressions_of_indexes_are_written_as_postgresql_does(database: LocalDatabase) -> None:
    database.run(
        "CREATE TABLE e (n int, id int, aa int[], jb jsonb, t text, CHECK (greatest(n, id) < 100)); "
        "CREATE INDEX e1 ON e ((aa[1]), (jb['a'])); CREATE INDEX e2 ON e (left(t, 2), (t COLLATE \"C\")); "
        "CREATE INDEX e3 ON e (greatest(n, id), least(n, id, 3)); INSERT INTO e (n) VALUES (7)"
    )
    assert database.run("SELECT indexdef FROM pg_indexes WHERE tablename = 'e' ORDER BY 1") == [
        ("CREATE INDEX e1 ON public.e USING btree ((aa[1]), (jb['a'::text]))",),
        ('CREATE INDEX e2 ON public.e USING btree ("left"(t, 2), t COLLATE "C")',),
        ("CREATE INDEX e3 ON public.e USING btree (GREATEST(n, id), LEAST(n, id, 3))",),
    ]
    assert error(database, "INSERT INTO e (id) VALUES (200)")[0] == "23514"
    assert database.run("SELECT n FROM e WHERE greatest(n, id) = 7 AND least(n, id, 3) = 3") == [("7",)]


def test_names_of_objects_are_ordered_by_oid(database: LocalDatabase) -> None:
    database.run("CREATE TABLE zz (a int); CREATE TABLE aa (a int)")
    names = "SELECT oid::regclass{} FROM pg_class WHERE relname IN ('zz', 'aa') ORDER BY {}"
    for alias, order in (("", "1"), ("", "oid"), (" AS x", "x")):
        assert database.run(names.format(alias, order)) == [("zz",), ("aa",)]


def test_the_pretty_form_keeps_the_types_of_constants(database: LocalDatabase) -> None:
    database.run("CREATE DOMAIN d AS char(1) CHECK (VALUE IN ('F', 'M')); "
                 "CREATE DOMAIN e AS char(3) CHECK (VALUE = 'F' OR VALUE <> 'x')")  # fmt: skip
    database.run("CREATE TABLE padded (a char(3) CHECK (a = 'F' OR a <> 'x'), b text CHECK (b::bpchar <> '11'))")
    assert database.run(
        "SELECT conname, pg_get_constraintdef(oid, true) FROM pg_constraint "
        "WHERE contypid <> 0 OR conrelid = 'padded'::regclass ORDER BY 1"
    ) == [
        ("d_check", "CHECK (VALUE = ANY (ARRAY['F'::bpchar, 'M'::bpchar]))"),
        ("e_check", "CHECK (VALUE = 'F'::bpchar OR VALUE <> 'x'::bpchar)"),
        ("padded_a_check", "CHECK (a = 'F'::bpchar OR a <> 'x'::bpchar)"),
        ("padded_b_check", "CHECK (b::bpchar <> '11'::bpchar)"),
    ]


def test_checks_of_domains_are_written_prettily_when_asked(database: LocalDatabase) -> None:
    database.run("CREATE DOMAIN d AS int CHECK (VALUE > 1 AND VALUE < 9)")
    assert database.run("SELECT pg_get_constraintdef(oid, true), pg_get_constraintdef(oid) FROM pg_constraint "
                        "WHERE contypid <> 0") == [
        ("CHECK (VALUE > 1 AND VALUE < 9)", "CHECK (((VALUE > 1) AND (VALUE < 9)))")
    ]  # fmt: skip
