"""Queries that may be long: run on worker threads, on snapshots of their own, a batch at a time.

No thread waits for a slow client: a job fetches and encodes one batch, hands it to the loop and is continued
when the client has taken it. SQLite releases the GIL while it runs.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import apsw

from helios_cli.engine.node.advisory import LockWait
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.storage import catalog_tables
from helios_cli.engine.storage.database import Database

BATCH_BYTES: Final = 128 * 1024
"""Encoded bytes a job aims to hand over at a time."""

BATCH_ROWS_FIRST: Final = 100
BATCH_ROWS_MAX: Final = 20_000
BATCH_SECONDS: Final = 0.02
"""A batch also ends after this time, so that the loop gets the GIL between batches."""

Result = TypeVar("Result")
RowsEncoder = Callable[[Iterable[Sequence[Any]]], bytes]

OVERLOOKED: Final = "the statement was over before SQLite looked whether it was interrupted"


class Workers:
    """A thread pool whose results come back to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int, name: str) -> None:
        self._loop = loop
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def run(
        self,
        work: Callable[[], Result],
        done: Callable[[Result], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Run ``work`` on a thread, then ``done`` or ``failed`` on the loop."""

        def task() -> None:
            try:
                result = work()
            except BaseException as error:
                self._post(failed, error)
            else:
                self._post(done, result)

        self._pool.submit(task)

    def _post(self, callback: Callable[[Any], None], argument: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, argument)

    async def call(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` on a thread and wait for its result."""
        return await self._loop.run_in_executor(self._pool, work)

    def stop(self) -> None:
        """End the threads after the work in hand."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class ReadJob:
    """One query, its cursor and its place in the result.

    ``seq`` is the commit its snapshot shows: nothing may be sent before that commit is committed. Only one thread
    at a time touches a job.
    """

    def __init__(
        self,
        sql: str,
        binds: Sequence[Any],
        encode: RowsEncoder,
        connection: apsw.Connection | None,
        *,
        pins: bool = False,
    ) -> None:
        self.sql = sql
        self.binds = binds
        self.encode = encode
        self.seq = 0
        self.rows_sent = 0
        self.finished = False
        self.started_at = 0.0
        self.connection = connection
        """The session's own connection when a transaction has one; None borrows one with a new snapshot."""
        self.pins = pins
        """Opens a snapshot of its own on ``connection`` and ends it, unless a transaction is open there."""
        self.borrowed = False
        self.database = DATABASE_OID
        """Whose connection it borrows."""
        self.on_start: Callable[[apsw.Connection], None] = lambda _connection: None
        """Called on the thread with the connection, before the query begins."""
        self.shows_data = True
        """What it reads is of the database, so that it may be sent when that is committed, and no earlier."""
        self._reads_catalog = catalog_tables.reads_catalog(sql)
        self._cursor: apsw.Cursor | None = None
        self._batch_rows = BATCH_ROWS_FIRST
        self._error: Exception | None = None
        """What the query failed with behind the rows of the last batch."""

    def fetch(self, database: Database, rows_max: int) -> bytes:
        """On a worker thread: encode the next batch; ``rows_max`` 0 means no limit. Sets ``finished``."""
        if self._cursor is None:
            self._start(database)
        assert self._cursor is not None
        if self._error is not None:
            raise self._error
        wanted = self._batch_rows if rows_max == 0 else min(self._batch_rows, rows_max)
        started = time.perf_counter()
        rows: list[Any] = []
        try:
            self._take(rows, wanted)
        except apsw.InterruptError:
            raise
        except Exception as error:
            # The rows before it go out first: a client that reads them one by one expects them.
            if not rows or isinstance(error, LockWait):
                raise
            self._error = error
        data = self.encode(rows)
        self.rows_sent += len(rows)
        if self._error is not None:
            return data
        if len(rows) < wanted:
            self.finished = True
        elif len(data) < BATCH_BYTES and time.perf_counter() - started < BATCH_SECONDS:
            self._batch_rows = min(self._batch_rows * 4, BATCH_ROWS_MAX)
        elif len(data) > 4 * BATCH_BYTES:
            self._batch_rows = max(1, self._batch_rows // 4)
        return data

    def _take(self, rows: list[Any], wanted: int) -> None:
        assert self._cursor is not None
        if not self._reads_catalog:
            rows.extend(itertools.islice(self._cursor, wanted))
            return
        assert self.connection is not None
        with catalog_tables.held(self.connection):
            rows.extend(itertools.islice(self._cursor, wanted))

    def _start(self, database: Database) -> None:
        if self.connection is None:
            self.connection = database.borrow(self.database)
            self.borrowed = True
            self.seq = database.pin(self.connection)
        elif self.pins:
            self.pins = not self.connection.in_transaction
            self.seq = database.pin(self.connection) if self.pins else database.commit_seq
        self.on_start(self.connection)
        self._cursor = self.connection.cursor()
        if not self._reads_catalog:
            self._cursor.execute(self.sql, self.binds)
            return
        with catalog_tables.held(self.connection):
            self._cursor.execute(catalog_tables.ready(self.connection, self.sql), self.binds)

    def close(self, database: Database) -> None:
        """Give up the cursor, and the snapshot when it was borrowed. Not while a thread is fetching."""
        self.finished = True
        if self._cursor is not None:
            self._cursor.close(True)
            self._cursor = None
            if self.pins and self.connection is not None and self.connection.in_transaction:
                self.connection.execute("COMMIT")
        if self.borrowed and self.connection is not None:
            if self._reads_catalog and self.connection.in_transaction:
                # It has written nothing but the copies of the catalog, which the next query need not make again.
                self.connection.execute("COMMIT")
            database.give_back(self.connection)
            self.connection = None
            self.borrowed = False

    def interrupt(self) -> None:
        """From the loop: make the running fetch end with InterruptError."""
        if self.connection is not None:
            self.connection.interrupt()


class ReadPool:
    """Limits how many queries fetch rows at once; the rest wait their turn.

    One whose client takes nothing for now, or has asked for no more rows, is not among them: clients that stand still
    would keep everybody else out.
    """

    def __init__(self, database: Database, workers: Workers, *, jobs_max: int) -> None:
        self.database = database
        self.workers = workers
        self.jobs: dict[ReadJob, None] = {}
        self._jobs_max = jobs_max
        self._waiting: deque[tuple[ReadJob, Callable[[], None]]] = deque()

    def admit(self, job: ReadJob, start: Callable[[], None]) -> None:
        """Call ``start`` when ``job`` may run; at once when there is room."""
        if len(self.jobs) < self._jobs_max:
            self._enter(job)
            start()
        else:
            self._waiting.append((job, start))

    def _enter(self, job: ReadJob) -> None:
        job.started_at = time.monotonic()
        self.jobs[job] = None

    def rest(self, job: ReadJob) -> None:
        """The job fetches nothing before :meth:`go_on`; the next one may start."""
        if self.jobs.pop(job, job) is None and self._waiting:
            waiting_job, start = self._waiting.popleft()
            self._enter(waiting_job)
            start()

    def go_on(self, job: ReadJob) -> None:
        """A job that rested fetches again: it has its snapshot, and waits for nobody."""
        self.jobs[job] = None

    def leave(self, job: ReadJob) -> None:
        """The job is over or was given up."""
        self._waiting = deque(entry for entry in self._waiting if entry[0] is not job)
        self.rest(job)
