"""Queries of one session: inline on the ring when short, else fetched in batches on worker threads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import apsw

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.node.advisory import LockWait
from helios_cli.engine.node.commits import Commits
from helios_cli.engine.node.engine import INLINE, INLINE_READ_SECONDS
from helios_cli.engine.node.readers import OVERLOOKED, ReadJob, RowsEncoder
from helios_cli.engine.node.routine_calls import runs_for
from helios_cli.engine.node.threads import Binds
from helios_cli.engine.node.transaction import Transaction
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Portal


class Reads(Commits):
    """The reading side of a session."""

    def read(self, portal: Portal, rows_max: int) -> bool:
        """Run or continue a query."""
        if portal.job is not None:
            return self._continue_job(portal, rows_max)
        transaction = self.session.transaction
        if transaction is not None:
            return self._read_in_transaction(portal, rows_max, transaction)
        if self.session.floor_seq > self.engine.pipeline.committed_seq:
            self.engine.pipeline.after_seq(self.session.floor_seq, lambda: self.session.retry(portal, rows_max))
            return False
        return self._read_on(portal, rows_max, None)

    def _read_on(self, portal: Portal, rows_max: int, connection: apsw.Connection | None) -> bool:
        """Inline when short, on ``connection`` or the ring's current reader; else on a thread."""
        plan = portal.plan
        if self._is_inline(plan):
            if connection is None:
                reader = self.engine.pipeline.reader(self.session.ring)
                if reader is None:
                    self.engine.pipeline.when_readable(lambda: self.session.retry(portal, rows_max))
                    return False
                execute = reader.execute
            else:
                execute = connection.execute
            guard = self.engine.guard
            guard.arm(INLINE_READ_SECONDS)
            try:
                rows = execute(plan.steps[0], portal.binds).fetchall()
            except apsw.InterruptError:
                plan.cache[INLINE] = False
            except (HeliosError, apsw.Error) as error:
                self._send_rows_before(portal, execute)
                if connection is None:
                    raise self.translate(error) from error
                self.fail_after_base(self.translate(error))
                return False
            else:
                portal.send_description()
                if rows_max and len(rows) >= rows_max:
                    portal.rows = rows
                    self.send_kept_rows(portal, rows_max)
                    return True
                out = self.session.out
                out.append(portal.encoder()(rows))
                portal.sent += len(rows)
                portal.done = True
                if portal.completes:
                    out.append(backend.command_complete(f"{plan.tag} {len(rows)}"))
                return True
            finally:
                guard.disarm()
        return self._start_job(portal, rows_max, connection)

    def _send_rows_before(self, portal: Portal, execute: Callable[..., Iterable[Any]]) -> None:
        """Send the rows that a failed query gave before its error, as a client that reads them one by one expects."""
        if portal.plan.volatile or not portal.completes:
            return
        rows: list[Any] = []
        with contextlib.suppress(HeliosError, apsw.Error):
            for row in execute(portal.plan.steps[0], portal.binds):
                rows.append(row)
        if rows or _begins(portal):
            portal.send_description()
        if rows:
            self.session.out.append(portal.encoder()(rows))

    def send_kept_rows(self, portal: Portal, rows_max: int) -> None:
        """The next rows of a result that was fetched whole."""
        rows = portal.rows or []
        taken = rows[:rows_max] if rows_max else rows
        portal.rows = rows[len(taken) :]
        portal.sent += len(taken)
        self.session.out.append(portal.encoder()(taken))
        self._end_batch(portal, rows_max, len(taken))

    def _end_batch(self, portal: Portal, rows_max: int, count: int) -> None:
        if rows_max and count >= rows_max:
            self.session.out.append(backend.PORTAL_SUSPENDED)
            return
        portal.done = True
        if portal.completes:
            tag = portal.plan.tag
            self.session.out.append(
                backend.command_complete(f"{tag} {count}" if portal.plan.kind < Kind.UTILITY else tag)
            )

    def _read_in_transaction(self, portal: Portal, rows_max: int, transaction: Transaction) -> bool:
        return self.sees_its_state(portal, rows_max, transaction) and self._read_on(
            portal, rows_max, transaction.connection
        )

    def sees_its_state(self, portal: Portal, rows_max: int, transaction: Transaction) -> bool:
        """Whether a query may run now: the transaction has its snapshot or the writer where its level wants one.

        False: ``portal`` starts again once it may. Raises SerializationFailure when SQLite has undone the transaction.
        """
        transaction.started = True
        self._check_stands(transaction)
        if transaction.wants_writer and not transaction.writing:
            return self.with_writer(lambda: self.session.retry(portal, rows_max))
        if transaction.wants_snapshot and transaction.connection is None:
            return self._open_snapshot(portal, rows_max, transaction)
        if transaction.connection is None:
            needed = self.session.floor_seq
        else:
            needed = 0 if transaction.writing else transaction.snapshot_seq
        if needed > self.engine.pipeline.committed_seq:
            self.engine.pipeline.after_seq(needed, lambda: self.session.retry(portal, rows_max))
            return False
        return True

    def _open_snapshot(self, portal: Portal, rows_max: int, transaction: Transaction) -> bool:
        database = self.engine.database

        own = self.session.private

        def work() -> tuple[apsw.Connection, int]:
            connection = own or database.borrow(self.session.database_oid)
            return connection, database.pin(connection)

        def done(result: tuple[apsw.Connection, int]) -> None:
            if self.session.transaction is not transaction:
                if own is None:
                    database.give_back(result[0])
                return
            transaction.connection, transaction.snapshot_seq = result
            transaction.borrowed = own is None
            self.engine.guard.watch(result[0])
            self.session.snapshot_since = self.engine.loop.time()
            self.session.retry(portal, rows_max)

        self.engine.read_workers.run(work, done, self._thread_failed)
        return False

    def _start_job(self, portal: Portal, rows_max: int, connection: apsw.Connection | None) -> bool:
        job = self.new_job(portal.plan.steps[0], portal.binds, portal.encoder(), connection)
        job.shows_data = self.engine.reads_data(portal.plan)
        portal.job = job
        self.session.arm_timeouts()
        if connection is None:
            self.session.snapshot_since = self.engine.loop.time()
        self.job, self.session.reading = job, portal
        self.engine.read_pool.admit(job, lambda: self._fetch(portal, rows_max))
        return False

    def new_job(self, sql: str, binds: Binds, encode: RowsEncoder, connection: apsw.Connection | None) -> ReadJob:
        """A query on ``connection``; None: on the session's own, else on a borrowed one, with a snapshot of its own."""
        pins = connection is None and self.session.private is not None
        job = ReadJob(sql, binds, encode, self.session.private if pins else connection, pins=pins)
        job.database = self.session.database_oid
        job.on_start = self._job_starts
        return job

    def _job_starts(self, connection: apsw.Connection) -> None:
        runs_for(connection, self.session)

    def _is_inline(self, plan: Plan) -> bool:
        """Whether a statement may run on the loop. What a session with temporary tables does is planned elsewhere,
        and one that replicates needs the keys off, which a thread does.
        """
        return (
            self.session.private is None
            and not self.session.is_replica
            and self.engine.is_inline(plan, self.session.ring)
        )

    def _continue_job(self, portal: Portal, rows_max: int) -> bool:
        self.session.arm_timeouts()
        self._fetch(portal, rows_max)
        return False

    def _fetch(self, portal: Portal, rows_left: int) -> None:
        job = portal.job
        if job is None:
            return
        self.job = job
        self.session.reading = portal
        self.fetching = True
        self.cancel_reason = None
        self.engine.read_pool.go_on(job)
        before = job.rows_sent
        self.engine.read_workers.run(
            lambda: job.fetch(self.engine.database, rows_left),
            lambda data: self._fetched(portal, data, rows_left, job.rows_sent - before),
            lambda error: self._fetch_failed(portal, error),
        )

    def _fetched(self, portal: Portal, data: bytes, rows_left: int, count: int) -> None:
        self.fetching = False
        job = portal.job
        if job is None:
            # Cancelled while it waited for what it has read to be committed.
            return
        if self.cancel_reason is not None:
            self._fetch_failed(portal, apsw.InterruptError(OVERLOOKED))
            return
        if self.session.closed:
            self.job = None
            self._end_job(portal)
            self.session.clean_up()
            return
        if job.shows_data and job.seq > self.engine.pipeline.committed_seq:
            self.engine.pipeline.after_seq(job.seq, lambda: self._fetched(portal, data, rows_left, count))
            return
        portal.send_description()
        session = self.session
        session.out.append(data)
        portal.sent += count
        if job.finished:
            self.job = None
            self._end_job(portal)
            portal.done = True
            if portal.completes:
                session.out.append(backend.command_complete(f"{portal.plan.tag} {portal.sent_since_execute()}"))
            session.finished()
        elif rows_left and count >= rows_left:
            self.job = None
            self.engine.read_pool.rest(job)
            session.out.append(backend.PORTAL_SUSPENDED)
            session.finished()
        else:
            left = rows_left - count if rows_left else 0
            if not session.flush_then(lambda: self._fetch(portal, left)):
                self.engine.read_pool.rest(job)

    def _fetch_failed(self, portal: Portal, error: BaseException) -> None:
        self.fetching = False
        self.job = None
        self._end_job(portal)
        if isinstance(error, LockWait) and not portal.sent_since_execute():
            again = partial(self.session.retry, portal, portal.rows_max)
            try:
                self.engine.advisory.wait(self.session, error.request, again)
                return
            except SqlError as deadlock:
                error = deadlock
        if _begins(portal):
            portal.send_description()
        self.read_failed(error)

    def read_failed(self, error: BaseException) -> None:
        """Fail a query: at once when it was told to end, else when what it has read is committed."""
        if isinstance(error, apsw.InterruptError):
            self.session.failed(self.translate(error))
        else:
            self.fail_after_base(self.translate(error))

    def _end_job(self, portal: Portal) -> None:
        job, portal.job = portal.job, None
        self.session.reading = None
        if job is not None:
            job.close(self.engine.database)
            self.engine.read_pool.leave(job)

    def close_portal(self, portal: Portal) -> None:
        """Give up what a portal holds. Not while a thread is fetching for it."""
        portal.rows = None
        if portal.job is not None and portal.job is not self.job:
            self._end_job(portal)


def _begins(portal: Portal) -> bool:
    """Whether a query that fails has begun: PostgreSQL computes what reads nothing before it describes the result."""
    return portal.plan.kind is Kind.READ and " FROM " in portal.plan.steps[0]
