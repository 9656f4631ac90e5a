"""What one node knows of its cluster, as plain records: the source of every view, command and metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from helios_cli.engine.types import Lsn

STREAMING: Final = "streaming"
CATCHING_UP: Final = "catchup"
DISCONNECTED: Final = "disconnected"


@dataclass(frozen=True, slots=True)
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
    is_local: bool
    connected: bool
    """Whether a stream runs between it and the local node; True for the local node itself."""
    state: str
    """``streaming``, ``catchup`` or ``disconnected``."""
    in_sync: bool
    """Whether its copy counts for the mode's rule."""
    term: int
    written: Lsn
    """Received (on the primary: behind its last record)."""
    flushed: Lsn
    applied: Lsn
    committed: Lsn
    """What it shows to readers; for others than the local node only when it is the node that is followed."""
    db_checksum: int
    """Checksum of the database at ``applied``; 0 where it is not known."""
    lag_bytes: int
    """From what it has applied to the primary's end of the log."""
    lag_ms: float
    """Age of the newest thing it lacks; 0.0 when it lacks nothing."""
    round_trip_ms: float
    connected_since_us: int
    """Microseconds since 1970-01-01 UTC; 0 when there is no stream."""
    heard_us: int
    """When it was last heard of."""


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
    """Page images that the records sent or received hold, in bytes: what compression saves is the ratio."""
    replayed_us: int = 0
    """When the newest transaction that a standby has applied was committed, microseconds since 1970-01-01 UTC on the
    primary's clock; 0 on a primary, and before the first."""

    @property
    def local(self) -> NodeView:
        """The node that says so."""
        return self.nodes[0]
