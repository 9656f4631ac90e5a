"""Putting together what a node knows of its cluster, for the views, the commands and the metrics."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypedDict

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.peer_link import Identity
from helios_cli.engine.node.streamer import BLOCKED_S
from helios_cli.engine.replication import messages
from helios_cli.engine.replication.lag import lag_cause
from helios_cli.engine.replication.view import (
    BLOCKED,
    CATCHING_UP,
    DISCONNECTED,
    DISK_FULL,
    OBSERVING,
    SILENT,
    STREAMING,
    UNKNOWN,
    ClusterView,
    GapView,
    NodeView,
    ObserverView,
    SlotView,
    UpstreamView,
)
from helios_cli.engine.types import PAGE_SIZE, Lsn

if TYPE_CHECKING:
    from helios_cli.engine.node.following import Following
    from helios_cli.engine.node.replication import Replication
    from helios_cli.engine.node.streamer import WalStreamer

SILENT_US: Final = 1_000_000
"""Nothing heard for so long (ten heartbeats): what is known of the primary is as old as its last word."""


LIVE_MS: Final = 1_000.0
"""A standby that lacks nothing older keeps up."""


def cluster_view(replication: Replication) -> ClusterView:
    """What the node knows now: itself, whom it follows, who follows it, and the members it has no contact with.

    On the loop.
    """
    node = replication.node
    replicator = replication.replicator
    following = replication.following
    config = replication.agreed_config
    now = SystemClock.wall_us()
    found = {replication.node_id: _local(replication, now)}
    upstream = _upstream(replication, now)
    if upstream is not None:
        found[upstream.node_id] = upstream
    for streamer in replicator.streamers.values():
        found[streamer.node_id] = _standby(replication, streamer, now)
    primary_id = _primary_id(replication)
    for member in replication.config.members:
        if member.node_id not in found:
            found[member.node_id] = _absent(replication, member, primary_id, now)
    local = found.pop(replication.node_id)
    if replication.news.led_by():
        # The node that this one has followed says no more that it leads no longer.
        for name, one in found.items():
            found[name] = replace(one, role="primary" if name == primary_id else "standby")
    return ClusterView(
        cluster_id=node.store.control.record.cluster_id.hex(),
        term=replication.term().number,
        mode=config.mode.value,
        primary_id=primary_id,
        nodes=(local, *(found[name] for name in sorted(found))),
        gaps=_gaps(config),
        bytes_sent=replicator.bytes_sent,
        bytes_received=following.bytes_received if following is not None else 0,
        records_sent=replicator.records_sent,
        records_applied=following.applicator.records_applied if following is not None else 0,
        bytes_unpacked=following.applicator.pages_applied * PAGE_SIZE if following is not None else 0,
        replayed_us=following.applicator.applied_us if following is not None else 0,
        upstream=_upstream_view(replication),
        slots=_slots(replication),
        observers=_observers(replication, now),
        voters=config.voters(primary_id),
        lease_ms=config.term_lease_ms,
        paused=config.paused,
        counters=replication.meter.counters(),
        now_us=now,
        pid=os.getpid(),
        started_us=node.started_us,
    )


class _Face(TypedDict):
    """The fields of a view that say which node it is and where."""

    node_id: str
    host: str
    pg_port: int
    native_port: int
    http_port: int


def _face(known: Identity | messages.Hello | Member) -> _Face:
    """What everybody says of itself."""
    return {
        "node_id": known.node_id,
        "host": known.host,
        "pg_port": known.pg_port,
        "native_port": known.native_port,
        "http_port": known.http_port,
    }


def _gaps(config: ClusterConfig) -> tuple[GapView, ...]:
    return tuple(
        GapView(
            gap.node_id,
            Lsn(gap.from_lsn),
            None if gap.to_lsn is None else Lsn(gap.to_lsn),
            gap.since_us,
            gap.until_us,
            gap.reason,
        )
        for gap in config.gaps
    )


def _observers(replication: Replication, now: int) -> tuple[ObserverView, ...]:
    """Those of the configuration, and those that are connected and not in it yet."""
    config, watchers = replication.agreed_config, replication.watchers
    known = {one.node_id: one for one in config.observers} | {one.member.node_id: one.member for one in watchers.all()}
    voters = config.voters(_primary_id(replication))
    found = []
    for name in sorted(known):
        one, watcher = known[name], watchers.get(name)
        heard_at = watcher.heard_at if watcher is not None else watchers.heard_at.get(name)
        heard_us = now - round((replication.now() - heard_at) * 1e6) if heard_at is not None else 0
        if watcher is not None:
            state = SILENT if now - heard_us > SILENT_US else OBSERVING
        else:
            state = DISCONNECTED if replication.is_leading else UNKNOWN
        found.append(ObserverView(name, one.host, one.native_port, one.http_port, name in voters, state, heard_us))
    return tuple(found)


def _slots(replication: Replication) -> tuple[SlotView, ...]:
    node = replication.node
    limit, end = node.settings.max_slot_lag_mb << 20, replication.replicator.recent.end
    streamers = replication.replicator.streamers
    return tuple(
        SlotView(slot.name, slot.restart_lsn, slot.name in streamers, limit - (end - slot.restart_lsn))
        for slot in node.store.slots.all()
    )


def _primary_id(replication: Replication) -> str:
    if replication.is_leading:
        return replication.node_id
    elsewhere = replication.news.led_by()
    if elsewhere:
        return elsewhere
    following = replication.following
    if following is None:
        return ""
    if following.upstream.role == "standby":
        # Whoever began the newest term that has come here: a standby's own word is of itself alone.
        return replication.config.primary
    return following.upstream.node_id


def _upstream_view(replication: Replication) -> UpstreamView | None:
    following = replication.following
    if following is None:
        return None
    upstream, role = following.upstream, replication.role
    return UpstreamView(
        node_id=upstream.node_id,
        host=role.primary_host,
        native_port=role.primary_port,
        connected=upstream.connected,
        streaming=following.receiver.streaming,
        error=upstream.error,
        end=upstream.end,
        committed=upstream.committed,
        started_at=upstream.started_at,
        connected_since_us=upstream.connected_since_us,
        sent_us=upstream.sent_us,
        heard_us=upstream.heard_us,
    )


def _local(replication: Replication, now: int) -> NodeView:
    node = replication.node
    own = replication.identity()
    config = replication.agreed_config
    view = NodeView(
        **_face(own),
        role=own.role,
        mode=config.mode.value if replication.is_leading else own.mode,
        is_local=True,
        connected=True,
        state=STREAMING,
        in_sync=own.node_id in config.in_sync,
        term=replication.term().number,
        flushed=node.store.log.flushed,
        committed=node.pipeline.committed_lsn,
        heard_us=now,
    )
    following = replication.following
    return _leading(replication, view) if following is None else _following(replication, following, view, now)


def _leading(replication: Replication, view: NodeView) -> NodeView:
    """The local node as a primary: what it has made, it has applied."""
    database = replication.node.database
    checksum = 0
    if database.record_lock.acquire(blocking=False):
        # Position and checksum belong together only while no record is being made.
        try:
            end, checksum = Lsn(database.records.lsn), database.records.db_checksum
        finally:
            database.record_lock.release()
    else:
        end = Lsn(database.records.lsn)
    return replace(view, written=end, applied=end, db_checksum=checksum)


def _following(replication: Replication, following: Following, view: NodeView, now: int) -> NodeView:
    """The local node as a standby."""
    applicator, upstream = following.applicator, following.upstream
    written, (position, checksum) = applicator.queue.written, applicator.position
    applied = min(position, view.flushed)
    end = max(upstream.end, written)
    streaming = following.receiver.streaming
    lag_ms = replication.log_clock.lag_ms(applied, end, now)
    silent_us = now - upstream.heard_us
    if upstream.heard_us and (not streaming or silent_us > SILENT_US):
        lag_ms = max(lag_ms, silent_us / 1000)
    silent = streaming and silent_us > SILENT_US
    live = streaming and not silent
    lag = end - applied
    return replace(
        view,
        state=_state(streaming, silent, lag_ms < LIVE_MS, full=following.is_full, blocked_s=following.blocked_s),
        written=written,
        applied=applied,
        db_checksum=checksum if applied == position else 0,
        lag_bytes=lag,
        lag_ms=lag_ms,
        lag_known=live,
        connected_since_us=upstream.connected_since_us,
        catch_up_s=replication.meter.catch_up_s(view.node_id, lag) if live else None,
        lag_cause=lag_cause(
            connected=streaming,
            silent=silent,
            end=end,
            sent=end,
            written=written,
            flushed=view.flushed,
            applied=applied,
        ),
        follows=upstream.node_id,
    )


def _state(connected: bool, silent: bool, live: bool, *, full: bool = False, blocked_s: float = 0.0) -> str:
    if not connected:
        return DISCONNECTED
    if silent:
        return SILENT
    if full or blocked_s > BLOCKED_S:
        return DISK_FULL if full else BLOCKED
    return STREAMING if live else CATCHING_UP


def _standby(replication: Replication, streamer: WalStreamer, now: int) -> NodeView:
    hello, progress = streamer.hello, streamer.progress
    end = replication.replicator.recent.end
    lag_of = replication.log_clock.lag_ms
    lag = max(0, end - progress.applied)
    lag_ms = lag_of(progress.applied, end, now)
    silent = now - streamer.heard_us > SILENT_US
    return NodeView(
        **_face(hello),
        role=hello.role,
        mode=hello.mode,
        connected=True,
        state=_state(True, silent, streamer.live, full=streamer.is_full, blocked_s=streamer.blocked_s),
        in_sync=hello.node_id in replication.agreed_config.in_sync,
        term=progress.term.number,
        written=progress.written,
        flushed=progress.flushed,
        applied=progress.applied,
        db_checksum=streamer.db_checksum,
        lag_bytes=lag,
        lag_ms=lag_ms,
        round_trip_ms=streamer.echo_us / 1000,
        connected_since_us=streamer.since_us,
        heard_us=streamer.heard_us,
        sent=streamer.sent,
        lag_known=progress.term.number > 0,
        write_lag_ms=lag_of(progress.written, end, now),
        flush_lag_ms=lag_of(progress.flushed, end, now),
        catch_up_s=_catch_up_s(replication, streamer, lag, lag_ms, silent),
        lag_cause=lag_cause(
            connected=True,
            silent=silent,
            end=end,
            sent=streamer.sent,
            written=progress.written,
            flushed=progress.flushed,
            applied=progress.applied,
        ),
        follows=replication.node_id,
    )


def _catch_up_s(replication: Replication, streamer: WalStreamer, lag: int, lag_ms: float, silent: bool) -> float | None:
    if silent:
        return None
    # One that keeps up is behind by what is under way, however fast the log grows.
    return lag_ms / 1000 if streamer.live else replication.meter.catch_up_s(streamer.node_id, lag)


def _upstream(replication: Replication, now: int) -> NodeView | None:
    following = replication.following
    if following is None or not following.upstream.node_id:
        return None
    upstream = following.upstream
    applied, checksum = following.applicator.position
    return NodeView(
        node_id=upstream.node_id,
        role=upstream.role,
        mode=upstream.mode,
        host=upstream.host,
        pg_port=upstream.pg_port,
        native_port=replication.role.primary_port,
        http_port=upstream.http_port,
        connected=upstream.connected,
        state=_state(upstream.connected, now - upstream.heard_us > SILENT_US, True),
        in_sync=upstream.node_id in replication.agreed_config.in_sync,
        term=replication.term().number,
        written=upstream.end,
        flushed=upstream.end,
        applied=upstream.end,
        committed=upstream.committed,
        # Its records say what its database's checksum was behind each of them.
        db_checksum=checksum if applied == upstream.end else 0,
        connected_since_us=upstream.connected_since_us,
        heard_us=upstream.heard_us,
    )


def _absent_role(member: Member, primary_id: str) -> str:
    if not primary_id:
        return UNKNOWN
    return "primary" if member.node_id == primary_id else "standby"


def _absent(replication: Replication, member: Member, primary_id: str, now: int) -> NodeView:
    """A member that this node has no contact with, by the configuration and the slot that waits for it."""
    # Where another node leads, that one knows: the slot here is as old as the last time that this node led.
    slots = replication.node.store.slots.all() if replication.is_leading else ()
    slot = next((slot for slot in slots if slot.name == member.node_id), None)
    flushed = slot.restart_lsn if slot is not None else Lsn(0)
    end = replication.replicator.recent.end
    heard = replication.heard_at.get(member.node_id)
    return NodeView(
        **_face(member),
        role=_absent_role(member, primary_id),
        mode=member.mode,
        connected=False,
        state=DISCONNECTED if replication.is_leading else UNKNOWN,
        in_sync=member.node_id in replication.agreed_config.in_sync,
        term=slot.term.number if slot is not None else 0,
        written=flushed,
        flushed=flushed,
        applied=flushed,
        lag_bytes=max(0, end - flushed) if slot is not None else 0,
        lag_ms=replication.log_clock.lag_ms(flushed, end, now) if slot is not None else 0.0,
        heard_us=now - round((replication.now() - heard) * 1e6) if heard is not None else 0,
        lag_known=slot is not None,
        catch_up_s=None,
        lag_cause="disconnected" if replication.is_leading else "",
    )
