"""What a node measures of its replication: paces, and the counters of pg_replication_metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.replication.lag import Pace, catch_up_s
from helios_cli.engine.replication.view import Counters

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication


class ClusterMeter:
    """Sampled with every heartbeat, on the loop."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._log_began = replication.node.store.log.end
        self._log = Pace()
        """Of the end of the log that is followed, or of the own."""
        self._paces: dict[str, Pace] = {}
        """Of what each follower, and the local node if it follows, has applied."""
        self._flushed = self._log_began
        self._log_written_us = 0
        self._replicated = 0
        self._replicated_us = 0
        self.heartbeats_received = 0
        self.reconnects = 0
        self._joined: set[str] = set()

    def joined(self, node_id: str) -> None:
        """A connection with another node stands."""
        if node_id in self._joined:
            self.reconnects += 1
        self._joined.add(node_id)

    def sample(self) -> None:
        """Look at every position."""
        replication = self._replication
        now = SystemClock.wall_us()
        positions = {
            streamer.node_id: streamer.progress.applied for streamer in replication.replicator.streamers.values()
        }
        following = replication.following
        end = replication.replicator.recent.end
        moved = replication.replicator.bytes_sent
        if following is not None:
            positions[replication.node_id] = following.applicator.applied
            end = max(end, following.upstream.end)
            moved += following.bytes_received
        self._log.sample(end, now)
        for node_id in [known for known in self._paces if known not in positions]:
            del self._paces[node_id]
        for node_id, lsn in positions.items():
            self._paces.setdefault(node_id, Pace()).sample(lsn, now)
        flushed = replication.node.store.log.flushed
        if flushed != self._flushed:
            self._flushed, self._log_written_us = flushed, now
        if moved != self._replicated:
            self._replicated, self._replicated_us = moved, now

    def catch_up_s(self, node_id: str, lag_bytes: int) -> float | None:
        """Seconds until a node lacks nothing, as both go on now; None: it does not come nearer, or nobody knows."""
        pace = self._paces.get(node_id)
        if pace is None:
            return None
        return catch_up_s(lag_bytes, pace.bytes_per_s(), self._log.bytes_per_s())

    def counters(self) -> Counters:
        """Since this life of the node began."""
        replication = self._replication
        node = replication.node
        following = replication.following
        writes = node.pipeline.sync_count + (following.applicator.syncs if following is not None else 0)
        return Counters(
            log_writes=writes,
            log_bytes=node.store.log.end - self._log_began,
            heartbeats_sent=replication.replicator.heartbeats_sent,
            heartbeats_received=self.heartbeats_received,
            reconnects=self.reconnects,
            log_written_us=self._log_written_us,
            replicated_us=self._replicated_us,
        )
