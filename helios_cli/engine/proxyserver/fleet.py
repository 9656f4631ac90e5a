"""The parent of several workers: it starts them, keeps them running, and speaks for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.config.proxy_change import Change
from helios_cli.engine.config.proxy_load import LoadedProxy
from helios_cli.engine.errors import HeliosError, NotServing
from helios_cli.engine.net.http import HttpServer
from helios_cli.engine.observe.logs import set_level
from helios_cli.engine.proxy.figures import Figures, merge
from helios_cli.engine.proxyserver.admin import AdminRoutes
from helios_cli.engine.proxyserver.far import FarAdministration, serve
from helios_cli.engine.proxyserver.peer import Peer
from helios_cli.engine.proxyserver.process import cannot_listen, listen_http
from helios_cli.engine.proxyserver.proxy import worker_of
from helios_cli.engine.proxyserver.reloading import Reloading
from helios_cli.engine.proxyserver.tls import ProxyTls
from helios_cli.engine.proxyserver.worker import Orders, send_orders

log = logging.getLogger(__name__)

PROGRAM: Final = "import sys; from helios_cli.engine.proxyserver.worker import main; sys.exit(main())"
AGAIN_S: Final = (0.1, 10.0)
"""Before a worker that has ended is started again, at first and at most; each time it is twice as long."""
STEADY_S: Final = 30.0
"""Who has run so long begins with the shortest wait again."""
ANSWER_S: Final = 3.0
"""A worker that is asked for a sign of life, every so often, has so long to give it, and one more chance."""
KILL_S: Final = 5.0
"""Beyond ``shutdown_timeout`` a worker that has not ended is killed."""

T = TypeVar("T")


@dataclass(slots=True)
class Seat:
    """The place of one worker, whichever process has it now."""

    number: int
    process: asyncio.subprocess.Process | None = None
    there: FarAdministration | None = None
    """None while it is not ready to serve."""
    peer: Peer | None = None
    orders: Orders | None = None
    was_ready: bool = False


class Fleet:
    """All workers of a proxy, as one administration."""

    def __init__(self, loaded: LoadedProxy, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reloading = Reloading(loaded, self._apply)
        self._seats = [Seat(number) for number in range(loaded.settings.workers)]
        self._paused = False
        self._drained: dict[str, None] = {}
        self._over = asyncio.Event()
        self._failed = False
        self._news = asyncio.Event()

    @property
    def settings(self) -> ProxySettings:
        """As they are now."""
        return self._reloading.loaded.settings

    # Life ------------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; gives the exit code. Raises HeliosError when it cannot start."""
        settings = self.settings
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end)
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        _probe(settings.listen_host, settings.listen_port, "listen_addr")
        if settings.http_port:
            _probe(settings.http_host, settings.http_port, "http_addr")
        admin = HttpServer(AdminRoutes(self))
        tasks: list[asyncio.Task[None]] = []
        try:
            await listen_http(admin, settings.admin_host, settings.admin_port, "admin_addr")
            keepers = [self._loop.create_task(self._keep(seat)) for seat in self._seats]
            tasks = [*keepers, self._loop.create_task(self._reloading.watch())]
            await self._until(lambda: all(seat.there is not None for seat in self._seats) or self._over.is_set())
            if not self._over.is_set():
                log.info(
                    "heliosdb-proxy listens on %s:%d, with %d workers",
                    settings.listen_host, settings.listen_port, len(self._seats),
                )  # fmt: skip
            await self._over.wait()
            log.info("heliosdb-proxy stops")
            await self._ended(keepers)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for seat in self._seats:
                if seat.process is not None and seat.process.returncode is None:
                    seat.process.kill()
            await admin.stop()
        return 1 if self._failed else 0

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._news.clear()
            await self._news.wait()

    def _end(self) -> None:
        self._over.set()
        self._news.set()
        for seat in self._seats:
            if seat.peer is not None:
                seat.peer.tell("end")

    async def _ended(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.shutdown_timeout + KILL_S):
                await asyncio.gather(*keepers)
            return
        log.error("workers that did not end in time are killed")

    async def _keep(self, seat: Seat) -> None:
        """Have a worker in this seat until the proxy ends."""
        shortest, longest = AGAIN_S
        wait = shortest
        while not self._over.is_set():
            began = self._loop.time()
            code = await self._one(seat)
            if self._over.is_set():
                return
            if not seat.was_ready:
                log.error("worker %d could not start", seat.number)
                self._failed = True
                self._end()
                return
            wait = shortest if self._loop.time() - began >= STEADY_S else wait
            log.error("worker %d ended with %s: another one starts in %g s", seat.number, _told(code), wait)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._over.wait()
            wait = min(wait * 2, longest)

    async def _one(self, seat: Seat) -> int:
        """One process from its start to its end; its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            seat.process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", PROGRAM, str(theirs.fileno()), pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        peer = seat.peer = Peer(self._loop, lambda name, given: self._serve(seat, name, given), lambda: None)
        try:
            orders = seat.orders = Orders(self._reloading.loaded, seat.number, self._paused, tuple(self._drained))
            await self._loop.run_in_executor(None, send_orders, ours, orders)
            ours.setblocking(False)
            await self._loop.create_unix_connection(lambda: peer, sock=ours)
            if self._over.is_set():
                peer.tell("end")
            watching = self._loop.create_task(self._watch(seat, peer, seat.process))
            try:
                return await seat.process.wait()
            finally:
                watching.cancel()
        except OSError:
            ours.close()
            return await seat.process.wait()
        finally:
            seat.there = seat.peer = None
            peer.close()

    async def _watch(self, seat: Seat, peer: Peer, process: asyncio.subprocess.Process) -> None:
        """Kill a worker that hangs: the port would go on giving it its share of the clients."""
        missed = 0
        while missed < 2:
            await asyncio.sleep(ANSWER_S)
            if seat.there is None:
                continue
            try:
                await peer.call("alive", ANSWER_S)
                missed = 0
            except NotServing:
                missed += 1
        log.error("worker %d has not answered for %g s: it is killed", seat.number, 3 * ANSWER_S)
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    async def _serve(self, seat: Seat, name: str, given: dict[str, Any]) -> Any:
        """What a worker wants."""
        if name == "ready":
            assert seat.peer is not None
            seat.there = FarAdministration(seat.peer, lambda: self.settings)
            seat.was_ready = True
            self._news.set()
            log.info("worker %d serves", seat.number)
            self._catch_up(seat)
        elif name == "cancel":
            number = worker_of(given["pid"])
            if number < len(self._seats) and (peer := self._seats[number].peer) is not None:
                peer.tell("cancel", **given)
        else:
            return await serve(self, name, given)
        return None

    def _catch_up(self, seat: Seat) -> None:
        """What has been ordered since the worker got its orders."""
        assert seat.peer is not None and seat.orders is not None
        if seat.orders.loaded is not self._reloading.loaded:
            seat.peer.tell("reload")
        if seat.orders.paused != self._paused:
            seat.peer.tell("pause" if self._paused else "resume")
        for node in seat.orders.drained:
            if node not in self._drained:
                seat.peer.tell("undrain", name=node)
        for node in self._drained:
            if node not in seat.orders.drained:
                seat.peer.tell("drain", name=node, force=True)

    def _hang_up(self) -> None:
        self._reloading.on_signal()

    def _apply(self, _change: Change, _tls: ProxyTls) -> None:
        """The files are others: every worker reads them by itself."""
        set_level(self.settings.log_level)
        for seat in self._seats:
            if seat.peer is not None:
                seat.peer.tell("reload")

    # Administration --------------------------------------------------------------------------------------------------

    def _there(self) -> list[FarAdministration]:
        return [seat.there for seat in self._seats if seat.there is not None]

    async def _all(self, ask: Callable[[FarAdministration], Awaitable[T]]) -> list[T]:
        """Ask every worker at once; those that are gone are left out. Raises HeliosError: what one of them says."""
        found = await asyncio.gather(*map(ask, self._there()), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, NotServing):
                raise one
        return [one for one in found if not isinstance(one, BaseException)]

    async def figures(self, *, clients: bool = False, servers: bool = False) -> Figures:
        """As :meth:`Administration.figures`."""
        found = merge(await self._all(lambda one: one.figures(clients=clients, servers=servers)))
        found.stopping = found.stopping or self._over.is_set()
        return found

    async def explain(self, sql: str, floor: str = "", hint: str = "") -> dict[str, Any]:
        """As :meth:`Administration.explain`; by the first worker."""
        there = self._there()
        if not there:
            raise NotServing("no worker serves", hint="The log tells why.")
        return await there[0].explain(sql, floor, hint)

    async def pause(self, wait_s: float = 0.0) -> int:
        """As :meth:`Administration.pause`."""
        self._paused = True
        return sum(await self._all(lambda one: one.pause(wait_s)))

    async def resume(self) -> None:
        """As :meth:`Administration.resume`."""
        self._paused = False
        await self._all(lambda one: one.resume())

    async def drain(self, name: str, *, force: bool = False) -> None:
        """As :meth:`Administration.drain`."""
        await self._all(lambda one: one.drain(name, force=force))
        self._drained[name] = None

    async def undrain(self, name: str) -> None:
        """As :meth:`Administration.undrain`."""
        await self._all(lambda one: one.undrain(name))
        self._drained.pop(name, None)

    async def reload(self) -> Change:
        """As :meth:`Administration.reload`."""
        return self._reloading.reload()

    async def kill(self, client: int) -> None:
        """As :meth:`Administration.kill`."""
        number = worker_of(client)
        there = self._seats[number].there if number < len(self._seats) else None
        if there is None:
            raise HeliosError(f"there is no client {client}", sqlstate="42704", hint="SHOW CLIENTS lists them.")
        await there.kill(client)


def _probe(host: str, port: int, key: str) -> None:
    """Raise ConfigError when somebody listens there already: workers share the port, and so could a stranger."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise cannot_listen(host, port, error, key) from error


def _told(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
