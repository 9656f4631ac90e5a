"""A node is lost at every byte of its answers, over every kind of unit: what clients get, and what was done."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from support.played_nodes import PlayedProxy, Player
from support.unit_kinds import KINDS, ONE

from helios_cli.engine.wire import client as wire


@dataclass
class Played:
    got: bytes
    writes: list[str]
    answered: int
    """Bytes that nodes have sent."""


def played(kind: str, *stops: int, is_heliosdb: bool = True) -> Played:
    """Play a kind of unit; the nodes' connections break when they have sent so many bytes, one after the other."""
    proxy = PlayedProxy("a", "b", "c", is_heliosdb=is_heliosdb)
    player, other = proxy.client(), proxy.client()
    before, units = KINDS[kind]
    other.ask(wire.query("SELECT 1") + wire.query(ONE.replace("1", "9")))
    for unit in before:
        player.ask(unit)
    left, got = list(stops), b""
    for unit in units:
        got += _asked(proxy, player, unit, left)
    return Played(got, proxy.store.writes, sum(one.sent for one in proxy.servers))


def _asked(proxy: PlayedProxy, player: Player, unit: bytes, left: list[int]) -> bytes:
    player.send(unit)
    if not player.session.closing:
        for _ in range(40):
            _arm(proxy, player, left)
            if not proxy.step():
                if player.session.unit is None:
                    break
                proxy.clock.advance(1)
    return player.wire.take()


def _arm(proxy: PlayedProxy, player: Player, left: list[int]) -> None:
    """Let the node that the session is at break when its time has come."""
    for server in proxy.servers:
        if not left or server.backend is not player.session.backend or server.stops_at is not None:
            continue
        server.stops_at = left.pop(0)
        server.on_death = proxy.next_primary


IN_DOUBT = ("a write and its commit", "a chain", "a string that is a block", "COPY")
"""Nobody can be asked what came of these, or what the client sent is not there any more."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_at_every_byte(kind: str) -> None:
    whole = played(kind)
    for stop in range(whole.answered):
        found = played(kind, stop)
        note = f"{kind}, lost behind {stop} bytes"
        if b"C08007\0" in found.got or b"C40001\0" in found.got:
            assert kind in IN_DOUBT, (note, found)
        else:
            assert found.got == whole.got, note
            assert found.writes == whole.writes, note
        assert all(found.writes.count(one) <= whole.writes.count(one) for one in found.writes), (note, found)


@pytest.mark.parametrize("kind", KINDS)
def test_two_losses_in_a_row(kind: str) -> None:
    whole = played(kind)
    for first in range(0, whole.answered, 13):
        for second in range(0, whole.answered, 17):
            found = played(kind, first, second)
            note = f"{kind}, lost behind {first} and {second} bytes"
            if b"C08007\0" not in found.got and b"C40001\0" not in found.got:
                assert (found.got, found.writes) == (whole.got, whole.writes), note
            assert all(found.writes.count(one) <= whole.writes.count(one) for one in found.writes), (note, found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_of_a_plain_postgresql_at_every_byte(kind: str) -> None:
    whole = played(kind, is_heliosdb=False)
    for stop in range(whole.answered):
        found = played(kind, stop, is_heliosdb=False)
        note = f"{kind}, lost behind {stop} bytes"
        if b"C08007\0" not in found.got and b"C40001\0" not in found.got:
            assert (found.got, found.writes) == (whole.got, whole.writes), note
        assert all(found.writes.count(one) <= whole.writes.count(one) for one in found.writes), (note, found)
