"""One connection between two nodes: preface, handshake, then frames both ways until it ends."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Term
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import Frame, Kind, PeerProtocolError

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 10.0
"""A peer that takes longer to say who it is is let go."""

WRITE_HIGH_WATER: Final = 4 << 20
"""Bytes waiting for a slow peer before nothing more is handed to its socket."""

INBOX_MAX: Final = 16


class PeerRefused(HeliosError):
    """The other node said no."""

    sqlstate = "28000"


class Serves(Protocol):
    """Who answers: called once for each connection that comes in."""

    def __call__(self, link: PeerLink) -> None: ...


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


class PeerLink(asyncio.Protocol):
    """Frames in and out. While nobody has set :attr:`on_frame`, they wait for :meth:`receive`."""

    def __init__(self, term: Callable[[], Term], *, serve: Serves | None = None) -> None:
        """``term`` goes into every frame. ``serve`` makes it the answering side."""
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.term = term
        self.peer_term = Term(0)
        """The highest that the other side has spoken in."""
        self.writable = True
        self.closed = False
        self.on_frame: Callable[[Frame], None] | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_room: Callable[[], None] = lambda: None
        self.trusted = False
        """The handshake is over: large frames are taken from now on."""
        self.error: HeliosError | None = None
        """Why this side ended it."""
        self._serve = serve
        self._preface = b""
        self._greeted = False
        self._reader = peer.FrameReader()
        self._inbox: deque[Frame] = deque()
        self._waiter: asyncio.Future[None] | None = None

    # asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; the caller speaks first."""
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        if self._serve is None:
            self.transport.write(peer.preface())

    def data_received(self, data: bytes) -> None:
        """Bytes of the preface, then frames."""
        try:
            if not self._greeted:
                data = self._take_preface(data)
            if self._greeted and data:
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
            self._wake()
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
    def address(self) -> str:
        """The other side's address; empty when it is not known any more."""
        name = self.transport.get_extra_info("peername")
        return str(name[0]) if name else ""

    @property
    def is_loopback(self) -> bool:
        """Whether the other side is on this machine."""
        try:
            return ipaddress.ip_address(self.address.partition("%")[0]).is_loopback
        except ValueError:
            return False

    def send(self, kind: Kind, body: bytes, *, compress: bool = True) -> None:
        """Send a frame in the node's own term."""
        self.write(peer.encode_frame(kind, self.term(), body, compress=compress))

    def write(self, frame: bytes) -> None:
        """Send a frame that has been encoded already."""
        if not self.closed:
            self.transport.write(frame)

    async def receive(self, *expected: Kind) -> Frame:
        """The next frame.

        Raises:
            PeerRefused: the other side said no.
            PeerProtocolError: it is of another kind than ``expected``, or the connection is over.
            TimeoutError: none came within HANDSHAKE_S.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(HANDSHAKE_S):
            while not self._inbox:
                if self.closed:
                    raise self.error or PeerProtocolError("the other node closed the connection")
                self._waiter = loop.create_future()
                await self._waiter
        frame = self._inbox.popleft()
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

    def refuse(self, error: HeliosError) -> None:
        """Say no, and why."""
        if not self.closed:
            self.send(Kind.REFUSED, messages.Refused(error.sqlstate, error.message, error.hint or "").to_body())
        self.close(error)

    def fail(self, error: HeliosError) -> None:
        """The other side does not keep to the protocol: tell of it and end the connection."""
        if not self.closed:
            log.warning("connection with the node at %s ended: %s", self.address or "?", error.message)
        self.close(error)

    def close(self, error: HeliosError | None = None) -> None:
        """End the connection. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self.error = error
        self._wake()
        if self.transport is not None:
            self.transport.close()
        self.on_lost()

    # Inside ----------------------------------------------------------------------------------------------------------

    def _take_preface(self, data: bytes) -> bytes:
        self._preface += data
        if len(self._preface) < peer.PREFACE_BYTES:
            return b""
        preface, rest = self._preface[: peer.PREFACE_BYTES], self._preface[peer.PREFACE_BYTES :]
        if self._serve is None:
            peer.read_answer(preface)
        else:
            version, answer = peer.answer_preface(preface)
            self.transport.write(answer)
            if version == peer.NO_VERSION:
                raise PeerProtocolError("no version of the native protocol in common")
            self._serve(self)
        self._greeted = True
        return rest

    def _take_frames(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            self.peer_term = max(self.peer_term, frame.term)
            if self.closed:
                return
            if self.on_frame is not None:
                self.on_frame(frame)
            else:
                self._inbox.append(frame)
        if not self.trusted and (self._reader.pending > messages.HANDSHAKE_MAX or len(self._inbox) > INBOX_MAX):
            raise PeerProtocolError("too much from a node that has not said who it is")
        if self._inbox:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def introduce(link: PeerLink, own: Identity, secret: bytes) -> tuple[messages.Challenge, messages.Welcome]:
    """The caller's side of the handshake; who answered.

    Raises:
        PeerRefused: it said no.
        PeerProtocolError: it does not know the secret, or keeps to no protocol.
        TimeoutError: it did not answer.
    """
    hello = messages.Hello(
        own.node_id, own.cluster_id, own.incarnation, own.role, own.host, own.pg_port, own.native_port, own.http_port,
        own.mode, os.urandom(messages.NONCE_BYTES).hex(),
    ).to_body()  # fmt: skip
    link.send(Kind.HELLO, hello, compress=False)
    body = (await link.receive(Kind.CHALLENGE)).body
    challenge = messages.Challenge.from_body(body)
    if challenge.proof_wanted and not secret:
        raise PeerRefused(
            f"node {challenge.node_id} wants a proof of the cluster's secret, and this node has none",
            hint="Give it with HELIOSDB_CLUSTER_SECRET or cluster_secret_file; the first primary's is in "
            "control/cluster.secret of its data directory.",
        )
    proof = messages.prove(secret, "caller", hello, body) if secret else ""
    link.send(Kind.PROOF, messages.Proof(proof).to_body(), compress=False)
    welcome = messages.Welcome.from_body((await link.receive(Kind.WELCOME)).body)
    if not link.is_loopback and not (secret and messages.proves(welcome.proof, secret, "answerer", hello, body)):
        raise PeerProtocolError(f"node {challenge.node_id} does not know the cluster's secret")
    link.trusted = True
    return challenge, welcome


async def admit(
    link: PeerLink, own: Identity, secret: bytes, welcome: Callable[[str], messages.Welcome]
) -> messages.Hello:
    """The answering side of the handshake; who called. ``welcome`` makes the answer around a proof.

    Raises:
        PeerRefused: the caller is of another cluster, or does not know the secret; it has been told.
        PeerProtocolError, TimeoutError: it keeps to no protocol.
    """
    hello_body = (await link.receive(Kind.HELLO)).body
    hello = messages.Hello.from_body(hello_body)
    wanted = not link.is_loopback
    challenge = messages.Challenge(
        own.node_id, own.cluster_id, os.urandom(messages.NONCE_BYTES).hex(), wanted
    ).to_body()
    link.send(Kind.CHALLENGE, challenge, compress=False)
    proof = messages.Proof.from_body((await link.receive(Kind.PROOF)).body)
    if wanted and not (secret and messages.proves(proof.proof, secret, "caller", hello_body, challenge)):
        raise PeerRefused(
            f"node {hello.node_id} does not know the secret of this cluster",
            sqlstate="28P01",
            hint="Give every node the same HELIOSDB_CLUSTER_SECRET.",
        )
    if hello.cluster_id and hello.cluster_id != own.cluster_id:
        raise PeerRefused(
            f"node {hello.node_id} belongs to another cluster",
            hint="Start it with an empty data directory to have it join this one.",
        )
    if hello.node_id == own.node_id:
        raise PeerRefused(
            f"there is a node {own.node_id} in this cluster already", hint="Give each node its own --node-id."
        )
    link.trusted = True
    answer = messages.prove(secret, "answerer", hello_body, challenge) if secret else ""
    link.send(Kind.WELCOME, welcome(answer).to_body(), compress=False)
    return hello
