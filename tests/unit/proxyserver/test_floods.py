"""Clients that send ahead by the thousand take turns; those that wait for each answer come first."""

from __future__ import annotations

from typing import Any, cast

import pytest
from support.played_nodes import Loop, PlayedProxy, Player

from helios_cli.engine.net.turns import CROWD, PAUSES, TURN_S, Turns
from helios_cli.engine.proxyserver import dialogue
from helios_cli.engine.proxyserver.dialogue import TEXT_BYTES, TURN_STEPS, TURN_UNITS
from helios_cli.engine.wire import backend as answers
from helios_cli.engine.wire import client as wire

IDLE = b"Z\0\0\0\5I"
RUN = wire.bind([]) + wire.execute()


def turns(others_share: int = 3) -> tuple[Turns, Loop]:
    loop = Loop()
    return Turns(cast(Any, loop), others_share), loop


def test_one_piece_in_a_round_in_the_order_they_came() -> None:
    taking, loop = turns()
    done: list[str] = []

    def work(name: str, pieces: int) -> None:
        done.append(name)
        if pieces > 1:
            taking.take(lambda: work(name, pieces - 1), 1)

    taking.take(lambda: work("a", 3), 1)
    taking.take(lambda: work("b", 2), 2)
    while taking.crowded:
        (timer,) = loop.pending()
        loop.timers.clear()
        timer.callback()
        assert timer.when == loop.now, "nobody else is there, and yet it waits"
    assert done == ["a", "b", "a", "b", "a"]


@pytest.mark.parametrize("newest", [1, 2])
def test_others_have_their_time_between_two_pieces_as_long_as_there_are_any(newest: int) -> None:
    """A session is none of the others of its own."""
    taking, loop = turns(others_share=3)
    waits = []

    def work() -> None:
        taking.take(work, 1)

    taking.newest = newest
    taking.take(work, 1)
    loop.pending().pop().callback()
    for _ in range(PAUSES + 2):
        (timer,) = loop.pending()
        loop.timers.clear()
        waits.append(timer.when - loop.now)
        timer.callback()
    expected = 3 * TURN_S * 0.99 if newest == 2 else 0.0
    assert all(wait >= expected and bool(wait) == bool(expected) for wait in waits[:PAUSES])
    assert waits[PAUSES:] == [0.0, 0.0]


@pytest.mark.parametrize(("crowd", "share"), [(2, 2), (5, 4), (100, CROWD)])
def test_the_more_there_are_the_longer_others_have_between_two_pieces(crowd: int, share: int) -> None:
    taking, loop = turns(others_share=2)
    for number in range(crowd):
        taking.take(lambda: None, number + 1)
    taking.newest = crowd + 1
    (timer,) = loop.pending()
    loop.timers.clear()
    timer.callback()
    (timer,) = loop.pending()
    assert timer.when - loop.now == pytest.approx(share * TURN_S)


def test_a_piece_that_fails_is_nobody_elses_end() -> None:
    taking, loop = turns()
    done: list[int] = []
    taking.take(lambda: done.append(1 // 0), 1)
    taking.take(lambda: done.append(2), 1)
    with pytest.raises(ZeroDivisionError):
        loop.advance(0)
    loop.advance(0)
    assert done == [2] and not taking.crowded


def crowd(count: int) -> tuple[PlayedProxy, list[Player]]:
    proxy = PlayedProxy("a", pool_size=count)
    return proxy, [proxy.client() for _ in range(count)]


def settle(proxy: PlayedProxy) -> None:
    for _ in range(300):
        proxy.clock.advance(0.001)
        proxy.run()


@pytest.mark.parametrize("statement", ["SELECT 1", "INSERT INTO t VALUES (1)"])
def test_a_unit_of_many_steps_goes_out_in_pieces_and_others_get_between_them(statement: str) -> None:
    proxy, (flooder, other) = crowd(2)
    count = 5 * TURN_STEPS
    other.ask(wire.query("SELECT 0"))
    flooder.send((wire.parse(statement) + RUN) * count + wire.SYNC)
    while not any(one.wire.written for one in proxy.servers):
        proxy.clock.advance(0.001)
    first = sum(len(one.wire.written) for one in proxy.servers)
    assert 0 < first < len((wire.parse(statement) + RUN) * count) / 2
    assert b"SELECT 2" in other.ask(wire.query("SELECT 2"))
    settle(proxy)
    got = flooder.wire.take()
    assert got.count(answers.BIND_COMPLETE) == count and got.endswith(IDLE) and got.count(IDLE) == 1
    assert proxy.store.writes == ([statement] * count if statement.startswith("INSERT") else [])


def test_a_node_that_dies_between_the_pieces_is_replaced_for_all_of_them() -> None:
    proxy, (flooder,) = crowd(1)
    count = 3 * TURN_STEPS
    flooder.send((wire.parse("SELECT 1") + RUN) * count + wire.SYNC)
    while not proxy.servers or not proxy.servers[0].wire.written:
        proxy.clock.advance(0.001)
    proxy.servers[0].die()
    settle(proxy)
    got = flooder.wire.take()
    assert got.count(answers.BIND_COMPLETE) == count and got.endswith(IDLE)
    assert len(proxy.servers) > 1


def test_what_comes_behind_the_pieces_comes_behind_them() -> None:
    proxy, (flooder,) = crowd(1)
    flooder.send((wire.parse("SELECT first") + RUN) * 3 * TURN_STEPS + wire.FLUSH)
    while not proxy.servers or not proxy.servers[0].wire.written:
        proxy.clock.advance(0.001)
    flooder.send(wire.parse("SELECT last") + RUN + wire.SYNC)
    settle(proxy)
    got = flooder.wire.take()
    assert got.count(answers.BIND_COMPLETE) == 3 * TURN_STEPS + 1
    assert got.endswith(IDLE) and got.rindex(b"SELECT last") > got.rindex(b"SELECT first")


def test_thousands_of_messages_are_taken_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += TURN_S
        return now

    monkeypatch.setattr(dialogue, "monotonic", clock)
    proxy, (flooder, other) = crowd(2)
    count = 20 * dialogue.LOOK_MESSAGES
    flooder.send(wire.parse("SELECT 1") * count + RUN + wire.SYNC)
    assert proxy.turns.crowded
    assert b"SELECT 2" in other.ask(wire.query("SELECT 2"))
    assert proxy.turns.crowded, "all was handled before the other client"
    settle(proxy)
    assert flooder.wire.take().endswith(IDLE) and not proxy.turns.crowded


def test_statements_sent_ahead_take_turns_with_those_of_others() -> None:
    proxy, (flooder, other) = crowd(2)
    count = 5 * TURN_UNITS
    flooder.send(b"".join(wire.query(f"SELECT {number}") for number in range(count)))
    proxy.run()
    assert proxy.turns.crowded
    assert b"SELECT 2" in other.ask(wire.query("SELECT 2"))
    settle(proxy)
    got = flooder.wire.take()
    assert got.count(IDLE) == count and f"SELECT {count - 1}".encode() in got


def test_a_long_text_has_a_turn_to_itself() -> None:
    proxy, players = crowd(3)
    text = f"SELECT '{'x' * TEXT_BYTES}'"
    for player in players:
        data = wire.query(text)
        player.send(data[:100])
        player.send(data[100:])
        assert player.session.unit is None, "it was looked through at once"
    proxy.clock.advance(0)
    settle(proxy)
    assert all(player.wire.take().endswith(IDLE) for player in players)
