"""A standby that loses the primary over a write of its client sends it again, under a name: it is done once."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import pq
from support.inner_node import InnerNode
from support.inner_pair import pair
from support.node_process import MakeNode, wait_until

from helios_cli.engine.errors import OutcomeUnknown, QueryCanceled, SqlError
from helios_cli.engine.node import claims
from helios_cli.engine.node.forward_link import ForwardLink
from helios_cli.engine.node.relay import Relay
from helios_cli.engine.types import WriteId

Connection = psycopg.Connection[tuple[Any, ...]]
INSERT = "INSERT INTO g VALUES ('x') RETURNING b"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InnerNode, InnerNode]]:
    with pair(tmp_path_factory.mktemp("again"), forward_timeout=5_000) as both:
        with both[0].connect() as connection:
            connection.execute("CREATE TABLE g (b text)")
        with both[1].connect() as connection:
            connection.execute(INSERT)
        yield both


class Sender:
    """A client of the standby whose write is executed at the primary and not answered yet."""

    def __init__(self, nodes: tuple[InnerNode, InnerNode], send: Callable[[Connection], Any], **options: Any) -> None:
        self.primary, self.standby = nodes
        self.answer: Any = None
        self._send = send
        self._options = options
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with self.standby.connect(**self._options) as connection:
            try:
                self.answer = self._send(connection)
            except psycopg.Error as error:
                self.answer = error

    def __enter__(self) -> Sender:
        with self.primary.connect() as connection:
            connection.execute("DELETE FROM g")
        self.primary.hold_disk()
        self._thread.start()
        self.primary.wait_in_flight()
        return self

    def cut(self) -> None:
        """The standby loses every session at the primary, which does not know why."""
        forwarder = self.standby.node.engine.forwarder
        assert forwarder is not None
        self.standby.on_loop(lambda: forwarder.primary_lost("the connection was cut"))

    def finish(self) -> Any:
        self.primary.release_disk()
        self._thread.join(20)
        return self.answer

    def __exit__(self, *_: object) -> None:
        self.finish()

    def rows(self) -> int:
        with self.primary.connect() as connection:
            row = connection.execute("SELECT count(*) FROM g").fetchone()
        assert row is not None
        return int(row[0])


def simple(connection: Connection) -> Any:
    result = connection.pgconn.exec_(INSERT.encode())
    if result.status != pq.ExecStatus.TUPLES_OK:
        return result.error_message.decode()
    return result.command_status, result.get_value(0, 0)


def extended(connection: Connection) -> Any:
    cursor = connection.execute("INSERT INTO g VALUES (%s) RETURNING b", ("x",))
    return cursor.statusmessage, cursor.fetchall()


def prepared(connection: Connection) -> Any:
    cursor = connection.execute("INSERT INTO g VALUES (%s) RETURNING b", ("x",), prepare=True)
    return cursor.statusmessage, cursor.fetchall()


def named(connection: Connection) -> Any:
    connection.execute(f"SET helios.write_id = '{uuid.uuid4()}:1'")
    answer = extended(connection)
    assert connection.execute("SHOW helios.write_id").fetchone() == ("",)
    return answer


@pytest.mark.parametrize("send", [simple, extended, prepared, named])
def test_a_write_whose_answer_was_lost_is_done_once(
    nodes: tuple[InnerNode, InnerNode], send: Callable[[Connection], Any]
) -> None:
    with Sender(nodes, send) as sender:
        sender.cut()
        answer = sender.finish()
        assert answer == (b"INSERT 0 1", b"x") or answer == ("INSERT 0 1", [("x",)])
        assert sender.rows() == 1


def several(connection: Connection) -> Any:
    return connection.execute(f"{INSERT}; {INSERT}").statusmessage


def block(connection: Connection) -> Any:
    with connection.transaction():
        connection.execute("SELECT 1")
        connection.execute(INSERT)


def definition(connection: Connection) -> Any:
    return connection.execute(f"CREATE TABLE made_{uuid.uuid4().hex} (a int)").statusmessage


@pytest.mark.parametrize("send", [several, block, definition])
def test_what_is_no_single_write_is_not_sent_again(
    nodes: tuple[InnerNode, InnerNode], send: Callable[[Connection], Any]
) -> None:
    with Sender(nodes, send) as sender:
        sender.cut()
        answer = sender.finish()
        assert isinstance(answer, psycopg.Error)
        assert answer.sqlstate == "08007"


def test_a_write_that_was_cancelled_is_not_sent_again(nodes: tuple[InnerNode, InnerNode]) -> None:
    """Cancelled after the primary was lost: it may be done all the same."""
    with Sender(nodes, extended, options="-c statement_timeout=300ms") as sender:
        sender.cut()
        # A session is opened at the primary when what it has in hand is on disk.
        wait_until(lambda: sender.answer is not None, "the statement times out")
        assert sender.answer.sqlstate == "08007"
        assert "statement timeout" in sender.answer.diag.message_detail
        sender.finish()
        assert sender.rows() == 1


def test_what_is_cancelled_while_it_is_sent_again_keeps_its_name(
    nodes: tuple[InnerNode, InnerNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancellation may come too late at the primary, and then the write is executed all the same."""
    got, cancelled = Relay._got, list[ForwardLink]()

    def cancel_meanwhile(relay: Relay, link: ForwardLink) -> None:
        got(relay, link)
        if relay._until and not relay._started:
            monkeypatch.setattr(relay.forwarder, "cancel", cancelled.append)
            relay.cancel(QueryCanceled("canceling statement due to user request"))

    monkeypatch.setattr(Relay, "_got", cancel_meanwhile)
    # A parameter of its own has to be set at the primary first.
    with Sender(nodes, extended, application_name="cancelled") as sender:
        sender.cut()
        assert sender.finish() == ("INSERT 0 1", [("x",)])
        assert cancelled, "it was cancelled before it was sent the second time"
        assert sender.rows() == 1


def test_a_name_that_was_sent_again_is_not_used_for_a_later_write(
    nodes: tuple[InnerNode, InnerNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row would be forgotten then, and the replay of what a failover lost would do the write once more."""
    forwarder = nodes[1].node.engine.forwarder
    assert forwarder is not None
    given, names = forwarder.name_write, list[WriteId]()

    def name_write() -> WriteId:
        names.append(given())
        return names[-1]

    monkeypatch.setattr(forwarder, "name_write", name_write)
    with Sender(nodes, simple) as sender:
        sender.cut()
        sender.finish()
    with nodes[1].connect() as connection:
        for _ in range(2):
            connection.execute(INSERT)
    repeated, *later = [name.client for name in names]
    assert later == [later[0]] * 2 and repeated != later[0]


def test_a_client_cannot_name_writes_as_a_standby_does(nodes: tuple[InnerNode, InnerNode]) -> None:
    """Such a query has no answer, and whoever waits for one would wait for ever."""
    with nodes[1].connect() as connection, connection.transaction() as block:
        connection.execute("SET LOCAL statement_timeout = '10s'")
        connection.execute(INSERT)
        with pytest.raises(psycopg.errors.SyntaxError):
            connection.execute(f"{claims.NAME}{uuid.uuid4()}:1")
        raise psycopg.Rollback(block)


def test_the_names_of_a_standby_leave_few_rows(nodes: tuple[InnerNode, InnerNode]) -> None:
    primary, standby = nodes

    def rows() -> int:
        reader = primary.node.database.borrow()
        try:
            found: Any = reader.execute("SELECT count(*) FROM helios_write").fetchall()
            return int(found[0][0])
        finally:
            primary.node.database.give_back(reader)

    with standby.connect() as connection:
        connection.execute(INSERT)
        before = rows()
        for _ in range(20):
            connection.execute(INSERT)
        assert rows() == before


def test_a_late_attempt_of_an_answered_write_is_refused(nodes: tuple[InnerNode, InnerNode]) -> None:
    """Its row is gone, as a later write of the same client is done."""
    own = uuid.uuid4()
    with nodes[0].connect() as connection:
        for number in (1, 2):
            connection.execute(f"SET helios.write_id = '{own}:{number}:last'")
            connection.execute(INSERT)
        connection.execute(f"SET helios.write_id = '{own}:1:last'")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(INSERT)
        assert caught.value.sqlstate == "NH022"


def test_the_standby_is_promoted_and_does_it_itself(make_node: MakeNode) -> None:
    mode = ("--replication-mode", "semi-sync")
    primary = make_node("--replication-role", "primary", "--node-id", "n1", *mode)
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port))
    standby = make_node("--replication-role", "standby", "--node-id", "n2", *upstream, *mode)
    with standby.connect() as client, standby.connect() as other:
        client.execute("CREATE TABLE g (b text)")
        client.execute(INSERT)
        answers: list[Any] = []
        primary.send(signal.SIGSTOP)
        thread = threading.Thread(target=lambda: answers.append(extended(client)))
        thread.start()
        wait_until(lambda: client.info.transaction_status is pq.TransactionStatus.ACTIVE, "it is sent")
        # The standby handles what comes in its order: once this is answered, the write has been sent on.
        other.execute("SELECT 1")
        primary.kill()
        wait_until(lambda: standby.http("/admin/promote", body={})[0] == 200, "the standby is promoted", 20)
        thread.join(20)
        assert answers == [("INSERT 0 1", [("x",)])]
        assert client.execute("SELECT count(*) FROM g").fetchone() == (2,)


def test_a_write_that_is_sent_again_waits_for_the_copies_that_its_client_wants(
    nodes: tuple[InnerNode, InnerNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt is committed by the mode, and asked for no more than that."""
    primary, _ = nodes
    leading = primary.node.replication.leading
    assert leading is not None
    name = f"{uuid.uuid4()}:1"
    statements = (f"SET helios.write_id = '{name}'", INSERT)
    several = "; ".join(statements)
    with primary.connect() as first, primary.connect() as second, primary.connect() as third:
        first.execute(several)
        monkeypatch.setattr(type(leading.lsns), "reached_by", lambda *_: 0)
        waiting = []
        for client, texts in ((second, statements), (third, (several,))):
            client.execute("SET synchronous_commit = remote_apply")

            def send(client: Connection = client, texts: tuple[str, ...] = texts) -> None:
                for text in texts:
                    client.execute(text)

            waiting.append(threading.Thread(target=send))
            waiting[-1].start()
        wait_until(lambda: primary.on_loop(lambda: len(leading._answers)) == 2, "both wait for more copies")
        monkeypatch.undo()
        primary.on_loop(leading._answer)
        for thread in waiting:
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize(("sqlstate", "in_another_term", "told"), [
    ("23505", True, "23505"), ("23505", False, "08007"), ("42P01", True, "08007"), ("08007", False, "08007"),
])  # fmt: skip
def test_which_errors_of_a_repeated_write_are_certain(sqlstate: str, in_another_term: bool, told: str) -> None:
    """In the same term the first attempt may still lie unread at the primary."""
    error = OutcomeUnknown("lost") if sqlstate == "08007" else SqlError("refused", sqlstate=sqlstate)
    assert claims.after_loss(error, in_another_term=in_another_term).sqlstate == told
