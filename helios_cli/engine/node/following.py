"""What a standby does: takes the records of the node that it follows, and shows what that calls committed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.consensus.acceptance import may_follow
from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import DiskFull, HeliosError, LeadMoved, ReadOnlyError
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.history import History
from helios_cli.engine.log.record import RecordHeader
from helios_cli.engine.node.applicator import WalApplicator
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.divergence import Diverged
from helios_cli.engine.node.forwarder import FORWARDING_MODES, QueryForwarder
from helios_cli.engine.node.peer_link import Identity, PeerRefused
from helios_cli.engine.node.receiver import WalReceiver
from helios_cli.engine.node.self_repair import find_pages
from helios_cli.engine.replication import messages
from helios_cli.engine.replication.lag import ClockOffset
from helios_cli.engine.storage import copytarget, rewind
from helios_cli.engine.storage.database import Commit
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import Kind

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

log = logging.getLogger(__name__)

REPAIR_AGAIN_S: Final = 0.5
"""How soon a repair is tried again while the node that is followed is not there."""


def trouble(replication: Replication) -> str:
    """Why a node that should follow can follow nobody; empty when it does, and until that has lasted."""
    following = replication.following
    return following.receiver.trouble if following is not None else ""


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
        self.started_at = Lsn(0)
        """Where the stream began."""
        self.error = ""


class Following:
    """The standby's side of :class:`~helios_cli.engine.node.replication.Replication`."""

    def __init__(self, replication: Replication, applied: Lsn, addresses: Callable[[], list[tuple[str, int]]]) -> None:
        """``applied`` is where the database is. ``addresses``: whom to follow, in the order of trying; none: nobody."""
        self._replication = replication
        self._node = node = replication.node
        self.upstream = Upstream()
        self._awaited: messages.Welcome | None = None
        """Of a primary whose term has ended, which is asked for records all the same."""
        self.bytes_received = 0
        self._offset = ClockOffset()
        self._no_room_since = 0.0
        self.applicator = WalApplicator(
            node.store.log,
            node.store.timeline,
            node.store.configs,
            node.database,
            node.engine.loop,
            applied=applied,
            boundaries_max=node.settings.groups_in_flight,
            on_flushed=self._flushed,
            on_applied=self._applied,
            on_failed=self._apply_failed,
        )
        self.applicator.on_diverged = self._diverged
        self.applicator.on_refused = self._refused
        self.applicator.on_no_room = self._no_room
        self.receiver = WalReceiver(
            self, node.engine.loop, addresses, lambda: replication.node.tls.peer, self._in_trouble
        )  # fmt: skip
        engine = node.engine
        self.forwarder = QueryForwarder(
            engine.loop,
            self.receiver.open_link,
            links_max=engine.settings.forward_connections,
            wait_s=lambda: engine.settings.forward_timeout / 1000,
        )
        self._task: asyncio.Task[None] | None = None
        self._doubted = Lsn(0)
        """Where it began, while nobody has said that this is committed."""
        self._config: ClusterConfig | None = None

    def begin(self) -> None:
        """Apply what the log holds already, and follow."""
        node = self._node
        pipeline = node.pipeline
        pipeline.committed_lsn, pipeline.committed_checksum = self.applicator.position
        pipeline.on_record = None
        pipeline.applied_lsn = lambda: self.applicator.said
        pipeline.database_lsn = lambda: self.applicator.applied
        self._doubt_fork()
        node.engine.standby_refusal = self.refusal
        self._choose_forwarding()
        self._replication.sessions.retire()
        node.checkpointer.others_write = True
        self.applicator.start()
        self._task = node.engine.loop.create_task(self.receiver.run())

    def _doubt_fork(self) -> None:
        """Where two logs parted the node begins, and shows that only when somebody says that it is committed."""
        recovery, (applied, checksum) = self._node.store.recovery, self.applicator.position
        if recovery.committed < recovery.applied == applied:
            self._doubted = applied
            pipeline = self._node.pipeline
            pipeline.committed_lsn, pipeline.committed_checksum = recovery.committed, None
            pipeline.submit_applied(Commit(pipeline.committed_seq, None, lsn_end=applied, db_checksum=checksum))

    def _choose_forwarding(self) -> None:
        """Whether writes go on to the primary: a matter of this node's class, or else of the cluster's mode."""
        before, config = self._config, self._node.store.configs.newest
        self._config = config
        self._tell_if_removed(before)
        mode = self._replication.own_class or (config.mode.value if config is not None else "")
        engine = self._node.engine
        engine.forwarder = self.forwarder if mode in FORWARDING_MODES else None
        in_sync = config is not None and self._replication.node_id in config.in_sync
        is_sync = in_sync and config is not None and config.mode is SyncMode.SYNC
        engine.settles_reads = is_sync or self._doubted > 0

    def _tell_if_removed(self, before: ClusterConfig | None) -> None:
        """A node that was away hears only from the log that it was removed; it is taken in again as it follows."""
        own = self._replication.node_id
        if before is None or before.member(own) is None:
            return
        later = [config for config in self._node.store.configs.all() if config.version > before.version]
        without = next((config for config in later if config.member(own) is None), None)
        if without is not None:
            self._node.event(
                "removed", f"node {own} was removed from the cluster while it was away: it joins as a new member",
                severity="warning", config_version=without.version,
            )  # fmt: skip

    async def stop(self, *, finish: bool) -> None:
        """Follow no longer. With ``finish`` all that was received is flushed and applied first."""
        if self._node.stop_requested.is_set():
            self.receiver.leave()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if not finish:
            self.forwarder.close()
        ending = self.applicator.finish if finish else self.applicator.stop
        await self._node.engine.loop.run_in_executor(None, ending)
        # What the thread had still to tell the loop.
        await asyncio.sleep(0)

    def close(self) -> None:
        """Let go of SQLite's WAL, after :meth:`stop`."""
        self.applicator.close()

    @contextlib.asynccontextmanager
    async def nothing_applied(self) -> AsyncIterator[None]:
        """While a checkpoint needs SQLite's WAL for itself."""
        async with self.applicator.queue.paused(lambda: self.applicator.is_alive):
            yield

    def refusal(self) -> HeliosError:
        """Why this node takes no writes; where they are forwarded, those that began while it led."""
        if self._node.engine.forwarder is not None:
            return LeadMoved(
                "this node does not lead any more, and the statement was not run",
                hint="Retry: it goes to the primary from here.",
            )
        return ReadOnlyError(
            "cannot execute write operations in read-only mode (async standby)",
            hint="Connect to the primary for write operations, or configure sync mode for transparent routing.",
        )

    # Follower, for the receiver --------------------------------------------------------------------------------------

    def term(self) -> Term:
        """The newest term that this node has promised to."""
        return self._replication.term()

    def identity(self) -> Identity:
        """What it says of itself."""
        return self._replication.identity()

    def secret(self) -> bytes:
        """The cluster's secret; empty when it has none."""
        return self._node.secret

    def log_end(self) -> tuple[History, Lsn]:
        """The terms of this node's log, and where the next record belongs: behind what waits for the disk."""
        return self.applicator.history(), self.applicator.queue.written

    def joined(self, welcome: messages.Welcome, term: Term) -> None:
        """Somebody answered. Raises HeliosError when it must not be followed."""
        if welcome.cluster_id != self._node.store.control.record.cluster_id.hex():
            raise PeerRefused(f"node {welcome.node_id} belongs to another cluster")
        own = self.term()
        if term < own and welcome.role == "primary":
            # Asked for records in the newer term it hears of that, and refuses until it has one that is newer yet.
            self._awaited = welcome
            return
        if not may_follow(own, term):
            raise PeerRefused(
                f"node {welcome.node_id} is in term {term}, which term {own} has ended",
                hint="It steps down when it hears of that; the newer primary is to be followed.",
            )
        if term > own:
            self._node.store.promise(term)
        self._joins(welcome, term)

    def _joins(self, welcome: messages.Welcome, term: Term) -> None:
        self._awaited = None
        upstream = self.upstream
        upstream.node_id, upstream.role, upstream.mode = welcome.node_id, welcome.role, welcome.mode
        upstream.host, upstream.pg_port, upstream.http_port = welcome.host, welcome.pg_port, welcome.http_port
        upstream.end = Lsn(welcome.end_lsn)
        # What the node before called committed is an LSN of another term's log, perhaps.
        upstream.committed = Lsn(0)
        upstream.connected = True
        upstream.connected_since_us = SystemClock.wall_us()
        upstream.started_at = self.applicator.queue.written
        self._replication.meter.joined(welcome.node_id)
        upstream.error = ""
        self._node.event("following", f"following {welcome.node_id} in term {term}", primary=welcome.node_id)

    def records(self, data: bytes, term: Term) -> None:
        """Whole records that continue the log."""
        own = self.term()
        if not may_follow(own, term):
            raise PeerRefused(f"records of term {term} came in term {own}")
        if term > own:
            self._node.store.promise(term)
        self.bytes_received += len(data)
        self.applicator.queue.let_go()
        self.applicator.queue.feed(data)

    def committed(self, lsn: Lsn, end: Lsn, sent_us: int) -> None:
        """What the node that is followed knows to be committed, where its log ends, and its clock."""
        if self._awaited is not None:
            # It has taken a term that is new enough, on this connection.
            self._joins(self._awaited, self.term())
        upstream = self.upstream
        # Its commits may wait for this node to have applied what is in the log.
        self.applicator.queue.let_go()
        upstream.committed, upstream.end, upstream.sent_us = lsn, end, sent_us
        upstream.heard_us = SystemClock.wall_us()
        self._replication.log_clock.sample(end, self._offset.local_us(sent_us, upstream.heard_us))
        self._advance()

    def heartbeat(self, lease_ms: int | None) -> None:
        """The node that is followed wants to hear of this one, and asks for its vote for so long."""
        heard = self._replication.watcher.heard(lease_ms)
        self._replication.meter.heartbeats_received += 1
        self._acknowledge(self.upstream.sent_us if heard else 0)

    def queued_bytes(self) -> int:
        """Bytes taken and not on disk yet."""
        return self.applicator.queue.bytes

    def must_rewind(self, fork: Lsn, history: History) -> None:
        """The own log has records behind ``fork`` that the other has not: the next life begins by going back."""
        node = self._replication.node
        node.event("forked", f"the log of this node and the primary's part at {fork}", severity="warning")
        node.store.control.update(state=f"{rewind.PARTED}{fork}")
        node.begin_again(f"it has to go back to {fork}")
        raise PeerRefused(f"this node has records behind {fork} that the primary has not")

    def must_reseed(self, reason: str) -> None:
        """The records that come next are gone there: the next life begins with a copy."""
        node = self._replication.node
        self._give_up_log()
        node.begin_again(f"it needs a copy of the database: {reason}")
        raise PeerRefused(f"the primary has no longer what this node needs: {reason}")

    def _give_up_log(self) -> None:
        """The next life begins with a copy, which has to reach as far as what this node may have acknowledged."""
        store = self._node.store
        store.control.update(state=copytarget.STATE, flushed_lsn=store.log.flushed)

    def take_over(self, body: bytes) -> None:
        """The primary gives its place to this node."""
        self._replication.take_over(messages.TakeOver.from_body(body))

    def lost(self, error: BaseException | None) -> None:
        """The connection has ended."""
        self._awaited = None
        if self.upstream.connected:
            if error is not None:
                self.forwarder.primary_lost("the node that is followed is not heard of any more")
            self.upstream.connected = False
            self.upstream.connected_since_us = 0
            self._node.event(
                "upstream_lost", f"node {self.upstream.node_id} is not reached any more", severity="warning"
            )
        self.upstream.error = str(error or "")

    def _in_trouble(self, text: str) -> None:
        self._node.event("cannot_follow", text, severity="warning")

    def unexpected(self, error: BaseException) -> HeliosError:
        """An error that nobody foresaw ended the connection."""
        return self._node.engine.unexpected(error)

    # The applicator's news -------------------------------------------------------------------------------------------

    def _flushed(self, data: bytes) -> None:
        self._goes_on()
        if self._node.store.configs.newest is not self._config:
            self._choose_forwarding()
        self._node.database.records.flushed_lsn = self._node.store.log.flushed
        self._replication.replicator.record(data)
        self._acknowledge()

    def _applied(self, commit: Commit) -> None:
        self._goes_on()
        self._node.pipeline.submit_applied(commit)
        self._advance()
        self._acknowledge()

    def _advance(self) -> None:
        self.show(self.upstream.committed)

    def show(self, committed: Lsn) -> None:
        """Everything up to ``committed`` may be read."""
        commits = self._node.pipeline.advance(committed)
        if commits:
            if self._doubted:
                self._doubted = Lsn(0)
                self._choose_forwarding()
            self._replication.has_state.set()
            pinned = sum(1 for commit in commits if commit.reader is not None)
            if pinned:
                self.applicator.queue.release(pinned)

    @property
    def has_no_room(self) -> bool:
        """Whether a full disk keeps records from being taken or applied."""
        return self._no_room_since > 0

    @property
    def is_full(self) -> bool:
        """Whether the disk is full, for records or for whatever else this node has to write."""
        return self.has_no_room or self._node.engine.disk_full_s > 0

    @property
    def blocked_s(self) -> float:
        """For how long the disk has taken nothing."""
        since = min(filter(None, (self._no_room_since, self.applicator.writing_since)), default=0.0)
        return self._replication.now() - since if since else 0.0

    def _acknowledge(self, echo_us: int = 0) -> None:
        link = self.receiver.link
        if link is None or not link.writable:
            # What it says next holds all that it would say now.
            return
        flushed = self._node.store.log.flushed
        applied, checksum = self.applicator.position
        body = messages.Acknowledge(
            self.applicator.queue.written,
            flushed,
            min(applied, flushed),
            echo_us,
            checksum if applied <= flushed else 0,
            int(self.blocked_s * 1000),
            self.is_full,
        ).to_body()
        link.send(Kind.ACKNOWLEDGE, body, compress=False)

    def _diverged(self, found: tuple[Diverged, RecordHeader, ChecksumTable]) -> None:
        error, header, table = found
        self._node.event("diverged", f"{error.message}: its pages are compared", severity="error", lsn=str(header.lsn))
        self._replication.later(self._repair(header, table))

    async def _repair(self, header: RecordHeader, table: ChecksumTable) -> None:
        found = None
        while found is None:
            try:
                found = await find_pages(self._replication, header, table)
            except HeliosError as error:
                if self.upstream.connected:
                    log.error("the database cannot be repaired page by page: %s", error.message)
                    self.applicator.repaired({}, Lsn(0))
                    return
                # With nobody there it could not be copied either: what it shows and its log are as good as they were.
                await asyncio.sleep(REPAIR_AGAIN_S)
        pages, trusted_from = found
        self.applicator.repaired(pages, trusted_from)
        text = f"{len(pages)} pages that differed from the primary's are replaced, the first is page {min(pages)}"
        self._node.event("repaired", text, severity="warning", pages=len(pages))

    def _no_room(self, error: DiskFull) -> None:
        """A checkpoint may let old parts of the log go; it is asked for until there is room."""
        if not self.has_no_room:
            self._no_room_since = self._replication.now()
            self._node.event("disk_full", f"no more records are taken: {error.message}", severity="error")
        wanted = self._node.checkpointer.request()
        wanted.add_done_callback(lambda future: future.cancelled() or future.exception())

    def _goes_on(self) -> None:
        if self.has_no_room:
            self._no_room_since = 0.0
            self._node.event("disk_freed", "records are taken again")

    def _refused(self, error: HeliosError) -> None:
        self._node.event(
            "records_refused",
            f"records of {self.upstream.node_id} are not taken: {error.message}",
            severity="error",
            primary=self.upstream.node_id,
        )
        link = self.receiver.link
        if link is not None:
            link.fail(error)

    def _apply_failed(self, error: BaseException) -> None:
        if isinstance(error, Diverged) and (self._replication.takes_lead or not self.upstream.connected):
            # This may be the last copy: the database is made anew from the log, which is the primary's.
            self._node.event("diverged", f"{error.message}: the log is redone", severity="error")
            self._node.begin_again("it has diverged, and there is nobody to copy from")
            return
        if isinstance(error, Diverged):
            self._node.event("diverged", f"{error.message}: the database is copied", severity="error")
            self._give_up_log()
            self._node.begin_again("it has diverged from the primary")
            return
        log.error("records can no longer be applied: %s", error, exc_info=error)
        self._node.panic(error)
