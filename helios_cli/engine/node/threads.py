"""A session's statements on worker threads: who is busy with which connection, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import apsw

from helios_cli.engine.errors import DiskFull, HeliosError, IoFailed, QueryCanceled, SerializationFailure
from helios_cli.engine.node.constraint_errors import left_orphan, with_detail
from helios_cli.engine.node.engine import INLINE_READ_SECONDS, Engine
from helios_cli.engine.node.identity import rightful
from helios_cli.engine.node.late_keys import keys_off
from helios_cli.engine.node.readers import ReadJob
from helios_cli.engine.node.routine_calls import runs_for
from helios_cli.engine.node.row_security_calls import hides_rows
from helios_cli.engine.node.writer import GroupWrite
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.foreign_key_errors import foreign_key_error
from helios_cli.engine.sql.literal_positions import point_at_time
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.privileges import SELECT
from helios_cli.engine.sql.sqlite_errors import to_helios
from helios_cli.engine.storage.catalog import SqliteCatalog
from helios_cli.engine.storage.io_errors import is_no_room, note_errno

if TYPE_CHECKING:
    from helios_cli.engine.node.advisory import Wait
    from helios_cli.engine.node.consistency import Hold
    from helios_cli.engine.node.planning import PlanWait
    from helios_cli.engine.node.session import Session

Binds = Sequence[Any]


class Threads:
    """State of the statement in hand, and its way to a thread and back."""

    def __init__(self, session: Session, engine: Engine) -> None:
        self.session = session
        self.engine = engine
        self.waits_for_others = False
        """The statement waits until others have gone."""
        self.queued: GroupWrite | None = None
        """The autocommit write that waits for its group or its commit."""
        self.goes_first = False
        """Its next wait for the writer is before all others: it has waited already."""
        self.job: ReadJob | None = None
        """The query that is being read on worker threads."""
        self.fetching = False
        """A thread is fetching a batch of :attr:`job` now."""
        self.busy_connection: apsw.Connection | None = None
        """Connection that a thread is using for this session."""
        self.awaited_seq = 0
        """The commit whose answer the client waits for, or had last."""
        self.awaits_level = False
        """The client waits for more copies of its commit than the mode asks for."""
        self.cancel_reason: HeliosError | None = None
        self.hold: Hold | Wait | PlanWait | None = None
        """The statement waits: for a state that is new enough, for a lock, or for the plan of a long text."""

    def on_thread(
        self,
        connection: apsw.Connection,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Run ``work`` on the writer thread with ``connection``, which nobody else touches meanwhile."""
        self.engine.pipeline.settle()
        self.engine.pipeline.keep_readable()
        self.busy_connection = connection
        runs_for(connection, self.session)
        self.cancel_reason = None
        self.session.arm_timeouts()
        session = self.session
        if session.is_replica:
            work = _without_keys(connection, work)

        def on_done(result: Any) -> None:
            self.busy_connection = None
            done(result)
            if session.closed:
                session.clean_up()

        def on_failed(error: BaseException) -> None:
            self.busy_connection = None
            note_errno(error, connection)
            if is_no_room(error):
                self.engine.on_disk_full()
            elif isinstance(error, DiskFull):
                self.engine.make_room()
            failed(error)
            if session.closed:
                session.clean_up()

        self.engine.write_worker.run(work, on_done, on_failed)

    def _thread_failed(self, error: BaseException) -> None:
        self.session.failed(self.translate(error))

    def translate(self, error: BaseException, plan: Plan | None = None, binds: Binds = ()) -> HeliosError:
        """The PostgreSQL error for whatever SQLite or Python raised, while it ran ``plan`` with ``binds``."""
        if isinstance(error, HeliosError):
            if isinstance(error, IoFailed):
                self.engine.io_failed(error)
            point_at_time(error, self.session.query)
            return error
        if isinstance(error, apsw.InterruptError):
            reason, self.cancel_reason = self.cancel_reason, None
            return reason or QueryCanceled("canceling statement due to user request")
        if isinstance(error, apsw.BusyError):
            return SerializationFailure("could not serialize access due to concurrent update")
        if isinstance(error, apsw.Error):
            catalog = self.session.schema_view().catalog
            text, code = str(error), getattr(error, "extendedresult", apsw.SQLITE_CONSTRAINT)
            if isinstance(error, apsw.IOError):
                return self.engine.sqlite_io_error(error)
            if plan is None:
                return to_helios(text, code, catalog)
            named = foreign_key_error(plan, catalog) if text.startswith("FOREIGN KEY") else None
            return self._with_detail(named or to_helios(text, code, catalog), plan, binds, catalog)
        return self.engine.unexpected(error)

    def _with_detail(self, error: HeliosError, plan: Plan, binds: Binds, catalog: SqliteCatalog) -> HeliosError:
        """The error with what PostgreSQL says of the row, which is looked for in the state that the session sees."""
        if self.busy_connection is not None:
            return error
        transaction = self.session.transaction
        own = transaction.connection if transaction is not None else None
        reader = own or self.session.private or self.session.shown()
        self.engine.guard.arm(INLINE_READ_SECONDS)
        try:
            return with_detail(error, plan, binds, reader, catalog, self.may_read, self.session.times.zone)
        finally:
            self.engine.guard.disarm()

    def may_read(self, table: TableDef) -> bool:
        """Whether the session may be shown rows of a table."""
        session = self.session
        if not session.restricted:
            return True
        held = rightful(session).relation_held(table.oid, "r", table.name, SELECT)
        return bool(held) and not hides_rows(session, session.schema_view().catalog, table.oid)

    def left_orphan(self, connection: apsw.Connection, keys: frozenset[int] | None = None) -> HeliosError | None:
        """The error of the deferred key that a COMMIT would leave violated; None when it is not found.

        ``keys``: OIDs of the constraints that are looked at; None: all.
        """
        catalog = self.session.schema_view().catalog
        self.engine.guard.arm(INLINE_READ_SECONDS)
        try:
            return left_orphan(connection, catalog, self.may_read, self.session.times.zone, keys)
        finally:
            self.engine.guard.disarm()

    def is_at_work(self) -> bool:
        """Whether a statement is under way, or waits for its turn."""
        return self.waits_for_others or self.session.token is not None or self.is_busy()

    def is_busy(self) -> bool:
        """Whether a statement of the session is under way."""
        under_way = (self.busy_connection, self.job, self.queued, self.hold)
        return any(part is not None for part in under_way)


def _without_keys(connection: apsw.Connection, work: Callable[[], Any]) -> Callable[[], Any]:
    """Work during which foreign keys are neither looked at nor act, as those of a PostgreSQL that replicates."""

    def run() -> Any:
        with keys_off(connection):
            return work()

    return run
