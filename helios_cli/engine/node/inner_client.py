"""A client of this node inside its own process: the whole protocol, and no socket.

What runs on it is an ordinary session: it waits, is cancelled, is routed to the primary and shows up in
pg_stat_activity like any other.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

from helios_cli.engine.errors import HeliosError, NotServing, TooManyConnections
from helios_cli.engine.node import identity
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.node.frontend import Frontend

HIGH_WATER: Final = 256 * 1024
"""Bytes of answers that are not taken before the session is held back."""


class InnerTransport(asyncio.Transport):
    """What the session writes is kept until the client takes it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._frontend: Frontend | None = None
        self._data = bytearray()
        self._at = 0
        self._paused = False
        self._closing = False
        self._news = asyncio.Event()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """The session's side."""
        assert isinstance(protocol, Frontend)
        self._frontend = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The session's side."""
        assert self._frontend is not None
        return self._frontend

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """An answer."""
        if self._closing:
            return
        self._data += data
        self._news.set()
        if len(self._data) - self._at > HIGH_WATER and not self._paused and self._frontend is not None:
            self._paused = True
            self._frontend.pause_writing()

    def is_closing(self) -> bool:
        """Whether nothing more is taken."""
        return self._closing

    def close(self) -> None:
        """End the session; what it has answered can still be read."""
        if not self._closing:
            self._closing = True
            self._news.set()
            self._loop.call_soon(self._lost)

    abort = close

    def _lost(self) -> None:
        if self._frontend is not None:
            self._frontend.connection_lost(None)

    def pause_reading(self) -> None:
        """Requests are bounded by their body: nothing has to be held back."""

    def resume_reading(self) -> None:
        """As :meth:`pause_reading`."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is no socket to tell of."""
        return default

    async def message(self) -> tuple[int, bytes]:
        """The next message: its type and its body.

        Raises:
            NotServing: the session has ended.
        """
        while True:
            data, at = self._data, self._at
            if len(data) - at >= 5:
                end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
                if end <= len(data):
                    code, body = data[at], bytes(data[at + 5 : end])
                    self._taken(end)
                    return code, body
            if self._closing:
                raise NotServing("terminating connection due to administrator command", sqlstate="57P01")
            self._news.clear()
            await self._news.wait()

    def _taken(self, end: int) -> None:
        self._at = end
        if end == len(self._data) or end > HIGH_WATER:
            del self._data[:end]
            self._at = 0
        if self._paused and len(self._data) - self._at < HIGH_WATER // 4 and self._frontend is not None:
            self._paused = False
            self._frontend.resume_writing()


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

    def close(self) -> None:
        """End the session, and the statement in hand with it."""
        self._transport.close()


def failure(error: BaseException) -> HeliosError:
    """Anything that a session can raise, as an error to tell of."""
    return error if isinstance(error, HeliosError) else HeliosError("internal error", sqlstate="XX000")
