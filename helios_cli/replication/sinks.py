"""Where an :class:`AsyncReplicator` sends: over TCP to an :class:`EntryReceiver` in another process."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from helios_cli.engine.net.batchlink import BatchSender, BatchServer
from helios_cli.replication.batches import unpack
from helios_cli.replication.entries import WalEntry


class SocketSink:
    """Sends batches to an :class:`EntryReceiver`; what that acknowledges is passed on."""

    def __init__(
        self, host: str, port: int, on_acknowledged: Callable[[int], None], *, tls: ssl.SSLContext | None = None
    ) -> None:
        """Connects. ``on_acknowledged`` gets the LSN of the newest entry that has been taken.

        For a replicator: ``SocketSink(host, port, lambda lsn: replicator.acknowledge(address, lsn))``.

        Raises:
            CannotConnect: nobody there, or no receiver.
        """
        self._connect = partial(BatchSender, host, port, on_acknowledged, tls=tls)
        self._sender = self._connect()
        self._lock = threading.Lock()
        self._closed = False

    def send(self, bodies: Sequence[bytes]) -> None:
        """Send batches. Raises ConnectionLost."""
        self._sender.send(bodies)

    def check(self) -> None:
        """Raises ConnectionLost when the receiver has gone."""
        self._sender.check()

    def reopen(self) -> None:
        """Connect anew, once. Raises CannotConnect."""
        self._sender.close()
        sender = self._connect()
        with self._lock:
            self._sender = sender
            if self._closed:
                sender.close()

    def close(self) -> None:
        """End the connection. Idempotent."""
        with self._lock:
            self._closed = True
            self._sender.close()


class EntryReceiver:
    """Takes entries over TCP and acknowledges them. Senders of other machines are only taken over TLS."""

    def __init__(
        self,
        on_entries: Callable[[list[WalEntry]], None],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``on_entries`` gets each batch once it is whole and intact, on a thread of the receiver; batches of several
        senders one at a time. When it returns they are acknowledged; when it raises, the sender is let go.

        Raises:
            ConfigError: the address can be reached from other machines, and there is no ``tls``. OSError: it is taken.
        """
        self._on_entries = on_entries
        self._turn = threading.Lock()
        self.last_lsn = 0
        """Of the newest entry that was taken."""
        self._server = BatchServer(host, port, self._batch, tls=tls)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take nothing more; returns when the threads have ended. Idempotent."""
        self._server.close()

    def _batch(self, body: bytes) -> int:
        entries = unpack(body)
        with self._turn:
            self._on_entries(entries)
            if entries:
                self.last_lsn = entries[-1].lsn
        return entries[-1].lsn if entries else 0
