"""Garbage at the native port of a primary: it lives on, remembers nothing of it, and its real standby streams on."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from google_crc32c import value as crc32c
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import Kind, encode_frame

ROUNDS = 400
HARMLESS = tuple(kind for kind in Kind if kind not in (Kind.ASK, Kind.ANNOUNCE, Kind.TAKE_OVER))
"""Kinds that an honest node may send at any time without becoming the primary by it."""

FOLLOWED_S = 30.0


def hello(name: str) -> bytes:
    return messages.Hello(name, "", "", "standby", "h", 1, 2, 3, "async", "00" * 16, False).to_body()


class Caller:
    """A socket to the native port that says what it is told to, at the speed that the node allows."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.frames = peer.FrameReader()
        self.heard: list[peer.Frame] = []

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def next(self) -> peer.Frame | None:
        """The next frame; None when the node has ended the connection."""
        while not self.heard:
            try:
                data = self.socket.recv(1 << 16)
            except OSError:
                return None
            if not data:
                return None
            self.heard += self.frames.feed(data)
        return self.heard.pop(0)

    def shake_hands(self, name: str) -> peer.Frame:
        """Up to WELCOME, which carries the node's term."""
        self.send(peer.preface())
        with contextlib.suppress(OSError):
            assert len(self.socket.recv(8, socket.MSG_WAITALL)) == 8
        self.send(encode_frame(Kind.HELLO, Term(0), hello(name)))
        assert self.next() is not None
        self.send(encode_frame(Kind.PROOF, Term(0), messages.Proof("").to_body()))
        welcome = self.next()
        assert welcome is not None and welcome.kind is Kind.WELCOME
        return welcome

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def primary(make_node: MakeNode) -> NodeProcess:
    return make_node("--replication-role", "primary", "--node-id", "n1")


@pytest.fixture
def standby(make_node: MakeNode, primary: NodeProcess) -> NodeProcess:
    where = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port))
    return make_node("--replication-role", "standby", "--node-id", "n2", *where)


def lsn_and_checksum(node: NodeProcess) -> tuple[str, str]:
    answer = node.http("/status")[1]
    return answer["committed_lsn"], answer["database_checksum"]


@contextlib.contextmanager
def writing(node: NodeProcess) -> Iterator[None]:
    """A client that writes all the time, and must never be refused."""
    with node.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS w (a int)")
        stop = threading.Event()
        failed: list[BaseException] = []

        def run() -> None:
            try:
                while not stop.is_set():
                    connection.execute("INSERT INTO w VALUES (1)")
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not failed


def assert_sound(primary: NodeProcess, standby: NodeProcess) -> None:
    wait_until(lambda: lsn_and_checksum(primary) == lsn_and_checksum(standby), "the standby follows", FOLLOWED_S)
    for node in (primary, standby):
        text = Path(node.log_path).read_text(errors="replace")
        assert "Traceback" not in text
        assert "internal error" not in text
    assert "node n1 is not reached any more" not in standby.log_path.read_text()
    with primary.connect() as connection:
        connection.execute("INSERT INTO w VALUES (2)")


def random_frame(rng: random.Random, term: Term) -> bytes:
    """One that no honest node sends: right, damaged or forged."""
    kind = rng.choice(HARMLESS)
    body = rng.randbytes(rng.choice((0, 1, 24, 40, 200, 5000)))
    if rng.random() < 0.4:
        body = rng.choice(
            (hello("n9"), messages.Follow("", 0).to_body(), messages.Heartbeat(Lsn(0), Lsn(0), 0).to_body())
        )
    frame = bytearray(encode_frame(kind, term, body, compress=rng.random() < 0.5))
    how = rng.randrange(5)
    if how == 0:
        frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
    elif how == 1:
        del frame[rng.randrange(len(frame)) :]
    elif how == 2:
        # A length that is never made good, or too large, with a checksum that is right for the header.
        head = struct.pack("<IBBHQQ", rng.choice((1 << 20, 1 << 24, 1 << 31)), kind, 0, 0, term.number, term.term_id)
        frame = bytearray(head + struct.pack("<I", crc32c(head)) + body)
    return bytes(frame)


def garbage(rng: random.Random, port: int) -> Caller:
    """One connection that misbehaves in one way; it may be left open."""
    caller = Caller(port)
    how = rng.randrange(7)
    if how == 0:
        caller.send(rng.randbytes(rng.randrange(1, 3000)))
    elif how == 1:
        caller.send(peer.preface()[: rng.randrange(8)])
    elif how == 2:
        caller.send(peer.preface() * 2)
    elif how == 3:
        caller.send(peer.TLS_WANTED + rng.randbytes(100))
    elif how == 4:
        caller.send(peer.preface() + b"".join(random_frame(rng, Term(0)) for _ in range(rng.randrange(1, 30))))
    else:
        term = caller.shake_hands(f"n{rng.randrange(10, 20)}").term
        if how == 6:
            history = History([TermStart(term, Lsn(0))]).to_bytes().hex()
            end = rng.choice((0, 8, 128, 1 << 40, rng.randrange(1 << 20)))
            caller.send(encode_frame(Kind.FOLLOW, term, messages.Follow(history, end).to_body()))
        caller.send(b"".join(random_frame(rng, term) for _ in range(rng.randrange(1, 30))))
    return caller


@pytest.mark.parametrize("seed", range(2))
def test_garbage_of_every_kind(primary: NodeProcess, standby: NodeProcess, seed: int) -> None:
    rng = random.Random(seed)
    open_ones: list[Caller] = []
    with writing(primary):
        for _ in range(ROUNDS):
            caller = garbage(rng, primary.native_port)
            if rng.random() < 0.3:
                open_ones.append(caller)
            else:
                caller.close()
    assert_sound(primary, standby)
    for caller in open_ones:
        caller.close()


def test_a_crowd_that_says_nothing(primary: NodeProcess, standby: NodeProcess) -> None:
    process = psutil.Process(primary.pid)
    with writing(primary):
        crowd = [Caller(primary.native_port) for _ in range(300)]
        late = Caller(primary.native_port)
        assert late.shake_hands("n9").kind is Kind.WELCOME
        wait_until(lambda: process.num_fds() < 200, "the crowd has been let go", 10)
    for caller in (*crowd, late):
        caller.close()
    assert_sound(primary, standby)


def test_acknowledgements_without_end(primary: NodeProcess, standby: NodeProcess) -> None:
    before = psutil.Process(primary.pid).memory_info().rss
    flood = Caller(primary.native_port)
    term = flood.shake_hands("n9").term
    history = History([TermStart(term, Lsn(0))]).to_bytes().hex()
    flood.send(encode_frame(Kind.FOLLOW, term, messages.Follow(history, 0).to_body()))
    many = encode_frame(Kind.ACKNOWLEDGE, term, messages.Acknowledge(Lsn(9), Lsn(8), Lsn(7), 0, 0).to_body()) * 2000
    with writing(primary):
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            flood.send(many)
            assert primary.http("/health")[0] == 200
    flood.close()
    assert psutil.Process(primary.pid).memory_info().rss - before < 60 << 20
    assert_sound(primary, standby)


def test_a_follower_that_never_reads(primary: NodeProcess, standby: NodeProcess) -> None:
    before = psutil.Process(primary.pid).memory_info().rss
    deaf = Caller(primary.native_port)
    deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    term = deaf.shake_hands("n9").term
    deaf.send(encode_frame(Kind.FOLLOW, term, messages.Follow(History().to_bytes().hex(), 0).to_body()))
    with primary.connect() as connection:
        connection.execute("CREATE TABLE w (a int); CREATE TABLE big (a text)")
        for _ in range(40):
            # What LZ4 makes no smaller.
            connection.execute(
                "INSERT INTO big SELECT string_agg(md5((random() * i)::text), '') FROM generate_series(1, 40000) i"
            )
    # The newest records are kept for all followers together, 16 MiB; what waits for one of them is 4 MiB at most.
    assert psutil.Process(primary.pid).memory_info().rss - before < 110 << 20
    assert_sound(primary, standby)
    deaf.close()
