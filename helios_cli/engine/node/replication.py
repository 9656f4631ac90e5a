"""A node's part in its cluster: whom it follows, who follows it, and what they make committed together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from helios_cli.engine.config.roles import Role
from helios_cli.engine.errors import HeliosError, ReadOnlyError
from helios_cli.engine.log.history import History
from helios_cli.engine.node import report
from helios_cli.engine.node.applicator import WalApplicator
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.cluster_view import LogClock, cluster_view
from helios_cli.engine.node.peer_link import Identity, PeerLink, PeerRefused, admit
from helios_cli.engine.node.receiver import WalReceiver
from helios_cli.engine.node.streamer import WalReplicator, WalStreamer
from helios_cli.engine.replication import messages
from helios_cli.engine.replication.lsns import LsnManager
from helios_cli.engine.replication.rule import SyncMode
from helios_cli.engine.replication.view import ClusterView
from helios_cli.engine.storage.database import Commit
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import Kind

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 0.2
SLOTS_SAVED_S: Final = 5.0
"""How often the positions of the followers are put on disk; a restart keeps more log than it needs, at worst."""


class Upstream:
    """What is known of the node that this one follows."""

    def __init__(self) -> None:
        self.node_id = ""
        self.host = ""
        self.pg_port = 0
        self.http_port = 0
        self.mode = ""
        self.role = ""
        self.connected = False
        self.end = Lsn(0)
        """Where its log ends."""
        self.committed = Lsn(0)
        self.sent_us = 0
        """Its clock in the newest message."""
        self.heard_us = 0
        """This node's clock then."""
        self.connected_since_us = 0
        self.error = ""


class Replication:
    """One per life of a node; :class:`~helios_cli.engine.node.node.Node` owns it."""

    def __init__(self, node: Node, role: Role) -> None:
        self.node = node
        self.role = role
        self.upstream = Upstream()
        self.applicator: WalApplicator | None = None
        self.receiver: WalReceiver | None = None
        self.log_clock = LogClock()
        self.bytes_received = 0
        self.has_state = asyncio.Event()
        """There is a committed state to show."""
        node_id = self.node_id
        records = node.database.records
        self.lsns = LsnManager(node_id, SyncMode(node.settings.replication_mode), records.term, records.lsn)
        self.replicator = WalReplicator(
            node.store.log,
            node.engine.read_workers,
            SystemClock(),
            end=node.store.log.end,
            term=self.term,
            history=lambda: node.store.timeline.history,
            committed=lambda: node.pipeline.committed_lsn,
            loop_later=node.engine.loop.call_later,
        )
        self.replicator.on_acknowledged = self._acknowledged
        self.replicator.on_joined = self._joined_us
        self.replicator.on_left = self._left_us
        node.pipeline.on_committed = self.replicator.committed_moved
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._visitors: set[asyncio.Task[None]] = set()

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def node_id(self) -> str:
        """The name of this node."""
        return report.node_id(self.node.settings)

    @property
    def is_standby(self) -> bool:
        """Whether it follows another node."""
        return self.role.name == "standby"

    def term(self) -> Term:
        """The newest term that this node has promised to."""
        return self.node.store.control.record.term

    def secret(self) -> bytes:
        """The cluster's secret; empty when it has none."""
        return self.node.secret

    def identity(self) -> Identity:
        """What it says of itself to other nodes."""
        settings = self.node.settings
        record = self.node.store.control.record
        return Identity(
            self.node_id,
            record.cluster_id.hex(),
            record.incarnation.hex(),
            self.role.name,
            settings.replication_mode,
            settings.advertise_address or self.node.address,
            settings.pg_port,
            settings.native_port,
            settings.http_port,
        )

    def view(self) -> ClusterView:
        """What it knows of the cluster now."""
        return cluster_view(self)

    # Start and stop --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take up the role; nothing is served yet."""
        if self.is_standby:
            self._begin_following()
        else:
            self._begin_leading()

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Serve other nodes; gives the port. Raises OSError when the address is taken."""
        loop = self.node.engine.loop
        self._server = await loop.create_server(
            lambda: PeerLink(self.term, serve=self._visited), host, port, ssl=tls, backlog=128
        )
        self._tasks.append(loop.create_task(self._beat()))
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End every connection with other nodes, and the following."""
        if self._server is not None:
            self._server.close()
        for task in (*self._tasks, *self._visitors):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._visitors, return_exceptions=True)
        self._tasks = []
        self.replicator.close()
        with contextlib.suppress(HeliosError):
            self.node.store.slots.save()
        if self.applicator is not None:
            await self.node.engine.loop.run_in_executor(None, self.applicator.stop)

    def close(self) -> None:
        """Let go of the files, after :meth:`stop`."""
        if self.applicator is not None:
            self.applicator.close()
            self.applicator = None

    @contextlib.asynccontextmanager
    async def nothing_applied(self) -> AsyncIterator[None]:
        """While a checkpoint needs SQLite's WAL for itself."""
        if self.applicator is None:
            yield
        else:
            async with self.applicator.paused():
                yield

    # Leading ---------------------------------------------------------------------------------------------------------

    def _begin_leading(self) -> None:
        pipeline = self.node.pipeline
        records = self.node.database.records
        self.lsns = LsnManager(self.node_id, self.lsns.mode, records.term, self.node.store.log.flushed)
        pipeline.rule = self.lsns.own_flushed
        pipeline.on_record = self.replicator.record
        self.node.engine.standby_refusal = None
        self.has_state.set()

    def _acknowledged(self, streamer: WalStreamer) -> None:
        progress = streamer.progress
        self.node.store.slots.advance(streamer.node_id, progress.flushed, progress.term)
        if not self.is_standby:
            committed = self.lsns.acknowledged(streamer.node_id, progress)
            self.node.pipeline.advance(committed)

    def _joined_us(self, streamer: WalStreamer) -> None:
        hello = streamer.hello
        slots = self.node.store.slots
        if all(slot.name != hello.node_id for slot in slots.all()):
            slots.create(hello.node_id, streamer.sent, self.term(), SystemClock.wall_us())
        self.node.event(
            "standby_joined",
            f"{hello.role} {hello.node_id} ({hello.mode}) follows from {streamer.sent}",
            standby=hello.node_id,
        )

    def _left_us(self, streamer: WalStreamer) -> None:
        self.lsns.forget(streamer.node_id)
        self.node.event(
            "standby_left",
            f"standby {streamer.node_id} is not connected any more; it had flushed {streamer.progress.flushed}",
            severity="warning",
            standby=streamer.node_id,
        )

    async def _beat(self) -> None:
        saved = 0.0
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self.replicator.heartbeat()
            if not self.is_standby:
                self.log_clock.sample(self.replicator.recent.end, SystemClock.wall_us())
            now = self.node.engine.loop.time()
            if now - saved > SLOTS_SAVED_S and self.replicator.streamers:
                saved = now
                try:
                    await self.node.engine.read_workers.call(self.node.store.slots.save)
                except HeliosError as error:
                    log.warning("the standbys' positions could not be saved: %s", error.message)

    # Visitors --------------------------------------------------------------------------------------------------------

    def _visited(self, link: PeerLink) -> None:
        task = self.node.engine.loop.create_task(self._receive(link))
        self._visitors.add(task)
        task.add_done_callback(self._visitors.discard)

    async def _receive(self, link: PeerLink) -> None:
        try:
            hello = await admit(link, self.identity(), self.secret(), self._welcome)
            frame = await link.receive(Kind.FOLLOW)
            self.replicator.follow(link, hello, frame)
        except PeerRefused as error:
            log.warning("node at %s refused: %s", link.address, error.message)
            link.refuse(error)
        except HeliosError as error:
            link.fail(error)
        except TimeoutError:
            link.fail(PeerRefused("it did not say in time who it is"))
        except Exception as error:
            self.node.engine.unexpected(error)
            link.close()

    def _welcome(self, proof: str) -> messages.Welcome:
        settings = self.node.settings
        page_log = self.node.store.log
        return messages.Welcome(
            proof,
            self.role.name,
            settings.replication_mode,
            settings.advertise_address or self.node.address,
            settings.pg_port,
            settings.http_port,
            page_log.start,
            self.replicator.recent.end,
        )

    # Following -------------------------------------------------------------------------------------------------------

    def _begin_following(self) -> None:
        node = self.node
        pipeline = node.pipeline
        recovery = node.store.recovery
        pipeline.committed_lsn = recovery.applied
        node.engine.standby_refusal = self._write_refused
        self.applicator = WalApplicator(
            node.store.log,
            node.store.timeline,
            node.database,
            node.engine.loop,
            applied=recovery.applied,
            boundaries_max=node.settings.groups_in_flight,
            on_flushed=self._flushed,
            on_applied=self._applied,
            on_failed=self._apply_failed,
        )
        if recovery.applied:
            self.has_state.set()
        self.applicator.start()
        self.receiver = WalReceiver(self, node.engine.loop, self._addresses)
        self._tasks.append(node.engine.loop.create_task(self.receiver.run()))

    def _addresses(self) -> list[tuple[str, int]]:
        return [(self.role.primary_host, self.role.primary_port)]

    def _write_refused(self) -> HeliosError:
        return ReadOnlyError(
            "cannot execute write operations in read-only mode (async standby)",
            hint="Connect to the primary for write operations, or configure sync mode for transparent routing.",
        )

    def log_end(self) -> tuple[History, Lsn]:
        """The terms of this node's log, and where the next record belongs: behind what waits for the disk."""
        assert self.applicator is not None
        return self.node.store.timeline.history, self.applicator.written

    def joined(self, challenge: messages.Challenge, welcome: messages.Welcome, term: Term) -> None:
        """Somebody answered. Raises HeliosError when it must not be followed."""
        if challenge.cluster_id != self.node.store.control.record.cluster_id.hex():
            raise PeerRefused(f"node {challenge.node_id} belongs to another cluster")
        own = self.term()
        if term < own:
            raise PeerRefused(
                f"node {challenge.node_id} is in term {term}, which term {own} has ended",
                hint="It steps down when it hears of that; the newer primary is to be followed.",
            )
        if term > own:
            self.node.store.promise(term)
        upstream = self.upstream
        upstream.node_id, upstream.role, upstream.mode = challenge.node_id, welcome.role, welcome.mode
        upstream.host, upstream.pg_port, upstream.http_port = welcome.host, welcome.pg_port, welcome.http_port
        upstream.end = Lsn(welcome.end_lsn)
        upstream.connected = True
        upstream.connected_since_us = SystemClock.wall_us()
        upstream.error = ""
        self.node.event("following", f"following {challenge.node_id} in term {term}", primary=challenge.node_id)

    def records(self, data: bytes, term: Term) -> None:
        """Whole records that continue the log."""
        if term > self.term():
            self.node.store.promise(term)
        assert self.applicator is not None
        self.bytes_received += len(data)
        self.applicator.feed(data)

    def committed(self, lsn: Lsn, end: Lsn, sent_us: int) -> None:
        """What the node that is followed knows to be committed, where its log ends, and its clock."""
        upstream = self.upstream
        upstream.committed, upstream.end, upstream.sent_us = lsn, end, sent_us
        upstream.heard_us = SystemClock.wall_us()
        self.log_clock.sample(end, sent_us)
        self._advance()

    def heartbeat(self) -> None:
        """The node that is followed wants to hear of this one."""
        self._acknowledge(self.upstream.sent_us)

    def queued_bytes(self) -> int:
        """Bytes taken and not on disk yet."""
        return self.applicator.queued_bytes if self.applicator is not None else 0

    def must_rewind(self, fork: Lsn, history: History) -> None:
        """The own log has records behind ``fork`` that the other has not."""
        self.node.event(
            "forked",
            f"the log of this node and of {self.upstream.node_id} part at {fork}",
            severity="warning",
        )
        raise PeerRefused(f"this node has records behind {fork} that node {self.upstream.node_id} has not")

    def must_reseed(self, reason: str) -> None:
        """The records that come next are gone there."""
        raise PeerRefused(f"node {self.upstream.node_id} has no longer what this node needs: {reason}")

    def lost(self, error: BaseException | None) -> None:
        """The connection has ended."""
        if self.upstream.connected:
            self.upstream.connected = False
            self.upstream.connected_since_us = 0
            self.node.event(
                "upstream_lost", f"node {self.upstream.node_id} is not reached any more", severity="warning"
            )
        self.upstream.error = str(error or "")

    def _flushed(self, data: bytes) -> None:
        self.node.database.records.flushed_lsn = self.node.store.log.flushed
        self.replicator.record(data)
        self._acknowledge()

    def _applied(self, commit: Commit) -> None:
        self.node.pipeline.submit_applied(commit)
        self._advance()
        self._acknowledge()

    def _advance(self) -> None:
        pipeline = self.node.pipeline
        waiting = len(pipeline.in_flight)
        pipeline.advance(self.upstream.committed)
        freed = waiting - len(pipeline.in_flight)
        if freed:
            self.has_state.set()
            if self.applicator is not None:
                self.applicator.release(freed)

    def _acknowledge(self, echo_us: int = 0) -> None:
        receiver, applicator = self.receiver, self.applicator
        if receiver is None or receiver.link is None or applicator is None:
            return
        flushed = self.node.store.log.flushed
        applied, checksum = applicator.position
        body = messages.Acknowledge(
            applicator.written, flushed, min(applied, flushed), echo_us, checksum if applied <= flushed else 0
        ).to_body()
        receiver.link.send(Kind.ACKNOWLEDGE, body, compress=False)

    def _apply_failed(self, error: BaseException) -> None:
        log.error("records can no longer be applied: %s", error, exc_info=error)
        self.node.panic(error)
