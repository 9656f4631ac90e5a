"""One client's session: its variables, prepared statements, portals and transaction.

It knows no socket: the frontend feeds it statements and takes the messages it leaves in :attr:`Session.out`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import apsw

from helios_cli.engine.datatypes.datetime_in import TimeContext
from helios_cli.engine.errors import HeliosError, QueryCanceled, ReadOnlyError, SqlError
from helios_cli.engine.node import databases, renewal, utility
from helios_cli.engine.node.message_levels import is_wanted
from helios_cli.engine.node.portal import Portal, aborted, notice_state
from helios_cli.engine.node.runner import check_read_only
from helios_cli.engine.node.session_plans import SessionPlans
from helios_cli.engine.node.session_values import session_value
from helios_cli.engine.node.transaction import Transaction
from helios_cli.engine.sql.actions import LockTable
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.sql.plan import Debugged, Detailed, Kind, Plan, Warned
from helios_cli.engine.wire import backend
from helios_cli.engine.wire.params import decode_params

if TYPE_CHECKING:
    pass


class Session(SessionPlans):
    """State of one authenticated client."""

    # What the frontend calls -----------------------------------------------------------------------------------

    def start(self, portal: Portal, rows_max: int) -> bool:
        """Run a portal's statement, as :class:`Runner` says."""
        if portal.stale:
            renewal.renew(self, portal)
        plan = portal.plan
        transaction = self.transaction
        self.refuse_in_failed(plan)
        if transaction is not None and transaction.lost is not None and not utility.allowed_in_failed(plan):
            lost, transaction.lost = transaction.lost, None
            raise lost
        if portal.done:
            return portal.run_again()
        if (self.restricted or plan.guarded) and not isinstance(plan.action, LockTable):
            self.check_rights(plan)
        portal.rows_max = rows_max
        if portal.rows is not None:
            portal.sent_before = portal.sent
            self.runner.send_kept_rows(portal, rows_max)
            return True
        if not portal.noticed:
            portal.noticed = True
            self.engine.statement_count += 1
            for notice in plan.notices:
                state, severity = notice_state(notice), "NOTICE"
                if isinstance(notice, Warned):
                    state, severity = notice.sqlstate, "WARNING"
                elif isinstance(notice, Debugged):
                    state, severity = "00000", "DEBUG"
                if is_wanted(self, severity):
                    hint = notice.hint if isinstance(notice, Warned) else None
                    detail = notice.detail if isinstance(notice, Detailed) else None
                    told = SqlError(notice, sqlstate=state, detail=detail, hint=hint)
                    self.out.append(backend.notice_response(told, severity=severity))
        portal.sent_before = portal.sent
        kind = plan.kind
        if kind is Kind.READ:
            return self.runner.read(portal, rows_max)
        if kind is Kind.WRITE or kind is Kind.DDL:
            return utility.run_write(self, portal)
        if kind is Kind.EMPTY:
            self.out.append(backend.EMPTY_QUERY)
            return True
        return utility.run(self, portal, rows_max)

    def refuse_in_failed(self, plan: Plan) -> None:
        """Raise SqlError 25P02 when the transaction has failed and the statement does not end it."""
        transaction = self.transaction
        if transaction is not None and transaction.failed and not utility.allowed_in_failed(plan):
            lost, transaction.lost = transaction.lost, None
            raise lost or aborted()

    def finished(self) -> None:
        """The statement that had to wait is over."""
        self._disarm("statement", "lock")
        if self.after_statement is not None:
            self.run_after_statement()
        if self.closed:
            self.clean_up()
        else:
            self.sink.resume()

    def failed(self, error: HeliosError) -> None:
        """The statement that had to wait failed."""
        self._disarm("statement", "lock")
        self.after_statement = None
        if self.transaction is None:
            self.channel_actions = []
        if self.closed:
            self.clean_up()
        else:
            self.sink.fail(error)

    def later(self, callback: Callable[[], None]) -> None:
        """Call back in a later turn of the loop."""
        self.engine.loop.call_soon(callback)

    def retry(self, portal: Portal, rows_max: int) -> None:
        """Start the statement again, now that what it waited for is there."""
        if self.closed:
            self.clean_up()
        else:
            self.sink.retry(portal, rows_max)

    def flush_then(self, callback: Callable[[], None]) -> bool:
        """Send what is ready; go on when the client has room for more. Whether it has at once."""
        return self.sink.flush_then(callback)

    # What happens around a statement -----------------------------------------------------------------------------

    def statement_starts(self, sql: str) -> None:
        """A query string or Parse has come."""
        self.query = sql
        self.statement_now_us = 0

    def statement_over(self) -> None:
        """ReadyForQuery comes next: outside a transaction block what was notified meanwhile goes before it."""
        if self.changed:
            self.report_changes()
        if self.transaction is None:
            if self.channel_actions:
                for action in self.take_channel_actions():
                    action()
            if self.has_advisory:
                self.engine.advisory.end_transaction(self)
            if self.cursors:
                self.drop_loose_cursors()
        if self.notices and self.transaction is None:
            self.out.extend(self.notices)
            self.notices.clear()

    def drop_loose_cursors(self) -> None:
        """Forget what a function has opened outside a transaction block; what is held stays."""
        for name in [name for name, cursor in self.cursors.items() if not cursor.outlives]:
            self.runner.close_portal(self.cursors.pop(name))

    def at_commit(self, action: Callable[[], None]) -> None:
        """Do something with channels when the transaction in hand is committed; at once without one."""
        if self.transaction is None:
            action()
        else:
            self.channel_actions.append(action)

    def take_channel_actions(self) -> list[Callable[[], None]]:
        """What the transaction that ends here has left to do if it commits."""
        actions, self.channel_actions = self.channel_actions, []
        return actions

    def notify(self, message: bytes) -> None:
        """A NotificationResponse for this session."""
        self.notices.append(message)
        self.later(self.deliver_notices)

    def report_role(self) -> None:
        """The node may have changed its role: tell the client when ``in_hot_standby`` is not what it was told last."""
        standby = self.engine.standby_refusal is not None
        if standby != self.told_standby:
            self.told_standby = standby
            self.notify(backend.parameter_status("in_hot_standby", self.show("in_hot_standby")))

    def deliver_notices(self) -> None:
        """Send what waits for the end of a statement, if there is none in hand."""
        waits = self.changed or (self.notices and self.transaction is None)
        if waits and not self.closed and self.sink.is_idle():
            self.statement_over()
            self.sink.flush()

    def run_after_statement(self) -> None:
        """Run what a statement left to do once its rows are out."""
        after, self.after_statement = self.after_statement, None
        if after is not None:
            after()

    def drop_unnamed(self) -> None:
        """A simple query ends the unnamed statement and portal."""
        if self.statements:
            self.statements.pop("", None)
        if self.portals:
            portal = self.portals.pop("", None)
            if portal is not None:
                self.runner.close_portal(portal)

    def drop_finished_portal(self) -> bool:
        """Forget the unnamed portal when it is the only one and has been run to its end; False: there is more."""
        portal = self.portals.get("")
        if portal is None or not portal.done or len(self.portals) > 1:
            return False
        self.portals.clear()
        return True

    def close_portals(self) -> None:
        """Portals end with their transaction, which without a block is at Sync."""
        for portal in self.portals.values():
            self.runner.close_portal(portal)
        self.portals.clear()

    def values_for(self, plan: Plan) -> Sequence[Any]:
        """The session's values that a plan asks for, in its order."""
        if not plan.session_values:
            return ()
        return [session_value(self, name) for name in plan.session_values]

    def decoded(
        self, plan: Plan, formats: tuple[int, ...], params: Sequence[bytes | None], portal: str = ""
    ) -> Sequence[Any]:
        """The values of a Bind's parameters as the session reads them. Raises SqlError as ``decode_params``."""
        return decode_params(plan.param_types, formats, params, self.times, portal, self._clock)

    def times_now(self) -> TimeContext:
        """The session's zone, and the time that 'now' stands for in a text."""
        return replace(self.times, now_us=self._clock())

    def _clock(self) -> int:
        return int(session_value(self, "now"))

    # Planning --------------------------------------------------------------------------------------------------

    # Transactions ----------------------------------------------------------------------------------------------

    def begin(
        self,
        *,
        explicit: bool,
        isolation: str | None = None,
        read_only: bool | None = None,
        deferrable: bool | None = None,
    ) -> Transaction:
        """Open a transaction block; characteristics left None are the session's defaults."""
        variables = self.variables
        level = isolation or variables.get("default_transaction_isolation", "read committed")
        if read_only is None:
            read_only = variables.get("default_transaction_read_only") == "on"
        if deferrable is None:
            deferrable = variables.get("default_transaction_deferrable") == "on"
        if self.conflicted and level == "repeatable read" and not read_only:
            level = "serializable"
        self.transaction = transaction = Transaction(
            explicit=explicit,
            isolation=level,
            read_only=read_only,
            deferrable=deferrable,
            now_us=self.statement_now_us or self.engine.now_us(),
        )
        return transaction

    def end_transaction_state(self, *, committed: bool = False) -> None:
        """The transaction is over for this session: portals and LOCAL settings end with it, cursors unless held."""
        self.transaction = None
        self.channel_actions = []
        self.deferred.clear()
        if self.has_advisory:
            self.engine.advisory.end_transaction(self)
        if self.engine.large_objects.opened:
            self.engine.large_objects.forget(self.pid)
        self.close_portals()
        for name, cursor in list(self.cursors.items()):
            cursor.outlives |= committed and cursor.hold
            if not cursor.outlives:
                self.runner.close_portal(cursor)
                del self.cursors[name]
        self.idle_since = 0.0

    def status(self) -> bytes:
        """ReadyForQuery for the state of the transaction."""
        transaction = self.transaction
        if transaction is None:
            return backend.READY_IDLE
        if transaction.failed:
            return backend.READY_FAILED
        return backend.READY_IN_TRANSACTION

    def fail_transaction(self) -> None:
        """An error inside a transaction block: nothing more runs in it. Frees the writer when nothing can be kept."""
        transaction = self.transaction
        if transaction is None:
            return
        transaction.failed = True
        if self.undo:
            self.undo_variables(
                committed=False, since=transaction.savepoint_undo[-1][0] if transaction.savepoints else 0
            )
        if transaction.writing and not transaction.savepoints and transaction.connection is not None:
            if transaction.connection.in_transaction:
                transaction.connection.execute("ROLLBACK")
            self.runner.release_failed(transaction)

    def check_may_write(self, plan: Plan) -> None:
        """Refuse a write early that the node or the session cannot make."""
        self.engine.check_writable()
        if self.transaction is None and self.variables.get("default_transaction_read_only") == "on":
            check_read_only(plan)

    def commit_level(self) -> str | None:
        """What its commits wait for, by ``synchronous_commit``; None: the cluster's mode."""
        level = self.variables.get("synchronous_commit") or self.engine.settings.synchronous_commit
        return level if level != "on" else None

    def own_connection(self) -> apsw.Connection:
        """The connection that holds this session's temporary tables; opened when first needed."""
        if self.forwarded is not None:
            raise ReadOnlyError(
                "cannot create temporary tables on a standby",
                hint="Connect to the primary for temporary tables.",
            )
        if self.private is None:
            transaction = self.transaction
            if transaction is not None and transaction.writing:
                # What it has written is on the shared connection, which becomes the session's own.
                self.private = self.engine.database.hand_over_writer(self.database_oid)
            elif transaction is not None and transaction.connection is not None:
                # The snapshot that it reads becomes the session's own.
                self.private, transaction.borrowed = transaction.connection, False
            else:
                self.private = self.engine.database.connect(database=self.database_oid)
        return self.private

    def shared_writer(self) -> apsw.Connection:
        """The connection with which the sessions of its database write, whoever has the token."""
        return self.engine.database.writer_of(self.database_oid)

    def shown(self) -> apsw.Connection:
        """A connection of the loop's that shows its database, for EXPLAIN and the details of errors."""
        ring = self.ring
        if ring is not self.engine.database.ring:
            self.engine.pipeline.reader(ring)
        return ring.current.connection

    def end_own_snapshot(self) -> None:
        """End the snapshot that an open query holds on the session's own connection; the query goes on with it."""
        if self.private is not None and self.private.in_transaction:
            for portal in self.open_portals():
                if portal.job is not None:
                    portal.job.pins = False
            self.private.execute("COMMIT")

    def drop_temporary(self) -> None:
        """Give up every temporary table. Not inside a transaction block."""
        if self.private is not None and self.transaction is None:
            private, self.private, self.private_schema = self.private, None, None
            self.engine.database.drop(private)
            # The next temporary tables start from the same version.
            self.forget_undone_plans()

    # Variables -------------------------------------------------------------------------------------------------

    # Snapshots ----------------------------------------------------------------------------------------------

    def holds_snapshot(self) -> bool:
        """Whether it keeps SQLite's WAL from being restarted: a snapshot of its own, or a query being read."""
        transaction = self.transaction
        if transaction is not None and transaction.connection is not None and not transaction.writing:
            return True
        return any(portal.job is not None for portal in self.open_portals())

    def open_portals(self) -> list[Portal]:
        """Portals and cursors that may hold a query."""
        return [*self.portals.values(), *self.cursors.values(), *([self.reading] if self.reading else [])]

    def lose_snapshot(self, reason: HeliosError) -> None:
        """Its snapshot is taken away: the statement in hand fails, or the transaction does at the next one."""
        if self.runner.busy_connection is not None or self.runner.job is not None:
            self.runner.cancel(reason)
            return
        for portal in self.open_portals():
            self.runner.close_portal(portal)
        transaction = self.transaction
        if transaction is not None and not transaction.writing:
            self.runner.release_failed(transaction)
            transaction.lost = reason

    def lose_writer(self, reason: HeliosError) -> None:
        """The writer is taken from it: the statement in hand fails, or the transaction block does at the next one.

        To be called again until the writer is free: what runs on a thread ends a little later.
        """
        transaction = self.transaction
        if self.runner.is_busy() or self.copy is not None:
            self.runner.cancel(reason)
        elif transaction is None or transaction.token is None:
            return
        elif not transaction.explicit:
            # A pipeline hears of errors with its statements, and all of these are over.
            reason.severity = "FATAL"
            self.sink.terminate(reason)
        else:
            for portal in self.open_portals():
                self.runner.close_portal(portal)
            # None of them is to be gone back to: what they keep is undone too.
            transaction.forget_savepoints()
            transaction.lost = transaction.lost if transaction.failed else reason
            self.fail_transaction()

    # Timeouts and cancelling -----------------------------------------------------------------------------------

    # End --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The client is gone. What a thread still does for it is interrupted and then cleaned up."""
        if self.closed:
            return
        self.closed = True
        self._disarm(*tuple(self.timers))
        self.runner.cancel(QueryCanceled("canceling statement due to user request"))
        if self.copy is not None:
            self.copy.abort()
        self.clean_up()

    def clean_up(self) -> None:
        """Give everything back, unless a thread or a commit still works for this session: then when it is done."""
        runner = self.runner
        if runner.busy_connection is not None or runner.job is not None:
            return
        if self.transaction is not None:
            runner.rollback(self.transaction)
        else:
            self.end_transaction_state()
        runner.drop_token()
        self.engine.sequences.forget_session(self.pid)
        self.engine.large_objects.forget(self.pid)
        self.engine.sequences.guards.pop(self.pid, None)
        if self.database_oid != DATABASE_OID and self.engine.forwarder is not None:
            # Nobody could drop a database while sessions of it are kept for others at the primary.
            self.engine.forwarder.release(self)
        if self.has_advisory:
            self.engine.advisory.forget(self)
        self.drop_temporary()
        # The session itself is in a cycle, and is found by a search that comes seldom.
        for kept in (self.statements, self.parsed, self.shortcuts):
            kept.clear()
        if self.database_oid != DATABASE_OID:
            self.later(partial(databases.close_unused, self.engine))
