"""The wire protocol through a synchronous standby, message by message: the answers are the primary's."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
from support import raw_wire as wire
from support.node_process import NodeProcess, wait_until
from support.raw_wire import RawClient

COPY_FAIL = wire.message("f", b"no more\0")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    """A primary and its standby, in sync mode."""
    primary, standby = (NodeProcess(tmp_path_factory.mktemp(name)) for name in ("primary", "standby"))
    primary.flags = ["--replication-mode", "sync", "--node-id", "p", "--replication-role", "primary"]
    standby.flags = ["--replication-mode", "sync", "--node-id", "s", "--replication-role", "standby"]
    standby.flags += ["--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port)]
    try:
        primary.start()
        standby.start()
        yield primary, standby
    finally:
        for node in (standby, primary):
            node.kill()
            print(f"--- {node.directory.name}\n{node.log_tail()}")


INSERT = "INSERT INTO t VALUES ($1, $2) RETURNING a, b"
ONE = [b"1", b"x"]

DIALOGUES: dict[str, list[bytes]] = {
    "a statement and its repetition": [
        wire.parse(INSERT, "i"), wire.describe("S", "i"), wire.SYNC,
        wire.bind(ONE, "i", results=[1]), wire.describe("P"), wire.execute(), wire.SYNC,
        wire.bind(ONE, "i"), wire.execute(), wire.SYNC,
        wire.bind([b"2", None], "i"), wire.execute(), wire.SYNC,
        wire.close("S", "i"), wire.SYNC, wire.bind(ONE, "i"), wire.SYNC,
    ],
    "portals bound before the first is run": [
        wire.parse(INSERT, "i"), wire.bind(ONE, "i", "p1"), wire.bind([b"2", b"y"], "i", "p2"),
        wire.parse("SELECT count(*) FROM t"), wire.bind(portal="p3"), wire.describe("P", "p3"),
        wire.execute("p1"), wire.execute("p3"), wire.execute("p2"), wire.close("P", "p1"), wire.SYNC,
        wire.execute("p2"), wire.SYNC,
    ],
    "an error skips to Sync": [
        wire.parse(INSERT), wire.bind(ONE), wire.execute(), wire.bind(ONE), wire.execute(),
        wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.SYNC, wire.query("SELECT count(*) FROM t"),
    ],
    "a Query behind what has failed is not heard": [
        wire.parse(INSERT), wire.bind(ONE), wire.execute(), wire.bind(ONE), wire.execute(),
        wire.query("SELECT 1"), wire.query("DELETE FROM t"), wire.SYNC, wire.query("SELECT count(*) FROM t"),
        wire.query("BEGIN; INSERT INTO t VALUES (1, 'x')"), wire.parse("INSRT"), wire.FLUSH,
        wire.query("SELECT 2"), wire.SYNC, wire.query("ROLLBACK"), wire.query("SELECT count(*) FROM t"),
    ],
    "a Query behind what has no Sync yet": [
        wire.parse(INSERT), wire.bind(ONE), wire.execute(), wire.query("SELECT count(*) FROM t"), wire.SYNC,
        wire.query("BEGIN; DELETE FROM t"), wire.parse(INSERT, "i"), wire.bind(ONE, "i"), wire.execute(),
        wire.query("INSRT"), wire.query("SELECT 1"), wire.parse("SELECT 1"), wire.SYNC, wire.query("ROLLBACK"),
        wire.query("SELECT count(*) FROM t"),
    ],
    "rows a few at a time": [
        wire.query("BEGIN"),
        wire.parse("INSERT INTO t SELECT n, 'r' FROM generate_series(1, 5) n RETURNING a"), wire.bind(),
        wire.execute(rows=2), wire.execute(rows=2), wire.FLUSH, wire.execute(rows=2), wire.SYNC, wire.query("COMMIT"),
    ],
    "a statement of the transaction is one of the session": [
        wire.query("BEGIN"), wire.query("DELETE FROM t"), wire.parse("SELECT a FROM t WHERE a = $1", "s"), wire.SYNC,
        wire.bind([b"1"], "s"), wire.execute(), wire.SYNC, wire.query("COMMIT"), wire.bind([b"1"], "s"),
        wire.describe("S", "s"), wire.execute(), wire.SYNC, wire.parse("SELECT 1", "s"), wire.SYNC,
        wire.query("PREPARE q (int) AS INSERT INTO t VALUES ($1, 'q') RETURNING *"), wire.query("EXECUTE q (7)"),
        wire.bind([b"8"], "q"), wire.describe("P"), wire.execute(), wire.SYNC, wire.query("DEALLOCATE q"),
        wire.query("EXECUTE q (9)"),
    ],
    "a statement of the session in the transaction": [
        wire.parse("SELECT count(*) FROM t", "c"), wire.parse("SELECT 'unnamed'"), wire.SYNC, wire.query("BEGIN"),
        wire.query("INSERT INTO t VALUES (1, 'x')"), wire.bind(statement="c"), wire.execute(), wire.SYNC,
        wire.query("EXECUTE c"), wire.parse("SELECT 2", "c"), wire.SYNC, wire.query("EXECUTE c"),
        wire.query("ROLLBACK"), wire.bind(statement="c"), wire.execute(), wire.SYNC,
    ],
    "a pipeline that prepares, and names its own statements": [
        wire.parse("BEGIN"), wire.bind(), wire.execute(), wire.SYNC,
        wire.parse(INSERT, "i"), wire.bind(ONE, "i"), wire.execute(), wire.SYNC,
        wire.parse("COMMIT"), wire.bind(), wire.execute(), wire.SYNC, wire.query("SELECT count(*) FROM t"),
    ],
    "what runs is what was parsed last": [
        wire.parse("SELECT 'first'"), wire.parse("SELECT 'kept'", "k"), wire.parse(INSERT, "i"), wire.SYNC,
        wire.query("BEGIN"), wire.bind(ONE, "i"), wire.execute(), wire.SYNC,
        wire.parse("SELECT 'second'"), wire.bind(), wire.execute(), wire.close("S", "k"),
        wire.parse("SELECT 'new'", "k"), wire.bind(statement="k"), wire.execute(), wire.SYNC,
        wire.parse("SELECT nosuch"), wire.SYNC, wire.query("ROLLBACK"), wire.bind(), wire.execute(), wire.SYNC,
        wire.bind(statement="k"), wire.execute(), wire.SYNC,
    ],
    "a portal of a statement that is another one by now": [
        wire.parse("SELECT 'old'"), wire.bind(portal="p"), wire.parse(INSERT), wire.bind(ONE), wire.execute(),
        wire.parse("SELECT 'next'"), wire.execute("p"), wire.bind(), wire.execute(), wire.SYNC,
    ],
    "an unnamed statement again, in a block": [
        wire.parse(INSERT), wire.bind(ONE), wire.execute(), wire.SYNC,
        wire.query("BEGIN"), wire.parse(INSERT), wire.bind([b"2", b"y"]), wire.execute(), wire.SYNC,
        wire.query("COMMIT"),
    ],
    "a name that was closed and is given again": [
        wire.parse(INSERT, "i"), wire.bind(ONE, "i"), wire.execute(), wire.SYNC, wire.close("S", "i"), wire.SYNC,
        wire.query("BEGIN"), wire.query("DELETE FROM t"), wire.parse("SELECT 'again'", "i"),
        wire.bind(statement="i"), wire.execute(), wire.SYNC, wire.query("COMMIT"),
    ],
    "what an error has skipped is not there": [
        wire.parse(INSERT, "i"), wire.parse("DELETE FROM t RETURNING a", "d"), wire.SYNC,
        wire.bind(ONE, "i"), wire.execute(), wire.bind(ONE, "i"), wire.execute(), wire.bind(statement="d"),
        wire.execute(), wire.SYNC, wire.bind(ONE, "i"), wire.execute(), wire.SYNC,
        wire.bind(statement="d"), wire.execute(), wire.SYNC,
        wire.query("BEGIN"), wire.bind(ONE, "i"), wire.execute(), wire.SYNC,
        wire.bind(ONE, "i"), wire.execute(), wire.close("S", "d"), wire.SYNC, wire.query("ROLLBACK"),
        wire.bind(statement="d"), wire.execute(), wire.SYNC,
    ],
    "COPY in both protocols": [
        wire.query("COPY t FROM STDIN"), wire.copy_data(b"1\tx\n"), wire.copy_data(b"2\ty\n"), wire.COPY_DONE,
        wire.parse("COPY t FROM STDIN"), wire.bind(), wire.describe("P"), wire.execute(), wire.SYNC,
        wire.copy_data(b"3\tz\n"), wire.COPY_DONE, wire.SYNC,
        wire.query("COPY t FROM STDIN"), wire.copy_data(b"4\tz\n"), COPY_FAIL,
        wire.query("COPY t FROM STDIN"), wire.copy_data(b"1\tx\n"), wire.COPY_DONE,
        wire.query("BEGIN; DELETE FROM t WHERE a = 2"), wire.query("COPY t TO STDOUT"), wire.query("COMMIT"),
        wire.parse("COPY t FROM STDIN"), wire.bind(), wire.execute(), wire.copy_data(b"8\tz\n"), wire.COPY_DONE,
        wire.SYNC, wire.query("SELECT count(*) FROM t"), wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.SYNC,
        wire.query("COPY t FROM STDIN; SELECT count(*) FROM t"), wire.copy_data(b"9\tx\n"), wire.COPY_DONE,
    ],
    "a transaction that fails and goes back": [
        wire.query("BEGIN; SAVEPOINT a"), wire.query("INSERT INTO t VALUES (1, 'x')"),
        wire.query("INSERT INTO t VALUES (1, 'x')"), wire.query("SELECT 1"), wire.parse("SELECT 1"), wire.SYNC,
        wire.query("ROLLBACK TO a"), wire.query("INSERT INTO t VALUES (2, 'y'); SELECT * FROM t"), wire.query("COMMIT"),
    ],
    "what is wrong": [
        wire.query(""), wire.query("INSRT"), wire.parse("INSERT INTO nosuch VALUES ($1)"), wire.bind([b"1"]),
        wire.execute(), wire.SYNC, wire.parse("INSERT INTO t VALUES ($1)"), wire.bind([b"x"]), wire.execute(),
        wire.SYNC,
        wire.query("BEGIN; DELETE FROM t"), wire.bind(statement="none"), wire.SYNC, wire.query("ROLLBACK"),
        wire.query("BEGIN; DELETE FROM t"), wire.message("B", b"broken"), wire.SYNC, wire.query("ROLLBACK"),
        wire.execute("none"), wire.describe("P", "none"), wire.SYNC,
        wire.query("SELECT 1; INSERT INTO t VALUES (1, 2, 3)"),
    ],
    "SET travels both ways": [
        wire.query("SET application_name = 'one'; INSERT INTO t VALUES (1, current_setting('application_name'))"),
        wire.query("BEGIN; SET application_name = 'two'; DELETE FROM t RETURNING b"),
        wire.query("SHOW application_name"), wire.query("ROLLBACK"), wire.query("SHOW application_name"),
        wire.query("BEGIN; SET LOCAL timezone = 'Asia/Tokyo'"), wire.query("DELETE FROM t"),
        wire.query("SHOW timezone"), wire.query("COMMIT"), wire.query("SHOW timezone"),
    ],
}  # fmt: skip


def pieces(data: bytes, how: str, seed: int) -> Iterator[bytes]:
    """The bytes in one piece, byte by byte, or in pieces of any length."""
    at, chance = 0, random.Random(seed)
    while at < len(data):
        size = {"whole": len(data), "bytes": 1}.get(how) or chance.randrange(1, 40)
        yield data[at : at + size]
        at += size


def answers(node: NodeProcess, dialogue: list[bytes], how: str, seed: int = 0) -> list[wire.Answer]:
    """Everything that is answered up to the end of a dialogue, which the answer to a last query marks."""
    with RawClient(node.pg_port) as raw:
        raw.run("DROP TABLE IF EXISTS t; CREATE TABLE t (a int PRIMARY KEY, b text)")
        found: list[wire.Answer] = []
        for piece in pieces(b"".join(dialogue) + wire.query("SELECT 'the end'"), how, seed):
            raw.send(piece)
        while ("D", (b"the end",)) not in found:
            found.append(raw.receive())
        return [*found, *raw.until("Z")]


def test_dialogues_have_the_same_answers(nodes: tuple[NodeProcess, NodeProcess]) -> None:
    for name, dialogue in DIALOGUES.items():
        expected = answers(nodes[0], dialogue, "whole")
        assert len(expected) > len(dialogue) // 2, name
        for seed, how in enumerate(("whole", "bytes", "random", "random", "random")):
            assert answers(nodes[1], dialogue, how, seed) == expected, (name, how, seed)


def test_a_client_that_does_not_read_is_waited_for(nodes: tuple[NodeProcess, NodeProcess]) -> None:
    with RawClient(nodes[1].pg_port, timeout=60) as raw:
        raw.run("DROP TABLE IF EXISTS t; CREATE TABLE t (a int PRIMARY KEY, b text)")
        raw.run("INSERT INTO t SELECT n, 'x' FROM generate_series(1, 20000) n")
        raw.run("BEGIN; DELETE FROM t WHERE a = 1")
        raw.send(wire.query("SELECT a, repeat('x', 1000) FROM t"), wire.query("COMMIT"), wire.query("SELECT 'end'"))
        memory = NodeMemory(nodes[1].pid)
        deadline = time.monotonic() + 1.0
        wait_until(lambda: time.monotonic() > deadline, "the answer piles up somewhere")
        assert memory.grown() < 12 << 20
        rows = [answer for answer in raw.until("Z") if answer[0] == "D"]
        assert len(rows) == 19_999
        assert raw.until("Z")[-1] == ("Z", "I")
        assert ("D", (b"end",)) in raw.until("Z")


class NodeMemory:
    """Resident memory of a process since now."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = self._now()

    def _now(self) -> int:
        with open(f"/proc/{self._pid}/statm") as file:
            return int(file.read().split()[1]) * 4096

    def grown(self) -> int:
        """Bytes more than at the start."""
        return self._now() - self._before
