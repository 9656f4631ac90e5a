"""The proxy as a whole: what all sessions share, and which node a unit goes to."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.net.gate import GATE
from helios_cli.engine.net.turns import Turns
from helios_cli.engine.observe.loop_monitor import LoopMonitor
from helios_cli.engine.observe.metrics import Registry
from helios_cli.engine.proxy.classify import Classes
from helios_cli.engine.proxy.names import Names
from helios_cli.engine.proxy.prepared import SharedStatements
from helios_cli.engine.proxy.statement import Access, Statement
from helios_cli.engine.proxy.unit import Unit
from helios_cli.engine.proxyserver.asking import ask
from helios_cli.engine.proxyserver.backend import Backend
from helios_cli.engine.proxyserver.client import Client, stopping
from helios_cli.engine.proxyserver.counts import Counts
from helios_cli.engine.proxyserver.link import Account, Link
from helios_cli.engine.proxyserver.node import Node, State
from helios_cli.engine.proxyserver.nodes import Cluster
from helios_cli.engine.proxyserver.pool import SWEEP_S, Pool, Pools
from helios_cli.engine.wire import client as wire

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.placing import Placing
    from helios_cli.engine.wire.scram import ClientKeys

log = logging.getLogger(__name__)

CANCEL_S: Final = 5.0
"""Longest time that a cancel request may take to reach its node."""
DRAIN_LOOK_S: Final = 0.02
"""Between two looks whether everything has come to its end."""
PID_BITS: Final = 24
"""Of a session's number; above them stands that of the worker, so that any worker knows whose client it is."""
REPORTS_LSN: Final = {"client_encoding": "UTF8", "options": "-c helios.report_lsn=on"}
"""A HeliosDB node tells a backend's session how far it has written; plain PostgreSQL takes it for nothing."""


class Proxy:
    """Everything of one proxy process but its listeners."""

    def __init__(self, settings: ProxySettings, loop: asyncio.AbstractEventLoop, worker: int = 0) -> None:
        """``worker`` is the number of this process among those that share a port."""
        self.settings = settings
        self._first_pid = worker << PID_BITS
        self.loop = loop
        self.stats = Counts()
        self.classes = Classes()
        self.parsed: dict[bytes, Statement] = {}
        """Classes by the body of a Parse."""
        self.shared_statements = SharedStatements()
        self.names = Names(lambda: os.urandom(16))
        self.cluster = Cluster(settings, loop)
        self.cluster.on_change.append(self._node_changed)
        self.pools = Pools(self)
        self.clients: dict[int, Client] = {}
        self.paused = False
        self.ending = False
        """Nobody begins anything any more; what has begun may end."""
        self.stopping = False
        self.began_at = loop.time()
        self.monitor = LoopMonitor(Registry())
        self.debug = log.isEnabledFor(logging.DEBUG)
        self.keeps_backends = settings.pool_mode == "session"
        self.tls: ssl.SSLContext | None = None
        """For connections to nodes."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last_pid = 0
        self._waiting: dict[object, Callable[[], None]] = {}
        self._stop_waiting: Callable[[], None] | None = None
        """Once the nodes are waited for."""
        self._parameters: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self.turns = Turns(loop, others_share=2)

    # Life ------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Find the nodes."""
        self.monitor.start()
        await self.cluster.start()
        self._sweep()

    async def stop(self) -> None:
        """End every session and every connection."""
        self.stopping = True
        self.monitor.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for client in list(self.clients.values()):
            client.fatal(stopping())
        self.pools.close()
        await self.cluster.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drain(self, seconds: float, at_once: asyncio.Event) -> None:
        """Let what has begun come to its end, for so long and until ``at_once``; sessions end as they fall idle."""
        self.ending = True
        deadline = self.loop.time() + seconds
        for client in list(self.clients.values()):
            client.rest()
        while self.clients and not at_once.is_set() and self.loop.time() < deadline:
            await asyncio.sleep(DRAIN_LOOK_S)

    def apply(self, settings: ProxySettings) -> None:
        """Other settings, for what comes from now on."""
        self.settings = settings
        self.debug = log.isEnabledFor(logging.DEBUG)
        self.keeps_backends = settings.pool_mode == "session"
        self.debug = log.isEnabledFor(logging.DEBUG)
        self.cluster.apply(settings)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something to its end."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sweep(self) -> None:
        self.pools.sweep()
        self._sweeper = self.loop.call_later(SWEEP_S, self._sweep)

    # Sessions --------------------------------------------------------------------------------------------------------

    def next_pid(self) -> int:
        """A number for a session, as no other one has now."""
        while True:
            self._last_pid = self._last_pid % (2**PID_BITS - 1) + 1
            if (pid := self._first_pid + self._last_pid) not in self.clients:
                return pid

    def begin(
        self, transport: asyncio.Transport, parameters: dict[str, str], keys: ClientKeys | str | None, rest: bytes = b""
    ) -> Client:
        """A client has logged in: from here on its session is the transport's protocol."""
        client = Client(self, transport, parameters, keys)
        self.clients[client.pid] = client
        self.stats.sessions += 1
        transport.set_protocol(client)
        client.begin()
        if rest:
            client.data_received(rest)
        return client

    def forget(self, client: Client) -> None:
        """A session has ended."""
        self.clients.pop(client.pid, None)

    def cancel_client(self, pid: int, secret: bytes) -> None:
        """A CancelRequest: nothing happens unless the key is right, and nobody is told."""
        client = self.clients.get(pid)
        if client is not None and hmac.compare_digest(client.secret, secret):
            client.cancel()

    # Where a unit goes ---------------------------------------------------------------------------------------------

    def choose(self, client: Placing, unit: Unit) -> Node | None:
        """The node for a unit that needs a backend; None: there is none now."""
        cluster = self.cluster
        if self.paused:
            return None
        block = client.block
        if block is not None:
            reads = block.read_only
        elif unit.hint:
            return self._by_hint(client, unit)
        else:
            reads = not unit.access
        if not reads:
            return cluster.primary
        if self.keeps_backends or (not unit.plain and any(statement.pins for statement in unit.statements)):
            return cluster.primary  # what the session does later may need it
        preferred = client.preferred if self.settings.sticky or unit.executed else client.last_node
        if preferred is not None and self._is_fit(preferred, client.floor):
            # What only prepares goes where the session was: it takes no turn.
            return preferred
        primary = cluster.primary
        if not unit.statements and client.last_node is None:
            return cluster.greeter() or primary
        node = None
        if unit.reads_only or block is not None:
            # A block that only reads is best where no failover cuts it.
            node = cluster.reader(client.floor, (primary,) if primary is not None else ())
        node = node or cluster.reader(client.floor) or primary
        if cluster.is_behind(client.floor):
            cluster.look(client.floor)
        if self.settings.sticky and unit.statements:
            client.preferred = node
        return node

    def _by_hint(self, client: Placing, unit: Unit) -> Node | None:
        cluster = self.cluster
        if unit.hint == "primary":
            return cluster.primary
        if unit.access is Access.WRITE:
            return cluster.primary
        if unit.hint == "standby":
            primary = cluster.primary
            found = cluster.reader(client.floor, (primary,) if primary is not None else ())
            return found or cluster.reader(client.floor) or primary
        named = cluster.nodes.get(unit.hint)
        if named is not None and named.state is State.HEALTHY:
            return named
        return cluster.reader(client.floor) or cluster.primary

    def _is_fit(self, node: Node, floor: int) -> bool:
        return node.state is State.HEALTHY and (node.lsn >= floor or node is self.cluster.primary)

    @property
    def wants_floors(self) -> bool:
        """Whether the LSN of a write at plain PostgreSQL is asked for: reads may go elsewhere."""
        return self.settings.read_your_writes and len(self.cluster.nodes) > 1

    def can_wrap(self, unit: Unit) -> bool:
        """Whether a unit of several statements may run in a block of the proxy's own.

        Of one whose end has not come the statements that are there have to be such.
        """
        statements = unit.executed if unit.closed else unit.statements
        return any(one.named or one.wraps for one in statements) and all(
            one.wraps or (one.plain and (one.named or not one.access)) for one in statements
        )

    def when_changed(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once, when a unit that waits for a node may find one; gives what cancels that."""
        key = object()
        if self._stop_waiting is None:
            self._stop_waiting = self.cluster.when_changed(self._wake)
        self._waiting[key] = callback
        return lambda: self._waiting.pop(key, None) and None

    def _wake(self) -> None:
        if self._stop_waiting is not None:
            self._stop_waiting()
            self._stop_waiting = None
        waiting, self._waiting = self._waiting, {}
        for callback in waiting.values():
            callback()

    def pause(self) -> None:
        """Send nothing new to any node; what has begun may end."""
        if not self.paused:
            self.paused = True
            log.info("paused: new units wait, for %g s at most", self.settings.write_timeout)
            for pool in self.pools:
                pool.postpone()

    def resume(self) -> None:
        """Go on."""
        if self.paused:
            self.paused = False
            log.info("resumed")
        self._wake()

    def drain_node(self, node: Node) -> None:
        """Give the node nothing new, and keep no idle connections to it; who waits for one there looks elsewhere."""
        self.cluster.drain(node)
        for pool in self.pools:
            if pool.node is node:
                pool.close()
                pool.postpone()
        self._wake()

    @property
    def under_way(self) -> int:
        """Clients whose unit is at a node now, or that have a block there."""
        return sum(client.is_under_way for client in self.clients.values())

    def _node_changed(self, node: Node) -> None:
        self.pools.drop_old(node)

    # Connections to nodes ------------------------------------------------------------------------------------------

    async def connect(self, pool: Pool) -> Backend:
        """Open a backend. Raises OSError, HeliosError."""
        node = pool.node
        link = Link(_nothing, _nothing, _nothing)
        parameters = REPORTS_LSN if node.is_heliosdb else {"client_encoding": "UTF8"}
        account = Account(pool.user, pool.keys, pool.database, self.settings.backend_tls, self.tls, parameters)
        await link.open(node.host, node.port, account)
        backend = Backend(pool, node, link.pid, link.key, self.same(link.parameters))
        backend.adopt(link.detach())
        return backend

    async def ask(self, sql: str, parameters: Sequence[str]) -> list[list[str | None]]:
        """Run a query as ``auth_user`` on a node that can answer, see :func:`asking.ask`."""
        connect_s = self.settings.connect_timeout
        wait_s = max(self.settings.write_timeout, connect_s)
        return await ask(self.cluster, sql, parameters, connect_s=connect_s, wait_s=wait_s)

    def same(self, parameters: dict[str, str]) -> dict[str, str]:
        """Equal parameters as one object, so that they are compared at a glance. Never changed in place."""
        key = tuple(sorted(parameters.items()))
        found = self._parameters.get(key)
        if found is None:
            if len(self._parameters) >= 1000:
                self._parameters.clear()
            found = self._parameters[key] = dict(parameters)
        return found

    def cancel(self, backend: Backend) -> None:
        """End the statement in hand there. Until that has arrived nobody else gets the backend."""
        backend.cancelling += 1
        self.background(self._cancel(backend))

    async def _cancel(self, backend: Backend) -> None:
        try:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CANCEL_S):
                    await GATE.passes(backend.node.host, backend.node.port)
                    reader, writer = await asyncio.open_connection(backend.node.host, backend.node.port)
                    try:
                        writer.write(wire.cancel_request(backend.pid, backend.key))
                        await writer.drain()
                        await reader.read(1)
                    finally:
                        writer.close()
        finally:
            backend.cancel_arrived()


def worker_of(pid: int) -> int:
    """Which worker has a session."""
    return pid >> PID_BITS


def _nothing(*_: object) -> None:
    """Whatever a backend's node says before it has a client is nobody's."""
