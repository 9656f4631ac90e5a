"""An observer: a small process that votes and holds no data, so that two data nodes can tell which of them is gone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from helios_cli import __version__
from helios_cli.engine.config.roles import decide_role
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.consensus.acceptance import gives_way, may_follow, may_promise
from helios_cli.engine.consensus.config import EMBEDDED, ETCD, address
from helios_cli.engine.consensus.lease import Loyalty
from helios_cli.engine.consensus.vote import Vote
from helios_cli.engine.errors import ConfigError, HeliosError, IoFailed
from helios_cli.engine.net.gate import GATE
from helios_cli.engine.net.http import HttpServer
from helios_cli.engine.net.http_routes import AdminVerb, Routes
from helios_cli.engine.net.http_token import cluster_token, load_or_create_token
from helios_cli.engine.node import binding
from helios_cli.engine.node.binding import bind
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.drills import DRILLS
from helios_cli.engine.node.join import find_cluster
from helios_cli.engine.node.node_tls import NodeTls
from helios_cli.engine.node.observer_disk import ObserverDisk
from helios_cli.engine.node.observing import Observing
from helios_cli.engine.node.peer_address import Callers, OwnAddress, reachable
from helios_cli.engine.node.peer_door import Door
from helios_cli.engine.node.peer_link import Identity, PeerLink, PeerRefused, admit
from helios_cli.engine.node.peer_tls import PeerTls
from helios_cli.engine.node.pulse import Pulse
from helios_cli.engine.node.reloading import read_again, refuse_half
from helios_cli.engine.node.votes import tell_vote
from helios_cli.engine.observe.events import EventLog
from helios_cli.engine.observe.logs import configure_logging
from helios_cli.engine.observe.loop_monitor import LoopMonitor
from helios_cli.engine.observe.metrics import Registry
from helios_cli.engine.observe.process import register_process_metrics
from helios_cli.engine.replication import messages
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.dirlock import DirectoryLock
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.membership import load_role
from helios_cli.engine.storage.secret import load_secret
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import Kind

log = logging.getLogger(__name__)

EXIT_PANIC: Final = 70
"""What is on disk is unknown until it is opened again."""

_NO_DATA: Final = "observer: it votes, and holds no data"


class Observer:
    """One process. ``run`` returns when it has stopped."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.started_us = SystemClock.wall_us()
        self.events = EventLog(Path(settings.data_dir) / "state.db")
        self.registry = Registry()
        self.loop_monitor = LoopMonitor(self.registry)
        self.tls = NodeTls(settings, self.event)
        self.secret = b""
        self.disk: ObserverDisk
        self.vote: Vote
        self.observing: Observing
        self.callers = Callers()
        self.address = OwnAddress(settings.advertise_address, settings.listen_address)
        self.exit_code = 0
        self._control_dir = f"{settings.data_dir}/control"
        self._door = Door()
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # Start and stop --------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Join the cluster, vote until told to stop. Raises HeliosError when it cannot start."""
        settings, loop = self.settings, asyncio.get_running_loop()
        os.makedirs(settings.data_dir, mode=0o700, exist_ok=True)
        ports = {"peer": settings.native_port, "http": settings.http_port}
        lock = DirectoryLock.acquire(settings.data_dir, ports=ports, started_us=self.started_us, pid=os.getpid())
        DRILLS.open_for(settings.data_dir if settings.allow_faults else None)
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._over.set)
            loop.add_signal_handler(signal.SIGHUP, self.reload)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
            self.secret = load_secret(self._control_dir, settings.cluster_secret_file)
            if await self._joined():
                await self._serve(loop)
            await loop.run_in_executor(None, self.events.stop)
        finally:
            lock.release()
        return self.exit_code

    async def _joined(self) -> bool:
        """Open the directory, or make it once the cluster answers; False when told to stop before that."""
        files = OsFiles()
        if ControlFile.exists(files, self._control_dir):
            decision = decide_role(self.settings, load_role(files, self._control_dir))
            for warning in decision.warnings:
                log.warning("%s", warning)
            self.disk = ObserverDisk.open(files, self._control_dir)
            return True
        role = decide_role(self.settings, None).role
        own = self._identity("", "")
        joining = asyncio.ensure_future(
            find_cluster(own, self.secret, lambda: self.tls.peer, role.primary_host, role.primary_port)
        )
        over = asyncio.ensure_future(self._over.wait())
        await asyncio.wait((joining, over), return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not joining.done():
            joining.cancel()
            return False
        if joining.result().authority == ETCD:
            raise ConfigError(
                "etcd decides who leads in this cluster: an observer has nothing to vote on",
                hint="Two data nodes need no observer there.",
            )
        cluster_id = bytes.fromhex(joining.result().cluster_id)
        self.disk = ObserverDisk.create(files, self._control_dir, cluster_id, role)
        self.event("born", f"observer of cluster {cluster_id.hex()[:8]} in {self.settings.data_dir}")
        return True

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        settings = self.settings
        self.vote = Vote(Loyalty(self.now(), self.disk.observed.lease_ms / 1000), threading.Lock())
        pulse = Pulse(_ObserverPulse(self), lambda *_: None)
        self.observing = Observing(self, loop)
        host = binding.peer_address(settings, self.tls.peer, self.secret, self.event)
        server: asyncio.Server | None = None

        async def listen(port: int) -> int:
            nonlocal server
            server = await loop.create_server(
                lambda: PeerLink(self.term, serve=self._visited, tls=self.tls.peer, door=self._door),
                host,
                port,
                backlog=128,
            )
            return port

        token = load_or_create_token(Path(settings.data_dir))
        http = HttpServer(Routes(self, token, cluster_token(self.secret), self.tls.certificates.alarms))
        self._register_metrics()
        try:
            await bind("native_port", settings.native_port, listen)
            await bind("http_port", settings.http_port, lambda port: http.start(host, port, self.tls.http))
            self.events.start()
            self.loop_monitor.start()
            self.later(self.observing.run())
            self.later(self.tls.certificates.watch())
            pulse.start()
            log.info(
                "ready: observer %s, native port %s, http port %s, data in %s, pid %s",
                self.node_id, settings.native_port, settings.http_port, settings.data_dir, os.getpid(),
            )  # fmt: skip
            await self._over.wait()
        finally:
            log.info("stopping")
            if server is not None:
                server.close()
            self._door.close()
            await loop.run_in_executor(None, pulse.stop)
            for task in (ending := tuple(self._tasks)):
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await http.stop()
            self.loop_monitor.stop()
            self.disk.close()
            log.info("stopped")

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end, or to that of the process."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reload(self) -> str | None:
        """Take over what may change while it runs, settings and certificates; why not everything was."""
        self.settings, why_not = read_again(self.settings, self.tls, self.event)
        return why_not

    def event(self, kind: str, message: str, *, severity: Any = "info", **fields: Any) -> None:
        """Put down what happened, in the log and in state.db."""
        log.log({"info": 20, "warning": 30}.get(severity, 40), "%s", message)
        self.events.record(kind, severity, message, **fields)

    def panic(self, error: HeliosError) -> None:
        """The disk does not keep promises any more: end, before another one is given."""
        log.critical("the observer ends: %s", error.message)
        self.exit_code = EXIT_PANIC
        self._over.set()

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def node_id(self) -> str:
        """The name of this observer."""
        return self.settings.node_id or f"observer-{self.settings.native_port}"

    def term(self) -> Term:
        """The newest term that it has promised to."""
        return self.disk.term

    def now(self) -> float:
        """The steady clock as it is now."""
        return time.monotonic()

    def identity(self) -> Identity:
        """What it says of itself to other nodes."""
        record = self.disk.control.record
        return self._identity(record.cluster_id.hex(), record.incarnation.hex())

    def _identity(self, cluster_id: str, incarnation: str) -> Identity:
        settings = self.settings
        config = self.disk.observed.parsed if cluster_id else None
        known = next((one.host for one in (config.observers if config else ()) if one.node_id == self.node_id), "")
        host = self.address.host(known, settings.listen_address)
        return Identity(
            self.node_id, cluster_id, incarnation, "observer", "", host, 0, settings.native_port, settings.http_port
        )

    # Visitors --------------------------------------------------------------------------------------------------------

    def _visited(self, link: PeerLink) -> None:
        self.later(self._receive(link))

    async def _receive(self, link: PeerLink) -> None:
        try:
            await admit(link, self.identity(), self.secret, self.welcome)
            self.address.met(link)
            frame = await link.receive(
                Kind.ASK, Kind.ANNOUNCE, Kind.FOLLOW, Kind.SNAPSHOT, Kind.SESSION, Kind.CANCEL, Kind.WANT_PAGES,
                Kind.OBSERVE,
            )  # fmt: skip
            while frame.kind is Kind.ASK:
                link.send(Kind.ANSWER, self.answer(messages.Ask.from_body(frame.body), frame.term).to_body())
                frame = await link.receive(Kind.ASK, Kind.ANNOUNCE)
            if frame.kind is Kind.ANNOUNCE:
                self._announced(link, messages.Announce.from_body(frame.body), frame.term)
                link.close()
            else:
                where = address(self.disk.role.primary_host, self.disk.role.primary_port)
                raise PeerRefused(f"node {self.node_id} is an observer, and holds no data", hint=f"Follow {where}.")
        except PeerRefused as error:
            self._door.tell(f"node at {link.address} refused: {error.message}")
            link.refuse(error)
        except IoFailed as error:
            link.fail(error)
            self.panic(error)
        except HeliosError as error:
            link.fail(error)
        except TimeoutError:
            link.fail(PeerRefused("it did not say in time who it is"))

    def answer(self, ask: messages.Ask, term: Term) -> Answer:
        """What this observer says to a candidate. A promise is on disk before it is given."""
        primary = self.observing.primary_id
        is_primary = gives_way(self.observing.heard_id, ask.node_id, ask.giver)
        is_loyal = self.vote.holds(self.now()) and not is_primary
        promised = (
            ask.promise
            and may_promise(self.term(), term, leads=False, is_loyal=is_loyal)
            and self.vote.pledge(self.now(), term.number, excused=is_primary)
        )
        if promised:
            self.disk.promise(term)
        tell_vote(self.event, ask, term, self.term(), primary, promised=promised, loyal=is_loyal)
        observed, role, own = self.disk.observed, self.disk.role, self.identity()
        return Answer(
            node_id=own.node_id,
            role=own.role,
            incarnation=own.incarnation,
            promised=promised,
            term=self.term().number,
            last_term=0,
            last_term_id=0,
            flushed=Lsn(0),
            config_version=observed.version,
            reaches_primary=not promised and is_loyal,
            primary_id=primary or own.node_id,
            primary_host=role.primary_host,
            primary_native_port=role.primary_port,
            config=observed.config,
            config_term=observed.config_term,
        )

    def _announced(self, link: PeerLink, announced: messages.Announce, term: Term) -> None:
        """Another node says that it leads in ``term``."""
        if may_follow(self.term(), term):
            self.disk.promise(term)
            host = reachable(link, announced.host)
            self.callers.called(link, (host, announced.native_port))
            self.observing.retarget(announced.node_id, host, announced.native_port)

    def welcome(self, proof: str) -> messages.Welcome:
        """What a node is told that has shown who it is."""
        own, config = self.identity(), self.disk.observed.parsed
        mode = config.mode.value if config is not None else ""
        authority = config.authority if config is not None else EMBEDDED
        return messages.Welcome(
            proof, own.node_id, own.cluster_id, own.role, mode, own.host, 0, own.http_port, 0, 0, authority
        )

    # HTTP ------------------------------------------------------------------------------------------------------------

    def health(self) -> str | None:
        """None while it runs."""
        return "stopping" if self._over.is_set() else None

    def ready(self) -> str | None:
        """Why it takes no writes."""
        return _NO_DATA

    def serves_as(self, role: str) -> str | None:
        """Why it is neither a primary nor a standby."""
        return _NO_DATA

    def status(self) -> Mapping[str, Any]:
        """What /status answers."""
        observed, role, config = self.disk.observed, self.disk.role, self.disk.observed.parsed
        lease_ms = round(self.vote.remaining(self.now()) * 1000)
        return {
            "node_id": self.node_id,
            "version": __version__,
            "role": "observer",
            "state": "stopping" if self._over.is_set() else "running",
            "pid": os.getpid(),
            "started_us": self.started_us,
            "uptime_s": round((SystemClock.wall_us() - self.started_us) / 1e6, 3),
            "cluster_id": self.disk.control.record.cluster_id.hex(),
            "term": self.term().number,
            "primary_id": self.observing.primary_id,
            "primary": address(role.primary_host, role.primary_port),
            "reaches_primary": self.observing.connected,
            "lease_ms": lease_ms,
            "config_version": observed.version,
            "voters": list(config.voters(config.primary)) if config is not None else [],
            "votes": config is not None and self.node_id in config.voters(config.primary),
            "loop_stall_recent_s": round(self.loop_monitor.recent_s, 6),
            "alarms": self.tls.certificates.alarms(),
            "ports": {"native": self.settings.native_port, "http": self.settings.http_port},
            "data_dir": os.path.abspath(self.settings.data_dir),
        }

    def metrics(self) -> str:
        """What /metrics answers."""
        return self.registry.render()

    def admin_verbs(self) -> Mapping[str, AdminVerb]:
        """All that there is to ask of an observer with the token."""
        return {"reload": self._reload, "cuts": self._cuts}

    async def _cuts(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return GATE.change(arguments, self.event)

    async def _reload(self, _arguments: Mapping[str, Any]) -> None:
        refuse_half(self.reload())

    def _register_metrics(self) -> None:
        register_process_metrics(self.registry)
        gauges: dict[str, tuple[str, Any]] = {
            "heliosdb_up": ("1 when the node serves.", lambda: int(not self._over.is_set())),
            "heliosdb_term": ("Newest term that this node knows.", lambda: self.term().number),
            "heliosdb_upstream_connected": (
                "1 while the observer hears the primary.",
                lambda: int(self.observing.connected),
            ),
        }
        for name, (text, read) in gauges.items():
            self.registry.observe("gauge", name, text, read)
        self.tls.certificates.register(self.registry)


class _ObserverPulse:
    """What an observer's pulse knows of it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    @property
    def tls(self) -> PeerTls:
        return self._observer.tls.peer

    def term(self) -> Term:
        return self._observer.term()

    def identity(self) -> Identity:
        return self._observer.identity()

    def secret(self) -> bytes:
        return self._observer.secret

    def welcome(self, proof: str) -> messages.Welcome:
        return self._observer.welcome(proof)

    def asks(self) -> None:
        return None

    def primary_address(self) -> tuple[str, int] | None:
        role = self._observer.disk.role
        return (role.primary_host, role.primary_port) if self._observer.observing.connected else None

    def vote_heard(self, term: Term, lease_ms: int) -> bool:
        own = self._observer
        # A longer one than ever before is put down first, by the loop, when it is heard of there.
        known = lease_ms <= own.disk.observed.lease_ms
        return known and term == own.term() and own.vote.heard(own.now(), lease_ms / 1000, term)


def run(settings: Settings) -> int:
    """Run an observer to its end; gives the exit code. Raises HeliosError when it cannot start."""
    configure_logging(settings.log_level, settings.log_format)  # type: ignore[arg-type]
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    observer = Observer(settings)
    GATE.open_for(settings.data_dir if settings.allow_faults else None, observer.node_id)
    return await observer.run()
