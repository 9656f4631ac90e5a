"""One running node: opens the data directory, starts the faces, stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import HeliosError, OutcomeUnknown
from helios_cli.engine.net import interpreter
from helios_cli.engine.net.gate import GATE
from helios_cli.engine.net.http import HttpServer
from helios_cli.engine.net.http_routes import AdminVerb, Routes
from helios_cli.engine.net.http_token import cluster_token, load_or_create_token
from helios_cli.engine.node import binding, catalog_warmup, handover, moments, report
from helios_cli.engine.node.admin import Admin
from helios_cli.engine.node.binding import bind
from helios_cli.engine.node.checkpointer import Checkpointer
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.drills import DRILLS
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.node.failover_hooks import FailoverHooks
from helios_cli.engine.node.http_sql import SqlOverHttp
from helios_cli.engine.node.join import Beginning, find_beginning
from helios_cli.engine.node.listener import Listener
from helios_cli.engine.node.node_tls import NodeTls
from helios_cli.engine.node.passwords import stored_password
from helios_cli.engine.node.pipeline import CommitPipeline
from helios_cli.engine.node.rejoin import finish_last_life
from helios_cli.engine.node.reloading import reload_node
from helios_cli.engine.node.replication import Replication
from helios_cli.engine.node.scrub import Scrub
from helios_cli.engine.node.sealing import seal_when_idle
from helios_cli.engine.node.setup import ConnectionSetup
from helios_cli.engine.observe.events import EventLog
from helios_cli.engine.observe.logs import configure_logging
from helios_cli.engine.observe.loop_monitor import LoopMonitor
from helios_cli.engine.observe.metrics import Registry
from helios_cli.engine.sql.ddl_schema import SYSTEM_SCHEMA
from helios_cli.engine.storage.connection import check_library
from helios_cli.engine.storage.database import GROUP_RESERVE, Commit, Database
from helios_cli.engine.storage.dirlock import DirectoryLock
from helios_cli.engine.storage.first_password import SET_PASSWORD
from helios_cli.engine.storage.later_tables import missing_tables
from helios_cli.engine.storage.secret import create_secret
from helios_cli.engine.storage.store import Store
from helios_cli.engine.storage.uring import open_uring
from helios_cli.engine.types import PAGE_SIZE, Term

log = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_PANIC: Final = 70
"""A file could not be written or synced: what is on disk is unknown until it is opened again."""

STOP_SECONDS: Final = 10.0
QUIESCE_SECONDS: Final = 1.0
STOP_PAUSE_S: Final = 0.02

Result = TypeVar("Result")


class Node:
    """Everything of one process. ``run`` returns when the node has stopped."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started_us = SystemClock.wall_us()
        self.registry: Registry
        self.events = EventLog(Path(settings.data_dir) / "state.db")
        self.hooks = FailoverHooks(report.node_id(settings), lambda: self.settings, self.event)
        self.stop_requested = asyncio.Event()
        self.keeps_lead = False
        """Whether a primary that stops leaves it to the others to find out."""
        self.life_over = asyncio.Event()
        self.serving = False
        self.exit_code = EXIT_OK
        self.store: Store
        self.database: Database
        self.pipeline: CommitPipeline
        self.engine: Engine
        self.checkpointer: Checkpointer
        self.scrub: Scrub
        self.listener: Listener | None = None
        self.setup: ConnectionSetup
        self.loop_monitor: LoopMonitor
        self.address = settings.listen_address
        """What the node listens on, which may be narrower than what the settings say."""
        self.secret = b""
        """The cluster's; empty when there is none."""
        self.replication: Replication
        self.tls: NodeTls
        self._http: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> int:
        """Start, serve until told to stop, stop in order. Raises HeliosError when it cannot start.

        A node lives once or several times under one lock of its directory: what cannot be done while the database is
        open, such as a rewind, is done between two lives.
        """
        loop = asyncio.get_running_loop()
        lock = self._lock()
        DRILLS.open_for(self.settings.data_dir if self.settings.allow_faults else None)
        try:
            self.tls = NodeTls(self.settings, self.event)
            self._install_signals(loop)
            hooks = loop.create_task(self.hooks.run())
            while await self._live(loop):
                pass
            hooks.cancel()
            await loop.run_in_executor(None, self.events.stop)
        finally:
            lock.release()
        return self.exit_code

    async def _live(self, loop: asyncio.AbstractEventLoop) -> bool:
        """One life, from opening the directory to closing it; whether another follows."""
        self._forget_last_life()
        beginning = await self._until_over(self._begin())
        if beginning is None:
            return False
        self._open(loop, beginning)
        try:
            if await self._start_faces():
                loop.set_exception_handler(self._callback_failed)
                self._announce()
                self.serving = True
                await self._over()
        finally:
            self.serving = False
            await self._stop()
        return not self.stop_requested.is_set()

    async def _begin(self) -> Beginning:
        beginning = await find_beginning(self.settings, lambda: self.tls.peer)
        await finish_last_life(self, beginning)
        return beginning

    def begin_again(self, why: str) -> None:
        """End this life and begin another in the same process: sessions get 57P01, everything is closed and opened.

        Nothing is checkpointed in between. What is to be done first stands in the control file already, where a crash
        finds it too. Idempotent.
        """
        if not self.life_over.is_set():
            self.event("restarting", f"the node closes its database and opens it again: {why}")
            self.life_over.set()

    def _forget_last_life(self) -> None:
        self.life_over.clear()
        self.setup = ConnectionSetup()
        self.registry = Registry()
        self.loop_monitor = LoopMonitor(self.registry)
        self.listener = None
        self._http = None
        self._tasks = []

    # Start -----------------------------------------------------------------------------------------------------------

    def _lock(self) -> DirectoryLock:
        settings = self.settings
        ports = {"pg": settings.pg_port, "peer": settings.native_port, "http": settings.http_port}
        os.makedirs(settings.data_dir, mode=0o700, exist_ok=True)
        return DirectoryLock.acquire(settings.data_dir, ports=ports, started_us=self.started_us, pid=os.getpid())

    async def _over(self) -> None:
        """Until this life is to end, for good or for another."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.stop_requested, self.life_over)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _until_over(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """The result of the work; None when the life is to end before it is done."""
        task = asyncio.ensure_future(work)
        over = asyncio.ensure_future(self._over())
        try:
            await asyncio.wait((task, over), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            over.cancel()

    def _open(self, loop: asyncio.AbstractEventLoop, beginning: Beginning) -> None:
        settings = self.settings
        role = beginning.role
        self.secret = beginning.secret
        follows = beginning.follows
        self.store = store = Store(
            settings.data_dir,
            segment_bytes=settings.log_segment_mb << 20,
            cluster_id=beginning.cluster_id,
            committed_only=follows,
        )
        if not self.secret and role.name == "primary" and store.recovery.born:
            self.secret = create_secret(store.control_dir)
        term = store.control.record.term if follows else store.new_term()
        self.database = Database(
            store.db_path,
            log=store.log,
            checksums=store.checksums,
            records=store.encoder(term),
            clock=SystemClock(),
            setup=self.setup,
            ring_size=settings.groups_in_flight + 2,
        )
        self.pipeline = CommitPipeline(
            self.database,
            loop,
            in_flight_max=settings.groups_in_flight,
            on_fatal=self.panic,
            uring=open_uring(settings.io_method),
        )
        self.database.before_chain = self.pipeline.drain_log
        self.engine = Engine(settings, loop, self.database, self.pipeline, on_fatal=self.panic)
        self.setup.share_with(self.engine)
        self.engine.on_reload, self.engine.tell = self.reload, self.event
        self.setup.hooks.engine = self.engine
        self.replication = Replication(self, role)
        self.engine.cluster_view, self.engine.events = self.replication.view, self.events
        self.engine.history = lambda: self.store.timeline.history
        self.engine.checkpointer = self.checkpointer = Checkpointer(
            store,
            self.database,
            self.pipeline,
            self.engine.queue,
            self.engine.read_pool,
            threshold_mb=settings.wal_checkpoint_mb,
            wal_max_mb=settings.wal_max_mb,
            log_retention_mb=settings.log_retention_mb,
            max_slot_lag_mb=settings.max_slot_lag_mb,
            on_old_reader=self.engine.cancel_old_readers,
            on_event=lambda kind, message: self.event(kind, message, severity="warning"),
            on_fatal=self.panic,
            on_unexpected=self.engine.unexpected,
        )
        self.checkpointer.hold = self.replication.nothing_applied
        self.engine.scrub = self.scrub = Scrub(self)
        self.replication.begin(follows=follows)
        leading = self.replication.leading
        if leading is not None:
            self.pipeline.submit(self.term_start(born=store.recovery.born, password=beginning.first_password))
            if store.configs.newest is None:
                leading.propose_first(self.replication.config)
        self.engine.check_idle_sessions()
        self.events.start()
        self._report_recovery()

    def lead_term(self, term: Term) -> None:
        """Make records of this term from now on, behind what the log holds."""
        database, pipeline = self.database, self.pipeline
        committed = pipeline.committed_lsn
        database.records = self.store.encoder(term)
        database.records.committed_lsn = committed
        pipeline.submitted_lsn = database.records.lsn

    def term_start(self, *, born: bool = False, password: str = "") -> Commit:
        """The record that opens the term; with it, at birth, the system tables, and later those that are missing.

        ``password`` becomes that of the first role, so that nobody ever finds a database that lacks it.
        """
        database = self.database
        tables = SYSTEM_SCHEMA if born else missing_tables(database.writer)
        database.reserve(GROUP_RESERVE if tables else PAGE_SIZE)
        self.store.timeline.begins(database.records.term, database.records.lsn)
        data = database.records.term_start(SystemClock.wall_us())
        if not tables:
            database.commit_seq += 1
            reader = database.ring.pin_boundary()
            records = database.records
            return Commit(database.commit_seq, reader, (), records.lsn, data, db_checksum=records.db_checksum)
        database.writer.execute("BEGIN IMMEDIATE")
        for statement in tables:
            database.writer.execute(statement)
        if born and password:
            database.writer.execute(SET_PASSWORD, (stored_password(password),))
        commit = database.commit(database.writer, schema_changed=True)
        assert commit is not None
        commit.data = data + commit.data
        return commit

    def _report_recovery(self) -> None:
        recovery = self.store.recovery
        if recovery.born:
            self.event("born", f"new database in {self.settings.data_dir}")
        elif not recovery.clean:
            self.event(
                "recovered",
                f"recovered after an unclean stop: {recovery.records} records redone, "
                f"{recovery.pages} pages written, log ends at {recovery.end}",
                records=recovery.records,
                dropped_bytes=recovery.dropped_bytes,
            )

    async def _start_faces(self) -> bool:
        """Open the ports, once there is something to show; False when the life is over before that."""
        settings = self.settings
        if await self._until_over(self.replication.has_state.wait()) is None:
            return False
        if self.store.recovery.born and not self.replication.is_standby:
            # Who comes first finds the system tables.
            await self._until_over(self.pipeline.quiesce())
        self.address = host = binding.listen_address(self)
        await bind("native_port", settings.native_port, lambda port: self.replication.listen(port))
        token = load_or_create_token(Path(settings.data_dir))
        report.register_metrics(self)
        self._http = HttpServer(
            Routes(self, token, cluster_token(self.secret), lambda: report.alarms(self), SqlOverHttp(self.engine))
        )
        http = self._http
        await bind("http_port", settings.http_port, lambda port: http.start(host, port, self.tls.http))
        # Last: who reaches a node by SQL finds its other ports open too.
        self.listener = listener = Listener(self.engine, tls=lambda: self.tls.clients)
        await bind("pg_port", settings.pg_port, lambda port: listener.start(host, port))
        self.loop_monitor.start()
        works = (self.checkpointer.run(), seal_when_idle(self), self.scrub.run(), catalog_warmup.warm(self.engine))
        more = (self.tls.certificates.watch(), moments.keep(self))
        self._tasks = [self.engine.loop.create_task(work) for work in (*works, *more)]
        return True

    def _install_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGTERM, self.stop_requested.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))

    def _interrupted(self) -> None:
        self.keeps_lead = True
        self.stop_requested.set()

    def _announce(self) -> None:
        settings = self.settings
        log.info(
            "ready: postgresql://%s:%s/heliosdb, http port %s, data in %s, pid %s",
            self.address, settings.pg_port, settings.http_port, settings.data_dir, os.getpid(),
        )  # fmt: skip
        if settings.auth == "trust" and not self.engine.roles.password_set():
            log.warning("every local user may connect under any name, because no role has a password")

    # While it runs ---------------------------------------------------------------------------------------------------

    def event(self, kind: str, message: str, *, severity: Any = "info", **fields: Any) -> None:
        """Put down what happened, in the log and in state.db."""
        log.log({"info": 20, "warning": 30}.get(severity, 40), "%s", message)
        self.events.record(kind, severity, message, **fields)
        self.hooks.tell(kind, message, severity, fields)

    def _callback_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something that the loop called has failed, and nobody else will hear of it."""
        error = context.get("exception")
        if isinstance(error, Exception):
            self.engine.unexpected(error)
        else:
            loop.default_exception_handler(context)

    def reload(self) -> str | None:
        """Take over what may change while it runs, settings and certificates; why not everything was."""
        return reload_node(self)

    def panic(self, error: BaseException) -> None:
        """What is on disk cannot be trusted any more: answer what waits with "unknown" and end the process at once."""
        log.critical("the node stops: %s", error)
        for session in tuple(self.engine.sessions.values()):
            with contextlib.suppress(Exception):
                session.sink.terminate(
                    OutcomeUnknown(
                        "the node stops because its disk failed: the outcome of the statement is unknown",
                        hint="Reconnect when the node is back and look whether the change is there.",
                    )
                )
        logging.shutdown()
        sys.stderr.flush()
        os._exit(EXIT_PANIC)

    # HttpBackend -----------------------------------------------------------------------------------------------------

    def health(self) -> str | None:
        """None when the node serves, else why not."""
        if not self.serving:
            return "starting or stopping"
        return None

    def ready(self) -> str | None:
        """None when the node takes writes, else why not."""
        return report.refuses_writes(self)

    def serves_as(self, role: str) -> str | None:
        """None when the node serves in that role, else what it does instead."""
        return report.serves_as(self, role)

    def status(self) -> Mapping[str, Any]:
        """What /status answers."""
        return report.status(self)

    def metrics(self) -> str:
        """What /metrics answers."""
        return self.registry.render()

    def admin_verbs(self) -> Mapping[str, AdminVerb]:
        """What may be asked with the token."""
        return Admin(self).verbs()

    # Stop ------------------------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        """Stop in order: no new clients, sessions ended, everything flushed and checkpointed."""
        engine = self.engine
        log.info("stopping")
        if self.listener is not None:
            self.listener.stop_accepting()
            if not (self.keeps_lead or self.life_over.is_set()):
                await handover.leave(self.replication)
            self.listener.close_sessions(
                HeliosError("terminating connection due to administrator command", sqlstate="57P01")
            )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._quiesce()
        await self.replication.stop()
        await self._quiesce()
        try:
            if not self.pipeline.in_flight and not self.life_over.is_set():
                async with asyncio.timeout(STOP_SECONDS):
                    await self._last_checkpoint()
        except (HeliosError, TimeoutError, OSError) as error:
            log.warning("the last checkpoint failed, the next start recovers from the log: %s", error)
        engine.stopping = True
        if self._http is not None:
            await self._http.stop()
        self.loop_monitor.stop()
        # What the threads have told the loop last is heard before anything that it is about is closed.
        self.pipeline.leave_loop()
        await engine.loop.run_in_executor(None, self._end_threads)
        await engine.loop.run_in_executor(None, self._close)
        log.info("stopped")

    async def _quiesce(self) -> None:
        """Let what is in flight be committed, if that is a matter of moments: followers may be needed for it."""
        if self.life_over.is_set() and self.replication.is_standby:
            # What waits for another term, of this node or another, is still in the log when the next life begins.
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIESCE_SECONDS):
                await self.pipeline.quiesce()

    async def _last_checkpoint(self) -> None:
        """Everything into the database file; a query that is being interrupted may still hold a snapshot."""
        await self.checkpointer.checkpoint(clean=True)
        while not self.checkpointer.complete:
            await asyncio.sleep(STOP_PAUSE_S)
            await self.checkpointer.checkpoint(clean=True)

    def _end_threads(self) -> None:
        self.pipeline.stop()
        self.engine.read_workers.stop()
        self.engine.plan_queue.stop()
        self.engine.write_worker.stop()

    def _close(self) -> None:
        self.scrub.close()
        self.checkpointer.close()
        self.replication.close()
        self.database.close()
        self.scrub.close_files()
        self.checkpointer.close_file()
        self.store.close()


def run(settings: Settings) -> int:
    """Run a node to its end; gives the exit code. Raises HeliosError when it cannot start."""
    check_library()
    configure_logging(settings.log_level, settings.log_format)  # type: ignore[arg-type]
    GATE.open_for(settings.data_dir if settings.allow_faults else None, report.node_id(settings))
    interpreter.tune()
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        return runner.run(_run(settings))


async def _run(settings: Settings) -> int:
    return await Node(settings).run()
