"""A client goes away, or cancels, at every step of every kind of unit: the next one finds everything in order."""

from __future__ import annotations

import gc
import weakref

import pytest
from support.played_nodes import PlayedProxy, Player
from support.unit_kinds import KINDS, ONE

from helios_cli.engine.wire import client as wire

MANY = "SELECT many"
READY = b"Z\0\0\0\5I"
STEPS_MAX = 30


def played(kind: str, leaves_at: int, *, cancels: bool, settles: bool) -> tuple[PlayedProxy, Player, bool]:
    """Play a kind of unit, one answer of a node after the other, until the client leaves; whether it came to that."""
    proxy = PlayedProxy("a", pool_size=1)
    player = proxy.client()
    before, units = KINDS[kind]
    for unit in before:
        player.ask(unit)
    steps = 0
    for unit in units:
        player.send(unit)
        while True:
            if steps == leaves_at:
                if cancels:
                    player.session.cancel()
                else:
                    player.session.connection_lost(None)
                return proxy, player, True
            steps += 1
            if settles:
                proxy.run()
            elif proxy.step():
                continue
            break
    return proxy, player, False


def check(proxy: PlayedProxy) -> None:
    """The next client is served, with a session as new, and nothing is left over."""
    proxy.run()
    for server in proxy.servers:
        for _ in range(server.backend.cancelling):
            server.backend.cancel_arrived()
    following = proxy.client()
    assert following.ask(wire.query("SELECT setting a")).endswith(b"SELECT 1\0" + READY)
    assert following.ask(wire.query("SELECT setting helios.write_id")).endswith(b"SELECT 1\0" + READY)
    assert b"SELECT many" not in following.ask(wire.bind([]) + wire.execute() + wire.SYNC)
    got = following.ask(wire.parse(ONE, "s") + wire.bind([], statement="s") + wire.execute() + wire.SYNC)
    assert got.endswith(b"INSERT 0 1\0" + READY)
    following.session.connection_lost(None)
    proxy.run()
    assert proxy.clients == {} or len(proxy.clients) == 1
    for pool in proxy.pools:
        assert not pool.waiting and pool.node.active == 0 and len(pool.idle) == len(pool.all) <= 1
        for backend in pool.all:
            assert not backend.busy and backend.client is None and backend.status == READY[-1]
            assert not backend.statements.plan


@pytest.mark.parametrize("settles", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_leaves_at_every_step(kind: str, settles: bool) -> None:
    for step in range(STEPS_MAX):
        proxy, player, left = played(kind, step, cancels=False, settles=settles)
        if not left:
            player.session.connection_lost(None)
        session = weakref.ref(player.session)
        del player
        check(proxy)
        proxy.clock.advance(60)
        gc.collect()
        assert session() is None and proxy.clients == {} and proxy.clock.pending() == []
        if not left:
            break
    else:
        pytest.fail("more steps than there are")


@pytest.mark.parametrize(
    ("before", "sent", "is_cancelled"),
    [
        ("", wire.query(MANY), True),
        ("", wire.parse(MANY) + wire.bind([]) + wire.execute() + wire.SYNC, True),
        ("BEGIN", wire.query(MANY), True),
        ("BEGIN", wire.query(f"{MANY}; COMMIT"), False),
        ("BEGIN", wire.query("COMMIT"), False),
        ("", wire.query(ONE), False),
        ("", wire.query(f"{MANY}; {ONE}"), False),
    ],
)
def test_who_leaves_cancels_what_only_asks(before: str, sent: bytes, is_cancelled: bool) -> None:
    """A read that nobody waits for would hold its snapshot, and with it a standby's replay; a write has been told."""
    proxy = PlayedProxy("a", pool_size=1)
    player = proxy.client()
    if before:
        player.ask(wire.query(before))
    player.send(sent)
    while not any(server.backend.busy for server in proxy.servers):
        assert proxy.step()
    player.session.connection_lost(None)
    assert bool(proxy.cancelled) is is_cancelled
    check(proxy)


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_cancels_at_every_step(kind: str) -> None:
    for step in range(STEPS_MAX):
        proxy, player, left = played(kind, step, cancels=True, settles=False)
        proxy.run()
        player.session.connection_lost(None)
        check(proxy)
        if not left:
            break


def test_nothing_is_left_of_clients_that_have_waited_in_vain() -> None:
    proxy = PlayedProxy("a")
    player = proxy.client()
    proxy.lose()
    for _ in range(5):
        player.send(wire.query(ONE))
        proxy.clock.advance(31)
        assert b"C57P03\0" in player.wire.take()
    assert len(proxy.played.waiting) <= 1
    proxy.pause()
    player.send(wire.query(ONE))
    proxy.played.primary = proxy.played.nodes["a"]
    proxy.played.changed()
    proxy.run()
    assert player.wire.take() == b""
    proxy.resume()
    proxy.run()
    assert player.wire.take().endswith(READY)
