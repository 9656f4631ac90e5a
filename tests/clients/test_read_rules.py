"""What a standby may show, and what a token stands for after the lead has moved."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.commands.proving.tcp_link import TcpLink

Connection = psycopg.Connection[tuple[Any, ...]]
LATER_S = 0.03
"""How much later a standby hears of everything, so that it is behind for a while with each commit."""


def flags(number: int, mode: str, upstream_port: int | None = None) -> list[str]:
    role = "primary" if upstream_port is None else "standby"
    given = ["--node-id", f"n{number}", "--replication-mode", mode, "--replication-role", role]
    return (
        given
        if upstream_port is None
        else [*given, "--primary-host", "127.0.0.1", "--primary-port", str(upstream_port)]
    )


def status(node: NodeProcess) -> dict[str, Any]:
    found: dict[str, Any] = node.http("/status")[1]
    return found


def in_sync(node: NodeProcess) -> list[str]:
    return [one["node_id"] for one in status(node)["cluster"]["nodes"] if one["in_sync"]]


Pair = tuple[NodeProcess, NodeProcess, TcpLink]


@pytest.fixture
def pair(make_node: MakeNode) -> Iterator[Pair]:
    """A sync cluster whose standby hears of everything later."""
    first = make_node(*flags(1, "sync"))
    with TcpLink(first.native_port, answers_later_s=LATER_S) as link:
        second = make_node(*flags(2, "sync", link.port))
        wait_until(lambda: sorted(in_sync(first)) == ["n1", "n2"], "both copies count", 20)
        yield first, second, link
        second.kill()


def one(connection: Connection, sql: str, **how: Any) -> Any:
    row = connection.execute(sql, **how).fetchone()
    assert row is not None
    return row[0]


def test_what_was_acknowledged_is_read_on_a_sync_standby(pair: Pair) -> None:
    first, second, _ = pair
    with first.connect() as writer, second.connect() as reader, second.connect() as eventual:
        writer.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
        writer.execute("INSERT INTO t VALUES (1, 0)")
        eventual.execute("SET read_consistency = eventual")
        stale = 0
        for number in range(1, 21):
            writer.execute("UPDATE t SET a = %s", (number,))
            stale += one(eventual, "SELECT a FROM t WHERE id = 1", prepare=True) < number
            assert one(reader, "SELECT a FROM t WHERE id = 1", prepare=number % 2 == 0) == number
        assert stale > 10, "the standby was never behind, so nothing was tested"


def test_without_a_primary_nothing_unsettled_is_shown_as_if_it_were(pair: Pair) -> None:
    """Applied, and perhaps acknowledged: nobody can say before somebody leads. The views about the cluster can."""
    first, second, link = pair
    acknowledged: list[int] = []

    def write() -> None:
        with first.connect() as connection:
            for number in range(100_000):
                connection.execute("UPDATE t SET a = %s WHERE id = 1", (number,))
                acknowledged.append(number)

    def write_to_the_end() -> None:
        with pytest.raises(psycopg.Error):
            write()

    def unsettled() -> bool:
        found = status(second)
        local = next(one for one in found["cluster"]["nodes"] if one["is_local"])
        return bool(local["applied"] != found["committed_lsn"])

    def cut_in_between() -> bool:
        wait_until(unsettled, "something is applied and not settled", 20)
        link.cut()
        if not unsettled():
            # It was settled before the cut: once more.
            link.mend()
        return link.is_cut

    with first.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
        connection.execute("INSERT INTO t VALUES (1, -1)")
    thread = threading.Thread(target=write_to_the_end)
    thread.start()
    wait_until(lambda: len(acknowledged) > 3, "there is load", 20)
    with second.connect() as reader, second.connect() as eventual:
        eventual.execute("SET read_consistency = eventual")
        one(eventual, "SELECT a FROM t WHERE id = 1")  # From the first read on, readers are kept at each state.
        wait_until(cut_in_between, "the cut comes before it is settled", 60)
        first.kill()
        thread.join()
        assert unsettled()
        reader.execute("SET helios.min_lsn_timeout = '300ms'")
        for sql in ("SELECT a FROM t WHERE id = 1", "SELECT count(*) FROM t", "SELECT count(*) FROM pg_class"):
            with pytest.raises(psycopg.errors.QueryCanceled) as late:
                reader.execute(sql)
            assert "helios.read_consistency = eventual" in (late.value.diag.message_hint or "")
        for sql in ("SELECT count(*) FROM helios_topology", "SELECT 2", "SELECT count(*) FROM pg_replication_status"):
            assert one(reader, sql) == 2
        assert one(reader, "SELECT pg_is_in_recovery()") is True
        assert one(eventual, "SELECT a FROM t WHERE id = 1") <= len(acknowledged)

        def promoted() -> bool:
            return bool(second.http("/admin/promote", body={"allow_data_loss": True})[0] == 200)

        wait_until(promoted, "it is promoted", 20)
        reader.execute("SET helios.min_lsn_timeout = '20s'")
        assert one(reader, "SELECT a FROM t WHERE id = 1") >= acknowledged[-1]


def test_a_standby_that_starts_alone_shows_what_it_showed_before(pair: Pair) -> None:
    """Its log ends behind that, with what nobody has called committed: no query waits for that to be."""
    first, second, link = pair
    with first.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
        connection.execute("INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) AS i")
    load = threading.Thread(target=updates, args=(first,))
    load.start()
    with second.connect() as reader:
        wait_until(lambda: one(reader, "SELECT max(a) FROM t") > 3, "there is load", 20)
    wait_until(lambda: status(second)["committed_lsn"] < status(second)["flushed_lsn"], "it has more than it shows")
    link.cut()
    first.kill()
    second.kill()
    load.join()
    second.start()
    found = status(second)
    assert found["committed_lsn"] < found["flushed_lsn"]
    with second.connect() as reader, second.connect() as eventual:
        reader.execute("SET helios.min_lsn_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            reader.execute("SELECT count(*) FROM t")
        eventual.execute("SET read_consistency = eventual")
        eventual.execute("SET statement_timeout = '5s'")
        assert one(eventual, "SELECT count(*) FROM t") == 100
        eventual.execute("CHECKPOINT")
        assert second.http("/admin/promote", body={"allow_data_loss": True})[0] == 200
        reader.execute("SET helios.min_lsn_timeout = '20s'")
        assert one(reader, "SELECT count(*) FROM t") == 100
        assert status(second)["committed_lsn"] > found["flushed_lsn"]


def updates(node: NodeProcess) -> None:
    """One after the other, until the node is lost."""
    with contextlib.suppress(psycopg.OperationalError), node.connect() as connection:
        for number in range(100_000):
            connection.execute("UPDATE t SET a = %s WHERE id = 1", (number,))


def test_a_token_of_what_was_given_up_is_an_error(make_node: MakeNode) -> None:
    first = make_node(*flags(1, "async"))
    second = make_node(*flags(2, "async", first.native_port))
    with first.connect() as writer:
        writer.execute("CREATE TABLE t (a int)")
        shared = one(writer, "SHOW helios.lsn")
        wait_until(lambda: status(second)["committed_lsn"] == status(first)["committed_lsn"], "the standby has it")
        second.kill()
        writer.execute("INSERT INTO t VALUES (1)")
        lost = one(writer, "SHOW helios.lsn")
    first.kill()
    second.start()
    code, answer = second.http("/admin/promote", body={"allow_data_loss": True})
    assert code == 200, answer
    with second.connect() as connection:
        wait_until(lambda: one(connection, "SELECT to_regclass('t')") == "t", "what it inherited is shown")
        for number in range(5):
            connection.execute("INSERT INTO t VALUES (%s)", (number + 10,))
        newest = one(connection, "SHOW helios.lsn")
        assert [text.partition("@")[2].partition("-")[0] for text in (shared, lost, newest)] == ["1", "1", "2"]
        # As positions of one log they rise, and so the lost one would seem to be there.
        assert int(lost.partition("@")[0].partition("/")[2], 16) < int(newest.partition("@")[0].partition("/")[2], 16)
        for token in (shared, newest, lost.partition("@")[0]):
            connection.execute(f"SET helios.min_lsn = '{token}'")
            assert one(connection, "SELECT count(*) FROM t") == 5
        connection.execute(f"SET helios.min_lsn = '{lost}'")
        for _ in range(2):
            with pytest.raises(psycopg.Error) as gone:
                connection.execute("SELECT count(*) FROM t")
            assert gone.value.sqlstate == "NH020"
            assert "salvage list" in (gone.value.diag.message_hint or "")
        connection.execute("RESET helios.min_lsn")
        assert one(connection, "SELECT count(*) FROM t") == 5
        # A term that has not come here: the position alone is not enough.
        connection.execute("SET helios.min_lsn_timeout = '200ms'")
        connection.execute(f"SET helios.min_lsn = '{shared.partition('@')[0]}@9-1'")
        with pytest.raises(psycopg.errors.QueryCanceled, match=r"waiting for .*@9-1 to be committed"):
            connection.execute("SELECT count(*) FROM t")
