"""Runs one planned statement for a session, by the shortest safe way.

Every method that may have to wait returns True when the statement is over, with its messages in ``session.out``,
or False when ``session.finished()`` or ``session.failed(error)`` will be called on the loop later, never before it
returned. Errors that are known at once are raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from helios_cli.engine.errors import HeliosError, ReadOnlyError, SqlError
from helios_cli.engine.node import claims, deferred_triggers, renewal
from helios_cli.engine.node.boundaries import Boundary
from helios_cli.engine.node.constraint_times import check_keys
from helios_cli.engine.node.engine import INLINE, INLINE_READ_SECONDS
from helios_cli.engine.node.readers import OVERLOOKED
from helios_cli.engine.node.reads import Reads
from helios_cli.engine.node.steps import StepsResult
from helios_cli.engine.node.transaction import AS_DECLARED, Transaction
from helios_cli.engine.node.writer import GroupWrite
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.rights import changes_only_temporary
from helios_cli.engine.sql.routine_programs import CallProcedure, DoBlock
from helios_cli.engine.storage.database import Commit, UnloggedCommit
from helios_cli.engine.storage.io_errors import is_no_room, note_errno

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Portal


class Runner(Reads):
    """The execution side of one session."""

    # Reads -----------------------------------------------------------------------------------------------------

    # Writes ----------------------------------------------------------------------------------------------------

    def write(self, portal: Portal) -> bool:
        """Run a write: with others in a group, or in the session's transaction, or alone."""
        session = self.session
        transaction = session.transaction
        if portal.plan.nowait and self.engine.queue.holder not in (None, session.token):
            message = f'could not obtain lock on row in relation "{portal.plan.nowait}"'
            hint = "Another transaction holds the writer; see pg_stat_activity."
            raise SqlError(message, sqlstate="55P03", hint=hint)
        if session.write_id is not None:
            self.claim(portal)
        if transaction is not None:
            return self._write_in_transaction(portal, transaction)
        session.check_may_write(portal.plan)
        if _makes_temporary(portal.plan):
            session.own_connection()
        level = session.commit_level()
        # A named write that was done before has no commit of its own, whose copies could be waited for.
        shares = portal.plan.groupable and (level is None or portal.claim is None)
        if shares and self._is_inline(portal.plan):
            self.queued = write = GroupWrite(
                portal.plan, portal.binds, lambda write: self._grouped(portal, write), session.database_oid
            )
            write.claim = portal.claim
            if level is not None:
                write.when_made = lambda commit: self.await_level(level, commit, lambda: write.done(write))
            self.engine.queue.submit(write)
            session.arm_timeouts(lock=True)
            return False
        return self._write_alone(portal)

    def claim(self, portal: Portal) -> None:
        """Take the session's name for the portal's write. A transaction block has it for itself, until its COMMIT."""
        transaction = self.session.transaction
        in_block = transaction is not None and transaction.explicit
        if portal.claim is None and not in_block and not portal.plan.locks_rows:
            portal.claim = claims.of_statement(self.session, portal)

    def _grouped(self, portal: Portal, write: GroupWrite) -> None:
        self.queued = None
        if isinstance(write.error, apsw.InterruptError):
            self.rerun_alone(portal)
            return
        if write.error is not None:
            self.session.failed(self.translate(write.error, portal.plan, portal.binds))
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
        if renewal.is_outdated(self.session, portal):
            # It starts again from the top, before those who came later.
            portal.stale = self.goes_first = True
            self._give_token_back(None)
            self.session.retry(portal, portal.rows_max)
            return
        database = self.engine.database
        connection = self.session.private or self.session.shared_writer()
        plan = portal.plan
        changes_schema = plan.kind is Kind.DDL
        session = self.session

        def work() -> tuple[StepsResult, Commit | None]:
            database.reserve()
            database.count_anew(connection)
            connection.execute("BEGIN IMMEDIATE")
            try:
                if isinstance(plan.routine, DoBlock | CallProcedure) and portal.claim is None:
                    session.boundary = Boundary(session, connection)
                result = claims.run_claimed(connection, plan, portal.binds, portal.claim)
                if session.deferred.events:
                    deferred_triggers.fire(session, connection)
                database.reserve(database.log_bytes_bound(connection))
                changed = changes_schema or session.take_nested_definitions()
                return result, database.commit(connection, schema_changed=changed)
            except UnloggedCommit:
                raise
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                session.boundary = None
                session.deferred.clear()

        def failed(error: BaseException) -> None:
            if session.undo:
                session.undo_variables(committed=False)
            self.release_and_fail(error, plan, portal.binds)

        self.session.end_own_snapshot()
        self.on_thread(
            connection,
            work,
            lambda outcome: self._alone_done(portal, *outcome),
            failed,
        )

    def _alone_done(self, portal: Portal, result: StepsResult, commit: Commit | None) -> None:
        if self.session.undo:
            self.session.undo_variables(committed=True)

        def committed() -> None:
            portal.send_result(result.rows, result.changes)
            self.session.finished()

        self.end_commit(commit, committed, repeated=portal.claim is not None)

    def _write_in_transaction(self, portal: Portal, transaction: Transaction) -> bool:
        if transaction.read_only:
            check_read_only(portal.plan)
        transaction.started = True
        self._check_stands(transaction)
        if _makes_temporary(portal.plan):
            self.session.own_connection()
        if not transaction.writing:
            self.session.check_may_write(portal.plan)
            return self.with_writer(lambda: self._resume(portal))
        assert transaction.connection is not None
        if portal.plan.kind is Kind.WRITE and portal.claim is None and self._is_inline(portal.plan):
            return self._write_inline(portal, transaction)
        return self._write_on_thread(portal, transaction)

    def _resume(self, portal: Portal) -> None:
        """The transaction has the writer, which its statement has waited for."""
        portal.stale = renewal.is_outdated(self.session, portal)
        self.session.retry(portal, portal.rows_max)

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
            if transaction.key_times is not AS_DECLARED:
                check_keys(self.session, connection, transaction.key_times)
        except apsw.InterruptError:
            plan.cache[INLINE] = False
            self._check_stands(transaction)
            return self._write_on_thread(portal, transaction)
        except (HeliosError, apsw.Error) as error:
            note_errno(error, connection)
            if is_no_room(error):
                self.engine.on_disk_full()
            self.fail_after_base(self.translate(error, plan, portal.binds))
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
            if self.cancel_reason is not None:
                self.fail_after_base(self.translate(apsw.InterruptError(OVERLOOKED)))
                return
            if transaction.key_times is not AS_DECLARED:
                try:
                    check_keys(self.session, connection, transaction.key_times)
                except HeliosError as error:
                    self.fail_after_base(error)
                    return
            if plan.kind is Kind.DDL or self.session.take_nested_definitions():
                transaction.schema_changed = True
                self.session.schema_changed_in_transaction()
                if self.session.deferred.events and not self._left_alone(plan):
                    return
            if portal.claim is not None and result is portal.claim.result:
                transaction.repeated = True
            portal.send_result(result.rows, result.changes)
            self.session.finished()

        self.on_thread(
            connection,
            lambda: claims.run_claimed(connection, plan, portal.binds, portal.claim),
            done,
            lambda error: self.fail_after_base(self.translate(error, plan, portal.binds)),
        )
        return False

    def _left_alone(self, plan: Plan) -> bool:
        """Whether a change of definitions has left the tables alone whose triggers wait; else the statement fails."""
        try:
            deferred_triggers.check_untouched(self.session, self.session.schema_view().catalog, plan.tag)
        except HeliosError as error:
            self.fail_after_base(error)
            return False
        return True

    # The writer's token ------------------------------------------------------------------------------------------

    # Ends ---------------------------------------------------------------------------------------------------------

    # Threads and cancelling -----------------------------------------------------------------------------------------

    def cancel(self, reason: HeliosError) -> None:
        """End the statement in hand, if it still can be ended. A commit that is on its way cannot."""
        session = self.session
        if session.copy is not None and session.copy.cancel(reason):
            return
        if self.hold is not None:
            self.hold.cancel(reason)
        elif self.busy_connection is not None:
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
            write = self.queued
            if self.engine.queue.withdraw(write):
                write.error = reason
                write.done(write)
        elif session.token is not None and self.engine.queue.holder is not session.token:
            self.engine.queue.withdraw(session.token)
            session.token = None
            if session.transaction is not None:
                session.transaction.token = None
            session.failed(reason)


def check_read_only(plan: Plan) -> None:
    """Refuse a write in a read-only transaction, unless it changes rows of temporary tables alone.

    Raises:
        ReadOnlyError: it changes something else.
    """
    if plan.kind in (Kind.WRITE, Kind.COPY) and plan.tag != "TRUNCATE TABLE" and changes_only_temporary(plan.rights):
        return
    word = (
        "COPY FROM"
        if plan.kind is Kind.COPY
        else {"INSERT 0": "INSERT", "TRUNCATE": "TRUNCATE TABLE"}.get(plan.tag, plan.tag)
    )
    raise ReadOnlyError(f"cannot execute {word}{' FOR UPDATE' * plan.locks_rows} in a read-only transaction")


def _makes_temporary(plan: Plan) -> bool:
    """Whether it makes temporary objects, which need a connection that no other session uses."""
    return plan.makes_temporary or (plan.kind is Kind.DDL and any("temp.helios_meta" in step for step in plan.steps))
