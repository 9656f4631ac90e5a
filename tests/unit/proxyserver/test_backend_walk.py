"""A backend walks a node's bytes: wherever they are cut, the same bytes and the same events come of them."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.played_nodes import PlayedProxy, Wire

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxy.prepared import AS_PARSE, DROP, EVICT, PASS
from helios_cli.engine.proxyserver.backend import ACKS_AT_ONCE, MESSAGE_MAX, Backend, Command
from helios_cli.engine.wire import backend as answers

READY = b"Z\0\0\0\5I"
ROW = answers.message(b"D", b"\0\1\0\0\0\3abc")
ERROR = answers.error_response(HeliosError("no", sqlstate="22012"))


class Receiver:
    """Who gets the answers: keeps them in order, as bytes and events."""

    def __init__(self, *, swallows: bool = False) -> None:
        self.seen: list[Any] = [b""]
        self.swallows = swallows
        self.lost: HeliosError | None = None

    def answer(self, data: bytes) -> None:
        if isinstance(self.seen[-1], bytes):
            self.seen[-1] += data
        else:
            self.seen.append(data)

    def unit_over(self, data: bytes, status: int) -> None:
        self.answer(data)
        self.seen += [("over", status), b""]

    def error_came(self, message: bytes) -> bool:
        self.seen += [("error", message), b""]
        return self.swallows

    def aside(self, code: int, message: bytes) -> None:
        self.seen += [("aside", message), b""]

    def copy_begins(self, data: bytes) -> None:
        self.answer(data)
        self.seen += [("copy",), b""]

    def backend_lost(self, error: HeliosError) -> None:
        self.lost = error

    def backend_writable(self, writable: bool) -> None:
        pass


def backend(receiver: Receiver | None = None) -> tuple[Backend, Receiver]:
    proxy = PlayedProxy("a")
    pool = proxy.pools.of(proxy.played.nodes["a"], "app", "app")
    found, receiver = Backend(pool, pool.node, 1, b"", {}), receiver or Receiver()
    found.adopt(cast(Any, Wire()))
    found.client = receiver
    return found, receiver


def fed(data: bytes, pieces: list[int], *, plan: list[int], swallows: bool) -> tuple[list[Any], list[Any]]:
    """Events of two units with a command between them."""
    one, receiver = backend(Receiver(swallows=swallows))
    done: list[Any] = []
    one.send(b"")
    one.statements.plan.extend((action, None, None) for action in plan)
    one.command("of the proxy", lambda command: done.append((command.rows, command.tag, command.error is None)))
    one.send(b"")
    at = 0
    for size in [*pieces, len(data)]:
        one.data_received(data[at : at + size])
        at += size
    assert receiver.lost is None and not one.busy
    # An error that is not swallowed is told of when it comes, and passed on with what stands around it.
    texts = b"".join(part for part in receiver.seen if isinstance(part, bytes))
    return [texts, [part for part in receiver.seen if not isinstance(part, bytes)]], done


MESSAGES = st.lists(
    st.sampled_from(
        [
            ROW,
            answers.BIND_COMPLETE,
            answers.NO_DATA,
            answers.EMPTY_QUERY,
            answers.PORTAL_SUSPENDED,
            answers.PARSE_COMPLETE,
            answers.CLOSE_COMPLETE,
            answers.command_complete("SELECT 1"),
            answers.copy_in_response(1),
            answers.copy_out_response(1) + answers.copy_data(b"x" * 30) + answers.COPY_DONE,
            answers.notice("mind this"),
            answers.notification(1, "channel", "payload"),
            answers.parameter_status("TimeZone", "UTC"),
            ERROR,
        ]
    ),
    max_size=8,
).map(b"".join)


@given(
    MESSAGES,
    MESSAGES,
    st.lists(st.sampled_from([PASS, DROP, AS_PARSE, EVICT]), max_size=4),
    st.lists(st.integers(1, 25), max_size=30),
    st.booleans(),
)
def test_bytes_in_pieces(first: bytes, second: bytes, plan: list[int], pieces: list[int], swallows: bool) -> None:
    command = answers.notice("of no unit") + ROW + answers.command_complete("SET") + READY
    data = first + READY + command + second + READY
    assert fed(data, pieces, plan=plan, swallows=swallows) == fed(data, [], plan=plan, swallows=swallows)
    assert fed(data, [1] * len(data), plan=plan, swallows=swallows) == fed(data, [], plan=plan, swallows=swallows)


def test_an_answer_that_comes_at_once_is_passed_on_as_it_came() -> None:
    one, receiver = backend()
    one.send(b"")
    data = ROW + answers.command_complete("SELECT 1") + READY
    one.data_received(data)
    assert receiver.seen == [data, ("over", READY[-1]), b""]


def test_a_long_message_does_not_wait_for_its_end() -> None:
    one, receiver = backend()
    one.send(b"")
    long = answers.message(b"D", b"x" * 1000)
    one.data_received(long[:100])
    assert receiver.seen == [long[:100]]
    one.data_received(long[100:] + READY)
    assert receiver.seen[0] == long + READY


def test_behind_an_error_that_is_not_for_the_client_nothing_is() -> None:
    one, receiver = backend(Receiver(swallows=True))
    one.send(b"")
    one.data_received(ERROR + ROW + answers.notice("x") + READY)
    assert receiver.seen == [b"", ("error", ERROR), b"", ("over", READY[-1]), b""]
    one.send(b"")
    one.data_received(ROW + READY)
    assert receiver.seen[-3] == ROW + READY


@pytest.mark.parametrize(
    "data",
    [
        b"?\0\0\0\4",
        b"D\0\0\0\3",
        b"Z\0\0\0\5X",
        b"Z\0\0\0\4",
        b"R\0\0\0\10\0\0\0\0",
        b"E" + (MESSAGE_MAX + 1).to_bytes(4, "big"),
        READY + ROW,
        READY + READY,
    ],
)
def test_a_node_that_breaks_the_protocol_is_left(data: bytes) -> None:
    for cut in range(len(data) + 1):
        one, receiver = backend()
        one.send(b"")
        one.data_received(data[:cut])
        one.data_received(data[cut:])
        assert one.closed and receiver.lost is not None


def test_an_error_that_quotes_megabytes_of_the_statement_is_an_error() -> None:
    """PostgreSQL says what stands at the place of a syntax error, however long that is."""
    long = answers.error_response(HeliosError("unterminated quoted string at or near '" + "x" * (3 << 20)))
    one, receiver = backend()
    one.send(b"")
    for at in range(0, len(long), 1 << 16):
        one.data_received(long[at : at + (1 << 16)])
    one.data_received(READY)
    assert ("error", long) in receiver.seen and not one.closed


def test_commands_hear_of_the_loss_before_the_client_does() -> None:
    one, receiver = backend()
    heard: list[Command] = []
    one.command("one", heard.append)
    one.command("two", lambda command: heard.append(command) if receiver.lost is None else None)
    one.connection_lost(None)
    assert len(heard) == 2 and all(command.error is not None for command in heard) and receiver.lost is not None


def test_what_a_server_says_before_it_ends_is_why() -> None:
    one, receiver = backend()
    error = HeliosError("terminating connection due to administrator command", sqlstate="57P01")
    error.severity = "FATAL"
    one.data_received(answers.error_response(error))
    one.connection_lost(None)
    assert receiver.lost is not None and receiver.lost.sqlstate == "57P01"


def test_what_comes_behind_the_end_is_nothing() -> None:
    one, receiver = backend()
    one.send(b"")
    one.leave()
    one.data_received(ROW + READY)
    assert receiver.seen == [b""]


@pytest.mark.parametrize("is_cut", [False, True])
def test_thousands_of_acknowledgements_take_turns(is_cut: bool) -> None:
    """Others are served between them; a connection that ends meanwhile has said all of it."""
    count = 5 * ACKS_AT_ONCE
    walked, receiver = backend(Receiver())
    walked.send(b"")
    walked.statements.plan.extend([(PASS, None, None)] * count)
    clock = cast(Any, walked.pool.proxy).clock
    walked.data_received(answers.PARSE_COMPLETE * count + READY)
    assert 0 < len(receiver.seen[0]) < 5 * count // 4 and not cast(Any, walked.transport).reading
    if is_cut:
        cast(Any, walked.transport).closed = True
        walked.connection_lost(None)
    else:
        clock.advance(0)
        assert cast(Any, walked.transport).reading
    assert receiver.seen == [answers.PARSE_COMPLETE * count + READY, ("over", ord("I")), b""]
    clock.advance(1)
    assert not walked.busy
