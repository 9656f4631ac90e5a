"""The connection by which a node is watched: a small PostgreSQL client on the event loop."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.net.gate import GATE
from helios_cli.engine.net.pgclient import ConnectionLost, certificate_hash
from helios_cli.engine.proxyserver.backend_login import BackendLogin
from helios_cli.engine.wire import client, scram

APPLICATION_NAME: Final = "heliosproxy"
MAX_ANSWER: Final = 8 << 20
"""Bytes of one message; a longer one ends the connection."""

_DESCRIPTION, _ROW, _READY, _ERROR, _NOTIFICATION, _STATUS = b"TDZEAS"

Row = list[str | None]
Results = list[list[Row]]
"""The rows of each statement of a query string that gives rows."""


@dataclass(frozen=True, slots=True)
class Account:
    """As whom to log in, and how."""

    user: str
    password: str | scram.ClientKeys | None
    database: str
    tls: str = "disable"
    """As ``backend_tls``."""
    context: ssl.SSLContext | None = None
    """Where ``tls`` is not ``disable``."""
    parameters: Mapping[str, str] = field(default_factory=lambda: {"client_encoding": "UTF8"})
    """What the session begins with."""


class Link(asyncio.Protocol):
    """One connection. Queries are answered in their order; several may be under way."""

    def __init__(
        self,
        on_notify: Callable[[str, str], None],
        on_status: Callable[[str, str], None],
        on_lost: Callable[[Link, str], None],
    ) -> None:
        """``on_notify`` gets channel and payload, ``on_status`` a parameter that the node reports, ``on_lost`` why.

        ``on_lost`` is called once at most, and only of a link that was logged in.
        """
        self.parameters: dict[str, str] = {}
        self.pid, self.key = 0, b""
        """For CancelRequest."""
        self._on_notify, self._on_status, self._on_lost = on_notify, on_status, on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._login: BackendLogin | None = None
        self._logged_in: asyncio.Future[None] = self._loop.create_future()
        self._buffer = b""
        self._waiting: deque[asyncio.Future[Results]] = deque()
        self._results: Results = []
        self._failure: HeliosError | None = None
        self._lost = ""

    @property
    def is_open(self) -> bool:
        """Whether queries can be sent."""
        return self._login is None and not self._lost and self._transport is not None

    @property
    def is_logged_in(self) -> bool:
        """Whether the login is over, and was not refused."""
        return self._login is None

    async def open(self, host: str, port: int, account: Account) -> None:
        """Connect and log in.

        Raises:
            OSError: nobody is reached. HeliosError: the node refused, or the connection ended.
        """
        self._login = login = BackendLogin(
            user=account.user,
            database=account.database,
            credential=account.password,
            nonce=os.urandom(scram.NONCE_BYTES),
            parameters={"application_name": APPLICATION_NAME, **account.parameters},
            tls=account.tls,
        )
        try:
            await GATE.connect(self._loop, lambda: self, host, port)
            self._write(login.start())
            while True:
                await self._logged_in
                if not login.wants_tls:
                    break
                await self._encrypt(login, host, account)
        except BaseException:
            self.close()
            raise

    async def _encrypt(self, login: BackendLogin, host: str, account: Account) -> None:
        assert self._transport is not None and account.context is not None
        self._logged_in = self._loop.create_future()
        raw, self._transport = self._transport, None
        encrypted = await self._loop.start_tls(raw, self, account.context, server_hostname=host)
        if encrypted is None:
            raise ConnectionLost("the connection ended during the TLS handshake")
        self._transport = encrypted
        peer = encrypted.get_extra_info("ssl_object")
        certificate = peer.getpeercert(binary_form=True) if peer is not None else None
        self._write(login.encrypted(certificate_hash(certificate) if certificate else None))

    def query(self, sql: str) -> asyncio.Future[Results]:
        """Send a query string; the future gets its rows, or the node's error, or ConnectionLost."""
        answer: asyncio.Future[Results] = self._loop.create_future()
        if not self.is_open:
            answer.set_exception(ConnectionLost(self._lost or "the connection is closed"))
            return answer
        self._waiting.append(answer)
        self._write(client.query(sql))
        return answer

    def detach(self) -> asyncio.Transport:
        """The connection, for another protocol: this one has nothing to do with it any more.

        Raises ConnectionLost when it has ended just behind the login.
        """
        if self._lost or self._transport is None:
            raise ConnectionLost(self._lost or "the connection is closed")
        transport, self._transport = self._transport, None
        assert self.is_logged_in
        self._lost = "detached"
        return transport

    def close(self) -> None:
        """End it; nobody is told. Idempotent."""
        self._lost = self._lost or "closed"
        if self._transport is not None:
            transport, self._transport = self._transport, None
            if self._login is None and not transport.is_closing():
                transport.write(client.TERMINATE)
            # What a stopped process does not take would be kept for ever.
            transport.abort() if self._waiting else transport.close()
        self._give_up()

    # asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of the node."""
        try:
            if self._login is not None:
                self._log_in(self._login, data)
            else:
                self._take(data)
        except HeliosError as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._login is None or self._transport is not None:
            self._end(ConnectionLost(f"the connection broke: {exc}" if exc else "the node closed the connection"))

    # Inside ------------------------------------------------------------------------------------------------------

    def _log_in(self, login: BackendLogin, data: bytes) -> None:
        self._write(login.feed(data))
        if login.wants_tls and not self._logged_in.done():
            self._logged_in.set_result(None)
        if login.done:
            self._login = None
            self.parameters.update(login.parameters)
            self.pid, self.key = login.pid, login.key
            if not self._logged_in.done():
                self._logged_in.set_result(None)
            self._take(login.rest)

    def _take(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        at, size = 0, len(buffer)
        while size - at >= 5:
            length = int.from_bytes(buffer[at + 1 : at + 5], "big")
            if not 4 <= length <= MAX_ANSWER:
                raise ProtocolViolation("the server broke the protocol", detail=f"a message of {length} bytes")
            if size - at <= length:
                break
            self._message(buffer[at], buffer[at + 5 : at + 1 + length])
            at += 1 + length
        self._buffer = buffer[at:]

    def _message(self, kind: int, body: bytes) -> None:
        if kind == _ROW:
            if not self._results:
                raise ProtocolViolation("the server broke the protocol", detail="a row without a description")
            values = client.parse_data_row(body)
            self._results[-1].append([None if value is None else value.decode("utf-8", "replace") for value in values])
        elif kind == _DESCRIPTION:
            self._results.append([])
        elif kind == _READY:
            self._answer()
        elif kind == _ERROR:
            self._failure = client.parse_error(body)
        elif kind == _NOTIFICATION:
            channel, _, rest = body[4:].partition(b"\0")
            self._on_notify(channel.decode("utf-8", "replace"), rest.rstrip(b"\0").decode("utf-8", "replace"))
        elif kind == _STATUS:
            name, value = client.parse_status(body)
            self.parameters[name] = value
            self._on_status(name, value)

    def _answer(self) -> None:
        results, failure = self._results, self._failure
        self._results, self._failure = [], None
        if not self._waiting:
            raise ProtocolViolation("the server broke the protocol", detail="an answer that nobody asked for")
        answer = self._waiting.popleft()
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(results)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def _end(self, error: HeliosError) -> None:
        if self._lost:
            return
        was_open = self._login is None
        self._lost = error.message
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        # The node says why it ends a session before it does.
        told = self._failure.message if self._failure is not None and not self._waiting else ""
        if not self._logged_in.done():
            self._logged_in.set_exception(error)
        self._give_up()
        if was_open:
            self._on_lost(self, told or self._lost)

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(ConnectionLost(self._lost))
                # Whoever has stopped waiting does not look.
                answer.exception()
        if not self._logged_in.done():
            self._logged_in.set_exception(ConnectionLost(self._lost))
            self._logged_in.exception()
