"""Domains: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture
def db() -> Iterator[LocalDatabase]:
    database = LocalDatabase()
    database.run("CREATE DOMAIN posint AS int CHECK (VALUE > 0)")
    database.run(r"CREATE DOMAIN zip AS varchar(5) NOT NULL CHECK (VALUE ~ '^\d+$')")
    database.run("CREATE DOMAIN email AS text DEFAULT 'x@y' CONSTRAINT has_at CHECK (VALUE LIKE '%@%')")
    database.run("CREATE DOMAIN small AS posint CHECK (VALUE < 100)")
    database.run("CREATE TABLE d (id posint PRIMARY KEY, z zip, e email, s small)")
    database.run("INSERT INTO d VALUES (1, '123', 'a@b', 5)")
    yield database


def test_values_are_of_the_base_type(db: LocalDatabase) -> None:
    db.run("INSERT INTO d (id, z) VALUES (2, '9')")
    assert db.run("SELECT * FROM d ORDER BY id") == [("1", "123", "a@b", "5"), ("2", "9", "x@y", None)]
    assert db.value("SELECT id + 1 FROM d WHERE id = 1") == "2"
    assert db.value("UPDATE d SET s = s + 2 WHERE id = 1 RETURNING s") == "7"
    db.run("INSERT INTO d SELECT 10, '77', 'q@r', 3")
    assert db.value("SELECT 5::posint") == "5"


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("INSERT INTO d VALUES (0, '1', 'a@b', 1)", "23514",
         'value for domain posint violates check constraint "posint_check"'),
        ("INSERT INTO d VALUES (3, NULL, 'a@b', 1)", "23502", "domain zip does not allow null values"),
        ("INSERT INTO d (id) VALUES (4)", "23502", "domain zip does not allow null values"),
        ("INSERT INTO d VALUES (3, '1', 'ab', 1)", "23514",
         'value for domain email violates check constraint "has_at"'),
        ("INSERT INTO d VALUES (3, '1', 'a@b', -1)", "23514",
         'value for domain small violates check constraint "posint_check"'),
        ("INSERT INTO d SELECT -10, '77', 'q@r', 3", "23514",
         'value for domain posint violates check constraint "posint_check"'),
        ("INSERT INTO d VALUES (3, '123456', 'a@b', 1)", "22001", "value too long for type character varying(5)"),
        ("UPDATE d SET s = s + 200", "23514", 'value for domain small violates check constraint "small_check"'),
        ("SELECT (-5)::posint", "23514", 'value for domain posint violates check constraint "posint_check"'),
        ("SELECT NULL::zip", "23502", "domain zip does not allow null values"),
        ("ALTER DOMAIN posint ADD CONSTRAINT lt CHECK (VALUE < 1)", "23514",
         'column "id" of table "d" contains values that violate the new constraint'),
        ("ALTER DOMAIN posint DROP CONSTRAINT lt", "42704", 'constraint "lt" of domain "posint" does not exist'),
        ("CREATE DOMAIN posint AS text", "42710", 'type "posint" already exists'),
        ("CREATE DOMAIN bad AS nosuch", "42704", 'type "nosuch" does not exist'),
        ("CREATE DOMAIN bad AS int CHECK (nosuch > 1)", "42703", 'column "nosuch" does not exist'),
        ("CREATE DOMAIN bad AS int UNIQUE", "42601", "unique constraints not possible for domains"),
        ("DROP DOMAIN posint", "2BP01", "cannot drop type posint because other objects depend on it"),
    ],
)  # fmt: skip
def test_errors_are_postgresqls(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError) as caught:
        db.run(sql)
    assert (caught.value.sqlstate, str(caught.value)) == (sqlstate, message)


def test_an_error_names_domain_and_constraint(db: LocalDatabase) -> None:
    with pytest.raises(HeliosError) as caught:
        db.run("INSERT INTO d VALUES (0, '1')")
    error = caught.value
    assert (error.schema, error.datatype, error.constraint) == ("public", "posint", "posint_check")


def test_a_domain_changes_and_its_columns_follow(db: LocalDatabase) -> None:
    db.run("ALTER DOMAIN posint ADD CONSTRAINT lt CHECK (VALUE < 1000)")
    with pytest.raises(HeliosError, match='check constraint "lt"'):
        db.run("INSERT INTO d VALUES (2000, '1')")
    db.run("ALTER DOMAIN posint DROP CONSTRAINT lt")
    db.run("ALTER DOMAIN email SET DEFAULT 'new@d'")
    assert db.value("INSERT INTO d (id, z) VALUES (2000, '6') RETURNING e") == "new@d"
    db.run("ALTER DOMAIN email DROP DEFAULT")
    assert db.value("INSERT INTO d (id, z) VALUES (7, '6') RETURNING e") is None
    with pytest.raises(HeliosError, match='column "e" of table "d" contains null values'):
        db.run("ALTER DOMAIN email SET NOT NULL")
    db.run("ALTER DOMAIN email RENAME CONSTRAINT has_at TO at_sign")
    with pytest.raises(HeliosError, match='check constraint "at_sign"'):
        db.run("SELECT 'ab'::email")


def test_catalogs_describe_domains(db: LocalDatabase) -> None:
    checks = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contypid <> 0 ORDER BY 1 LIMIT 2"
    assert db.run(checks) == [("has_at", "CHECK ((VALUE ~~ '%@%'::text))"), ("posint_check", "CHECK ((VALUE > 0))")]
    listed = "SELECT domain_name, data_type, character_maximum_length FROM information_schema.domains ORDER BY 1"
    assert ("zip", "character varying", "5") in db.run(listed)
    columns = "SELECT data_type, domain_name, udt_name FROM information_schema.columns WHERE table_name = 'd'"
    assert db.run(f"{columns} ORDER BY ordinal_position")[:2] == [
        ("integer", "posint", "int4"), ("character varying", "zip", "varchar"),
    ]  # fmt: skip
    types = "SELECT typtype, typnotnull, format_type(typbasetype, typtypmod) FROM pg_type WHERE typname = 'zip'"
    assert db.run(types) == [("d", "t", "character varying(5)")]
    assert db.value("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 's'") == "small"
