"""Errors with everything PostgreSQL says about them: DETAIL, position, schema, table, column and constraint."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import psycopg
import pytest
from support.node_process import NodeProcess
from support.raw_wire import (
    COPY_DONE,
    FLUSH,
    SYNC,
    Answer,
    RawClient,
    bind,
    copy_data,
    describe,
    execute,
    parse,
    query,
)

SOURCE = "FLR"
"""Fields of PostgreSQL's own source code."""

SETUP = [
    "drop schema if exists e cascade", "create schema e", "set search_path = e",
    "create table p (a int primary key, b text unique, c int not null default 1, constraint pos check (c > 0))",
    "create table ch (x int primary key, p int references p(a) on delete restrict,"
    " q text references p(b) deferrable initially deferred)",
    "create table m (a int, b int, primary key (a, b), n numeric(5,2), v varchar(3), u uuid, ts timestamptz, bo bool,"
    " j jsonb, arr int[], by bytea, sm smallint, f real)",
    "create table mfk (a int, b int, foreign key (a, b) references m(a, b))",
    "create unique index on m(v, sm)", "create table self (id int primary key, up int references self(id))",
    "create table ser (id serial primary key, e text unique, d date default '2020-01-02')",
    "insert into p values (1, 'one', 1), (2, 'two', 2)", "insert into ch values (1, 1, 'one')",
    "insert into m (a, b, v, sm) values (1, 1, 'a', 1)", "insert into self values (1, null), (2, 1)",
    "insert into ser (e) values ('x')",
]  # fmt: skip

CONSTRAINTS = [
    "insert into p values (1, 'x', 1)", "insert into p values (1, 'one', 1)", "insert into p values (3, 'one', 1)",
    "insert into p values (3, 'x', -1)", "insert into p values (3, 'x', null)", "insert into p (b) values ('x')",
    "insert into p values (7, 'a', 1), (8, 'b', 1), (7, 'c', 1)", "insert into p select 2, 'x', 1",
    "update p set c = null where a = 1", "update p set c = -5 where a = 1", "update p set a = 2 where a = 1",
    "update p set b = 'two' where a = 1", "update p set b = x.b from (select 'two' as b) x where a = 1",
    "insert into ch values (5, 99, null)", "insert into ch values (5, 1, 'zz')", "delete from p where a = 1",
    "update p set a = 100 where a = 1", "delete from p", "insert into mfk values (7, 8)",
    "insert into m (a, b) values (1, 1)", "insert into m (a, b, v, sm) values (2, 2, 'a', 1)",
    "insert into self values (5, 6)", "delete from self where id = 1", "insert into ser (e) values ('x')",
    "insert into ser values (9, 'x')", "insert into ser (e, d) values ('x', '2021-01-01') returning id",
    "insert into p values (3, 'one', 1) on conflict (a) do update set c = 5",
    "with q as (select 1 as a) insert into p select a, 'q', 1 from q",
    "insert into p values (4, repeat('y', 70), 0)",
]  # fmt: skip

LITERALS = [
    "insert into m (a, b, sm) values (3, 3, '70000')", "insert into m (a, b, u) values (3, 3, 'nope')",
    "insert into m (a, b, ts) values (3, 3, 'nope')", "insert into m (a, b, ts) values (3, 3, '2020-13-01')",
    "insert into m (a, b, bo) values (3, 3, 'maybe')", "insert into m (a, b, j) values (3, 3, '{bad')",
    "insert into m (a, b, arr) values (3, 3, '{1,x}')", "insert into m (a, b, by) values (3, 3, '\\xzz')",
    "insert into m (a, b, v) values (3, 3, 'abcd')", "insert into m (a, b, n) values (3, 3, 12345.6)",
    "select 'äöü', 1 + 'x'", "select 1 where 'x'", "select * from p where a = 'x'", "select 1 union select 'x'",
    "select 'x'::bool", "select '2020-02-30'::date", "select '25:00'::time", "select 'abc'::interval",
    "select '1'::int + '99999999999'::int", "select '[1,2'::jsonb", "select 'x'::numeric; select 1",
    "insert into m (a, b) values (3)", "insert into m (a, b) values (3, 4, 5)", "insert into m (a, a) values (3, 4)",
    "alter table nope add a int", "create index on nope (a)", "copy nope from stdin", "truncate nope",
    "create table p (a int)", "create table if not exists p (a int)", "create schema if not exists e",
]  # fmt: skip


def said(answers: Sequence[Answer]) -> list[Answer]:
    """Every message, and every field but those of the source."""
    return [
        (code, {letter: text for letter, text in content.items() if letter not in SOURCE} if code in "EN" else content)
        for code, content in answers
        if code not in "T"
    ]


def compare(server: NodeProcess, reference: int, *steps: str | bytes) -> None:
    heard = []
    for port in (reference, server.pg_port):
        with RawClient(port) as client:
            for statement in SETUP:
                client.run(statement)
            answers = []
            for step in steps:
                client.send(query(step) if isinstance(step, str) else step)
                answers.append((step, said(client.until("ZG"))))
            heard.append(answers)
    for expected, found in zip(*heard, strict=True):
        assert found == expected


def test_broken_constraints(server: NodeProcess, reference: int) -> None:
    compare(server, reference, *CONSTRAINTS)


def test_broken_constraints_in_a_transaction(server: NodeProcess, reference: int) -> None:
    steps: list[str | bytes] = []
    for statement in CONSTRAINTS[:12]:
        steps += ["begin", "insert into p values (50, 'fifty', 5)", statement, "rollback"]
    compare(server, reference, *steps)


def test_broken_constraints_with_parameters(server: NodeProcess, reference: int) -> None:
    def run(sql: str, *params: bytes | None) -> bytes:
        return parse(sql) + bind(params) + describe("P") + execute() + SYNC

    compare(
        server, reference,
        run("insert into p values ($1, $2, $3)", b"1", b"x", b"1"),
        run("insert into p values ($1, $2, $3)", b"3", b"x", None),
        run("update p set b = $1 where a = $2", b"two", b"1"),
        run("insert into ch values ($1, $2)", b"9", b"77"),
        run("delete from p where a = $1", b"1"),
        "set timezone = 'Asia/Tokyo'",
        run("insert into m (a, b, ts) values ($1, $2, $3)", b"1", None, b"2020-01-01 00:00:00+00"),
    )  # fmt: skip


def test_a_deferred_key_at_commit(server: NodeProcess, reference: int) -> None:
    compare(server, reference, "begin", "insert into ch values (6, 1, 'zz')", "commit", "insert into ch values (6, 1)")


def test_copy_names_the_row(server: NodeProcess, reference: int) -> None:
    rows = copy_data(b"50\tx\t1\n") + copy_data(b"1\ty\t1\n51\tz\t1\n") + COPY_DONE
    compare(server, reference, "copy p from stdin", rows, "select count(*) from p")


def test_wrong_literals_have_a_position(server: NodeProcess, reference: int) -> None:
    compare(server, reference, *LITERALS)


def test_a_wrong_literal_among_many_of_its_shape(server: NodeProcess, reference: int) -> None:
    compare(
        server, reference, "select * from p where b = 'aaa' and a = '7'", "select * from p where b = 'b' and a = 'y'"
    )


# What the rest of a session says --------------------------------------------------------------------------------------


def test_parameters_are_told_once_before_ready(server: NodeProcess, reference: int) -> None:
    steps: list[str | bytes] = [
        "set application_name = 'a'; set application_name = 'b'", "set application_name = 'b'",
        "begin; set application_name = 'c'", "rollback", "begin; set local application_name = 'd'", "commit",
        "set application_name = 'x'; select 1/0", "select set_config('application_name', 'e', false)",
        "set timezone = 'Europe/Berlin'", "set intervalstyle = 'iso_8601'", "reset intervalstyle",
        parse("set application_name = 'f'") + bind() + execute() + parse("selec") + SYNC,
        parse("set application_name = 'g'") + bind() + execute() + SYNC,
    ]  # fmt: skip
    compare(server, reference, *steps)


@pytest.mark.parametrize("rows", [-1, -(2**31), 2**31 - 1])
def test_odd_row_limits(server: NodeProcess, reference: int, rows: int) -> None:
    run = parse("select a from p order by a") + bind() + execute("", rows) + SYNC
    compare(
        server,
        reference,
        run,
        parse("insert into ser (e) values ('q') returning e") + bind() + execute("", rows) + SYNC,
    )


def test_a_cursor_is_a_portal(server: NodeProcess, reference: int) -> None:
    compare(
        server, reference, "begin", "declare c cursor for select a from p order by a",
        execute("c", 1) + SYNC, describe("P", "c") + SYNC, "fetch 1 c",
        execute("c") + FLUSH + execute("c") + SYNC, "rollback",
        execute("c") + SYNC,
    )  # fmt: skip


def test_portals_of_utility_statements(server: NodeProcess, reference: int) -> None:
    compare(
        server, reference,
        parse("select $1", oids=[99999]) + SYNC,
        parse("show search_path") + bind() + execute() + execute() + SYNC,
        parse("show search_path") + bind() + execute("", 1) + execute("", 1) + SYNC,
        parse("select $1::int") + bind([struct.pack("!q", 1)], formats=[1]) + SYNC,
        parse("select $1::int, $2::int8") + bind([b"\0\0\0\1", bytes(9)], formats=[1]) + SYNC,
        "select 1; vacuum", "notify a, '" + "x" * 8000 + "'",
    )  # fmt: skip


def test_who_may_not_read_a_table_is_shown_nothing_of_it(server: NodeProcess, reference: int) -> None:
    compare(
        server, reference,
        "drop role if exists blind", "create role blind", "grant usage on schema e to blind",
        "grant insert on p, ch to blind", "set role blind", "insert into p values (1, 'x', 1)",
        "insert into ch values (9, 99)", "reset role", "drop owned by blind", "drop role blind",
    )  # fmt: skip


def test_constraints_that_are_added_name_themselves_and_the_row(server: NodeProcess, reference: int) -> None:
    compare(
        server, reference,
        "create table parents (a int primary key, b int)", "create table children (x int, d date)",
        "insert into parents values (1, 7)", "insert into children values (1, null), (99, null)",
        "alter table children add constraint chk foreign key (x) references parents",
        "alter table children add constraint chk foreign key (x) references parents not valid",
        "alter table children validate constraint chk",
        "alter table parents add constraint small check (b < 5)",
        "alter table parents add constraint small check (b < 5) not valid",
        "alter table parents validate constraint small", "drop table children, parents",
    )  # fmt: skip


def test_views_over_each_other_are_refused(server: NodeProcess) -> None:
    """PostgreSQL takes such a definition, and refuses whoever reads the view."""
    with server.connect(autocommit=True) as connection:
        for name in ("over_none", "over_one", "over_two"):
            below = {"over_none": "(SELECT 1 AS x) AS t", "over_one": "over_none", "over_two": "over_one"}[name]
            connection.execute(f"CREATE VIEW {name} AS SELECT x FROM {below}".encode())
        for read in ("over_none", "over_one", "over_two"):
            with pytest.raises(psycopg.errors.InvalidObjectDefinition, match="infinite recursion detected in rules"):
                connection.execute(f"CREATE OR REPLACE VIEW over_none AS SELECT x FROM {read}".encode())
        connection.execute("CREATE OR REPLACE VIEW over_one AS SELECT x + 1 AS x FROM over_none")
        assert connection.execute("SELECT x FROM over_two").fetchone() == (2,)
        connection.execute("DROP VIEW over_none CASCADE")
