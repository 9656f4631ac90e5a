"""From accept to a session of the proxy: who may have one, and what the proxy logs in with at the nodes for it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from helios_cli.engine.config.hba import is_loopback
from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.errors import FeatureNotSupported, HeliosError, NotServing, ProtocolViolation, TooManyConnections
from helios_cli.engine.net.doorway import Doorway
from helios_cli.engine.net.login_limits import LoginLimiter
from helios_cli.engine.net.tls_files import ServerTls
from helios_cli.engine.proxyserver.users import Known, Users, credential
from helios_cli.engine.wire import backend, scram, startup

log = logging.getLogger(__name__)

LOGINS_MAX: Final = 2000
"""Connections that have not logged in, at a time, or ``max_clients`` where that is more; others are closed without a
word. All clients of a proxy that was restarted may come at once."""
_FALSE: Final = ("", "0", "f", "false", "off", "no", "n")

Credential = str | scram.ClientKeys | None
"""Password or keys for the nodes; None: the client was trusted, and so must the proxy be there."""


class OnSession(Protocol):
    """Takes a client over that has logged in."""

    def __call__(
        self,
        transport: asyncio.Transport,
        parameters: dict[str, str],
        user: str,
        database: str,
        credential: Credential,
        leftover: bytes,
    ) -> None:
        """Set the transport's protocol before coming back.

        AuthenticationOk has been sent, ParameterStatus, BackendKeyData and ReadyForQuery have not. ``parameters`` are
        the startup packet's, user and database among them; ``leftover`` is what the client has sent behind its login.
        """


class Entrance:
    """What all clients that log in share."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: ProxySettings,
        users: Users,
        *,
        on_session: OnSession,
        on_cancel: Callable[[int, bytes], None],
        sessions: Callable[[], int],
    ) -> None:
        """``sessions`` gives the number of clients that have a session now."""
        self.loop = loop
        self.settings = settings
        """May be replaced by others: they hold for clients that come from then on."""
        self.users = users
        """Likewise."""
        self.tls: ServerTls | None = None
        """Likewise; None: in the clear."""
        self.on_session = on_session
        self.on_cancel = on_cancel
        self.sessions = sessions
        self.stopping = False
        """No client is let in any more."""
        self.limits = LoginLimiter()
        self.logins: dict[Login, None] = {}
        """Clients that have no session yet."""
        self.failed_logins = 0
        self.refused_clients = 0
        """Because there were max_clients already."""
        self._tasks: set[asyncio.Task[None]] = set()

    def protocol(self) -> asyncio.Protocol:
        """For a connection that has just been accepted: the protocol factory of the server."""
        return Login(self)

    def background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Let nobody in any more, and close the connections of those who are about to log in."""
        self.stopping = True
        for login in tuple(self.logins):
            login.transport.abort()


class Login(Doorway):
    """One client until it has a session."""

    def __init__(self, entrance: Entrance) -> None:
        super().__init__(entrance.loop, seconds=entrance.settings.login_timeout)
        self.entrance = entrance
        self.user = ""
        self._known: Known | None = None
        self._scram: scram.ScramServer | None = None
        self._scram_started = False
        self._delay_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(transport)
        if len(self.entrance.logins) >= max(LOGINS_MAX, self.entrance.settings.max_clients):
            self.transport.abort()
        self.entrance.logins[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed before it had a session."""
        super().connection_lost(exc)
        self.entrance.logins.pop(self, None)

    # Doorway ---------------------------------------------------------------------------------------------------------

    def offered_tls(self) -> ServerTls | None:
        """The proxy's certificate, when it has one."""
        return self.entrance.tls

    def cancel(self, request: startup.Cancel) -> None:
        """Hand a CancelRequest on."""
        self.entrance.on_cancel(request.pid, request.key)

    def background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end."""
        self.entrance.background(coroutine)

    def unexpected(self, error: Exception) -> HeliosError:
        """Log a defect of ours."""
        log.error("a login failed by a defect of the proxy", exc_info=error)
        return HeliosError("internal error of the proxy", hint="Its log has the details.")

    def delay_s(self) -> float:
        """Who has failed to prove itself waits."""
        return self._delay_s

    def start(self, request: startup.Startup) -> None:
        """Let the client in where everybody is trusted, else ask for a proof."""
        entrance, parameters = self.entrance, request.parameters
        self.user = parameters["user"]
        if entrance.stopping:
            raise NotServing("the proxy is shutting down")
        if self.tls is None and entrance.settings.tls_mode == "require":
            raise HeliosError(
                "the proxy takes connections over TLS alone", sqlstate="28000", hint="Connect with sslmode=require."
            )
        if parameters.get("replication", "").lower() not in _FALSE:
            raise FeatureNotSupported(
                "replication connections do not pass through the proxy", hint="Connect to the node itself."
            )
        if entrance.sessions() >= entrance.settings.max_clients:
            entrance.refused_clients += 1
            raise TooManyConnections("sorry, too many clients already", hint="Raise max_clients in proxy.toml.")
        self._check_failures()
        if entrance.users.trusting:
            self._let_in(b"", credential(entrance.users.trusted(self.user), None))
            return
        offered = [scram.MECHANISM]
        if self.tls is not None and self.tls.binding is not None:
            offered.insert(0, scram.MECHANISM_PLUS)
        self.transport.write(backend.auth_sasl(offered))

    def authentication(self, data: bytes, end: int) -> None:
        """One message of SCRAM."""
        if self._scram is not None:
            self._exchange(self._scram, data[5:end])
            return
        mechanism, first = startup.parse_sasl_initial(data, 5, end)
        bound = self.tls is not None and self.tls.binding is not None
        if mechanism != scram.MECHANISM and not (bound and mechanism == scram.MECHANISM_PLUS):
            raise ProtocolViolation("client selected an invalid SASL authentication mechanism")
        self.hold()
        self.background(self._find(mechanism, first))

    # SCRAM -----------------------------------------------------------------------------------------------------------

    async def _find(self, mechanism: str, first: bytes | None) -> None:
        """Look the user up, maybe at a node, then go on with its first message."""

        def following() -> None:
            if error is not None:
                raise error
            assert known is not None
            self._begin(known, mechanism, first)

        known: Known | None = None
        error: Exception | None = None
        try:
            known = await self.entrance.users.find(self.user)
        except Exception as caught:
            error = caught
        self.resume(following)

    def _begin(self, known: Known, mechanism: str, first: bytes | None) -> None:
        assert known.verifier is not None
        self._known = known
        self._scram = scram.ScramServer(
            known.verifier,
            os.urandom(scram.NONCE_BYTES),
            doomed=known.doomed,
            user=self.user,
            channel_binding=self.tls.binding if self.tls is not None else None,
            mechanism=mechanism,
        )
        if first is None:
            self.transport.write(backend.auth_sasl_continue(b""))
        else:
            self._exchange(self._scram, first)

    def _exchange(self, exchange: scram.ScramServer, message: bytes) -> None:
        if not self._scram_started:
            self._scram_started = True
            self.transport.write(backend.auth_sasl_continue(exchange.first(message)))
            return
        assert self._known is not None
        try:
            final = exchange.final(message)
        except scram.AuthenticationFailed:
            self._failed()
            raise
        self.entrance.limits.succeeded(self.user, self.address()[0])
        self._let_in(backend.auth_sasl_final(final), credential(self._known, exchange.client_key))

    def _let_in(self, before: bytes, found: Credential) -> None:
        self.transport.write(before + backend.AUTH_OK)
        leftover = self.finish()
        self.entrance.logins.pop(self, None)
        database = self.parameters.get("database") or self.user
        self.entrance.on_session(self.transport, self.parameters, self.user, database, found, leftover)

    # Failures --------------------------------------------------------------------------------------------------------

    def _check_failures(self) -> None:
        settings, address = self.entrance.settings, self.address()[0]
        if is_loopback(address):
            return
        left = self.entrance.limits.refused_for(
            self.user, address, limit=settings.auth_failures_max, lockout_s=settings.auth_lockout,
            now_s=self.loop.time(),
        )  # fmt: skip
        if left > 0:
            raise HeliosError(
                "too many failed logins", sqlstate="53300",
                hint=f"Try again in {int(left) + 1} s, or see auth_lockout_secs.",
            )  # fmt: skip

    def _failed(self) -> None:
        address = self.address()[0]
        log.warning("login of %.80r from %s failed", self.user, address or "a local socket")
        self.entrance.failed_logins += 1
        self.entrance.users.failed(self.user)
        self._delay_s = self.entrance.limits.failed(
            self.user, address, loopback=is_loopback(address), now_s=self.loop.time()
        )
