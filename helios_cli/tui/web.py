"""The monitor in a browser: a process of it for each page, behind a token, with everything that a page needs here.

What it shows can change a cluster, so nobody gets in without the token, from this machine either; a page of another
origin that the browser has open does not get in with its cookie. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import shlex
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from helios_cli.tui import webpage

log = logging.getLogger(__name__)

DRIVER: Final = "textual.drivers.web_driver:WebDriver"
"""TEXTUAL_DRIVER of a monitor whose terminal is a page."""

PAGES_MAX: Final = 8
"""Pages at once; each is a process."""

CELLS_MAX: Final = 2000
"""Characters of a line, or lines, that a page may ask for."""

REAP_S: Final = 0.5
HEARTBEAT_S: Final = 15.0
STOP_S: Final = 3.0
"""How long the process of a page may take to end; then it is killed."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
REFUSED: Final = "401: open the address that heliosdb-nano monitor --web has printed; it has the token in it.\n"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where it listens, and who gets in."""

    host: str
    port: int
    """0: any that is free."""
    token: str
    tls: SSLContext | None = None


class MonitorServer(Server):
    """Serves one command to whoever has the token."""

    def __init__(self, command: Sequence[str], place: Place, say: Callable[[str], None]) -> None:
        super().__init__(f"exec {shlex.join(command)}", place.host, place.port, "HeliosDB Nano")
        self._place = place
        self._say = say
        self._key = secrets.token_urlsafe(32)
        """What the cookie holds, in place of the token; another one in each life."""
        self._pages = 0

    async def run(self) -> None:
        """Serve until told to stop. Raises OSError: the address cannot be had."""
        app = await self._make_app()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S)
        await runner.setup()
        try:
            place = self._place
            await web.TCPSite(runner, place.host, place.port, ssl_context=place.tls).start()
            self.port = int(runner.addresses[0][1])
            self._say(self.address)
            await _told_to_stop()
        finally:
            await runner.cleanup()

    async def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/page.css", _style),
                web.get("/page.js", _script),
                web.get("/ws", self.handle_websocket),
                web.static("/static", self.statics_path),
            ]
        )
        app.on_response_prepare.append(_add_headers)
        return app

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=webpage.page(request.query.get("fontsize", "")), content_type="text/html")

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One page: a process of the monitor, until either ends."""
        if self._pages >= PAGES_MAX:
            raise web.HTTPServiceUnavailable(text=f"{PAGES_MAX} pages are open: close one of them.\n")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        await socket.prepare(request)

        async def close() -> None:
            await socket.close()

        page = AppService(
            self.command, write_bytes=socket.send_bytes, write_str=socket.send_str, close=close,
            download_manager=self.download_manager,
        )  # fmt: skip
        self._pages += 1
        try:
            await page.start(_cells(request, "width", 80), _cells(request, "height", 24))
            await self._process_messages(socket, page)
        except (ValueError, KeyError, IndexError, TypeError, AssertionError) as error:
            log.warning("a page said what no page says: %s", error)
        finally:
            self._pages -= 1
            await _ended(page)
        return socket

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Lets in whoever has the token, which is asked for once and becomes a cookie that scripts cannot read."""
        given = request.query.get("token")
        if given is not None and request.path == "/" and _same(given, self._place.token):
            answer = web.Response(status=303, headers={"Location": "/"})
            answer.set_cookie(
                self._cookie, self._key, httponly=True, samesite="Lax", secure=self._place.tls is not None
            )
            return answer
        if not _same(request.cookies.get(self._cookie, ""), self._key) or not _own_origin(request):
            return web.Response(status=401, text=REFUSED)
        return await handler(request)

    @property
    def _cookie(self) -> str:
        """Browsers do not tell the ports of a host apart."""
        return f"heliosdb_monitor_{self.port}"

    @property
    def address(self) -> str:
        """What is to be opened."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._place.tls else 'http'}://{host}:{self.port}/?token={self._place.token}"


def serve(command: Sequence[str], place: Place, say: Callable[[str], None]) -> None:
    """Serve a command until SIGINT or SIGTERM; ``say`` is told the address, with its token, once it listens.

    Raises:
        OSError: the address cannot be had.
    """
    asyncio.run(MonitorServer(command, place, say).run())


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def _cells(request: web.Request, name: str, usual: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:5]) <= CELLS_MAX else usual


async def _ended(page: AppService) -> None:
    """Tell the process of a page to end, and see to it that it does."""
    process = page._process
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await page.stop()  # which ends without an error when it is cut short
    if process is None:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REAP_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _style(request: web.Request) -> web.Response:
    return web.Response(text=webpage.STYLE, content_type="text/css")


async def _script(request: web.Request) -> web.Response:
    return web.Response(text=webpage.SCRIPT, content_type="text/javascript")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _own_origin(request: web.Request) -> bool:
    """Whether a page of this server asks: other pages of the same host have its cookies, too."""
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host
