"""Dialogues that come in one piece, from Parse or Bind to Sync: what drivers send, and the node's shortest way.

Each is sent whole and must be answered, message for message, as PostgreSQL answers it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from clients.test_wire_twins import Step, play, told
from support.node_process import NodeProcess
from support.raw_wire import SYNC, RawClient, bind, describe, execute, message, parse, query

SETUP = [
    "drop table if exists w",
    "create table w (a int primary key, b text, c bigint not null default 0)",
    "insert into w values (1,'one',1),(2,'two',2),(3,'three',3)",
]
TAIL = describe("P") + execute() + SYNC


def parsed(
    sql: str, params: Sequence[bytes | None] = (), formats: Sequence[int] = (), results: Sequence[int] = ()
) -> bytes:
    """Parse, Bind, Describe, Execute and Sync."""
    return parse(sql) + bind(params, formats=formats, results=results) + TAIL


def prepared(
    name: str, params: Sequence[bytes | None] = (), formats: Sequence[int] = (), results: Sequence[int] = ()
) -> bytes:
    """Bind, Describe, Execute and Sync."""
    return bind(params, statement=name, formats=formats, results=results) + TAIL


def undescribed(name: str, params: Sequence[bytes | None] = ()) -> bytes:
    """Bind, Execute and Sync."""
    return bind(params, statement=name) + execute() + SYNC


READ = "select b, c from w where a = $1"
WRITE = "update w set c = c + $1 where a = $2"
INSERT = "insert into w values ($1, $2, $3)"
NAMES = {"r": READ, "u": WRITE, "i": INSERT, "b": "begin", "e": "end", "s": "start transaction", "x": "rollback"}
PREPARE = b"".join(parse(sql, name) for name, sql in NAMES.items()) + SYNC

DIALOGUES: dict[str, Sequence[Step]] = {
    "reads": [
        *[parsed(READ, [b"2"])] * 3,
        parsed(READ, [b"-1"]),
        parsed(READ, [None]),
        parsed(READ, [b"2"], results=[1]),
        parsed(READ, [b"2"], results=[0, 1]),
        parsed(READ, [struct.pack("!i", 3)], formats=[1]),
        parsed(READ, [b" 2 "]),
        parsed(READ, [b"12345678901"]),
        parsed(READ, [b"two"]),
        parsed(READ, [b"2"]),
    ],
    "reads of a prepared statement": [
        PREPARE,
        *[prepared("r", [b"2"])] * 3,
        undescribed("r", [b"2"]),
        prepared("r", [struct.pack("!i", 3)], formats=[1], results=[1, 1]),
        prepared("r", [None]),
        prepared("r", [b"x"]),
        prepared("r", [b"1", b"2"]),
        prepared("r"),
        prepared("no such statement", [b"1"]),
        prepared("r", [b"1"]),
    ],
    "writes": [
        PREPARE,
        *[prepared("u", [b"-5", b"2"])] * 3,
        prepared("u", [b"5", b"77"]),
        undescribed("u", [b"5", b"1"]),
        prepared("u", [None, b"2"]),
        prepared("i", [b"4", None, b"4"]),
        prepared("i", [b"4", b"again", b"4"]),
        prepared("i", [b"5", "é".encode(), b"4"]),
        prepared("i", [b"6", b"\xff", b"4"]),
        parsed(WRITE, [b"1", b"1"]),
        parsed("insert into w values (7) returning a, c"),
        parsed("delete from w where a = $1", [b"7"]),
        query("select * from w order by a"),
    ],
    "a transaction": [
        PREPARE,
        prepared("b"),
        prepared("r", [b"1"]),
        prepared("u", [b"1", b"1"]),
        prepared("r", [b"1"]),
        prepared("i", [b"8", b"eight", b"8"]),
        undescribed("u", [b"1", b"8"]),
        prepared("e"),
        prepared("e"),
        prepared("s"),
        prepared("b"),
        prepared("u", [b"1", b"1"]),
        prepared("x"),
        parsed("begin"),
        parsed("begin isolation level repeatable read"),
        parsed(WRITE, [b"10", b"1"]),
        parsed("commit"),
        query("begin"),
        query("update w set c = 100 where a = 2"),
        query("end"),
        query("select * from w order by a"),
    ],
    "a transaction that reads": [
        PREPARE,
        prepared("b"),
        prepared("r", [b"1"]),
        ("other", "update w set c = 77 where a = 1"),
        prepared("r", [b"1"]),
        parsed(READ, [b"1"]),
        query("select c from w where a = 1"),
        query("set transaction isolation level repeatable read"),
        prepared("e"),
        prepared("b"),
        prepared("r", [b"1"]),
        query("set transaction isolation level repeatable read"),
        prepared("x"),
        query("begin"),
        query("select c from w where a = 1"),
        query("set local work_mem = '1MB'"),
        query("commit"),
        query("begin isolation level repeatable read"),
        prepared("r", [b"1"]),
        ("other", "update w set c = 78 where a = 1"),
        prepared("r", [b"1"]),
        prepared("e"),
        prepared("r", [b"1"]),
        "begin",
        "listen news",
        prepared("e"),
        ("other", "notify news, 'x'"),
        query("select 1"),
    ],
    "a failed transaction": [
        PREPARE,
        prepared("b"),
        prepared("u", [b"1", b"1"]),
        prepared("i", [b"1", b"again", b"4"]),
        prepared("u", [b"1", b"1"]),
        parsed(READ, [b"1"]),
        prepared("b"),
        prepared("e"),
        parsed("begin"),
        parsed(INSERT, [b"1", b"again", b"4"]),
        parsed("commit"),
        query("begin"),
        query("insert into w values (1)"),
        query("commit"),
        query("select * from w order by a"),
    ],
    "a read-only transaction": [
        PREPARE,
        parsed("begin read only"),
        prepared("u", [b"1", b"1"]),
        prepared("x"),
        query("set default_transaction_read_only = on"),
        prepared("u", [b"1", b"1"]),
        prepared("b"),
        prepared("u", [b"1", b"1"]),
        prepared("e"),
    ],
    "a table that changes": [
        PREPARE,
        prepared("u", [b"1", b"1"]),
        parsed("select * from w where a = $1", [b"1"]),
        query("alter table w add column d int default 9"),
        prepared("u", [b"1", b"1"]),
        prepared("r", [b"1"]),
        parsed("select * from w where a = $1", [b"1"]),
        query("begin; alter table w add column e int default 8"),
        parsed("select * from w where a = $1", [b"1"]),
        prepared("r", [b"1"]),
        query("rollback"),
        parsed("select * from w where a = $1", [b"1"]),
        query("alter table w add column f text default 'f'"),
        parsed("select * from w where a = $1", [b"1"]),
        prepared("r", [b"1"]),
    ],
    "a search path that changes": [
        "drop schema if exists other cascade",
        "create schema other",
        "create table other.w (a int primary key, b text, c bigint)",
        "insert into other.w values (1, 'other', 10)",
        PREPARE,
        *[prepared("r", [b"1"]), parsed(READ, [b"1"])] * 2,
        "set search_path to other",
        *[prepared("r", [b"1"]), parsed(READ, [b"1"])] * 2,
        prepared("u", [b"1", b"1"]),
        "reset search_path",
        *[prepared("r", [b"1"]), parsed(READ, [b"1"])] * 2,
        "select * from other.w",
    ],
    "statements that go": [
        PREPARE,
        prepared("r", [b"1"]),
        query("deallocate r"),
        prepared("r", [b"1"]),
        parse("select c, b from w where a = $1", "r") + SYNC,
        prepared("r", [b"1"]),
        message("C", b"Sr\0") + SYNC,
        prepared("r", [b"1"]),
        parse(READ) + SYNC,
        prepared("", [b"1"]),
        query("select 1"),
        prepared("", [b"1"]),
        parsed(READ, [b"1"]),
        prepared("", [b"1"]),
        query("discard all"),
        prepared("u", [b"1", b"1"]),
        parsed(READ, [b"1"]),
    ],
    "notifications": [
        PREPARE,
        "listen news",
        prepared("b"),
        prepared("u", [b"1", b"1"]),
        parsed("notify news, 'one'"),
        prepared("e"),
        "begin",
        "update w set c = 0 where a = 1",
        "notify news, 'two'",
        "commit",
    ],
    "wrong messages": [
        PREPARE,
        # A length that runs over the end, one below -1, a format that does not exist, parameters that are missing.
        message("B", b"\0r\0" + struct.pack("!hhi", 0, 1, 99) + b"1\0\0") + TAIL,
        message("B", b"\0r\0" + struct.pack("!hhi", 0, 1, -2) + b"\0\0") + TAIL,
        message("B", b"\0r\0" + struct.pack("!hhhi", 1, 2, 1, 1) + b"1\0\0") + TAIL,
        message("B", b"\0r\0" + struct.pack("!hh", 0, 1)) + TAIL,
        message("B", b"\0r\0" + struct.pack("!hhi", 0, 1, 1) + b"1\0\0\0") + TAIL,
        message("B", b"\0r") + TAIL,
        message("P", b"\0select 1\0") + bind() + TAIL,
        prepared("r", [b"1"]),
    ],
}


@pytest.mark.parametrize("name", list(DIALOGUES))
def test_it_is_answered_as_by_postgresql(server: NodeProcess, reference: int, name: str) -> None:
    steps = DIALOGUES[name]
    assert play(server.pg_port, SETUP, steps) == play(reference, SETUP, steps)


WAITING = {
    "autocommit, prepared": (False, bind([b"1", b"2"], statement="u") + TAIL),
    "autocommit, parsed": (False, parse(WRITE) + bind([b"1", b"2"]) + TAIL),
    "autocommit, simple": (False, query("update w set c = 7 where a = 2")),
    "in a transaction, prepared": (True, bind([b"1", b"2"], statement="u") + TAIL),
    "in a transaction, parsed": (True, parse(WRITE) + bind([b"1", b"2"]) + TAIL),
    "in a transaction, simple": (True, query("update w set c = 7 where a = 2")),
}


@pytest.mark.parametrize("name", list(WAITING))
@pytest.mark.parametrize("end", ["cancelled", "served"])
def test_a_write_that_waits_for_another_transaction(server: NodeProcess, reference: int, name: str, end: str) -> None:
    """The other one holds the same row, so that PostgreSQL waits too; what follows in the buffer is kept in order."""
    in_transaction, write = WAITING[name]
    heard = []
    for port in (server.pg_port, reference):
        with RawClient(port) as holder, RawClient(port) as client:
            for statement in SETUP:
                holder.run(statement)
            client.ask(PREPARE)
            holder.run("begin")
            holder.run("update w set c = 50 where a = 2")
            if in_transaction:
                client.run("begin")
            client.send(write)
            waiting = holder.run("select pg_sleep(0.2)")
            if end == "cancelled":
                client.cancel()
            else:
                client.send(query("select c from w where a = 2"))
                holder.run("commit")
            answers = [told(waiting), told(client.until("Z"))]
            if end == "served":
                answers.append(told(client.until("Z")))
            answers.append(told(client.run("commit")))
            holder.run("commit")
            answers.append(told(client.run("select c from w where a = 2")))
            heard.append(answers)
    assert heard[0] == heard[1]
