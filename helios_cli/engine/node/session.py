"""One client's session: its variables, prepared statements, portals and transaction.

It knows no socket: the frontend feeds it statements and takes the messages it leaves in :attr:`Session.out`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import apsw

from helios_cli.engine.errors import FeatureNotSupported, HeliosError, QueryCanceled, SqlError
from helios_cli.engine.node import utility
from helios_cli.engine.node.copy_in import CopyReceiver
from helios_cli.engine.node.engine import Engine, SchemaView
from helios_cli.engine.node.readers import ReadJob, RowsEncoder
from helios_cli.engine.node.runner import Runner, read_only_error
from helios_cli.engine.node.session_values import session_value
from helios_cli.engine.node.timezone import check_timezone
from helios_cli.engine.node.transaction import Transaction
from helios_cli.engine.node.writer import TokenRequest
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.plan import Column, Kind, Plan
from helios_cli.engine.sql.plan_cache import Planned
from helios_cli.engine.sql.variables import BY_NAME, find, parse_duration_ms, parse_search_path
from helios_cli.engine.storage.catalog import DEFAULT_PATH
from helios_cli.engine.wire import backend
from helios_cli.engine.wire.rows import rows_encoder

if TYPE_CHECKING:
    from helios_cli.engine.node.fastpath import Shortcut


PLAN_UNDONE: Final = -2
"""The catalog version of a plan that was made for a schema that was rolled back: no schema has it."""


class Prepared:
    """A named statement."""

    __slots__ = ("literals", "name", "oids", "plan", "shortcuts", "sql")

    def __init__(self, name: str, sql: str, oids: tuple[int, ...], plan: Plan, literals: Sequence[Any]) -> None:
        self.name = name
        self.sql = sql
        self.oids = oids
        self.plan = plan
        self.literals = literals
        self.shortcuts: dict[Any, Shortcut] = {}
        """By parameter and result formats; see :mod:`.fastpath`."""


class Portal:
    """A statement with its parameters bound, and how far its result has been taken."""

    __slots__ = (
        "binds", "completes", "describe", "done", "encode", "formats", "job", "name", "noticed", "plan", "rows",
        "rows_max", "sent", "sent_before", "session",
    )  # fmt: skip

    def __init__(
        self, session: Session, name: str, plan: Plan, binds: Sequence[Any], formats: tuple[int, ...], describe: bool
    ) -> None:
        self.session = session
        self.name = name
        self.plan = plan
        self.binds = binds
        self.formats = formats
        self.describe = describe
        """RowDescription is still to be sent before the rows: the simple protocol's way."""
        self.completes = True
        """CommandComplete follows the last row; FETCH and COPY send one of their own."""
        self.rows: list[Any] | None = None
        """Rows fetched and not yet taken."""
        self.job: ReadJob | None = None
        self.encode: RowsEncoder | None = None
        self.sent = 0
        self.sent_before = 0
        self.rows_max = 0
        """Greatest number of rows the Execute in hand wants; 0 for all."""
        self.done = False
        self.noticed = False
        """The plan's notices are on their way; a statement that waited for the writer starts again from the top."""

    def send_description(self) -> None:
        """RowDescription, once, when it is due."""
        if self.describe:
            self.describe = False
            self.session.out.append(self.description())

    def description(self) -> bytes:
        """The RowDescription message of this portal."""
        cache = self.plan.cache
        key = ("description", self.formats)
        message = cache.get(key)
        if message is None:
            message = cache[key] = backend.row_description(self.plan.columns or (), self.formats)
        return message  # type: ignore[no-any-return]

    def encoder(self) -> RowsEncoder:
        """Turns rows into DataRow messages."""
        return self.encode or self.encoder_for(self.formats)

    def encoder_for(self, formats: tuple[int, ...]) -> RowsEncoder:
        """The same for other formats than the portal's own."""
        cache = self.plan.cache
        encode = cache.get(formats)
        if encode is None:
            types = tuple(column.type_oid for column in self.plan.columns or ())
            encode = cache[formats] = rows_encoder(types, formats)
        return encode  # type: ignore[no-any-return]

    def sent_since_execute(self) -> int:
        """Rows sent by the Execute in hand."""
        return self.sent - self.sent_before

    def run_again(self) -> bool:
        """Execute after the last row: no rows for a query. Raises SqlError 55000 for all else."""
        if self.plan.columns is None or self.plan.kind > Kind.WRITE:
            raise SqlError(f'portal "{self.name}" cannot be run', sqlstate="55000")
        self.session.out.append(backend.command_complete(f"{self.plan.tag} 0"))
        return True

    def send_result(self, rows: list[Any] | None, changes: int) -> None:
        """The whole answer of a write."""
        self.done = True
        plan = self.plan
        out = self.session.out
        if rows is not None and plan.columns is not None:
            self.send_description()
            if 0 < self.rows_max <= len(rows):
                self.done = False
                self.rows = rows
                self.session.runner.send_kept_rows(self, self.rows_max)
                return
            out.append(self.encoder()(rows))
            if plan.tag == "SELECT":
                changes = len(rows)
        out.append(backend.command_complete(f"{plan.tag} {changes}" if plan.counts_rows else plan.tag))


def aborted() -> SqlError:
    """The answer to every statement of a failed transaction."""
    return SqlError(
        "current transaction is aborted, commands ignored until end of transaction block", sqlstate="25P02"
    )


def _shape_of(plan: Plan) -> tuple[Any, ...]:
    return tuple((column.name, column.type_oid) for column in plan.columns or ())


_UNUSUAL: Final = ("synchronous_commit", "statement_timeout", "lock_timeout", "default_transaction_read_only")


class Sink(Protocol):
    """What a session tells its connection."""

    def resume(self) -> None:
        """The statement in hand is over; go on with the next message."""

    def fail(self, error: HeliosError) -> None:
        """The statement in hand failed; go on as the protocol says."""

    def flush_then(self, callback: Callable[[], None]) -> None:
        """Send what is in ``out`` and call back when the client has room for more."""

    def terminate(self, error: HeliosError) -> None:
        """Send a FATAL error and close."""

    def retry(self, portal: Portal, rows_max: int) -> None:
        """Start the portal's statement again from the top."""

    def copy_begins(self) -> None:
        """COPY FROM STDIN takes what the client sends from here on."""

    def copy_wants_more(self) -> None:
        """The COPY thread has caught up; the client may be read again."""

    def copy_over(self, rest: bytes) -> None:
        """COPY has ended; ``rest`` came behind it."""

    def is_idle(self) -> bool:
        """Whether the connection is between statements."""

    def flush(self) -> None:
        """Send what is in ``out``."""


class Session:
    """State of one authenticated client."""

    def __init__(self, engine: Engine, sink: Sink, *, user: str, database: str, pid: int, secret: bytes) -> None:
        self.engine = engine
        self.sink = sink
        self.user = user
        self.database = database
        self.pid = pid
        self.secret = secret
        self.out: list[bytes] = []
        self.runner = Runner(self, engine)
        self.statements: dict[str, Prepared] = {}
        self.portals: dict[str, Portal] = {}
        self.cursors: dict[str, Portal] = {}
        self.variables: dict[str, str] = {}
        """Values that differ from the default, by lower-case name."""
        self.undo: list[tuple[str, str | None, bool]] = []
        """Name, value before and whether LOCAL of each SET in the transaction in hand, oldest first."""
        self.transaction: Transaction | None = None
        self.token: TokenRequest | None = None
        self.private: apsw.Connection | None = None
        """A connection of its own for a session with temporary tables."""
        self.private_schema: SchemaView | None = None
        self.search_path: tuple[str, ...] = DEFAULT_PATH
        self.copy: CopyReceiver | None = None
        self.floor_seq = 0
        """Its own last commit that it did not wait for; its next read does."""
        self.conflicted = False
        """It met 40001, so its next such transaction takes the writer at its first statement."""
        self.closed = False
        self.unusual = bool(engine.settings.statement_timeout or engine.settings.lock_timeout)
        """It has set something that autocommit writes must look at."""
        self.statement_timeout_ms = engine.settings.statement_timeout
        self.lock_timeout_ms = engine.settings.lock_timeout
        self.idle_transaction_ms = engine.settings.idle_in_transaction_session_timeout
        self.query = ""
        self.application_name = ""
        self.statement_now_us = 0
        self.channel_actions: list[Callable[[], None]] = []
        """LISTENs, UNLISTENs and NOTIFYs of the transaction in hand, done when it is committed."""
        self.client_address: tuple[str, int] = ("", 0)
        self.server_address: tuple[str, int] = ("", 0)
        self.started_us = engine.now_us()
        self.idle_since = 0.0
        """When the client got the word inside a transaction, on the loop's clock; 0 while it does not have it."""
        self.idle_within = False
        """It is awaited within a statement or a pipeline, so it is not idle in PostgreSQL's sense."""
        self.reading: Portal | None = None
        """The portal whose query is being read on a thread."""
        self.after_statement: Callable[[], None] | None = None
        self.snapshot_since = 0.0
        self._notices: list[bytes] = []
        self.timers: dict[str, asyncio.TimerHandle] = {}

    # What the frontend calls -----------------------------------------------------------------------------------

    def start(self, portal: Portal, rows_max: int) -> bool:
        """Run a portal's statement, as :class:`Runner` says."""
        plan = portal.plan
        transaction = self.transaction
        self.refuse_in_failed(plan)
        if transaction is not None and transaction.lost is not None and not utility.allowed_in_failed(plan):
            lost, transaction.lost = transaction.lost, None
            raise lost
        if portal.done:
            return portal.run_again()
        portal.rows_max = rows_max
        if portal.rows is not None:
            portal.sent_before = portal.sent
            self.runner.send_kept_rows(portal, rows_max)
            return True
        if not portal.noticed:
            portal.noticed = True
            for notice in plan.notices:
                self.out.append(backend.notice_response(SqlError(notice, sqlstate="00000"), severity="NOTICE"))
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
            raise aborted()

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

    def flush_then(self, callback: Callable[[], None]) -> None:
        """Send what is ready; go on when the client has room for more."""
        self.sink.flush_then(callback)

    # What happens around a statement -----------------------------------------------------------------------------

    def statement_starts(self, sql: str) -> None:
        """A query string or Parse has come."""
        self.query = sql
        self.statement_now_us = 0

    def statement_over(self) -> None:
        """ReadyForQuery comes next: outside a transaction block what was notified meanwhile goes before it."""
        if self._notices and self.transaction is None:
            self.out.extend(self._notices)
            self._notices.clear()

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
        self._notices.append(message)
        self.later(self._deliver_notices)

    def _deliver_notices(self) -> None:
        if self._notices and not self.closed and self.transaction is None and self.sink.is_idle():
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

    # Planning --------------------------------------------------------------------------------------------------

    def schema_view(self) -> SchemaView:
        """The schema this session sees, with the plans made for it.

        That is its own transaction's after DDL, its own connection's with temporary tables, else the committed one.
        """
        transaction = self.transaction
        if transaction is not None and transaction.schema is not None:
            return transaction.schema
        if self.private is not None:
            return self._private_view(self.private)
        return self.engine.schema_view(self.search_path)

    def _private_view(self, connection: apsw.Connection) -> SchemaView:
        view = self.private_schema
        if view is None or view.catalog.search_path != self.search_path:
            view = self.private_schema = self.engine.view_of(connection, self.search_path)
        elif view.catalog.refresh():
            view.plans.clear()
        return view

    def committed_catalog(self) -> object:
        """The identity of the committed schema along this session's search path; None when it sees another one."""
        if self.private is not None or (self.transaction is not None and self.transaction.schema is not None):
            return None
        if self.search_path is DEFAULT_PATH:
            return self.engine.catalog
        return self.schema_view().catalog

    def plan(self, sql: str) -> Planned:
        """Plan a query string. Raises SqlError."""
        return self._planned(sql)

    def _planned(self, sql: str, oids: tuple[int, ...] | None = None) -> Planned:
        view = self.schema_view()
        try:
            return view.plans.get(sql, view.catalog, oids)
        except SqlError as error:
            if self.transaction is not None and self.transaction.failed and error.sqlstate != "42601":
                raise aborted() from None
            raise

    def prepare(self, name: str, sql: str, oids: tuple[int, ...]) -> Prepared:
        """Plan a statement to be run later, maybe often. Raises SqlError."""
        same = self.statements.get(name)
        if (
            same is not None
            and same.sql == sql
            and same.oids == oids
            and same.plan.kind < Kind.UTILITY
            and same.plan.catalog_version == self.schema_view().catalog.version
        ):
            # Drivers that know only the unnamed statement send the same Parse again and again.
            return same
        planned = self._planned(sql, oids)
        if len(planned) > 1:
            raise SqlError("cannot insert multiple commands into a prepared statement", sqlstate="42601")
        plan, literals = planned[0] if planned else (Plan(Kind.EMPTY, ""), ())
        return Prepared(name, sql, oids, plan, literals)

    def statement(self, name: str) -> Prepared:
        """A prepared statement by name. Raises SqlError 26000."""
        prepared = self.statements.get(name)
        if prepared is None:
            shown = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise SqlError(f"{shown} does not exist", sqlstate="26000")
        return prepared

    def current_plan(self, prepared: Prepared) -> Plan:
        """The plan of a prepared statement, made again when the schema has changed since.

        Raises:
            SqlError: the statement is wrong under the new schema; 0A000 when its result has other columns now.
        """
        plan = prepared.plan
        if plan.kind >= Kind.UTILITY or plan.catalog_version == self.schema_view().catalog.version:
            return plan
        again = self.prepare(prepared.name, prepared.sql, prepared.oids)
        if _shape_of(again.plan) != _shape_of(plan):
            raise SqlError("cached plan must not change result type", sqlstate="0A000")
        prepared.plan, prepared.literals = again.plan, again.literals
        return prepared.plan

    def schema_changed_in_transaction(self) -> None:
        """DDL ran in the open transaction: from here on it plans for its own schema."""
        transaction = self.transaction
        if transaction is not None and transaction.connection is not None:
            transaction.schema = self.engine.view_of(transaction.connection, self.search_path)

    def forget_undone_plans(self) -> None:
        """DDL was rolled back: another transaction may give the same version to another schema."""
        version = self.schema_view().catalog.version
        for prepared in self.statements.values():
            if prepared.plan.catalog_version != version:
                prepared.plan.catalog_version = PLAN_UNDONE

    def columns_of(self, plan: Plan) -> tuple[Column, ...] | None:
        """The result columns of a plan; EXECUTE and FETCH have those of what they name.

        None: no result, or a name that will be missed when the statement runs.
        """
        action = plan.action
        if isinstance(action, actions.Execute):
            prepared = self.statements.get(action.name)
            return self.current_plan(prepared).columns if prepared is not None else None
        if isinstance(action, actions.Fetch) and not action.move:
            cursor = self.cursors.get(action.cursor)
            return cursor.plan.columns if cursor is not None else None
        return plan.columns

    # Transactions ----------------------------------------------------------------------------------------------

    def begin(self, *, explicit: bool, isolation: str | None = None, read_only: bool | None = None) -> Transaction:
        """Open a transaction block; characteristics left None are the session's defaults."""
        level = isolation or self.show("default_transaction_isolation")
        if read_only is None:
            read_only = self.show("default_transaction_read_only") == "on"
        if self.conflicted and level == "repeatable read" and not read_only:
            level = "serializable"
        self.transaction = transaction = Transaction(
            explicit=explicit,
            isolation=level,
            read_only=read_only,
            deferrable=False,
            now_us=self.statement_now_us or self.engine.now_us(),
        )
        return transaction

    def end_transaction_state(self) -> None:
        """The transaction is over for this session: portals and LOCAL settings end with it."""
        self.transaction = None
        self.channel_actions = []
        self.close_portals()
        for portal in self.cursors.values():
            self.runner.close_portal(portal)
        self.cursors.clear()
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
        if transaction.writing and not transaction.savepoints and transaction.connection is not None:
            if transaction.connection.in_transaction:
                transaction.connection.execute("ROLLBACK")
            self.runner.release_failed(transaction)

    def check_may_write(self, plan: Plan) -> None:
        """Refuse a write early that the node or the session cannot make."""
        self.engine.check_writable()
        if self.transaction is None and self.variables.get("default_transaction_read_only") == "on":
            raise read_only_error(plan)

    def waits_for_commit(self) -> bool:
        """Whether its commits are answered only when committed (``synchronous_commit``)."""
        return self.variables.get("synchronous_commit") != "off"

    def own_connection(self) -> apsw.Connection:
        """The connection that holds this session's temporary tables; opened when first needed.

        Raises:
            FeatureNotSupported: the transaction has written on the shared connection already.
        """
        if self.private is None:
            transaction = self.transaction
            if transaction is not None and transaction.writing:
                raise FeatureNotSupported(
                    "the first temporary table of a session cannot be made after the transaction has written",
                    hint="Create it at the beginning of the transaction or before it.",
                )
            if transaction is not None and transaction.connection is not None:
                # The snapshot that it reads becomes the session's own.
                self.private, transaction.borrowed = transaction.connection, False
            else:
                self.private = self.engine.database.connect()
        return self.private

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

    # Variables -------------------------------------------------------------------------------------------------

    def show(self, name: str) -> str:
        """The value of a parameter. Raises SqlError 42704."""
        folded = name.lower()
        special = utility.computed_variable(self, folded)
        if special is not None:
            return special
        if folded in self.variables:
            return self.variables[folded]
        return self.engine.default_variable(find(name))

    def set_variable(self, name: str, value: str | None, *, local: bool = False) -> None:
        """SET; ``value`` None goes back to the default. Reported parameters are sent to the client."""
        variable = find(name)
        folded = variable.name.lower()
        checked = None if value is None else variable.check(variable.name, value)
        if folded == "timezone" and checked is not None:
            checked = check_timezone(checked)
        if self.transaction is not None:
            self.undo.append((folded, self.variables.get(folded), local))
        elif local:
            self.out.append(
                backend.notice_response(
                    SqlError("SET LOCAL can only be used in transaction blocks", sqlstate="25P01"), severity="WARNING"
                )
            )
            return
        self._store(folded, checked)

    def undo_variables(self, *, committed: bool, since: int = 0) -> None:
        """Put back what SET LOCAL, or any SET that is rolled back, had replaced from the ``since``-th on."""
        undo, self.undo = self.undo[since:], self.undo[:since]
        for name, value, local in reversed(undo):
            if local or not committed:
                self._store(name, value)

    def _store(self, folded: str, value: str | None) -> None:
        if value is None:
            self.variables.pop(folded, None)
        else:
            self.variables[folded] = value
        current = self.show(folded)
        if folded == "statement_timeout":
            self.statement_timeout_ms = parse_duration_ms(folded, current)
        elif folded == "lock_timeout":
            self.lock_timeout_ms = parse_duration_ms(folded, current)
        elif folded == "idle_in_transaction_session_timeout":
            self.idle_transaction_ms = parse_duration_ms(folded, current)
        elif folded == "search_path":
            self.search_path = parse_search_path(current)
        elif folded == "application_name":
            self.application_name = current
        waits = bool(self.statement_timeout_ms or self.lock_timeout_ms)
        self.unusual = waits or any(name in self.variables for name in _UNUSUAL)
        variable = BY_NAME.get(folded)
        if variable is not None and variable.reported:
            self.out.append(backend.parameter_status(variable.name, current))

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

    # Timeouts and cancelling -----------------------------------------------------------------------------------

    def arm_timeouts(self, *, lock: bool = False) -> None:
        """The statement in hand waits: start the clocks the session asked for."""
        if self.statement_timeout_ms and "statement" not in self.timers:
            self._arm("statement", self.statement_timeout_ms, self._statement_timed_out)
        if lock and self.lock_timeout_ms:
            self._arm("lock", self.lock_timeout_ms, self._lock_timed_out)

    def disarm_lock_timeout(self) -> None:
        """The writer's token has come."""
        self._disarm("lock")

    def went_idle(self, *, within: bool = False) -> None:
        """The client has the word. Inside a transaction it may be silent only so long.

        ``within`` a statement or a pipeline, whose data, Sync or reading is awaited, that counts only while others
        wait for the writer.
        """
        transaction = self.transaction
        if transaction is None or not (transaction.explicit or within):
            return
        self.idle_within = within
        self.idle_since = self.engine.loop.time()

    def woke_up(self) -> None:
        """The client has sent something."""
        self.idle_since = 0.0

    def check_idle(self, now: float) -> None:
        """End a session that has been silent inside a transaction for longer than it may."""
        transaction = self.transaction
        if not self.idle_since or transaction is None:
            return
        idle_ms = (now - self.idle_since) * 1000
        if self.idle_transaction_ms and idle_ms > self.idle_transaction_ms and not self.idle_within:
            self._idle_timed_out()
        elif transaction.token is not None and len(self.engine.queue):
            limit = self.engine.settings.idle_writer_timeout
            if limit and idle_ms > limit:
                self._idle_timed_out()

    def terminate(self) -> None:
        """pg_terminate_backend: end the session."""
        self.sink.terminate(HeliosError("terminating connection due to administrator command", sqlstate="57P01"))

    def cancel(self) -> None:
        """CancelRequest for this session."""
        self.runner.cancel(QueryCanceled("canceling statement due to user request"))

    def _arm(self, name: str, milliseconds: int, callback: Callable[[], None]) -> None:
        self._disarm(name)
        self.timers[name] = self.engine.loop.call_later(milliseconds / 1000, callback)

    def _disarm(self, *names: str) -> None:
        if self.timers:
            for name in names:
                timer = self.timers.pop(name, None)
                if timer is not None:
                    timer.cancel()

    def _statement_timed_out(self) -> None:
        self.runner.cancel(QueryCanceled("canceling statement due to statement timeout"))

    def _lock_timed_out(self) -> None:
        self.runner.cancel(
            HeliosError(
                "canceling statement due to lock timeout",
                sqlstate="55P03",
                hint="Another transaction holds the writer; see pg_stat_activity.",
            )
        )

    def _idle_timed_out(self) -> None:
        self.sink.terminate(HeliosError("terminating connection due to idle-in-transaction timeout", sqlstate="25P03"))

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
        self.drop_temporary()
