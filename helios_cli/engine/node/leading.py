"""What a primary does for its cluster: whose copies count, who has been lost, and since when it goes on without them.

The configuration is brought towards what is wanted in small steps, one record at a time: :meth:`Leading.reconcile`
looks at who is there and proposes the next step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.replication.config import EJECT, ClusterConfig, Member
from helios_cli.engine.replication.lsns import LsnManager
from helios_cli.engine.replication.rule import SyncMode
from helios_cli.engine.types import Lsn

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication
    from helios_cli.engine.node.streamer import WalStreamer

log = logging.getLogger(__name__)

RETRY_S: Final = 0.001
RECORD_ROOM: Final = 256 << 10


class Leading:
    """The primary's side of :class:`~helios_cli.engine.node.replication.Replication`, for one term."""

    def __init__(self, replication: Replication, config: ClusterConfig) -> None:
        self._replication = replication
        self._node = node = replication.node
        self._loop = node.engine.loop
        records = node.database.records
        self.lsns = LsnManager(
            replication.node_id, config, records.term, node.store.log.flushed, begins=node.store.log.end
        )
        self._began = self._loop.time()
        self._proposing = False
        self._closed = False
        self.wanted: dict[str, Any] = {}
        """Fields of the configuration that the operator has asked for, and that are not proposed yet."""
        self._answers: list[tuple[SyncMode, Lsn, Callable[[], None]]] = []
        """Commits whose clients wait for another rule than the cluster's."""
        self.unwanted: set[str] = set()
        """Members that the operator has removed."""

    def begin(self) -> None:
        """From now on the mode's rule decides what is committed, and every record goes to the followers."""
        pipeline = self._node.pipeline
        pipeline.rule = self._own_flushed
        self._node.engine.when_reached = self.after
        pipeline.on_record = self._recorded

    def close(self) -> None:
        """The term is over for this node."""
        self._closed = True
        self._node.pipeline.on_record = None

    def pause(self, *, paused: bool) -> str:
        """Suspend automatic failover, or resume it; what the operator is told."""
        if self.lsns.newest.paused == paused:
            return f"automatic failover is {'paused' if paused else 'not paused'} already"
        self.change(paused=paused)
        return f"automatic failover is {'paused' if paused else 'resumed'}"

    def change(self, **fields: Any) -> None:
        """Change fields of the cluster's configuration."""
        self.wanted.update(fields)
        self.reconcile()

    def after(self, mode: SyncMode, lsn: Lsn, done: Callable[[], None]) -> None:
        """Call back, never at once, when ``lsn`` is where another mode than the cluster's would have it."""
        self._answers.append((mode, lsn, done))
        self._loop.call_soon(self._answer)

    def _answer(self) -> None:
        waiting, self._answers = self._answers, []
        lsns = self.lsns
        reached = {mode: lsns.reached_by(mode) for mode in {entry[0] for entry in waiting}}
        for mode, lsn, done in waiting:
            if lsn <= reached[mode]:
                done()
            else:
                self._answers.append((mode, lsn, done))

    def _own_flushed(self, lsn: Lsn) -> Lsn:
        committed = self.lsns.own_flushed(lsn)
        if self._answers:
            self._answer()
        return committed

    def _recorded(self, data: bytes) -> None:
        replicator = self._replication.replicator
        replicator.record(data)
        if replicator.streamers:
            self._replication.log_clock.sample(replicator.recent.end, SystemClock.wall_us())

    # What followers say ----------------------------------------------------------------------------------------------

    def acknowledged(self, streamer: WalStreamer) -> None:
        """A follower has come further."""
        lsns = self.lsns
        self._node.pipeline.advance(lsns.acknowledged(streamer.node_id, streamer.progress))
        if self._answers:
            self._answer()
        if streamer.node_id not in lsns.config.in_sync:
            self.reconcile()

    def left(self, node_id: str) -> None:
        """A follower is not connected any more. What it had acknowledged is still on its disk."""
        self.reconcile()

    # The configuration -----------------------------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Propose the next step from the configuration in force to the one that is wanted, if there is one."""
        if self._proposing or self._closed or self.lsns.pending is not None:
            return
        step = self._step()
        if step is not None:
            self._proposing = True
            self._propose(*step)

    def _step(self) -> tuple[ClusterConfig, str, str] | None:
        """The next configuration, with kind and text of the event that tells of it."""
        config = self.lsns.config
        for node_id in sorted(self.unwanted):
            self.unwanted.discard(node_id)
            if config.member(node_id) is not None:
                return config.without_member(node_id), "member_removed", f"node {node_id} is removed from the cluster"
        wanted, self.wanted = self.wanted, {}
        changed = _changed(config, wanted, self.lsns.node_id)
        if changed != config:
            told = ", ".join(f"{name} = {getattr(value, 'value', value)}" for name, value in sorted(wanted.items()))
            return changed, "configured", f"the cluster's configuration has changed: {told}"
        return self._eject(config) or self._admit(config)

    def _eject(self, config: ClusterConfig) -> tuple[ClusterConfig, str, str] | None:
        if config.on_sync_loss != EJECT:
            return None
        lost = self.lsns.lost({node for node in config.in_sync if self._is_alive(node, config)})
        if not lost:
            return None
        names = ", ".join(lost)
        changed = config.with_in_sync(node for node in config.in_sync if node not in lost)
        changed = changed.with_gap(lost, self.lsns.committed, SystemClock.wall_us(), "not heard of for eject_after")
        return changed, "ejected", f"{names} lost: commits are acknowledged without, mode {config.mode.value}"

    def _is_alive(self, node_id: str, config: ClusterConfig) -> bool:
        patience = config.eject_after_ms / 1000
        streamer = self._replication.replicator.streamers.get(node_id)
        heard = streamer.heard_at if streamer is not None else self._replication.heard_at.get(node_id, self._began)
        return self._loop.time() - heard < patience

    def _admit(self, config: ClusterConfig) -> tuple[ClusterConfig, str, str] | None:
        for streamer in self._replication.replicator.streamers.values():
            hello = streamer.hello
            if hello.incarnation == "":
                continue
            member = Member(
                hello.node_id, hello.incarnation, hello.host, hello.pg_port, hello.native_port, hello.http_port,
                hello.mode,
            )  # fmt: skip
            if config.member(member.node_id) != member:
                return config.with_member(member), "member_added", f"node {member.node_id} is a member of the cluster"
            if member.node_id not in config.in_sync and config.wants(member) and self._caught_up(streamer):
                changed = config.with_in_sync((*config.in_sync, member.node_id))
                changed = changed.with_gap_closed(member.node_id, self.lsns.committed, SystemClock.wall_us())
                return changed, "in_sync", f"the copies of {member.node_id} count, mode {config.mode.value}"
        return None

    def _caught_up(self, streamer: WalStreamer) -> bool:
        progress = streamer.progress
        if not streamer.live or progress.term != self.lsns.term:
            return False
        applied = progress.applied if self.lsns.config.mode is SyncMode.SYNC else progress.flushed
        return applied >= self.lsns.committed

    def propose_first(self, config: ClusterConfig) -> None:
        """The configuration that this primary begins with; the log's last record is this node's own already."""
        self._proposing = True
        kind = "ejected" if len(config.in_sync) < len(self.lsns.config.in_sync) else "configured"
        names = ", ".join(config.in_sync)
        self._propose(config, kind, f"mode {config.mode.value}, the copies that count: {names}")

    def _propose(self, config: ClusterConfig, kind: str, text: str) -> None:
        if self._closed:
            return
        try:
            end = self.put_config(config)
        except HeliosError as error:
            self._proposing = False
            log.warning("the cluster's configuration could not be changed: %s", error.message)
            return
        if end is None:
            self._loop.call_later(RETRY_S, self._propose, config, kind, text)
            return
        self._proposing = False
        self._node.event(kind, text, severity="warning" if kind == "ejected" else "info")
        self._node.pipeline.advance(self.lsns.propose(config, end))

    def put_config(self, config: ClusterConfig) -> Lsn | None:
        """Put a configuration into the log; the LSN behind it, None when that must be tried again in a moment.

        Raises:
            DiskFull, IoFailed: there is no room for it.
        """
        node = self._node
        records = node.database.records
        text = config.to_bytes()
        node.database.reserve(RECORD_ROOM)

        def make() -> bytes:
            data = records.config(config.version, text, SystemClock.wall_us())
            node.store.configs.append(records.lsn, config, node.pipeline.committed_lsn)
            return data

        return node.pipeline.submit_apart(make)


def _changed(config: ClusterConfig, wanted: Mapping[str, Any], primary: str) -> ClusterConfig:
    """The configuration with other fields; the same when they have these values already."""
    plain = {name: value for name, value in wanted.items() if name != "mode" and getattr(config, name) != value}
    mode = wanted.get("mode", config.mode)
    if mode is not config.mode:
        config = config.with_mode(mode, primary)
    return replace(config, version=config.version + 1, **plain) if plain else config


def first_config(member: Member, mode: SyncMode, on_sync_loss: str, eject_after_ms: int) -> ClusterConfig:
    """The configuration that a cluster is born with."""
    return ClusterConfig(1, mode, (member,), (member.node_id,), on_sync_loss, eject_after_ms)


def config_of_term(config: ClusterConfig, own: Member, lost: set[str], lsn: Lsn, now_us: int) -> ClusterConfig:
    """The configuration with which a new primary begins: itself in D, and without those that are lost."""
    changed = config if config.member(own.node_id) == own else config.with_member(own)
    gone = lost & set(config.in_sync) - {own.node_id}
    changed = changed.with_in_sync({*changed.in_sync, own.node_id} - gone)
    if gone and config.mode is not SyncMode.ASYNC:
        changed = changed.with_gap(gone, lsn, now_us, "lost when the primary changed")
    return replace(changed, version=config.version + 1)
