"""Writes that clients name: each name is done once, however often and by whatever way it is sent."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until
from support.raw_wire import SYNC, bind, describe, execute, parse, query

from helios_cli.engine.storage import write_ids
from helios_cli.engine.storage.write_ids import WriteIds

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def inner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InnerNode]:
    with InnerNode(tmp_path_factory.mktemp("write_ids")) as node:
        with node.connect() as connection:
            connection.execute("CREATE TABLE t (a serial PRIMARY KEY, b text)")
            connection.execute("CREATE TABLE k (a int PRIMARY KEY, b text)")
            connection.execute("CREATE TABLE g (b text)")
        yield node


@pytest.fixture
def client(inner: InnerNode) -> Iterator[Connection]:
    with inner.connect() as connection:
        yield connection
        connection.execute("DELETE FROM t")
        connection.execute("DELETE FROM k")
        connection.execute("DELETE FROM g")


def new_id(number: int = 1) -> str:
    return f"{uuid.uuid4()}:{number}"


def name(connection: Connection, write_id: str) -> None:
    connection.execute(f"SET helios.write_id = '{write_id}'")


def once(connection: Connection, write_id: str, sql: str, parameters: tuple[Any, ...] | None = None) -> Any:
    """Send a statement under a name; its tag, and its rows when it has any."""
    name(connection, write_id)
    cursor = connection.execute(sql, parameters)
    return cursor.statusmessage, cursor.fetchall() if cursor.description else None


def outcome(connection: Connection, write_id: str, *, give_up: bool = True) -> Any:
    row = connection.execute("SELECT helios_write_outcome(%s, %s)", (write_id, give_up)).fetchone()
    assert row is not None
    return row[0]


def count(connection: Connection, table: str = "(TABLE g UNION ALL SELECT b FROM t) AS every_row") -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def by_group(connection: Connection, write_id: str) -> Any:
    """Short, so that it shares its transaction with the writes of others."""
    return once(connection, write_id, "INSERT INTO g VALUES ('x') RETURNING b")


def by_query(connection: Connection, write_id: str) -> Any:
    return once(connection, write_id, "INSERT INTO t (b) VALUES ('x') RETURNING a, b")


def by_parameters(connection: Connection, write_id: str) -> Any:
    return once(connection, write_id, "INSERT INTO t (b) VALUES (%s) RETURNING a, b", ("x",))


def by_thread(connection: Connection, write_id: str) -> Any:
    return once(connection, write_id, "INSERT INTO t (b) SELECT 'x' FROM generate_series(1, 3) RETURNING a, b")


def by_alone(connection: Connection, write_id: str) -> Any:
    """One row, by a statement that nobody knows to be short."""
    return once(connection, write_id, "INSERT INTO t (b) SELECT 'x' FROM generate_series(1, 1) RETURNING a, b")


def by_several(connection: Connection, write_id: str) -> Any:
    """In the implicit transaction of one query string."""
    cursor = connection.execute(f"SET helios.write_id = '{write_id}'; INSERT INTO t (b) VALUES ('x') RETURNING a, b")
    assert cursor.nextset()
    return cursor.statusmessage, cursor.fetchall()


def by_pipeline(connection: Connection, write_id: str) -> Any:
    """In the implicit transaction of one Sync."""
    with connection.pipeline():
        connection.execute("SELECT set_config('helios.write_id', %s, false)", (write_id,))
        cursor = connection.execute("INSERT INTO t (b) VALUES (%s) RETURNING a, b", ("x",))
        return cursor.statusmessage, cursor.fetchall()


def by_copy(connection: Connection, write_id: str) -> Any:
    name(connection, write_id)
    with connection.cursor() as cursor:
        with cursor.copy("COPY t (b) FROM STDIN") as copy:
            copy.write("x\ny\n")
        return cursor.statusmessage


def by_execute(connection: Connection, write_id: str) -> Any:
    connection.execute("PREPARE p(text) AS INSERT INTO t (b) VALUES ($1) RETURNING a, b")
    try:
        return once(connection, write_id, "EXECUTE p('x')")
    finally:
        connection.execute("DEALLOCATE p")


WAYS: list[Callable[[Connection, str], Any]] = [
    by_group, by_query, by_parameters, by_thread, by_several, by_pipeline, by_copy, by_execute
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_write_that_is_sent_again_is_answered_as_it_was(
    client: Connection, way: Callable[[Connection, str], Any]
) -> None:
    write_id = new_id()
    first = way(client, write_id)
    rows = count(client)
    assert rows > 0
    assert way(client, write_id) == first
    assert count(client) == rows
    way(client, new_id())
    assert count(client) == 2 * rows, "another name is another write"


def test_a_name_is_used_up_by_one_write(client: Connection) -> None:
    write_id = new_id()
    by_query(client, write_id)
    client.execute("INSERT INTO t (b) VALUES ('x') RETURNING a, b")
    client.execute("INSERT INTO t (b) VALUES ('x') RETURNING a, b")
    assert count(client) == 3
    assert client.execute("SHOW helios.write_id").fetchone() == ("",)


def test_a_job_is_taken_from_a_queue_once(client: Connection) -> None:
    client.execute("INSERT INTO k VALUES (1, 'new'), (2, 'new'), (3, 'new')")
    first = "(SELECT a FROM k WHERE b = 'new' ORDER BY a LIMIT 1 FOR UPDATE SKIP LOCKED)"
    for number, take in enumerate((
        f"UPDATE k SET b = 'taken' WHERE a = {first} RETURNING a",
        f"WITH q AS {first} DELETE FROM k USING q WHERE k.a = q.a RETURNING k.a",
    ), 1):  # fmt: skip
        write_id = new_id()
        assert once(client, write_id, take)[1] == once(client, write_id, take)[1] == [(number,)]
    assert client.execute("SELECT a, b FROM k ORDER BY a").fetchall() == [(1, "taken"), (3, "new")]


def test_queries_between_do_not_use_it_up(client: Connection) -> None:
    write_id = new_id()
    for _ in range(2):
        name(client, write_id)
        assert client.execute("SELECT 1").fetchone() == (1,)
        client.execute("SELECT a FROM t FOR UPDATE")
        client.execute("INSERT INTO t (b) VALUES ('x')")
    assert count(client) == 1


def test_another_statement_under_the_same_name_is_refused(client: Connection) -> None:
    write_id = new_id()
    once(client, write_id, "INSERT INTO t (b) VALUES (%s)", ("x",))
    for sql, parameters in (("INSERT INTO t (b) VALUES (%s)", ("y",)), ("DELETE FROM t", None)):
        with pytest.raises(psycopg.Error) as caught:
            once(client, write_id, sql, parameters)
        assert caught.value.sqlstate == "NH021"
    assert client.execute("SELECT b FROM t").fetchall() == [("x",)]


def test_a_statement_is_the_same_in_whatever_company_it_comes(client: Connection) -> None:
    write_id = new_id()
    text = "INSERT INTO g VALUES ('x')"
    for sent in (
        f"SET helios.write_id = '{write_id}'; {text}",
        f"SET helios.write_id = '{write_id}';\n{text} ; SELECT 1",
    ):
        client.execute(sent)
    assert once(client, write_id, f"{text};") == once(client, write_id, text) == ("INSERT 0 1", None)
    assert count(client) == 1


def test_errors_are_not_kept(client: Connection) -> None:
    write_id = new_id()
    client.execute("INSERT INTO k VALUES (1)")
    for _ in range(2):
        with pytest.raises(psycopg.errors.UniqueViolation):
            once(client, write_id, "INSERT INTO k VALUES (1)")
    client.execute("DELETE FROM k")
    assert once(client, write_id, "INSERT INTO k VALUES (1)") == ("INSERT 0 1", None)


def test_a_write_that_changed_nothing_is_done_too(client: Connection) -> None:
    write_id = new_id()
    assert once(client, write_id, "UPDATE k SET b = 'changed'")[0] == "UPDATE 0"
    client.execute("INSERT INTO k VALUES (1, 'old')")
    assert once(client, write_id, "UPDATE k SET b = 'changed'")[0] == "UPDATE 0"
    assert client.execute("SELECT b FROM k").fetchone() == ("old",)


def test_every_kind_of_value_comes_back(client: Connection) -> None:
    write_id = new_id()
    sql = (
        "INSERT INTO k VALUES (7, NULL) RETURNING a, b, 1.5::numeric, 2.5::float8, 'NaN'::float8, '\\x00ff'::bytea, "
        "true, now(), '2020-01-01'::date, '{\"a\": 1}'::jsonb, ARRAY['ü', NULL]"
    )
    first = once(client, write_id, sql)
    assert repr(once(client, write_id, sql)) == repr(first)
    other = client.cursor(binary=True)
    name(client, write_id)
    assert repr(other.execute(sql).fetchall()) == repr(first[1]), "in the other format, too"


def test_a_result_that_was_too_large_is_told_to_be_gone(client: Connection) -> None:
    write_id = new_id()
    sql = "INSERT INTO t (b) SELECT repeat('x', 100) FROM generate_series(1, 200) RETURNING b"
    assert len(once(client, write_id, sql)[1]) == 200
    with pytest.raises(psycopg.Error) as caught:
        once(client, write_id, sql)
    assert caught.value.sqlstate == "08007"
    assert "INSERT 0 200" in str(caught.value)
    assert count(client) == 200
    assert outcome(client, write_id) == "INSERT 0 200"


def test_a_block_is_one_write(client: Connection) -> None:
    write_id = new_id()
    for attempt in range(2):
        client.execute("BEGIN")
        client.execute("INSERT INTO t (b) VALUES ('x')")
        client.execute("INSERT INTO t (b) VALUES ('y')")
        client.execute(f"SET LOCAL helios.write_id = '{write_id}'")
        assert client.execute("COMMIT").statusmessage == "COMMIT", attempt
        assert count(client) == 2
    assert outcome(client, write_id) == "COMMIT"
    assert client.execute("SHOW helios.write_id").fetchone() == ("",)


def test_a_block_that_names_itself_first_ends_at_its_first_write(client: Connection) -> None:
    write_id = new_id()
    client.execute("BEGIN")
    client.execute(f"SET LOCAL helios.write_id = '{write_id}'")
    client.execute("INSERT INTO k VALUES (1)")
    client.execute("UPDATE k SET b = 'x'")
    client.execute("COMMIT")
    client.execute("BEGIN")
    client.execute(f"SET LOCAL helios.write_id = '{write_id}'")
    client.execute("SAVEPOINT s")
    with pytest.raises(psycopg.Error) as caught:
        client.execute("INSERT INTO k VALUES (1)")
    assert caught.value.sqlstate == "NH023"
    client.execute("ROLLBACK TO s")
    with pytest.raises(psycopg.Error):
        client.execute("INSERT INTO k VALUES (2)")
    client.execute("ROLLBACK")
    assert client.execute("SELECT a, b FROM k").fetchall() == [(1, "x")]


def test_a_block_that_is_rolled_back_keeps_nothing(client: Connection) -> None:
    write_id = new_id()
    client.execute("BEGIN")
    client.execute(f"SET helios.write_id = '{write_id}'")
    client.execute("INSERT INTO k VALUES (1)")
    client.execute("ROLLBACK")
    assert outcome(client, write_id, give_up=False) is None
    client.execute("INSERT INTO k VALUES (1)")
    assert outcome(client, write_id, give_up=False) is None, "the name was the block's"


def test_a_name_outlives_a_savepoint_that_is_rolled_back(client: Connection) -> None:
    write_id = new_id()
    client.execute("BEGIN")
    client.execute(f"SET LOCAL helios.write_id = '{write_id}'")
    client.execute("INSERT INTO k VALUES (1)")
    client.execute("SAVEPOINT s")
    with pytest.raises(psycopg.errors.UniqueViolation):
        client.execute("INSERT INTO k VALUES (1)")
    client.execute("ROLLBACK TO s")
    client.execute("COMMIT")
    assert outcome(client, write_id) == "COMMIT"


def test_who_is_told_that_it_is_not_done_can_rely_on_it(client: Connection) -> None:
    write_id = new_id()
    assert outcome(client, write_id, give_up=False) is None
    assert outcome(client, write_id) == "not done"
    with pytest.raises(psycopg.Error) as caught:
        by_query(client, write_id)
    assert caught.value.sqlstate == "NH022"
    client.execute("BEGIN")
    client.execute("INSERT INTO t (b) VALUES ('x')")
    client.execute(f"SET LOCAL helios.write_id = '{write_id}'")
    with pytest.raises(psycopg.Error) as caught:
        client.execute("COMMIT")
    assert caught.value.sqlstate == "NH022"
    assert count(client) == 0
    assert outcome(client, write_id) == "not done"


def test_the_outcome_is_not_asked_for_within_a_block(client: Connection) -> None:
    client.execute("BEGIN")
    with pytest.raises(psycopg.Error) as caught:
        outcome(client, new_id())
    assert caught.value.sqlstate == "25001"
    client.execute("ROLLBACK")
    with pytest.raises(psycopg.Error) as caught:
        outcome(client, "17")
    assert caught.value.sqlstate == "22023"
    assert client.execute("SELECT helios_write_outcome(NULL)").fetchone() == (None,)


def test_the_outcome_waits_until_it_is_on_disk(inner: InnerNode, client: Connection) -> None:
    """Neither of a write that could still be lost, nor of one that could still come."""
    write_id = new_id()
    answers: list[Any] = []

    def ask() -> None:
        with inner.connect() as connection:
            answers.append(outcome(connection, write_id))

    inner.hold_disk()
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        inner.wait_in_flight()
        assert not answers
    finally:
        inner.release_disk()
        asking.join(10)
    assert answers == ["not done"]


@pytest.mark.parametrize("way", [by_group, by_query, by_alone])
def test_two_attempts_at_once_are_one_write(
    inner: InnerNode, client: Connection, way: Callable[[Connection, str], Any]
) -> None:
    """The second comes while the first is on its way to the disk, or in the same group."""
    write_id = new_id()
    answers: list[Any] = []

    def send() -> None:
        with inner.connect() as connection:
            answers.append(way(connection, write_id))

    grouped = inner.node.engine.queue.write_count
    inner.hold_disk()
    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        inner.wait_in_flight()
    finally:
        inner.release_disk()
    for thread in threads:
        thread.join(10)
    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)
    assert count(client) == 1
    assert inner.node.engine.queue.write_count - grouped == (0 if way is by_alone else 4)


def test_a_failed_member_does_not_take_names_with_it(inner: InnerNode, client: Connection) -> None:
    """Members with and without a name share a group with one that fails and one that violates a deferred key."""
    client.execute("CREATE TABLE IF NOT EXISTS c (a int REFERENCES k DEFERRABLE INITIALLY DEFERRED)")
    client.execute("INSERT INTO k VALUES (1)")
    ids = [new_id(number) for number in range(6)]
    texts = [
        "INSERT INTO k VALUES (2)", "INSERT INTO k VALUES (1)", "INSERT INTO c VALUES (9)", "INSERT INTO k VALUES (3)",
        "INSERT INTO k SELECT 5 / 0", "INSERT INTO c VALUES (1)",
    ]  # fmt: skip
    outcomes: dict[int, str | None] = {}

    def send(index: int) -> None:
        with inner.connect() as connection:
            try:
                once(connection, ids[index], texts[index])
                outcomes[index] = None
            except psycopg.Error as error:
                outcomes[index] = error.sqlstate

    threads = [threading.Thread(target=send, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert outcomes == {0: None, 1: "23505", 2: "23503", 3: None, 4: "22012", 5: None}
    kept = [outcome(client, one, give_up=False) for one in ids]
    assert kept == ["INSERT 0 1", None, None, "INSERT 0 1", None, "INSERT 0 1"]
    client.execute("DROP TABLE c")


def test_definitions_and_roles_have_names_too(client: Connection) -> None:
    """One that is sent again is refused by what it made, before it is executed; its outcome is known all the same."""
    for sql, state in (("CREATE TABLE made (a int)", "42P07"), ("CREATE ROLE somebody PASSWORD 'secret'", "42710")):
        write_id = new_id()
        assert once(client, write_id, sql)[1] is None
        with pytest.raises(psycopg.Error) as caught:
            once(client, write_id, sql)
        assert caught.value.sqlstate == state
        name(client, "")
        assert outcome(client, write_id) == " ".join(sql.split()[:2])
    for sql in ("TRUNCATE k", "ALTER ROLE somebody PASSWORD 'other'"):
        write_id = new_id()
        first = once(client, write_id, sql)
        client.execute("INSERT INTO k VALUES (1) ON CONFLICT DO NOTHING")
        assert once(client, write_id, sql) == first
        assert count(client, "k") == 1
    client.execute("DROP TABLE made")
    client.execute("DROP ROLE somebody")


def test_a_startup_packet_names_the_first_write(inner: InnerNode, client: Connection) -> None:
    write_id = new_id()
    for _ in range(2):
        with inner.connect(options=f"-c helios.write_id={write_id}") as connection:
            connection.execute("INSERT INTO t (b) VALUES ('x')")
            connection.execute("INSERT INTO t (b) VALUES ('z')")
    assert client.execute("SELECT b, count(*) FROM t GROUP BY b ORDER BY b").fetchall() == [("x", 1), ("z", 2)]


def test_a_name_has_one_form(client: Connection) -> None:
    for text in ("17", "x:1", f"{uuid.uuid4()}", f"{uuid.uuid4()}:-1", f"{uuid.uuid4()}:{1 << 63}"):
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            name(client, text)
    write_id = new_id()
    once(client, write_id.upper().replace("-", ""), "INSERT INTO t (b) VALUES ('x')")
    assert outcome(client, write_id) == "INSERT 0 1"
    name(client, "")


def test_a_client_that_remembers_its_last_write_alone_keeps_one_row(client: Connection) -> None:
    own = uuid.uuid4()
    for number in range(5):
        once(client, f"{own}:{number}:last", "INSERT INTO t (b) VALUES ('x')")
    once(client, f"{own}:4:last", "INSERT INTO t (b) VALUES ('x')")
    assert count(client) == 5
    assert [outcome(client, f"{own}:{number}", give_up=False) for number in range(5)] == [None] * 4 + ["INSERT 0 1"]


def test_names_are_forgotten_after_their_time(
    inner: InnerNode, client: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_ids, "SWEEP_ROWS", 8)
    monkeypatch.setattr(write_ids, "SWEEP_EVERY", 2)
    now_us = [1_000_000_000_000]
    monkeypatch.setattr(write_ids, "_now_us", lambda: now_us[0])
    inner.on_loop(lambda: setattr(inner.node.engine.write_ids, "_countdown", 1))
    old = [new_id(number) for number in range(20)]
    for one in old:
        once(client, one, "UPDATE k SET b = 'x'")
    now_us[0] += write_ids.KEPT_US // 2
    young = [new_id(number) for number in range(20)]
    for one in young:
        once(client, one, "UPDATE k SET b = 'x'")
    assert None not in [outcome(client, one, give_up=False) for one in old]
    now_us[0] += write_ids.KEPT_US // 2 + 1
    own = uuid.uuid4()
    for number in range(400):
        once(client, f"{own}:{number}:last", "UPDATE k SET b = 'x'")
    assert {outcome(client, one, give_up=False) for one in old} == {None}
    assert {outcome(client, one, give_up=False) for one in young} == {"UPDATE 0"}


def test_a_restart_keeps_them_and_an_old_directory_gets_the_table(tmp_path: Path) -> None:
    write_id = new_id()
    with InnerNode(tmp_path) as node, node.connect() as connection:
        connection.execute("CREATE TABLE t (a serial PRIMARY KEY, b text)")
        first = by_query(connection, write_id)
    with InnerNode(tmp_path) as node:
        with node.connect() as connection:
            assert by_query(connection, write_id) == first

        def drop() -> None:
            """As a directory of a version that did not have it."""
            database = node.node.database
            database.writer.execute("BEGIN IMMEDIATE; DROP TABLE main.helios_write")
            commit = database.commit(database.writer, schema_changed=True)
            assert commit is not None
            node.node.pipeline.submit(commit)

        node.on_loop(drop)
        wait_until(lambda: not node.node.pipeline.in_flight, "it is on disk")
    with InnerNode(tmp_path) as node, node.connect() as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
        again = by_query(connection, write_id)
        assert again != first
        assert by_query(connection, write_id) == again


def test_a_session_without_a_name_pays_for_no_claim(client: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the table is not asked")

    monkeypatch.setattr(WriteIds, "find", fail)
    client.execute("INSERT INTO t (b) VALUES ('x')")
    assert count(client) == 1


def test_a_write_is_not_given_up_where_that_could_be_undone(client: Connection) -> None:
    name = f"{uuid.uuid4()}:1"
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        client.execute(f"SELECT helios_write_outcome('{name}'); SELECT 1/0".encode())
    assert client.execute(f"SELECT helios_write_outcome('{name}', false); SELECT 1".encode()).fetchone() == (None,)


# As proxies send it: the name right before the write ------------------------------------------------------------------


def shown(answers: list[tuple[str, Any]]) -> str:
    """Types of messages, and what ReadyForQuery says."""
    return "".join(code if code != "Z" else str(content) for code, content in answers if code not in "SN")


@pytest.mark.parametrize(
    ("before", "statement", "answer"),
    [
        ("", "INSERT INTO t (b) VALUES ('x')", "CICI"),
        ("", "INSERT INTO t (b) VALUES ('x'), ('y') RETURNING a", "CITDDCI"),
        ("", "SELECT 1", "CITDCI"),
        ("", "INSERT INTO k VALUES (1, 'x'), (1, 'y')", "CIEI"),
        ("", "nonsense", "CIEI"),
        ("BEGIN", "INSERT INTO t (b) VALUES ('x')", "CTCT"),
        ("BEGIN", "COMMIT", "CTCI"),
        ("BEGIN; SELECT 1/0", "ROLLBACK", "EECI"),
    ],
)
def test_a_name_and_its_statement_in_one_go(inner: InnerNode, before: str, statement: str, answer: str) -> None:
    for by_parse in (False, True):
        with inner.raw() as client:
            if before:
                client.run(before)
            write_id = new_id()
            name = query(f"SET helios.write_id = '{write_id}:last'")
            extended = parse(statement) + bind() + describe("P") + execute() + SYNC
            client.send(name, extended if by_parse else query(statement))
            got = client.until("Z") + client.until("Z")
            assert "".join(code for code in shown(got) if code not in "12n") == answer
            if before:
                client.run("ROLLBACK")
            is_kept = statement.startswith("INSERT INTO t") and not before
            with inner.connect() as other:
                found = other.execute("SELECT helios_write_outcome(%s, false)", (write_id,)).fetchone()
                assert (found != (None,)) is is_kept


def test_a_name_alone_is_answered_at_once_and_undone_with_its_block(inner: InnerNode) -> None:
    with inner.raw() as client:
        first, second = new_id(), new_id()
        assert shown(client.run(f"SET helios.write_id = '{first}'")) == "CI"
        assert client.run("SHOW helios.write_id")[1] == ("D", (first.encode(),))
        client.run("BEGIN")
        assert shown(client.run(f"SET helios.write_id = '{second}'")) == "CT"
        assert client.run("SHOW helios.write_id")[1] == ("D", (second.encode(),))
        client.run("ROLLBACK")
        assert client.run("SHOW helios.write_id")[1] == ("D", (first.encode(),))
        client.run("RESET helios.write_id")
        assert client.run("SHOW helios.write_id")[1] == ("D", (b"",))
        assert "22023" in str(client.run("SET helios.write_id = 'x'")[0])


def test_a_name_is_answered_even_while_its_write_waits(inner: InnerNode) -> None:
    """Together with it: nobody else's lock keeps the answer for good."""
    with inner.connect() as holder, inner.raw() as client:
        holder.execute("INSERT INTO k VALUES (1, 'x')")
        holder.execute("BEGIN")
        holder.execute("UPDATE k SET b = 'y' WHERE a = 1")
        client.send(query(f"SET helios.write_id = '{new_id()}:last'"), query("UPDATE k SET b = 'z' WHERE a = 1"))
        holder.execute("COMMIT")
        assert shown(client.until("Z") + client.until("Z")) == "CICI"
        holder.execute("DELETE FROM k")
