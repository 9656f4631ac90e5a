"""``POST /sql`` of the proxy: a request is a client like any other, and goes wherever its statements do.

It logs in as the clients do over the protocol: with name and password (HTTP Basic), or as anybody where everybody is
trusted. Tokens of nodes are the nodes' own; the proxy does not know them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from helios_cli.engine.config.hba import is_loopback
from helios_cli.engine.errors import HeliosError, NotServing, TooManyConnections
from helios_cli.engine.net.http_answers import not_allowed, state_response
from helios_cli.engine.net.http_credentials import (
    NoCredentials,
    NotAllowed,
    check_trusted,
    name_and_password,
    shown,
)
from helios_cli.engine.net.http_message import Request, Response, Streaming, error_response
from helios_cli.engine.net.inner_transport import InnerTransport
from helios_cli.engine.net.sql_request import SqlRequest
from helios_cli.engine.net.sql_service import SqlService, application_name
from helios_cli.engine.net.sql_work import TIMEOUT_MS
from helios_cli.engine.proxyserver.client import FLOOR_ASKED
from helios_cli.engine.proxyserver.control import read_floor
from helios_cli.engine.proxyserver.login import Credential
from helios_cli.engine.proxyserver.sending import WRITE_ID
from helios_cli.engine.proxyserver.users import Known, credential
from helios_cli.engine.types import WriteId
from helios_cli.engine.wire import client as wire
from helios_cli.engine.wire import scram

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.client import Client
    from helios_cli.engine.proxyserver.login import Entrance
    from helios_cli.engine.proxyserver.proxy import Proxy

SQL_PATH: Final = "/sql"
ANYBODY: Final = "helios"
"""The user of a request without credentials, where there is no auth_user."""
STATE_S: Final = 2.0
"""Longest wait for the LSN of a write at a plain PostgreSQL."""
_LOOK_S: Final = 0.005
_READY, _ERROR = b"ZE"
_TLS_HINT: Final = "Set cert and key of [tls] in proxy.toml, and use https. Whoever was on the way may know them now."


@dataclass(frozen=True, slots=True)
class Who:
    """A user who may ask, and what the proxy logs in with at the nodes in its name."""

    user: str
    credential: Credential


class SqlOverProxy(SqlService[Who]):
    """Runs requests on sessions of the proxy. ``is_operator``: who asks has shown the admin token, and is auth_user."""

    apart = True

    def __init__(self, proxy: Proxy, entrance: Entrance, *, is_operator: bool = False) -> None:
        super().__init__()
        self._proxy = proxy
        self._entrance = entrance
        self._is_operator = is_operator

    async def login(self, request: Request, database: str | None) -> Who:
        """Who asks. Raises HeliosError: nobody that may."""
        settings, users = self._entrance.settings, self._entrance.users
        if self._is_operator:
            return Who(settings.auth_user or ANYBODY, settings.auth_password or None)
        scheme, given = shown(request, _TLS_HINT)
        if not given:
            if not users.trusting:
                raise NoCredentials("no password supplied", hint="Send a user's name and password with HTTP Basic.")
            check_trusted(request, everywhere=settings.allow_insecure_network)
            user = settings.auth_user or ANYBODY
            return Who(user, credential(users.trusted(user), None))
        if scheme != "basic":
            raise NoCredentials(
                "the Authorization header is not Basic", hint="Tokens of nodes are taken at the nodes themselves."
            )
        user, password = name_and_password(given)
        if users.trusting:
            check_trusted(request, everywhere=settings.allow_insecure_network)
            return Who(user, credential(users.trusted(user), None))
        return await self._prove(request, user, password)

    async def _prove(self, request: Request, user: str, password: str) -> Who:
        entrance, address = self._entrance, request.peer[0]
        settings, limits, now_s = entrance.settings, entrance.limits, entrance.loop.time()
        if not is_loopback(address):
            left = limits.refused_for(
                user, address, limit=settings.auth_failures_max, lockout_s=settings.auth_lockout, now_s=now_s
            )
            if left > 0:
                raise NotAllowed("too many failed logins", sqlstate="53300", hint=f"Try again in {int(left) + 1} s.")
        known = await entrance.users.find(user)
        if not await self._is_right(known, password):
            entrance.failed_logins += 1
            entrance.users.failed(user)
            await asyncio.sleep(limits.failed(user, address, loopback=is_loopback(address), now_s=now_s))
            raise NoCredentials(f'password authentication failed for user "{user}"')
        limits.succeeded(user, address)
        return Who(user, password)

    async def _is_right(self, known: Known, password: str) -> bool:
        if known.verifier is None:
            return False
        # Thousands of rounds of hashing: not on the event loop. They are done for unknown users too.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, scram.verify_password, known.verifier, password) and not known.doomed

    async def open(self, who: Who, request: Request, wanted: SqlRequest) -> ProxySession:
        """A session of the proxy. Raises HeliosError."""
        if self._entrance.stopping:
            raise NotServing("the proxy is shutting down")
        if self._entrance.sessions() >= self._entrance.settings.max_clients:
            self._entrance.refused_clients += 1
            raise TooManyConnections("sorry, too many clients already", hint="Raise max_clients in proxy.toml.")
        parameters = {
            "user": who.user, "database": wanted.database or self._entrance.settings.database,
            "application_name": application_name(request), "client_encoding": "UTF8",
            "statement_timeout": str(wanted.timeout_ms or TIMEOUT_MS),
        }  # fmt: skip
        if wanted.read_only:
            parameters["default_transaction_read_only"] = "on"
        floor = read_floor(wanted.min_lsn or "")
        name = _write_id(wanted.write_id) if wanted.write_id is not None else ""
        session = ProxySession(self._proxy, parameters, who.credential, request)
        try:
            await session.begun()
        except BaseException:
            session.close()
            raise
        session.client.floor = max(session.client.floor, floor)
        session.client.own_name = f"SET {WRITE_ID} = '{name}'" if name else ""
        return session


def _write_id(text: str) -> str:
    try:
        return str(WriteId.parse(text))
    except ValueError as error:
        raise HeliosError(str(error), sqlstate="22023") from None


class SqlRoutes:
    """The handler of ``http_addr``: ``POST /sql``, and ``GET /health`` for whoever stands before it."""

    def __init__(self, sql: SqlOverProxy, health: Callable[[], str | None]) -> None:
        """``health`` gives None while the proxy serves, else the reason."""
        self._sql = sql
        self._health = health

    def __call__(self, request: Request) -> Response | Streaming:
        """Answer one request."""
        if request.path == SQL_PATH:
            return self._sql(request) if request.method == "POST" else not_allowed(request, "POST")
        if request.path == "/health":
            is_get = request.method in ("GET", "HEAD")
            return state_response(self._health()) if is_get else not_allowed(request, "GET, HEAD")
        return error_response(404, "no such path", hint=f"Paths are {SQL_PATH} and /health.")


class ProxySession:
    """One session of the proxy whose client is a coroutine of the same process."""

    def __init__(self, proxy: Proxy, parameters: dict[str, str], credential: Credential, request: Request) -> None:
        self._proxy = proxy
        extra = {"peername": request.peer, "ssl_object": request.tls}
        self._transport = InnerTransport(proxy.loop, extra)
        self.client: Client = proxy.begin(self._transport, parameters, credential)
        self.client.is_inner = True

    async def begun(self) -> None:
        """Wait until it is logged in. Raises HeliosError: it is not."""
        while True:
            code, body = await self._transport.message()
            if code == _ERROR:
                raise wire.parse_error(body)
            if code == _READY:
                return

    def send(self, *messages: bytes) -> None:
        """Messages of the protocol."""
        self.client.data_received(b"".join(messages))

    async def message(self) -> tuple[int, bytes]:
        """As :meth:`InnerTransport.message`."""
        return await self._transport.message()

    def cancel(self) -> None:
        """End the statement in hand."""
        self.client.cancel()

    async def state(self) -> str:
        """The state that its reads have seen and its writes made; empty where the nodes do not tell."""
        deadline = self._proxy.loop.time() + STATE_S
        while self.client.floor == FLOOR_ASKED and self._proxy.loop.time() < deadline:
            await asyncio.sleep(_LOOK_S)
        return self.client.token

    def close(self) -> None:
        """End it."""
        self._transport.close()
