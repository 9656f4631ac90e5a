"""Following a running primary's log over the native protocol, as a reader that is no member of the cluster."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.history import History
from helios_cli.engine.log.record import Kind as RecordKind
from helios_cli.engine.log.record import decode_header, peek_length, peek_lsn
from helios_cli.engine.node.peer_link import Identity
from helios_cli.engine.node.peer_tls import NO_TLS, PeerTls
from helios_cli.engine.node.receiver import WalReceiver
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import Kind
from helios_cli.replication.config import Endpoint
from helios_cli.replication.entries import RecordDecoder, WalEntry
from helios_cli.replication.errors import ReplicationError

log = logging.getLogger(__name__)

_KIND_AT: Final = 5
"""Where a record's header has its kind."""


class LogForked(ReplicationError):
    """Records that were handed on are not in the log any more: the cluster went on from before them."""

    sqlstate = "NH006"


class LogFollower:
    """The receiving end of a stream: hands on whole records once they are committed, and acknowledges all it gets.

    It says of itself that it has no data directory, so the cluster neither counts its copies nor asks for its vote.
    Used on one event loop: pass it to :class:`WalReceiver`.
    """

    def __init__(self, name: str, on_committed: Callable[[bytes], None], *, secret: bytes = b"") -> None:
        """``on_committed`` gets whole records, without a gap; ``name`` is how the primary lists the follower."""
        self.name = name
        self.received = 0
        """Bytes of records."""
        self.records_received = 0
        self.upstream_end = Lsn(0)
        """Where the log that is followed ends, as last heard."""
        self.committed_lsn = Lsn(0)
        self.end: Lsn | None = None
        """Behind the last record received; None before the first connection."""
        self.connected = False
        self.receiver: WalReceiver | None = None
        """What acknowledgements go out through."""
        self.on_failed: Callable[[LogForked], None] = lambda error: None
        """Called when following again cannot help."""
        self._on_committed = on_committed
        self._secret = secret
        self._term = Term(0)
        self._history = History()
        self._handed_on = Lsn(0)
        self._waiting: deque[tuple[Lsn, bytes]] = deque()
        """Received and not committed yet, each with the LSN behind it."""
        self._cluster_id = ""
        self._sent_us = self._echo_us = 0
        self._acknowledging = False

    # What it says ----------------------------------------------------------------------------------------------------

    def term(self) -> Term:
        """The newest term it has heard of."""
        return self._term

    def identity(self) -> Identity:
        """A reader of the log; without an incarnation, which is what a data directory has."""
        return Identity(self.name, self._cluster_id, "", "receiver", "async", "", 0, 0, 0)

    def secret(self) -> bytes:
        """The cluster's secret; empty when it was given none."""
        return self._secret

    def log_end(self) -> tuple[History, Lsn]:
        """The terms of what it has received, and what it wants next."""
        return self._history, self.end or Lsn(0)

    # What it hears ---------------------------------------------------------------------------------------------------

    def joined(self, welcome: messages.Welcome, term: Term) -> None:
        """Somebody answered. Raises ReplicationError when it is another cluster than before."""
        if self._cluster_id and welcome.cluster_id != self._cluster_id:
            raise ReplicationError(f"node {welcome.node_id} belongs to another cluster")
        self._cluster_id = welcome.cluster_id
        self._term = max(self._term, term)
        self.upstream_end = Lsn(welcome.end_lsn)
        if self.end is None:
            # Where the log begins there; the answer to a position without a history brings the history.
            self.end = self._handed_on = Lsn(welcome.start_lsn)
        self.connected = True

    def records(self, data: bytes, term: Term) -> None:
        """Whole records that continue the log."""
        self._term = max(self._term, term)
        at, length = 0, len(data)
        while at < length:
            if data[at + _KIND_AT] == RecordKind.TERM_START:
                header = decode_header(data, at)
                self._history = self._history.followed_by(header.term, header.lsn)
            at += peek_length(data, at)
            self.records_received += 1
        self.end = Lsn(peek_lsn(data) + length)
        self.received += length
        self._waiting.append((self.end, data))
        self._acknowledge(0)

    def committed(self, lsn: Lsn, end: Lsn, sent_us: int) -> None:
        """Everything up to ``lsn`` is committed."""
        self.committed_lsn, self.upstream_end = lsn, end
        self._sent_us = sent_us
        while self._waiting and self._waiting[0][0] <= lsn:
            self._handed_on, data = self._waiting.popleft()
            self._on_committed(data)

    def heartbeat(self, _lease_ms: int | None) -> None:
        """The other side wants to hear how far this one is."""
        self._acknowledge(self._sent_us)

    def queued_bytes(self) -> int:
        """Nothing waits for a disk here."""
        return 0

    def must_rewind(self, fork: Lsn, history: History) -> None:
        """The log went on from ``fork``; always raises, and the next connection goes on from there.

        Raises:
            LogForked: something behind it was handed on already.
        """
        first = not self._history.starts
        self._history = history if first else history.cut_at(fork)
        if not first:
            if fork < self._handed_on:
                raise LogForked(f"the log has another course from LSN {fork} on, and {self._handed_on} was read")
            self._waiting.clear()
            self.end = self._handed_on
        raise ReplicationError("following again with the history of the log")

    def must_reseed(self, reason: str) -> None:
        """What comes next is gone there. Raises LogForked."""
        raise LogForked(f"the log does not reach back to where it was read to: {reason}")

    def take_over(self, body: bytes) -> None:
        """A reader cannot lead. Raises ReplicationError."""
        raise ReplicationError("a reader of the log cannot become the primary")

    def lost(self, error: BaseException | None) -> None:
        """The connection has ended."""
        self.connected = False
        if isinstance(error, LogForked):
            self.on_failed(error)

    def unexpected(self, error: BaseException) -> HeliosError:
        """An error that nobody foresaw ended the connection, in what takes the records perhaps."""
        log.error("internal error: %s", error, exc_info=error)
        return HeliosError(f"internal error: {type(error).__name__}: {error}")

    def _acknowledge(self, echo_us: int) -> None:
        """Say how far it is, once for all that came in this turn of the loop."""
        self._echo_us = echo_us or self._echo_us
        if self.receiver is not None and not self._acknowledging:
            self._acknowledging = True
            asyncio.get_running_loop().call_soon(self._send_acknowledgement)

    def _send_acknowledgement(self) -> None:
        self._acknowledging = False
        link = self.receiver.link if self.receiver is not None else None
        if link is not None and self.end is not None:
            body = messages.Acknowledge(self.end, self.end, self.end, self._echo_us, 0).to_body()
            link.send(Kind.ACKNOWLEDGE, body, compress=False)
        self._echo_us = 0


class LogFeed:
    """A thread that follows a primary's log and hands on its entries as they are committed."""

    def __init__(
        self,
        where: Endpoint,
        name: str,
        on_entries: Callable[[list[WalEntry]], None],
        *,
        secret: bytes = b"",
        tls: PeerTls = NO_TLS,
    ) -> None:
        """``where`` is a native port. ``on_entries`` runs on the feed's thread and must be quick.

        The primary keeps no log for it: a feed that was away for longer than the log reaches back ends with LogForked.
        """
        self.where = where
        self.error: BaseException | None = None
        """Why the feed has ended by itself; None while it runs, or was stopped."""
        self._tls = tls
        self._decoder = RecordDecoder()
        self._on_entries = on_entries
        self._follower = LogFollower(name, self._records, secret=secret)
        self._follower.on_failed = self._failed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def follower(self) -> LogFollower:
        """How far it is."""
        return self._follower

    def start(self) -> None:
        """Begin; returns at once, connected or not."""
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """End it; returns when the thread has ended. Idempotent."""
        loop, task = self._loop, self._task
        if loop is not None and task is not None and self._thread.is_alive():
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:
                log.debug("the feed has ended by itself")
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._failed(error)
        finally:
            self._started.set()

    async def _follow(self) -> None:
        self._loop = asyncio.get_running_loop()
        receiver = WalReceiver(self._follower, self._loop, lambda: [self.where], lambda: self._tls)
        self._follower.receiver = receiver
        self._task = self._loop.create_task(receiver.run())
        self._started.set()
        await self._task

    def _records(self, data: bytes) -> None:
        try:
            self._on_entries(list(self._decoder.feed(data)))
        except Exception as error:
            self._failed(error)
            raise

    def _failed(self, error: BaseException) -> None:
        self.error = error
        message = error.message if isinstance(error, HeliosError) else repr(error)
        log.error("the log is not followed any more: %s", message)
        if self._task is not None:
            self._task.cancel()
