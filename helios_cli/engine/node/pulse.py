"""Heartbeats that wait behind nothing: a thread and connections of their own, for the votes alone.

The event loop may stand still for a moment: a statement that takes long, a disk that does not take what SQLite writes.
Nobody should be elected for that, so a primary asks for its votes from here too. What is on the other side of such a
connection grants them from here, whatever its own loop does. A primary whose loop stands still for longer than
``progress_timeout`` is not asked for any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.gate import GATE
from helios_cli.engine.node.peer_call import CONNECT_S
from helios_cli.engine.node.peer_link import Identity, PeerLink, PeerRefused, admit, introduce
from helios_cli.engine.node.peer_tls import PeerTls
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import Frame, Kind, PeerProtocolError

log = logging.getLogger(__name__)

BEAT_S: Final = 0.1
SILENCE_S: Final = 1.0
"""Without a word for so long, a connection is made anew."""
RETRY_S: Final = 0.5
LOOK_S: Final = SILENCE_S / 8
"""Between two looks at who the primary is."""
VOTERS_MAX: Final = 64
STRANGERS_MAX: Final = 32
"""Connections that have not shown yet whose they are; a voter that is turned away comes again."""

Granted = Callable[[str, str, Term, float, int], None]
"""Voter, its disk, the term, when it was asked by the steady clock, and for which lease in milliseconds."""


@dataclass(slots=True)
class _Voter:
    """Who has connected to be asked for its vote."""

    link: PeerLink
    hello: messages.Hello
    heard_at: float


class PulseNode(Protocol):
    """The node, as its pulse needs it. Everything is asked from the pulse's thread."""

    @property
    def tls(self) -> PeerTls:
        """What the next connection is made with."""

    def term(self) -> Term:
        """The newest term that it has promised."""

    def identity(self) -> Identity:
        """What it says of itself to other nodes."""

    def secret(self) -> bytes:
        """The cluster's secret."""

    def welcome(self, proof: str) -> messages.Welcome:
        """What it answers to a node that has shown who it is."""

    def asks(self) -> tuple[Term, int | None] | None:
        """As a primary: its term, and the lease in milliseconds that it asks for, None when it asks for none."""

    def primary_address(self) -> tuple[str, int] | None:
        """As a voter: where the primary is; None when it follows none, or has no vote."""

    def vote_heard(self, term: Term, lease_ms: int) -> bool:
        """As a voter: the primary of a term asks for the vote; whether it has it."""


class Pulse:
    """The thread. Begins with :meth:`start`, and ends with :meth:`stop`."""

    def __init__(self, node: PulseNode, granted: Granted) -> None:
        """``granted`` is called on the pulse's thread."""
        self._node = node
        self._granted = granted
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._voters: dict[str, _Voter] = {}
        self._asked: dict[int, tuple[float, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sequence = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the thread. Idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join(5.0)
        elif not self._loop.is_closed():
            self._loop.close()

    def take(self, descriptor: int) -> None:
        """A connection that was accepted elsewhere, and belongs to the pulse from now on. From any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take, descriptor)
            return
        os.close(descriptor)

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        loop.call_soon(self._begin)
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            loop.close()

    def _begin(self) -> None:
        self._later(self._ask())
        self._later(self._listen())

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        # Closing one may take it out of the table.
        for voter in tuple(self._voters.values()):
            voter.link.close()
        self._loop.stop()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # As a primary ----------------------------------------------------------------------------------------------------

    def _take(self, descriptor: int) -> None:
        sock = socket.socket(fileno=descriptor)
        if len(self._tasks) > STRANGERS_MAX:
            sock.close()
            return
        self._later(self._admit(sock))

    async def _admit(self, sock: socket.socket) -> None:
        node = self._node
        sock.setblocking(False)
        came: asyncio.Future[PeerLink] = self._loop.create_future()
        link = PeerLink(node.term, serve=came.set_result, tls=node.tls)
        try:
            await self._loop.sock_sendall(sock, peer.PULSE_WANTED)
            await self._loop.connect_accepted_socket(lambda: link, sock)
            async with asyncio.timeout(SILENCE_S * 5):
                await came
                hello = await admit(link, node.identity(), node.secret(), node.welcome)
                await link.receive(Kind.PULSE)
            if len(self._voters) >= VOTERS_MAX and hello.node_id not in self._voters:
                raise PeerRefused("there are too many voters")
        except (OSError, HeliosError, TimeoutError) as error:
            log.debug("a voter's connection was not taken: %s", error)
            sock.close()
            link.close()
            return
        before = self._voters.get(hello.node_id)
        if before is not None:
            before.link.close()
        self._voters[hello.node_id] = voter = _Voter(link, hello, time.monotonic())
        link.on_lost = lambda: self._left(voter)
        link.begin(lambda frame: self._echo(voter, frame))

    def _left(self, voter: _Voter) -> None:
        if self._voters.get(voter.hello.node_id) is voter:
            del self._voters[voter.hello.node_id]

    async def _ask(self) -> None:
        """Ask every voter, again and again."""
        while True:
            asks = self._node.asks()
            if asks is not None and self._voters:
                term, lease_ms = asks
                # The echo of what asks for nothing grants nothing: it bears no number. What was granted is not taken
                # back by it: an echo may still be on its way.
                asking = silent = _heartbeat(term, 0, None)
                if lease_ms is not None:
                    self._sequence += 1
                    self._asked[self._sequence] = (time.monotonic(), lease_ms)
                    self._asked.pop(self._sequence - 100, None)
                    asking = _heartbeat(term, self._sequence, lease_ms)
                now = time.monotonic()
                for voter in tuple(self._voters.values()):
                    if voter.link.writable:
                        voter.link.write(asking if now - voter.heard_at < SILENCE_S else silent)
            await asyncio.sleep(BEAT_S)

    def _echo(self, voter: _Voter, frame: Frame) -> None:
        voter.heard_at = time.monotonic()
        if frame.kind is not Kind.OBSERVED:
            raise PeerProtocolError(f"a voter sent {frame.kind.name} out of turn")
        asked = self._asked.get(messages.Observed.from_body(frame.body).echo_us)
        if asked is not None:
            self._granted(voter.hello.node_id, voter.hello.incarnation, frame.term, *asked)

    # As a voter ------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Stay with whoever is the primary."""
        while True:
            where = self._node.primary_address()
            if where is None:
                await asyncio.sleep(LOOK_S)
                continue
            hearing = self._loop.create_task(self._hear(*where))
            try:
                # One that has taken the connection and does not answer is left too when another leads.
                while self._node.primary_address() == where and not hearing.done():
                    await asyncio.wait((hearing,), timeout=LOOK_S)
            finally:
                hearing.cancel()
            await asyncio.wait((hearing,))
            try:
                if not hearing.cancelled():
                    hearing.result()
            except (OSError, HeliosError, TimeoutError) as error:
                log.debug("no votes are asked for by %s:%s: %s", *where, error)
            if self._node.primary_address() == where:
                await asyncio.sleep(RETRY_S)

    async def _hear(self, host: str, port: int) -> None:
        node = self._node
        link = PeerLink(node.term, tls=node.tls)
        heard_at = time.monotonic()

        def frame_came(frame: Frame) -> None:
            nonlocal heard_at
            heard_at = time.monotonic()
            self._heard(link, frame)

        try:
            await self._connect(link, host, port)
            await introduce(link, node.identity(), node.secret())
            link.send(Kind.PULSE, b"")
            # What went before takes several round trips, and is not silence.
            heard_at = time.monotonic()
            link.begin(frame_came)
            while not link.closed and time.monotonic() - heard_at < SILENCE_S:
                await asyncio.sleep(LOOK_S)
        finally:
            link.close()

    async def _connect(self, link: PeerLink, host: str, port: int) -> None:
        """Connect, and have the other side's pulse take the connection. Raises OSError, PeerRefused, TimeoutError."""
        async with asyncio.timeout(CONNECT_S):
            await GATE.passes(host, port)
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, kind, protocol, _name, address = found[0]
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await self._loop.sock_connect(sock, address)
                await self._loop.sock_sendall(sock, peer.PULSE_WANTED)
                answer = b""
                while len(answer) < peer.PREFACE_BYTES:
                    piece = await self._loop.sock_recv(sock, peer.PREFACE_BYTES - len(answer))
                    if not piece:
                        raise PeerRefused("the other node has no pulse")
                    answer += piece
                link.host = host
                await self._loop.create_connection(lambda: link, sock=sock)
                GATE.called(link, host, port)
            except BaseException:
                sock.close()
                raise
        await link.ready()

    def _heard(self, link: PeerLink, frame: Frame) -> None:
        if frame.kind is not Kind.HEARTBEAT:
            raise PeerProtocolError(f"the primary sent {frame.kind.name} out of turn")
        beat = messages.Heartbeat.from_body(frame.body)
        if beat.lease_ms is None or self._node.vote_heard(frame.term, beat.lease_ms):
            body = messages.Observed(0, beat.sent_us).to_body()
            link.write(peer.encode_frame(Kind.OBSERVED, frame.term, body, compress=False))


def _heartbeat(term: Term, sequence: int, lease_ms: int | None) -> bytes:
    body = messages.Heartbeat(Lsn(0), Lsn(0), sequence, lease_ms).to_body()
    return peer.encode_frame(Kind.HEARTBEAT, term, body, compress=False)
