"""The live database: one writer connection, the ring of readers, and what turns a COMMIT into a log record."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import apsw

from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.ports import Clock
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.storage import on_commit
from helios_cli.engine.storage.capture import SMALL_FRAMES, WalCapture
from helios_cli.engine.storage.connection import CACHE_KIB, READER_CACHE_KIB, Setup, database_of, open_connection
from helios_cli.engine.storage.io_errors import note_errno
from helios_cli.engine.storage.other_databases import OtherDatabase
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.ring import OPEN_SNAPSHOT, PinnedReader, Ring
from helios_cli.engine.types import PAGE_SIZE, Lsn

GROUP_RESERVE: Final = 4 << 20
"""Log bytes that must be there before a group begins: more than nearly all produce. Before COMMIT the bound counts."""

_RECORD_OVERHEAD: Final = 64 << 10
_LOGGED_PAGE: Final = PAGE_SIZE + 16
"""A page in a record at its largest: its image as it is, its number, its share of the headers of a chain."""

POOL_MAX: Final = 16
"""Idle connections kept for long statements and for transactions with a snapshot of their own."""


@dataclass(slots=True, eq=False)
class Commit:
    """One committed SQLite transaction on its way to stable storage."""

    seq: int
    """Grows by one with each commit of this process: the order in which answers leave."""
    reader: PinnedReader | None
    """Pinned at this boundary; None when nobody reads."""
    others: Sequence[tuple[Ring, PinnedReader]] = ()
    """The same for other databases than the first, with the ring that each belongs to."""
    lsn_end: Lsn = Lsn(0)
    data: bytes = b""
    """The encoded record; the end of its chain when the parts before have been written already."""
    schema_changed: bool = False
    db_checksum: int = 0
    """Of the database behind its record."""
    waiters: list[Callable[[], None]] = field(default_factory=list)
    """Called on the loop when the commit is committed by the mode's rule."""


class Database:
    """SQLite as the node uses it. Every method that commits needs the writer's token."""

    def __init__(
        self,
        path: str,
        *,
        log: PageLog,
        checksums: ChecksumTable,
        records: RecordEncoder,
        clock: Clock,
        setup: Setup | None,
        ring_size: int,
    ) -> None:
        self.path = path
        self.log = log
        self.checksums = checksums
        self.records = records
        self._wall_us = clock.wall_us
        self.commit_lock = threading.Lock()
        self.record_lock = threading.Lock()
        """Held while a record, or the chain of a large transaction, is made."""
        self.commit_seq = 0
        self.changed_seq = 0
        """The last commit that changed pages; the records that seal a log change none."""
        self.unrecorded = False
        """SQLite has made a commit that :attr:`checksums` do not know of yet. Set under :attr:`commit_lock`."""
        self.capture = WalCapture(path)
        self.before_commit: Callable[[], None] = lambda: None
        """Makes the record of the commit before, if that is still to be made."""
        self.after_lock: Callable[[], None] = lambda: None
        """Called on the thread that has just released :attr:`commit_lock`."""
        self.before_chain: Callable[[], None] = lambda: None
        """Waits until nobody else appends to the log; the parts of a chain are written by the committing thread."""
        self.on_shared: Callable[[apsw.Connection], None] = lambda _connection: None
        """Told of each new connection that the loop runs statements on, on whatever thread it was made."""
        self._setup = setup
        self._pool: list[apsw.Connection] = []
        self._pool_lock = threading.Lock()
        self.connections_open = 0
        self.writer = self.connect(cache_kib=CACHE_KIB)
        self.ring = Ring([PinnedReader(self.connect()) for _ in range(ring_size)])
        self.others: dict[int, OtherDatabase] = {}
        """Databases beside the first that sessions are in, or have been in lately, by OID; entered last, last."""

    def connect(self, *, cache_kib: int = 2048, database: int = DATABASE_OID) -> apsw.Connection:
        """A new connection with the functions registered and the WAL hook attached, for sessions of one database."""
        connection = open_connection(self.path, self._setup, cache_kib=cache_kib, database=database)
        self.capture.attach(connection)
        self.connections_open += 1
        return connection

    def _connect_shared(self, database: int, cache_kib: int = READER_CACHE_KIB) -> apsw.Connection:
        connection = self.connect(cache_kib=cache_kib, database=database)
        self.on_shared(connection)
        return connection

    def enter(self, database: int) -> None:
        """Have what sessions of a database share; some milliseconds for the first of another one than the first."""
        if database == DATABASE_OID:
            return
        other = self.others.pop(database, None)
        if other is None:
            writer = self._connect_shared(database, CACHE_KIB)
            other = OtherDatabase(lambda: self._connect_shared(database), writer, len(self.ring.readers))
        self.others[database] = other

    def leave(self, database: int) -> bool:
        """Close what sessions of another database than the first have shared; False: it is in use, try again later.

        On the loop, with nothing in flight and no session in it.
        """
        if not self.commit_lock.acquire(blocking=False):
            return False
        try:
            other = self.others.pop(database, None)
        finally:
            self.commit_lock.release()
        if other is not None:
            self.connections_open -= 1 + len(other.ring.readers)
            other.close()
            with self._pool_lock:
                idle = [one for one in self._pool if database_of(one) == database]
                self._pool = [one for one in self._pool if one not in idle]
            for connection in idle:
                self.drop(connection)
        self.after_lock()
        return True

    def writer_of(self, database: int) -> apsw.Connection:
        """The connection with which sessions of a database write; for who holds the writer."""
        return self.writer if database == DATABASE_OID else self.others[database].writer

    def ring_of(self, database: int) -> Ring:
        """The readers of a database."""
        return self.ring if database == DATABASE_OID else self.others[database].ring

    def refresh_rings(self, seq: int) -> None:
        """Have no ring hold an older snapshot than the newest commit, number ``seq``, which is committed."""
        self.ring.refresh(seq)
        for other in self.others.values():
            other.ring.rest()

    def pin_others(self, *, schema_changed: bool = False) -> Sequence[tuple[Ring, PinnedReader]]:
        """Pin the rings of other databases at SQLite's newest commit; the caller holds the commit lock."""
        pinned = []
        for other in tuple(self.others.values()):
            reader = other.ring.pin_boundary(schema_changed=schema_changed)
            if reader is not None:
                pinned.append((other.ring, reader))
        return pinned

    def borrow(self, database: int = DATABASE_OID) -> apsw.Connection:
        """An idle connection of a database from the pool, or a new one. Thread-safe."""
        with self._pool_lock:
            for index in range(len(self._pool) - 1, -1, -1):
                if database_of(self._pool[index]) == database:
                    return self._pool.pop(index)
        return self.connect(database=database)

    def give_back(self, connection: apsw.Connection) -> None:
        """Return a borrowed connection; an open transaction on it is rolled back. Thread-safe."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._pool_lock:
            if len(self._pool) < POOL_MAX:
                self._pool.append(connection)
                return
        self.drop(connection)

    def drop(self, connection: apsw.Connection) -> None:
        """Close a connection that is not worth keeping."""
        connection.close(True)
        self.connections_open -= 1

    def hand_over_writer(self, database: int = DATABASE_OID) -> apsw.Connection:
        """Let a session keep the writer's connection with the transaction that is open on it; another takes its place.

        Only for who holds the writer. SQLite has no other way to bring temporary tables into a transaction.
        """
        successor = self._connect_shared(database, CACHE_KIB)
        given = self.writer_of(database)
        if database == DATABASE_OID:
            self.writer = successor
        else:
            self.others[database].writer = successor
        given.execute(f"PRAGMA cache_size=-{READER_CACHE_KIB}").fetchall()
        return given

    def pin(self, connection: apsw.Connection) -> int:
        """Open a snapshot of SQLite's newest commit on ``connection``.

        Returns the commit's sequence number: nothing seen through the snapshot may leave the node before that
        commit is committed.
        """
        try:
            with self.commit_lock:
                connection.execute("BEGIN")
                connection.execute(OPEN_SNAPSHOT).fetchall()
                return self.commit_seq
        finally:
            self.after_lock()

    def reserve(self, size: int = GROUP_RESERVE) -> None:
        """Make sure that a record of ``size`` bytes can be logged. Raises DiskFull."""
        self.log.reserve(size, self.records.lsn)

    def commit(
        self, connection: apsw.Connection, *, schema_changed: bool = False, record: bool = True
    ) -> Commit | None:
        """COMMIT on ``connection`` and make the record. None when nothing was changed.

        Without ``record`` the caller makes it with :meth:`record`, before anything else is committed.

        Raises whatever COMMIT raises, with the transaction still open or rolled back by SQLite. An error after
        COMMIT is fatal to the process: SQLite then holds what the log does not.
        """
        if connection is not self.writer and not self._is_shared(connection):
            on_commit.settle(connection)
        self.before_commit()
        try:
            commit = self._commit(connection, schema_changed)
        finally:
            self.after_lock()
        if record and commit is not None:
            self.record(commit)
        return commit

    def _commit(self, connection: apsw.Connection, schema_changed: bool) -> Commit | None:
        capture = self.capture
        with self.commit_lock:
            capture.fired = False
            try:
                connection.execute("COMMIT")
            except apsw.IOError as error:
                note_errno(error, connection)
                raise
            connection.status(apsw.SQLITE_DBSTATUS_CACHE_SPILL, True)
            if not capture.fired:
                return None
            self.unrecorded = True
            self.commit_seq += 1
            self.changed_seq = self.commit_seq
            reader = self.ring.pin_boundary(schema_changed=schema_changed)
            others = self.pin_others(schema_changed=schema_changed) if self.others else ()
            return Commit(self.commit_seq, reader, others, schema_changed=schema_changed)

    def _is_shared(self, connection: apsw.Connection) -> bool:
        """Whether sessions of another database than the first write with a connection."""
        other = self.others.get(database_of(connection))
        return other is not None and other.writer is connection

    def record(self, commit: Commit) -> None:
        """Make the record of the newest commit. Raises UnloggedCommit."""
        try:
            with self.record_lock:
                self._record(commit)
        except BaseException as error:
            raise UnloggedCommit(error) from error

    def _record(self, commit: Commit) -> None:
        records = self.records
        wall_us = self._wall_us()
        if self.capture.pending_frames() <= SMALL_FRAMES:
            pages, db_pages, _ = self.capture.take()
            commit.data = records.data(pages, db_pages, self.checksums.apply(pages, db_pages), wall_us)
        else:
            self.before_chain()
            images, db_pages = self.capture.take_large()
            for data in records.chain(images, db_pages, self.checksums.apply, wall_us):
                if commit.data:
                    self.log.write(commit.data)
                commit.data = data
        commit.lsn_end, commit.db_checksum = records.lsn, records.db_checksum
        self.unrecorded = False

    def count_anew(self, connection: apsw.Connection) -> None:
        """Forget what ``connection`` has read and written so far, when a transaction begins on it."""
        for counter in (
            apsw.SQLITE_DBSTATUS_CACHE_HIT,
            apsw.SQLITE_DBSTATUS_CACHE_MISS,
            apsw.SQLITE_DBSTATUS_CACHE_SPILL,
        ):
            connection.status(counter, True)

    def log_bytes_bound(self, connection: apsw.Connection) -> int:
        """An upper bound of the log bytes that the open transaction on ``connection`` needs; to be asked for once.

        The smaller of two bounds. A page is changed only after SQLite's pager was asked for it, which is counted,
        unless it was appended, which the file's size tells, or was free: then its trunk page was asked for once for
        each. And a changed page is in the cache, or has been spilled out of it to the WAL.
        """
        status = connection.status
        asked = status(apsw.SQLITE_DBSTATUS_CACHE_HIT, True)[0] + status(apsw.SQLITE_DBSTATUS_CACHE_MISS, True)[0]
        row = connection.execute("PRAGMA page_count").fetchone()
        appended = max(0, row[0] - self.checksums.pages) if row is not None else 0
        pages = asked + asked // 512 + appended
        spilled: int = status(apsw.SQLITE_DBSTATUS_CACHE_SPILL)[0]
        kept: int = status(apsw.SQLITE_DBSTATUS_CACHE_USED)[0] // PAGE_SIZE
        return _RECORD_OVERHEAD + min(pages, kept + spilled) * _LOGGED_PAGE

    def close(self) -> None:
        """Close every connection, lent ones too. Open transactions are rolled back; nothing is checkpointed.

        One that stayed open would tie the next ones of this process to a WAL index that has been deleted.
        """
        self.ring.close()
        for other in self.others.values():
            other.close()
        with self._pool_lock:
            self._pool = []
        path = os.path.realpath(self.path)
        for connection in apsw.connections():
            if connection.filename == path:
                connection.close(True)
        self.capture.close()


class UnloggedCommit(Exception):
    """SQLite committed what the page log could not be given. The process must end and recover."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"a committed transaction could not be logged: {cause}")
