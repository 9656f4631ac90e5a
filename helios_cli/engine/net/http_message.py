"""HTTP/1.1 requests and responses as values, and the bytes of a response.

Nothing here knows a socket or a route; :mod:`.http` moves the bytes and :mod:`.http_routes` decides the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one server accepts; a client beyond a limit is answered and cut off. Times in seconds, sizes in bytes."""

    head_bytes: int = 16_384
    """Request line and headers together; beyond it 431. Counted in steps of 4 KiB."""
    body_bytes: int = 1_048_576
    """Request body as sent, chunk framing included; beyond it 413."""
    connections: int = 256
    """Open connections; the next one is answered 503."""
    pipelined: int = 32
    """Requests parsed ahead of their answers; at the limit the socket is no longer read."""
    request_s: float = 10.0
    """From a request's first byte to its last; a slower client gets 408."""
    idle_s: float = 60.0
    """Between an answer and the next request's first byte."""
    write_s: float = 10.0
    """How long a client may leave an answer unread once the send buffer is full."""
    linger_s: float = 2.0
    """After a refusal, how long unread input is drained so that the answer is not lost to a reset."""
    sweep_s: float = 0.25
    """How often deadlines are looked at: the resolution of all times above."""


@dataclass(frozen=True, slots=True)
class Request:
    """One complete request. Header names are lower case; of a repeated header the last value counts."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool
    peer: tuple[str, int] = ("", 0)
    """Address and port of the client."""
    tls: Any = None
    """The ``ssl.SSLObject`` of its connection; None in the clear."""
    version: str = "1.1"
    """HTTP's: 1.0 knows no chunks."""
    query: str = ""
    """Behind the ``?`` of the target, as it came."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; ``headers`` are those beyond type, length and connection."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False
    """Whether the connection ends after this answer whatever the client asked for."""


class Outlet(Protocol):
    """Where a long answer goes, piece by piece: either :meth:`respond`, or :meth:`begin` and :meth:`write`."""

    def begin(self, status: int, content_type: str) -> None:
        """The head; a body of unknown length follows."""

    async def write(self, data: bytes) -> None:
        """A piece of the body; comes back when the client has room for more."""

    def respond(self, response: Response) -> None:
        """The whole answer."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """An answer that is made while it is sent. ``run`` is cancelled when the client goes away.

    When it raises, or comes back without an answer, the client gets a 500, or a cut connection behind :meth:`begin`.
    """

    run: Callable[[Outlet], Coroutine[Any, Any, None]]


def json_response(status: int, value: object, **headers: str) -> Response:
    """An answer holding ``value`` as JSON; keyword names become header names, ``_`` standing for ``-``."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, msgspec.json.encode(value) + b"\n", headers=named)


def error_response(status: int, message: str, *, hint: str | None = None, close: bool = False) -> Response:
    """A refusal as JSON: ``error`` and, when there is one, ``hint``."""
    value = {"error": message} if hint is None else {"error": message, "hint": hint}
    return Response(status, msgspec.json.encode(value) + b"\n", close=close)


def streamed_head(status: int, content_type: str, *, chunked: bool, keep_alive: bool) -> bytes:
    """The head of an answer whose length is not known: in chunks, or up to the end of the connection."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {content_type}",
        f"Connection: {'keep-alive' if keep_alive and chunked else 'close'}",
        "Cache-Control: no-store",
        *(["Transfer-Encoding: chunked"] if chunked else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112, 7.1); the empty one ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def encode_response(response: Response, *, head_only: bool, keep_alive: bool) -> bytes:
    """The bytes of an answer; ``head_only`` leaves the body out but states its length, as HEAD demands."""
    lines = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
        "Cache-Control: no-store",
    ]
    lines += [f"{name}: {text}" for name, text in response.headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head if head_only else head + response.body
