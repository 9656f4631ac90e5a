"""Putting together what a node knows of its cluster, for the views, the commands and the metrics."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.replication.view import CATCHING_UP, DISCONNECTED, STREAMING, ClusterView, NodeView
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
    """What the node knows now."""
    node = replication.node
    replicator = replication.replicator
    others = sorted(
        (_standby(replication, streamer) for streamer in replicator.streamers.values()), key=lambda view: view.node_id
    )
    upstream = _upstream(replication)
    if upstream is not None:
        others.insert(0, upstream)
    applicator = replication.applicator
    return ClusterView(
        cluster_id=node.store.control.record.cluster_id.hex(),
        term=replication.term().number,
        mode=_cluster_mode(replication),
        primary_id=_primary_id(replication),
        nodes=(_local(replication), *others),
        gaps=(),
        bytes_sent=replicator.bytes_sent,
        bytes_received=replication.bytes_received,
        records_sent=replicator.records_sent,
        records_applied=applicator.records_applied if applicator is not None else 0,
        bytes_unpacked=0,
    )


def _cluster_mode(replication: Replication) -> str:
    if replication.is_standby:
        return replication.upstream.mode or replication.node.settings.replication_mode
    return replication.lsns.mode.value


def _primary_id(replication: Replication) -> str:
    if not replication.is_standby:
        return replication.node_id
    upstream = replication.upstream
    return upstream.node_id if upstream.role != "standby" else ""


def _local(replication: Replication) -> NodeView:
    node = replication.node
    own = replication.identity()
    flushed = node.store.log.flushed
    applicator = replication.applicator
    upstream = replication.upstream
    if applicator is not None:
        written, applied = applicator.written, min(applicator.applied, flushed)
        end = max(upstream.end, written)
        streaming = replication.receiver is not None and replication.receiver.streaming
        state = DISCONNECTED if not streaming else STREAMING if applied == end else CATCHING_UP
    else:
        written = applied = end = replication.replicator.recent.end
        state = STREAMING
    now = SystemClock.wall_us()
    return NodeView(
        node_id=own.node_id,
        role=own.role,
        mode=own.mode if replication.is_standby else _cluster_mode(replication),
        host=own.host,
        pg_port=own.pg_port,
        native_port=own.native_port,
        http_port=own.http_port,
        is_local=True,
        connected=True,
        state=state,
        in_sync=own.node_id in replication.lsns.members,
        term=replication.term().number,
        written=written,
        flushed=flushed,
        applied=applied,
        committed=node.pipeline.committed_lsn,
        db_checksum=node.database.checksums.total,
        lag_bytes=end - applied,
        lag_ms=replication.log_clock.lag_ms(applied, end, now),
        round_trip_ms=0.0,
        connected_since_us=upstream.connected_since_us,
        heard_us=now,
    )


def _standby(replication: Replication, streamer: WalStreamer) -> NodeView:
    hello, progress = streamer.hello, streamer.progress
    end = replication.replicator.recent.end
    lag = end - progress.applied
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
        in_sync=hello.node_id in replication.lsns.members,
        term=progress.term.number,
        written=progress.written,
        flushed=progress.flushed,
        applied=progress.applied,
        committed=Lsn(0),
        db_checksum=streamer.db_checksum,
        lag_bytes=lag,
        lag_ms=replication.log_clock.lag_ms(progress.applied, end, SystemClock.wall_us()),
        round_trip_ms=streamer.echo_us / 1000,
        connected_since_us=streamer.since_us,
        heard_us=streamer.heard_us,
    )


def _upstream(replication: Replication) -> NodeView | None:
    upstream = replication.upstream
    if not replication.is_standby or not upstream.node_id:
        return None
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
        in_sync=upstream.role != "standby",
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
