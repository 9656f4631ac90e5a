"""One replica: what was last found out about it, and the connections to it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.types import Lsn, Token
from helios_cli.replication.config import ReplicaConfig
from helios_cli.replication.node_client import NodeClient, NodePosition
from helios_cli.replication.pool import ConnectionPool

LATENCY_WEIGHT: Final = 0.2
"""Of the newest round trip in the smoothed one; the first counts whole."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one health check found. Everything about a node that did not answer is empty, 0 or False."""

    answered: bool = False
    reason: str = "not checked yet"
    """Why it is not healthy; empty when it is."""
    node_id: str = ""
    cluster_id: str = ""
    role: str = ""
    term: int = 0
    db_checksum: str = ""
    sessions: int = 0
    follows: bool | None = None
    """Whether a stream from the node that it follows runs; None when it does not tell."""
    node_lag_ms: float | None = None
    """Its lag as it says itself; None when it does not tell."""


def findings(status: Mapping[str, Any], is_standby: bool) -> Findings:
    """What a node's ``/status`` says. Fields that it has not are left empty."""
    cluster = status.get("cluster")
    local, follows = _cluster_part(cluster if isinstance(cluster, dict) else {})
    lag = local.get("lag_ms")
    return Findings(
        answered=True,
        reason="" if is_standby else "it is no standby",
        node_id=str(status.get("node_id", "")),
        cluster_id=str(status.get("cluster_id", "")),
        role="standby" if is_standby else str(status.get("role", "primary")),
        term=int(status.get("term", 0)),
        db_checksum=str(status.get("database_checksum", "")),
        sessions=int(status.get("sessions", 0)),
        follows=follows,
        node_lag_ms=float(lag) if isinstance(lag, int | float) else None,
    )


def _cluster_part(cluster: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool | None]:
    """The node's view of itself, and whether it is connected with the primary that it knows."""
    nodes = [node for node in cluster.get("nodes", ()) if isinstance(node, dict)]
    local: Mapping[str, Any] = next((node for node in nodes if node.get("is_local")), {})
    state = local.get("state")
    return local, (state != "disconnected") if isinstance(state, str) else None


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """A replica, for people and for monitoring."""

    address: str
    is_healthy: bool
    """Whether it is read from: it answers, it is a standby of this cluster, and its lag is within the threshold."""
    lag_ms: int
    last_applied_lsn: Lsn
    connection_count: int
    """Sessions of everybody that it serves."""
    bytes_replicated: int
    """Bytes of the log that it has applied in its life."""
    lag_bytes: int
    latency_ms: float
    """Smoothed round trip of a statement."""
    node_id: str
    role: str
    db_checksum: str
    """Of its database, 16 hexadecimal digits; two nodes at one LSN show the same. Empty when it is not known."""
    reason: str
    """Why it is not healthy; empty when it is."""
    checked_at_s: float
    """When it last answered, seconds since 1970-01-01 UTC; 0.0 when it never has."""


class Replica:
    """What is known of a replica. The threads that watch replace its fields as a whole; anybody may read them."""

    def __init__(self, address: str, config: ReplicaConfig) -> None:
        """Nothing is connected yet."""
        self.address = address
        self.client = NodeClient(address, config)
        self.pool = ConnectionPool(self.client.target(), config.connection_pool_size)
        self.found = Findings()
        self.applied = Lsn(0)
        self.state = Token(Lsn(0))
        """What its readers see: that LSN with its term."""
        self.lag_ms = 0.0
        self.lag_bytes = 0
        self.latency_ms = 0.0
        self.answered_at_s = 0.0
        self._in_use_at_check = 0
        self._chosen = itertools.count()
        self._chosen_at_check = 0
        self._choices = 0

    @property
    def load(self) -> int:
        """Sessions it serves by the last check, what this process has borrowed since, and choices since then."""
        return self.connection_count + self._choices

    @property
    def connection_count(self) -> int:
        """Sessions it serves by the last check, and what this process has borrowed since or given back."""
        return max(0, self.found.sessions + self.pool.in_use - self._in_use_at_check)

    def chosen(self) -> None:
        """Somebody was sent here, who will connect on their own; the next check sees them."""
        self._choices = next(self._chosen) + 1 - self._chosen_at_check

    def checked(self, found: Findings) -> None:
        """A health check is over."""
        self.found = found
        self._in_use_at_check = self.pool.in_use
        self._chosen_at_check += self._choices
        self._choices = 0

    def at(self, position: NodePosition) -> None:
        """It said where it is."""
        self.applied, self.state = position.lsn, position.state
        self.answered_at_s = position.at_s
        before = self.latency_ms
        weight = LATENCY_WEIGHT if before else 1.0
        self.latency_ms = before + weight * (position.round_trip_ms - before)

    def close(self) -> None:
        """End every connection to it."""
        self.pool.close()
        self.client.close()

    def status(self, problem: str) -> ReplicaStatus:
        """The record for people; ``problem`` says why it is not read from, empty when it is."""
        return ReplicaStatus(
            address=self.address,
            is_healthy=not problem,
            lag_ms=round(self.lag_ms),
            last_applied_lsn=self.applied,
            connection_count=self.connection_count,
            bytes_replicated=int(self.applied),
            lag_bytes=self.lag_bytes,
            latency_ms=self.latency_ms,
            node_id=self.found.node_id,
            role=self.found.role,
            db_checksum=self.found.db_checksum,
            reason=problem,
            checked_at_s=self.answered_at_s,
        )
