"""What breaks a design like this one when a single care is left out: each test fails without the care it names."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until
from support.raw_wire import COPY_DONE, FLUSH, RawClient, bind, copy_data, execute, parse, query
from support.storage_core import StorageCore

from helios_cli.engine.node.guard import InlineGuard
from helios_cli.engine.node.sealing import seal
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.redo import scan_database
from helios_cli.engine.storage.store import Store
from helios_cli.engine.types import Term

QUIET_S = 0.15
"""How long nothing must come for a test to believe that nothing will."""

SLOW = "(SELECT count(*) FROM generate_series(1, 3))"
"""Makes a statement one for the worker threads."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[InnerNode]:
    with InnerNode(tmp_path, idle_writer_timeout=200, log_segment_mb=1, log_retention_mb=0) as running:
        with running.connect() as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
            connection.execute("INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)")
        yield running


def meanwhile(client: RawClient) -> str:
    """The types of the messages that come until nothing has come for a while."""
    codes = ""
    client.socket.settimeout(QUIET_S)
    try:
        while True:
            codes += client.receive()[0]
    except TimeoutError:
        return codes
    finally:
        client.socket.settimeout(20)


def sqlstates(answers: list[tuple[str, object]]) -> list[str]:
    return [str(fields["C"]) for code, fields in answers if code == "E" and isinstance(fields, dict)]


def rows(answers: list[tuple[str, object]]) -> list[object]:
    return [content for code, content in answers if code == "D"]


class TestWhatIsNotCommittedIsNotSeen:
    @pytest.mark.parametrize(
        "statement",
        [
            f"SELECT v FROM t WHERE {SLOW} = 3 AND id = 1",
            f"COPY (SELECT v FROM t WHERE {SLOW} = 3 AND id = 1) TO STDOUT",
            f"SELECT 1 / (v - 7) FROM t WHERE {SLOW} = 3 AND id = 1",
        ],
        ids=["query", "copy", "error"],
    )
    def test_a_worker_says_nothing_of_a_snapshot_that_is_not_committed(self, node: InnerNode, statement: str) -> None:
        with node.raw() as writer, node.raw() as reader:
            node.hold_disk()
            writer.send(query("UPDATE t SET v = 7 WHERE id = 1"))
            node.wait_in_flight()
            reader.send(query(statement))
            # Only what the plan alone tells may come: that a COPY begins.
            assert meanwhile(reader) in ("", "H")
            node.release_disk()
            answers = reader.until("Z")
            assert [content for code, content in answers if code in "DdE"], answers
            writer.until("Z")

    @pytest.mark.parametrize("fetch", ["SELECT v FROM t WHERE id = 1", f"SELECT v FROM t WHERE {SLOW} = 3 AND id = 1"])
    def test_a_repeatable_snapshot_shows_nothing_before_it_is_committed(self, node: InnerNode, fetch: str) -> None:
        with node.raw() as writer, node.raw() as reader:
            reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            node.hold_disk()
            writer.send(query("UPDATE t SET v = 7 WHERE id = 1"))
            node.wait_in_flight()
            reader.send(query(fetch))
            assert meanwhile(reader) == ""
            node.release_disk()
            assert rows(reader.until("Z")) == [(b"7",)]

    def test_a_cursor_shows_nothing_before_it_is_committed(self, node: InnerNode) -> None:
        with node.raw() as writer, node.raw() as reader:
            reader.run("BEGIN")
            reader.run("DECLARE c CURSOR FOR SELECT v FROM t ORDER BY id")
            node.hold_disk()
            writer.send(query("UPDATE t SET v = 7 WHERE id = 1"))
            node.wait_in_flight()
            reader.send(query("FETCH ALL FROM c"))
            assert meanwhile(reader) == ""
            node.release_disk()
            assert len(rows(reader.until("Z"))) == 3

    def test_an_inline_read_shows_the_state_before(self, node: InnerNode) -> None:
        with node.raw() as writer, node.raw() as reader:
            node.hold_disk()
            assert rows(reader.run("SELECT v FROM t WHERE id = 1")) == [(b"0",)]
            writer.send(query("UPDATE t SET v = 7 WHERE id = 1"))
            node.wait_in_flight()
            assert rows(reader.run("SELECT v FROM t WHERE id = 1")) == [(b"0",)]
            node.release_disk()
            writer.until("Z")
            assert rows(reader.run("SELECT v FROM t WHERE id = 1")) == [(b"7",)]

    def test_a_read_waits_when_only_what_is_in_flight_could_be_pinned(self, node: InnerNode) -> None:
        with node.raw() as writer, node.raw() as reader:
            # Nobody has read for a while, so boundaries are not pinned.
            node.on_loop(lambda: setattr(node.node.database.ring, "wanted", 0))
            writer.run("UPDATE t SET v = 6 WHERE id = 1")
            node.hold_disk()
            writer.send(query("UPDATE t SET v = 7 WHERE id = 1"))
            node.wait_in_flight()
            reader.send(query("SELECT v FROM t WHERE id = 1"))
            assert meanwhile(reader) == ""
            node.release_disk()
            assert rows(reader.until("Z")) == [(b"7",)]


class TestErrorsAndEmptyResultsWaitForWhatTheyStandOn:
    @pytest.mark.parametrize(
        ("before", "statement"),
        [
            ([], "INSERT INTO t VALUES (10, 2)"),
            ([], "UPDATE t SET v = 1 WHERE id = 99"),
            ([], f"INSERT INTO t SELECT 10, {SLOW}"),
            ([], f"DELETE FROM t WHERE id = 98 + {SLOW} - 3"),
            ([], "CREATE UNIQUE INDEX again ON t (v)"),
            (["BEGIN", "UPDATE t SET v = 2 WHERE id = 2"], "INSERT INTO t VALUES (10, 2)"),
            (["BEGIN", "UPDATE t SET v = 2 WHERE id = 2"], "UPDATE t SET v = 1 / (v - 1) WHERE id = 10"),
            (["BEGIN", "UPDATE t SET v = 2 WHERE id = 2"], f"INSERT INTO t SELECT 10, {SLOW}"),
            (["BEGIN", "UPDATE t SET v = 2 WHERE id = 2"], "SELECT 1 / (v - 1) FROM t WHERE id = 10"),
            (["BEGIN", "UPDATE t SET v = 2 WHERE id = 2"], f"SELECT {SLOW} / (v - 1) FROM t WHERE id = 10"),
        ],
        ids=[
            "duplicate", "nothing", "duplicate on a thread", "nothing on a thread", "ddl", "in a transaction",
            "function in a transaction", "in a transaction on a thread", "read in a transaction",
            "read in a transaction on a thread",
        ],
    )  # fmt: skip
    def test_they_leave_with_it(self, node: InnerNode, before: list[str], statement: str) -> None:
        with node.raw() as writer, node.raw() as other:
            node.hold_disk()
            writer.send(query("INSERT INTO t VALUES (10, 1)"))
            node.wait_in_flight()
            for each in before:
                assert not sqlstates(other.run(each)), "provisional answers flow at once"
            other.send(query(statement))
            assert meanwhile(other) == ""
            node.release_disk()
            last = other.until("Z")
            assert sqlstates(last) or "0" in str(last[0][1])

    def test_a_failed_copy_tells_with_the_state_it_failed_on(self, node: InnerNode) -> None:
        with node.raw() as writer, node.raw() as other:
            node.hold_disk()
            writer.send(query("INSERT INTO t VALUES (10, 1)"))
            node.wait_in_flight()
            other.send(query("COPY t FROM STDIN"))
            other.until("G")
            other.send(copy_data(b"10\t5\n"), COPY_DONE)
            assert meanwhile(other) == ""
            node.release_disk()
            assert sqlstates(other.until("Z")) == ["23505"]

    def test_a_notification_is_delivered_when_its_transaction_is_on_disk(self, node: InnerNode) -> None:
        with node.raw() as sender, node.raw() as listener:
            listener.run("LISTEN news")
            sender.run("SET synchronous_commit = off")
            sender.run("BEGIN")
            sender.run("UPDATE t SET v = 1 WHERE id = 1")
            sender.run("NOTIFY news, 'one'")
            node.hold_disk()
            sender.run("COMMIT")
            assert meanwhile(listener) == ""
            node.release_disk()
            assert listener.receive() == ("A", ("news", "one"))


class TestCheckpoints:
    def test_nothing_enters_the_file_that_is_not_committed(self, node: InnerNode) -> None:
        """A step-down takes back what is not committed by leaving SQLite's WAL behind; the file must not hold it."""
        inner = node.node
        with node.raw() as writer, node.raw() as reader, node.connect() as admin:
            admin.execute("CHECKPOINT")
            committed = inner.database.checksums.copy()
            node.hold_disk()
            writer.send(query("UPDATE t SET v = 7 WHERE id = 1"))
            node.wait_in_flight()
            # A read meanwhile must not move the pinned reader onto what is in flight, nor leave nothing pinned.
            reader.send(query("SELECT v FROM t WHERE id = 2"))
            count = inner.checkpointer.count
            node.on_loop(inner.checkpointer.request)
            another = inner.database.connect()
            for _ in range(3):
                node.on_loop(lambda: None)
                with contextlib.suppress(apsw.BusyError):
                    another.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            inner.database.drop(another)
            found = scan_database(OsFiles().open(inner.database.path), committed.pages)
            assert found.total == committed.total
            assert inner.checkpointer.count == count, "it must wait for the commit"
            node.release_disk()
            wait_until(lambda: inner.checkpointer.count > count, "the checkpoint ends")
            now = inner.database.checksums
            assert scan_database(OsFiles().open(inner.database.path), now.pages).total == now.total

    def test_the_log_that_a_restart_needs_is_kept(self, node: InnerNode) -> None:
        """Everything from the recorded checkpoint on stays, however little the retention asks for."""
        inner = node.node
        with node.connect() as connection:
            connection.execute("CREATE TABLE big (x text)")
            checkpoint = inner.checkpointer.checkpoint_lsn
            for number in range(6):
                connection.execute(
                    f"INSERT INTO big SELECT md5((g + {number * 100000})::text) || md5(g::text || 'x') "
                    "FROM generate_series(1, 60000) AS g"
                )
            assert inner.checkpointer.checkpoint_lsn == checkpoint
            assert inner.store.log.segment_count > 2
            node.on_loop(inner.checkpointer.trim_log)
            assert inner.store.log.start <= checkpoint


class TestTheLoop:
    def test_a_statement_that_empties_a_table_runs_on_a_thread(self, node: InnerNode) -> None:
        """It is one opcode, whatever the size of the table: no step budget can end it."""
        with node.connect() as connection:
            for statement in ("DELETE FROM t", "SELECT count(*) FROM t", "SELECT repeat('x', 100000000)"):
                plan = connection.execute(f"EXPLAIN {statement}").fetchall()
                assert plan[-1] == ("Runs on: worker thread",), statement
            short = connection.execute("EXPLAIN SELECT v FROM t WHERE id = 1").fetchall()
            assert short[-1] == ("Runs on: event loop",)

    def test_the_budget_ends_statements_of_the_loop_and_no_others(self) -> None:
        """The writer's connection runs long statements on its thread while the loop's short ones have a budget."""
        guard = InlineGuard()
        guard.arm(-1)
        elsewhere: list[bool] = []
        thread = threading.Thread(target=lambda: elsewhere.append(guard._expired()))
        thread.start()
        thread.join()
        assert guard._expired()
        assert elsewhere == [False]

    def test_a_short_statement_in_a_repeatable_transaction_has_a_budget_too(self, node: InnerNode) -> None:
        """Its connection is borrowed; an index that matches everything makes a lookup long."""
        with node.connect() as connection:
            connection.execute("CREATE TABLE wide (id int PRIMARY KEY, k int)")
            connection.execute("INSERT INTO wide SELECT g, 1 FROM generate_series(1, 800000) AS g")
            connection.execute("CREATE INDEX wide_k ON wide (k)")
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT v FROM t WHERE id = 1")
            stalls: list[float] = []
            stop = threading.Event()

            def watch() -> None:
                while not stop.is_set():
                    started = time.perf_counter()
                    node.on_loop(lambda: None)
                    stalls.append(time.perf_counter() - started)

            thread = threading.Thread(target=watch)
            thread.start()
            started = time.perf_counter()
            connection.execute("SELECT sum(id % 7) FROM wide WHERE k = 1")
            took = time.perf_counter() - started
            stop.set()
            thread.join()
            connection.execute("ROLLBACK")
            assert took > 0.04, "the statement is not long enough to show anything"
            assert max(stalls) < took / 2

    def test_volatile_functions_never_run_under_a_budget_that_reruns_them(self, node: InnerNode) -> None:
        with node.connect() as connection:
            connection.execute("CREATE SEQUENCE numbers")
            for statement in ("SELECT setval('numbers', 1, false)", "SELECT random()", "SELECT clock_timestamp()"):
                plan = connection.execute(f"EXPLAIN {statement}").fetchall()
                assert plan[-1] == ("Runs on: worker thread",), statement
            assert connection.execute("SELECT nextval('numbers')").fetchone() == (1,)
            assert connection.execute("SELECT nextval('numbers')").fetchone() == (2,)


class TestSessionsShareTheWriterAndNothingElse:
    def test_temporary_tables_are_their_sessions_own(self, node: InnerNode) -> None:
        with node.connect() as one, node.connect() as other:
            one.execute("CREATE TEMP TABLE own (a int)")
            one.execute("INSERT INTO own VALUES (1)")
            with node.raw() as stranger:
                assert sqlstates(stranger.run("SELECT a FROM own")) == ["42P01"]
            other.execute("CREATE TEMP TABLE own (a int)")
            assert other.execute("SELECT count(*) FROM own").fetchone() == (0,)
            with one.transaction():
                one.execute("INSERT INTO own VALUES (2)")
                one.execute("UPDATE t SET v = 5 WHERE id = 1")
            assert one.execute("SELECT count(*) FROM own").fetchone() == (2,)
            # What such a session writes to tables of all goes through the log like everything else.
            assert other.execute("SELECT v FROM t WHERE id = 1").fetchone() == (5,)
            total = node.node.database.checksums.total
            one.execute("CHECKPOINT")
            pages = node.node.database.checksums.pages
            assert scan_database(OsFiles().open(node.node.database.path), pages).total == total

    def test_row_counts_of_others_do_not_leak(self, node: InnerNode) -> None:
        with node.connect() as one, node.connect() as other:
            assert one.execute("UPDATE t SET v = 1").rowcount == 3
            assert other.execute("UPDATE t SET v = 1 WHERE id = 99").rowcount == 0
            assert other.execute("DELETE FROM t WHERE id = 99").rowcount == 0

    def test_every_commit_in_flight_has_a_reader_of_its_own(self, node: InnerNode) -> None:
        """Whoever commits: groups, threads, and the record that seals the log."""
        clients = [node.raw() for _ in range(node.settings.groups_in_flight + 4)]
        with node.raw() as reader:
            node.hold_disk()
            for number, client in enumerate(clients):
                reader.run("SELECT v FROM t WHERE id = 1")
                value = SLOW if number % 2 else "1"
                client.send(query(f"INSERT INTO t SELECT {100 + number}, {value}"))
                wait_until(
                    lambda number=number: node.in_flight > min(number, node.settings.groups_in_flight - 1),  # type: ignore[misc]
                    "the write is in flight, or as many as may be",
                )
            node.on_loop(lambda: seal(node.node))
            assert node.in_flight == node.settings.groups_in_flight
            node.release_disk()
            for client in clients:
                assert not sqlstates(client.until("Z"))
                client.socket.close()
            assert rows(reader.run("SELECT count(*) FROM t WHERE id >= 100")) == [(str(len(clients)).encode(),)]


class TestTheWriterIsNotHeldBySilence:
    @pytest.mark.parametrize("how", ["block", "pipeline", "copy"])
    def test_a_silent_holder_gives_way_to_those_who_wait(self, node: InnerNode, how: str) -> None:
        with node.raw() as holder, node.connect() as other:
            if how == "block":
                holder.run("BEGIN")
                holder.run("UPDATE t SET v = 1 WHERE id = 1")
            elif how == "pipeline":
                holder.send(parse("UPDATE t SET v = 1 WHERE id = 1"), bind(), execute(), FLUSH)
                holder.until("C")
            else:
                holder.send(query("COPY t FROM STDIN"))
                holder.until("G")
                holder.send(copy_data(b"50\t5\n"))
            other.execute("SET statement_timeout = '5s'")
            other.execute("UPDATE t SET v = 2 WHERE id = 1")
            assert sqlstates(holder.to_the_end()) == ["25P03"]
            assert other.execute("SELECT id, v FROM t WHERE id IN (1, 50)").fetchall() == [(1, 2)]

    def test_a_conflict_is_not_met_twice(self, node: InnerNode) -> None:
        """After one 40001 the session's next such transaction takes the writer before it reads."""
        with node.raw() as one, node.connect() as other:
            one.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            one.run("SELECT v FROM t WHERE id = 1")
            other.execute("UPDATE t SET v = v + 1 WHERE id = 1")
            assert sqlstates(one.run("UPDATE t SET v = v + 1 WHERE id = 1")) == ["40001"]
            one.run("ROLLBACK")
            one.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            one.run("SELECT v FROM t WHERE id = 1")
            thread = threading.Thread(target=lambda: other.execute("UPDATE t SET v = v + 1 WHERE id = 1"))
            thread.start()
            wait_until(lambda: len(node.node.engine.queue) == 1, "the other waits for the writer")
            assert not sqlstates(one.run("UPDATE t SET v = v + 1 WHERE id = 1"))
            one.run("COMMIT")
            thread.join(10)
            assert rows(one.run("SELECT v FROM t WHERE id = 1")) == [(b"3",)]

    def test_the_record_that_seals_an_idle_log_is_no_conflict(self, node: InnerNode) -> None:
        with node.raw() as one:
            one.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            one.run("SELECT v FROM t WHERE id = 1")
            node.on_loop(lambda: seal(node.node))
            assert not sqlstates(one.run("UPDATE t SET v = v + 1 WHERE id = 1"))
            one.run("COMMIT")


class TestAfterARestart:
    def test_only_a_term_that_the_node_took_itself_is_its_own(self, tmp_path: Path) -> None:
        """Of that one it knows that the records tell of its own disk, also after a restart."""
        store = Store(str(tmp_path))
        own = store.new_term()
        assert store.control.record.own_term == own
        store.close()
        again = Store(str(tmp_path))
        assert again.control.record.own_term == own
        again.promise(Term(own.number + 1, 1), "other")
        assert again.control.record.own_term is None
        again.close()
        third = Store(str(tmp_path))
        assert third.control.record.own_term is None
        third.close()

    def test_a_node_goes_on_in_a_new_term(self, tmp_path: Path) -> None:
        """What it had sent to others and not synced must not meet another record at the same term and LSN."""
        store = Store(str(tmp_path))
        before = store.new_term()
        store.close()
        again = Store(str(tmp_path))
        after = again.new_term()
        assert after.number > before.number
        assert after.term_id != before.term_id
        again.close()
        # On disk before it is used.
        third = Store(str(tmp_path))
        assert third.control.record.term == after
        third.close()


class TestGroups:
    def test_a_member_that_fails_half_way_leaves_nothing(self, tmp_path: Path) -> None:
        """SQLite keeps no statement journal for every error: the rows changed before an overflow stay changed."""

        async def body() -> None:
            core = StorageCore(tmp_path)
            try:
                await core.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 0), (2, 0)")
                overflow = "(SELECT sum(column1) FROM (VALUES (9223372036854775807), (1)))"
                done = await core.group(
                    f"UPDATE t SET v = CASE WHEN id = 2 THEN {overflow} ELSE 100 END", "INSERT INTO t VALUES (3, 0)"
                )
                assert [write.error is None for write in done] == [False, True]
                assert core.committed("SELECT v FROM t ORDER BY id") == [(0,), (0,), (0,)]
            finally:
                core.close()

        asyncio.run(asyncio.wait_for(body(), 30))
