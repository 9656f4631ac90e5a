"""A client of this node inside its own process: the whole protocol, and no socket.

What runs on it is an ordinary session: it waits, is cancelled, is routed to the primary and shows up in
pg_stat_activity like any other.
"""

from __future__ import annotations

import os

from helios_cli.engine.errors import NotServing, TooManyConnections
from helios_cli.engine.net.inner_transport import InnerTransport
from helios_cli.engine.node import identity
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.node.frontend import Frontend


class InnerClient:
    """One session of this node, driven by a coroutine on its loop."""

    def __init__(
        self, engine: Engine, *, user: str, proved: bool, database: str, address: tuple[str, int], name: str
    ) -> None:
        """``proved``: the user has shown who it is; ``name`` is its application_name.

        Raises:
            NotServing: the node is stopping. TooManyConnections: max_connections is reached.
            HeliosError: the role may not log in.
        """
        if engine.stopping:
            raise NotServing("the database system is shutting down")
        if len(engine.sessions) >= engine.settings.max_connections:
            raise TooManyConnections("sorry, too many clients already", hint="Raise max_connections.")
        pid = engine.next_pid()
        self._transport = transport = InnerTransport(engine.loop)
        self._frontend = frontend = Frontend(
            engine, transport, user=user, database=database, pid=pid, secret=os.urandom(16), on_lost=self._lost
        )
        transport.set_protocol(frontend)
        self._engine = engine
        self.session = session = frontend.session
        session.client_address = address
        identity.log_in(session, proved=proved)
        engine.sessions[pid] = session
        session.set_variable("application_name", name)
        session.was_told()

    def _lost(self, _error: Exception | None) -> None:
        self._engine.sessions.pop(self.session.pid, None)
        self._engine.channels.unlisten(None, self.session)

    def send(self, *messages: bytes) -> None:
        """Messages of the protocol."""
        self._frontend.data_received(b"".join(messages))

    async def message(self) -> tuple[int, bytes]:
        """As :meth:`InnerTransport.message`."""
        return await self._transport.message()

    def cancel(self) -> None:
        """End the statement in hand."""
        self.session.cancel()

    async def state(self) -> str:
        """The state that the session has seen."""
        return self.session.show("helios.lsn")

    def close(self) -> None:
        """End the session, and the statement in hand with it."""
        self._transport.close()
