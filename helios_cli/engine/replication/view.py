"""What one node knows of its cluster, as plain records: the source of every view, command and metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from helios_cli.engine.types import Lsn

STREAMING: Final = "streaming"
CATCHING_UP: Final = "catchup"
DISCONNECTED: Final = "disconnected"
OBSERVING: Final = "observing"
DISK_FULL: Final = "disk_full"
BLOCKED: Final = "blocked"
"""The disk of a standby has taken nothing for a second."""

SILENT: Final = "silent"
"""A connection stands, and nothing has come over it for a second."""

HELD_UP: Final = (CATCHING_UP, DISK_FULL, BLOCKED, SILENT)
"""A standby that is connected and does not keep up."""

UNKNOWN: Final = "unknown"
"""The local node neither follows it nor is followed by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One data node. What is not known is empty or 0."""

    node_id: str
    role: str
    """``standalone``, ``primary`` or ``standby``."""
    mode: str
    """The cluster's mode for a primary, its class for a standby: ``async``, ``semi-sync``, ``sync`` or ``quorum``."""
    host: str
    pg_port: int
    native_port: int
    http_port: int
    is_local: bool = False
    connected: bool
    """Whether a stream runs between it and the local node; True for the local node itself."""
    state: str
    """``streaming``, ``catchup``, ``disk_full``, ``blocked``, ``silent``, ``disconnected`` or ``unknown``."""
    in_sync: bool
    """Whether its copy counts for the mode's rule."""
    term: int
    written: Lsn = Lsn(0)
    """Received (on the primary: behind its last record)."""
    flushed: Lsn = Lsn(0)
    applied: Lsn = Lsn(0)
    committed: Lsn = Lsn(0)
    """What it shows to readers; for others than the local node only when it is the node that is followed."""
    db_checksum: int = 0
    """Checksum of the database at ``applied``; 0 where it is not known."""
    lag_bytes: int = 0
    """From what it has applied to the primary's end of the log."""
    lag_ms: float = 0.0
    """Age of the newest thing it lacks; 0.0 when it lacks nothing."""
    round_trip_ms: float = 0.0
    connected_since_us: int = 0
    """Microseconds since 1970-01-01 UTC; 0 when there is no stream."""
    heard_us: int = 0
    """When it was last heard of; 0: never by this process."""
    lag_known: bool = True
    """Whether ``lag_bytes`` tells anything: not while nobody knows how far the primary, or the node, has come."""
    sent: Lsn = Lsn(0)
    """What the local node has sent it; 0 for those that do not follow the local node."""
    write_lag_ms: float = 0.0
    """As ``lag_ms``, of what it has received."""
    flush_lag_ms: float = 0.0
    """As ``lag_ms``, of what it has on disk."""
    catch_up_s: float | None = 0.0
    """Seconds until it lacks nothing at its present pace; None: never at this pace, or nobody knows."""
    lag_cause: str = ""
    """Where most of what it lacks is held up, as :func:`~helios_cli.engine.replication.lag.lag_cause` names it."""
    follows: str = ""
    """The name of the node that it follows, where that is known."""


@dataclass(frozen=True, slots=True)
class ObserverView:
    """One observer: it votes, and holds no data."""

    node_id: str
    host: str
    native_port: int
    http_port: int
    votes: bool
    """Whether its vote counts now: only where it makes the number of voters odd."""
    state: str
    """``observing`` (it is connected with the primary that says so), ``silent``, ``disconnected``; else ``unknown``."""
    heard_us: int = 0
    """When it was last heard of; 0: never by this process."""


@dataclass(frozen=True, slots=True)
class GapView:
    """A time in which the cluster ran with fewer copies than its mode wants."""

    node_id: str
    """Who was missing."""
    from_lsn: Lsn
    to_lsn: Lsn | None
    """None: it lasts."""
    since_us: int
    until_us: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class SlotView:
    """What the local node's log is kept for."""

    name: str
    restart_lsn: Lsn
    connected: bool
    room_bytes: int | None
    """How much more log may be written before the slot is given up; None: no limit."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What the local node has done since its process began; times are microseconds since 1970-01-01 UTC, 0: never."""

    log_writes: int = 0
    log_bytes: int = 0
    heartbeats_sent: int = 0
    heartbeats_received: int = 0
    reconnects: int = 0
    """Connections between this node and another that were made again."""
    log_written_us: int = 0
    replicated_us: int = 0


@dataclass(frozen=True, slots=True)
class UpstreamView:
    """What a standby knows of the node it follows or looks for."""

    node_id: str
    """Empty before it has answered."""
    host: str
    native_port: int
    connected: bool
    streaming: bool
    """Whether records or heartbeats come."""
    error: str
    """Why it cannot be followed; empty when nothing is wrong."""
    end: Lsn
    """Where its log ended when it was last heard of."""
    committed: Lsn
    started_at: Lsn
    """Where the stream began."""
    connected_since_us: int
    sent_us: int
    """Its clock in the newest message; 0: none came."""
    heard_us: int
    """This node's clock then."""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The cluster, as the local node sees it now."""

    cluster_id: str
    term: int
    mode: str
    primary_id: str
    """Empty when it is not known."""
    nodes: tuple[NodeView, ...]
    """The local node first, then the others it knows, by name."""
    gaps: tuple[GapView, ...]
    bytes_sent: int
    bytes_received: int
    records_sent: int
    records_applied: int
    bytes_unpacked: int
    """Page images that the records received and applied hold, in bytes: over ``bytes_received`` it is what compression
    saves. 0 on a primary, which does not count them."""
    replayed_us: int = 0
    """When the newest transaction that a standby has applied was committed, microseconds since 1970-01-01 UTC on the
    primary's clock; 0 on a primary, and before the first."""
    upstream: UpstreamView | None = None
    """None on a node that follows nobody."""
    slots: tuple[SlotView, ...] = ()
    observers: tuple[ObserverView, ...] = ()
    """By name."""
    voters: tuple[str, ...] = ()
    """Who elects."""
    lease_ms: int = 0
    """For how long who has heard the primary votes for nobody else."""
    paused: bool = False
    """Whether an operator has suspended automatic failover."""
    counters: Counters = Counters()
    now_us: int = 0
    """When this was seen, microseconds since 1970-01-01 UTC."""
    pid: int = 0
    """Of the local node's process."""
    started_us: int = 0
    """When the process of the local node began."""

    @property
    def local(self) -> NodeView:
        """The node that says so."""
        return self.nodes[0]
