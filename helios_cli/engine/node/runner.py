"""Runs one planned statement for a session, by the shortest safe way.

Every method that may have to wait returns True when the statement is over, with its messages in ``session.out``,
or False when ``session.finished()`` or ``session.failed(error)`` will be called on the loop later, never before it
returned. Errors that are known at once are raised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.errors import DiskFull, HeliosError, QueryCanceled, ReadOnlyError, SerializationFailure
from helios_cli.engine.node.engine import INLINE, INLINE_READ_SECONDS, Engine
from helios_cli.engine.node.readers import ReadJob, RowsEncoder
from helios_cli.engine.node.steps import StepsResult, run_steps
from helios_cli.engine.node.transaction import Transaction
from helios_cli.engine.node.writer import GroupWrite
from helios_cli.engine.sql.foreign_key_errors import foreign_key_error
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.sqlite_errors import to_helios
from helios_cli.engine.storage.database import GROUP_RESERVE, Commit, UnloggedCommit
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Portal, Session

Binds = Sequence[Any]

SHORT_CHANGES: Final = 64
"""Rows that a transaction of short statements may change and still be committed on the loop."""


class Runner:
    """The execution side of one session."""

    def __init__(self, session: Session, engine: Engine) -> None:
        self.session = session
        self.engine = engine
        self.queued: GroupWrite | None = None
        """The autocommit write that waits for its group or its commit."""
        self.job: ReadJob | None = None
        """The query that is being read on worker threads."""
        self.fetching = False
        """A thread is fetching a batch of :attr:`job` now."""
        self.busy_connection: apsw.Connection | None = None
        """Connection that a thread is using for this session."""
        self.cancel_reason: HeliosError | None = None

    # Reads -----------------------------------------------------------------------------------------------------

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
                reader = self.engine.pipeline.reader()
                if reader is None:
                    self.engine.pipeline.after_latest(lambda: self.session.retry(portal, rows_max))
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
            self.session.out.append(backend.command_complete(f"{portal.plan.tag} {count}"))

    def _read_in_transaction(self, portal: Portal, rows_max: int, transaction: Transaction) -> bool:
        transaction.started = True
        self._check_stands(transaction)
        if transaction.wants_writer and not transaction.writing:
            return self.with_writer(lambda: self.session.retry(portal, rows_max))
        if transaction.wants_snapshot and transaction.connection is None:
            return self._open_snapshot(portal, rows_max, transaction)
        if transaction.connection is not None and not transaction.writing:
            if transaction.snapshot_seq > self.engine.pipeline.committed_seq:
                self.engine.pipeline.after_seq(transaction.snapshot_seq, lambda: self.session.retry(portal, rows_max))
                return False
        elif transaction.connection is None and self.session.floor_seq > self.engine.pipeline.committed_seq:
            self.engine.pipeline.after_seq(self.session.floor_seq, lambda: self.session.retry(portal, rows_max))
            return False
        return self._read_on(portal, rows_max, transaction.connection)

    def _open_snapshot(self, portal: Portal, rows_max: int, transaction: Transaction) -> bool:
        database = self.engine.database

        own = self.session.private

        def work() -> tuple[apsw.Connection, int]:
            connection = own or database.borrow()
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
        portal.job = job
        self.session.arm_timeouts()
        if connection is None:
            self.session.snapshot_since = self.engine.loop.time()
        self.job, self.session.reading = job, portal
        self.engine.read_pool.admit(job, lambda: self._fetch(portal, rows_max))
        return False

    def new_job(
        self, sql: str, binds: Binds, encode: RowsEncoder, connection: apsw.Connection | None
    ) -> ReadJob:
        """A query on ``connection``; None: on the session's own with a snapshot for the query, else on a borrowed one."""
        if connection is None and self.session.private is not None:
            return ReadJob(sql, binds, encode, self.session.private, pins=True)
        return ReadJob(sql, binds, encode, connection)

    def _is_inline(self, plan: Plan) -> bool:
        """Whether a statement may run on the loop. What a session with temporary tables does is planned elsewhere."""
        return self.session.private is None and self.engine.is_inline(plan)

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
        if self.session.closed:
            self.job = None
            self._end_job(portal)
            self.session.clean_up()
            return
        if job.seq > self.engine.pipeline.committed_seq:
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
            session.out.append(backend.PORTAL_SUSPENDED)
            session.finished()
        else:
            session.flush_then(lambda: self._fetch(portal, rows_left - count if rows_left else 0))

    def _fetch_failed(self, portal: Portal, error: BaseException) -> None:
        self.fetching = False
        self.job = None
        self._end_job(portal)
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

    # Writes ----------------------------------------------------------------------------------------------------

    def write(self, portal: Portal) -> bool:
        """Run a write: with others in a group, or in the session's transaction, or alone."""
        session = self.session
        transaction = session.transaction
        if transaction is not None:
            return self._write_in_transaction(portal, transaction)
        session.check_may_write(portal.plan)
        if _makes_temporary(portal.plan):
            session.own_connection()
        if portal.plan.groupable and self._is_inline(portal.plan):
            self.queued = write = GroupWrite(portal.plan, portal.binds, lambda write: self._grouped(portal, write))
            self.engine.queue.submit(write)
            session.arm_timeouts(lock=True)
            return False
        return self._write_alone(portal)

    def _grouped(self, portal: Portal, write: GroupWrite) -> None:
        self.queued = None
        if isinstance(write.error, apsw.InterruptError):
            self.rerun_alone(portal)
            return
        if write.error is not None:
            self.session.failed(self.translate(write.error, portal.plan))
            return
        portal.send_result(write.rows, write.changes)
        self.session.finished()

    def rerun_alone(self, portal: Portal) -> None:
        """A grouped write turned out not to be short: run it on the writer thread."""
        portal.plan.cache[INLINE] = False
        self._write_alone(portal)

    def _write_alone(self, portal: Portal) -> bool:
        self.take_token(lambda: self._alone_on_thread(portal))
        return False

    def _alone_on_thread(self, portal: Portal) -> None:
        database = self.engine.database
        connection = self.session.private or database.writer
        plan = portal.plan
        changes_schema = plan.kind is Kind.DDL

        def work() -> tuple[StepsResult, Commit | None]:
            database.reserve()
            connection.status(apsw.SQLITE_DBSTATUS_CACHE_SPILL, True)
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = run_steps(connection, plan, portal.binds)
                database.reserve(database.log_bytes_bound(connection))
                return result, database.commit(connection, schema_changed=changes_schema)
            except UnloggedCommit:
                raise
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        self.session.end_own_snapshot()
        self.on_thread(
            connection,
            work,
            lambda outcome: self._alone_done(portal, *outcome),
            lambda error: self.release_and_fail(error, plan),
        )

    def _alone_done(self, portal: Portal, result: StepsResult, commit: Commit | None) -> None:
        portal.send_result(result.rows, result.changes)
        self.end_commit(commit, self.session.finished)

    def _write_in_transaction(self, portal: Portal, transaction: Transaction) -> bool:
        if transaction.read_only:
            raise read_only_error(portal.plan)
        transaction.started = True
        self._check_stands(transaction)
        if _makes_temporary(portal.plan):
            self.session.own_connection()
        if not transaction.writing:
            self.session.check_may_write(portal.plan)
            return self.with_writer(lambda: self.session.retry(portal, portal.rows_max))
        assert transaction.connection is not None
        if portal.plan.kind is Kind.WRITE and self._is_inline(portal.plan):
            return self._write_inline(portal, transaction)
        return self._write_on_thread(portal, transaction)

    def _check_stands(self, transaction: Transaction) -> None:
        """Raise SerializationFailure when SQLite has undone the transaction, as it does for an interrupted write.

        Its connection commits every statement by itself then.
        """
        connection = transaction.connection
        if transaction.writing and connection is not None and not connection.in_transaction:
            raise SerializationFailure(
                "canceling statement because it took too long for the event loop",
                detail="Its interruption undid the whole transaction.",
                hint="Retry the transaction: the statement will run on a thread from now on.",
            )

    def _write_inline(self, portal: Portal, transaction: Transaction) -> bool:
        connection = transaction.connection
        assert connection is not None
        guard = self.engine.guard
        guard.arm(INLINE_READ_SECONDS * 4)
        plan = portal.plan
        try:
            cursor = connection.execute(plan.steps[0], portal.binds)
            rows = cursor.fetchall() if plan.columns is not None else None
            changes = connection.changes()
        except apsw.InterruptError:
            plan.cache[INLINE] = False
            self._check_stands(transaction)
            return self._write_on_thread(portal, transaction)
        except (HeliosError, apsw.Error) as error:
            self.fail_after_base(self.translate(error, plan))
            return False
        finally:
            guard.disarm()
        portal.send_result(rows, changes)
        return True

    def _write_on_thread(self, portal: Portal, transaction: Transaction) -> bool:
        connection = transaction.connection
        assert connection is not None
        plan = portal.plan
        transaction.slow = True
        if plan.kind is Kind.DDL:
            transaction.schema_changed = True

        def done(result: StepsResult) -> None:
            if plan.kind is Kind.DDL:
                self.session.schema_changed_in_transaction()
            portal.send_result(result.rows, result.changes)
            self.session.finished()

        self.on_thread(
            connection,
            lambda: run_steps(connection, plan, portal.binds),
            done,
            lambda error: self.fail_after_base(self.translate(error, plan)),
        )
        return False

    # The writer's token ------------------------------------------------------------------------------------------

    def with_writer(self, then: Callable[[], None]) -> bool:
        """Make the session's transaction a writing one, then go on with ``then``."""
        transaction = self.session.transaction
        assert transaction is not None

        def granted() -> None:
            try:
                self._begin_writing(transaction)
            except (HeliosError, apsw.Error) as error:
                self._give_token_back(transaction)
                self.session.failed(self.translate(error))
                return
            then()

        self.take_token(granted)
        return False

    def _begin_writing(self, transaction: Transaction) -> None:
        self._take_writer(transaction)
        connection = transaction.connection
        assert connection is not None
        transaction.base_changes = connection.total_changes()
        # What a transaction that was rolled back has spilled is nothing to this one.
        connection.status(apsw.SQLITE_DBSTATUS_CACHE_SPILL, True)

    def _take_writer(self, transaction: Transaction) -> None:
        self.engine.check_writable()
        self.engine.database.reserve()
        if transaction.connection is None:
            transaction.connection = self.session.private or self.engine.database.writer
            self.session.end_own_snapshot()
            transaction.begin_writing()
        elif transaction.snapshot_seq < self.engine.database.changed_seq:
            self.session.conflicted = True
            raise SerializationFailure(
                "could not serialize access due to concurrent update",
                hint="The transaction's snapshot is older than the newest commit. Retry the transaction.",
            )
        else:
            for index in range(len(transaction.savepoints)):
                transaction.run(f"SAVEPOINT s{index}")
            transaction.writing = True

    def take_token(self, granted: Callable[[], None]) -> None:
        """Wait for the writer's token, within the session's timeouts."""
        session = self.session

        def on_grant() -> None:
            session.disarm_lock_timeout()
            refused = self.engine.queue.refusal()
            if refused is not None:
                session.token = None
                self.engine.queue.release()
                session.failed(refused)
                return
            granted()

        session.token = self.engine.queue.acquire(on_grant)
        if session.transaction is not None:
            session.transaction.token = session.token
        session.arm_timeouts(lock=True)

    def _give_token_back(self, transaction: Transaction | None) -> None:
        token, self.session.token = self.session.token, None
        if transaction is not None:
            transaction.token = None
        if token is not None and self.engine.queue.holder is token:
            self.engine.queue.release()

    # Ends ---------------------------------------------------------------------------------------------------------

    def commit(self, transaction: Transaction, done: Callable[[], None]) -> bool:
        """Commit the session's transaction; ``done`` is called when it is committed by the mode's rule.

        True when nothing had to be waited for, and then ``done`` is not called.
        """
        actions = self.session.take_channel_actions()
        self.session.end_transaction_state()
        if not transaction.writing:
            self._release_connection(transaction)
            self._give_token_back(transaction)
            for action in actions:
                action()
            return True
        return self._commit(transaction, done, actions)

    def _commit(
        self, transaction: Transaction, done: Callable[[], None], actions: Sequence[Callable[[], None]]
    ) -> bool:
        connection = transaction.connection
        assert connection is not None
        database = self.engine.database
        changed = transaction.schema_changed
        slow = transaction.slow or _is_large(connection, transaction)

        def work() -> Commit | None:
            database.reserve(database.log_bytes_bound(connection) if slow else GROUP_RESERVE)
            return database.commit(connection, schema_changed=changed)

        def committed(commit: Commit | None) -> None:
            self._release_connection(transaction)
            self.end_commit(commit, done, actions)

        def failed(error: BaseException) -> None:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._release_connection(transaction)
            self.release_and_fail(error)

        if slow:
            self.on_thread(connection, work, committed, failed)
            return False
        try:
            commit = work()
        except Exception as error:
            self.session.later(lambda error=error: failed(error))  # type: ignore[misc]
            return False
        committed(commit)
        return False

    def end_commit(
        self, commit: Commit | None, done: Callable[[], None], actions: Sequence[Callable[[], None]] = ()
    ) -> None:
        """Send the record off, free the writer, and call ``done`` when the commit is committed.

        With ``synchronous_commit`` off ``done`` is called at once; ``actions``, of which others hear, never are.
        """
        pipeline = self.engine.pipeline
        session = self.session
        if commit is None:
            self._give_token_back(None)
            if pipeline.in_flight:
                pipeline.after_latest(lambda: _all([*actions, done]))
            else:
                session.later(lambda: _all([*actions, done]))
            return
        commit.waiters.extend(actions)
        pipeline.submit(commit)
        if commit.schema_changed:
            # Plans are made for the committed schema, so nothing is written under one that is not.
            token, session.token = session.token, None
            commit.waiters.append(lambda: self.engine.queue.release() if token is not None else None)
        else:
            self._give_token_back(None)
        if session.waits_for_commit():
            commit.waiters.append(done)
        else:
            session.floor_seq = commit.seq
            session.later(done)

    def rollback(self, transaction: Transaction) -> None:
        """Undo the session's transaction and give everything back. No thread is using its connection."""
        self.session.end_transaction_state()
        connection = transaction.connection
        if connection is not None and connection.in_transaction:
            connection.execute("ROLLBACK")
        self._release_connection(transaction)
        self._forget_schema(transaction)
        self._give_token_back(transaction)

    def _forget_schema(self, transaction: Transaction) -> None:
        """The transaction's DDL is undone, and the connection it was seen through is for others."""
        if transaction.schema is not None:
            transaction.schema = None
            self.session.forget_undone_plans()

    def _release_connection(self, transaction: Transaction) -> None:
        connection, transaction.connection = transaction.connection, None
        if connection is not None and connection is self.session.private and connection.in_transaction:
            connection.execute("ROLLBACK")
        if transaction.borrowed and connection is not None:
            self.engine.database.give_back(connection)
        transaction.borrowed = False

    def release_failed(self, transaction: Transaction) -> None:
        """A failed transaction without savepoints keeps nothing: its writer is free for others at once."""
        self._release_connection(transaction)
        self._forget_schema(transaction)
        transaction.writing = False
        self._give_token_back(transaction)

    def drop_token(self) -> None:
        """The session ends: leave the queue, or give the token back."""
        token, self.session.token = self.session.token, None
        if token is not None:
            self.engine.queue.withdraw(token)

    def fail_after_base(self, error: HeliosError) -> None:
        """Fail the statement once the state it failed on is committed: an error tells of that state too."""
        pipeline = self.engine.pipeline
        if pipeline.in_flight:
            pipeline.after_latest(lambda: self.session.failed(error))
        else:
            self.session.later(lambda: self.session.failed(error))

    def release_and_fail(self, error: BaseException, plan: Plan | None = None) -> None:
        """A statement that held the token alone failed."""
        self._give_token_back(None)
        if isinstance(error, UnloggedCommit):
            self.engine.on_fatal(error)
            return
        self.fail_after_base(self.translate(error, plan))

    # Threads and cancelling -----------------------------------------------------------------------------------------

    def on_thread(
        self,
        connection: apsw.Connection,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Run ``work`` on the writer thread with ``connection``, which nobody else touches meanwhile."""
        self.busy_connection = connection
        self.session.arm_timeouts()
        session = self.session

        def on_done(result: Any) -> None:
            self.busy_connection = None
            done(result)
            if session.closed:
                session.clean_up()

        def on_failed(error: BaseException) -> None:
            self.busy_connection = None
            if isinstance(error, apsw.FullError | apsw.IOError):
                self.engine.on_disk_full()
            elif isinstance(error, DiskFull):
                self.engine.make_room()
            failed(error)
            if session.closed:
                session.clean_up()

        self.engine.write_worker.run(work, on_done, on_failed)

    def _thread_failed(self, error: BaseException) -> None:
        self.session.failed(self.translate(error))

    def translate(self, error: BaseException, plan: Plan | None = None) -> HeliosError:
        """The PostgreSQL error for whatever SQLite or Python raised, while it ran ``plan``."""
        if isinstance(error, HeliosError):
            return error
        if isinstance(error, apsw.InterruptError):
            reason, self.cancel_reason = self.cancel_reason, None
            return reason or QueryCanceled("canceling statement due to user request")
        if isinstance(error, apsw.BusyError):
            return SerializationFailure("could not serialize access due to concurrent update")
        if isinstance(error, apsw.Error):
            catalog = self.session.schema_view().catalog
            text, code = str(error), getattr(error, "extendedresult", apsw.SQLITE_CONSTRAINT)
            if text.startswith("FOREIGN KEY") and plan is not None:
                return foreign_key_error(plan, catalog) or to_helios(text, code, catalog)
            return to_helios(text, code, catalog)
        return self.engine.unexpected(error)

    def is_busy(self) -> bool:
        """Whether a statement of the session is under way."""
        return self.busy_connection is not None or self.job is not None or self.queued is not None

    def cancel(self, reason: HeliosError) -> None:
        """End the statement in hand, if it still can be ended. A commit that is on its way cannot."""
        session = self.session
        if self.busy_connection is not None:
            self.cancel_reason = reason
            self.busy_connection.interrupt()
        elif self.job is not None and self.fetching:
            self.cancel_reason = reason
            self.job.interrupt()
        elif self.job is not None and session.reading is not None:
            # Between two batches, waiting for the client to take what it has.
            self.job = None
            self._end_job(session.reading)
            session.failed(reason)
        elif self.queued is not None:
            if self.engine.queue.withdraw(self.queued):
                self.queued = None
                session.failed(reason)
        elif session.token is not None and self.engine.queue.holder is not session.token:
            self.engine.queue.withdraw(session.token)
            session.token = None
            if session.transaction is not None:
                session.transaction.token = None
            session.failed(reason)


def _all(callbacks: Sequence[Callable[[], None]]) -> None:
    for callback in callbacks:
        callback()


def _is_large(connection: apsw.Connection, transaction: Transaction) -> bool:
    """Whether short statements have added up to more than the log keeps room for without being asked."""
    changes = connection.total_changes() - transaction.base_changes
    return changes > SHORT_CHANGES or connection.status(apsw.SQLITE_DBSTATUS_CACHE_SPILL)[0] > 0


def read_only_error(plan: Plan) -> ReadOnlyError:
    """The refusal of a write in a read-only transaction."""
    word = {"INSERT 0": "INSERT", "TRUNCATE": "TRUNCATE TABLE"}.get(plan.tag, plan.tag)
    return ReadOnlyError(f"cannot execute {word}{' FOR UPDATE' * plan.locks_rows} in a read-only transaction")


def _makes_temporary(plan: Plan) -> bool:
    """Whether DDL makes temporary objects, which need a connection that no other session uses."""
    return plan.kind is Kind.DDL and any("temp.helios_meta" in step for step in plan.steps)
