"""An observer's connection with the primary: it hears whom its vote belongs to, and keeps the configurations."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from helios_cli.engine.consensus.acceptance import may_follow
from helios_cli.engine.consensus.config import address
from helios_cli.engine.errors import HeliosError, IoFailed, LogDamaged
from helios_cli.engine.node.peer_address import reachable
from helios_cli.engine.node.peer_call import reach
from helios_cli.engine.node.peer_link import PeerLink, PeerRefused, introduce
from helios_cli.engine.replication import messages
from helios_cli.engine.wire.peer import Frame, Kind, PeerProtocolError

if TYPE_CHECKING:
    from helios_cli.engine.node.observer import Observer

log = logging.getLogger(__name__)

RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 1.0
SILENCE_S: Final = 1.0
"""Ten heartbeats: without a word for so long, the connection is made anew."""


class Observing:
    """Looks for the primary and stays with it, for as long as :meth:`run` runs."""

    def __init__(self, observer: Observer, loop: asyncio.AbstractEventLoop) -> None:
        self._observer = observer
        self._loop = loop
        self._hurry = asyncio.Event()
        self._calls: set[asyncio.Timeout] = set()
        """Connections that are being made."""
        self._link: PeerLink | None = None
        self._heard_at = 0.0
        self.primary_id = ""
        """Who was heard of last as the primary; empty: nobody yet."""
        self.heard_id = ""
        """Who was heard of last, and has this observer's vote: not one that only calls itself primary."""
        self._called = ""

    @property
    def connected(self) -> bool:
        """Whether the primary is heard now."""
        return self._link is not None

    def retarget(self, node_id: str, host: str, port: int) -> None:
        """Another node leads; a call that nobody answers, as a frozen one's, is given up. Raises DiskFull, IoFailed."""
        role = self._observer.disk.role
        if node_id == self.primary_id and (host, port) == (role.primary_host, role.primary_port):
            return
        self._observer.event("retargeted", f"observing {node_id} at {address(host, port)}", primary=node_id)
        self._observer.disk.follow(host, port)
        self.primary_id = node_id
        self._hurry.set()
        for call in self._calls:
            if not call.expired():
                call.reschedule(self._loop.time())
        if self._link is not None:
            self._link.close()

    async def run(self) -> None:
        """Connect, observe, and connect again, until cancelled."""
        pause, told = RETRY_FIRST_S, set[str]()
        while True:
            for host, port in self._addresses():
                if self._hurry.is_set():
                    break
                try:
                    if await self._observe(host, port):
                        told, pause = set(), RETRY_FIRST_S
                except IoFailed as error:
                    self._observer.panic(error)
                    return
                except (OSError, HeliosError, TimeoutError) as error:
                    reason = getattr(error, "message", None) or str(error) or "it does not answer"
                    text = f"cannot observe {address(host, port)}: {reason}"
                    if text not in told and not self._hurry.is_set():
                        log.warning("%s", text)
                    told.add(text)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            pause = RETRY_FIRST_S if self._hurry.is_set() else min(pause * 2, RETRY_MAX_S)
            self._hurry.clear()

    def _addresses(self) -> list[tuple[str, int]]:
        """Where the primary was, then where else it may be."""
        disk = self._observer.disk
        config = disk.observed.parsed
        members = [(one.host, one.native_port) for one in (config.members if config is not None else ())]
        first = (disk.role.primary_host, disk.role.primary_port)
        others = (where for where in members if where[0] and where != first)
        return [*self._observer.callers.places(first), *others]

    async def _observe(self, host: str, port: int) -> bool:
        """Stay with a primary while the connection lasts; False: the node there has only said who leads."""
        observer = self._observer
        link = PeerLink(observer.term, tls=observer.tls.peer)
        ended = self._loop.create_future()
        try:
            welcome = await self._call(link, host, port)
            if welcome.role in ("standby", "observer"):
                await self._ask(host, port)
                return False
            link.on_lost = lambda: None if ended.done() else ended.set_result(None)
            self._heard_at = self._loop.time()
            self.primary_id = self._called = welcome.node_id
            self._link = link
            link.send(Kind.OBSERVE, b"")
            link.begin(self._frame)
            observer.disk.follow(host, port)
            while not link.closed:
                await asyncio.wait((ended,), timeout=SILENCE_S / 4)
                if self._loop.time() - self._heard_at > SILENCE_S:
                    link.fail(PeerProtocolError(f"nothing was heard for {SILENCE_S:.0f} s"))
        finally:
            self._link = None
            link.close()
        if link.error is not None:
            raise link.error
        return True

    async def _ask(self, host: str, port: int) -> None:
        """Learn from another node who leads."""
        observer = self._observer
        link = PeerLink(observer.term, tls=observer.tls.peer)
        try:
            await self._call(link, host, port)
            link.send(Kind.ASK, messages.Ask(observer.node_id, False, "").to_body())
            answer = messages.Answer.from_body((await link.receive(Kind.ANSWER)).body)
        finally:
            link.close()
        if not answer.primary_host or answer.primary_id == answer.node_id:
            raise PeerRefused(f"node {answer.node_id} does not lead, and knows nobody who does")
        self.retarget(answer.primary_id, reachable(link, answer.primary_host), answer.primary_native_port)

    async def _call(self, link: PeerLink, host: str, port: int) -> messages.Welcome:
        observer = self._observer
        async with asyncio.timeout(None) as call:
            self._calls.add(call)
            try:
                await reach(link, host, port)
                welcome = await introduce(link, observer.identity(), observer.secret)
            finally:
                self._calls.discard(call)
        observer.address.met(link)
        if bytes.fromhex(welcome.cluster_id) != observer.disk.control.record.cluster_id:
            raise PeerRefused(f"the node at {address(host, port)} belongs to another cluster")
        return welcome

    def _frame(self, frame: Frame) -> None:
        """Whatever the primary says is answered, once what follows from it is on disk."""
        observer = self._observer
        disk = observer.disk
        self._heard_at = self._loop.time()
        if frame.kind is Kind.REFUSED:
            refused = messages.Refused.from_body(frame.body)
            raise PeerRefused(refused.message, sqlstate=refused.sqlstate, hint=refused.hint or None)
        if not may_follow(disk.term, frame.term):
            raise PeerRefused(f"the primary is in term {frame.term}, which {disk.term} has ended")
        self.heard_id = self._called
        try:
            disk.promise(frame.term)
            echo_us = self._heard(frame)
        except IoFailed as error:
            observer.panic(error)
            raise
        observed = disk.observed
        version = observed.version if observed.config_term == frame.term.number else 0
        assert self._link is not None
        self._link.send(Kind.OBSERVED, messages.Observed(version, echo_us).to_body())

    def _heard(self, frame: Frame) -> int:
        """Act on a frame; the time that it bears."""
        observer = self._observer
        if frame.kind is Kind.CONFIG:
            try:
                observer.disk.told(frame.body, frame.term)
            except (LogDamaged, UnicodeDecodeError) as error:
                raise PeerProtocolError(f"damaged message: no configuration ({error})") from error
            return 0
        if frame.kind is not Kind.HEARTBEAT:
            raise PeerProtocolError(f"the primary sent {frame.kind.name} out of turn")
        beat = messages.Heartbeat.from_body(frame.body)
        if beat.lease_ms is not None:
            observer.disk.granted(beat.lease_ms)
            if not observer.vote.heard(observer.now(), beat.lease_ms / 1000, frame.term):
                return 0
        return beat.sent_us
