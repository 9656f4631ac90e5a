"""What clients hear whose connections are ended from here: those who wait for a commit must not think it undone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.inner_node import InnerNode
from support.inner_pair import pair
from support.node_process import wait_until
from support.raw_wire import RawClient, bind, copy_data, error_fields, execute, message, parse, query

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.doubt import in_doubt
from helios_cli.engine.node.session import Session

SYNC = message("S")
MANY = "INSERT INTO t SELECT g FROM generate_series(%d, %d) AS g"
BIG = MANY % (1_000_000, 1_020_000)

COMMITS = {
    "a short write": [query("INSERT INTO t VALUES (1)")],
    "a prepared write": [parse("INSERT INTO t VALUES ($1)") + bind([b"2"]) + execute() + SYNC],
    "a write on a thread": [query(MANY % (10, 5000))],
    "several statements at once": [query("INSERT INTO t VALUES (4); INSERT INTO t VALUES (5)")],
    "a transaction": [query("BEGIN"), query("INSERT INTO t VALUES (6)"), query("COMMIT")],
    "a large transaction": [query("BEGIN"), query(BIG), query("COMMIT")],
    "DDL": [query("CREATE TABLE u (a int)")],
    "a COPY": [query("COPY t FROM STDIN"), copy_data(b"7\n8\n") + message("c")],
    "a prepared COMMIT": [
        query("BEGIN"), query("INSERT INTO t VALUES (9)"), parse("COMMIT") + bind([]) + execute() + SYNC,
    ],
}  # fmt: skip


@pytest.fixture
def node(tmp_path: Path) -> Iterator[InnerNode]:
    with InnerNode(tmp_path) as inner:
        with inner.raw() as client:
            client.run("CREATE TABLE t (a int)")
        yield inner


def end_all(node: InnerNode) -> None:
    """What the end of a life does to its sessions."""

    def end() -> None:
        assert node.node.listener is not None
        node.node.listener.close_sessions(HeliosError("terminating connection", sqlstate="57P01"))

    node.on_loop(end)


def last_word(client: RawClient) -> dict[str, str]:
    """The error that ended a connection; an answer to its statement is none."""
    answers = client.to_the_end()
    assert [code for code, _ in answers if code in "CZ"] == []
    ((_, body),) = [answer for answer in answers if answer[0] == "E"]
    return body if isinstance(body, dict) else error_fields(body)


def sessions(node: InnerNode) -> list[Session]:
    return list(node.node.engine.sessions.values())


def doubts(node: InnerNode) -> int:
    return node.on_loop(lambda: sum(map(in_doubt, sessions(node))))


@pytest.mark.parametrize("name", COMMITS)
def test_a_commit_on_its_way_is_in_doubt(node: InnerNode, name: str) -> None:
    *before, last = COMMITS[name]
    with node.raw() as client:
        for part in before:
            client.send(part)
            client.until("ZG")
        assert doubts(node) == 0
        node.hold_disk()
        client.send(last)
        wait_until(lambda: doubts(node) == 1, "its commit is on the way")
        end_all(node)
        told = last_word(client)
        assert (told["S"], told["C"]) == ("FATAL", "08007")
        assert told["D"] == "Terminating connection." and "Look whether" in told["H"]


@pytest.mark.parametrize(("within", "doubted"), [("", 1), ("BEGIN", 0)], ids=["alone", "in a transaction"])
def test_a_write_that_a_thread_is_at_is_in_doubt_when_it_commits_itself(
    node: InnerNode, monkeypatch: pytest.MonkeyPatch, within: str, doubted: int
) -> None:
    gate, at_work = threading.Event(), threading.Event()
    worker = node.node.engine.write_worker
    run = worker.run

    def waiting(work: Callable[[], Any], *told: Any) -> None:
        def later() -> Any:
            at_work.set()
            gate.wait(20)
            return work()

        run(later, *told)

    monkeypatch.setattr(worker, "run", waiting)
    with node.raw() as client:
        if within:
            client.run(within)
        client.send(query(MANY % (10, 5000)))
        assert at_work.wait(20)
        assert doubts(node) == doubted
        end_all(node)
        gate.set()
        assert last_word(client)["C"] == ("08007" if doubted else "57P01")
        wait_until(lambda: not sessions(node), "its session is gone")


def test_one_that_waits_for_more_copies_is_in_doubt(node: InnerNode) -> None:
    kept: list[Callable[[], None]] = []
    node.on_loop(
        lambda: setattr(node.node.engine, "when_reached", lambda _mode, _lsn, done, _session: kept.append(done))
    )
    with node.raw() as answered, node.raw() as client:
        for one in (answered, client):
            one.run("SET synchronous_commit = remote_apply")
            one.send(query("INSERT INTO t VALUES (1)"))
        wait_until(lambda: len(kept) == 2 and not node.in_flight, "both commits are there")
        assert doubts(node) == 2
        node.on_loop(kept[0])
        assert answered.until("Z")
        end_all(node)
        assert sorted(last_word(one)["C"] for one in (answered, client)) == ["08007", "57P01"]


def test_everybody_else_hears_why(node: InnerNode) -> None:
    with ExitStack() as clients:
        idle, reading, writing, queued, waits, copying, lazy = (clients.enter_context(node.raw()) for _ in range(7))
        idle.run("INSERT INTO t VALUES (1)")
        reading.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reading.run("SELECT * FROM t")
        lazy.run("SET synchronous_commit = off")
        node.hold_disk()
        lazy.run("INSERT INTO t VALUES (2)")
        writing.run("BEGIN")
        writing.run("INSERT INTO t VALUES (3)")
        queued.send(query("INSERT INTO t VALUES (4)"))
        waits.run("BEGIN")
        waits.send(query("INSERT INTO t VALUES (5)"))
        copying.send(query("COPY t FROM STDIN"))
        wait_until(lambda: len(node.node.engine.queue) == 3, "three wait for the writer")
        assert doubts(node) == 0
        end_all(node)
        everybody = (idle, reading, writing, queued, waits, copying, lazy)
        assert [last_word(one)["C"] for one in everybody] == ["57P01"] * 7


def test_a_commit_that_went_on_to_the_primary_is_in_doubt(tmp_path: Path) -> None:
    with pair(tmp_path) as (first, second), second.raw() as client, second.raw() as idle:
        assert idle.run("SELECT 1")
        first.hold_disk()
        client.send(query("INSERT INTO t VALUES (1)"))
        wait_until(lambda: first.in_flight == 1 and doubts(second) == 1, "the primary commits")
        end_all(second)
        assert (last_word(client)["C"], last_word(idle)["C"]) == ("08007", "57P01")
        first.release_disk()
