"""The writer goes from one transaction to the next before the record of the first is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until
from support.raw_wire import SYNC, Answer, RawClient, bind, describe, execute, parse, query

from helios_cli.engine.node.transaction import Transaction

TAIL = describe("P") + execute() + SYNC
BEGIN = parse("begin") + bind() + TAIL
COMMIT = parse("commit") + bind() + TAIL
ROLLBACK = parse("rollback") + bind() + TAIL
ADD = "update w set c = c + $1 where a = $2"


def add(number: int, to: int) -> bytes:
    """Parse to Sync of the update that all these tests make."""
    return parse(ADD) + bind([b"%d" % number, b"%d" % to]) + TAIL


@pytest.fixture
def node(tmp_path: Path) -> Iterator[InnerNode]:
    with InnerNode(tmp_path) as inner:
        with inner.raw() as client:
            client.run("create table w (a int primary key, c bigint)")
            client.run("insert into w values (0, 0), (1, 0), (2, 0), (3, 0)")
        yield inner


def waiting(node: InnerNode, count: int) -> None:
    """Until so many wait for the writer."""
    wait_until(lambda: len(node.node.engine.queue) == count, f"{count} wait for the writer")


def codes(answers: list[Answer]) -> str:
    return "".join(code for code, _ in answers)


def is_silent(client: RawClient) -> bool:
    """Whether nothing comes for a moment."""
    client.socket.settimeout(0.3)
    try:
        client.receive()
    except TimeoutError:
        return True
    finally:
        client.socket.settimeout(20)
    return False


def test_whole_transactions_run_on_top_of_each_others_commits(node: InnerNode) -> None:
    with node.raw() as first, node.raw() as second, node.raw() as third:
        first.ask(BEGIN)
        first.ask(add(1, 0))
        second.send(BEGIN, add(10, 0), COMMIT)
        waiting(node, 1)
        third.send(query("begin"), query("update w set c = c + 100 where a = 0"), query("commit"))
        waiting(node, 2)
        assert codes(first.ask(COMMIT)) == "12nCZ"
        for client in (second, third):
            ends = [client.until("Z") for _ in range(3)]
            assert ("C", "COMMIT") in ends[-1]
        assert ("D", (b"111",)) in first.run("select c from w where a = 0")
    assert node.node.failure is None


def test_the_end_of_a_transaction_that_was_rolled_back_waits_for_what_it_has_seen(node: InnerNode) -> None:
    """Its answers were provisional until then: a crash may still take back what they told of."""
    with node.raw() as writer, node.raw() as client:
        client.run("begin")
        node.hold_disk()
        writer.send(query("update w set c = 7 where a = 1"))
        node.wait_in_flight()
        client.ask(add(1, 2))
        assert ("D", (b"7",)) in client.run("select c from w where a = 1")
        client.send(ROLLBACK)
        assert is_silent(client)
        node.release_disk()
        assert client.until("Z")[-2:] == [("C", "ROLLBACK"), ("Z", "I")]
        writer.until("Z")
        # One that has seen only what is committed need not wait.
        node.hold_disk()
        writer.send(query("update w set c = 8 where a = 1"))
        node.wait_in_flight()
        client.run("begin")
        assert ("D", (b"7",)) in client.run("select c from w where a = 1")
        assert client.ask(ROLLBACK)[-1] == ("Z", "I")


@pytest.mark.parametrize(
    "statement", ["create table x (a int)", "insert into w select g, 1 from generate_series(9, 99) g"]
)
def test_nothing_is_said_of_a_commit_that_is_not_on_disk(node: InnerNode, statement: str) -> None:
    """Not even by a session that is ended meanwhile, which is given what is ready for it."""
    with node.raw() as client:
        node.hold_disk()
        client.send(query(statement))
        node.wait_in_flight()
        node.on_loop(lambda: node.node.engine.sessions[client.pid].terminate())
        assert [code for code, _ in client.to_the_end()] == ["E"]


def break_functions(connection: Any, named: str, broken: Callable[..., None]) -> None:
    """Put ``broken`` in the place of every function of one argument whose name holds ``named``."""
    found = connection.execute("SELECT DISTINCT name FROM pragma_function_list WHERE narg = 1").fetchall()
    for (name,) in found:
        if named in name:
            connection.create_scalar_function(name, broken, 1)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("begin", ["extended", "simple"])
def test_an_error_nobody_foresaw_is_the_clients_own(node: InnerNode, waits: bool, begin: str) -> None:
    def unforeseen(*_: object) -> None:
        raise ValueError("unforeseen")

    write = query("update w set c = abs(c) where a = 2")
    if begin == "extended":
        write = parse("update w set c = abs(c) where a = $1") + bind([b"2"]) + TAIL
    with node.raw() as holder, node.raw() as client:
        if waits:
            holder.ask(BEGIN)
            holder.ask(add(1, 0))
        node.on_loop(lambda: break_functions(node.node.database.writer, "abs", unforeseen))
        client.ask(BEGIN)
        client.send(write)
        if waits:
            waiting(node, 1)
            assert codes(holder.ask(COMMIT)) == "12nCZ"
        answers = client.until("Z")
        assert answers[-2][1]["C"] == "XX000"
        assert codes(answers) == ("EZ" if begin == "simple" else "12nEZ")
        assert client.ask(ROLLBACK)[-1] == ("Z", "I")
        # The writer is free again.
        assert ("C", "UPDATE 1") in holder.ask(add(1, 0))


def test_a_transaction_that_could_not_begin_to_write_leaves_the_connection_alone() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("create table t (a); begin")
    transaction = Transaction(explicit=True, isolation="read committed", read_only=False, deferrable=False, now_us=0)
    transaction.connection = connection
    with pytest.raises(apsw.SQLError):
        transaction.begin_writing()
    assert transaction.connection is None
