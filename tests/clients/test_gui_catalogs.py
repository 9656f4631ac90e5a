"""What graphical tools read to draw the tree of objects (pgAdmin); expected is what PostgreSQL 15 answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from support.node_process import NodeProcess

SCHEMA = """
DROP SCHEMA IF EXISTS gui CASCADE; CREATE SCHEMA gui;
CREATE TYPE gui.mood AS ENUM ('sad', 'happy');
CREATE TABLE gui.person (id int PRIMARY KEY, name varchar(9), mood gui.mood);
CREATE VIEW gui.happy AS SELECT id, name FROM gui.person WHERE mood = 'happy';
CREATE MATERIALIZED VIEW gui.total AS SELECT count(*) AS n FROM gui.person;
CREATE FUNCTION gui.add(a int, b varchar) RETURNS int LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION gui.log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER logged AFTER INSERT ON gui.person EXECUTE FUNCTION gui.log();
"""


@pytest.fixture
def connection(server: NodeProcess) -> Iterator[psycopg.Connection[Any]]:
    with server.connect(autocommit=True) as connection:
        connection.execute(SCHEMA)
        yield connection
        connection.execute("DROP SCHEMA gui CASCADE")


def ask(connection: psycopg.Connection[Any], query: str) -> list[Any]:
    return connection.execute(sql.SQL(query)).fetchall()


def test_functions_behind_the_views_of_the_system(connection: psycopg.Connection[Any]) -> None:
    setting = "SELECT set_config('bytea_output', 'hex', false) FROM pg_show_all_settings() WHERE name = 'bytea_output'"
    assert ask(connection, setting) == [("hex",)]
    known = "SELECT * FROM pg_catalog.pg_available_extensions() e (name) WHERE e.name = 'citext'"
    cursor = connection.execute(sql.SQL(known))
    assert [column.name for column in cursor.description or ()] == ["name", "default_version", "comment"]
    assert [row[:2] for row in cursor.fetchall()] == [("citext", "1.6")]
    for function, view in (("pg_timezone_names", "pg_timezone_names"), ("pg_lock_status", "pg_locks")):
        counts = f"SELECT (SELECT count(*) FROM {function}()) = (SELECT count(*) FROM {view})"
        assert ask(connection, counts) == [(True,)]


def test_the_database_is_not_one_of_the_systems_own(connection: psycopg.Connection[Any]) -> None:
    assert ask(connection, "SELECT datname FROM pg_database WHERE oid > 16383") == [("heliosdb",)]
    own = "SELECT d.datname FROM pg_stat_activity a JOIN pg_database d ON a.datid = d.oid WHERE pid = pg_backend_pid()"
    assert ask(connection, own) == [("heliosdb",)]
    connection.execute("COMMENT ON DATABASE heliosdb IS 'ours'")
    assert ask(connection, "SELECT shobj_description(oid, 'pg_database') FROM pg_database") == [("ours",)]
    connection.execute("COMMENT ON DATABASE heliosdb IS NULL")


def test_rights_are_listed_beside_roles(connection: psycopg.Connection[Any]) -> None:
    connection.execute("GRANT SELECT ON gui.person TO public")
    query = """
        SELECT coalesce(gt.rolname, 'PUBLIC'), array_agg(privilege_type)
        FROM (SELECT (d).grantee AS grantee, (d).privilege_type AS privilege_type
              FROM (SELECT aclexplode(relacl) AS d FROM pg_class WHERE oid = 'gui.person'::regclass) a) b
        LEFT JOIN pg_catalog.pg_roles gt ON b.grantee = gt.oid WHERE gt.rolname IS NULL GROUP BY 1"""
    assert ask(connection, query) == [("PUBLIC", ["SELECT"])]


def test_rows_of_catalogs_have_an_xmin(connection: psycopg.Connection[Any]) -> None:
    query = "SELECT tgname, t.xmin IS NOT NULL, pg_typeof(t.xmin)::text FROM pg_trigger t WHERE tgname = 'logged'"
    assert ask(connection, query) == [("logged", True, "xid")]
    with pytest.raises(psycopg.errors.UndefinedColumn):
        connection.execute("SELECT xmin FROM pg_roles")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        connection.execute("SELECT xmin FROM gui.person")


def test_argument_types_are_compared_and_shown(connection: psycopg.Connection[Any]) -> None:
    of = "FROM pg_proc WHERE pronamespace = 'gui'::regnamespace AND proargtypes"
    assert ask(connection, f"SELECT proname, oidvectortypes(proargtypes) {of} = '23 1043'") == [
        ("add", "integer, character varying")
    ]
    assert ask(connection, f"SELECT array_to_string(proargtypes, ',') {of} <> ''") == [("23,1043",)]
    duplicates = "SELECT oid FROM pg_proc GROUP BY oid HAVING count(*) > 1"
    assert ask(connection, duplicates) == []


def test_rules_and_texts_of_views(connection: psycopg.Connection[Any]) -> None:
    rules = "SELECT ev_class::regclass::text FROM pg_rewrite WHERE ev_class > 16383 ORDER BY 1"
    assert ask(connection, rules) == [("gui.happy",), ("gui.total",)]
    rule = "SELECT pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class = 'gui.happy'::regclass"
    assert ask(connection, rule) == [
        (
            'CREATE RULE "_RETURN" AS\n    ON SELECT TO gui.happy DO INSTEAD  SELECT person.id,\n    person.name\n'
            "   FROM gui.person\n  WHERE (person.mood = 'happy'::gui.mood);",
        )
    ]


def test_locale_of_the_database(connection: psycopg.Connection[Any]) -> None:
    assert ask(connection, "SHOW lc_collate") == [("C",)]
    assert ask(connection, "SELECT current_setting('lc_ctype') = datctype FROM pg_database") == [(True,)]
    with pytest.raises(psycopg.errors.CantChangeRuntimeParam):
        connection.execute("SET lc_collate = 'C'")


def test_quoted_names_of_types(connection: psycopg.Connection[Any]) -> None:
    """TypeORM asks so for the type of each column whenever it compares a table with its entity."""
    named = """SELECT ('"' || udt_schema || '"."' || udt_name || '"')::regtype::text FROM information_schema.columns
               WHERE table_schema = 'gui' AND table_name = 'person' ORDER BY ordinal_position"""
    assert ask(connection, named) == [("integer",), ("character varying",), ("gui.mood",)]
    texts = ('"int4"[]', 'pg_catalog."_int4"', '"char"', '"pg_catalog"."timestamptz"')
    shown = [row[0] for text in texts for row in ask(connection, f"SELECT '{text}'::regtype::text")]
    assert shown == ["integer[]", "integer[]", '"char"', "timestamp with time zone"]
    for wrong in ('"integer"', '"pg_catalog"."Int4"', '"gui"."int4"'):
        with pytest.raises(psycopg.errors.UndefinedObject):
            ask(connection, f"SELECT '{wrong}'::regtype")


def test_types_of_extensions_are_in_their_schema(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS citext; CREATE TABLE gui.mail (a citext, b citext[])")
    columns = "SELECT data_type, udt_schema, udt_name FROM information_schema.columns WHERE table_name = 'mail'"
    assert ask(connection, f"{columns} ORDER BY ordinal_position") == [
        ("USER-DEFINED", "public", "citext"), ("ARRAY", "public", "_citext"),
    ]  # fmt: skip
    types = """SELECT '"public"."citext"'::regtype::text, 'public.citext[]'::regtype::text"""
    assert ask(connection, types) == [("citext", "citext[]")]
