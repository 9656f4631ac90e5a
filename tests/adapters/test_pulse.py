"""The heartbeats that wait behind nothing: between two pulses, and towards strangers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from support.node_process import wait_until

from helios_cli.engine.consensus.lease import Loyalty
from helios_cli.engine.consensus.vote import Vote
from helios_cli.engine.node import pulse as pulse_module
from helios_cli.engine.node.peer_link import Identity
from helios_cli.engine.node.peer_tls import NO_TLS
from helios_cli.engine.node.pulse import STRANGERS_MAX, Pulse
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Term
from helios_cli.engine.wire import peer

CLUSTER = "0f" * 16
TERM = Term(3, 3)


class Host:
    """A node with a pulse, and a socket that hands it what comes in, as the native port does."""

    tls = NO_TLS

    def __init__(self, name: str, *, asks: tuple[Term, int | None] | None = None, secret: bytes = b"") -> None:
        self.name = name
        self.own_term = TERM
        self.asking = asks
        self.beats = 0
        self.vote = Vote(Loyalty(time.monotonic(), 0.0))
        self.target: tuple[str, int] | None = None
        self.granted: list[tuple[str, str, Term, int]] = []
        self._secret = secret
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.pulse = Pulse(self, lambda voter, disk, term, _at, ms: self.granted.append((voter, disk, term, ms)))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.pulse.start()
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if sock.recv(peer.PREFACE_BYTES, socket.MSG_WAITALL) == peer.PULSE_WANTED:
                self.pulse.take(sock.detach())
            else:
                sock.close()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        self.pulse.stop()

    def term(self) -> Term:
        return self.own_term

    def identity(self) -> Identity:
        return Identity(self.name, CLUSTER, f"disk of {self.name}", "standby", "", "127.0.0.1", 1, self.port, 2)

    def secret(self) -> bytes:
        return self._secret

    def welcome(self, proof: str) -> messages.Welcome:
        return messages.Welcome(proof, self.name, CLUSTER, "primary", "quorum", "127.0.0.1", 1, 2, 0, 0, "embedded")

    def asks(self) -> tuple[Term, int | None] | None:
        self.beats += 1
        return self.asking

    def primary_address(self) -> tuple[str, int] | None:
        return self.target

    def vote_heard(self, term: Term, lease_ms: int) -> bool:
        return term == self.own_term and self.vote.heard(time.monotonic(), lease_ms / 1000, term)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "BEAT_S", 0.02)
    monkeypatch.setattr(pulse_module, "RETRY_S", 0.02)


@contextmanager
def hosts(*made: Host) -> Iterator[None]:
    with ExitStack() as stack:
        for host in made:
            stack.callback(host.stop)
        yield


def test_votes_are_granted_though_nobody_else_runs() -> None:
    primary, voter = Host("n1", asks=(TERM, 750)), Host("n2")
    with hosts(primary, voter):
        voter.target = ("127.0.0.1", primary.port)
        wait_until(lambda: len(primary.granted) > 3, "votes are granted")
        assert primary.granted[0] == ("n2", "disk of n2", TERM, 750)
        assert voter.vote.holds(time.monotonic())
        # A candidate was promised a newer term: nothing more is granted.
        assert voter.vote.pledge(time.monotonic(), 4, excused=True)
        count = len(primary.granted)
        wait_until(lambda: not voter.vote.holds(time.monotonic()), "the lease is over")
        assert len(primary.granted) <= count + 1


def test_a_primary_that_asks_no_more_takes_no_vote_back() -> None:
    """It counts on what it was granted, perhaps by an echo that it has not read yet."""
    primary, voter = Host("n1", asks=(TERM, 60_000)), Host("n2")
    with hosts(primary, voter):
        voter.target = ("127.0.0.1", primary.port)
        wait_until(lambda: len(primary.granted) > 3, "votes are granted")
        primary.asking = (TERM, None)
        begun = primary.beats
        wait_until(lambda: primary.beats > begun + 5, "nothing is asked for")
        count = len(primary.granted)
        wait_until(lambda: primary.beats > begun + 15, "nothing is asked for")
        assert len(primary.granted) == count
        assert voter.vote.holds(time.monotonic())
        primary.asking = (TERM, 60_000)
        wait_until(lambda: len(primary.granted) > count, "votes are granted again")


def test_another_primary_is_gone_to() -> None:
    first, second, voter = Host("n1", asks=(TERM, 750)), Host("n3"), Host("n2")
    with hosts(first, second, voter):
        voter.target = ("127.0.0.1", first.port)
        wait_until(lambda: bool(first.granted), "the first is heard")
        first.asking, second.asking = None, (Term(4, 4), 500)
        voter.own_term = Term(4, 4)
        voter.target = ("127.0.0.1", second.port)
        wait_until(lambda: bool(second.granted), "the second is heard")
        assert second.granted[0] == ("n2", "disk of n2", Term(4, 4), 500)


def test_an_ended_term_and_no_vote_are_not_answered() -> None:
    primary, voter = Host("n1", asks=(Term(2, 2), 750)), Host("n2")
    with hosts(primary, voter):
        voter.target = ("127.0.0.1", primary.port)
        wait_until(lambda: bool(primary.pulse._voters), "it is connected")
        primary.asking = (TERM, 750)
        wait_until(lambda: bool(primary.granted), "its own term is answered")
        assert {term for _, _, term, _ in primary.granted} == {TERM}


def test_strangers_are_bounded_and_keep_nobody_out() -> None:
    primary, voter = Host("n1", asks=(TERM, 750), secret=b"s" * 32), Host("n2", secret=b"s" * 32)
    with hosts(primary, voter), ExitStack() as stack:
        crowd: list[Any] = []
        for _ in range(STRANGERS_MAX * 2):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", primary.port)))
            one.sendall(peer.PULSE_WANTED + b"garbage, and no preface at all")
            crowd.append(one)
        voter.target = ("127.0.0.1", primary.port)
        wait_until(lambda: bool(primary.granted), "an honest voter is heard", 20)
        assert list(primary.pulse._voters) == ["n2"]


def test_a_wrong_secret_is_not_let_in() -> None:
    primary, voter = Host("n1", asks=(TERM, 750), secret=b"s" * 32), Host("n2", secret=b"t" * 32)
    with hosts(primary, voter):
        voter.target = ("127.0.0.1", primary.port)
        wait_until(lambda: voter.pulse._loop.time() > 0, "it runs")
        other = Host("n3", secret=b"s" * 32)
        with hosts(other):
            other.target = ("127.0.0.1", primary.port)
            wait_until(lambda: len(primary.granted) > 10, "who knows it is let in")
    assert {voter for voter, *_ in primary.granted} == {"n3"}
