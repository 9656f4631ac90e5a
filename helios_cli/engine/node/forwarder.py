"""The way from a standby to its primary for writes: a pool of sessions there, and who may use them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.gate import GATE
from helios_cli.engine.node.forward_link import ForwardLink, PrimaryLost, detach
from helios_cli.engine.node.peer_link import PeerLink
from helios_cli.engine.replication.forwarding import CancelSession, OpenSession, SessionOpen
from helios_cli.engine.types import WriteId
from helios_cli.engine.wire.peer import Kind

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session

log = logging.getLogger(__name__)

FORWARDING_MODES: Final = ("sync", "semi-sync", "quorum")
"""Classes of standbys that take writes to the primary; the others refuse them."""

RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 0.5
GRACE_S: Final = 1.0
"""After a change of roles the former primary may still have answers on their way."""

IDLE_S: Final = 60.0
"""A session whose client has gone is kept for another one so long."""


class RoleChanged(HeliosError):
    """This node does not forward any more."""

    sqlstate = "40001"
    retryable = True


class QueryForwarder:
    """Sessions at the primary for the clients of this standby, up to a number of them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        open_link: Callable[[], Awaitable[PeerLink]],
        *,
        links_max: int,
        wait_s: Callable[[], float],
    ) -> None:
        """``open_link`` connects to the node that is followed, handshake and all; ``wait_s`` is a write's patience."""
        self.links_max = links_max
        self.wait_s = wait_s
        self._closing = asyncio.Event()
        self._loop = loop
        self._open_link = open_link
        self._links: dict[ForwardLink, None] = {}
        self._idle: dict[ForwardLink, None] = {}
        """Those that nobody uses, the longest unused first."""
        self._opening = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._names: list[WriteId] = []
        """The last names of writes that are over."""

    @property
    def closed(self) -> bool:
        """Whether this node does not forward any more."""
        return self._closing.is_set()

    def name_write(self) -> WriteId:
        """A name for a write, until :meth:`over`. One goes on where another has ended: so few rows are left of them."""
        last = self._names.pop() if self._names else WriteId(os.urandom(16), 0, is_last=True)
        return WriteId(last.client, last.seq + 1, is_last=True)

    def over(self, name: WriteId) -> None:
        """The write is answered, and not sent again."""
        self._names.append(name)

    # Sessions --------------------------------------------------------------------------------------------------------

    async def take(self, session: Session) -> ForwardLink:
        """A session at the primary for this client: the one it had before, another one's, or a new one.

        Raises:
            PrimaryLost: there was none to be had within the wait.
            RoleChanged: this node does not forward any more.
        """
        deadline = self._loop.time() + self.wait_s()
        pause = RETRY_FIRST_S
        error: BaseException | None = None
        while not self.closed:
            link = self.idle_for(session)
            if link is not None:
                return link
            left = deadline - self._loop.time()
            if left <= 0:
                raise self._too_late(error)
            try:
                async with asyncio.timeout(left):
                    if len(self._links) + self._opening >= self.links_max and not self._idle:
                        await self._freed()
                        continue
                    return await self._new(session)
            except TimeoutError:
                error = PrimaryLost("it does not answer" if self._idle or self._opening else "")
            except (OSError, HeliosError) as failure:
                error = failure
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, max(0.0, deadline - self._loop.time()))):
                    await self._closing.wait()
            pause = min(pause * 2, RETRY_MAX_S)
        raise RoleChanged("the role of this node has changed")

    def has_own(self, session: Session) -> bool:
        """Whether this client's session at the primary is still kept for it, with what that remembers of sequences."""
        return any(link.owner is session for link in self._idle)

    def give_back(self, link: ForwardLink) -> None:
        """The client's transaction is over: the session is free for it and for others."""
        if link.closed:
            return
        if self.closed:
            self.drop(link)
            return
        link.on_data = lambda data: link.close()
        link.on_room = lambda: None
        link.on_lost = lambda: self.forget(link)
        link.used_at = self._loop.time()
        self._idle[link] = None
        self._sweep()
        self._wake_one()

    def release(self, session: Session) -> None:
        """End the session at the primary that is kept for a client."""
        for link in [link for link in self._idle if link.owner is session]:
            self.drop(link)

    def drop(self, link: ForwardLink) -> None:
        """End a session in the middle of whatever it does."""
        link.on_data = lambda data: None
        link.on_lost = lambda: None
        self.forget(link)
        link.close()

    def idle_for(self, session: Session) -> ForwardLink | None:
        """One that is at hand; None: :meth:`take` has to wait."""
        chosen = None
        for link in self._idle:
            if link.owner is session:
                chosen = link
                break
            fits = (link.user, link.database) == (session.user, session.database)
            free = link.owner is None or link.owner.closed
            if chosen is None and fits and (free or len(self._links) >= self.links_max):
                chosen = link
        if chosen is not None:
            del self._idle[chosen]
        return chosen

    async def _new(self, session: Session) -> ForwardLink:
        if len(self._links) + self._opening >= self.links_max and self._idle:
            # All are of other users.
            self.drop(next(iter(self._idle)))
        self._opening += 1
        try:
            link = await self.connect(OpenSession(session.user, session.database, *session.client_address, 0))
        finally:
            self._opening -= 1
            self._wake_one()
        self._links[link] = None
        if self.closed:
            self.drop(link)
            raise RoleChanged("the role of this node has changed")
        return link

    async def connect(self, wanted: OpenSession) -> ForwardLink:
        """Open a session further on. Raises OSError, HeliosError, TimeoutError."""
        peer = await self._open_link()
        try:
            peer.send(Kind.SESSION, wanted.to_body(), compress=False)
            answer = SessionOpen.from_body((await peer.receive(Kind.SESSION_OPEN)).body)
            link = ForwardLink(detach(peer), wanted.user, wanted.database, answer.pid, answer.key)
            GATE.handed_on(peer, link)
            return link
        except BaseException:
            peer.close()
            raise

    async def _freed(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def forget(self, link: ForwardLink | None) -> None:
        """A session is no more."""
        if link is None:
            return
        self._links.pop(link, None)
        self._idle.pop(link, None)
        self._wake_one()

    def _sweep(self) -> None:
        """Close sessions that nobody has needed for long."""
        old = self._loop.time() - IDLE_S
        for link in [link for link in self._idle if link.used_at < old and (link.owner is None or link.owner.closed)]:
            self.drop(link)

    def _too_late(self, error: BaseException | None) -> PrimaryLost:
        why = getattr(error, "message", None) or str(error or "") or "every connection to it is in use"
        return PrimaryLost(
            f"the primary could not be reached within {self.wait_s():g} s, and the statement was not run",
            detail=why[:1].upper() + why[1:] + ".",
            hint="Retry. SHOW TOPOLOGY tells who leads; forward_timeout is how long a write waits for a primary.",
        )

    # Cancelling ------------------------------------------------------------------------------------------------------

    def cancel(self, link: ForwardLink) -> None:
        """Have the primary end the statement that a session has in hand."""
        self._background(self.send_cancel(CancelSession(link.pid, link.key, 0)))

    async def send_cancel(self, wanted: CancelSession) -> None:
        """CANCEL, on a link of its own. What fails is left: a cancel request promises nothing."""
        try:
            async with asyncio.timeout(self.wait_s()):
                peer = await self._open_link()
                peer.send(Kind.CANCEL, wanted.to_body(), compress=False)
                peer.close()
        except (OSError, HeliosError) as error:
            log.info("a cancel request could not be passed on: %s", error)

    def _background(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        task = self._loop.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Ends ------------------------------------------------------------------------------------------------------------

    def primary_lost(self, why: str) -> None:
        """The node that is followed is taken for dead: whoever waits for its answer hears of it now."""
        for link in tuple(self._links):
            link.close(PrimaryLost(why))
        self._links.clear()
        self._idle.clear()

    def close(self) -> None:
        """This node does not forward any more; who waits for an answer still has a moment. Idempotent."""
        if self.closed:
            return
        self._closing.set()
        for link in tuple(self._idle):
            self.drop(link)
        if self._links:
            self._loop.call_later(GRACE_S, self.primary_lost, "the role of this node has changed")
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def counts(self) -> tuple[int, int]:
        """Sessions at the primary: (all, idle)."""
        return len(self._links), len(self._idle)
