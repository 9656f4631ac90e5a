"""Giving another node a copy of the database while writes and checkpoints go on here.

The copy is fuzzy: pages are read from the database file in any order, through the one descriptor that may be closed
without taking SQLite's locks away, while checkpoints write it. The log from the checkpoint at which the copy began up
to what is committed at its end makes it whole: records hold whole pages, and every page that a checkpoint wrote
meanwhile is in one of them. The log is held back that far, and nothing else is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.record import Flags
from helios_cli.engine.node.peer_link import PeerLink, PeerRefused
from helios_cli.engine.replication import copying, messages
from helios_cli.engine.types import PAGE_SIZE, Lsn
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import Kind, PeerProtocolError

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

log = logging.getLogger(__name__)

HELD_S: Final = 60.0
"""How long the log is held for a copy whose connection was cut: it may come back and go on."""

HELD_POLL_S: Final = 0.5
ROOM_S: Final = 30.0
"""How long a copy waits for the other node to take what was sent."""

ROOM_POLL_S: Final = 1.0
"""How soon it is noticed that the other node has gone meanwhile."""

CHECKPOINT_S: Final = 2.0
"""How long a copy waits for a new checkpoint to begin at: shorter than the other node waits for its first word."""

TABLE_TRIES: Final = 10
_IN_CHAIN: Final = Flags.CHAIN_START | Flags.CHAIN_PART | Flags.CHAIN_END
COPIES_MAX: Final = 4
"""Copies given at a time; whoever asks beyond comes again later."""


async def give_copy(node: Node, link: PeerLink, hello: messages.Hello) -> None:
    """Serve one copy over ``link``, then the log that belongs to it.

    Raises:
        PeerRefused: not now; it may be asked again.
        PeerProtocolError, TimeoutError: the other node keeps to no protocol.
    """
    held = node.checkpointer.base_copies
    name = hello.node_id
    if name not in held and len(held) >= COPIES_MAX:
        raise PeerRefused("this node gives as many copies as it can", sqlstate="53300")
    held[name] = min(held.get(name, node.checkpointer.checkpoint_lsn), node.checkpointer.checkpoint_lsn)
    node.event("copy_begun", f"node {name} copies the database", node=name)
    if node.replication.leading is not None and not hello.incarnation:
        # Else it only compares its pages, and keeps what it has.
        node.replication.leading.copies(name)
    redo_to = Lsn(0)
    try:
        redo_to = await _give(node, link, hello)
        node.event("copy_given", f"node {name} has the pages, and needs the log up to {redo_to}", node=name)
    finally:
        _Hold(node, name, redo_to).look()


async def _give(node: Node, link: PeerLink, hello: messages.Hello) -> Lsn:
    checkpointer = node.checkpointer
    # What is in the database file need not be redone by whoever copies it. A writer that holds the checkpoint up, as a
    # long COPY does, does not hold up the copy: then it begins at the checkpoint before.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CHECKPOINT_S):
            await checkpointer.request()
    checkpoint, table = await node.engine.read_workers.call(lambda: _table(node))
    start = _start(node, hello.node_id, checkpoint)
    config_end, config = node.store.configs.before(start) or (Lsn(0), None)
    text = config.to_bytes().decode() if config is not None else ""
    snapshot = copying.Snapshot(start, table.pages, node.store.timeline.history, checkpoint, text, config_end)
    link.send(Kind.SNAPSHOT, snapshot.to_body())
    for encoded in _hashes(node, table):
        link.write(await node.engine.read_workers.call(encoded))
        await _room(link)
    while True:
        frame = await link.receive(Kind.WANT_PAGES, Kind.SNAPSHOT_END)
        if frame.kind is Kind.SNAPSHOT_END:
            break
        numbers = copying.read_want(frame.body)
        link.write(await node.engine.read_workers.call(lambda numbers=numbers: pages_frame(node, numbers)))  # type: ignore[misc]
    # A checkpoint writes what is committed and nothing else, and all that was read was written before now.
    redo_to = node.pipeline.committed_lsn
    link.send(Kind.SNAPSHOT_END, copying.end_body(redo_to), compress=False)
    node.replication.replicator.follow(link, hello, await link.receive(Kind.FOLLOW))
    return redo_to


def _table(node: Node) -> tuple[Lsn, ChecksumTable]:
    """The newest checkpoint and the checksums of the file at it; on a worker thread, beside checkpoints."""
    control = node.store.control
    for _ in range(TABLE_TRIES):
        record = control.record
        table = control.load_checksums()
        if table is not None and control.record is record:
            return record.checkpoint_lsn, table
    raise PeerRefused("the checksums of the last checkpoint cannot be read", sqlstate="XX001")


def _hashes(node: Node, table: ChecksumTable) -> Iterator[Callable[[], bytes]]:
    """The HASHES frames, 8 bytes a page; each is to be made on a worker thread."""
    for first in range(1, table.pages + 1, copying.HASHES_MAX):
        yield partial(_hashes_frame, node, table, first)


def _hashes_frame(node: Node, table: ChecksumTable, first: int) -> bytes:
    body = copying.hashes_body(first, table.some_hashes(first, copying.HASHES_MAX))
    return peer.encode_frame(Kind.HASHES, node.replication.term(), body)


async def _room(link: PeerLink) -> None:
    """Wait until the other node has taken most of what was sent: a large table of hashes is not kept in memory for it.

    Raises:
        PeerProtocolError: it has gone, or takes nothing.
    """
    room = asyncio.Event()
    link.on_room = room.set
    try:
        async with asyncio.timeout(ROOM_S):
            while not link.writable and not link.closed:
                room.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ROOM_POLL_S):
                        await room.wait()
    except TimeoutError:
        raise PeerProtocolError(f"the node that copies has taken nothing for {ROOM_S:.0f} s") from None
    if link.closed:
        raise PeerProtocolError("the node that copies has gone")


def pages_frame(node: Node, numbers: tuple[int, ...]) -> bytes:
    """A PAGES frame, made on a worker thread."""
    pages = []
    for number in numbers:
        image = node.checkpointer.read_file(PAGE_SIZE, (number - 1) * PAGE_SIZE)
        if len(image) == PAGE_SIZE:
            pages.append((number, image))
    return peer.encode_frame(Kind.PAGES, node.replication.term(), copying.pages_body(pages))


def _start(node: Node, name: str, checkpoint: Lsn) -> Lsn:
    """Where the log of the copy begins, and is held from: it must have a record, or it could not be continued."""
    held = node.checkpointer.base_copies
    if node.pipeline.committed_lsn < checkpoint:
        # Where two logs parted: pages that may be taken back, which no copy would be proved against.
        raise PeerRefused("what this node went back to is not known to be committed", sqlstate="55000")
    if node.pipeline.committed_lsn > checkpoint:
        held[name] = checkpoint
        return checkpoint
    last = node.store.log.last
    if last is not None and last.end == checkpoint and not last.flags & _IN_CHAIN:
        held[name] = last.lsn
        if last.lsn >= node.store.log.start:
            return last.lsn
    raise PeerRefused("nothing has been written since the last checkpoint", sqlstate="55000")


class _Hold:
    """Holds the log until a copy has caught up, or nothing was heard of it for a while."""

    def __init__(self, node: Node, name: str, redo_to: Lsn) -> None:
        self._node = node
        self._name = name
        self._redo_to = redo_to
        self._held = node.checkpointer.base_copies
        self._start = self._held[name]
        self._heard = node.engine.loop.time()

    def look(self) -> None:
        """Let go, or come back in a moment; another copy of the same node, or of another life, ends it."""
        node, held, now = self._node, self._held, self._node.engine.loop.time()
        if node.checkpointer.base_copies is not held or held.get(self._name) != self._start:
            return
        streamer = node.replication.replicator.streamers.get(self._name)
        if streamer is not None:
            self._heard = now
        caught_up = streamer is not None and streamer.live and streamer.progress.applied >= self._redo_to > 0
        if caught_up or now - self._heard > HELD_S:
            del held[self._name]
        else:
            node.engine.loop.call_later(HELD_POLL_S, self.look)
