"""Writes through a synchronous standby: what the primary answers comes back unchanged, and what can go wrong does."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pytest
from conftest import find_program
from psycopg import pq
from support.node_process import MakeNode, NodeProcess, wait_until

Connection = psycopg.Connection[tuple[Any, ...]]
Outcome = tuple[Any, ...]


@dataclass
class Pair:
    """A primary and a standby that follows it."""

    primary: NodeProcess
    standby: NodeProcess


def flags(node: NodeProcess, mode: str, primary: NodeProcess | None = None, *more: str) -> list[str]:
    given = ["--replication-mode", mode, "--node-id", f"n{node.pg_port}", *more]
    if primary is None:
        return [*given, "--replication-role", "primary"]
    address = ["--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port)]
    return [*given, "--replication-role", "standby", *address]


def start_pair(primary: NodeProcess, standby: NodeProcess, mode: str, *more: str) -> Pair:
    primary.flags = flags(primary, mode)
    standby.flags = flags(standby, mode, primary, *more)
    return Pair(primary.start(), standby.start())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two nodes in sync mode for the tests that leave them as they are."""
    nodes = [NodeProcess(tmp_path_factory.mktemp(name)) for name in ("primary", "standby")]
    try:
        yield start_pair(nodes[0], nodes[1], "sync")
    finally:
        for node in nodes:
            node.kill()
            print(f"--- {node.directory.name}\n{node.log_tail()}")


@pytest.fixture
def own_pair(make_node: MakeNode) -> Callable[..., Pair]:
    """Makes two nodes for a test that stops them."""
    return lambda mode="sync", *more: start_pair(make_node(start=False), make_node(start=False), mode, *more)


DIAGNOSTICS = (
    "severity", "message_primary", "message_detail", "message_hint", "statement_position", "context", "schema_name",
    "table_name", "column_name", "datatype_name", "constraint_name",
)  # fmt: skip


class Dialogue:
    """Runs statements and keeps everything that a client sees of their outcome."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.outcomes: list[Outcome] = []
        connection.add_notice_handler(lambda notice: self.outcomes.append((notice.severity, notice.message_primary)))

    def run(self, sql: str, parameters: tuple[Any, ...] | None = None, *, binary: bool = False) -> None:
        state: Outcome
        try:
            cursor = self.connection.execute(sql, parameters, binary=binary)
            columns = [(column.name, column.type_code) for column in cursor.description or ()]
            state = (cursor.statusmessage, cursor.rowcount, columns, cursor.fetchall() if columns else None)
        except psycopg.Error as error:
            state = (error.sqlstate, *(getattr(error.diag, name) for name in DIAGNOSTICS))
        self.outcomes.append((sql, state, self.connection.info.transaction_status))

    def script(self, *statements: str) -> None:
        for statement in statements:
            self.run(statement)

    def copy_in(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        try:
            with self.connection.cursor() as cursor:
                with cursor.copy(sql) as copy:
                    for row in rows:
                        copy.write_row(row)
                self.outcomes.append((sql, cursor.statusmessage, self.connection.info.transaction_status))
        except psycopg.Error as error:
            self.outcomes.append((sql, error.sqlstate, error.diag.message_primary, error.diag.context))


def statements_of_all_kinds(dialogue: Dialogue) -> None:
    run, script = dialogue.run, dialogue.script
    script("DROP TABLE IF EXISTS w2, w")
    run("CREATE TABLE w (a serial PRIMARY KEY, b text UNIQUE, c numeric, d timestamptz DEFAULT '2020-01-01 00:00+00')")
    run("INSERT INTO w (b, c) VALUES (%s, %s) RETURNING *", ("x", 1.5))
    run("INSERT INTO w (b, c) VALUES (%s, %s) RETURNING *", ("y", 2), binary=True)
    run("INSERT INTO w (b, c) VALUES (%s, %s) RETURNING *", ("y", 2))
    script("SELECT * FROM w ORDER BY a", "SELECT lastval(), currval('w_a_seq')")
    for number in range(8):
        run("INSERT INTO w (b) VALUES (%s) RETURNING a", (f"z{number}",))
        run("SELECT b FROM w WHERE a = %s", (number,))
    script("UPDATE w SET c = 1 WHERE a > 3", "DELETE FROM w WHERE a = 4")
    run("MERGE INTO w USING (VALUES (1, 'x')) v (a, b) ON w.a = v.a WHEN MATCHED THEN UPDATE SET b = v.b")
    script("SELECT setval('w_a_seq', 5000)", "SELECT nextval('w_a_seq')", "SELECT currval('w_a_seq')")
    script("INSERT INTO nosuch VALUES (1)", "DROP TABLE IF EXISTS nosuch", "CREATE VIEW v AS SELECT a FROM w")
    script("ALTER VIEW v RENAME TO v2", "SELECT count(*) FROM v2", "DROP VIEW v2", "LOCK TABLE w", "VACUUM")
    dialogue.copy_in("COPY w (b, c) FROM STDIN", [(f"c{number}", number) for number in range(1000)])
    dialogue.copy_in("COPY w (b, c) FROM STDIN", [("c1", 1)])
    run("SELECT count(*), sum(c) FROM w")


def transactions_of_all_kinds(dialogue: Dialogue) -> None:
    run, script = dialogue.run, dialogue.script
    script("DROP TABLE IF EXISTS w2, w", "CREATE TABLE w (a serial PRIMARY KEY, b text UNIQUE, d timestamptz)")
    script("BEGIN", "SELECT count(*) FROM w", "SET LOCAL timezone = 'Europe/Berlin'", "SAVEPOINT s1")
    script("SET application_name = 'inner'", "INSERT INTO w (b, d) VALUES ('t1', '2020-01-01 00:00:00+00') RETURNING d")
    script("INSERT INTO w (b) VALUES ('t1')", "SELECT 1", "ROLLBACK TO SAVEPOINT s1", "SELECT count(*) FROM w")
    script("SHOW timezone", "SHOW application_name", "INSERT INTO w (b) VALUES ('t2')", "SET search_path TO public")
    script("SET application_name = 'outer'", "CREATE TABLE w2 (x int)")
    run("INSERT INTO w2 VALUES (%s)", (5,))
    script("SELECT * FROM w2", "PREPARE p AS SELECT b FROM w WHERE a > $1", "COMMIT", "EXECUTE p (0)")
    script("SELECT * FROM w2", "SHOW timezone", "SHOW application_name", "DEALLOCATE p", "EXECUTE p (0)")
    script("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM w", "DELETE FROM w WHERE a = 1")
    script("SET application_name = 'undone'", "ROLLBACK", "SELECT count(*) FROM w", "SHOW application_name")
    script("BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT count(*) FROM w", "INSERT INTO w (b) VALUES ('s')", "COMMIT")
    script("BEGIN READ ONLY", "INSERT INTO w (b) VALUES ('q')", "ROLLBACK", "BEGIN", "LOCK TABLE w", "COMMIT AND CHAIN")
    script("INSERT INTO w (b) VALUES ('chained')", "ROLLBACK", "INSERT INTO w (b) VALUES ('e')", "COMMIT", "ROLLBACK")
    script("BEGIN", "INSERT INTO w (b) VALUES ('f')", "SELECT nosuch", "COMMIT", "SELECT count(*) FROM w")
    script("BEGIN; INSERT INTO w (b) VALUES ('m1'); INSERT INTO w (b) VALUES ('m2'); COMMIT")
    script(
        "INSERT INTO w (b) VALUES ('m3'); INSERT INTO w (b) VALUES ('m1')", "SELECT count(*) FROM w WHERE b LIKE 'm_'"
    )
    script("PREPARE i AS INSERT INTO w (b) VALUES ($1)", "EXECUTE i ('e1')", "EXECUTE i ('e1')", "DEALLOCATE ALL")
    script("BEGIN", "DELETE FROM w", "DECLARE c CURSOR FOR SELECT generate_series(1, 5)", "FETCH 2 FROM c", "FETCH c")
    script("ROLLBACK", "SELECT count(*) FROM w", "TRUNCATE w2", "DROP TABLE w2", "SELECT * FROM w2")


@pytest.mark.parametrize("simple", [False, True])
@pytest.mark.parametrize("script", [statements_of_all_kinds, transactions_of_all_kinds])
def test_a_dialogue_is_the_same_on_both(pair: Pair, script: Callable[[Dialogue], None], simple: bool) -> None:
    seen = []
    for node in (pair.primary, pair.standby, pair.primary, pair.standby):
        options = {"cursor_factory": psycopg.ClientCursor} if simple else {}
        with node.connect(**options) as connection:
            dialogue = Dialogue(connection)
            script(dialogue)
            seen.append(dialogue.outcomes)
    assert len(seen[2]) > 30
    for ours, theirs in zip(seen[3], seen[2], strict=True):
        assert ours == theirs


def test_pipelines_are_one_transaction_there(pair: Pair) -> None:
    seen = []
    for node in (pair.primary, pair.standby):
        with node.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS pipes")
            connection.execute("CREATE TABLE pipes (a int PRIMARY KEY)")
            with connection.pipeline():
                cursors = [connection.execute("INSERT INTO pipes VALUES (%s) RETURNING a", (n,)) for n in range(5)]
                cursors.append(connection.execute("SELECT count(*) FROM pipes WHERE a > %s", (0,)))
            rows = [cursor.fetchall() for cursor in cursors]
            with pytest.raises(psycopg.errors.UniqueViolation), connection.pipeline():
                for number in (10, 11, 11, 12):
                    connection.execute("INSERT INTO pipes VALUES (%s)", (number,))
            seen.append((rows, connection.execute("SELECT count(*) FROM pipes").fetchall()))
    assert seen[0] == seen[1]
    assert seen[0][1] == [(5,)]


def test_psql_sees_what_the_primary_says(pair: Pair) -> None:
    psql = find_program("psql")
    if psql is None:
        pytest.skip("psql is not installed")
    script = (
        "DROP TABLE IF EXISTS shown; CREATE TABLE shown (a int PRIMARY KEY, b text);\n"
        "INSERT INTO shown VALUES (1, 'x'), (2, 'y');\nINSERT INTO shown VALUES (1, 'z');\n"
        "UPDATE shown SET b = 'q' RETURNING *;\nCOPY shown FROM STDIN;\n3\tc\n\\.\nSELECT * FROM shown ORDER BY a;\n"
        "BEGIN; DELETE FROM shown; ROLLBACK; COPY shown TO STDOUT;\n\\d shown\n"
    )
    said = []
    for node in (pair.primary, pair.standby, pair.standby):
        done = subprocess.run(
            [psql, "-X", "-f", "-"], env=node.environment(), input=script, text=True, capture_output=True, timeout=60
        )
        said.append((done.returncode, done.stdout, re.sub(r"psql:[^ ]* ", "", done.stderr)))
    assert said[1][1] == said[0][1]
    assert said[2] == said[1]
    assert "INSERT 0 2" in said[1][1] and "duplicate key" in said[1][2]


def test_a_session_reads_its_own_writes_here(pair: Pair) -> None:
    with pair.standby.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS own")
        connection.execute("CREATE TABLE own (a int)")
        for number in range(200):
            connection.execute("INSERT INTO own VALUES (%s)", (number,))
            assert connection.execute("SELECT max(a), pg_is_in_recovery() FROM own").fetchone() == (number, True)


def test_parameters_go_along_and_do_not_stay(pair: Pair) -> None:
    with pair.standby.connect(application_name="mine") as first:
        first.execute("DROP TABLE IF EXISTS told")
        first.execute("CREATE TABLE told (who text, zone text, mine text)")
        first.execute("SET timezone = 'Asia/Tokyo'")
        first.execute("SET my.own = 'it''s mine'")
        tell = (
            "INSERT INTO told VALUES (current_setting('application_name'), current_setting('timezone'), "
            "current_setting('my.own', true)) RETURNING *"
        )
        assert first.execute(tell).fetchone() == ("mine", "Asia/Tokyo", "it's mine")
        first.execute("RESET timezone")
        assert first.execute(tell).fetchone() == ("mine", "UTC", "it's mine")
    with pair.standby.connect(application_name="yours") as second:
        assert second.execute(tell).fetchone() in (("yours", "UTC", None), ("yours", "UTC", ""))


def test_temporary_tables_are_refused(pair: Pair) -> None:
    with pair.standby.connect() as connection:
        for begin in ("SELECT 1", "BEGIN"):
            connection.execute(begin)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="temporary tables on a standby"):
                connection.execute("CREATE TEMP TABLE t (a int)")
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE IF NOT EXISTS temporaries (a int)")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="temporary tables on a standby"):
            connection.execute("CREATE TEMP TABLE t (a int)")


def test_an_open_cursor_here_stands_in_the_way_of_a_write(pair: Pair) -> None:
    with pair.standby.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS under (a int)")
        connection.execute("BEGIN")
        connection.execute("DECLARE c CURSOR FOR SELECT generate_series(1, 9)")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="open cursor"):
            connection.execute("INSERT INTO under VALUES (1)")
        connection.execute("ROLLBACK")


def test_cancel_reaches_the_primary(pair: Pair) -> None:
    with pair.primary.connect() as holder, pair.standby.connect() as connection:
        holder.execute("CREATE TABLE IF NOT EXISTS waited (a int)")
        holder.execute("BEGIN")
        holder.execute("INSERT INTO waited VALUES (1)")
        for begin in ("", "BEGIN; "):
            canceller = threading.Timer(0.3, connection.cancel_safe)
            canceller.start()
            with pytest.raises(psycopg.errors.QueryCanceled, match="due to user request"):
                connection.execute(f"{begin}INSERT INTO waited VALUES (2)")
            canceller.join()
        connection.execute("ROLLBACK")
        connection.execute("SET statement_timeout = '200ms'")
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            connection.execute("INSERT INTO waited VALUES (3)")
        connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute("INSERT INTO waited VALUES (4)")
        holder.execute("ROLLBACK")
        connection.execute("INSERT INTO waited VALUES (5)")


def test_a_client_that_leaves_takes_its_transaction_along(pair: Pair) -> None:
    with pair.primary.connect() as other:
        other.execute("CREATE TABLE IF NOT EXISTS left_behind (a int)")
        connection = pair.standby.connect()
        connection.execute("BEGIN")
        connection.execute("INSERT INTO left_behind VALUES (1)")
        other.execute("SET lock_timeout = '10s'")
        connection.close()
        other.execute("INSERT INTO left_behind VALUES (2)")
        assert other.execute("SELECT a FROM left_behind").fetchall() == [(2,)]


def test_more_clients_than_connections(own_pair: Callable[..., Pair]) -> None:
    both = own_pair("sync", "--set", "replication.forward_connections=2")
    with both.standby.connect() as connection:
        connection.execute("CREATE TABLE shared (who int, n int)")
    failures: list[BaseException] = []

    def write(who: int) -> None:
        try:
            with both.standby.connect() as mine:
                for number in range(20):
                    with mine.transaction():
                        mine.execute("INSERT INTO shared VALUES (%s, %s)", (who, number))
                        mine.execute("SELECT count(*) FROM shared")
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with both.standby.connect() as connection:
        connection.execute("INSERT INTO shared VALUES (-1, -1)")
        assert connection.execute("SELECT count(*) FROM shared").fetchone() == (121,)


def test_an_async_standby_refuses_writes_and_linearizable_reads(own_pair: Callable[..., Pair]) -> None:
    both = own_pair("async")
    with both.standby.connect() as connection:
        for sql in ("CREATE TABLE t (a int)", "BEGIN; CREATE TABLE t (a int)"):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction) as refused:
                connection.execute(sql)
            assert refused.value.diag.message_primary == (
                "cannot execute write operations in read-only mode (async standby)"
            )
            assert refused.value.diag.message_hint == (
                "Connect to the primary for write operations, or configure sync mode for transparent routing."
            )
            connection.execute("ROLLBACK")
        connection.execute("SET read_consistency = linearizable")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="linearizable"):
            connection.execute("SELECT 1")


def test_a_write_waits_for_the_primary(own_pair: Callable[..., Pair]) -> None:
    both = own_pair("semi-sync", "--set", "replication.forward_timeout=2s")
    with both.standby.connect() as connection, both.standby.connect() as waiting:
        connection.execute("CREATE TABLE t (a int)")
        both.primary.kill()
        # A write that is sent before that is in doubt.
        wait_until(lambda: both.standby.http("/ready")[0] == 503, "the standby misses the primary", 10.0)
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="could not be reached within 2 s") as lost:
            connection.execute("INSERT INTO t VALUES (1)")
        assert 1.5 < time.monotonic() - began < 8
        assert lost.value.sqlstate == "08006"
        assert "forward_timeout" in (lost.value.diag.message_hint or "")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
        connection.execute("BEGIN")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO t VALUES (1)")
        assert connection.info.transaction_status is pq.TransactionStatus.INERROR
        connection.execute("ROLLBACK")
        waiting.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            waiting.execute("INSERT INTO t VALUES (2)")


def test_a_primary_that_comes_back_gets_the_write_that_waited(own_pair: Callable[..., Pair]) -> None:
    both = own_pair()
    with both.standby.connect() as connection:
        connection.execute("CREATE TABLE t (a int)")
        both.primary.kill()
        starter = threading.Thread(target=both.primary.start)
        starter.start()
        connection.execute("INSERT INTO t VALUES (1)")
        starter.join()
        assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_the_primary_dies_within_a_transaction(own_pair: Callable[..., Pair]) -> None:
    both = own_pair()
    with both.standby.connect() as writes, both.standby.connect() as reads:
        writes.execute("CREATE TABLE t (a int)")
        for each, level, sql in (
            (writes, "READ COMMITTED", "INSERT INTO t VALUES (1)"),
            (reads, "REPEATABLE READ", "SELECT count(*) FROM t"),
        ):
            each.execute("SET application_name = 'before'")
            each.execute(f"BEGIN ISOLATION LEVEL {level}")
            each.execute("SET application_name = 'inside'")
            each.execute(sql)
        both.primary.kill()
        with pytest.raises(psycopg.OperationalError, match="rolled back") as lost:
            writes.execute("SELECT 1")
        assert lost.value.sqlstate == "08006"
        assert writes.info.transaction_status is pq.TransactionStatus.INERROR
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            writes.execute("SELECT 1")
        writes.execute("ROLLBACK")
        with pytest.raises(psycopg.OperationalError, match="rolled back"):
            reads.execute("COMMIT")
        assert reads.info.transaction_status is pq.TransactionStatus.IDLE
        for each in (writes, reads):
            assert each.execute("SHOW application_name").fetchone() == ("before",)
        both.primary.start()
        writes.execute("INSERT INTO t VALUES (2)")
        assert writes.execute("SELECT a FROM t").fetchall() == [(2,)]


def test_the_outcome_is_unknown_when_the_primary_dies_over_a_commit(own_pair: Callable[..., Pair]) -> None:
    """And nobody leads in time to ask."""
    both = own_pair("sync", "--set", "replication.forward_timeout=2s")
    with both.standby.connect() as block, both.standby.connect() as alone, both.standby.connect() as other:
        block.execute("CREATE TABLE t (a int)")
        alone.execute("INSERT INTO t VALUES (0)")
        block.execute("BEGIN")
        block.execute("INSERT INTO t VALUES (1)")
        both.primary.send(signal.SIGSTOP)
        errors: list[psycopg.Error] = []

        def run(each: Connection, sql: str) -> None:
            try:
                each.execute(sql)
            except psycopg.Error as error:
                errors.append(error)

        work = ((block, "COMMIT"), (alone, "INSERT INTO t VALUES (2)"))
        threads = [threading.Thread(target=run, args=arguments) for arguments in work]
        for thread in threads:
            thread.start()
        active = pq.TransactionStatus.ACTIVE
        wait_until(lambda: block.info.transaction_status is alone.info.transaction_status is active, "both are sent")
        # The standby handles what comes in its order: once this is answered, the others have been sent on.
        other.execute("SELECT 1")
        both.primary.kill()
        for thread in threads:
            thread.join()
        assert [error.sqlstate for error in errors] == ["08007", "08007"]
        assert block.info.transaction_status is alone.info.transaction_status is pq.TransactionStatus.IDLE


def test_a_standby_of_a_standby_takes_its_writes_to_the_primary(
    own_pair: Callable[..., Pair], make_node: MakeNode
) -> None:
    both = own_pair()
    third = make_node(start=False)
    third.flags = flags(third, "sync", both.standby)
    third.start()
    with third.connect() as connection, both.primary.connect() as holder:
        connection.execute("CREATE TABLE t (a int)")
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES (1)")
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        assert connection.execute("SELECT count(*), pg_is_in_recovery() FROM t").fetchone() == (1, True)
        holder.execute("BEGIN")
        holder.execute("INSERT INTO t VALUES (2)")
        canceller = threading.Timer(0.3, connection.cancel_safe)
        canceller.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("INSERT INTO t VALUES (3)")
        canceller.join()
        holder.execute("ROLLBACK")
        # It has no stream from the primary, and knows who it is all the same.
        name = f"n{both.primary.pg_port}"
        assert third.http("/status")[1]["cluster"]["primary_id"] == name
        found = connection.execute("SELECT node_id FROM helios_topology WHERE role = 'primary'").fetchall()
        assert found == [(name,)]
        forwarded = re.search(r"^heliosdb_forwarded_total (\d+)", third.http("/metrics")[1], re.MULTILINE)
        assert forwarded is not None and int(forwarded[1]) >= 3


# Reading what was written -----------------------------------------------------------------------------------------


def lsn_of(connection: Connection) -> str:
    found = connection.execute("SHOW helios.lsn").fetchone()
    assert found is not None
    return str(found[0])


def test_the_lsn_comes_back_with_the_commit(pair: Pair) -> None:
    for node in (pair.primary, pair.standby):
        with node.connect() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS tokens (a int)")
            assert connection.info.parameter_status("helios.lsn") is None
            connection.execute("SET helios.report_lsn = on")
            seen = []
            for sql in ("INSERT INTO tokens VALUES (1)", "BEGIN; INSERT INTO tokens VALUES (2); COMMIT"):
                connection.execute(sql)
                seen.append(connection.info.parameter_status("helios.lsn"))
                assert seen[-1] == lsn_of(connection)
            assert seen[0] != seen[1]


def test_another_node_waits_for_a_token(pair: Pair) -> None:
    with pair.primary.connect() as writer, pair.standby.connect() as reader:
        for number in range(50):
            writer.execute(f"DROP TABLE IF EXISTS new{abs(number - 1)}")
            writer.execute(f"CREATE TABLE new{number} (a int)")
            reader.execute(f"SET helios.min_lsn = '{lsn_of(writer)}'")
            assert reader.execute(f"SELECT count(*) FROM new{number}").fetchone() == (0,)


def test_the_wait_for_a_token_has_an_end(pair: Pair) -> None:
    for node in (pair.primary, pair.standby):
        with node.connect() as connection:
            connection.execute("SET helios.min_lsn = 'FFFF/0'")
            connection.execute("SET helios.min_lsn_timeout = '200ms'")
            with pytest.raises(psycopg.errors.QueryCanceled, match="waiting for LSN FFFF/0") as late:
                connection.execute("SELECT 1")
            assert "min_lsn_timeout" in (late.value.diag.message_hint or "")
            connection.execute("SET helios.min_lsn_timeout = '1min'")
            canceller = threading.Timer(0.2, connection.cancel_safe)
            canceller.start()
            with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
                connection.execute("SELECT 1")
            canceller.join()
            connection.execute("SET statement_timeout = '100ms'")
            with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
                connection.execute("SELECT %s", (1,))
            with pytest.raises(psycopg.errors.InvalidParameterValue):
                connection.execute("SET helios.min_lsn = 'soon'")
            connection.execute("RESET helios.min_lsn")
            connection.execute("SELECT 1")


@pytest.mark.parametrize("level", ["eventual", "session", "committed", "linearizable"])
def test_levels_of_consistency(pair: Pair, level: str) -> None:
    with pair.primary.connect() as writer, pair.standby.connect() as reader:
        writer.execute("CREATE TABLE IF NOT EXISTS levels (a int)")
        reader.execute(f"SET helios.min_lsn = '{lsn_of(writer)}'")
        reader.execute("SELECT 1")
        reader.execute("RESET helios.min_lsn")
        reader.execute(f"SET read_consistency = {level}")
        assert reader.execute("SHOW helios.read_consistency").fetchone() == (level,)
        for number in range(100):
            writer.execute("UPDATE levels SET a = %s", (number,))
            if not number:
                writer.execute("INSERT INTO levels VALUES (0)")
            found = reader.execute("SELECT max(a), pg_is_in_recovery() FROM levels").fetchone()
            assert found is not None
            assert found[1] is (level != "linearizable")
            if level in ("committed", "linearizable"):
                assert found[0] == number
        writer.execute("DELETE FROM levels")


def test_a_primary_that_nobody_confirms_does_not_read_linearizably(own_pair: Callable[..., Pair]) -> None:
    both = own_pair()
    with both.primary.connect() as connection:
        connection.execute("CREATE TABLE t (a int)")
        connection.execute("SET read_consistency = linearizable")
        for number in range(20):
            assert connection.execute("SELECT count(*) FROM t WHERE a <> %s", (number,)).fetchone() == (0,)
        both.standby.send(signal.SIGSTOP)
        connection.execute("SET helios.min_lsn_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled, match="confirm that this one leads"):
            connection.execute("SELECT count(*) FROM t")
        connection.execute("SET read_consistency = committed")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
        both.standby.send(signal.SIGCONT)


# Roles change -----------------------------------------------------------------------------------------------------


def test_writes_through_a_standby_survive_a_switchover(own_pair: Callable[..., Pair]) -> None:
    both = own_pair()
    with both.standby.connect() as connection:
        connection.execute("CREATE TABLE t (who int, n int)")
    stop = threading.Event()
    failures: list[tuple[str | None, str]] = []
    written = [0] * 4

    def write(who: int) -> None:
        with both.standby.connect(prepare_threshold=None if who % 2 else 0) as mine:
            while not stop.is_set():
                try:
                    mine.execute("INSERT INTO t VALUES (%s, %s)", (who, written[who]))
                    written[who] += 1
                except psycopg.Error as error:
                    failures.append((error.sqlstate, str(error)))
                    stop.set()

    def write_there() -> None:
        with both.primary.connect() as mine:
            while not stop.is_set():
                try:
                    mine.execute("INSERT INTO t VALUES (-1, -1)")
                except psycopg.Error as error:
                    failures.append((error.sqlstate, str(error)))
                    stop.set()

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    threads.append(threading.Thread(target=write_there))
    for thread in threads:
        thread.start()
    with contextlib.ExitStack() as stack:
        stack.callback(stop.set)
        wait_until(lambda: min(written) > 20 or stop.is_set(), "writes flow")
        before = list(written)
        status, answer = both.primary.http("/admin/switchover", body={"to": f"n{both.standby.pg_port}"}, timeout=30)
        assert status == 200, answer
        wait_until(lambda: all(now > then + 20 for now, then in zip(written, before, strict=True)) or stop.is_set(),
                   "writes flow again")  # fmt: skip
    for thread in threads:
        thread.join()
    assert failures == []
    count = "SELECT pg_is_in_recovery(), count(*) FROM t WHERE who >= 0"
    with both.standby.connect() as connection:
        assert connection.execute(count).fetchone() == (False, sum(written))
    with both.primary.connect() as connection:
        connection.execute("INSERT INTO t VALUES (9, 9)")
        assert connection.execute(count).fetchone() == (True, sum(written) + 1)


def _insert_plainly(client: psycopg.Connection[Any], number: int) -> None:
    client.execute("INSERT INTO t VALUES (%s)", (number,))


def _insert_in_a_block(client: psycopg.Connection[Any], number: int) -> None:
    with client.transaction():
        client.execute("SELECT count(*) FROM t")
        client.execute("INSERT INTO t VALUES (%s)", (number,))
        client.execute("UPDATE t SET a = a WHERE a = %s", (number,))


def _insert_the_general_way(client: psycopg.Connection[Any], number: int) -> None:
    client.execute("INSERT INTO t SELECT %s::int FROM pg_sleep(0)", (number,))


def _lock(client: psycopg.Connection[Any], number: int) -> None:
    with client.transaction():
        client.execute("SELECT * FROM t FOR UPDATE")
        client.execute("INSERT INTO t VALUES (%s)", (number,))


WAITERS: Final = (_insert_plainly, _insert_in_a_block, _insert_the_general_way, _lock)


def test_what_waits_on_the_primary_goes_to_the_next_one(own_pair: Callable[..., Pair]) -> None:
    both = own_pair()
    with both.primary.connect() as setup:
        setup.execute("CREATE TABLE t (a int)")
    failures: list[str] = []

    def run(number: int, simple: bool, client: psycopg.Connection[Any]) -> None:
        try:
            WAITERS[number % len(WAITERS)](client, number)
        except psycopg.Error as error:
            failures.append(f"{WAITERS[number % len(WAITERS)].__name__}, {simple=}: {error.sqlstate} {error}")

    def give_away() -> None:
        answers.append(both.primary.http("/admin/switchover", body={"to": f"n{both.standby.pg_port}"}, timeout=30))

    answers: list[tuple[int, Any]] = []
    with contextlib.ExitStack() as stack:
        holder = stack.enter_context(both.primary.connect(autocommit=False))
        holder.execute("INSERT INTO t VALUES (-1)")
        threads = [threading.Thread(target=give_away)]
        threads[0].start()
        for number in range(2 * len(WAITERS)):
            simple = number >= len(WAITERS)
            options: dict[str, Any] = {"cursor_factory": psycopg.ClientCursor} if simple else {"prepare_threshold": 0}
            client = stack.enter_context(both.primary.connect(**options))
            client.execute("SELECT count(*) FROM t")
            threads.append(threading.Thread(target=run, args=(number, simple, client)))
            threads[-1].start()
        look = stack.enter_context(both.primary.connect())
        sql = """SELECT count(*) FROM pg_stat_activity
                 WHERE state = 'active' AND wait_event = 'writer' AND query ~ '^(INSERT|SELECT .* UPDATE)'"""
        wait_until(lambda: look.execute(sql).fetchone() == (2 * len(WAITERS),), "all of them wait")
        holder.commit()
        for thread in threads:
            thread.join()
    assert failures == []
    assert [status for status, _ in answers] == [200], answers
    with both.standby.connect() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        rows = connection.execute("SELECT a FROM t ORDER BY a").fetchall()
        assert rows == [(number,) for number in range(-1, 2 * len(WAITERS))]


def test_what_waited_for_a_primary_is_done_by_the_standby_that_becomes_it(own_pair: Callable[..., Pair]) -> None:
    both = own_pair("async")
    both.standby.stop()
    both.standby.flags = [flag.replace("async", "semi-sync") for flag in both.standby.flags]
    both.standby.start()
    standby = both.standby
    with standby.connect() as setup:
        setup.execute("CREATE TABLE t (a int)")
        setup.execute("SELECT count(*) FROM t")
    both.primary.kill()
    failures: list[str] = []

    def run(number: int) -> None:
        options: dict[str, Any] = {"cursor_factory": psycopg.ClientCursor} if number % 2 else {}
        try:
            with standby.connect(**options) as connection, contextlib.ExitStack() as stack:
                if number >= 2:
                    stack.enter_context(connection.transaction())
                    connection.execute("SELECT count(*) FROM t")
                connection.execute("INSERT INTO t VALUES (%s)", (number,))
        except psycopg.Error as error:
            failures.append(f"{number}: {error}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    with standby.connect() as look:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO t%'"
        wait_until(lambda: look.execute(sql).fetchone() == (4,), "all of them wait")
        status, answer = standby.http("/admin/promote", body={"allow_data_loss": True}, timeout=30)
        assert status == 200, answer
        for thread in threads:
            thread.join()
        assert failures == []
        assert look.execute("SELECT count(*), pg_is_in_recovery() FROM t").fetchone() == (4, False)
