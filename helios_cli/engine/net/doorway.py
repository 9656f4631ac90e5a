"""A PostgreSQL connection from accept to a session: SSLRequest, startup packet, authentication messages, cancel.

Nothing is believed before authentication: one message at a time, small limits, a deadline, and no second startup
packet. Bytes that came in the clear behind an SSLRequest end the connection (CVE-2021-23214).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.net.tls_files import ServerTls
from helios_cli.engine.wire import backend, startup

log = logging.getLogger(__name__)

WRITE_HIGH_WATER: Final = 512 * 1024
UNSENT_MAX: Final = 128 * 1024
"""Bytes that the kernel keeps for a client beyond what its window lets it send. Without a limit a client that reads
nothing of a large result makes the server prepare 4 MB for it, in the kernel's memory."""
_TCP_NOTSENT_LOWAT: Final = 25
"""Linux's number (linux/tcp.h); Python names it from 3.12 on."""


class Doorway(asyncio.Protocol):
    """One TCP connection until it has a session; who derives from it decides who may have one.

    ``finished`` ends its part: from then on the transport's protocol is another one's. While it is :meth:`held`
    nothing is read and nothing is taken out of what has been.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, seconds: float) -> None:
        """``seconds`` is how long a client may take to log in."""
        self.loop = loop
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.finished = False
        self.tls: ServerTls | None = None
        """What the connection was made TLS with; None in the clear."""
        self.parameters: dict[str, str] = {}
        """Of the startup packet; empty before it."""
        self._buffer = b""
        self._held = False
        self._negotiation = startup.Negotiation()
        self._seconds = seconds
        self._deadline: asyncio.TimerHandle | None = None

    # What a deriving class does --------------------------------------------------------------------------------------

    def offered_tls(self) -> ServerTls | None:
        """What to make this connection TLS with when it asks for that; None: not at all."""
        raise NotImplementedError

    def start(self, request: startup.Startup) -> None:
        """A startup packet has come, the only one. Raises HeliosError to refuse the client."""
        raise NotImplementedError

    def authentication(self, data: bytes, end: int) -> None:
        """A whole message ``p`` lies in ``data`` before ``end``, its body from 5 on. Raises HeliosError to refuse."""
        raise NotImplementedError

    def cancel(self, request: startup.Cancel) -> None:
        """A CancelRequest has come; the connection is closed without an answer."""
        raise NotImplementedError

    def background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end."""
        raise NotImplementedError

    def unexpected(self, error: Exception) -> HeliosError:
        """What to tell a client when we have failed."""
        raise NotImplementedError

    def delay_s(self) -> float:
        """Time to let pass before the client hears that it is refused."""
        return 0.0

    # asyncio.Protocol ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sys.platform == "linux":
            with suppress(OSError):  # a Unix socket has no window
                sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT_MAX)
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._seconds, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Bytes before there is a session."""
        self._buffer += data
        self.proceed(lambda: None)

    def eof_received(self) -> bool:
        """The client will send no more: close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, with or without a session."""
        self._stop_deadline()

    # Steps -----------------------------------------------------------------------------------------------------------

    def proceed(self, first: Callable[[], None]) -> None:
        """Do ``first``, then handle what has been received; what either raises is told to the client."""
        try:
            first()
            while self._buffer and not (self.finished or self._held) and self._step():
                pass
        except startup.UnreadableStartup as error:
            log.info("%s: %s", self.address()[0], error)
            self._buffer = b""
            self.transport.close()
        except HeliosError as error:
            self._refuse_late(error)
        except Exception as error:
            self._refuse(self.unexpected(error))

    def hold(self) -> None:
        """Read no more from the client until :meth:`resume`."""
        self._held = True
        self.transport.pause_reading()

    def resume(self, following: Callable[[], None]) -> None:
        """Go on where :meth:`hold` stopped, with ``following`` before all that was received meanwhile."""
        if self.transport.is_closing():
            return
        self._held = False
        self.transport.resume_reading()
        self.proceed(following)

    def finish(self) -> bytes:
        """The client has a session; gives what it has sent behind its last message."""
        self.finished = True
        self._stop_deadline()
        rest, self._buffer = self._buffer, b""
        return rest

    def address(self) -> tuple[str, int]:
        """Host and port of the client; empty for one that has none."""
        return socket_address(self.transport.get_extra_info("peername"))

    def ssl_object(self) -> ssl.SSLObject | None:
        """The connection's TLS, None in the clear."""
        found: ssl.SSLObject | None = self.transport.get_extra_info("ssl_object") if self.tls is not None else None
        return found

    def _step(self) -> bool:
        """Handle one packet of the buffer; False when it is not complete."""
        if self.parameters:
            return self._authentication_message()
        length = startup.startup_length(self._buffer)
        if length is None or len(self._buffer) < length:
            return False
        packet, self._buffer = self._buffer[:length], self._buffer[length:]
        request = self._negotiation.take(packet, more_buffered=bool(self._buffer))
        if isinstance(request, startup.Cancel):
            self._buffer = b""
            self.cancel(request)
            self.transport.close()
            return False
        if request is startup.Request.GSSENC:
            self.transport.write(backend.SSL_NO)
            return True
        if isinstance(request, startup.Request):
            return self._ssl_requested()
        if request.needs_negotiation:
            self.transport.write(backend.negotiate_protocol_version(request.unknown_options))
        self.parameters = request.parameters
        self.start(request)
        return True

    def _ssl_requested(self) -> bool:
        if self.tls is not None:
            raise ProtocolViolation("the connection is encrypted already")
        tls = self.offered_tls()
        if tls is None:
            self.transport.write(backend.SSL_NO)
            return True
        self.transport.write(backend.SSL_YES)
        self._held = True
        self.background(self._start_tls(tls))
        return False

    async def _start_tls(self, tls: ServerTls) -> None:
        try:
            transport = await self.loop.start_tls(self.transport, self, tls.context, server_side=True)
        except (OSError, ssl.SSLError, asyncio.CancelledError) as error:
            log.info("TLS handshake with %s failed: %s", self.address()[0] or "a client", error)
            self.transport.abort()
            return
        if transport is None:
            return
        self.tls = tls
        self._held = False
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

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
        self.authentication(data, end)
        return True

    # Ends ------------------------------------------------------------------------------------------------------------

    def _too_slow(self) -> None:
        self._deadline = None
        if not self.finished:
            log.info("a client took longer than %g s to log in", self._seconds)
            self.transport.abort()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse_late(self, error: HeliosError) -> None:
        """A client that has failed to prove itself hears of it after a while, and nothing else meanwhile."""
        delay = self.delay_s()
        if not delay:
            self._refuse(error)
            return
        self._buffer = b""
        if not self.transport.is_closing():
            self.hold()
            self.loop.call_later(delay, self._refuse, error)

    def _refuse(self, error: HeliosError) -> None:
        error.severity = "FATAL"
        self._buffer = b""
        if not self.transport.is_closing():
            self.transport.write(backend.error_response(error))
            self.transport.close()


def socket_address(name: Any) -> tuple[str, int]:
    """Host and port of a socket's name; empty for one that has none."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else ("", 0)
