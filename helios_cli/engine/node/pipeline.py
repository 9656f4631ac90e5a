"""From COMMIT to answer: groups in flight, the sync that makes them durable, the turn of the ring.

Answers keep the order of commits. A commit is *committed* when its record is on stable storage here and the
replication mode's rule holds; only then do reads see it and does its client hear of it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from helios_cli.engine.storage.database import Commit, Database, UnloggedCommit
from helios_cli.engine.storage.ring import PINS_AFTER_READ, PinnedReader, Ring
from helios_cli.engine.storage.syncer import Syncer
from helios_cli.engine.storage.uring import Uring
from helios_cli.engine.storage.uring_syncer import UringSyncer
from helios_cli.engine.types import Lsn

log = logging.getLogger(__name__)

Callback = Callable[[], None]

SEAL_AFTER_S: Final = 1.0
"""Idle time after which a small record states that everything before it is on disk."""


class CommitPipeline:
    """Owned by the event loop; only :meth:`_flushed_on_thread` and :meth:`_failed_on_thread` run elsewhere."""

    def __init__(
        self,
        database: Database,
        loop: asyncio.AbstractEventLoop,
        *,
        in_flight_max: int,
        on_fatal: Callable[[BaseException], None],
        uring: Uring | None = None,
    ) -> None:
        """With ``uring`` the kernel writes the page log, else a thread."""
        self.database = database
        self.in_flight: deque[Commit] = deque()
        self.committed_seq = 0
        self.committed_lsn: Lsn = database.records.lsn
        self.committed_checksum: int | None = database.records.db_checksum
        """Of the database at that LSN; None where that is not known."""
        self.submitted_lsn: Lsn = database.records.lsn
        """Behind the last record that was sent to the disk."""
        self.on_room: Callback = lambda: None
        """Called when there is room for another group."""
        self.on_schema_change: Callback = lambda: None
        self.rule: Callable[[Lsn], Lsn] = _flushed_is_committed
        """From what is on disk here to what is committed by the replication mode's rule."""
        self.on_record: Callable[[bytes], None] | None = None
        """Told of every record that goes to the log, while it is on its way to the disk."""
        self.applied_lsn: Callable[[], Lsn] = lambda: self.committed_lsn
        """Where the newest state is that this node has said to have applied, committed or not."""
        self.database_lsn: Callable[[], Lsn] = lambda: self.committed_lsn
        """Where SQLite's database is, committed or not."""
        self.on_committed: Callable[[Lsn], None] | None = None
        self.commit_count = 0
        self._in_flight_max = in_flight_max
        self.loop = loop
        self._on_fatal = on_fatal
        self._seq_waiters: deque[tuple[int, Callback]] = deque()
        self._readable_waiters: deque[Callback] = deque()
        self._lsn_waiters: list[tuple[Lsn, int, Callback]] = []
        """A heap: the nearest LSN first, then in the order they came."""
        self._tickets = itertools.count()
        self._unrecorded: Commit | None = None
        database.before_commit = self.settle
        database.after_lock = self._unlocked
        self._syncer: Syncer[Commit] | UringSyncer[Commit]
        if uring is None:
            self._syncer = Syncer(database.log, self._flushed_on_thread, self._failed_on_thread)
        else:
            self._syncer = UringSyncer(database.log, loop, uring, self._flushed, self._failed_on_thread)

    @property
    def sync_count(self) -> int:
        """Syncs of the page log so far."""
        return self._syncer.sync_count

    def has_room(self) -> bool:
        """Whether one more commit may be made now: its snapshot needs a spare reader."""
        return len(self.in_flight) < self._in_flight_max

    def submit(self, commit: Commit) -> None:
        """Send a commit's record to the disk."""
        self.in_flight.append(commit)
        self._send(commit)
        if self._readable_waiters:
            self._wake_readable_waiters()

    def _send(self, commit: Commit) -> None:
        self.submitted_lsn = commit.lsn_end
        self._syncer.submit(commit.data, commit)
        if self.on_record is not None:
            self.on_record(commit.data)

    def submit_apart(self, make: Callable[[], bytes]) -> Lsn | None:
        """Put a record that changes no page into the log, whoever holds the writer; the LSN behind it.

        None when a thread is at work on a record, or has made one that is not submitted yet: try again soon. Room in
        the ring is not asked for, so that it can be done while commits are held up.
        """
        self.settle()
        database = self.database
        records = database.records
        if not database.record_lock.acquire(blocking=False):
            return None
        try:
            if records.lsn != self.submitted_lsn:
                return None
            data = make()
            seq = self.in_flight[-1].seq if self.in_flight else self.committed_seq
            self.submit(Commit(seq, None, (), records.lsn, data, db_checksum=records.db_checksum))
            return records.lsn
        except BaseException as error:
            if records.lsn != self.submitted_lsn:
                self._on_fatal(UnloggedCommit(error))
            raise
        finally:
            database.record_lock.release()

    def submit_applied(self, commit: Commit) -> None:
        """Take a commit whose record another node made, and which is on disk here already."""
        self.in_flight.append(commit)
        if self._readable_waiters:
            self._wake_readable_waiters()

    def submit_unrecorded(self, commit: Commit) -> None:
        """Take a commit whose record is made by :meth:`settle`, in the same turn of the loop."""
        self.in_flight.append(commit)
        self._unrecorded = commit
        if self._readable_waiters:
            self._wake_readable_waiters()

    def settle(self) -> None:
        """Make the record of :meth:`submit_unrecorded` now, if it has not been made, and send it to the disk."""
        commit, self._unrecorded = self._unrecorded, None
        if commit is None:
            return
        try:
            self.database.record(commit)
        except UnloggedCommit as error:
            self._on_fatal(error)
            raise
        self._send(commit)

    def drain_log(self) -> None:
        """On a worker thread that holds the writer's token: wait until it alone writes to the log."""
        self._syncer.drain()

    def reader(self, of: Ring | None = None) -> PinnedReader | None:
        """The reader of a ring that shows the committed state. None: wait with :meth:`when_readable`, and ask again.

        ``of`` None is the ring of the first database.
        """
        ring = of or self.database.ring
        ring.wanted = PINS_AFTER_READ
        if ring.seq != self.committed_seq and not self._pin_current(ring):
            return None
        current = ring.current
        if current.outdated:
            # Here, where no time limit of a statement stops it.
            current.read_schema()
        return current

    def _pin_current(self, ring: Ring) -> bool:
        """Have the current reader show the committed state; whether it does.

        It can be pinned only when everything that SQLite has committed is committed here too. The lock is tried, not
        waited for: a thread holds it through the COMMIT of a large transaction, and the loop must not stand still.
        """
        database = self.database
        lock = database.commit_lock
        if not lock.acquire(blocking=False):
            return False
        try:
            if database.commit_seq != self.committed_seq:
                return False
            ring.refresh(self.committed_seq)
            return True
        finally:
            lock.release()

    def keep_readable(self) -> None:
        """A thread is about to write, and to COMMIT perhaps at length: have a reader that needs no pinning then."""
        self.after_latest(self._refresh_reader)

    def _refresh_reader(self) -> None:
        first = self.database.ring
        first.wanted = max(first.wanted, 1)
        for ring in (first, *(other.ring for other in self.database.others.values() if other.ring.wanted)):
            if ring.seq != self.committed_seq:
                self._pin_current(ring)

    def when_readable(self, callback: Callback) -> None:
        """Call back, never at once, when it is worth asking for a :meth:`reader` again that could not be had."""
        if self.in_flight:
            self.after_latest(callback)
            return
        self._readable_waiters.append(callback)
        # Otherwise the lock's end, or submit() of what was committed under it, is still to come and looks here.
        if not self.database.commit_lock.locked() and self.database.commit_seq == self.committed_seq:
            self.loop.call_soon(self._wake_readable_waiters)

    def _unlocked(self) -> None:
        """On any thread that has given the commit lock back."""
        if self._readable_waiters:
            self.loop.call_soon_threadsafe(self._wake_readable_waiters)

    def _wake_readable_waiters(self) -> None:
        for _ in range(len(self._readable_waiters)):
            self._readable_waiters.popleft()()

    def after_latest(self, callback: Callback) -> None:
        """Call back when every commit made so far is committed; at once when that is so already.

        For answers that made no change of their own but stand on a state that a failover could take back.
        """
        if self.in_flight:
            self.in_flight[-1].waiters.append(callback)
        else:
            callback()

    def after_seq(self, seq: int, callback: Callback) -> None:
        """Call back when the commit numbered ``seq`` is committed; at once when it is."""
        if seq <= self.committed_seq:
            callback()
            return
        for commit in self.in_flight:
            if commit.seq >= seq:
                commit.waiters.append(callback)
                return
        self._seq_waiters.append((seq, callback))

    def after_lsn(self, lsn: Lsn, callback: Callback) -> Callback:
        """Call back when everything up to ``lsn`` is committed, whoever wrote it; at once when it is.

        What is returned gives the waiting up. Idempotent.
        """
        entry = (lsn, next(self._tickets), callback)
        if lsn <= self.committed_lsn:
            callback()
        else:
            heapq.heappush(self._lsn_waiters, entry)

        def give_up() -> None:
            if entry in self._lsn_waiters:
                self._lsn_waiters.remove(entry)
                heapq.heapify(self._lsn_waiters)

        return give_up

    async def quiesce(self) -> None:
        """Wait until nothing is in flight. The caller holds the writer's token, so nothing new is made."""
        if self.in_flight:
            reached = asyncio.Event()
            self.after_latest(reached.set)
            await reached.wait()

    def leave_loop(self) -> None:
        """On the loop, before :meth:`stop`: from now on nothing is submitted."""
        self._syncer.leave_loop()

    def stop(self) -> None:
        """On any thread: flush what is in flight and end the syncer's thread."""
        self._syncer.stop()

    def _flushed_on_thread(self, commits: list[Commit]) -> None:
        self.loop.call_soon_threadsafe(self._flushed, commits)

    def _failed_on_thread(self, error: BaseException) -> None:
        self.loop.call_soon_threadsafe(self._on_fatal, error)

    def _flushed(self, commits: list[Commit]) -> None:
        self.database.records.flushed_lsn = self.database.log.flushed
        self.advance(self.rule(commits[-1].lsn_end))

    def advance(self, lsn: Lsn) -> list[Commit]:
        """Everything up to ``lsn`` is committed: turn the ring, and answer whoever waits for it; what it was."""
        in_flight = self.in_flight
        commits: list[Commit] = []
        # The end of a commit is 0 until its record is made.
        while in_flight and 0 < in_flight[0].lsn_end <= lsn:
            commits.append(in_flight.popleft())
        if commits:
            self._committed(commits)
        return commits

    def _committed(self, commits: list[Commit]) -> None:
        ring = self.database.ring
        last = commits[-1]
        schema_changed = False
        newest = None
        for commit in commits:
            schema_changed = schema_changed or commit.schema_changed
            if commit.reader is not None:
                if newest is not None and newest.reader is not None:
                    ring.discard(newest.reader)
                newest = commit
        if newest is not None and newest.reader is not None:
            ring.turn(newest.reader, newest.seq)
        if self.database.others:
            self._turn_others(commits)
        self.committed_seq = last.seq
        self.committed_lsn, self.committed_checksum = last.lsn_end, last.db_checksum
        self.database.records.committed_lsn = last.lsn_end
        if self.on_committed is not None:
            self.on_committed(last.lsn_end)
        self.commit_count += len(commits)
        if schema_changed:
            self.on_schema_change()
        for commit in commits:
            for waiter in commit.waiters:
                waiter()
        self._wake_seq_waiters()
        while self._lsn_waiters and self._lsn_waiters[0][0] <= self.committed_lsn:
            heapq.heappop(self._lsn_waiters)[2]()
        self.on_room()

    def _turn_others(self, commits: list[Commit]) -> None:
        """The rings of other databases show what is committed; one that nobody reads with lets go of what it showed."""
        for commit in commits:
            for ring, reader in commit.others:
                ring.turn(reader, commit.seq)
        for other in self.database.others.values():
            if not other.ring.wanted:
                other.ring.rest()

    def _wake_seq_waiters(self) -> None:
        for _ in range(len(self._seq_waiters)):
            seq, callback = self._seq_waiters.popleft()
            self.after_seq(seq, callback)


def _flushed_is_committed(lsn: Lsn) -> Lsn:
    """The rule of a node whose commits wait for no other."""
    return lsn
