"""The edges of dialogues in one piece: clocks, commits that fail, what is known before the next has to wait."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from clients.test_wire_twins import Step, play
from support.node_process import NodeProcess
from support.raw_wire import SYNC, Answer, RawClient, bind, describe, execute, parse, query

TAIL = describe("P") + execute() + SYNC
SETUP = [
    "drop table if exists child",
    "drop table if exists parent",
    "create table parent (a int primary key, c bigint)",
    "insert into parent values (1, 10), (2, 20)",
    "create table child (a int primary key, p int references parent(a) deferrable initially deferred)",
    "drop schema if exists elsewhere cascade",
    "create schema elsewhere",
    "create table elsewhere.parent (a int primary key, c bigint)",
    "insert into elsewhere.parent values (1, 100)",
]
NAMES = {
    "b": "begin",
    "e": "commit",
    "r": "select c from parent where a = $1",
    "u": "update parent set c = c + 1 where a = $1",
    "i": "insert into child values ($1, $2)",
}
PREPARE = b"".join(parse(sql, name) for name, sql in NAMES.items()) + SYNC


def prepared(name: str, *params: bytes) -> bytes:
    """Bind, Describe, Execute and Sync."""
    return bind(params, statement=name) + TAIL


def parsed(sql: str, *params: bytes) -> bytes:
    """Parse, Bind, Describe, Execute and Sync."""
    return parse(sql) + bind(params) + TAIL


EVERYWHERE: list[Step] = [prepared("r", b"1"), parsed("select c from parent"), "select c from parent"]

DIALOGUES: dict[str, Sequence[Step]] = {
    "describing in a failed transaction": [
        PREPARE,
        query("begin"),
        query("select 1/0"),
        describe("S", "r") + SYNC,
        describe("S", "u") + SYNC,
        query("select c from parent where a = 'x'"),
        query("rollback"),
        describe("S", "r") + SYNC,
    ],
    "an error in a constant of what is prepared": [
        parse("begin", "begins") + parse("select 1/0", "fails") + describe("S", "fails") + SYNC,
        bind(statement="begins") + execute() + bind(statement="fails") + TAIL,
        query("select 1"),
        query("rollback"),
        parse("select 1/0 where false", "fails too") + SYNC,
        prepared("fails too"),
        prepared("fails"),
        parsed("select 1/0"),
        parsed("select 1/1"),
        query("prepare q as select 1/0"),
        query("execute q"),
    ],
    "a search path that is set behind DDL": [
        PREPARE,
        "begin",
        prepared("r", b"1"),
        "alter table parent add column d int",
        prepared("r", b"1"),
        "set search_path to elsewhere",
        *EVERYWHERE,
        "create table here (a int)",
        "savepoint s",
        "set search_path to public",
        *EVERYWHERE,
        "rollback to s",
        *EVERYWHERE,
        "commit",
        "select count(*) from elsewhere.here",
        "reset search_path",
        prepared("r", b"1"),
    ],
    "text with a NUL": [
        parsed("select $1::text", b"a\0b"),
        parse("select $1::text", "t") + SYNC,
        prepared("t", b"a\0b"),
        bind([b"a\0b"], statement="t", formats=[1]) + TAIL,
    ],
    "temporary tables that come and go": [
        "create temp table parent (x int)",
        parse("select * from parent", "t") + SYNC,
        *[prepared("t"), parsed("select * from parent")] * 2,
        "discard temp",
        "create temp table parent (y int, z int)",
        *[prepared("t"), parsed("select * from parent")] * 2,
        "discard temp",
        parsed("select * from parent"),
    ],
}


@pytest.mark.parametrize("name", list(DIALOGUES))
def test_it_is_answered_as_by_postgresql(server: NodeProcess, reference: int, name: str) -> None:
    steps = DIALOGUES[name]
    assert play(server.pg_port, SETUP, steps) == play(reference, SETUP, steps)


COMMITS = {
    "prepared": [PREPARE, prepared("b"), prepared("i", b"1", b"99"), prepared("e")],
    "prepared, undescribed": [
        PREPARE,
        prepared("b"),
        prepared("i", b"1", b"99"),
        bind(statement="e") + execute() + SYNC,
    ],
    "parsed": [parsed("begin"), parsed("insert into child values (1, 99)"), parsed("commit")],
    "simple": [query("begin"), query("insert into child values (1, 99)"), query("commit")],
}


@pytest.mark.parametrize("name", list(COMMITS))
def test_a_commit_that_fails(server: NodeProcess, reference: int, name: str) -> None:
    """SQLite does not say which deferred constraint was violated, so the message is left out."""
    heard = []
    for port in (server.pg_port, reference):
        answers = play(port, SETUP, COMMITS[name])[-1][1]
        assert not isinstance(answers, str)
        heard.append([(code, content["C"] if code == "E" else content) for code, content in answers])
    assert heard[0] == heard[1]


def value(answers: Sequence[Answer]) -> bytes:
    """The first column of the only row."""
    (row,) = [content for code, content in answers if code == "D"]
    found: bytes = row[0]
    return found


@pytest.mark.parametrize("function", ["now()", "statement_timestamp()", "transaction_timestamp()"])
def test_a_prepared_statement_has_a_time_of_its_own_each_time(server: NodeProcess, function: str) -> None:
    with RawClient(server.pg_port) as client:
        client.ask(parse(f"select {function}", "t") + parse("begin", "b") + parse("commit", "e") + SYNC)
        dialogues = [
            prepared("t"),
            bind(statement="t") + execute() + SYNC,
            bind(statement="t", portal="p") + execute("p") + SYNC,
            bind(statement="t") + execute("", 1) + SYNC,
        ]
        times = [value(client.ask(dialogue)) for dialogue in dialogues * 2]
        assert times == sorted(set(times))
        client.ask(prepared("b"))
        within = value(client.ask(prepared("t")))
        assert within > times[-1]
        assert (value(client.ask(prepared("t"))) == within) == (function != "statement_timestamp()")
        client.ask(prepared("e"))
        assert value(client.ask(prepared("t"))) > within


def test_a_default_now_moves_with_each_execution(server: NodeProcess) -> None:
    with RawClient(server.pg_port) as client:
        client.run("drop table if exists happened")
        client.run("create table happened (a int primary key, at timestamptz default now())")
        client.ask(parse("insert into happened (a) values ($1)", "i") + SYNC)
        for number in range(3):
            client.ask(prepared("i", b"%d" % number))
        assert value(client.run("select count(distinct at) from happened")) == b"3"


FIRST = {
    "simple": query("select 1"),
    "prepared": prepared("r", b"1"),
    "undescribed": bind([b"1"], statement="r") + execute() + SYNC,
}
SECOND = {"simple": query("update parent set c = 7 where a = 2"), "prepared": prepared("u", b"2")}


@pytest.mark.parametrize("first", list(FIRST))
@pytest.mark.parametrize("second", list(SECOND))
def test_an_answer_does_not_wait_for_the_statement_behind_it(server: NodeProcess, first: str, second: str) -> None:
    """A client may want to hear the first before it lets go of what the second waits for."""
    with RawClient(server.pg_port) as holder, RawClient(server.pg_port, timeout=5) as client:
        for statement in SETUP:
            holder.run(statement)
        client.ask(PREPARE)
        holder.run("begin")
        holder.run("update parent set c = 50 where a = 2")
        client.send(FIRST[first], SECOND[second])
        assert value(client.until("Z")) in (b"1", b"10")
        holder.run("commit")
        assert ("C", "UPDATE 1") in client.until("Z")


def test_settings_go_back_when_their_transaction_fails(server: NodeProcess) -> None:
    with RawClient(server.pg_port) as wire:
        wire.run("SET application_name = 'before'")
        wire.run("BEGIN")
        wire.run("SET application_name = 'within'")
        answers = wire.run("SELECT 1 / 0")
        assert [answer for answer in answers if answer[0] in "SZ"] == [("S", "application_name\0before"), ("Z", "E")]
        wire.run("ROLLBACK")
        wire.run("BEGIN")
        wire.run("SET application_name = 'kept'")
        wire.run("SAVEPOINT a")
        wire.run("SET application_name = 'inner'")
        answers = wire.run("SELECT 1 / 0")
        assert [answer for answer in answers if answer[0] in "SZ"] == [("S", "application_name\0kept"), ("Z", "E")]
        wire.run("ROLLBACK TO a")
        assert wire.run("SHOW application_name")[1] == ("D", (b"kept",))


def test_a_procedure_is_no_table(server: NodeProcess) -> None:
    with RawClient(server.pg_port) as wire:
        wire.run("CREATE PROCEDURE nothing(a int) LANGUAGE sql AS ''")
        error = wire.run("SELECT * FROM nothing(1)")[0][1]
        assert (error["C"], error["M"]) == ("42809", "nothing(integer) is a procedure")
        wire.run("CREATE FUNCTION something(a int, OUT b int) LANGUAGE sql AS 'SELECT 1'")
        error = wire.run("CALL something(1, 2)")[0][1]
        assert (error["C"], error["M"]) == ("42809", "something(integer, integer) is not a procedure")


def test_a_query_that_fails_has_described_its_rows(server: NodeProcess) -> None:
    """A driver tells by that which statement of a query string has failed."""
    with RawClient(server.pg_port) as wire:
        sql = "SELECT 1; SELECT 2 / n FROM generate_series(0, 3) n; SELECT 3"
        assert "".join(code for code, _ in wire.run(sql)) == "TDCTEZ"
        assert "".join(code for code, _ in wire.run("SELECT 6 / (n - 2) FROM generate_series(1, 3) n")) == "TDEZ"
        assert "".join(code for code, _ in wire.run("SELECT 1 / 0")) == "EZ"
