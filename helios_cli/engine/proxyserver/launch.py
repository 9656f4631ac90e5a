"""The proxy's process: its listeners, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import signal
from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.config.proxy_change import Change
from helios_cli.engine.config.proxy_load import LoadedProxy
from helios_cli.engine.errors import ConfigError, HeliosError, TooManyConnections
from helios_cli.engine.net.http import HttpServer
from helios_cli.engine.observe.logs import configure_logging
from helios_cli.engine.proxy.console import DATABASE as CONSOLE
from helios_cli.engine.proxyserver.admin import AdminRoutes
from helios_cli.engine.proxyserver.client import stopping
from helios_cli.engine.proxyserver.console import CONSOLES_MAX, Console, admit
from helios_cli.engine.proxyserver.control import OwnAdministration
from helios_cli.engine.proxyserver.login import Credential, Entrance
from helios_cli.engine.proxyserver.proxy import Proxy
from helios_cli.engine.proxyserver.reloading import Reloading, with_token
from helios_cli.engine.proxyserver.tls import ProxyTls, load_tls
from helios_cli.engine.proxyserver.users import Users

log = logging.getLogger(__name__)

FILES_WANTED: Final = 1 << 16
"""Descriptors: one for each client and backend."""
BACKLOG: Final = 1024


class Process:
    """One proxy process."""

    def __init__(self, loaded: LoadedProxy, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.reloading = Reloading(loaded, self.apply)
        self.proxy = Proxy(loaded.settings, loop)
        self.entrance = Entrance(
            loop,
            loaded.settings,
            Users.of(loaded.settings, loop.time, self.proxy.ask),
            on_session=self._session,
            on_cancel=self.proxy.cancel_client,
            sessions=lambda: len(self.proxy.clients),
        )
        self.administration = OwnAdministration(self.proxy, self.reloading.reload)
        self._consoles: set[Console] = set()
        self._over = asyncio.Event()
        self._at_once = asyncio.Event()

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

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; gives the exit code. Raises HeliosError when it cannot start.

        What has begun may end then, for ``shutdown_timeout``; a second signal ends that wait.
        """
        settings = self.reloading.loaded.settings
        self._take_tls(load_tls(settings))
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._end)
        self.loop.add_signal_handler(signal.SIGHUP, self.reloading.on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        server = await self._listen(settings)
        admin = HttpServer(AdminRoutes(self.administration))
        await listen_http(admin, settings.admin_host, settings.admin_port, "admin_addr")
        await self.proxy.start()
        log.info("heliosdb-proxy listens on %s:%d", settings.listen_host, settings.listen_port)
        watching = self.loop.create_task(self.reloading.watch())
        try:
            await self._over.wait()
        finally:
            log.info("heliosdb-proxy stops, with %d clients", len(self.proxy.clients))
            watching.cancel()
            server.close()
            self.entrance.close()
            await self.proxy.drain(self.proxy.settings.shutdown_timeout, self._at_once)
            await self.proxy.stop()
            for console in tuple(self._consoles):
                console.end(stopping())
            await admin.stop()
        return 0

    def _end(self) -> None:
        (self._at_once if self._over.is_set() else self._over).set()

    async def _listen(self, settings: ProxySettings) -> asyncio.Server:
        try:
            return await self.loop.create_server(
                self.entrance.protocol, settings.listen_host, settings.listen_port, backlog=BACKLOG
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {settings.listen_host}:{settings.listen_port}: {error.strerror or error}",
                hint="Set listen_addr in proxy.toml to a free port.",
            ) from error

    def _take_tls(self, tls: ProxyTls) -> None:
        self.entrance.tls = tls.clients
        self.proxy.tls = tls.backends

    def apply(self, change: Change, tls: ProxyTls) -> None:
        """Go on by other settings."""
        settings = change.settings
        self._take_tls(tls)
        self.entrance.settings = settings
        self.entrance.users = Users.of(settings, self.loop.time, self.proxy.ask)
        logging.getLogger().setLevel(settings.log_level.upper())
        self.proxy.apply(settings)


async def listen_http(server: HttpServer, host: str, port: int, key: str) -> None:
    """Listen, if there is a port. Raises ConfigError, which names the ``key`` of proxy.toml."""
    if not port:
        return
    try:
        await server.start(host, port)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint=f"Set {key} in proxy.toml to a free port.",
        ) from error


def run(loaded: LoadedProxy) -> int:
    """Run the proxy to its end; gives the exit code. Raises HeliosError when it cannot start."""
    settings = loaded.settings
    configure_logging(settings.log_level, settings.log_format)  # type: ignore[arg-type]
    loaded = with_token(loaded)
    raise_file_limit()
    gc.freeze()
    factory: Callable[[], Any] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_run(loaded))


async def _run(loaded: LoadedProxy) -> int:
    return await Process(loaded, asyncio.get_running_loop()).run()


def raise_file_limit() -> None:
    """As many descriptors as the machine lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
