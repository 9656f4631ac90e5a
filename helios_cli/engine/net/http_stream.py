"""An answer that is made while it is sent: chunks out, the client's pace kept, its end noticed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from helios_cli.engine.net.http_message import Request, Response, Streaming, chunk, error_response, streamed_head

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What a stream needs of its connection."""

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are."""

    def send_response(self, response: Response, request: Request) -> None:
        """A whole answer."""

    def abort(self) -> None:
        """Cut the connection."""


class Stream:
    """One streamed answer on one connection."""

    def __init__(self, connection: Connection, request: Request, on_end: Callable[[bool], None]) -> None:
        """``on_end`` is told whether the connection may be used again."""
        self._connection = connection
        self._request = request
        self._on_end = on_end
        self._room = asyncio.Event()
        self._room.set()
        self._chunked = request.version == "1.1"
        self._begun = False
        self._answered = False
        self.task: asyncio.Task[None] | None = None

    def start(self, streaming: Streaming) -> asyncio.Task[None]:
        """Run the producer."""
        self.task = task = asyncio.ensure_future(streaming.run(self))
        task.add_done_callback(self._ended)
        return task

    # Outlet ----------------------------------------------------------------------------------------------------------

    def begin(self, status: int, content_type: str) -> None:
        """The head."""
        self._begun = True
        keep_alive = self._request.keep_alive
        self._connection.send_raw(streamed_head(status, content_type, chunked=self._chunked, keep_alive=keep_alive))

    async def write(self, data: bytes) -> None:
        """A piece of the body, which is not empty."""
        if data and self._request.method != "HEAD":
            self._connection.send_raw(chunk(data) if self._chunked else data)
        await self._room.wait()

    def respond(self, response: Response) -> None:
        """The whole answer."""
        self._answered = True
        self._connection.send_response(response, self._request)

    # The connection's side -------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The client does not read."""
        self._room.clear()

    def resume(self) -> None:
        """It reads again."""
        self._room.set()

    def cancel(self) -> None:
        """The client is gone."""
        if self.task is not None:
            self.task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._on_end(False)
            return
        error = task.exception()
        if error is not None and not self._begun:
            log.error("HTTP handler failed for %s", self._request.path, exc_info=error)
        if self._answered:
            self._on_end(True)
        elif not self._begun:
            self._connection.send_response(error_response(500, "internal error"), self._request)
            self._on_end(True)
        elif error is not None:
            self._connection.abort()
            self._on_end(False)
        else:
            if self._chunked:
                self._connection.send_raw(b"0\r\n\r\n")
            self._on_end(self._chunked and self._request.keep_alive)
