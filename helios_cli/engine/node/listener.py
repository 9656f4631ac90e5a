"""From accept to a session: who may have one, with which settings, and cancel requests."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Callable, Coroutine
from typing import Any

from helios_cli.engine.errors import HeliosError, NotServing, TooManyConnections
from helios_cli.engine.net.doorway import Doorway, socket_address
from helios_cli.engine.net.listeners import Listeners
from helios_cli.engine.net.tls_files import ServerTls
from helios_cli.engine.node import identity, role_settings
from helios_cli.engine.node.authentication import Authentication
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.node.frontend import Frontend
from helios_cli.engine.node.session import Session
from helios_cli.engine.sql.variables import CORE
from helios_cli.engine.wire import backend, startup


class Connection(Doorway):
    """One TCP connection until it has a session; then :class:`Frontend` takes its place."""

    def __init__(self, listener: Listener) -> None:
        engine = listener.engine
        super().__init__(engine.loop, seconds=engine.settings.authentication_timeout / 1000 or 60.0)
        self.listener = listener
        self.engine = engine
        self.frontend: Frontend | None = None
        self._rest = b""
        self._proof: Authentication | None = None

    # asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected, or its connection has become TLS."""
        super().connection_made(transport)
        self.listener.connections[self] = None
        if self.listener.closed:
            # It was accepted before the port was closed, and is heard of only now.
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes before there is a session; from then on the frontend is the transport's protocol."""
        super().data_received(data)
        if self.frontend is not None and self._rest:
            rest, self._rest = self._rest, b""
            self.frontend.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, with or without a session."""
        super().connection_lost(exc)
        self.listener.connections.pop(self, None)
        if self.frontend is not None:
            self.engine.sessions.pop(self.frontend.session.pid, None)
            self.engine.channels.unlisten(None, self.frontend.session)

    # Doorway ---------------------------------------------------------------------------------------------------------

    def offered_tls(self) -> ServerTls | None:
        """The node's certificate, when it has one."""
        return self.listener.tls()

    def cancel(self, request: startup.Cancel) -> None:
        """Cancel what a session runs."""
        self.listener.cancel(request)

    def background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end."""
        self.listener.background(coroutine)

    def unexpected(self, error: Exception) -> HeliosError:
        """Log a defect of ours."""
        return self.engine.unexpected(error)

    def delay_s(self) -> float:
        """Who has failed to prove itself waits."""
        return self._proof.delay_s if self._proof is not None else 0.0

    def start(self, request: startup.Startup) -> None:
        """Let the client in, or ask for a proof."""
        if self.engine.stopping:
            raise NotServing("the database system is shutting down")
        if len(self.engine.sessions) >= self.engine.settings.max_connections:
            raise TooManyConnections(
                "sorry, too many clients already", hint="Raise max_connections or pool connections."
            )
        user = request.parameters["user"]
        self._proof = Authentication(
            self.engine, user=user, database=request.parameters.get("database") or user,
            address=self.address()[0], tls=self.ssl_object(),
            binding=self.tls.binding if self.tls is not None else None,
        )  # fmt: skip
        first = self._proof.begin(require_password=self.listener.require_password)
        if first is None:
            self._authenticated()
        else:
            self.transport.write(first)

    def authentication(self, data: bytes, end: int) -> None:
        """One message of the proof."""
        assert self._proof is not None
        answer, believed = self._proof.message(data, end)
        self.transport.write(answer)
        if believed:
            self._authenticated()

    def _authenticated(self) -> None:
        engine = self.engine
        user = self.parameters["user"]
        database = self.parameters.get("database") or user
        pid = engine.next_pid()
        key = os.urandom(4)
        session_end = self.connection_lost
        frontend = Frontend(
            engine, self.transport, user=user, database=database, pid=pid, secret=key, on_lost=session_end
        )
        session = frontend.session
        session.client_address = self.address()
        session.server_address = socket_address(self.transport.get_extra_info("sockname"))
        identity.log_in(session, proved=self._proof is not None and self._proof.proved)
        session.tls = self.ssl_object()
        session.out.append(backend.AUTH_OK)
        self._apply_parameters(session)
        engine.sessions[pid] = session
        session.out.append(backend.backend_key_data(pid, key))
        session.out.append(backend.READY_IDLE)
        frontend.flush()
        self.frontend = frontend
        self._rest = self.finish()
        self.transport.set_protocol(frontend)

    def _apply_parameters(self, session: Session) -> None:
        for name, variable in CORE.items():
            if variable.reported and name not in self.parameters:
                session.changed[variable.name] = None
        role_settings.apply(session)
        options = startup.parse_options(self.parameters.get("options", ""))
        for name, value in {**options, **self.parameters}.items():
            if name not in ("user", "database", "options", "replication"):
                session.set_default(name, value)
        session.report_changes()


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
        self.closed = False
        """Sessions have been ended, and none begins any more."""
        self._listeners = Listeners("pg")
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port. Raises OSError when the address is taken."""
        return await self._listeners.open(self.engine.loop, lambda: Connection(self), host, port, backlog=512)

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
        """Close the listening sockets."""
        self._listeners.close()

    def close_sessions(self, error: HeliosError) -> None:
        """Tell every client and close every connection, those too that are heard of later."""
        self.closed = True
        for connection in tuple(self.connections):
            if connection.frontend is not None:
                copy = HeliosError(error.message, sqlstate=error.sqlstate, hint=error.hint)
                connection.frontend.terminate(copy)
            else:
                connection.transport.abort()
