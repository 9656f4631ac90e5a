"""A node's part in its cluster: whether it leads or follows, who visits it, and how that changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.config.roles import Role
from helios_cli.engine.consensus.config import ClusterConfig, Member, address
from helios_cli.engine.consensus.steps import config_by_force, config_of_term, first_config
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node import binding, handover, lead_changes, promotion, report
from helios_cli.engine.node.authority import authority_of
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.cluster_meter import ClusterMeter
from helios_cli.engine.node.cluster_news import ClusterNews
from helios_cli.engine.node.cluster_settings import first_fields
from helios_cli.engine.node.cluster_view import cluster_view
from helios_cli.engine.node.failover_watcher import FailoverWatcher
from helios_cli.engine.node.following import Following
from helios_cli.engine.node.forward_server import SessionServer
from helios_cli.engine.node.lead_again import LEAD_AGAIN_S, lead_again, leads_again
from helios_cli.engine.node.lead_changes import Cause
from helios_cli.engine.node.lead_check import LeadCheck
from helios_cli.engine.node.leading import Leading
from helios_cli.engine.node.lines import Lines
from helios_cli.engine.node.peer_address import Callers, OwnAddress
from helios_cli.engine.node.peer_door import Door
from helios_cli.engine.node.peer_link import Identity, PeerLink
from helios_cli.engine.node.promotion import PromotionRefused
from helios_cli.engine.node.pulse import Pulse
from helios_cli.engine.node.pulse_node import DataNodePulse
from helios_cli.engine.node.slot_keeper import SlotKeeper
from helios_cli.engine.node.streamer import WalReplicator, WalStreamer
from helios_cli.engine.node.visitors import Visitors
from helios_cli.engine.node.watchers import Watchers
from helios_cli.engine.replication import messages
from helios_cli.engine.replication.lag import LogClock
from helios_cli.engine.replication.view import ClusterView
from helios_cli.engine.storage.membership import save_role
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

log = logging.getLogger(__name__)

HEARTBEAT_S: Final = 0.1
WATCH_S: Final = 0.025
"""Between two looks at whether the primary's lease is over."""

ANNOUNCE_S: Final = 1.0
"""How often members that do not follow are told of the primary."""


class Replication:
    """One per life of a node; :class:`~helios_cli.engine.node.node.Node` owns it."""

    def __init__(self, node: Node, role: Role) -> None:
        self.node = node
        self.role = role
        self.following: Following | None = None
        self.leading: Leading | None = None
        self.log_clock = LogClock()
        self.has_state = asyncio.Event()
        """There is a committed state to show."""
        self.heard_at: dict[str, float] = {}
        """When those were heard of last who follow no longer, by the loop's clock."""
        self.replicator = WalReplicator(
            node.store.log,
            node.engine.read_workers,
            SystemClock(),
            end=node.store.log.end,
            term=self.term,
            history=lambda: node.store.timeline.history,
            committed=lambda: node.pipeline.committed_lsn,
            loop_later=node.engine.loop.call_later,
            now=self.now,
        )
        self.replicator.on_acknowledged = self._acknowledged
        self.replicator.on_joined = self._joined_us
        self.replicator.on_left = self._left_us
        node.pipeline.on_committed = self.replicator.committed_moved
        self.door = Door()
        self.callers = Callers()
        self.address = OwnAddress(node.settings.advertise_address, node.settings.listen_address)
        node.engine.lead_check = self.lead_check = LeadCheck(self)
        self.sessions = SessionServer(node.engine, lambda: self.following.forwarder if self.following else None)
        self.meter = ClusterMeter(self)
        self.news = ClusterNews(self)
        self.slots = SlotKeeper(self)
        self.visitors = Visitors(self)
        self.lines = Lines(self)
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._announced_at = self.now()
        self._others: set[asyncio.Task[Any]] = set()
        self.changing = asyncio.Lock()
        """Held while the role changes."""
        self.watcher = FailoverWatcher(self)
        self.replicator.lease_ms = self._lease_ms
        self.authority = authority_of(self)
        self.pulse_node = DataNodePulse(self)
        self._pulse = Pulse(self.pulse_node, self.pulse_node.granted)
        self.watchers = Watchers(self)
        self.replicator.on_heartbeat = self.watchers.beat
        self.takes_lead = False
        """Its promotion is decided: no other candidate gets a promise of it any more."""

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def node_id(self) -> str:
        """The name of this node."""
        return report.node_id(self.node.settings)

    @property
    def is_leading(self) -> bool:
        """Whether it takes writes of its own; not while its life ends because its term is over."""
        return self.leading is not None and not self.leading.is_over and self.role.name != "standby"

    @property
    def has_no_room(self) -> bool:
        """Whether a full disk keeps it from following."""
        return self.following is not None and self.following.has_no_room

    @property
    def is_standby(self) -> bool:
        """Whether it follows another node, or waits for one to follow."""
        return not self.is_leading

    @property
    def config(self) -> ClusterConfig:
        """The newest configuration in this node's log; before the first, what this node alone would be."""
        found = self.node.store.configs.newest
        if found is not None:
            return self._by_own_name(found)
        return first_config(self.member(), **first_fields(self.node.settings))

    @property
    def open_configs(self) -> tuple[ClusterConfig, ...]:
        """Those that may be in force, the oldest first: the newest that is known to be committed, and all behind it."""
        found = self.node.store.configs.open(self.node.pipeline.committed_lsn)
        return tuple(self._by_own_name(config) for config in found) or (self.config,)

    def _by_own_name(self, config: ClusterConfig) -> ClusterConfig:
        return config.known_as(self.node_id, self.node.store.control.record.incarnation.hex())

    @property
    def agreed_config(self) -> ClusterConfig:
        """The one in force; the newest in the log waits to be agreed on, perhaps in vain."""
        return self.leading.lsns.config if self.leading is not None else self.open_configs[0]

    @property
    def own_class(self) -> str:
        """The mode in which this node's copies are wanted; empty: whatever the cluster's is."""
        settings = self.node.settings
        explicit = settings.origin("replication_mode").kind != "default"
        return settings.replication_mode if explicit and not self.is_leading else ""

    def now(self) -> float:
        """The steady clock as it is now: the loop's own stands still while it works."""
        return time.monotonic()

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
            self.own_class,
            self._own_host(),
            settings.pg_port,
            settings.native_port,
            settings.http_port,
            settings.failover_priority,
        )

    def _own_host(self) -> str:
        known = self.node.store.configs.newest
        member = known.member(self.node_id) if known is not None else None
        return self.address.host(member.host if member is not None else "", self.node.address)

    def member(self) -> Member:
        """This node, as a member of the configuration."""
        own = self.identity()
        return Member(
            own.node_id, own.incarnation, own.host, own.pg_port, own.native_port, own.http_port, own.mode, own.priority
        )

    def view(self) -> ClusterView:
        """What it knows of the cluster now."""
        return cluster_view(self)

    # Start and stop --------------------------------------------------------------------------------------------------

    def begin(self, *, follows: bool) -> None:
        """Take up the role; nothing is served yet. One that follows shows what is known to be committed."""
        if not follows:
            self._lead(self.open_configs)
            return
        applied = self.node.store.recovery.applied
        self.follow(applied)
        if leads_again(self):
            self.later(lead_again(self))
        if self.role.name != "standby":
            self.node.engine.loop.call_later(LEAD_AGAIN_S, self.has_state.set)
        elif applied:
            self.has_state.set()

    async def listen(self, port: int) -> int:
        """Serve other nodes; gives the port. Raises OSError when the address is taken."""
        loop = self.node.engine.loop
        self._server = await loop.create_server(
            lambda: PeerLink(
                self.term, serve=self.visitors.visited, tls=self.node.tls.peer, door=self.door, pulse=self._pulse.take
            ),
            binding.peer_address(self.node.settings, self.node.tls.peer, self.secret(), self.node.event),
            port,
            backlog=128,
        )
        self._tasks.append(loop.create_task(self._beat()))
        self._pulse.start()
        self.authority.begin()
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End every connection with other nodes, and the following."""
        if self._server is not None:
            self._server.close()
        self.door.close()
        await self.node.engine.loop.run_in_executor(None, self._pulse.stop)
        ending = [*self._tasks, *self._others]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._tasks = []
        if self.leading is not None:
            self.leading.close()
        self.lines.close()
        self.sessions.close()
        self.replicator.close()
        self.watchers.close()
        await self.node.engine.loop.run_in_executor(None, self.authority.stop)
        with contextlib.suppress(HeliosError):
            self.node.store.slots.save()
        if self.following is not None:
            await self.following.stop(finish=False)

    def close(self) -> None:
        """Let go of the files, after :meth:`stop`."""
        if self.following is not None:
            self.following.close()
            self.following = None

    @contextlib.asynccontextmanager
    async def nothing_applied(self) -> AsyncIterator[None]:
        """While a checkpoint needs SQLite's WAL for itself."""
        if self.following is None:
            yield
        else:
            async with self.following.nothing_applied():
                yield

    def _lease_ms(self) -> int | None:
        """What is asked of whoever follows this node; None while it is not known who leads."""
        return self.leading.lease.lease_ms if self.leading is not None else self.watcher.lease_ms()

    def later(self, work: Any) -> None:
        """Run a coroutine to its end, or to the end of this life."""
        task = self.node.engine.loop.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    # Roles -----------------------------------------------------------------------------------------------------------

    def follow(self, applied: Lsn) -> None:
        """Follow whom the role names, from a database that is at ``applied``."""
        self.following = Following(self, applied, self._addresses)
        self.following.begin()

    def _addresses(self) -> list[tuple[str, int]]:
        role = self.role
        return self.callers.places((role.primary_host, role.primary_port)) if role.primary_host else []

    def _lead(self, configs: tuple[ClusterConfig, ...]) -> None:
        self.leading = Leading(self, configs)
        self.leading.begin()
        self.watcher.vote.leads()
        self.node.engine.alter_cluster = self._alter
        self.node.engine.standby_refusal = None
        self.node.checkpointer.others_write = False
        self.has_state.set()

    def _alter(self, name: str, value: Any) -> None:
        if self.leading is None:
            raise PromotionRefused("the cluster's configuration is changed on its primary")
        self.leading.change(**{name: value})

    def become(self, role: Role) -> None:
        """Have this role from now on; on disk when this returns.

        Raises:
            DiskFull, IoFailed: the file system refused; the role is what it was.
        """
        self._save_role(role)
        self.role = role

    def _save_role(self, role: Role) -> None:
        save_role(self.node.store.files, self.node.store.control_dir, role)

    async def lead(self, term: Term, lost: set[str], cause: Cause, *, by_force: bool = False) -> None:
        """Lead in a term that was taken and promised; ``lost`` members are not waited for, ``by_force`` not even asked.

        What this node holds and nobody has called committed is shown only once the term's first record is committed.

        Raises:
            HeliosError: the file system refused. This node follows on, or begins another life in which it leads or
                follows by what is on its disk.
        """
        self.takes_lead = True
        try:
            # On disk before this node follows no longer: a full disk is found out while nothing has changed.
            self._save_role(Role("primary"))
            try:
                await self._follow_no_longer()
                self._lead_in(term, lost, cause, by_force=by_force)
            except Exception:
                self.node.begin_again("it could not take the lead")
                raise
        finally:
            self.takes_lead = False

    async def _follow_no_longer(self) -> None:
        """All that was received is applied first. A checkpoint sees until the end of that who adds to SQLite's WAL."""
        following = self.following
        if following is not None:
            await following.stop(finish=True)
            if following.applicator.failure is not None:
                raise PromotionRefused(
                    f"the database of node {self.node_id} is not where its log ends: {following.applicator.failure}",
                    hint="The node begins again and redoes its log; then ask again.",
                )
            following.close()
            self.following = None

    def _lead_in(self, term: Term, lost: set[str], cause: Cause, *, by_force: bool) -> None:
        node = self.node
        node.lead_term(term)
        config = self.config
        if by_force:
            # The others never agree to what counts now: whoever has the first record of the term goes by it.
            node.database.records.config_version = config.version + 1
        # Before this node takes writes: none can be in a term that has no beginning.
        first = node.term_start()
        self.role = Role("primary")
        self._lead((config_by_force(config, self.member(), lost),) if by_force else self.open_configs)
        leading = self.leading
        assert leading is not None
        now_us = SystemClock.wall_us()
        node.pipeline.submit(first)
        # Of what this node found in its log somebody may have been acknowledged by the primary before.
        node.engine.settles_reads = True
        node.pipeline.after_lsn(first.lsn_end, self._shows_what_it_found)
        leading.propose_first(
            config_of_term(config, self.member(), lost, node.pipeline.committed_lsn, now_us, by_force=by_force)
        )
        node.engine.sequences.reset()
        lead_changes.tell_promoted(self, config.primary, cause)
        for member in config.members:
            if member.node_id != self.node_id:
                # One that has not followed this node yet may lack what was committed last.
                self.slots.hold(member.node_id, node.pipeline.committed_lsn)
        promotion.announce_to_missing(self)

    def _shows_what_it_found(self) -> None:
        if self.is_leading:
            self.node.engine.settles_reads = False

    def retarget(self, node_id: str, host: str, port: int, term: int) -> None:
        """Another node leads in ``term``: follow it."""
        if (self.role.primary_host, self.role.primary_port) == (host, port) and self.role.name == "standby":
            if self.following is not None:
                self.following.receiver.wake()
            return
        if self.following is None:
            lead_changes.tell_deposed(self, node_id, term)
            self.become(Role("standby", host, port))
            self._lead_no_longer()
            self.node.begin_again("another node leads")
            return
        self.become(Role("standby", host, port))
        lead_changes.tell_retargeted(self, node_id, address(host, port), term)
        self.following.receiver.hurry()

    def _lead_no_longer(self) -> None:
        """The term is over for this node; nobody hears from it in a newer term as if it led that."""
        if self.leading is not None:
            self.leading.close()
            self.replicator.close()
            self.watchers.close()

    def give_way(self, term: Term, why: str) -> None:
        """A primary whose lease is over knows of a newer term: it leads no longer, and begins again.

        It may vote for the candidate of that term then, as its own vote counts for its own term no more. It begins
        again as the primary that it was: nobody may come to lead in that term.
        """
        leading = self.leading
        lapsed = leading is not None and leading.lease.has_lapsed and not self.changing.locked()
        if lapsed and self.is_leading and term > self.term():
            self._lead_no_longer()
            lead_changes.tell_gave_way(self, term.number, why)
            self.node.begin_again("its term is over")

    async def promote(self, *, allow_data_loss: bool = False, dry_run: bool = False) -> Any:
        """Make this node the primary, by hand; see :func:`promotion.promote`."""
        async with self.changing:
            return await promotion.promote(self, allow_data_loss=allow_data_loss, dry_run=dry_run)

    def take_over(self, message: messages.TakeOver) -> None:
        """The primary gives its place to this node."""
        self.later(handover.take_over(self, message))

    # Followers -------------------------------------------------------------------------------------------------------

    def _acknowledged(self, streamer: WalStreamer) -> None:
        progress = streamer.progress
        self.node.store.slots.advance(streamer.node_id, progress.flushed, progress.term)
        if self.leading is not None:
            self.leading.acknowledged(streamer)
            self.lead_check.acknowledged()

    def _joined_us(self, streamer: WalStreamer) -> None:
        hello = streamer.hello
        self.meter.joined(hello.node_id)
        # A reader of the log, which has no data directory, comes and goes; the log is not kept for it.
        if hello.incarnation:
            self.slots.hold(hello.node_id, streamer.sent)
        told = f"{hello.role} {hello.node_id} ({hello.mode}) follows from {streamer.sent}"
        self.node.event("standby_joined", told, standby=hello.node_id)
        if self.leading is not None:
            self.leading.joined(streamer)

    def _left_us(self, streamer: WalStreamer) -> None:
        self.heard_at[streamer.node_id] = streamer.heard_at
        self.node.event(
            "standby_left",
            f"standby {streamer.node_id} is not connected any more; it had flushed {streamer.progress.flushed}",
            severity="warning",
            standby=streamer.node_id,
        )
        if self.leading is not None:
            self.leading.left(streamer.node_id)

    async def _beat(self) -> None:
        """Until cancelled. An error that nobody foresaw is told of, and the next beat comes."""
        beat_at = self.now()
        while True:
            await asyncio.sleep(WATCH_S)
            self.pulse_node.beat_at = self.now()
            if self.now() >= beat_at:
                beat_at = max(beat_at + HEARTBEAT_S, self.now())
                self._guarded(self._beat_once)
            self._guarded(self.watcher.beat)
            self._guarded(self.news.look)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self.node.engine.unexpected(error)

    def _beat_once(self) -> None:
        self.replicator.heartbeat(asks=True)
        self.meter.sample()
        now = self.now()
        if self.leading is not None:
            self.log_clock.sample(self.replicator.recent.end, SystemClock.wall_us())
            self.leading.look()
            if now - self._announced_at > ANNOUNCE_S:
                self._announced_at = now
                promotion.announce_to_missing(self)
        self.slots.beat(now)
