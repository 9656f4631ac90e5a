"""Writes that take numbers of a sequence run on the event loop, and share groups with others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until
from support.raw_wire import query

LOOP, THREAD = "Runs on: event loop", "Runs on: worker thread"
OBJECTS = """
    CREATE TABLE filler (a int);
    CREATE TABLE one (id serial PRIMARY KEY, v int);
    CREATE TABLE two (id int GENERATED ALWAYS AS IDENTITY, v int);
    CREATE SEQUENCE few MAXVALUE 2 START 2;
    SELECT nextval('few');
    CREATE SEQUENCE s;
    CREATE FUNCTION next_of() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT nextval('s') $$;
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[InnerNode]:
    with InnerNode(tmp_path) as node:
        with node.connect() as connection:
            connection.execute(OBJECTS)
        yield node


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("INSERT INTO one (v) VALUES (1)", LOOP),
        ("INSERT INTO two (v) VALUES (1), (2) RETURNING id", LOOP),
        ("SELECT nextval('s')", LOOP),
        ("SELECT setval('s', 7)", THREAD),
        ("SELECT next_of()", THREAD),
        ("INSERT INTO one (v) VALUES (next_of())", THREAD),
        ("INSERT INTO one (v) SELECT a FROM filler TABLESAMPLE BERNOULLI (50)", THREAD),
    ],
)
def test_where_it_runs(node: InnerNode, statement: str, where: str) -> None:
    with node.connect() as connection:
        assert connection.execute(f"EXPLAIN {statement}").fetchall()[-1] == (where,)


def test_a_group_that_runs_again_takes_other_numbers(node: InnerNode) -> None:
    """One member meets the end of a sequence: SQLite does not say what it has left behind, so all are undone."""
    queue, pipeline = node.node.engine.queue, node.node.pipeline

    def waits(count: int) -> bool:
        return len(queue) == count

    with ExitStack() as stack:
        clients = [stack.enter_context(node.raw()) for _ in range(6)]
        fillers = [stack.enter_context(node.raw()) for _ in range(8)]
        node.hold_disk()
        for number, filler in enumerate(fillers):
            if pipeline.has_room():
                filler.send(query("INSERT INTO filler VALUES (1)"))
                node.wait_in_flight(number + 1)
        before = queue.group_count
        for number, client in enumerate(clients):
            bad = number == 3
            given = f"INSERT INTO one (v) VALUES ({number}) RETURNING id, v"
            client.send(query("SELECT nextval('few')" if bad else given))
            wait_until(partial(waits, number + 1), "it waits")
        node.release_disk()
        answers = [client.until("Z") for client in clients]
        assert queue.group_count == before + 1
        told = {content for answer in answers for code, content in answer if code == "D"}
        codes = ["".join(code for code, _ in answer) for answer in answers]
        assert codes == ["TDCZ", "TDCZ", "TDCZ", "EZ", "TDCZ", "TDCZ"]
        last = [client.run("SELECT currval('one_id_seq')") for client in clients[:3]]
    with node.connect() as connection:
        rows = connection.execute("SELECT id, v FROM one ORDER BY id").fetchall()
        assert rows[0][0] > 1, "the numbers of the first try are gone"
        assert [v for _, v in rows] == [0, 1, 2, 4, 5]
        assert len({number for number, _ in rows}) == len(rows) == len(told)
        assert {tuple(str(value).encode() for value in row) for row in rows} == told
        shown = [content for answer in last for code, content in answer if code == "D"]
        assert shown == [(str(number).encode(),) for number, _ in rows[:3]]
        connection.execute("INSERT INTO one (v) VALUES (9)")
        assert connection.execute("SELECT max(id) = currval('one_id_seq') FROM one").fetchall() == [(True,)]
