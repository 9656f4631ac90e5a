"""Large objects and the protocol's FunctionCall; the answers are PostgreSQL 15's."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess
from support.raw_wire import RawClient, message

Connection = psycopg.Connection[tuple[Any, ...]]
READ, WRITE = 0x40000, 0x20000


def value(connection: Connection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def state(connection: Connection, sql: str) -> tuple[str | None, str | None]:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql)
    return caught.value.sqlstate, caught.value.diag.message_primary


@pytest.fixture
def client(server: NodeProcess) -> Iterator[Connection]:
    with server.connect() as connection:
        yield connection
        connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")


def test_bytes_across_pages_and_holes(client: Connection) -> None:
    with client.transaction():
        oid = value(client, "SELECT lo_creat(-1)")
        assert value(client, f"SELECT lo_open({oid}, {READ | WRITE})") == 0
        assert value(client, "SELECT lowrite(0, repeat('x', 3000)::bytea)") == 3000
        assert value(client, "SELECT lo_lseek(0, 2040, 0)") == 2040
        assert value(client, "SELECT lowrite(0, 'across the pages')") == 16
        assert value(client, "SELECT lo_lseek64(0, 10000, 0)") == 10000
        assert value(client, "SELECT lowrite(0, '\\x01')") == 1
        assert value(client, "SELECT lo_lseek(0, -2, 2), lo_tell(0), lo_tell64(0)") == (9999, 9999, 9999)
        assert value(client, "SELECT loread(0, 10)") == b"\0\1"
    expected = (b"x" * 2040 + b"across the pages" + b"x" * 944).ljust(10000, b"\0") + b"\1"
    assert value(client, f"SELECT lo_get({oid})") == expected
    pages = client.execute("SELECT pageno, length(data) FROM pg_largeobject ORDER BY 1").fetchall()
    assert pages == [(0, 2048), (1, 952), (4, 1809)]
    with client.transaction():
        value(client, f"SELECT lo_open({oid}, {WRITE})")
        assert value(client, "SELECT lo_truncate(0, 2044)") == 0
        assert value(client, "SELECT lo_truncate64(0, 5000)") == 0
    assert value(client, f"SELECT lo_get({oid})") == expected[:2044].ljust(5000, b"\0")
    client.execute(f"SELECT lo_put({oid}, 4999, 'ab')")
    assert value(client, f"SELECT lo_get({oid}, 4998, 100), lo_get({oid}, 9000, 1)") == (b"\0ab", b"")


def test_what_is_refused(client: Connection) -> None:
    assert value(client, "SELECT lo_from_bytea(4711, 'there')") == 4711
    assert state(client, "SELECT lo_create(4711)") == (
        "23505", 'duplicate key value violates unique constraint "pg_largeobject_metadata_oid_index"',
    )  # fmt: skip
    assert state(client, f"SELECT lo_open(1, {READ})") == ("42704", "large object 1 does not exist")
    assert state(client, "SELECT lo_open(4711, 0)") == ("22023", "invalid flags for opening a large object: 0")
    assert state(client, "SELECT lo_get(4711, 1, -1)") == ("22023", "requested length cannot be negative")
    assert state(client, "SELECT lo_unlink(12)") == ("42704", "large object 12 does not exist")
    assert value(client, f"SELECT loread(lo_open(4711, {READ}), 5)") == b"there"
    # A descriptor ends with its transaction, which here was the statement.
    assert state(client, "SELECT loread(0, 5)") == ("42704", "invalid large-object descriptor: 0")
    with client.transaction():
        value(client, f"SELECT lo_open(4711, {READ})")
        for sql, expected in (
            ("SELECT lowrite(0, 'x')", ("55000", "large object descriptor 0 was not opened for writing")),
            ("SELECT lo_truncate(0, 1)", ("55000", "large object descriptor 0 was not opened for writing")),
            ("SELECT lo_lseek(0, -1, 0)", ("22023", "invalid large object seek target: -1")),
            ("SELECT lo_lseek(0, 0, 3)", ("22023", "invalid whence setting: 3")),
        ):
            with client.transaction(force_rollback=True):
                assert state(client, sql) == expected
        assert value(client, "SELECT lo_lseek64(0, 3000000000, 0)") == 3_000_000_000
        with client.transaction(force_rollback=True):
            message = "lo_tell result out of range for large-object descriptor 0"
            assert state(client, "SELECT lo_tell(0)") == ("22003", message)


def test_descriptors_and_savepoints(client: Connection) -> None:
    value(client, "SELECT lo_from_bytea(4712, 'abc')")
    with client.transaction():
        assert value(client, f"SELECT lo_open(4712, {READ})") == 0
        with client.transaction(force_rollback=True):
            assert value(client, f"SELECT lo_open(4712, {WRITE})") == 1
            value(client, "SELECT lowrite(1, 'xyz')")
            assert value(client, "SELECT loread(0, 3)") == b"xyz"
        with client.transaction(force_rollback=True):
            assert state(client, "SELECT lo_close(1)") == ("42704", "invalid large-object descriptor: 1")
        assert value(client, "SELECT lo_lseek(0, 0, 0), loread(0, 3)") == (0, b"abc")
        assert value(client, "SELECT lo_unlink(4712)") == 1
        assert state(client, "SELECT lo_tell(0)") == ("42704", "invalid large-object descriptor: 0")
        raise psycopg.Rollback
    assert value(client, "SELECT lo_get(4712)") == b"abc"


def test_owners_rights_and_comments(client: Connection) -> None:
    run = client.execute
    run("CREATE ROLE lo_user")
    value(client, "SELECT lo_from_bytea(4713, 'secret')")
    run("SET ROLE lo_user")
    for sql in ("SELECT lo_get(4713)", f"SELECT lo_open(4713, {READ})", "SELECT lo_put(4713, 0, 'x')"):
        assert state(client, sql) == ("42501", "permission denied for large object 4713")
    for sql in ("SELECT lo_unlink(4713)", "COMMENT ON LARGE OBJECT 4713 IS 'x'"):
        assert state(client, sql) == ("42501", "must be owner of large object 4713")
    run("RESET ROLE")
    run("GRANT SELECT ON LARGE OBJECT 4713 TO lo_user")
    run("SET ROLE lo_user")
    assert value(client, "SELECT lo_get(4713)") == b"secret"
    assert state(client, f"SELECT lo_open(4713, {WRITE})") == ("42501", "permission denied for large object 4713")
    run("RESET ROLE")
    # One that the transaction has just made, and nobody else sees.
    with client.transaction():
        value(client, "SELECT lo_create(4714)")
        run("GRANT SELECT, UPDATE ON LARGE OBJECT 4714 TO lo_user WITH GRANT OPTION")
        run("COMMENT ON LARGE OBJECT 4714 IS 'mine'")
    assert value(client, "SELECT obj_description(4714, 'pg_largeobject')") == "mine"
    run("REVOKE SELECT ON LARGE OBJECT 4713 FROM lo_user")
    run("ALTER LARGE OBJECT 4713 OWNER TO lo_user")
    found = run("SELECT oid::int8, lomowner::regrole::text, lomacl::text FROM pg_largeobject_metadata ORDER BY 1")
    assert found.fetchall() == [
        (4713, "lo_user", "{lo_user=rw/lo_user}"), (4714, "helios", "{helios=rw/helios,lo_user=r*w*/helios}"),
    ]  # fmt: skip
    with pytest.raises(psycopg.Error) as caught:
        run("DROP ROLE lo_user")
    assert caught.value.diag.message_detail == "owner of large object 4713\nprivileges for large object 4714"
    run("REASSIGN OWNED BY lo_user TO CURRENT_USER")
    run("DROP OWNED BY lo_user")
    run("DROP ROLE lo_user")
    assert value(client, "SELECT lomowner::regrole::text FROM pg_largeobject_metadata WHERE oid = 4713") == "helios"


def call(oid: int, arguments: tuple[bytes | None, ...], formats: tuple[int, ...] = (), result: int = 0) -> bytes:
    body = struct.pack(f"!IH{len(formats)}H", oid, len(formats), *formats) + struct.pack("!H", len(arguments))
    for item in arguments:
        body += struct.pack("!i", -1) if item is None else struct.pack("!i", len(item)) + item
    return message("F", body + struct.pack("!H", result))


def field(data: bytes | None) -> tuple[str, bytes]:
    return ("V", struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data)


ABS, UPPER, SUM, SERIES, SLEEP, LO_CREATE, LO_OPEN, LO_WRITE, LO_READ = 1397, 871, 2108, 1067, 2626, 715, 952, 955, 954


def test_functions_are_called_by_oid(server: NodeProcess) -> None:
    with RawClient(server.pg_port) as wire:
        for sent, expected in (
            (call(ABS, (b"-5",)), field(b"5")),
            (call(ABS, (struct.pack("!i", -5),), (1,), 1), field(struct.pack("!i", 5))),
            (call(ABS, (None,)), field(None)),
            (call(SLEEP, (b"0",)), field(b"")),
        ):
            assert wire.ask(sent) == [expected, ("Z", "I")]
        for sent, refusal in (
            (call(ABS, ()), ("08P01", "function call message contains 0 arguments but function requires 1")),
            (call(ABS, (b"1",), (0, 0)),
             ("08P01", "function call message contains 2 argument formats but 1 arguments")),
            (call(99_999_999, ()), ("42883", "function with OID 99999999 does not exist")),
            (call(SUM, (b"1",)), ("0A000", 'cannot call function "sum" via fastpath interface')),
            (call(SERIES, (b"1", b"2")), ("0A000", 'cannot call function "generate_series" via fastpath interface')),
            (call(ABS, (b"zz",)), ("22P02", 'invalid input syntax for type integer: "zz"')),
            (call(ABS, (b"1",), (), 2), ("22023", "unsupported format code: 2")),
        ):  # fmt: skip
            error, ready = wire.ask(sent)
            assert (error[0], error[1]["C"], error[1]["M"], ready) == ("E", *refusal, ("Z", "I"))
        # Several at once are answered one after the other.
        assert [wire.ask(call(ABS, (b"-1",)), call(ABS, (b"-2",))), wire.until("Z")] == [
            [field(b"1"), ("Z", "I")], [field(b"2"), ("Z", "I")],
        ]  # fmt: skip


def test_function_calls_in_a_transaction(server: NodeProcess) -> None:
    with RawClient(server.pg_port) as wire:
        wire.run("BEGIN")
        assert wire.ask(call(LO_CREATE, (b"777",))) == [field(b"777"), ("Z", "T")]
        opened = wire.ask(call(LO_OPEN, (b"777", str(READ | WRITE).encode()), (), 1))
        assert opened == [field(bytes(4)), ("Z", "T")]
        wire.ask(call(LO_WRITE, (bytes(4), b"a\0\xff"), (1,), 1))
        wire.run("SELECT lo_lseek(0, 1, 0)")
        assert wire.ask(call(LO_READ, (b"0", b"9"), (), 1)) == [field(b"\0\xff"), ("Z", "T")]
        error, ready = wire.ask(call(LO_READ, (b"7", b"9")))
        assert (error[1]["C"], ready) == ("42704", ("Z", "E"))
        error, ready = wire.ask(call(ABS, (b"1",)))
        assert (error[1]["C"], ready) == ("25P02", ("Z", "E"))
        wire.run("ROLLBACK")
        assert wire.run("SELECT count(*) FROM pg_largeobject_metadata")[1] == ("D", (b"0",))
        wire.run("CREATE FUNCTION joined(a int, b text) RETURNS text LANGUAGE sql AS 'SELECT b || a'")
        (oid,) = wire.run("SELECT 'joined'::regproc::oid")[1][1]
        assert wire.ask(call(int(oid), (b"5", b"x"))) == [field(b"x5"), ("Z", "I")]


def test_a_standby_reads_them_and_the_primary_writes(make_node: MakeNode) -> None:
    primary, standby = make_node(start=False), make_node(start=False)
    mode = ["--replication-mode", "sync"]
    primary.flags = [*mode, "--node-id", "a", "--replication-role", "primary"]
    primary.start()
    address = ["--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port)]
    standby.flags = [*mode, "--node-id", "b", "--replication-role", "standby", *address]
    standby.start()
    with primary.connect() as there, standby.connect() as here:
        there.execute("SELECT lo_from_bytea(42, 'from there')")
        assert value(here, "SELECT lo_get(42)") == b"from there"
        with here.transaction():
            here.execute("SET TRANSACTION READ ONLY")
            assert value(here, f"SELECT loread(lo_open(42, {READ}), 4)") == b"from"
        with here.transaction():
            assert value(here, f"SELECT lo_open(42, {WRITE})") == 0
            assert value(here, "SELECT lowrite(0, 'here')") == 4
        assert value(there, "SELECT lo_get(42)") == b"here there"
        with RawClient(standby.pg_port) as wire:
            wire.run("BEGIN")
            assert wire.ask(call(LO_CREATE, (b"43",))) == [field(b"43"), ("Z", "T")]
            assert wire.ask(call(ABS, (b"-1",))) == [field(b"1"), ("Z", "T")]
            wire.run("COMMIT")
        assert value(there, "SELECT count(*) FROM pg_largeobject_metadata") == 2
    with standby.connect(client_encoding="LATIN1") as here:
        assert value(here, "SELECT '\u00e9'") == "\u00e9"
        assert state(here, "SELECT lo_create(44)")[0] == "0A000"
