"""The proxy's process: its listeners, its signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
from collections.abc import Callable
from typing import Any, Final, Protocol

from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.observe.logs import configure_logging
from helios_cli.engine.proxyserver.login import Credential, Entrance
from helios_cli.engine.proxyserver.proxy import Proxy
from helios_cli.engine.proxyserver.tls import load_tls
from helios_cli.engine.proxyserver.users import Users

log = logging.getLogger(__name__)

FILES_WANTED: Final = 1 << 16
"""Descriptors: one for each client and backend."""
BACKLOG: Final = 1024


class Loaded(Protocol):
    """A configuration that was read, and how to read it again."""

    @property
    def settings(self) -> ProxySettings: ...

    def again(self) -> Loaded:
        """Read it once more. Raises ConfigError."""
        ...

    def changed(self) -> bool:
        """Whether its file is another one than was read."""
        ...


class Process:
    """One proxy process."""

    def __init__(self, loaded: Loaded, loop: asyncio.AbstractEventLoop) -> None:
        self.loaded = loaded
        self.loop = loop
        self.proxy = Proxy(loaded.settings, loop)
        self.entrance = Entrance(
            loop,
            loaded.settings,
            self._users(loaded.settings),
            on_session=self._session,
            on_cancel=self.proxy.cancel_client,
            sessions=lambda: len(self.proxy.clients),
        )
        self._over = asyncio.Event()
        self._secret = b""

    def _users(self, settings: ProxySettings) -> Users:
        ask = self.proxy.ask if settings.auth_user and settings.auth_password else None
        return Users(settings.users, secret=_secret(settings), clock=self.loop.time, ask=ask)

    def _session(
        self,
        transport: asyncio.Transport,
        parameters: dict[str, str],
        user: str,
        database: str,
        credential: Credential,
        leftover: bytes,
    ) -> None:
        self.proxy.begin(transport, parameters, credential, leftover)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; gives the exit code. Raises HeliosError when it cannot start."""
        settings = self.loaded.settings
        self._load_tls(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self._over.set)
        self.loop.add_signal_handler(signal.SIGHUP, self.reload)
        server = await self._listen(settings)
        await self.proxy.start()
        log.info("heliosdb-proxy listens on %s:%d", settings.listen_host, settings.listen_port)
        watching = self.loop.create_task(self._watch_file())
        try:
            await self._over.wait()
        finally:
            log.info("heliosdb-proxy stops")
            watching.cancel()
            server.close()
            self.entrance.close()
            await self.proxy.stop()
        return 0

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

    def _load_tls(self, settings: ProxySettings) -> None:
        tls = load_tls(settings)
        self.entrance.tls = tls.clients
        self.proxy.tls = tls.backends

    def reload(self) -> None:
        """Read the configuration again; with mistakes in it the proxy goes on with what it has."""
        try:
            loaded = self.loaded.again()
            self._load_tls(loaded.settings)
        except HeliosError as error:
            log.error("the configuration was not reloaded: %s", error)
            return
        self.loaded = loaded
        self.entrance.settings = loaded.settings
        self.entrance.users = self._users(loaded.settings)
        self.proxy.apply(loaded.settings)
        log.info("the configuration was reloaded")

    async def _watch_file(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            if self.loaded.changed():
                self.reload()


def _secret(settings: ProxySettings) -> bytes:
    """What made-up salts are made of: the same in all workers."""
    return (settings.admin_token or os.urandom(16).hex()).encode()


def run(loaded: Loaded) -> int:
    """Run the proxy to its end; gives the exit code. Raises HeliosError when it cannot start."""
    settings = loaded.settings
    configure_logging(settings.log_level, settings.log_format)  # type: ignore[arg-type]
    raise_file_limit()
    gc.freeze()
    factory: Callable[[], Any] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_run(loaded))


async def _run(loaded: Loaded) -> int:
    return await Process(loaded, asyncio.get_running_loop()).run()


def raise_file_limit() -> None:
    """As many descriptors as the machine lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
