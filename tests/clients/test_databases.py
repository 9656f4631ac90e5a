"""CREATE, ALTER and DROP DATABASE, and that nothing of one database is seen in another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess

Connection = psycopg.Connection[Any]


@pytest.fixture
def other(server: NodeProcess) -> Iterator[str]:
    """The name of a database that is there for one test."""
    with server.connect() as connection:
        connection.execute("CREATE DATABASE other")
        yield "other"
        connection.execute("DROP DATABASE IF EXISTS other WITH (FORCE)")


def rows(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql).fetchall()


def failure(connection: Connection, sql: str) -> tuple[str, str, str | None]:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    diag = caught.value.diag
    return str(diag.sqlstate), str(diag.message_primary), diag.message_detail


OBJECTS = """
    CREATE TABLE thing(id serial PRIMARY KEY, name text UNIQUE, mood text DEFAULT 'fine');
    INSERT INTO thing(name) VALUES ('%(who)s');
    CREATE VIEW shown AS SELECT name FROM thing;
    CREATE TYPE mood AS ENUM ('%(who)s', 'sad');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN word AS text CHECK (value <> '%(who)s?');
    CREATE SEQUENCE counter START %(start)s;
    CREATE FUNCTION who() RETURNS text LANGUAGE sql AS $$ SELECT name FROM thing LIMIT 1 $$;
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.mood := '%(who)s ' || who(); RETURN NEW; END $$;
    CREATE TRIGGER note BEFORE INSERT ON thing FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE SCHEMA inside;
    CREATE TABLE inside.part(thing int REFERENCES thing, at int);
    CREATE UNIQUE INDEX part_at ON inside.part((at + 1));
    CREATE MATERIALIZED VIEW kept AS SELECT name FROM thing;
    COMMENT ON TABLE thing IS '%(who)s';
"""


def test_the_same_names_mean_other_objects_in_each_database(server: NodeProcess, other: str) -> None:
    with server.connect() as first, server.connect(dbname=other) as second:
        for connection, who, start in ((first, "one", 10), (second, "two", 20)):
            connection.execute(OBJECTS % {"who": who, "start": start})
        for connection, who, start in ((first, "one", 10), (second, "two", 20)):
            for table in ("thing", "shown", "kept", "public.thing", "ONLY thing"):
                assert rows(connection, f"SELECT name FROM {table}") == [(who,)], table
            assert rows(connection, "SELECT nextval('counter'), who()") == [(start, who)]
            assert rows(connection, "INSERT INTO thing(name) VALUES ('x') RETURNING id, mood") == [(2, f"{who} {who}")]
            assert rows(connection, f"SELECT '{who}'::mood, (ROW(1, 'b')::pair).b") == [(who, "b")]
            assert failure(connection, f"SELECT '{who}?'::word")[0] == "23514"
            assert rows(connection, "SELECT obj_description('thing'::regclass)") == [(who,)]
            assert rows(connection, "SELECT current_database(), current_catalog") == [
                ("other" if who == "two" else "heliosdb",) * 2
            ]
            state, message, detail = failure(connection, "INSERT INTO inside.part VALUES (99, 1)")
            assert (state, detail) == ("23503", 'Key (thing)=(99) is not present in table "thing".')
            assert message == 'insert or update on table "part" violates foreign key constraint "part_thing_fkey"'
            connection.execute("INSERT INTO inside.part VALUES (1, 1)")
            _, message, detail = failure(connection, "INSERT INTO inside.part VALUES (1, 1)")
            assert message == 'duplicate key value violates unique constraint "part_at"'
            assert detail == "Key ((at + 1))=(2) already exists."
            _, message, detail = failure(connection, "INSERT INTO thing(name) VALUES ('x')")
            assert (message, detail) == (
                'duplicate key value violates unique constraint "thing_name_key"', "Key (name)=(x) already exists.",
            )  # fmt: skip
        first.execute("DROP SCHEMA inside CASCADE")
        first.execute("DROP TABLE thing CASCADE")
        first.execute("DROP TYPE mood, pair; DROP DOMAIN word; DROP SEQUENCE counter; DROP FUNCTION who, noted")
        assert rows(second, "SELECT count(*) FROM thing") == [(2,)]


def test_catalogs_show_the_objects_of_their_own_database(server: NodeProcess, other: str) -> None:
    with server.connect() as first, server.connect(dbname=other) as second:
        second.execute("CREATE TABLE only_here(id serial PRIMARY KEY, x text CHECK (x <> ''))")
        second.execute("CREATE TYPE only_type AS ENUM ('a'); CREATE SCHEMA only_schema")
        second.execute("CREATE FUNCTION only_function() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        second.execute("CREATE TABLE only_parts(k int) PARTITION BY LIST (k)")
        second.execute("CREATE TABLE only_part PARTITION OF only_parts FOR VALUES IN (1)")
        second.execute("CREATE COLLATION only_collation (provider = icu, locale = 'de')")
        second.execute("CREATE EXTENSION citext")
        queries = (
            "SELECT count(*) FROM pg_class WHERE relname LIKE 'only%'",
            "SELECT count(*) FROM pg_type WHERE typname LIKE '%only%' AND typtype = 'e'",
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'only%'",
            "SELECT count(*) FROM pg_proc WHERE proname LIKE 'only%'",
            "SELECT count(*) FROM pg_constraint WHERE conname LIKE 'only%'",
            "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relname = 'only_here' "
            "AND attnum > 0",
            "SELECT count(*) FROM pg_inherits",
            "SELECT count(*) FROM pg_collation WHERE collname LIKE 'only%'",
            "SELECT count(*) FROM pg_extension WHERE extname = 'citext'",
            "SELECT count(*) FROM pg_sequences",
            "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'only%'",
            "SELECT count(*) FROM information_schema.columns WHERE table_name LIKE 'only%'",
            "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'only%'",
            "SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'only%'",
            "SELECT count(*) FROM pg_enum",
        )
        for query in queries:
            assert rows(first, query) == [(0,)], query
            assert rows(second, query) != [(0,)], query
        names = "SELECT DISTINCT table_catalog FROM information_schema.tables"
        assert (rows(first, names), rows(second, names)) == ([("heliosdb",)], [("other",)])
        shown = "SELECT catalog_name, schema_owner FROM information_schema.schemata WHERE schema_name = 'public'"
        assert rows(second, shown) == [("other", "pg_database_owner")]
        for shared in ("pg_database", "pg_roles", "pg_tablespace", "pg_auth_members", "pg_db_role_setting"):
            assert rows(first, f"TABLE {shared}") == rows(second, f"TABLE {shared}"), shared
        for missing in ('"@16385.only_here"', "only_here", "other.public.only_here"):
            assert failure(first, f"SELECT * FROM {missing}")[0] in ("42P01", "0A000")
        assert rows(first, "SELECT to_regclass('only_here'), to_regtype('only_type')") == [(None, None)]
        assert failure(first, "SELECT 'only_here'::regclass")[0] == "42P01"


def test_names_in_other_databases_are_refused(server: NodeProcess, other: str) -> None:
    with server.connect() as first:
        state, message, _ = failure(first, "SELECT * FROM other.public.t")
        assert (state, message) == ("0A000", 'cross-database references are not implemented: "other.public.t"')
        state, message, _ = failure(first, "SELECT other.public.f(1)")
        assert (state, message) == ("0A000", "cross-database references are not implemented: other.public.f")
        assert failure(first, "SELECT 1::other.public.t")[0] == "0A000"
        assert failure(first, "CREATE TABLE other.public.t(i int)")[0] == "0A000"
        assert failure(first, "INSERT INTO other.public.t VALUES (1)")[0] == "0A000"
        assert rows(first, "SELECT count(*) FROM heliosdb.pg_catalog.pg_am WHERE amname = 'heap'") == [(1,)]


def test_prepared_statements_cursors_copy_and_temporary_tables(server: NodeProcess, other: str) -> None:
    with server.connect() as first, server.connect(dbname=other) as second:
        for connection, who in ((first, "one"), (second, "two")):
            connection.execute("CREATE TABLE t(id int PRIMARY KEY, who text)")
            connection.execute("PREPARE find(int) AS SELECT who FROM t WHERE id = $1")
            connection.execute("PREPARE put(int, text) AS INSERT INTO t VALUES ($1, $2)")
            connection.execute(f"EXECUTE put(1, '{who}')")
        for connection, who in ((first, "one"), (second, "two")):
            for _ in range(3):
                assert rows(connection, "EXECUTE find(1)") == [(who,)]
                assert connection.execute("SELECT who FROM t WHERE id = %s", (1,), prepare=True).fetchall() == [(who,)]
            with connection.transaction():
                connection.execute("DECLARE c CURSOR FOR SELECT who FROM t")
                assert rows(connection, "FETCH ALL FROM c") == [(who,)]
            with connection.cursor() as cursor, cursor.copy("COPY t TO STDOUT") as copy:
                assert b"".join(bytes(part) for part in copy) == f"1\t{who}\n".encode()
            with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
                copy.write_row((2, f"{who} copied"))
            assert rows(connection, "SELECT who FROM t WHERE id = 2") == [(f"{who} copied",)]
            connection.execute("CREATE TEMP TABLE t(who text)")
            connection.execute(f"INSERT INTO t VALUES ('temporary {who}')")
            assert rows(connection, "SELECT who FROM t") == [(f"temporary {who}",)]
            connection.execute("DISCARD ALL")
            assert rows(connection, "SELECT who FROM t ORDER BY id LIMIT 1") == [(who,)]
            connection.execute("CREATE SEQUENCE s")
            connection.execute("PREPARE next(bigint) AS SELECT $1")
            assert rows(connection, "EXECUTE next(nextval('s'))") == [(1,)]
        first.execute("DROP TABLE t; DROP SEQUENCE s")
        assert rows(second, "SELECT count(*) FROM t") == [(2,)]
        assert rows(second, "EXECUTE next(nextval('s'))") == [(2,)]


def test_transactions_in_two_databases_are_one_order_and_roll_back_alone(server: NodeProcess, other: str) -> None:
    with server.connect() as first, server.connect(dbname=other) as second:
        first.execute("CREATE TABLE t(i int)")
        with second.transaction(force_rollback=True):
            second.execute("CREATE TABLE t(i int)")
            second.execute("INSERT INTO t VALUES (1), (2)")
            assert rows(second, "SELECT count(*) FROM t") == [(2,)]
            assert rows(first, "SELECT count(*) FROM t") == [(0,)]
        assert failure(second, "SELECT count(*) FROM t")[0] == "42P01"
        with second.transaction():
            second.execute("CREATE TABLE t(i int)")
            second.execute("SAVEPOINT s")
            second.execute("DROP TABLE t")
            second.execute("ROLLBACK TO s")
        assert rows(second, "SELECT count(*) FROM t") == [(0,)]
        first.execute("DROP TABLE t")


def test_channels_and_advisory_locks_belong_to_a_database(server: NodeProcess, other: str) -> None:
    with server.connect() as first, server.connect(dbname=other) as second, server.connect(dbname=other) as third:
        first.execute("LISTEN news")
        second.execute("LISTEN news")
        third.execute("NOTIFY news, 'from other'")
        third.execute("SELECT pg_notify('news', 'again')")
        assert [note.payload for note in second.notifies(timeout=5, stop_after=2)] == ["from other", "again"]
        assert list(first.notifies(timeout=0.2)) == []
        assert rows(first, "SELECT pg_try_advisory_lock(5)") == [(True,)]
        assert rows(second, "SELECT pg_try_advisory_lock(5)") == [(True,)]
        assert rows(third, "SELECT pg_try_advisory_lock(5)") == [(False,)]
        held = (
            "SELECT datname FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE locktype = 'advisory' "
            "ORDER BY 1"
        )
        assert rows(first, held) == [("heliosdb",), ("other",)]
        pids = (first.info.backend_pid, second.info.backend_pid)
        shown = "SELECT datname FROM pg_stat_activity WHERE pid IN (%s, %s) ORDER BY 1"
        assert first.execute(shown, pids).fetchall() == [("heliosdb",), ("other",)]


def test_large_objects_and_settings_belong_to_a_database(server: NodeProcess, other: str) -> None:
    with server.connect() as first, server.connect(dbname=other) as second:
        assert rows(first, "SELECT lo_from_bytea(77, 'one')") == [(77,)]
        assert rows(second, "SELECT lo_from_bytea(77, 'two')") == [(77,)]
        assert rows(first, "SELECT lo_get(77)") == [(b"one",)]
        assert rows(second, "SELECT count(*) FROM pg_largeobject_metadata") == [(1,)]
        for there, kept in ((first, b"one"), (second, b"two")):
            assert rows(there, "SELECT data FROM pg_largeobject") == [(kept,)]
        assert rows(second, "SELECT lo_unlink(77)") == [(1,)]
        assert rows(first, "SELECT lo_get(77)") == [(b"one",)]
        first.execute("SELECT lo_unlink(77)")
        first.execute("ALTER DATABASE other SET work_mem = '3MB'")
        first.execute("CREATE ROLE setter LOGIN; ALTER ROLE setter IN DATABASE other SET work_mem = '5MB'")
        with server.connect() as here, server.connect(dbname=other) as there:
            assert rows(here, "SHOW work_mem") != [("3MB",)]
            assert rows(there, "SHOW work_mem") == [("3MB",)]
        with server.connect(user="setter") as here, server.connect(user="setter", dbname=other) as there:
            assert rows(here, "SHOW work_mem") != [("5MB",)]
            assert rows(there, "SHOW work_mem") == [("5MB",)]
        first.execute("DROP ROLE setter")


def test_who_may_connect(server: NodeProcess, other: str) -> None:
    with server.connect() as first:
        first.execute("CREATE ROLE guest LOGIN")
        with pytest.raises(psycopg.OperationalError, match='database "nowhere" does not exist'):
            server.connect(dbname="nowhere")
        first.execute("REVOKE CONNECT ON DATABASE other FROM public")
        with pytest.raises(psycopg.OperationalError, match='permission denied for database "other"'):
            server.connect(user="guest", dbname=other)
        first.execute("GRANT CONNECT ON DATABASE other TO guest")
        server.connect(user="guest", dbname=other).close()
        shown = "SELECT datacl::text FROM pg_database WHERE datname = 'other'"
        assert rows(first, shown) == [("{=T/helios,helios=CTc/helios,guest=c/helios}",)]
        first.execute("ALTER DATABASE other CONNECTION LIMIT 1")
        with (
            server.connect(user="guest", dbname=other) as second,
            pytest.raises(psycopg.OperationalError, match='too many connections for database "other"'),
        ):
            assert rows(second, "SELECT datconnlimit FROM pg_database WHERE datname = 'other'") == [(1,)]
            server.connect(user="guest", dbname=other)
        first.execute("ALTER DATABASE other ALLOW_CONNECTIONS false")
        with pytest.raises(psycopg.OperationalError, match='database "other" is not currently accepting connections'):
            server.connect(dbname=other)
        first.execute("DROP OWNED BY guest; DROP ROLE guest")


def test_the_rights_of_an_owner(server: NodeProcess, other: str) -> None:
    with server.connect() as first:
        first.execute("CREATE ROLE maker LOGIN CREATEDB; CREATE ROLE plain LOGIN")
        with server.connect(user="plain") as plain:
            assert failure(plain, "CREATE DATABASE mine")[:2] == ("42501", "permission denied to create database")
            for change in ("RENAME TO mine", "OWNER TO plain", "CONNECTION LIMIT 3", "SET work_mem = '3MB'"):
                found = failure(plain, f"ALTER DATABASE other {change}")
                assert found[:2] == ("42501", "must be owner of database other"), change
            assert failure(plain, "DROP DATABASE other")[:2] == ("42501", "must be owner of database other")
        with server.connect(user="maker") as maker:
            assert failure(maker, "CREATE DATABASE mine OWNER plain")[1] == 'must be member of role "plain"'
            assert (
                failure(maker, "CREATE DATABASE mine TEMPLATE other")[1] == 'permission denied to copy database "other"'
            )
            maker.execute("CREATE DATABASE mine")
            with server.connect(user="maker", dbname="mine") as owner:
                owner.execute("CREATE TABLE t(i int); CREATE SCHEMA s")
                assert rows(owner, "SELECT pg_has_role('pg_database_owner', 'usage')") == [(True,)]
            assert failure(first, "DROP ROLE maker")[2] == "owner of database mine\n2 objects in database mine"
            with server.connect(user="plain", dbname="mine") as plain:
                assert failure(plain, "CREATE TABLE u(i int)")[0] == "42501"
                assert failure(plain, "SELECT * FROM t")[0] == "42501"
            maker.execute("DROP DATABASE mine")
        first.execute("DROP ROLE maker, plain")


def test_a_database_in_use_is_left_alone(server: NodeProcess, other: str) -> None:
    with server.connect() as first, server.connect(dbname=other) as second:
        in_use = ("55006", 'database "other" is being accessed by other users')
        one = "There is 1 other session using the database."
        copied = ("55006", 'source database "other" is being accessed by other users', one)
        waits = {
            "DROP DATABASE other": (*in_use, one),
            "ALTER DATABASE other RENAME TO another": (*in_use, one),
            "CREATE DATABASE copy TEMPLATE other": copied,
        }

        def told(statement: str) -> tuple[str, str, str | None]:
            with server.connect() as connection:
                return failure(connection, statement)

        with ThreadPoolExecutor(len(waits)) as pool:
            assert dict(zip(waits, pool.map(told, waits), strict=True)) == waits
        assert failure(second, "DROP DATABASE other")[:2] == ("55006", "cannot drop the currently open database")
        assert failure(second, "ALTER DATABASE other RENAME TO x")[:2] == (
            "0A000",
            "current database cannot be renamed",
        )
        # It waits for those who are about to go.
        threading.Timer(0.3, second.close).start()
        first.execute("ALTER DATABASE other RENAME TO another")
        with server.connect(dbname="another") as third:
            assert rows(third, "SELECT current_database()") == [("another",)]
            first.execute("DROP DATABASE another WITH (FORCE)")
            with pytest.raises(psycopg.OperationalError, match="administrator command"):
                third.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match='database "another" does not exist'):
            server.connect(dbname="another")


def test_statements_over_databases_run_alone(server: NodeProcess, other: str) -> None:
    with server.connect() as first:
        for statement in ("CREATE DATABASE x", "DROP DATABASE other"):
            tag = " ".join(statement.split()[:2])
            with first.transaction(force_rollback=True):
                found = failure(first, statement)
                assert found[:2] == ("25001", f"{tag} cannot run inside a transaction block")
            assert failure(first, f"SELECT 1; {statement}")[0] == "25001"
            found = failure(first, f"DO $$ BEGIN EXECUTE '{statement}'; END $$")
            assert found[:2] == ("25001", f"{tag} cannot be executed from a function")
        assert rows(first, "SELECT datname FROM pg_database ORDER BY 1") == [("heliosdb",), ("other",)]


@pytest.mark.parametrize(
    ("statement", "state", "message"),
    [
        ("CREATE DATABASE other", "42P04", 'database "other" already exists'),
        ("CREATE DATABASE postgres", "42P04", 'database "postgres" already exists'),
        ("CREATE DATABASE x TEMPLATE nope", "3D000", 'template database "nope" does not exist'),
        ("CREATE DATABASE x OWNER nope", "42704", 'role "nope" does not exist'),
        ("CREATE DATABASE x ENCODING 'nope'", "42704", "nope is not a valid encoding name"),
        ("CREATE DATABASE x ENCODING 'LATIN1'", "0A000", "the encoding LATIN1 of a database is not supported"),
        ("CREATE DATABASE x foo = 1", "42601", 'option "foo" not recognized'),
        ("CREATE DATABASE x CONNECTION LIMIT -2", "22023", "invalid connection limit: -2"),
        ("CREATE DATABASE x OWNER helios OWNER helios", "42601", "conflicting or redundant options"),
        ("CREATE DATABASE x TABLESPACE nope", "42704", 'tablespace "nope" does not exist'),
        ("CREATE DATABASE x STRATEGY foo", "22023", 'invalid create database strategy "foo"'),
        ("CREATE DATABASE x ALLOW_CONNECTIONS foo", "42601", "allow_connections requires a Boolean value"),
        ("CREATE DATABASE x LOCALE 'sv_SE'", "0A000", 'the locale "sv_SE" of a database is not supported'),
        ("CREATE DATABASE x TEMPLATE heliosdb", "0A000", 'copying the database "heliosdb" is not supported'),
        ("DROP DATABASE nope", "3D000", 'database "nope" does not exist'),
        ("DROP DATABASE heliosdb", "55006", "cannot drop the currently open database"),
        ("DROP DATABASE template1", "42809", "cannot drop a template database"),
        ("ALTER DATABASE nope RENAME TO x", "3D000", 'database "nope" does not exist'),
        ("ALTER DATABASE other RENAME TO heliosdb", "42P04", 'database "heliosdb" already exists'),
        ("ALTER DATABASE other OWNER TO nope", "42704", 'role "nope" does not exist'),
        ("ALTER DATABASE other CONNECTION LIMIT -3", "22023", "invalid connection limit: -3"),
        ("ALTER DATABASE heliosdb ALLOW_CONNECTIONS 0", "22023", "cannot disallow connections for current database"),
        ("ALTER DATABASE nope SET work_mem = '3MB'", "3D000", 'database "nope" does not exist'),
        ("GRANT CONNECT ON DATABASE nope TO public", "3D000", 'database "nope" does not exist'),
        ("SELECT has_database_privilege('nope', 'CONNECT')", "3D000", 'database "nope" does not exist'),
    ],
)  # fmt: skip
def test_what_is_refused(server: NodeProcess, other: str, statement: str, state: str, message: str) -> None:
    with server.connect() as first:
        assert failure(first, statement)[:2] == (state, message)
        assert rows(first, "SELECT datname FROM pg_database ORDER BY 1") == [("heliosdb",), ("other",)]


def test_a_copy_of_a_database_is_one_of_its_own(server: NodeProcess, other: str) -> None:
    with server.connect() as first:
        with server.connect(dbname=other) as second:
            second.execute(OBJECTS % {"who": "two", "start": 20})
            second.execute("INSERT INTO inside.part VALUES (1, 5); SELECT nextval('counter')")
            second.execute("CREATE TABLE sums(a int, b int GENERATED ALWAYS AS (a * 2) STORED, EXCLUDE (a WITH =))")
            second.execute("INSERT INTO sums VALUES (4); COMMENT ON COLUMN sums.a IS '\"@16385.x\"'")
        first.execute("CREATE DATABASE copy TEMPLATE other")
        with server.connect(dbname="copy") as copy, server.connect(dbname=other) as second:
            assert rows(copy, "SELECT name, mood FROM thing") == [("two", "fine")]
            assert rows(copy, "SELECT nextval('counter'), who()") == [(21, "two")]
            assert rows(copy, "SELECT nextval('counter')") == [(22,)]
            assert rows(second, "SELECT nextval('counter')") == [(21,)]
            assert failure(copy, "INSERT INTO inside.part VALUES (99, 1)")[0] == "23503"
            assert failure(copy, "INSERT INTO inside.part VALUES (1, 5)")[0] == "23505"
            assert failure(copy, "INSERT INTO sums VALUES (4)")[0] == "23P01"
            assert rows(copy, "SELECT a, b FROM sums") == [(4, 8)]
            assert rows(copy, "INSERT INTO thing(name) VALUES ('new') RETURNING id, mood") == [(2, "two two")]
            copy.execute("ALTER TYPE mood ADD VALUE 'better' BEFORE 'two'")
            assert rows(copy, "SELECT enum_range(NULL::mood)::text") == [("{better,two,sad}",)]
            assert rows(second, "SELECT enum_range(NULL::mood)::text") == [("{two,sad}",)]
            second.execute("DROP VIEW shown; ALTER TABLE thing RENAME TO renamed")
            assert rows(copy, "SELECT name FROM shown ORDER BY 1") == [("new",), ("two",)]
        first.execute("DROP DATABASE copy")
        with server.connect(dbname=other) as second:
            assert rows(second, "SELECT count(*) FROM renamed") == [(1,)]


def test_databases_are_found_again_after_a_crash(make_node: MakeNode) -> None:
    node = make_node()
    with node.connect() as first:
        first.execute("CREATE DATABASE other; ")
        with node.connect(dbname="other") as second:
            second.execute("CREATE TABLE t(i int); INSERT INTO t VALUES (1)")
    node.kill()
    node.start()
    with node.connect(dbname="other") as second:
        assert rows(second, "SELECT i FROM t") == [(1,)]
        second.execute("INSERT INTO t VALUES (2)")
    with node.connect() as first:
        assert failure(first, "SELECT i FROM t")[0] == "42P01"
        first.execute("DROP DATABASE other")
        assert rows(first, "SELECT count(*) FROM pg_database") == [(1,)]


def test_a_role_is_kept_as_long_as_a_database_needs_it(server: NodeProcess, other: str) -> None:
    with server.connect() as first, server.connect(dbname=other) as second:
        first.execute("CREATE ROLE worker LOGIN; CREATE ROLE heir")
        second.execute("CREATE TABLE t(i int); CREATE TABLE u(i int); ALTER TABLE t OWNER TO worker")
        second.execute("GRANT SELECT ON u TO worker")
        first.execute("ALTER DATABASE other OWNER TO worker; GRANT CONNECT ON DATABASE heliosdb TO worker")
        state, message, detail = failure(first, "DROP ROLE worker")
        assert (state, message) == ("2BP01", 'role "worker" cannot be dropped because some objects depend on it')
        shared = "privileges for database heliosdb\nowner of database other\n"
        assert detail == f"{shared}2 objects in database other"
        assert failure(second, "DROP ROLE worker")[2] == f"{shared}owner of table t\nprivileges for table u"
        assert failure(second, "SELECT pg_database_size('nope')")[:2] == ("3D000", 'database "nope" does not exist')
        assert rows(second, "SELECT pg_database_size('other') > 0") == [(True,)]
        second.execute("REASSIGN OWNED BY worker TO heir; DROP OWNED BY worker")
        first.execute("DROP ROLE worker")
        owners = "SELECT datname, pg_get_userbyid(datdba) FROM pg_database ORDER BY 1"
        assert rows(first, owners) == [("heliosdb", "helios"), ("other", "heir")]
        assert rows(second, "SELECT tableowner FROM pg_tables WHERE tablename = 't'") == [("heir",)]
        second.execute("DROP TABLE t; ALTER DATABASE other OWNER TO helios; DROP ROLE heir")


def test_keys_are_looked_at_in_their_own_database(server: NodeProcess, other: str) -> None:
    with server.connect() as first, server.connect(dbname=other) as second:
        broken = "CREATE TABLE p(i int PRIMARY KEY); CREATE TABLE c(i int); INSERT INTO c VALUES (7);"
        second.execute(f"{broken} ALTER TABLE c ADD CONSTRAINT late FOREIGN KEY (i) REFERENCES p NOT VALID")
        first.execute("CREATE TABLE parent(i int PRIMARY KEY); CREATE TABLE child(i int REFERENCES parent, x int)")
        first.execute("INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)")
        first.execute("ALTER TABLE child ALTER COLUMN x TYPE text, ADD CHECK (x <> '')")
        second.execute("ALTER TABLE c ADD CHECK (i > 0)")
        first.execute("ALTER TABLE parent ALTER COLUMN i TYPE bigint, ADD CHECK (i > 0)")
        first.execute("ALTER TABLE child DROP CONSTRAINT child_i_fkey; INSERT INTO child VALUES (2, 'x')")
        for connection, table in ((first, "child"), (second, "c")):
            to = "parent" if table == "child" else "p"
            assert failure(connection, f"ALTER TABLE {table} ADD FOREIGN KEY (i) REFERENCES {to}")[0] == "23503"
        first.execute("DROP TABLE child, parent")
