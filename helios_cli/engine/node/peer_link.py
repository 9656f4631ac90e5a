"""One connection between two nodes: preface, handshake, then frames both ways until it ends.

Until the other side has shown who it is (:attr:`PeerLink.trusted`), nothing is told to it, not even a term, and nothing
large is taken from it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.drills import DRILLS, real_of
from helios_cli.engine.node.peer_door import Door, Repeats
from helios_cli.engine.node.peer_tls import NO_TLS, PeerTls, certificate_digest, tls_failure
from helios_cli.engine.replication import messages
from helios_cli.engine.storage.secret import SECRET_HINT
from helios_cli.engine.types import Term
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import Frame, Kind, PeerProtocolError

log = logging.getLogger(__name__)
_repeats = Repeats()

HANDSHAKE_S: Final = 10.0
"""A peer that takes longer to say who it is is let go."""

WRITE_HIGH_WATER: Final = 4 << 20
"""Bytes waiting for a slow peer before nothing more is handed to its socket."""

INBOX_MAX: Final = 16
"""Frames that wait for :meth:`PeerLink.receive`: no more are read then, and from strangers none are taken."""

TERM_STEP_MAX: Final = 1 << 32
"""How far a peer's term may be ahead: a single frame must not use up all the terms there are."""

GOODBYE_S: Final = 5.0
"""How long a peer may take to read the last words before the connection is cut."""


class PeerRefused(HeliosError):
    """The other node said no."""

    sqlstate = "28000"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node says of itself."""

    node_id: str
    cluster_id: str
    incarnation: str
    role: str
    mode: str
    host: str
    pg_port: int
    native_port: int
    http_port: int
    priority: int = 1


class PeerLink(asyncio.Protocol):
    """Frames in and out. While nobody has set :attr:`on_frame`, they wait for :meth:`receive`."""

    def __init__(
        self,
        term: Callable[[], Term],
        *,
        serve: Callable[[PeerLink], None] | None = None,
        tls: PeerTls = NO_TLS,
        door: Door | None = None,
        pulse: Callable[[int], None] | None = None,
    ) -> None:
        """``term`` goes into every frame once the peer is trusted. ``serve`` makes it the answering side, and ``door``
        bounds how many there are before they are trusted. ``pulse`` takes the connections that are for heartbeats
        alone, as descriptors.
        """
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.term = term
        self.peer_term = Term(0)
        """The highest that the other side has spoken in since it is trusted."""
        self.writable = True
        self.closed = False
        self.on_frame: Callable[[Frame], None] | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        self.proved = False
        """The caller has shown that it belongs to the cluster, not only that it is on this machine."""
        self.secured = False
        """The connection is TLS."""
        self.address = ""
        """The other side's address; empty before there is a connection."""
        self.host = ""
        self.error: HeliosError | None = None
        self.mute = self.deaf = False
        """What is sent, and what comes, is lost on purpose (``net/gate.py``)."""
        self._serve = serve
        self.tls = tls
        self._door = door
        self._pulse = pulse
        self._trusted = False
        self._preface = b""
        self._greeted = False
        self._upgrade: asyncio.Task[None] | None = None
        self._reader = peer.FrameReader(messages.HANDSHAKE_MAX)
        self._inbox: deque[Frame] = deque()
        self._full = False
        self._waiter: asyncio.Future[None] | None = None

    # asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; the caller speaks first."""
        self.transport = DRILLS.slowed(transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        name = transport.get_extra_info("peername")
        self.address = str(name[0]) if isinstance(name, tuple) else ""
        if self._door is not None:
            self._door.enter(self)
        if self._serve is None:
            self.transport.write(peer.preface() if self.tls.client is None else peer.TLS_WANTED)

    def data_received(self, data: bytes) -> None:
        """Bytes of the preface, then frames."""
        if self.deaf:
            return
        try:
            if not self._greeted and not self.closed:
                data = self._take_preface(data)
            if self._greeted and data and not self.closed:
                self._take_frames(data)
        except HeliosError as error:
            self.fail(error)
        except Exception as error:
            log.exception("a connection between nodes failed")
            self.fail(PeerProtocolError(f"internal error: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        if not self.closed:
            self.closed = True
            if exc is not None:
                self.error = PeerProtocolError(f"the connection broke: {exc}")
            self._left()
            self.on_lost()

    def pause_writing(self) -> None:
        """The peer does not keep up."""
        self.writable = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self.writable = True
        self.on_room()

    # Use -------------------------------------------------------------------------------------------------------------

    @property
    def unread(self) -> bool:
        """Whether frames, or a part of one, have come that nobody has taken."""
        return bool(self._inbox or self._reader.pending)

    @property
    def is_loopback(self) -> bool:
        """Whether the other side is on this machine."""
        return is_loopback(self.address)

    @property
    def trusted(self) -> bool:
        """The handshake is over: terms are told and believed, and large frames taken."""
        return self._trusted

    @trusted.setter
    def trusted(self, value: bool) -> None:
        self._trusted = value
        self._reader.body_max = peer.BODY_MAX if value else messages.HANDSHAKE_MAX
        if value and self._door is not None:
            self._door.leave(self)

    @property
    def certified(self) -> bool:
        """The other side has shown a certificate that stands in for the proof of the secret."""
        return self.secured and self.tls.certificates

    @property
    def binding(self) -> bytes:
        """What proofs on this connection are bound to; the same on both sides, empty in the clear."""
        if not self.secured:
            return b""
        if self._serve is not None:
            return self.tls.binding
        return certificate_digest(self.transport.get_extra_info("ssl_object").getpeercert(binary_form=True))

    def send(self, kind: Kind, body: bytes, *, compress: bool = True) -> None:
        """Send a frame in the node's own term, which strangers do not hear of."""
        term = self.term() if self._trusted else Term(0)
        self.write(peer.encode_frame(kind, term, body, compress=compress))

    def write(self, frame: bytes) -> None:
        """Send a frame that has been encoded already."""
        if not (self.closed or self.mute):
            self.transport.write(frame)

    async def ready(self) -> None:
        """Wait until frames may be sent: on the calling side, until TLS has begun where it is wanted.

        Raises:
            PeerProtocolError: the other side has no TLS, another certificate than wanted, or has gone.
            TimeoutError: it did not answer within HANDSHAKE_S.
        """
        async with asyncio.timeout(HANDSHAKE_S):
            while self.tls.client is not None and not self.secured:
                await self._news()

    async def receive(self, *expected: Kind) -> Frame:
        """The next frame.

        Raises:
            PeerRefused: the other side said no.
            PeerProtocolError: it is of another kind than ``expected``, or the connection is over.
            TimeoutError: none came within HANDSHAKE_S.
        """
        async with asyncio.timeout(HANDSHAKE_S):
            while not self._inbox:
                await self._news()
        frame = self._inbox.popleft()
        self._taken()
        if frame.kind is Kind.REFUSED:
            refused = messages.Refused.from_body(frame.body)
            raise PeerRefused(refused.message, sqlstate=refused.sqlstate, hint=refused.hint or None)
        if frame.kind not in expected:
            raise PeerProtocolError(f"the other node sent {frame.kind.name} out of turn")
        return frame

    def begin(self, on_frame: Callable[[Frame], None]) -> None:
        """The handshake is over: frames go to ``on_frame`` as they come, those that wait at once."""
        self.on_frame = on_frame
        while self._inbox and not self.closed:
            on_frame(self._inbox.popleft())
            self._taken()

    def refuse(self, error: HeliosError) -> None:
        """Say no, and why."""
        if not self.closed:
            self.send(Kind.REFUSED, messages.Refused.of(error).to_body())
        self.close(error)

    def fail(self, error: HeliosError) -> None:
        """The other side does not keep to the protocol: tell of it and end the connection."""
        text = f"connection with the node at {self.address or '?'} ended: {error.message}"
        if not self.closed and self._door is not None and not self._trusted:
            self._door.tell(text)
        elif not self.closed:
            _repeats.tell(text, time.monotonic())
        self.close(error)

    def drop(self, error: HeliosError) -> None:
        """End the connection without a word more, and without waiting for the peer to read what was said."""
        self.fail(error)
        self.transport.abort()

    def cut_off(self) -> None:
        """End the connection, of which bytes are lost on purpose."""
        self.close()
        self.transport.abort()

    def close(self, error: HeliosError | None = None) -> None:
        """End the connection. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self.error = error
        self._left()
        if self.transport is not None:
            self.transport.close()
            # A peer that does not read what is on its way to it would keep the connection.
            asyncio.get_running_loop().call_later(GOODBYE_S, self.transport.abort)
        self.on_lost()

    # Inside ----------------------------------------------------------------------------------------------------------

    def _take_preface(self, data: bytes) -> bytes:
        self._preface += data
        if self._upgrade is not None and not self.secured:
            # Nothing was read in the clear since TLS was asked for: this came through it, before the loop told us.
            if len(self._preface) > messages.HANDSHAKE_MAX:
                raise PeerProtocolError("too much from a node that has not said who it is")
            return b""
        if len(self._preface) < peer.PREFACE_BYTES:
            return b""
        preface, rest = self._preface[: peer.PREFACE_BYTES], self._preface[peer.PREFACE_BYTES :]
        self._preface = b""
        if self._serve is None:
            self._take_answer(preface, rest)
        elif preface == peer.PULSE_WANTED and self._pulse is not None and not rest:
            self._pulse(os.dup(self.transport.get_extra_info("socket").fileno()))
            self.close()
            self.transport.abort()
        elif preface == peer.TLS_WANTED:
            self._begin_tls(self.tls.server, rest)
        else:
            self._greet(preface)
        return rest

    def _take_answer(self, answer: bytes, rest: bytes) -> None:
        """On the calling side."""
        if self.tls.client is None or self.secured:
            peer.read_answer(answer)
            self._greeted = True
        elif answer == peer.TLS_WANTED:
            self._begin_tls(self.tls.client, rest)
        else:
            raise PeerProtocolError(
                "the other node does not speak TLS", hint="Give it tls_cert and tls_key, or set peer_tls = off here."
            )

    def _greet(self, preface: bytes) -> None:
        """On the answering side."""
        version, answer = peer.answer_preface(preface)
        self.transport.write(answer)
        if version == peer.NO_VERSION:
            raise PeerProtocolError("no version of the native protocol in common")
        if self.tls.server is not None and not self.secured:
            self.refuse(
                PeerRefused(
                    "the native port of this node speaks TLS only",
                    hint="Set tls_ca to the certificate that signed its own, or peer_tls = require.",
                )
            )
            return
        self._greeted = True
        assert self._serve is not None
        self._serve(self)

    def _begin_tls(self, context: ssl.SSLContext | None, rest: bytes) -> None:
        answering = self._serve is not None
        if rest or self.secured:
            # What came in the clear must not be taken for what comes encrypted (CVE-2021-23214).
            raise PeerProtocolError("bytes in the clear behind the request for TLS")
        if context is None:
            self.transport.write(peer.TLS_UNKNOWN)
            raise PeerProtocolError("a node wants TLS, and this one has no tls_cert")
        self.transport.pause_reading()
        if answering:
            self.transport.write(peer.TLS_WANTED)
        self._upgrade = asyncio.get_running_loop().create_task(self._start_tls(context))

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        name = self.host if self._serve is None else None
        try:
            transport = await loop.start_tls(
                real_of(self.transport), self, context, server_side=self._serve is not None, server_hostname=name,
                ssl_handshake_timeout=HANDSHAKE_S,
            )  # fmt: skip
        except (OSError, ssl.SSLError) as error:
            self.fail(tls_failure(error, name or self.address))
            return
        if transport is None or self.closed:
            self.close()
            return
        self.transport = DRILLS.slowed(transport)
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.secured = True
        if self._serve is None:
            transport.write(peer.preface())
        self._wake()
        if self._preface:
            early, self._preface = self._preface, b""
            self.data_received(early)

    def _take_frames(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if self.closed:
                return
            if self._trusted and frame.term > self.peer_term:
                self.hear_of(frame.term)
            if self.on_frame is not None:
                self.on_frame(frame)
            else:
                self._inbox.append(frame)
        if len(self._inbox) > INBOX_MAX and not self._trusted:
            raise PeerProtocolError("too much from a node that has not said who it is")
        if len(self._inbox) > INBOX_MAX and not self._full:
            self._full = True
            self.transport.pause_reading()
        if self._inbox:
            self._wake()

    def _taken(self) -> None:
        """A frame was taken out of the inbox."""
        if self._full and len(self._inbox) <= INBOX_MAX // 2 and not self.closed:
            self._full = False
            self.transport.resume_reading()

    def hear_of(self, term: Term) -> None:
        """The other side is in a newer term than before. Raises PeerProtocolError for one that cannot be."""
        if term.number > self.term().number + TERM_STEP_MAX:
            raise PeerProtocolError(f"term {term} is further ahead than elections lead")
        self.peer_term = term

    async def _news(self) -> None:
        """Wait until something has changed. Raises HeliosError when the connection is over."""
        if self.closed:
            raise self.error or PeerProtocolError("the other node closed the connection")
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _left(self) -> None:
        if self._door is not None:
            self._door.leave(self)
        if self._upgrade is not None and self._upgrade is not asyncio.current_task():
            self._upgrade.cancel()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def introduce(link: PeerLink, own: Identity, secret: bytes) -> messages.Welcome:
    """The caller's side of the handshake; who answered.

    On this machine, and where a certificate stands in for it, the answering node need not prove anything. Everywhere
    else it has to, whatever it says itself.

    Raises:
        PeerRefused: it said no, or there is no secret to tell it by.
        PeerProtocolError: it does not know the secret, or keeps to no protocol.
        TimeoutError: it did not answer.
    """
    sure = link.certified or link.is_loopback
    if not sure and not secret:
        raise PeerRefused(
            "nodes on other machines are told by the cluster's secret, and this node has none", hint=SECRET_HINT
        )
    hello = messages.Hello(
        own.node_id, own.cluster_id, own.incarnation, own.role, own.host, own.pg_port, own.native_port, own.http_port,
        own.mode, os.urandom(messages.NONCE_BYTES).hex(), bool(secret), own.priority,
    ).to_body()  # fmt: skip
    link.send(Kind.HELLO, hello, compress=False)
    body = (await link.receive(Kind.CHALLENGE)).body
    wanted = messages.Challenge.from_body(body).proof_wanted
    if wanted and not secret:
        raise PeerRefused("it wants a proof of the cluster's secret, and this node has none", hint=SECRET_HINT)
    proof = messages.prove(secret, "caller", hello, body, link.binding) if wanted else ""
    link.send(Kind.PROOF, messages.Proof(proof).to_body(), compress=False)
    frame = await link.receive(Kind.WELCOME)
    welcome = messages.Welcome.from_body(frame.body)
    if (wanted or not sure) and not messages.proves(welcome.proof, secret, "answerer", hello, body, link.binding):
        raise PeerProtocolError("the node that answers does not know the cluster's secret", hint=SECRET_HINT)
    link.trusted = True
    link.hear_of(frame.term)
    return welcome


async def admit(
    link: PeerLink, own: Identity, secret: bytes, welcome: Callable[[str], messages.Welcome]
) -> messages.Hello:
    """The answering side of the handshake; who called. ``welcome`` makes the answer around a proof.

    The proof is given to those alone who have given theirs.

    Raises:
        PeerRefused: the caller is of another cluster, or does not know the secret.
        PeerProtocolError, TimeoutError: it keeps to no protocol.
    """
    hello_body = (await link.receive(Kind.HELLO)).body
    hello = messages.Hello.from_body(hello_body)
    wanted = not link.certified and (not link.is_loopback or (hello.can_prove and bool(secret)))
    if wanted and not secret:
        raise PeerRefused("this node has no cluster secret, so it takes no node of another machine", hint=SECRET_HINT)
    challenge = messages.Challenge(os.urandom(messages.NONCE_BYTES).hex(), wanted).to_body()
    link.send(Kind.CHALLENGE, challenge, compress=False)
    proof = messages.Proof.from_body((await link.receive(Kind.PROOF)).body)
    if wanted and not messages.proves(proof.proof, secret, "caller", hello_body, challenge, link.binding):
        raise PeerRefused("the proof of the cluster's secret is wrong", sqlstate="28P01", hint=SECRET_HINT)
    if hello.cluster_id and hello.cluster_id != own.cluster_id:
        raise PeerRefused(
            f"node {hello.node_id} belongs to another cluster",
            hint="Start it with an empty data directory to have it join this one.",
        )
    if hello.node_id == own.node_id:
        raise PeerRefused(
            f"there is a node {own.node_id} in this cluster already", hint="Give each node its own --node-id."
        )
    link.trusted, link.proved = True, wanted or link.certified
    answer = messages.prove(secret, "answerer", hello_body, challenge, link.binding) if wanted else ""
    link.send(Kind.WELCOME, welcome(answer).to_body(), compress=False)
    return hello
