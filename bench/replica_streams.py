"""What the stream of log entries carries: to a receiver in another process, in memory, and in one batch."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final

from helios_cli.replication import AsyncReplicator, ConsistencyManager, EntryReceiver, SocketSink, WalEntry
from helios_cli.replication.batches import BatchBuffer

WAIT_S: Final = 60.0
ROW: Final = b'{"id": %d, "name": "user %d", "email": "user%d@example.com", "balance": %d}'


def rows(count: int) -> list[WalEntry]:
    """Entries as an application writes them: one row each, about 90 bytes, each with its checksum."""
    return [
        WalEntry(lsn, lsn, 1.7e9, "INSERT", "users", ROW % (lsn, lsn, lsn, lsn * 7 % 1000)).sealed()
        for lsn in range(1, count + 1)
    ]


def _receive(pipe: Connection) -> None:
    """The other process: takes entries until it is told to end."""
    with EntryReceiver(lambda entries: None) as receiver:
        pipe.send(receiver.port)
        pipe.recv()


@contextmanager
def receiver_process() -> Iterator[int]:
    """A receiver of entries in a process of its own; gives its port."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_receive, args=(far,), daemon=True)
    process.start()
    try:
        if not near.poll(WAIT_S):
            raise RuntimeError("the receiver did not start")
        yield int(near.recv())
    finally:
        near.send(None)
        process.join(WAIT_S)
        process.close()


def throughput(count: int, *, batch: int, compress: bool) -> tuple[float, str]:
    """Entries a second from ``replicate_batch`` to the receiver's acknowledgement of the last."""
    entries = rows(count)
    with receiver_process() as port, AsyncReplicator("127.0.0.1:5432", 256 << 20, batch, compress) as replicator:
        sink = SocketSink("127.0.0.1", port, lambda lsn: replicator.acknowledge("receiver", lsn))
        replicator.register_replica("receiver", 0, sink)
        begun = time.perf_counter()
        for at in range(0, count, batch):
            replicator.replicate_batch(entries[at : at + batch])
        if not replicator.wait_acknowledged(WAIT_S):
            raise RuntimeError(f"not everything was acknowledged within {WAIT_S:.0f} s")
        seconds = time.perf_counter() - begun
        ratio = replicator.get_metrics().compression_ratio
    packed = f", {ratio:.1f}x smaller" if compress else ""
    how = f"in batches of {batch}" if batch > 1 else "one by one"
    return count / seconds, f"{count:,} rows {how} over TCP to another process{packed}"


def sessions(count: int) -> tuple[float, str]:
    """How many sessions are tracked at once, each with its own LSN, and how quick that is."""
    manager = ConsistencyManager()
    names = [f"session-{number}" for number in range(count)]
    begun = time.perf_counter()
    for number, name in enumerate(names):
        manager.record_write(name, number + 1)
    right = sum(manager.required_lsn(name) == number + 1 for number, name in enumerate(names))
    each_us = (time.perf_counter() - begun) / (2 * count) * 1e6
    return float(min(right, len(manager))), f"each with its own LSN; {each_us:.1f} us for one write or read"


def log_buffer(megabytes: int) -> tuple[float, str]:
    """Bytes held for those who lag, in MB, all of them read back."""
    data = os.urandom(1 << 20)
    buffer = BatchBuffer((megabytes + 2) << 20)
    lsn = 0
    while buffer.size < megabytes << 20:
        lsn += 1
        buffer.append([WalEntry(lsn, lsn, 0.0, "INSERT", "blobs", data).sealed()], compress=False)
    for index in range(lsn):
        (batch,) = buffer.get(index, 0)
        if batch.decode()[0].data != data:
            raise RuntimeError(f"batch {index} is not what was put in")
    return buffer.size / (1 << 20), f"{lsn:,} batches of 1 MB, each read back and compared"


def batch_size(count: int) -> tuple[float, str]:
    """Entries that travel as one batch."""
    with AsyncReplicator("127.0.0.1:5432", 256 << 20, count, True) as replicator:
        replicator.register_replica("replica", 0)
        replicator.replicate_batch(rows(count))
        return float(len(replicator.receive("replica"))), "rows of one batch, received as one"
