"""The following side of the native protocol: connects, asks for what comes behind the own log's end, hands it on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from helios_cli.engine.consensus.acceptance import may_follow
from helios_cli.engine.consensus.config import address
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.history import History
from helios_cli.engine.log.record import peek_lsn
from helios_cli.engine.node.peer_address import reachable
from helios_cli.engine.node.peer_call import reach
from helios_cli.engine.node.peer_link import Identity, PeerLink, PeerRefused, introduce
from helios_cli.engine.node.peer_tls import NO_TLS, PeerTls
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import Frame, Kind, PeerProtocolError

log = logging.getLogger(__name__)

RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 1.0
SILENCE_S: Final = 3.0
"""Without a word for so long, the connection is taken for dead."""

TROUBLE_S: Final = 3.0
"""So long nobody can be followed before somebody has to look: an election is over by then."""

QUEUE_MAX: Final = 16 << 20
"""Bytes received and not on disk yet, at which nothing more is read from the socket."""


class Follower(Protocol):
    """The node, as the receiver needs it."""

    def term(self) -> Term:
        """The newest term it knows."""

    def identity(self) -> Identity:
        """What it says of itself."""

    def secret(self) -> bytes:
        """The cluster's secret; empty when it has none."""

    def log_end(self) -> tuple[History, Lsn]:
        """The terms of its log, and where the next record belongs."""

    def joined(self, welcome: messages.Welcome, term: Term) -> None:
        """Somebody answered. Raises HeliosError when it must not be followed."""

    def records(self, data: bytes, term: Term) -> None:
        """Whole records that continue the log."""

    def committed(self, lsn: Lsn, end: Lsn, sent_us: int) -> None:
        """What the node that is followed knows to be committed, where its log ends, and its clock."""

    def heartbeat(self, lease_ms: int | None) -> None:
        """The node that is followed wants to hear of this one."""

    def queued_bytes(self) -> int:
        """Bytes taken and not on disk yet."""

    def must_rewind(self, fork: Lsn, history: History) -> None:
        """The own log has records behind ``fork`` that the other has not."""

    def must_reseed(self, reason: str) -> None:
        """The records that come next are gone there."""

    def take_over(self, body: bytes) -> None:
        """The primary gives its place to this node."""

    def lost(self, error: BaseException | None) -> None:
        """The connection has ended."""

    def unexpected(self, error: BaseException) -> HeliosError:
        """An error that nobody foresaw ended it; what to tell of that."""


class WalReceiver:
    """Follows one address, for as long as :meth:`run` runs."""

    def __init__(
        self,
        follower: Follower,
        loop: asyncio.AbstractEventLoop,
        addresses: Callable[[], list[tuple[str, int]]],
        tls: Callable[[], PeerTls] = lambda: NO_TLS,
        on_trouble: Callable[[str], None] = lambda text: None,
    ) -> None:
        """``addresses`` are tried in their order; ``tls`` gives what the next connection is made with.

        ``on_trouble`` is told once why nobody can be followed, when that lasts.
        """
        self._follower = follower
        self._loop = loop
        self._addresses = addresses
        self._tls = tls
        self._on_trouble = on_trouble
        self._trouble = ""
        self._troubled_at: float | None = None
        """Since when nobody is followed; None while somebody is, and before the first try."""
        self._trouble_told = ""
        self._expected = Lsn(0)
        self._heard_at = 0.0
        self._reading = True
        self._hurry = asyncio.Event()
        self._calls: set[asyncio.Timeout] = set()
        """Connections that are being made."""
        self.link: PeerLink | None = None
        self.streaming = False

    @property
    def trouble(self) -> str:
        """Why nobody can be followed, with what to do; empty while somebody is, and until that has lasted."""
        since = self._troubled_at
        return self._trouble if since is not None and self._loop.time() - since >= TROUBLE_S else ""

    def hurry(self) -> None:
        """Somebody else is to be followed: end the connection, and do not wait before the next one.

        A call that nobody answers, as a dead host's, is given up too.
        """
        self._hurry.set()
        for call in self._calls:
            if not call.expired():
                call.reschedule(self._loop.time())
        if self.link is not None:
            self.link.close()

    def wake(self) -> None:
        """The node that is to be followed is there again: do not wait before the next try."""
        if self.link is None and not self._calls:
            self._hurry.set()

    def leave(self) -> None:
        """This node stops: the one that is followed need not wait until it is missed."""
        if self.link is not None:
            self.link.refuse(PeerRefused("this node stops", sqlstate="57P01"))

    async def run(self) -> None:
        """Connect, follow, and connect again, until cancelled."""
        pause = RETRY_FIRST_S
        told = set[str]()
        while True:
            for host, port in self._addresses():
                if self._hurry.is_set():
                    break
                try:
                    await self._follow_safely(host, port)
                except (OSError, HeliosError, TimeoutError) as error:
                    text = f"cannot follow {address(host, port)}: {_reason(error)}"
                    if text not in told and not self._hurry.is_set():
                        log.warning("%s", text)
                    told.add(text)
                    self._failed(text)
                    self._follower.lost(error)
                else:
                    told.clear()
                    pause = RETRY_FIRST_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            if self._hurry.is_set():
                self._hurry.clear()
                pause = RETRY_FIRST_S
            pause = min(pause * 2, RETRY_MAX_S)

    def _failed(self, text: str) -> None:
        self._trouble = text
        if self._troubled_at is None:
            self._troubled_at = self._loop.time()
        if self.trouble and text != self._trouble_told:
            self._trouble_told = text
            self._on_trouble(text)

    async def open_link(self) -> PeerLink:
        """Another link with the node that is followed, or would be, which has let this one in.

        Raises:
            OSError, HeliosError, TimeoutError: it is not to be had.
        """
        error: BaseException | None = None
        follower = self._follower
        for host, port in self._addresses():
            link = PeerLink(follower.term, tls=self._tls())
            try:
                await self._call(link, host, port)
                if link.peer_term < follower.term():
                    raise PeerRefused(f"the node at {address(host, port)} is in a term that has ended")
                return link
            except BaseException as failure:
                link.close()
                if not isinstance(failure, (OSError, HeliosError)):
                    raise
                error = failure
        raise error or PeerRefused("nobody is known to lead")

    async def _follow_safely(self, host: str, port: int) -> None:
        """One connection. An error that nobody foresaw is told of, and does not end the following."""
        try:
            await self._follow(host, port)
        except (OSError, HeliosError, TimeoutError):
            raise
        except Exception as error:
            raise self._follower.unexpected(error) from error

    async def _follow(self, host: str, port: int) -> None:
        follower = self._follower
        link = PeerLink(follower.term, tls=self._tls())
        ended = self._loop.create_future()
        try:
            welcome = await self._call(link, host, port)
            follower.joined(replace(welcome, host=reachable(link, welcome.host)), link.peer_term)
            self._troubled_at, self._trouble_told = None, ""
            history, end = follower.log_end()
            link.on_lost = lambda: None if ended.done() else ended.set_result(None)
            self._expected = end
            self._reading = True
            self._heard_at = self._loop.time()
            self.link = link
            link.send(Kind.FOLLOW, messages.Follow(history.to_bytes().hex(), end).to_body())
            link.begin(self._frame)
            watch = self._loop.create_task(self._watch(link))
            try:
                if not link.closed:
                    await ended
            finally:
                watch.cancel()
        finally:
            self.link = None
            self.streaming = False
            link.close()
        if link.error is not None:
            raise link.error
        follower.lost(None)

    async def _call(self, link: PeerLink, host: str, port: int) -> messages.Welcome:
        """Connect and shake hands. Raises OSError, HeliosError, and TimeoutError also when it is hurried."""
        async with asyncio.timeout(None) as call:
            self._calls.add(call)
            try:
                await reach(link, host, port)
                return await introduce(link, self._follower.identity(), self._follower.secret())
            finally:
                self._calls.discard(call)

    async def _watch(self, link: PeerLink) -> None:
        """End a connection that has gone silent, and read on when what was received is on disk."""
        while True:
            await asyncio.sleep(0.05)
            if not self._reading and self._follower.queued_bytes() < QUEUE_MAX // 2:
                self._reading = True
                link.transport.resume_reading()
            if not self._reading:
                self._heard_at = self._loop.time()
            elif self._loop.time() - self._heard_at > SILENCE_S:
                link.fail(PeerProtocolError(f"nothing was heard for {SILENCE_S:.0f} s"))

    def _frame(self, frame: Frame) -> None:
        follower = self._follower
        self._heard_at = self._loop.time()
        if not may_follow(follower.term(), frame.term):
            # This node has promised a newer term meanwhile: what a deposed primary says counts no more.
            raise PeerRefused(f"the node that is followed is in term {frame.term}, which {follower.term()} has ended")
        if frame.kind is Kind.RECORDS:
            committed, sent_us = messages.read_records_head(frame.body)
            data = frame.body[messages.RECORDS_HEAD :]
            if peek_lsn(data) != self._expected:
                raise PeerProtocolError(f"records of {peek_lsn(data)} came where {self._expected} was due")
            self._expected = Lsn(self._expected + len(data))
            self.streaming = True
            follower.records(data, frame.term)
            follower.committed(committed, self._expected, sent_us)
            if follower.queued_bytes() > QUEUE_MAX and self._reading and self.link is not None:
                self._reading = False
                self.link.transport.pause_reading()
        elif frame.kind is Kind.HEARTBEAT:
            beat = messages.Heartbeat.from_body(frame.body)
            self.streaming = True
            follower.committed(beat.committed, beat.end, beat.sent_us)
            follower.heartbeat(beat.lease_ms)
        elif frame.kind is Kind.FORK:
            fork = messages.Fork.from_body(frame.body)
            follower.must_rewind(Lsn(fork.lsn), fork.terms())
        elif frame.kind is Kind.RESEED:
            follower.must_reseed(messages.Reseed.from_body(frame.body).reason)
        elif frame.kind is Kind.TAKE_OVER:
            follower.take_over(frame.body)
        elif frame.kind is Kind.REFUSED:
            refused = messages.Refused.from_body(frame.body)
            raise PeerRefused(refused.message, sqlstate=refused.sqlstate, hint=refused.hint or None)
        else:
            raise PeerProtocolError(f"the node that is followed sent {frame.kind.name} out of turn")


def _reason(error: BaseException) -> str:
    """Why a node cannot be followed, for the log."""
    silent = "it does not answer" if isinstance(error, TimeoutError) else type(error).__name__
    hint = getattr(error, "hint", None)
    told = getattr(error, "message", None) or getattr(error, "strerror", None)
    return (told or str(error) or silent) + (f" (hint: {hint})" if hint else "")
