"""Bytes of a client come in pieces, messages in every order: the answers are the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.played_nodes import PlayedProxy, Player

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.wire import backend as answers
from helios_cli.engine.wire import client as wire

IDLE, OPEN = b"Z\0\0\0\5I", b"Z\0\0\0\5T"
RUN = wire.bind([]) + wire.describe("P") + wire.execute()
USE = wire.bind([], statement="s") + wire.execute()

UNITS = [
    wire.query("SELECT 1"),
    wire.query("INSERT INTO t VALUES (1)"),
    wire.query(""),
    wire.query("FAIL"),
    wire.parse("SELECT 2") + RUN + wire.SYNC,
    wire.parse("SELECT 3", "s") + wire.describe("S", "s") + USE + USE + wire.SYNC,
    wire.close("S", "s") + wire.SYNC,
    wire.parse("FAIL") + RUN + wire.parse("SELECT 4") + RUN + wire.SYNC,
    wire.parse("BAD") + RUN + wire.SYNC,
    wire.parse("SELECT 5") + RUN + wire.FLUSH + wire.parse("SELECT 6") + RUN + wire.FLUSH + wire.SYNC,
    wire.query("BEGIN") + wire.query("INSERT INTO t VALUES (2)") + wire.query("SELECT 7") + wire.query("COMMIT"),
    wire.query("BEGIN") + wire.query("FAIL") + wire.query("SELECT 8") + wire.query("ROLLBACK"),
    wire.query("COPY t FROM STDIN") + answers.copy_data(b"1\n") + answers.copy_data(b"2\n") + answers.COPY_DONE,
    wire.query("COPY t FROM STDIN") + answers.copy_data(b"1\n") + wire.copy_fail("no"),
    wire.parse("INSERT INTO t VALUES (3)") + RUN + wire.parse("INSERT INTO t VALUES (4)") + RUN + wire.SYNC,
    wire.parse("SELECT 9") + wire.FLUSH + wire.query("SELECT 10"),
    wire.SYNC,
    wire.FLUSH,
]


def played(pieces: list[bytes], *, chunk: int = 0) -> tuple[bytes, list[str]]:
    """What the client gets, and what was written."""
    proxy = PlayedProxy("a", pool_size=1)
    player = proxy.client()
    got = b""
    for piece in pieces:
        for server in proxy.servers:
            server.chunk = chunk
        got += player.ask(piece)
    for _ in range(3):
        proxy.clock.advance(1)
        proxy.run()
    return got + player.wire.take(), proxy.store.writes


@given(st.lists(st.sampled_from(UNITS), min_size=1, max_size=5), st.integers(1, 40), st.integers(0, 40))
def test_bytes_of_both_sides_in_pieces(units: list[bytes], piece: int, chunk: int) -> None:
    data = b"".join(units)
    whole = played(units)
    assert played([data[at : at + piece] for at in range(0, len(data), piece)], chunk=chunk) == whole
    assert played([data], chunk=chunk) == whole


def session() -> tuple[PlayedProxy, Player]:
    proxy = PlayedProxy("a", pool_size=1)
    return proxy, proxy.client()


def test_a_string_with_two_copies() -> None:
    proxy, player = session()
    assert player.ask(wire.query("COPY t FROM STDIN; COPY u FROM STDIN"))[:1] == b"G"
    assert player.ask(answers.copy_data(b"1\n") + answers.COPY_DONE).endswith(answers.copy_in_response(1))
    assert player.ask(answers.copy_data(b"2\n") + answers.COPY_DONE).endswith(b"COPY 1\0" + IDLE)
    assert proxy.store.writes == ["COPY", "COPY"]


def test_data_that_does_not_wait_for_the_server_to_want_it() -> None:
    for end in (wire.SYNC, wire.SYNC + wire.SYNC):
        proxy, player = session()
        copy = wire.parse("COPY t FROM STDIN") + RUN + answers.copy_data(b"1\n") + answers.COPY_DONE
        assert player.ask(copy + end).endswith(b"COPY 1\0" + IDLE * (len(end) // 5))
        assert [code for code, _ in proxy.servers[0].got].count("d") == 1


def test_a_query_behind_one_that_fails_is_not_taken_for_a_part_of_it() -> None:
    proxy, player = session()
    parse = wire.parse("SELECT 1") + wire.FLUSH
    got = player.ask(parse + wire.query("FAIL") + wire.query("SELECT 2"))
    for _ in range(3):
        proxy.clock.advance(1)
        proxy.run()
    got += player.wire.take()
    assert got.count(IDLE) == 2 and got.endswith(b"SELECT 1\0" + IDLE)
    assert player.ask(wire.query("SELECT 3")).endswith(IDLE)


def test_what_comes_behind_an_error_of_a_pipeline_without_sync_is_skipped() -> None:
    proxy, player = session()
    got = player.ask(wire.parse("BAD") + wire.FLUSH + wire.query("INSERT INTO t VALUES (1)"))
    for _ in range(3):
        proxy.clock.advance(1)
        proxy.run()
    got += player.wire.take()
    assert got[:1] == b"E" and IDLE not in got
    assert player.ask(wire.SYNC) == IDLE and proxy.store.writes == []


def test_names_are_as_the_server_left_them_behind_an_error() -> None:
    _proxy, player = session()
    player.ask(wire.parse("SELECT 1", "s") + wire.SYNC)
    player.ask(wire.parse("BAD") + wire.close("S", "s") + wire.parse("SELECT 2", "t") + wire.SYNC)
    assert b"SELECT 1" in player.ask(USE + wire.SYNC)
    assert b"C26000\0" in player.ask(wire.bind([], statement="t") + wire.SYNC)
    player.ask(wire.parse("SELECT 3", "s") + wire.SYNC)
    player.ask(wire.parse("BAD") + wire.SYNC)
    assert b"C26000\0" in player.ask(RUN + wire.SYNC)


def test_names_of_a_unit_that_nobody_ran_stand_for_nothing() -> None:
    proxy, player = session()
    proxy.lose()
    player.send(wire.parse("SELECT f()", "s") + USE + wire.SYNC)
    proxy.clock.advance(31)
    assert b"C57P03\0" in player.wire.take()
    assert player.session.statements.names == {}


def test_a_portal_of_a_block_goes_on_in_the_next_unit() -> None:
    proxy = PlayedProxy("a", "b")
    player = proxy.client()
    player.ask(wire.query("BEGIN READ ONLY"))
    player.ask(wire.parse("SELECT 1") + wire.bind([], portal="p") + wire.execute("p", 1) + wire.SYNC)
    assert player.ask(wire.execute("p", 1) + wire.SYNC).endswith(OPEN)
    assert player.session.block is not None and not player.session.block.wrote
    player.ask(wire.query("COMMIT"))
    assert player.session.statements.portals == {}


def test_messages_that_no_client_may_send_end_the_session() -> None:
    for data in (b"Q\0\0\0\3", b"?\0\0\0\4", wire.query("x")[:-1] + b"x", b"B\0\0\0\6xx", b"d\xff\xff\xff\xff"):
        _proxy, player = session()
        player.ask(data[:3])
        got = player.ask(data[3:])
        assert (b"SFATAL\0" in got and player.wire.closed) or b"SERROR\0" in got or got.endswith(IDLE) or not got


def test_a_session_leaves_nothing_behind() -> None:
    proxy, player = session()
    other = proxy.client()
    player.ask(wire.query("BEGIN"))
    other.send(wire.query("SELECT 1"))
    other.session.connection_lost(None)
    player.send(wire.parse("SELECT 1") + wire.FLUSH)
    player.session.connection_lost(None)
    proxy.run()
    assert (proxy.clients == {} and proxy.clock.pending() == []) or all(
        t.when < proxy.clock.now + 1 for t in proxy.clock.timers
    )
    for pool in proxy.pools:
        assert not pool.waiting and all(not one.held and one.client is None for one in pool.all)
        assert pool.node.active == 0


def test_those_who_wait_are_served_in_their_order() -> None:
    proxy = PlayedProxy("a", pool_size=1)
    players = [proxy.client() for _ in range(4)]
    for number, player in enumerate(players):
        player.send(wire.query(f"SELECT {number}") + wire.query(f"SELECT 1{number}"))
    proxy.run()
    assert proxy.servers[0].log == [f"SELECT {number}" for number in (0, 1, 2, 3, 10, 11, 12, 13)]


def test_a_definition_that_changes_under_a_statement_does_not_spoil_it_for_ever() -> None:
    proxy, player = session()
    stale = HeliosError("cached plan must not change result type", sqlstate="0A000")
    player.ask(wire.parse("SELECT 1", "s") + USE + wire.SYNC)
    name = next(iter(proxy.servers[0].statements))
    proxy.servers[0].stale = {name: stale}
    assert b"C0A000\0" in player.ask(USE + wire.SYNC)
    player.ask(wire.close("S", "s") + wire.SYNC)
    assert b"SELECT 1" in player.ask(wire.parse("SELECT 1", "s") + USE + wire.SYNC)


def test_a_name_that_is_taken_cannot_be_prepared_again() -> None:
    """On a backend that has the statement and on one that has not; the error has the client's name."""
    proxy = PlayedProxy("a", pool_size=2)
    player, other = proxy.client(), proxy.client()
    player.ask(wire.parse("SELECT 1", "s") + wire.SYNC)
    for block in (b"", wire.query("BEGIN")):
        if block:
            other.ask(wire.query("BEGIN"))  # the first backend is taken
            player.ask(block)
        got = player.ask(wire.parse("SELECT 2", "s") + USE + wire.SYNC)
        assert b'Mprepared statement "s" already exists\0' in got and b"C42P05\0" in got
        assert got.count(b"Z\0\0\0\5") == 1 and answers.PARSE_COMPLETE not in got
        if block:
            assert got.endswith(b"Z\0\0\0\5E")
            player.ask(wire.query("ROLLBACK"))
        assert b"SELECT 1" in player.ask(USE + wire.SYNC)
    got = player.ask(wire.parse("BAD", "s") + wire.SYNC)
    assert got[:1] == b"E"
    player.ask(wire.close("S", "s") + wire.parse("SELECT 3", "s") + wire.SYNC)
    assert b"SELECT 3" in player.ask(USE + wire.SYNC)
