"""Statements whose text is long: planned on a thread, answered as short ones are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support.inner_node import InnerNode
from support.raw_wire import SYNC, RawClient, bind, describe, execute, parse, query

from helios_cli.engine.node.planning import LOOKUP_MAX, LOOP_MAX
from helios_cli.engine.sql import grammar
from helios_cli.engine.sql.planner import NESTING_MAX


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InnerNode]:
    with InnerNode(Path(tmp_path_factory.mktemp("node"))) as node:
        yield node


@pytest.fixture
def connection(node: InnerNode) -> Iterator[psycopg.Connection[Any]]:
    with node.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS t; CREATE TABLE t (a int PRIMARY KEY, b text)")
        yield connection


def rows(count: int, start: int = 0) -> str:
    return ", ".join(f"({number}, 'row {number}')" for number in range(start, start + count))


def expressions(count: int) -> str:
    return ", ".join(f"({number} + 0, lower('ROW {number}'))" for number in range(count))


def recorded(node: InnerNode, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that plan from here on."""
    planner = node.node.engine.planner
    threads: list[int] = []

    def recording(inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            threads.append(threading.get_ident())
            return inner(*args)

        return call

    for name in ("plan_lifted", "plan_folded"):
        monkeypatch.setattr(planner, name, recording(getattr(planner, name)))
    return threads


@pytest.mark.parametrize("text", [rows(3000), expressions(300), expressions(2000)], ids=["rows", "some", "many"])
@pytest.mark.parametrize("prepare", [None, True])
def test_the_loop_does_not_plan_them(
    node: InnerNode,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    prepare: bool | None,
) -> None:
    sql = f"INSERT INTO t VALUES {text} /* {prepare} */"
    assert len(sql) > LOOP_MAX
    threads = recorded(node, monkeypatch)
    count = connection.execute(sql, prepare=prepare).rowcount
    assert threads and node.node.engine.loop_thread not in threads
    assert connection.execute("SELECT count(*) FROM t WHERE b = 'row ' || a").fetchone() == (count,)


def test_a_known_plan_is_found_on_the_loop(
    node: InnerNode, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def text(first: int) -> str:
        return f"SELECT * FROM t WHERE {' OR '.join(f'a = {first + number}' for number in range(600))}"

    assert LOOP_MAX < len(text(1000)) < LOOKUP_MAX
    connection.execute(text(1000))
    threads = recorded(node, monkeypatch)
    connection.execute(text(3000))
    assert not threads


def test_errors_point_into_the_text(connection: psycopg.Connection[Any]) -> None:
    for text, wrong in (
        (f"INSERT INTO t VALUES {rows(500)}, ('wrong', 'b')", "'wrong'"),
        (f"INSERT INTO t VALUES {rows(500)} RETURNING absent", "absent"),
        (f"INSERT INTO t VALUES {expressions(500)}, (absent, 'b')", "absent"),
    ):
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(text)
        assert int(caught.value.diag.statement_position or 0) == text.index(wrong) + 1


def test_a_long_statement_is_all_or_nothing(connection: psycopg.Connection[Any]) -> None:
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (-1, 'first')")
        with pytest.raises(errors.UniqueViolation), connection.transaction():
            connection.execute(f"INSERT INTO t VALUES {rows(3000)}, (7, 'again')")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
        connection.execute(f"INSERT INTO t VALUES {rows(3000)}")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (3001,)


def test_in_a_failed_transaction(connection: psycopg.Connection[Any]) -> None:
    connection.execute("BEGIN")
    with pytest.raises(errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")
    for text in (f"INSERT INTO t VALUES {rows(500)}", f"INSERT INTO absent VALUES {rows(500)}"):
        with pytest.raises(errors.InFailedSqlTransaction):
            connection.execute(text)
    connection.execute("ROLLBACK")


def test_after_ddl_of_the_same_transaction(connection: psycopg.Connection[Any]) -> None:
    """Only the session's own connection sees the table."""
    with connection.transaction():
        connection.execute("CREATE TABLE fresh (a int, b text)")
        connection.execute(f"INSERT INTO fresh VALUES {rows(500)}")
        assert connection.execute("SELECT count(*) FROM fresh").fetchone() == (500,)
        connection.execute("DROP TABLE fresh")


def codes(answers: list[tuple[str, Any]]) -> str:
    return "".join(code for code, _ in answers)


def test_what_follows_waits_its_turn(node: InnerNode, connection: psycopg.Connection[Any]) -> None:
    long = f"INSERT INTO t VALUES {rows(2000)}"
    with RawClient(node.port) as client:
        client.send(query(long), query("SELECT count(*) FROM t"))
        assert codes(client.until("Z")) == "CZ"
        assert ("D", (b"2000",)) in client.until("Z")
        more = f"INSERT INTO t VALUES {rows(2000, 2000)}"
        dialogue = [parse(more), bind(), describe("P"), execute()]
        client.send(*dialogue, parse("SELECT count(*) FROM t"), bind(), execute(), SYNC)
        answers = client.until("Z")
        assert codes(answers) == "12nC12DCZ"
        assert ("D", (b"4000",)) in answers
        client.send(parse(f"INSERT INTO absent VALUES {rows(500)}"), bind(), execute(), SYNC)
        assert codes(client.until("Z")) == "EZ"


@pytest.mark.parametrize("own_schema", [False, True])
@pytest.mark.parametrize("count", [5_000, 300_000, 2_500_000])
def test_a_chain_of_operators_does_not_end_the_node(
    connection: psycopg.Connection[Any], count: int, own_schema: bool
) -> None:
    if own_schema:
        connection.execute("CREATE TEMP TABLE own (a int)")
    with pytest.raises(errors.StatementTooComplex, match="stack depth limit exceeded"):
        connection.execute(f"SELECT {'1+' * count}1, '{'x' * 100}'")
    assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("count", [17_000, 300_000])
@pytest.mark.parametrize("before", ["SELECT nosuch", "CREATE VIEW v AS SELECT nosuch", "PREPARE p AS SELECT nosuch"])
def test_a_wrong_one_that_is_prepared_does_not_either(
    connection: psycopg.Connection[Any], before: str, count: int
) -> None:
    result = connection.pgconn.prepare(b"", (before + "+1" * count).encode())
    assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) in (b"54001", b"42703")
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_wrong_one_is_looked_at_once_more_where_it_was_planned(
    node: InnerNode, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepared, it may be a definition that will be right by the time that it runs: that takes another look."""
    threads: list[int] = []
    whole = grammar.parse

    def recording(sql: str) -> list[Any]:
        threads.append(threading.get_ident())
        return whole(sql)

    monkeypatch.setattr(grammar, "parse", recording)
    text = ", ".join(["1"] * LOOP_MAX).encode()
    assert b"does not exist" in connection.pgconn.prepare(b"", b"SELECT nosuch, " + text).error_message
    assert threads and node.node.engine.loop_thread not in threads
    late = connection.pgconn.prepare(b"", b"CREATE VIEW late AS SELECT nosuch, " + text)
    assert late.status == psycopg.pq.ExecStatus.COMMAND_OK
    assert len(threads) >= 3 and node.node.engine.loop_thread not in threads


def test_a_long_string_is_no_nesting(connection: psycopg.Connection[Any]) -> None:
    size = NESTING_MAX + 10
    assert connection.execute(f"SELECT length('{'+' * size}')").fetchone() == (size,)


@pytest.mark.parametrize("prepared", [False, True])
def test_one_that_waits_to_be_planned_can_be_cancelled(
    node: InnerNode, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, prepared: bool
) -> None:
    held = threading.Event()
    lane = node.node.engine.plan_queue._lanes[0]
    text = f"INSERT INTO t VALUES {expressions(300)}"
    try:
        node.on_loop(lambda: lane.add(1, (0, lambda: held.wait(30), lambda _: None, lambda _: None)))
        connection.execute("SET statement_timeout = 300")
        with pytest.raises(errors.QueryCanceled, match="statement timeout"):
            connection.execute(text, prepare=prepared)
        connection.execute("SET statement_timeout = 0")
        pid = connection.info.backend_pid
        with node.connect(autocommit=True) as other:
            timer = threading.Timer(0.3, other.execute, (f"SELECT pg_cancel_backend({pid})",))
            timer.start()
            with pytest.raises(errors.QueryCanceled, match="user request"):
                connection.execute(text, prepare=prepared)
            timer.join()
    finally:
        held.set()
    assert connection.execute(text, prepare=prepared).rowcount == 300


def test_a_client_that_leaves_meanwhile(node: InnerNode, connection: psycopg.Connection[Any]) -> None:
    engine = node.node.engine
    before = len(engine.sessions)
    with RawClient(node.port) as client:
        client.send(query(f"INSERT INTO t VALUES {expressions(3000)}"))
    deadline = threading.Event()
    while len(engine.sessions) > before and not deadline.wait(0.01):
        pass
    assert connection.execute("SELECT count(*) FROM t").fetchone() in ((0,), (3000,))
