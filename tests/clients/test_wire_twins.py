"""The same dialogues with a node and with the real PostgreSQL: every message must be the same.

What may differ is named in :func:`told`: hints, the source location of an error, the values that DETAIL quotes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from support.node_process import NodeProcess
from support.raw_wire import (
    COPY_DONE,
    FLUSH,
    SYNC,
    Answer,
    Closed,
    RawClient,
    bind,
    close,
    copy_data,
    describe,
    execute,
    message,
    parse,
    query,
)

Step = str | bytes | tuple[str, str | bytes]
"""A simple query, messages as they are, or one of these for the client of that name; the first client is "a"."""

S = [
    "drop table if exists w",
    "create table w (a int primary key, b text)",
    "insert into w values (1,'one'),(2,'two'),(3,'three')",
]
DR = ["drop table if exists dr"]

DIALOGUES: dict[str, tuple[Sequence[str], Sequence[Step]]] = {
    "a name that is taken": (
        (),
        [
            parse("select 1", "taken") + SYNC,
            parse("select 2", "taken") + SYNC,
            parse("selec 2", "taken") + SYNC,
            parse("select nothing", "taken") + SYNC,
            "begin",
            parse("select 2", "taken") + SYNC,
            parse("select 2", "taken") + SYNC,
            "rollback",
            bind((), "taken") + execute() + SYNC,
        ],
    ),
    "empty": ((), ["", ";", " ; ;", "select 1;;select 2", "-- x"]),
    "multi implicit": (
        S,
        [
            "insert into w values (10,'x'); insert into w values (10,'y')",
            "select * from w order by a",
            "insert into w values (10,'x'); select 1/0",
            "select count(*) from w",
        ],
    ),
    "multi begin": (
        S,
        [
            "insert into w values (11); begin; insert into w values (12); commit; insert into w values (1,'dup')",
            "select * from w order by a",
        ],
    ),
    "multi begin2": (
        S,
        [
            "begin; insert into w values (12,'y'); rollback; insert into w values (13,'z')",
            "select * from w order by a",
            "begin; select 1; select 1/0",
            "select 1",
            "commit",
        ],
    ),
    "multi begin commit err": (
        S,
        [
            "begin; insert into w values (12,'y'); commit; select 1/0; insert into w values (14,'q')",
            "select * from w order by a",
            "insert into w values (20); rollback; select 5",
            "commit; select 1",
            "select * from w order by a",
        ],
    ),
    "syntax err in second": (S, ["insert into w values (30,'x'); selec 1", "select count(*) from w"]),
    "unknown col pos": (
        S,
        [
            "select nope from w",
            "select * from nope",
            "select a,\n  bad from w",
            "selec 1",
            "select $1",
            "select 'abc",
            "select 1 +",
            "select nofunc(1)",
            "insert into w (zz) values (1)",
            "select 1::nope",
        ],
    ),
    "pipeline writes undone": (
        S,
        [
            parse("insert into w values (40,'x')")
            + bind()
            + execute()
            + parse("insert into w values (1)")
            + bind()
            + execute()
            + SYNC,
            "select count(*) from w",
            parse("insert into w values (41,'x')")
            + bind()
            + execute()
            + parse("insert into w values (42,'x')")
            + bind()
            + execute()
            + SYNC,
            "select count(*) from w",
        ],
    ),
    "several syncs": (S, [SYNC, SYNC, parse("select 1") + SYNC]),
    "portal limits": (
        S,
        [
            parse("select a from w order by a") + bind() + execute("", 2) + execute("", 2) + execute("", 1) + SYNC,
            parse("select a from w order by a") + bind() + execute("", 3) + execute("", 3) + SYNC,
        ],
    ),
    "portal exact": (
        S,
        [
            parse("select a from w order by a")
            + bind(portal="p")
            + describe("P", "p")
            + execute("p", 1)
            + execute("p", 5)
            + execute("p", 5)
            + SYNC
        ],
    ),
    "portal across sync in tx": (
        S,
        [
            "begin",
            parse("select a from w order by a") + bind(portal="p") + execute("p", 1) + SYNC,
            execute("p", 1) + SYNC,
            execute("p", 0) + SYNC,
            close("P", "p") + execute("p") + SYNC,
            "rollback",
        ],
    ),
    "portal gone after sync": (
        S,
        [
            parse("select a from w order by a") + bind(portal="p") + execute("p", 1) + SYNC,
            execute("p", 1) + SYNC,
            describe("P", "p") + SYNC,
        ],
    ),
    "insert returning limit": (
        S,
        [
            parse("insert into w select a+50,b from w returning a")
            + bind()
            + execute("", 1)
            + execute("", 1)
            + execute("", 9)
            + SYNC,
            "select count(*) from w",
        ],
    ),
    "describe": (
        S,
        [
            parse("select a,b from w where a=$1", "s1") + describe("S", "s1") + SYNC,
            parse("insert into w values ($1,$2)", "s2") + describe("S", "s2") + SYNC,
            parse("insert into w values ($1,$2) returning b", "s3") + describe("S", "s3") + SYNC,
            parse("", "s4") + describe("S", "s4") + bind(statement="s4") + describe("P") + execute() + SYNC,
            parse("begin", "s5") + describe("S", "s5") + SYNC,
            parse("select a,b from w", "s6") + bind(statement="s6", results=[1]) + describe("P") + execute() + SYNC,
        ],
    ),
    "params": (
        (),
        [
            parse("select $1::int+1,$2::text,$3::int8", "x") + bind([b"41", b"hi", None], "x") + execute() + SYNC,
            bind([struct.pack("!i", 5), b"hi", struct.pack("!q", 7)], "x", formats=[1], results=[1]) + execute() + SYNC,
            bind([b"5", b"hi", struct.pack("!q", 7)], "x", formats=[0, 0, 1], results=[1, 0, 1]) + execute() + SYNC,
            bind([b"1"], "x") + SYNC,
            bind([b"1", b"2", b"3"], "x", formats=[0, 1]) + SYNC,
            bind([b"1", b"2", b"3"], "x", results=[0, 1]) + execute() + SYNC,
            bind([b"z", b"2", b"3"], "x") + execute() + SYNC,
            bind([b"abc", b"2", b"3"], "x", formats=[1]) + execute() + SYNC,
            bind([b"1", b"\xff\xfe", b"3"], "x") + execute() + SYNC,
            bind([b"99999999999", b"2", b"3"], "x") + execute() + SYNC,
            bind([b"1", b"2", b"3"], "x", formats=[7]) + execute() + SYNC,
        ],
    ),
    "unknown": (
        (),
        [
            bind(statement="no") + SYNC,
            execute("no") + SYNC,
            describe("S", "no") + SYNC,
            describe("P", "no") + SYNC,
            close("S", "no") + close("P", "no") + SYNC,
            bind() + SYNC,
            parse("select 1; select 2") + SYNC,
        ],
    ),
    "dup statement": (
        (),
        [
            parse("select 1", "d") + SYNC,
            parse("select 2", "d") + SYNC,
            close("S", "d") + parse("select 2", "d") + bind(statement="d") + execute() + SYNC,
        ],
    ),
    "dup portal": (
        (),
        [
            "begin",
            parse("select 1", "d") + bind(statement="d", portal="p") + bind(statement="d", portal="p") + SYNC,
            "rollback",
        ],
    ),
    "unnamed replaced by simple": (
        (),
        [parse("select 1") + SYNC, bind() + execute() + SYNC, "select 7", bind() + execute() + SYNC],
    ),
    "unnamed parse error": ((), [parse("select 1") + SYNC, parse("selec") + SYNC, bind() + execute() + SYNC]),
    "survive error": (
        (),
        [
            parse("select 1", "k") + SYNC,
            "select 1/0",
            bind(statement="k") + execute() + SYNC,
            "begin",
            "select 1/0",
            bind(statement="k") + execute() + SYNC,
            "rollback",
            bind(statement="k") + execute() + SYNC,
        ],
    ),
    "failed tx": (
        S,
        [
            "begin",
            "select 1/0",
            "select 1",
            "insert into w values (90)",
            "savepoint x",
            "commit",
            "select 1",
            "begin",
            "select 1/0",
            "",
            "rollback",
            "begin",
            "select 1/0",
            parse("select 1") + SYNC,
            parse("commit") + bind() + execute() + SYNC,
        ],
    ),
    "failed tx bind": (
        S,
        [
            parse("select 1", "q") + SYNC,
            "begin",
            "select 1/0",
            bind(statement="q") + SYNC,
            parse("rollback") + describe("S") + SYNC,
            "rollback",
        ],
    ),
    "ddl between": (
        ["drop table if exists dd"],
        [
            "create table dd (a int)",
            parse("select * from dd", "s") + bind(statement="s") + execute() + SYNC,
            "alter table dd add b int",
            bind(statement="s") + execute() + SYNC,
            "drop table dd",
            bind(statement="s") + execute() + SYNC,
        ],
    ),
    "ddl insert prepared": (
        ["drop table if exists dd"],
        [
            "create table dd (a int)",
            parse("insert into dd values ($1)", "s") + bind([b"1"], statement="s") + execute() + SYNC,
            "alter table dd add b int default 7",
            bind([b"1"], statement="s") + execute() + SYNC,
            "table dd",
        ],
    ),
    "notice order": (
        (),
        [
            "drop table if exists nono; select 1; drop table if exists nono2",
            parse("drop table if exists nono") + bind() + execute() + parse("select 1") + bind() + execute() + SYNC,
            "begin;begin",
            "commit",
            "commit",
            "rollback",
        ],
    ),
    "txstatus": (
        (),
        [
            "begin",
            "select 1",
            "savepoint s",
            "select 1/0",
            "rollback to s",
            "select 2",
            "release s",
            "commit",
            "begin; select 1/0",
            "end",
        ],
    ),
    "begin in pipeline": (
        S,
        [
            parse("begin") + bind() + execute() + parse("insert into w values (70)") + bind() + execute() + SYNC,
            "select count(*) from w",
            "rollback",
            "select count(*) from w",
        ],
    ),
    "commit in pipeline": (
        S,
        [
            parse("insert into w values (71)")
            + bind()
            + execute()
            + parse("commit")
            + bind()
            + execute()
            + parse("insert into w values (1)")
            + bind()
            + execute()
            + SYNC,
            "select count(*) from w",
        ],
    ),
    "begin commit in pipeline": (
        S,
        [
            parse("begin")
            + bind()
            + execute()
            + parse("insert into w values (72)")
            + bind()
            + execute()
            + parse("commit")
            + bind()
            + execute()
            + parse("select count(*) from w")
            + bind()
            + execute()
            + SYNC,
            "select count(*) from w",
        ],
    ),
    "copydata outside": ((), [copy_data(b"x") + COPY_DONE + SYNC, "select 1"]),
    "null byte query trailing": ((), [message("Q", b"select 1\x00garbage\x00")]),
    "no null": ((), [message("Q", b"select 1")]),
    "invalid utf8": ((), [message("Q", b"select '\xff'\x00"), "select 1"]),
    "bad exec": ((), [message("E", b"\x00") + SYNC]),
    "bad describe": ((), [message("D", b"Xfoo\x00") + SYNC]),
    "rc sees commits": (
        S,
        ["begin", "select count(*) from w", ("b", "insert into w values (4,'x')"), "select count(*) from w", "commit"],
    ),
    "rr snapshot": (
        S,
        [
            "begin isolation level repeatable read",
            "select count(*) from w",
            ("b", "insert into w values (4,'x')"),
            "select count(*) from w",
            "commit",
            "select count(*) from w",
        ],
    ),
    "rr 40001": (
        S,
        [
            "begin isolation level repeatable read",
            "select * from w where a=1",
            ("b", "update w set b='B' where a=1"),
            "update w set b='A' where a=1",
            "select 1",
            "rollback",
            "begin isolation level repeatable read",
            "select * from w where a=1",
            "update w set b='A' where a=1",
            "commit",
            "select * from w order by a",
        ],
    ),
    "serializable": (
        S,
        [
            "begin isolation level serializable",
            "select count(*) from w",
            "insert into w values (9,'q')",
            "show transaction_isolation",
            "commit",
            "show transaction_isolation",
        ],
    ),
    "set transaction late": (
        S,
        [
            "begin",
            "select 1",
            "set transaction isolation level serializable",
            "rollback",
            "set transaction read only",
            "begin; set transaction isolation level repeatable read; show transaction_isolation",
            "rollback",
        ],
    ),
    "savepoints": (
        S,
        [
            "begin",
            "insert into w values (10,'a')",
            "savepoint s1",
            "insert into w values (11,'a')",
            "savepoint s2",
            "insert into w values (1,'dup')",
            "select 1",
            "rollback to s2",
            "select count(*) from w",
            "rollback to s1",
            "select count(*) from w",
            "rollback to s2",
            "rollback to s1",
            "insert into w values (12)",
            "release s1",
            "release s1",
            "rollback",
            "select count(*) from w",
        ],
    ),
    "savepoint same names": (
        S,
        [
            "begin",
            "savepoint x",
            "insert into w values (20)",
            "savepoint x",
            "insert into w values (21)",
            "rollback to x",
            "select count(*) from w",
            "release x",
            "rollback to x",
            "select count(*) from w",
            "insert into w values (22)",
            "commit",
            "select a from w order by a",
        ],
    ),
    "savepoint before write then release": (
        S,
        [
            "begin",
            "savepoint x",
            "savepoint y",
            "release x",
            "insert into w values (23)",
            "savepoint z",
            "insert into w values (1)",
            "rollback to savepoint z",
            "release savepoint z",
            "commit",
            "select a from w order by a",
        ],
    ),
    "savepoint outside": (S, ["savepoint q", "release q", "rollback to q"]),
    "release failed": (
        S,
        [
            "begin",
            "savepoint q",
            "select 1/0",
            "release q",
            "rollback to q",
            "release q",
            "commit",
            "begin",
            "select 1/0",
            "savepoint b",
            "rollback",
        ],
    ),
    "commit failed": (
        S,
        [
            "begin",
            "insert into w values (30)",
            "select 1/0",
            "commit",
            "select count(*) from w",
            "commit and chain",
            "begin isolation level repeatable read",
            "commit and chain",
            "show transaction_isolation",
            "rollback and chain",
            "show transaction_isolation",
            "rollback",
        ],
    ),
    "ddl rollback": (
        DR,
        [
            "begin",
            "create table dr (a int)",
            "insert into dr values (1)",
            "select * from dr",
            ("b", "select 1"),
            "rollback",
            "select * from dr",
            ("b", "select * from dr"),
        ],
    ),
    "ddl commit": (
        DR,
        [
            "begin",
            "create table dr (a int)",
            "insert into dr values (1)",
            "alter table dr add b text default $$q$$",
            "select * from dr",
            "create index drx on dr(a)",
            ("b", "select * from dr"),
            "commit",
            "select * from dr",
            ("b", "select * from dr"),
            ("b", "drop table dr"),
            "select * from dr",
        ],
    ),
    "ddl savepoint": (
        DR,
        [
            "begin",
            "create table dr (a int)",
            "savepoint s",
            "alter table dr add b int",
            "select * from dr",
            "rollback to s",
            "select * from dr",
            "insert into dr values (1)",
            "select b from dr",
            "rollback to s",
            "select * from dr",
            "commit",
            "select * from dr",
        ],
    ),
    "ddl failed then select": (
        DR,
        ["begin", "create table dr (a int)", "select 1/0", "select * from dr", "selec", "rollback", "select * from dr"],
    ),
    "multi ddl": (
        DR,
        [
            "create table dr (a int); insert into dr values (1); select * from dr; select 1/0",
            "select * from dr",
            "create table dr (a int); insert into dr values (1); select * from dr",
            "table dr",
            "begin; alter table dr add b int; select * from dr; rollback; select * from dr",
            "begin; commit; insert into dr values (3); select 1/0",
            "table dr",
        ],
    ),
    "temp": (
        S,
        [
            "create temp table tt (a int primary key, b text)",
            "insert into tt values (1,'x') returning *",
            "select * from tt",
            ("b", "select * from tt"),
            ("b", "create temp table tt (z text)"),
            ("b", "select * from tt"),
            "select * from tt",
            "begin",
            "insert into tt values (2,'y')",
            "insert into w values (40,'y')",
            "select count(*) from tt",
            "rollback",
            "select count(*) from tt",
            "select count(*) from w",
            ("b", "insert into w values (41)"),
            "select count(*) from w",
            "drop table tt",
            "select * from tt",
            ("b", "select * from tt"),
        ],
    ),
    "temp2": (
        [*S, *DR],
        [
            "begin",
            "create temporary table tt (a int)",
            "insert into tt select a from w",
            "insert into w select a+100 from tt",
            "select count(*) from tt",
            "commit",
            "select count(*) from tt",
            "select count(*) from w",
            "create temp table t2 as select * from w",
            "select count(*) from t2 join w using (a)",
            ("b", "insert into w values (777)"),
            "select count(*) from w",
            "begin isolation level repeatable read",
            "select count(*) from w",
            ("b", "delete from w where a=777"),
            "select count(*) from w",
            "select count(*) from t2",
            "commit",
            "select count(*) from w",
            parse("select * from t2 where a=$1") + bind([b"1"]) + execute() + SYNC,
            "create temp table w (q int)",
            "select * from w",
            "drop table w",
            "select count(*) from w",
            ("b", "create table dr (z int)"),
            "select * from dr",
            "insert into dr values (4)",
            ("b", "select * from dr"),
            ("b", "drop table dr"),
            "select * from dr",
        ],
    ),
    "notify": (
        S,
        [
            "listen ch",
            "notify ch, 'hi'",
            "notify ch",
            "begin",
            "notify ch,'x'",
            "notify ch,'x'",
            "notify ch,'y'",
            "select 1",
            "commit",
            "begin",
            "notify ch,'no'",
            "rollback",
            "select 2",
            "begin",
            "notify ch,'1'",
            "savepoint s",
            "notify ch,'2'",
            "rollback to s",
            "insert into w values (60)",
            "commit",
            "unlisten ch",
            "notify ch",
            "begin",
            "listen ch",
            "rollback",
            "notify ch",
            "listen ch",
            "begin",
            "unlisten *",
            "rollback",
            "notify ch",
        ],
    ),
    "cursor savepoint": (
        S,
        [
            "begin",
            "declare c cursor for select a from w order by a",
            "fetch 1 c",
            "savepoint s",
            "fetch 1 c",
            "select 1/0",
            "rollback to s",
            "fetch 1 c",
            "savepoint t",
            "declare d cursor for select 1",
            "rollback to t",
            "fetch d",
            "commit",
        ],
    ),
    "prepare": (
        S,
        [
            "prepare p as select $1::int+1",
            "execute p(4)",
            "execute p(1,2)",
            "prepare p as select 1",
            "execute p('5')",
            "deallocate p",
            "execute p(1)",
            "deallocate p",
            "prepare i(int,text) as insert into w values ($1,$2)",
            "execute i(80,'e')",
            "execute i(81,null)",
            "select count(*) from w",
            "deallocate all",
            "execute i(1,2)",
            "prepare q as select * from w where a = $1",
            "execute q(1+1)",
            parse("execute q(3)") + bind() + describe("P") + execute() + SYNC,
            parse("execute q(3)", "zz") + describe("S", "zz") + SYNC,
            "begin; select 1/0",
            "execute q(1)",
            "deallocate q",
            "rollback",
        ],
    ),
    "constraint": (
        ["drop table if exists ct", *S],
        [
            "create table ct (a int primary key, b int not null, c int check (c>0), d int unique, e int references w)",
            "insert into ct values (1,null,1,1,1)",
            "insert into ct values (1,1,-1,1,1)",
            "insert into ct values (1,1,1,1,1)",
            "insert into ct values (2,1,1,1,1)",
            "insert into ct values (2,1,1,2,99)",
            "delete from w where a=1",
            "update ct set e=55",
            "drop table ct",
        ],
    ),
    "set": (
        S,
        [
            "begin",
            "set local application_name='x'",
            "show application_name",
            "commit",
            "show application_name",
            "begin",
            "set application_name='y'",
            "rollback",
            "show application_name",
            "begin",
            "set application_name='z'",
            "savepoint s",
            "set application_name='zz'",
            "rollback to s",
            "show application_name",
            "commit",
            "show application_name",
            "set local application_name=1",
            "set statement_timeout='5s'",
            "show statement_timeout",
            "reset statement_timeout",
            "show statement_timeout",
            "set nope=1",
            "show nope",
            "set statement_timeout='abc'",
            "set foo.bar='x'",
            "show foo.bar",
            "set timezone to 'Europe/Berlin'",
            "show timezone",
            "set names utf8",
            "show client_encoding",
            "set application_name='q'; select 1/0",
            "show application_name",
        ],
    ),
    "read only": (
        S,
        [
            "begin read only",
            "select 1",
            "insert into w values (5)",
            "rollback",
            "start transaction read only",
            "delete from w",
            "commit",
            "begin",
            "set transaction read only",
            "update w set b=''",
            "rollback",
            "begin read only",
            "create table zz (a int)",
            "rollback",
            "set default_transaction_read_only=on",
            "insert into w values (7)",
            "begin read write",
            "insert into w values (7)",
            "commit",
            "set session characteristics as transaction read write",
            "insert into w values (8)",
            "begin read only",
            "truncate w",
            "rollback",
            "begin read only",
            "copy w from stdin",
            "rollback",
            "begin read only",
            "select * from w where a=1 for update",
            "rollback",
        ],
    ),
    "cursors": (
        S,
        [
            "declare c cursor for select 1",
            "begin",
            "declare c cursor for select a from w order by a",
            "fetch c",
            "fetch 1 from c",
            "fetch all c",
            "fetch c",
            "move c",
            "close c",
            "fetch c",
            "rollback",
            "begin",
            "declare c cursor for select a from w order by a",
            "fetch forward 2 from c",
            "fetch next from c",
            "declare c cursor for select 2",
            "rollback",
            "close c",
            "begin",
            "declare c cursor for select a from w order by a",
            "move 1 in c",
            "fetch all from c",
            "commit",
            "close all",
            "begin",
            "declare c cursor for select a from w order by a",
            "savepoint s",
            "fetch c",
            parse("fetch 1 c") + bind() + describe("P") + execute() + SYNC,
            "rollback",
        ],
    ),
    "copy text": (
        S,
        [
            "copy w from stdin",
            copy_data(b"50\tfifty\n51\t\\N\n") + COPY_DONE,
            "select * from w order by a",
            "copy w (a) from stdin",
            copy_data(b"60\nbad\n61\n") + COPY_DONE,
            "select count(*) from w",
            "copy w from stdin",
            copy_data(b"70\tx\n") + message("f", b"no more\0"),
            "select count(*) from w",
            "copy w to stdout",
            "copy (select 1, null, 'x') to stdout",
            "copy nope to stdout",
            "copy w (nope) from stdin",
            query("copy w from stdin") + copy_data(b"93\tx\n") + COPY_DONE,
            query("select 1"),
            "copy w from stdin",
            copy_data(b"9") + copy_data(b"5\ty") + copy_data(b"\n") + COPY_DONE,
            "table w",
        ],
    ),
    "copy csv": (
        S,
        [
            "copy w from stdin csv header",
            copy_data(b'a,b\n80,"q, ""z"""\n81,\n') + COPY_DONE,
            "select * from w where a>=80 order by a",
            "copy w (b,a) to stdout csv header",
            "copy w from stdin csv",
            copy_data(b'82,"open\n') + COPY_DONE,
            "select count(*) from w",
        ],
    ),
    "copy in a transaction": (
        S,
        [
            "begin",
            "copy w from stdin",
            copy_data(b"90\tx\n") + COPY_DONE,
            "select count(*) from w",
            "rollback",
            "select count(*) from w",
            "begin",
            "copy w from stdin",
            copy_data(b"zz\tx\n") + COPY_DONE,
            "select 1",
            "rollback",
            "copy w from stdin; select 1",
            copy_data(b"91\tx\n") + COPY_DONE,
            "copy w from stdin; select 1",
            copy_data(b"bad\tdup\n") + COPY_DONE,
            "begin",
            "savepoint s",
            "copy w from stdin",
            copy_data(b"bad\n") + COPY_DONE,
            "rollback to s",
            "copy w from stdin",
            copy_data(b"94\tgood\n") + COPY_DONE,
            "commit",
            "select * from w order by a",
        ],
    ),
    "set in pipeline rolled back": (
        S,
        [
            parse("set application_name='pp'") + bind() + execute() + parse("selec") + SYNC,
            "show application_name",
            parse("set application_name='pp'") + bind() + execute() + SYNC,
            "show application_name",
        ],
    ),
    "rr in pipeline": (
        S,
        [
            parse("begin isolation level repeatable read")
            + bind()
            + execute()
            + parse("select count(*) from w")
            + bind()
            + execute()
            + SYNC,
            ("b", "insert into w values (4)"),
            parse("select count(*) from w") + bind() + execute() + parse("commit") + bind() + execute() + SYNC,
        ],
    ),
    "temp prepared & drop": (
        S,
        [
            "create temp table w (z int)",
            parse("select * from w", "s") + bind(statement="s") + execute() + SYNC,
            "drop table w",
            bind(statement="s") + execute() + SYNC,
            ("b", "select * from w"),
            "discard all",
            parse("select a from w", "s") + bind(statement="s") + execute() + SYNC,
        ],
    ),
    "prepared before temp": (
        S,
        [
            parse("select a from w", "s") + bind(statement="s") + describe("P") + execute() + SYNC,
            "create temp table w (a text)",
            bind(statement="s") + execute() + SYNC,
            "drop table pg_temp.w",
            bind(statement="s") + execute() + SYNC,
        ],
    ),
    "prepared in rolled back ddl": (
        DR,
        [
            "begin",
            "create table dr (a int)",
            parse("select * from dr", "s") + bind(statement="s") + execute() + SYNC,
            "rollback",
            ("b", "create table dr (x text, y text)"),
            bind(statement="s") + execute() + SYNC,
            ("b", "drop table dr"),
        ],
    ),
    "prepared in rolled back ddl2": (
        S,
        [
            parse("select * from w", "s") + bind(statement="s") + execute() + SYNC,
            "begin",
            "alter table w add c int",
            bind(statement="s") + execute() + SYNC,
            "rollback",
            bind(statement="s") + execute() + SYNC,
            "begin",
            "alter table w drop b",
            "rollback",
            bind(statement="s") + execute() + SYNC,
            parse("select a from w where a=1", "s2") + SYNC,
            "begin",
            "alter table w add c int",
            bind(statement="s2") + execute() + SYNC,
            "select c from w",
            "rollback",
            bind(statement="s2") + execute() + SYNC,
            "select c from w",
        ],
    ),
    "temp tx ddl rollback": (
        [*S, *DR],
        [
            "create temp table tq (a int)",
            "begin",
            "alter table tq add b int",
            "insert into tq values (1,2)",
            "select * from tq",
            "rollback",
            "select * from tq",
            "insert into tq values (1)",
            "begin",
            "create table dr (a int)",
            "insert into dr select a from tq",
            "commit",
            ("b", "select * from dr"),
            ("b", "drop table dr"),
            "select * from dr",
            "savepoint x",
            "begin",
            "savepoint x",
            "insert into tq values (5)",
            "insert into w values (5)",
            "select 1/0",
            "rollback to x",
            "select count(*) from tq",
            "commit",
        ],
    ),
    "temp copy": (
        S,
        [
            "create temp table tc (a int, b text)",
            query("copy tc from stdin"),
            copy_data(b"1\tx\n2\ty\n") + COPY_DONE,
            "copy tc to stdout",
            "copy (select count(*) from tc join w using (a)) to stdout",
            "begin",
            "declare c cursor for select * from tc order by a",
            "fetch 1 c",
            "insert into w values (77)",
            "fetch 1 c",
            "commit",
            "select count(*) from w",
        ],
    ),
    "temp suspended portal then write": (
        S,
        [
            "create temp table tc as select a from w",
            "begin",
            parse("select a from tc order by a") + bind(portal="p") + execute("p", 1) + SYNC,
            "insert into w values (88)",
            execute("p", 1) + SYNC,
            "commit",
            "select count(*) from w",
        ],
    ),
    "for update": (
        S,
        [
            "begin",
            "select * from w where a=1 for update",
            "update w set b='u' where a=1",
            "commit",
            "select * from w where a=1 for update",
            "select * from w where a=1 for share",
            "begin",
            "lock table w in exclusive mode",
            "select 1",
            "commit",
            "lock table w",
        ],
    ),
    "do/empty/comment": (S, ["/* c */", "select 1 /* c */; -- d", ";select 2", "select 'a;b'; select 3"]),
    "error then recovered within simple multi": (
        S,
        [
            "begin; insert into w values (50); savepoint s; select 1/0; rollback to s",
            "rollback to s",
            "commit",
            "select count(*) from w",
        ],
    ),
    "returning in tx pipeline": (
        S,
        [
            parse("begin")
            + bind()
            + execute()
            + parse("insert into w values (60,'x') returning a,b")
            + bind()
            + describe("P")
            + execute()
            + parse("update w set b='y' where a=60 returning *")
            + bind()
            + execute()
            + parse("commit")
            + bind()
            + execute()
            + SYNC,
            "select * from w where a=60",
        ],
    ),
    "formats of a cursor": (
        S,
        [
            "begin",
            "declare t cursor for select a, b from w order by a",
            "declare b binary cursor for select a, b from w order by a",
            "fetch t",
            "fetch b",
            parse("fetch t") + bind(results=[1]) + describe("P") + execute() + SYNC,
            parse("fetch t") + bind(results=[1, 0]) + execute() + SYNC,
            parse("fetch b") + bind() + describe("P") + execute() + SYNC,
            parse("fetch b") + bind(results=[0]) + execute() + SYNC,
            describe("P", "t") + SYNC,
            close("P", "t") + SYNC,
            "fetch t",
            "rollback",
            "prepare p as select 5, 'x'",
            parse("execute p") + bind(results=[1]) + describe("P") + execute() + SYNC,
            parse("fetch nope") + bind(results=[1]) + describe("P") + execute() + SYNC,
            parse("show datestyle") + bind(results=[1]) + describe("P") + execute() + SYNC,
        ],
    ),
    "copy out of a snapshot and a wait": (
        S,
        [
            "begin isolation level repeatable read",
            "copy w to stdout",
            "commit",
            "set synchronous_commit = off",
            "insert into w values (9, 'nine')",
            "copy (select a from w where a = 9) to stdout",
            "copy w to stdout (format binary)",
            "copy (select a from w where a = 99) to stdout (format binary)",
            "copy (select 1 / (a - 1) from w order by a) to stdout",
            "select 1",
        ],
    ),
    "copy in the extended protocol": (
        S,
        [
            parse("copy w from stdin") + bind() + describe("P") + execute() + SYNC,
            copy_data(b"92\tx\n") + COPY_DONE + SYNC,
            parse("copy w to stdout") + bind() + describe("P") + execute() + SYNC,
        ],
    ),
}


def told(answers: Sequence[Answer]) -> list[Answer]:
    """What must be the same. ParameterStatus is compared elsewhere."""
    kept: list[Answer] = []
    for code, content in answers:
        if code == "E" or code == "N":
            letters = "SCP" if content["C"] in ("42P01", "42703") else "SCMP"
            content = {letter: content[letter] for letter in letters if letter in content}
            if content["C"] in ("42P01", "42703", "42601"):
                content.pop("P", None)
        if code != "S":
            kept.append((code, content))
    return kept


def play(port: int, setup: Sequence[str], steps: Sequence[Step]) -> list[tuple[Step, list[Answer] | str]]:
    """Each step with what came back, up to ReadyForQuery or the beginning of COPY."""
    clients: dict[str, RawClient] = {"a": RawClient(port)}
    heard: list[tuple[Step, list[Answer] | str]] = []
    try:
        for statement in setup:
            clients["a"].run(statement)
        for step in steps:
            who, what = step if isinstance(step, tuple) else ("a", step)
            client = clients.get(who)
            if client is None:
                client = clients[who] = RawClient(port)
            client.send(query(what) if isinstance(what, str) else what)
            try:
                heard.append((step, told(client.until("ZG"))))
            except Closed:
                heard.append((step, "closed"))
    finally:
        for client in clients.values():
            client.socket.close()
    return heard


@pytest.mark.parametrize("name", list(DIALOGUES))
def test_dialogue(server: NodeProcess, reference: int, name: str) -> None:
    setup, steps = DIALOGUES[name]
    expected = play(reference, setup, steps)
    assert play(server.pg_port, setup, steps) == expected


FLUSHED = {
    "read": [(parse("select 1"), "1"), (bind() + describe("P"), "T"), (execute(), "C")],
    "write": [(parse("insert into w values (60, 'x')"), "1"), (bind() + execute(), "C")],
    "error": [(parse("selec"), "E")],
    "in a transaction": [
        (parse("begin") + bind() + execute(), "C"),
        (parse("delete from w") + bind() + execute(), "C"),
    ],
}


@pytest.mark.parametrize("name", list(FLUSHED))
def test_flush_gives_what_is_ready_without_sync(server: NodeProcess, reference: int, name: str) -> None:
    heard = []
    for port in (server.pg_port, reference):
        with RawClient(port) as client:
            for statement in S:
                client.run(statement)
            answers = []
            for messages, last in FLUSHED[name]:
                client.send(messages, FLUSH)
                answers.append(told(client.until(last)))
            answers.append(told(client.ask(SYNC)))
            answers.append(told(client.run("select count(*) from w")))
            heard.append(answers)
    assert heard[0] == heard[1]
