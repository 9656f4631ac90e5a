"""Putting together what a node knows of its cluster, for the views, the commands and the metrics."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.replication.config import Member
from helios_cli.engine.replication.view import (
    CATCHING_UP,
    DISCONNECTED,
    STREAMING,
    ClusterView,
    GapView,
    NodeView,
)
from helios_cli.engine.types import Lsn

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication
    from helios_cli.engine.node.streamer import WalStreamer

SAMPLES_MAX: Final = 4096


class LogClock:
    """When the log reached which LSN, sampled: how old the newest thing is that somebody lacks."""

    def __init__(self) -> None:
        self._samples: deque[tuple[Lsn, int]] = deque(maxlen=SAMPLES_MAX)

    def sample(self, end: Lsn, now_us: int) -> None:
        """The log ends at ``end`` now."""
        if not self._samples or self._samples[-1][0] != end:
            self._samples.append((end, now_us))

    def lag_ms(self, applied: Lsn, end: Lsn, now_us: int) -> float:
        """How long ago the log went beyond ``applied``, in milliseconds; 0.0 when it ends there."""
        if applied >= end:
            return 0.0
        since = now_us
        for lsn, when in reversed(self._samples):
            if lsn <= applied:
                break
            since = when
        return max(0.0, (now_us - since) / 1000)


def cluster_view(replication: Replication) -> ClusterView:
    """What the node knows now: itself, whom it follows, who follows it, and the members it has no contact with."""
    node = replication.node
    replicator = replication.replicator
    following = replication.following
    config = replication.config
    found = {replication.node_id: _local(replication)}
    upstream = _upstream(replication)
    if upstream is not None:
        found[upstream.node_id] = upstream
    for streamer in replicator.streamers.values():
        found[streamer.node_id] = _standby(replication, streamer)
    primary_id = _primary_id(replication)
    for member in config.members:
        if member.node_id not in found:
            found[member.node_id] = _absent(replication, member, primary_id)
    local = found.pop(replication.node_id)
    return ClusterView(
        cluster_id=node.store.control.record.cluster_id.hex(),
        term=replication.term().number,
        mode=config.mode.value,
        primary_id=primary_id,
        nodes=(local, *(found[name] for name in sorted(found))),
        gaps=tuple(
            GapView(
                gap.node_id,
                Lsn(gap.from_lsn),
                None if gap.to_lsn is None else Lsn(gap.to_lsn),
                gap.since_us,
                gap.until_us,
                gap.reason,
            )
            for gap in config.gaps
        ),
        bytes_sent=replicator.bytes_sent,
        bytes_received=following.bytes_received if following is not None else 0,
        records_sent=replicator.records_sent,
        records_applied=following.applicator.records_applied if following is not None else 0,
        bytes_unpacked=0,
    )


def _primary_id(replication: Replication) -> str:
    if replication.is_leading:
        return replication.node_id
    following = replication.following
    if following is None or following.upstream.role == "standby":
        return ""
    return following.upstream.node_id


def _local(replication: Replication) -> NodeView:
    node = replication.node
    own = replication.identity()
    flushed = node.store.log.flushed
    following = replication.following
    config = replication.config
    since_us = 0
    if following is not None:
        applicator, upstream = following.applicator, following.upstream
        written, applied = applicator.written, min(applicator.applied, flushed)
        checksum = applicator.position[1]
        end = max(upstream.end, written)
        state = DISCONNECTED if not following.receiver.streaming else STREAMING if applied == end else CATCHING_UP
        since_us = upstream.connected_since_us
    else:
        written = applied = end = replication.replicator.recent.end
        checksum = node.database.checksums.total
        state = STREAMING
    now = SystemClock.wall_us()
    return NodeView(
        node_id=own.node_id,
        role=own.role,
        mode=config.mode.value if replication.is_leading else own.mode,
        host=own.host,
        pg_port=own.pg_port,
        native_port=own.native_port,
        http_port=own.http_port,
        is_local=True,
        connected=True,
        state=state,
        in_sync=own.node_id in config.in_sync,
        term=replication.term().number,
        written=written,
        flushed=flushed,
        applied=applied,
        committed=node.pipeline.committed_lsn,
        db_checksum=checksum,
        lag_bytes=end - applied,
        lag_ms=replication.log_clock.lag_ms(applied, end, now),
        round_trip_ms=0.0,
        connected_since_us=since_us,
        heard_us=now,
    )


def _standby(replication: Replication, streamer: WalStreamer) -> NodeView:
    hello, progress = streamer.hello, streamer.progress
    end = replication.replicator.recent.end
    return NodeView(
        node_id=hello.node_id,
        role=hello.role,
        mode=hello.mode,
        host=hello.host,
        pg_port=hello.pg_port,
        native_port=hello.native_port,
        http_port=hello.http_port,
        is_local=False,
        connected=True,
        state=STREAMING if streamer.live else CATCHING_UP,
        in_sync=hello.node_id in replication.config.in_sync,
        term=progress.term.number,
        written=progress.written,
        flushed=progress.flushed,
        applied=progress.applied,
        committed=Lsn(0),
        db_checksum=streamer.db_checksum,
        lag_bytes=end - progress.applied,
        lag_ms=replication.log_clock.lag_ms(progress.applied, end, SystemClock.wall_us()),
        round_trip_ms=streamer.echo_us / 1000,
        connected_since_us=streamer.since_us,
        heard_us=streamer.heard_us,
    )


def _upstream(replication: Replication) -> NodeView | None:
    following = replication.following
    if following is None or not following.upstream.node_id:
        return None
    upstream = following.upstream
    return NodeView(
        node_id=upstream.node_id,
        role=upstream.role,
        mode=upstream.mode,
        host=upstream.host,
        pg_port=upstream.pg_port,
        native_port=replication.role.primary_port,
        http_port=upstream.http_port,
        is_local=False,
        connected=upstream.connected,
        state=STREAMING if upstream.connected else DISCONNECTED,
        in_sync=upstream.node_id in replication.config.in_sync,
        term=replication.term().number,
        written=upstream.end,
        flushed=upstream.end,
        applied=upstream.end,
        committed=upstream.committed,
        db_checksum=0,
        lag_bytes=0,
        lag_ms=0.0,
        round_trip_ms=0.0,
        connected_since_us=upstream.connected_since_us,
        heard_us=upstream.heard_us,
    )


def _absent(replication: Replication, member: Member, primary_id: str) -> NodeView:
    """A member that this node has no contact with, by the configuration and the slot that waits for it."""
    slot = next((slot for slot in replication.node.store.slots.all() if slot.name == member.node_id), None)
    flushed = slot.restart_lsn if slot is not None else Lsn(0)
    end = replication.replicator.recent.end
    return NodeView(
        node_id=member.node_id,
        role="primary" if member.node_id == primary_id else "standby",
        mode=member.mode,
        host=member.host,
        pg_port=member.pg_port,
        native_port=member.native_port,
        http_port=member.http_port,
        is_local=False,
        connected=False,
        state=DISCONNECTED,
        in_sync=member.node_id in replication.config.in_sync,
        term=slot.term.number if slot is not None else 0,
        written=flushed,
        flushed=flushed,
        applied=flushed,
        committed=Lsn(0),
        db_checksum=0,
        lag_bytes=end - flushed if slot is not None else 0,
        lag_ms=replication.log_clock.lag_ms(flushed, end, SystemClock.wall_us()) if slot is not None else 0.0,
        round_trip_ms=0.0,
        connected_since_us=0,
        heard_us=0,
    )
