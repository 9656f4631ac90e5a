"""Sending the log: one :class:`WalStreamer` for each following node, one :class:`WalReplicator` for all of them.

A follower that keeps up is *live*: it gets every record in the turn of the loop that made it, before it is on disk
here. One that lags is served from memory while the newest records reach back far enough, else from the log's files.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from helios_cli.engine.consensus.acceptance import may_send_back
from helios_cli.engine.consensus.asked import Asked
from helios_cli.engine.consensus.rule import Progress
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.history import History
from helios_cli.engine.log.record import peek_length, peek_lsn
from helios_cli.engine.node.peer_link import PeerLink, PeerRefused
from helios_cli.engine.node.readers import Workers
from helios_cli.engine.ports import Clock
from helios_cli.engine.replication import messages
from helios_cli.engine.storage.pagelog import LogRemoved, PageLog
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import Frame, Kind, PeerProtocolError

log = logging.getLogger(__name__)

RECENT_BYTES: Final = 16 << 20
"""Newest records kept in memory, for those who lag a little."""

CHUNK_BYTES: Final = 1 << 20
"""Log sent to a lagging follower at a time."""


ALIVE_S: Final = 3.0
"""A follower that was heard of within this time is there: no other takes its name."""

BLOCKED_S: Final = 1.0
"""A standby whose disk has taken nothing for so long does not catch up: it is given nothing, and says so."""

RELEASE_S: Final = 1.0
"""Who has said nothing for so long is not asked for its vote: perhaps it hears this node, and is not heard itself."""

SILENCE_S: Final = 60.0
"""A follower that says nothing for so long is cut off, before TCP gives up: it connects again when it can."""


class RecentRecords:
    """The newest records without a gap, up to a number of bytes."""

    def __init__(self, end: Lsn, max_bytes: int = RECENT_BYTES) -> None:
        self.end = end
        self._max_bytes = max_bytes
        self._size = 0
        self._records: deque[tuple[Lsn, bytes]] = deque()

    @property
    def start(self) -> Lsn:
        """Where the oldest of them begins; the end when there are none."""
        return self._records[0][0] if self._records else self.end

    def append(self, start: Lsn, data: bytes) -> None:
        """Add whole records that begin at ``start``; a gap before it forgets everything older."""
        if start != self.end:
            self._records.clear()
            self._size = 0
        self._records.append((start, data))
        self._size += len(data)
        self.end = Lsn(start + len(data))
        while self._size > self._max_bytes and len(self._records) > 1:
            self._size -= len(self._records.popleft()[1])

    def skip_to(self, end: Lsn) -> None:
        """Nobody follows: keep nothing, whoever comes reads the log."""
        self.end = end
        if self._records:
            self._records.clear()
            self._size = 0

    def since(self, lsn: Lsn, max_bytes: int) -> bytes:
        """The records from ``lsn`` on, where one must begin: up to ``max_bytes``, but what was appended at once whole.

        Raises:
            PeerProtocolError: ``lsn`` lies inside a record.
        """
        behind: list[bytes] = []
        for start, data in reversed(self._records):
            if start + len(data) <= lsn:
                break
            behind.append(data if start >= lsn else data[_boundary(data, lsn - start) :])
        size, taken = 0, list[bytes]()
        while behind and (not taken or size + len(behind[-1]) <= max_bytes):
            taken.append(behind.pop())
            size += len(taken[-1])
        return b"".join(taken)


def _boundary(data: bytes, offset: int) -> int:
    """``offset``, when a record begins there: several may have been appended at once, and a follower lacks the last."""
    at = 0
    while at < offset:
        at += peek_length(data, at)
    if at != offset:
        raise PeerProtocolError("no record begins where a following node says that its log ends")
    return offset


class WalStreamer:
    """The stream to one following node."""

    def __init__(self, replicator: WalReplicator, link: PeerLink, hello: messages.Hello, start: Lsn) -> None:
        self.replicator = replicator
        self.link = link
        self.hello = hello
        self.sent = start
        self.progress = Progress(Term(0))
        self.echo_us = 0
        """Round trip of the newest heartbeat that came back, microseconds; 0 before the first."""
        self.confirmed_us = 0
        """Wall clock of this node in the newest heartbeat that the follower has answered."""
        self.heard_us = self.since_us = replicator.clock.wall_us()
        self.heard_at = replicator.now()
        self.blocked_s = 0.0
        """For how long the follower's disk had taken nothing when it was heard last."""
        self.is_full = False
        """Whether there was no room for writes of its own."""
        self.db_checksum = 0
        """Of its database at the applied LSN, as it says."""
        self.live = False
        self._reading = False
        link.on_room = self.pump

    @property
    def node_id(self) -> str:
        """Whom it serves."""
        return self.hello.node_id

    def push(self, start: Lsn, end: Lsn, frame: bytes) -> None:
        """A record was made; ``frame`` holds it. A follower that is not live will get it when its turn comes."""
        if self.live and self.link.writable and start == self.sent:
            self.link.write(frame)
            self.sent = end
            self.replicator.bytes_sent += end - start
            self.replicator.records_sent += 1
        else:
            self.live = False

    def pump(self) -> None:
        """Send what the follower lacks, as far as it can take it now."""
        replicator = self.replicator
        recent = replicator.recent
        while not self._reading and self.link.writable and not self.link.closed:
            if self.sent == recent.end:
                self.live = True
                return
            if self.sent < recent.start:
                self._read_log()
                return
            try:
                self._send(recent.since(self.sent, CHUNK_BYTES))
            except PeerProtocolError as error:
                self.link.fail(error)
                return

    def _send(self, data: bytes) -> None:
        replicator = self.replicator
        for piece in _pieces(data):
            body = messages.records_body(replicator.committed(), replicator.clock.wall_us(), piece)
            self.link.send(Kind.RECORDS, body, compress=False)
            replicator.bytes_sent += len(piece)
            replicator.records_sent += 1
        self.sent = Lsn(self.sent + len(data))

    def _read_log(self) -> None:
        self._reading = True
        start = self.sent

        def done(data: bytes) -> None:
            self._reading = False
            if not self.link.closed:
                self._send(data)
                if not data:
                    # The log's newest part is on its way to the file; what is in memory cannot be used yet.
                    replicator.loop_later(0.001, self.pump)
                    return
                self.pump()

        def failed(error: BaseException) -> None:
            self._reading = False
            if isinstance(error, LogRemoved):
                self.link.send(Kind.RESEED, messages.Reseed(replicator.log.start, error.message).to_body())
                return
            message = error.message if isinstance(error, HeliosError) else str(error)
            self.link.refuse(HeliosError(f"the log cannot be read: {message}", sqlstate="58030"))

        replicator = self.replicator
        replicator.workers.run(lambda: replicator.log.chunk(start, CHUNK_BYTES), done, failed)

    def frame(self, frame: Frame) -> None:
        """A frame of the following node."""
        if frame.kind is Kind.REFUSED:
            # It stops in order. Nobody is to wait until it is given up.
            self.replicator.stopped.add(self.node_id)
            self.link.close()
            return
        if frame.kind is not Kind.ACKNOWLEDGE:
            raise PeerProtocolError(f"a following node sent {frame.kind.name} out of turn")
        acknowledge = messages.Acknowledge.from_body(frame.body)
        now = self.replicator.clock.wall_us()
        self.heard_us = now
        self.heard_at = self.replicator.now()
        if acknowledge.echo_us:
            self.echo_us = max(0, now - acknowledge.echo_us)
            self.confirmed_us = acknowledge.echo_us
        self.progress = Progress(frame.term, acknowledge.written, acknowledge.flushed, acknowledge.applied)
        self.db_checksum = acknowledge.db_checksum
        self.blocked_s = acknowledge.blocked_ms / 1000
        self.is_full = acknowledge.is_full
        self.replicator.acknowledged(self)


def _pieces(data: bytes) -> Iterator[bytes]:
    """Whole records, at most as many at a time as a frame takes."""
    if len(data) <= CHUNK_BYTES:
        if data:
            yield data
        return
    at = begun = 0
    while at < len(data):
        length = peek_length(data, at)
        if at > begun and at + length - begun > CHUNK_BYTES:
            yield data[begun:at]
            begun = at
        at += length
    yield data[begun:]


class WalReplicator:
    """Everybody who follows this node."""

    def __init__(
        self,
        log: PageLog,
        workers: Workers,
        clock: Clock,
        *,
        end: Lsn,
        term: Callable[[], Term],
        history: Callable[[], History],
        committed: Callable[[], Lsn],
        loop_later: Callable[[float, Callable[[], None]], object],
        now: Callable[[], float],
    ) -> None:
        self.log = log
        self.workers = workers
        self.clock = clock
        self.term = term
        self.history = history
        self.committed = committed
        self.loop_later = loop_later
        self.now = now
        self.recent = RecentRecords(end)
        self.streamers: dict[str, WalStreamer] = {}
        self.stopped: set[str] = set()
        """Who has followed this node, and said that it stops."""
        self.on_acknowledged: Callable[[WalStreamer], None] = lambda streamer: None
        self.on_joined: Callable[[WalStreamer], None] = lambda streamer: None
        self.on_left: Callable[[WalStreamer], None] = lambda streamer: None
        self.bytes_sent = 0
        """Of records, to all followers together."""
        self.records_sent = 0
        self.heartbeats_sent = 0
        self.lease_ms: Callable[[], int | None] = lambda: None
        """What is asked of whoever hears a heartbeat."""
        self.on_heartbeat: Callable[[bytes, bytes], None] = lambda asking, silent: None
        """Sends it to those who do not follow: the first to who is heard of, the other to the rest."""
        self.asked = Asked()
        self._told = Lsn(0)
        self._telling = False

    def record(self, data: bytes) -> None:
        """Records are on their way to the log: send them to whoever keeps up."""
        start = peek_lsn(data)
        recent = self.recent
        if not self.streamers:
            recent.skip_to(Lsn(start + len(data)))
            return
        recent.append(start, data)
        if len(data) > CHUNK_BYTES:
            for streamer in self.streamers.values():
                streamer.live = False
        else:
            body = messages.records_body(self.committed(), self.clock.wall_us(), data)
            frame = peer.encode_frame(Kind.RECORDS, self.term(), body, compress=False)
            for streamer in self.streamers.values():
                streamer.push(start, recent.end, frame)
        for streamer in tuple(self.streamers.values()):
            if not streamer.live:
                streamer.pump()

    def committed_moved(self, _lsn: Lsn) -> None:
        """The committed LSN has moved: the followers hear of it in this turn of the loop."""
        if self.streamers and not self._telling:
            self._telling = True
            self.loop_later(0, self._tell)

    def _tell(self) -> None:
        self._telling = False
        if self.committed() != self._told:
            self.heartbeat()

    def heartbeat(self, *, asks: bool = False) -> None:
        """Tell every follower how far this node is. One that ``asks`` is remembered until it is echoed."""
        self._told = self.committed()
        sent_us = self.asked.sent(self.clock.wall_us(), self.now(), self.lease_ms() or 0, asks=asks)
        frame = self._heartbeat(sent_us, self.lease_ms())
        # What was granted is never taken back: an echo may still be on its way, and this node counts on it.
        silent = self._heartbeat(sent_us | 1, None)
        self.on_heartbeat(frame, silent)
        now = self.now()
        for streamer in tuple(self.streamers.values()):
            if streamer.link.writable:
                streamer.link.write(frame if now - streamer.heard_at < RELEASE_S else silent)
                self.heartbeats_sent += 1
            if now - streamer.heard_at > SILENCE_S:
                streamer.link.drop(PeerProtocolError(f"nothing was heard of {streamer.node_id} for {SILENCE_S:.0f} s"))

    def _heartbeat(self, sent_us: int, lease_ms: int | None) -> bytes:
        body = messages.Heartbeat(self._told, self.recent.end, sent_us, lease_ms).to_body()
        return peer.encode_frame(Kind.HEARTBEAT, self.term(), body, compress=False)

    def follow(self, link: PeerLink, hello: messages.Hello, frame: Frame) -> None:
        """A node wants what comes behind its log's end: begin, or say why not."""
        follow = messages.Follow.from_body(frame.body)
        end = Lsn(follow.end_lsn)
        own_end = self.recent.end
        fork = self.history().fork(own_end, follow.terms(), end) if end else Lsn(0)
        if fork < end:
            if not may_send_back(self.history(), follow.terms()):
                raise PeerRefused(
                    f"the log of this node ends at {own_end}, and that of the caller goes on to {end}",
                    hint="Nobody leads them both yet; the caller asks again.",
                )
            link.send(Kind.FORK, messages.Fork(fork, self.history().to_bytes().hex()).to_body())
            link.begin(lambda frame: None)
            return
        if end < self.log.start:
            reason = f"the log begins at {self.log.start}"
            link.send(Kind.RESEED, messages.Reseed(self.log.start, reason).to_body())
            link.begin(lambda frame: None)
            return
        before = self.streamers.get(hello.node_id)
        if before is not None:
            if before.hello.incarnation != hello.incarnation and self.now() - before.heard_at < ALIVE_S:
                # Two nodes under one name would take turns, and each would count for what the other has.
                raise PeerRefused(
                    f"another node {hello.node_id} follows this one", hint="Give each node its own --node-id."
                )
            before.link.close()
        streamer = WalStreamer(self, link, hello, end)
        self.streamers[hello.node_id] = streamer
        self.stopped.discard(hello.node_id)
        link.on_lost = lambda: self._left(streamer)
        link.begin(streamer.frame)
        self.on_joined(streamer)
        # A new primary has no lease before those who follow it have granted it one.
        self.heartbeat(asks=True)
        streamer.pump()

    def acknowledged(self, streamer: WalStreamer) -> None:
        """A follower has come further."""
        self.on_acknowledged(streamer)

    def _left(self, streamer: WalStreamer) -> None:
        if self.streamers.get(streamer.node_id) is streamer:
            del self.streamers[streamer.node_id]
            self.on_left(streamer)

    def close(self) -> None:
        """End every stream."""
        for streamer in tuple(self.streamers.values()):
            streamer.link.close()
