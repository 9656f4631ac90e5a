"""Random dialogues, cut, cancelled and broken off at random: the node always answers, and is never surprised."""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.node_process import NodeProcess
from support.raw_wire import (
    COPY_DONE,
    FLUSH,
    SYNC,
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

STATEMENTS = [
    "select 1", "select * from w", "select $1::int", "insert into w values ($1, $2)", "insert into w values (7)",
    "begin", "commit", "rollback", "savepoint s", "rollback to s", "release s", "selec", "select 1/0", "",
    "copy w from stdin", "copy w to stdout", "declare c cursor for select * from w", "fetch 1 c", "fetch all c",
    "close c", "listen x", "notify x", "set application_name = 1", "set local work_mem = 64", "show all",
    "create temp table tt (a int)", "select * from tt", "drop table tt", "discard all", "prepare p as select 1",
    "execute p", "deallocate p", "begin isolation level repeatable read", "begin isolation level serializable",
    "create table fz (a int)", "drop table fz", "alter table w add c int", "alter table w drop c", "lock table w",
    "update w set b = $1 where a = $2", "delete from w where a = 7", "select a from w for update", "checkpoint",
    "insert into w select g from generate_series(20000, 20400) as g on conflict do nothing",
    "select count(*) from generate_series(1, 50000)",
]  # fmt: skip
DIALOGUES = 150


def random_message(rng: random.Random) -> bytes:
    statement, sql = rng.choice(("", "", "x", "y")), rng.choice(STATEMENTS)
    params = [rng.choice((b"1", b"", None, b"zz")) for _ in range(rng.choice((0, 0, 1, 2)))]
    kind = rng.choices(range(10), (20, 15, 15, 15, 7, 5, 3, 4, 4, 12))[0]
    return (
        query(sql),
        parse(sql, statement),
        bind(params, statement, rng.choice(("", "p")), results=rng.choice(((), (1,), (0,)))),
        execute(rng.choice(("", "p", "c")), rng.choice((0, 0, 1, 5))),
        describe(rng.choice("SP"), rng.choice(("", "x", "p", "c"))),
        close(rng.choice("SP"), rng.choice(("", "x", "p", "c"))),
        FLUSH,
        copy_data(b"%d\tx\n" % rng.randrange(99_999)),
        rng.choice((COPY_DONE, message("f", b"no\0"))),
        SYNC,
    )[kind]


def dialogue(port: int, rng: random.Random) -> None:
    """One random dialogue; when it is not broken off, the node answers the last question in it."""
    data = b"".join(random_message(rng) for _ in range(rng.randrange(1, 40)))
    cut = rng.randrange(len(data)) if rng.random() < 0.3 else 0
    with RawClient(port, timeout=10) as client:
        client.send(data[:cut])
        client.send(data[cut:])
        if rng.random() < 0.15:
            client.cancel()
        if rng.random() < 0.3:
            return
        # The first end of COPY or Sync is for whatever the dialogue left open.
        client.send(COPY_DONE, SYNC, SYNC, query("rollback"), query("select 'the end'"))
        answered: Any = None
        while answered != (b"the end",):
            code, answered = client.receive()
            if code == "E":
                assert not answered["C"].startswith("XX")
                if answered["S"] == "FATAL":
                    # Anything but data and its end inside COPY: PostgreSQL gives the connection up, too.
                    assert "during COPY" in answered["M"]
                    return


@pytest.mark.parametrize("seed", range(3))
def test_random_dialogues(server: NodeProcess, seed: int) -> None:
    rng = random.Random(seed)
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS w; CREATE TABLE w (a int PRIMARY KEY, b text)")
    for _ in range(DIALOGUES):
        dialogue(server.pg_port, rng)
    with server.connect() as connection:
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("DROP TABLE IF EXISTS fz")
        connection.execute("INSERT INTO w (a) VALUES (-5)")
    assert "internal error" not in server.log_tail(1000)
