"""The backends of one node for one user and database, and the clients that wait for one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxyserver.backend import Backend

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.node import Node
    from helios_cli.engine.proxyserver.proxy import Proxy
    from helios_cli.engine.wire.scram import ClientKeys

log = logging.getLogger(__name__)

SWEEP_S: Final = 10.0
"""Between two looks for backends that have been idle too long."""

TELL_S: Final = 60.0
"""Between two lines of the log about one pool that has no backend left."""

HANDED_AT_ONCE: Final = 100
"""Backends that are handed to waiting clients in one turn of the loop."""

NOBODY: Final = ("28", "3D", "42704", "53300")
"""What a node says to a login that would say the same to the next: not worth trying again."""


class Waiting(Protocol):
    """A client's session that wants a backend."""

    def got(self, backend: Backend) -> None:
        """Here it is; it is the session's until it is released."""

    def refused(self, node: Node, error: HeliosError) -> None:
        """There is none to be had."""

    def postponed(self) -> None:
        """Nobody gets one here for now: look anew when something has changed."""


class Pool:
    """Backends of (node, user, database): the last used is used first, waiting clients are served in their order."""

    def __init__(self, proxy: Proxy, node: Node, user: str, database: str) -> None:
        self.proxy = proxy
        self.node = node
        self.user = user
        self.database = database
        self.keys: ClientKeys | str | None = None
        """What logs in there: of the client that came last."""
        self.idle: list[Backend] = []
        self.all: dict[Backend, None] = {}
        self.waiting: deque[Waiting] = deque()
        self.connecting = 0
        self.waits = 0
        """Clients that had to wait, since the start."""
        self._told_at = 0.0
        self._epoch = 0
        """Raised when all that was being opened is given up."""
        self._freed: deque[Backend] = deque()
        """To be handed to those that wait; not idle."""
        self._is_handing = False

    @property
    def size(self) -> int:
        """Backends, those that log in included."""
        return len(self.all) + self.connecting

    def take(self) -> Backend | None:
        """An idle backend; None: :meth:`wait` for one."""
        idle = self.idle
        while idle:
            backend = idle.pop()
            if backend.generation == self.node.generation:
                backend.held = True
                self.node.active += 1
                return backend
            backend.close()
        return None

    def take_last_of(self, session: int) -> Backend | None:
        """The idle backend that a session had, if nobody has had it since."""
        for backend in self.idle:
            if backend.last_user == session:
                # The last is taken first.
                self.idle.remove(backend)
                self.idle.append(backend)
                return self.take()
        return None

    def wait(self, client: Waiting) -> None:
        """Queue up; a further backend is opened where the limit lets it."""
        self.waits += 1
        self.waiting.append(client)
        self._open_more()
        if len(self.waiting) > self.connecting:
            self._tell_exhausted()

    def _tell_exhausted(self) -> None:
        now = self.proxy.loop.time()
        if self._told_at and now < self._told_at + TELL_S:
            return
        self._told_at = now
        log.warning(
            "pool exhausted: all %d backends of %s@%s at node %s are in use, and %d clients wait (pool_size)",
            self.size, self.user, self.database, self.node.name, len(self.waiting),
        )  # fmt: skip

    def postpone(self) -> None:
        """Have those that wait look anew when something has changed: the proxy is paused, or the node drained."""
        waiting, self.waiting = self.waiting, deque()
        for client in waiting:
            client.postponed()

    def give_up(self, client: Waiting) -> None:
        """The client waits no more."""
        if client in self.waiting:
            self.waiting.remove(client)

    def _open_more(self) -> None:
        limit = self.proxy.settings.pool_size
        while self.connecting < len(self.waiting) and self.size < limit:
            self.connecting += 1
            self.proxy.background(self._open())

    async def _open(self) -> None:
        epoch, generation = self._epoch, self.node.generation
        try:
            async with asyncio.timeout(self.proxy.settings.connect_timeout):
                backend = await self.proxy.connect(self)
        except (OSError, TimeoutError, HeliosError) as failure:
            if self._has_ended(epoch):
                self._refuse(failure if isinstance(failure, HeliosError) else _unreachable(self.node, failure))
            return
        except BaseException:
            self._has_ended(epoch)
            raise
        if not self._has_ended(epoch) or generation != self.node.generation:
            backend.leave()
            self._open_more()
            return
        self.all[backend] = None
        backend.held = True
        self.node.active += 1
        self.release(backend)

    def _has_ended(self, epoch: int) -> bool:
        """An attempt to open a backend is over; whether anybody still counts on it."""
        if epoch != self._epoch:
            return False
        self.connecting -= 1
        return True

    def _refuse(self, error: HeliosError) -> None:
        """No backend came: nobody is kept waiting for what would come to the same."""
        if not error.sqlstate.startswith(NOBODY):
            self.proxy.cluster.suspect(self.node, error.message)
        elif self.all and error.sqlstate == "53300":
            return  # those that are there serve them in their turn
        waiting, self.waiting = self.waiting, deque()
        for client in waiting:
            client.refused(self.node, error)

    def release(self, backend: Backend) -> None:
        """A client has done with it: the next one gets it."""
        if backend.closed:
            return
        if self._is_old(backend):
            backend.leave()
            return
        if self.waiting:
            self._freed.append(backend)
            if not self._is_handing:
                self._hand()
            return
        if self.node.is_draining:
            backend.leave()
            return
        self._rest(backend)

    def _hand(self) -> None:
        """Give what is free to those that wait, in their order.

        Some give it back before they come back themselves, thousands of clients that log in for one: no recursion,
        and after a while others have their turn of the loop.
        """
        self._is_handing = True
        try:
            for _ in range(HANDED_AT_ONCE):
                if not (self._freed and self.waiting):
                    break
                backend = self._freed.popleft()
                if self._is_old(backend):
                    backend.leave()
                else:
                    self.waiting.popleft().got(backend)
        finally:
            self._is_handing = False
            if self._freed and self.waiting:
                self._is_handing = True
                self.proxy.loop.call_soon(self._hand)
            else:
                self._rest_all()

    def _is_old(self, backend: Backend) -> bool:
        """Whether nobody may have it any more."""
        return backend.closed or backend.generation != self.node.generation or self.proxy.stopping

    def _rest_all(self) -> None:
        while self._freed:
            backend = self._freed.popleft()
            if self._is_old(backend):
                backend.leave()
            else:
                self._rest(backend)

    def _rest(self, backend: Backend) -> None:
        backend.held = False
        self.node.active -= 1
        backend.idle_since = self.proxy.loop.time()
        self.idle.append(backend)

    def gone(self, backend: Backend) -> None:
        """A backend is closed."""
        self.all.pop(backend, None)
        if backend.held:
            backend.held = False
            self.node.active -= 1
        elif backend in self.idle:
            self.idle.remove(backend)
        self._open_more()

    def drop_old(self) -> None:
        """Close what is of an older generation of the node; who uses it hears of that, and who waits looks elsewhere.

        Nobody waits for what is being opened, either: the node may be one that says nothing any more.
        """
        self._epoch += 1
        self.connecting = 0
        self.postpone()
        for backend in [one for one in self.all if one.generation != self.node.generation]:
            backend.close()

    def sweep(self, before: float) -> None:
        """Close what nobody has used since then."""
        for backend in [one for one in self.idle if one.idle_since < before]:
            backend.leave()

    def close(self) -> None:
        """Close all that is idle."""
        for backend in tuple(self.idle):
            backend.leave()


def _unreachable(node: Node, failure: BaseException) -> HeliosError:
    reason = "timeout expired" if isinstance(failure, TimeoutError) else str(failure)
    return HeliosError(f"node {node.name} cannot be reached: {reason}", sqlstate="08001")


class Pools:
    """Every pool of the process."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._pools: dict[tuple[Node, str, str], Pool] = {}

    def __iter__(self) -> Iterator[Pool]:
        return iter(tuple(self._pools.values()))

    def of(self, node: Node, user: str, database: str) -> Pool:
        """The pool for these; made when it is first asked for."""
        key = (node, user, database)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(self._proxy, node, user, database)
        return pool

    def drop_old(self, node: Node) -> None:
        """The node's generation has changed."""
        for pool in self:
            if pool.node is node:
                pool.drop_old()

    def sweep(self) -> None:
        """Close what has been idle too long."""
        before = self._proxy.loop.time() - self._proxy.settings.server_idle_timeout
        for pool in self:
            pool.sweep(before)

    def close(self) -> None:
        """Close all that is idle."""
        for pool in self:
            pool.close()
