"""The classes of statements, by kind."""

from __future__ import annotations

import pytest

from helios_cli.engine.proxy.classify import Classes
from helios_cli.engine.proxy.statement import Access, Control, Setting, Statement


def of(sql: str) -> Statement:
    """The class of a text, the same when it comes again."""
    classes = Classes()
    found = classes.of(sql)
    assert classes.of(sql) == found
    return found


READS = (
    "SELECT 1",
    "select * from t where a = $1 order by b limit 5",
    "VALUES (1), (2)",
    "TABLE t",
    "WITH q AS (SELECT 1) SELECT * FROM q",
    "SELECT count(*), now(), random(), pg_sleep(0), current_setting('a'), pg_is_in_recovery() FROM t",
    "EXPLAIN INSERT INTO t VALUES (1)",
    "EXPLAIN (ANALYZE off) DELETE FROM t",
    "EXPLAIN ANALYZE SELECT 1",
    "COPY t TO STDOUT",
    "COPY (SELECT 1) TO STDOUT",
    "SHOW search_path",
    "DECLARE c CURSOR FOR SELECT 1",
    "FETCH 5 FROM c",
    "CLOSE c",
    "LOCK TABLE t IN ACCESS SHARE MODE",
    "SELECT public.similarity('a', 'b'), pg_catalog.length('a')",
    "SELECT extract(year FROM now()), trim(' a '), CAST('1' AS int), date '2020-01-01', 'a' SIMILAR TO 'b'",
    "SELECT set_config('a.b', $1, true)",
    "SELECT * FROM pg_settings",
    "DISCARD PLANS",
    "DISCARD SEQUENCES",
    "EXPLAIN CREATE TABLE t AS SELECT 1",
    "EXPLAIN (ANALYZE 0, BUFFERS) SELECT nextval('s')",
    "MOVE 5 FROM c",
    "LOCK TABLE t IN ROW SHARE MODE",
    "SELECT lo_get(1)",
    "SELECT pg_current_xact_id_if_assigned(), txid_current_snapshot()",
    "",
    " ; -- nothing",
)


@pytest.mark.parametrize("sql", READS)
def test_reads_run_anywhere(sql: str) -> None:
    found = of(sql)
    assert found.access is Access.READ
    assert not found.named and not found.pins


WRITES = {
    "INSERT INTO t VALUES (1)": "INSERT",
    "UPDATE t SET a = 1": "UPDATE",
    "DELETE FROM t": "DELETE",
    "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE": "MERGE",
    "TRUNCATE t": "TRUNCATE",
    "WITH q AS (DELETE FROM t RETURNING a) SELECT * FROM q": "WITH DELETE",
    "SELECT * FROM (SELECT nextval('s')) q": "calls nextval()",
    "SELECT a FROM my_function(1) a": "calls my_function()",
    "SELECT public.length('a')": "calls length()",
    "SELECT 1 AS a INTO t": "SELECT INTO",
    "CREATE TABLE t AS SELECT 1": "CREATE TABLE AS",
    "CREATE TABLE t (a int)": "CREATE TABLE",
    "COPY t FROM STDIN": "COPY FROM",
    "SELECT lo_from_bytea(0, 'a')": "calls lo_from_bytea()",
    "SELECT dblink_exec('dbname=x', 'DELETE FROM t')": "calls dblink_exec()",
    "SELECT f(a) FROM t WHERE a = 1": "calls f()",
    "INSERT INTO t SELECT f(1)": "INSERT",
    "UPDATE t SET b = 1 WHERE a = (SELECT a FROM t FOR UPDATE SKIP LOCKED LIMIT 1)": "UPDATE",
    "INSERT INTO t VALUES ($1) ON CONFLICT DO NOTHING RETURNING a": "INSERT",
    "CREATE UNLOGGED TABLE t (a int)": "CREATE TABLE",
    "ALTER TABLE t ADD b int": "ALTER TABLE",
    "DROP TABLE IF EXISTS t": "DROP TABLE",
    "CREATE INDEX ON t (a)": "CREATE INDEX",
    "REFRESH MATERIALIZED VIEW m": "REFRESH MATERIALIZED VIEW",
    "COMMENT ON TABLE t IS 'a'": "COMMENT",
    "GRANT SELECT ON t TO a": "GRANT",
    "REVOKE ALL ON t FROM a": "REVOKE",
    "REVOKE a FROM b": "REVOKE",
    "DROP MATERIALIZED VIEW m": "DROP MATERIALIZED VIEW",
    "CREATE DATABASE d": "CREATE DATABASE",
}


@pytest.mark.parametrize(("sql", "why"), WRITES.items())
def test_writes_run_at_the_primary_and_take_names(sql: str, why: str) -> None:
    found = of(sql)
    assert (found.access, found.why, found.named, found.pins) == (Access.WRITE, why, True, "")


UNNAMED = (
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM (SELECT * FROM t FOR SHARE) q",
    "VACUUM t",
    "ANALYZE",
    "CALL p()",
    "DO $$begin end$$",
    "NOTIFY a",
    "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
    "COPY t FROM '/a/file'",
    "INSERT INTO t VALUES (1); SELECT 1",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT txid_current()",
    "SELECT pg_terminate_backend(1)",
    "SELECT helios_write_outcome('a:1')",
    "EXECUTE p",
    "COMMIT PREPARED 'a'",
    "ROLLBACK PREPARED 'a'",
    "COPY t TO PROGRAM 'cat'",
    "COPY (INSERT INTO t VALUES (1) RETURNING a) TO STDOUT",
    "CLUSTER t USING i",
    "CHECKPOINT",
    "ALTER SYSTEM SET a = 1",
    "UNLISTEN *",
    "LOCK TABLE t",
    "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE",
    "EXPLAIN (ANALYZE) SELECT nextval('s')",
    "EXPLAIN EXECUTE p",
    "CREATE TABLE t AS EXECUTE p",
    "SELECT * FROM pg_stat_activity",
    "SELECT pg_backend_pid()",
    "SELECT pg_export_snapshot()",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_promote()",
    "SELECT pg_advisory_unlock(1)",
    "SHOW transaction_read_only",
    "SELECT nextval('s') FROM t FOR UPDATE",
    "SELECT lo_open(1, 1)",
    "nonsense",
)


@pytest.mark.parametrize("sql", UNNAMED)
def test_other_statements_of_the_primary_take_no_name(sql: str) -> None:
    found = of(sql)
    assert (found.access, found.named, found.pins) == (Access.WRITE, False, "")


PINS = {
    "CREATE TEMP TABLE t (a int)": "temporary table",
    "CREATE TABLE pg_temp.t (a int)": "temporary table",
    "SELECT 1 AS a INTO TEMP t": "temporary table",
    "CREATE TEMP TABLE t AS SELECT 1": "temporary table",
    "CREATE TEMP VIEW v AS SELECT 1": "temporary table",
    "LISTEN a": "LISTEN",
    "PREPARE p AS SELECT 1": "PREPARE",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1": "WITH HOLD cursor c",
    "SELECT pg_advisory_lock(1)": "advisory lock",
    "SELECT currval('s')": "value of a sequence",
    "SELECT set_config($1, 'a', false)": "set_config()",
    "LOAD 'library'": "LOAD",
    "CREATE TEMP SEQUENCE s": "temporary table",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'": "temporary table",
    "INSERT INTO t VALUES (currval('s'))": "value of a sequence",
    "SELECT lastval()": "value of a sequence",
    "SELECT pg_try_advisory_lock(1)": "advisory lock",
    "SELECT set_config('a.b', c, false) FROM t": "set_config()",
    "UPDATE pg_settings SET setting = 'a' WHERE name = 'b'": "UPDATE pg_settings",
    "SELECT setseed(0.5)": "setseed()",
    "SET seed = 0.5": "SET seed",
    "BEGIN; CREATE TEMP TABLE t (a int); COMMIT": "temporary table",
}


@pytest.mark.parametrize(("sql", "why"), PINS.items())
def test_what_stays_in_a_session_pins_it_to_the_primary(sql: str, why: str) -> None:
    found = of(sql)
    assert (found.access, found.named, found.pins) == (Access.WRITE, False, why)


CONTROLS = {
    "BEGIN": Statement(Access.WRITE, "BEGIN", control=Control.BEGIN, has_control=True),
    "START TRANSACTION READ ONLY": Statement(
        Access.READ, "BEGIN", control=Control.BEGIN, has_control=True, read_only=True
    ),
    "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE": Statement(
        Access.WRITE, "BEGIN", control=Control.BEGIN, has_control=True, read_only=True
    ),
    "BEGIN READ WRITE": Statement(Access.WRITE, "BEGIN", control=Control.BEGIN, has_control=True),
    "END": Statement(Access.READ, "COMMIT", control=Control.COMMIT, has_control=True),
    "ABORT": Statement(Access.READ, "ROLLBACK", control=Control.ROLLBACK, has_control=True),
    "COMMIT AND CHAIN": Statement(Access.READ, "COMMIT", control=Control.COMMIT, has_control=True, chain=True),
    "SAVEPOINT a": Statement(Access.READ, "SAVEPOINT", control=Control.WITHIN, savepoint="a"),
    "ROLLBACK TO a": Statement(Access.READ, "ROLLBACK TO", control=Control.WITHIN, savepoint="a"),
    "SET TRANSACTION READ WRITE": Statement(Access.WRITE, "SET TRANSACTION", control=Control.WITHIN),
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ": Statement(
        Access.READ, "SET TRANSACTION", control=Control.WITHIN
    ),
    "SET transaction_read_only = on": Statement(
        Access.READ, "SET TRANSACTION", control=Control.WITHIN, read_only=True
    ),
    "SET CONSTRAINTS ALL DEFERRED": Statement(Access.READ, "SET CONSTRAINTS", control=Control.WITHIN),
    "RELEASE a": Statement(Access.READ, "RELEASE", control=Control.WITHIN, savepoint="a"),
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY": Statement(
        Access.READ, "BEGIN", control=Control.BEGIN, has_control=True, read_only=True
    ),
    "SET TRANSACTION READ ONLY": Statement(
        Access.READ, "SET TRANSACTION", control=Control.WITHIN, read_only=True
    ),
    "SET LOCAL a.b = 'c'": Statement(Access.READ, "SET LOCAL", control=Control.WITHIN),
    "PREPARE TRANSACTION 'a'": Statement(Access.WRITE, "PREPARE TRANSACTION", has_control=True),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), CONTROLS.items())
def test_blocks(sql: str, expected: Statement) -> None:
    assert of(sql) == expected


EFFECTS = {
    "RESET ALL": Statement(Access.READ, "RESET ALL", resets=True),
    "DISCARD ALL": Statement(Access.READ, "DISCARD ALL", resets=True, discards=True),
    "DISCARD TEMP": Statement(Access.READ, "DISCARD TEMP"),
    "DEALLOCATE p": Statement(Access.READ, "DEALLOCATE", frees="p"),
    "DEALLOCATE PREPARE ALL": Statement(Access.READ, "DEALLOCATE", frees=""),
    "SHOW Search_Path": Statement(Access.READ, "SHOW", shows="search_path"),
    "SHOW TIME ZONE": Statement(Access.READ, "SHOW", shows="timezone"),
    "COPY t FROM STDIN": Statement(Access.WRITE, "COPY FROM", named=True, copies_in=True),
    "COPY t FROM '/a/file'": Statement(Access.WRITE, "COPY FROM"),
    "SELECT 1; SELECT 2;": Statement(Access.READ, "SELECT among 2 statements", count=2),
    "SELECT 1; INSERT INTO t VALUES (1)": Statement(Access.WRITE, "INSERT among 2 statements", count=2, wraps=True),
    "BEGIN READ ONLY; SELECT 1; COMMIT": Statement(
        Access.READ, "BEGIN among 3 statements", count=3, has_control=True, read_only=True
    ),
    "BEGIN; SELECT 1": Statement(Access.WRITE, "BEGIN among 2 statements", count=2, has_control=True),
    "SELECT 1; DEALLOCATE p": Statement(Access.READ, "SELECT among 2 statements", count=2, frees="p"),
    "RELEASE a; SAVEPOINT a": Statement(Access.READ, "RELEASE among 2 statements", count=2),
    "": Statement(Access.READ, "empty", count=0),
    "-- a\n/* b */;": Statement(Access.READ, "empty", count=0),
}


@pytest.mark.parametrize(("sql", "expected"), EFFECTS.items())
def test_effects(sql: str, expected: Statement) -> None:
    assert of(sql) == expected


SETTINGS = {
    "SET work_mem = '4MB'": (("work_mem", "SET work_mem = '4MB'"),),
    "set A.b to c, d ;": (("a.b", "set A.b to c, d"),),
    "SET /* of mine */ TIME ZONE 'UTC' -- now": (("timezone", "SET   TIME ZONE 'UTC'"),),
    "SET ROLE a": (("role", "SET ROLE a"),),
    "RESET a.b": (("a.b", None),),
    "SET a.b TO DEFAULT": (("a.b", None),),
    "SET SESSION AUTHORIZATION a": (("role", None), ("session_authorization", "SET SESSION AUTHORIZATION a")),
    "SELECT set_config('a.b', 'it''s', false)": (("a.b", "SELECT pg_catalog.set_config('a.b', 'it''s', false)"),),
    "SELECT set_config('a.b', 'c', true)": (),
    "SET a.b = 'c'; SELECT 1; SET a.d = 'e'": (("a.b", "SET a.b = 'c'"), ("a.d", "SET a.d = 'e'")),
    "SET a.b = 'c'; ROLLBACK": (),
    "SET a.b = 'c'; COMMIT; SET a.b = 'd'; ROLLBACK": (("a.b", "SET a.b = 'c'"),),
    "SET a.b = 'c'; RESET ALL; SET a.d = 'e'": (("a.d", "SET a.d = 'e'"),),
    "SET NAMES 'UTF8'": (("client_encoding", "SET NAMES 'UTF8'"),),
    "SET ROLE NONE": (("role", "SET ROLE NONE"),),
    "RESET ROLE": (("role", None),),
    "SET SESSION AUTHORIZATION DEFAULT": (("role", None), ("session_authorization", None)),
    "SET TIME ZONE LOCAL": (("timezone", None),),
    "SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE": (
        ("timezone", "SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE"),
    ),
    "SET helios.min_lsn = '0/1:2'": (("helios.min_lsn", "SET helios.min_lsn = '0/1:2'"),),
    "SELECT pg_catalog.set_config('search_path', '', false)": (
        ("search_path", "SELECT pg_catalog.set_config('search_path', '', false)"),
    ),
    "SELECT set_config('a.b', NULL, false), 1": (("a.b", None),),
    "SELECT set_config('a.b', 'true', 'f')": (("a.b", "SELECT pg_catalog.set_config('a.b', 'true', false)"),),
    "SELECT set_config('ä.b', 'ö', false); SET ä.c = 'ü'": (
        ("ä.b", "SELECT pg_catalog.set_config('ä.b', 'ö', false)"),
        ("ä.c", "SET ä.c = 'ü'"),
    ),
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": (
        ("default_transaction_read_only", "SET default_transaction_read_only = 'on'"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), SETTINGS.items())
def test_settings(sql: str, expected: tuple[tuple[str, str | None], ...]) -> None:
    found = of(sql)
    assert found.settings == tuple(Setting(*one) for one in expected)
    assert found.access is Access.READ and not found.pins


def test_settings_are_told_apart_by_their_values() -> None:
    classes = Classes()
    for value in ("x", "y"):
        assert classes.of(f"SET a.b = '{value}'").settings == (Setting("a.b", f"SET a.b = '{value}'"),)


HINTS = {
    "/* helios: primary */ SELECT 1": "primary",
    "SELECT 1 -- helios: STANDBY": "standby",
    "SELECT /* it's mine *//*helios:node-2*/ 'a'": "node-2",
    "SELECT '/* helios: primary */'": "",
    "SELECT $a$ -- helios: primary $a$": "",
}


@pytest.mark.parametrize(("sql", "expected"), HINTS.items())
def test_hints(sql: str, expected: str) -> None:
    found = of(sql)
    assert (found.access, found.hint) == (Access.READ, expected)


def test_texts_that_scan_alike_and_are_not() -> None:
    classes = Classes()
    assert classes.of("SELECT 1 -- 'a\n, '' || 'b'").access is Access.READ
    assert classes.of("SELECT 1 -- 'a\n; DELETE FROM t; -- '").access is Access.WRITE
    assert classes.of("SELECT E'\\'', 'a'").access is Access.READ
    assert classes.of("SELECT E'\\'', nextval('s'), 'a'").access is Access.WRITE


@pytest.mark.parametrize(
    ("sql", "gone"),
    [
        ("CLOSE c", ("WITH HOLD cursor c",)),
        ("CLOSE ALL", ("WITH HOLD cursor *",)),
        ("UNLISTEN *", ("LISTEN",)),
        ("UNLISTEN one_of_them", ()),
        ("CLOSE a; UNLISTEN *; SELECT 1", ("WITH HOLD cursor a", "LISTEN")),
    ],
)
def test_what_frees_a_session_of_its_pins(sql: str, gone: tuple[str, ...]) -> None:
    assert Classes().of(sql).unpins == gone
