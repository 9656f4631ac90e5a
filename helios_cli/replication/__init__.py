"""Managing the replicas of a running cluster from Python: choose, watch, fail over (docs/REPLICAS.md)."""

from helios_cli.engine.replication.rule import SyncMode
from helios_cli.replication.balancer import LoadBalancer, LoadBalancingStrategy
from helios_cli.replication.config import (
    Endpoint,
    ReplicaConfig,
    ReplicationConfig,
    ReplicationConfigBuilder,
    ReplicationMode,
)
from helios_cli.replication.consistency import ConsistencyManager
from helios_cli.replication.errors import (
    BufferFull,
    NodeUnreachable,
    NoHealthyReplicas,
    PromotionRefused,
    ReplicaRefused,
    ReplicasBehind,
    ReplicationError,
    UnknownReplica,
)
from helios_cli.replication.failover import FailoverEvent, FailoverManager
from helios_cli.replication.lag import LagMonitor, LagSample, LagSummary
from helios_cli.replication.manager import ReplicaManager, ReplicationStats
from helios_cli.replication.pool import ConnectionPool
from helios_cli.replication.replica import ReplicaStatus

__all__ = [
    "BufferFull",
    "ConnectionPool",
    "ConsistencyManager",
    "Endpoint",
    "FailoverEvent",
    "FailoverManager",
    "LagMonitor",
    "LagSample",
    "LagSummary",
    "LoadBalancer",
    "LoadBalancingStrategy",
    "NoHealthyReplicas",
    "NodeUnreachable",
    "PromotionRefused",
    "ReplicaConfig",
    "ReplicaManager",
    "ReplicaRefused",
    "ReplicaStatus",
    "ReplicasBehind",
    "ReplicationConfig",
    "ReplicationConfigBuilder",
    "ReplicationError",
    "ReplicationMode",
    "ReplicationStats",
    "SyncMode",
    "UnknownReplica",
]
