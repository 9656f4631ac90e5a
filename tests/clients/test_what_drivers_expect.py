"""What the tests of public drivers ask of a server; expected is what PostgreSQL 15 answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import pq, sql
from support.node_process import NodeProcess
from support.raw_wire import SYNC, RawClient, bind, execute, message, parse


@pytest.fixture
def connection(server: NodeProcess) -> Iterator[psycopg.Connection[Any]]:
    with server.connect() as connection:
        yield connection


def state(connection: psycopg.Connection[Any], statement: str) -> str | None:
    """The SQLSTATE of a statement that fails, undone with a savepoint."""
    connection.execute("SAVEPOINT before")
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(sql.SQL(statement))
    connection.execute("ROLLBACK TO before")
    return failed.value.sqlstate


def test_a_read_only_transaction_changes_temporary_tables(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS permanent (a int)")
    connection.execute("CREATE TEMP TABLE passing (id serial, a int)")
    connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE")
    connection.execute("INSERT INTO passing (a) VALUES (1), (2)")
    connection.execute("UPDATE passing SET a = a + 1 WHERE a = 1")
    connection.execute("WITH gone AS (DELETE FROM passing WHERE id = 2 RETURNING a) SELECT * FROM gone")
    with connection.cursor().copy("COPY passing (a) FROM STDIN") as copy:
        copy.write_row((7,))
    for statement in (
        "INSERT INTO permanent VALUES (1)", "TRUNCATE passing", "CREATE TEMP TABLE other (a int)",
        "COPY permanent FROM STDIN", "WITH x AS (INSERT INTO permanent VALUES (1) RETURNING a) SELECT * FROM x",
    ):  # fmt: skip
        assert state(connection, statement) == "25006", statement
    connection.execute("COMMIT")
    assert connection.execute("SELECT * FROM passing ORDER BY id").fetchall() == [(1, 2), (3, 7)]
    connection.execute("SET default_transaction_read_only = on")
    assert connection.execute("INSERT INTO passing (a) VALUES (8)").rowcount == 1
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("INSERT INTO permanent VALUES (1)")


def test_every_transaction_has_a_number_of_its_own(connection: psycopg.Connection[Any]) -> None:
    def number() -> int:
        row = connection.execute("SELECT txid_current(), pg_current_xact_id()::text::bigint").fetchone()
        assert row is not None
        assert row[0] == row[1]
        return int(row[0])

    alone = [number(), number()]
    with connection.transaction():
        together = [number(), number()]
    connection.execute("CREATE TABLE IF NOT EXISTS permanent (a int)")
    assert alone[0] < alone[1] < together[0] == together[1] < number()


def test_databases_that_are_not_there_can_be_dropped(connection: psycopg.Connection[Any]) -> None:
    heard: list[str | None] = []
    connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
    assert connection.execute("DROP DATABASE IF EXISTS nowhere").statusmessage == "DROP DATABASE"
    assert heard == ['database "nowhere" does not exist, skipping']
    with pytest.raises(psycopg.errors.InvalidCatalogName):
        connection.execute("DROP DATABASE nowhere")
    with pytest.raises(psycopg.errors.ObjectInUse, match="cannot drop the currently open database"):
        connection.execute("DROP DATABASE heliosdb")


def test_vectors_of_numbers_in_binary(connection: psycopg.Connection[Any]) -> None:

    head = bytes.fromhex("00000001 00000000")
    two = head + bytes.fromhex("00000015 00000002 00000000 00000002 0001 00000002 fffe")
    cursor = connection.cursor(binary=True)
    cursor.execute("SELECT ARRAY[1, -2]::int2vector")
    assert cursor.pgresult is not None
    assert cursor.pgresult.get_value(0, 0) == two
    cursor.execute("SELECT '7'::oidvector, ''::oidvector")
    assert cursor.pgresult.get_value(0, 0) == head + bytes.fromhex("0000001a 00000001 00000000 00000004 00000007")
    assert cursor.pgresult.get_value(0, 1) == head + bytes.fromhex("0000001a 00000000 00000000")
    returned = connection.pgconn.exec_params(b"SELECT $1::int2vector::text", [two], [22], [1])
    assert returned.get_value(0, 0) == b"1 -2"
    for wrong in (two[:-1], two[:20], two + b"x", bytes.fromhex("00000000 00000000 00000015")):
        failed = connection.pgconn.exec_params(b"SELECT $1::int2vector", [wrong], [22], [1])
        assert failed.error_field(psycopg.pq.DiagnosticField.SQLSTATE) in (b"22P03", b"08P01")


def test_explain_of_a_prepared_statement(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS permanent (a int)")
    connection.execute("PREPARE one (int) AS SELECT a FROM permanent WHERE a = $1")
    told = connection.execute("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE one(NULL)").fetchone()
    assert told is not None
    assert told[0][0]["Plan"]["Relation Name"] == "permanent"
    lines = connection.execute("EXPLAIN (ANALYZE, TIMING off, SUMMARY off) EXECUTE one(1)").fetchall()
    assert "rows=0" in lines[0][0]
    connection.execute("BEGIN")
    assert state(connection, "EXPLAIN EXECUTE nothing") == "26000"
    assert state(connection, "EXPLAIN EXECUTE one") == "42601"
    assert state(connection, "EXPLAIN EXECUTE one('x')") == "22P02"


@pytest.mark.parametrize(
    ("statement", "file", "routine"),
    [
        ("SELECT f", "parse_relation.c", "errorMissingColumn"),
        ("SELECT * FROM nowhere", "parse_relation.c", "parserOpenTable"),
        ("SELECT 1 FROM", "scan.l", "scanner_yyerror"),
        ("SELECT nothing(1)", "parse_func.c", "ParseFuncOrColumn"),
        ("SELECT 'x'::int", "numutils.c", "pg_strtoint32"),
        ("CREATE TEMP TABLE c (a int NOT NULL); INSERT INTO c VALUES (NULL)", "execMain.c", "ExecConstraints"),
        ("CREATE TEMP TABLE c (a int UNIQUE); INSERT INTO c VALUES (1), (1)", "nbtinsert.c", "_bt_check_unique"),
    ],
)
def test_errors_name_the_routine(connection: psycopg.Connection[Any], statement: str, file: str, routine: str) -> None:
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(sql.SQL(statement))
    diag = failed.value.diag
    assert (diag.source_file, diag.source_function) == (file, routine)
    assert diag.source_line is not None


def test_a_long_name_of_an_application_is_cut(server: NodeProcess) -> None:
    heard: list[tuple[str | None, str | None]] = []
    with server.connect() as connection:
        connection.add_notice_handler(lambda notice: heard.append((notice.sqlstate, notice.message_primary)))
        connection.execute(sql.SQL("SET application_name = '{}'".format("x" * 65)))
        assert heard == [("42622", f'identifier "{"x" * 65}" will be truncated to "{"x" * 63}"')]
        connection.execute("SET application_name = 'é'")
        assert connection.execute("SHOW application_name").fetchone() == ("??",)


@pytest.mark.parametrize(
    ("statement", "detail"),
    [
        ("INSERT INTO people VALUES (2, 'ANN', -1)", "Key (lower(email), k)=(ann, -1) already exists."),
        ("INSERT INTO people VALUES (6, 'x', 5)", "Key ((id + k))=(11) already exists."),
        ("INSERT INTO people VALUES (7, 'x', 5), (8, 'y', 4)", "Key ((id + k))=(12) already exists."),
        ("UPDATE people SET email = 'Ann', k = -1 WHERE id = 5", "Key (lower(email), k)=(ann, -1) already exists."),
    ],
)
def test_keys_of_indexes_over_expressions_are_told(
    connection: psycopg.Connection[Any], statement: str, detail: str
) -> None:
    connection.execute("CREATE TEMP TABLE people (id int, email text, k int)")
    connection.execute("CREATE UNIQUE INDEX people_email ON people (lower(email), k)")
    connection.execute("CREATE UNIQUE INDEX people_sum ON people ((id + k)) WHERE k > 0")
    connection.execute("INSERT INTO people VALUES (1, 'ann', -1), (5, 'bob', 6), (12, 'eve', -1)")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        connection.execute(statement)
    assert caught.value.diag.message_detail == detail


def test_bodies_of_functions_are_looked_through_when_the_session_says(connection: psycopg.Connection[Any]) -> None:
    text = "CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM restored_later $$"
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute(text)
    connection.execute("SET check_function_bodies = off")
    connection.execute(text)
    connection.execute("CREATE TABLE restored_later AS SELECT generate_series(1, 3) AS a")
    assert connection.execute("SELECT counted()").fetchone() == (3,)
    connection.execute("DROP FUNCTION counted()")
    connection.execute(f"{text} -- {'x' * 5000}".encode())
    connection.execute("RESET check_function_bodies")
    connection.execute("DROP TABLE restored_later")
    connection.execute("DROP FUNCTION counted()")
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute(text)


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_views_are_not_copied_by_name(connection: psycopg.Connection[Any], kind: str) -> None:
    connection.execute(f"CREATE {kind} copied AS SELECT 1 AS a")
    with pytest.raises(psycopg.errors.WrongObjectType) as caught, connection.cursor().copy("COPY copied TO STDOUT"):
        pass
    assert caught.value.diag.message_primary == f'cannot copy from {kind.lower()} "copied"'
    assert caught.value.diag.message_hint == "Try the COPY (SELECT ...) TO variant."
    connection.execute(f"DROP {kind} copied")


def test_rows_are_named_by_their_place(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TEMP TABLE twice (a int)")
    places = connection.execute("INSERT INTO twice VALUES (1), (2), (2), (3) RETURNING ctid").fetchall()
    assert places == [("(0,1)",), ("(0,2)",), ("(0,3)",), ("(0,4)",)]
    connection.execute("DELETE FROM twice x USING twice y WHERE x.a = y.a AND x.ctid < y.ctid")
    connection.execute("DELETE FROM twice WHERE ctid IN (SELECT ctid FROM twice WHERE a = 3 LIMIT 1)")
    connection.execute("UPDATE twice SET a = 20 WHERE ctid = '(0,3)'")
    assert connection.execute("SELECT a, ctid FROM twice ORDER BY ctid", binary=True).fetchall() == [
        (1, b"\0\0\0\0\0\1"),
        (20, b"\0\0\0\0\0\3"),
    ]
    found = connection.execute("SELECT min(ctid), array_agg(a ORDER BY ctid DESC) FROM twice").fetchone()
    assert found == ("(0,1)", [20, 1])
    plan = connection.execute("EXPLAIN SELECT a FROM twice WHERE ctid = '(0,1)'").fetchone()
    assert plan is not None and "rowid=?" in plan[0]


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("CREATE TABLE wrong (a int, CHECK (ctid IS NOT NULL))", "42P10"),
        ("CREATE TABLE wrong (a int, b tid GENERATED ALWAYS AS (ctid) STORED)", "42P10"),
        ("SELECT ctid FROM (SELECT 1 AS a) AS derived", "42703"),
        ("SELECT xmax FROM pg_class", "0A000"),
        ("SELECT '(1,70000)'::tid", "22P02"),
    ],
)
def test_system_columns_that_are_refused(connection: psycopg.Connection[Any], statement: str, sqlstate: str) -> None:
    with connection.transaction(force_rollback=True):
        assert state(connection, statement) == sqlstate


def test_stars_in_views_are_shown_as_the_columns_that_were_there(connection: psycopg.Connection[Any]) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("CREATE TABLE starred (id int, data text)")
        connection.execute("CREATE VIEW all_of_it AS SELECT * FROM starred")
        connection.execute("CREATE MATERIALIZED VIEW some_of_it AS SELECT id AS k, s.* FROM starred s WHERE id > 1")
        connection.execute("CREATE VIEW other_names(a, b) AS SELECT * FROM starred")
        connection.execute("ALTER TABLE starred ADD later int")
        connection.execute("ALTER TABLE starred RENAME data TO info")
        shown = {
            name: connection.execute("SELECT pg_get_viewdef(%s::regclass)", [name]).fetchone()
            for name in ("all_of_it", "some_of_it", "other_names")
        }
    assert shown == {
        "all_of_it": (" SELECT starred.id,\n    starred.info AS data\n   FROM starred;",),
        "some_of_it": (" SELECT s.id AS k,\n    s.id,\n    s.info AS data\n   FROM starred s\n  WHERE (s.id > 1);",),
        "other_names": (" SELECT starred.id AS a,\n    starred.info AS b\n   FROM starred;",),
    }


def test_a_node_forgets_what_it_has_set(node: NodeProcess) -> None:
    written = node.data_dir / "heliosdb.auto.conf"
    with node.connect() as connection:
        connection.execute("ALTER SYSTEM SET lock_timeout = '5s'")
        connection.execute("ALTER SYSTEM SET statement_timeout = '1min'")
        assert "lock_timeout" in written.read_text() and "statement_timeout" in written.read_text()
        connection.execute("CREATE ROLE plain LOGIN")
        connection.execute("SET ROLE plain")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="to perform ALTER SYSTEM RESET ALL"):
            connection.execute("ALTER SYSTEM RESET ALL")
        connection.execute("RESET ROLE")
        connection.execute("ALTER SYSTEM RESET ALL")
    assert [line for line in written.read_text().splitlines() if not line.startswith("#")] == []
    node.kill()
    node.start()
    with node.connect() as connection:
        assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_the_sequence_of_no_column_is_none(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE counted (id serial, note text)")
    found = connection.execute(
        "SELECT pg_get_serial_sequence('counted', a) FROM (VALUES ('id'), ('note'), (NULL)) v(a)"
    ).fetchall()
    assert found == [("public.counted_id_seq",), (None,), (None,)]


def test_pg_settings_tells_what_the_session_has_set(server: NodeProcess) -> None:
    listed = (
        "SELECT name, setting, unit, source, reset_val FROM pg_settings WHERE name IN"
        " ('work_mem', 'search_path', 'application_name', 'statement_timeout', 'transaction_isolation') ORDER BY name"
    )
    with server.connect(application_name="asker") as connection, server.connect() as other:
        connection.execute("SET work_mem = '1GB'; SET statement_timeout = '5s'; SET search_path = a, public")
        connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
        assert connection.execute(listed).fetchall() == [
            ("application_name", "asker", None, "client", "asker"),
            ("search_path", "a, public", None, "session", '"$user", public'),
            ("statement_timeout", "5000", "ms", "session", "0"),
            ("transaction_isolation", "serializable", None, "override", "read committed"),
            ("work_mem", "1048576", "kB", "session", "4096"),
        ]
        read_only = "SELECT setting FROM pg_settings WHERE name = 'transaction_read_only'"
        assert connection.execute(read_only).fetchone() == ("on",)
        connection.execute("COMMIT; RESET work_mem")
        work_mem = "SELECT setting, source FROM pg_settings WHERE name = 'work_mem'"
        assert connection.execute(work_mem).fetchone() == ("4096", "default")
        assert other.execute(read_only).fetchone() == ("off",)
        assert other.execute("SELECT count(*) > 100, count(*) = count(DISTINCT name) FROM pg_settings").fetchone() == (
            True, True,
        )  # fmt: skip


def test_keys_depend_on_the_keys_that_they_refer_to(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE SCHEMA keys; SET search_path = keys; CREATE TABLE t1 (a int PRIMARY KEY, b int UNIQUE)")
    connection.execute("CREATE TABLE t2 (x int REFERENCES t1 (a), y int REFERENCES t1 (b))")
    found = connection.execute(
        "SELECT c.conname, refobjid::regclass::text, refobjsubid, deptype FROM pg_depend JOIN pg_constraint c"
        " ON classid = 'pg_constraint'::regclass AND objid = c.oid"
        " WHERE refclassid = 'pg_class'::regclass AND c.connamespace = 'keys'::regnamespace ORDER BY 1, 2, 3"
    ).fetchall()
    assert found == [
        ("t1_b_key", "t1", 2, "a"), ("t1_pkey", "t1", 1, "a"),
        ("t2_x_fkey", "t1", 1, "n"), ("t2_x_fkey", "t1_pkey", 0, "n"), ("t2_x_fkey", "t2", 1, "a"),
        ("t2_y_fkey", "t1", 2, "n"), ("t2_y_fkey", "t1_b_key", 0, "n"), ("t2_y_fkey", "t2", 2, "a"),
    ]  # fmt: skip
    sizes = connection.execute("SELECT reltuples, relpages FROM pg_class WHERE relname = 't1_b_key'").fetchone()
    assert sizes == (0.0, 1)
    connection.execute("DROP SCHEMA keys CASCADE")


def test_indexes_tell_their_properties(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE props (a int, b text, c int4range, e int)")
    connection.execute("CREATE INDEX props_b ON props (a DESC NULLS LAST, (b || 'x') NULLS FIRST, b) INCLUDE (e)")
    connection.execute("CREATE INDEX props_g ON props USING gist (c)")
    listed = connection.execute(
        "SELECT p, array_agg(pg_index_column_has_property('props_b'::regclass, i, p) ORDER BY i),"
        " pg_index_column_has_property('props_g'::regclass, 1, p)"
        " FROM unnest(ARRAY['asc', 'NULLS_FIRST', 'orderable', 'returnable', 'search_array', 'wat']) p,"
        ' generate_series(1, 5) i GROUP BY p ORDER BY p COLLATE "C"'
    ).fetchall()
    assert listed == [
        ("NULLS_FIRST", [False, True, False, None, None], False),
        ("asc", [False, True, True, None, None], False),
        ("orderable", [True, True, True, False, None], False),
        ("returnable", [True, True, True, True, None], True),
        ("search_array", [True, True, True, None, None], False),
        ("wat", [None] * 5, None),
    ]
    found = connection.execute(
        "SELECT pg_index_has_property('props_b'::regclass, 'backward_scan'),"
        " pg_index_has_property('props_g'::regclass, 'backward_scan'),"
        " pg_index_has_property('props'::regclass, 'clusterable'), pg_indexam_has_property(403, 'can_unique'),"
        " pg_indexam_has_property(783, 'can_unique'), pg_indexam_has_property(2, 'x')"
    ).fetchone()
    assert found == (True, False, None, True, False, None)
    connection.execute("DROP TABLE props")


def test_default_with_oids_can_be_switched_off_alone(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SET default_with_oids = no")
    assert connection.execute("SHOW default_with_oids").fetchone() == ("off",)
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        connection.execute("SET default_with_oids = on")


@pytest.mark.parametrize("binary", [False, True])
def test_parameters_name_the_clock(connection: psycopg.Connection[Any], binary: bool) -> None:
    connection.execute("SET timezone = 'Europe/Rome'")
    with connection.transaction():
        found = connection.execute(
            "SELECT %s::timestamptz = now(), %s::timestamp = localtimestamp, %s::date = current_date + 1,"
            " %s::timestamptz = current_date, %s::time = localtime, %s::timetz = current_time,"
            " %s::timestamp = current_date - 1 + time '10:30',"
            " %s::timestamp[] = ARRAY[current_date, localtimestamp]",
            ["now", " NOW ", "tomorrow", "today", "now", "now", "yesterday 10:30", "{today,now}"],
            binary=binary,
        ).fetchone()
        assert found == (True,) * 8
        connection.execute("PREPARE clocked (date, timestamptz) AS SELECT $1 = current_date, $2 = now()")
        assert connection.execute("EXECUTE clocked ('today', 'now')").fetchone() == (True, True)
        connection.execute("DEALLOCATE clocked")
    for text in ("nowadays", "today 25:00"):
        with pytest.raises(
            psycopg.errors.DatetimeFieldOverflow if ":" in text else psycopg.errors.InvalidDatetimeFormat
        ):
            connection.execute("SELECT %s::timestamp", [text])


def test_copied_rows_name_the_clock(connection: psycopg.Connection[Any]) -> None:
    with connection.transaction():
        connection.execute("CREATE TEMP TABLE clocked (a timestamp, b date, c timestamptz, d timestamp[])")
        with connection.cursor().copy("COPY clocked FROM STDIN") as copy:
            copy.write("now\ttoday\tnow\t{now,tomorrow}\n")
        found = connection.execute(
            "SELECT a = localtimestamp, b = current_date, c = now(), d = ARRAY[localtimestamp, current_date + 1]"
            " FROM clocked"
        ).fetchone()
        assert found == (True,) * 4


def test_definitions_are_looked_at_when_they_are_executed(connection: psycopg.Connection[Any]) -> None:
    """Batches of drivers that prepare all of their statements first (pgx, pgjdbc)."""
    connection.execute("DROP TABLE IF EXISTS later; DROP SEQUENCE IF EXISTS later_seq")
    definitions = [
        b"CREATE SEQUENCE later_seq", b"CREATE TABLE later (a int DEFAULT nextval('later_seq'))",
        b"ALTER SEQUENCE later_seq OWNED BY later.a", b"CREATE INDEX later_a ON later (a)", b"DROP TABLE later",
    ]  # fmt: skip
    server = connection.pgconn
    for number, text in enumerate(definitions):
        assert server.prepare(f"later{number}".encode(), text).status == pq.ExecStatus.COMMAND_OK, text
    for _round in range(2):
        for number in range(len(definitions)):
            result = server.exec_prepared(f"later{number}".encode(), [])
            assert result.status == pq.ExecStatus.COMMAND_OK, result.error_message
    refused = server.exec_prepared(b"later3", [])
    assert refused.error_field(pq.DiagnosticField.SQLSTATE) == b"42P01"
    assert connection.execute("SELECT to_regclass('later'), to_regclass('later_seq')").fetchone() == (None, None)
    for text, state_of_parse in ((b"CREATE TABL later ()", b"42601"), (b"CREATE TABLE later AS TABLE gone", b"42P01")):
        assert server.prepare(b"wrong", text).error_field(pq.DiagnosticField.SQLSTATE) == state_of_parse


@pytest.mark.parametrize("kind", ["TEMP", ""])
def test_a_late_foreign_key_is_named_when_the_transaction_ends(connection: psycopg.Connection[Any], kind: str) -> None:
    connection.execute("DROP TABLE IF EXISTS pointing")
    # Where there are temporary tables too, and where there are none.
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS beside (a int)")
    connection.execute(
        f"CREATE {kind} TABLE pointing (id int PRIMARY KEY, up int REFERENCES pointing DEFERRABLE INITIALLY DEFERRED)"
    )
    connection.execute("BEGIN")
    connection.execute("INSERT INTO pointing VALUES (1, 7)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as failed:
        connection.execute("COMMIT")
    told = failed.value.diag
    assert told.message_primary == (
        'insert or update on table "pointing" violates foreign key constraint "pointing_up_fkey"'
    )
    assert (told.message_detail, told.constraint_name) == (
        'Key (up)=(7) is not present in table "pointing".', "pointing_up_fkey",
    )  # fmt: skip


def test_a_temporary_table_hides_no_other_of_its_name(connection: psycopg.Connection[Any]) -> None:
    def rows(query: str) -> list[Any]:
        return connection.execute(sql.SQL(query)).fetchall()

    connection.execute("DROP TABLE IF EXISTS pg_temp.doubled, public.doubled")
    connection.execute("CREATE TABLE doubled (a int)")
    connection.execute("INSERT INTO doubled VALUES (1), (2)")
    connection.execute("CREATE TEMP TABLE doubled AS SELECT a + 10 AS a FROM doubled")
    assert rows("SELECT a FROM public.doubled ORDER BY a") == [(1,), (2,)]
    connection.execute("INSERT INTO public.doubled VALUES (3)")
    connection.execute("UPDATE doubled SET a = a + 1")
    connection.execute("DELETE FROM public.doubled WHERE a = 1")
    assert (
        rows("SELECT a FROM doubled ORDER BY a") == rows("SELECT a FROM pg_temp.doubled ORDER BY a") == [(12,), (13,)]
    )
    assert rows("SELECT a FROM public.doubled ORDER BY a") == [(2,), (3,)]
    assert rows("SELECT p.a, t.a FROM public.doubled p JOIN doubled t ON t.a = p.a + 10") == [(2, 12), (3, 13)]
    connection.execute("DROP TABLE doubled")
    assert rows("SELECT a FROM doubled ORDER BY a") == [(2,), (3,)]


def test_rows_without_columns_are_copied(connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TEMP TABLE bare ()")
    with connection.cursor().copy("COPY bare FROM STDIN") as copy:
        copy.write(b"\n\n\n")
    assert connection.execute("SELECT count(*) FROM bare").fetchone() == (3,)
    with connection.cursor().copy("COPY bare TO STDOUT") as copy:
        assert b"".join(copy) == b"\n\n\n"
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        connection.execute("COPY bare FROM STDIN WHERE true")


def test_a_statement_whose_portal_is_closed_before_sync_is_alone(server: NodeProcess) -> None:
    closed = message("C", b"P\0")

    def tags(client: RawClient, statement: str, *more: bytes) -> list[Any]:
        answers = client.ask(parse(statement, "own"), bind(statement="own"), execute(), *more, SYNC)
        client.ask(message("C", b"Sown\0"), SYNC)
        return [body["C"] if code == "E" else code for code, body in answers]

    with RawClient(server.pg_port) as client:
        alone = ["1", "2", "C", "3", "Z"]
        assert tags(client, "CREATE DATABASE beside", closed) == alone
        assert tags(client, "VACUUM", closed, message("C", b"Sown\0")) == [*alone[:4], "3", "Z"]
        assert tags(client, "DROP DATABASE beside", closed) == alone
        assert tags(client, "CREATE TABLE together (a int)", closed) == alone
        followed = (parse("SELECT 1 / 0"), bind(), execute())
        answers = tags(client, "INSERT INTO together VALUES (1)", closed, *followed)
        assert [answer for answer in answers if answer not in "123"] == ["C", "22012", "Z"]
        assert client.run("SELECT count(*) FROM together")[1] == ("D", (b"0",))
