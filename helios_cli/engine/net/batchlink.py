"""Batches of bytes from one process to another over TCP, each acknowledged by a number; blocking.

A connection begins with a preface of eight bytes each way. Then frames go to the receiver and acknowledgements come
back: a frame is its length and its CRC-32C (two little-endian u32) and its bytes, an acknowledgement a u64, which may
stand for several frames.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from google_crc32c import value as crc32c

from helios_cli.engine.errors import ConfigError, HeliosError, ProtocolViolation
from helios_cli.engine.net.pgclient import CannotConnect, ConnectionLost

log = logging.getLogger(__name__)

PREFACE: Final = b"HELBAT\x01\x01"
FRAME_MAX: Final = 16 << 20
CONNECT_S: Final = 10.0
READ_BYTES: Final = 1 << 20
CONNECTIONS_MAX: Final = 256

_HEAD: Final = struct.Struct("<II")
_ACK: Final = struct.Struct("<Q")


class BatchSender:
    """The sending end. One thread sends; acknowledgements arrive on a thread of its own."""

    def __init__(
        self, host: str, port: int, on_acknowledged: Callable[[int], None], *, tls: ssl.SSLContext | None = None
    ) -> None:
        """Connects. ``on_acknowledged`` gets each number; ``tls`` speaks TLS and says whom to trust.

        Raises:
            CannotConnect: nobody there, or none that takes batches.
        """
        self._on_acknowledged = on_acknowledged
        try:
            self._sock = socket.create_connection((host, port), CONNECT_S)
        except OSError as error:
            raise CannotConnect(f"connection to {host}:{port} failed: {error}") from error
        try:
            if tls is not None:
                self._sock = tls.wrap_socket(self._sock, server_hostname=host)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.sendall(PREFACE)
            if _take(self._sock, len(PREFACE)) != PREFACE:
                raise ProtocolViolation("no receiver of batches")
        except (OSError, HeliosError) as error:
            self._sock.close()
            raise CannotConnect(f"connection to {host}:{port} failed: {error}") from error
        self._sock.settimeout(None)
        self._thread = threading.Thread(target=self._listen, name=f"acknowledged-by-{host}:{port}", daemon=True)
        self._thread.start()

    def send(self, bodies: Sequence[bytes]) -> None:
        """Send batches; waits while the receiver does not keep up.

        Raises:
            ConnectionLost: it is gone. ValueError: a batch is longer than FRAME_MAX.
        """
        pieces: list[bytes] = []
        for body in bodies:
            if len(body) > FRAME_MAX:
                raise ValueError(f"a batch of {len(body)} bytes is longer than {FRAME_MAX}")
            pieces.append(_HEAD.pack(len(body), crc32c(body)))
            pieces.append(body)
        try:
            self._sock.sendall(b"".join(pieces))
        except OSError as error:
            raise ConnectionLost(f"the receiver is gone: {error}") from error

    def check(self) -> None:
        """Raises ConnectionLost when the receiver has ended the connection."""
        if not self._thread.is_alive():
            raise ConnectionLost("the receiver is gone")

    def close(self) -> None:
        """End the connection; a send that waits is given up. Idempotent."""
        _shut(self._sock)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _listen(self) -> None:
        with contextlib.suppress(OSError, HeliosError):
            while True:
                self._on_acknowledged(_ACK.unpack(_take(self._sock, _ACK.size))[0])
        _shut(self._sock)


class BatchServer:
    """The receiving end: takes connections, each on a thread of its own."""

    def __init__(
        self,
        host: str,
        port: int,
        on_batch: Callable[[bytes], int],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Listens; port 0 takes a free one. ``on_batch`` gives the number to acknowledge; when it raises, the
        connection ends.

        Raises:
            ConfigError: the address is not of this machine alone, and there is no ``tls`` to tell senders by.
            OSError: the address is taken.
        """
        if tls is None and not _is_loopback(host):
            raise ConfigError(f"{host} can be reached from other machines", hint="Give a TLS context that checks them.")
        self._on_batch = on_batch
        self._tls = tls
        self._listener = socket.create_server((host, port), family=_family(host), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="batch-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every connection; returns when the threads have ended. Idempotent."""
        with self._lock:
            self._closed = True
            threads = tuple(self._open)
            for sock in self._open.values():
                _shut(sock)
        _shut(self._listener)
        for thread in (self._thread, *threads):
            if thread is not threading.current_thread():
                thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed or len(self._open) >= CONNECTIONS_MAX:
                    _shut(sock)
                    continue
                thread = threading.Thread(target=self._serve, args=(sock,), name="batch-receiver", daemon=True)
                self._open[thread] = sock
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(CONNECT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._open[threading.current_thread()] = sock
            if _take(sock, len(PREFACE)) != PREFACE:
                return
            sock.sendall(PREFACE)
            sock.settimeout(None)
            buffer = bytearray()
            while True:
                piece = sock.recv(READ_BYTES)
                if not piece:
                    return
                buffer += piece
                number = None
                for body in _frames(buffer):
                    number = self._on_batch(body)
                if number is not None:
                    sock.sendall(_ACK.pack(number))
        except (OSError, ConnectionLost) as error:
            log.debug("a sender of batches has left: %s", error)
        except HeliosError as error:
            log.warning("a sender of batches is let go: %s", error.message)
        except Exception:
            log.exception("batches could not be taken")
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)
            _shut(sock)


def _frames(buffer: bytearray) -> Iterator[bytes]:
    """The whole frames at the beginning of a buffer, which they leave. Raises ProtocolViolation."""
    at = 0
    try:
        while len(buffer) - at >= _HEAD.size:
            length, checksum = _HEAD.unpack_from(buffer, at)
            if length > FRAME_MAX:
                raise ProtocolViolation("damaged frame: longer than any batch")
            end = at + _HEAD.size + length
            if end > len(buffer):
                return
            body = bytes(memoryview(buffer)[at + _HEAD.size : end])
            if crc32c(body) != checksum:
                raise ProtocolViolation("damaged frame: its checksum is wrong")
            at = end
            yield body
    finally:
        del buffer[:at]


def _take(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes. Raises ConnectionLost at the end of the stream."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(1 << 20, size - len(data)))
        if not piece:
            raise ConnectionLost("the other side has closed the connection")
        data += piece
    return bytes(data)


def _shut(sock: socket.socket) -> None:
    """Close a socket that another thread may wait on."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
