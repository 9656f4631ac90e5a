"""Who follows a node: one under each name, and nobody who has gone silent."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.history import History
from helios_cli.engine.node.peer_link import PeerRefused
from helios_cli.engine.node.streamer import ALIVE_S, SILENCE_S, WalReplicator
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import Frame, Kind

FOLLOW = Frame(Kind.FOLLOW, Term(1, 1), messages.Follow(History().to_bytes().hex(), 0).to_body())


class Link:
    """A connection that swallows everything."""

    def __init__(self) -> None:
        self.writable, self.closed = True, False
        self.error: HeliosError | None = None
        self.on_room: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None
        self.written = b""

    def begin(self, on_frame: object) -> None:
        """The handshake is over."""

    def write(self, frame: bytes) -> None:
        self.written = frame

    def drop(self, error: HeliosError) -> None:
        """End."""
        self.error = error
        self.close()

    def close(self) -> None:
        """End."""
        self.closed = True
        self.on_lost()


HEARTBEAT_BYTES = len(messages.Heartbeat(Lsn(0), Lsn(0), 0).to_body())


class Leader:
    """A node with an empty log, and a clock that the test turns."""

    def __init__(self) -> None:
        self.at = 1000.0
        log: Any = SimpleNamespace(start=Lsn(0))
        clock: Any = SimpleNamespace(wall_us=lambda: 0)
        nothing: Any = None
        self.replicator = WalReplicator(
            log, nothing, clock, end=Lsn(0), term=lambda: Term(1, 1), history=History, committed=lambda: Lsn(0),
            loop_later=lambda _seconds, _callback: None, now=lambda: self.at,
        )  # fmt: skip

    def follow(self, incarnation: str) -> Link:
        """A node n2 with this data directory."""
        link: Any = Link()
        hello = messages.Hello("n2", "", incarnation, "standby", "h", 1, 2, 3, "async", "", False)
        self.replicator.follow(link, hello, FOLLOW)
        return link  # type: ignore[no-any-return]


def test_another_node_of_the_same_name_is_refused_while_the_first_is_there() -> None:
    leader = Leader()
    first = leader.follow("one disk")
    with pytest.raises(PeerRefused, match="another node n2 follows this one"):
        leader.follow("another disk")
    assert not first.closed
    leader.at += ALIVE_S + 1
    leader.follow("another disk")
    assert first.closed


def test_the_same_node_takes_its_own_place() -> None:
    leader = Leader()
    first, second = leader.follow("one disk"), leader.follow("one disk")
    assert first.closed
    assert not second.closed
    assert list(leader.replicator.streamers) == ["n2"]


def test_who_is_not_heard_is_not_asked_and_keeps_what_it_has_granted() -> None:
    """Its echo may be on its way, and the primary counts on it when it comes."""
    leader = Leader()
    leader.replicator.lease_ms = lambda: 750
    link = leader.follow("one disk")
    for later, lease_ms in ((0.5, 750), (1.0, None)):
        leader.at += later
        leader.replicator.heartbeat(asks=True)
        beat = messages.Heartbeat.from_body(link.written[-HEARTBEAT_BYTES:])
        assert beat.lease_ms == lease_ms
        assert (leader.replicator.asked.asked(beat.sent_us) is None) == (lease_ms is None)


def test_a_silent_follower_is_cut_off() -> None:
    leader = Leader()
    link = leader.follow("one disk")
    leader.at += SILENCE_S - 1
    leader.replicator.heartbeat()
    assert not link.closed
    leader.at += 2
    leader.replicator.heartbeat()
    assert link.error is not None
    assert not leader.replicator.streamers
