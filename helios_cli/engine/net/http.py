"""The HTTP server's moving part: sockets, parsing, limits and deadlines.

Answers leave in the order of the requests (RFC 9112, 9.3.2). Input of any kind ends in an answer or a closed
connection, never in an exception that reaches the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import Any, Final, cast

import httptools

from helios_cli.engine.net.http_message import (
    HttpLimits,
    Request,
    Response,
    Streaming,
    encode_response,
    error_response,
)
from helios_cli.engine.net.http_stream import Stream
from helios_cli.engine.net.listeners import Listeners

log = logging.getLogger(__name__)

Handler = Callable[[Request], Response | Awaitable[Response] | Streaming]
"""Answers a request at once, or hands back an awaitable when that takes time, or what makes the answer as it goes."""

_SLICE: Final = 4096
"""Bytes parsed at a time, so that an endless header line is noticed: the parser reports a header only when it ends."""


class HttpServer:
    """Listens on one address and answers through ``handler``."""

    def __init__(self, handler: Handler, limits: HttpLimits | None = None, face: str = "http") -> None:
        """``face`` is the name under which sockets may have been handed over for it."""
        self.handler = handler
        self.limits = limits or HttpLimits()
        self.connections: set[HttpConnection] = set()
        self.tasks: set[asyncio.Future[Any]] = set()
        self.requests = 0
        """Requests answered since the start, errors included."""
        self._listeners = Listeners(face)
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int, ssl_context: SSLContext | None = None, *, shared: bool = False) -> int:
        """Listen; gives the port (the chosen one when ``port`` is 0). Raises OSError when the address is taken.

        ``shared`` lets other processes of ours listen there, too.
        """
        loop = asyncio.get_running_loop()
        port = await self._listeners.open(
            loop, lambda: HttpConnection(self), host, port, ssl=ssl_context, reuse_port=shared or None
        )
        self._sweep()
        return port

    async def stop(self) -> None:
        """Close the listener and every connection, and end the verbs still running. Idempotent."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._listeners.close()
        for connection in list(self.connections):
            connection.abort()
        for _ in range(10):  # a transport reports its end one or two turns of the loop after the abort
            if self.connections:
                await asyncio.sleep(0)
        current = asyncio.current_task()
        running = [task for task in self.tasks if task is not current]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _sweep(self) -> None:
        """Cut off every connection past its deadline, then come back; one timer serves all connections."""
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(self.limits.sweep_s, self._sweep)
        now = loop.time()
        for connection in list(self.connections):
            if connection.deadline is not None and now >= connection.deadline:
                connection.expire()


class HttpConnection(asyncio.Protocol):
    """One client: bytes in, requests in order, answers out."""

    def __init__(self, server: HttpServer) -> None:
        self.deadline: float | None = None
        """Loop time at which :meth:`expire` is due; None while a verb runs."""
        self._server = server
        self._limits = server.limits
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[Request | Response] = deque()
        self._busy = False
        self._stream: Stream | None = None
        """The answer that is being made while it is sent."""
        self._write_paused = False
        self._read_paused = False
        self._deaf = False
        """Set once no further request will be read: a refusal, `Connection: close` or an upgrade."""
        self._ended = False
        """Whether the client has closed its side."""
        self._closing = False
        self._in_message = False
        self._in_head = False
        self._message_bytes = 0
        self._reset_message()

    # ---- transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, or answer 503 when the server is full."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses of it
        full = len(self._server.connections) >= self._limits.connections
        self._server.connections.add(self)
        self._set_deadline(self._limits.idle_s)
        if full:
            self._refuse(503, "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client. A verb that is running goes on to its end; its answer is dropped."""
        self._server.connections.discard(self)
        self._transport = None
        if self._stream is not None:
            self._stream.cancel()
        self._queue.clear()
        self.deadline = None

    def data_received(self, data: bytes) -> None:
        """Parse in small steps and answer what is complete."""
        view = memoryview(data)
        for start in range(0, len(view), _SLICE):
            if self._deaf:
                break
            self._feed(view[start : start + _SLICE])
        self._pump()

    def eof_received(self) -> bool:
        """The client sends no more: answer what came whole, then close."""
        self._deaf = self._ended = True
        if self._stream is not None:
            # Nobody waits for it any more: what it runs is not run for nothing.
            self._stream.cancel()
            return False
        if not self._busy and not self._queue:
            return False
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        """The client does not read: stop answering, and start the clock."""
        self._write_paused = True
        if self._stream is not None:
            self._stream.pause()
        self._set_deadline(self._limits.write_s)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._write_paused = False
        self._set_deadline(self._limits.linger_s if self._closing else self._limits.idle_s)
        if self._stream is not None:
            self.deadline = None
            self._stream.resume()
        self._pump()

    # ---- parsing (called by httptools)

    def on_message_begin(self) -> None:
        """A request's first byte arrived."""
        self._reset_message()
        self._in_message = self._in_head = True
        if not self._busy:
            self._set_deadline(self._limits.request_s)

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which is dropped."""
        if self._in_head:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Refuse what cannot be served before its body is read."""
        self._in_head = False
        self._message_bytes = 0
        if self._parser.get_http_version() == "1.1" and "host" not in self._headers:
            self._refuse(400, "the Host header is missing")
        elif self._declared_length() > self._limits.body_bytes:
            self._refuse(413, f"the request body is larger than {self._limits.body_bytes} bytes")
        elif self._headers.get("expect", "").lower() == "100-continue" and not self._busy and not self._queue:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Queue the request; nothing is read after one that ends the connection."""
        self._in_message = False
        if self._deaf:
            return
        keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._deaf = not keep_alive
        try:
            url = httptools.parse_url(bytes(self._url))
            path, query = url.path or b"/", url.query or b""
        except httptools.HttpParserError:
            path = query = b""
        method = self._parser.get_method().decode("latin-1")
        self._queue.append(self._request(method, path.decode("latin-1"), query.decode("latin-1"), keep_alive))

    def _request(self, method: str, path: str, query: str, keep_alive: bool) -> Request:
        name: Any = self._transport.get_extra_info("peername") if self._transport is not None else None
        peer = (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else ("", 0)
        tls: Any = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        version = self._parser.get_http_version()
        return Request(method, path, self._headers, bytes(self._body), keep_alive, peer, tls, version, query)

    def _feed(self, piece: memoryview) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._deaf = True
        except httptools.HttpParserError:
            self._refuse(400, "not an HTTP/1.1 request")
        if self._in_message:
            self._message_bytes += len(piece)
            self._check_size()

    def _check_size(self) -> None:
        if self._in_head and self._message_bytes > self._limits.head_bytes:
            self._refuse(431, f"the request head is larger than {self._limits.head_bytes} bytes")
        elif not self._in_head and self._message_bytes > self._limits.body_bytes + _SLICE:
            self._refuse(413, f"the request body is larger than {self._limits.body_bytes} bytes")

    def _declared_length(self) -> int:
        text = self._headers.get("content-length", "0")
        return int(text) if text.isascii() and text.isdigit() else 0

    def _reset_message(self) -> None:
        self._url = bytearray()
        self._body = bytearray()
        self._headers: dict[str, str] = {}
        self._message_bytes = 0

    # ---- answering

    def _refuse(self, status: int, message: str) -> None:
        """Queue an error as this connection's last answer; a second refusal says nothing new."""
        if self._deaf:
            return
        self._deaf = True
        self._in_message = False
        self._queue.append(error_response(status, message, close=True))
        self._pump()

    def _pump(self) -> None:
        """Answer queued requests in order until one takes time or the client stops reading."""
        while self._queue and not self._busy and not self._write_paused and self._transport is not None:
            item = self._queue.popleft()
            if isinstance(item, Response):
                self._send(item, None)
            else:
                self._answer(item)
        if self._ended and not self._busy and not self._queue and not self._closing:
            self._finish(drain=False)
        self._throttle()

    def _answer(self, request: Request) -> None:
        try:
            result = self._server.handler(request)
        except Exception:
            log.exception("HTTP handler failed for %s %s", request.method, request.path)
            result = _internal_error()
        if isinstance(result, Response):
            self._send(result, request)
            return
        self._busy = True
        self.deadline = None
        if isinstance(result, Streaming):
            self._stream = Stream(self, request, self._streamed)
            running = self._stream.start(result)
            self._server.tasks.add(running)
            running.add_done_callback(self._server.tasks.discard)
            return
        task = asyncio.ensure_future(result)
        self._server.tasks.add(task)
        task.add_done_callback(lambda done: self._answered(request, done))

    def send_raw(self, data: bytes) -> None:
        """Bytes of an answer that is made while it is sent."""
        self._write(data)

    def send_response(self, response: Response, request: Request) -> None:
        """A whole answer after all."""
        self._send(response, request)

    def _streamed(self, goes_on: bool) -> None:
        """A streamed answer has ended; ``goes_on``: the connection can take another request."""
        self._stream = None
        self._busy = False
        self._server.requests += 1
        if self._closing or self._transport is None:
            return
        if goes_on:
            self._set_deadline(self._limits.request_s if self._in_message else self._limits.idle_s)
            self._pump()
        else:
            self._finish(drain=False)

    def _answered(self, request: Request, task: asyncio.Future[Response]) -> None:
        """A verb ended: its answer goes out, then those of the requests behind it."""
        self._server.tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("HTTP handler failed for %s %s", request.method, request.path, exc_info=error)
        self._busy = False
        self._send(_internal_error() if error is not None else task.result(), request)
        self._pump()

    def _send(self, response: Response, request: Request | None) -> None:
        """Write one answer; ``request`` is None for a refusal of something that was no request."""
        keep_alive = request is not None and request.keep_alive and not response.close
        head_only = request is not None and request.method == "HEAD"
        self._server.requests += 1
        self._set_deadline(self._limits.request_s if self._in_message else self._limits.idle_s)
        self._write(encode_response(response, head_only=head_only, keep_alive=keep_alive))
        if not keep_alive:
            self._finish(drain=request is None)

    def _finish(self, *, drain: bool) -> None:
        """Close after what was written has left; after a refusal first let the client finish talking."""
        self._deaf = self._closing = True
        self._queue.clear()
        self._set_deadline(self._limits.linger_s)
        if self._transport is None:
            return
        if drain and self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _throttle(self) -> None:
        """Stop reading while too many requests wait, and start again when they are answered."""
        if self._transport is None or self._transport.is_closing():
            return
        full = len(self._queue) >= self._limits.pipelined
        if full != self._read_paused:
            self._read_paused = full
            with contextlib.suppress(RuntimeError):
                (self._transport.pause_reading if full else self._transport.resume_reading)()

    # ---- deadlines

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = asyncio.get_running_loop().time() + seconds

    def expire(self) -> None:
        """The deadline passed: answer 408 where a request is half there, close, and reset whoever does not read."""
        if self._closing or self._write_paused:
            self.abort()
        elif self._in_message and not self._deaf:
            self._refuse(408, "the request took too long to arrive")
        else:
            self._finish(drain=False)

    def abort(self) -> None:
        """Close at once; unsent answers are lost."""
        if self._transport is not None:
            self._transport.abort()


def _internal_error() -> Response:
    return error_response(500, "internal error", hint="The node's log has the details.")
