"""From accept to a session: SSLRequest, startup, authentication, cancel requests.

Nothing is believed before authentication: one message at a time, small limits, a deadline, and no second startup
packet. Bytes that came in the clear behind an SSLRequest end the connection (CVE-2021-23214).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import ssl
from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.errors import FeatureNotSupported, HeliosError, NotServing, ProtocolViolation, TooManyConnections
from helios_cli.engine.node import identity, role_settings
from helios_cli.engine.node.authentication import Authentication
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.node.frontend import Frontend
from helios_cli.engine.node.server_tls import ServerTls
from helios_cli.engine.node.session import Session
from helios_cli.engine.sql.variables import CORE
from helios_cli.engine.wire import backend, startup

log = logging.getLogger(__name__)

WRITE_HIGH_WATER: Final = 512 * 1024
PASSWORD_MESSAGE: Final = 0x70
STARTUP_VARIABLES: Final = ("application_name", "client_encoding", "datestyle", "timezone", "search_path")


class Connection(asyncio.Protocol):
    """One TCP connection until it has a session; then :class:`Frontend` takes its place."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.engine = listener.engine
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.frontend: Frontend | None = None
        self._buffer = b""
        self._parameters: dict[str, str] = {}
        self._proof: Authentication | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._tls: ServerTls | None = None
        """What the connection was made TLS with; None in the clear."""
        self._upgrading = False
        self._asked: list[startup.Request] = []

    # asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, or its connection has become TLS."""
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self.listener.connections[self] = None
        if self._deadline is None:
            seconds = self.engine.settings.authentication_timeout / 1000
            self._deadline = self.engine.loop.call_later(seconds or 60.0, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Bytes before there is a session; from then on the frontend is the transport's protocol."""
        self._buffer += data
        try:
            while self._buffer and self.frontend is None and not self._upgrading and self._step():
                pass
        except startup.UnreadableStartup as error:
            log.info("%s: %s", _address(self.transport.get_extra_info("peername"))[0], error)
            self._buffer = b""
            self.transport.close()
        except HeliosError as error:
            self._refuse_late(error)
        except Exception as error:
            self._refuse(self.engine.unexpected(error))
        if self.frontend is not None and self._buffer:
            rest, self._buffer = self._buffer, b""
            self.frontend.data_received(rest)

    def eof_received(self) -> bool:
        """The client will send no more: close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, with or without a session."""
        self.listener.connections.pop(self, None)
        self._stop_deadline()
        if self.frontend is not None:
            self.engine.sessions.pop(self.frontend.session.pid, None)
            self.engine.channels.unlisten(None, self.frontend.session)

    # Startup ------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Handle one packet of the buffer; False when it is not complete."""
        if self._parameters:
            return self._authentication_message()
        length = startup.startup_length(self._buffer)
        if length is None or len(self._buffer) < length:
            return False
        packet, self._buffer = self._buffer[:length], self._buffer[length:]
        request = startup.parse_startup(packet)
        if isinstance(request, startup.Cancel):
            self.listener.cancel(request)
            self.transport.close()
            return False
        if isinstance(request, startup.Request):
            self._asked_once(request)
        if request is startup.Request.GSSENC:
            self._refuse_clear_rest("GSSAPI")
            self.transport.write(backend.SSL_NO)
            return True
        if request is startup.Request.SSL:
            return self._ssl_requested()
        self._start(request)
        return True

    def _asked_once(self, request: startup.Request) -> None:
        """Encryption is asked for once each, or a client could keep an unauthenticated connection busy."""
        if request in self._asked:
            code = request.value
            raise FeatureNotSupported(
                f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0 to 3.0"
            )
        self._asked.append(request)

    def _ssl_requested(self) -> bool:
        self._refuse_clear_rest("SSL")
        if self._tls is not None:
            raise ProtocolViolation("the connection is encrypted already")
        tls = self.listener.tls()
        if tls is None:
            self.transport.write(backend.SSL_NO)
            return True
        self.transport.write(backend.SSL_YES)
        self._upgrading = True
        self.listener.background(self._start_tls(tls))
        return False

    def _refuse_clear_rest(self, what: str) -> None:
        if self._buffer:
            self._buffer = b""
            raise ProtocolViolation(
                f"received unencrypted data after {what} request",
                detail="This could be either a client-software bug or evidence of an attempted "
                "man-in-the-middle attack.",
            )

    async def _start_tls(self, tls: ServerTls) -> None:
        try:
            transport = await self.engine.loop.start_tls(self.transport, self, tls.context, server_side=True)
        except (OSError, ssl.SSLError, asyncio.CancelledError) as error:
            where = _address(self.transport.get_extra_info("peername"))[0]
            log.info("TLS handshake with %s failed: %s", where or "a client", error)
            self.transport.abort()
            return
        if transport is None:
            return
        self._tls = tls
        self._upgrading = False
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def _start(self, request: startup.Startup) -> None:
        if request.needs_negotiation:
            self.transport.write(backend.negotiate_protocol_version(request.unknown_options))
        self._parameters = request.parameters
        if self.engine.stopping:
            raise NotServing("the database system is shutting down")
        if len(self.engine.sessions) >= self.engine.settings.max_connections:
            raise TooManyConnections(
                "sorry, too many clients already", hint="Raise max_connections or pool connections."
            )
        tls = self.transport.get_extra_info("ssl_object") if self._tls is not None else None
        user = request.parameters["user"]
        self._proof = Authentication(
            self.engine, user=user, database=request.parameters.get("database") or user,
            address=_address(self.transport.get_extra_info("peername"))[0], tls=tls,
            binding=self._tls.binding if self._tls is not None else None,
        )  # fmt: skip
        first = self._proof.begin(require_password=self.listener.require_password)
        if first is None:
            self._authenticated()
        else:
            self.transport.write(first)

    def _authentication_message(self) -> bool:
        data = self._buffer
        if len(data) < 5:
            return False
        length = int.from_bytes(data[1:5], "big")
        startup.auth_length(data[0], length)
        end = 1 + length
        if len(data) < end:
            return False
        self._buffer = data[end:]
        assert self._proof is not None
        answer, believed = self._proof.message(data, end)
        self.transport.write(answer)
        if believed:
            self._authenticated()
        return True

    def _authenticated(self) -> None:
        engine = self.engine
        user = self._parameters["user"]
        database = self._parameters.get("database") or user
        self._stop_deadline()
        pid = engine.next_pid()
        key = os.urandom(4)
        session_end = self.connection_lost
        frontend = Frontend(
            engine, self.transport, user=user, database=database, pid=pid, secret=key, on_lost=session_end
        )
        session = frontend.session
        session.client_address = _address(self.transport.get_extra_info("peername"))
        session.server_address = _address(self.transport.get_extra_info("sockname"))
        identity.log_in(session, proved=self._proof is not None and self._proof.proved)
        session.tls = self.transport.get_extra_info("ssl_object") if self._tls is not None else None
        session.out.append(backend.AUTH_OK)
        self._apply_parameters(session)
        engine.sessions[pid] = session
        session.out.append(backend.backend_key_data(pid, key))
        session.out.append(backend.READY_IDLE)
        frontend.flush()
        self.frontend = frontend
        self.transport.set_protocol(frontend)

    def _apply_parameters(self, session: Session) -> None:
        for name, variable in CORE.items():
            if variable.reported and name not in self._parameters:
                session.changed[variable.name] = None
        role_settings.apply(session)
        options = _parse_options(self._parameters.get("options", ""))
        for name, value in {**options, **self._parameters}.items():
            if name not in ("user", "database", "options", "replication"):
                session.set_default(name, value)
        session.report_changes()

    # Ends ---------------------------------------------------------------------------------------------

    def _too_slow(self) -> None:
        self._deadline = None
        if self.frontend is None:
            log.info("a client took longer than authentication_timeout to log in")
            self.transport.abort()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse_late(self, error: HeliosError) -> None:
        """A client that has failed to prove itself hears of it after a while, and nothing else meanwhile."""
        delay = self._proof.delay_s if self._proof is not None else 0.0
        if not delay:
            self._refuse(error)
            return
        self._buffer, self._upgrading = b"", True
        self.transport.pause_reading()
        self.engine.loop.call_later(delay, self._refuse, error)

    def _refuse(self, error: HeliosError) -> None:
        error.severity = "FATAL"
        self._buffer = b""
        if not self.transport.is_closing():
            self.transport.write(backend.error_response(error))
            self.transport.close()


def _address(name: Any) -> tuple[str, int]:
    """Host and port of a socket's name; empty for one that has none."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else ("", 0)


def _parse_options(text: str) -> dict[str, str]:
    """Settings of the startup option string: ``-c name=value`` or ``--name=value``, words split at blanks.

    Raises:
        ProtocolViolation: anything else.
    """
    words = text.replace("\\ ", "\0").split()
    settings: dict[str, str] = {}
    index = 0
    while index < len(words):
        word = words[index].replace("\0", " ")
        if word == "-c" and index + 1 < len(words):
            index += 1
            word = words[index].replace("\0", " ")
        elif word.startswith("-c") or word.startswith("--"):
            word = word[2:]
        else:
            raise HeliosError(f"invalid command-line argument for server process: {word}", sqlstate="42601")
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise HeliosError(f"-c {word} requires a value", sqlstate="42601")
        settings[name.replace("-", "_")] = value
        index += 1
    return settings


class Listener:
    """The PostgreSQL port of a node."""

    def __init__(
        self, engine: Engine, *, tls: Callable[[], ServerTls | None] = lambda: None, require_password: bool = False
    ) -> None:
        """``tls`` gives what the next connection is made TLS with, where it asks for that."""
        self.engine = engine
        self.tls = tls
        self.require_password = require_password
        self.connections: dict[Connection, None] = {}
        self.cancel_requests = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port. Raises OSError when the address is taken."""
        self._server = await self.engine.loop.create_server(lambda: Connection(self), host, port, backlog=512)
        return int(self._server.sockets[0].getsockname()[1])

    def background(self, coroutine: Any) -> None:
        """Run a coroutine to its end."""
        task = self.engine.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self, request: startup.Cancel) -> None:
        """CancelRequest: never answered, and nothing happens unless the key is right."""
        self.cancel_requests += 1
        session = self.engine.sessions.get(request.pid)
        if session is not None and hmac.compare_digest(session.secret, request.key):
            session.cancel()

    def stop_accepting(self) -> None:
        """Close the listening socket."""
        if self._server is not None:
            self._server.close()

    def close_sessions(self, error: HeliosError) -> None:
        """Tell every client and close every connection."""
        for connection in tuple(self.connections):
            if connection.frontend is not None:
                copy = HeliosError(error.message, sqlstate=error.sqlstate, hint=error.hint)
                connection.frontend.terminate(copy)
            else:
                connection.transport.abort()
