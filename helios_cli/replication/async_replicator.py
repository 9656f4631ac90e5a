"""Fanning a log out to replicas outside the page stream: packed once, sent to each at its own pace."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from helios_cli.engine.errors import HeliosError
from helios_cli.replication.batches import Batch, BatchBuffer, FellBehind
from helios_cli.replication.entries import WalEntry
from helios_cli.replication.errors import FellBehindBuffer, ReplicaRefused, ReplicationError, UnknownReplica

log = logging.getLogger(__name__)

BATCH_BYTES: int = 4 << 20
"""Data of the entries in one batch at most, whatever their number; a larger entry travels alone."""


SEND_BYTES: int = 256 << 10
"""Of batches that are waiting already, handed to a sink at once at most."""


RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
"""Between two attempts to reach a lost sink again: twice as long each time, up to this."""


class Sink(Protocol):
    """Where the batches of one replica go. One that can be reached anew has a method ``reopen`` too."""

    def send(self, bodies: Sequence[bytes]) -> None:
        """Deliver batches, in order; may wait. Raises HeliosError when the replica cannot be reached any more."""

    def close(self) -> None:
        """Nothing more will be sent."""


@runtime_checkable
class ReopenableSink(Sink, Protocol):
    """A sink whose replica acknowledges: after a loss it gets all that it has not acknowledged, some of it again."""

    def check(self) -> None:
        """Raise HeliosError when the replica has been lost while nothing was sent."""

    def reopen(self) -> None:
        """Reach the replica anew, once. Raises HeliosError when that fails."""


class ReplicaState(StrEnum):
    """How it goes with one replica."""

    POLLED = "polled"
    """It has no sink: it takes its entries with ``receive``."""
    SENDING = "sending"
    RECONNECTING = "reconnecting"
    """Its sink was lost, and is tried again."""
    LOST = "lost"
    """Nothing more is sent to it; it is to be registered again."""


@dataclass(frozen=True, slots=True)
class ReplicationMetrics:
    """What has been sent since the beginning."""

    total_entries_sent: int
    """Entries put on the stream, each counted once however many replicas there are."""
    total_bytes_sent: int
    """Bytes of the batches as they travel, each counted once."""
    total_batches_sent: int
    compression_ratio: float
    """Bytes before compression for each byte that travels; 1.0 without compression, and before the first entry."""
    deliveries: int
    """Batches that replicas have taken, over all of them."""
    buffer_bytes: int
    """Bytes held for those who lag."""
    replicas: int
    reconnections: int = 0
    """Sinks that were lost and reached again, over all replicas."""


class _Replica:
    def __init__(self, address: str, lsn: int, number: int, sink: Sink | None) -> None:
        self.address = address
        self.acknowledged = lsn
        self.begun = number
        """The first batch that it gets at all."""
        self.number = number
        """Of the batch that it gets next."""
        self.sink = sink
        self.state = ReplicaState.POLLED if sink is None else ReplicaState.SENDING
        self.error = ""
        self.gone = False
        self.turn = threading.Lock()
        self.thread: threading.Thread | None = None


class AsyncReplicator:
    """Takes entries without waiting for anybody. Any thread may call it.

    The standbys of a cluster need none of this: a primary streams its log to them by itself. This is for replicas of
    another kind, such as caches, search indexes or archives, fed from the log (:class:`WalStreamer`) or by hand. A
    replica with a sink is sent to by a thread of its own; one without takes its entries with :meth:`receive`.
    """

    def __init__(
        self,
        primary_address: str,
        buffer_size: int = 1 << 20,
        batch_size: int = 100,
        compression: bool = True,
        *,
        retries: int = 10,
    ) -> None:
        """``buffer_size`` bytes are held in all for replicas that lag; ``batch_size`` entries travel together.

        A lost sink that can be reached anew is tried ``retries`` times, over about half a minute; 0: not at all.
        """
        if batch_size < 1 or buffer_size < 1 or retries < 0:
            raise ReplicationError("buffer_size and batch_size must be at least 1, retries at least 0")
        self._retries = retries
        self.primary_address = primary_address
        self.batch_size = batch_size
        self.compression = compression
        self._buffer = BatchBuffer(buffer_size)
        self._lock = threading.Condition()
        self._replicas: dict[str, _Replica] = {}
        self._newest = 0
        self._entries = self._batches = self._bytes = self._raw_bytes = self._deliveries = 0
        self._reconnections = 0
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Replicas

    def register_replica(self, address: str, lsn: int = 0, sink: Sink | None = None) -> None:
        """A replica that has everything up to ``lsn``; what the buffer holds behind that is sent to it first.

        Raises:
            ReplicaRefused: the address is registered already.
        """
        replica = _Replica(address, lsn, self._buffer.behind(lsn), sink)
        with self._lock:
            if self._closed or address in self._replicas:
                raise ReplicaRefused(f"{address} is registered already" if not self._closed else "it is closed")
            self._replicas[address] = replica
            if sink is not None:
                name = f"replicate-{address}"
                replica.thread = threading.Thread(target=self._deliver, args=(replica, sink), name=name, daemon=True)
                replica.thread.start()

    def unregister_replica(self, address: str) -> None:
        """Send nothing more to it. Raises UnknownReplica."""
        replica = self._find(address)
        with self._lock:
            replica.gone = True
            self._replicas.pop(address, None)
            self._lock.notify_all()
        if replica.sink is not None:
            replica.sink.close()

    @property
    def replicas(self) -> tuple[str, ...]:
        """The addresses, in the order in which they were registered."""
        with self._lock:
            return tuple(self._replicas)

    def get_replica_error(self, address: str) -> str:
        """Why nothing is sent to a replica, for now or any more; empty while it is. Raises UnknownReplica."""
        return self._find(address).error

    def get_replica_state(self, address: str) -> ReplicaState:
        """How it goes with a replica. Raises UnknownReplica."""
        return self._find(address).state

    # The stream

    def replicate_batch(self, entries: Sequence[WalEntry]) -> None:
        """Put entries on the stream, in the order of their LSNs; none is no error. Never waits for a replica.

        Raises:
            ReplicationError: they do not rise, or begin before what was sent already.
        """
        if not entries:
            return
        with self._lock:
            newest = self._newest if self._entries else entries[0].lsn - 1
            for entry in entries:
                if entry.lsn <= newest:
                    raise ReplicationError(f"the entry at LSN {entry.lsn} does not come behind LSN {newest}")
                newest = entry.lsn
            for piece in self._pieces(entries):
                batch = self._buffer.append(piece, compress=self.compression)
                self._bytes += len(batch.body)
                self._raw_bytes += batch.raw_bytes
                self._batches += 1
            self._entries += len(entries)
            self._newest = newest

    def acknowledge(self, address: str, lsn: int) -> None:
        """A replica has everything up to ``lsn``; less than before changes nothing. Raises UnknownReplica."""
        replica = self._find(address)
        with self._lock:
            replica.acknowledged = max(replica.acknowledged, lsn)
            self._lock.notify_all()

    def wait_acknowledged(self, timeout_s: float) -> bool:
        """Wait until every replica has acknowledged all that was sent; False when one has not in time."""
        with self._lock:
            return self._lock.wait_for(
                lambda: all(one.acknowledged >= self._newest for one in self._replicas.values()), timeout_s
            )

    def receive(self, address: str, timeout_s: float | None = 0.0) -> list[WalEntry]:
        """The next batch for a replica without a sink; empty when none came in time. None waits as long as it takes.

        Raises:
            UnknownReplica: it is none. ReplicationError: it lags beyond the buffer, or has a sink.
        """
        replica = self._find(address)
        if replica.sink is not None:
            raise ReplicationError(f"{address} has a sink, which takes its entries")
        with replica.turn:
            batches = self._next(replica, timeout_s, 0)
        return [entry for batch in batches for entry in batch.decode()]

    # How it goes

    def get_replica_lag(self, address: str) -> int:
        """From what a replica has acknowledged to the newest entry, in LSNs. Raises UnknownReplica."""
        replica = self._find(address)
        with self._lock:
            return max(0, self._newest - replica.acknowledged)

    def get_metrics(self) -> ReplicationMetrics:
        """What has been sent since the beginning."""
        with self._lock:
            return ReplicationMetrics(
                self._entries,
                self._bytes,
                self._batches,
                self._raw_bytes / self._bytes if self._bytes else 1.0,
                self._deliveries,
                self._buffer.size,
                len(self._replicas),
                self._reconnections,
            )

    def close(self) -> None:
        """Stop sending; returns when the threads have ended. What was not delivered yet is not. Idempotent."""
        with self._lock:
            self._closed = True
            replicas = tuple(self._replicas.values())
            for replica in replicas:
                replica.gone = True
            self._lock.notify_all()
        self._buffer.close()
        for replica in replicas:
            if replica.sink is not None:
                replica.sink.close()
        for replica in replicas:
            if replica.thread is not None:
                replica.thread.join()

    # Inside

    def _find(self, address: str) -> _Replica:
        with self._lock:
            found = self._replicas.get(address)
        if found is None:
            raise UnknownReplica(f"{address} is not registered", hint="Call register_replica first.")
        return found

    def _pieces(self, entries: Sequence[WalEntry]) -> list[Sequence[WalEntry]]:
        """At most ``batch_size`` entries and BATCH_BYTES at a time."""
        pieces: list[Sequence[WalEntry]] = []
        begun = size = 0
        for at, entry in enumerate(entries):
            size += len(entry.data)
            if at - begun >= self.batch_size or (size > BATCH_BYTES and at > begun):
                pieces.append(entries[begun:at])
                begun, size = at, len(entry.data)
        pieces.append(entries[begun:])
        return pieces

    def _next(self, replica: _Replica, timeout_s: float | None, max_bytes: int) -> list[Batch]:
        try:
            batches = self._buffer.get(replica.number, timeout_s, max_bytes=max_bytes)
        except FellBehind:
            raise self._fell_behind(replica) from None
        replica.number += len(batches)
        with self._lock:
            self._deliveries += len(batches)
        return batches

    def _fell_behind(self, replica: _Replica) -> FellBehindBuffer:
        replica.error, replica.state = "it lags beyond the buffer", ReplicaState.LOST
        return FellBehindBuffer(
            f"{replica.address} lags beyond the buffer",
            hint="Bring it up to date by other means, and register it again; or raise buffer_size.",
        )

    def _deliver(self, replica: _Replica, sink: Sink) -> None:
        try:
            while not self._sent_all(replica, sink) and self._reopened(replica, sink):
                pass
        finally:
            sink.close()

    def _sent_all(self, replica: _Replica, sink: Sink) -> bool:
        """Send until nothing more is to be sent, or can be: True; or until the sink is lost, which may be reopened."""
        try:
            while not replica.gone:
                batches = self._next(replica, 0.5, SEND_BYTES)
                if batches:
                    sink.send([batch.body for batch in batches])
                elif self._closed:
                    break
                elif isinstance(sink, ReopenableSink):
                    sink.check()
        except FellBehindBuffer as error:
            self._give_up(replica, error.message)
        except HeliosError as error:
            replica.error = error.message
            if isinstance(sink, ReopenableSink) and self._retries:
                return False
            self._give_up(replica, error.message)
        return True

    def _reopened(self, replica: _Replica, sink: Sink) -> bool:
        """Reach a lost sink anew, and begin behind what its replica has acknowledged; False when that is over."""
        assert isinstance(sink, ReopenableSink)
        replica.state = ReplicaState.RECONNECTING
        log.warning("the connection with %s is lost, and made again: %s", replica.address, replica.error)
        for attempt in range(self._retries):
            with self._lock:
                pause_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2**attempt)
                if self._lock.wait_for(lambda: replica.gone, pause_s):
                    return False
            try:
                sink.reopen()
                with self._lock:
                    acknowledged = replica.acknowledged
                replica.number = self._buffer.resume(acknowledged, replica.begun)
            except FellBehind:
                self._give_up(replica, self._fell_behind(replica).message)
                return False
            except HeliosError as error:
                replica.error = error.message
                continue
            replica.error, replica.state = "", ReplicaState.SENDING
            with self._lock:
                self._reconnections += 1
            return True
        self._give_up(replica, replica.error)
        return False

    def _give_up(self, replica: _Replica, why: str) -> None:
        if not replica.gone:
            replica.error = replica.error or why
            replica.state = ReplicaState.LOST
            log.warning("nothing more is sent to %s: %s", replica.address, why)
