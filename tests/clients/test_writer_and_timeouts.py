"""Who waits for the writer and for how long; every way out of a statement gives the writer back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors
from support.node_process import MakeNode, NodeProcess, wait_until
from support.raw_wire import FLUSH, SYNC, RawClient, bind, describe, execute, parse, query

LONG_READ = "SELECT count(*) FROM generate_series(1, 1000000000)"
LONG_WRITE = "INSERT INTO big SELECT g FROM generate_series(1, 1000000000) AS g"


@pytest.fixture(autouse=True)
def tables(server: NodeProcess) -> Iterator[None]:
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS big")
        connection.execute("CREATE TABLE t (a int PRIMARY KEY, b text); CREATE TABLE big (a bigint)")
        connection.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    yield
    with server.connect() as connection:
        # Whatever the test did, the writer is free again.
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("INSERT INTO t VALUES (-1, 'free')")


def raw(server: NodeProcess, **parameters: str) -> RawClient:
    return RawClient(server.pg_port, parameters=parameters)


def sqlstate(answers: list[tuple[str, object]]) -> str | None:
    for code, fields in answers:
        if code == "E":
            assert isinstance(fields, dict)
            return str(fields["C"])
    return None


def test_second_writer_waits_and_goes_on(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as first, server.connect() as second:
        first.execute("UPDATE t SET b = 'first' WHERE a = 1")
        done = threading.Event()

        def write() -> None:
            second.execute("UPDATE t SET b = b || ' second' WHERE a = 1")
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        assert not done.wait(0.2)
        first.commit()
        thread.join(10)
        assert done.is_set()
        assert second.execute("SELECT b FROM t WHERE a = 1").fetchone() == ("first second",)


@pytest.mark.parametrize("statement", ["UPDATE t SET b = 'x'", "BEGIN; DELETE FROM t", "CREATE TABLE u (a int)"])
def test_lock_timeout(server: NodeProcess, statement: str) -> None:
    with server.connect(autocommit=False) as holder, server.connect() as other:
        holder.execute("DELETE FROM t")
        other.execute("SET lock_timeout = 80")
        with pytest.raises(errors.LockNotAvailable, match="canceling statement due to lock timeout"):
            other.execute(statement)
        other.execute("ROLLBACK")
        assert other.execute("SELECT count(*) FROM t").fetchone() == (2,)
        holder.rollback()
        other.execute("UPDATE t SET b = 'y' WHERE a = 2")


@pytest.mark.parametrize("statement", ["UPDATE t SET b = 'x'", LONG_READ, LONG_WRITE, f"BEGIN; {LONG_WRITE}"])
def test_statement_timeout(server: NodeProcess, statement: str) -> None:
    with server.connect(autocommit=False) as holder, server.connect() as other:
        if statement.startswith("UPDATE"):
            holder.execute("DELETE FROM t")
        other.execute("SET statement_timeout = 150")
        with pytest.raises(errors.QueryCanceled, match="canceling statement due to statement timeout"):
            other.execute(statement)
        other.execute("ROLLBACK")
        assert other.execute("SELECT count(*) FROM t").fetchone() == (2,)


@pytest.mark.parametrize("fetch", ["FETCH 1000000000 FROM c", "FETCH ALL FROM c"])
def test_statement_timeout_reaches_a_fetch(server: NodeProcess, fetch: str) -> None:
    with server.connect(autocommit=False) as connection:
        connection.execute("SET statement_timeout = 150")
        connection.execute("DECLARE c CURSOR FOR SELECT count(*) FROM generate_series(1, 1000000000)")
        with pytest.raises(errors.QueryCanceled):
            connection.execute(fetch)


def test_timeouts_of_the_node_hold_for_its_sessions(make_node: MakeNode) -> None:
    node = make_node("--set", "statement_timeout=150ms", "--set", "lock_timeout=100ms")
    with node.connect() as connection, node.connect(autocommit=False) as holder:
        connection.execute("CREATE TABLE t (a int)")
        with pytest.raises(errors.QueryCanceled):
            connection.execute(LONG_READ)
        holder.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(errors.LockNotAvailable):
            connection.execute("INSERT INTO t VALUES (2)")
        holder.rollback()
        connection.execute("SET statement_timeout = 0")
        assert connection.execute("SHOW lock_timeout").fetchone() == ("100ms",)


@pytest.mark.parametrize("before", ["SELECT 1", "DELETE FROM t"])
def test_idle_in_transaction_timeout(server: NodeProcess, before: str) -> None:
    with raw(server) as idle:
        idle.run("SET idle_in_transaction_session_timeout = 100")
        idle.run("BEGIN")
        idle.run(before)
        answers = idle.to_the_end()
        assert sqlstate(answers) == "25P03"


def test_idle_writer_gives_way_to_those_who_wait(make_node: MakeNode) -> None:
    node = make_node("--set", "idle_writer_timeout=200ms")
    with node.connect() as connection, RawClient(node.pg_port) as idle:
        connection.execute("CREATE TABLE t (a int)")
        idle.run("BEGIN")
        idle.run("INSERT INTO t VALUES (1)")
        connection.execute("INSERT INTO t VALUES (2)")
        assert connection.execute("SELECT a FROM t").fetchall() == [(2,)]
        answers = idle.to_the_end()
        assert sqlstate(answers) == "25P03"
        assert answers[-1][1]["H"] == "Write last in a transaction, or raise idle_writer_timeout."


@pytest.mark.parametrize(
    "statements",
    [
        [LONG_READ], [LONG_WRITE], ["BEGIN", LONG_WRITE], ["BEGIN", "SELECT a FROM t", LONG_READ],
        ["BEGIN", "DELETE FROM t", LONG_READ], ["CREATE TABLE u AS SELECT g FROM generate_series(1, 1000000000) AS g"],
        ["BEGIN", "DECLARE c CURSOR FOR SELECT count(*) FROM generate_series(1, 1000000000)", "FETCH c"],
        ["BEGIN ISOLATION LEVEL REPEATABLE READ", LONG_READ],
        ["CREATE TEMP TABLE own (a int)", LONG_READ],
        ["CREATE TEMP TABLE own (a int)", "INSERT INTO own SELECT g FROM generate_series(1, 1000000000) AS g"],
    ],
)  # fmt: skip
def test_cancel_a_running_statement(server: NodeProcess, statements: list[str]) -> None:
    with raw(server) as client:
        for statement in statements[:-1]:
            assert sqlstate(client.run(statement)) is None
        client.send(query(statements[-1]))
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.receive()
        client.socket.settimeout(10)
        client.cancel()
        answers = client.until("Z")
        assert sqlstate(answers) == "57014"
        assert answers[-1][1] == ("E" if statements[0].startswith("BEGIN") else "I")
        client.run("ROLLBACK")
        assert client.run("SELECT count(*) FROM t")[1] == ("D", (b"2",))


def test_cancel_a_waiting_writer_and_an_idle_session(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as holder, raw(server) as client:
        client.cancel()
        assert sqlstate(client.run("SELECT 1")) is None
        holder.execute("DELETE FROM t")
        for statement in ("DELETE FROM t", "BEGIN; DELETE FROM t", "CREATE TABLE u (a int)"):
            client.send(query(statement))
            client.socket.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.receive()
            client.socket.settimeout(10)
            client.cancel()
            assert sqlstate(client.until("Z")) == "57014"
            client.run("ROLLBACK")
        holder.rollback()
        assert client.run("SELECT count(*) FROM t")[1] == ("D", (b"2",))


def test_cancel_with_a_wrong_key_does_nothing(server: NodeProcess) -> None:
    with raw(server) as client:
        client.key = bytes(byte ^ 1 for byte in client.key)
        client.send(query("SELECT count(*) FROM generate_series(1, 3000000)"))
        client.cancel()
        assert sqlstate(client.until("Z")) is None


@pytest.mark.parametrize(
    "statements",
    [
        ["BEGIN", "DELETE FROM t"], ["BEGIN", "DELETE FROM t", LONG_READ], ["BEGIN", LONG_WRITE], [LONG_WRITE],
        [LONG_READ], ["BEGIN", "SAVEPOINT s", "DELETE FROM t", "SELECT 1/0"], ["BEGIN ISOLATION LEVEL SERIALIZABLE",
        "SELECT 1"], ["BEGIN", "DELETE FROM t", "COPY t FROM STDIN"], ["COPY t FROM STDIN"],
        ["BEGIN", "CREATE TABLE u (a int)"], ["CREATE TEMP TABLE own (a int)", "BEGIN", "DELETE FROM t"],
    ],
)  # fmt: skip
def test_disconnect_gives_the_writer_back(server: NodeProcess, statements: list[str]) -> None:
    with raw(server) as client:
        for statement in statements[:-1]:
            client.run(statement)
        client.send(query(statements[-1]))
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            while True:
                client.receive()
    with server.connect() as other:
        other.execute("SET lock_timeout = '10s'")
        other.execute("INSERT INTO t VALUES (3, 'after')")
        assert other.execute("SELECT count(*) FROM t").fetchone() == (3,)
        assert other.execute("SELECT count(*) FROM big").fetchone() == (0,)


def test_disconnect_while_waiting_leaves_the_queue(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as holder, server.connect() as other:
        holder.execute("DELETE FROM t WHERE a = 1")
        for statement in ("DELETE FROM t", "BEGIN; DELETE FROM t; COMMIT", "DROP TABLE t"):
            with raw(server) as client:
                client.send(query(statement))
                client.socket.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    client.receive()
        with raw(server) as client:
            client.send(parse("DELETE FROM t"), bind(), execute(), FLUSH)
        holder.commit()
        other.execute("INSERT INTO t VALUES (4, 'x')")
        wait_until(
            lambda: other.execute("SELECT count(*) FROM t").fetchone() == (2,), "nothing of the lost clients was done"
        )


def test_own_write_is_seen_with_asynchronous_commit(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute("SET synchronous_commit = off")
        for number in range(100, 300):
            connection.execute("INSERT INTO t VALUES (%s, 'x')", (number,))
            assert connection.execute("SELECT a FROM t WHERE a = %s", (number,)).fetchone() == (number,)
        with connection.transaction():
            connection.execute("DELETE FROM t WHERE a >= 100")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_serializable_transactions_run_one_after_the_other(server: NodeProcess) -> None:
    def add(connection: psycopg.Connection[tuple[int]]) -> None:
        for _ in range(20):
            with connection.transaction():
                row = connection.execute("SELECT a FROM big").fetchone()
                assert row is not None
                connection.execute("UPDATE big SET a = %s", (row[0] + 1,))

    with server.connect() as setup:
        setup.execute("INSERT INTO big VALUES (0)")
    connections = [server.connect() for _ in range(3)]
    for connection in connections:
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    threads = [threading.Thread(target=add, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert connections[0].execute("SELECT a FROM big").fetchone() == (60,)
    for connection in connections:
        connection.close()


def test_repeatable_read_retry_succeeds(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as one, server.connect() as other:
        one.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        one.execute("SELECT b FROM t WHERE a = 1")
        other.execute("UPDATE t SET b = 'other' WHERE a = 1")
        with pytest.raises(errors.SerializationFailure, match="could not serialize access due to concurrent update"):
            one.execute("UPDATE t SET b = b || '!' WHERE a = 1")
        one.rollback()
        one.execute("SELECT b FROM t WHERE a = 1")
        one.execute("UPDATE t SET b = b || '!' WHERE a = 1")
        one.commit()
        assert other.execute("SELECT b FROM t WHERE a = 1").fetchone() == ("other!",)


@pytest.mark.parametrize("params", [None, (1,)])
def test_a_short_statement_with_long_consequences(server: NodeProcess, params: tuple[int] | None) -> None:
    """A cascade makes a key lookup long: alone it runs again on a thread, in a transaction it fails as a whole."""
    delete = "DELETE FROM parent WHERE a = 1" if params is None else "DELETE FROM parent WHERE a = %s"
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS parent")
        connection.execute("CREATE TABLE parent (a int PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id int PRIMARY KEY, a int REFERENCES parent (a) ON DELETE CASCADE)")
        connection.execute("CREATE INDEX ON child (a)")
        for alone in (True, False):
            connection.execute("INSERT INTO parent VALUES (1)")
            connection.execute("INSERT INTO child SELECT g, 1 FROM generate_series(1, 60000) AS g")
            if alone:
                assert connection.execute(delete, params).rowcount == 1
            else:
                connection.execute("CREATE INDEX ON child (a, id)")  # A new schema, so how long it took is forgotten.
                _delete_in_transaction(connection, delete, params)
            assert connection.execute("SELECT count(*) FROM child").fetchone() == (0,)


def _delete_in_transaction(connection: psycopg.Connection[tuple[int]], delete: str, params: tuple[int] | None) -> None:
    for attempt in range(2):
        try:
            with connection.transaction():
                connection.execute("INSERT INTO parent VALUES (2)")
                connection.execute(delete, params)
        except errors.SerializationFailure:
            assert attempt == 0
            assert connection.execute("SELECT a FROM parent ORDER BY a").fetchall() == [(1,)]
        else:
            assert connection.execute("SELECT a FROM parent").fetchall() == [(2,)]
            return


def test_the_time_of_a_statement_runs_while_the_client_is_silent(server: NodeProcess) -> None:
    with raw(server, options="-c statement_timeout=100") as client, raw(server) as other:
        client.send(parse("SELECT 1", "s"), FLUSH)
        assert client.until("1E")[-1][0] == "1"
        other.run("SELECT pg_sleep(0.2)")
        assert sqlstate(client.ask(describe("S", "s"), SYNC)) == "57014"
        for answered in (execute(), SYNC):
            # It ends with Execute and with Sync.
            client.send(parse("SELECT 1"), bind(), answered, FLUSH)
            client.until("CZE")
            other.run("SELECT pg_sleep(0.2)")
            assert sqlstate(client.ask(parse("SELECT 2"), SYNC)) is None
