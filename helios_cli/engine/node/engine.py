"""What all sessions of a node share."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.config.hba import HbaRule, rules_of
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import DiskFull, HeliosError, IoFailed, NotServing, ReadOnlyError, SerializationFailure
from helios_cli.engine.log.history import History
from helios_cli.engine.net.login_limits import LoginLimiter
from helios_cli.engine.net.turns import Turns
from helios_cli.engine.node import databases
from helios_cli.engine.node.advisory import AdvisoryLocks
from helios_cli.engine.node.audit import Audit
from helios_cli.engine.node.channels import Channels
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.cluster_settings import CLUSTER_SETTINGS, cluster_setting
from helios_cli.engine.node.guard import InlineGuard
from helios_cli.engine.node.pipeline import CommitPipeline
from helios_cli.engine.node.plan_queue import PlanQueue
from helios_cli.engine.node.readers import ReadPool, Workers
from helios_cli.engine.node.roles import Roles
from helios_cli.engine.node.writer import WriterQueue
from helios_cli.engine.observe.events import EventLog
from helios_cli.engine.replication.view import ClusterView
from helios_cli.engine.sql.ddl_schema import DATABASE_OID
from helios_cli.engine.sql.escapes import plan_cache_for
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.plan_cache import PlanCache
from helios_cli.engine.sql.planner import Planner
from helios_cli.engine.sql.variables import Variable, format_duration
from helios_cli.engine.storage.access import is_short, reads_data
from helios_cli.engine.storage.catalog import DEFAULT_PATH, SqliteCatalog
from helios_cli.engine.storage.constants import ConstantEvaluator
from helios_cli.engine.storage.database import Database
from helios_cli.engine.storage.definition_log import DefinitionLog
from helios_cli.engine.storage.io_errors import errno_of, is_no_room
from helios_cli.engine.storage.large_object_functions import LargeObjects
from helios_cli.engine.storage.library import register_library
from helios_cli.engine.storage.ring import Ring
from helios_cli.engine.storage.sequences import Sequences
from helios_cli.engine.storage.system_copy import SystemCopy, version_of
from helios_cli.engine.storage.system_relations import PLANNER_RELATIONS
from helios_cli.engine.storage.write_ids import WriteIds
from helios_cli.engine.types import Lsn

if TYPE_CHECKING:
    from helios_cli.engine.node.checkpointer import Checkpointer
    from helios_cli.engine.node.forwarder import QueryForwarder
    from helios_cli.engine.node.lead_check import LeadCheck
    from helios_cli.engine.node.scrub import Scrub
    from helios_cli.engine.node.session import Session

log = logging.getLogger(__name__)

PG_EPOCH_US: Final = 946_684_800_000_000
"""Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's zero of time."""

INLINE_READ_SECONDS: Final = 0.004
"""Time after which SQLite interrupts a query on the loop; it then starts over on a thread."""

INLINE: Final = "inline"
READS_DATA: Final = "reads data"
"""Key in a plan's cache: whether it may run on the loop."""

DISK_FULL_POLL_SECONDS: Final = 1.0
DISK_FULL_HEADROOM: Final = 32 << 20
"""Free bytes at which a node that ran out of room takes writes again."""


READER_GRACE_SECONDS: Final = 0.5
"""A younger snapshot is not taken away: its query will be over soon."""

SEARCH_PATHS_MAX: Final = 64
IDLE_CHECK_SECONDS: Final = 0.1
IO_FAILURE_QUIET_SECONDS: Final = 10.0
"""After a failure of the disk was logged, for so long others are not."""


@dataclass(slots=True)
class SchemaView:
    """A schema and the plans made for it."""

    catalog: SqliteCatalog
    plans: PlanCache


class Engine:
    """The database, the queues in front of it, the planner, and everybody who is connected."""

    _system_copy: SystemCopy | None = None
    """What plans are made with, of the version that the ring's current reader shows; None: that is read itself."""
    _last_transaction_id = 0
    """The newest that :meth:`next_transaction_id` gave."""

    statement_count = 0
    """Statements of this node's clients that were begun here."""

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        database: Database,
        pipeline: CommitPipeline,
        *,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.settings = settings
        self.loop = loop
        self.database = database
        self.pipeline = pipeline
        self.on_fatal = on_fatal
        self.clock, self.guard = SystemClock(), InlineGuard()
        for connection in (database.writer, *(reader.connection for reader in database.ring.readers)):
            self.guard.watch(connection)
        database.on_shared = self.guard.watch
        self.queue = WriterQueue(database, pipeline, loop)
        self.queue.refusal = self._refusal
        self.queue.on_disk_full = self.on_disk_full
        self.queue.on_no_room = self.make_room
        self.queue.io_failed = self.sqlite_io_error
        self.queue.on_fatal = on_fatal
        self.queue.on_slow = lambda write: write.done(write)
        self.queue.guard = self.guard
        self.queue.group_max = settings.group_max_transactions
        self.read_workers = Workers(loop, settings.reader_threads, "reader")
        self.write_worker = Workers(loop, 1, "writer")
        self.read_pool = ReadPool(database, self.read_workers, jobs_max=max(16, settings.reader_threads * 8))
        self.channels, self.advisory, self.turns = Channels(), AdvisoryLocks(), Turns(loop, others_share=1)
        self.roles, self.plan_queue = Roles(self), PlanQueue(loop, self.turns)
        self.checkpointer: Checkpointer | None = None
        self.loop_thread = threading.get_ident()
        self.started_us = self.now_us()
        self.sequences, self.write_ids = Sequences(), WriteIds()
        self.large_objects, self.definitions = LargeObjects(), DefinitionLog()
        self.on_reload: Callable[[], object] = lambda: None
        self.alter_cluster: Callable[[str, Any], None] = _no_cluster
        """Changes a field of the cluster's configuration. Raises HeliosError on a node that does not lead."""
        self.when_reached: Callable[[SyncMode, Lsn, Callable[[], None], Session], None] | None = None
        """Calls back when an LSN is where a mode would have it."""
        self.sessions: dict[int, Session] = {}
        self.stopping = False
        self.disk_full_since: float | None = None
        self._standby_refusal: Callable[[], HeliosError] | None = None
        self.cluster_view: Callable[[], ClusterView] | None = None
        """What the node knows of its cluster, from any thread; None without a node."""
        self.events: EventLog | None = None  # None without a node
        self.tell: Callable[..., None] = lambda kind, message, *, severity: None  # puts an event down
        self.scrub: Scrub | None = None  # None without a node
        self.lead_check: LeadCheck | None = None
        """Asks the cluster whether this node leads; None without a node."""
        self.forwarder: QueryForwarder | None = None
        """Takes writes to the primary; None when this node leads, or is a standby that refuses them."""
        self.history: Callable[[], History] = History
        """Which term wrote which part of the log; none without a node."""
        self.settles_reads = False
        """What is applied here may have been acknowledged to somebody: on a standby of D in sync mode, and on a new
        primary until its term's first record is committed."""
        self.forwarded_count = 0
        """Statements and transactions of this node's clients that were taken to the primary."""
        self.errors_unexpected = 0
        self._io_failure_told = float("-inf")
        self.planner = Planner(evaluate=ConstantEvaluator(register_library))
        self._views: dict[tuple[int, tuple[str, ...]], SchemaView] = {}
        self.plans = PlanCache(self.planner)
        self.catalog = self._committed_catalog(DEFAULT_PATH)
        self._pids = itertools.count(1)
        pipeline.on_schema_change = self._schema_changed

    @cached_property
    def login_limits(self) -> LoginLimiter:
        """What is remembered of failed logins."""
        return LoginLimiter()

    @cached_property
    def leaving(self) -> dict[int, Session]:
        """Databases that sessions are about to drop, by OID."""
        return {}

    @cached_property
    def audit(self) -> Audit:
        """Where events about security are put down."""
        return Audit(self)

    @property
    def hba_rules(self) -> tuple[HbaRule, ...]:
        """Who may connect how, by the settings in force; empty: by ``auth``."""
        return rules_of(self.settings.recorded)

    def now_us(self) -> int:
        """Wall clock in microseconds since 2000-01-01 UTC."""
        return self.clock.wall_us() - PG_EPOCH_US

    def next_pid(self) -> int:
        """A number for a new session, unique in this process."""
        return next(self._pids)

    def next_transaction_id(self) -> int:
        """A number that no transaction had before. It starts from the log's end, so that it grows through restarts."""
        self._last_transaction_id = max(self._last_transaction_id + 1, self.database.records.lsn)
        return self._last_transaction_id

    # Plans -----------------------------------------------------------------------------------------------------

    def is_inline(self, plan: Plan, ring: Ring | None = None) -> bool:
        """Whether a plan for the database of ``ring`` is known to be short, and so may run on the loop.

        ``ring`` None is the first database's. False also while no reader of another one can tell.
        """
        answer = plan.cache.get(INLINE)
        if answer is None:
            reader = self.database.ring.current
            if ring is not None and ring is not self.database.ring:
                shown = self.pipeline.reader(ring)
                if shown is None:
                    return False
                reader = shown
            answer = plan.cache[INLINE] = is_short(reader.connection, plan)
        return bool(answer)

    def reads_data(self, plan: Plan) -> bool:
        """Whether the answer to a query depends on the database, and not on the node alone."""
        answer = plan.cache.get(READS_DATA)
        if answer is None:
            answer = plan.cache[READS_DATA] = reads_data(self.database.ring.current.connection, plan)
        return bool(answer)

    def _current_reader(self) -> apsw.Connection:
        return self.database.ring.current.connection

    def _catalog(
        self, connection: apsw.Connection | Callable[[], apsw.Connection], search_path: tuple[str, ...]
    ) -> SqliteCatalog:
        return SqliteCatalog(connection, search_path=search_path, system_relations=PLANNER_RELATIONS)

    def _committed_catalog(self, search_path: tuple[str, ...], database: int = DATABASE_OID) -> SqliteCatalog:
        first = database == DATABASE_OID
        return SqliteCatalog(
            self._current_reader, search_path=search_path, system_relations=PLANNER_RELATIONS,
            copy=(lambda: self._system_copy) if first else (lambda: None), database=database,
        )  # fmt: skip

    def view_of(self, connection: apsw.Connection, search_path: tuple[str, ...]) -> SchemaView:
        """The schema as one connection sees it, for a transaction with DDL or a session with temporary tables.

        Its plans are its own: another transaction may give the same version to another schema.
        """
        return SchemaView(
            self._catalog(connection, search_path), plan_cache_for(search_path, PlanCache(self.planner, shapes_max=256))
        )

    def schema_view(self, search_path: tuple[str, ...], database: int = DATABASE_OID) -> SchemaView:
        """The committed schema of a database along a search path, read through the ring's current reader if need be."""
        view = self._views.get((database, search_path))
        if view is None:
            if len(self._views) >= SEARCH_PATHS_MAX:
                self._views.clear()
            default = search_path == DEFAULT_PATH and database == DATABASE_OID
            catalog = self.catalog if default else self._committed_catalog(search_path, database)
            own = self.plans if default else PlanCache(self.planner, shapes_max=1024)
            view = SchemaView(catalog, plan_cache_for(search_path, own))
            self._views[database, search_path] = view
        return view

    def _schema_changed(self) -> None:
        self._system_copy = self.definitions.planner_copy(self._system_copy, version_of(self._current_reader()))
        self.catalog = self._committed_catalog(DEFAULT_PATH)
        self.plans.clear()
        self._views.clear()
        self.queue.schema_changed()
        for session in tuple(self.sessions.values()):
            session.roles_changed()
        databases.end_orphans(self)

    def is_leaving(self, oid: int) -> bool:
        """Whether a session is about to drop a database."""
        session = self.leaving.get(oid)
        if session is not None and not session.runner.is_at_work():
            del self.leaving[oid]
            return False
        return session is not None

    # What stands in the way of a write ---------------------------------------------------------------------------

    @property
    def standby_refusal(self) -> Callable[[], HeliosError] | None:
        """Why this node takes no writes while it follows another; None when it leads."""
        return self._standby_refusal

    @standby_refusal.setter
    def standby_refusal(self, refusal: Callable[[], HeliosError] | None) -> None:
        """Set on the loop; the clients that are connected hear of the other role by ``in_hot_standby``."""
        self._standby_refusal = refusal
        if refusal is None and self.forwarder is not None:
            forwarder, self.forwarder = self.forwarder, None
            forwarder.close()
        if refusal is None:
            self.settles_reads = False
        for session in tuple(self.sessions.values()):
            session.report_role()

    @property
    def takes_writes(self) -> bool:
        """Whether this node leads, or takes writes to the node that does."""
        return self._standby_refusal is None or self.forwarder is not None

    def _refusal(self) -> HeliosError | None:
        if self.stopping:
            return NotServing("the database system is shutting down")
        if self._standby_refusal is not None:
            return self._standby_refusal()
        if self.disk_full_since is not None:
            return DiskFull(
                "the disk is full: the node takes no writes until there is room",
                hint=f"Free space on the file system of {os.path.dirname(self.database.path)}; "
                "writes resume by themselves.",
            )
        return None

    def check_writable(self) -> None:
        """Raise what keeps this node from writing now."""
        refused = self._refusal()
        if refused is not None:
            raise refused

    @property
    def disk_full_s(self) -> float:
        """For how long there has been no room for writes; 0.0 while there is."""
        return 0.0 if self.disk_full_since is None else self.loop.time() - self.disk_full_since

    def on_disk_full(self) -> None:
        """A write found no room: refuse writes until there is some again."""
        if self.disk_full_since is None:
            self.disk_full_since = self.loop.time()
            self.tell("disk_full", "the disk is full: the node takes no writes until there is room", severity="error")
            self.make_room()
            self.loop.call_later(DISK_FULL_POLL_SECONDS, self._probe_disk)

    def make_room(self) -> None:
        """Give back what a transaction that did not fit has left in SQLite's WAL."""
        if self.checkpointer is not None:
            self.checkpointer.make_room()

    def _probe_disk(self) -> None:
        if self.disk_full_since is None or self.stopping:
            return
        try:
            status = os.statvfs(self.database.path)
            if status.f_bavail * status.f_frsize < DISK_FULL_HEADROOM:
                raise DiskFull("still full")
            self.database.reserve()
        except (HeliosError, OSError):
            self.loop.call_later(DISK_FULL_POLL_SECONDS, self._probe_disk)
        else:
            self.tell("disk_freed", "there is room on the disk again: the node takes writes", severity="warning")
            self.disk_full_since = None

    def sqlite_io_error(self, error: BaseException) -> HeliosError:
        """What an I/O error of SQLite's is to the client; one that is not for want of room is told in the log too.

        The statement has been undone, and SQLite's WAL is a cache: what is committed is in the page log.
        """
        number = errno_of(error)
        reason = os.strerror(number) if number else str(error)
        if is_no_room(error):
            return DiskFull(f"could not extend the database: {reason}", hint="Check free disk space, quota and limits.")
        failed = IoFailed(
            f"could not read or write the database: {reason}",
            hint="Nothing of the statement was kept. Check the disk and the system log.",
        )
        self.io_failed(failed)
        return failed

    def unexpected(self, error: BaseException) -> HeliosError:
        """An error that nobody foresaw: logged with its traceback, told to the client as XX000."""
        self.errors_unexpected += 1
        log.error("internal error: %s", error, exc_info=error)
        return HeliosError(f"internal error: {type(error).__name__}: {error}")

    def io_failed(self, error: IoFailed) -> None:
        """A statement failed for the disk's sake: told in the log too, but not for every statement that follows."""
        now = self.loop.time()
        if now - self._io_failure_told > IO_FAILURE_QUIET_SECONDS:
            self._io_failure_told = now
            log.error("%s", error.message)

    def check_idle_sessions(self) -> None:
        """Look for sessions that sit idle in a transaction; called by the loop a few times a second."""
        if not self.stopping:
            # Before anything can fail: one session that cannot be looked at must not end the looking.
            self.loop.call_later(IDLE_CHECK_SECONDS, self.check_idle_sessions)
        now = self.loop.time()
        for session in tuple(self.sessions.values()):
            if session.idle_since:
                session.check_idle(now)

    # Services ----------------------------------------------------------------------------------------------------

    def request_checkpoint(self, done: Callable[[BaseException | None], None]) -> None:
        """Checkpoint now; ``done`` hears None or the error, in a later turn of the loop."""
        assert self.checkpointer is not None
        self.checkpointer.request().add_done_callback(lambda future: done(future.exception()))

    def cancel_old_readers(self) -> None:
        """SQLite's WAL has grown past its limit: the snapshots that keep it from restarting must go."""
        reason = SerializationFailure(
            "canceling statement due to conflict with checkpointing",
            detail="Its snapshot kept SQLite's WAL from being restarted, which has reached wal_max_mb.",
            hint="Retry; raise wal_max_mb to let readers run longer.",
        )
        newest = self.loop.time() - READER_GRACE_SECONDS
        for session in tuple(self.sessions.values()):
            if session.holds_snapshot() and session.snapshot_since < newest:
                session.lose_snapshot(reason)

    def alter_system(self, name: str | None, value: str | None) -> None:
        """ALTER SYSTEM SET name = value: for the next start of this node, or for the whole cluster at once.

        Without a name it is RESET ALL, which leaves the cluster as it is.
        """
        from helios_cli.engine.config.write import reset_auto, write_auto

        if name is None:
            reset_auto(self.settings.data_dir)
            return
        if name.lower() in CLUSTER_SETTINGS:
            self.alter_cluster(*cluster_setting(name.lower(), value))
            return
        write_auto(self.settings.data_dir, name, value)

    def default_variable(self, variable: Variable) -> str:
        """What a session variable is when the session did not set it."""
        from helios_cli import __version__

        settings = self.settings
        if variable.name == "server_version":
            return f"15.0 (HeliosDB Nano {__version__})"
        if variable.name == "in_hot_standby":
            return "off" if self._standby_refusal is None else "on"
        if variable.name == "transaction_read_only":
            return "off" if self.takes_writes else "on"
        if variable.name == "synchronous_commit":
            return settings.synchronous_commit
        if variable.name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            return format_duration(getattr(settings, variable.name))
        return node_value(settings, variable.name) or variable.default

    def role_binds(self, plan: Plan) -> list[Any]:
        """Parameters of a CREATE or ALTER ROLE, the password replaced by its verifier."""
        return self.roles.binds(plan)


def node_value(settings: Settings, name: str) -> str | None:
    """What PostgreSQL would read from its own files and a node from its settings; None: that is not one of these."""
    if name in ("config_file", "hba_file"):
        return settings.config_file and os.path.abspath(settings.config_file)
    if name == "data_directory":
        return os.path.abspath(settings.data_dir)
    return {"listen_addresses": settings.listen_address, "port": str(settings.pg_port)}.get(name)


def _no_cluster(_name: str, _value: Any) -> None:
    raise ReadOnlyError("the cluster's configuration is changed on its primary")
