"""One process that serves clients: alone, or as one of several workers."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from ssl import SSLContext
from typing import Final

from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.config.proxy_change import Change
from helios_cli.engine.config.proxy_load import LoadedProxy
from helios_cli.engine.errors import ConfigError, HeliosError, TooManyConnections
from helios_cli.engine.net.gate import GATE
from helios_cli.engine.net.http import HttpServer
from helios_cli.engine.net.listeners import Listeners
from helios_cli.engine.observe.logs import set_level
from helios_cli.engine.proxy.console import DATABASE as CONSOLE
from helios_cli.engine.proxy.figures import health
from helios_cli.engine.proxyserver.admin import AdminRoutes
from helios_cli.engine.proxyserver.client import stopping
from helios_cli.engine.proxyserver.console import CONSOLES_MAX, Console, admit
from helios_cli.engine.proxyserver.control import Administration, OwnAdministration
from helios_cli.engine.proxyserver.http_sql import SqlOverProxy, SqlRoutes
from helios_cli.engine.proxyserver.login import Credential, Entrance
from helios_cli.engine.proxyserver.proxy import Proxy, worker_of
from helios_cli.engine.proxyserver.reloading import Reloading
from helios_cli.engine.proxyserver.survey import survey
from helios_cli.engine.proxyserver.tls import ProxyTls, load_tls
from helios_cli.engine.proxyserver.users import Users

log = logging.getLogger(__name__)

BACKLOG: Final = 1024
NAME: Final = "proxy"
"""What it is called where links to nodes are cut."""

PassOn = Callable[[int, bytes], None]
"""Hands a CancelRequest to the worker whose client it is of."""


class Process:
    """One proxy process."""

    def __init__(self, loaded: LoadedProxy, loop: asyncio.AbstractEventLoop, number: int = 0) -> None:
        """``number`` of a worker; they share the clients and backends of the settings."""
        self.loop = loop
        self.number = number
        self.reloading = Reloading(loaded, self.apply)
        settings = share(loaded.settings)
        self.proxy = Proxy(settings, loop, number)
        self.entrance = Entrance(
            loop,
            settings,
            Users.of(settings, loop.time, self.proxy.ask),
            on_session=self._session,
            on_cancel=self.cancel,
            sessions=lambda: len(self.proxy.clients),
        )
        self.own = OwnAdministration(self.proxy, self.reloading.reload, self.entrance)
        self.administration: Administration = self.own
        """What the console asks: of all workers, where there are several."""
        self.pass_on: PassOn | None = None
        self.http = HttpServer(SqlRoutes(SqlOverProxy(self.proxy, self.entrance), lambda: health(survey(self.proxy))))
        """Of ``http_addr``."""
        self._gate: asyncio.Task[None]
        self._consoles: set[Console] = set()
        self._over = asyncio.Event()
        self._at_once = asyncio.Event()

    # Clients ---------------------------------------------------------------------------------------------------------

    def _session(
        self,
        transport: asyncio.Transport,
        parameters: dict[str, str],
        user: str,
        database: str,
        credential: Credential,
        leftover: bytes,
    ) -> None:
        if database == CONSOLE:
            self._open_console(transport, user, leftover)
        else:
            self.proxy.begin(transport, parameters, credential, leftover)

    def _open_console(self, transport: asyncio.Transport, user: str, leftover: bytes) -> None:
        peer = transport.get_extra_info("peername")
        console = Console(self.administration, transport, self.proxy.next_pid(), user, self._consoles.discard)
        self._consoles.add(console)
        try:
            if len(self._consoles) > CONSOLES_MAX:
                raise TooManyConnections("sorry, too many sessions of the console already")
            admit(
                self.entrance.settings, user, peer[0] if isinstance(peer, tuple) else "",
                trusting=self.entrance.users.trusting,
            )  # fmt: skip
        except HeliosError as error:
            log.warning("user %s may not use the console: %s", user, error.message)
            transport.set_protocol(console)
            console.end(error)
            return
        console.begin(leftover)

    def cancel(self, pid: int, key: bytes) -> None:
        """A CancelRequest, of a client of this process or of another one."""
        if self.pass_on is not None and worker_of(pid) != self.number:
            self.pass_on(pid, key)
        else:
            self.proxy.cancel_client(pid, key)

    # Life ------------------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve alone, until SIGTERM or SIGINT; gives the exit code. Raises HeliosError when it cannot start.

        What has begun may end then, for ``shutdown_timeout``; a second signal ends that wait.
        """
        settings = self.reloading.loaded.settings
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.end)
        self.loop.add_signal_handler(signal.SIGHUP, self.reloading.on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        operator = SqlOverProxy(self.proxy, self.entrance, is_operator=True)
        admin = HttpServer(AdminRoutes(self.administration, operator), face="admin")
        watching: asyncio.Task[None] | None = None
        try:
            await listen_http(admin, settings.admin_host, settings.admin_port, "admin_addr")
            listeners = await self.start()
            log.info("heliosdb-proxy listens on %s:%d", settings.listen_host, settings.listen_port)
            watching = self.loop.create_task(self.reloading.watch())
            await self.serve(listeners)
        finally:
            if watching is not None:
                watching.cancel()
            await admin.stop()
        return 0

    async def start(self) -> Listeners:
        """Listen, and find the nodes. Raises ConfigError."""
        settings = self.reloading.loaded.settings
        self._take_tls(load_tls(settings))
        listeners = await self._listen(settings)
        file = self.reloading.loaded.config_file
        GATE.open_for(os.path.dirname(os.path.abspath(file)) if settings.allow_faults and file else None, NAME)
        self._gate = self.loop.create_task(GATE.watch())
        if settings.http_port:
            tls = self.entrance.tls.context if self.entrance.tls is not None else None
            await listen_http(
                self.http, settings.http_host, settings.http_port, "http_addr", tls, shared=settings.workers > 1
            )
        await self.proxy.start()
        return listeners

    async def serve(self, listeners: Listeners) -> None:
        """Until :meth:`end`; then everything comes to its end."""
        try:
            await self._over.wait()
        finally:
            log.info("heliosdb-proxy stops, with %d clients", len(self.proxy.clients))
            self._gate.cancel()
            listeners.close()
            self.entrance.close()
            await self.proxy.drain(self.proxy.settings.shutdown_timeout, self._at_once)
            await self.proxy.stop()
            await self.http.stop()
            for console in tuple(self._consoles):
                console.end(stopping())

    def end(self) -> None:
        """Come to an end; at once when this is asked for again."""
        (self._at_once if self._over.is_set() else self._over).set()

    def end_at_once(self) -> None:
        """Wait for nothing that has begun."""
        self._over.set()
        self._at_once.set()

    async def _listen(self, settings: ProxySettings) -> Listeners:
        host, port = settings.listen_host, settings.listen_port
        listeners, shared = Listeners("pg"), settings.workers > 1 or None
        try:
            await listeners.open(self.loop, self.entrance.protocol, host, port, backlog=BACKLOG, reuse_port=shared)
        except OSError as error:
            raise cannot_listen(host, port, error, "listen_addr") from error
        return listeners

    def _take_tls(self, tls: ProxyTls) -> None:
        self.entrance.tls = tls.clients
        self.proxy.tls = tls.backends

    def apply(self, change: Change, tls: ProxyTls) -> None:
        """Go on by other settings."""
        settings = share(change.settings)
        self._take_tls(tls)
        self.entrance.settings = settings
        self.entrance.users = Users.of(settings, self.loop.time, self.proxy.ask)
        set_level(settings.log_level)
        self.proxy.apply(settings)


def share(settings: ProxySettings) -> ProxySettings:
    """What one of the workers has of what all of them may have together."""
    if settings.workers == 1:
        return settings
    return replace(
        settings,
        pool_size=math.ceil(settings.pool_size / settings.workers),
        max_clients=math.ceil(settings.max_clients / settings.workers),
    )


async def listen_http(
    server: HttpServer, host: str, port: int, key: str, tls: SSLContext | None = None, *, shared: bool = False
) -> None:
    """Listen, if there is a port. Raises ConfigError, which names the ``key`` of proxy.toml."""
    if port:
        try:
            await server.start(host, port, tls, shared=shared)
        except OSError as error:
            raise cannot_listen(host, port, error, key) from error


def cannot_listen(host: str, port: int, error: OSError, key: str) -> ConfigError:
    """Somebody else listens there already, or nobody may."""
    return ConfigError(
        f"cannot listen on {host}:{port}: {error.strerror or error}", hint=f"Set {key} in proxy.toml to a free port."
    )
