"""A proxy's sessions between played clients and played nodes: no socket, no clock, and bytes cut where a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from support.played_server import Server, Store

from helios_cli.engine.config.proxy import NodeSettings, ProxySettings
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxyserver.backend import Backend
from helios_cli.engine.proxyserver.client import Client
from helios_cli.engine.proxyserver.node import Node, State
from helios_cli.engine.proxyserver.pool import Pool
from helios_cli.engine.proxyserver.proxy import Proxy


class Timer:
    """A handle of :class:`Loop`."""

    def __init__(self, when: float, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.when, self.callback, self.args = when, callback, args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """The part of an event loop that sessions use, with a clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> Timer:
        timer = Timer(self.now + delay, callback, args)
        self.timers.append(timer)
        return timer

    def call_soon(self, callback: Callable[..., None], *args: Any) -> Timer:
        return self.call_later(0.0, callback, *args)

    def pending(self) -> list[Timer]:
        """Timers that are still to fire."""
        self.timers = [timer for timer in self.timers if not timer.cancelled]
        return self.timers

    def advance(self, seconds: float) -> None:
        """Turn the clock, and fire what is due in its order."""
        end = self.now + seconds
        while due := [timer for timer in self.pending() if timer.when <= end]:
            timer = min(due, key=lambda one: one.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when)
            timer.callback(*timer.args)
        self.now = end


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False
        self.reading = True
        self.on_write: Callable[[bytes], None] | None = None

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.written += data
            if self.on_write is not None:
                self.on_write(bytes(data))

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def set_protocol(self, protocol: object) -> None:
        pass

    def get_extra_info(self, name: str) -> object:
        return None

    def take(self) -> bytes:
        """What was written since the last call."""
        data = bytes(self.written)
        self.written.clear()
        return data


class Cluster:
    """The nodes, as the test has them."""

    def __init__(self, *names: str, is_heliosdb: bool) -> None:
        self.nodes = {name: Node(name, "played", number) for number, name in enumerate(names)}
        for node in self.nodes.values():
            node.state, node.is_heliosdb, node.lsn = State.HEALTHY, is_heliosdb, 1
        self.primary: Node | None = next(iter(self.nodes.values()))
        self.suspected: list[str] = []
        self.falls = False
        """The primary is gone with the first connection to it."""
        self.on_change: list[Callable[[Node], None]] = []
        self.waiting: list[Callable[[], None]] = []

    def reader(self, floor: int = 0, avoid: tuple[Node, ...] = ()) -> Node | None:
        fit = [node for node in self.nodes.values() if node.state is State.HEALTHY and node not in avoid]
        return next((node for node in reversed(fit) if node.lsn >= floor or node is self.primary), None)

    def greeter(self) -> Node | None:
        return self.reader()

    def is_behind(self, floor: int) -> bool:
        return False

    def look(self, floor: int) -> None:
        pass

    def suspect(self, node: Node, reason: str) -> None:
        self.suspected.append(node.name)
        if self.falls and node is self.primary:
            self.primary, node.state = None, State.UNHEALTHY

    def when_changed(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.waiting.append(callback)

        def cancel() -> None:
            self.waiting = [one for one in self.waiting if one != callback]

        return cancel

    def changed(self) -> None:
        """Something has changed: who waits looks again."""
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


class PlayedProxy(Proxy):
    """Opens backends to played servers when :meth:`run` is called."""

    def __init__(self, *names: str, is_heliosdb: bool = True, **settings: Any) -> None:
        self.clock = Loop()
        every = ProxySettings(nodes=tuple(NodeSettings(name, "played", 1) for name in names), **settings)
        super().__init__(every, cast(asyncio.AbstractEventLoop, self.clock))
        self.played = Cluster(*names, is_heliosdb=is_heliosdb)
        self.cluster = cast(Any, self.played)
        self.servers: list[Server] = []
        """Every server's process that was begun, in order; of a backend."""
        self.store = Store()
        self.refuses: dict[str, dict[str, HeliosError]] = {name: {} for name in names}
        self.cancelled: list[int] = []
        self.silent: set[str] = set()
        """Nodes that take connections and say nothing."""

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Open a backend at once, or take note of a cancel request."""
        held = cast(Any, work).cr_frame.f_locals
        owner = held["self"]
        work.close()
        if isinstance(owner, Pool):
            if owner.node.name not in self.silent:
                self._opened(owner)
        else:
            self.cancelled.append(held["backend"].pid)

    def _opened(self, pool: Pool) -> None:
        pool.connecting -= 1
        backend = Backend(pool, pool.node, len(self.servers) + 1, b"key.", self.same({"server_version": "17"}))
        wire = Wire()
        server = Server(backend, wire, self.store, is_heliosdb=pool.node.is_heliosdb)
        server.refuses = self.refuses[pool.node.name]
        self.servers.append(server)
        backend.adopt(cast(asyncio.Transport, wire))
        pool.all[backend] = None
        backend.held = True
        pool.node.active += 1
        pool.release(backend)

    def client(self, **parameters: str) -> Player:
        """A client that has logged in."""
        wire = Wire()
        session = self.begin(cast(asyncio.Transport, wire), {"user": "app", **parameters}, None)
        player = Player(self, session, wire)
        self.run()
        wire.take()
        return player

    def run(self) -> None:
        """Let the servers work until nobody has anything to do."""
        while self.step():
            pass

    def step(self) -> bool:
        """Let each server answer what has come; whether anything had."""
        return any([server.work() for server in self.servers])

    def next_primary(self) -> None:
        """The next node leads, and the one before is gone."""
        names = list(self.played.nodes)
        before = self.played.primary
        assert before is not None
        before.state = State.UNHEALTHY
        self.played.primary = self.played.nodes[names[names.index(before.name) + 1]]
        self.played.changed()

    def backends(self, node: str = "") -> list[Backend]:
        """Those that are open."""
        return [one.backend for one in self.servers if not one.backend.closed and node in ("", one.backend.node.name)]

    def lose(self) -> None:
        """The primary is gone, and nobody leads."""
        before = self.played.primary
        assert before is not None
        self.played.primary = None
        before.state, before.generation = State.UNHEALTHY, before.generation + 1
        for server in [one for one in self.servers if one.backend.node is before]:
            server.die()

    def depose(self, to: str = "b") -> None:
        """Another node leads, and the one that led says nothing any more."""
        before = self.played.primary
        assert before is not None
        self.played.primary = self.played.nodes[to]
        before.state, before.generation = State.UNHEALTHY, before.generation + 1
        for pool in self.pools:
            pool.drop_old()
        self.played.changed()
        self.run()

    def fail_over(self, to: str = "b") -> None:
        """Another node leads, with all that was committed, and nobody reaches the one that led."""
        self.played.falls = False
        if self.played.primary is not None:
            self.lose()
        self.played.primary = self.played.nodes[to]
        self.played.changed()
        self.run()


class Player:
    """A client: what it sends, and what it has got."""

    def __init__(self, proxy: PlayedProxy, session: Client, wire: Wire) -> None:
        self.proxy, self.session, self.wire = proxy, session, wire

    def send(self, data: bytes) -> None:
        """Bytes, as they come; the servers do nothing yet."""
        self.session.data_received(data)

    def ask(self, data: bytes) -> bytes:
        """Send, let the servers work, and give what came."""
        self.send(data)
        self.proxy.run()
        return self.wire.take()

    @property
    def server(self) -> Server:
        """Of the backend that the session has."""
        backend = self.session.backend
        assert backend is not None
        return next(one for one in self.proxy.servers if one.backend is backend)
