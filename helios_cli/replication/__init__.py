"""Managing the replicas of a running cluster from Python: choose, watch, fail over (docs/REPLICAS.md)."""

from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.replication.async_replicator import (
    AsyncReplicator,
    ReopenableSink,
    ReplicaState,
    ReplicationMetrics,
    Sink,
)
from helios_cli.replication.balancer import LoadBalancer, LoadBalancingStrategy
from helios_cli.replication.config import (
    Endpoint,
    ReplicaConfig,
    ReplicationConfig,
    ReplicationConfigBuilder,
    ReplicationMode,
)
from helios_cli.replication.consistency import ConsistencyManager
from helios_cli.replication.engine import LsnManager, QueryForwarder, WalApplicator, WalReceiver, WalReplicator
from helios_cli.replication.entries import WalEntry
from helios_cli.replication.errors import (
    NodeUnreachable,
    NoHealthyReplicas,
    NotProtected,
    PromotionRefused,
    ReplicaRefused,
    ReplicasBehind,
    ReplicationError,
    UnknownReplica,
    WriteGone,
)
from helios_cli.replication.failover import FailoverEvent, FailoverManager
from helios_cli.replication.feed import LogFeed, LogForked
from helios_cli.replication.lag import LagMonitor, LagSample, LagSummary
from helios_cli.replication.lead_watch import FailoverWatcher, LeadChange
from helios_cli.replication.manager import ReplicaManager, ReplicationStats
from helios_cli.replication.pool import ConnectionPool
from helios_cli.replication.protection import ObserverConfig, Protection, SplitBrainProtector
from helios_cli.replication.replica import ReplicaStatus
from helios_cli.replication.sinks import EntryReceiver, SocketSink
from helios_cli.replication.wal_streamer import EntryStream, WalStats, WalStreamer

__all__ = [
    "AsyncReplicator",
    "ConnectionPool",
    "ConsistencyManager",
    "Endpoint",
    "EntryReceiver",
    "EntryStream",
    "FailoverEvent",
    "FailoverManager",
    "FailoverWatcher",
    "LagMonitor",
    "LagSample",
    "LagSummary",
    "LeadChange",
    "LoadBalancer",
    "LoadBalancingStrategy",
    "LogFeed",
    "LogForked",
    "LsnManager",
    "NoHealthyReplicas",
    "NodeUnreachable",
    "NotProtected",
    "ObserverConfig",
    "PromotionRefused",
    "Protection",
    "QueryForwarder",
    "ReopenableSink",
    "ReplicaConfig",
    "ReplicaManager",
    "ReplicaRefused",
    "ReplicaState",
    "ReplicaStatus",
    "ReplicasBehind",
    "ReplicationConfig",
    "ReplicationConfigBuilder",
    "ReplicationError",
    "ReplicationMetrics",
    "ReplicationMode",
    "ReplicationStats",
    "Sink",
    "SocketSink",
    "SplitBrainProtector",
    "SyncMode",
    "UnknownReplica",
    "WalApplicator",
    "WalEntry",
    "WalReceiver",
    "WalReplicator",
    "WalStats",
    "WalStreamer",
    "WriteGone",
]
